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
	    cmocka_unit_test(a_refused_word_ends_the_splitting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
