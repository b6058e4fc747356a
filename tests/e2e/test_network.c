/* SPDX-License-Identifier: Apache-2.0 */
/* A pool under use: many members at once, donors that come, leave and die, books that add up. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/network.h"
#include "tests/support/tiny_model.h"

#define DEMO_MODEL "configs/models/ayni-demo.gguf"

enum { MANY = 100 };

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

static void start_two_donors(struct network *n, const char *const *settings)
{
	static const char *const donor[] = {"cores=1", NULL};

	network_start(n, DEMO_MODEL, settings);
	network_donor(n, 0, NULL, donor);
	network_donor(n, 1, NULL, donor);
	network_wait_ready(n);
}

static const char *chat(struct network *n, const char *question)
{
	const char *args[] = {"chat", "--quiet", "--pool", n->invite, question, NULL};

	if (network_run(n, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	return out;
}

static void two_donors_answer_sums(void **state)
{
	static const char *const settings[] = {"stages=2", NULL};
	struct network n;

	(void)state;
	start_two_donors(&n, settings);
	assert_string_equal(chat(&n, "What is 27 + 48?"), "27 + 48 = 75\n");
	assert_string_equal(chat(&n, "91 - 36"), "91 - 36 = 55\n");
	network_stop(&n);
}

static void the_status_says_which_path_a_session_would_take(void **state)
{
	static const char *const settings[] = {"stages=2", NULL};
	struct network n;
	const char *args[] = {"status", "--pool", n.invite, NULL};

	(void)state;
	start_two_donors(&n, settings);
	network_wait_status(&n, "\"path\":[{\"layers\":[0,4],");
	network_wait_status(&n, "\"role\":\"path\"");
	assert_int_equal(network_run(&n, args, NULL, out, err), 0);
	assert_non_null(strstr(out, "a new session would write "));
	assert_non_null(strstr(out, "layers 4-7 at donor"));
	assert_non_null(strstr(out, "what limits it: "));
	network_stop(&n);
}

static void a_hundred_chats_at_once_are_all_answered_rightly(void **state)
{
	static const char *const settings[] = {"stages=2", NULL};
	struct network n;
	pid_t members[MANY];

	(void)state;
	start_two_donors(&n, settings);
	for (int i = 0; i < MANY; i++) {
		char question[32], name[32];
		const char *args[] = {"chat", "--quiet", "--pool", n.invite, question, NULL};

		(void)snprintf(question, sizeof question, "%d + %d", i, 99 - i);
		(void)snprintf(name, sizeof name, "member%d", i);
		members[i] = network_spawn(&n, name, args);
	}
	for (int i = 0; i < MANY; i++) {
		char name[32], want[64];
		char *text;

		if (network_wait_end(members[i]) != 0) {
			(void)snprintf(name, sizeof name, "member%d.err", i);
			fail_msg("%s: %s", name, network_read(&n, name));
		}
		(void)snprintf(name, sizeof name, "member%d.out", i);
		(void)snprintf(want, sizeof want, "%d + %d = 99\n", i, 99 - i);
		text = network_read(&n, name);
		assert_string_equal(text, want);
		free(text);
	}
	network_stop(&n);
}

static void a_conversation_remembers_its_turns(void **state)
{
	static const char *const settings[] = {"stages=2", NULL};
	struct network n;
	const char *args[] = {"chat", "--quiet", "--pool", n.invite, NULL};

	(void)state;
	start_two_donors(&n, settings);
	assert_int_equal(network_run(&n, args, "12 + 7\n40 - 13\n", out, err), 0);
	assert_string_equal(out, "12 + 7 = 19\n40 - 13 = 27\n");
	network_stop(&n);
}

static void a_request_ends_with_a_clear_error_when_nobody_holds_the_layers(void **state)
{
	static const char *const settings[] = {"stages=2", "wait_s=1", NULL};
	struct network n;
	const char *args[] = {"chat", "--quiet", "--pool", n.invite, "1 + 1", NULL};

	(void)state;
	network_start(&n, DEMO_MODEL, settings);
	network_donor(&n, 0, NULL, NULL);
	network_wait_status(&n, "\"missing\":[[4,8]]");
	assert_int_equal(network_run(&n, args, NULL, out, err), 1);
	assert_string_equal(out, "");
	assert_non_null(strstr(err, "no donor holds layers 4 to 7 of ayni-demo now"));
	assert_non_null(strstr(err, "no donor held layers 4 to 7 of ayni-demo for 1 s"));
	network_stop(&n);
}

static void a_request_waits_for_the_donor_that_is_missing(void **state)
{
	static const char *const settings[] = {"stages=2", "wait_s=100", NULL};
	struct network n;
	const char *args[] = {"chat", "--quiet", "--pool", n.invite, "1 + 1", NULL};
	char *text;
	pid_t member;

	(void)state;
	network_start(&n, DEMO_MODEL, settings);
	network_donor(&n, 0, NULL, NULL);
	network_wait_status(&n, "\"missing\":[[4,8]]");
	member = network_spawn(&n, "member", args);
	network_wait_status(&n, "\"waiting\":1");
	network_donor(&n, 1, NULL, NULL);
	assert_int_equal(network_wait_end(member), 0);
	text = network_read(&n, "member.out");
	assert_string_equal(text, "1 + 1 = 2\n");
	free(text);
	network_stop(&n);
}

static void end_donor(struct network *n, int i, int signal_number, int want)
{
	assert_int_equal(kill(n->donors[i], signal_number), 0);
	assert_int_equal(network_wait_end(n->donors[i]), want);
	n->donors[i] = 0;
}

static void sessions_go_on_when_a_donor_leaves_or_dies(void **state)
{
	static const char *const settings[] = {"stages=2", "wait_s=100", NULL};
	static char undisturbed[NETWORK_OUTPUT];
	struct network n;
	const char *args[] = {"model", "eval", "--pool", n.invite, "--tokens", "40,41,42",
	    "--greedy", "300", "--top", "3", NULL};
	static const int signals[] = {SIGTERM, SIGKILL};
	static const int ends[] = {0, 128 + SIGKILL};

	(void)state;
	start_two_donors(&n, settings);
	network_donor(&n, 2, NULL, NULL);
	network_donor(&n, 3, NULL, NULL);
	assert_int_equal(network_run(&n, args, NULL, undisturbed, err), 0);
	for (int i = 0; i < 2; i++) {
		pid_t member = network_spawn(&n, i == 0 ? "left" : "died", args);
		char *text;

		network_wait_status(&n, "\"sessions\":1");
		end_donor(&n, i, signals[i], ends[i]);
		assert_int_equal(network_wait_end(member), 0);
		text = network_read(&n, i == 0 ? "left.out" : "died.out");
		assert_string_equal(text, undisturbed);
		free(text);
	}
	network_stop(&n);
}

/* What stands behind the second comma of a line. */
static const char *figures(const char *line)
{
	return strchr(strchr(line, ',') + 1, ',');
}

