/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/pool/habits.h"

static struct habits *habits;
static const struct public_key a = {{1}}, b = {{2}};

static int set_up(void **state)
{
	(void)state;
	habits = habits_new();
	return habits == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	habits_free(habits);
	return 0;
}

static void ended(const struct public_key *donor, uint64_t seconds)
{
	struct habit h = {.stay_s = habit_stayed_s(habits_find(habits, donor), seconds)};

	habits_put(habits, donor, &h);
}

static uint64_t usual(const struct public_key *donor, uint64_t here_s)
{
	return habit_stay_s(habits_find(habits, donor), here_s);
}

static void nothing_is_known_of_a_donor_that_comes_for_the_first_time(void **state)
{
	(void)state;
	ended(&b, 100);
	assert_null(habits_find(habits, &a));
	assert_int_equal(usual(&a, 5000), 0);
}

static void later_stays_count_more(void **state)
{
	(void)state;
	ended(&a, 1000);
	assert_int_equal(usual(&a, 0), 1000);
	for (int i = 0; i < 20; i++)
		ended(&a, 100);
	assert_in_range(usual(&a, 0), 100, 110);
	ended(&b, 0);
	assert_int_equal(usual(&b, 0), 1); /* 0 would be unknown */
}

static void who_stays_longer_than_usual_counts_as_staying_longer(void **state)
{
	(void)state;
	ended(&a, 60);
	assert_int_equal(usual(&a, 30), 60);
	assert_int_equal(usual(&a, 3600), 3600);
}

static void a_pace_alone_says_nothing_of_stays(void **state)
{
	struct habit h = {.pace = 2};

	(void)state;
	habits_put(habits, &a, &h);
	assert_int_equal(usual(&a, 100), 0);
	assert_true(habits_find(habits, &a)->pace == 2);
	ended(&a, 100);
	assert_int_equal(usual(&a, 0), 100);
}

static void a_crowd_of_keys_is_bounded(void **state)
{
	struct public_key key = {{0}};

	(void)state;
	for (uint32_t i = 0; i <= HABITS_MAX; i++) {
		memcpy(key.bytes, &i, sizeof i);
		ended(&key, 10);
	}
	assert_null(habits_find(habits, &key));
	memset(&key, 0, sizeof key);
	ended(&key, 10000);
	assert_true(usual(&key, 0) > 10);
	habits_free(NULL);
}

static void who_fails_again_and_again_is_out_for_longer_each_time(void **state)
{
	const uint64_t second = 1000000, day = HABIT_OUT_DAY_S * second;
	struct habit h = {0};

	(void)state;
	habit_out(&h, 5, 60);
	assert_int_equal(h.out_until_us, 5 + 60 * second);
	habit_out(&h, day, 60);
	assert_int_equal(h.out_until_us, day + 120 * second);
	for (int i = 0; i < 100; i++)
		habit_out(&h, day, 60);
	assert_int_equal(h.out_until_us, day + HABIT_OUT_MOST_S * second);
	habit_out(&h, h.out_until_us + day + 1, 60); /* long ago */
	assert_int_equal(h.outs, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(nothing_is_known_of_a_donor_that_comes_for_the_first_time),
	    TEST(later_stays_count_more),
	    TEST(who_stays_longer_than_usual_counts_as_staying_longer),
	    TEST(a_pace_alone_says_nothing_of_stays),
	    TEST(a_crowd_of_keys_is_bounded),
	    TEST(who_fails_again_and_again_is_out_for_longer_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
