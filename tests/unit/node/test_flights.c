/* SPDX-License-Identifier: Apache-2.0 */
/* How long a unit may be away before its donor seems to stand still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/scheduler_internal.h"

enum { SENT_US = 1000, TIMEOUT_US = 60000000, LAYERS = 4 };

static struct scheduler *s;
static struct roster_donor *donor;
static int slot;

static int set_up(void **state)
{
	struct public_key key = {{1}};
	struct msg_offer offer = {0};
	struct donor_assignment a = {
	    .number = 1, .layers = {0, LAYERS}, .pages = 4, .token_us = 200000};

	(void)state;
	s = calloc(1, sizeof *s);
	if (s == NULL || roster_new(&s->roster, NULL) != AYNI_OK ||
	    roster_join(s->roster, &key, "d", 1, 1, &slot) != AYNI_OK ||
	    roster_offer(s->roster, slot, &offer) != AYNI_OK ||
	    roster_assign(s->roster, slot, &a) != AYNI_OK ||
	    roster_progress(s->roster, slot, 1, PROGRESS_READY, 0) != AYNI_OK)
		return -1;
	s->limits.unit_timeout_us = TIMEOUT_US;
	s->paths[0] = (struct path){.n_stages = 1, .stages = {{slot, 1, {0, LAYERS}}}};
	donor = roster_get(s->roster, slot);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	roster_free(s->roster);
	free(s);
	return 0;
}

/* How long a unit of so many tokens may be away. */
static uint64_t limit(uint32_t n_tokens)
{
	struct leg leg = {.unit = 1, .sent_us = SENT_US, .begun_us = SENT_US};
	struct flight f = {.legs = &leg, .sent = 1};

	f.work.n_tokens = n_tokens;
	return flight_stalls_us(s, &f) - SENT_US;
}

static void a_measured_donor_has_many_times_what_it_takes(void **state)
{
	(void)state;
	donor->us_per_layer = 100000;
	assert_int_equal(limit(1), (uint64_t)STALL_TIMES * LAYERS * 100000);
	assert_true(limit(8 * PACE_TOKENS) > limit(1));
	donor->us_per_layer = 10;
	assert_int_equal(limit(1), STALL_LEAST_US);
}

static void one_not_measured_is_expected_to_take_what_it_was_placed_for(void **state)
{
	(void)state;
	assert_in_range(limit(1), STALL_TIMES * 200000, STALL_TIMES * (200000 + LAYERS));
	donor->assignment.token_us = 100;
	assert_int_equal(limit(1), STALL_FIRST_US);
}

static void nothing_is_expected_of_one_of_which_nothing_is_known(void **state)
{
	(void)state;
	donor->assignment.token_us = 0;
	assert_int_equal(limit(1), TIMEOUT_US);
}

static void no_unit_may_be_away_for_longer_than_its_time(void **state)
{
	(void)state;
	donor->us_per_layer = TIMEOUT_US;
	assert_int_equal(limit(1), TIMEOUT_US);
}

/* It was given up, and comes after all. */
static void a_late_answer_doubles_what_is_expected(void **state)
{
	struct msg_result r = {.unit = 1};
	struct error why = {0};
	struct actions q = {0};
	uint64_t before = limit(1);

	(void)state;
	donor->stalled_us = SENT_US;
	assert_int_equal(
	    scheduler_result(s, slot, &r, (struct span){0}, SENT_US, &q, &why), REFUSAL_REPLAY);
	assert_int_equal(donor->stalled_us, 0);
	assert_int_equal(limit(1), 2 * before);
	assert_int_equal(
	    scheduler_result(s, slot, &r, (struct span){0}, SENT_US, &q, &why), REFUSAL_REPLAY);
	assert_int_equal(limit(1), 2 * before); /* it was not suspect any more */
	actions_free(&q);
}

static void one_that_cannot_do_a_unit_works_but_is_not_slow(void **state)
{
	struct msg_unit_failed u = {.unit = 1, .reason = REFUSAL_SESSION};
	struct actions q = {0};
	uint64_t before = limit(1);

	(void)state;
	donor->stalled_us = SENT_US;
	scheduler_unit_failed(s, slot, &u, SENT_US, &q);
	assert_int_equal(donor->stalled_us, 0);
	assert_int_equal(limit(1), before);
	actions_free(&q);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_measured_donor_has_many_times_what_it_takes),
	    TEST(one_not_measured_is_expected_to_take_what_it_was_placed_for),
	    TEST(nothing_is_expected_of_one_of_which_nothing_is_known),
	    TEST(no_unit_may_be_away_for_longer_than_its_time),
	    TEST(a_late_answer_doubles_what_is_expected),
	    TEST(one_that_cannot_do_a_unit_works_but_is_not_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
