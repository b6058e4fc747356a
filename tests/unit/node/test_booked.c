/* SPDX-License-Identifier: Apache-2.0 */
/* Windows, and what becomes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/books_trial.h"

/* ---- windows ------------------------------------------------------------------------------ */

static void a_session_at_a_donor_becomes_a_receipt_of_all_its_work(void **state)
{
	struct receipt r;
	struct hash chain = {{0}};
	struct pseudonym name;

	(void)state;
	add(ana, 7, 1, 101);
	add(ana, 7, 2, 102);
	run(103);
	assert_int_equal(issued.n, 0); /* it goes on */
	end(ana, 7, NULL);
	run(103);
	assert_int_equal(issued.n, 1);
	assert_true(public_key_equal(&issued.donor[0], identity_public(ana)));
	r = last_receipt();
	assert_int_equal(r.number, 1);
	assert_true(public_key_equal(&r.pool, identity_public(pool)));
	assert_true(public_key_equal(&r.donor, identity_public(ana)));
	assert_true(hash_equal(&r.model, &model_a));
	assert_int_equal(r.layer_first, 2);
	assert_int_equal(r.layer_last, 5);
	assert_int_equal(r.units, 2);
	assert_int_equal(r.tokens, 20);
	assert_int_equal(flop_count(r.cost), 2000);
	assert_int_equal(r.first_ms, 101);
	assert_int_equal(r.last_ms, 102);
	assert_int_equal(r.verification, VERIFICATION_NONE);
	books_name(books, 7, &name);
	assert_true(pseudonym_equal(&r.session, &name));
	for (uint64_t i = 1; i <= 2; i++) {
		struct hash result = {{(uint8_t)i}};

		receipt_chain(&chain, i, &result);
	}
	assert_true(hash_equal(&r.units_hash, &chain));
	assert_true(issued.durable);
	assert_int_equal(books_last_number(books), 1);
	run(UINT64_MAX / 2);
	assert_int_equal(issued.n, 1);
}

static void a_unit_of_several_sessions_is_shared_out(void **state)
{
	struct action_book_span spans[] = {
	    {.session = 1, .tokens = 3, .cost = {30}}, /* allowed: made up */
	    {.session = 2, .tokens = 5, .cost = {50}}, /* allowed: made up */
	};
	struct action_book a = {
	    .ran = {0, 4}, .unit = 9, .n_spans = 2, .spans = spans, .result = {{9}}};

	(void)state;
	assert_int_equal(books_add(books, &a, identity_public(ana), &model_a, 1, &err), AYNI_OK);
	books_end_session(books, 1);
	books_end_session(books, 2);
	run(2);
	assert_int_equal(issued.n, 2);
	assert_int_equal(last_receipt().tokens, 5);
	assert_int_equal(flop_count(last_receipt().cost), 50);
	assert_int_equal(last_receipt().units, 1);
	issued.n = 1;
	assert_int_equal(last_receipt().tokens, 3);
}

static void sessions_have_names_that_grow_and_tell_nothing(void **state)
{
	struct pseudonym a, b, later, again;

	(void)state;
	books_name(books, 1, &a);
	books_name(books, 2, &b);
	books_name(books, 256, &later);
	assert_true(pseudonym_is_set(&a) && !pseudonym_equal(&a, &b));
	assert_memory_equal(a.bytes, b.bytes, 4);
	assert_true(memcmp(later.bytes, b.bytes, 4) > 0);
	close_books();
	open_books();
	books_name(books, 1, &again);
	assert_true(pseudonym_equal(&a, &again));
}

/* Only of who is believed: else nobody could be paid for the rest when a part is wrong. */
static void a_long_session_is_cut_where_the_donor_is_believed(void **state)
{
	(void)state;
	think(BOOKS_NOT_YET);
	fill_window(ana, 1);
	assert_int_equal(issued.n, 0);
	fill_window(ben, 1);
	assert_int_equal(issued.n, 1);
	assert_true(last_is_of(ben));
	assert_int_equal(last_receipt().units, WINDOW);
}

static void other_layers_begin_another_window(void **state)
{
	(void)state;
	add(ana, 1, 1, 100);
	add_to(ana, 1, (struct layer_range){3, 5}, 2, false, 101);
	run(102);
	assert_int_equal(issued.n, 1);
	assert_int_equal(last_receipt().layer_first, 2);
	books_end_session(books, 1);
	run(102);
	assert_int_equal(last_receipt().layer_first, 3);
}

static void a_unit_behind_the_end_comes_into_the_same_window(void **state)
{
	(void)state;
	add(ana, 1, 1, 1000);
	end(ana, 1, NULL);
	assert_int_equal(books_run(books, 1100, false, &err), AYNI_OK);
	assert_int_equal(issued.n, 0); /* not yet: one may come */
	add_to(ana, 1, (struct layer_range){2, 5}, 2, true, 1200);
	assert_int_equal(books_run(books, 1600, false, &err), AYNI_OK);
	assert_int_equal(issued.n, 0);
	assert_int_equal(books_run(books, 1700, false, &err), AYNI_OK);
	assert_int_equal(issued.n, 1);
	assert_int_equal(last_receipt().units, 2);
}

