/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors that lie, as real processes (tests/support/liar.h), in a pool that computes once more.
 * Each must be caught within its first session with a lie in it, be paid nothing for it, and harm
 * no honest donor; the member is told, and later answers are right.
 *
 * AYNI_ADVERSARIES=all plays every lie and prints a table (`make test-adversary`); else a few.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/donors_seen.h"
#include "tests/support/liar.h"
#include <cmocka.h>

#define DEMO_MODEL "configs/models/ayni-demo.gguf"
#define QUESTION   "What is 27 + 48?"
#define RIGHT      "27 + 48 = 75\n"

enum { MOST_CHATS = 8, HONEST_UNITS = 25 };

struct adversary {
	const char *name, *lie;
	unsigned honest_units;
	bool cheap; /* played in every run */
};

static const struct adversary adversaries[] = {
    {"random output", LIE_RANDOM, 0, false},
    {"one bit of one number", LIE_BIT, 0, false},
    {"an old answer repeated", LIE_REPEAT, 0, false},
    {"a layer left out", LIE_LAYER, 0, false},
    {"a cheaper model", LIE_OTHER_MODEL, 0, false},
    {"honest at first", LIE_BIT, HONEST_UNITS, false},
    {"only in the last layers", LIE_LAST, 0, true},
};

static char self[NETWORK_PATH];
static char cheap_model[NETWORK_PATH];

/* The member's answer; a request that fails fails the test. */
static struct told chat(struct network *n)
{
	struct told t = member_asks(n, QUESTION);

	if (t.failed)
		fail_msg("%s", t.beside);
	return t;
}

static void is_right(const struct told *t)
{
	assert_string_equal(t->answer, RIGHT);
	assert_non_null(strstr(t->beside, "rechecked and right"));
}

static void start_liar(struct network *n, int i, const struct adversary *a)
{
	static const char *const one_core[] = {"cores=1", NULL};
	char after[16];

	(void)snprintf(after, sizeof after, "%u", a->honest_units);
	(void)setenv("AYNI_LIE", a->lie, 1);
	(void)setenv("AYNI_LIE_AFTER", after, 1);
	(void)setenv("AYNI_LIE_MODEL", cheap_model, 1);
	n->donor_program = self;
	network_donor(n, i, NULL, one_core);
	n->donor_program = NULL;
	(void)unsetenv("AYNI_LIE");
}

/* An honest donor of the first half, and a liar of the second. */
static void start(struct network *n, const struct adversary *a)
{
	static const char *const settings[] = {"stages=2", "heartbeat_ms=200", NULL};
	static const char *const one_core[] = {"cores=1", NULL};

	network_start(n, DEMO_MODEL, settings);
	network_donor(n, 0, NULL, one_core);
	network_wait_status(n, "\"layers\":[0,4]");
	start_liar(n, 1, a);
	network_wait_ready(n);
}

/* Chats until the member is told that an answer was wrong; their number. */
static unsigned chats_until_caught(struct network *n)
{
	for (unsigned i = 1; i <= MOST_CHATS; i++) {
		struct told t = chat(n);

		if (strstr(t.beside, "RECHECKED AND WRONG") != NULL)
			return i;
		is_right(&t); /* it was honest so far */
	}
	fail_msg("it was not caught in %d answers", MOST_CHATS);
	return 0;
}

static void is_caught(const struct adversary *a)
{
	static const char *const one_core[] = {"cores=1", NULL};
	struct network n;
	struct donor_seen liar, honest;
	struct told t;
	unsigned chats;
	json_int_t credit;

	start(&n, a);
	chats = chats_until_caught(&n);
	liar = donor_seen(&n, "donor1");
	assert_string_equal(liar.trust, "quarantined");
	assert_int_equal(liar.lies, 1);
	network_donor(&n, 2, NULL, one_core);
	network_wait_ready(&n);
	t = chat(&n);
	is_right(&t);
	honest = donor_seen(&n, "donor0");
	assert_string_equal(honest.trust, "new");
	assert_int_equal(honest.lies, 0);
	assert_true(honest.verified > 0);
	assert_int_equal(donor_seen(&n, "donor2").lies, 0);
	network_wait_log(&n, "pool", "donor donor1 is quarantined now, it was new: in session", 1);
	credit = donor_paid(&n, "donor1");
	if (credit > a->honest_units)
		fail_msg("%s: %lld units were paid", a->name, (long long)credit);
	network_stop(&n);
	print_message("  %-26s %10u %12lld %13lld %10d\n", a->name, chats, (long long)liar.units,
	    (long long)credit, 0);
}

static void each_liar_is_caught_in_its_first_session_with_a_lie(void **state)
{
	const char *which = getenv("AYNI_ADVERSARIES");
	bool all = which != NULL && strcmp(which, "all") == 0;

	(void)state;
	print_message("  %-26s %10s %12s %13s %10s\n", "adversary", "answers", "units",
	    "units paid", "honest");
	print_message("  %-26s %10s %12s %13s %10s\n", "", "till", "till", "", "punished");
	for (size_t i = 0; i < sizeof adversaries / sizeof *adversaries; i++) {
		if (all || adversaries[i].cheap)
			is_caught(&adversaries[i]);
	}
}

/* It comes back, and the pool was started again: it still gets no work. */
static void quarantine_outlives_connections_and_the_pool(void **state)
{
	static const char *const settings[] = {"stages=2", "heartbeat_ms=200", NULL};
	static const struct adversary a = {"", LIE_BIT, HONEST_UNITS, true};
	struct network n;

	(void)state;
	start(&n, &a);
	(void)chats_until_caught(&n);
	assert_int_equal(kill(n.pool, SIGTERM), 0);
	assert_int_equal(network_wait_end(n.pool), 0);
	n.pool = 0;
	network_restart_pool(&n, DEMO_MODEL, settings);
	network_wait_log(&n, "pool", "donor donor1 gets no work: it is quarantined", 1);
	assert_string_equal(donor_seen(&n, "donor1").trust, "quarantined");
	network_stop(&n);
}

/* ---- set-up ------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	static char err[NETWORK_OUTPUT];
	struct network alone = {.folder = "/tmp"};
	const char *args[] = {"model", "quantize", DEMO_MODEL, cheap_model, "Q4_0", NULL};

	(void)state;
	(void)snprintf(cheap_model, sizeof cheap_model, "/tmp/ayni-cheap-%d.gguf", (int)getpid());
	if (network_run(&alone, args, NULL, NULL, err) != 0) {
		print_error("%s", err);
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return unlink(cheap_model);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_liar_is_caught_in_its_first_session_with_a_lie),
	    cmocka_unit_test(quarantine_outlives_connections_and_the_pool),
	};
	int rc = liar_main(argc, argv);
	ssize_t len;

	if (rc >= 0)
		return rc;
	len = readlink("/proc/self/exe", self, sizeof self - 1);
	if (len < 0)
		return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
