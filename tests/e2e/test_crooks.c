/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors that do harm by what they say, not by what they compute (tests/support/crook.h): real
 * processes in a real pool. A crook is there first and holds all layers, a member asks, and when
 * the crook gets no more work an honest donor comes. The request must go on there, the crook must
 * be out after so many units and be paid for none, and nothing may happen to the honest donor.
 *
 * AYNI_ADVERSARIES=all plays every crook and prints a table (`make test-adversary`); else a few.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/pool/roster.h"
#include "protocol/identity.h"
#include "tests/support/crook.h"
#include "tests/support/donors_seen.h"

#define DEMO_MODEL "configs/models/ayni-demo.gguf"
#define QUESTION   "What is 27 + 48?"
#define RIGHT      "27 + 48 = 75\n"

enum {
	CHATS_AFTER = 2,
	MOST_MS = 30000,
	HALF_OPEN = 600,
	FEW_DESCRIPTORS = 256,
	HANDSHAKE_MS = 10000, /* that the transport waits for one */
	MOST_KIB = 64         /* that a connection may take */
};

struct villain {
	const char *name, *kind;
	unsigned units; /* that it gets at most before it gets no more; 0: it never gets any */
	unsigned fails; /* requests that fail by it, with nobody else there */
	bool lies;      /* and is proven to */
	bool cheap;     /* played in every run */
};

static const struct villain villains[] = {
    {"claims more FLOP", CROOK_COST, 1, 0, false, true},
    {"boasts of its speed, and lies", CROOK_BOAST, 64, 0, true, false},
    {"half an answer", CROOK_HALF, 1, 0, false, false},
    {"slow loris: no answer", CROOK_MUTE, ROSTER_MAX_FAILURES, 0, false, false},
    {"slow loris: fetches for ever", CROOK_CHUNKS, 0, 0, false, false},
    {"loses its layers for ever", CROOK_FLIP, ROSTER_MAX_EXCUSES, 0, false, false},
    {"is busy for ever", CROOK_BUSY, ROSTER_MAX_EXCUSES, 0, false, true},
    {"says: not finite", CROOK_NAN, ROSTER_MAX_EXCUSES, ROSTER_MAX_EXCUSES / 2, false, false},
    {"claims others' work", CROOK_THIEF, ROSTER_MAX_EXCUSES, 0, false, false},
};

static const char *const settings[] = {"unit_timeout_ms=600", "wait_s=100", NULL};
static const char *const one_core[] = {"cores=1", NULL};

static bool plays_all(void)
{
	const char *which = getenv("AYNI_ADVERSARIES");

	return which != NULL && strcmp(which, "all") == 0;
}

static void start_crook(struct network *n, int i, const char *kind)
{
	(void)setenv("AYNI_CROOK", kind, 1);
	(void)setenv("AYNI_CROOK_MODEL", DEMO_MODEL, 1);
	n->donor_program = network_self();
	network_donor(n, i, NULL, NULL);
	n->donor_program = NULL;
	(void)unsetenv("AYNI_CROOK");
}

static void is_right(const struct told *t)
{
	if (t->failed || strcmp(t->answer, RIGHT) != 0)
		fail_msg("%s%s", t->answer, t->beside);
}

/* ---- one after the other ------------------------------------------------------------------ */

/* Asked while the crook is alone. A liar's answer is over at once, and the member is told. */
static unsigned first_question(struct network *n, const struct villain *v)
{
	const char *args[] = {"chat", "--pool", n->invite, QUESTION, NULL};
	unsigned wrong = 0;
	char *answer;
	pid_t member;

	for (unsigned i = 0; i < v->fails; i++)
		assert_true(member_asks(n, QUESTION).failed);
	member = network_spawn(n, "member", args);
	if (v->units > 0)
		network_wait_log(n, "pool",
		    v->lies ? "is quarantined now" : "failed too often: it gets no work", 1);
	network_donor(n, 0, NULL, one_core);
	assert_int_equal(network_wait_end(member), 0);
	answer = network_read(n, "member.out");
	if (strcmp(answer, RIGHT) != 0) {
		wrong = 1;
		assert_true(v->lies);
		assert_int_equal(network_count_log(n, "member", "rechecked and right"), 0);
	}
	free(answer);
	return wrong;
}