static void windows_of_many_donors_cost_one_transaction(void **state)
{
	int before, after;

	(void)state;
	for (uint64_t i = 1; i <= 200; i++) {
		add(ana, i, i, 100);
		end(ana, i, NULL);
	}
	assert_int_equal(
	    sqlite3_wal_checkpoint_v2(db_handle(db), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
	    SQLITE_OK);
	run(100);
	assert_int_equal(issued.n, 200);
	assert_int_equal(sqlite3_wal_checkpoint_v2(
	                     db_handle(db), NULL, SQLITE_CHECKPOINT_PASSIVE, &before, &after),
	    SQLITE_OK);
	/* each page is written once, not once a receipt */
	assert_true(before < 150);
}

static void a_failed_transaction_leaves_the_windows_as_they_were(void **state)
{
	(void)state;
	add(ana, 1, 1, 100);
	add(ben, 1, 2, 100);
	books_end_session(books, 1);
	assert_int_equal(db_begin(db, &err), AYNI_OK); /* so that a second one is refused */
	assert_int_not_equal(books_run(books, 200, true, &err), AYNI_OK);
	db_rollback(db);
	assert_int_equal(issued.n, 0);
	assert_int_equal(books_last_number(books), 0);
	run(200);
	assert_int_equal(issued.n, 2);
	assert_int_equal(last_receipt().number, 2);
}

/* ---- verdicts ----------------------------------------------------------------------------- */

static const char first_recheck, second_recheck;

static void what_was_looked_at_and_right_is_paid_whoever_gave_it(void **state)
{
	static const enum books_belief beliefs[] = {BOOKS_BELIEVED, BOOKS_NOT_YET, BOOKS_LIES};

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		think(beliefs[i]);
		add(ana, i + 1, 1, 100);
		end(ana, i + 1, &first_recheck);
		run(200);
		assert_int_equal(issued.n, i);
		books_judge(books, &second_recheck, VERIFICATION_RIGHT); /* another's */
		run(200);
		assert_int_equal(issued.n, i);
		books_judge(books, &first_recheck, VERIFICATION_RIGHT);
		run(200);
		assert_int_equal(issued.n, i + 1);
		assert_int_equal(last_receipt().verification, VERIFICATION_RIGHT);
	}
}

/* A session that comes back to its donor has a window for each time, and each its own verdict. */
static void verdicts_may_come_in_any_order(void **state)
{
	(void)state;
	think(BOOKS_NOT_YET);
	add(ana, 1, 1, 100);
	end(ana, 1, &first_recheck);
	add(ana, 1, 2, 101);
	add(ana, 1, 3, 102);
	end(ana, 1, &second_recheck);
	books_judge(books, &second_recheck, VERIFICATION_RIGHT);
	run(200);
	assert_int_equal(issued.n, 1);
	assert_int_equal(last_receipt().units, 2);
	think(BOOKS_LIES);
	books_judge(books, &first_recheck, VERIFICATION_NONE);
	run(200);
	assert_int_equal(issued.n, 1);
	think(BOOKS_BELIEVED);
	run(200);
	assert_int_equal(issued.n, 1); /* it is gone */
}

static void what_nobody_looked_at_waits_until_its_donor_is_believed(void **state)
{
	(void)state;
	think(BOOKS_NOT_YET);
	add(ana, 1, 1, 100);
	end(ana, 1, NULL);
	run(200);
	assert_int_equal(issued.n, 0);
	think(BOOKS_BELIEVED);
	run(200);
	assert_int_equal(issued.n, 1);
	assert_int_equal(last_receipt().verification, VERIFICATION_NONE);
}

static void it_does_not_wait_longer_than_receipts_promise(void **state)
{
	(void)state;
	think(BOOKS_NOT_YET);
	add(ana, 1, 1, 100);
	end(ana, 1, NULL);
	run(200 + UINT64_C(86400000));
	think(BOOKS_BELIEVED);
	run(200 + UINT64_C(86400000));
	assert_int_equal(issued.n, 0);
}

/* What cannot be looked at, as its donor knows, is the place for a lie. */
static void a_window_with_a_gap_is_paid_to_who_is_believed_only(void **state)
{
	(void)state;
	think(BOOKS_NOT_YET);
	add(ana, 1, 1, 100);
	add(ben, 1, 1, 100);
	books_end(books, 1, identity_public(ana), &first_recheck, true);
	books_end(books, 1, identity_public(ben), &first_recheck, true);
	books_judge(books, &first_recheck, VERIFICATION_RIGHT); /* as far as it went */
	run(200);
	assert_int_equal(issued.n, 1);
	assert_true(last_is_of(ben));
	assert_int_equal(last_receipt().verification, VERIFICATION_NONE);
	think(BOOKS_BELIEVED);
	run(200);
	assert_int_equal(issued.n, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_session_at_a_donor_becomes_a_receipt_of_all_its_work),
	    TEST(a_unit_of_several_sessions_is_shared_out),
	    TEST(sessions_have_names_that_grow_and_tell_nothing),
	    TEST(a_long_session_is_cut_where_the_donor_is_believed),
	    TEST(other_layers_begin_another_window),
	    TEST(a_unit_behind_the_end_comes_into_the_same_window),
	    TEST(windows_of_many_donors_cost_one_transaction),
	    TEST(a_failed_transaction_leaves_the_windows_as_they_were),
	    TEST(what_was_looked_at_and_right_is_paid_whoever_gave_it),
	    TEST(verdicts_may_come_in_any_order),
	    TEST(what_nobody_looked_at_waits_until_its_donor_is_believed),
	    TEST(it_does_not_wait_longer_than_receipts_promise),
	    TEST(a_window_with_a_gap_is_paid_to_who_is_believed_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
