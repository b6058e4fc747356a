/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of OpenAI's API, as they are read, and answers as they are written. */
#include "node/gateway/openai.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

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

/* ---- requests ----------------------------------------------------------------------------- */

static void what_is_not_said_has_the_programs_own_defaults(void **state)
{
	struct sampler_settings s;

	(void)state;
	sampler_defaults(&s);
	assert_true(chat("{" HI "}"));
	assert_int_equal(job.generate.n_turns, 1);
	assert_string_equal(job.turns[0].role, "user");
	assert_string_equal(job.turns[0].content, "hi");
	assert_string_equal(job.generate.model, "");
	assert_int_equal(job.n, 1);
	assert_false(job.stream || job.wants_usage);
	assert_int_equal(job.generate.max_tokens, 0);
	assert_true(job.generate.sampling.temperature == s.temperature);
	assert_true(job.generate.sampling.top_p == s.top_p);
	assert_int_equal(job.generate.sampling.seed, s.seed);
	assert_int_equal(job.generate.sampling.repeat_last_n, s.repeat_last_n);
}

static void every_parameter_is_read(void **state)
{
	(void)state;
	assert_true(chat(
	    "{" HI ",\"model\":\"m\",\"temperature\":0.5,\"top_p\":0.25,\"min_p\":0.125,"
	    "\"top_k\":40,\"repeat_penalty\":1.5,\"repeat_last_n\":9,\"seed\":-1,"
	    "\"frequency_penalty\":0.75,\"presence_penalty\":-2,"
	    "\"n\":3,\"ignore_eos\":true,\"max_tokens\":7,\"stop\":[\"a\",\"bc\"],\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true},\"user\":\"x\","
	    "\"tools\":[],\"logprobs\":false}"));
	assert_string_equal(job.generate.model, "m");
	assert_true(job.generate.sampling.temperature == 0.5f);
	assert_true(job.generate.sampling.top_p == 0.25f);
	assert_true(job.generate.sampling.min_p == 0.125f);
	assert_int_equal(job.generate.sampling.top_k, 40);
	assert_true(job.generate.sampling.frequency_penalty == 0.75f);
	assert_true(job.generate.sampling.presence_penalty == -2.0f);
	assert_true(job.generate.sampling.repeat_penalty == 1.5f);
	assert_int_equal(job.generate.sampling.repeat_last_n, 9);
	assert_true(job.generate.sampling.seed == UINT64_MAX);
	assert_int_equal(job.n, 3);
	assert_int_equal(job.generate.max_tokens, 7);
	assert_true(job.generate.ignore_end);
	assert_int_equal(job.stops.n, 2);
	assert_string_equal(job.stops.list[1], "bc");
	assert_true(job.stream && job.wants_usage);
}

static void every_choice_has_a_seed_of_its_own(void **state)
{
	(void)state;
	assert_true(chat("{" HI ",\"n\":2,\"seed\":5}"));
	assert_int_equal(job_choice(&job, 0).sampling.seed, 5);
	assert_int_equal(job_choice(&job, 1).sampling.seed, 6);
	assert_ptr_equal(job_choice(&job, 1).turns, job.turns);
}

static void null_is_as_good_as_absent(void **state)
{
	(void)state;
	assert_true(chat("{" HI ",\"temperature\":null,\"n\":null,\"stop\":null,\"stream\":null,"
	                 "\"stream_options\":null,\"response_format\":null,\"seed\":null,"
	                 "\"max_tokens\":null,\"tools\":null,\"model\":null}"));
}

static void the_newer_name_of_the_length_wins(void **state)
{
	(void)state;
	assert_true(chat("{" HI ",\"max_completion_tokens\":3,\"max_tokens\":9}"));
	assert_int_equal(job.generate.max_tokens, 3);
	assert_true(chat("{" HI ",\"max_tokens\":4.0}")); /* some clients write it so */
	assert_int_equal(job.generate.max_tokens, 4);
}

