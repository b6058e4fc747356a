/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler by itself; tests/sim/test_network.c plays everything at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/scheduler_trial.h"

/* ---- requests ---------------------------------------------------------------------------------
 */

static void prompts_that_cannot_be_answered_are_refused(void **state)
{
	(void)state;
	assert_int_equal(play_submit(0, 1), AYNI_ERR_ARGUMENT);
	assert_int_equal(play_submit(KV_TOKENS, 1), AYNI_ERR_ARGUMENT);
	assert_string_equal(
	    play.err.text, "the prompt has 40 tokens; at most 39 fit into the context here");
	assert_int_equal(play_submit(KV_TOKENS - 1, 1), AYNI_OK);
}

static void a_full_pool_refuses_the_next_request(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(play_submit(2, 1), AYNI_OK);
	assert_int_equal(play_submit(2, 1), AYNI_ERR_AGAIN);
	play_run(1);
	scheduler_cancel(play.scheduler, PEER, NULL, &play.actions);
	assert_int_equal(play_count(ACTION_FINISH), 6);
	assert_int_equal(play_submit(2, 1), AYNI_OK);
}

static void a_request_goes_through_all_stages_and_is_booked_before_it_goes_on(void **state)
{
	int low = play_ready(0, 2, 4), high = play_ready(2, 4, 4);
	struct taken t;

	(void)state;
	assert_int_equal(play_submit(3, 1), AYNI_OK);
	play_run(1);
	assert_int_equal(play_count(ACTION_UNIT), 1);
	t = play_take(0);
	play_clear();
	assert_int_equal(t.donor, low);
	assert_int_equal(t.unit.unit, 100);
	assert_int_equal(t.unit.n_logits, 0); /* wanted of the last stage alone */
	assert_int_equal(t.unit.top, 0);
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(play.actions.n, 2);
	assert_int_equal(play.actions.list[0].kind, ACTION_BOOK);
	assert_int_equal(play.actions.list[0].book.donor, low);
	assert_int_equal(play.actions.list[0].book.tokens, 3);
	t = play_take(0);
	play_clear();
	assert_int_equal(t.donor, high);
	assert_int_equal(t.unit.unit, 101);
	assert_int_equal(t.unit.spans[0].n_logits, 1);
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(play.actions.list[0].kind, ACTION_BOOK);
	assert_int_equal(play.actions.list[1].kind, ACTION_PIECE);
	assert_int_equal(play.actions.list[1].piece.n_drawn, 1);
	assert_int_equal(play.actions.list[play.actions.n - 1].kind, ACTION_FINISH);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.reason, FINISH_LENGTH);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.session->n_shares, 2);
	assert_int_equal(roster_get(play.roster, low)->sessions, 0);
}

static void the_next_unit_goes_out_before_what_was_drawn(void **state)
{
	struct taken t;

	(void)state;
	(void)play_ready(0, 4, 4);
	assert_int_equal(play_submit(3, 2), AYNI_OK);
	assert_int_equal(play_submit(3, 1), AYNI_OK);
	play_run(1);
	t = play_take(0);
	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	play_run(2);
	assert_int_equal(play.actions.n, 5);
	assert_int_equal(play.actions.list[0].kind, ACTION_BOOK);
	assert_int_equal(play.actions.list[1].kind, ACTION_UNIT);
	assert_int_equal(play.actions.list[2].kind, ACTION_PIECE);
	assert_int_equal(play.actions.list[3].kind, ACTION_PIECE);
	assert_int_equal(play.actions.list[4].kind, ACTION_FINISH);
}

static void sessions_share_a_unit(void **state)
{
	struct taken t;

	(void)state;
	(void)play_ready(0, 4, 4);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(play_submit(i, 1), AYNI_OK);
	play_run(1);
	t = play_take(0);
	assert_int_equal(t.unit.n_spans, 3);
	assert_int_equal(t.unit.n_tokens, 6);
	assert_int_equal(t.unit.n_logits, 3);
	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_FINISH), 3);
}

static void who_writes_goes_first_and_prompts_are_read_in_parts_beside(void **state)
{
	struct taken t;

	(void)state;
	(void)play_ready(0, 4, 4);
	assert_int_equal(play_submit(KV_TOKENS - 1, 1), AYNI_OK);
	assert_int_equal(play_submit(1, 8), AYNI_OK);
	play_run(1);
	t = play_take(0);
	assert_int_equal(t.unit.n_spans, 2);
	assert_int_equal(t.unit.spans[0].session, 2);
	assert_int_equal(t.unit.spans[1].n_tokens, READ_BESIDE_TOKENS);
	play_drop(&t);
}

