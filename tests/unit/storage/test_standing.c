/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/standing.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static struct db *db;
static struct standing_store *store;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	if (db_open(scratch_path(&scratch, "pool.db"), DB_READ_WRITE, &db, &err) != AYNI_OK)
		return -1;
	return standing_new(db, &store, &err);
}

static int tear_down(void **state)
{
	(void)state;
	standing_free(store);
	db_free(db);
	scratch_remove(&scratch);
	return 0;
}

struct list {
	size_t n;
	struct standing all[8];
};

static int add(void *context, const struct standing *s)
{
	struct list *l = context;

	l->all[l->n++] = *s;
	return 0;
}

static struct list all(void)
{
	struct list l = {0};

	assert_int_equal(standing_each(store, add, &l, &err), AYNI_OK);
	return l;
}

static void those_seen_last_come_first_as_they_were_written(void **state)
{
	struct standing a = {
	    .donor = {{1}}, .state = 3, .verified_units = 9, .lies = 1, .seen_ms = 5};
	struct standing b = {.donor = {{2}}, .state = 2, .right_units = 7, .verified_units = 9};
	struct list l;

	(void)state;
	(void)snprintf(a.reason, sizeof a.reason, "it lied");
	b.seen_ms = 6;
	assert_int_equal(standing_put(store, &a, &err), AYNI_OK);
	assert_int_equal(standing_put(store, &b, &err), AYNI_OK);
	l = all();
	assert_int_equal(l.n, 2);
	assert_memory_equal(&l.all[0], &b, sizeof b);
	assert_memory_equal(&l.all[1], &a, sizeof a);
}

static void a_reason_stays_until_there_is_another(void **state)
{
	struct standing s = {.donor = {{1}}, .reason = "first"};

	(void)state;
	assert_int_equal(standing_put(store, &s, &err), AYNI_OK);
	s.reason[0] = '\0';
	s.seen_ms = 7;
	assert_int_equal(standing_put(store, &s, &err), AYNI_OK);
	assert_string_equal(all().all[0].reason, "first");
	assert_int_equal(all().all[0].seen_ms, 7);
	(void)snprintf(s.reason, sizeof s.reason, "second");
	assert_int_equal(standing_put(store, &s, &err), AYNI_OK);
	assert_int_equal(all().n, 1);
	assert_string_equal(all().all[0].reason, "second");
}

static void what_cannot_be_is_refused(void **state)
{
	struct standing s = {.donor = {{1}}, .state = 5};

	(void)state;
	assert_int_not_equal(standing_put(store, &s, &err), AYNI_OK);
	s.state = 2;
	s.right_units = 1;
	assert_int_not_equal(standing_put(store, &s, &err), AYNI_OK);
	assert_int_equal(all().n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(those_seen_last_come_first_as_they_were_written),
	    TEST(a_reason_stays_until_there_is_another),
	    TEST(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
