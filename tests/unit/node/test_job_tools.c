/* SPDX-License-Identifier: Apache-2.0 */
/* Tools in requests of OpenAI's API, and calls of them in its answers. */
#include "node/gateway/job_tools.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/gateway/openai.h"

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static struct job job;
static struct fault fault;

static bool read_as(const struct api *api, const char *body)
{
	job_free(&job);
	fault = (struct fault){0};
	if (!job_open(&job, body, strlen(body), &fault) || !api->read(&job, &fault))
		return false;
	job_close_body(&job);
	return true;
}

static bool chat(const char *body)
{
	return read_as(&openai_chat, body);
}

static int tear_down(void **state)
{
	(void)state;
	job_free(&job);
	return 0;
}

static void assert_refused(const char *body, const char *param, const char *says)
{
	assert_false(chat(body));
	assert_int_equal(fault.status, 400);
	assert_string_equal(fault.type, "invalid_request_error");
	assert_string_equal(fault.param, param);
	if (strstr(fault.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", fault.text, says);
}

#define ADD                                                                                        \
	"{\"type\":\"function\",\"function\":{\"name\":\"add\",\"parameters\":{\"b\":1,\"a\":[]}}" \
	"}"

static void tools_are_kept_as_they_are_for_the_template(void **state)
{
	(void)state;
	assert_true(chat("{" HI ",\"tools\":[" ADD "],\"tool_choice\":\"auto\"}"));
	assert_string_equal(job.generate.tools, "[" ADD "]");
	assert_non_null(json_object_get(job.tool_names, "add"));
	assert_false(job.one_call);
	assert_true(chat("{" HI ",\"tools\":[" ADD "],\"parallel_tool_calls\":false}"));
	assert_true(job.one_call);
	assert_true(chat("{" HI ",\"tools\":[" ADD "],\"tool_choice\":\"none\"}"));
	assert_null(job.generate.tools);
	assert_true(chat("{" HI ",\"tools\":[]}"));
	assert_null(job.generate.tools);
	assert_refused("{" HI ",\"tools\":{}}", "tools", "must be a list");
	assert_refused("{" HI ",\"tools\":[3]}", "tools", "of type function");
	assert_refused(
	    "{" HI ",\"tools\":[{\"type\":\"web_search\"}]}", "tools", "of type function");
	assert_refused("{" HI
	               ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]}",
	    "tools", "letters, digits");
	assert_false(read_as(&openai_completions, "{\"prompt\":\"x\",\"tools\":[" ADD "]}"));
}

static void tools_must_not_be_too_deep_or_too_long(void **state)
{
	struct text body = {0};

	(void)state;
	for (int deep = 0; deep < 2; deep++) {
		text_add_string(&body, "{" HI ",\"tools\":[{\"type\":\"function\",\"function\":"
		                       "{\"name\":\"f\",\"parameters\":");
		for (int i = 0; deep > 0 && i < 46; i++)
			text_add_string(&body, "[");
		for (int i = 0; deep == 0 && i < LIMIT_TOOLS_BYTES; i++)
			text_add_string(&body, i == 0 ? "\"" : "x");
		text_add_string(&body, deep == 0 ? "\"" : "");
		for (int i = 0; deep > 0 && i < 46; i++)
			text_add_string(&body, "]");
		text_add(&body, "}}]}", 5);
		assert_refused(body.data, "tools", "nest more than 48 deep");
		text_free(&body);
	}
}

#define CALLS(arguments)                                                                           \
	"{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\","  \
	"\"type\":\"function\",\"function\":{\"name\":\"add\",\"arguments\":" arguments "}}]},"    \
	"{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"name\":\"add\",\"content\":\"3\"}]}"

static void calls_of_earlier_turns_have_arguments_that_are_objects(void **state)
{
	(void)state;
	assert_true(chat(CALLS("\"{\\\"a\\\":1}\"")));
	assert_int_equal(job.generate.n_turns, 2);
	assert_string_equal(job.turns[0].content, "");
	assert_string_equal(job.turns[0].tool_calls,
	    "[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"add\",\"arguments\":{"
	    "\"a\":1}}}]");
	assert_string_equal(job.turns[1].tool_call_id, "c1");
	assert_string_equal(job.turns[1].name, "add");
	assert_null(job.turns[1].tool_calls);
	assert_refused(CALLS("\"[]\""), "messages", "arguments that are a JSON object");
	assert_refused(CALLS("3"), "messages", "arguments that are a JSON object");
	assert_refused("{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":3}]}", "messages",
	    "must be a list");
}

