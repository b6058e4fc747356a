/* SPDX-License-Identifier: Apache-2.0 */
/* Which donors hand over to which: who dials, what is tried, what blocks a way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/pairs.h"

static struct pairs *l;
static int dials, listens;

static int set_up(void **state)
{
	(void)state;
	return pairs_new(&l, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	pairs_free(l);
	return 0;
}

static void heard(int who, int whom, bool up)
{
	pairs_heard(l, who, whom, up, 7000);
}

static void a_pair_is_told_once_and_used_when_it_is_up(void **state)
{
	(void)state;
	pairs_want(l, 3, true, 5, true);
	pairs_want(l, 3, true, 5, true);
	assert_true(pairs_tell(l, &dials, &listens));
	assert_int_equal(dials, 3);
	assert_int_equal(listens, 5);
	assert_false(pairs_tell(l, &dials, &listens));
	assert_false(pairs_up(l, 3, 5, 0));
	heard(3, 5, true);
	assert_true(pairs_up(l, 3, 5, 0));
	assert_true(pairs_up(l, 5, 3, 0)); /* both ways */
	heard(3, 5, false);
	assert_false(pairs_up(l, 3, 5, 0));
	heard(3, 5, true);
	assert_true(pairs_up(l, 3, 5, 0));
}

static void whoever_can_be_reached_is_dialled(void **state)
{
	(void)state;
	pairs_want(l, 5, false, 3, true);
	assert_true(pairs_tell(l, &dials, &listens));
	assert_int_equal(dials, 5);
	pairs_want(l, 1, true, 2, false);
	assert_true(pairs_tell(l, &dials, &listens));
	assert_int_equal(dials, 2);
	pairs_want(l, 2, true, 1, false); /* known already */
	pairs_want(l, 7, false, 8, false);
	assert_false(pairs_tell(l, &dials, &listens));
}

static void the_other_one_dials_if_the_first_cannot(void **state)
{
	(void)state;
	pairs_want(l, 3, true, 5, true);
	assert_true(pairs_tell(l, &dials, &listens));
	heard(3, 5, false);
	assert_true(pairs_tell(l, &dials, &listens));
	assert_int_equal(dials, 5);
	assert_int_equal(listens, 3);
	heard(3, 5, true); /* late, of the first try: it does not dial any more */
	assert_false(pairs_up(l, 3, 5, 0));
	heard(5, 3, false);
	assert_false(pairs_tell(l, &dials, &listens));
	heard(5, 3, true); /* it went on trying */
	assert_true(pairs_up(l, 3, 5, 0));
}

static void what_nobody_asked_for_is_ignored(void **state)
{
	(void)state;
	heard(3, 5, true);
	assert_false(pairs_up(l, 3, 5, 0));
	pairs_want(l, 3, true, 5, true);
	heard(3, 5, true); /* not told yet */
	assert_false(pairs_up(l, 3, 5, 0));
	pairs_lost(l, 8, 9, 0);
}

static void a_loss_blocks_the_way_each_time_for_longer(void **state)
{
	uint64_t now = 1000;

	(void)state;
	pairs_want(l, 3, true, 5, true);
	assert_true(pairs_tell(l, &dials, &listens));
	heard(3, 5, true);
	pairs_lost(l, 5, 3, now);
	assert_false(pairs_up(l, 3, 5, now + PAIR_BLOCKED_US - 1));
	now += PAIR_BLOCKED_US;
	assert_true(pairs_up(l, 3, 5, now));
	pairs_lost(l, 3, 5, now);
	assert_false(pairs_up(l, 3, 5, now + 2 * (uint64_t)PAIR_BLOCKED_US - 1));
	assert_true(pairs_up(l, 3, 5, now + 2 * (uint64_t)PAIR_BLOCKED_US));
	for (int i = 0; i < 100; i++)
		pairs_lost(l, 3, 5, now);
	assert_true(pairs_up(l, 3, 5, now + PAIR_BLOCKED_MOST_US));
}

static void what_arrives_makes_up_for_losses(void **state)
{
	(void)state;
	pairs_want(l, 3, true, 5, true);
	assert_true(pairs_tell(l, &dials, &listens));
	heard(3, 5, true);
	pairs_lost(l, 3, 5, 0);
	for (int i = 0; i < PAIR_MAKES_UP; i++)
		pairs_kept(l, 3, 5);
	pairs_lost(l, 3, 5, PAIR_BLOCKED_US);
	assert_true(pairs_up(l, 3, 5, 2 * (uint64_t)PAIR_BLOCKED_US)); /* as after the first */
}

