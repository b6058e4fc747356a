/* SPDX-License-Identifier: Apache-2.0 */
/* Sums by the subtrees of the log against the same question put to every receipt in SQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/registry.h"
#include "storage/schema.h"
#include "storage/sums.h"
#include "storage/tree.h"
#include "tests/support/scratch.h"

enum { N_DONORS = 9, N_MODELS = 3, RECEIPTS = 4 * 4096 + 4096 + 700, STEP_MS = 60000 };

static const uint64_t begin_ms = UINT64_C(20000) * SUMS_DAY_MS + 5000000;

static struct scratch scratch;
static struct error err;
static struct db *db;
static struct ledger *ledger;
static struct tree *tree;
static struct sums *sums;
static uint64_t random_state;

static void open_books(const char *name)
{
	assert_int_equal(db_open(scratch_path(&scratch, name), DB_READ_WRITE, &db, &err), AYNI_OK);
	assert_int_equal(ledger_new(db, &ledger, &err), AYNI_OK);
	assert_int_equal(tree_new(db, ledger, &tree, &err), AYNI_OK);
	assert_int_equal(sums_new(db, &sums, &err), AYNI_OK);
}

static void close_books(void)
{
	sums_free(sums);
	tree_free(tree);
	ledger_free(ledger);
	db_free(db);
}

static int set_up(void **state)
{
	(void)state;
	random_state = 1;
	scratch_make(&scratch);
	open_books("a.db");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_books();
	scratch_remove(&scratch);
	return 0;
}

static uint64_t draw(uint64_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (random_state >> 33) % n;
}

static void sql(const char *text)
{
	assert_int_equal(sqlite3_exec(db_handle(db), text, NULL, NULL, NULL), SQLITE_OK);
}

/* Nearly in the order of time: some windows waited for days. Some entries are of no work. */
static void append(uint64_t number)
{
	static const uint8_t bytes[] = "signed";
	uint64_t late = draw(50) == 0 ? draw(3 * (uint64_t)SUMS_DAY_MS) : draw(600000);
	struct ledger_entry e = {.number = number,
	    .pool = {{1}},
	    .donor = {{2, (uint8_t)draw(N_DONORS)}},
	    .model = {{3, (uint8_t)draw(N_MODELS)}},
	    .units = draw(20) == 0 ? 0 : 1 + (draw(1000) << draw(40)),
	    .tokens = draw(100000),
	    .cost = {draw(UINT64_C(1) << 31) * 4000}, /* allowed: a made-up amount */
	    .receipt = {bytes, sizeof bytes}};

	e.last_ms = begin_ms + number * STEP_MS - (late < number * STEP_MS ? late : 0);
	e.first_ms = e.last_ms - draw(60000);
	e.countersigned = draw(10) > 0;
	e.donor_signature.bytes[0] = 1;
	assert_int_equal(ledger_append(ledger, &e, &err), AYNI_OK);
	assert_int_equal(tree_append(tree, number, e.receipt, &err), AYNI_OK);
}

static void append_all(uint64_t first, uint64_t last)
{
	assert_int_equal(db_begin(db, &err), AYNI_OK);
	for (uint64_t i = first; i <= last; i++)
		append(i);
	assert_int_equal(db_commit(db, &err), AYNI_OK);
}

/* ---- the same by SQL ---------------------------------------------------------------------- */

#define SIGNED "(donor_signature <> zeroblob(64))"

#define PLAIN(what, order)                                                                         \
	"SELECT " what ", sum(" SIGNED "), sum(" SIGNED " * cost), sum(" SIGNED " * units),"       \
	" sum(" SIGNED " * tokens), min(first_ms), max(last_ms), sum(NOT " SIGNED ")"              \
	" FROM receipts AS r WHERE units > 0 AND last_ms >= ? GROUP BY 1 ORDER BY " order

static const char *const plain[] = {
    [SUMS_BY_DONOR] = PLAIN("(SELECT key FROM keys WHERE id = donor)", "3 DESC, donor"),
    [SUMS_BY_MODEL] = PLAIN("(SELECT key FROM keys WHERE id = model)", "3 DESC, model"),
    [SUMS_BY_DAY] = PLAIN("last_ms / 86400000 * 86400000", "1"),
    [SUMS_BY_TEAM] = PLAIN("coalesce((SELECT team FROM teams, keys WHERE id = r.donor"
                           " AND key = teams.donor), '')",
        "3 DESC"),
};

struct comparison {
	sqlite3_stmt *s;
	enum sums_by by;
	uint64_t rows;
};

static int compare(void *context, const struct sums_row *r)
{
	struct comparison *c = context;
	sqlite3_stmt *s = c->s;

	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	if (c->by == SUMS_BY_DAY)
		assert_int_equal(r->day_ms, sqlite3_column_int64(s, 0));
	else if (c->by == SUMS_BY_TEAM)
		assert_string_equal(r->team, (const char *)sqlite3_column_text(s, 0));
	else
		assert_memory_equal(r->key.bytes, sqlite3_column_blob(s, 0), HASH_BYTES);
	assert_int_equal(r->receipts, sqlite3_column_int64(s, 1));
	assert_int_equal(r->giga * 1000000000 + r->flop, sqlite3_column_int64(s, 2));
	assert_true(r->flop < 1000000000);
	assert_int_equal(r->units, sqlite3_column_int64(s, 3));
	assert_int_equal(r->tokens, sqlite3_column_int64(s, 4));
	assert_int_equal(r->first_ms, sqlite3_column_int64(s, 5));
	assert_int_equal(r->last_ms, sqlite3_column_int64(s, 6));
	assert_int_equal(r->waiting, sqlite3_column_int64(s, 7));
	c->rows++;
	return 0;
}

