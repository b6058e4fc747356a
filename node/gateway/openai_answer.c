/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of OpenAI's API: whole, or as server-sent events (HTML Living Standard, 9.2). */
#include "node/gateway/openai.h"

/* ---- parts -------------------------------------------------------------------------------- */

static json_t *finish_reason(const struct choice *c)
{
	if (c == NULL)
		return json_null();
	return json_string(choice_is_complete(c) ? "stop" : "length");
}

static json_t *usage(const struct job *j, const struct choice *choices)
{
	const struct msg_finished *f = &choices[0].end;
	json_int_t prompt = f->prompt_tokens, answers = 0, all;

	for (uint32_t i = 0; i < j->n; i++)
		answers += choices[i].n_tokens;
	all = prompt + answers;
	return json_pack("{s:I,s:I,s:I,s:{s:I}}", "prompt_tokens", prompt, "completion_tokens",
	    answers, "total_tokens", all, "prompt_tokens_details", "cached_tokens",
	    (json_int_t)f->reused_tokens);
}

/* What stands around the choices. */
static json_t *frame(const struct job *j, const char *prefix, const char *object, json_t *choices)
{
	char id[JOB_ID_BYTES + 16];

	(void)snprintf(id, sizeof id, "%s%s", prefix, j->id);
	return json_pack("{s:s,s:s,s:I,s:s,s:o}", "id", id, "object", object, "created",
	    (json_int_t)(j->created_ms / 1000), "model", j->generate.model, "choices", choices);
}

static void add_event(struct text *out, json_t *stolen)
{
	text_add_string(out, "data: ");
	text_add_json(out, stolen);
	text_add_string(out, "\n\n");
}

/* Of every part but the last it is null, if it was asked for. */
static json_t *with_usage(const struct job *j, json_t *event, json_t *stolen)
{
	if (j->wants_usage && json_object_set_new(event, "usage", stolen) == 0)
		return event;
	if (!j->wants_usage)
		json_decref(stolen);
	return event;
}

/* ---- chat --------------------------------------------------------------------------------- */

static void chat_event(
    const struct job *j, uint32_t index, json_t *delta, const struct choice *end, struct text *out)
{
	json_t *choices = json_pack("[{s:i,s:o,s:n,s:o}]", "index", (int)index, "delta", delta,
	    "logprobs", "finish_reason", finish_reason(end));

	add_event(out,
	    with_usage(j, frame(j, "chatcmpl-", "chat.completion.chunk", choices), json_null()));
}

static void chat_begin(const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	if (!c->begun)
		chat_event(j, index, json_pack("{s:s,s:s}", "role", "assistant", "content", ""),
		    NULL, out);
}

static void chat_piece(const struct job *j, struct choice *c, uint32_t index, struct span answer,
    struct span reasoning, struct text *out)
{
	chat_begin(j, c, index, out);
	if (reasoning.len > 0)
		chat_event(j, index, json_pack("{s:o}", "reasoning_content", text_json(reasoning)),
		    NULL, out);
	if (answer.len > 0)
		chat_event(j, index, json_pack("{s:o}", "content", text_json(answer)), NULL, out);
}

static void chat_choice_end(const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	chat_begin(j, c, index, out);
	chat_event(j, index, json_object(), c, out);
}

static void end_events(const struct job *j, const struct choice *choices, const char *prefix,
    const char *object, struct text *out)
{
	if (j->wants_usage)
		add_event(
		    out, with_usage(j, frame(j, prefix, object, json_array()), usage(j, choices)));
	text_add_string(out, "data: [DONE]\n\n");
}

static void chat_end(const struct job *j, struct choice *choices, struct text *out)
{
	end_events(j, choices, "chatcmpl-", "chat.completion.chunk", out);
}

static void chat_whole(const struct job *j, const struct choice *choices, struct text *out)
{
	json_t *list = json_array(), *all;

	for (uint32_t i = 0; i < j->n; i++) {
		const struct choice *c = &choices[i];
		json_t *message = json_pack("{s:s,s:o,s:n}", "role", "assistant", "content",
		    text_json(text_span(&c->answer)), "refusal");

		if (c->reasoning.len > 0)
			(void)json_object_set_new(
			    message, "reasoning_content", text_json(text_span(&c->reasoning)));
		(void)json_array_append_new(
		    list, json_pack("{s:i,s:o,s:n,s:o}", "index", (int)i, "message", message,
		              "logprobs", "finish_reason", finish_reason(c)));
	}
	all = frame(j, "chatcmpl-", "chat.completion", list);
	(void)json_object_set_new(all, "usage", usage(j, choices));
	text_add_json(out, all);
}

