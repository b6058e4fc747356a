/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/pretokenizer.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static struct error err;

static int append(void *arg, const uint8_t *word, size_t len)
{
	char *joined = arg;
	size_t n = strlen(joined);

	assert_true(n + len + 2 < 256);
	memcpy(joined + n, word, len);
	memcpy(joined + n + len, "|", 2);
	return AYNI_OK;
}

/* The words of `text`, each followed by a bar. */
static void splits(const char *name, const char *text, const char *want)
{
	struct pretokenizer *p;
	char joined[256] = "";

	if (pretokenizer_new((struct span){(const uint8_t *)name, strlen(name)}, &p, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(
	    pretokenizer_split(p, (const uint8_t *)text, strlen(text), append, joined, &err),
	    AYNI_OK);
	assert_string_equal(joined, want);
	pretokenizer_free(p);
}

static void each_family_cuts_by_its_rules(void **state)
{
	(void)state;
	splits("gpt-2", "we're  x 12345", "we|'re| | x| 12345|");
	splits("llama-bpe", "I'M 12345 x\n\n y", "I|'M| |123|45| x|\n\n| y|");
	splits("qwen2", "(ab) 12", "(ab|)| |1|2|");
	splits("seed-coder", "a!\n", "a|!|\n|");
	splits("llama-bpe", "a!\n", "a|!\n|");
	splits("gpt-4o", "helloWorld's HTTPServer 12345", "hello|World's| HTTPServer| |123|45|");
	splits("gpt-4o", "I'LL a/\n/b  \n x", "I'LL| a|/\n/|b|  \n| x|");
	splits("gpt-4o",
	    "\xe4\xb8\xad\xe6\x96\x87"
	    "abcDEF",
	    "\xe4\xb8\xad\xe6\x96\x87"
	    "abc|DEF|");
	splits("tekken", "helloWorld's 123", "hello|World|'s| |1|2|3|");
	splits("llama4", "(Ab) ", "(Ab|)| |");
	splits("deepseek-llm", "a  b 12 ", "a| | b| |12| |");
	splits("deepseek-coder", "a!b 12\n", "a|!|b| |1|2|\n|");
	splits("deepseek-v3", "a1234 b \xe4\xb8\xad\xe3\x81\x8b!x",
	    "a|123|4| b| |\xe4\xb8\xad\xe3\x81\x8b|!x|");
	splits("smollm", "x 12", "x| |1|2|");
	splits("falcon", "a+1234", "a|+|123|4|");
	splits("default", "a+1234", "a|+|123|4|");
}

static void o200k_tells_capitals_from_small_letters(void **state)
{
	(void)state;
	splits("gpt-4o", "HelloWorld JSONfile", "Hello|World| JSONfile|");
	splits("gpt-4o", "we'll DON'T 12345 a/b\n/", "we'll| DON'T| |123|45| a|/b|\n|/|");
	splits("gpt-4o", "x;//\n/\n y", "x|;//\n/\n| y|");
	/* Capitals and small letters beyond ASCII, and a combining mark, as published. */
	splits("gpt-4o", "\xc3\x89\x43OLE\xc3\xa9\x43ole", "\xc3\x89\x43OLE\xc3\xa9|Cole|");
	splits("gpt-4o", "\xc3\xa9\xc3\x89t", "\xc3\xa9|\xc3\x89t|");
	splits("gpt-4o", "e\xcc\x81t", "e\xcc\x81t|");
	splits("llama4", "HelloWorld", "Hello|World|");
	splits("tekken", "we'll Ab12 c", "we|'ll| Ab|1|2| c|");
	splits("tekken", "a  b\t\n c ", "a| | b|\t\n| c| |");
}

/* Names that converters give the same rules. */
static void families_are_known_by_all_their_names(void **state)
{
	static const char *const by_threes[] = {"llama-bpe", "llama3", "llama-v3", "gpt-4o",
	    "llama4", "dbrx", "smaug-bpe", "deepseek-v3", "deepseek3", "pixtral"};
	static const char *const by_ones[] = {"qwen2", "deepseek-r1-qwen", "tekken", "smollm",
	    "deepseek-coder", "stablelm2", "starcoder"};
	static const char *const whole[] = {"gpt-2", "phi-2", "olmo"};

	(void)state;
	for (size_t i = 0; i < sizeof by_threes / sizeof by_threes[0]; i++)
		splits(by_threes[i], "1234567", "123|456|7|");
	for (size_t i = 0; i < sizeof by_ones / sizeof by_ones[0]; i++)
		splits(by_ones[i], "123", "1|2|3|");
	for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
		splits(whole[i], "1234567", "1234567|");
}

static void an_unknown_name_is_refused_with_what_is_known(void **state)
{
	static const char *const known[] = {"nobody-2", "gpt-2", "llama-bpe", "gpt-4o", "tekken",
	    "qwen2", "deepseek-llm", "deepseek-coder", "deepseek-v3", "smollm", "default"};
	struct pretokenizer *p;

	(void)state;
	assert_int_equal(pretokenizer_new((struct span){(const uint8_t *)"nobody-2", 8}, &p, &err),
	    AYNI_ERR_UNSUPPORTED);
	assert_null(p);
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		assert_non_null(strstr(err.text, known[i]));
}

static int refuse_word(void *arg, const uint8_t *word, size_t len)
{
	(void)word;
	(void)len;
	++*(int *)arg;
	return AYNI_ERR_STATE;
}

static void a_refused_word_ends_the_splitting(void **state)
{
	struct pretokenizer *p;
	int calls = 0;

	(void)state;
	assert_int_equal(
	    pretokenizer_new((struct span){(const uint8_t *)"smollm", 6}, &p, &err), AYNI_OK);
	assert_int_equal(
	    pretokenizer_split(p, (const uint8_t *)"a b c", 5, refuse_word, &calls, &err),
	    AYNI_ERR_STATE);
	assert_int_equal(calls, 1);
	pretokenizer_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_family_cuts_by_its_rules),
	    cmocka_unit_test(o200k_tells_capitals_from_small_letters),
	    cmocka_unit_test(families_are_known_by_all_their_names),
	    cmocka_unit_test(an_unknown_name_is_refused_with_what_is_known),
	    cmocka_unit_test(a_refused_word_ends_the_splitting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
