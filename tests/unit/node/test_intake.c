/* SPDX-License-Identifier: Apache-2.0 */
/* Which units a donor admits: numbers, assignment and bounds, each refusal by its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/intake_trial.h"

#define NOT_REACHED   "the session does not reach that position here"
#define PAST_CONTEXT  "a session past its context"
#define NO_ASSIGNMENT "no such assignment here, or not ready"
#define WRONG_SIZE    "the payload's size does not fit the tokens"
#define NO_LOGITS     "logits that these layers cannot give"
#define REPLAYED      "a unit of this or a higher number was here before"

/* ---- numbers and assignment ----------------------------------------------------------------- */

static void admits_a_unit_and_counts_it_until_it_is_done(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	assert_int_equal(intake_queued(f->intake), 0);
	intake_trial_assert_admitted(f, intake_trial_one(f, &unit, 1, 0, 10));
	assert_int_equal(intake_queued(f->intake), 1);
	assert_int_equal(intake_sessions(f->intake), 1);
	intake_done(f->intake, &unit.u, false);
	assert_int_equal(intake_queued(f->intake), 0);
	assert_int_equal(intake_sessions(f->intake), 1);
}

static void refuses_a_unit_number_that_was_here_and_any_below(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	f->last_unit = 40;
	intake_trial_run(f, 1, 0, 1);
	intake_trial_one(f, &unit, 1, 1, 1);
	unit.u.unit = 41;
	intake_trial_assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
	unit.u.unit = 7;
	intake_trial_assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
	unit.u.unit = 0;
	intake_trial_assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
	unit.u.unit = 42;
	intake_trial_assert_admitted(f, &unit);
	intake_trial_assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
}

static void a_refused_unit_does_not_use_up_its_number(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 3, 1);
	intake_trial_assert_refused(f, &unit, REFUSAL_SESSION, NOT_REACHED);
	unit.spans[0].position = 0;
	intake_trial_assert_admitted(f, &unit);
}

static void a_new_assignment_does_not_admit_old_numbers(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, 1);
	intake_unassign(f->intake);
	intake_assign(f->intake, &intake_whole);
	intake_trial_one(f, &unit, 1, 0, 1);
	unit.u.unit = 1;
	intake_trial_assert_refused(f, &unit, REFUSAL_REPLAY, REPLAYED);
}

static void refuses_work_that_was_not_assigned(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 1);
	unit.u.assignment = NUMBER + 1;
	intake_trial_assert_refused(f, &unit, REFUSAL_ASSIGNMENT, NO_ASSIGNMENT);
	unit.u.assignment = NUMBER;
	intake_unassign(f->intake);
	intake_trial_assert_refused(f, &unit, REFUSAL_ASSIGNMENT, NO_ASSIGNMENT);
}

static void refuses_any_work_before_an_assignment_even_for_number_0(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 1);
	unit.u.assignment = 0;
	intake_unassign(f->intake);
	intake_trial_assert_refused(f, &unit, REFUSAL_ASSIGNMENT, NO_ASSIGNMENT);
}

static void refuses_another_model_than_the_assigned_one(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 1);
	unit.u.model.bytes[HASH_BYTES - 1] ^= 1;
	intake_trial_assert_refused(
	    f, &unit, REFUSAL_ASSIGNMENT, "another model than the assigned one");
}

static void refuses_other_layers_than_the_assigned_ones(void **state)
{
	static const struct layer_range wrong[] = {
	    {0, LAYERS + 1}, {LAYERS, 0}, {0, 0}, {UINT32_MAX, UINT32_MAX}};
	struct intake_trial *f = *state;
	struct intake_unit unit;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		intake_trial_one(f, &unit, 1, 0, 1);
		unit.u.layer_first = wrong[i].first;
		unit.u.layer_last = wrong[i].last;
		intake_trial_assert_refused(f, &unit, REFUSAL_ASSIGNMENT,
		    "other layers than the assigned ones that are ready");
	}
}

static void takes_units_of_any_layers_that_are_ready(void **state)
{
	struct intake_trial *f = *state;
	const struct intake_assignment front = intake_trial_part(0, 2),
	                               middle = intake_trial_part(1, 4);
	struct intake_unit unit;

	intake_assign(f->intake, &front);
	intake_trial_add(intake_trial_begin(f, &unit, &front), 1, 0, 1);
	intake_trial_assert_admitted(f, &unit);
	intake_trial_add(intake_trial_begin(f, &unit, &middle), 2, 0, 1);
	intake_trial_assert_refused(
	    f, &unit, REFUSAL_ASSIGNMENT, "other layers than the assigned ones that are ready");
	intake_extend(f->intake, 4);
	intake_trial_assert_admitted(f, &unit);
	intake_trial_add(
	    intake_trial_begin(f, &unit, &front), 1, 1, 1); /* goes on where it began */
	intake_trial_assert_admitted(f, &unit);
}

