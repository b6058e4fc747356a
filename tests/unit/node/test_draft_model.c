/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/cli/local.h"
#include "node/pool/draft.h"
#include "node/pool/draft_model.h"
#include "tests/support/tiny_model.h"
#include "tests/support/vocabulary.h"

enum { PROMPT = 150, MOST = 8, MAX_TOKENS = 256 };

static const struct sampler_settings greedy = {.top_p = 1.0f, .repeat_penalty = 1.0f};
static const struct sampler_settings drawn = {
    .temperature = 0.9f, .top_p = 0.95f, .repeat_penalty = 1.1f, .repeat_last_n = 32, .seed = 42};

static char *path;
static struct draft_model *model;
static uint32_t text[MAX_TOKENS];

/* Session n's text: PROMPT tokens of its own. */
static struct draft_job job_of(uint64_t session, const struct sampler_settings *s)
{
	for (uint32_t i = 0; i < PROMPT; i++)
		text[i] = (uint32_t)(session * 37 + i * i) % 256;
	return (struct draft_job){.session = session,
	    .tokens = text,
	    .n_tokens = PROMPT,
	    .most = MOST,
	    .sampling = *s,
	    .ignore_end = true};
}

static uint32_t guess(const struct draft_job *job, uint32_t *out)
{
	uint32_t left;

	do
		assert_int_equal(draft_model_feed(model, job, &left, NULL), AYNI_OK);
	while (left > 0);
	return draft_model_guess(model, job, out);
}

/* What the model says after the job's text, without a drafter. */
static void answer(const struct draft_job *job, uint32_t n, uint32_t *out)
{
	const struct local_options options = {.threads = 1};
	uint32_t history[MAX_TOKENS];
	float *row = calloc(TINY_MODEL_VOCABULARY, sizeof *row);
	struct local *l;

	assert_non_null(row);
	memcpy(history, job->tokens, job->n_tokens * sizeof *history);
	assert_int_equal(local_open(path, &options, &l, NULL), AYNI_OK);
	assert_int_equal(local_feed(l, history, job->n_tokens, row, 1, NULL), AYNI_OK);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t *next = &history[job->n_tokens + i];

		*next = out[i] = local_draw(l, &job->sampling, row, history, job->n_tokens + i);
		assert_int_equal(local_feed(l, next, 1, row, 1, NULL), AYNI_OK);
	}
	local_free(l);
	free(row);
}

static void it_guesses_what_the_model_itself_says(void **state)
{
	const struct sampler_settings *const settings[] = {&greedy, &drawn};
	uint32_t said[MOST], guessed[MOST];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct draft_job job = job_of(1 + i, settings[i]);

		answer(&job, MOST, said);
		assert_int_equal(guess(&job, guessed), MOST);
		assert_memory_equal(guessed, said, sizeof said);
	}
}

static void what_it_has_seen_is_not_computed_again(void **state)
{
	struct draft_job job = job_of(1, &drawn);
	uint32_t guessed[MOST], next[MOST], said[MOST + 3];
	uint64_t before;

	(void)state;
	answer(&job, MOST + 3, said);
	(void)guess(&job, guessed);
	before = draft_model_computed(model);
	memcpy(text + PROMPT, guessed, 3 * sizeof *text); /* the first three were right */
	job.n_tokens += 3;
	assert_int_equal(guess(&job, next), MOST);
	assert_memory_equal(next, said + 3, sizeof next);
	assert_int_equal(draft_model_computed(model), before + MOST); /* the third once more */
}

static void wrong_guesses_leave_no_trace(void **state)
{
	struct draft_job job = job_of(1, &drawn);
	uint32_t guessed[MOST], next[MOST], said[MOST];

	(void)state;
	(void)guess(&job, guessed);
	text[PROMPT] = (guessed[0] + 1) % 256;
	job.n_tokens++;
	answer(&job, MOST, said);
	assert_int_equal(guess(&job, next), MOST);
	assert_memory_equal(next, said, sizeof said);
}

static void a_session_that_was_rewound_is_followed(void **state)
{
	struct draft_job job = job_of(1, &drawn);
	uint32_t first[MOST], again[MOST];

	(void)state;
	job.n_tokens = PROMPT / 2;
	answer(&job, MOST, first);
	job.n_tokens = PROMPT;
	(void)guess(&job, again);
	job.n_tokens = PROMPT / 2;
	assert_int_equal(guess(&job, again), MOST);
	assert_memory_equal(again, first, sizeof first);
}

static void the_session_that_asked_longest_ago_makes_room_and_may_come_back(void **state)
{
	uint32_t first[MOST] = {0}, again[MOST] = {0};
	struct draft_job job;
	uint64_t before;

	(void)state;
	for (uint64_t session = 1; session <= DRAFT_MODEL_SESSIONS; session++) {
		job = job_of(session, &drawn);
		(void)guess(&job, session == 1 ? first : again);
	}
	before = draft_model_computed(model);
	job = job_of(2, &drawn); /* it is here still */
	(void)guess(&job, again);
	assert_int_equal(draft_model_computed(model), before + MOST);
	job = job_of(DRAFT_MODEL_SESSIONS + 1, &drawn);
	(void)guess(&job, again);
	before = draft_model_computed(model);
	job = job_of(1, &drawn);
	assert_int_equal(guess(&job, again), MOST);
	assert_memory_equal(again, first, sizeof first);
	assert_int_equal(draft_model_computed(model), before + PROMPT + MOST - 1);
	before = draft_model_computed(model);
	job = job_of(2, &drawn);
	(void)guess(&job, again);
	assert_int_equal(draft_model_computed(model), before + MOST);
}

