/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/books_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/scratch.h"

static struct scratch scratch;
struct error err;
struct identity *pool, *ana, *ben;
struct db *db;
struct ledger *ledger;
struct tree *tree;
struct books *books;

struct issued issued;

static int is_there(void *context, const struct ledger_entry *e)
{
	(void)e;
	*(bool *)context = true;
	return 0;
}

static void on_issued(
    void *context, const struct public_key *donor, const struct signed_receipt *receipt)
{
	struct receipt r;
	bool there = false;

	assert_ptr_equal(context, &issued);
	assert_int_equal(receipt_check(receipt, &r, &err), AYNI_OK);
	assert_int_equal(ledger_each(ledger, r.number - 1, 1, is_there, &there, &err), AYNI_OK);
	issued.durable &= there && db_begin(db, NULL) == AYNI_OK;
	db_rollback(db);
	assert_true(issued.n < MAX_ISSUED);
	issued.donor[issued.n] = *donor;
	issued.receipt[issued.n++] = *receipt;
}

void open_books(void)
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

void close_books(void)
{
	books_free(books);
	tree_free(tree);
	ledger_free(ledger);
	db_free(db);
}

int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	if (identity_generate(&pool, NULL) != AYNI_OK || identity_generate(&ana, NULL) != AYNI_OK ||
	    identity_generate(&ben, NULL) != AYNI_OK)
		return -1;
	open_books();
	return 0;
}

int tear_down(void **state)
{
	(void)state;
	close_books();
	identity_free(pool);
	identity_free(ana);
	identity_free(ben);
	scratch_remove(&scratch);
	return 0;
}

const struct hash model_a = {{0xa}};

void add_to(const struct identity *donor, uint64_t session, struct layer_range ran, uint64_t unit,
    bool late, uint64_t now_ms)
{
	struct action_book_span span = {
	    .session = session, .tokens = 10, .late = late, .cost = {1000}}; /* allowed: made up */
	struct action_book a = {
	    .ran = ran, .unit = unit, .n_spans = 1, .spans = &span, .result = {{(uint8_t)unit}}};

	assert_int_equal(
	    books_add(books, &a, identity_public(donor), &model_a, now_ms, &err), AYNI_OK);
}

void add(const struct identity *donor, uint64_t session, uint64_t unit, uint64_t now_ms)
{
	add_to(donor, session, (struct layer_range){2, 5}, unit, false, now_ms);
}

void end(const struct identity *donor, uint64_t session, const void *recheck)
{
	books_end(books, session, identity_public(donor), recheck, false);
}

void run(uint64_t now_ms)
{
	assert_int_equal(books_run(books, now_ms, true, &err), AYNI_OK);
}

struct receipt last_receipt(void)
{
	struct receipt r;

	assert_true(issued.n > 0);
	assert_int_equal(receipt_check(&issued.receipt[issued.n - 1], &r, &err), AYNI_OK);
	return r;
}

bool last_is_of(const struct identity *donor)
{
	struct receipt r = last_receipt();

	return public_key_equal(&r.donor, identity_public(donor));
}

void fill_window(const struct identity *donor, uint64_t session)
{
	for (uint64_t i = 1; i <= WINDOW; i++)
		add(donor, session, i, 100 + i);
	run(200);
}

static enum books_belief belief;

static enum books_belief believes(void *context, const struct public_key *donor)
{
	assert_ptr_equal(context, &issued);
	return public_key_equal(donor, identity_public(ana)) ? belief : BOOKS_BELIEVED;
}

void think(enum books_belief b)
{
	belief = b;
	books_ask(books, believes);
}