/* Under the same key it still gets nothing. */
static void comes_again(struct network *n, const struct villain *v)
{
	if (v->units == 0)
		return;
	assert_int_equal(kill(n->donors[1], SIGTERM), 0);
	assert_int_equal(network_wait_end(n->donors[1]), 0);
	n->donors[1] = 0;
	start_crook(n, 1, v->kind);
	network_wait_log(n, "pool",
	    v->lies ? "donor1 gets no work: it is quarantined"
	            : "donor1 failed too often before: no work for",
	    1);
}

static void is_harmless(const struct villain *v)
{
	struct donor_seen crook, honest;
	struct network n;
	unsigned wrong, units;

	network_start(&n, DEMO_MODEL, settings);
	start_crook(&n, 1, v->kind);
	if (v->units > 0)
		network_wait_ready(&n);
	else
		network_wait_log(&n, "donor1", "took layers", 1);
	wrong = first_question(&n, v);
	for (int i = 0; i < CHATS_AFTER; i++) {
		struct told t = member_asks(&n, QUESTION);

		is_right(&t);
		assert_non_null(strstr(t.beside, "rechecked and right"));
		assert_null(strstr(t.beside, "donor1"));
		assert_true(t.ms < MOST_MS);
	}
	crook = donor_seen(&n, "donor1");
	honest = donor_seen(&n, "donor0");
	units = network_count_log(&n, "donor1", "a unit\n");
	assert_string_equal(crook.state, v->units > 0 ? "idle" : "fetching");
	assert_string_equal(crook.trust, v->lies ? "quarantined" : "new");
	assert_in_range(units, v->units > 0, v->units);
	assert_int_equal(donor_paid(&n, "donor1"), 0);
	assert_string_equal(honest.state, "ready");
	assert_string_equal(honest.trust, "new");
	assert_int_equal(honest.lies + honest.refused, 0);
	comes_again(&n, v);
	print_message("  %-30s %7u %7u %10u %6u %9u\n", v->name, wrong, v->fails, units, 0, 0);
	network_stop(&n);
}

static void each_crook_is_out_soon_and_harms_nobody(void **state)
{
	(void)state;
	print_message("  %-30s %7s %7s %10s %6s %9s\n", "crook", "wrong,", "failed", "units till",
	    "units", "honest");
	print_message(
	    "  %-30s %7s %7s %10s %6s %9s\n", "", "flagged", "", "it is out", "paid", "punished");
	for (size_t i = 0; i < sizeof villains / sizeof *villains; i++) {
		if (plays_all() || villains[i].cheap)
			is_harmless(&villains[i]);
	}
}

/* ---- what is another's -------------------------------------------------------------------- */

static void wait_refused(struct network *n, const char *what, unsigned more)
{
	network_wait_log(n, "donor1", what, network_count_log(n, "donor1", what) + more);
}

/* Its units are the second half of flights whose first half is the victim's. */
static void start_theft(struct network *n)
{
	static const char *const halves[] = {"stages=2", "wait_s=100", "receipt_units=8", NULL};
	char path[NETWORK_PATH * 2], hex[HEX32_CHARS];
	struct identity *friend = NULL, *victim = NULL;

	network_start(n, DEMO_MODEL, halves);
	network_donor(n, 0, NULL, one_core);
	network_wait_status(n, "\"layers\":[0,4]");
	(void)snprintf(path, sizeof path, "%s/donor0/key", n->folder);
	assert_int_equal(identity_read(path, &victim, NULL), AYNI_OK);
	hex32(identity_public(victim)->bytes, hex);
	(void)snprintf(path, sizeof path, "%s/friend", n->folder);
	assert_int_equal(identity_open(path, &friend, NULL, NULL), AYNI_OK);
	(void)setenv("AYNI_CROOK_VICTIM", hex, 1);
	(void)setenv("AYNI_CROOK_FRIEND", path, 1);
	start_crook(n, 1, CROOK_THIEF);
	(void)unsetenv("AYNI_CROOK_VICTIM");
	(void)unsetenv("AYNI_CROOK_FRIEND");
	identity_free(friend);
	identity_free(victim);
	network_wait_ready(n);
}

