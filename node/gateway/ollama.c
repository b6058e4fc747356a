/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ollama's API (github.com/ollama/ollama, docs/api.md): /api/chat, /api/generate, and what its
 * front ends ask first. Streams are a JSON object a line, and are the default.
 */
#include <time.h>

#include "node/gateway/api.h"
#include "node/gateway/job_tools.h"
#include "node/version.h"
#include "protocol/identity.h"

/* ---- requests ----------------------------------------------------------------------------- */

static const char *const refused[] = {
    "format", "images", "suffix", "context", "template", "logprobs", "top_logprobs", NULL};
static const char *const refused_options[] = {
    "frequency_penalty", "presence_penalty", "mirostat", NULL};

/* A model without a tag is "latest" there; here names have none. */
static void drop_tag(char *model)
{
	static const char tag[] = ":latest";
	size_t n = strlen(model);

	if (n >= sizeof tag - 1 && strcmp(model + n - (sizeof tag - 1), tag) == 0)
		model[n - (sizeof tag - 1)] = '\0';
}

/* Negative: as long as it takes. */
static bool read_length(struct job *j, const json_t *options, struct fault *f)
{
	const json_t *v = json_object_get(options, "num_predict");

	if (json_is_integer(v) && json_integer_value(v) < 0)
		return true;
	return job_count(
	    options, "num_predict", 1, LIMIT_CONTEXT_TOKENS, &j->generate.max_tokens, f);
}

static bool read_common(struct job *j, struct fault *f)
{
	const json_t *options = json_object_get(j->body, "options");

	j->stream = true;
	if (!job_model(j, f) || !job_bool(j->body, "stream", &j->stream, f) ||
	    !job_refuses(j->body, refused, f))
		return false;
	drop_tag(j->generate.model);
	if (options == NULL || json_is_null(options))
		return true;
	if (!json_is_object(options))
		return fault_param(f, "options", "options must be an object");
	return job_sampling(j, options, f) && read_length(j, options, f) &&
	       job_stops(j, options, STOPS_MAX, f) && job_refuses(options, refused_options, f);
}

static bool read_message(struct job *j, const json_t *message, size_t i, struct fault *f)
{
	static const char *const none[] = {"images", NULL};
	const char *role = job_keep(j, json_object_get(message, "role")), *content = "";

	if (role == NULL || role[0] == '\0' || strlen(role) > 32)
		return fault_param(
		    f, "messages", "messages[%zu].role must be a string of 1 to 32 bytes", i);
	return job_string(j, message, "content", &content, f) && job_refuses(message, none, f) &&
	       job_turn(j, role, content, f) && job_turn_tools(j, message, "tool_name", f);
}

static bool read_chat(struct job *j, struct fault *f)
{
	return job_messages(j, read_message, f) && read_common(j, f) && job_tools(j, f);
}

static bool read_generate(struct job *j, struct fault *f)
{
	static const char *const none[] = {"tools", NULL};
	const char *prompt = "", *system = "";
	bool raw = false;

	if (!job_string(j, j->body, "prompt", &prompt, f) ||
	    !job_string(j, j->body, "system", &system, f) || !job_bool(j->body, "raw", &raw, f))
		return false;
	if (!job_refuses(j->body, none, f))
		return false;
	if (prompt[0] == '\0')
		return fault_param(f, "prompt", "prompt must be a string that is not empty");
	if (raw)
		j->generate.prompt = (char *)prompt;
	else if (!job_turns_reserve(j, 2, f) ||
	         (system[0] != '\0' && !job_turn(j, "system", system, f)) ||
	         !job_turn(j, "user", prompt, f))
		return false;
	return read_common(j, f);
}

/* ---- answers ------------------------------------------------------------------------------ */

enum shape { SHAPE_CHAT, SHAPE_GENERATE };

static void format_time(uint64_t ms, char out[32])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm utc;

	if (gmtime_r(&seconds, &utc) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		out[0] = '\0';
}

static json_t *object_of(
    const struct job *j, enum shape shape, struct span answer, struct span reasoning, bool done)
{
	char at[32];
	json_t *o, *texts;

	format_time(j->created_ms, at);
	o = json_pack("{s:s,s:s}", "model", j->generate.model, "created_at", at);
	texts = shape == SHAPE_CHAT ? json_pack("{s:s}", "role", "assistant") : o;
	(void)json_object_set_new(
	    texts, shape == SHAPE_CHAT ? "content" : "response", text_json(answer));
	if (reasoning.len > 0)
		(void)json_object_set_new(texts, "thinking", text_json(reasoning));
	if (shape == SHAPE_CHAT)
		(void)json_object_set_new(o, "message", texts);
	(void)json_object_set_new(o, "done", json_boolean(done));
	return o;
}