static void a_session_stays_in_the_layers_that_it_began_in(void **state)
{
	struct intake_trial *f = *state;
	const struct intake_assignment part = intake_trial_part(2, 4);
	struct intake_unit unit;

	intake_trial_add(intake_trial_begin(f, &unit, &part), 1, 0, 2);
	intake_trial_assert_admitted(f, &unit);
	intake_trial_assert_refused(f, intake_trial_one(f, &unit, 1, 2, 1), REFUSAL_SESSION,
	    "the session does not reach that position here");
	intake_trial_one(f, &unit, 2, 2, 1); /* nor can another begin with it elsewhere */
	unit.spans[0].from = 1;
	intake_trial_assert_refused(
	    f, &unit, REFUSAL_SESSION, "the session does not reach that position here");
	intake_trial_assert_admitted(f, intake_trial_one(f, &unit, 1, 0, 1)); /* it begins anew */
	intake_trial_assert_admitted(f, intake_trial_one(f, &unit, 1, 1, 1));
}

static void refuses_work_once_it_is_leaving(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit before, after;

	intake_trial_assert_admitted(f, intake_trial_one(f, &before, 1, 0, 1));
	intake_leave(f->intake);
	intake_trial_assert_refused(
	    f, intake_trial_one(f, &after, 1, 1, 1), REFUSAL_LEAVING, "the donor is leaving");
	intake_done(f->intake, &before.u, false); /* what was admitted is finished */
	intake_assign(f->intake, &intake_whole);
	intake_trial_assert_refused(f, &after, REFUSAL_LEAVING, "the donor is leaving");
}

static void refuses_more_units_than_the_queue_holds(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit first, unit;

	intake_trial_assert_admitted(f, intake_trial_one(f, &first, 1, 0, 1));
	for (uint32_t i = 1; i < INTAKE_MAX_QUEUE; i++)
		intake_trial_assert_admitted(f, intake_trial_one(f, &unit, 1, i, 1));
	intake_trial_one(f, &unit, 1, INTAKE_MAX_QUEUE, 1);
	intake_trial_assert_refused(f, &unit, REFUSAL_BUSY, "the queue is full");
	intake_done(f->intake, &first.u, false);
	intake_trial_assert_admitted(f, &unit);
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void refuses_units_without_tokens_or_sessions_or_with_too_many(void **state)
{
	static const char words[] = "too many tokens or sessions, or none";
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_assert_refused(
	    f, intake_trial_begin(f, &unit, &intake_whole), REFUSAL_BOUNDS, words);
	intake_trial_one(f, &unit, 1, 0, 1);
	unit.u.n_spans = 0;
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, words);
	unit.u.n_spans = LIMIT_UNIT_SPANS + 1;
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, words);
	intake_trial_one(f, &unit, 1, 0, LIMIT_UNIT_TOKENS + 1);
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, words);
}

static void refuses_a_payload_whose_size_does_not_fit_the_tokens(void **state)
{
	static const size_t wrong[] = {0, 39, 41, 44, 10 * WIDTH * 4};
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 10);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		unit.payload_bytes = wrong[i];
		intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, WRONG_SIZE);
	}
	unit.payload_bytes = 40;
	intake_trial_assert_admitted(f, &unit);
}

static void later_stages_take_activations_instead_of_tokens(void **state)
{
	struct intake_assignment middle = intake_trial_part(2, 5);
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_assign(f->intake, &middle);
	intake_trial_add(intake_trial_begin(f, &unit, &middle), 1, 0, 10);
	unit.payload_bytes = 40;
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, WRONG_SIZE);
	unit.payload_bytes = 10 * WIDTH * 4;
	intake_trial_assert_admitted(f, &unit);
}

static void refuses_a_session_without_tokens_or_past_its_context(void **state)
{
	static const struct unit_span wrong[] = {{1, 0, 0, 0, 0, 0}, {1, CONTEXT, 1, 0, 0, 0},
	    {1, 0, CONTEXT + 1, 0, 0, 0}, {1, CONTEXT - 1, 2, 0, 0, 0},
	    {1, UINT32_MAX, 1, 0, 0, 0}};
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_run(f, 1, 0, CONTEXT);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		intake_trial_one(f, &unit, 1, wrong[i].position, wrong[i].n_tokens);
		if (wrong[i].n_tokens == 0)
			intake_trial_add(&unit, 2, 0, 1); /* the unit as a whole is not empty */
		intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, PAST_CONTEXT);
	}
	intake_trial_run(f, 1, CONTEXT - 1, 1);
}

static void refuses_a_span_whose_end_wraps_around(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 1, 1);
	unit.spans[0].n_tokens = UINT32_MAX; /* 1 + this is 0 */
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, PAST_CONTEXT);
}

static void refuses_more_rows_of_logits_than_tokens(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 3);
	unit.u.top = 1;
	unit.u.n_logits = unit.spans[0].n_logits = 4;
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, PAST_CONTEXT);
	unit.u.n_logits = unit.spans[0].n_logits = 3;
	intake_trial_assert_admitted(f, &unit);
}

