/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/books.h"
#include "node/pool/roster.h"
#include "protocol/receipt.h"
#include "tests/support/scratch.h"

enum { WINDOW = 4, MAX_ISSUED = 300 };

static struct scratch scratch;
static struct error err;
static struct identity *pool, *ana, *ben;
static struct db *db;
static struct ledger *ledger;
static struct tree *tree;
static struct books *books;

static struct {
	size_t n;
	int donor[MAX_ISSUED];
	struct signed_receipt receipt[MAX_ISSUED];
	bool durable; /* each was in the ledger, outside a transaction, when it was handed out */
} issued;

static int is_there(void *context, const struct ledger_entry *e)
{
	(void)e;
	*(bool *)context = true;
	return 0;
}

static void on_issued(void *context, int donor, const struct signed_receipt *receipt)
{
	struct receipt r;
	bool there = false;

	assert_ptr_equal(context, &issued);
	assert_int_equal(receipt_check(receipt, &r, &err), AYNI_OK);
	assert_int_equal(ledger_each(ledger, r.number - 1, 1, is_there, &there, &err), AYNI_OK);
	issued.durable &= there && db_begin(db, NULL) == AYNI_OK;
	db_rollback(db);
	assert_true(issued.n < MAX_ISSUED);
	issued.donor[issued.n] = donor;
	issued.receipt[issued.n++] = *receipt;
}

static void open_books(void)
{
	issued.n = 0;
	issued.durable = true;
	assert_int_equal(
	    db_open(scratch_path(&scratch, "pool.db"), DB_READ_WRITE, &db, &err), AYNI_OK);
	assert_int_equal(ledger_new(db, &ledger, &err), AYNI_OK);
	assert_int_equal(tree_new(db, ledger, &tree, &err), AYNI_OK);
	assert_int_equal(
	    books_new(pool, db, ledger, tree, WINDOW, on_issued, &issued, &books, &err), AYNI_OK);
}

static void close_books(void)
{
	books_free(books);
	tree_free(tree);
	ledger_free(ledger);
	db_free(db);
}

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	if (identity_generate(&pool, NULL) != AYNI_OK || identity_generate(&ana, NULL) != AYNI_OK ||
	    identity_generate(&ben, NULL) != AYNI_OK)
		return -1;
	open_books();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_books();
	identity_free(pool);
	identity_free(ana);
	identity_free(ben);
	scratch_remove(&scratch);
	return 0;
}

static const struct hash model_a = {{0xa}}, model_b = {{0xb}};

static struct action_book work(int slot, uint64_t unit)
{
	return (struct action_book){.donor = slot,
	    .layers = {2, 5},
	    .unit = unit,
	    .tokens = 10,
	    .cost = {1000}, /* allowed: a made-up amount */
	    .result = {{(uint8_t)unit}}};
}

static void add(const struct identity *donor, int slot, uint64_t unit, uint64_t now_ms)
{
	struct action_book a = work(slot, unit);

	assert_int_equal(
	    books_add(books, &a, identity_public(donor), &model_a, now_ms, &err), AYNI_OK);
}

static struct receipt last_receipt(void)
{
	struct receipt r;

	assert_true(issued.n > 0);
	assert_int_equal(receipt_check(&issued.receipt[issued.n - 1], &r, &err), AYNI_OK);
	return r;
}

static bool last_is_of(const struct identity *donor)
{
	struct receipt r = last_receipt();

	return public_key_equal(&r.donor, identity_public(donor));
}

static void fill_window(const struct identity *donor, int slot)
{
	for (uint64_t i = 1; i <= WINDOW; i++)
		add(donor, slot, i, 100 + i);
}

/* ---- windows ----------------------------------------------------------------------------------
 */

