/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/team.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* The same where items are more than can be walked. */
static void count_calls(void *context, size_t first, size_t end, unsigned thread)
{
	struct count *c = context;

	(void)thread;
	atomic_fetch_add(&c->calls, (unsigned)((end - first) / c->grain));
	if (first >= end || first % c->grain != 0 || (end % c->grain != 0 && end != c->n_items))
		atomic_fetch_add(&c->bad, 1);
}

static void check_run(struct team *t, size_t n_items, size_t grain)
{
	struct count c = {.n_items = n_items, .grain = grain, .n_threads = team_size(t)};

	team_run(t, n_items, grain, count_items, &c);
	assert_int_equal(atomic_load(&c.bad), 0);
	assert_true(atomic_load(&c.calls) <= n_items);
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

/* One thread's first piece ends when all other items are done. */
struct held_up {
	unsigned thread;
	atomic_uint done;
	unsigned n_items;
	unsigned pieces[TEAM_MAX_THREADS]; /* plain: each thread has its own, read after the run */
};

static void hold_up(void *context, size_t first, size_t end, unsigned thread)
{
	struct held_up *h = context;

	h->pieces[thread]++;
	while (thread == h->thread && atomic_load(&h->done) + (end - first) < h->n_items)
		(void)sched_yield();
	atomic_fetch_add(&h->done, (unsigned)(end - first));
}

static void others_do_the_work_of_a_thread_that_is_held_up(void **state)
{
	struct team *t;

	(void)state;
	for (unsigned n_threads = 2; n_threads <= 4; n_threads++) {
		assert_int_equal(team_new(n_threads, &t, NULL), AYNI_OK);
		for (unsigned run = 0; run < 100; run++) {
			struct held_up h = {.thread = run % n_threads, .n_items = 100};

			for (int i = 0; run % 10 < n_threads && i < 1000; i++)
				(void)sched_yield(); /* until its threads sleep */
			team_run(t, h.n_items, 1, hold_up, &h);
			assert_int_equal(atomic_load(&h.done), h.n_items);
			assert_true(h.pieces[h.thread] <= 1);
		}
		team_free(t);
	}
}

static void finishes_many_tiny_runs_with_more_threads_than_processors(void **state)
{
	const unsigned threads[] = {2, 16};

	(void)state;
	for (size_t a = 0; a < sizeof threads / sizeof threads[0]; a++) {
		struct count c = {.n_items = 3, .grain = 1, .n_threads = threads[a]};
		struct team *t;

		assert_int_equal(team_new(threads[a], &t, NULL), AYNI_OK);
		for (int run = 0; run < 100000; run++)
			team_run(t, c.n_items, c.grain, count_items, &c);
		for (size_t i = 0; i < c.n_items; i++)
			assert_int_equal(atomic_load(&c.seen[i]), 100000);
		assert_int_equal(atomic_load(&c.bad), 0);
		team_free(t);
	}
}

static void takes_ranges_close_to_the_largest_numbers(void **state)
{
	struct count c = {.n_items = SIZE_MAX, .grain = SIZE_MAX / 3, .n_threads = 2};
	struct team *t;

	(void)state;
	assert_int_equal(team_new(2, &t, NULL), AYNI_OK);
	for (int run = 0; run < 100; run++)
		team_run(t, c.n_items, c.grain, count_calls, &c);
	assert_int_equal(atomic_load(&c.calls), 300);
	assert_int_equal(atomic_load(&c.bad), 0);
	team_free(t);
}

static void run_again(void *context, size_t first, size_t end, unsigned thread)
{
	struct sums s = {{0}};

	(void)first;
	(void)end;
	(void)thread;
	team_run(context, 1, 1, add_up, &s);
}

static void a_run_within_a_run_is_a_programming_error(void **state)
{
	int status = 0;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		struct team *t;

		(void)signal(SIGABRT, SIG_DFL);
		if (freopen("/dev/null", "w", stderr) != NULL && team_new(2, &t, NULL) == AYNI_OK)
			team_run(t, 8, 1, run_again, t);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void binds_its_threads_to_a_processor_each(void **state)
{
	cpu_set_t before, now;
	struct error err = {0};
	struct team *t;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	assert_int_equal(team_new(2, &t, NULL), AYNI_OK);
	if (CPU_COUNT(&before) >= 2) {
		assert_int_equal(team_pin(t, &err), AYNI_OK);
		assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
		assert_int_equal(CPU_COUNT(&now), 1);
		check_run(t, 1000, 3);
	}
	/* This thread has one processor now, if it had more. */
	assert_int_equal(team_pin(t, &err), AYNI_ERR_ARGUMENT);
	assert_non_null(strstr(err.text, "2 threads"));
	assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
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
	    cmocka_unit_test(others_do_the_work_of_a_thread_that_is_held_up),
	    cmocka_unit_test(finishes_many_tiny_runs_with_more_threads_than_processors),
	    cmocka_unit_test(takes_ranges_close_to_the_largest_numbers),
	    cmocka_unit_test(a_run_within_a_run_is_a_programming_error),
	    cmocka_unit_test(binds_its_threads_to_a_processor_each),
	    cmocka_unit_test(ends_while_its_threads_sleep_or_start),
	    cmocka_unit_test(refuses_sizes_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