static void no_more_sessions_are_bound_than_a_donor_agreed_to(void **state)
{
	struct scheduler_counts n;
	struct taken t;

	(void)state;
	(void)play_ready(0, 4, 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(play_submit(2, 1), AYNI_OK);
	play_run(1);
	scheduler_count(play.scheduler, 0, &n);
	assert_int_equal(n.sessions, 3);
	assert_int_equal(n.waiting, 1);
	assert_int_equal(n.units_out, 1);
	assert_int_equal(
	    scheduler_next_us(play.scheduler), 1 + TIMEOUT_US); /* not for the one waiting */
	t = play_take(0);
	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	play_clear();
	play_run(3);
	t = play_take(0);
	assert_int_equal(t.unit.n_closed, 2); /* room for it */
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
}

/* ---- what goes wrong --------------------------------------------------------------------------
 */

static void a_wrong_result_is_not_booked_and_the_request_goes_elsewhere(void **state)
{
	int liar = play_ready(0, 4, 4), other;
	struct taken t;

	(void)state;
	assert_int_equal(play_submit(2, 1), AYNI_OK);
	play_run(1);
	t = play_take(0);
	play_clear();
	other = play_ready(0, 4, 4);
	assert_int_equal(play_answer(&t, 1), REFUSAL_BOUNDS);
	assert_int_equal(play_count(ACTION_BOOK), 0);
	assert_int_equal(roster_get(play.roster, liar)->failures, ROSTER_MAX_FAILURES);
	assert_int_equal(roster_unassign(play.roster, liar), AYNI_OK); /* as the pool then does */
	play_run(2);
	t = play_take(0);
	assert_int_equal(t.donor, other);
	assert_int_equal(t.unit.spans[0].position, 0);
	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_FINISH), 1);
}

static void a_result_nobody_waits_for_is_refused(void **state)
{
	int donor = play_ready(0, 4, 4), other = play_ready(0, 4, 4);
	struct msg_result r = {.unit = 100};
	struct span none = {0};

	(void)state;
	assert_int_equal(play_submit(2, 1), AYNI_OK);
	play_run(1);
	assert_int_equal(
	    scheduler_result(play.scheduler, other, &r, none, 1, &play.actions, &play.err),
	    REFUSAL_REPLAY);
	r.unit = 0;
	assert_int_equal(
	    scheduler_result(play.scheduler, donor, &r, none, 1, &play.actions, &play.err),
	    REFUSAL_REPLAY);
	r.unit = 101;
	assert_int_equal(
	    scheduler_result(play.scheduler, donor, &r, none, 1, &play.actions, &play.err),
	    REFUSAL_REPLAY);
	assert_int_equal(roster_get(play.roster, donor)->failures, 0);
	assert_int_equal(scheduler_units_at(play.scheduler, donor), 1);
}

static void a_unit_out_of_time_is_replayed_and_counts_against_the_donor(void **state)
{
	int donor = play_ready(0, 4, 4);
	struct taken t, late;

	(void)state;
	assert_int_equal(play_submit(2, 2), AYNI_OK);
	play_run(1);
	t = play_take(0);
	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	play_clear();
	play_run(2);
	late = play_take(0);
	play_clear();
	assert_int_equal(late.unit.spans[0].position, 2);
	play_run(2 + TIMEOUT_US - 1);
	assert_int_equal(play_count(ACTION_UNIT), 0);
	play_run(2 + TIMEOUT_US);
	t = play_take(0);
	play_clear();
	assert_int_equal(t.unit.spans[0].position, 0);
	assert_int_equal(t.unit.n_tokens, 3);
	assert_int_equal(roster_get(play.roster, donor)->failures, 1);
	assert_int_equal(play_answer(&late, 0), REFUSAL_REPLAY);
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(roster_get(play.roster, donor)->failures, 0);
	assert_int_equal(play_count(ACTION_FINISH), 1);
}

static void a_path_whose_donor_loads_again_gets_no_more(void **state)
{
	int low = play_ready(0, 2, 4), high = play_ready(2, 4, 4);
	struct taken t;

	(void)state;
	assert_int_equal(play_submit(2, 2), AYNI_OK);
	play_run(1);
	t = play_take(0);
	play_clear();
	assert_int_equal(roster_progress(play.roster, high, 2, PROGRESS_LOADING, 0), AYNI_OK);
	play_run(1);
	assert_int_equal(roster_progress(play.roster, high, 2, PROGRESS_READY, 0), AYNI_OK);
	play_run(1);
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_BOOK), 1); /* the work was done */
	assert_int_equal(play_count(ACTION_UNIT), 0);
	play_clear();
	play_run(2);
	t = play_take(0);
	assert_int_equal(t.donor, low);
	assert_int_equal(t.unit.spans[0].position, 0);
	play_drop(&t);
}

