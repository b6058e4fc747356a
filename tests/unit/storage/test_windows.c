/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/schema.h"
#include "storage/windows.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static struct db *db;
static struct windows *windows;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	if (db_open(scratch_path(&scratch, "pool.db"), DB_READ_WRITE, &db, &err) != AYNI_OK)
		return -1;
	return windows_new(db, &windows, &err);
}

static int tear_down(void **state)
{
	(void)state;
	windows_free(windows);
	db_free(db);
	scratch_remove(&scratch);
	return 0;
}

static struct window make(uint8_t donor, uint64_t units)
{
	struct window w = {.number = donor,
	    .donor = {{donor}},
	    .session = {{5}},
	    .model = {{7}},
	    .layer_first = 2,
	    .layer_last = 5,
	    .units = units,
	    .tokens = 3 * units,
	    .units_hash = {{9}},
	    .first_ms = 100,
	    .last_ms = 200};

	assert_int_equal(flop_from(1000 * units, &w.cost), AYNI_OK);
	return w;
}

struct list {
	size_t n;
	struct window windows[8];
};

static int add(void *context, const struct window *w)
{
	struct list *l = context;

	l->windows[l->n++] = *w;
	return 0;
}

static struct list all(void)
{
	struct list l = {0};

	assert_int_equal(windows_each(windows, add, &l, &err), AYNI_OK);
	return l;
}

static void a_window_is_read_as_it_was_written(void **state)
{
	struct window w = make(1, 4);
	struct list l;

	(void)state;
	assert_int_equal(windows_put(windows, &w, &err), AYNI_OK);
	l = all();
	assert_int_equal(l.n, 1);
	assert_memory_equal(&l.windows[0], &w, sizeof w);
}

static void the_latest_of_a_number_counts(void **state)
{
	struct list l;

	(void)state;
	for (uint64_t units = 1; units <= 3; units++) {
		struct window a = make(1, units), b = make(2, 10 * units);

		assert_int_equal(windows_put(windows, &b, &err), AYNI_OK);
		assert_int_equal(windows_put(windows, &a, &err), AYNI_OK);
	}
	l = all();
	assert_int_equal(l.n, 2);
	assert_int_equal(l.windows[0].units, 3);
	assert_int_equal(l.windows[1].units, 30);
}

static void a_dropped_one_is_gone_and_one_that_is_not_there_may_be_dropped(void **state)
{
	struct window a = make(1, 1), b = make(2, 2);
	struct list l;

	(void)state;
	assert_int_equal(windows_put(windows, &a, &err), AYNI_OK);
	assert_int_equal(windows_put(windows, &b, &err), AYNI_OK);
	assert_int_equal(windows_drop(windows, a.number, &err), AYNI_OK);
	assert_int_equal(windows_drop(windows, a.number, &err), AYNI_OK);
	l = all();
	assert_int_equal(l.n, 1);
	assert_int_equal(l.windows[0].units, 2);
}

static void an_empty_window_is_refused(void **state)
{
	struct window w = make(1, 0);

	(void)state;
	assert_int_not_equal(windows_put(windows, &w, &err), AYNI_OK);
	assert_int_equal(all().n, 0);
}

#define DONOR_A "a key of thirty-two letters: ana"
#define DONOR_B "a key of thirty-two letters: ben"

/* One a donor, of several sessions. */
static void windows_of_an_older_file_are_there_without_a_session(void **state)
{
	sqlite3 *file;
	struct list l;

	(void)state;
	assert_int_equal(sqlite3_open(scratch_path(&scratch, "old.db"), &file), SQLITE_OK);
	for (int i = 0; i < 5; i++)
		assert_int_equal(
		    sqlite3_exec(file, schema_migrations[i].sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(file,
	                     "INSERT INTO windows SELECT CAST(column1 AS BLOB), zeroblob(32), 1, 2,"
	                     " 3, 4, 5, zeroblob(32), 6, 7"
	                     " FROM (VALUES ('" DONOR_B "'), ('" DONOR_A "'))",
	                     NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_close(file), SQLITE_OK);
	windows_free(windows);
	db_free(db);
	assert_int_equal(
	    db_open(scratch_path(&scratch, "old.db"), DB_READ_WRITE, &db, &err), AYNI_OK);
	assert_int_equal(windows_new(db, &windows, &err), AYNI_OK);
	l = all();
	assert_int_equal(l.n, 2);
	assert_int_equal(l.windows[0].number, 1);
	assert_memory_equal(&l.windows[0].donor, DONOR_A, PUBLIC_KEY_BYTES);
	assert_memory_equal(&l.windows[1].donor, DONOR_B, PUBLIC_KEY_BYTES);
	assert_false(pseudonym_is_set(&l.windows[0].session));
	assert_int_equal(l.windows[1].units, 3);
	assert_int_equal(l.windows[1].last_ms, 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_window_is_read_as_it_was_written),
	    TEST(the_latest_of_a_number_counts),
	    TEST(a_dropped_one_is_gone_and_one_that_is_not_there_may_be_dropped),
	    TEST(an_empty_window_is_refused),
	    TEST(windows_of_an_older_file_are_there_without_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
