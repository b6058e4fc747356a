/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors that lie, as real processes (tests/support/liar.h), in a pool that computes once more.
 * Each must be caught within its first session with a lie in it, be paid nothing for it, and harm
 * no honest donor; the member is told, and later answers are right.
 *
 * AYNI_ADVERSARIES=all plays every lie and prints a table (`make test-adversary`); else a few.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "node/cli/answer.h"
#include "protocol/identity.h"
#include "tests/support/donors_seen.h"
#include "tests/support/liar.h"

#define DEMO_MODEL "configs/models/ayni-demo.gguf"
#define QUESTION   "What is 27 + 48?"
#define RIGHT      "27 + 48 = 75\n"

enum { MOST_CHATS = 8, HONEST_UNITS = 25, MEMBERS = 4, WAVES = 3, ROUNDS = 6 };
enum { FIRST_LAYER_OF_THE_LIAR = 4 };

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

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
static char cheap_model[NETWORK_PATH], shared[NETWORK_PATH];

static bool plays_all(void)
{
	const char *which = getenv("AYNI_ADVERSARIES");

	return which != NULL && strcmp(which, "all") == 0;
}

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
	assert_null(strstr(t->beside, "RECHECKED AND WRONG"));
}

static void start_liar(struct network *n, int i, const struct adversary *a)
{
	static const char *const one_core[] = {"cores=1", NULL};
	char after[16];

	(void)snprintf(after, sizeof after, "%u", a->honest_units);
	(void)setenv("AYNI_LIE", a->lie, 1);
	(void)setenv("AYNI_LIE_AFTER", after, 1);
	(void)setenv("AYNI_LIE_MODEL", cheap_model, 1);
	n->donor_program = network_self();
	network_donor(n, i, NULL, one_core);
	n->donor_program = NULL;
	(void)unsetenv("AYNI_LIE");
}

/* ---- evidence ----------------------------------------------------------------------------- */

