/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/token_list.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static struct token_list list;

static int tear_down(void **state)
{
	(void)state;
	token_list_free(&list);
	return 0;
}

/* A piece of one token, which brings this text. */
static void hear(const char *token, const char *text, enum token_part part)
{
	struct token_candidate c = {{(uint8_t *)(uintptr_t)token, strlen(token)}, -1.0f};
	struct token_logprob t = {1, &c, part, (uint32_t)strlen(text)};
	const struct msg_piece p = {
	    .text = {(uint8_t *)(uintptr_t)text, strlen(text)}, .n_logprobs = 1, .logprobs = &t};

	token_list_add(&list, &p);
	assert_false(list.failed);
}

/* The tokens that are ready, each in brackets; they are dropped. */
static void assert_ready(size_t sent, bool over, const char *want)
{
	size_t n = token_list_ready(&list, sent, over);
	char found[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(found + used, sizeof found - used, "[%s]",
		    json_string_value(json_object_get(list.list[i].entry, "token")));
	assert_string_equal(found, want);
	token_list_drop(&list, n);
}

static void a_token_goes_out_with_the_first_byte_of_its_text(void **state)
{
	(void)state;
	hear("ab", "ab", TOKEN_OF_ANSWER);
	assert_ready(0, false, "");
	hear("cd", "cd", TOKEN_OF_ANSWER);
	assert_ready(3, false, "[ab][cd]");
	assert_ready(4, false, "");
	hear("", "", TOKEN_OF_ANSWER); /* a control token, say */
	assert_ready(4, false, "");
	assert_ready(4, true, "[]");
}

static void parts_of_a_character_go_out_with_it(void **state)
{
	(void)state;
	hear("a", "a", TOKEN_OF_ANSWER);
	hear("\xc3", "", TOKEN_OF_ANSWER);
	assert_ready(1, false, "[a]");
	hear("\xa9", "\xc3\xa9", TOKEN_OF_ANSWER);
	hear("b", "b", TOKEN_OF_ANSWER);
	assert_int_equal(list.list[2].from, 3);
	assert_int_equal(list.list[2].character, 2);
	assert_ready(3, false, "[\xef\xbf\xbd][\xef\xbf\xbd]");
}

static void what_stands_past_a_stop_string_never_goes_out(void **state)
{
	(void)state;
	hear("one", "one", TOKEN_OF_ANSWER);
	hear(" st", " st", TOKEN_OF_ANSWER);
	hear("op", "op", TOKEN_OF_ANSWER);
	assert_ready(4, false, "[one][ st]"); /* "stop" was cut off */
	assert_ready(4, false, "");
	assert_int_equal(list.n, 1);
}

static void what_the_model_thinks_is_left_out(void **state)
{
	(void)state;
	hear("\n", "", TOKEN_OF_NEXT);
	hear("<th", "", TOKEN_OF_NEXT);
	hear("ink>", "", TOKEN_OF_REASONING);
	hear("hm", "", TOKEN_OF_REASONING);
	assert_int_equal(list.n, 0);
	hear("yes", "yes", TOKEN_OF_ANSWER);
	assert_ready(3, false, "[yes]");
}

static void what_was_not_known_is_of_the_answer_if_the_next_is(void **state)
{
	(void)state;
	hear(" ", "", TOKEN_OF_NEXT);
	hear("<t", "", TOKEN_OF_NEXT);
	assert_ready(9, false, "");
	hear("able", " <table", TOKEN_OF_ANSWER);
	assert_ready(1, false, "[ ][<t][able]"); /* they have no place of their own in it */
	hear("?", "", TOKEN_OF_NEXT);
	assert_ready(7, true, "[?]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_token_goes_out_with_the_first_byte_of_its_text),
	    TEST(parts_of_a_character_go_out_with_it),
	    TEST(what_stands_past_a_stop_string_never_goes_out),
	    TEST(what_the_model_thinks_is_left_out),
	    TEST(what_was_not_known_is_of_the_answer_if_the_next_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