/* ---- answers ------------------------------------------------------------------------------ */

static json_t *parsed(struct text *t)
{
	json_error_t at;
	json_t *o = json_loadb(t->data, t->len, 0, &at);

	if (o == NULL)
		fail_msg("%s in %.*s", at.text, (int)t->len, t->data);
	text_free(t);
	return o;
}

static struct span span(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

/* Two calls of which the first was there before. */
static struct choice choice_with_calls(enum tool_format format, struct part *p)
{
	struct choice c = {.end = {.reason = FINISH_END}};
	struct text said = {0};
	static const char call[] = "[{\"name\":\"add\",\"arguments\":{\"a\":1}},"
	                           "{\"name\":\"sky\",\"arguments\":{}}]";
	struct span open =
	    span(format == TOOL_FORMAT_MISTRAL ? TOOL_MISTRAL_OPEN : TOOL_HERMES_OPEN);

	tool_calls_begin(&c.calls, format, NULL, UINT32_MAX);
	tool_calls_feed(&c.calls, open, &said);
	tool_calls_feed(&c.calls, span(call), &said);
	tool_calls_end(&c.calls, &said);
	assert_int_equal(tool_calls_n(&c.calls), 2);
	text_free(&said);
	*p = (struct part){.first_call = 1, .n_calls = 1};
	return c;
}

static void calls_end_an_answer_whole_and_streamed(void **state)
{
	struct part p;
	struct choice c = choice_with_calls(TOOL_FORMAT_HERMES, &p);
	struct text out = {0};
	const char *reason, *id[2], *type, *name, *arguments, *again;
	json_t *o, *content;
	int at;

	(void)state;
	assert_true(chat("{" HI ",\"tools\":[" ADD "]}"));
	openai_chat.whole(&job, &c, &out);
	o = parsed(&out);
	assert_int_equal(json_unpack(o, "{s:[{s:s,s:{s:o,s:[{s:s,s:s,s:{s:s,s:s!}},{s:s}]}}]}",
	                     "choices", "finish_reason", &reason, "message", "content", &content,
	                     "tool_calls", "id", &id[0], "type", &type, "function", "name", &name,
	                     "arguments", &arguments, "id", &id[1]),
	    0);
	assert_string_equal(reason, "tool_calls");
	assert_true(json_is_null(content));
	assert_string_equal(name, "add");
	assert_string_equal(arguments, "{\"a\":1}");
	assert_int_equal(strncmp(id[0], "call_", 5), 0);
	assert_string_not_equal(id[0], id[1]);
	openai_chat.piece(&job, &c, 0, &p, &out);
	text_drop(&out, (size_t)((char *)memmem(out.data, out.len, "\n\n", 2) - out.data) + 8);
	out.len = (size_t)((char *)memmem(out.data, out.len, "\n\n", 2) - out.data);
	json_decref(o);
	o = parsed(&out);
	assert_int_equal(json_unpack(o, "{s:[{s:{s:[{s:i,s:s,s:{s:s}}]}}]}", "choices", "delta",
	                     "tool_calls", "index", &at, "id", &again, "function", "name", &name),
	    0);
	assert_int_equal(at, 1);
	assert_string_equal(name, "sky");
	json_decref(o);
	tool_calls_free(&c.calls);
}

static void mistrals_templates_take_ids_of_nine(void **state)
{
	struct part p;
	struct choice c = choice_with_calls(TOOL_FORMAT_MISTRAL, &p);
	char id[CALL_ID_BYTES];

	(void)state;
	assert_true(chat("{" HI "}"));
	call_id(&job, &c, 7, 1, id);
	assert_int_equal(strlen(id), 9);
	assert_true(tool_name_is_good(id, 9));
	tool_calls_free(&c.calls);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(tools_are_kept_as_they_are_for_the_template),
	    TEST(tools_must_not_be_too_deep_or_too_long),
	    TEST(calls_of_earlier_turns_have_arguments_that_are_objects),
	    TEST(calls_end_an_answer_whole_and_streamed),
	    TEST(mistrals_templates_take_ids_of_nine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
