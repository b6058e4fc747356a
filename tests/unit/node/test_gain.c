/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/gain.h"

/* So many trips, as the machine itself wants them; drafted ones take 60 ms and give so many tokens,
 * the others take 40. Returns how many of them were drafted. */
static uint32_t travel(struct gain *g, uint32_t trips, uint32_t right)
{
	uint32_t drafted = 0;

	while (trips-- > 0) {
		enum way way = gain_next(g);

		drafted += way == WAY_DRAFTED;
		gain_learn(
		    g, way, way == WAY_DRAFTED ? 60000 : 40000, way == WAY_DRAFTED ? right + 1 : 1);
	}
	return drafted;
}

static void each_way_is_tried_before_they_are_compared(void **state)
{
	struct gain g = {0};

	(void)state;
	assert_int_equal(gain_alone_us(&g), 0);
	assert_int_equal(travel(&g, GAIN_TRY_TRIPS, 3), 0);
	assert_int_equal(gain_alone_us(&g), 40000);
	assert_false(gain_is_lost(&g));
	assert_int_equal(travel(&g, GAIN_TRY_TRIPS, 3), GAIN_TRY_TRIPS);
}

static void guesses_that_are_right_are_gone_on_with(void **state)
{
	struct gain g = {0};

	(void)state;
	(void)travel(&g, 2 * GAIN_TRY_TRIPS, 3);
	assert_int_equal(gain_next(&g), WAY_DRAFTED);
	assert_in_range(travel(&g, 100, 3), 85, 99); /* the other is tried now and then */
}

static void guesses_that_are_wrong_are_given_up_and_tried_ever_more_seldom(void **state)
{
	struct gain g = {0};
	uint32_t early, late;

	(void)state;
	(void)travel(&g, 2 * GAIN_TRY_TRIPS, 0);
	assert_int_equal(gain_next(&g), WAY_ALONE);
	assert_true(gain_is_lost(&g));
	early = travel(&g, 200, 0);
	(void)travel(&g, 2000, 0);
	late = travel(&g, 200, 0);
	assert_in_range(early, GAIN_TRY_TRIPS, 5 * GAIN_TRY_TRIPS);
	assert_true(late <= GAIN_TRY_TRIPS);
}

static void a_text_that_becomes_easier_to_guess_is_noticed(void **state)
{
	struct gain g = {0};

	(void)state;
	(void)travel(&g, 2 * GAIN_TRY_TRIPS, 0);
	(void)travel(&g, GAIN_PAUSE + 2 * GAIN_TRY_TRIPS, 5);
	assert_int_equal(gain_next(&g), WAY_DRAFTED);
	assert_false(gain_is_lost(&g));
}

static void a_token_that_donors_go_on_from_is_harder_to_beat(void **state)
{
	struct gain g = {0};

	(void)state;
	for (uint32_t i = 0; i < GAIN_TRY_TRIPS; i++)
		gain_learn(&g, WAY_ALONE, 10000, 1);
	for (uint32_t i = 0; i < GAIN_TRY_TRIPS; i++)
		gain_learn(&g, WAY_DRAFTED, 60000, 4);
	assert_int_equal(gain_next(&g), WAY_ALONE);
}

static void what_gains_next_to_nothing_is_not_worth_the_donors_computing(void **state)
{
	struct gain g = {0};

	(void)state;
	for (uint32_t i = 0; i < GAIN_TRY_TRIPS; i++) {
		gain_learn(&g, WAY_ALONE, 40000, 1);
		gain_learn(&g, WAY_DRAFTED, 39000, 1);
	}
	assert_int_equal(gain_next(&g), WAY_ALONE);
}

static void what_a_replay_took_counts_for_neither(void **state)
{
	struct gain g = {0};

	(void)state;
	(void)travel(&g, 2 * GAIN_TRY_TRIPS, 3);
	gain_learn(&g, WAY_OTHER, 100000000, 1);
	gain_learn(&g, WAY_DRAFTED, 100000000, 0);
	assert_int_equal(gain_next(&g), WAY_DRAFTED);
	assert_int_equal(gain_alone_us(&g), 40000);
}

static void a_new_session_begins_with_what_is_known_of_the_way(void **state)
{
	struct gain known = {0}, g;

	(void)state;
	(void)travel(&known, 3000, 0);
	gain_begin(&g, &known);
	assert_int_equal(gain_next(&g), WAY_ALONE);
	assert_int_equal(travel(&g, GAIN_PAUSE_MOST / 2, 0), 0);
	assert_int_equal(travel(&g, GAIN_TRY_TRIPS, 0), GAIN_TRY_TRIPS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_way_is_tried_before_they_are_compared),
	    cmocka_unit_test(guesses_that_are_right_are_gone_on_with),
	    cmocka_unit_test(guesses_that_are_wrong_are_given_up_and_tried_ever_more_seldom),
	    cmocka_unit_test(a_text_that_becomes_easier_to_guess_is_noticed),
	    cmocka_unit_test(a_token_that_donors_go_on_from_is_harder_to_beat),
	    cmocka_unit_test(what_gains_next_to_nothing_is_not_worth_the_donors_computing),
	    cmocka_unit_test(what_a_replay_took_counts_for_neither),
	    cmocka_unit_test(a_new_session_begins_with_what_is_known_of_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
