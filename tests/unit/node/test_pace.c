/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/pace.h"
#include "node/pool/placement.h"

enum { MS = 1000, TRIP_US = 40 * MS, BEGAN = 1000000 };

static const double unknown[2] = {0, 0};

static void assert_near(double value, double wanted)
{
	if (fabs(value - wanted) > 0.02 * wanted)
		fail_msg("%g is not about %g", value, wanted);
}

/* Units of one donor, one after the other with nothing beside them: truth and what it says. */
static double observed(uint64_t truth_us, uint64_t said_us, uint64_t trip_us)
{
	struct pace p = {.result_us = BEGAN};
	struct pace_unit u = {trip_us + truth_us, said_us, trip_us};

	return (double)pace_observed_us(&p, &u, BEGAN + u.away_us);
}

/* So many units of a model that take `us` where the offer says 10 ms. */
static void work(
    struct pace *p, uint32_t model, unsigned n, double us, const double *usual, uint64_t *now_us)
{
	for (unsigned i = 0; i < n; i++) {
		*now_us += 100 * MS;
		pace_learn(p, model, us, 10 * MS, usual, *now_us);
	}
}

/* ---- what a unit took ----------------------------------------------------------------------- */

static void an_honest_donor_is_taken_at_its_word(void **state)
{
	(void)state;
	assert_near(observed(30 * MS, 30 * MS, TRIP_US), 30 * MS);
}

static void who_says_less_than_it_took_gains_nothing(void **state)
{
	(void)state;
	assert_near(observed(30 * MS, 1, TRIP_US), 30 * MS);
	assert_near(observed(30 * MS, 0, TRIP_US), 30 * MS);
}

static void what_the_trip_does_not_explain_is_not_less_for_a_longer_trip(void **state)
{
	(void)state;
	assert_near(observed(30 * MS, 30 * MS, 200 * MS), 30 * MS);
	assert_near(observed(30 * MS, 1, 200 * MS), 30 * MS);
}

static void nobody_computes_longer_than_its_unit_was_away(void **state)
{
	(void)state;
	assert_near(observed(30 * MS, UINT64_MAX, TRIP_US), 30 * MS + TRIP_US);
}

static void who_is_said_to_be_farther_than_it_is_computes_what_it_says(void **state)
{
	struct pace p = {0};
	struct pace_unit u = {30 * MS, 25 * MS, 500 * MS};

	(void)state;
	assert_int_equal(pace_observed_us(&p, &u, BEGAN), 25 * MS);
}

/* Three units are sent at once and take 30 ms each: the last is away for 90 ms and the trip. */
static void waiting_behind_other_units_is_not_computing(void **state)
{
	struct pace p = {.result_us = BEGAN};

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		uint64_t away = TRIP_US + i * 30 * MS;
		struct pace_unit u = {away, 1, TRIP_US};

		assert_int_equal(pace_observed_us(&p, &u, BEGAN + away), 30 * MS);
	}
}

static void the_first_unit_is_measured_by_its_time_away(void **state)
{
	struct pace p = {0};
	struct pace_unit u = {TRIP_US + 30 * MS, 1, TRIP_US};

	(void)state;
	assert_int_equal(pace_observed_us(&p, &u, 3600UL * 1000 * MS), 30 * MS);
	assert_int_equal(p.result_us, 3600UL * 1000 * MS);
}

/* ---- what is learnt ------------------------------------------------------------------------- */

static void a_donor_of_which_little_was_seen_counts_as_usual(void **state)
{
	const double usual[2] = {1.5, 0};
	struct pace p = {0};
	uint64_t now = BEGAN;

	(void)state;
	assert_near(pace_relative(&p, usual, now), 1);
	work(&p, 0, PACE_SEEN_LEAST - 1, 60 * MS, usual, &now);
	assert_false(pace_known(&p));
	assert_near(pace_relative(&p, usual, now), 1);
	work(&p, 0, 1, 60 * MS, usual, &now);
	assert_true(pace_known(&p));
	assert_true(pace_relative(&p, usual, now) > 2);
}

static void a_ratio_is_learnt_and_learnt_anew(void **state)
{
	struct pace p = {0};
	uint64_t now = BEGAN;

	(void)state;
	work(&p, 0, 100, 25 * MS, unknown, &now);
	assert_near(p.ratio, 2.5);
	work(&p, 0, 200, 8 * MS, unknown, &now);
	assert_near(p.ratio, 0.8);
}

