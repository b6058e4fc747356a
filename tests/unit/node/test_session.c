/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/session.h"
#include "node/work.h"
#include "protocol/messages.h"
#include "tests/support/vocabulary.h"

enum { N_VOCABULARY = 265, KV_TOKENS = 32, END = 262, TEXT_BYTES = 256, MAX_TOP = 265 };

static struct tokenizer *tokenizer;
static struct session *session;
static struct session_step step;
static struct unit_span span;
static char text[TEXT_BYTES]; /* what the member has */
static size_t text_len;
static uint8_t rows_data[KV_TOKENS * (4 + MAX_TOP * 8)];

static int set_up(void **state)
{
	struct vocabulary v;

	(void)state;
	vocabulary_bpe(&v);
	session = NULL;
	text_len = 0;
	return vocabulary_open(&v, &tokenizer, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	session_free(session);
	tokenizer_free(tokenizer);
	return 0;
}

static struct session_request request(uint32_t n_prompt)
{
	struct session_request r = {
	    .id = 5, .kv_tokens = KV_TOKENS, .n_vocabulary = N_VOCABULARY, .n_tokens = n_prompt};

	sampler_defaults(&r.sampling);
	r.tokens = calloc(n_prompt, sizeof *r.tokens);
	assert_non_null(r.tokens);
	for (uint32_t i = 0; i < n_prompt; i++)
		r.tokens[i] = 'a' + i;
	return r;
}

static void begin(const struct session_request *r)
{
	assert_int_equal(session_new(r, 10, &session, NULL), AYNI_OK);
	assert_int_equal(session->state, SESSION_WAITING);
	assert_int_equal(session_prepare(session, tokenizer), AYNI_OK);
	session_bind(session, 0);
}

static void keep(struct span more)
{
	assert_true(text_len + more.len <= sizeof text);
	if (more.len > 0)
		memcpy(text + text_len, more.data, more.len);
	text_len += more.len;
}

/* Rows of which the best candidate is `token`, then its followers. */
static struct logit_rows rows_of(uint32_t token, uint32_t n_rows, uint32_t top)
{
	float lse = 20.0f;

	for (uint32_t r = 0; r < n_rows; r++) {
		uint8_t *row = rows_data + r * logit_row_bytes(top);

		payload_put_f32(row, &lse, 1);
		for (uint32_t i = 0; i < top; i++) {
			uint32_t id = (token + i) % N_VOCABULARY;
			float value = 9.0f - 0.25f * (float)i;

			payload_put_u32(row + 4 + (size_t)i * 8, &id, 1);
			payload_put_f32(row + 8 + (size_t)i * 8, &value, 1);
		}
	}
	return (struct logit_rows){n_rows, top, rows_data};
}

/* One span there and back. */
static void fly(uint32_t chunk, uint32_t token)
{
	struct logit_rows rows;

	session_take_span(session, chunk, 0, &span);
	assert_int_equal(session->state, SESSION_FLYING);
	rows = rows_of(token, span.n_logits, session_top(session));
	assert_int_equal(session_logits(session, &span, &rows, tokenizer, 20, &step), AYNI_OK);
	keep(step.text.answer);
	if (step.finished) {
		struct reasoning_text rest;

		assert_int_equal(session_rest(session, &rest), AYNI_OK);
		keep(rest.answer);
	}
}

static void assert_text(const char *expected)
{
	assert_int_equal(text_len, strlen(expected));
	assert_memory_equal(text, expected, text_len);
}

/* ---- spans ------------------------------------------------------------------------------------
 */

static void the_prompt_is_fed_in_chunks_and_only_its_last_row_is_wanted(void **state)
{
	struct session_request r = request(7);

	(void)state;
	begin(&r);
	fly(3, 'x');
	assert_int_equal(span.session, 5);
	assert_int_equal(span.position, 0);
	assert_int_equal(span.n_tokens, 3);
	assert_int_equal(span.n_logits, 0);
	assert_int_equal(step.n_drawn, 0);
	fly(3, 'x');
	assert_int_equal(span.position, 3);
	assert_int_equal(span.n_logits, 0);
	fly(3, 'x');
	assert_int_equal(span.position, 6);
	assert_int_equal(span.n_tokens, 1);
	assert_int_equal(span.n_logits, 1);
	assert_int_equal(step.n_drawn, 1);
	assert_int_equal(step.drawn[0], 'x');
	assert_text("x");
	fly(3, 'y');
	assert_int_equal(span.position, 7);
	assert_int_equal(span.n_tokens, 1);
	assert_text("xy");
}

static void each_row_is_reported_once(void **state)
{
	struct session_request r = request(5);
	uint32_t reported = 0;

	(void)state;
	r.top = 2;
	begin(&r);
	for (int i = 0; i < 3; i++) {
		fly(2, 'x');
		assert_int_equal(step.n_rows, span.n_tokens);
		assert_int_equal(step.rows_first, 0);
		reported += step.n_rows;
	}
	session_rewind(session);
	session_bind(session, 1);
	fly(4, 'x'); /* again: all of these are known */
	assert_int_equal(span.position, 0);
	assert_int_equal(span.n_logits, 0);
	assert_int_equal(step.n_rows, 0);
	fly(4, 'y');
	assert_int_equal(span.n_tokens, 2);
	assert_int_equal(span.n_logits, 1);
	assert_int_equal(step.n_rows, 1);
	assert_int_equal(reported + step.n_rows, 6);
}

static void the_batchs_other_rows_do_not_change_the_draw(void **state)
{
	struct session_request r = request(2);
	struct logit_rows rows;

	(void)state;
	begin(&r);
	assert_int_equal(session_top(session), 1); /* greedy: the best alone */
	session_take_span(session, 9, 0, &span);
	rows = rows_of('q', 1, 200);
	assert_int_equal(session_logits(session, &span, &rows, tokenizer, 20, &step), AYNI_OK);
	assert_int_equal(step.drawn[0], 'q');
}

static void what_is_drawn_needs_candidates(void **state)
{
	struct session_request r = request(2);

	(void)state;
	r.sampling.temperature = 1.0f;
	begin(&r);
	assert_int_equal(session_top(session), SAMPLER_CANDIDATES);
	session_free(session);
	r = request(2);
	r.n_vocabulary = 30;
	r.sampling.temperature = 1.0f;
	begin(&r);
	assert_int_equal(session_top(session), 30);
	session_free(session);
	r = request(2);
	r.top = 265;
	begin(&r);
	assert_int_equal(session_top(session), 265);
}

static void a_session_that_waits_holds_no_more_than_it_came_with(void **state)
{
	struct session_request r = request(3);

	(void)state;
	r.max_tokens = 5;
	assert_int_equal(session_new(&r, 10, &session, NULL), AYNI_OK);
	assert_int_equal(session->capacity, 3);
	assert_null(session->text);
	assert_int_equal(session_most_tokens(session), 8);
	assert_int_equal(session_prepare(session, tokenizer), AYNI_OK);
	assert_int_equal(session->capacity, 8);
	assert_int_equal(session->tokens[2], 'c');
	session_free(session);
	r = request(3);
	r.max_tokens = KV_TOKENS - 2; /* more than the context has room for */
	assert_int_equal(session_new(&r, 10, &session, NULL), AYNI_OK);
	assert_int_equal(session_most_tokens(session), KV_TOKENS);
	session_free(session);
	r = request(3);
	begin(&r);
	assert_int_equal(session->capacity, KV_TOKENS);
}

/* ---- guesses ----------------------------------------------------------------------------------
 */

/* A span with guesses; each of its rows has another best token. */
static void fly_guessing(const char *drawn)
{
	size_t row_bytes = logit_row_bytes(session_top(session));
	static uint8_t rows[(DRAFT_MAX + 1) * (4 + MAX_TOP * 8)];

	session_take_span(session, 100, DRAFT_MAX, &span);
	for (uint32_t i = 0; i < span.n_logits; i++)
		memcpy(rows + i * row_bytes,
		    rows_of((uint32_t)drawn[i], 1, session_top(session)).data, row_bytes);
	assert_int_equal(session_logits(session, &span,
	                     &(struct logit_rows){span.n_logits, session_top(session), rows},
	                     tokenizer, 20, &step),
	    AYNI_OK);
	keep(step.text.answer);
}

static struct session_request refrain(void)
{
	struct session_request r = request(8);

	memcpy(r.tokens, (uint32_t[]){'a', 'b', 'c', 'd', 'e', 'a', 'b', 'c'}, 8 * 4);
	return r;
}

static void guesses_that_are_drawn_are_kept(void **state)
{
	struct session_request r = refrain();

	(void)state;
	begin(&r);
	fly_guessing("deabc");
	assert_int_equal(span.n_tokens, 8 + 4);
	assert_int_equal(span.n_logits, 1 + 4);
	assert_int_equal(step.n_drawn, 5);
	assert_memory_equal(step.drawn, ((uint32_t[]){'d', 'e', 'a', 'b', 'c'}), 20);
	assert_int_equal(session->n_fed, 12); /* all but the last drawn */
	assert_int_equal(session->draft.right, 4);
	assert_text("deabc");
}

static void what_follows_a_wrong_guess_is_fed_again(void **state)
{
	struct session_request r = refrain();

	(void)state;
	begin(&r);
	fly_guessing("dexyz"); /* guessed: d, e, a, b */
	assert_int_equal(step.n_drawn, 3);
	assert_int_equal(session->n_fed, 10);
	assert_int_equal(session->n_tokens, 11);
	assert_text("dex");
	fly_guessing("q");
	assert_int_equal(span.position, 10);
	assert_int_equal(span.n_tokens, 1);
	assert_text("dexq");
}

static void an_answer_ends_among_its_guesses(void **state)
{
	struct session_request r = refrain();

	(void)state;
	r.max_tokens = 3; /* at most two are guessed, and one more is drawn */
	begin(&r);
	fly_guessing("dea");
	assert_int_equal(span.n_tokens, 8 + 2);
	assert_true(step.finished);
	assert_int_equal(step.reason, FINISH_LENGTH);
	assert_text("dea");
	session_free(session);
	r = refrain();
	r.kv_tokens = 10;
	begin(&r);
	fly_guessing("de");
	assert_int_equal(span.n_tokens, 8 + 1);
	assert_int_equal(step.reason, FINISH_CONTEXT);
}

static void who_wants_rows_of_logits_gets_no_guesses(void **state)
{
	struct session_request r = refrain();

	(void)state;
	r.top = 1;
	begin(&r);
	session_take_span(session, 100, DRAFT_MAX, &span);
	assert_int_equal(span.n_tokens, 8);
	assert_int_equal(span.n_logits, 8);
}

static void a_lost_span_takes_its_guesses_along(void **state)
{
	struct session_request r = refrain();

	(void)state;
	begin(&r);
	session_take_span(session, 100, DRAFT_MAX, &span);
	assert_int_equal(session->n_guessed, 4);
	session_rewind(session);
	assert_int_equal(session->n_tokens, 8);
	session_bind(session, 1);
	fly_guessing("deabc");
	assert_text("deabc");
}

/* ---- replay -----------------------------------------------------------------------------------
 */

static void a_replay_draws_the_same_tokens(void **state)
{
	uint32_t first[4] = {0}, again[4] = {0};

	(void)state;
	for (int round = 0; round < 2; round++) {
		struct session_request r = request(3);

		r.sampling.temperature = 1.0f;
		r.sampling.seed = 99;
		session_free(session);
		begin(&r);
		for (int i = 0; i < 4; i++) {
			if (round == 1 && i > 0) { /* lost before each token */
				session_take_span(session, 9, 0, &span);
				session_rewind(session);
				assert_int_equal(session->n_fed, 0);
				session_bind(session, 2);
			}
			fly(100, 'c');
			assert_int_equal(span.n_tokens, round == 1 ? 3 + i : i == 0 ? 3 : 1);
			(round == 0 ? first : again)[i] = step.drawn[0];
		}
		assert_int_equal(session->replays, 0); /* since the last token */
	}
	assert_memory_equal(first, again, sizeof first);
	assert_true(first[0] != first[1] || first[1] != first[2] || first[2] != first[3]);
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void an_end_token_ends_it_and_is_not_part_of_it(void **state)
{
	struct session_request r = request(3);

	(void)state;
	begin(&r);
	fly(9, 'x');
	fly(9, END);
	assert_true(step.finished);
	assert_int_equal(step.n_drawn, 0);
	assert_int_equal(step.reason, FINISH_END);
	assert_int_equal(session->n_tokens, 4);
	assert_int_equal(session->state, SESSION_DONE);
	assert_text("x");
}

static void an_end_token_can_be_ignored(void **state)
{
	struct session_request r = request(3);

	(void)state;
	r.ignore_end = true;
	begin(&r);
	fly(9, END);
	assert_false(step.finished);
	assert_int_equal(step.n_drawn, 1);
	assert_int_equal(session->tokens[3], END);
	assert_text("");
}

static void it_ends_with_as_many_tokens_as_were_wanted(void **state)
{
	struct session_request r = request(3);

	(void)state;
	r.max_tokens = 2;
	begin(&r);
	fly(9, 'x');
	assert_false(step.finished);
	fly(9, 'y');
	assert_true(step.finished);
	assert_int_equal(step.n_drawn, 1);
	assert_int_equal(step.reason, FINISH_LENGTH);
	assert_text("xy");
}

static void it_ends_where_the_context_is_full(void **state)
{
	struct session_request r = request(KV_TOKENS - 2);

	(void)state;
	begin(&r);
	fly(99, 'x');
	assert_false(step.finished);
	fly(99, 'y');
	assert_true(step.finished);
	assert_int_equal(step.reason, FINISH_CONTEXT);
	assert_int_equal(session->n_tokens, KV_TOKENS);
}

static void times_of_the_first_and_last_token_are_kept(void **state)
{
	struct session_request r = request(3);
	struct logit_rows rows;

	(void)state;
	begin(&r);
	for (uint64_t now = 100; now <= 300; now += 100) {
		session_take_span(session, 2, 0, &span);
		rows = rows_of('x', span.n_logits, 1);
		assert_int_equal(
		    session_logits(session, &span, &rows, tokenizer, now, &step), AYNI_OK);
	}
	assert_int_equal(session->arrived_us, 10);
	assert_int_equal(session->first_us, 200);
	assert_int_equal(session->last_us, 300);
}

/* ---- text -------------------------------------------------------------------------------------
 */

static void no_part_of_a_character_leaves(void **state)
{
	struct session_request r = request(3);

	(void)state;
	begin(&r);
	fly(9, 0xe2);
	assert_int_equal(step.text.answer.len, 0);
	fly(9, 0x82);
	assert_int_equal(step.text.answer.len, 0);
	fly(9, 0xac);
	assert_int_equal(step.text.answer.len, 3);
	assert_text("\xe2\x82\xac");
}

static void reasoning_leaves_apart_from_the_answer(void **state)
{
	static const char drawn[] = "<think>a</think>b";
	struct session_request r = request(3);
	size_t n_reasoning = 0;

	(void)state;
	begin(&r);
	for (size_t i = 0; i < sizeof drawn - 1; i++) {
		fly(9, (uint8_t)drawn[i]);
		n_reasoning += step.text.reasoning.len;
		if (step.text.reasoning.len > 0)
			assert_int_equal(step.text.reasoning.data[0], 'a');
	}
	assert_int_equal(n_reasoning, 1);
	assert_text("b");
	session_free(session);
	text_len = 0;
	r = request(3);
	r.plain = true;
	begin(&r);
	for (size_t i = 0; i < sizeof drawn - 1; i++)
		fly(9, (uint8_t)drawn[i]);
	assert_text(drawn);
}

static void a_character_that_never_became_whole_is_replaced_at_any_end(void **state)
{
	struct session_request r = request(3);

	(void)state;
	begin(&r);
	fly(9, 0xe2);
	fly(9, END);
	assert_text("\xef\xbf\xbd");
	session_free(session);
	text_len = 0;
	r = request(3);
	r.max_tokens = 2;
	begin(&r);
	fly(9, 'x');
	fly(9, 0xe2);
	assert_int_equal(step.reason, FINISH_LENGTH);
	assert_text("x\xef\xbf\xbd");
}

/* ---- shares -----------------------------------------------------------------------------------
 */

static void shares_count_units_of_each_donor_and_range(void **state)
{
	struct session_request r = request(3);
	struct public_key ana = {{1}}, ben = {{2}};
	struct layer_range low = {0, 2}, high = {2, 4};

	(void)state;
	begin(&r);
	assert_int_equal(session_share(session, &ana, "ana", low), AYNI_OK);
	assert_int_equal(session_share(session, &ben, "ben", high), AYNI_OK);
	assert_int_equal(session_share(session, &ana, "ana", low), AYNI_OK);
	assert_int_equal(session_share(session, &ana, "ana", high), AYNI_OK);
	assert_int_equal(session->n_shares, 3);
	assert_int_equal(session->shares[0].units, 2);
	assert_string_equal(session->shares[1].donor_name, "ben");
	assert_int_equal(session->shares[2].layer_first, 2);
	for (uint32_t i = 3; i < LIMIT_LAYERS; i++) {
		struct layer_range range = {i, i + 1};

		assert_int_equal(session_share(session, &ben, "ben", range), AYNI_OK);
	}
	low.last = 3;
	assert_int_equal(session_share(session, &ana, "ana", low), AYNI_ERR_LIMIT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(the_prompt_is_fed_in_chunks_and_only_its_last_row_is_wanted),
	    TEST(each_row_is_reported_once),
	    TEST(the_batchs_other_rows_do_not_change_the_draw),
	    TEST(what_is_drawn_needs_candidates),
	    TEST(a_session_that_waits_holds_no_more_than_it_came_with),
	    TEST(guesses_that_are_drawn_are_kept),
	    TEST(what_follows_a_wrong_guess_is_fed_again),
	    TEST(an_answer_ends_among_its_guesses),
	    TEST(who_wants_rows_of_logits_gets_no_guesses),
	    TEST(a_lost_span_takes_its_guesses_along),
	    TEST(a_replay_draws_the_same_tokens),
	    TEST(an_end_token_ends_it_and_is_not_part_of_it),
	    TEST(an_end_token_can_be_ignored),
	    TEST(it_ends_with_as_many_tokens_as_were_wanted),
	    TEST(it_ends_where_the_context_is_full),
	    TEST(times_of_the_first_and_last_token_are_kept),
	    TEST(no_part_of_a_character_leaves),
	    TEST(reasoning_leaves_apart_from_the_answer),
	    TEST(a_character_that_never_became_whole_is_replaced_at_any_end),
	    TEST(shares_count_units_of_each_donor_and_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