static void nobody_takes_what_is_anothers(void **state)
{
	const char *args[] = {"chat", "--pool", NULL, QUESTION, NULL};
	struct donor_seen thief, victim;
	struct network n;
	struct told t;
	pid_t member;

	(void)state;
	if (!plays_all())
		return;
	start_theft(&n);
	args[2] = n.invite;
	member = network_spawn(&n, "member", args);
	network_wait_log(&n, "donor1", "refused: replay: no such unit is out", 1);
	network_wait_log(&n, "donor1", "refused: signer: ", 2);
	network_wait_log(&n, "pool", "donor1 failed too often", 1);
	network_donor(&n, 2, NULL, one_core);
	assert_int_equal(network_wait_end(member), 0);
	t = member_asks(&n, QUESTION);
	is_right(&t);
	while (donor_paid(&n, "donor0") == 0)
		t = member_asks(&n, QUESTION);
	wait_refused(&n, "refused: bounds: no such receipt of this donor", 8);
	thief = donor_seen(&n, "donor1");
	victim = donor_seen(&n, "donor0");
	assert_int_equal(thief.units + donor_paid(&n, "donor1"), 0);
	assert_string_equal(victim.state, "ready");
	assert_int_equal(victim.lies + victim.refused, 0);
	assert_true(victim.verified > 0);
	network_stop(&n);
}

/* ---- connections that say nothing --------------------------------------------------------- */

static void knock(const struct network *n, int sockets[HALF_OPEN])
{
	static const uint8_t half_a_greeting[] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char endpoint[NETWORK_PATH];

	network_endpoint(n, endpoint);
	at.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
	for (int i = 0; i < HALF_OPEN; i++) {
		sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(connect(sockets[i], (struct sockaddr *)&at, sizeof at) == 0 ||
		            errno == EINPROGRESS);
		if (i % 2 == 0) /* of some not even that comes through */
			(void)send(
			    sockets[i], half_a_greeting, sizeof half_a_greeting, MSG_NOSIGNAL);
	}
}

static unsigned long resident_pages(pid_t pid)
{
	unsigned long whole = 0, resident = 0;
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &whole, &resident), 2);
	(void)fclose(f);
	return resident;
}

/* The pool is started with few descriptors, as a shell gives them, and far more are held open. */
static void connections_that_say_nothing_keep_nobody_out(void **state)
{
	struct rlimit all, few;
	int sockets[HALF_OPEN];
	struct network n;
	unsigned long before, grown;
	struct told t;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = (struct rlimit){FEW_DESCRIPTORS, all.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	network_start(&n, DEMO_MODEL, settings);
	all.rlim_cur = all.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	network_donor(&n, 0, NULL, one_core);
	network_wait_ready(&n);
	before = resident_pages(n.pool);
	knock(&n, sockets);
	t = member_asks(&n, QUESTION);
	is_right(&t);
	assert_true(t.ms < HANDSHAKE_MS); /* then the first of them are ended */
	grown = (resident_pages(n.pool) - before) * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
	assert_true(grown < (unsigned long)MOST_KIB * HALF_OPEN);
	for (int i = 0; i < HALF_OPEN; i++)
		(void)close(sockets[i]);
	print_message("  %d connections that say nothing: an answer in %u ms, %lu KiB more in the "
	              "pool\n",
	    HALF_OPEN, t.ms, grown);
	network_stop(&n);
}

/* ---- layers that never come --------------------------------------------------------------- */

static void layers_that_are_fetched_for_ever_go_to_others(void **state)
{
	static const char *const halves[] = {"stages=2", "fetch_s=20", NULL};
	struct network n;
	struct told t;

	(void)state;
	if (!plays_all())
		return;
	network_start(&n, DEMO_MODEL, halves);
	start_crook(&n, 1, CROOK_CHUNKS);
	network_wait_log(&n, "donor1", "took layers", 1);
	network_donor(&n, 0, NULL, one_core);
	network_donor(&n, 2, NULL, one_core);
	network_wait_ready(&n);
	t = member_asks(&n, QUESTION);
	is_right(&t);
	network_wait_log(&n, "pool", "donor donor1 does not get its layers", 1);
	network_wait_log(&n, "donor1", "its layers were taken back", 1);
	network_stop(&n);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_crook_is_out_soon_and_harms_nobody),
	    cmocka_unit_test(nobody_takes_what_is_anothers),
	    cmocka_unit_test(layers_that_are_fetched_for_ever_go_to_others),
	    cmocka_unit_test(connections_that_say_nothing_keep_nobody_out),
	};
	int rc = crook_main(argc, argv);

	if (rc >= 0)
		return rc;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