static void refuses_logits_where_the_layers_do_not_end_the_model(void **state)
{
	struct intake_assignment first = intake_trial_part(0, 5);
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_assign(f->intake, &first);
	intake_trial_add(intake_trial_begin(f, &unit, &first), 1, 0, 1);
	unit.u.top = 1;
	unit.u.n_logits = unit.spans[0].n_logits = 1;
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, NO_LOGITS);
	unit.u.n_logits = unit.spans[0].n_logits = 0;
	intake_trial_assert_admitted(f, &unit);
}

static void refuses_rows_of_no_logits_or_of_more_than_the_vocabulary(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 1);
	unit.u.n_logits = unit.spans[0].n_logits = 1;
	unit.u.top = 0;
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, NO_LOGITS);
	unit.u.top = VOCABULARY + 1;
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, NO_LOGITS);
	unit.u.top = VOCABULARY;
	intake_trial_assert_admitted(f, &unit);
}

static void refuses_more_logits_than_a_result_may_hold(void **state)
{
	struct intake_assignment large = intake_whole;
	struct intake_trial *f = *state;
	struct intake_unit unit;

	large.n_vocabulary = LIMIT_VOCABULARY;
	intake_assign(f->intake, &large);
	intake_trial_one(f, &unit, 1, 0, 8);
	unit.u.n_logits = unit.spans[0].n_logits = 8;
	unit.u.top = LIMIT_VOCABULARY; /* 8 x (4 + 8 x 2^20) is 32 past 64 MiB */
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, "more logits than a result may hold");
	unit.u.top = LIMIT_VOCABULARY - 1;
	intake_trial_assert_admitted(f, &unit);
}

static void input_that_is_handed_over_comes_later_in_its_own_size(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 3);
	unit.u.input.ticket = 9;
	intake_trial_assert_refused(f, &unit, REFUSAL_BOUNDS, WRONG_SIZE);
	unit.payload_bytes = 0;
	intake_trial_assert_admitted(f, &unit);
	assert_int_equal(intake_input_bytes(f->intake, &unit.u), 12);
}

static void the_last_layers_hand_on_a_token_or_nothing(void **state)
{
	struct intake_trial *f = *state;
	struct intake_unit unit;

	intake_trial_one(f, &unit, 1, 0, 1);
	unit.u.n_logits = unit.spans[0].n_logits = unit.u.top = 1;
	unit.u.next.ticket = 9;
	intake_trial_assert_refused(
	    f, &unit, REFUSAL_BOUNDS, "the last layers hand on a token, or nothing");
	unit.u.draws = true;
	intake_trial_assert_admitted(f, &unit);
}

static void layers_before_the_last_draw_no_token(void **state)
{
	struct intake_trial *f = *state;
	struct intake_assignment part = intake_trial_part(0, 1);
	struct intake_unit unit;

	intake_assign(f->intake, &part);
	intake_trial_begin(f, &unit, &part);
	intake_trial_add(&unit, 1, 0, 1);
	unit.u.next.ticket = 9;
	unit.u.draws = true;
	intake_trial_assert_refused(
	    f, &unit, REFUSAL_BOUNDS, "a token that these layers cannot give");
	unit.u.draws = false;
	intake_trial_assert_admitted(f, &unit);
}

int main(void)
{
#define TEST(test)                                                                                 \
	cmocka_unit_test_setup_teardown(test, intake_trial_set_up, intake_trial_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(admits_a_unit_and_counts_it_until_it_is_done),
	    TEST(refuses_a_unit_number_that_was_here_and_any_below),
	    TEST(a_refused_unit_does_not_use_up_its_number),
	    TEST(a_new_assignment_does_not_admit_old_numbers),
	    TEST(refuses_work_that_was_not_assigned),
	    TEST(refuses_any_work_before_an_assignment_even_for_number_0),
	    TEST(refuses_another_model_than_the_assigned_one),
	    TEST(refuses_other_layers_than_the_assigned_ones),
	    TEST(takes_units_of_any_layers_that_are_ready),
	    TEST(a_session_stays_in_the_layers_that_it_began_in),
	    TEST(refuses_work_once_it_is_leaving),
	    TEST(refuses_more_units_than_the_queue_holds),
	    TEST(refuses_units_without_tokens_or_sessions_or_with_too_many),
	    TEST(refuses_a_payload_whose_size_does_not_fit_the_tokens),
	    TEST(later_stages_take_activations_instead_of_tokens),
	    TEST(refuses_a_session_without_tokens_or_past_its_context),
	    TEST(refuses_a_span_whose_end_wraps_around),
	    TEST(refuses_more_rows_of_logits_than_tokens),
	    TEST(refuses_logits_where_the_layers_do_not_end_the_model),
	    TEST(refuses_rows_of_no_logits_or_of_more_than_the_vocabulary),
	    TEST(refuses_more_logits_than_a_result_may_hold),
	    TEST(input_that_is_handed_over_comes_later_in_its_own_size),
	    TEST(the_last_layers_hand_on_a_token_or_nothing),
	    TEST(layers_before_the_last_draw_no_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
