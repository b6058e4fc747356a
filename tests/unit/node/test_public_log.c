/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool publishes, and those who do not believe it: audits, watchers, witnesses and donors
 * find out a pool that drops a receipt, rewrites one, or shows two histories.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/cli/ledger.h"
#include "node/cli/log_audit.h"
#include "node/cli/log_watch.h"
#include "storage/files.h"
#include "tests/support/log_trial.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static struct log_trial trial;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	log_trial_open(&trial, scratch.folder, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_trial_close(&trial);
	scratch_remove(&scratch);
	return 0;
}

/* A second history by the same pool, in a folder of its own, which differs from its beginning. */
static void open_other(struct log_trial *other)
{
	assert_int_equal(mkdir(scratch_path(&scratch, "other"), 0700), 0);
	log_trial_open(other, scratch_path(&scratch, "other"), &trial);
	other->salt = 1;
}

static bool exists(const char *name)
{
	char path[1200];

	(void)snprintf(path, sizeof path, "%s/%s", trial.folder, name);
	return access(path, F_OK) == 0;
}

/* Run `ayni ledger ...`; its exit status. */
static int ledger(
    const char *a, const char *b, const char *c, const char *d, const char *e, const char *f)
{
	const char *args[] = {"ayni ledger", a, b, c, d, e, f, NULL};
	int n = 0;

	while (args[n] != NULL)
		n++;
	return cli_ledger(n, (char **)args);
}

/* ---- publishing --------------------------------------------------------------------------- */

static uint64_t audit_faults(const struct log_trial *t, bool signatures, struct log_audit *out)
{
	struct log_audit_options o = {.pool = identity_public(t->pool), .signatures = signatures};
	uint64_t n;

	if (log_audit_run(t->folder, &o, out, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	n = out->n_faults;
	return n;
}

static void assert_in_order(const struct log_trial *t, uint64_t size)
{
	struct log_audit a;

	if (audit_faults(t, false, &a) != 0)
		fail_msg("%s", a.faults[0]);
	assert_int_equal(a.head.checkpoint.size, size);
	log_audit_free(&a);
}

static void a_log_without_receipts_has_a_checkpoint(void **state)
{
	(void)state;
	log_trial_publish(&trial);
	assert_true(exists("checkpoint"));
	assert_in_order(&trial, 0);
}

static void every_size_that_is_published_can_be_audited(void **state)
{
	static const uint64_t more[] = {1, 1, 253, 1, 1, 255, 1, 800};
	uint64_t size = 0;

	(void)state;
	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		log_trial_add(&trial, more[i]);
		size += more[i];
		log_trial_publish(&trial);
		assert_in_order(&trial, size);
	}
	assert_true(exists("tile/0/000"));
	assert_true(exists("tile/entries/001"));
	assert_false(exists("tile/0/000.p")); /* gone with the whole one */
	assert_true(exists("tile/1/000.p/5"));
}

static void goes_on_where_it_was_after_an_end_at_any_moment(void **state)
{
	(void)state;
	log_trial_add(&trial, 300);
	log_trial_publish(&trial);
	log_trial_add(&trial, 10); /* not published */
	log_trial_reopen(&trial);
	log_trial_publish(&trial);
	assert_in_order(&trial, 310);
}

static void makes_all_files_again_when_the_folder_is_lost(void **state)
{
	char command[1300];

	(void)state;
	log_trial_add(&trial, 3000);
	log_trial_publish(&trial);
	(void)snprintf(command, sizeof command, "%s.away", trial.folder);
	assert_int_equal(rename(trial.folder, command), 0);
	log_trial_reopen(&trial);
	log_trial_publish(&trial);
	assert_in_order(&trial, 3000);
}

static void an_older_copy_of_the_database_is_not_signed_for(void **state)
{
	struct log_trial other;
	struct public_log *log;

	(void)state;
	log_trial_add(&trial, 20);
	log_trial_publish(&trial);
	open_other(&other);
	log_trial_add(&other, 10);
	assert_int_equal(public_log_new(trial.pool, other.db, other.tree, other.ledger,
	                     trial.folder, &log, &err),
	    AYNI_ERR_STATE);
	log_trial_add(&other, 20); /* as many, but others */
	assert_int_equal(public_log_new(trial.pool, other.db, other.tree, other.ledger,
	                     trial.folder, &log, &err),
	    AYNI_ERR_STATE);
	log_trial_close(&other);
}

static void countersignatures_are_published_as_they_come(void **state)
{
	struct log_audit a;

	(void)state;
	log_trial_add(&trial, 600);
	log_trial_publish(&trial);
	log_trial_countersign(&trial, 2, 301);
	log_trial_reopen(&trial);
	log_trial_publish(&trial);
	assert_int_equal(audit_faults(&trial, true, &a), 0);
	assert_int_equal(a.countersigned, 300);
	assert_int_equal(a.totals.n_totals, 3);
	assert_int_equal(
	    a.totals.totals[0].receipts + a.totals.totals[1].receipts + a.totals.totals[2].receipts,
	    300);
	log_audit_free(&a);
}

static void totals_are_those_of_the_receipts(void **state)
{
	struct log_audit a;
	uint64_t flop = 0, tokens = 0;

	(void)state;
	log_trial_add(&trial, 1000);
	log_trial_publish(&trial);
	for (unsigned threads = 1; threads <= 3; threads++) {
		struct log_audit_options o = {.threads = threads};

		assert_int_equal(log_audit_run(trial.folder, &o, &a, &err), AYNI_OK);
		assert_int_equal(a.n_faults, 0);
		flop = tokens = 0;
		for (size_t i = 0; i < a.totals.n_totals; i++) {
			flop += a.totals.totals[i].giga * 1000000000 + a.totals.totals[i].flop;
			tokens += a.totals.totals[i].tokens;
		}
		assert_int_equal(a.totals.n_totals, 3);
		assert_int_equal(flop, UINT64_C(1000000) * 1000 * 1001 / 2);
		assert_int_equal(tokens, 64000);
		log_audit_free(&a);
	}
}

/* ---- a log that was meddled with ---------------------------------------------------------- */

/* Change a byte of a file of the log; at < 0: from its end. */
static void meddle(const char *name, long at)
{
	char path[1200];
	FILE *f;
	int c;

	(void)snprintf(path, sizeof path, "%s/%s", trial.folder, name);
	f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
	c = fgetc(f);
	assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
	assert_int_not_equal(fputc(c ^ 1, f), EOF);
	assert_int_equal(fclose(f), 0);
}

static void an_audit_finds_every_file_that_was_meddled_with(void **state)
{
	static const struct {
		const char *name;
		const char *says;
	} files[] = {{"tile/entries/001", "receipt 257"}, {"tile/0/000", "receipt 1"},
	    {"tile/1/000.p/2", "tile 0 of level 1"}, {"tile/entries/002.p/88", "receipt 513"}};

	(void)state;
	log_trial_add(&trial, 600);
	log_trial_publish(&trial);
	assert_in_order(&trial, 600);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct log_audit a;

		meddle(files[i].name, 20);
		assert_true(audit_faults(&trial, false, &a) > 0);
		if (strstr(a.faults[0], files[i].says) == NULL)
			fail_msg("%s", a.faults[0]);
		log_audit_free(&a);
		meddle(files[i].name, 20);
		assert_in_order(&trial, 600);
	}
}