/* ---- completions -------------------------------------------------------------------------- */

static json_t *completion_choice(uint32_t index, struct span text, const struct choice *end)
{
	return json_pack("{s:o,s:i,s:n,s:o}", "text", text_json(text), "index", (int)index,
	    "logprobs", "finish_reason", finish_reason(end));
}

static void completion_event(const struct job *j, uint32_t index, struct span text,
    const struct choice *end, struct text *out)
{
	json_t *choices = json_pack("[o]", completion_choice(index, text, end));

	add_event(out, with_usage(j, frame(j, "cmpl-", "text_completion", choices), json_null()));
}

static void completion_piece(const struct job *j, struct choice *c, uint32_t index,
    struct span answer, struct span reasoning, struct text *out)
{
	(void)c;
	(void)reasoning; /* a prompt without a template has none */
	if (answer.len > 0)
		completion_event(j, index, answer, NULL, out);
}

static void completion_choice_end(
    const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	completion_event(j, index, (struct span){0}, c, out);
}

static void completion_end(const struct job *j, struct choice *choices, struct text *out)
{
	end_events(j, choices, "cmpl-", "text_completion", out);
}

static void completion_whole(const struct job *j, const struct choice *choices, struct text *out)
{
	json_t *list = json_array(), *all;

	for (uint32_t i = 0; i < j->n; i++)
		(void)json_array_append_new(
		    list, completion_choice(i, text_span(&choices[i].answer), &choices[i]));
	all = frame(j, "cmpl-", "text_completion", list);
	(void)json_object_set_new(all, "usage", usage(j, choices));
	text_add_json(out, all);
}

/* ---- faults, models ----------------------------------------------------------------------- */

void openai_fault(const struct fault *f, struct text *out)
{
	text_add_json(
	    out, json_pack("{s:{s:s,s:s,s:s?,s:s?}}", "error", "message", f->text, "type", f->type,
	             "param", f->param[0] != '\0' ? f->param : NULL, "code", f->code));
}

static void broken_event(const struct fault *f, struct choice *choices, struct text *out)
{
	(void)choices;
	text_add_string(out, "data: ");
	openai_fault(f, out);
	text_add_string(out, "\n\n");
}

static json_t *describe_model(
    const struct msg_status *s, const struct status_model *m, uint64_t now_ms)
{
	return json_pack("{s:s,s:s,s:I,s:s}", "id", m->name, "object", "model", "created",
	    (json_int_t)((now_ms - s->uptime_ms) / 1000), "owned_by",
	    s->pool_name[0] != '\0' ? s->pool_name : "ayni");
}

void openai_models(const struct msg_status *s, uint64_t now_ms, struct text *out)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n_models; i++)
		(void)json_array_append_new(list, describe_model(s, &s->models[i], now_ms));
	text_add_json(out, json_pack("{s:s,s:o}", "object", "list", "data", list));
}

bool openai_model(const struct msg_status *s, uint64_t now_ms, const char *name, struct text *out)
{
	for (size_t i = 0; i < s->n_models; i++) {
		if (strcmp(s->models[i].name, name) != 0)
			continue;
		text_add_json(out, describe_model(s, &s->models[i], now_ms));
		return true;
	}
	return false;
}

const struct api openai_chat = {.stream_type = "text/event-stream",
    .read = openai_read_chat,
    .piece = chat_piece,
    .choice_end = chat_choice_end,
    .end = chat_end,
    .broken = broken_event,
    .whole = chat_whole,
    .fault = openai_fault};

const struct api openai_completions = {.stream_type = "text/event-stream",
    .read = openai_read_completion,
    .piece = completion_piece,
    .choice_end = completion_choice_end,
    .end = completion_end,
    .broken = broken_event,
    .whole = completion_whole,
    .fault = openai_fault};
