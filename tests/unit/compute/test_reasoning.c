/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/reasoning.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vocabulary.h"

static struct vocabulary vocabulary;

/* Tokens below 256 are bytes, so that a tag is cut at every byte; those from 261 on are of the
 * test. */

static struct tokenizer *open_tokenizer(const char *const spellings[4], const int32_t types[4])
{
	struct tokenizer *t;
	struct error err;

	vocabulary_bpe(&vocabulary);
	for (size_t i = 0; i < 4; i++) {
		vocabulary.tokens[261 + i] = spellings[i];
		vocabulary.types[261 + i] = types[i];
	}
	if (vocabulary_open(&vocabulary, &t, &err) < 0)
		fail_msg("%s", err.text);
	return t;
}

static struct tokenizer *with_tags(int32_t type)
{
	return open_tokenizer((const char *const[]){"<|a|>", "<|b|>", "<think>", "</think>"},
	    (const int32_t[]){3, 3, type, type});
}

static struct tokenizer *with_channels(void)
{
	return open_tokenizer(
	    (const char *const[]){"<|start|>", "<|channel|>", "<|message|>", "<|end|>"},
	    (const int32_t[]){3, 3, 3, 3});
}

/* Tokens for a text of bytes in which \1, \2, \3, \4 stand for the tokens from 261 on. */
static size_t tokens_of(const char *text, uint32_t *out)
{
	size_t n = 0;

	for (; text[n] != '\0'; n++)
		out[n] = (uint8_t)text[n] <= 4 ? (uint32_t)(260 + text[n]) : (uint8_t)text[n];
	return n;
}

static void add(char *to, struct span text)
{
	size_t n = strlen(to);

	assert_true(n + text.len < 256);
	if (text.len > 0)
		memcpy(to + n, text.data, text.len);
	to[n + text.len] = '\0';
}

static void check(const struct tokenizer *t, bool plain, const char *prompt, const char *reply,
    const char *reasoning, const char *answer)
{
	uint32_t tokens[256];
	char thought[256] = "", said[256] = "";
	struct reasoning_text out;
	struct reasoning *r;
	size_t n = tokens_of(prompt, tokens);

	assert_int_equal(reasoning_new(t, tokens, n, plain, &r), AYNI_OK);
	n = tokens_of(reply, tokens);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(reasoning_feed(r, tokens[i], &out), AYNI_OK);
		add(thought, out.reasoning);
		add(said, out.answer);
	}
	assert_int_equal(reasoning_finish(r, &out), AYNI_OK);
	add(thought, out.reasoning);
	add(said, out.answer);
	assert_string_equal(thought, reasoning);
	assert_string_equal(said, answer);
	reasoning_free(r);
}

static void a_block_at_the_beginning_is_reasoning(void **state)
{
	struct tokenizer *t = with_tags(4);

	(void)state;
	check(t, false, "hi", "<think>\nhm, <b> </thin\n</think>\n\nyes </think> no",
	    "hm, <b> </thin\n", "yes </think> no");
	check(t, false, "hi", "\n <think>a</think>b", "a", "b");
	check(t, false, "", "<think></think>b", "", "b");
	check(t, false, "hi", "\3\na\4\n\nb", "a", "b"); /* the tags as tokens */
	check(t, false, "hi", "[THINK]a</think>[/THINK]b", "a</think>", "b");
	tokenizer_free(t);
	t = with_tags(3); /* control tokens, which have no text */
	check(t, false, "hi", "\3\na\4\n\nb", "a", "b");
	tokenizer_free(t);
}

static void a_block_that_the_prompt_opened_is_reasoning(void **state)
{
	struct tokenizer *t = with_tags(4);

	(void)state;
	check(t, false, "\1hi\2<think>\n", "hm</think>\n\nyes", "hm", "yes");
	check(t, false, "\1hi\2\3", "\nhm\4yes", "hm", "yes");
	tokenizer_free(t);
	t = with_tags(3);
	check(t, false, "\1hi\2\3\n", "hm\4yes", "hm", "yes");
	tokenizer_free(t);
}

/* Of what each token is, a letter each: answer, apart, open. */
static void check_parts(const struct tokenizer *t, const char *reply, const char *parts)
{
	uint32_t tokens[256];
	char found[256] = "";
	struct reasoning_text out;
	struct reasoning *r;
	size_t n = tokens_of(reply, tokens);

	assert_int_equal(reasoning_new(t, NULL, 0, false, &r), AYNI_OK);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(reasoning_feed(r, tokens[i], &out), AYNI_OK);
		found[i] = "aro"[out.part];
	}
	assert_string_equal(found, parts);
	reasoning_free(r);
}

