/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions reach while their units are queued, and how many there may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/kv.h"
#include "tests/support/intake_trial.h"

#define NOT_REACHED       "the session does not reach that position here"
#define TOO_MANY_SESSIONS "more positions than were agreed"

/* ---- sessions ------------------------------------------------------------------------------- */

static void refuses_an_unknown_session_past_position_0(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, 5);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 2, 1, 1), REFUSAL_SESSION, NOT_REACHED);
}

static void refuses_a_position_past_what_is_held(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, 5);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 1, 6, 1), REFUSAL_SESSION, NOT_REACHED);
	intake_trial_run(f, 1, 5, 1);
}

static void sessions_go_on_over_units_that_are_queued(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit a, b, c;

	intake_trial_assert_admitted(f, intake_trial_one(f, &a, 1, 0, 5));
	intake_trial_assert_admitted(f, intake_trial_one(f, &b, 1, 5, 3));
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &c, 1, 9, 1), REFUSAL_SESSION, NOT_REACHED);
	intake_trial_assert_admitted(f, intake_trial_one(f, &c, 1, 8, 1));
	assert_int_equal(intake_queued(f->intake), 3);
	assert_int_equal(intake_sessions(f->intake), 1);
}

static void a_session_that_went_back_holds_no_more_than_that(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, 20);
	intake_trial_run(f, 1, 4, 2);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 1, 7, 1), REFUSAL_SESSION, NOT_REACHED);
	intake_trial_run(f, 1, 6, 1);
	intake_trial_run(f, 1, 0, 1); /* begun anew */
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 1, 2, 1), REFUSAL_SESSION, NOT_REACHED);
}

static void refuses_a_session_that_comes_twice_in_a_unit(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_begin(f, &unit, &intake_whole);
	intake_trial_add(&unit, 1, 0, 2);
	intake_trial_add(&unit, 2, 0, 2);
	intake_trial_add(&unit, 1, 2, 2);
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, "one session twice in a unit");
}

static void few_long_sessions_take_the_room_of_many_short_ones(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, KV_PAGE_TOKENS);
	intake_trial_run(f, 2, 0, KV_PAGE_TOKENS + 1); /* a page begun counts whole */
	intake_trial_run(f, 1, KV_PAGE_TOKENS, 1);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 3, 0, 1), REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	intake_trial_run(f, 1, KV_PAGE_TOKENS + 1, CONTEXT - KV_PAGE_TOKENS - 1);
}

static void what_a_session_went_back_from_is_not_free(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, CONTEXT);
	intake_trial_run(f, 1, 0, 1);
	intake_trial_run(f, 2, 0, CONTEXT);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 3, 0, 1), REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	intake_trial_run(f, 1, 1, CONTEXT - 1); /* but its own */
	intake_trial_close(intake_trial_one(f, &unit, 3, 0, CONTEXT), 1);
	intake_trial_assert_admitted(f, &unit);
}

static void refuses_more_sessions_than_were_agreed(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_begin(f, &unit, &intake_whole);
	for (uint64_t s = 0; s <= SESSIONS; s++)
		intake_trial_add(&unit, s, 0, 1);
	intake_trial_assert_refused(f, &unit, REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	for (uint64_t s = 0; s < SESSIONS; s++)
		intake_trial_run(f, s, 0, 1);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 99, 0, 1), REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	intake_trial_run(f, 0, 1, 1); /* those that are held go on */
}

static void a_closed_session_makes_room_for_another_in_the_same_unit(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	for (uint64_t s = 0; s < SESSIONS; s++)
		intake_trial_run(f, s, 0, 3);
	intake_trial_one(f, &unit, 99, 0, 1);
	intake_trial_close(&unit, 2);
	intake_trial_assert_admitted(f, &unit);
	assert_int_equal(intake_sessions(f->intake), SESSIONS);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 2, 3, 1), REFUSAL_SESSION, NOT_REACHED);
}

