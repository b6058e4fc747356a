/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/tokenizer.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vocabulary.h"

static struct vocabulary vocabulary;

static struct tokenizer *open_model(void (*describe)(struct vocabulary *))
{
	struct tokenizer *t;
	struct error err;

	describe(&vocabulary);
	if (vocabulary_open(&vocabulary, &t, &err) < 0)
		fail_msg("%s", err.text);
	return t;
}

static struct tokenizer_stream *stream_of(const struct tokenizer *t)
{
	struct tokenizer_stream *s;

	assert_int_equal(tokenizer_stream_new(t, &s), AYNI_OK);
	return s;
}

static void feeds(struct tokenizer_stream *s, uint32_t id, const char *want)
{
	const char *text;
	size_t len;

	assert_int_equal(tokenizer_stream_feed(s, id, &text, &len), AYNI_OK);
	assert_string_equal(text, want);
	assert_int_equal(len, strlen(want));
}

static void finishes(struct tokenizer_stream *s, const char *want)
{
	const char *text;
	size_t len;

	assert_int_equal(tokenizer_stream_finish(s, &text, &len), AYNI_OK);
	assert_string_equal(text, want);
	assert_int_equal(len, strlen(want));
}

static void gives_no_part_of_a_character(void **state)
{
	static const char *const characters[] = {"\x7f", "\xc2\x80", "\xc3\xa9", "\xe0\xa0\x80",
	    "\xe2\x82\xac", "\xed\x9f\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
	struct tokenizer *t = open_model(vocabulary_bpe);
	struct tokenizer_stream *s = stream_of(t);

	(void)state;
	for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++) {
		size_t n = strlen(characters[i]);

		for (size_t k = 0; k < n; k++) /* ids of bytes are the bytes */
			feeds(s, (uint8_t)characters[i][k], k + 1 < n ? "" : characters[i]);
	}
	finishes(s, "");
	tokenizer_stream_free(s);
	tokenizer_free(t);
}

static void what_never_becomes_a_character_is_replaced_at_the_end(void **state)
{
	static const uint8_t face[] = {0xf0, 0x9f, 0x98};
	struct tokenizer *t = open_model(vocabulary_bpe);

	(void)state;
	for (size_t n = 1; n <= sizeof face; n++) {
		struct tokenizer_stream *s = stream_of(t);

		for (size_t k = 0; k < n; k++)
			feeds(s, face[k], "");
		finishes(s, "\xef\xbf\xbd");
		finishes(s, "");
		tokenizer_stream_free(s);
	}
	tokenizer_free(t);
}

static void invalid_bytes_are_replaced_one_by_one(void **state)
{
	struct tokenizer *t = open_model(vocabulary_bpe);
	struct tokenizer_stream *s = stream_of(t);

	(void)state;
	feeds(s, 0xff, "\xef\xbf\xbd");
	feeds(s, 0x80, "\xef\xbf\xbd");
	feeds(s, 0xe2, "");
	feeds(s, 259, "\xef\xbf\xbdhello"); /* cut short by the next token */
	feeds(s, 0xed, "");
	feeds(s, 0xa0, "\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate is no character */
	tokenizer_stream_free(s);
	tokenizer_free(t);
}

static void control_tokens_give_no_text(void **state)
{
	struct tokenizer *t = open_model(vocabulary_bpe);
	struct tokenizer_stream *s = stream_of(t);
	const char *text;
	size_t len;

	(void)state;
	feeds(s, 261, "");
	feeds(s, 260, " hello");
	feeds(s, 262, "");
	feeds(s, 263, "<tool>");
	assert_int_equal(tokenizer_stream_feed(s, 265, &text, &len), AYNI_ERR_ARGUMENT);
	assert_int_equal(len, 0);
	tokenizer_stream_free(s);
	tokenizer_free(t);
}

static void sentencepiece_drops_the_space_it_put_before_the_text(void **state)
{
	struct tokenizer *t = open_model(vocabulary_spm);
	struct tokenizer_stream *s = stream_of(t);

	(void)state;
	feeds(s, 1, "");
	feeds(s, 263, "hi");
	feeds(s, 263, " hi");
	feeds(s, 0, "");
	feeds(s, 3 + 0xc3, "");
	feeds(s, 3 + 0xa9, "\xc3\xa9");
	feeds(s, 3 + '\n', "\n");
	feeds(s, 266, "<x>");
	tokenizer_stream_free(s);
	tokenizer_free(t);
}

static void text_comes_back_through_encode_and_stream(void **state)
{
	static const char text[] = "hello  h\xc3\xa9llo <x> \xe2\x82\xac\n\thi \xf0\x9f\x98\x80 ";

	(void)state;
	for (int spm = 0; spm < 2; spm++) {
		struct tokenizer *t = open_model(spm ? vocabulary_spm : vocabulary_bpe);
		struct tokenizer_stream *s = stream_of(t);
		char back[2 * sizeof text] = "";
		const char *part;
		uint32_t *ids;
		size_t n, len;

		assert_int_equal(
		    tokenizer_encode(t, text, strlen(text), TOKENIZER_BOS, &ids, &n, NULL),
		    AYNI_OK);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(tokenizer_stream_feed(s, ids[i], &part, &len), AYNI_OK);
			assert_true(strlen(back) + len < sizeof back);
			memcpy(back + strlen(back), part, len + 1);
		}
		if (spm) /* the space after the user's token <x> is doubled, as in the reference */
			assert_string_equal(
			    back, "hello  h\xc3\xa9llo <x>  \xe2\x82\xac\n\thi \xf0\x9f\x98\x80 ");
		else
			assert_string_equal(back, text);
		free(ids);
		tokenizer_stream_free(s);
		tokenizer_free(t);
	}
}

static void assert_bytes(const struct tokenizer *t, uint32_t id, const char *want)
{
	uint8_t bytes[TOKENIZER_MAX_TOKEN_BYTES];

	assert_int_equal(tokenizer_bytes(t, id, bytes), strlen(want));
	assert_memory_equal(bytes, want, strlen(want));
}

static void a_token_alone_has_its_bytes_whole_characters_or_not(void **state)
{
	struct tokenizer *t = open_model(vocabulary_bpe);

	(void)state;
	assert_bytes(t, 0xe2, "\xe2");
	assert_bytes(t, 260, " hello");
	assert_bytes(t, 262, "<|im_end|>");
	assert_bytes(t, 263, "<tool>");
	assert_bytes(t, tokenizer_size(t), "");
	tokenizer_free(t);
	t = open_model(vocabulary_spm);
	assert_bytes(t, 263, " hi"); /* also where a text would lose its first space */
	assert_bytes(t, 3 + 0xc3, "\xc3");
	assert_bytes(t, 2, "</s>");
	tokenizer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_token_alone_has_its_bytes_whole_characters_or_not),
	    cmocka_unit_test(gives_no_part_of_a_character),
	    cmocka_unit_test(what_never_becomes_a_character_is_replaced_at_the_end),
	    cmocka_unit_test(invalid_bytes_are_replaced_one_by_one),
	    cmocka_unit_test(control_tokens_give_no_text),
	    cmocka_unit_test(sentencepiece_drops_the_space_it_put_before_the_text),
	    cmocka_unit_test(text_comes_back_through_encode_and_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
