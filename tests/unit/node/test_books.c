/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of no work, countersignatures, and pools that start again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/books_trial.h"

/* ---- standing ----------------------------------------------------------------------------- */

static int see_standing(void *context, const struct ledger_entry *e)
{
	assert_int_equal(receipt_read(e->receipt, context, &err), AYNI_OK);
	return 0;
}

static void a_change_of_standing_is_an_entry_that_counts_no_work(void **state)
{
	static const struct hash evidence = {{7}};
	struct receipt r = {0};
	struct msg_receipt_ack ack = {.number = 2};

	(void)state;
	fill_window(ana, 1);
	assert_int_equal(db_begin(db, &err), AYNI_OK);
	assert_int_equal(books_standing(books, identity_public(ana), STANDING_TRUSTED,
	                     STANDING_QUARANTINED, "it\nlied", &evidence, 300, &err),
	    AYNI_OK);
	assert_int_equal(db_commit(db, &err), AYNI_OK);
	assert_int_equal(books_last_number(books), 2);
	assert_int_equal(tree_size(tree), 2);
	assert_int_equal(issued.n, 1); /* the donor is not asked to sign it */
	assert_int_equal(
	    ledger_each_standing(ledger, identity_public(ana), 0, 9, see_standing, &r, &err),
	    AYNI_OK);
	assert_int_equal(r.number, 2);
	assert_true(r.is_standing);
	assert_int_equal(r.standing.from, STANDING_TRUSTED);
	assert_int_equal(r.standing.to, STANDING_QUARANTINED);
	assert_string_equal(r.standing.reason, "it?lied");
	assert_true(r.standing.has_evidence && hash_equal(&r.standing.evidence, &evidence));
	assert_int_equal(r.units, 0);
	issued.n = 0;
	assert_int_equal(books_remind(books, identity_public(ana), &err), AYNI_OK);
	assert_int_equal(issued.n, 1); /* the work alone */
	assert_int_not_equal(books_countersign(books, identity_public(ana), &ack, &err), AYNI_OK);
	fill_window(ana, 2);
	assert_int_equal(last_receipt().number, 3);
}

static void an_entry_that_was_rolled_back_leaves_no_trace(void **state)
{
	(void)state;
	assert_int_equal(db_begin(db, &err), AYNI_OK);
	assert_int_equal(books_standing(books, identity_public(ana), STANDING_NEW, STANDING_TRUSTED,
	                     "x", NULL, 300, &err),
	    AYNI_OK);
	db_rollback(db);
	books_reload(books);
	assert_int_equal(books_last_number(books), 0);
	fill_window(ana, 1);
	assert_int_equal(last_receipt().number, 1);
}

/* ---- countersigning ---------------------------------------------------------------------------
 */

static struct msg_receipt_ack ack_of(size_t i, const struct identity *donor)
{
	struct signed_receipt s = issued.receipt[i];
	struct receipt r;

	assert_int_equal(receipt_check(&s, &r, &err), AYNI_OK);
	receipt_countersign(&s, donor);
	return (struct msg_receipt_ack){r.number, s.donor_signature};
}

static int countersign(const struct identity *donor, const struct msg_receipt_ack *ack)
{
	return books_countersign(books, identity_public(donor), ack, &err);
}

