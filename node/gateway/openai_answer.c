/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of OpenAI's API: whole, or as server-sent events (HTML Living Standard, 9.2). */
#include "node/gateway/openai.h"

/* ---- parts -------------------------------------------------------------------------------- */

static json_t *finish_reason(const struct choice *c)
{
	if (c == NULL)
		return json_null();
	if (choice_is_complete(c) && tool_calls_n(&c->calls) > 0)
		return json_string("tool_calls");
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

/* What stands around the choices, JSON objects between commas. With the usage, NULL: there is none;
 * the reference is taken. */
static void add_frame(const struct job *j, const char *prefix, const char *object,
    const struct text *choices, json_t *usage, struct text *out)
{
	char id[JOB_ID_BYTES + 16];
	struct text list = {0};
	json_t *o;

	(void)snprintf(id, sizeof id, "%s%s", prefix, j->id);
	o = json_pack("{s:s,s:s,s:I,s:s}", "id", id, "object", object, "created",
	    (json_int_t)(j->created_ms / 1000), "model", j->generate.model);
	if (usage != NULL && json_object_set_new(o, "usage", usage) != 0)
		out->failed = true;
	text_add_json(out, o);
	text_add_string(&list, "[");
	text_add(&list, choices->data, choices->len);
	text_add_string(&list, "]");
	text_add_member(out, "choices", text_span(&list));
	out->failed |= list.failed || choices->failed;
	text_free(&list);
}

/* Of every event but the last the usage is null, if it was asked for. */
static void add_event(const struct job *j, const char *prefix, const char *object,
    const struct text *choices, json_t *usage, struct text *out)
{
	text_add_string(out, "data: ");
	if (usage == NULL && j->wants_usage)
		usage = json_null();
	add_frame(j, prefix, object, choices, usage, out);
	text_add_string(out, "\n\n");
}

static void end_events(const struct job *j, const struct choice *choices, const char *prefix,
    const char *object, struct text *out)
{
	struct text none = {0};

	if (j->wants_usage)
		add_event(j, prefix, object, &none, usage(j, choices), out);
	text_add_string(out, "data: [DONE]\n\n");
}

/* ---- calls of tools ----------------------------------------------------------------------- */

void call_id(const struct job *j, const struct choice *c, uint32_t index, size_t call,
    char out[CALL_ID_BYTES])
{
	if (c->calls.format == TOOL_FORMAT_MISTRAL)
		(void)snprintf(
		    out, CALL_ID_BYTES, "%.5s%x%03x", j->id, index & 0xf, (unsigned)(call & 0xfff));
	else
		(void)snprintf(
		    out, CALL_ID_BYTES, "call_%.20s%x%03x", j->id, index & 0xf, (unsigned)call);
}

/* Those from `first` on; with their index, as streams have it. */
static json_t *calls_json(const struct job *j, const struct choice *c, uint32_t index, size_t first,
    size_t n, bool streams)
{
	json_t *list = json_array();

	for (size_t i = first; i < first + n; i++) {
		char id[CALL_ID_BYTES];
		json_t *call;

		call_id(j, c, index, i, id);
		call = json_pack("{s:s,s:s,s:O}", "id", id, "type", "function", "function",
		    json_array_get(c->calls.list, i));
		if (streams)
			(void)json_object_set_new(call, "index", json_integer((json_int_t)i));
		(void)json_array_append_new(list, call);
	}
	return list;
}

/* ---- logprobs ----------------------------------------------------------------------------- */

enum { TOKEN_ENTRIES = 0, TOKEN_NAMES = 0, TOKEN_VALUES, TOKEN_TOPS, TOKEN_OFFSETS };

static void add_item(struct text *list, json_t *stolen)
{
	if (list->len > 0)
		text_add_string(list, ",");
	text_add_json(list, stolen);
}

static void chat_tokens(const struct part *p, struct text texts[TOKEN_TEXTS])
{
	for (size_t i = 0; i < p->n_tokens; i++)
		add_item(&texts[TOKEN_ENTRIES], json_incref(p->tokens[i].entry));
}

/* The likeliest by name, and the token itself. */
static json_t *top_of(const json_t *entry)
{
	const json_t *list = json_object_get(entry, "top_logprobs"), *each;
	json_t *o = json_object();
	size_t i;

	json_array_foreach(list, i, each)(void) json_object_set(
	    o, json_string_value(json_object_get(each, "token")), json_object_get(each, "logprob"));
	(void)json_object_set(o, json_string_value(json_object_get(entry, "token")),
	    json_object_get(entry, "logprob"));
	return o;
}

static void completion_tokens(const struct part *p, struct text texts[TOKEN_TEXTS])
{
	for (size_t i = 0; i < p->n_tokens; i++) {
		const json_t *entry = p->tokens[i].entry;

		add_item(&texts[TOKEN_NAMES], json_incref(json_object_get(entry, "token")));
		add_item(&texts[TOKEN_VALUES], json_incref(json_object_get(entry, "logprob")));
		add_item(&texts[TOKEN_TOPS], top_of(entry));
		add_item(&texts[TOKEN_OFFSETS], json_integer((json_int_t)p->tokens[i].character));
	}
}

/* A choice's member "logprobs": what is in it anyway, and lists of these names; null if they were
 * not asked for. */
static void add_logprobs(const struct job *j, const char *object, const char *const *names,
    const struct text texts[TOKEN_TEXTS], struct text *choice)
{
	struct text all = {0};

	text_add_string(&all, j->generate.logprobs > 0 ? object : "null");
	for (int k = 0; j->generate.logprobs > 0 && k < TOKEN_TEXTS && names[k] != NULL; k++) {
		struct text list = {0};

		text_add_string(&list, "[");
		text_add(&list, texts[k].data, texts[k].len);
		text_add_string(&list, "]");
		text_add_member(&all, names[k], text_span(&list));
		all.failed |= list.failed || texts[k].failed;
		text_free(&list);
	}
	text_add_member(choice, "logprobs", text_span(&all));
	choice->failed |= all.failed;
	text_free(&all);
}

/* ---- chat --------------------------------------------------------------------------------- */

static void add_chat_logprobs(
    const struct job *j, const struct text texts[TOKEN_TEXTS], struct text *choice)
{
	static const char *const names[TOKEN_TEXTS] = {"content"};

	add_logprobs(j, "{\"refusal\":null}", names, texts, choice);
}

static void chat_event(const struct job *j, uint32_t index, json_t *delta, const struct part *p,
    const struct choice *end, struct text *out)
{
	struct text choice = {0}, tokens[TOKEN_TEXTS] = {{0}};

	text_add_json(&choice, json_pack("{s:i,s:o,s:o}", "index", (int)index, "delta", delta,
	                           "finish_reason", finish_reason(end)));
	if (p != NULL && p->n_tokens > 0) {
		chat_tokens(p, tokens);
		add_chat_logprobs(j, tokens, &choice);
	} else {
		text_add_member(&choice, "logprobs", (struct span){(const uint8_t *)"null", 4});
	}
	add_event(j, "chatcmpl-", "chat.completion.chunk", &choice, NULL, out);
	text_free(&tokens[TOKEN_ENTRIES]);
	text_free(&choice);
}

static void chat_begin(const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	if (!c->begun)
		chat_event(j, index, json_pack("{s:s,s:s}", "role", "assistant", "content", ""),
		    NULL, NULL, out);
}

static void chat_piece(
    const struct job *j, struct choice *c, uint32_t index, const struct part *p, struct text *out)
{
	chat_begin(j, c, index, out);
	if (p->reasoning.len > 0)
		chat_event(j, index,
		    json_pack("{s:o}", "reasoning_content", text_json(p->reasoning)), NULL, NULL,
		    out);
	if (p->answer.len + p->n_tokens > 0)
		chat_event(
		    j, index, json_pack("{s:o}", "content", text_json(p->answer)), p, NULL, out);
	if (p->n_calls > 0)
		chat_event(j, index,
		    json_pack("{s:o}", "tool_calls",
		        calls_json(j, c, index, p->first_call, p->n_calls, true)),
		    NULL, NULL, out);
}

static void chat_choice_end(const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	chat_begin(j, c, index, out);
	chat_event(j, index, json_object(), NULL, c, out);
}

static void chat_end(const struct job *j, struct choice *choices, struct text *out)
{
	end_events(j, choices, "chatcmpl-", "chat.completion.chunk", out);
}

static json_t *message_json(const struct job *j, const struct choice *c, uint32_t index)
{
	size_t n_calls = tool_calls_n(&c->calls);
	bool says = c->answer.len > 0 || n_calls == 0;
	json_t *o = json_pack("{s:s,s:o,s:n}", "role", "assistant", "content",
	    says ? text_json(text_span(&c->answer)) : json_null(), "refusal");

	if (c->reasoning.len > 0)
		(void)json_object_set_new(
		    o, "reasoning_content", text_json(text_span(&c->reasoning)));
	if (n_calls > 0)
		(void)json_object_set_new(
		    o, "tool_calls", calls_json(j, c, index, 0, n_calls, false));
	return o;
}

static void chat_whole(const struct job *j, const struct choice *choices, struct text *out)
{
	struct text list = {0};

	for (uint32_t i = 0; i < j->n; i++) {
		const struct choice *c = &choices[i];

		add_item(&list, json_pack("{s:i,s:o,s:o}", "index", (int)i, "message",
		                    message_json(j, c, i), "finish_reason", finish_reason(c)));
		add_chat_logprobs(j, c->tokens, &list);
	}
	add_frame(j, "chatcmpl-", "chat.completion", &list, usage(j, choices), out);
	text_free(&list);
}

/* ---- completions -------------------------------------------------------------------------- */

static void add_completion(const struct job *j, uint32_t index, struct span text,
    const struct text tokens[TOKEN_TEXTS], const struct choice *end, struct text *list)
{
	static const char *const names[TOKEN_TEXTS] = {
	    "tokens", "token_logprobs", "top_logprobs", "text_offset"};

	add_item(list, json_pack("{s:o,s:i,s:o}", "text", text_json(text), "index", (int)index,
	                   "finish_reason", finish_reason(end)));
	add_logprobs(j, "{}", names, tokens, list);
}

static void completion_event(const struct job *j, uint32_t index, const struct part *p,
    const struct choice *end, struct text *out)
{
	struct text choice = {0}, tokens[TOKEN_TEXTS] = {{0}};

	completion_tokens(p, tokens);
	add_completion(j, index, p->answer, tokens, end, &choice);
	add_event(j, "cmpl-", "text_completion", &choice, NULL, out);
	for (int k = 0; k < TOKEN_TEXTS; k++)
		text_free(&tokens[k]);
	text_free(&choice);
}

/* A prompt without a template has no reasoning. */
static void completion_piece(
    const struct job *j, struct choice *c, uint32_t index, const struct part *p, struct text *out)
{
	(void)c;
	if (p->answer.len + p->n_tokens > 0)
		completion_event(j, index, p, NULL, out);
}

static void completion_choice_end(
    const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	completion_event(j, index, &(struct part){0}, c, out);
}

static void completion_end(const struct job *j, struct choice *choices, struct text *out)
{
	end_events(j, choices, "cmpl-", "text_completion", out);
}

static void completion_whole(const struct job *j, const struct choice *choices, struct text *out)
{
	struct text list = {0};

	for (uint32_t i = 0; i < j->n; i++)
		add_completion(
		    j, i, text_span(&choices[i].answer), choices[i].tokens, &choices[i], &list);
	add_frame(j, "cmpl-", "text_completion", &list, usage(j, choices), out);
	text_free(&list);
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
    .tokens = chat_tokens,
    .choice_end = chat_choice_end,
    .end = chat_end,
    .broken = broken_event,
    .whole = chat_whole,
    .fault = openai_fault};

const struct api openai_completions = {.stream_type = "text/event-stream",
    .read = openai_read_completion,
    .piece = completion_piece,
    .tokens = completion_tokens,
    .choice_end = completion_choice_end,
    .end = completion_end,
    .broken = broken_event,
    .whole = completion_whole,
    .fault = openai_fault};
