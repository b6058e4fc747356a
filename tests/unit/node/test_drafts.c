/* SPDX-License-Identifier: Apache-2.0 */
/* When the scheduler asks a small model for guesses, and what becomes of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/messages.h"
#include "tests/support/scheduler_trial.h"

enum { PROMPT = 4, ALONE_US = 100, NOW_US = 10 };

static const uint32_t some[] = {5, 6, 7, 8};

static struct session *first_session(void)
{
	return binding_session(play.scheduler, 0);
}

/* As if both ways had been measured already. */
static void prefer(struct session *s, enum way way)
{
	for (uint32_t i = 0; i < GAIN_TRY_TRIPS; i++) {
		gain_learn(&s->drafting.gain, WAY_ALONE, ALONE_US, 1);
		gain_learn(&s->drafting.gain, WAY_DRAFTED, ALONE_US, way == WAY_DRAFTED ? 2 : 1);
	}
	assert_int_equal(gain_next(&s->drafting.gain), way);
}

/* Nothing was asked for since the actions were cleared, or this. */
static const struct action_draft *asked(void)
{
	const struct action *a = play_nth(ACTION_DRAFT, 0);

	assert_true(play_count(ACTION_DRAFT) <= 1);
	return a != NULL ? &a->draft : NULL;
}

/* Its unit is computed, and nothing else is left to do. */
static void answer_unit(void)
{
	struct taken t = play_take(0);

	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
}

/* A session whose first token was drawn, and of which the small model has taken notice. */
static void begin(uint32_t max_tokens, enum way way)
{
	play.scheduler->limits.drafted_models = 1;
	play.scheduler->limits.draft_tokens = DRAFT_MAX;
	(void)play_ready(0, 4, 4);
	assert_int_equal(play_submit(PROMPT, max_tokens), AYNI_OK);
	play_run(1);
	prefer(first_session(), way);
	answer_unit();
	scheduler_drafted(play.scheduler, 1, PROMPT, NULL, 0);
	assert_int_equal(first_session()->n_tokens, PROMPT + 1);
	play_clear();
	play_run(NOW_US);
}

static void without_a_small_model_nobody_is_asked(void **state)
{
	(void)state;
	(void)play_ready(0, 4, 4);
	assert_int_equal(play_submit(PROMPT, 0), AYNI_OK);
	play_run(1);
	assert_null(asked());
	prefer(first_session(), WAY_DRAFTED);
	answer_unit();
	play_run(2);
	assert_null(asked());
}

static void it_reads_a_prompt_while_the_donors_do(void **state)
{
	(void)state;
	play.scheduler->limits.drafted_models = 1;
	play.scheduler->limits.draft_tokens = DRAFT_MAX;
	(void)play_ready(0, 4, 4);
	assert_int_equal(play_submit(PROMPT, 0), AYNI_OK);
	play_run(1);
	assert_non_null(asked());
	assert_ptr_equal(asked()->session, first_session());
	assert_int_equal(asked()->most, 0);
	assert_int_equal(play_count(ACTION_UNIT), 1);
	prefer(first_session(), WAY_DRAFTED);
	answer_unit();
	play_run(2); /* it is reading still: nobody waits for it */
	assert_null(asked());
	assert_in_range(play_count(ACTION_UNIT), 1, 2);
}

static void a_session_waits_for_guesses_and_takes_them_along(void **state)
{
	struct taken t;
	uint32_t sent[4];

	(void)state;
	begin(0, WAY_DRAFTED);
	assert_non_null(asked());
	assert_int_equal(asked()->most, 4);
	assert_int_equal(asked()->until_us, NOW_US + DRAFT_WAIT_TOKENS * ALONE_US);
	assert_int_equal(play_count(ACTION_UNIT), 0);
	scheduler_drafted(play.scheduler, 1, PROMPT + 1, some, 3);
	play_clear();
	play_run(NOW_US + 1);
	t = play_take(0);
	assert_int_equal(t.unit.n_tokens, 1 + 3);
	assert_int_equal(t.unit.n_logits, 1 + 3);
	payload_get_u32(t.payload, sent, 4);
	assert_memory_equal(sent + 1, some, 3 * sizeof *some);
	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(first_session()->drafting.draft.guessed, 3);
	assert_int_equal(first_session()->draft.guessed, 0);
}

