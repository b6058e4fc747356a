/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/tool_calls.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/template.h"

static json_t *names;

static int set_up(void **state)
{
	(void)state;
	names = json_pack("{s:b,s:b}", "add", 1, "sky", 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	json_decref(names);
	return 0;
}

/* The text in two parts, cut at a byte: what is said, then each call as "name(arguments)". */
static void find(enum tool_format f, const char *text, size_t at, uint32_t most, char out[1024])
{
	struct tool_calls t = {0};
	struct text said = {0};
	int used;

	tool_calls_begin(&t, f, names, most);
	tool_calls_feed(&t, (struct span){(const uint8_t *)text, at}, &said);
	tool_calls_feed(&t, (struct span){(const uint8_t *)text + at, strlen(text) - at}, &said);
	tool_calls_end(&t, &said);
	assert_false(said.failed);
	used = snprintf(out, 1024, "%.*s", (int)said.len, said.len > 0 ? said.data : "");
	for (size_t i = 0; i < tool_calls_n(&t); i++) {
		const char *name, *arguments;

		assert_int_equal(json_unpack(json_array_get(t.list, i), "{s:s,s:s!}", "name", &name,
		                     "arguments", &arguments),
		    0);
		used += snprintf(out + used, 1024 - (size_t)used, "|%s(%s)", name, arguments);
	}
	assert_true(used < 1024);
	text_free(&said);
	tool_calls_free(&t);
}

static void assert_calls(enum tool_format f, const char *text, const char *want)
{
	char found[1024];

	for (size_t at = 0; at <= strlen(text); at++) {
		find(f, text, at, UINT32_MAX, found);
		if (strcmp(found, want) != 0)
			fail_msg("cut at %zu of \"%s\": \"%s\", not \"%s\"", at, text, found, want);
	}
}

#define CALL "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 0.1}}\n</tool_call>"

static void hermes_calls_stand_between_signs(void **state)
{
	(void)state;
	assert_calls(TOOL_FORMAT_HERMES, CALL, "|add({\"a\":1,\"b\":0.1})");
	assert_calls(TOOL_FORMAT_HERMES, "Let me see.\n\n" CALL "\n" CALL "\n",
	    "Let me see.|add({\"a\":1,\"b\":0.1})|add({\"a\":1,\"b\":0.1})");
	assert_calls(TOOL_FORMAT_HERMES, CALL " so", " so|add({\"a\":1,\"b\":0.1})");
	/* its end token came instead of the sign */
	assert_calls(TOOL_FORMAT_HERMES, "<tool_call>{\"name\":\"x\",\"arguments\":{}}", "|x({})");
	assert_calls(TOOL_FORMAT_HERMES,
	    "<tool_call>{\"name\":\"x\",\"arguments\":\"{\\\"q\\\":[]}\"}</tool_call>",
	    "|x({\"q\":[]})");
}

static void what_is_no_call_stays_text(void **state)
{
	static const char *const texts[] = {"", " \n", "a <tool_call", "<tool_call>hm</tool_call>.",
	    "<tool_call>{\"name\":\"a b\",\"arguments\":{}}</tool_call>",
	    "<tool_call>{\"name\":\"x\"}</tool_call> ", "<tool_call>{\"name\":\"x\",",
	    "<tool_call>[]</tool_call>", "<tool_call>{\"name\":3,\"arguments\":{}}</tool_call>",
	    "<tool_call>{\"name\":\"x\",\"arguments\":[1]}</tool_call>", "</tool_call>x  y"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_calls(TOOL_FORMAT_HERMES, texts[i], texts[i]);
	assert_calls(
	    TOOL_FORMAT_HERMES, "<tool_call> " CALL, "<tool_call>|add({\"a\":1,\"b\":0.1})");
	assert_calls(TOOL_FORMAT_MISTRAL, CALL, CALL);
	assert_calls(TOOL_FORMAT_NONE, CALL, CALL);
}

static void mistral_calls_go_to_the_end(void **state)
{
	(void)state;
	assert_calls(TOOL_FORMAT_MISTRAL,
	    "Well.[TOOL_CALLS] [{\"name\": \"add\", \"arguments\": {\"a\": 1}, \"id\": \"x\"}, "
	    "{\"name\": \"sky\", \"arguments\": {}}]",
	    "Well.|add({\"a\":1})|sky({})");
	assert_calls(TOOL_FORMAT_MISTRAL, "[TOOL_CALLS]add[ARGS]{\"a\": 1}[TOOL_CALLS]sky[ARGS]{}",
	    "|add({\"a\":1})|sky({})");
	assert_calls(TOOL_FORMAT_MISTRAL, "[TOOL_CALLS][{]", "[TOOL_CALLS][{]");
	assert_calls(
	    TOOL_FORMAT_MISTRAL, "[TOOL_CALLS]add[ARGS]{} and", "[TOOL_CALLS]add[ARGS]{} and");
}

#define DEEP_BEGIN "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>"
#define DEEP_END   "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"

static void deepseek_calls_have_signs_of_their_own(void **state)
{
	(void)state;
	assert_calls(TOOL_FORMAT_DEEPSEEK,
	    "Hm." DEEP_BEGIN "function<｜tool▁sep｜>add\n```json\n{\"a\":1}\n```"
	    "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>sky\n```json\n{}\n``"
	    "`" DEEP_END,
	    "Hm.|add({\"a\":1})|sky({})");
	assert_calls(TOOL_FORMAT_DEEPSEEK, DEEP_BEGIN "add<｜tool▁sep｜>{\"a\": 1}" DEEP_END,
	    "|add({\"a\":1})");
	assert_calls(TOOL_FORMAT_DEEPSEEK, DEEP_BEGIN "add" DEEP_END, DEEP_BEGIN "add" DEEP_END);
}

static void llama_calls_are_all_of_the_answer(void **state)
{
	(void)state;
	assert_calls(TOOL_FORMAT_LLAMA, "{\"name\": \"add\", \"parameters\": {\"a\": \"1\"}}",
	    "|add({\"a\":\"1\"})");
	assert_calls(TOOL_FORMAT_LLAMA,
	    "\n<|python_tag|>{\"name\": \"add\", \"parameters\": {}}; {\"name\": \"sky\", "
	    "\"parameters\": {}}",
	    "|add({})|sky({})");
	/* JSON that a person asked for is no call */
	assert_calls(TOOL_FORMAT_LLAMA, "{\"name\": \"Ana\", \"parameters\": {}}",
	    "{\"name\": \"Ana\", \"parameters\": {}}");
	assert_calls(TOOL_FORMAT_LLAMA, "{\"name\": \"add\", \"parameters\": {}} it is",
	    "{\"name\": \"add\", \"parameters\": {}} it is");
	assert_calls(TOOL_FORMAT_LLAMA, "It is {1}.", "It is {1}.");
	assert_calls(
	    TOOL_FORMAT_LLAMA, "<|python_tag|>add.call(a=1)", "<|python_tag|>add.call(a=1)");
}

static void no_more_calls_are_kept_than_are_wanted(void **state)
{
	char found[1024];

	(void)state;
	find(TOOL_FORMAT_HERMES, CALL CALL "b", 30, 1, found);
	assert_string_equal(found, "b|add({\"a\":1,\"b\":0.1})");
}

/* Signs that never end cost memory and time within bounds, and are text in the end. */
static void a_call_that_is_too_long_is_text(void **state)
{
	struct tool_calls t = {0};
	struct text said = {0};
	static uint8_t more[4096];
	size_t n = strlen(TOOL_HERMES_OPEN);

	(void)state;
	memset(more, 'x', sizeof more);
	tool_calls_begin(&t, TOOL_FORMAT_HERMES, names, 1);
	tool_calls_feed(&t, (struct span){(const uint8_t *)TOOL_HERMES_OPEN, n}, &said);
	for (size_t i = 0; i <= TOOL_CALL_BYTES_MAX / sizeof more; i++)
		tool_calls_feed(&t, (struct span){more, sizeof more}, &said);
	assert_int_equal(said.len, TOOL_CALL_BYTES_MAX + sizeof more + n);
	assert_int_equal(t.held.len, 0);
	text_free(&said);
	tool_calls_free(&t);
}

/* ---- templates ---------------------------------------------------------------------------- */

static const char qwen[] =
    "{%- if tools %}<|im_start|>system\n<tools>{% for tool in tools %}\n{{ tool | tojson }}"
    "{% endfor %}\n</tools> Answer <tool_call>\n{\"name\": ..., \"arguments\": ...}\n"
    "</tool_call><|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content %}{{ m.content }}{% endif %}{% for c in m.tool_calls or [] %}<tool_call>\n"
    "{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n"
    "</tool_call>{% endfor %}<|im_end|>\n{% endfor %}";

static enum tool_format format_of(const char *text)
{
	return tool_format_of((struct span){(const uint8_t *)text, strlen(text)});
}

static void the_template_tells_the_format(void **state)
{
	static const char plain[] = "{% for m in messages %}{{ m.content }}{% endfor %}";

	(void)state;
	assert_int_equal(format_of(qwen), TOOL_FORMAT_HERMES);
	assert_int_equal(format_of("{{ tools }}[TOOL_CALLS]"), TOOL_FORMAT_MISTRAL);
	assert_int_equal(format_of("{{ tools }}<|start_header_id|>{\"name\", \"parameters\": }"),
	    TOOL_FORMAT_LLAMA);
	assert_int_equal(
	    format_of("{% if tools %}" DEEP_BEGIN "<｜tool▁sep｜>"), TOOL_FORMAT_DEEPSEEK);
	assert_int_equal(format_of("{{ tools }}<tool_call><function=f></tool_call>"),
	    TOOL_FORMAT_NONE); /* another way to write it */
	assert_int_equal(format_of("{{ tools }}"), TOOL_FORMAT_NONE);
	assert_int_equal(format_of(plain), TOOL_FORMAT_NONE);
	assert_false(
	    tool_format_has_tools((struct span){(const uint8_t *)plain, sizeof plain - 1}));
}

/* What a model was shown as its own call is found in what it says. */
static void a_call_goes_through_the_template_and_back(void **state)
{
	json_t *tools =
	    json_loads("[{\"type\":\"function\",\"function\":{\"name\":\"add\"}}]", 0, NULL);
	json_t *calls = json_loads("[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":"
	                           "\"add\",\"arguments\":{\"a\":\"\xc3\xa9\"}}}]",
	    0, NULL);
	const struct chat_message messages[] = {
	    {.role = "assistant", .content = "", .tool_calls = calls},
	    {.role = "tool", .content = "3", .tool_call_id = "1"}};
	const struct chat chat = {messages, 2, tools};
	struct template *t;
	struct error err;
	char *out, *end;
	size_t len;

	(void)state;
	if (template_parse(qwen, strlen(qwen), &t, &err) != AYNI_OK ||
	    template_render_chat(t, &chat, true, NULL, NULL, &out, &len, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	assert_non_null(strstr(
	    out, "<tools>{\"type\": \"function\", \"function\": {\"name\": \"add\"}}</tools>"));
	assert_non_null(strstr(out, "<|im_start|>tool\n3<|im_end|>"));
	end = strstr(out, "<|im_start|>assistant\n") + strlen("<|im_start|>assistant\n");
	*strstr(end, "<|im_end|>") = '\0';
	assert_calls(TOOL_FORMAT_HERMES, end, "|add({\"a\":\"\xc3\xa9\"})");
	free(out);
	template_free(t);
	json_decref(tools);
	json_decref(calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hermes_calls_stand_between_signs),
	    cmocka_unit_test(what_is_no_call_stays_text),
	    cmocka_unit_test(mistral_calls_go_to_the_end),
	    cmocka_unit_test(deepseek_calls_have_signs_of_their_own),
	    cmocka_unit_test(llama_calls_are_all_of_the_answer),
	    cmocka_unit_test(no_more_calls_are_kept_than_are_wanted),
	    cmocka_unit_test(a_call_that_is_too_long_is_text),
	    cmocka_unit_test(the_template_tells_the_format),
	    cmocka_unit_test(a_call_goes_through_the_template_and_back),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