static void a_full_window_becomes_a_receipt_of_all_its_work(void **state)
{
	struct receipt r;
	struct hash chain = {{0}};

	(void)state;
	fill_window(ana, 3);
	assert_int_equal(issued.n, 1);
	assert_int_equal(issued.donor[0], 3);
	r = last_receipt();
	assert_int_equal(r.number, 1);
	assert_true(public_key_equal(&r.pool, identity_public(pool)));
	assert_true(public_key_equal(&r.donor, identity_public(ana)));
	assert_true(hash_equal(&r.model, &model_a));
	assert_int_equal(r.layer_first, 2);
	assert_int_equal(r.layer_last, 5);
	assert_int_equal(r.units, WINDOW);
	assert_int_equal(r.tokens, 10 * WINDOW);
	assert_int_equal(flop_count(r.cost), 1000 * WINDOW);
	assert_int_equal(r.first_ms, 101);
	assert_int_equal(r.last_ms, 100 + WINDOW);
	for (uint64_t i = 1; i <= WINDOW; i++) {
		struct hash result = {{(uint8_t)i}};

		receipt_chain(&chain, i, &result);
	}
	assert_true(hash_equal(&r.units_hash, &chain));
	assert_true(issued.durable);
	assert_int_equal(books_last_number(books), 1);
}

