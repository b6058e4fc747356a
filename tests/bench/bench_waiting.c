/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests cost that wait: memory of each, and a turn of the scheduler with so many of them,
 * whether they wait for room or for layers that nobody holds. tests/bench/README.md has figures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "node/loop.h"
#include "tests/support/crowd.h"

enum { WAITING = 10000, SESSIONS = 32, TURNS = 200 };

static void fill(struct crowd *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(crowd_submit(c, NULL), AYNI_OK);
}

/* Microseconds of one in which nothing changes. */
static double turn_us(struct crowd *c)
{
	uint64_t began;

	crowd_run(c, false);
	began = loop_now_us();
	for (int i = 0; i < TURNS; i++) {
		crowd_run(c, false);
		(void)scheduler_next_us(c->scheduler);
	}
	return (double)(loop_now_us() - began) / TURNS;
}

static void waiting_requests(void **unused)
{
	size_t before;
	uint64_t began;
	struct crowd c;

	(void)unused;
	crowd_open(&c, SESSIONS, WAITING);
	before = crowd_heap_bytes();
	fill(&c, WAITING);
	printf("a request of %d tokens that waits: %.2f KiB\n", CROWD_PROMPT,
	    (double)(crowd_heap_bytes() - before) / WAITING / 1024);
	printf("a turn with %d that wait for layers: %.0f us\n", WAITING, turn_us(&c));
	crowd_donor(&c, SESSIONS);
	began = loop_now_us();
	crowd_serve(&c);
	printf("a request that is served, with such a crowd: %.1f us\n",
	    (double)(loop_now_us() - began) / WAITING);
	fill(&c, WAITING + SESSIONS);
	printf("a turn with %d that wait for room: %.0f us\n", WAITING, turn_us(&c));
	began = loop_now_us();
	crowd_give_up(&c);
	printf("all of them cancelled: %.2f us each\n", (double)(loop_now_us() - began) / WAITING);
	crowd_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(waiting_requests)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