static void content_may_come_in_parts(void **state)
{
	(void)state;
	assert_true(chat("{\"messages\":[{\"role\":\"developer\",\"content\":\"be\"},"
	                 "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
	                 "{\"type\":\"text\",\"text\":\"\\u00e9b\"}]},"
	                 "{\"role\":\"assistant\",\"content\":null}]}"));
	assert_int_equal(job.generate.n_turns, 3);
	assert_string_equal(job.turns[0].role, "system");
	assert_string_equal(job.turns[1].content, "a\xc3\xa9"
	                                          "b");
	assert_string_equal(job.turns[2].content, "");
	assert_refused("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
	               "\"image_url\":{\"url\":\"x\"}}]}]}",
	    "messages[0].content", "only parts of type text");
}

static void what_is_wrong_is_said_by_name(void **state)
{
	static const struct {
		const char *more, *param, *says;
	} wrong[] = {
	    {"\"temperature\":\"hot\"", "temperature", "must be a number from 0 to 100"},
	    {"\"temperature\":-1", "temperature", "from 0"},
	    {"\"top_p\":1.5", "top_p", "from 0 to 1"},
	    {"\"presence_penalty\":2.5", "presence_penalty", "from -2 to 2"},
	    {"\"n\":0", "n", "from 1 to 8"},
	    {"\"n\":9", "n", "from 1 to 8"},
	    {"\"max_tokens\":0", "max_tokens", "whole number"},
	    {"\"max_tokens\":1.5", "max_tokens", "whole number"},
	    {"\"seed\":\"a\"", "seed", "whole number"},
	    {"\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\"]", "stop", "up to 4"},
	    {"\"stop\":\"\"", "stop", "1 to 256 bytes"},
	    {"\"stop\":[3]", "stop", "must be a string"},
	    {"\"stream\":1", "stream", "true or false"},
	    {"\"model\":3", "model", "must be a string"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char body[256];

		(void)snprintf(body, sizeof body, "{" HI ",%s}", wrong[i].more);
		assert_refused(body, wrong[i].param, wrong[i].says);
	}
	assert_false(chat("{" HI ",\"top_p\":0}")); /* the sampler's own bound */
	assert_int_equal(fault.status, 400);
}

static void what_cannot_be_done_is_refused_and_not_ignored(void **state)
{
	static const char *const more[] = {"\"logit_bias\":{\"5\":1}",
	    "\"functions\":[{\"name\":\"f\"}]", "\"tool_choice\":\"required\"",
	    "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"};

	(void)state;
	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		char body[256];

		(void)snprintf(body, sizeof body, "{" HI ",%s}", more[i]);
		assert_false(chat(body));
		assert_int_equal(fault.status, 400);
		assert_string_equal(fault.code, "unsupported_parameter");
		assert_int_equal(strncmp(fault.param, more[i] + 1, strlen(fault.param)), 0);
	}
	assert_refused("{" HI ",\"response_format\":{\"type\":\"json_object\"}}", "response_format",
	    "only type text");
	assert_true(chat("{" HI ",\"response_format\":{\"type\":\"text\"}}"));
}

static void logprobs_are_asked_for_as_each_api_does(void **state)
{
	(void)state;
	assert_true(chat("{" HI ",\"logprobs\":true}"));
	assert_int_equal(job.generate.logprobs, 1);
	assert_true(chat("{" HI ",\"logprobs\":true,\"top_logprobs\":20}"));
	assert_int_equal(job.generate.logprobs, 21);
	assert_true(chat("{" HI ",\"logprobs\":false,\"top_logprobs\":0}"));
	assert_int_equal(job.generate.logprobs, 0);
	assert_refused("{" HI ",\"top_logprobs\":2}", "top_logprobs", "needs logprobs");
	assert_refused(
	    "{" HI ",\"logprobs\":true,\"top_logprobs\":21}", "top_logprobs", "from 0 to 20");
	assert_refused("{" HI ",\"logprobs\":3}", "logprobs", "true or false");
	assert_true(read_as(&openai_completions, "{\"prompt\":\"x\",\"logprobs\":0}"));
	assert_int_equal(job.generate.logprobs, 1);
	assert_true(read_as(&openai_completions, "{\"prompt\":\"x\",\"logprobs\":5}"));
	assert_int_equal(job.generate.logprobs, 6);
	assert_true(read_as(&openai_completions, "{\"prompt\":\"x\",\"logprobs\":null}"));
	assert_int_equal(job.generate.logprobs, 0);
	assert_false(read_as(&openai_completions, "{\"prompt\":\"x\",\"logprobs\":6}"));
	assert_string_equal(fault.param, "logprobs");
}