/* The file that the pool has written, and the key of whom it is about. */
static void find_evidence(const struct network *n, char path[NETWORK_PATH * 2])
{
	char folder[NETWORK_PATH + 32];
	const struct dirent *e;
	struct stat st;
	DIR *dir;

	(void)snprintf(folder, sizeof folder, "%s/pool/evidence", n->folder);
	dir = opendir(folder);
	assert_non_null(dir);
	do {
		e = readdir(dir);
		assert_non_null(e);
	} while (strstr(e->d_name, ".evidence") == NULL);
	(void)snprintf(path, NETWORK_PATH * 2, "%s/%s", folder, e->d_name);
	(void)closedir(dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static int verify(const struct network *n, const char *file, const char *model)
{
	const char *args[] = {"ledger", "verify-evidence", file, "--model", model, "--json", NULL};

	return network_run(n, args, NULL, out, err);
}

static void flip_a_bit(const char *path, long at)
{
	FILE *f = fopen(path, "r+b");
	int byte;

	assert_non_null(f);
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	byte = fgetc(f);
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	assert_int_equal(fputc(byte ^ 4, f), byte ^ 4);
	assert_int_equal(fclose(f), 0);
}

/* Whoever has the model sees it; a file that was changed shows nothing. *donor is its key. */
static void is_proven(const struct network *n, const char *path, char donor[65])
{
	json_int_t layer;
	json_t *root;
	struct stat st;

	assert_int_equal(verify(n, path, DEMO_MODEL), 0);
	root = json_loads(out, 0, NULL);
	assert_non_null(root);
	assert_true(json_is_true(json_object_get(root, "proven")));
	layer = json_integer_value(json_object_get(root, "layer"));
	assert_true(layer >= FIRST_LAYER_OF_THE_LIAR);
	(void)snprintf(donor, 65, "%s", json_string_value(json_object_get(root, "donor")));
	json_decref(root);
	assert_int_equal(verify(n, path, cheap_model), 2);
	assert_int_equal(stat(path, &st), 0);
	for (long at = 0; at < 3; at++) {
		long byte = st.st_size / 3 * at + 100;

		flip_a_bit(path, byte);
		assert_int_not_equal(verify(n, path, DEMO_MODEL), 0);
		flip_a_bit(path, byte);
	}
}

static int pardon(const struct network *n, const char *donor, const char *more, const char *value)
{
	char path[NETWORK_PATH * 2];
	const char *args[] = {
	    "pardon", donor, "--evidence", path, "--model", DEMO_MODEL, more, value, NULL};

	find_evidence(n, path);
	return network_run(n, args, NULL, out, err);
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

/* Chats until one is not said to be right; their number. The pool takes its time to find out, and
 * the end of an answer does not wait for it for ever. */
static unsigned chats_until_caught(struct network *n)
{
	for (unsigned i = 1; i <= MOST_CHATS; i++) {
		struct told t = chat(n);

		if (strstr(t.beside, "rechecked and right") != NULL) {
			is_right(&t); /* it was honest so far */
			continue;
		}
		network_wait_log(n, "pool", "is quarantined now", 1); /* or was told it too late */
		return i;
	}
	fail_msg("it was not caught in %d answers", MOST_CHATS);
	return 0;
}

static void is_caught(const struct adversary *a)
{
	static const char *const one_core[] = {"cores=1", NULL};
	char path[NETWORK_PATH * 2], key[65];
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
	find_evidence(&n, path);
	is_proven(&n, path, key);
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
	(void)state;
	print_message("  %-26s %10s %12s %13s %10s\n", "adversary", "answers", "units",
	    "units paid", "honest");
	print_message("  %-26s %10s %12s %13s %10s\n", "", "till", "till", "", "punished");
	for (size_t i = 0; i < sizeof adversaries / sizeof *adversaries; i++) {
		if (plays_all() || adversaries[i].cheap)
			is_caught(&adversaries[i]);
	}
}

/* ---- a swarm ------------------------------------------------------------------------------ */

/* What became of answers to several members at once. */
struct answers {
	unsigned right, wrong, untold; /* as each member was told, if it was in time */
};

static void ask_together(struct network *n, struct answers *sum)
{
	static unsigned number;
	const char *args[] = {"chat", "--pool", n->invite, QUESTION, NULL};
	pid_t members[MEMBERS];
	char name[32], file[40];

	for (unsigned i = 0; i < MEMBERS; i++) {
		(void)snprintf(name, sizeof name, "member%u", number + i);
		members[i] = network_spawn(n, name, args);
	}
	for (unsigned i = 0; i < MEMBERS; i++, number++) {
		char *answer;

		(void)snprintf(name, sizeof name, "member%u", number);
		(void)snprintf(file, sizeof file, "%s.out", name);
		assert_int_equal(network_wait_end(members[i]), 0);
		answer = network_read(n, file);
		if (network_count_log(n, name, "RECHECKED AND WRONG") > 0) {
			sum->wrong++;
		} else if (network_count_log(n, name, "rechecked and right") == 0) {
			sum->untold++;
		} else {
			assert_string_equal(answer, RIGHT);
			sum->right++;
		}
		free(answer);
	}
}

static unsigned caught(struct network *n)
{
	return network_count_log(n, "pool", "is quarantined now");
}

/*
 * Half of the donors are one person's, and lie only where all layers of a session are theirs, so
 * that nobody else is there to see. Who is caught comes again with a new key.
 */
static void a_swarm_pays_for_each_lie_with_a_key(void **state)
{
	static const char *const settings[] = {"stages=2", "heartbeat_ms=200", NULL};
	static const char *const one_core[] = {"cores=1", NULL};
	static const struct adversary a = {"", LIE_SWARM, 0, false};
	struct answers before = {0}, after = {0};
	struct network n;
	char name[16];

	(void)state;
	if (!plays_all())
		return;
	network_start(&n, DEMO_MODEL, settings);
	(void)setenv("AYNI_LIE_SHARED", shared, 1);
	start_liar(&n, 0, &a);
	network_wait_status(&n, "\"layers\":[0,4]");
	start_liar(&n, 1, &a);
	network_wait_ready(&n);
	ask_together(&n, &before); /* nobody else is there */
	network_wait_log(&n, "pool", "is quarantined now", 1);
	network_donor(&n, 2, NULL, one_core);
	network_donor(&n, 3, NULL, one_core);
	for (int i = 4; i < 4 + WAVES; i++) {
		unsigned was = caught(&n);

		start_liar(&n, i, &a);
		(void)snprintf(name, sizeof name, "donor%d", i);
		network_wait_log(&n, name, "joined", 1);
		network_wait_ready(&n);
		for (int k = 0; k < ROUNDS && caught(&n) == was; k++)
			ask_together(&n, &after);
	}
	for (int i = 0; i < 4 + WAVES; i++) {
		struct donor_seen d;

		(void)snprintf(name, sizeof name, "donor%d", i);
		d = donor_seen(&n, name);
		if (d.lies > 0)
			assert_int_equal(donor_paid(&n, name), 0);
		assert_false(d.lies > 0 && (i == 2 || i == 3));
	}
	print_message(
	    "  a swarm, half of the donors: %u of %u keys caught; alone with it %u answers "
	    "right, %u wrong; beside honest ones %u right, %u wrong; told too late %u; lies "
	    "paid 0, honest punished 0\n",
	    caught(&n), 2 + WAVES, before.right, before.wrong, after.right, after.wrong,
	    before.untold + after.untold);
	(void)unsetenv("AYNI_LIE_SHARED");
	network_stop(&n);
	(void)unlink(shared);
}

/* ---- what is right, but late -------------------------------------------------------------- */

/* It says that it took no time, and is believed only what was seen. */
static void who_is_late_on_purpose_is_left_to_itself(void **state)
{
	static const char *const one_core[] = {"cores=1", NULL};
	static const struct adversary a = {"", LIE_LATE, 0, false};
	struct network n;
	struct told t;
	unsigned answers = 0, slow_ms;

	(void)state;
	if (!plays_all())
		return;
	network_start(&n, DEMO_MODEL, NULL);
	(void)setenv("AYNI_LIE_DELAY_MS", "200", 1);
	start_liar(&n, 0, &a);
	(void)unsetenv("AYNI_LIE_DELAY_MS");
	network_wait_ready(&n);
	t = chat(&n);
	slow_ms = t.ms;
	network_donor(&n, 1, NULL, one_core);
	network_wait_donors(&n, 2);
	do {
		t = chat(&n);
		is_right(&t);
		assert_true(++answers < MOST_CHATS);
	} while (strstr(t.beside, "donor0") != NULL);
	t = chat(&n);
	is_right(&t);
	assert_null(strstr(t.beside, "donor0"));
	assert_int_equal(donor_seen(&n, "donor0").lies, 0);
	print_message("  slow loris, right but late: %u ms an answer where it is alone; %u answers "
	              "till others are asked, then %u ms; honest punished 0\n",
	    slow_ms, answers, t.ms);
	network_stop(&n);
}

/* The evidence holds, so that it takes more than a wish; a pool that runs takes it up. */
static void is_pardoned_only_with_a_reason(struct network *n)
{
	static const char other[] =
	    "0000000000000000000000000000000000000000000000000000000000000000";
	char path[NETWORK_PATH * 2], donor[65];

	find_evidence(n, path);
	is_proven(n, path, donor);
	assert_int_equal(pardon(n, other, "--anyway", "why not"), 1);
	assert_int_equal(pardon(n, donor, NULL, NULL), 1);
	assert_non_null(strstr(err, "the evidence holds"));
	assert_int_equal(pardon(n, donor, "--anyway", "a broken memory module"), 0);
	network_wait_log(n, "pool",
	    "donor donor1 is probation now, it was quarantined: pardoned: a broken memory", 1);
	assert_string_equal(donor_seen(n, "donor1").trust, "probation");
	assert_int_equal(pardon(n, donor, "--anyway", "again"), 1);
	network_wait_ready(n);
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
	is_pardoned_only_with_a_reason(&n);
	network_stop(&n);
}

/* ---- what was not looked at --------------------------------------------------------------- */

enum { ANSWERS_MOST = 60, NETWORKS_MOST = 6 };

/* Of one in twenty the pool looks at what long trusted donors gave. */
static const char *const seldom[] = {"stages=2", "heartbeat_ms=200", "recheck_permille=50", NULL};

/* The pool of a liar that was believed up to now. */
static void start_believed(struct network *n)
{
	static const struct adversary a = {"", LIE_BIT, 0, true};
	char path[NETWORK_PATH * 2];
	sqlite3 *db;

	start(n, &a);
	assert_int_equal(kill(n->pool, SIGTERM), 0);
	assert_int_equal(network_wait_end(n->pool), 0);
	n->pool = 0;
	(void)snprintf(path, sizeof path, "%s/pool/pool.db", n->folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
	                     "UPDATE standing SET state = 2, right_units = 1000000,"
	                     " verified_units = 1000000",
	                     NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_changes(db), 2);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	network_restart_pool(n, DEMO_MODEL, seldom);
	network_wait_ready(n);
}

static void on_piece(void *context, const struct msg_piece *piece)
{
	char *notice = context;

	if (strstr(piece->notice, "DOUBTFUL") != NULL)
		(void)snprintf(notice, TEXT_LONG, "%s", piece->notice);
}

/* The answer's verification; its session's name. */
static enum verification get_answer(
    struct client *c, uint64_t request, char session[PSEUDONYM_CHARS], char notice[TEXT_LONG])
{
	static char prompt[] = "What";
	struct msg_generate g = {.request = request,
	    .prompt = prompt,
	    .max_tokens = 2,
	    .sampling = {.top_p = 1, .repeat_penalty = 1}};
	enum verification v;
	struct answer a;
	struct error why = {0};

	if (answer_get(c, &g, on_piece, notice, NULL, &a, &why) != AYNI_OK)
		fail_msg("%s", why.text);
	pseudonym_to_text(&a.finished.session, session);
	v = a.finished.verification;
	answer_free(&a);
	return v;
}

/* What `ayni ledger show` says of it, as soon as both donors have their receipts. */
static bool is_doubtful(struct network *n, const char *session)
{
	const char *args[] = {"ledger", "show", session, "--pool", n->invite, "--json", NULL};
	bool whole = false, doubtful = false;

	while (!whole) {
		json_t *root =
		    network_run(n, args, NULL, out, err) == 0 ? json_loads(out, 0, NULL) : NULL;

		whole = json_array_size(json_object_get(root, "receipts")) == 2;
		doubtful = json_is_true(json_object_get(root, "doubtful"));
		json_decref(root);
	}
	return doubtful;
}

/* False: it was caught in its first answer, so that none was unseen. */
static bool unseen_answers_become_doubtful(struct network *n)
{
	char first[PSEUDONYM_CHARS] = "", session[PSEUDONYM_CHARS], notice[TEXT_LONG] = "";
	enum verification v = VERIFICATION_NONE;
	struct error why = {0};
	struct client *c;

	if (client_open(n->invite, 20000, &c, &why) != AYNI_OK)
		fail_msg("%s", why.text);
	for (uint64_t i = 1; i <= ANSWERS_MOST && v != VERIFICATION_WRONG; i++) {
		v = get_answer(c, i, session, notice);
		if (i > 1)
			continue;
		memcpy(first, session, sizeof first);
		if (v == VERIFICATION_NONE)
			assert_false(is_doubtful(n, first));
	}
	client_free(c);
	if (v != VERIFICATION_WRONG || notice[0] == '\0')
		return false;
	assert_non_null(strstr(notice, "donor1"));
	assert_true(is_doubtful(n, first));
	return true;
}

static void who_has_an_answer_that_nobody_looked_at_is_told_when_its_donor_is_caught(void **state)
{
	bool told = false;

	(void)state;
	for (int i = 0; i < NETWORKS_MOST && !told; i++) {
		struct network n;

		start_believed(&n);
		(void)setenv("AYNI_HOME", n.folder, 1);
		told = unseen_answers_become_doubtful(&n);
		network_stop(&n);
	}
	assert_true(told);
}

/* ---- set-up ------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(shared, sizeof shared, "/tmp/ayni-swarm-%d", (int)getpid());
	(void)snprintf(cheap_model, sizeof cheap_model, "/tmp/ayni-cheap-%d.gguf", (int)getpid());
	liar_cheap_model(DEMO_MODEL, cheap_model);
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
	    cmocka_unit_test(a_swarm_pays_for_each_lie_with_a_key),
	    cmocka_unit_test(who_is_late_on_purpose_is_left_to_itself),
	    cmocka_unit_test(quarantine_outlives_connections_and_the_pool),
	    cmocka_unit_test(
	        who_has_an_answer_that_nobody_looked_at_is_told_when_its_donor_is_caught),
	};
	int rc = liar_main(argc, argv);

	if (rc >= 0)
		return rc;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
