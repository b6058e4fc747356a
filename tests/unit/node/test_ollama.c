/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/api.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

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

static int tear_down(void **state)
{
	(void)state;
	job_free(&job);
	return 0;
}

static void a_chat_streams_unless_it_says_no(void **state)
{
	(void)state;
	assert_true(read_as(&ollama_chat,
	    "{\"model\":\"m:latest\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
	    "\"keep_alive\":\"5m\"}"));
	assert_true(job.stream);
	assert_string_equal(job.generate.model, "m");
	assert_string_equal(job.turns[0].content, "hi");
	assert_true(read_as(&ollama_chat,
	    "{\"model\":\"m:8b\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
	    "\"stream\":false}"));
	assert_false(job.stream);
	assert_string_equal(job.generate.model, "m:8b");
}

static void options_are_those_of_the_sampler(void **state)
{
	(void)state;
	assert_true(read_as(&ollama_generate,
	    "{\"prompt\":\"p\",\"options\":{\"temperature\":0.5,\"top_k\":3,\"num_predict\":9,"
	    "\"repeat_penalty\":1.25,\"seed\":42,\"stop\":[\"x\"],\"num_ctx\":4096}}"));
	assert_true(job.generate.sampling.temperature == 0.5f);
	assert_int_equal(job.generate.sampling.top_k, 3);
	assert_int_equal(job.generate.max_tokens, 9);
	assert_true(job.generate.sampling.repeat_penalty == 1.25f);
	assert_int_equal(job.generate.sampling.seed, 42);
	assert_string_equal(job.stops.list[0], "x");
	assert_true(
	    read_as(&ollama_generate, "{\"prompt\":\"p\",\"options\":{\"num_predict\":-1}}"));
	assert_int_equal(job.generate.max_tokens, 0);
}

static void a_prompt_becomes_a_conversation_unless_it_is_raw(void **state)
{
	(void)state;
	assert_true(read_as(&ollama_generate, "{\"prompt\":\"p\",\"system\":\"s\"}"));
	assert_int_equal(job.generate.n_turns, 2);
	assert_string_equal(job.turns[0].role, "system");
	assert_string_equal(job.turns[1].content, "p");
	assert_null(job.generate.prompt);
	assert_true(read_as(&ollama_generate, "{\"prompt\":\"p\",\"system\":\"s\",\"raw\":true}"));
	assert_int_equal(job.generate.n_turns, 0);
	assert_string_equal(job.generate.prompt, "p");
}

static void what_cannot_be_done_is_refused(void **state)
{
	static const char *const wrong[] = {"{\"prompt\":\"p\",\"format\":\"json\"}",
	    "{\"prompt\":\"p\",\"images\":[\"x\"]}", "{\"prompt\":\"\"}", "{\"prompt\":3}",
	    "{\"prompt\":\"p\",\"options\":3}", "{\"prompt\":\"p\",\"options\":{\"mirostat\":1}}",
	    "{\"prompt\":\"p\",\"options\":{\"temperature\":-1}}"};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_false(read_as(&ollama_generate, wrong[i]));
		assert_int_equal(fault.status, 400);
	}
	assert_false(read_as(&ollama_chat, "{\"messages\":[{\"content\":\"x\"}]}"));
	assert_false(read_as(&ollama_chat, "{\"messages\":[]}"));
}

static struct span span(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static void a_stream_is_an_object_a_line_and_the_last_is_done(void **state)
{
	struct choice c = {.n_tokens = 2,
	    .ended = true,
	    .end = {.reason = FINISH_LENGTH, .prompt_tokens = 7, .prefill_us = 5, .decode_us = 6}};
	struct text out = {0};
	const char *thinking, *content, *reason;
	long long total;
	int prompt, count;
	char *second;
	json_t *o;

	(void)state;
	assert_true(read_as(&ollama_chat,
	    "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"model\":\"m\"}"));
	ollama_chat.piece(
	    &job, &c, 0, &(struct part){.answer = span("a\n"), .reasoning = span("hm")}, &out);
	ollama_chat.choice_end(&job, &c, 0, &out);
	text_add(&out, "", 1);
	second = strchr(out.data, '\n') + 1;
	second[-1] = '\0';
	o = json_loads(out.data, 0, NULL);
	assert_int_equal(json_unpack(o, "{s:{s:s,s:s},s:b}", "message", "content", &content,
	                     "thinking", &thinking, "done", &prompt),
	    0);
	assert_string_equal(content, "a\n");
	assert_string_equal(thinking, "hm");
	assert_false(prompt);
	json_decref(o);
	o = json_loads(second, 0, NULL);
	assert_int_equal(
	    json_unpack(o, "{s:s,s:I,s:i,s:i}", "done_reason", &reason, "total_duration", &total,
	        "prompt_eval_count", &prompt, "eval_count", &count),
	    0);
	assert_string_equal(reason, "length");
	assert_int_equal(total, 11000); /* nanoseconds */
	assert_int_equal(prompt, 7);
	assert_int_equal(count, 2);
	json_decref(o);
	text_free(&out);
}

static void tags_name_every_model(void **state)
{
	struct status_model models[1] = {{.name = "a"}};
	struct msg_status s = {.uptime_ms = 0, .n_models = 1, .models = models};
	struct text out = {0};
	const char *name, *at;
	json_t *o;

	(void)state;
	ollama_tags(&s, 1700000000000, &out);
	o = json_loadb(out.data, out.len, 0, NULL);
	assert_int_equal(
	    json_unpack(o, "{s:[{s:s,s:s}]}", "models", "name", &name, "modified_at", &at), 0);
	assert_string_equal(name, "a");
	assert_string_equal(at, "2023-11-14T22:13:20Z");
	json_decref(o);
	text_free(&out);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_chat_streams_unless_it_says_no),
	    TEST(options_are_those_of_the_sampler),
	    TEST(a_prompt_becomes_a_conversation_unless_it_is_raw),
	    TEST(what_cannot_be_done_is_refused),
	    TEST(a_stream_is_an_object_a_line_and_the_last_is_done),
	    TEST(tags_name_every_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
