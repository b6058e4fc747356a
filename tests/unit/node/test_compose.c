/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/compose.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* The message that these lines make, which is complete with the last of them and not before. */
static struct compose composed(const char *const *lines)
{
	struct compose c = {0};

	for (size_t i = 0; lines[i] != NULL; i++) {
		assert_int_equal(compose_line(&c, lines[i], NULL), AYNI_OK);
		assert_int_equal(c.goes_on, lines[i + 1] != NULL);
	}
	return c;
}

static void assert_composed(const char *text, bool is_literal, const char *const *lines)
{
	struct compose c = composed(lines);

	assert_string_equal(c.text, text);
	assert_int_equal(c.is_literal, is_literal);
	compose_reset(&c);
	assert_null(c.text);
}

#define ASSERT_COMPOSED(text, is_literal, ...)                                                     \
	assert_composed(text, is_literal, (const char *const[]){__VA_ARGS__, NULL})

static void a_line_is_a_message(void **state)
{
	(void)state;
	ASSERT_COMPOSED("hello", false, "hello");
	ASSERT_COMPOSED("", false, "");
	ASSERT_COMPOSED("say \"\"\" to me", false, "say \"\"\" to me");
}

static void a_backslash_at_its_end_goes_on(void **state)
{
	(void)state;
	ASSERT_COMPOSED("one\ntwo\nthree", false, "one\\", "two\\", "three");
	ASSERT_COMPOSED("one\n\"\"\"two", false, "one\\", "\"\"\"two");
	ASSERT_COMPOSED("a\\b", false, "a\\b");
}

static void a_block_takes_all_lines_as_they_are(void **state)
{
	(void)state;
	ASSERT_COMPOSED("one\n\n/two\\", true, "\"\"\"one", "", "/two\\", "\"\"\"");
	ASSERT_COMPOSED("one\ntwo", true, "\"\"\"", "one", "two\"\"\"");
	ASSERT_COMPOSED("\none", true, "\"\"\"", "", "one", "\"\"\"");
	ASSERT_COMPOSED("one", true, "\"\"\"one\"\"\"");
	ASSERT_COMPOSED("", true, "\"\"\"\"\"\"");
}

static void an_empty_block_is_an_empty_message(void **state)
{
	(void)state;
	ASSERT_COMPOSED("", true, "\"\"\"", "\"\"\"");
}

static void too_much_is_refused_and_forgotten(void **state)
{
	char *line = malloc(COMPOSE_MAX_BYTES / 2 + 2);
	struct compose c = {0};
	struct error err = {0};

	(void)state;
	assert_non_null(line);
	memset(line, 'a', COMPOSE_MAX_BYTES / 2);
	memcpy(line + COMPOSE_MAX_BYTES / 2, "\\", 2);
	assert_int_equal(compose_line(&c, line, &err), AYNI_OK);
	assert_int_equal(compose_line(&c, line, &err), AYNI_ERR_LIMIT);
	assert_non_null(strstr(err.text, "512 KiB"));
	assert_null(c.text);
	assert_false(c.goes_on);
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_line_is_a_message),
	    cmocka_unit_test(a_backslash_at_its_end_goes_on),
	    cmocka_unit_test(a_block_takes_all_lines_as_they_are),
	    cmocka_unit_test(an_empty_block_is_an_empty_message),
	    cmocka_unit_test(too_much_is_refused_and_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
