/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who keeps a log is killed at random moments, in the middle of a batch's commit or while it
 * publishes: each receipt that was acknowledged is there once, and the log continues every
 * checkpoint that anybody ever saw. AYNI_FAILURES says how often (6), AYNI_FAILURES_SEED at which
 * moments.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/cli/log_audit.h"
#include "node/loop.h"
#include "storage/files.h"
#include "tests/support/log_trial.h"
#include "tests/support/scratch.h"

enum { BATCH_MAX = 500, ACKNOWLEDGED_MAX = 5, DELAY_MAX_MS = 12, SEEN_MAX = 4096 };

static struct scratch scratch;
static struct log_trial keys; /* closed: only its keys are used */
static uint64_t seed;
static struct error err;

static struct {
	size_t n;
	struct checkpoint list[SEEN_MAX];
} seen;

static unsigned draw(unsigned below)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % below;
}

/* ---- who is killed ------------------------------------------------------------------------ */

static void keep_log(int acknowledge_to)
{
	struct log_trial t;

	log_trial_open(&t, scratch.folder, &keys);
	for (;;) {
		uint64_t before = tree_size(t.tree), size;

		log_trial_add(&t, 1 + draw(BATCH_MAX));
		size = tree_size(t.tree);
		if (write(acknowledge_to, &size, sizeof size) != sizeof size)
			_exit(1);
		if (draw(2) == 0)
			log_trial_countersign(
			    &t, before + 1, before + 1 + draw((unsigned)(size - before)));
		if (draw(4) != 0)
			log_trial_publish(&t);
	}
}

static pid_t start(int *acknowledged_from)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(ends[0]);
		keep_log(ends[1]);
	}
	(void)close(ends[1]);
	*acknowledged_from = ends[0];
	return pid;
}

/* ---- who looks on ------------------------------------------------------------------------- */

static void look(void)
{
	struct checkpoint c;
	char path[700];
	uint8_t *note;
	size_t len;
	int rc;

	(void)snprintf(path, sizeof path, "%s/log/checkpoint", scratch.folder);
	rc = files_read(AT_FDCWD, path, NOTE_BYTES_MAX, &note, &len, &err);
	if (rc == AYNI_ERR_NOT_FOUND)
		return;
	assert_int_equal(rc, AYNI_OK);
	rc = checkpoint_open((const char *)note, len, identity_public(keys.pool), &c, &err);
	free(note);
	if (rc != AYNI_OK)
		fail_msg("a checkpoint that is no checkpoint: %s", err.text);
	if (seen.n == 0 || seen.list[seen.n - 1].size != c.size)
		seen.list[seen.n++ % SEEN_MAX] = c;
}

/* What was acknowledged last. */
static uint64_t kill_at_some_moment(void)
{
	unsigned until = 1 + draw(ACKNOWLEDGED_MAX);
	uint64_t acknowledged = 0, number;
	int from, status;
	pid_t pid = start(&from);

	for (unsigned i = 0; i < until; i++) {
		assert_int_equal(read(from, &number, sizeof number), sizeof number);
		acknowledged = number;
		look();
	}
	(void)poll(NULL, 0, (int)draw(DELAY_MAX_MS)); /* any moment will do */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(from, &number, sizeof number) == sizeof number)
		acknowledged = number;
	(void)close(from);
	look();
	return acknowledged;
}

struct count {
	const struct log_trial *trial;
	uint64_t n;
};

static int is_the_next(void *context, const struct ledger_entry *e)
{
	struct count *c = context;

	assert_int_equal(e->number, ++c->n);
	if (c->n % 97 == 0) { /* signing takes its time */
		struct signed_receipt s = log_trial_receipt(c->trial, c->n);

		assert_int_equal(e->receipt.len, s.receipt_len);
		assert_memory_equal(e->receipt.data, s.receipt, s.receipt_len);
	}
	return 0;
}

static void continues_all_that_was_seen(const struct log_trial *t, const struct log_head *h)
{
	struct log_reader *r;
	size_t n = seen.n < SEEN_MAX ? seen.n : SEEN_MAX;

	assert_int_equal(log_reader_open(t->folder, &r, &err), AYNI_OK);
	for (size_t i = 0; i < n; i++) {
		struct tile_source source;
		struct merkle_proof p;

		log_reader_source(r, h->checkpoint.size, &source);
		assert_true(seen.list[i].size <= h->checkpoint.size);
		assert_int_equal(merkle_prove_consistency(seen.list[i].size, h->checkpoint.size,
		                     tile_source_hash, &source, &p),
		    AYNI_OK);
		assert_true(merkle_check_consistency(seen.list[i].size, h->checkpoint.size,
		    &seen.list[i].root, &h->checkpoint.root, &p));
	}
	log_reader_free(r);
}

static void all_is_in_order(uint64_t acknowledged)
{
	struct log_audit_options o = {.pool = identity_public(keys.pool), .threads = 1};
	struct log_trial t;
	struct count count = {.trial = &t};
	struct log_audit a;

	log_trial_open(&t, scratch.folder, &keys);
	assert_int_equal(ledger_each(t.ledger, 0, UINT32_MAX, is_the_next, &count, &err), AYNI_OK);
	assert_int_equal(count.n, tree_size(t.tree));
	assert_true(count.n >= acknowledged);
	log_trial_publish(&t);
	assert_int_equal(log_audit_run(t.folder, &o, &a, &err), AYNI_OK);
	if (a.n_faults != 0)
		fail_msg("%s", a.faults[0]);
	assert_int_equal(a.head.checkpoint.size, count.n);
	continues_all_that_was_seen(&t, &a.head);
	log_audit_free(&a);
	log_trial_close(&t);
}

static void a_log_whose_keeper_is_killed_at_any_moment_keeps_what_it_said(void **state)
{
	const char *kills = getenv("AYNI_FAILURES"), *text = getenv("AYNI_FAILURES_SEED");
	unsigned long n = kills != NULL ? strtoul(kills, NULL, 10) : 6;

	(void)state;
	seed = text != NULL ? strtoull(text, NULL, 10) : loop_now_us();
	print_message("AYNI_FAILURES_SEED=%llu\n", (unsigned long long)seed);
	scratch_make(&scratch);
	log_trial_open(&keys, scratch.folder, NULL);
	log_trial_pause(&keys);
	for (unsigned long i = 0; i < n; i++)
		all_is_in_order(kill_at_some_moment());
	print_message("killed %lu times, %zu checkpoints seen, the last of %llu receipts\n", n,
	    seen.n, (unsigned long long)seen.list[(seen.n - 1) % SEEN_MAX].size);
	log_trial_free_keys(&keys);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_log_whose_keeper_is_killed_at_any_moment_keeps_what_it_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
