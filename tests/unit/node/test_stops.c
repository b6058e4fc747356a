/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/stops.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* All of a text that comes in pieces of n bytes and ends at a stop. */
static char *through(const struct stops *s, const char *text, size_t n, bool *found)
{
	struct text held = {0}, out = {0};

	*found = false;
	for (size_t at = 0; at < strlen(text) && !*found; at += n) {
		size_t len = strlen(text) - at < n ? strlen(text) - at : n, go;

		text_add(&held, text + at, len);
		go = stops_find(s, &held, found);
		text_add(&out, held.data, go);
		text_drop(&held, *found ? held.len : go);
	}
	text_add(&out, held.data, held.len);
	text_add(&out, "", 1);
	text_free(&held);
	assert_false(out.failed);
	return out.data;
}

static void assert_through(
    const struct stops *s, const char *text, const char *expected, bool expect_found)
{
	for (size_t n = 1; n <= strlen(text); n++) {
		bool found;
		char *out = through(s, text, n, &found);

		assert_string_equal(out, expected);
		assert_int_equal(found, expect_found);
		free(out);
	}
}

static void the_text_ends_before_the_first_stop_however_it_is_cut(void **state)
{
	const struct stops s = {2, {"END", "\n\n"}};

	(void)state;
	assert_through(&s, "one ENtwo END three", "one ENtwo ", true);
	assert_through(&s, "one\ntwo\n\nEND", "one\ntwo", true);
	assert_through(&s, "END", "", true);
}

static void what_only_began_like_a_stop_is_kept(void **state)
{
	const struct stops s = {2, {"aab", "END"}};

	(void)state;
	assert_through(&s, "aaaaEN", "aaaaEN", false);
	assert_through(&s, "aaaab", "aa", true);
	assert_through(&(const struct stops){0}, "anything", "anything", false);
}

static void of_several_the_one_that_is_whole_first_counts(void **state)
{
	(void)state;
	assert_through(&(const struct stops){2, {"bc", "abcd"}}, "xabcd", "xa", true);
	assert_through(&(const struct stops){2, {"bc", "abc"}}, "xabc", "x", true);
	assert_through(&(const struct stops){2, {"bc", "abcd"}}, "xab", "xab", false);
}

static void nothing_is_held_back_that_cannot_become_a_stop(void **state)
{
	const struct stops s = {1, {"stop"}};
	struct text held = {0};
	bool found;

	(void)state;
	text_add_string(&held, "the st");
	assert_int_equal(stops_find(&s, &held, &found), 4);
	text_add_string(&held, "ar");
	assert_int_equal(stops_find(&s, &held, &found), 8);
	assert_false(found);
	text_free(&held);
}

static void characters_of_several_bytes_are_never_cut(void **state)
{
	const struct stops s = {1, {"\xe2\x82\xac"}}; /* euro; another sign has its first 2 bytes */

	(void)state;
	assert_through(&s, "1 \xe2\x82\xab 2 \xe2\x82\xac 3", "1 \xe2\x82\xab 2 ", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_text_ends_before_the_first_stop_however_it_is_cut),
	    cmocka_unit_test(what_only_began_like_a_stop_is_kept),
	    cmocka_unit_test(of_several_the_one_that_is_whole_first_counts),
	    cmocka_unit_test(nothing_is_held_back_that_cannot_become_a_stop),
	    cmocka_unit_test(characters_of_several_bytes_are_never_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
