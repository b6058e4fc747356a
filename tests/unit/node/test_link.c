/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/link.h"
#include "node/pool/placement.h"

enum { SECOND_US = 1000000, BEGAN = SECOND_US, MB = 1000000, ASSUMED = 2500000 };

static void assert_near(uint64_t value, double wanted)
{
	if (fabs((double)value - wanted) > 0.02 * wanted)
		fail_msg("%llu is not about %g", (unsigned long long)value, wanted);
}

/* All that was asked for at such a rate. */
static void fetch(struct link *l, uint64_t assignment, uint64_t bytes, uint64_t bytes_per_s)
{
	for (unsigned i = 0; i < 10; i++)
		link_asked(l, assignment, bytes / 10, BEGAN + i);
	link_fetched(l, true, UINT64_MAX, BEGAN + bytes * SECOND_US / bytes_per_s);
}

/* A unit over a link of two rates; `late_us` more than the bytes take. */
static void unit(
    struct link *l, uint64_t down, uint64_t up, double down_rate, double up_rate, uint64_t late_us)
{
	static uint64_t number;

	link_sent(l, ++number, true, down);
	link_arrived(l, number, up, BEGAN);
	link_took(l, number,
	    (uint64_t)(((double)down / down_rate + (double)up / up_rate) * 1e6) + late_us);
}

static void nothing_is_known_of_a_new_link(void **state)
{
	const struct link l = {0};

	(void)state;
	assert_int_equal(link_bytes_per_s(&l), 0);
}

static void fetching_tells_the_way_down_and_the_way_up_is_assumed(void **state)
{
	struct link fast = {0}, slow = {0};

	(void)state;
	fetch(&fast, 1, 100 * MB, 100 * MB);
	assert_near(link_bytes_per_s(&fast), 2 / (1 / 100e6 + 1.0 / ASSUMED));
	fetch(&slow, 1, 100 * MB, MB);
	assert_near(link_bytes_per_s(&slow), MB);
}

static void what_is_asked_for_twice_counts_once(void **state)
{
	struct link l = {0};

	(void)state;
	link_asked(&l, 1, 20 * MB, BEGAN);
	link_fetched(&l, true, 10 * MB, BEGAN + 10 * SECOND_US);
	assert_near(link_bytes_per_s(&l), MB);
}

static void a_fetch_of_little_tells_nothing(void **state)
{
	struct link l = {0};

	(void)state;
	fetch(&l, 1, LINK_FETCH_LEAST / 2, 1000);
	assert_int_equal(link_bytes_per_s(&l), 0);
}

static void a_fetch_that_failed_or_was_given_up_tells_nothing(void **state)
{
	struct link l = {0};

	(void)state;
	link_asked(&l, 1, 100 * MB, BEGAN);
	link_fetched(&l, false, UINT64_MAX, 2 * BEGAN);
	assert_int_equal(link_bytes_per_s(&l), 0);
	link_fetched(&l, true, UINT64_MAX, 3 * BEGAN);
	assert_int_equal(link_bytes_per_s(&l), 0);
	link_asked(&l, 2, 100 * MB, BEGAN);
	fetch(&l, 3, 10 * MB, MB);
	assert_near(link_bytes_per_s(&l), MB);
}

static void a_trip_behind_layers_is_no_measure(void **state)
{
	struct link l = {0};

	(void)state;
	link_asked(&l, 1, MB, BEGAN);
	assert_false(link_trip(&l, BEGAN + 1, BEGAN + 50));
	link_fetched(&l, true, UINT64_MAX, BEGAN + 100);
	assert_false(link_trip(&l, BEGAN + 99, BEGAN + 200));
	assert_true(l.trip_us == 0);
	assert_true(link_trip(&l, BEGAN + 100, BEGAN + 120));
	link_fetched(&l, true, UINT64_MAX, BEGAN + 200); /* it loaded again, and fetched nothing */
	assert_true(link_trip(&l, BEGAN + 100, BEGAN + 120));
	assert_near((uint64_t)l.trip_us, 20);
}

static void a_trip_beside_a_large_unit_tells_nothing_of_the_way(void **state)
{
	struct link l = {0};

	(void)state;
	assert_true(link_trip(&l, BEGAN, BEGAN + 20000));
	link_sent(&l, 7, false, MB);
	assert_true(link_trip(&l, BEGAN, BEGAN + 500000)); /* though it tells of the donor */
	link_arrived(&l, 6, 10, BEGAN + 400000);
	assert_true(link_trip(&l, BEGAN, BEGAN + 500000));
	link_arrived(&l, 7, 10, BEGAN + 600000);
	assert_true(link_trip(&l, BEGAN + 500000, BEGAN + 700000));
	assert_near((uint64_t)l.trip_us, 20000);
	assert_true(link_trip(&l, BEGAN + 600000, BEGAN + 610000));
	assert_in_range((uint64_t)l.trip_us, 10000, 19000);
}

static void a_large_unit_that_was_lost_is_forgotten_with_the_next(void **state)
{
	struct link l = {0};

	(void)state;
	link_sent(&l, 7, true, MB);
	link_arrived(&l, 9, 10, BEGAN);
	assert_true(link_trip(&l, BEGAN, BEGAN + 20000));
	assert_near((uint64_t)l.trip_us, 20000);
}

