/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/command.h"

#include <setjmp.h>

#include <cmocka.h>

static char text[128];
static struct error err;

static void assert_parsed(const char *typed, enum command_kind kind, const char *argument)
{
	struct command c;

	(void)snprintf(text, sizeof text, "%s", typed);
	err = (struct error){0};
	c = command_parse(text, &err);
	assert_int_equal(c.kind, kind);
	assert_string_equal(c.argument, argument);
	assert_int_equal(err.code != 0, kind == COMMAND_WRONG);
}

static void what_begins_without_a_slash_is_a_message(void **state)
{
	(void)state;
	assert_parsed("hello /quit ", COMMAND_MESSAGE, "hello /quit ");
	assert_parsed(" /quit", COMMAND_MESSAGE, " /quit");
	assert_parsed("", COMMAND_MESSAGE, "");
}

static void two_slashes_begin_a_message_with_one(void **state)
{
	(void)state;
	assert_parsed("//usr/bin", COMMAND_MESSAGE, "/usr/bin");
	assert_parsed("//", COMMAND_MESSAGE, "/");
}

static void a_command_has_its_argument_without_white_space_around(void **state)
{
	(void)state;
	assert_parsed("/quit", COMMAND_QUIT, "");
	assert_parsed("/quit \t", COMMAND_QUIT, "");
	assert_parsed("/help", COMMAND_HELP, "");
	assert_parsed("/clear", COMMAND_CLEAR, "");
	assert_parsed("/forget", COMMAND_FORGET, "");
	assert_parsed("/model", COMMAND_MODEL, "");
	assert_parsed("/model  big one ", COMMAND_MODEL, "big one");
	assert_parsed("/system Be brief.\nBe kind.", COMMAND_SYSTEM, "Be brief.\nBe kind.");
	assert_parsed("/save a b.json", COMMAND_SAVE, "a b.json");
	assert_parsed("/load x", COMMAND_LOAD, "x");
}

static void an_unknown_command_is_told_which_there_are(void **state)
{
	(void)state;
	assert_parsed("/quits", COMMAND_WRONG, "");
	assert_non_null(strstr(err.text, "/quits"));
	for (size_t i = 0; command_help(i) != NULL; i++) {
		const char *line = command_help(i);
		char name[32];

		(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(line, " "), line);
		assert_non_null(strstr(err.text, name));
	}
	assert_parsed("/", COMMAND_WRONG, "");
	assert_parsed("/QUIT", COMMAND_WRONG, "");
}

static void a_command_without_what_it_needs_or_with_too_much_is_refused(void **state)
{
	(void)state;
	assert_parsed("/save", COMMAND_WRONG, "");
	assert_non_null(strstr(err.text, "/save FILE"));
	assert_parsed("/load ", COMMAND_WRONG, "");
	assert_parsed("/quit now", COMMAND_WRONG, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_begins_without_a_slash_is_a_message),
	    cmocka_unit_test(two_slashes_begin_a_message_with_one),
	    cmocka_unit_test(a_command_has_its_argument_without_white_space_around),
	    cmocka_unit_test(an_unknown_command_is_told_which_there_are),
	    cmocka_unit_test(a_command_without_what_it_needs_or_with_too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
