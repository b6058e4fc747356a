/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of Generate and Piece, when encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/messages.h"
#include "tests/support/sample_messages.h"

static void break_both(struct message *m)
{
	m->generate.prompt = (char *)(uintptr_t) "x";
}
static void break_neither(struct message *m)
{
	m->generate.n_turns = 0;
}
static void break_turns(struct message *m)
{
	m->generate.n_turns = 257;
}
static void break_role(struct message *m)
{
	m->generate.turns[0].role[0] = '\0';
}
static void break_nan(struct message *m)
{
	m->generate.sampling.temperature = 0.0f / 0.0f;
}
static void break_top_p(struct message *m)
{
	m->generate.sampling.top_p = 1.5f;
}
static void break_max(struct message *m)
{
	m->generate.max_tokens = LIMIT_CONTEXT_TOKENS + 1;
}
static void break_token(struct message *m)
{
	m->piece.tokens[0] = LIMIT_VOCABULARY;
}
static void break_piece_text(struct message *m)
{
	m->piece.text.data[1] = 0xc3;
}
static void break_piece_reasoning(struct message *m)
{
	m->piece.reasoning.data[1] = 0xc3;
}
static void break_rows(struct message *m)
{
	m->piece.rows = LIMIT_CONTEXT_TOKENS + 1;
}
static void break_logprobs_wanted(struct message *m)
{
	m->generate.logprobs = 22;
}
static void break_logprobs_many(struct message *m)
{
	m->piece.n_logprobs = LOGPROBS_MAX + 1;
}
static void break_logprobs_none(struct message *m)
{
	m->piece.logprobs[0].n_candidates = 0;
}
static void break_logprobs_above(struct message *m)
{
	m->piece.logprobs[0].candidates[0].logprob = 0.1f;
}
static void break_logprobs_nan(struct message *m)
{
	m->piece.logprobs[0].candidates[0].logprob = 0.0f / 0.0f;
}
static void break_logprobs_text(struct message *m)
{
	m->piece.logprobs[0].candidates[0].text.len = LOGPROB_TEXT_BYTES + 1;
}
static void break_logprobs_part(struct message *m)
{
	m->piece.logprobs[0].part = (enum token_part)3;
}
static void break_frequency(struct message *m)
{
	m->generate.sampling.frequency_penalty = 101;
}
static void break_drawn(struct message *m)
{
	m->generate.drawn[0] = LIMIT_VOCABULARY;
}
static void break_generate_wire(struct message *m)
{
	m->generate.wire = LIMIT_WIRE_TYPES;
}

static void break_tools(struct message *m)
{
	static char long_text[LIMIT_TOOLS_BYTES + 2];

	memset(long_text, 'x', sizeof long_text - 1);
	m->generate.tools = long_text;
}
static void break_tool_calls(struct message *m)
{
	m->generate.turns[0].tool_calls = (char *)(uintptr_t) "\xff";
}
static void break_call_id(struct message *m)
{
	m->generate.turns[0].tool_call_id = (char *)(uintptr_t) "a\nb";
}
static void break_tool_format(struct message *m)
{
	m->piece.tool_format = LIMIT_TOOL_FORMATS;
}

static const struct {
	enum message_type type;
	void (*apply)(struct message *m);
} breaks[] = {
    {MSG_GENERATE, break_both},
    {MSG_GENERATE, break_neither},
    {MSG_GENERATE, break_turns},
    {MSG_GENERATE, break_role},
    {MSG_GENERATE, break_nan},
    {MSG_GENERATE, break_top_p},
    {MSG_GENERATE, break_max},
    {MSG_PIECE, break_token},
    {MSG_PIECE, break_piece_text},
    {MSG_PIECE, break_piece_reasoning},
    {MSG_PIECE, break_rows},
    {MSG_GENERATE, break_logprobs_wanted},
    {MSG_PIECE, break_logprobs_many},
    {MSG_PIECE, break_logprobs_none},
    {MSG_PIECE, break_logprobs_above},
    {MSG_PIECE, break_logprobs_nan},
    {MSG_PIECE, break_logprobs_text},
    {MSG_PIECE, break_logprobs_part},
    {MSG_GENERATE, break_tools},
    {MSG_GENERATE, break_tool_calls},
    {MSG_GENERATE, break_call_id},
    {MSG_PIECE, break_tool_format},
    {MSG_GENERATE, break_frequency},
    {MSG_GENERATE, break_drawn},
    {MSG_GENERATE, break_generate_wire},
};

static void refuses_to_encode_what_is_past_a_bound(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
		struct sample s;
		struct error err = {0};
		uint8_t *bytes;
		size_t len;

		sample_make(&s, breaks[i].type, SAMPLE_SMALL);
		breaks[i].apply(&s.message);
		if (message_encode(&s.message, &bytes, &len, &err) != AYNI_ERR_ARGUMENT)
			fail_msg(
			    "%s, break %zu was encoded", message_name((uint16_t)breaks[i].type), i);
		assert_int_not_equal(err.text[0], 0);
		sample_free(&s);
	}
}

static void logprobs_come_back_as_they_were(void **state)
{
	struct sample s;
	struct message *again;
	const struct token_logprob *t;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_make(&s, MSG_PIECE, SAMPLE_FULL);
	assert_int_equal(message_encode(&s.message, &bytes, &len, NULL), AYNI_OK);
	assert_int_equal(message_decode(MSG_PIECE, bytes, len, &again, NULL), AYNI_OK);
	assert_int_equal(again->piece.n_logprobs, LOGPROBS_MAX);
	t = &again->piece.logprobs[LOGPROBS_MAX - 1];
	assert_int_equal(t->n_candidates, 1 + LOGPROB_ALTERNATIVES_MAX);
	assert_int_equal(t->part, TOKEN_OF_NEXT);
	assert_int_equal(t->text_bytes, LIMIT_HEADER_BYTES);
	assert_true(t->candidates[20].logprob == LOGPROB_NONE);
	assert_int_equal(t->candidates[20].text.len, LOGPROB_TEXT_BYTES);
	assert_int_equal(t->candidates[20].text.data[0], 0xff);
	message_free(again);
	free(bytes);
	sample_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_to_encode_what_is_past_a_bound),
	    cmocka_unit_test(logprobs_come_back_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