static void a_strange_unit_moves_it_by_less_than_the_planner_waits_for(void **state)
{
	struct pace p = {0};
	uint64_t now = BEGAN;
	double before;

	(void)state;
	work(&p, 0, 100, 20 * MS, unknown, &now);
	before = p.ratio;
	work(&p, 0, 1, 1e9, unknown, &now);
	assert_true(p.ratio > before && p.ratio < before * 1.1);
	before = p.ratio;
	work(&p, 0, 1, 0, unknown, &now);
	assert_true(p.ratio < before && p.ratio > before * 0.9);
}

static void a_boast_is_found_out_within_a_hundred_units(void **state)
{
	struct pace p = {0};
	uint64_t now = BEGAN;

	(void)state;
	work(&p, 0, 100, 100 * 10 * MS, unknown, &now);
	assert_true(p.ratio > 70);
	work(&p, 0, 100, 100 * 10 * MS, unknown, &now);
	assert_near(p.ratio, 100);
}

static void a_ratio_is_bounded(void **state)
{
	struct pace p = {0}, q = {0};
	uint64_t now = BEGAN;

	(void)state;
	work(&p, 0, 2000, 1e18, unknown, &now);
	assert_near(p.ratio, PACE_SLOWER_MOST);
	work(&q, 0, 2000, 0, unknown, &now);
	assert_near(q.ratio, 1.0 / PACE_FASTER_MOST);
}

static void an_offer_that_says_nothing_teaches_nothing(void **state)
{
	struct pace p = {0};

	(void)state;
	pace_learn(&p, 0, 1000, 0, unknown, BEGAN);
	assert_int_equal(p.seen, 0);
	pace_offered(&p, 0.0 / 1.0);
	assert_true(p.ratio == 0);
}

static void another_model_goes_on_from_how_the_donor_compared_on_the_first(void **state)
{
	const double usual[2] = {1.5, 4};
	struct pace p = {0};
	uint64_t now = BEGAN;

	(void)state;
	work(&p, 0, 200, 30 * MS, usual, &now); /* twice as slow as is usual there */
	assert_near(pace_relative(&p, usual, now), 2);
	work(&p, 1, 1, 80 * MS, usual, &now);
	assert_near(p.ratio, 8);
	assert_near(pace_relative(&p, usual, now), 2);
}

static void what_was_learnt_fades_while_nothing_is_seen(void **state)
{
	const uint64_t hour = 3600UL * 1000 * MS;
	struct pace p = {0};
	uint64_t now = BEGAN;

	(void)state;
	work(&p, 0, 200, 30 * MS, unknown, &now);
	assert_near(pace_relative(&p, unknown, now), 3);
	assert_near(pace_relative(&p, unknown, now + hour), 2);
	assert_near(pace_relative(&p, unknown, now + 1000 * hour), 1);
}

static void offering_more_makes_a_donor_no_faster(void **state)
{
	struct pace p = {0};
	uint64_t now = BEGAN;

	(void)state;
	work(&p, 0, 200, 20 * MS, unknown, &now);
	pace_offered(&p, 0.1);
	assert_near(p.ratio, 20);
	pace_offered(&p, 1e-9);
	assert_near(p.ratio, PACE_SLOWER_MOST);
}

static void a_donor_that_comes_again_is_as_it_was(void **state)
{
	const double usual[2] = {2, 0};
	struct pace p = {0};
	uint64_t now = BEGAN;

	(void)state;
	pace_recall(&p, 5, now);
	assert_near(pace_relative(&p, usual, now), 5);
	assert_false(pace_known(&p)); /* what is usual now, it does not tell */
	pace_offered(&p, 0.5);
	assert_near(pace_relative(&p, usual, now), 10);
	work(&p, 0, 1, 200 * MS, usual, &now);
	assert_near(p.ratio, 20);
	work(&p, 0, 100, 30 * MS, usual, &now);
	assert_near(pace_relative(&p, usual, now), 1.5);
}

static void usual_is_the_median_of_a_models_donors(void **state)
{
	double odd[] = {2.5, 1, 2}, even[] = {2.2, 100, 1, 1.8};

	(void)state;
	assert_near(pace_usual(odd, 3), 2);
	assert_near(pace_usual(even, 4), 2);
	assert_true(pace_usual(odd, 0) == 0);
}