static void a_window_that_is_not_full_waits(void **state)
{
	(void)state;
	add(ana, 0, 1, 100);
	assert_int_equal(issued.n, 0);
	assert_int_equal(books_close(books, 1, &err), AYNI_OK); /* another's: nothing in it */
	assert_int_equal(issued.n, 0);
	assert_int_equal(books_close(books, 0, &err), AYNI_OK);
	assert_int_equal(last_receipt().units, 1);
	assert_int_equal(books_close(books, 0, &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
}

static void other_layers_model_or_donor_begin_another_window(void **state)
{
	struct action_book a = work(0, 2);

	(void)state;
	add(ana, 0, 1, 100);
	a.layers.first = 3;
	assert_int_equal(books_add(books, &a, identity_public(ana), &model_a, 101, &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
	assert_int_equal(last_receipt().layer_first, 2);
	assert_int_equal(books_add(books, &a, identity_public(ana), &model_b, 102, &err), AYNI_OK);
	assert_int_equal(issued.n, 2);
	assert_int_equal(last_receipt().layer_first, 3);
	assert_int_equal(books_add(books, &a, identity_public(ben), &model_b, 103, &err), AYNI_OK);
	assert_int_equal(issued.n, 3);
	assert_true(last_is_of(ana));
	assert_int_equal(books_close(books, 0, &err), AYNI_OK);
	assert_true(last_is_of(ben));
}

static void windows_in_which_nothing_happens_are_closed_together(void **state)
{
	(void)state;
	add(ana, 0, 1, 100);
	add(ben, 4, 2, 200);
	assert_int_equal(books_close_idle(books, 100, &err), AYNI_OK);
	assert_int_equal(issued.n, 0);
	assert_int_equal(books_close_idle(books, 101, &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
	add(ana, 0, 3, 201);
	assert_int_equal(books_close_idle(books, UINT64_MAX, &err), AYNI_OK);
	assert_int_equal(issued.n, 3);
	assert_int_equal(issued.donor[1], 0);
	assert_int_equal(issued.donor[2], 4);
	assert_int_equal(last_receipt().number, 3);
	assert_true(issued.durable);
	assert_int_equal(books_close_idle(books, UINT64_MAX, &err), AYNI_OK);
	assert_int_equal(issued.n, 3);
}

static void idle_windows_of_many_donors_cost_one_transaction(void **state)
{
	int before, after;

	(void)state;
	for (int i = 0; i < 200; i++)
		add(ana, i, (uint64_t)i + 1, 100);
	assert_int_equal(
	    sqlite3_wal_checkpoint_v2(db_handle(db), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(books_close_idle(books, UINT64_MAX, &err), AYNI_OK);
	assert_int_equal(issued.n, 200);
	assert_int_equal(sqlite3_wal_checkpoint_v2(
	                     db_handle(db), NULL, SQLITE_CHECKPOINT_PASSIVE, &before, &after),
	    SQLITE_OK);
	/* each page is written once, not once a receipt */
	assert_true(before < 150);
}

static void a_failed_transaction_leaves_the_windows_open(void **state)
{
	(void)state;
	add(ana, 0, 1, 100);
	add(ben, 1, 2, 100);
	assert_int_equal(db_begin(db, &err), AYNI_OK); /* so that a second one is refused */
	assert_int_not_equal(books_close_idle(books, UINT64_MAX, &err), AYNI_OK);
	db_rollback(db);
	assert_int_equal(issued.n, 0);
	assert_int_equal(books_last_number(books), 0);
	assert_int_equal(books_close_idle(books, UINT64_MAX, &err), AYNI_OK);
	assert_int_equal(issued.n, 2);
	assert_int_equal(last_receipt().number, 2);
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
	fill_window(ana, 0);
	assert_int_equal(books_open_acks(books), 1);
	ack = ack_of(0, ana);
	assert_int_equal(countersign(ana, &ack), AYNI_OK);
	assert_int_equal(books_open_acks(books), 0);
	assert_int_equal(countersign(ana, &ack), AYNI_OK); /* the same again is fine */
	assert_int_equal(books_open_acks(books), 0);
	assert_int_equal(books_remind(books, 0, identity_public(ana), &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
}

static void a_wrong_countersignature_is_refused(void **state)
{
	struct msg_receipt_ack ack;

	(void)state;
	fill_window(ana, 0);
	fill_window(ana, 0);
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
	fill_window(ana, 0);
	fill_window(ben, 1);
	fill_window(ana, 0);
	ack = ack_of(0, ana);
	assert_int_equal(countersign(ana, &ack), AYNI_OK);
	issued.n = 0;
	assert_int_equal(books_remind(books, 7, identity_public(ana), &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
	assert_int_equal(issued.donor[0], 7);
	assert_int_equal(last_receipt().number, 3);
}

/* ---- restart ----------------------------------------------------------------------------------
 */

static void numbers_go_on_after_a_restart(void **state)
{
	(void)state;
	fill_window(ana, 0);
	add(ana, 0, 9, 100); /* in an open window: lost, as the header says */
	close_books();
	open_books();
	assert_int_equal(books_last_number(books), 1);
	fill_window(ben, 0);
	assert_int_equal(last_receipt().number, 2);
	assert_int_equal(last_receipt().units, WINDOW);
}

static void receipts_of_an_earlier_run_do_not_count_as_waited_for(void **state)
{
	struct msg_receipt_ack ack;

	(void)state;
	fill_window(ana, 0);
	ack = ack_of(0, ana);
	close_books();
	open_books();
	assert_int_equal(books_open_acks(books), 0);
	fill_window(ana, 0);
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

static void what_was_saved_becomes_a_receipt_when_a_pool_that_died_starts_again(void **state)
{
	(void)state;
	add(ana, 0, 1, 100);
	add(ana, 0, 2, 200);
	add(ben, 1, 3, 300);
	assert_int_equal(books_save(books, &err), AYNI_OK);
	add(ben, 1, 4, 400); /* not saved any more */
	die();
	assert_int_equal(books_last_number(books), 2);
	assert_int_equal(units_in_ledger(), 3);
	assert_int_equal(issued.n, 0); /* they wait for their donors */
	assert_int_equal(books_remind(books, 5, identity_public(ana), &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
	assert_int_equal(last_receipt().units, 2);
	assert_int_equal(last_receipt().first_ms, 100);
	die(); /* once more: nothing is counted twice */
	assert_int_equal(units_in_ledger(), 3);
}

static void a_window_that_is_in_a_receipt_is_not_saved_any_more(void **state)
{
	(void)state;
	for (uint64_t unit = 1; unit < WINDOW; unit++)
		add(ana, 0, unit, 100);
	assert_int_equal(books_save(books, &err), AYNI_OK);
	add(ana, 0, WINDOW, 100);
	assert_int_equal(issued.n, 1);
	assert_int_equal(books_save(books, &err), AYNI_OK);
	die();
	assert_int_equal(books_last_number(books), 1);
	assert_int_equal(units_in_ledger(), WINDOW);
}

static void the_next_window_takes_the_place_of_what_was_saved(void **state)
{
	(void)state;
	add(ana, 0, 1, 100);
	assert_int_equal(books_save(books, &err), AYNI_OK);
	assert_int_equal(books_close(books, 0, &err), AYNI_OK);
	add(ana, 0, 2, 100);
	add(ana, 0, 3, 100);
	assert_int_equal(books_save(books, &err), AYNI_OK);
	die();
	assert_int_equal(units_in_ledger(), 3);
}

/* ---- windows that wait for a verdict ------------------------------------------------------ */

static bool decided;

static bool is_decided(void *context, int donor)
{
	assert_ptr_equal(context, &issued);
	(void)donor;
	return decided;
}

static void a_window_that_is_not_decided_grows_until_it_is(void **state)
{
	(void)state;
	decided = false;
	books_ask(books, is_decided);
	for (uint64_t unit = 1; unit <= 2 * WINDOW; unit++)
		add(ana, 0, unit, 100);
	assert_int_equal(books_close_idle(books, 1000, &err), AYNI_OK);
	assert_int_equal(issued.n, 0);
	decided = true;
	assert_int_equal(books_close_idle(books, 1000, &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
	assert_int_equal(last_receipt().units, 2 * WINDOW);
}

/* Whose donor may be gone: the slot is another's then. */
static void who_was_right_is_paid_for_what_was_set_aside_and_who_lied_is_not(void **state)
{
	struct public_key key;

	(void)state;
	add(ana, 0, 1, 100);
	books_set_aside(books, 0, &err);
	add(ben, 0, 2, 100);
	books_set_aside(books, 0, &err);
	books_set_aside(books, 0, &err); /* there is nothing */
	assert_int_equal(books_close(books, 0, &err), AYNI_OK);
	assert_int_equal(issued.n, 0);
	assert_true(books_aside(books, 1, &key) && !books_aside(books, 2, &key));
	assert_int_equal(
	    books_settle(books, identity_public(ana), ROSTER_NONE, true, &err), AYNI_OK);
	assert_int_equal(books_settle(books, identity_public(ben), 3, false, &err), AYNI_OK);
	assert_false(books_aside(books, 0, &key));
	assert_int_equal(issued.n, 1);
	assert_true(last_is_of(ana));
	assert_int_equal(issued.donor[0], ROSTER_NONE);
}

static void what_is_void_is_in_no_receipt_of_the_next_run_either(void **state)
{
	(void)state;
	add(ana, 0, 1, 100);
	add(ben, 1, 2, 100);
	assert_int_equal(books_save(books, &err), AYNI_OK);
	assert_int_equal(books_void(books, 0, &err), AYNI_OK);
	assert_int_equal(books_void(books, 0, &err), AYNI_OK); /* nothing is left */
	close_books();
	open_books();
	assert_int_equal(books_last_number(books), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_full_window_becomes_a_receipt_of_all_its_work),
	    TEST(a_window_that_is_not_full_waits),
	    TEST(other_layers_model_or_donor_begin_another_window),
	    TEST(windows_in_which_nothing_happens_are_closed_together),
	    TEST(idle_windows_of_many_donors_cost_one_transaction),
	    TEST(a_failed_transaction_leaves_the_windows_open),
	    TEST(a_right_countersignature_is_stored_once),
	    TEST(a_wrong_countersignature_is_refused),
	    TEST(a_donor_is_reminded_of_what_it_has_not_countersigned),
	    TEST(numbers_go_on_after_a_restart),
	    TEST(receipts_of_an_earlier_run_do_not_count_as_waited_for),
	    TEST(what_was_saved_becomes_a_receipt_when_a_pool_that_died_starts_again),
	    TEST(a_window_that_is_in_a_receipt_is_not_saved_any_more),
	    TEST(the_next_window_takes_the_place_of_what_was_saved),
	    TEST(a_window_that_is_not_decided_grows_until_it_is),
	    TEST(who_was_right_is_paid_for_what_was_set_aside_and_who_lied_is_not),
	    TEST(what_is_void_is_in_no_receipt_of_the_next_run_either),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