static void a_session_that_ended_is_forgotten(void **state)
{
	struct draft_job job = job_of(1, &drawn);
	uint32_t guessed[MOST];
	uint64_t before;

	(void)state;
	(void)guess(&job, guessed);
	draft_model_forget(model, 2); /* nobody's */
	draft_model_forget(model, 1);
	before = draft_model_computed(model);
	(void)guess(&job, guessed);
	assert_int_equal(draft_model_computed(model), before + PROMPT + MOST - 1);
}

static void a_text_may_be_read_before_guesses_are_wanted(void **state)
{
	struct draft_job job = job_of(1, &drawn);
	uint32_t guessed[MOST], left;
	uint64_t before;

	(void)state;
	job.most = 0;
	assert_int_equal(draft_model_feed(model, &job, &left, NULL), AYNI_OK);
	assert_int_equal(left, PROMPT - DRAFT_MODEL_CHUNK);
	assert_int_equal(guess(&job, guessed), 0);
	assert_int_equal(guess(&job, guessed), 0); /* again: nothing is left to read */
	before = draft_model_computed(model);
	job.most = MOST;
	assert_int_equal(guess(&job, guessed), MOST);
	assert_int_equal(draft_model_computed(model), before + MOST);
}

static void a_guess_that_would_come_too_late_is_not_made(void **state)
{
	struct draft_job job = job_of(1, &drawn);
	uint32_t guessed[MOST];

	(void)state;
	job.until_us = 1; /* long ago */
	assert_int_equal(guess(&job, guessed), 0);
}

static void guesses_end_with_the_context_and_with_the_text(void **state)
{
	const struct sampler_settings s = {
	    .temperature = 2.0f, .top_p = 1.0f, .repeat_penalty = 1.0f, .seed = 5};
	struct draft_job job = job_of(1, &s);
	uint32_t guessed[DRAFT_MAX], ends = 0, left;

	(void)state;
	job.most = DRAFT_MAX;
	job.n_tokens = MAX_TOKENS - 3;
	assert_int_equal(guess(&job, guessed), 4);
	job.n_tokens = MAX_TOKENS + 1;
	assert_int_equal(draft_model_feed(model, &job, &left, NULL), AYNI_ERR_ARGUMENT);
	job.ignore_end = false;
	for (uint64_t seed = 0; seed < 100; seed++) { /* 2 tokens of 259 end a text */
		uint32_t n;

		job.n_tokens = 5;
		job.sampling.seed = seed;
		n = guess(&job, guessed);
		for (uint32_t i = 0; i + 1 < n; i++)
			assert_true(guessed[i] < 256 || guessed[i] == TINY_MODEL_IM_START);
		ends += n < DRAFT_MAX;
	}
	assert_true(ends > 0);
}

static void tokens_that_it_does_not_have_get_no_guesses(void **state)
{
	struct draft_job job = job_of(1, &drawn);
	uint32_t left;

	(void)state;
	text[7] = TINY_MODEL_VOCABULARY;
	assert_int_equal(draft_model_feed(model, &job, &left, NULL), AYNI_ERR_ARGUMENT);
	text[7] = 0;
	assert_int_equal(draft_model_feed(model, &job, &left, NULL), AYNI_OK);
}

static bool knows(const struct vocabulary *v)
{
	struct tokenizer *t;
	struct error err = {0};
	bool same;

	if (vocabulary_open(v, &t, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	same = draft_model_knows(model, t);
	tokenizer_free(t);
	return same;
}

/* Tables of equal length with other tokens are not enough; some filling more does no harm. */
static void it_serves_models_with_the_same_tokens(void **state)
{
	static struct vocabulary v;
	static const char *const special[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

	(void)state;
	vocabulary_bpe(&v);
	assert_false(knows(&v));
	v.n_tokens = v.n_types = TINY_MODEL_VOCABULARY;
	v.n_merges = 1;
	v.eos = TINY_MODEL_IM_END;
	assert_false(knows(&v));
	for (size_t i = 0; i < 3; i++)
		v.tokens[TINY_MODEL_END_OF_TEXT + i] = special[i];
	assert_true(knows(&v));
	(void)vocabulary_add(&v, "[PAD]", 5);
	assert_true(knows(&v));
	v.tokens[TINY_MODEL_IM_START] = "another";
	assert_false(knows(&v));
}

static int set_up(void **state)
{
	const struct draft_model_options o = {.kv = KV_F16, .max_tokens = MAX_TOKENS, .threads = 1};

	(void)state;
	return draft_model_open(path, &o, &model, NULL) == AYNI_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	draft_model_free(model);
	return 0;
}

static int write_model(void **state)
{
	(void)state;
	path = tiny_model_temporary(NULL);
	return 0;
}

static int remove_model(void **state)
{
	(void)state;
	tiny_model_remove(path);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(it_guesses_what_the_model_itself_says),
	    TEST(what_it_has_seen_is_not_computed_again),
	    TEST(wrong_guesses_leave_no_trace),
	    TEST(a_session_that_was_rewound_is_followed),
	    TEST(the_session_that_asked_longest_ago_makes_room_and_may_come_back),
	    TEST(a_session_that_ended_is_forgotten),
	    TEST(a_text_may_be_read_before_guesses_are_wanted),
	    TEST(a_guess_that_would_come_too_late_is_not_made),
	    TEST(guesses_end_with_the_context_and_with_the_text),
	    TEST(tokens_that_it_does_not_have_get_no_guesses),
	    TEST(it_serves_models_with_the_same_tokens),
	};

	return cmocka_run_group_tests(tests, write_model, remove_model);
}