static void numbers_that_overflow_at_two_donors_end_the_request(void **state)
{
	int first = play_ready(0, 4, 4), second = play_ready(0, 4, 4), asked;
	struct taken t;

	(void)state;
	assert_int_equal(play_submit(2, 1), AYNI_OK);
	play_run(1);
	t = play_take(0);
	asked = t.donor;
	play_clear();
	play_give_up(&t, REFUSAL_NUMERIC);
	assert_int_equal(play_count(ACTION_FINISH), 0);
	play_run(2);
	t = play_take(0);
	assert_int_equal(t.donor, asked == first ? second : first);
	play_clear();
	play_give_up(&t, REFUSAL_NUMERIC);
	assert_int_equal(play_count(ACTION_FINISH), 1);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.reason, FINISH_FAILED);
	assert_int_equal(roster_get(play.roster, first)->failures, 0);
	assert_int_equal(roster_get(play.roster, second)->failures, 0);
}

static void a_request_whose_donors_always_fail_ends(void **state)
{
	int rounds = 0, donors = 0;

	(void)state;
	assert_int_equal(play_submit(2, 1), AYNI_OK);
	for (play_run(1); play_count(ACTION_FINISH) == 0; play_run(1)) {
		struct taken t;

		if (play_count(ACTION_UNIT) == 0) {
			(void)play_ready(0, 4, 4);
			donors++;
			continue;
		}
		t = play_take(0);
		play_clear();
		play_give_up(&t, REFUSAL_SESSION);
		assert_true(++rounds < 100);
	}
	assert_int_equal(play_count(ACTION_FINISH), 1);
	assert_string_equal(play_nth(ACTION_FINISH, 0)->finish.text, "its donors failed too often");
	assert_int_equal(donors, 5); /* each made as many excuses as it may */
}

static void who_only_makes_excuses_gets_no_more_work(void **state)
{
	static const enum refusal excuses[] = {
	    REFUSAL_SESSION, REFUSAL_BUSY, REFUSAL_EXPIRED, REFUSAL_LEAVING, REFUSAL_NUMERIC};

	(void)state;
	for (size_t i = 0; i < sizeof excuses / sizeof *excuses; i++) {
		int donor = play_ready(0, 4, 4);
		uint64_t made = 0;

		for (play_run(1); roster_serves(roster_get(play.roster, donor)); play_run(1)) {
			struct taken t;

			if (play_count(ACTION_UNIT) == 0)
				assert_int_equal(play_submit(2, 1), AYNI_OK);
			play_run(1);
			t = play_take(0);
			play_clear();
			play_give_up(&t, excuses[i]);
			made++;
		}
		assert_int_equal(made, ROSTER_MAX_EXCUSES);
	}
}

/* It never gave a unit back, and never failed. */
static void who_loses_its_layers_for_ever_gets_no_more_work(void **state)
{
	int donor = play_ready(0, 4, 4);
	struct roster_donor *d = roster_get(play.roster, donor);
	uint64_t number = d->assignment.number, lost = 0;

	(void)state;
	assert_int_equal(play_submit(2, 0), AYNI_OK);
	for (play_run(1); d->failures < ROSTER_MAX_FAILURES; play_run(1)) {
		if (play_count(ACTION_UNIT) > 0) {
			struct taken t = play_take(0);

			play_clear();
			assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
		}
		assert_int_equal(
		    roster_progress(play.roster, donor, number, PROGRESS_LOADING, 0), AYNI_OK);
		play_run(1);
		assert_int_equal(
		    roster_progress(play.roster, donor, number, PROGRESS_READY, 0), AYNI_OK);
		assert_true(++lost <= ROSTER_MAX_EXCUSES);
	}
	assert_int_equal(lost, ROSTER_MAX_EXCUSES);
}

static void missing_layers_are_waited_for_and_named(void **state)
{
	(void)state;
	(void)play_ready(1, 2, 4);
	assert_int_equal(play_submit(2, 1), AYNI_OK);
	play_run(10);
	play_run(11);
	assert_int_equal(play_count(ACTION_PIECE), 1); /* told once */
	assert_string_equal(play_nth(ACTION_PIECE, 0)->piece.notice,
	    "no donor holds layers 0 to 0, 2 to 3 of tiny now; waiting up to 0 s");
	assert_int_equal(scheduler_next_us(play.scheduler), 10 + WAIT_US);
	play_clear();
	play_run(10 + WAIT_US);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.reason, FINISH_FAILED);
	assert_int_equal(scheduler_next_us(play.scheduler), 0);
}

/* ---- cancelling -------------------------------------------------------------------------------
 */

