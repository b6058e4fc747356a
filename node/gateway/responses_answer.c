/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of OpenAI's API "Responses": a list of items, whole or as events that build it up. An
 * answer has up to two of them: what the model thought, and what it says. One part in each.
 */
#include "node/gateway/openai.h"

struct item {
	const char *type, *prefix; /* of its id */
	const char *part, *delta, *done;
};

static const struct item thought = {"reasoning", "rs_", "reasoning_text",
    "response.reasoning_text.delta", "response.reasoning_text.done"};
static const struct item message = {
    "message", "msg_", "output_text", "response.output_text.delta", "response.output_text.done"};

/* ---- parts -------------------------------------------------------------------------------- */

static json_t *part_json(const struct item *k, json_t *text)
{
	if (k == &thought)
		return json_pack("{s:s,s:o}", "type", k->part, "text", text);
	return json_pack(
	    "{s:s,s:o,s:[],s:[]}", "type", k->part, "text", text, "annotations", "logprobs");
}

static void item_id(const struct job *j, const struct item *k, char out[JOB_ID_BYTES + 8])
{
	(void)snprintf(out, JOB_ID_BYTES + 8, "%s%s", k->prefix, j->id);
}

/* parts: a list; the reference is taken. */
static json_t *item_json(
    const struct job *j, const struct item *k, const char *status, json_t *parts)
{
	char id[JOB_ID_BYTES + 8];
	json_t *item;

	item_id(j, k, id);
	item = json_pack(
	    "{s:s,s:s,s:s,s:o}", "type", k->type, "id", id, "status", status, "content", parts);
	if (k == &thought)
		(void)json_object_set_new(item, "summary", json_array());
	else
		(void)json_object_set_new(item, "role", json_string("assistant"));
	return item;
}

static const char *status_of(const struct choice *c)
{
	return choice_is_complete(c) ? "completed" : "incomplete";
}

static json_t *whole_item(const struct job *j, const struct choice *c, const struct item *k)
{
	const struct text *t = k == &thought ? &c->reasoning : &c->answer;
	json_t *part = part_json(k, text_json(text_span(t)));

	return item_json(j, k, k == &thought ? "completed" : status_of(c), json_pack("[o]", part));
}

/* An answer without a word is a message, too. */
static json_t *output(const struct job *j, const struct choice *c)
{
	json_t *list = json_array();

	if (c->reasoning.len > 0)
		(void)json_array_append_new(list, whole_item(j, c, &thought));
	if (c->answer.len > 0 || c->reasoning.len == 0)
		(void)json_array_append_new(list, whole_item(j, c, &message));
	return list;
}

static json_t *usage(const struct choice *c)
{
	json_int_t prompt = c->end.prompt_tokens, answer = c->n_tokens;

	return json_pack("{s:I,s:{s:I},s:I,s:{s:i},s:I}", "input_tokens", prompt,
	    "input_tokens_details", "cached_tokens", (json_int_t)c->end.reused_tokens,
	    "output_tokens", answer, "output_tokens_details", "reasoning_tokens", 0, "total_tokens",
	    prompt + answer);
}

/* c: NULL while it is in progress. Nothing is stored, and there are no tools. */
static json_t *response_json(const struct job *j, const struct choice *c)
{
	const struct sampling *s = &j->generate.sampling;
	bool cut = c != NULL && !choice_is_complete(c);
	char id[JOB_ID_BYTES + 8];
	json_t *o;

	(void)snprintf(id, sizeof id, "resp_%s", j->id);
	o = json_pack(
	    "{s:s,s:s,s:I,s:s,s:n,s:s,s:o,s:b,s:n,s:b,s:f,s:f,s:s,s:[],s:s,s:{},s:{s:{s:s}}}", "id",
	    id, "object", "response", "created_at", (json_int_t)(j->created_ms / 1000), "status",
	    c == NULL ? "in_progress" : status_of(c), "error", "model", j->generate.model, "output",
	    c == NULL ? json_array() : output(j, c), "parallel_tool_calls", true,
	    "previous_response_id", "store", false, "temperature", (double)s->temperature, "top_p",
	    (double)s->top_p, "tool_choice", "auto", "tools", "truncation", "disabled", "metadata",
	    "text", "format", "type", "text");
	(void)json_object_set_new(o, "incomplete_details",
	    cut ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null());
	(void)json_object_set_new(o, "usage", c != NULL ? usage(c) : json_null());
	return o;
}

