/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/team.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_ITEMS = 1000 };

struct count {
	atomic_uint seen[MAX_ITEMS];
	atomic_uint calls;
	atomic_uint bad; /* ranges that break the contract */
	size_t n_items;
	size_t grain;
	unsigned n_threads;
};

static void count_items(void *context, size_t first, size_t end, unsigned thread)
{
	struct count *c = context;

	atomic_fetch_add(&c->calls, 1);
	if (first >= end || end > c->n_items || thread >= c->n_threads || first % c->grain != 0 ||
	    (end % c->grain != 0 && end != c->n_items))
		atomic_fetch_add(&c->bad, 1);
	for (size_t i = first; i < end && i < MAX_ITEMS; i++)
		atomic_fetch_add(&c->seen[i], 1);
}

static void check_run(struct team *t, size_t n_items, size_t grain)
{
	struct count c = {.n_items = n_items, .grain = grain, .n_threads = team_size(t)};

	team_run(t, n_items, grain, count_items, &c);
	assert_int_equal(atomic_load(&c.bad), 0);
	assert_true(atomic_load(&c.calls) <= team_size(t));
	for (size_t i = 0; i < MAX_ITEMS; i++)
		assert_int_equal(atomic_load(&c.seen[i]), i < n_items ? 1 : 0);
}

static void runs_each_item_exactly_once(void **state)
{
	const unsigned threads[] = {1, 2, 3, 4, 7};
	const size_t items[] = {0, 1, 2, 3, 5, 7, 8, 16, 31, 64, 100, 999, 1000};
	const size_t grains[] = {1, 2, 3, 8, 64, 5000};

	(void)state;
	for (size_t a = 0; a < sizeof threads / sizeof threads[0]; a++) {
		struct team *t;

		assert_int_equal(team_new(threads[a], &t, NULL), AYNI_OK);
		assert_int_equal(team_size(t), threads[a]);
		for (size_t b = 0; b < sizeof items / sizeof items[0]; b++)
			for (size_t c = 0; c < sizeof grains / sizeof grains[0]; c++)
				check_run(t, items[b], grains[c]);
		team_free(t);
	}
}

struct sums {
	uint64_t part[TEAM_MAX_THREADS]; /* plain: each thread has its own, read after the run */
};

static void add_up(void *context, size_t first, size_t end, unsigned thread)
{
	struct sums *s = context;

	for (size_t i = first; i < end; i++)
		s->part[thread] += i;
}

static void sees_all_work_after_each_of_many_runs(void **state)
{
	struct sums s = {{0}};
	struct team *t;
	uint64_t total = 0;

	(void)state;
	assert_int_equal(team_new(4, &t, NULL), AYNI_OK);
	for (uint64_t run = 1; run <= 2000; run++) {
		total = 0;
		team_run(t, 100, 1, add_up, &s);
		for (unsigned i = 0; i < team_size(t); i++)
			total += s.part[i];
		assert_int_equal(total, run * 4950);
	}
	team_free(t);
}

static void note_range(void *context, size_t first, size_t end, unsigned thread)
{
	size_t(*ranges)[2] = context;

	ranges[thread][0] = first;
	ranges[thread][1] = end;
}

static void cuts_evenly_and_alike_each_time(void **state)
{
	size_t ranges[3][2] = {{0}};
	struct team *t;

	(void)state;
	assert_int_equal(team_new(3, &t, NULL), AYNI_OK);
	team_run(t, 75, 8, note_range, ranges); /* ten grains: 4, 3, 3 */
	assert_int_equal(ranges[0][0], 0);
	assert_int_equal(ranges[0][1], 32);
	assert_int_equal(ranges[1][1], 56);
	assert_int_equal(ranges[2][0], 56);
	assert_int_equal(ranges[2][1], 75);
	team_free(t);
}

static void ends_while_its_threads_sleep_or_start(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct team *t;

		assert_int_equal(team_new(4, &t, NULL), AYNI_OK);
		team_free(t);
	}
	team_free(NULL);
}

static void refuses_sizes_that_cannot_be(void **state)
{
	struct error err = {0};
	struct team *t;

	(void)state;
	assert_int_equal(team_new(0, &t, &err), AYNI_ERR_ARGUMENT);
	assert_null(t);
	assert_int_equal(team_new(TEAM_MAX_THREADS + 1, &t, &err), AYNI_ERR_ARGUMENT);
	assert_non_null(strstr(err.text, "257 threads"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(runs_each_item_exactly_once),
	    cmocka_unit_test(sees_all_work_after_each_of_many_runs),
	    cmocka_unit_test(cuts_evenly_and_alike_each_time),
	    cmocka_unit_test(ends_while_its_threads_sleep_or_start),
	    cmocka_unit_test(refuses_sizes_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
