/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/ledger.h"
#include "storage/registry.h"
#include "storage/sums.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static struct error err;
static struct db *db;
static struct ledger *ledger;

static const struct public_key pool_a = {{0xa}}, pool_b = {{0xb}};
static const struct public_key ana = {{1}}, ben = {{2}};

static void open_books(void)
{
	assert_int_equal(
	    db_open(scratch_path(&scratch, "a.db"), DB_READ_WRITE, &db, &err), AYNI_OK);
	assert_int_equal(ledger_new(db, &ledger, &err), AYNI_OK);
}

static void close_books(void)
{
	ledger_free(ledger);
	db_free(db);
}

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	memset(&err, 0, sizeof err);
	open_books();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_books();
	scratch_remove(&scratch);
	return 0;
}

static struct ledger_entry entry(uint64_t number, const struct public_key *donor)
{
	static const uint8_t bytes[] = "the bytes that were signed";

	return (struct ledger_entry){.number = number,
	    .pool = pool_a,
	    .donor = *donor,
	    .model = {{5}},
	    .layer_first = 2,
	    .layer_last = 9,
	    .units = 3,
	    .tokens = 40,
	    .cost = {2500000000},
	    .first_ms = 1000 + number,
	    .last_ms = 2000 + number,
	    .receipt = {bytes, sizeof bytes},
	    .pool_signature = {{6}}};
}

static void append(uint64_t number, const struct public_key *donor)
{
	struct ledger_entry e = entry(number, donor);

	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
}

struct seen {
	uint64_t numbers[16];
	size_t n;
	struct ledger_entry last;
	int stop;
};

static int see(void *context, const struct ledger_entry *e)
{
	struct seen *s = context;

	assert_true(s->n < 16);
	s->numbers[s->n++] = e->number;
	s->last = *e;
	return s->stop;
}

struct totals {
	struct sums_row rows[4];
	char names[4][LIMIT_NAME_BYTES];
	size_t n;
};

static int add_up(void *context, const struct sums_row *t)
{
	struct totals *all = context;

	assert_true(all->n < 4);
	all->rows[all->n] = *t;
	(void)snprintf(all->names[all->n++], LIMIT_NAME_BYTES, "%s", t->name);
	return 0;
}

static struct totals totals(uint64_t since_ms, const struct public_key *donor)
{
	struct sums_filter f = {.by = SUMS_BY_DONOR, .since_ms = since_ms, .donor = donor};
	struct totals all = {.n = 0};
	struct sums *sums;

	assert_int_equal(sums_new(db, &sums, &err), AYNI_OK);
	assert_int_equal(sums_each(sums, &f, add_up, &all, &err), AYNI_OK);
	sums_free(sums);
	return all;
}

static int execute(const char *sql)
{
	return sqlite3_exec(db_handle(db), sql, NULL, NULL, NULL);
}

static int check_whole(void *context, const struct ledger_entry *e)
{
	struct ledger_entry wanted = entry(7, &ana);

	*(int *)context += 1;
	assert_int_equal(e->number, 7);
	assert_memory_equal(&e->pool, &wanted.pool, sizeof e->pool);
	assert_memory_equal(&e->donor, &wanted.donor, sizeof e->donor);
	assert_memory_equal(&e->model, &wanted.model, sizeof e->model);
	assert_int_equal(e->layer_first, 2);
	assert_int_equal(e->layer_last, 9);
	assert_int_equal(e->units, 3);
	assert_int_equal(e->tokens, 40);
	assert_int_equal(flop_count(e->cost), 2500000000);
	assert_int_equal(e->first_ms, 1007);
	assert_int_equal(e->last_ms, 2007);
	assert_int_equal(e->receipt.len, wanted.receipt.len);
	assert_memory_equal(e->receipt.data, wanted.receipt.data, wanted.receipt.len);
	assert_memory_equal(&e->pool_signature, &wanted.pool_signature, SIGNATURE_BYTES);
	assert_false(e->countersigned);
	return 0;
}