/* ---- events ------------------------------------------------------------------------------- */

/* What is in it, the reference of which is taken, and what all have. */
static void event(struct choice *c, const char *type, json_t *o, struct text *out)
{
	(void)json_object_set_new(o, "type", json_string(type));
	(void)json_object_set_new(o, "sequence_number", json_integer(c->n_events++));
	text_printf(out, "event: %s\ndata: ", type);
	text_add_json(out, o);
	text_add_string(out, "\n\n");
}

static void response_event(
    const struct job *j, struct choice *c, const char *type, bool over, struct text *out)
{
	event(c, type, json_pack("{s:o}", "response", response_json(j, over ? c : NULL)), out);
}

/* Of an item: which, and what of it. The reference is taken. */
static void item_event(
    struct choice *c, const char *type, const char *name, json_t *of, struct text *out)
{
	event(c, type, json_pack("{s:i,s:o}", "output_index", (int)c->n_items - 1, name, of), out);
}

/* Of an item's part. */
static void part_event(const struct job *j, struct choice *c, const struct item *k,
    const char *type, const char *name, json_t *of, struct text *out)
{
	char id[JOB_ID_BYTES + 8];

	item_id(j, k, id);
	event(c, type,
	    json_pack("{s:s,s:i,s:i,s:o}", "item_id", id, "output_index", (int)c->n_items - 1,
	        "content_index", 0, name, of),
	    out);
}

static void begin_item(
    const struct job *j, struct choice *c, const struct item *k, struct text *out)
{
	c->n_items++;
	c->thinks = k == &thought;
	item_event(c, "response.output_item.added", "item",
	    item_json(j, k, "in_progress", json_array()), out);
	part_event(
	    j, c, k, "response.content_part.added", "part", part_json(k, json_string("")), out);
}

static void end_item(const struct job *j, struct choice *c, struct text *out)
{
	const struct item *k = c->thinks ? &thought : &message;
	struct span all = text_span(c->thinks ? &c->reasoning : &c->answer);

	part_event(j, c, k, k->done, "text", text_json(all), out);
	part_event(
	    j, c, k, "response.content_part.done", "part", part_json(k, text_json(all)), out);
	item_event(c, "response.output_item.done", "item", whole_item(j, c, k), out);
}

static void begin(const struct job *j, struct choice *c, struct text *out)
{
	if (c->begun)
		return;
	response_event(j, c, "response.created", false, out);
	response_event(j, c, "response.in_progress", false, out);
}

static void more(
    const struct job *j, struct choice *c, const struct item *k, struct span text, struct text *out)
{
	bool goes_on = c->n_items > 0 && c->thinks == (k == &thought);

	if (!goes_on && c->n_items > 0)
		end_item(j, c, out);
	if (!goes_on)
		begin_item(j, c, k, out);
	part_event(j, c, k, k->delta, "delta", text_json(text), out);
}

static void piece(
    const struct job *j, struct choice *c, uint32_t index, const struct part *p, struct text *out)
{
	(void)index; /* there is but one */
	begin(j, c, out);
	if (p->reasoning.len > 0 && (c->n_items == 0 || c->thinks)) /* else at the end */
		more(j, c, &thought, p->reasoning, out);
	if (p->answer.len > 0)
		more(j, c, &message, p->answer, out);
}

static void choice_end(const struct job *j, struct choice *c, uint32_t index, struct text *out)
{
	(void)index;
	begin(j, c, out);
	if (c->n_items == 0)
		begin_item(j, c, &message, out);
	end_item(j, c, out);
}

static void end(const struct job *j, struct choice *choices, struct text *out)
{
	response_event(j, choices,
	    choice_is_complete(choices) ? "response.completed" : "response.incomplete", true, out);
}

static void broken(const struct fault *f, struct choice *choices, struct text *out)
{
	event(choices, "error",
	    json_pack("{s:s,s:s?,s:s?}", "message", f->text, "code", f->code, "param",
	        f->param[0] != '\0' ? f->param : NULL),
	    out);
}

static void whole(const struct job *j, const struct choice *choices, struct text *out)
{
	text_add_json(out, response_json(j, &choices[0]));
}

const struct api openai_responses = {.stream_type = "text/event-stream",
    .keeps = true,
    .read = responses_read,
    .piece = piece,
    .choice_end = choice_end,
    .end = end,
    .broken = broken,
    .whole = whole,
    .fault = openai_fault};