static void a_cancelled_session_leaves_its_flight_and_its_donors(void **state)
{
	uint64_t first = 1;
	struct taken t;

	(void)state;
	(void)play_ready(0, 2, 4);
	(void)play_ready(2, 4, 4);
	assert_int_equal(play_submit(2, 0), AYNI_OK);
	assert_int_equal(play_submit(3, 0), AYNI_OK);
	play_run(1); /* one flight each: two stages */
	t = play_take(0);
	scheduler_cancel(play.scheduler, PEER, &first, &play.actions);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.reason, FINISH_CANCELLED);
	assert_int_equal(t.unit.spans[0].session, 1);
	{
		struct taken second = play_take(1);

		play_clear();
		assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
		assert_int_equal(play_count(ACTION_BOOK), 1);
		assert_int_equal(play_count(ACTION_UNIT), 0); /* nobody is aboard any more */
		play_clear();
		assert_int_equal(play_answer(&second, 0), REFUSAL_NONE);
		t = play_take(0);
		play_clear();
	}
	assert_int_equal(t.unit.n_closed, 1); /* the second stage is told, though it never had it */
	assert_int_equal(t.unit.closed[0], 1);
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	play_clear();
	play_run(3);
	t = play_take(0);
	assert_int_equal(t.unit.n_closed, 1); /* and the first, with the next unit there */
	play_give_up(&t, REFUSAL_BUSY);
	play_clear();
	play_run(4);
	t = play_take(0);
	assert_int_equal(t.unit.n_closed, 1); /* it was not heard: again */
	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
}

static void only_the_members_own_requests_are_cancelled(void **state)
{
	uint64_t first = 1;

	(void)state;
	assert_int_equal(play_submit(2, 1), AYNI_OK);
	scheduler_cancel(play.scheduler, PEER + 1, &first, &play.actions);
	scheduler_cancel(play.scheduler, PEER + 1, NULL, &play.actions);
	first = 9;
	scheduler_cancel(play.scheduler, PEER, &first, &play.actions);
	assert_int_equal(play.actions.n, 0);
}

static void a_stopping_pool_ends_all_requests_with_its_reason(void **state)
{
	(void)state;
	(void)play_ready(0, 4, 1);
	assert_int_equal(play_submit(2, 1), AYNI_OK);
	assert_int_equal(play_submit(2, 1), AYNI_OK);
	play_run(1);
	scheduler_fail_all(play.scheduler, "the pool is stopping", &play.actions);
	assert_int_equal(play_count(ACTION_FINISH), 2);
	assert_string_equal(play_nth(ACTION_FINISH, 1)->finish.text, "the pool is stopping");
	scheduler_check(play.scheduler);
}

/* Of the layers that it was given, whichever of them the unit went through. */
static void work_is_booked_for_all_layers_of_a_donor_that_gave_them_up(void **state)
{
	int low = play_ready(0, 3, 4);
	const struct action_book *b;
	struct taken t;

	(void)state;
	(void)play_ready(2, 4, 4);
	assert_int_equal(play_submit(3, 2), AYNI_OK);
	play_run(1);
	t = play_take(0);
	play_clear();
	assert_int_equal(t.donor, low);
	assert_int_equal(t.unit.layer_last, 2);
	assert_int_equal(roster_unassign(play.roster, low), AYNI_OK);
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_BOOK), 1);
	b = &play_nth(ACTION_BOOK, 0)->book;
	assert_int_equal(b->layers.last, 3);
	assert_int_equal(b->ran.last, 2);
}

int main(void)
{
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, scheduler_trial_set_up, scheduler_trial_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(prompts_that_cannot_be_answered_are_refused),
	    TEST(a_full_pool_refuses_the_next_request),
	    TEST(a_request_goes_through_all_stages_and_is_booked_before_it_goes_on),
	    TEST(the_next_unit_goes_out_before_what_was_drawn),
	    TEST(sessions_share_a_unit),
	    TEST(who_writes_goes_first_and_prompts_are_read_in_parts_beside),
	    TEST(no_more_sessions_are_bound_than_a_donor_agreed_to),
	    TEST(a_wrong_result_is_not_booked_and_the_request_goes_elsewhere),
	    TEST(a_result_nobody_waits_for_is_refused),
	    TEST(a_unit_out_of_time_is_replayed_and_counts_against_the_donor),
	    TEST(a_path_whose_donor_loads_again_gets_no_more),
	    TEST(numbers_that_overflow_at_two_donors_end_the_request),
	    TEST(a_request_whose_donors_always_fail_ends),
	    TEST(who_only_makes_excuses_gets_no_more_work),
	    TEST(who_loses_its_layers_for_ever_gets_no_more_work),
	    TEST(missing_layers_are_waited_for_and_named),
	    TEST(a_cancelled_session_leaves_its_flight_and_its_donors),
	    TEST(only_the_members_own_requests_are_cancelled),
	    TEST(a_stopping_pool_ends_all_requests_with_its_reason),
	    TEST(work_is_booked_for_all_layers_of_a_donor_that_gave_them_up),
	};

	return cmocka_run_group_tests(
	    tests, scheduler_trial_set_up_model, scheduler_trial_tear_down_model);
}