static void an_audit_says_which_receipts_are_gone(void **state)
{
	struct log_audit a;
	char path[1200];

	(void)state;
	log_trial_add(&trial, 600);
	log_trial_publish(&trial);
	(void)snprintf(path, sizeof path, "%s/tile/entries/001", trial.folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(audit_faults(&trial, false, &a), 1);
	assert_non_null(strstr(a.faults[0], "receipts 257 to 512"));
	log_audit_free(&a);
}

static void a_countersignature_that_is_not_the_donors_is_found(void **state)
{
	struct log_audit a;

	(void)state;
	log_trial_add(&trial, 10);
	log_trial_countersign(&trial, 1, 10);
	log_trial_publish(&trial);
	meddle("signatures/000", 64 * 4 + 3);
	assert_int_equal(audit_faults(&trial, true, &a), 1);
	assert_non_null(strstr(a.faults[0], "receipt 5"));
	assert_int_equal(a.countersigned, 9);
	log_audit_free(&a);
}

/* ---- watching ----------------------------------------------------------------------------- */

static enum log_verdict watch(const char *state_name, const struct log_trial *t, char text[256])
{
	struct log_watch_report report;
	struct log_state *s;
	struct log_reader *r;
	struct log_head h;

	assert_int_equal(log_state_open(scratch_path(&scratch, state_name), &s, &err), AYNI_OK);
	assert_int_equal(log_reader_open(t->folder, &r, &err), AYNI_OK);
	if (log_watch(s, r, NULL, &h, &report, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	if (text != NULL)
		memcpy(text, report.text, 256);
	log_head_free(&h);
	log_reader_free(r);
	log_state_free(s);
	return report.verdict;
}

static void a_watcher_follows_a_log_that_grows(void **state)
{
	(void)state;
	log_trial_publish(&trial);
	assert_int_equal(watch("w.json", &trial, NULL), LOG_FIRST);
	for (int i = 0; i < 5; i++) {
		log_trial_add(&trial, 130);
		log_trial_publish(&trial);
		assert_int_equal(watch("w.json", &trial, NULL), LOG_GREW);
		assert_int_equal(watch("w.json", &trial, NULL), LOG_SAME);
	}
}

/* Two watchers are shown two histories; when one sees the other's, the pool has convicted itself.
 */
static void a_pool_that_shows_two_histories_is_caught(void **state)
{
	struct log_trial other;
	char text[256];
	uint8_t *evidence;
	size_t len;

	(void)state;
	open_other(&other);
	log_trial_add(&trial, 100);
	log_trial_publish(&trial);
	log_trial_add(&other, 100);
	log_trial_publish(&other);
	assert_int_equal(watch("w.json", &trial, NULL), LOG_FIRST);
	assert_int_equal(watch("w.json", &other, text), LOG_ALARM);
	assert_non_null(strstr(text, "FORK"));
	log_trial_add(&other, 500); /* longer now, but not from the same beginning */
	log_trial_publish(&other);
	assert_int_equal(watch("w.json", &other, text), LOG_ALARM);
	assert_non_null(strstr(text, "FORK"));
	assert_int_equal(watch("w.json", &trial, NULL), LOG_SAME); /* it trusts what it saw first */
	assert_int_equal(files_read(AT_FDCWD, scratch_path(&scratch, "w.json.alarm"), 1 << 20,
	                     &evidence, &len, &err),
	    AYNI_OK);
	assert_true(len > 600); /* both checkpoints */
	free(evidence);
	log_trial_close(&other);
}

static void a_log_that_goes_back_is_caught(void **state)
{
	char text[256], kept[1200], now[1200];

	(void)state;
	log_trial_add(&trial, 10);
	log_trial_publish(&trial);
	(void)snprintf(now, sizeof now, "%s/checkpoint", trial.folder);
	(void)snprintf(kept, sizeof kept, "%s/kept", trial.folder);
	assert_int_equal(link(now, kept), 0);
	log_trial_add(&trial, 10);
	log_trial_publish(&trial);
	assert_int_equal(watch("w.json", &trial, NULL), LOG_FIRST);
	assert_int_equal(rename(kept, now), 0);
	assert_int_equal(watch("w.json", &trial, text), LOG_ALARM);
	assert_non_null(strstr(text, "went back from 20 receipts to 10"));
}

static void a_receipt_that_is_dropped_from_the_entries_is_missed(void **state)
{
	char text[256], path[1200];

	(void)state;
	log_trial_add(&trial, 300);
	log_trial_publish(&trial);
	assert_int_equal(watch("w.json", &trial, NULL), LOG_FIRST);
	log_trial_add(&trial, 300);
	log_trial_publish(&trial);
	meddle("tile/entries/002.p/88", -5);
	assert_int_equal(watch("w.json", &trial, text), LOG_ALARM);
	assert_non_null(strstr(text, "receipt 600"));
	(void)snprintf(path, sizeof path, "%s/tile/entries/001", trial.folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(watch("w.json", &trial, text), LOG_ALARM);
	assert_non_null(strstr(text, "is not there"));
}

static void sql(struct log_trial *t, const char *text)
{
	assert_int_equal(sqlite3_exec(db_handle(t->db), text, NULL, NULL, NULL), SQLITE_OK);
}

/* The log as if it had never been published, from what the database says now. */
static void begin_anew(struct log_trial *t)
{
	char away[700];

	sql(t, "DROP TRIGGER tree_never_deleted; DROP TRIGGER checkpoints_never_deleted;"
	       "DELETE FROM tree; DELETE FROM checkpoints");
	(void)snprintf(away, sizeof away, "%s.away", t->folder);
	assert_int_equal(rename(t->folder, away), 0);
	log_trial_reopen(t);
}

static void a_receipt_that_is_rewritten_is_caught_by_watchers_and_its_donor(void **state)
{
	char text[256], books[1200], *argument;

	(void)state;
	log_trial_add(&trial, 300);
	log_trial_publish(&trial);
	(void)snprintf(books, sizeof books, "%s", scratch_path(&scratch, "donor.db"));
	log_trial_donor_books(&trial, 149 % LOG_TRIAL_DONORS, 300, books);
	assert_int_equal(watch("w.json", &trial, NULL), LOG_FIRST);
	assert_int_equal(
	    ledger("reconcile", trial.folder, "--db", books, "-e", scratch.folder), CLI_OK);

	sql(&trial,
	    "DROP TRIGGER receipts_never_changed;"
	    "UPDATE receipts SET receipt = (SELECT receipt FROM receipts WHERE number = 149)"
	    " WHERE number = 150");
	begin_anew(&trial);
	log_trial_publish(&trial);
	assert_int_equal(watch("w.json", &trial, text), LOG_ALARM);
	assert_non_null(strstr(text, "FORK"));
	assert_int_equal(
	    ledger("reconcile", trial.folder, "--db", books, "-e", scratch.folder), CLI_ALARM);
	argument = strdup(scratch_path(&scratch, "receipt-150.evidence"));
	assert_int_equal(ledger("check", argument, NULL, NULL, NULL, NULL), CLI_OK);
	free(argument);
	assert_int_not_equal(access(scratch_path(&scratch, "receipt-147.evidence"), F_OK), 0);
}

static void a_receipt_that_is_dropped_is_caught_by_watchers_and_its_donor(void **state)
{
	char text[256], books[1200], *argument;

	(void)state;
	log_trial_add(&trial, 300);
	log_trial_publish(&trial);
	(void)snprintf(books, sizeof books, "%s", scratch_path(&scratch, "donor.db"));
	log_trial_donor_books(&trial, 299 % LOG_TRIAL_DONORS, 300, books);
	assert_int_equal(watch("w.json", &trial, NULL), LOG_FIRST);
	sql(&trial, "DROP TRIGGER receipts_never_deleted; DELETE FROM receipts WHERE number = 300");
	begin_anew(&trial);
	log_trial_publish(&trial);
	assert_int_equal(watch("w.json", &trial, text), LOG_ALARM);
	assert_non_null(strstr(text, "went back from 300"));
	assert_int_equal(
	    ledger("reconcile", trial.folder, "--db", books, "-e", scratch.folder), CLI_ALARM);
	argument = strdup(scratch_path(&scratch, "receipt-300.evidence"));
	assert_int_equal(ledger("check", argument, NULL, NULL, NULL, NULL), CLI_OK);
	free(argument);
}

/* ---- the commands ------------------------------------------------------------------------- */

static void the_commands_agree_on_a_log_in_order(void **state)
{
	char url[700], key[HEX32_CHARS], *w = strdup(scratch_path(&scratch, "state"));

	(void)state;
	log_trial_add(&trial, 400);
	log_trial_countersign(&trial, 1, 400);
	log_trial_publish(&trial);
	hex32(identity_public(trial.pool)->bytes, key);
	(void)snprintf(url, sizeof url, "file://%s", trial.folder);
	assert_int_equal(ledger("audit", url, "--signatures", "--key", key, NULL), CLI_OK);
	assert_int_equal(ledger("watch", url, "--once", "--state", w, NULL), CLI_OK);
	assert_int_equal(ledger("watch", url, "--once", "--state", w, NULL), CLI_OK);
	hex32(identity_public(trial.donors[0])->bytes, key);
	assert_int_equal(ledger("audit", url, "--key", key, NULL, NULL), CLI_FAILED);
	free(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_log_without_receipts_has_a_checkpoint),
	    TEST(every_size_that_is_published_can_be_audited),
	    TEST(goes_on_where_it_was_after_an_end_at_any_moment),
	    TEST(makes_all_files_again_when_the_folder_is_lost),
	    TEST(an_older_copy_of_the_database_is_not_signed_for),
	    TEST(countersignatures_are_published_as_they_come),
	    TEST(totals_are_those_of_the_receipts),
	    TEST(an_audit_finds_every_file_that_was_meddled_with),
	    TEST(an_audit_says_which_receipts_are_gone),
	    TEST(a_countersignature_that_is_not_the_donors_is_found),
	    TEST(a_watcher_follows_a_log_that_grows),
	    TEST(a_pool_that_shows_two_histories_is_caught),
	    TEST(a_log_that_goes_back_is_caught),
	    TEST(a_receipt_that_is_dropped_from_the_entries_is_missed),
	    TEST(a_receipt_that_is_rewritten_is_caught_by_watchers_and_its_donor),
	    TEST(a_receipt_that_is_dropped_is_caught_by_watchers_and_its_donor),
	    TEST(the_commands_agree_on_a_log_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
