/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/draft.h"

enum { MOST = 64 };

/* What is guessed behind a text in which each letter is a token. */
static uint32_t guess(const struct draft *d, const char *text, uint32_t most, char *out)
{
	uint32_t tokens[DRAFT_MAX + 256];
	uint32_t n = (uint32_t)strlen(text);
	uint32_t guessed;

	for (uint32_t i = 0; i < n; i++)
		tokens[i] = (uint32_t)text[i];
	guessed = draft_guess(d, tokens, n, tokens + n, most);
	assert_true(guessed <= most && guessed <= DRAFT_MAX);
	for (uint32_t i = 0; i < guessed; i++)
		out[i] = (char)tokens[n + i];
	out[guessed] = '\0';
	return guessed;
}

static void assert_guess(const struct draft *d, const char *text, const char *expected)
{
	char out[MOST];

	(void)guess(d, text, DRAFT_MAX, out);
	assert_string_equal(out, expected);
}

static void a_text_that_was_said_before_goes_on_as_it_did(void **state)
{
	const struct draft fresh = {0};

	(void)state;
	assert_guess(&fresh, "int count = 0; // int co", "unt ");
	assert_guess(&fresh, "no such thing here", "");
	assert_guess(&fresh, "ab x ab", ""); /* too little is the same */
	assert_guess(&fresh, "", "");
	assert_guess(&fresh, "a", "");
}

static void the_longest_match_counts_and_of_equals_the_latest(void **state)
{
	const struct draft fresh = {0};

	(void)state;
	assert_guess(&fresh, "one cat sat. two cat ran. one cat", " sat");
	assert_guess(&fresh, "the cat sat. the cat ran. the cat", " ran");
}

static void a_refrain_goes_on_past_its_own_end(void **state)
{
	struct draft d = {.length = 10};

	(void)state;
	assert_guess(&d, "xyabcabcabc", "abcabcabca");
	assert_guess(&d, "aaaaa", "aaaaaaaaaa");
}

static void no_more_is_guessed_than_wanted(void **state)
{
	struct draft d = {.length = DRAFT_MAX};
	char out[MOST];

	(void)state;
	assert_int_equal(guess(&d, "abcdefghijkl abcdefghijkl abcd", 0, out), 0);
	assert_int_equal(guess(&d, "abcdefghijkl abcdefghijkl abcd", 3, out), 3);
	assert_int_equal(guess(&d, "abcdefghijkl abcdefghijkl abcd", DRAFT_MAX, out), DRAFT_MAX);
}

static void right_guesses_grow_and_wrong_ones_need_more_reason(void **state)
{
	struct draft d = {0};

	(void)state;
	draft_learn(&d, 4, 4);
	assert_int_equal(d.length, 8);
	draft_learn(&d, 8, 8);
	draft_learn(&d, 16, 16);
	assert_int_equal(d.length, DRAFT_MAX);
	draft_learn(&d, 16, 5);
	assert_int_equal(d.length, 6);
	draft_learn(&d, 0, 0); /* nothing was guessed: nothing is learnt */
	assert_int_equal(d.length, 6);
	draft_learn(&d, 6, 0);
	assert_int_equal(d.length, 1);
	assert_guess(&d, "abcd abc", ""); /* three are not enough any more */
	assert_guess(&d, "abcdefg abcdef", "g");
	draft_learn(&d, 1, 1);
	assert_guess(&d, "abcd abc", "d ");
	assert_int_equal(d.guessed, 51);
	assert_int_equal(d.right, 34);
}

static void what_lies_too_far_back_is_not_searched(void **state)
{
	static uint32_t tokens[DRAFT_LOOKBACK + 64];
	const struct draft fresh = {0};
	uint32_t n = DRAFT_LOOKBACK + 8;

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		tokens[i] = i;
	for (uint32_t i = 0; i < 4; i++) /* the end is as the beginning */
		tokens[n - 4 + i] = i;
	assert_int_equal(draft_guess(&fresh, tokens, n, tokens + n, 4), 0);
	for (uint32_t i = 0; i < 4; i++)
		tokens[n - 4 + i] = 100 + i;
	assert_int_equal(draft_guess(&fresh, tokens, n, tokens + n, 4), 4);
	assert_int_equal(tokens[n], 104);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_text_that_was_said_before_goes_on_as_it_did),
	    cmocka_unit_test(the_longest_match_counts_and_of_equals_the_latest),
	    cmocka_unit_test(a_refrain_goes_on_past_its_own_end),
	    cmocka_unit_test(no_more_is_guessed_than_wanted),
	    cmocka_unit_test(right_guesses_grow_and_wrong_ones_need_more_reason),
	    cmocka_unit_test(what_lies_too_far_back_is_not_searched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