static void each_token_is_of_the_answer_or_of_what_stands_apart(void **state)
{
	struct tokenizer *t = with_tags(3);

	(void)state;
	check_parts(t, "\n\3a\4\nb\xc3\xa9", "orrrraaa");
	check_parts(t, "<think>a</think>b", "oooooorrrrrrrrrra");
	check_parts(t, " <thb", "ooooa");
	tokenizer_free(t);
	t = with_channels();
	check_parts(t, "\1x\2analysis\3hm\4\1\2final\3yes", "rrrrrrrrrrrrrrrrrrrrrrraaa");
	tokenizer_free(t);
}

static void signs_of_calls_are_text_where_they_are_wanted(void **state)
{
	struct tokenizer *t = open_tokenizer(
	    (const char *const[]){"<tool_call>", "</tool_call>", "<think>", "</think>"},
	    (const int32_t[]){3, 3, 3, 3});

	(void)state;
	for (int wanted = 0; wanted < 2; wanted++) {
		struct reasoning_text out;
		struct reasoning *r;
		char said[256] = "";
		uint32_t tokens[16];
		size_t n = tokens_of("\3a\4\1x\2", tokens);

		assert_int_equal(reasoning_new(t, NULL, 0, false, &r), AYNI_OK);
		reasoning_show(r, wanted > 0 ? TOOL_FORMAT_HERMES : TOOL_FORMAT_NONE);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(reasoning_feed(r, tokens[i], &out), AYNI_OK);
			add(said, out.answer);
		}
		assert_string_equal(said, wanted > 0 ? "<tool_call>x</tool_call>" : "x");
		reasoning_free(r);
	}
	tokenizer_free(t);
}

static void what_the_user_writes_opens_nothing(void **state)
{
	struct tokenizer *t = with_tags(4);

	(void)state;
	check(t, false, "\1what is <think>?\2", "yes", "", "yes");
	check(t, false, "\1<think>\2\n", "yes", "", "yes");
	check(t, false, "\1<think>\n\n</think>\n\n", "yes", "",
	    "yes"); /* an empty block: no thinking */
	tokenizer_free(t);
}

static void an_answer_without_a_block_stays_as_it_is(void **state)
{
	struct tokenizer *t = with_tags(4);

	(void)state;
	check(t, false, "hi", "  yes", "", "  yes");
	check(t, false, "hi", " <thin air>", "", " <thin air>");
	check(t, false, "hi", "use <think>x</think>", "", "use <think>x</think>");
	check(t, false, "hi", "<", "", "<");
	check(t, false, "hi", "\n\n", "", "\n\n");
	check(t, false, "hi", "", "", "");
	check(t, false, "hi", "                                        <think>", "",
	    "                                        <think>");
	check(t, false, "hi", "\xc3\xa9t\xc3\xa9", "", "\xc3\xa9t\xc3\xa9");
	tokenizer_free(t);
}

static void a_block_that_never_closes_is_all_reasoning(void **state)
{
	struct tokenizer *t = with_tags(4);

	(void)state;
	check(t, false, "hi", "<think>a </thi", "a </thi", "");
	tokenizer_free(t);
}

static void a_plain_session_separates_nothing(void **state)
{
	struct tokenizer *t = with_tags(4);

	(void)state;
	check(t, true, "<think>", "a</think>b", "", "a</think>b");
	check(t, true, "", "<think>a</think>b", "", "<think>a</think>b");
	tokenizer_free(t);
}

static void the_final_channel_is_the_answer(void **state)
{
	struct tokenizer *t = with_channels();

	(void)state;
	check(t, false, "\1user\3hi\4\1assistant", "\2analysis\3hm\4\1assistant\2final\3yes", "hm",
	    "yes");
	check(t, false, "\1assistant", "\2final\3yes", "", "yes");
	check(t, false, "\1assistant", "\3yes", "", "yes"); /* no channel named */
	check(t, false, "\1assistant", "\2commentary to=f\3{}\4\1assistant\2final\3a\4", "{}", "a");
	check(t, false, "\1assistant\2analysis\3", "hm\4\1assistant\2final\3a", "hm", "a");
	check(t, false, "\1assistant", "\2a name that is longer than any channel's name can be\3x",
	    "x", "");
	check(t, true, "\1assistant", "\2analysis\3hm", "", "analysishm");
	tokenizer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_block_at_the_beginning_is_reasoning),
	    cmocka_unit_test(a_block_that_the_prompt_opened_is_reasoning),
	    cmocka_unit_test(each_token_is_of_the_answer_or_of_what_stands_apart),
	    cmocka_unit_test(signs_of_calls_are_text_where_they_are_wanted),
	    cmocka_unit_test(what_the_user_writes_opens_nothing),
	    cmocka_unit_test(an_answer_without_a_block_stays_as_it_is),
	    cmocka_unit_test(a_block_that_never_closes_is_all_reasoning),
	    cmocka_unit_test(a_plain_session_separates_nothing),
	    cmocka_unit_test(the_final_channel_is_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
