/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI's API "Responses": requests as they are read, answers as they are written. */
#include "node/gateway/openai.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MOST_EVENTS = 32 };

static struct job job;
static struct fault fault;
static struct choice choice;

static bool read_body(const char *body)
{
	job_free(&job);
	fault = (struct fault){0};
	if (!job_open(&job, body, strlen(body), &fault) || !openai_responses.read(&job, &fault))
		return false;
	job_close_body(&job);
	return true;
}

static int tear_down(void **state)
{
	(void)state;
	job_free(&job);
	text_free(&choice.answer);
	text_free(&choice.reasoning);
	choice = (struct choice){0};
	return 0;
}

static void assert_refused(const char *body, const char *param, const char *says)
{
	assert_false(read_body(body));
	assert_int_equal(fault.status, 400);
	assert_string_equal(fault.param, param);
	if (strstr(fault.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", fault.text, says);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void an_input_is_a_text(void **state)
{
	(void)state;
	assert_true(read_body("{\"model\":\"m\",\"input\":\"hi\",\"max_output_tokens\":7,"
	                      "\"temperature\":0.5,\"top_p\":0.25,\"stream\":true,\"seed\":3,"
	                      "\"instructions\":\"be\",\"store\":true,\"tools\":[],"
	                      "\"text\":{\"format\":{\"type\":\"text\"}}}"));
	assert_int_equal(job.generate.n_turns, 2);
	assert_string_equal(job.turns[0].role, "system");
	assert_string_equal(job.turns[0].content, "be");
	assert_string_equal(job.turns[1].role, "user");
	assert_string_equal(job.turns[1].content, "hi");
	assert_string_equal(job.generate.model, "m");
	assert_int_equal(job.generate.max_tokens, 7);
	assert_true(job.generate.sampling.temperature == 0.5f);
	assert_int_equal(job.generate.sampling.seed, 3);
	assert_true(job.stream);
}

static void an_input_is_a_list_of_items_as_they_came_in_an_answer(void **state)
{
	(void)state;
	assert_true(read_body(
	    "{\"input\":[{\"role\":\"developer\",\"content\":\"a\"},{\"type\":\"message\","
	    "\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"b\"}]},"
	    "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[]},"
	    "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
	    "\"text\":\"c\",\"annotations\":[]},{\"type\":\"output_text\",\"text\":\"d\"}]}]}"));
	assert_int_equal(job.generate.n_turns, 3);
	assert_string_equal(job.turns[0].role, "system");
	assert_string_equal(job.turns[1].content, "b");
	assert_string_equal(job.turns[2].role, "assistant");
	assert_string_equal(job.turns[2].content, "cd");
}

static void what_cannot_be_done_is_refused_by_name(void **state)
{
	(void)state;
	assert_refused("{}", "input", "must be a string, or a list");
	assert_refused("{\"input\":[]}", "input", "not empty");
	assert_refused("{\"input\":[3]}", "input[0]", "role must be");
	assert_refused("{\"input\":[{\"type\":\"reasoning\"}]}", "input", "no message");
	assert_refused("{\"input\":[{\"type\":\"function_call\"}]}", "input[0]", "type message");
	assert_refused("{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]}",
	    "input[0].content", "input_text");
	assert_refused("{\"input\":\"a\",\"previous_response_id\":\"resp_1\"}",
	    "previous_response_id", "not supported");
	assert_refused(
	    "{\"input\":\"a\",\"tools\":[{\"type\":\"web_search\"}]}", "tools", "not supported");
	assert_refused("{\"input\":\"a\",\"text\":{\"format\":{\"type\":\"json_schema\"}}}",
	    "text.format", "only type text");
	assert_refused("{\"input\":\"a\",\"max_output_tokens\":0}", "max_output_tokens", "from 1");
}

/* ---- answers ------------------------------------------------------------------------------ */

static void ends(enum finish_reason reason)
{
	choice.n_tokens = 4;
	choice.ended = true;
	choice.end =
	    (struct msg_finished){.reason = reason, .prompt_tokens = 10, .reused_tokens = 3};
}

static void a_whole_answer_has_items_and_usage(void **state)
{
	struct text out = {0};
	const char *status, *first, *thinks, *second, *says;
	int input, output, cached;
	json_t *o;

	(void)state;
	assert_true(read_body("{\"input\":\"hi\"}"));
	text_add_string(&choice.answer, "it \"is\"");
	text_add_string(&choice.reasoning, "hm");
	ends(FINISH_END);
	openai_responses.whole(&job, &choice, &out);
	o = json_loadb(out.data, out.len, 0, NULL);
	assert_int_equal(
	    json_unpack(o, "{s:s,s:[{s:s,s:[{s:s}]},{s:s,s:[{s:s}]}],s:{s:i,s:i,s:{s:i}}}",
	        "status", &status, "output", "type", &first, "content", "text", &thinks, "type",
	        &second, "content", "text", &says, "usage", "input_tokens", &input, "output_tokens",
	        &output, "input_tokens_details", "cached_tokens", &cached),
	    0);
	assert_string_equal(status, "completed");
	assert_string_equal(first, "reasoning");
	assert_string_equal(thinks, "hm");
	assert_string_equal(second, "message");
	assert_string_equal(says, "it \"is\"");
	assert_int_equal(input, 10);
	assert_int_equal(output, 4);
	assert_int_equal(cached, 3);
	json_decref(o);
	text_free(&out);
}

/* As exchange.c does: what is kept is there before its event. */
static void piece(const char *answer, const char *reasoning, struct text *out)
{
	text_add_string(&choice.answer, answer);
	text_add_string(&choice.reasoning, reasoning);
	openai_responses.piece(&job, &choice, 0,
	    &(struct part){.answer = {(const uint8_t *)answer, strlen(answer)},
	        .reasoning = {(const uint8_t *)reasoning, strlen(reasoning)}},
	    out);
	choice.begun = true;
}

static void finish(enum finish_reason reason, struct text *out)
{
	ends(reason);
	openai_responses.choice_end(&job, &choice, 0, out);
	openai_responses.end(&job, &choice, out);
}

/* The events' objects, each with the type of its line and the number of its place. */
static size_t events(struct text *out, json_t *list[MOST_EVENTS])
{
	size_t n = 0;
	char *rest = NULL;

	text_add(out, "", 1);
	for (char *line = strtok_r(out->data, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		const char *data = strtok_r(NULL, "\n", &rest);

		assert_true(n < MOST_EVENTS && data != NULL);
		list[n] = json_loads(data + strlen("data: "), 0, NULL);
		assert_string_equal(
		    json_string_value(json_object_get(list[n], "type")), line + strlen("event: "));
		assert_int_equal(
		    json_integer_value(json_object_get(list[n], "sequence_number")), n);
		n++;
	}
	return n;
}

static void assert_events(struct text *out, const char *const *types)
{
	json_t *list[MOST_EVENTS];
	size_t n = events(out, list);

	for (size_t i = 0; i < n; i++) {
		assert_non_null(types[i]);
		assert_string_equal(json_string_value(json_object_get(list[i], "type")), types[i]);
		json_decref(list[i]);
	}
	assert_null(types[n]);
	text_free(out);
}

static void a_stream_builds_the_answer_up_item_by_item(void **state)
{
	static const char *const types[] = {"response.created", "response.in_progress",
	    "response.output_item.added", "response.content_part.added",
	    "response.reasoning_text.delta", "response.reasoning_text.delta",
	    "response.reasoning_text.done", "response.content_part.done",
	    "response.output_item.done", "response.output_item.added",
	    "response.content_part.added", "response.output_text.delta",
	    "response.output_text.delta", "response.output_text.done", "response.content_part.done",
	    "response.output_item.done", "response.completed", NULL};
	struct text out = {0};

	(void)state;
	assert_true(read_body("{\"input\":\"hi\",\"stream\":true}"));
	piece("", "h", &out);
	piece("a\n", "m", &out); /* both at once */
	piece("b", "", &out);
	finish(FINISH_END, &out);
	assert_events(&out, types);
}

static void a_stream_ends_with_all_of_the_answer(void **state)
{
	json_t *list[MOST_EVENTS];
	struct text out = {0};
	const char *reason, *text, *done;
	int index;
	size_t n;

	(void)state;
	assert_true(read_body("{\"input\":\"hi\",\"stream\":true}"));
	piece("a", "", &out);
	piece("b", "", &out);
	finish(FINISH_LENGTH, &out);
	n = events(&out, list);
	assert_int_equal(
	    json_unpack(list[n - 4], "{s:s,s:i}", "text", &done, "output_index", &index), 0);
	assert_string_equal(done, "ab");
	assert_int_equal(index, 0);
	assert_int_equal(
	    json_unpack(list[n - 1], "{s:{s:[{s:[{s:s}]}],s:{s:s}}}", "response", "output",
	        "content", "text", &text, "incomplete_details", "reason", &reason),
	    0);
	assert_string_equal(text, "ab");
	assert_string_equal(reason, "max_output_tokens");
	for (size_t i = 0; i < n; i++)
		json_decref(list[i]);
	text_free(&out);
}

static void an_answer_without_a_word_is_a_message_too(void **state)
{
	static const char *const types[] = {"response.created", "response.in_progress",
	    "response.output_item.added", "response.content_part.added",
	    "response.output_text.done", "response.content_part.done", "response.output_item.done",
	    "response.completed", NULL};
	struct text out = {0};

	(void)state;
	assert_true(read_body("{\"input\":\"hi\",\"stream\":true}"));
	finish(FINISH_END, &out);
	assert_events(&out, types);
}

static void a_stream_that_breaks_off_says_so(void **state)
{
	static const char *const types[] = {"response.created", "response.in_progress",
	    "response.output_item.added", "response.content_part.added",
	    "response.output_text.delta", "error", NULL};
	struct text out = {0};

	(void)state;
	assert_true(read_body("{\"input\":\"hi\",\"stream\":true}"));
	piece("a", "", &out);
	fault_set(&fault, 502, "gone");
	openai_responses.broken(&fault, &choice, &out);
	assert_events(&out, types);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(an_input_is_a_text, tear_down),
	    cmocka_unit_test_teardown(
	        an_input_is_a_list_of_items_as_they_came_in_an_answer, tear_down),
	    cmocka_unit_test_teardown(what_cannot_be_done_is_refused_by_name, tear_down),
	    cmocka_unit_test_teardown(a_whole_answer_has_items_and_usage, tear_down),
	    cmocka_unit_test_teardown(a_stream_builds_the_answer_up_item_by_item, tear_down),
	    cmocka_unit_test_teardown(a_stream_ends_with_all_of_the_answer, tear_down),
	    cmocka_unit_test_teardown(an_answer_without_a_word_is_a_message_too, tear_down),
	    cmocka_unit_test_teardown(a_stream_that_breaks_off_says_so, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
