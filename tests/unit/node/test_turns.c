/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/turns.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/vocabulary.h"

/* Bytes are tokens here, so what the template wrote can be read. */
static const char with_tools[] =
    "{{ tools | length if tools else '-' }}{% for m in messages %}{{ m.role }}:"
    "{{ 'none' if m.content is none else m.content }}{% for c in m.tool_calls or [] %}"
    "{{ c.id }}{{ c.function.name }}{{ c.function.arguments['a'] + 1 }}{% endfor %}"
    "{{ m.tool_call_id or '' }}{{ m.name or '' }};{% endfor %}";

static struct catalog_model model;
static struct error err;

static int tear_down(void **state)
{
	(void)state;
	template_free(model.chat_template);
	tokenizer_free(model.tokenizer);
	model = (struct catalog_model){0};
	return 0;
}

static int set_up(void **state)
{
	struct vocabulary v;

	(void)state;
	vocabulary_bpe(&v);
	model.has_tools = true;
	model.tool_format = TOOL_FORMAT_HERMES;
	return vocabulary_open(&v, &model.tokenizer, &err) == AYNI_OK
	           ? template_parse(with_tools, strlen(with_tools), &model.chat_template, &err)
	           : -1;
}

static void assert_prompt(struct turn *turns, size_t n, const char *tools, const char *want)
{
	const struct msg_generate g = {
	    .n_turns = n, .turns = turns, .tools = (char *)(uintptr_t)tools};
	char text[256] = "";
	uint32_t *ids;
	size_t n_ids;

	if (turns_encode(&model, &g, &ids, &n_ids, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	assert_true(n_ids < sizeof text);
	for (size_t i = 0; i < n_ids; i++)
		text[i] = (char)ids[i];
	assert_string_equal(text, want);
	free(ids);
}

static int refused(struct turn *turns, const char *tools)
{
	const struct msg_generate g = {
	    .n_turns = 1, .turns = turns, .tools = (char *)(uintptr_t)tools};
	uint32_t *ids;
	size_t n;

	return turns_encode(&model, &g, &ids, &n, &err);
}

static void calls_and_tools_reach_the_template(void **state)
{
	struct turn turns[] = {{.role = "user", .content = "hi"},
	    {.role = "assistant",
	        .content = "",
	        .tool_calls =
	            "[{\"id\":\"7\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}}]"},
	    {.role = "tool", .content = "x", .tool_call_id = "7", .name = "f"}};

	(void)state;
	assert_prompt(turns, 1, NULL, "-user:hi;");
	assert_prompt(turns, 3, "[{},{}]", "2user:hi;assistant:none7f2;tool:x7f;");
}

static void a_template_without_tools_is_said_to_have_none(void **state)
{
	struct turn turn = {.role = "assistant", .content = "x", .tool_calls = "[{}]"};

	(void)state;
	model.has_tools = false;
	assert_int_equal(refused(&turn, "[{}]"), AYNI_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "has no tools"));
	assert_int_equal(refused(&turn, NULL), AYNI_ERR_UNSUPPORTED);
	model.has_tools = true;
	model.tool_format = TOOL_FORMAT_NONE;
	assert_int_equal(refused(&turn, "[{}]"), AYNI_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "is not known here"));
}

static void what_is_no_list_or_too_deep_is_refused(void **state)
{
	struct turn turn = {.role = "user", .content = "x"};
	char deep[256] = "";

	(void)state;
	assert_int_equal(refused(&turn, "{}"), AYNI_ERR_FORMAT);
	assert_int_equal(refused(&turn, "[1"), AYNI_ERR_FORMAT);
	turn.tool_calls = "3";
	assert_int_equal(refused(&turn, "[{}]"), AYNI_ERR_FORMAT);
	turn.tool_calls = NULL;
	memset(deep, '[', 100);
	memset(deep + 100, ']', 100);
	assert_int_equal(refused(&turn, deep), AYNI_ERR_LIMIT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(calls_and_tools_reach_the_template),
	    TEST(a_template_without_tools_is_said_to_have_none),
	    TEST(what_is_no_list_or_too_deep_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
