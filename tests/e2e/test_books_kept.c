/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool that is killed at random moments of its work: its books count nothing twice, nothing that
 * was not returned, and lack no more than was booked since they were written down last.
 * AYNI_FAILURES says how often it is killed (5), AYNI_FAILURES_SEED at which moments.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "node/loop.h"
#include "tests/support/network.h"
#include "tests/support/tiny_model.h"

enum {
	N_DONORS = 2,
	LOST_MS =
	    1000, /* of work, a kill: ten times what it should be, for machines that are busy */
	LOST_UNITS = 16 /* and on their way */
};

#define ANSWER "600"

static const char *const pool_settings[] = {"stages=2", "keep_s=0", NULL};

static struct network net;
static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

struct books {
	json_int_t units, tokens, flop, not_countersigned;
};

/* What a ledger counts for a donor, known by its name's number; in a donor's own, for itself. */
static struct books read_books(const char *owner, int donor)
{
	char db[NETWORK_PATH * 2], name[32];
	const char *args[] = {"ledger", "--db", db, "--json", NULL};
	struct books b = {0};
	json_t *root, *donors;

	(void)snprintf(db, sizeof db, "%s/%s", net.folder, owner);
	(void)snprintf(name, sizeof name, "donor%d", donor);
	if (network_run(&net, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	root = json_loads(out, 0, NULL);
	assert_non_null(root);
	donors = json_object_get(root, "donors");
	for (size_t i = 0; i < json_array_size(donors); i++) {
		const json_t *d = json_array_get(donors, i);
		const char *whose = json_string_value(json_object_get(d, "name"));

		if (strncmp(owner, "donor", 5) != 0 && strcmp(whose, name) != 0)
			continue;
		b.units = json_integer_value(json_object_get(d, "units"));
		b.tokens = json_integer_value(json_object_get(d, "tokens"));
		b.flop = json_integer_value(json_object_get(d, "flop"));
		b.not_countersigned = json_integer_value(json_object_get(d, "not_countersigned"));
	}
	json_decref(root);
	return b;
}

/* Returned and in no receipt, as the donor says when it leaves. */
static json_int_t missing_of(int donor)
{
	char file[32], *text, *line;
	json_int_t n = 0;

	(void)snprintf(file, sizeof file, "donor%d.err", donor);
	text = network_read(&net, file);
	assert_null(strstr(text, "receipt refused")); /* for more than it returned */
	line = strstr(text, " units that were returned are in no receipt yet");
	while (line != NULL && line > text && line[-1] >= '0' && line[-1] <= '9')
		line--;
	if (line != NULL)
		n = strtoll(line, NULL, 10);
	free(text);
	return n;
}

static pid_t ask(const char *name)
{
	const char *args[] = {"chat", "--raw", "--quiet", "--pool", net.invite, "--max-tokens",
	    ANSWER, "--temperature", "0.9", "--seed", "3", "hello", NULL};

	return network_spawn(&net, name, args);
}

static void wait_answer(pid_t member, const char *name)
{
	char file[40];

	(void)snprintf(file, sizeof file, "%s.err", name);
	if (network_wait_end(member) != 0)
		fail_msg("%s", network_read(&net, file));
}

/* The answer, and how long it takes. */
static char *ask_undisturbed(uint64_t *us)
{
	*us = loop_now_us();
	wait_answer(ask("undisturbed"), "undisturbed");
	*us = loop_now_us() - *us;
	return network_read(&net, "undisturbed.out");
}

/* Within an answer, or after it: then the last windows are still open. */
static void kill_pool(const char *model, int i, const char *answer, size_t bytes)
{
	char name[32], file[40], *text;
	pid_t member;

	(void)snprintf(name, sizeof name, "member%d", i);
	member = ask(name);
	network_wait_output(&net, name, bytes);
	assert_int_equal(kill(net.pool, SIGKILL), 0);
	(void)network_wait_end(net.pool);
	network_restart_pool(&net, model, pool_settings);
	wait_answer(member, name);
	(void)snprintf(file, sizeof file, "%s.out", name);
	text = network_read(&net, file);
	assert_string_equal(text, answer);
	free(text);
}

static void end_donors(void)
{
	for (int i = 0; i < N_DONORS; i++) {
		assert_int_equal(kill(net.donors[i], SIGTERM), 0);
		assert_int_equal(network_wait_end(net.donors[i]), 0);
		net.donors[i] = 0;
	}
}

static void books_count_what_was_returned_once_and_lack_little(json_int_t most_missing)
{
	for (int i = 0; i < N_DONORS; i++) {
		char own[32];
		struct books pool = read_books("pool/pool.db", i), donor;
		json_int_t missing = missing_of(i);

		(void)snprintf(own, sizeof own, "donor%d/donor.db", i);
		donor = read_books(own, i);
		print_message("donor%d: %lld units in receipts, %lld in none\n", i,
		    (long long)pool.units, (long long)missing);
		assert_true(pool.units > 0);
		assert_int_equal(pool.units, donor.units);
		assert_int_equal(pool.tokens, donor.tokens);
		assert_int_equal(pool.flop, donor.flop);
		assert_int_equal(pool.not_countersigned, 0);
		assert_true(missing <= most_missing);
	}
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void a_pool_killed_at_any_moment_counts_nothing_twice_and_loses_little(void **state)
{
	const struct tiny_model_options options = {
	    .n_layers = 4, .context_tokens = 1024, .seed = 7};
	char *model = tiny_model_temporary(&options);
	uint64_t seed = number_from("AYNI_FAILURES_SEED", loop_now_us()), us;
	int kills = (int)number_from("AYNI_FAILURES", 5);
	json_int_t units;
	char *answer;

	(void)state;
	print_message("AYNI_FAILURES_SEED=%llu\n", (unsigned long long)seed);
	network_start(&net, model, pool_settings);
	network_donor(&net, 0, NULL, NULL);
	network_donor(&net, 1, NULL, NULL);
	network_wait_ready(&net);
	answer = ask_undisturbed(&us);
	units = strtoll(ANSWER, NULL, 10) * LOST_MS * 1000 / (json_int_t)us + LOST_UNITS;
	for (int i = 0; i < kills; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
		kill_pool(model, i, answer, (size_t)(seed >> 33) % (strlen(answer) + 1));
	}
	print_message(
	    "killed %d times; undisturbed, an answer takes %.0f ms\n", kills, (double)us / 1e3);
	end_donors();
	books_count_what_was_returned_once_and_lack_little(kills * units);
	network_stop(&net);
	free(answer);
	tiny_model_remove(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pool_killed_at_any_moment_counts_nothing_twice_and_loses_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
