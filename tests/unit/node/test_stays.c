/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/pool/stays.h"

static struct stays *stays;
static const struct public_key a = {{1}}, b = {{2}};

static int set_up(void **state)
{
	(void)state;
	stays = stays_new();
	return stays == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	stays_free(stays);
	return 0;
}

static void nothing_is_known_of_a_donor_that_comes_for_the_first_time(void **state)
{
	(void)state;
	stays_ended(stays, &b, 100);
	assert_int_equal(stays_usual(stays, &a, 5000), 0);
}

static void later_stays_count_more(void **state)
{
	(void)state;
	stays_ended(stays, &a, 1000);
	assert_int_equal(stays_usual(stays, &a, 0), 1000);
	for (uint32_t i = 0; i < 20; i++)
		stays_ended(stays, &a, 100);
	assert_in_range(stays_usual(stays, &a, 0), 100, 110);
	stays_ended(stays, &b, 0);
	assert_int_equal(stays_usual(stays, &b, 0), 1); /* 0 would be unknown */
}

static void who_stays_longer_than_usual_counts_as_staying_longer(void **state)
{
	(void)state;
	stays_ended(stays, &a, 60);
	assert_int_equal(stays_usual(stays, &a, 30), 60);
	assert_int_equal(stays_usual(stays, &a, 3600), 3600);
}

static void no_more_donors_are_remembered_than_stated(void **state)
{
	struct public_key key = {{0}};

	(void)state;
	for (uint32_t i = 0; i <= STAYS_MAX; i++) {
		memcpy(key.bytes, &i, sizeof i);
		stays_ended(stays, &key, 10);
	}
	assert_int_equal(stays_usual(stays, &key, 0), 0);
	stays_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(nothing_is_known_of_a_donor_that_comes_for_the_first_time),
	    TEST(later_stays_count_more),
	    TEST(who_stays_longer_than_usual_counts_as_staying_longer),
	    TEST(no_more_donors_are_remembered_than_stated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