static bool never_ends(const void *context, uint32_t token)
{
	(void)context;
	(void)token;
	return false;
}

static void guesses_that_are_right_are_kept(void **state)
{
	uint32_t right[KV_TOKENS], best[KV_TOKENS];
	struct session *s;
	struct fake_question question = {.kv_tokens = KV_TOKENS, .ignore_end = true};
	enum finish_reason reason;

	(void)state;
	begin(0, WAY_DRAFTED);
	s = first_session();
	question.sampling = &s->r.sampling;
	question.is_end = never_ends;
	memcpy(right, s->tokens, PROMPT * sizeof *right);
	(void)fake_answer(&play.model->sizes, &question, right, PROMPT, best, &reason);
	assert_int_equal(right[PROMPT], s->tokens[PROMPT]);
	scheduler_drafted(play.scheduler, 1, PROMPT + 1, right + PROMPT + 1, 4);
	play_clear();
	play_run(NOW_US + 1);
	answer_unit();
	assert_int_equal(s->drafting.draft.right, 4);
	assert_int_equal(s->n_tokens, PROMPT + 1 + 4 + 1);
	assert_memory_equal(s->tokens, right, s->n_tokens * sizeof *right);
}

static void it_waits_no_longer_than_it_says(void **state)
{
	uint64_t until;

	(void)state;
	begin(0, WAY_DRAFTED);
	until = asked()->until_us;
	play_clear();
	play_run(until - 1);
	assert_int_equal(play_count(ACTION_UNIT), 0);
	assert_int_equal(scheduler_next_us(play.scheduler), until);
	play_run(until);
	assert_in_range(play_count(ACTION_UNIT), 1, 2);
	assert_int_equal(play_nth(ACTION_UNIT, 0)->unit.unit.n_tokens, 1);
}

static void guesses_that_come_late_are_dropped(void **state)
{
	struct taken t;

	(void)state;
	begin(0, WAY_DRAFTED);
	play_run(asked()->until_us);
	t = play_take(0);
	play_clear();
	scheduler_drafted(play.scheduler, 1, PROMPT + 1, some, 4);
	assert_int_equal(first_session()->drafting.n, 0);
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(first_session()->drafting.draft.guessed, 0);
}

static void another_answer_is_asked_for_when_the_last_has_come(void **state)
{
	struct taken t, ahead;

	(void)state;
	begin(0, WAY_DRAFTED);
	play_run(asked()->until_us);
	t = play_take(0);
	ahead = play_take(1); /* the donor goes on by itself meanwhile */
	play_clear();
	assert_int_equal(play_answer(&t, 0), REFUSAL_NONE);
	play_run(1000);
	assert_null(asked());
	play_drop(&ahead);
	scheduler_drafted(play.scheduler, 1, PROMPT + 1, some, 4);
	scheduler_drafted(play.scheduler, 99, 1, some, 4); /* of a session that is over */
	prefer(first_session(), WAY_DRAFTED);
	assert_true(drafts_want(play.scheduler, first_session()));
}

static void tokens_that_the_served_model_does_not_have_end_the_guesses(void **state)
{
	const uint32_t tokens[] = {5, play.model->sizes.n_vocabulary, 6};

	(void)state;
	begin(0, WAY_DRAFTED);
	scheduler_drafted(play.scheduler, 1, PROMPT + 1, tokens, 3);
	assert_int_equal(first_session()->drafting.n, 1);
}