static void a_right_countersignature_is_stored_once(void **state)
{
	struct msg_receipt_ack ack;

	(void)state;
	fill_window(ana, 1);
	assert_int_equal(books_open_acks(books), 1);
	ack = ack_of(0, ana);
	assert_int_equal(countersign(ana, &ack), AYNI_OK);
	assert_int_equal(books_open_acks(books), 0);
	assert_int_equal(countersign(ana, &ack), AYNI_OK); /* the same again is fine */
	assert_int_equal(books_open_acks(books), 0);
	assert_int_equal(books_remind(books, identity_public(ana), &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
}

static void a_wrong_countersignature_is_refused(void **state)
{
	struct msg_receipt_ack ack;

	(void)state;
	fill_window(ana, 1);
	fill_window(ana, 1);
	ack = ack_of(0, ana);
	ack.number = 2; /* of another receipt */
	assert_int_equal(countersign(ana, &ack), AYNI_ERR_SIGNATURE);
	ack = ack_of(0, ben);
	assert_int_equal(countersign(ana, &ack), AYNI_ERR_SIGNATURE);
	ack = ack_of(0, ben);
	assert_int_equal(countersign(ben, &ack), AYNI_ERR_NOT_FOUND); /* not its receipt */
	ack = ack_of(0, ana);
	ack.number = 0;
	assert_int_equal(countersign(ana, &ack), AYNI_ERR_NOT_FOUND);
	ack.number = 3;
	assert_int_equal(countersign(ana, &ack), AYNI_ERR_NOT_FOUND);
	ack.number = UINT64_MAX;
	assert_int_equal(countersign(ana, &ack), AYNI_ERR_NOT_FOUND);
	assert_int_equal(books_open_acks(books), 2);
}

static void a_donor_is_reminded_of_what_it_has_not_countersigned(void **state)
{
	struct msg_receipt_ack ack;

	(void)state;
	fill_window(ana, 1);
	fill_window(ben, 1);
	fill_window(ana, 1);
	ack = ack_of(0, ana);
	assert_int_equal(countersign(ana, &ack), AYNI_OK);
	issued.n = 0;
	assert_int_equal(books_remind(books, identity_public(ana), &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
	assert_true(public_key_equal(&issued.donor[0], identity_public(ana)));
	assert_int_equal(last_receipt().number, 3);
}

/* ---- restart ----------------------------------------------------------------------------------
 */

static void numbers_go_on_after_a_restart(void **state)
{
	(void)state;
	fill_window(ana, 1);
	add(ana, 2, 9, 100); /* it was not written down: lost, as the header says */
	close_books();
	open_books();
	assert_int_equal(books_last_number(books), 1);
	fill_window(ben, 1);
	assert_int_equal(last_receipt().number, 2);
	assert_int_equal(last_receipt().units, WINDOW);
}

static void receipts_of_an_earlier_run_do_not_count_as_waited_for(void **state)
{
	struct msg_receipt_ack ack;

	(void)state;
	fill_window(ana, 1);
	ack = ack_of(0, ana);
	close_books();
	open_books();
	assert_int_equal(books_open_acks(books), 0);
	fill_window(ana, 1);
	assert_int_equal(countersign(ana, &ack), AYNI_OK); /* the old one, reminded of */
	assert_int_equal(books_open_acks(books), 1);
	ack = ack_of(0, ana);
	assert_int_equal(ack.number, 2);
	assert_int_equal(countersign(ana, &ack), AYNI_OK);
	assert_int_equal(books_open_acks(books), 0);
}

/* A pool that dies has no time to close anything. */
static void die(void)
{
	close_books();
	open_books();
}

static int add_units(void *units, const struct ledger_entry *e)
{
	*(unsigned *)units += (unsigned)e->units;
	return 0;
}

static unsigned units_in_ledger(void)
{
	unsigned units = 0;

	assert_int_equal(ledger_each(ledger, 0, MAX_ISSUED, add_units, &units, &err), AYNI_OK);
	return units;
}

static void what_was_written_down_is_paid_when_a_pool_that_died_starts_again(void **state)
{
	(void)state;
	add(ana, 1, 1, 100);
	add(ana, 1, 2, 200);
	add(ben, 1, 3, 300);
	run(300);
	add(ben, 1, 4, 400); /* not written down any more */
	die();
	run(500);
	assert_int_equal(books_last_number(books), 2);
	assert_int_equal(units_in_ledger(), 3);
	assert_int_equal(issued.n, 2);
	issued.n = 1;
	assert_true(last_is_of(ana));
	assert_int_equal(last_receipt().units, 2);
	assert_int_equal(last_receipt().first_ms, 100);
	die(); /* once more: nothing is counted twice */
	run(500);
	assert_int_equal(units_in_ledger(), 3);
}

/* Nobody looked at it, and nobody will. */
static void of_who_is_not_believed_it_waits_and_of_a_liar_it_is_nothing(void **state)
{
	(void)state;
	think(BOOKS_NOT_YET);
	add(ana, 1, 1, 100);
	end(ana, 1, &books); /* a recheck that never ends */
	run(100);
	die();
	think(BOOKS_NOT_YET);
	run(100);
	assert_int_equal(units_in_ledger(), 0);
	die();
	think(BOOKS_BELIEVED);
	run(100);
	assert_int_equal(units_in_ledger(), 1);
	think(BOOKS_NOT_YET);
	add(ana, 2, 2, 100);
	run(100);
	die();
	think(BOOKS_LIES);
	run(100);
	die();
	run(100);
	assert_int_equal(units_in_ledger(), 1);
}

static void a_window_that_is_in_a_receipt_is_written_down_no_more(void **state)
{
	(void)state;
	for (uint64_t unit = 1; unit < WINDOW; unit++)
		add(ana, 1, unit, 100);
	run(100);
	add(ana, 1, WINDOW, 100);
	run(100);
	assert_int_equal(issued.n, 1);
	add(ana, 1, WINDOW + 1, 100);
	run(100);
	die();
	assert_int_equal(units_in_ledger(), WINDOW);
	run(100);
	assert_int_equal(units_in_ledger(), WINDOW + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_change_of_standing_is_an_entry_that_counts_no_work),
	    TEST(an_entry_that_was_rolled_back_leaves_no_trace),
	    TEST(a_right_countersignature_is_stored_once),
	    TEST(a_wrong_countersignature_is_refused),
	    TEST(a_donor_is_reminded_of_what_it_has_not_countersigned),
	    TEST(numbers_go_on_after_a_restart),
	    TEST(receipts_of_an_earlier_run_do_not_count_as_waited_for),
	    TEST(what_was_written_down_is_paid_when_a_pool_that_died_starts_again),
	    TEST(of_who_is_not_believed_it_waits_and_of_a_liar_it_is_nothing),
	    TEST(a_window_that_is_in_a_receipt_is_written_down_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