static void gives_back_a_receipt_as_it_was_signed(void **state)
{
	int n = 0;

	(void)state;
	append(7, &ana);
	assert_int_equal(ledger_each(ledger, 0, 10, check_whole, &n, &err), AYNI_OK);
	assert_int_equal(n, 1);
}

static void the_last_number_is_0_in_empty_books_and_survives_closing(void **state)
{
	(void)state;
	assert_int_equal(ledger_last_number(ledger), 0);
	append(1, &ana);
	append(2, &ben);
	close_books();
	open_books();
	assert_int_equal(ledger_last_number(ledger), 2);
}

static void the_same_receipt_again_is_fine(void **state)
{
	(void)state;
	append(1, &ana);
	append(1, &ana);
	assert_int_equal(totals(0, NULL).rows[0].waiting, 1);
}

static void a_receipt_of_a_taken_number_with_other_bytes_is_refused(void **state)
{
	static const uint8_t other[] = "the bytes that were signeD";
	struct ledger_entry e = entry(1, &ana);
	struct seen s = {.n = 0};

	(void)state;
	append(1, &ana);
	e.receipt.data = other;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_ERR_EXISTS);
	e = entry(1, &ana);
	e.receipt.len--;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_ERR_EXISTS);
	assert_int_equal(ledger_each(ledger, 0, 10, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 1);
}

static void two_pools_may_use_one_number(void **state)
{
	struct ledger_entry e = entry(1, &ana);
	struct signature sig = {{9}};

	(void)state;
	append(1, &ana);
	e.pool = pool_b;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	assert_int_equal(totals(0, NULL).rows[0].waiting, 2);
	/* Which of the two is meant cannot be said by a number. */
	assert_int_equal(ledger_countersign(ledger, 1, &ana, &sig, &err), AYNI_ERR_STATE);
}

static void refuses_values_that_cannot_be_kept(void **state)
{
	struct ledger_entry e = entry(1, &ana);

	(void)state;
	e.units = UINT64_MAX;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_ERR_LIMIT);
	e = entry(UINT64_MAX, &ana);
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_ERR_LIMIT);
	e = entry(0, &ana);
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_ERR_ARGUMENT);
	e = entry(1, &ana);
	e.receipt.len = 0;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(ledger_last_number(ledger), 0);
	append(1, &ana); /* a refusal leaves the statements usable */
}