static void messages_must_be_messages(void **state)
{
	struct text many = {0};

	(void)state;
	assert_refused("{}", "messages", "a list that is not empty");
	assert_refused("{\"messages\":[]}", "messages", "not empty");
	assert_refused("{\"messages\":[3]}", "messages[0].role", "must be system");
	assert_refused("{\"messages\":[{\"role\":\"wizard\",\"content\":\"x\"}]}",
	    "messages[0].role", "must be system");
	assert_refused("{\"messages\":[{\"role\":\"user\",\"content\":3}]}", "messages[0].content",
	    "must be a string");
	text_add_string(&many, "{\"messages\":[");
	for (int i = 0; i < 257; i++)
		text_printf(&many, "%s{\"role\":\"user\",\"content\":\"\"}", i > 0 ? "," : "");
	text_add(&many, "]}", 3);
	assert_refused(many.data, "messages", "at most 256");
	text_free(&many);
}

static void what_is_not_json_is_said_with_its_place(void **state)
{
	(void)state;
	assert_false(chat("{\n \"a\": tru }"));
	assert_int_equal(fault.status, 400);
	assert_non_null(strstr(fault.text, "line 2, column "));
	assert_false(chat(""));
	assert_int_equal(fault.status, 400);
	assert_false(chat("[]"));
	assert_non_null(strstr(fault.text, "object"));
}

static void a_prompt_is_text_or_tokens(void **state)
{
	(void)state;
	assert_true(read_as(&openai_completions, "{\"prompt\":\"one\"}"));
	assert_string_equal(job.generate.prompt, "one");
	assert_true(read_as(&openai_completions, "{\"prompt\":[\"two\"]}"));
	assert_string_equal(job.generate.prompt, "two");
	assert_true(read_as(&openai_completions, "{\"prompt\":[1,2,300]}"));
	assert_int_equal(job.generate.n_tokens, 3);
	assert_int_equal(job_choice(&job, 0).tokens[2], 300);
	assert_false(read_as(&openai_completions, "{\"prompt\":[1,\"a\"]}"));
	assert_false(read_as(&openai_completions, "{\"prompt\":[1,-2]}"));
	assert_false(read_as(&openai_completions, "{\"prompt\":[\"a\",\"b\"]}"));
	assert_false(read_as(&openai_completions, "{\"prompt\":\"\"}"));
	assert_false(read_as(&openai_completions, "{\"prompt\":\"a\",\"best_of\":2}"));
	assert_string_equal(fault.param, "best_of");
	assert_false(read_as(&openai_completions, "{\"prompt\":\"a\",\"echo\":true}"));
}