static void a_donor_that_is_gone_takes_its_ways_with_it(void **state)
{
	(void)state;
	pairs_want(l, 3, true, 5, true);
	pairs_want(l, 3, true, 6, true);
	pairs_want(l, 5, true, 6, true);
	pairs_forget(l, 3);
	assert_true(pairs_tell(l, &dials, &listens));
	assert_int_equal(dials, 5);
	assert_false(pairs_tell(l, &dials, &listens));
	assert_false(pairs_up(l, 3, 5, 0));
}

static void open_way(int a, int b, uint64_t round_trip_us)
{
	pairs_want(l, a, true, b, true);
	assert_true(pairs_tell(l, &dials, &listens));
	pairs_heard(l, dials, listens, true, round_trip_us);
}

/* The sum of their numbers, and of their round trips. */
static uint64_t ways_of(int donor, uint64_t now_us, int *others)
{
	struct pair_way way = {0};
	uint64_t us = 0;

	*others = 0;
	while (pairs_next(l, donor, now_us, &way)) {
		*others += way.other;
		us += way.round_trip_us;
	}
	return us;
}

static void the_ways_of_a_donor_that_are_up_are_listed_with_their_round_trips(void **state)
{
	uint64_t us;
	int others;

	(void)state;
	open_way(3, 50, 100);
	open_way(7, 3, 1000);
	open_way(50, 7, 10000);
	pairs_want(l, 3, true, 9, true); /* not up */
	assert_int_equal(ways_of(3, 0, &others), 1100);
	assert_int_equal(others, 57);
	assert_int_equal(ways_of(50, 0, &others), 10100);
	assert_int_equal(ways_of(9, 0, &others), 0);
	assert_int_equal(ways_of(999, 0, &others), 0);
	assert_true(pairs_trip(l, 7, 50, 0, &us));
	assert_int_equal(us, 10000);
	assert_true(pairs_trip(l, 7, 7, 0, &us));
	assert_int_equal(us, 0);
	pairs_lost(l, 3, 7, 0);
	assert_int_equal(ways_of(3, 0, &others), 100);
	assert_int_equal(ways_of(3, PAIR_BLOCKED_US, &others), 1100);
	pairs_forget(l, 50);
	assert_int_equal(ways_of(3, PAIR_BLOCKED_US, &others), 1000);
	assert_int_equal(ways_of(7, PAIR_BLOCKED_US, &others), 1000);
	assert_int_equal(ways_of(50, PAIR_BLOCKED_US, &others), 0);
	assert_int_equal(pairs_count(l), 2);
}

static void a_donor_reaches_itself(void **state)
{
	(void)state;
	assert_true(pairs_up(l, 4, 4, 0));
	pairs_want(l, 4, true, 4, true);
	assert_false(pairs_tell(l, &dials, &listens));
	pairs_lost(l, 4, 4, 0); /* unless it does not */
	assert_false(pairs_up(l, 4, 4, PAIR_BLOCKED_US - 1));
	assert_true(pairs_up(l, 4, 4, PAIR_BLOCKED_US));
}

static void there_is_an_end_to_pairs(void **state)
{
	(void)state;
	for (int i = 0; i < PAIRS_MOST + 10; i++)
		pairs_want(l, 0, true, i + 1, true);
	for (int i = 0; i < PAIRS_MOST; i++)
		assert_true(pairs_tell(l, &dials, &listens));
	assert_false(pairs_tell(l, &dials, &listens));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_pair_is_told_once_and_used_when_it_is_up),
	    TEST(whoever_can_be_reached_is_dialled),
	    TEST(the_other_one_dials_if_the_first_cannot),
	    TEST(what_nobody_asked_for_is_ignored),
	    TEST(a_loss_blocks_the_way_each_time_for_longer),
	    TEST(what_arrives_makes_up_for_losses),
	    TEST(a_donor_that_is_gone_takes_its_ways_with_it),
	    TEST(the_ways_of_a_donor_that_are_up_are_listed_with_their_round_trips),
	    TEST(a_donor_reaches_itself),
	    TEST(there_is_an_end_to_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
