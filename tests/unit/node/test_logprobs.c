/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/logprobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/session.h"
#include "node/work.h"
#include "tests/support/vocabulary.h"

enum { N_VOCABULARY = 265, KV_TOKENS = 32, TOP = SAMPLER_CANDIDATES };

static struct tokenizer *tokenizer;
static struct session *session;
static struct session_step step;

static int set_up(void **state)
{
	struct vocabulary v;

	(void)state;
	vocabulary_bpe(&v);
	session = NULL;
	return vocabulary_open(&v, &tokenizer, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	session_free(session);
	tokenizer_free(tokenizer);
	return 0;
}

/* A prompt that has something to guess. */
static struct session_request refrain(void)
{
	static const uint32_t prompt[] = {'a', 'b', 'c', 'd', 'e', 'a', 'b', 'c'};
	struct session_request r = {
	    .id = 5, .kv_tokens = KV_TOKENS, .n_vocabulary = N_VOCABULARY, .n_tokens = 8};

	sampler_defaults(&r.sampling);
	r.tokens = malloc(sizeof prompt);
	assert_non_null(r.tokens);
	memcpy(r.tokens, prompt, sizeof prompt);
	return r;
}

static void begin(const struct session_request *r)
{
	session_free(session);
	assert_int_equal(session_new(r, 10, &session, NULL), AYNI_OK);
	assert_int_equal(session_prepare(session, tokenizer), AYNI_OK);
	session_bind(session, 0);
}

/* A span there and back. Row i's best token is best[i], the next is a quarter less likely. */
static void fly(uint32_t guesses, const char *best)
{
	static uint8_t data[(DRAFT_MAX + 1) * (4 + TOP * 8)];
	uint32_t top = session_top(session);
	struct logit_rows rows = {.top = top, .data = data};
	struct unit_span span;

	session_take_span(session, 100, guesses, &span);
	for (; rows.n_rows < span.n_logits; rows.n_rows++) {
		struct logit row[TOP];

		for (uint32_t i = 0; i < top; i++)
			row[i] = (struct logit){((uint32_t)best[rows.n_rows] + i) % N_VOCABULARY,
			    9.0f - 0.25f * (float)i};
		logit_row_write(data + rows.n_rows * logit_row_bytes(top), row, top, 20.0f);
	}
	assert_int_equal(session_logits(session, &span, &rows, tokenizer, 20, &step), AYNI_OK);
}

static void assert_logprob(const struct logprobs *l, uint32_t i, uint32_t id, float value)
{
	assert_true(i < l->n);
	assert_int_equal(l->candidates[i].id, id);
	assert_true(l->candidates[i].value == value);
}

static void logprobs_are_told_of_each_token_also_of_those_guessed(void **state)
{
	struct session_request r = refrain();

	(void)state;
	r.logprobs = 3;
	begin(&r);
	assert_int_equal(session_top(session), 2); /* one is enough to draw */
	fly(DRAFT_MAX, "dexyz");
	assert_int_equal(step.n_drawn, 3);
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t token = step.drawn[i];

		assert_int_equal(step.logprobs[i].n, 3);
		assert_logprob(&step.logprobs[i], 0, token, 9.0f - 20.0f);
		assert_logprob(&step.logprobs[i], 1, token, 9.0f - 20.0f);
		assert_logprob(&step.logprobs[i], 2, token + 1, 8.75f - 20.0f);
		assert_int_equal(step.logprobs[i].part, TOKEN_OF_ANSWER);
		assert_int_equal(step.logprobs[i].text_bytes, 1);
	}
}

static void with_and_without_logprobs_the_same_tokens_are_drawn(void **state)
{
	static const float temperatures[] = {0.0f, 1.0f};
	uint32_t drawn[2][6];

	(void)state;
	for (size_t t = 0; t < 2; t++) {
		for (size_t told = 0; told < 2; told++) {
			struct session_request r = refrain();

			r.sampling.temperature = temperatures[t];
			r.sampling.frequency_penalty = temperatures[t];
			r.sampling.seed = 7;
			r.logprobs = told > 0 ? 21 : 0;
			begin(&r);
			for (uint32_t i = 0; i < 6; i++) {
				fly(0, i % 2 > 0 ? "d" : "c");
				drawn[told][i] = step.drawn[0];
				assert_int_equal(step.logprobs != NULL, told);
			}
		}
		assert_memory_equal(drawn[0], drawn[1], sizeof drawn[0]);
	}
	/* the token's own, before penalties, wherever in the row it stands */
	assert_true(step.logprobs[0].candidates[0].value ==
	            9.0f - 0.25f * (float)(step.drawn[0] - 'd') - 20.0f);
}

static void a_logprob_of_no_number_is_as_good_as_none(void **state)
{
	const struct logit row[] = {{7, 2.0f}, {8, -1e30f}, {9, 0.0f / 0.0f}};
	struct logprobs told;

	(void)state;
	logprobs_of(row, 3, 1.5f, 9, 20, &told);
	assert_int_equal(told.n, 4);
	assert_logprob(&told, 0, 9, LOGPROB_NONE);
	assert_logprob(&told, 1, 7, 0); /* a wrong lse */
	assert_logprob(&told, 2, 8, LOGPROB_NONE);
	assert_logprob(&told, 3, 9, LOGPROB_NONE);
}

static void logprobs_become_text_in_a_message(void **state)
{
	const struct logprobs told = {2, {{0xe2, -1.0f}, {260, -0.5f}}, TOKEN_OF_NEXT, 3};
	struct msg_piece m = {0};

	(void)state;
	assert_int_equal(logprobs_tell(tokenizer, &told, 1, &m), AYNI_OK);
	assert_int_equal(m.n_logprobs, 1);
	assert_int_equal(m.logprobs[0].n_candidates, 2);
	assert_int_equal(m.logprobs[0].candidates[0].text.len, 1);
	assert_int_equal(m.logprobs[0].candidates[0].text.data[0], 0xe2);
	assert_memory_equal(m.logprobs[0].candidates[1].text.data, " hello", 6);
	assert_true(m.logprobs[0].candidates[1].logprob == -0.5f);
	assert_int_equal(m.logprobs[0].part, TOKEN_OF_NEXT);
	assert_int_equal(m.logprobs[0].text_bytes, 3);
	logprobs_free(&m);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(logprobs_are_told_of_each_token_also_of_those_guessed),
	    TEST(with_and_without_logprobs_the_same_tokens_are_drawn),
	    TEST(a_logprob_of_no_number_is_as_good_as_none),
	    TEST(logprobs_become_text_in_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