static void the_ledger_adds_up_and_donors_keep_the_same_receipts(void **state)
{
	static const char *const settings[] = {"stages=2", "receipt_units=4", NULL};
	struct network n;
	char db[NETWORK_PATH * 2];
	const char *pool_books[] = {"ledger", "--pool", n.invite, "--csv", NULL};
	const char *pool_file[] = {"ledger", "--db", db, "--csv", NULL};
	static char over_network[NETWORK_OUTPUT];

	(void)state;
	start_two_donors(&n, settings);
	(void)chat(&n, "What is a work unit?");
	end_donor(&n, 0, SIGTERM, 0); /* leaving, it gets the receipts of its last units */
	end_donor(&n, 1, SIGTERM, 0);
	assert_int_equal(network_run(&n, pool_books, NULL, over_network, err), 0);
	assert_non_null(strstr(over_network, "donor0"));
	assert_non_null(strstr(over_network, "donor1"));
	(void)snprintf(db, sizeof db, "%s/pool/pool.db", n.folder);
	assert_int_equal(network_run(&n, pool_file, NULL, out, err), 0);
	assert_string_equal(out, over_network);
	for (int i = 0; i < 2; i++) {
		char key[65];
		const char *here, *there;

		(void)snprintf(db, sizeof db, "%s/donor%d/donor.db", n.folder, i);
		assert_int_equal(network_run(&n, pool_file, NULL, out, err), 0);
		/* "<key>,<name>,<figures>"; a donor has no name for itself */
		here = strchr(out, '\n') + 1;
		memcpy(key, here, 64);
		key[64] = '\0';
		there = strstr(over_network, key);
		assert_non_null(there);
		here = figures(here);
		assert_memory_equal(figures(there), here, strcspn(here, "\n"));
	}
	network_stop(&n);
}