static void a_session_closed_several_times_makes_room_once(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	for (uint64_t s = 0; s < SESSIONS; s++)
		intake_trial_run(f, s, 0, 3);
	intake_trial_begin(f, &unit, &intake_whole);
	for (uint64_t s = 0; s < SESSIONS; s++) {
		intake_trial_add(&unit, 100 + s, 0, 1);
		intake_trial_close(&unit, 2);
	}
	intake_trial_assert_refused(f, &unit, REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	intake_trial_one(f, &unit, 99, 0, 1); /* nor is the count below none */
	for (uint64_t s = 0; s < SESSIONS + 2; s++)
		intake_trial_close(&unit, 2);
	intake_trial_assert_admitted(f, &unit);
}

static void a_session_begins_with_what_another_holds(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, 20);
	intake_trial_one(f, &unit, 2, 21, 1);
	unit.spans[0].from = 1;
	intake_trial_assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	unit.spans[0].position = 20;
	unit.spans[0].from = 7;
	intake_trial_assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	unit.spans[0].from = 1;
	intake_trial_assert_admitted(f, &unit);
	intake_trial_run(f, 2, 21, 1);
	intake_trial_run(f, 1, 20, 1);
}

static void a_session_keeps_the_wire_type_that_it_began_with(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 4);
	unit.spans[0].wire = 1;
	intake_trial_assert_admitted(f, &unit);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 1, 4, 1), REFUSAL_SESSION, NOT_REACHED);
	unit.spans[0].wire = 1;
	intake_trial_assert_admitted(f, &unit);
	intake_trial_one(f, &unit, 2, 4, 1);
	unit.spans[0].from = 1; /* nor does one that begins with it have another */
	intake_trial_assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	unit.spans[0].wire = 1;
	intake_trial_assert_admitted(f, &unit);
	intake_trial_run(f, 1, 0, 1); /* begun anew */
}

static void a_session_takes_the_room_of_the_one_it_begins_with(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	for (uint64_t s = 1; s <= SESSIONS; s++)
		intake_trial_run(f, s, 0, 3);
	intake_trial_one(f, &unit, 99, 3, 1);
	unit.spans[0].from = 1;
	intake_trial_assert_refused(f, &unit, REFUSAL_MEMORY, TOO_MANY_SESSIONS);
	intake_trial_close(&unit, 1);
	intake_trial_assert_admitted(f, &unit);
	intake_trial_run(f, 99, 4, 1);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 1, 3, 1), REFUSAL_SESSION, NOT_REACHED);
}

static void closing_what_is_not_held_changes_nothing(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	for (uint64_t s = 0; s < SESSIONS; s++)
		intake_trial_run(f, s, 0, 1);
	intake_trial_one(f, &unit, 99, 0, 1);
	intake_trial_close(&unit, 77);
	intake_trial_assert_refused(f, &unit, REFUSAL_MEMORY, TOO_MANY_SESSIONS);
}

static void a_session_closed_and_reopened_in_a_unit_begins_anew(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	for (uint64_t s = 0; s < SESSIONS; s++)
		intake_trial_run(f, s, 0, 10);
	intake_trial_one(f, &unit, 1, 10, 1);
	intake_trial_close(&unit, 1);
	intake_trial_assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	intake_trial_one(f, &unit, 1, 0, 2);
	intake_trial_close(&unit, 1);
	intake_trial_assert_admitted(f, &unit);
	assert_int_equal(intake_sessions(f->intake), SESSIONS);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 1, 3, 1), REFUSAL_SESSION, NOT_REACHED);
	intake_trial_assert_admitted(f, intake_trial_one(f, &unit, 1, 2, 1));
}

static void a_refused_unit_closes_nothing(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, 3);
	intake_trial_one(f, &unit, 2, 7, 1);
	intake_trial_close(&unit, 1);
	intake_trial_assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	intake_trial_run(f, 1, 3, 1);
}

