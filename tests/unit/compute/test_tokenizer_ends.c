/* SPDX-License-Identifier: Apache-2.0 */
/* What starts and ends texts: the rules of a file, and the spellings of published families. */
#include "compute/tokenizer.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vocabulary.h"

#define BAR  "\xef\xbd\x9c"
#define MARK "\xe2\x96\x81"

enum { NORMAL = 1, CONTROL = 3, USER = 4, TOKENS_MAX = 12 };

static struct vocabulary vocabulary;

static struct tokenizer *open_vocabulary(void)
{
	struct tokenizer *t;
	struct error err;

	if (vocabulary_open(&vocabulary, &t, &err) < 0)
		fail_msg("%s", err.text);
	return t;
}

/* The small vocabulary without tokens that end anything. */
static void start(void)
{
	vocabulary_bpe(&vocabulary);
	vocabulary.n_tokens = vocabulary.n_types = 261;
	vocabulary.eos = UINT32_MAX;
}

struct family {
	const char *name, *pre, *eos; /* eos: spelling of the file's EOS */
	struct {
		const char *spelling;
		int32_t type;
		bool ends;
	} tokens[TOKENS_MAX];
};

static const struct family families[] = {
    {"Qwen", "qwen2", "<|im_end|>",
        {{"<|endoftext|>", CONTROL, true}, {"<|im_start|>", CONTROL, false},
            {"<|im_end|>", CONTROL, true}, {"<think>", USER, false}, {"</think>", USER, false},
            {"<|fim_pad|>", CONTROL, true}, {"<|repo_name|>", CONTROL, true},
            {"<|file_sep|>", CONTROL, true}, {"<|fim_prefix|>", CONTROL, false}}},
    {"Llama 3", "llama-bpe", "<|eot_id|>",
        {{"<|begin_of_text|>", CONTROL, false}, {"<|end_of_text|>", CONTROL, true},
            {"<|eot_id|>", CONTROL, true}, {"<|eom_id|>", CONTROL, true},
            {"<|start_header_id|>", CONTROL, false}, {"<|python_tag|>", CONTROL, false}}},
    {"Llama 4", "llama4", "<|eot|>",
        {{"<|eot|>", CONTROL, true}, {"<|eom|>", CONTROL, true},
            {"<|header_start|>", CONTROL, false}}},
    {"DeepSeek V3 and R1", "deepseek-v3", "<" BAR "end" MARK "of" MARK "sentence" BAR ">",
        {{"<" BAR "begin" MARK "of" MARK "sentence" BAR ">", CONTROL, false},
            {"<" BAR "end" MARK "of" MARK "sentence" BAR ">", CONTROL, true},
            {"<" BAR "User" BAR ">", CONTROL, false}, {"<" BAR "EOT" BAR ">", CONTROL, true},
            {"<think>", USER, false}}},
    {"an R1 distill of Qwen, EOS untold", "deepseek-r1-qwen", NULL,
        {{"<" BAR "end" MARK "of" MARK "sentence" BAR ">", CONTROL, true},
            {"<" BAR "Assistant" BAR ">", CONTROL, false}, {"<think>", USER, false}}},
    {"DeepSeek Coder", "deepseek-coder", "<|EOT|>", {{"<|EOT|>", CONTROL, true}}},
    {"gpt-oss", "gpt-4o", "<|return|>",
        {{"<|startoftext|>", CONTROL, false}, {"<|endoftext|>", CONTROL, true},
            {"<|return|>", CONTROL, true}, {"<|constrain|>", CONTROL, false},
            {"<|channel|>", CONTROL, false}, {"<|start|>", CONTROL, false},
            {"<|end|>", CONTROL, false}, {"<|message|>", CONTROL, false},
            {"<|call|>", CONTROL, true}}},
    {"Phi", "dbrx", "<|endoftext|>",
        {{"<|endoftext|>", CONTROL, true}, {"<|end|>", CONTROL, true},
            {"<|assistant|>", CONTROL, false}, {"<|im_end|>", CONTROL, true}}},
    {"Gemma", "default", "<eos>",
        {{"<eos>", CONTROL, true}, {"<end_of_turn>", CONTROL, true},
            {"<start_of_turn>", CONTROL, false}, {"</s>", USER, false}, {"</b>", USER, false}}},
    {"Mistral", "tekken", "</s>",
        {{"<s>", CONTROL, false}, {"</s>", CONTROL, true}, {"[INST]", CONTROL, false},
            {"[/INST]", CONTROL, false}}},
    {"Solar", "gpt-4o", NULL,
        {{"<|end|>", CONTROL, false}, {"<|flush|>", CONTROL, true}, {"<|calls|>", CONTROL, true}}},
    {"a file that calls its end a normal token", "smollm", NULL,
        {{"<|im_end|>", NORMAL, true}, {"<|im_start|>", CONTROL, false}}},
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

static void each_family_ends_with_its_tokens(void **state)
{
	(void)state;
	for (size_t f = 0; f < N_FAMILIES; f++) {
		const struct family *family = &families[f];
		struct tokenizer *t;
		uint32_t first = 261;

		start();
		vocabulary.pre = family->pre;
		for (size_t i = 0; i < TOKENS_MAX && family->tokens[i].spelling != NULL; i++) {
			uint32_t id = vocabulary_add(
			    &vocabulary, family->tokens[i].spelling, family->tokens[i].type);

			if (family->eos != NULL &&
			    strcmp(family->eos, family->tokens[i].spelling) == 0)
				vocabulary.eos = id;
		}
		assert_true(family->eos == NULL || vocabulary.eos != UINT32_MAX);
		t = open_vocabulary();
		for (size_t i = 0; i < TOKENS_MAX && family->tokens[i].spelling != NULL; i++)
			if (tokenizer_is_end(t, first + (uint32_t)i) != family->tokens[i].ends)
				fail_msg("%s: %s", family->name, family->tokens[i].spelling);
		for (uint32_t id = 0; id < first; id++)
			assert_false(tokenizer_is_end(t, id));
		tokenizer_free(t);
	}
}

static void the_file_may_name_further_ends(void **state)
{
	static const char *const keys[] = {"tokenizer.ggml.eot_token_id",
	    "tokenizer.ggml.eom_token_id", "tokenizer.ggml.fim_pad_token_id"};

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct tokenizer *t;

		vocabulary_bpe(&vocabulary);
		vocabulary.ids[0].key = keys[i];
		vocabulary.ids[0].id = 261; /* <|im_start|> */
		t = open_vocabulary();
		assert_true(tokenizer_is_end(t, 261));
		assert_true(tokenizer_is_end(t, 262));
		assert_false(tokenizer_is_end(t, 263));
		tokenizer_free(t);
		vocabulary.ids[0].id = 5000;
		assert_int_equal(vocabulary_open(&vocabulary, &t, NULL), AYNI_ERR_FORMAT);
	}
}

