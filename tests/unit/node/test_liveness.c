/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/liveness.h"

enum { MS = 1000, BEGAN = 1000 * MS };

/* Questions until it is suspect, looked at every 10 ms; *after: how long that took. */
static unsigned ask_until_suspect(struct liveness *l, uint64_t since_us, uint64_t *after_us)
{
	unsigned asked = 0;

	for (uint64_t now = since_us; !l->suspect; now += 10 * MS) {
		asked += liveness_silent(l, since_us, now);
		*after_us = now - since_us;
	}
	return asked;
}

static void a_silent_donor_nearby_is_asked_and_then_suspect_within_300_ms(void **state)
{
	struct liveness l = {0};
	uint64_t after = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		liveness_heard(&l, BEGAN, BEGAN + MS / 2);
	assert_int_equal(ask_until_suspect(&l, BEGAN, &after), 4);
	assert_int_equal(after, 200 * MS);
}

static void one_that_was_never_measured_has_the_least_limit(void **state)
{
	struct liveness l = {0};

	(void)state;
	assert_int_equal(liveness_limit_us(&l), LIVENESS_LEAST_US);
}

static void one_that_speaks_is_not_asked(void **state)
{
	struct liveness l = {0};

	(void)state;
	for (uint64_t now = BEGAN; now < 10 * BEGAN; now += 40 * MS) {
		assert_false(liveness_silent(&l, now - 40 * MS, now));
		liveness_heard(&l, 0, now);
	}
	assert_false(l.suspect);
}

static void a_far_one_has_longer_and_an_unsteady_way_longer_still(void **state)
{
	struct liveness steady = {0}, unsteady = {0};

	(void)state;
	for (uint64_t i = 0; i < 200; i++) {
		liveness_heard(&steady, BEGAN, BEGAN + 300 * MS);
		liveness_heard(&unsteady, BEGAN, BEGAN + (100 + i % 5 * 100) * MS);
	}
	assert_in_range(liveness_limit_us(&steady), 350 * MS, 360 * MS);
	assert_in_range(liveness_limit_us(&unsteady), 500 * MS, 1500 * MS);
}

static void a_word_clears_the_suspicion_and_a_late_one_lengthens_the_limit(void **state)
{
	struct liveness l = {0};
	uint64_t after, before = liveness_limit_us(&l);

	(void)state;
	(void)ask_until_suspect(&l, BEGAN, &after);
	liveness_heard(&l, BEGAN + 50 * MS, BEGAN + 700 * MS);
	assert_false(l.suspect);
	assert_true(liveness_limit_us(&l) > before);
	for (int i = 0; i < 60; i++) /* and the present shortens it again */
		liveness_heard(&l, BEGAN, BEGAN + MS);
	assert_int_equal(liveness_limit_us(&l), LIVENESS_LEAST_US);
}

static void no_limit_is_past_the_most(void **state)
{
	struct liveness l = {0};

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		liveness_heard(&l, 1, i % 2 > 0 ? UINT64_MAX : 2);
	assert_true(liveness_limit_us(&l) <= LIVENESS_MOST_US);
	liveness_heard(&l, BEGAN, BEGAN - 1); /* of the future: nonsense */
	assert_true(liveness_limit_us(&l) <= LIVENESS_MOST_US);
}

static void false_alarms_lengthen_the_limit_until_there_was_none_for_a_while(void **state)
{
	struct liveness l = {0};
	uint64_t now = BEGAN, after = 0;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(liveness_limit_us(&l),
		    LIVENESS_LEAST_US +
		        LIVENESS_ALARM_US * (i < LIVENESS_ALARMS ? i : LIVENESS_ALARMS));
		(void)ask_until_suspect(&l, now, &after);
		now += after + 10 * MS;
		liveness_heard(&l, 0, now);
	}
	for (unsigned i = LIVENESS_ALARMS; i-- > 0;) {
		now += LIVENESS_EASE_US;
		liveness_heard(&l, 0, now);
		assert_int_equal(liveness_limit_us(&l), LIVENESS_LEAST_US + LIVENESS_ALARM_US * i);
	}
}

static void one_that_was_away_for_long_was_rightly_suspect(void **state)
{
	struct liveness l = {0};
	uint64_t after = 0;

	(void)state;
	(void)ask_until_suspect(&l, BEGAN, &after);
	liveness_heard(&l, 0, BEGAN + after + LIVENESS_LEAST_US);
	assert_int_equal(liveness_limit_us(&l), LIVENESS_LEAST_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_silent_donor_nearby_is_asked_and_then_suspect_within_300_ms),
	    cmocka_unit_test(one_that_was_never_measured_has_the_least_limit),
	    cmocka_unit_test(one_that_speaks_is_not_asked),
	    cmocka_unit_test(a_far_one_has_longer_and_an_unsteady_way_longer_still),
	    cmocka_unit_test(a_word_clears_the_suspicion_and_a_late_one_lengthens_the_limit),
	    cmocka_unit_test(no_limit_is_past_the_most),
	    cmocka_unit_test(false_alarms_lengthen_the_limit_until_there_was_none_for_a_while),
	    cmocka_unit_test(one_that_was_away_for_long_was_rightly_suspect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
