/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many requests before a pool that serves few at once. The program's own allocator can refuse large
 * pieces; a sanitizer has one of its own, and then that test is left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/crowd.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAN_REFUSE_MEMORY 1
#else
#define CAN_REFUSE_MEMORY 0
#endif

enum {
	SESSIONS = 32,
	WAITING = 10000,
	LONG_PAGES = CROWD_KV_TOKENS / KV_PAGE_TOKENS, /* of a request that may fill its context */
	WAITING_BYTES = 1024                           /* of a request, its short prompt included */
};

static size_t refused_from = SIZE_MAX; /* bytes */

#if CAN_REFUSE_MEMORY
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
	return size < refused_from ? __libc_malloc(size) : NULL;
}
#endif

static struct crowd crowd;

static int set_up(void **state)
{
	(void)state;
	crowd_open(&crowd, SESSIONS, WAITING);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	refused_from = SIZE_MAX;
	crowd_close(&crowd);
	return 0;
}

static void submit(size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(crowd_submit(&crowd, NULL), AYNI_OK);
}

static void ten_thousand_that_wait_take_little_memory(void **state)
{
	size_t before = crowd_heap_bytes();

	(void)state;
	submit(WAITING);
	crowd_run(&crowd, false);
	assert_in_range(crowd_heap_bytes() - before, 0, (size_t)WAITING * WAITING_BYTES);
	assert_int_equal(crowd.scheduler->n_waiting, WAITING);
}

static void each_of_ten_thousand_is_served_and_one_more_is_refused(void **state)
{
	struct error err;

	(void)state;
	submit(SESSIONS + WAITING);
	assert_int_equal(crowd_submit(&crowd, &err), AYNI_ERR_AGAIN);
	assert_string_equal(err.text, "the pool is full; try again later");
	crowd_donor(&crowd, SESSIONS);
	crowd_serve(&crowd);
	assert_int_equal(crowd.ended[FINISH_LENGTH], SESSIONS + WAITING);
	assert_int_equal(crowd_submit(&crowd, NULL), AYNI_OK);
}

static void who_lost_its_donors_waits_before_those_that_came_later(void **state)
{
	(void)state;
	crowd_donor(&crowd, 2);
	submit(5);
	crowd_run(&crowd, false);
	assert_int_equal(crowd.scheduler->n_bound, 2);
	roster_remove(crowd.roster, 0);
	crowd_run(&crowd, false);
	assert_int_equal(crowd.scheduler->n_waiting, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(crowd.scheduler->waiting[i]->r.id, i + 1);
}

static void a_long_request_waits_until_its_end_is_sure_and_nobody_passes_it(void **state)
{
	(void)state;
	crowd_donor(&crowd, LONG_PAGES + 1);
	submit(3);
	crowd.scheduler->waiting[2]->r.max_tokens = 0;
	submit(2);
	crowd_run(&crowd, false);
	assert_int_equal(crowd.scheduler->n_bound, 2); /* LONG_PAGES - 1 are left */
	assert_int_equal(crowd.scheduler->n_waiting, 3);
	crowd_give_up(&crowd);
	submit(2);
	crowd.scheduler->waiting[0]->r.max_tokens = 0;
	crowd_run(&crowd, false);
	assert_int_equal(crowd.scheduler->n_bound, 2);
	assert_int_equal(roster_get(crowd.roster, 0)->pages, LONG_PAGES + 1);
}

static void a_request_ends_if_there_is_no_memory_to_serve_it(void **state)
{
	(void)state;
	if (!CAN_REFUSE_MEMORY)
		skip();
	crowd_donor(&crowd, LONG_PAGES + 1);
	submit(1);
	crowd.scheduler->waiting[0]->r.max_tokens = 0; /* it may fill the context */
	submit(1);
	refused_from = (size_t)CROWD_KV_TOKENS * 4;
	crowd_run(&crowd, true);
	refused_from = SIZE_MAX;
	assert_int_equal(crowd.ended[FINISH_FAILED], 1);
	crowd_serve(&crowd);
	assert_int_equal(crowd.ended[FINISH_LENGTH], 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(ten_thousand_that_wait_take_little_memory),
	    TEST(each_of_ten_thousand_is_served_and_one_more_is_refused),
	    TEST(who_lost_its_donors_waits_before_those_that_came_later),
	    TEST(a_long_request_waits_until_its_end_is_sure_and_nobody_passes_it),
	    TEST(a_request_ends_if_there_is_no_memory_to_serve_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