/* A long answer through two stages; the pool is killed again and again on the way. */
static void an_answer_goes_on_when_its_pool_is_killed_and_started_again(void **state)
{
	static const char *const settings[] = {"stages=2", "receipt_units=64", NULL};
	const struct tiny_model_options options = {
	    .n_layers = 4, .context_tokens = 4096, .seed = 7};
	char *model = tiny_model_temporary(&options);
	static char undisturbed[NETWORK_OUTPUT];
	struct network n;
	const char *args[] = {"chat", "--raw", "--pool", n.invite, "--max-tokens", "2000",
	    "--temperature", "0.9", "--seed", "3", "hello", NULL};
	const char *audit[] = {"ledger", "--pool", n.invite, NULL};
	char *text, *fetched;
	pid_t member;

	(void)state;
	network_start(&n, model, settings);
	network_donor(&n, 0, NULL, NULL);
	network_donor(&n, 1, NULL, NULL);
	network_wait_ready(&n);
	if (network_run(&n, args, NULL, undisturbed, err) != 0)
		fail_msg("%s", err);
	member = network_spawn(&n, "member", args);
	for (size_t i = 1; i <= 3; i++) {
		network_wait_output(&n, "member", strlen(undisturbed) * i / 5);
		assert_int_equal(kill(n.pool, SIGKILL), 0);
		(void)network_wait_end(n.pool);
		network_restart_pool(&n, model, settings);
	}
	if (network_wait_end(member) != 0)
		fail_msg("%s", network_read(&n, "member.err"));
	text = network_read(&n, "member.out");
	assert_string_equal(text, undisturbed);
	free(text);
	text = network_read(&n, "donor0.err");
	fetched = strstr(text, "fetching layers");
	assert_non_null(fetched);
	assert_null(strstr(fetched + 1, "fetching layers")); /* they were kept */
	free(text);
	if (network_run(&n, audit, NULL, out, err) != 0)
		fail_msg("%s%s", out, err);
	network_stop(&n);
	tiny_model_remove(model);
}

static bool the_link_is_measured(struct network *n)
{
	const char *args[] = {"status", "--json", "--pool", n->invite, NULL};

	if (network_run(n, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	assert_non_null(strstr(out, "\"link_bytes_per_s\":"));
	return strstr(out, "\"link_bytes_per_s\":0,") == NULL;
}

/* Its link was measured while it fetched; the second time it has its layers already. */
static void what_a_pool_learnt_of_its_donors_outlives_it(void **state)
{
	struct network n;

	(void)state;
	network_start(&n, DEMO_MODEL, NULL);
	network_donor(&n, 0, NULL, NULL);
	network_wait_ready(&n);
	assert_true(the_link_is_measured(&n));
	assert_int_equal(kill(n.pool, SIGTERM), 0);
	assert_int_equal(network_wait_end(n.pool), 0);
	network_restart_pool(&n, DEMO_MODEL, NULL);
	network_wait_ready(&n);
	assert_true(the_link_is_measured(&n));
	network_stop(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_donors_answer_sums),
	    cmocka_unit_test(the_status_says_which_path_a_session_would_take),
	    cmocka_unit_test(a_hundred_chats_at_once_are_all_answered_rightly),
	    cmocka_unit_test(a_conversation_remembers_its_turns),
	    cmocka_unit_test(a_request_ends_with_a_clear_error_when_nobody_holds_the_layers),
	    cmocka_unit_test(a_request_waits_for_the_donor_that_is_missing),
	    cmocka_unit_test(sessions_go_on_when_a_donor_leaves_or_dies),
	    cmocka_unit_test(an_answer_goes_on_when_its_pool_is_killed_and_started_again),
	    cmocka_unit_test(what_a_pool_learnt_of_its_donors_outlives_it),
	    cmocka_unit_test(the_ledger_adds_up_and_donors_keep_the_same_receipts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
