/* SPDX-License-Identifier: Apache-2.0 */
/* A log whose oldest entries were removed still proves what it proved before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/cli/ledger.h"
#include "node/cli/log_audit.h"
#include "node/log_prune.h"
#include "tests/support/log_trial.h"
#include "tests/support/scratch.h"

enum { RECEIPTS = 900, OLD = 600, KEPT = 512 }; /* OLD are in two whole bundles and part of one */

/* Receipt n of the trial ends before second n + 1 of 2020. */
static const uint64_t before_ms = UINT64_C(1577836800000) + OLD * 1000;

static struct scratch scratch;
static struct log_trial trial;
static struct error err;
static char books[600];

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	log_trial_open(&trial, scratch.folder, NULL);
	log_trial_add(&trial, RECEIPTS);
	log_trial_countersign(&trial, 1, 300);
	log_trial_publish(&trial);
	(void)snprintf(books, sizeof books, "%s", scratch_path(&scratch, "donor.db"));
	log_trial_donor_books(&trial, 0, RECEIPTS, books);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_trial_close(&trial);
	scratch_remove(&scratch);
	return 0;
}

static struct log_pruned prune(void)
{
	struct log_pruned p;

	if (log_prune(trial.folder, before_ms, &p, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return p;
}

static bool is_there(const char *name)
{
	char path[1300];

	(void)snprintf(path, sizeof path, "%s/%s", trial.folder, name);
	return access(path, F_OK) == 0;
}

static struct log_audit audit(bool pruned)
{
	struct log_audit_options o = {.pool = identity_public(trial.pool), .pruned = pruned};
	struct log_audit a;

	assert_int_equal(log_audit_run(trial.folder, &o, &a, &err), AYNI_OK);
	return a;
}

static uint64_t n_counted(const struct log_audit *a)
{
	uint64_t n = 0;

	for (size_t i = 0; i < a->totals.n_totals; i++)
		n += a->totals.totals[i].receipts;
	return n;
}

static void removes_whole_bundles_of_old_windows_and_no_hash(void **state)
{
	struct log_pruned p = prune();

	(void)state;
	assert_int_equal(p.bundles, KEPT / 256);
	assert_int_equal(p.receipts, KEPT);
	assert_false(is_there("tile/entries/000"));
	assert_false(is_there("tile/entries/001"));
	assert_false(is_there("signatures/000"));
	assert_true(is_there("tile/entries/002"));
	assert_true(is_there("tile/0/000"));
	assert_true(is_there("tile/0/001"));
	p = prune();
	assert_int_equal(p.bundles, 0);
	assert_int_equal(p.receipts, KEPT);
}

static void an_audit_says_what_it_could_not_read(void **state)
{
	struct log_audit a;

	(void)state;
	(void)prune();
	a = audit(true);
	assert_int_equal(a.n_faults, 0);
	assert_int_equal(a.unread, KEPT);
	assert_int_equal(n_counted(&a), RECEIPTS - KEPT);
	log_audit_free(&a);
	a = audit(false); /* nobody said that it may be so */
	assert_int_equal(a.n_faults, KEPT / 256);
	log_audit_free(&a);
}

static void an_audit_of_a_whole_log_is_the_same_either_way(void **state)
{
	struct log_audit a = audit(true);

	(void)state;
	assert_int_equal(a.n_faults, 0);
	assert_int_equal(a.unread, 0);
	assert_int_equal(n_counted(&a), RECEIPTS);
	log_audit_free(&a);
}

static void meddle(const char *name)
{
	char path[1300];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", trial.folder, name);
	f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, 40, SEEK_SET), 0);
	assert_int_not_equal(fputc(0x7f, f), EOF);
	assert_int_equal(fclose(f), 0);
}

static void an_entry_that_is_gone_hides_no_change_of_its_hash(void **state)
{
	struct log_audit a;

	(void)state;
	(void)prune();
	meddle("tile/0/000");
	a = audit(true);
	assert_true(a.n_faults > 0);
	log_audit_free(&a);
}

static void prunes_nothing_that_its_tile_does_not_bear_out(void **state)
{
	struct log_pruned p;

	(void)state;
	meddle("tile/entries/001");
	assert_int_not_equal(log_prune(trial.folder, before_ms, &p, &err), AYNI_OK);
	assert_int_equal(p.bundles, 1);
	assert_true(is_there("tile/entries/001"));
}

static int run(int (*command)(int, char **), const char *a, const char *b)
{
	char *argv[] = {"ayni", (char *)(a != NULL ? a : trial.folder),
	    (char *)(a != NULL ? trial.folder : "--db"), a != NULL ? "--db" : books, (char *)b,
	    NULL};

	return command(b != NULL ? 5 : 4, argv);
}

static void whoever_holds_an_old_receipt_proves_it(void **state)
{
	(void)state;
	(void)prune();
	assert_int_equal(run(ledger_prove, "7", books), CLI_OK);     /* the donor's */
	assert_int_equal(run(ledger_prove, "8", books), CLI_FAILED); /* another's */
	assert_int_equal(run(ledger_prove, "899", books), CLI_OK);
	assert_int_equal(run(ledger_reconcile, NULL, NULL), CLI_OK);
}

static void a_pool_goes_on_with_its_pruned_log(void **state)
{
	struct log_audit a;

	(void)state;
	(void)prune();
	log_trial_reopen(&trial);
	log_trial_add(&trial, 300);
	log_trial_publish(&trial);
	a = audit(true);
	assert_int_equal(a.n_faults, 0);
	assert_int_equal(a.head.checkpoint.size, RECEIPTS + 300);
	log_audit_free(&a);
}

static void says_which_folder_has_no_log(void **state)
{
	struct log_reader *r;
	struct log_head head;

	(void)state;
	assert_int_equal(log_reader_open(scratch.folder, &r, &err), AYNI_OK);
	assert_int_equal(log_reader_head(r, NULL, &head, &err), AYNI_ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, scratch.folder));
	log_reader_free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(removes_whole_bundles_of_old_windows_and_no_hash),
	    TEST(an_audit_says_what_it_could_not_read),
	    TEST(an_audit_of_a_whole_log_is_the_same_either_way),
	    TEST(an_entry_that_is_gone_hides_no_change_of_its_hash),
	    TEST(prunes_nothing_that_its_tile_does_not_bear_out),
	    TEST(whoever_holds_an_old_receipt_proves_it),
	    TEST(a_pool_goes_on_with_its_pruned_log),
	    TEST(says_which_folder_has_no_log),
	};

	return cmocka_run_group_tests_name("log_prune", tests, NULL, NULL);
}