static void a_donor_countersigns_once(void **state)
{
	struct signature first = {{8}}, second = {{9}};
	struct seen s = {.n = 0};

	(void)state;
	append(1, &ana);
	assert_int_equal(ledger_countersign(ledger, 1, &ben, &first, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(ledger_countersign(ledger, 2, &ana, &first, &err), AYNI_ERR_NOT_FOUND);
	assert_int_equal(ledger_countersign(ledger, 1, &ana, &first, &err), AYNI_OK);
	assert_int_equal(ledger_countersign(ledger, 1, &ana, &first, &err), AYNI_OK);
	assert_int_equal(ledger_countersign(ledger, 1, &ana, &second, &err), AYNI_ERR_EXISTS);
	assert_int_equal(ledger_each(ledger, 0, 10, see, &s, &err), AYNI_OK);
	assert_true(s.last.countersigned);
	assert_memory_equal(&s.last.donor_signature, &first, sizeof first);
}

static void a_receipt_that_comes_again_countersigned_gains_the_signature(void **state)
{
	struct ledger_entry e = entry(1, &ana);

	(void)state;
	append(1, &ana);
	e.countersigned = true;
	e.donor_signature = (struct signature){{8}};
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	assert_int_equal(totals(0, NULL).rows[0].waiting, 0);
}

static void the_file_itself_refuses_to_change_or_delete_receipts(void **state)
{
	struct signature sig = {{8}};

	(void)state;
	append(1, &ana);
	assert_int_equal(ledger_countersign(ledger, 1, &ana, &sig, &err), AYNI_OK);
	assert_int_not_equal(execute("DELETE FROM receipts"), SQLITE_OK);
	assert_int_not_equal(execute("UPDATE receipts SET cost = 1"), SQLITE_OK);
	assert_int_not_equal(execute("UPDATE receipts SET keys_at = 1"), SQLITE_OK);
	assert_int_not_equal(execute("UPDATE keys SET key = zeroblob(32)"), SQLITE_OK);
	assert_int_not_equal(execute("DELETE FROM keys"), SQLITE_OK);
	assert_int_not_equal(execute("UPDATE receipts SET receipt = x'00'"), SQLITE_OK);
	assert_int_not_equal(execute("UPDATE receipts SET donor_signature = NULL"), SQLITE_OK);
	assert_int_not_equal(
	    execute("UPDATE receipts SET donor_signature = zeroblob(64)"), SQLITE_OK);
	assert_int_not_equal(
	    execute(
	        "INSERT OR REPLACE INTO receipts SELECT number, pool, donor, model, layer_first,"
	        " layer_last, units, tokens, 1, first_ms, last_ms, receipt, keys_at,"
	        " pool_signature, donor_signature, session FROM receipts"),
	    SQLITE_OK);
	assert_int_equal(totals(0, NULL).rows[0].giga, 2);
	assert_int_equal(totals(0, NULL).rows[0].flop, 500000000);
}

static void walks_in_order_of_number_page_by_page(void **state)
{
	struct seen s = {.n = 0};

	(void)state;
	for (uint64_t i = 5; i > 0; i--)
		append(i, &ana);
	assert_int_equal(ledger_each(ledger, 0, 2, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 2);
	assert_int_equal(ledger_each(ledger, 2, 100, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 5);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(s.numbers[i], i + 1);
	assert_int_equal(ledger_each(ledger, 5, 100, see, &s, &err), AYNI_OK);
	assert_int_equal(ledger_each(ledger, UINT64_MAX, 100, see, &s, &err), AYNI_OK);
	assert_int_equal(ledger_each(ledger, 0, 0, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 5);
}

static void a_page_never_parts_receipts_of_one_number(void **state)
{
	struct ledger_entry e = entry(1, &ana);
	struct seen s = {.n = 0};

	(void)state;
	append(1, &ana);
	append(2, &ana);
	e.pool = pool_b;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	assert_int_equal(ledger_each(ledger, 0, 1, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.numbers[1], 1);
}

static void a_callback_ends_the_walk_with_its_value(void **state)
{
	struct seen s = {.stop = 42};

	(void)state;
	append(1, &ana);
	append(2, &ana);
	assert_int_equal(ledger_each(ledger, 0, 10, see, &s, &err), 42);
	assert_int_equal(s.n, 1);
}

static int walk_inside(void *context, const struct ledger_entry *e)
{
	struct seen inner = {.n = 0};

	(void)e;
	*(int *)context = ledger_each(ledger, 0, 10, see, &inner, &err);
	append(3, &ana); /* other statements are free */
	return 1;
}

static void a_walk_inside_the_same_walk_is_refused(void **state)
{
	int inner = 0;

	(void)state;
	append(1, &ana);
	append(2, &ana);
	assert_int_equal(ledger_each(ledger, 0, 10, walk_inside, &inner, &err), 1);
	assert_int_equal(inner, AYNI_ERR_STATE);
	assert_int_equal(ledger_last_number(ledger), 3);
}

static void finds_what_a_donor_has_not_countersigned(void **state)
{
	struct signature sig = {{8}};
	struct seen s = {.n = 0};

	(void)state;
	append(1, &ana);
	append(2, &ben);
	append(3, &ana);
	append(4, &ana);
	assert_int_equal(ledger_countersign(ledger, 3, &ana, &sig, &err), AYNI_OK);
	assert_int_equal(ledger_each_uncountersigned(ledger, &ana, 10, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.numbers[0], 1);
	assert_int_equal(s.numbers[1], 4);
	assert_int_equal(ledger_each_uncountersigned(ledger, &ana, 1, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 3);
}

static void totals_stand_most_cost_first_with_names(void **state)
{
	struct registry *r;
	struct registry_invite in = {.token_hash = {{1}}, .uses_left = 1, .note = ""};
	struct signature sig = {{8}};
	struct totals t;

	(void)state;
	assert_int_equal(registry_new(db, &r, &err), AYNI_OK);
	assert_int_equal(registry_invite_add(r, &in, 1, &err), AYNI_OK);
	assert_int_equal(registry_admit(r, &ben, 1, "Ben", &in.token_hash, 1, &err), AYNI_OK);
	registry_free(r);
	append(1, &ana);
	append(2, &ben);
	append(3, &ben);
	assert_int_equal(ledger_countersign(ledger, 2, &ben, &sig, &err), AYNI_OK);
	t = totals(0, NULL);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.names[0], "Ben");
	assert_string_equal(t.names[1], "");
	assert_int_equal(t.rows[0].giga, 2);
	assert_int_equal(t.rows[0].flop, 500000000);
	assert_int_equal(t.rows[0].receipts, 1);
	assert_int_equal(t.rows[0].waiting, 1);
	assert_int_equal(t.rows[0].units, 3);
	assert_int_equal(t.rows[0].tokens, 40);
	assert_int_equal(t.rows[0].first_ms, 1002);
	assert_int_equal(t.rows[0].last_ms, 2003);
	assert_int_equal(t.rows[1].waiting, 1);
}

static void totals_can_be_of_one_donor_and_since_a_time(void **state)
{
	struct totals t;

	(void)state;
	append(1, &ana);
	append(2, &ana);
	append(3, &ben);
	t = totals(0, &ana);
	assert_int_equal(t.n, 1);
	assert_memory_equal(&t.rows[0].key, &ana, sizeof ana);
	assert_int_equal(t.rows[0].waiting, 2);
	t = totals(2002, &ana);
	assert_int_equal(t.rows[0].waiting, 1);
	t = totals(2003, NULL);
	assert_int_equal(t.n, 1);
	assert_memory_equal(&t.rows[0].key, &ben, sizeof ben);
	assert_int_equal(totals(2004, NULL).n, 0);
}

static void totals_of_the_largest_values_do_not_overflow(void **state)
{
	struct ledger_entry e = entry(1, &ana);
	struct totals t;

	(void)state;
	e.countersigned = true;
	e.donor_signature = (struct signature){{8}};
	for (; e.number <= 4; e.number++) {
		e.units = e.tokens = e.cost.count = INT64_MAX; /* allowed: makes an extreme */
		assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	}
	t = totals(0, NULL);
	assert_int_equal(t.rows[0].giga, UINT64_C(36893488147));
	assert_int_equal(t.rows[0].flop, 419103228);
	assert_true(t.rows[0].units == UINT64_MAX); /* four times 2^63 - 1 does not fit */
	e.number = 5;
	e.donor = ben;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	e.number = 6;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	assert_true(totals(0, &ben).rows[0].units == UINT64_MAX - 1);
}

static void joins_an_open_transaction(void **state)
{
	(void)state;
	assert_int_equal(db_begin(db, &err), AYNI_OK);
	append(1, &ana);
	append(2, &ana);
	db_rollback(db);
	assert_int_equal(ledger_last_number(ledger), 0);
}

static void die_appending(int receipts, bool commit)
{
	open_books();
	if (db_begin(db, NULL) != AYNI_OK)
		_exit(1);
	for (int i = 1; i <= receipts; i++) {
		struct ledger_entry e = entry((uint64_t)i, &ana);

		if (ledger_append(ledger, &e, NULL) != AYNI_OK)
			_exit(1);
	}
	if (commit && db_commit(db, NULL) != AYNI_OK)
		_exit(1);
	(void)raise(SIGKILL);
}

static void a_process_killed_in_the_middle_of_a_batch_leaves_all_or_nothing(void **state)
{
	static const struct {
		int receipts;
		bool commit;
	} points[] = {{0, false}, {1, false}, {500, false}, {1000, false}, {1000, true}};

	(void)state;
	for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
		int status;
		pid_t child;

		close_books(); /* SQLite's connections do not survive a fork */
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			die_appending(points[i].receipts, points[i].commit);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		open_books();
		assert_int_equal(ledger_last_number(ledger), points[i].commit ? 1000 : 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- sessions and standing ---------------------------------------------------------------- */

static void append_of(uint64_t number, const struct public_key *donor, uint64_t session)
{
	struct ledger_entry e = entry(number, donor);

	e.session = session;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
}

static void append_standing(uint64_t number, const struct public_key *donor)
{
	struct ledger_entry e = entry(number, donor);

	e.units = e.tokens = 0;
	e.cost = (struct flop){0};
	e.layer_first = e.layer_last = 0;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
}

static void finds_the_receipts_of_a_session(void **state)
{
	struct pseudonym name = {{0x80, 0, 0, 0, 0, 0, 0, 3}};
	struct seen s = {.n = 0};

	(void)state;
	assert_int_equal(ledger_session(&name), UINT64_C(0x4000000000000001));
	append_of(1, &ana, ledger_session(&name));
	append_of(2, &ben, 7);
	append_of(3, &ben, ledger_session(&name));
	append(4, &ana); /* of none */
	assert_int_equal(
	    ledger_each_of_session(ledger, ledger_session(&name), 0, 9, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 2);
	assert_true(s.numbers[0] == 1 && s.numbers[1] == 3);
	assert_true(s.last.session == ledger_session(&name));
	assert_int_equal(
	    ledger_each_of_session(ledger, ledger_session(&name), 1, 9, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 3);
	assert_int_equal(ledger_each_of_session(ledger, 0, 0, 9, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 3);
}

static void changes_of_standing_count_as_no_work_and_wait_for_nobody(void **state)
{
	struct totals t;
	struct seen s = {.n = 0};

	(void)state;
	append_standing(1, &ana);
	append(2, &ana);
	append_standing(3, &ben);
	append_standing(4, &ana);
	t = totals(0, NULL);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.rows[0].receipts, 0);
	assert_int_equal(t.rows[0].waiting, 1);
	assert_int_equal(totals(1, &ana).rows[0].waiting, 1);
	assert_int_equal(totals(0, &ben).n, 0);
	assert_int_equal(ledger_each_uncountersigned(ledger, &ana, 9, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.numbers[0], 2);
	assert_int_equal(ledger_each_standing(ledger, &ana, 0, 9, see, &s, &err), AYNI_OK);
	assert_int_equal(s.n, 3);
	assert_true(s.numbers[1] == 1 && s.numbers[2] == 4);
	assert_int_equal(ledger_last_number(ledger), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(gives_back_a_receipt_as_it_was_signed),
	    TEST(the_last_number_is_0_in_empty_books_and_survives_closing),
	    TEST(the_same_receipt_again_is_fine),
	    TEST(a_receipt_of_a_taken_number_with_other_bytes_is_refused),
	    TEST(two_pools_may_use_one_number),
	    TEST(refuses_values_that_cannot_be_kept),
	    TEST(a_donor_countersigns_once),
	    TEST(a_receipt_that_comes_again_countersigned_gains_the_signature),
	    TEST(the_file_itself_refuses_to_change_or_delete_receipts),
	    TEST(walks_in_order_of_number_page_by_page),
	    TEST(finds_the_receipts_of_a_session),
	    TEST(changes_of_standing_count_as_no_work_and_wait_for_nobody),
	    TEST(a_page_never_parts_receipts_of_one_number),
	    TEST(a_callback_ends_the_walk_with_its_value),
	    TEST(a_walk_inside_the_same_walk_is_refused),
	    TEST(finds_what_a_donor_has_not_countersigned),
	    TEST(totals_stand_most_cost_first_with_names),
	    TEST(totals_can_be_of_one_donor_and_since_a_time),
	    TEST(totals_of_the_largest_values_do_not_overflow),
	    TEST(joins_an_open_transaction),
	    TEST(a_process_killed_in_the_middle_of_a_batch_leaves_all_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