static void a_key_for_code_tokens_goes_before_their_spelling(void **state)
{
	struct tokenizer *t;
	uint32_t pad;

	(void)state;
	start();
	pad = vocabulary_add(&vocabulary, "<PAD>", CONTROL);
	t = open_vocabulary();
	assert_true(tokenizer_is_end(t, pad));
	tokenizer_free(t);
	vocabulary.ids[0].key = "tokenizer.ggml.fim_pad_token_id";
	vocabulary.ids[0].id = vocabulary_add(&vocabulary, "<other>", CONTROL);
	t = open_vocabulary();
	assert_false(tokenizer_is_end(t, pad));
	assert_true(tokenizer_is_end(t, pad + 1));
	tokenizer_free(t);
}

/* A person who types the mark of an end must not end the conversation with it. */
static void an_end_is_a_control_token_whatever_its_type(void **state)
{
	struct tokenizer *t;
	uint32_t *ids, end;
	size_t n;

	(void)state;
	start();
	end = vocabulary_add(&vocabulary, "<|im_end|>", USER);
	t = open_vocabulary();
	assert_int_equal(tokenizer_encode(t, "<|im_end|>", 10, 0, &ids, &n, NULL), AYNI_OK);
	assert_int_equal(n, 10);
	free(ids);
	assert_int_equal(
	    tokenizer_encode(t, "<|im_end|>", 10, TOKENIZER_SPECIAL, &ids, &n, NULL), AYNI_OK);
	assert_int_equal(n, 1);
	assert_int_equal(ids[0], end);
	free(ids);
	tokenizer_free(t);
}