static void a_few_that_boast_do_not_make_it_usual(void **state)
{
	double one[] = {100}, two[] = {100, 1.4}, many[] = {100, 90, 80, 1, 1};

	(void)state;
	assert_near(pace_usual(one, 1), PACE_USUAL_TIMES);
	assert_near(pace_usual(two, 2), 1.4);
	assert_near(pace_usual(many, 5), PACE_USUAL_TIMES);
}

/* ---- in the placement ----------------------------------------------------------------------- */

static void both_paces_lengthen_computing_and_nothing_else(void **state)
{
	const uint64_t bytes[4] = {1000, 1000, 2000, 1000};
	struct placement_model m = {.n_layers = 4, .layer_bytes = bytes, .last_bytes = 500};
	struct placement_donor d = {.read_bytes_per_s = 1000000, .round_trip_us = TRIP_US};
	struct layer_range all = {0, 4};
	double offered = placement_compute_us(&m, &d, all);

	(void)state;
	assert_near(offered, 5500);
	d.pace = 3;
	m.pace = 1.5;
	assert_near(placement_compute_us(&m, &d, all), 4.5 * offered);
	assert_near(placement_stage_us(&m, &d, all), 4.5 * offered + TRIP_US);
	assert_near(placement_offered_us(&m, &d, all, 1), offered);
}

static void a_unit_of_several_tokens_reads_weights_once_and_other_experts(void **state)
{
	const uint64_t bytes[1] = {8000};
	struct placement_part part = {PLACEMENT_ANY_TYPE, 8000, 8000, 100};
	const uint32_t at[3] = {0, 1, 1};
	struct placement_model m = {
	    .n_layers = 1, .layer_bytes = bytes, .parts = &part, .part_at = at};
	struct placement_donor d = {.read_bytes_per_s = 1000000};
	struct layer_range all = {0, 1};

	(void)state;
	assert_near(placement_offered_us(&m, &d, all, 8), 8000);
	part.bytes = 2000;
	assert_near(placement_offered_us(&m, &d, all, 1), 2000);
	assert_near(placement_offered_us(&m, &d, all, 3), 6000);
	assert_near(placement_offered_us(&m, &d, all, 8), 8000);
	d.flop_per_s = 10000;
	assert_near(placement_offered_us(&m, &d, all, 8), 80000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_honest_donor_is_taken_at_its_word),
	    cmocka_unit_test(who_says_less_than_it_took_gains_nothing),
	    cmocka_unit_test(what_the_trip_does_not_explain_is_not_less_for_a_longer_trip),
	    cmocka_unit_test(nobody_computes_longer_than_its_unit_was_away),
	    cmocka_unit_test(who_is_said_to_be_farther_than_it_is_computes_what_it_says),
	    cmocka_unit_test(waiting_behind_other_units_is_not_computing),
	    cmocka_unit_test(the_first_unit_is_measured_by_its_time_away),
	    cmocka_unit_test(a_donor_of_which_little_was_seen_counts_as_usual),
	    cmocka_unit_test(a_ratio_is_learnt_and_learnt_anew),
	    cmocka_unit_test(a_strange_unit_moves_it_by_less_than_the_planner_waits_for),
	    cmocka_unit_test(a_boast_is_found_out_within_a_hundred_units),
	    cmocka_unit_test(a_ratio_is_bounded),
	    cmocka_unit_test(an_offer_that_says_nothing_teaches_nothing),
	    cmocka_unit_test(another_model_goes_on_from_how_the_donor_compared_on_the_first),
	    cmocka_unit_test(what_was_learnt_fades_while_nothing_is_seen),
	    cmocka_unit_test(offering_more_makes_a_donor_no_faster),
	    cmocka_unit_test(a_donor_that_comes_again_is_as_it_was),
	    cmocka_unit_test(usual_is_the_median_of_a_models_donors),
	    cmocka_unit_test(a_few_that_boast_do_not_make_it_usual),
	    cmocka_unit_test(both_paces_lengthen_computing_and_nothing_else),
	    cmocka_unit_test(a_unit_of_several_tokens_reads_weights_once_and_other_experts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