static void a_failed_unit_forgets_its_sessions_and_no_others(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit, other;

	intake_trial_run(f, 1, 0, 3);
	intake_trial_run(f, 2, 0, 3);
	intake_trial_begin(f, &unit, &intake_whole);
	intake_trial_add(&unit, 2, 3, 1);
	intake_trial_add(&unit, 3, 0, 1);
	intake_trial_assert_admitted(f, &unit);
	intake_done(f->intake, &unit.u, true);
	assert_int_equal(intake_sessions(f->intake), 1);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &other, 2, 3, 1), REFUSAL_SESSION, NOT_REACHED);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &other, 3, 1, 1), REFUSAL_SESSION, NOT_REACHED);
	intake_trial_run(f, 1, 3, 1);
	intake_trial_run(f, 2, 0, 4);
}

static void assigning_and_unassigning_forget_all_sessions(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, 3);
	intake_assign(f->intake, &intake_whole);
	assert_int_equal(intake_sessions(f->intake), 0);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &unit, 1, 3, 1), REFUSAL_SESSION, NOT_REACHED);
	intake_trial_run(f, 1, 0, 3);
	intake_unassign(f->intake);
	assert_int_equal(intake_sessions(f->intake), 0);
}

static void units_of_an_assignment_that_ended_may_still_be_done(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit a, b;

	intake_trial_assert_admitted(f, intake_trial_one(f, &a, 1, 0, 3));
	intake_trial_assert_admitted(f, intake_trial_one(f, &b, 1, 3, 1));
	intake_unassign(f->intake);
	intake_done(f->intake, &a.u, true);
	intake_done(f->intake, &b.u, true);
	assert_int_equal(intake_queued(f->intake), 0);
}

static void takes_as_many_sessions_in_a_unit_as_the_limit(void **state)
{
	struct intake_assignment many = intake_whole;
	struct intake_trial *f = *state;
	struct intake_unit unit;

	many.max_sessions = LIMIT_UNIT_SPANS;
	intake_assign(f->intake, &many);
	intake_trial_begin(f, &unit, &intake_whole);
	for (uint64_t s = 0; s < LIMIT_UNIT_SPANS; s++)
		intake_trial_add(&unit, s * UINT64_C(0x9e3779b97f4a7c15), 0, 2);
	intake_trial_assert_admitted(f, &unit);
	assert_int_equal(intake_sessions(f->intake), LIMIT_UNIT_SPANS);
}

int main(void)
{
#define TEST(test)                                                                                 \
	cmocka_unit_test_setup_teardown(test, intake_trial_set_up, intake_trial_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(refuses_an_unknown_session_past_position_0),
	    TEST(refuses_a_position_past_what_is_held),
	    TEST(sessions_go_on_over_units_that_are_queued),
	    TEST(a_session_that_went_back_holds_no_more_than_that),
	    TEST(refuses_a_session_that_comes_twice_in_a_unit),
	    TEST(few_long_sessions_take_the_room_of_many_short_ones),
	    TEST(what_a_session_went_back_from_is_not_free),
	    TEST(refuses_more_sessions_than_were_agreed),
	    TEST(a_closed_session_makes_room_for_another_in_the_same_unit),
	    TEST(a_session_begins_with_what_another_holds),
	    TEST(a_session_keeps_the_wire_type_that_it_began_with),
	    TEST(a_session_takes_the_room_of_the_one_it_begins_with),
	    TEST(a_session_closed_several_times_makes_room_once),
	    TEST(closing_what_is_not_held_changes_nothing),
	    TEST(a_session_closed_and_reopened_in_a_unit_begins_anew),
	    TEST(a_refused_unit_closes_nothing),
	    TEST(a_failed_unit_forgets_its_sessions_and_no_others),
	    TEST(assigning_and_unassigning_forget_all_sessions),
	    TEST(units_of_an_assignment_that_ended_may_still_be_done),
	    TEST(takes_as_many_sessions_in_a_unit_as_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