static void a_shorter_trip_counts_more_than_a_longer_one(void **state)
{
	struct link l = {0};

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		assert_true(link_trip(&l, BEGAN, BEGAN + (i % 2 == 0 ? 500000 : 20000)));
	assert_in_range((uint64_t)l.trip_us, 20000, 100000);
	for (unsigned i = 0; i < 200; i++)
		assert_true(link_trip(&l, BEGAN, BEGAN + 500000)); /* it became longer */
	assert_near((uint64_t)l.trip_us, 500000);
}

static void a_unit_tells_the_direction_that_most_of_its_bytes_took(void **state)
{
	struct link l = {0};

	(void)state;
	unit(&l, 1000, MB, 10e6, 1e6, 0);
	assert_near(link_bytes_per_s(&l), MB); /* the way down is taken as the way up */
	unit(&l, MB, 1000, 10e6, 1e6, 0);
	assert_near(link_bytes_per_s(&l), 2 / (1 / 10e6 + 1 / 1e6));
}

static void what_is_known_of_one_way_is_taken_off_for_the_other(void **state)
{
	struct link l = {0};

	(void)state;
	fetch(&l, 1, 100 * MB, 10 * MB);
	for (unsigned i = 0; i < 100; i++)
		unit(&l, MB, MB, 10e6, 1e6, 0);
	assert_near(link_bytes_per_s(&l), 2 / (1 / 10e6 + 1 / 1e6));
}

static void a_small_unit_and_one_that_is_not_watched_tell_nothing(void **state)
{
	struct link l = {0};

	(void)state;
	unit(&l, 100, LINK_UNIT_LEAST - 1, 1e6, 1e6, 0);
	assert_int_equal(link_bytes_per_s(&l), 0);
	link_sent(&l, 70, true, MB);
	link_arrived(&l, 71, MB, BEGAN);
	link_took(&l, 71, SECOND_US);
	link_took(&l, 0, SECOND_US);
	assert_int_equal(link_bytes_per_s(&l), 0);
	link_took(&l, 70, SECOND_US);
	assert_near(link_bytes_per_s(&l), MB);
}

static void slower_moments_count_more_than_faster_ones(void **state)
{
	struct link l = {0};
	double mean_us = (1e6 + 2e6) / 2;
	uint64_t rate;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		unit(&l, 0, MB, 1e6, 1e6, i % 2 == 0 ? 0 : SECOND_US);
	rate = link_bytes_per_s(&l);
	assert_true((double)rate < MB * 1e6 / mean_us);
	assert_true(rate >= MB / 2);
}

static void a_link_that_became_faster_is_known_so_in_time(void **state)
{
	struct link l = {0};

	(void)state;
	unit(&l, 0, MB, 1e6, 1e5, 0);
	for (unsigned i = 0; i < 200; i++)
		unit(&l, 0, MB, 1e6, 1e7, 0);
	assert_near(link_bytes_per_s(&l), 1e7);
}

static void measures_are_bounded(void **state)
{
	struct link l = {0}, stuck = {0};

	(void)state;
	link_sent(&l, 1, true, 0);
	link_arrived(&l, 1, MB, BEGAN);
	link_took(&l, 1, 0);
	assert_near(link_bytes_per_s(&l), LINK_BYTES_PER_S_MOST);
	link_sent(&stuck, 1, true, MB);
	link_took(&stuck, 1, UINT64_MAX);
	assert_near(link_bytes_per_s(&stuck), LINK_BYTES_PER_S_LEAST);
}

static void a_slow_link_makes_a_stage_longer_by_its_activations(void **state)
{
	const uint64_t bytes[1] = {1000};
	struct placement_model m = {.n_layers = 1, .layer_bytes = bytes, .activation_bytes = 16384};
	struct placement_donor d = {.read_bytes_per_s = MB, .round_trip_us = 5000};
	struct layer_range all = {0, 1};

	(void)state;
	assert_near((uint64_t)placement_stage_us(&m, &d, all),
	    1000 + 5000 + 2 * 16384e6 / PLACEMENT_ASSUMED_LINK_BYTES_PER_S);
	d.link_bytes_per_s = MB;
	assert_near((uint64_t)placement_stage_us(&m, &d, all), 1000 + 5000 + 2 * 16384);
	assert_near((uint64_t)placement_transfer_us(&m, &d, 10), 20 * 16384);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_known_of_a_new_link),
	    cmocka_unit_test(fetching_tells_the_way_down_and_the_way_up_is_assumed),
	    cmocka_unit_test(what_is_asked_for_twice_counts_once),
	    cmocka_unit_test(a_fetch_of_little_tells_nothing),
	    cmocka_unit_test(a_fetch_that_failed_or_was_given_up_tells_nothing),
	    cmocka_unit_test(a_trip_behind_layers_is_no_measure),
	    cmocka_unit_test(a_trip_beside_a_large_unit_tells_nothing_of_the_way),
	    cmocka_unit_test(a_large_unit_that_was_lost_is_forgotten_with_the_next),
	    cmocka_unit_test(a_shorter_trip_counts_more_than_a_longer_one),
	    cmocka_unit_test(a_unit_tells_the_direction_that_most_of_its_bytes_took),
	    cmocka_unit_test(what_is_known_of_one_way_is_taken_off_for_the_other),
	    cmocka_unit_test(a_small_unit_and_one_that_is_not_watched_tell_nothing),
	    cmocka_unit_test(slower_moments_count_more_than_faster_ones),
	    cmocka_unit_test(a_link_that_became_faster_is_known_so_in_time),
	    cmocka_unit_test(measures_are_bounded),
	    cmocka_unit_test(a_slow_link_makes_a_stage_longer_by_its_activations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