static void no_more_is_guessed_than_is_wanted(void **state)
{
	(void)state;
	begin(4, WAY_DRAFTED);
	assert_int_equal(asked()->most, 2); /* of three that are left one is drawn behind them */
	scheduler_drafted(play.scheduler, 1, PROMPT + 1, some, 4);
	assert_int_equal(first_session()->drafting.n, 2);
}

static void a_session_that_loses_its_path_loses_its_guesses(void **state)
{
	(void)state;
	begin(0, WAY_DRAFTED);
	scheduler_drafted(play.scheduler, 1, PROMPT + 1, some, 4);
	roster_remove(play.roster, 0);
	play_run(NOW_US + 1);
	assert_int_equal(first_session()->state, SESSION_WAITING);
	assert_int_equal(first_session()->drafting.n, 0);
	scheduler_drafted(play.scheduler, 1, PROMPT + 1, some, 4);
	assert_int_equal(first_session()->drafting.n, 0);
}

static void where_guesses_do_not_gain_nobody_is_asked_and_tokens_fly_ahead(void **state)
{
	(void)state;
	begin(0, WAY_ALONE);
	assert_null(asked());
	assert_int_equal(play_count(ACTION_UNIT), 2);
}

static void what_the_text_itself_says_needs_no_small_model(void **state)
{
	struct session *s;

	(void)state;
	begin(0, WAY_ALONE);
	s = first_session();
	answer_unit();
	prefer(s, WAY_DRAFTED);
	play_clear();
	for (uint32_t i = 0; i < s->n_tokens; i++)
		s->tokens[i] = 7;
	session_rewind(s);
	session_bind(s, s->path);
	s->n_fed = s->n_tokens - 1;
	drafts_run(play.scheduler, NOW_US, &play.actions);
	assert_null(asked());
	s->tokens[s->n_tokens - 1] = 8;
	drafts_run(play.scheduler, NOW_US, &play.actions);
	assert_non_null(asked());
}

static void sessions_of_a_path_share_the_room_for_guesses(void **state)
{
	(void)state;
	play.scheduler->limits.drafted_models = 1;
	play.scheduler->limits.draft_tokens = DRAFT_MAX;
	(void)play_ready(0, 4, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(play_submit(PROMPT, 0), AYNI_OK);
	play_run(1);
	for (size_t i = 0; i < 4; i++)
		prefer(play.scheduler->bound[i], WAY_DRAFTED);
	answer_unit();
	for (uint64_t id = 1; id <= 4; id++)
		scheduler_drafted(play.scheduler, id, PROMPT, NULL, 0);
	play_clear();
	play_run(NOW_US);
	assert_int_equal(play_count(ACTION_DRAFT), 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(play_nth(ACTION_DRAFT, i)->draft.most, GUESS_TOKENS / 4 - 1);
}

#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, scheduler_trial_set_up, scheduler_trial_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(without_a_small_model_nobody_is_asked),
	    TEST(it_reads_a_prompt_while_the_donors_do),
	    TEST(a_session_waits_for_guesses_and_takes_them_along),
	    TEST(guesses_that_are_right_are_kept),
	    TEST(it_waits_no_longer_than_it_says),
	    TEST(guesses_that_come_late_are_dropped),
	    TEST(another_answer_is_asked_for_when_the_last_has_come),
	    TEST(tokens_that_the_served_model_does_not_have_end_the_guesses),
	    TEST(no_more_is_guessed_than_is_wanted),
	    TEST(a_session_that_loses_its_path_loses_its_guesses),
	    TEST(where_guesses_do_not_gain_nobody_is_asked_and_tokens_fly_ahead),
	    TEST(what_the_text_itself_says_needs_no_small_model),
	    TEST(sessions_of_a_path_share_the_room_for_guesses),
	};

	return cmocka_run_group_tests(
	    tests, scheduler_trial_set_up_model, scheduler_trial_tear_down_model);
}