static void failures_of_the_pool_have_their_status(void **state)
{
	static const struct {
		enum finish_failure failure;
		int status;
		const char *code;
	} known[] = {{FAILURE_BUSY, 503, "unavailable"}, {FAILURE_MODEL, 404, "model_not_found"},
	    {FAILURE_REQUEST, 400, NULL}, {FAILURE_OTHER, 502, NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct msg_finished f = {
		    .reason = FINISH_FAILED, .failure = known[i].failure, .text = "why"};

		fault_failed(&fault, &f);
		assert_int_equal(fault.status, known[i].status);
		assert_int_equal(fault.retry, known[i].status == 503);
		assert_non_null(strstr(fault.text, "why"));
		if (known[i].code != NULL)
			assert_string_equal(fault.code, known[i].code);
	}
}

/* ---- answers ------------------------------------------------------------------------------ */

static struct choice choice_of(const char *answer, const char *reasoning)
{
	struct choice c = {.n_tokens = 4,
	    .ended = true,
	    .end = {.reason = FINISH_END, .prompt_tokens = 10, .reused_tokens = 3}};

	text_add_string(&c.answer, answer);
	text_add_string(&c.reasoning, reasoning);
	return c;
}

static void free_choice(struct choice *c)
{
	text_free(&c->answer);
	text_free(&c->reasoning);
}

static json_t *parsed(struct text *t)
{
	json_error_t at;
	json_t *o = json_loadb(t->data, t->len, 0, &at);

	if (o == NULL)
		fail_msg("%s in %.*s", at.text, (int)t->len, t->data);
	text_free(t);
	return o;
}

static void a_whole_answer_has_text_reasoning_and_usage(void **state)
{
	struct choice c[2] = {choice_of("it \"is\"", "hm"), choice_of("b", "")};
	struct text out = {0};
	const char *answer, *reasoning, *first, *second, *object;
	int prompt, completion, total, cached;
	json_t *o;

	(void)state;
	assert_true(chat("{" HI ",\"n\":2,\"model\":\"m\"}"));
	c[1].end.reason = FINISH_LENGTH;
	openai_chat.whole(&job, c, &out);
	o = parsed(&out);
	assert_int_equal(
	    json_unpack(o, "{s:s,s:[{s:{s:s,s:s},s:s},{s:s}],s:{s:i,s:i,s:i,s:{s:i}}}", "object",
	        &object, "choices", "message", "content", &answer, "reasoning_content", &reasoning,
	        "finish_reason", &first, "finish_reason", &second, "usage", "prompt_tokens",
	        &prompt, "completion_tokens", &completion, "total_tokens", &total,
	        "prompt_tokens_details", "cached_tokens", &cached),
	    0);
	assert_string_equal(object, "chat.completion");
	assert_string_equal(answer, "it \"is\"");
	assert_string_equal(reasoning, "hm");
	assert_string_equal(first, "stop");
	assert_string_equal(second, "length");
	assert_int_equal(prompt, 10);
	assert_int_equal(completion, 8);
	assert_int_equal(total, 18);
	assert_int_equal(cached, 3);
	json_decref(o);
	free_choice(&c[0]);
	free_choice(&c[1]);
}

static struct span span(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static unsigned count(const struct text *t, const char *what)
{
	unsigned n = 0;

	for (const char *at = t->data;
	     (at = memmem(at, t->len - (size_t)(at - t->data), what, strlen(what))) != NULL; at++)
		n++;
	return n;
}

static void a_stream_is_events_that_end_with_done(void **state)
{
	struct choice c = choice_of("", "");
	struct text out = {0};

	(void)state;
	assert_true(chat("{" HI ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"));
	openai_chat.piece(&job, &c, 0, &(struct part){.answer = span("a\n")}, &out);
	c.begun = true;
	openai_chat.piece(
	    &job, &c, 0, &(struct part){.answer = span("b"), .reasoning = span("why")}, &out);
	openai_chat.choice_end(&job, &c, 0, &out);
	openai_chat.end(&job, &c, &out);
	text_add(&out, "", 1);
	assert_int_equal(count(&out, "data: "), 7);
	assert_int_equal(count(&out, "\n\n"), 7); /* a newline of the answer is escaped */
	assert_int_equal(count(&out, "\"role\":\"assistant\""), 1);
	assert_int_equal(count(&out, "\"delta\":{\"content\":\"a\\n\"}"), 1);
	assert_int_equal(count(&out, "\"delta\":{\"reasoning_content\":\"why\"}"), 1);
	assert_int_equal(count(&out, "\"finish_reason\":\"stop\""), 1);
	assert_int_equal(count(&out, "\"usage\":null"), 5);
	assert_int_equal(count(&out, "\"completion_tokens\":4"), 1);
	assert_int_equal(count(&out, "data: [DONE]\n\n"), 1);
	text_free(&out);
	free_choice(&c);
}

static void a_stream_of_a_completion_has_texts(void **state)
{
	struct choice c = choice_of("", "");
	struct text out = {0};

	(void)state;
	assert_true(read_as(&openai_completions, "{\"prompt\":\"x\",\"stream\":true}"));
	openai_completions.piece(&job, &c, 0, &(struct part){.answer = span("a")}, &out);
	openai_completions.choice_end(&job, &c, 0, &out);
	openai_completions.end(&job, &c, &out);
	assert_int_equal(count(&out, "\"object\":\"text_completion\""), 2);
	assert_int_equal(count(&out, "\"text\":\"a\""), 1);
	assert_int_equal(count(&out, "usage"), 0);
	text_free(&out);
	free_choice(&c);
}

/* "é", told in two tokens, and what else they might have been. */
static struct part two_tokens(struct token_list *l)
{
	static uint8_t first[] = "\xc3", second[] = "\xa9", other[] = "b", text[] = "\xc3\xa9";
	static struct token_candidate one[] = {{{first, 1}, -0.5f}, {{other, 1}, -0.25f}},
	                              two[] = {{{second, 1}, 0.0f}, {{second, 1}, 0.0f}};
	static struct token_logprob tokens[] = {
	    {2, one, TOKEN_OF_ANSWER, 0}, {2, two, TOKEN_OF_ANSWER, 2}};
	const struct msg_piece piece = {.text = {text, 2}, .n_logprobs = 2, .logprobs = tokens};

	*l = (struct token_list){0};
	token_list_add(l, &piece);
	return (struct part){.answer = {text, 2}, .tokens = l->list, .n_tokens = l->n};
}

static void logprobs_of_a_chat_have_exact_bytes(void **state)
{
	struct choice c = choice_of("\xc3\xa9", "");
	struct token_list list;
	struct part p = two_tokens(&list);
	struct text out = {0};
	const char *token, *top;
	double logprob, likely;
	int byte;
	json_t *o;

	(void)state;
	assert_true(chat("{" HI ",\"logprobs\":true,\"top_logprobs\":1}"));
	openai_chat.tokens(&p, c.tokens);
	openai_chat.whole(&job, &c, &out);
	o = parsed(&out);
	assert_int_equal(
	    json_unpack(o, "{s:[{s:{s:[{s:s,s:f,s:[i!],s:[{s:s,s:f}]},o!],s:n}}]}", "choices",
	        "logprobs", "content", "token", &token, "logprob", &logprob, "bytes", &byte,
	        "top_logprobs", "token", &top, "logprob", &likely, &(json_t *){NULL}, "refusal"),
	    0);
	assert_string_equal(token, "\xef\xbf\xbd"); /* half a character */
	assert_int_equal(byte, 0xc3);
	assert_true(logprob == -0.5 && likely == -0.25);
	assert_string_equal(top, "b");
	json_decref(o);
	openai_chat.piece(&job, &c, 0, &p, &out);
	text_add(&out, "", 1);
	assert_int_equal(count(&out, "\"content\":[{\"token\":"), 1);
	assert_int_equal(count(&out, "\"bytes\":[169]"), 2);
	text_free(&out);
	text_free(&c.tokens[0]);
	token_list_free(&list);
	free_choice(&c);
}

static void logprobs_of_a_completion_are_lists_side_by_side(void **state)
{
	struct choice c = choice_of("\xc3\xa9\xc3\xa9", "");
	struct token_list list;
	struct part p = two_tokens(&list);
	struct text out = {0};
	double logprob, likely, itself;
	int offsets[2];
	json_t *o;

	(void)state;
	list.list[1].character = 1; /* as if it stood behind a whole one */
	assert_true(read_as(&openai_completions, "{\"prompt\":\"x\",\"logprobs\":1}"));
	openai_completions.tokens(&p, c.tokens);
	openai_completions.whole(&job, &c, &out);
	o = parsed(&out);
	assert_int_equal(
	    json_unpack(o, "{s:[{s:{s:[s,s!],s:[f,F!],s:[{s:f,s:f!},o!],s:[i,i!]}}]}", "choices",
	        "logprobs", "tokens", &(char *){NULL}, &(char *){NULL}, "token_logprobs", &logprob,
	        &(double){0}, "top_logprobs", "b", &likely, "\xef\xbf\xbd", &itself,
	        &(json_t *){NULL}, "text_offset", &offsets[0], &offsets[1]),
	    0);
	assert_true(logprob == -0.5 && itself == -0.5 && likely == -0.25);
	assert_int_equal(offsets[0], 0);
	assert_int_equal(offsets[1], 1);
	json_decref(o);
	for (int k = 0; k < TOKEN_TEXTS; k++)
		text_free(&c.tokens[k]);
	token_list_free(&list);
	free_choice(&c);
}

static void a_fault_has_message_type_param_and_code(void **state)
{
	struct text out = {0};
	const char *message, *type, *param;
	json_t *o, *code;

	(void)state;
	(void)fault_param(&fault, "n", "n is wrong");
	openai_fault(&fault, &out);
	o = parsed(&out);
	assert_int_equal(json_unpack(o, "{s:{s:s,s:s,s:s,s:o}}", "error", "message", &message,
	                     "type", &type, "param", &param, "code", &code),
	    0);
	assert_string_equal(message, "n is wrong");
	assert_string_equal(type, "invalid_request_error");
	assert_string_equal(param, "n");
	assert_true(json_is_null(code));
	json_decref(o);
	openai_chat.broken(&fault, NULL, &out);
	assert_int_equal(count(&out, "data: {\"error\":"), 1);
	text_free(&out);
}

static void models_are_listed_with_their_owner(void **state)
{
	struct status_model models[2] = {{.name = "a"}, {.name = "b/c"}};
	struct msg_status s = {
	    .pool_name = "p", .uptime_ms = 5000, .n_models = 2, .models = models};
	struct text out = {0};
	const char *id, *owner;
	int created;
	json_t *o;

	(void)state;
	openai_models(&s, 25000, &out);
	o = parsed(&out);
	assert_int_equal(json_unpack(o, "{s:[o,{s:s,s:s,s:i}]}", "data", &(json_t *){NULL}, "id",
	                     &id, "owned_by", &owner, "created", &created),
	    0);
	assert_string_equal(id, "b/c");
	assert_string_equal(owner, "p");
	assert_int_equal(created, 20);
	json_decref(o);
	assert_true(openai_model(&s, 0, "b/c", &out));
	assert_false(openai_model(&s, 0, "b", &out));
	text_free(&out);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_not_said_has_the_programs_own_defaults),
	    TEST(every_parameter_is_read),
	    TEST(every_choice_has_a_seed_of_its_own),
	    TEST(null_is_as_good_as_absent),
	    TEST(the_newer_name_of_the_length_wins),
	    TEST(content_may_come_in_parts),
	    TEST(what_is_wrong_is_said_by_name),
	    TEST(what_cannot_be_done_is_refused_and_not_ignored),
	    TEST(logprobs_are_asked_for_as_each_api_does),
	    TEST(messages_must_be_messages),
	    TEST(what_is_not_json_is_said_with_its_place),
	    TEST(a_prompt_is_text_or_tokens),
	    TEST(failures_of_the_pool_have_their_status),
	    TEST(a_whole_answer_has_text_reasoning_and_usage),
	    TEST(a_stream_is_events_that_end_with_done),
	    TEST(a_stream_of_a_completion_has_texts),
	    TEST(logprobs_of_a_chat_have_exact_bytes),
	    TEST(logprobs_of_a_completion_are_lists_side_by_side),
	    TEST(a_fault_has_message_type_param_and_code),
	    TEST(models_are_listed_with_their_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