static uint64_t assert_same(enum sums_by by, uint64_t since_ms)
{
	struct sums_filter f = {.by = by, .since_ms = since_ms};
	struct comparison c = {.by = by};

	assert_int_equal(sqlite3_prepare_v2(db_handle(db), plain[by], -1, &c.s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_bind_int64(c.s, 1, (sqlite3_int64)since_ms), SQLITE_OK);
	assert_int_equal(sums_each(sums, &f, compare, &c, &err), AYNI_OK);
	assert_int_equal(sqlite3_step(c.s), SQLITE_DONE);
	(void)sqlite3_finalize(c.s);
	return c.rows;
}

static void assert_all_same(uint64_t receipts)
{
	uint64_t days = receipts * STEP_MS / SUMS_DAY_MS + 2;

	for (int by = SUMS_BY_DONOR; by <= SUMS_BY_TEAM; by++) {
		(void)assert_same((enum sums_by)by, 0);
		for (uint64_t day = 0; day < days; day += 1 + days / 5) {
			uint64_t since = begin_ms / SUMS_DAY_MS * SUMS_DAY_MS + day * SUMS_DAY_MS;

			(void)assert_same((enum sums_by)by, since);
			(void)assert_same((enum sums_by)by, since + 1 + draw(SUMS_DAY_MS - 1));
		}
		assert_int_equal(assert_same((enum sums_by)by, begin_ms * 2), 0);
	}
}

static void form_teams(void)
{
	sql("INSERT INTO teams SELECT DISTINCT k.key, CASE k.id % 3 WHEN 0 THEN 'otters' ELSE"
	    " 'lynxes' END FROM receipts AS r JOIN keys AS k ON k.id = r.donor"
	    " WHERE k.id % 4 <> 1");
}

static void views_are_what_the_receipts_say(void **state)
{
	static const uint64_t sizes[] = {0, 1, 4095, 4096, 16384, RECEIPTS};
	uint64_t done = 0;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		append_all(done + 1, sizes[i]);
		if (done == 1)
			form_teams();
		done = sizes[i];
		assert_all_same(done);
	}
	assert_true(assert_same(SUMS_BY_DONOR, 0) == N_DONORS);
	assert_true(assert_same(SUMS_BY_MODEL, 0) == N_MODELS);
	assert_true(assert_same(SUMS_BY_TEAM, 0) == 3);
	assert_true(assert_same(SUMS_BY_DAY, 0) >= 14);
}

static void books_without_a_log_are_read_as_a_whole(void **state)
{
	(void)state;
	append_all(1, 5000);
	sql("DROP TRIGGER tree_never_deleted; DROP TRIGGER sums_never_deleted;"
	    "DELETE FROM tree; DELETE FROM sums");
	assert_all_same(5000);
}

static int stop(void *context, const struct sums_row *r)
{
	(void)r;
	*(int *)context += 1;
	return 42;
}

static void a_callback_ends_the_walk_with_its_value(void **state)
{
	struct sums_filter f = {.by = SUMS_BY_DONOR};
	int n = 0;

	(void)state;
	append_all(1, 30);
	assert_int_equal(sums_each(sums, &f, stop, &n, &err), 42);
	assert_int_equal(n, 1);
}

static int64_t number(sqlite3 *file, const char *text)
{
	sqlite3_stmt *s;
	int64_t n;

	assert_int_equal(sqlite3_prepare_v2(file, text, -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	n = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return n;
}

#define SAME(direction) "SELECT count(*) FROM (SELECT * FROM " direction ")"

/* A file of the version before has its receipts and tree, and gets these very sums. */
static void an_older_file_gets_the_sums_it_would_have_had(void **state)
{
	(void)state;
	append_all(1, RECEIPTS);
	sql("CREATE TABLE kept AS SELECT * FROM sums;"
	    "DROP TABLE teams; CREATE INDEX receipts_totals ON receipts (donor);");
	for (size_t i = 0; i < schema_n_migrations; i++) {
		if (strstr(schema_migrations[i].name, "sums") != NULL)
			sql(schema_migrations[i].sql);
	}
	assert_true(number(db_handle(db), "SELECT count(*) FROM kept") > 100);
	assert_int_equal(number(db_handle(db), SAME("kept EXCEPT SELECT * FROM sums")), 0);
	assert_int_equal(number(db_handle(db), SAME("sums EXCEPT SELECT * FROM kept")), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(views_are_what_the_receipts_say),
	    TEST(books_without_a_log_are_read_as_a_whole),
	    TEST(a_callback_ends_the_walk_with_its_value),
	    TEST(an_older_file_gets_the_sums_it_would_have_had),
	};

	return cmocka_run_group_tests_name("sums", tests, NULL, NULL);
}
