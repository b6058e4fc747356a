/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/tokenizer.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vocabulary.h"

static struct error err;

static void expect(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
    const uint32_t *want, size_t n_want)
{
	uint32_t *ids;
	size_t n;

	err.text[0] = '\0';
	if (tokenizer_encode(t, text, len, flags, &ids, &n, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < n && i < n_want; i++)
		if (ids[i] != want[i])
			fail_msg(
			    "'%.*s': token %zu is %u, not %u", (int)len, text, i, ids[i], want[i]);
	assert_int_equal(n, n_want);
	free(ids);
}

#define EXPECT(t, text, flags, ...)                                                                \
	expect(t, text, strlen(text), flags, (const uint32_t[]){__VA_ARGS__},                      \
	    sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static struct tokenizer *open_good(const struct vocabulary *v)
{
	struct tokenizer *t;

	if (vocabulary_open(v, &t, &err) < 0)
		fail_msg("%s", err.text);
	return t;
}

/* ---- the reference vocabularies, where they lie beside the repository -------------------------
 */

static const char *folder(void)
{
	const char *name = getenv("AYNI_TOKENIZERS");

	return name != NULL ? name : "../shared/tokenizers";
}

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text;
	long size;

	if (f == NULL)
		return NULL;
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	size = ftell(f);
	assert_true(size >= 0);
	rewind(f);
	text = malloc((size_t)size + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)size, f), (size_t)size);
	text[size] = '\0';
	(void)fclose(f);
	return text;
}

static size_t parse_ids(const char *line, uint32_t *ids, size_t max)
{
	size_t n = 0;

	for (;;) {
		char *end;

		while (*line == ' ')
			line++;
		if (*line == '\n' || *line == '\0')
			return n;
		assert_true(n < max);
		ids[n++] = (uint32_t)strtoul(line, &end, 10);
		assert_true(end > line);
		line = end;
	}
}

static void check_vocabulary(const char *name)
{
	static const char separator[] = "\n__ggml_vocab_test__\n";
	char path[512];
	struct gguf *g;
	struct tokenizer *t;
	char *texts, *lines;
	const char *text, *line;
	size_t n_texts = 0;

	(void)snprintf(path, sizeof path, "%s/ggml-vocab-%s.gguf.inp", folder(), name);
	texts = read_text(path);
	if (texts == NULL)
		skip();
	(void)snprintf(path, sizeof path, "%s/ggml-vocab-%s.gguf.out", folder(), name);
	lines = read_text(path);
	assert_non_null(lines);
	(void)snprintf(path, sizeof path, "%s/ggml-vocab-%s.gguf", folder(), name);
	if (gguf_open(path, &g, &err) < 0 || tokenizer_new(g, &t, &err) < 0)
		fail_msg("%s", err.text);
	gguf_free(g);
	text = texts;
	line = lines;
	while (text != NULL && *line != '\0') {
		const char *end = strstr(text, separator);
		uint32_t want[1024];
		size_t n = parse_ids(line, want, 1024);

		expect(t, text, end == NULL ? strlen(text) : (size_t)(end - text), 0, want, n);
		text = end == NULL ? NULL : end + strlen(separator);
		line += strcspn(line, "\n");
		line += *line == '\n';
		n_texts++;
	}
	assert_int_equal(n_texts, 46);
	tokenizer_free(t);
	free(texts);
	free(lines);
}

static void gives_the_reference_ids_of_deepseek_llm(void **state)
{
	(void)state;
	check_vocabulary("deepseek-llm");
}

static void gives_the_reference_ids_of_deepseek_coder(void **state)
{
	(void)state;
	check_vocabulary("deepseek-coder");
}

static void gives_the_reference_ids_of_llama_2(void **state)
{
	(void)state;
	check_vocabulary("llama-spm");
}

static void gives_the_reference_ids_of_gpt_2(void **state)
{
	(void)state;
	check_vocabulary("gpt-2");
}