/* Calls from `first` on, where there are any: arguments are objects there. */
static json_t *with_calls(json_t *o, const struct choice *c, size_t first, size_t n)
{
	json_t *list = json_array();

	for (size_t i = first; i < first + n; i++) {
		const json_t *call = json_array_get(c->calls.list, i);
		const char *arguments = json_string_value(json_object_get(call, "arguments"));

		(void)json_array_append_new(list,
		    json_pack("{s:{s:O,s:o}}", "function", "name", json_object_get(call, "name"),
		        "arguments", json_loads(arguments, 0, NULL)));
	}
	if (n > 0)
		(void)json_object_set(json_object_get(o, "message"), "tool_calls", list);
	json_decref(list);
	return o;
}

/* Nanoseconds, as there. */
static json_t *last_object(const struct job *j, enum shape shape, const struct choice *c,
    struct span answer, struct span reasoning)
{
	const struct msg_finished *f = &c->end;
	json_t *o = object_of(j, shape, answer, reasoning, true);
	json_t *figures = json_pack("{s:s,s:I,s:i,s:I,s:I,s:I,s:I}", "done_reason",
	    choice_is_complete(c) ? "stop" : "length", "total_duration",
	    (json_int_t)(f->prefill_us + f->decode_us) * 1000, "load_duration", 0,
	    "prompt_eval_count", (json_int_t)f->prompt_tokens, "prompt_eval_duration",
	    (json_int_t)f->prefill_us * 1000, "eval_count", (json_int_t)c->n_tokens,
	    "eval_duration", (json_int_t)f->decode_us * 1000);

	(void)json_object_update(o, figures);
	json_decref(figures);
	return o;
}

static void add_line(struct text *out, json_t *stolen)
{
	text_add_json(out, stolen);
	text_add_string(out, "\n");
}

static void chat_piece(
    const struct job *j, struct choice *c, uint32_t index, const struct part *p, struct text *out)
{
	(void)index;
	add_line(out, with_calls(object_of(j, SHAPE_CHAT, p->answer, p->reasoning, false), c,
	                  p->first_call, p->n_calls));
}

static void generate_piece(
    const struct job *j, struct choice *c, uint32_t index, const struct part *p, struct text *out)
{
	(void)c;
	(void)index;
	add_line(out, object_of(j, SHAPE_GENERATE, p->answer, p->reasoning, false));
}

static void chat_choice_end(const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	(void)index;
	add_line(out, last_object(j, SHAPE_CHAT, c, (struct span){0}, (struct span){0}));
}

static void generate_choice_end(
    const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	(void)index;
	add_line(out, last_object(j, SHAPE_GENERATE, c, (struct span){0}, (struct span){0}));
}

static void no_end(const struct job *j, struct choice *choices, struct text *out)
{
	(void)j;
	(void)choices;
	(void)out;
}

static json_t *whole(const struct job *j, enum shape shape, const struct choice *c)
{
	return last_object(j, shape, c, text_span(&c->answer), text_span(&c->reasoning));
}

static void chat_whole(const struct job *j, const struct choice *choices, struct text *out)
{
	text_add_json(out,
	    with_calls(whole(j, SHAPE_CHAT, choices), choices, 0, tool_calls_n(&choices->calls)));
}

static void generate_whole(const struct job *j, const struct choice *choices, struct text *out)
{
	text_add_json(out, whole(j, SHAPE_GENERATE, choices));
}

/* ---- faults, models ----------------------------------------------------------------------- */

void ollama_fault(const struct fault *f, struct text *out)
{
	text_add_json(out, json_pack("{s:s}", "error", f->text));
}

static void broken_line(const struct fault *f, struct choice *choices, struct text *out)
{
	(void)choices;
	ollama_fault(f, out);
	text_add_string(out, "\n");
}

void ollama_tags(const struct msg_status *s, uint64_t now_ms, struct text *out)
{
	json_t *list = json_array();
	char at[32];

	format_time(now_ms - s->uptime_ms, at);
	for (size_t i = 0; i < s->n_models; i++) {
		const struct status_model *m = &s->models[i];
		char digest[HEX32_CHARS];

		hex32(m->model.bytes, digest);
		(void)json_array_append_new(
		    list, json_pack("{s:s,s:s,s:s,s:i,s:s,s:{s:s}}", "name", m->name, "model",
		              m->name, "modified_at", at, "size", 0, "digest", digest, "details",
		              "format", "gguf"));
	}
	text_add_json(out, json_pack("{s:o}", "models", list));
}

void ollama_version(struct text *out)
{
	text_add_json(out, json_pack("{s:s}", "version", AYNI_VERSION));
}

const struct api ollama_chat = {.stream_type = "application/x-ndjson",
    .read = read_chat,
    .piece = chat_piece,
    .choice_end = chat_choice_end,
    .end = no_end,
    .broken = broken_line,
    .whole = chat_whole,
    .fault = ollama_fault};

const struct api ollama_generate = {.stream_type = "application/x-ndjson",
    .read = read_generate,
    .piece = generate_piece,
    .choice_end = generate_choice_end,
    .end = no_end,
    .broken = broken_line,
    .whole = generate_whole,
    .fault = ollama_fault};