static void texts_begin_and_end_as_the_file_says(void **state)
{
	static const struct {
		bool spm;
		const char *pre;
		int add_bos, add_eos; /* -1: the file does not say */
		bool adds_bos, adds_eos;
	} cases[] = {
	    {false, "gpt-2", -1, -1, false, false},
	    {false, "gpt-2", 1, 0, true, false},
	    {false, "gpt-2", -1, 1, false, true},
	    {false, "llama-bpe", -1, -1, true, false},
	    {false, "llama-bpe", 0, 1, false, true},
	    {false, "tekken", -1, -1, true, false},
	    {false, "gpt-4o", -1, -1, false, false},
	    {false, "deepseek-v3", 1, 0, true, false},
	    {true, NULL, -1, -1, true, false},
	    {true, NULL, 0, 1, false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t n_rules = 0, n;
		struct tokenizer *t;
		uint32_t *ids;

		if (cases[i].spm) {
			vocabulary_spm(&vocabulary);
		} else {
			vocabulary_bpe(&vocabulary);
			vocabulary.pre = cases[i].pre;
			vocabulary.bos = 261;
		}
		if (cases[i].add_bos >= 0) {
			vocabulary.rules[n_rules].key = "tokenizer.ggml.add_bos_token";
			vocabulary.rules[n_rules++].value = cases[i].add_bos == 1;
		}
		if (cases[i].add_eos >= 0) {
			vocabulary.rules[n_rules].key = "tokenizer.ggml.add_eos_token";
			vocabulary.rules[n_rules++].value = cases[i].add_eos == 1;
		}
		t = open_vocabulary();
		assert_int_equal(tokenizer_adds_bos(t), cases[i].adds_bos);
		assert_int_equal(tokenizer_adds_eos(t), cases[i].adds_eos);
		assert_int_equal(
		    tokenizer_encode(t, "hi", 2, TOKENIZER_BOS | TOKENIZER_EOS, &ids, &n, NULL),
		    AYNI_OK);
		assert_true(n > 2);
		assert_int_equal(ids[0], cases[i].spm ? 1 : 261);
		assert_int_equal(ids[n - 1], cases[i].spm ? 2 : 262);
		free(ids);
		tokenizer_free(t);
	}
}

static void without_a_token_for_it_nothing_is_added(void **state)
{
	struct tokenizer *t;
	uint32_t *ids;
	size_t n;

	(void)state;
	start();
	vocabulary.rules[0].key = "tokenizer.ggml.add_bos_token";
	vocabulary.rules[0].value = true;
	vocabulary.rules[1].key = "tokenizer.ggml.add_eos_token";
	vocabulary.rules[1].value = true;
	t = open_vocabulary();
	assert_false(tokenizer_adds_bos(t));
	assert_false(tokenizer_adds_eos(t));
	assert_int_equal(
	    tokenizer_encode(t, "hi", 2, TOKENIZER_BOS | TOKENIZER_EOS, &ids, &n, NULL), AYNI_OK);
	assert_int_equal(n, 2);
	free(ids);
	tokenizer_free(t);
}

/* Gemma's texts begin without the space that Llama 2 puts there. */
static void the_file_says_whether_a_space_is_put_first(void **state)
{
	struct tokenizer *t;
	uint32_t *ids;
	size_t n;

	(void)state;
	vocabulary_spm(&vocabulary);
	vocabulary.rules[0].key = "tokenizer.ggml.add_space_prefix";
	vocabulary.rules[0].value = false;
	t = open_vocabulary();
	assert_int_equal(tokenizer_encode(t, "hi hi", 5, 0, &ids, &n, NULL), AYNI_OK);
	assert_int_equal(n, 2);
	assert_int_equal(ids[0], 264);
	assert_int_equal(ids[1], 263);
	free(ids);
	tokenizer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_family_ends_with_its_tokens),
	    cmocka_unit_test(the_file_may_name_further_ends),
	    cmocka_unit_test(a_key_for_code_tokens_goes_before_their_spelling),
	    cmocka_unit_test(an_end_is_a_control_token_whatever_its_type),
	    cmocka_unit_test(texts_begin_and_end_as_the_file_says),
	    cmocka_unit_test(without_a_token_for_it_nothing_is_added),
	    cmocka_unit_test(the_file_says_whether_a_space_is_put_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