static void gives_the_reference_ids_of_phi_3(void **state)
{
	(void)state;
	check_vocabulary("phi-3");
}

/* ---- byte-level BPE -----------------------------------------------------------------------------
 */

static void merges_by_rank_and_keeps_words_apart(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_bpe(&v);
	t = open_good(&v);
	EXPECT(t, "hello", 0, 259);
	EXPECT(t, "hello hello", 0, 259, 260);
	EXPECT(t, "llll", 0, 257, 257);
	EXPECT(t, "lll", 0, 257, 'l');
	expect(t, "", 0, 0, NULL, 0);
	expect(t, "a\0b", 3, 0, (const uint32_t[]){'a', 0, 'b'}, 3);
	tokenizer_free(t);
}

static void takes_invalid_utf8_byte_by_byte(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_bpe(&v);
	t = open_good(&v);
	EXPECT(t, "he\xff\xfehello\xc3", 0, 256, 0xff, 0xfe, 259, 0xc3);
	EXPECT(t, "\xed\xa0\x80", 0, 0xed, 0xa0, 0x80);
	tokenizer_free(t);
}

static void recognises_control_tokens_only_when_asked_and_user_tokens_always(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_bpe(&v);
	t = open_good(&v);
	EXPECT(t, "<|im_start|>hello<|im_end|>", TOKENIZER_SPECIAL, 261, 259, 262);
	EXPECT(t, "<|im_end|>", 0, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>');
	EXPECT(t, "<tool>hello", 0, 263, 259);
	EXPECT(t, "<tool>>>", 0, 264, '>'); /* the longer of two wins */
	EXPECT(t, "<tool", 0, '<', 't', 'o', 'o', 'l');
	tokenizer_free(t);
}

static void phi_3_swallows_white_space_after_control_tokens(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_bpe(&v);
	v.name = "Phi3";
	t = open_good(&v);
	EXPECT(t, "<|im_end|> \n\thello", TOKENIZER_SPECIAL, 262, 259);
	tokenizer_free(t);
}

static void puts_bos_first_when_asked(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_bpe(&v);
	t = open_good(&v);
	assert_int_equal(tokenizer_bos(t), TOKENIZER_NONE);
	EXPECT(t, "hello", TOKENIZER_BOS, 259); /* there is none */
	assert_false(tokenizer_adds_bos(t));
	tokenizer_free(t);
	v.bos = 261;
	v.pre = "llama-bpe";
	t = open_good(&v);
	EXPECT(t, "hello", TOKENIZER_BOS, 261, 259);
	assert_true(tokenizer_adds_bos(t));
	assert_true(tokenizer_is_end(t, 262));
	assert_false(tokenizer_is_end(t, 261));
	assert_false(tokenizer_is_end(t, UINT32_MAX));
	tokenizer_free(t);
}

static void llama_bpe_takes_whole_words_from_the_vocabulary(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_bpe(&v);
	v.n_merges = 1; /* "h e": "hello" cannot be reached by merging */
	t = open_good(&v);
	EXPECT(t, "hello", 0, 256, 'l', 'l', 'o');
	tokenizer_free(t);
	v.pre = "llama-bpe";
	t = open_good(&v);
	EXPECT(t, "hello", 0, 259);
	tokenizer_free(t);
}

/* ---- SentencePiece ------------------------------------------------------------------------------
 */

static void sentencepiece_merges_by_score_and_falls_back_to_bytes(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_spm(&v);
	t = open_good(&v);
	EXPECT(t, "hi", 0, 263);
	EXPECT(t, "hi hi", 0, 263, 263);
	EXPECT(t, "hihi", 0, 263, 264);
	EXPECT(t, "i\xc3\xa9", 0, 259, 261, 265);
	EXPECT(t, "\xe2\x82\xac", 0, 259, 3 + 0xe2, 3 + 0x82, 3 + 0xac);
	EXPECT(t, "\xff", 0, 259, 3 + 0xff);
	EXPECT(t, "hi<x>hi", TOKENIZER_BOS, 1, 263, 266, 263); /* the prefix comes again */
	assert_true(tokenizer_adds_bos(t));
	tokenizer_free(t);
}

/* ---- bounds
 * --------------------------------------------------------------------------------------- */

static void a_megabyte_of_one_letter_is_no_special_case(void **state)
{
	enum { SIZE = 1 << 20 };
	char *text = malloc(SIZE);
	struct vocabulary v;
	uint32_t *ids;
	size_t n;

	(void)state;
	assert_non_null(text);
	memset(text, 'l', SIZE);
	for (int spm = 0; spm < 2; spm++) {
		struct tokenizer *t;

		if (spm)
			vocabulary_spm(&v);
		else
			vocabulary_bpe(&v);
		t = open_good(&v);
		assert_int_equal(tokenizer_encode(t, text, SIZE, 0, &ids, &n, &err), AYNI_OK);
		assert_int_equal(n, spm ? SIZE + 1 : SIZE / 2);
		free(ids);
		tokenizer_free(t);
	}
	free(text);
}

static void a_spelling_that_ends_turns_ends_a_generation(void **state)
{
	static const char *const spellings[] = {"<|eot_id|>", "<end_of_turn>", "<|end|>", "<|eot|>",
	    "<\xef\xbd\x9c"
	    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"};

	(void)state;
	for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
		struct vocabulary v;
		struct tokenizer *t;

		vocabulary_bpe(&v);
		v.tokens[261] = spellings[i];
		t = open_good(&v);
		assert_true(tokenizer_is_end(t, 261));
		tokenizer_free(t);
		v.types[261] = 1; /* some files call it an ordinary token */
		t = open_good(&v);
		assert_true(tokenizer_is_end(t, 261));
		tokenizer_free(t);
	}
}

/* gpt-oss: <|end|> closes one message of several, <|return|> and <|call|> the turn. */
static void a_message_of_several_does_not_end_the_turn(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_bpe(&v);
	v.tokens[261] = "<|end|>";
	v.tokens[262] = "<|return|>";
	v.tokens[263] = "<|call|>";
	t = open_good(&v);
	assert_false(tokenizer_is_end(t, 261));
	assert_true(tokenizer_is_end(t, 262));
	assert_true(tokenizer_is_end(t, 263));
	tokenizer_free(t);
}

static void refuses_a_text_that_is_too_long(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;
	uint32_t *ids;
	size_t n;

	(void)state;
	vocabulary_bpe(&v);
	t = open_good(&v);
	assert_int_equal(
	    tokenizer_encode(t, "", (size_t)TOKENIZER_MAX_TEXT_BYTES + 1, 0, &ids, &n, &err),
	    AYNI_ERR_LIMIT);
	assert_null(ids);
	tokenizer_free(t);
}

static void refuse(const struct vocabulary *v, enum ayni_error code, const char *word)
{
	struct tokenizer *t;

	memset(&err, 0, sizeof err);
	assert_int_equal(vocabulary_open(v, &t, &err), code);
	assert_null(t);
	if (strstr(err.text, word) == NULL)
		fail_msg("'%s' does not say '%s'", err.text, word);
}

static void refuses_what_it_does_not_know_by_name(void **state)
{
	struct vocabulary v;

	(void)state;
	vocabulary_bpe(&v);
	v.pre = "nobody-2";
	refuse(&v, AYNI_ERR_UNSUPPORTED, "nobody-2");
	refuse(&v, AYNI_ERR_UNSUPPORTED, "deepseek-llm");
	v.pre = "gpt-2 phi-2"; /* a list of names is no name */
	refuse(&v, AYNI_ERR_UNSUPPORTED, "gpt-2");
	v.model = "bert";
	refuse(&v, AYNI_ERR_UNSUPPORTED, "gpt2");
}

static void refuses_tables_that_do_not_fit_together(void **state)
{
	static char long_token[5000];
	struct vocabulary v;

	(void)state;
	vocabulary_bpe(&v);
	v.n_types--;
	refuse(&v, AYNI_ERR_FORMAT, "token types");
	vocabulary_bpe(&v);
	v.types[7] = 7;
	refuse(&v, AYNI_ERR_FORMAT, "token 7");
	vocabulary_bpe(&v);
	v.eos = 265;
	refuse(&v, AYNI_ERR_FORMAT, "eos_token_id");
	vocabulary_bpe(&v);
	v.merges[3] = "hello";
	refuse(&v, AYNI_ERR_FORMAT, "merge 3");
	vocabulary_bpe(&v);
	v.n_merges = 0;
	refuse(&v, AYNI_ERR_FORMAT, "merges");
	vocabulary_bpe(&v);
	v.n_tokens = 0;
	refuse(&v, AYNI_ERR_FORMAT, "tokens");
	vocabulary_bpe(&v);
	v.model = NULL;
	refuse(&v, AYNI_ERR_FORMAT, "tokenizer.ggml.model");
	vocabulary_bpe(&v);
	memset(long_token, 'x', sizeof long_token - 1);
	v.tokens[5] = long_token;
	refuse(&v, AYNI_ERR_LIMIT, "token 5");
	vocabulary_spm(&v);
	v.n_scores--;
	refuse(&v, AYNI_ERR_FORMAT, "scores");
	vocabulary_spm(&v);
	v.scores[9] = __builtin_nanf("");
	refuse(&v, AYNI_ERR_FORMAT, "token 9");
}

static void of_equal_spellings_the_last_counts(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;

	(void)state;
	vocabulary_bpe(&v);
	v.tokens[257] = "he";
	t = open_good(&v);
	EXPECT(t, "he", 0, 257);
	tokenizer_free(t);
}

static void says_which_byte_has_no_token(void **state)
{
	struct vocabulary v;
	struct tokenizer *t;
	uint32_t *ids;
	size_t n;

	(void)state;
	vocabulary_bpe(&v);
	v.tokens['q'] = "qq";
	t = open_good(&v);
	assert_int_equal(tokenizer_encode(t, "q", 1, 0, &ids, &n, &err), AYNI_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "0x71"));
	assert_null(ids);
	tokenizer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gives_the_reference_ids_of_deepseek_llm),
	    cmocka_unit_test(gives_the_reference_ids_of_deepseek_coder),
	    cmocka_unit_test(gives_the_reference_ids_of_llama_2),
	    cmocka_unit_test(gives_the_reference_ids_of_gpt_2),
	    cmocka_unit_test(gives_the_reference_ids_of_phi_3),
	    cmocka_unit_test(merges_by_rank_and_keeps_words_apart),
	    cmocka_unit_test(takes_invalid_utf8_byte_by_byte),
	    cmocka_unit_test(recognises_control_tokens_only_when_asked_and_user_tokens_always),
	    cmocka_unit_test(phi_3_swallows_white_space_after_control_tokens),
	    cmocka_unit_test(puts_bos_first_when_asked),
	    cmocka_unit_test(llama_bpe_takes_whole_words_from_the_vocabulary),
	    cmocka_unit_test(sentencepiece_merges_by_score_and_falls_back_to_bytes),
	    cmocka_unit_test(a_megabyte_of_one_letter_is_no_special_case),
	    cmocka_unit_test(a_spelling_that_ends_turns_ends_a_generation),
	    cmocka_unit_test(a_message_of_several_does_not_end_the_turn),
	    cmocka_unit_test(refuses_a_text_that_is_too_long),
	    cmocka_unit_test(refuses_what_it_does_not_know_by_name),
	    cmocka_unit_test(refuses_tables_that_do_not_fit_together),
	    cmocka_unit_test(of_equal_spellings_the_last_counts),
	    cmocka_unit_test(says_which_byte_has_no_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
