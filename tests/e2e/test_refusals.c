/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is refused between a real pool and a real donor, with a relay between them that damages one
 * message of one request at a time (tests/support/relay.h). Each damage must be refused for its
 * reason, be counted in `ayni status`, and leave the answer as if nothing had happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>
#include <sys/wait.h>

#include "protocol/invite.h"
#include "tests/support/network.h"
#include "tests/support/relay.h"
#include "tests/support/tiny_model.h"

#define TOKENS "104,101,108,108,111"

enum { N_GREEDY = 6, UNITS_BEFORE = 2, MAX_LOOKS = 1000 };

struct tampered {
	struct network network;
	struct relay *relay;
	char *model;
	char key[NETWORK_PATH * 2]; /* file of the donor's key */
	char *answer;               /* what the model says, computed without a pool */
};

/* A counter of `ayni status`: who refused, and why. */
struct counter {
	const char *who; /* member of a donor's entry, or NULL: of the whole pool */
	enum refusal why;
};

/* Lost units are sent again soon; nobody is taken for gone on a machine that is busy for a while.
 */
static const char *const settings[] = {"unit_timeout_ms=600", "heartbeat_ms=400", NULL};

/* ---- set-up ------------------------------------------------------------------------------- */

static char *first_line(const char *file)
{
	FILE *f = fopen(file, "re");
	char *line = calloc(1, NETWORK_PATH);

	assert_non_null(line);
	if (f == NULL || fgets(line, NETWORK_PATH, f) == NULL)
		fail_msg("%s cannot be read", file);
	(void)fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static void start_relay(struct tampered *t)
{
	char pool_key[NETWORK_PATH * 2], endpoint_file[NETWORK_PATH * 2];
	struct relay_options o = {.pool_key = pool_key, .donor_key = t->key};
	struct identity *id;
	bool created;
	char *endpoint;

	(void)snprintf(pool_key, sizeof pool_key, "%s/pool/key", t->network.folder);
	(void)snprintf(t->key, sizeof t->key, "%s/donor0/key", t->network.folder);
	(void)snprintf(endpoint_file, sizeof endpoint_file, "%s/pool/endpoint", t->network.folder);
	assert_int_equal(identity_open(t->key, &id, &created, NULL), AYNI_OK);
	assert_true(created);
	identity_free(id);
	endpoint = first_line(endpoint_file);
	o.pool_endpoint = endpoint;
	t->relay = relay_start(&o);
	free(endpoint);
}

/* The network's invite, with the relay in the pool's place. */
static void start_donor(struct tampered *t)
{
	char text[INVITE_TEXT_BYTES];
	struct invite in;

	assert_int_equal(invite_parse(t->network.invite, &in, NULL), AYNI_OK);
	in.port = (uint16_t)strtoul(strrchr(relay_endpoint(t->relay), ':') + 1, NULL, 10);
	assert_int_equal(invite_format(&in, text, sizeof text, NULL), AYNI_OK);
	network_donor(&t->network, 0, text, NULL);
}

static char *run(struct tampered *t, const char *const *args)
{
	char *out = malloc(NETWORK_OUTPUT), *err = malloc(NETWORK_OUTPUT);

	assert_true(out != NULL && err != NULL);
	if (network_run(&t->network, args, NULL, out, err) != 0)
		fail_msg("ayni %s %s: %s", args[0], args[1], err);
	free(err);
	return out;
}

static int start(void **state, const char *const *pool_settings)
{
	struct tampered *t = calloc(1, sizeof *t);
	char greedy[16];
	const char *alone[] = {"model", "eval", NULL, "--tokens", TOKENS, "--greedy", greedy, NULL};

	assert_non_null(t);
	*state = t;
	(void)snprintf(greedy, sizeof greedy, "%d", N_GREEDY);
	t->model = tiny_model_temporary(NULL);
	network_start(&t->network, t->model, pool_settings);
	start_relay(t);
	start_donor(t);
	network_wait_ready(&t->network);
	alone[2] = t->model;
	t->answer = run(t, alone);
	return 0;
}

static int setup(void **state)
{
	return start(state, settings);
}

static int setup_impatient(void **state)
{
	static const char *const impatient[] = {"unit_timeout_ms=600", "wait_s=0", NULL};

	return start(state, impatient);
}

static int teardown(void **state)
{
	struct tampered *t = *state;

	network_stop(&t->network);
	relay_stop(t->relay);
	tiny_model_remove(t->model);
	free(t->answer);
	free(t);
	return 0;
}

/* ---- counters ----------------------------------------------------------------------------- */

static json_t *status(struct tampered *t)
{
	const char *args[] = {"status", "--pool", t->network.invite, "--json", NULL};
	char *out = run(t, args);
	json_t *root = json_loads(out, 0, NULL);

	assert_non_null(root);
	free(out);
	return root;
}

/* The relayed donor's entry. */
static json_t *donor0(const json_t *root)
{
	json_t *donors = json_object_get(root, "donors");

	for (size_t i = 0; i < json_array_size(donors); i++) {
		json_t *d = json_array_get(donors, i);

		if (strcmp(json_string_value(json_object_get(d, "name")), "donor0") == 0)
			return d;
	}
	return NULL;
}

static json_int_t count(struct tampered *t, struct counter c)
{
	json_t *root = status(t);
	json_t *counts = c.who != NULL ? json_object_get(donor0(root), c.who)
	                               : json_object_get(root, "refusals");
	json_int_t n = json_integer_value(json_object_get(counts, refusal_name(c.why)));

	json_decref(root);
	return n;
}

/* The donor tells its counters with the next heartbeat. Each look is a process: no busy loop. */
static void wait_count(struct tampered *t, struct counter c, json_int_t wanted)
{
	json_int_t n = count(t, c);

	for (int i = 0; n < wanted && i < MAX_LOOKS; i++)
		n = count(t, c);
	if (n < wanted)
		fail_msg("status says %s %s %d times; %d wanted", c.who != NULL ? c.who : "pool",
		    refusal_name(c.why), (int)n, (int)wanted);
}

static void assert_alive(pid_t pid)
{
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

/* ---- one damaged message of a request ----------------------------------------------------- */

static void assert_answers_rightly(struct tampered *t)
{
	char greedy[16];
	const char *args[] = {"model", "eval", "--pool", t->network.invite, "--tokens", TOKENS,
	    "--greedy", greedy, NULL};
	char *out;

	(void)snprintf(greedy, sizeof greedy, "%d", N_GREEDY);
	out = run(t, args);
	assert_string_equal(out, t->answer);
	free(out);
}

/* A machine in a hurry may let a unit expire, or its result come late, on top of what we do. */
static bool happens_by_itself(enum refusal why)
{
	return why == REFUSAL_EXPIRED || why == REFUSAL_REPLAY;
}

static void assert_refused(
    struct tampered *t, enum message_type type, enum relay_damage damage, enum refusal why)
{
	struct counter own = {type == MSG_RESULT ? "refused_by_pool" : "refused_by_donor", why};
	struct counter all = {NULL, why};
	json_int_t own_before = count(t, own), all_before = count(t, all);

	relay_order(t->relay, type, UNITS_BEFORE, damage);
	assert_answers_rightly(t);
	relay_wait(t->relay);
	wait_count(t, own, own_before + 1);
	if (type == MSG_RESULT)
		wait_count(t, all, all_before + 1);
	if (!happens_by_itself(why))
		assert_int_equal(count(t, own), own_before + 1);
	assert_alive(t->network.pool);
	assert_alive(t->network.donors[0]);
}

static void unit(void **state, enum relay_damage damage, enum refusal why)
{
	assert_refused(*state, MSG_WORK_UNIT, damage, why);
}

static void result(void **state, enum relay_damage damage, enum refusal why)
{
	assert_refused(*state, MSG_RESULT, damage, why);
}

static void passes_what_nobody_touched(void **state)
{
	struct tampered *t = *state;
	json_t *root;

	assert_answers_rightly(t);
	root = status(t);
	assert_non_null(donor0(root));
	assert_true(json_integer_value(json_object_get(donor0(root), "units")) >= N_GREEDY);
	json_decref(root);
}

static void refuses_a_unit_with_a_tampered_payload(void **state)
{
	unit(state, RELAY_PAYLOAD_BIT, REFUSAL_PAYLOAD);
}

static void refuses_a_unit_with_a_tampered_header(void **state)
{
	unit(state, RELAY_HEADER_BIT, REFUSAL_SIGNATURE);
	unit(state, RELAY_HEADER_CUT, REFUSAL_SIGNATURE);
}

static void refuses_an_unsigned_unit(void **state)
{
	unit(state, RELAY_UNSIGNED, REFUSAL_SIGNATURE);
}

static void refuses_a_unit_signed_by_another_pool(void **state)
{
	unit(state, RELAY_STRANGER, REFUSAL_SIGNER);
	unit(state, RELAY_FORGED, REFUSAL_SIGNATURE);
}

static void refuses_a_unit_meant_for_another_donor(void **state)
{
	unit(state, RELAY_RECIPIENT, REFUSAL_RECIPIENT);
}

static void refuses_a_unit_that_was_sent_twice(void **state)
{
	unit(state, RELAY_TWICE, REFUSAL_REPLAY);
}

static void refuses_a_unit_whose_number_was_used(void **state)
{
	unit(state, RELAY_UNIT_NUMBER, REFUSAL_REPLAY);
}

static void refuses_an_expired_unit(void **state)
{
	unit(state, RELAY_EXPIRED, REFUSAL_EXPIRED);
}

static void refuses_a_unit_of_another_shape_or_version(void **state)
{
	unit(state, RELAY_VERSION, REFUSAL_VERSION);
	unit(state, RELAY_TYPE, REFUSAL_TYPE);
	unit(state, RELAY_ENVELOPE_CUT, REFUSAL_SHAPE);
	unit(state, RELAY_HEADER_NOISE, REFUSAL_SHAPE);
}

static void refuses_a_unit_past_its_size(void **state)
{
	unit(state, RELAY_ENVELOPE_LONG, REFUSAL_SIZE);
	unit(state, RELAY_DISGUISED, REFUSAL_SIZE);
}

static void refuses_work_that_was_not_assigned(void **state)
{
	unit(state, RELAY_UNIT_ASSIGNMENT, REFUSAL_ASSIGNMENT);
	unit(state, RELAY_UNIT_LAYERS, REFUSAL_ASSIGNMENT);
}

static void refuses_a_unit_that_contradicts_itself(void **state)
{
	unit(state, RELAY_UNIT_TOKENS, REFUSAL_BOUNDS);
	unit(state, RELAY_UNIT_POSITION, REFUSAL_SESSION);
}

static void refuses_a_tampered_result(void **state)
{
	result(state, RELAY_PAYLOAD_BIT, REFUSAL_PAYLOAD);
	result(state, RELAY_HEADER_BIT, REFUSAL_SIGNATURE);
	result(state, RELAY_HEADER_CUT, REFUSAL_SIGNATURE);
}

static void refuses_a_result_that_the_donor_did_not_sign(void **state)
{
	result(state, RELAY_UNSIGNED, REFUSAL_SIGNATURE);
	result(state, RELAY_STRANGER, REFUSAL_SIGNER);
	result(state, RELAY_FORGED, REFUSAL_SIGNATURE);
}

static void refuses_a_result_that_was_sent_twice(void **state)
{
	result(state, RELAY_TWICE, REFUSAL_REPLAY);
	result(state, RELAY_RESULT_UNKNOWN, REFUSAL_REPLAY);
}

static void refuses_a_result_of_another_shape_or_version(void **state)
{
	result(state, RELAY_VERSION, REFUSAL_VERSION);
	result(state, RELAY_TYPE, REFUSAL_TYPE);
	result(state, RELAY_ENVELOPE_CUT, REFUSAL_SHAPE);
	result(state, RELAY_HEADER_NOISE, REFUSAL_SHAPE);
	result(state, RELAY_ENVELOPE_LONG, REFUSAL_SIZE);
	result(state, RELAY_EXPIRED, REFUSAL_EXPIRED);
	result(state, RELAY_RECIPIENT, REFUSAL_RECIPIENT);
}

static void tells_people_what_was_refused(void **state)
{
	struct tampered *t = *state;
	const char *args[] = {"status", "--pool", t->network.invite, NULL};
	char *out;

	unit(state, RELAY_UNSIGNED, REFUSAL_SIGNATURE);
	result(state, RELAY_UNSIGNED, REFUSAL_SIGNATURE);
	out = run(t, args);
	assert_non_null(strstr(out, "it refused:"));
	assert_non_null(strstr(out, "the pool refused of it:"));
	assert_non_null(strstr(out, "the pool refused:"));
	assert_non_null(strstr(out, "signature "));
	free(out);
}

/* ---- a donor that lies: its signature is right, its result is not -------------------------- */

static void assert_no_more_work(struct tampered *t)
{
	json_t *root = status(t);

	assert_string_equal(json_string_value(json_object_get(donor0(root), "state")), "idle");
	json_decref(root);
}

/* Another donor takes the layers over, and the answer is right in spite of it. */
static void lie(void **state, enum relay_damage damage, enum refusal why)
{
	struct tampered *t = *state;

	network_donor(&t->network, 1, NULL, NULL);
	relay_order(t->relay, MSG_RESULT, UNITS_BEFORE, damage);
	assert_answers_rightly(t);
	relay_wait(t->relay);
	assert_int_equal(count(t, (struct counter){"refused_by_pool", why}), 1);
	assert_no_more_work(t);
	assert_alive(t->network.pool);
	assert_alive(t->network.donors[0]);
}

static void gives_no_more_work_to_who_sends_numbers_that_are_none(void **state)
{
	lie(state, RELAY_RESULT_NAN, REFUSAL_NUMERIC);
}

static void gives_no_more_work_to_who_leaves_out_a_part(void **state)
{
	lie(state, RELAY_RESULT_SHORT, REFUSAL_BOUNDS);
}

static void gives_no_more_work_to_who_claims_more_than_was_done(void **state)
{
	lie(state, RELAY_RESULT_COST, REFUSAL_BOUNDS);
}

static void says_so_if_nobody_else_can_go_on(void **state)
{
	struct tampered *t = *state;
	const char *args[] = {"model", "eval", "--pool", t->network.invite, "--tokens", TOKENS,
	    "--greedy", "4", NULL};
	static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

	relay_order(t->relay, MSG_RESULT, 1, RELAY_RESULT_NAN);
	assert_int_not_equal(network_run(&t->network, args, NULL, out, err), 0);
	relay_wait(t->relay);
	assert_non_null(strstr(err, "no donor held layers"));
	assert_alive(t->network.pool);
	assert_alive(t->network.donors[0]);
}

int main(void)
{
	const struct CMUnitTest on_the_way[] = {
	    cmocka_unit_test(passes_what_nobody_touched),
	    cmocka_unit_test(refuses_a_unit_with_a_tampered_payload),
	    cmocka_unit_test(refuses_a_unit_with_a_tampered_header),
	    cmocka_unit_test(refuses_an_unsigned_unit),
	    cmocka_unit_test(refuses_a_unit_signed_by_another_pool),
	    cmocka_unit_test(refuses_a_unit_meant_for_another_donor),
	    cmocka_unit_test(refuses_a_unit_that_was_sent_twice),
	    cmocka_unit_test(refuses_a_unit_whose_number_was_used),
	    cmocka_unit_test(refuses_an_expired_unit),
	    cmocka_unit_test(refuses_a_unit_of_another_shape_or_version),
	    cmocka_unit_test(refuses_a_unit_past_its_size),
	    cmocka_unit_test(refuses_work_that_was_not_assigned),
	    cmocka_unit_test(refuses_a_unit_that_contradicts_itself),
	    cmocka_unit_test(refuses_a_tampered_result),
	    cmocka_unit_test(refuses_a_result_that_the_donor_did_not_sign),
	    cmocka_unit_test(refuses_a_result_that_was_sent_twice),
	    cmocka_unit_test(refuses_a_result_of_another_shape_or_version),
	    cmocka_unit_test(tells_people_what_was_refused),
	};
	const struct CMUnitTest lies[] = {
	    cmocka_unit_test_setup_teardown(
	        gives_no_more_work_to_who_sends_numbers_that_are_none, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        gives_no_more_work_to_who_leaves_out_a_part, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        gives_no_more_work_to_who_claims_more_than_was_done, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        says_so_if_nobody_else_can_go_on, setup_impatient, teardown),
	};
	int failed = cmocka_run_group_tests(on_the_way, setup, teardown);

	return failed + cmocka_run_group_tests(lies, NULL, NULL);
}
