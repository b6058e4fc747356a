/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/template.h"

#include "compute/template_parser.h"
#include "compute/template_render.h"
#include "compute/template_text.h"

#include <stdlib.h>

struct template
{
	struct arena arena;
	struct node *body;
};

int template_parse(const char *text, size_t len, struct template **out, struct error *err)
{
	struct arena scratch;
	struct token *tokens;
	struct template *t;
	int rc;

	*out = NULL;
	if (len > TEMPLATE_MAX_BYTES)
		return error_set(err, AYNI_ERR_LIMIT, "template: %zu bytes are more than %d", len,
		    TEMPLATE_MAX_BYTES);
	if (!template_text_is_utf8(text, len))
		return error_set(err, AYNI_ERR_FORMAT, "template: not UTF-8");
	t = calloc(1, sizeof *t);
	if (t == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "template: out of memory");
	arena_init(&t->arena, TEMPLATE_MAX_MEMORY_BYTES);
	arena_init(&scratch, TEMPLATE_MAX_MEMORY_BYTES);
	rc = template_lex(text, len, &t->arena, &scratch, &tokens, err);
	if (rc == AYNI_OK)
		rc = template_parse_tokens(tokens, &t->arena, &t->body, err);
	arena_free(&scratch);
	if (rc != AYNI_OK) {
		template_free(t);
		return rc;
	}
	*out = t;
	return AYNI_OK;
}

void template_free(struct template *t)
{
	if (t == NULL)
		return;
	arena_free(&t->arena);
	free(t);
}

/* A json_t as a value; its strings are borrowed. */
static struct value import_json(struct render *r, const json_t *json, unsigned depth)
{
	struct value out = value_none();
	const char *key;
	size_t i;
	json_t *item;

	if (!render_charge(r, 1))
		return out;
	if (depth > TEMPLATE_MAX_DATA_DEPTH)
		return render_fail(
		    r, AYNI_ERR_LIMIT, "variables nest more than %d deep", TEMPLATE_MAX_DATA_DEPTH);
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		out = value_dict(r);
		json_object_foreach((json_t *)(uintptr_t)json, key, item)
		{
			size_t len = json_object_iter_key_len(json_object_key_to_iter(key));

			dict_append(r, out, value_string((struct text){key, len}),
			    import_json(r, item, depth + 1));
		}
		return out;
	case JSON_ARRAY:
		out = value_list(r);
		json_array_foreach(json, i, item)
		    list_append(r, out, import_json(r, item, depth + 1));
		return out;
	case JSON_STRING:
		return value_string(
		    (struct text){json_string_value(json), json_string_length(json)});
	case JSON_INTEGER:
		return value_int(json_integer_value(json));
	case JSON_REAL:
		return value_float(json_real_value(json));
	case JSON_TRUE:
		return value_bool(true);
	case JSON_FALSE:
		return value_bool(false);
	case JSON_NULL:
		return out;
	}
	return out;
}

int template_render(
    const struct template *t, const json_t *context, char **out, size_t *out_len, struct error *err)
{
	struct render r = {.steps_left = TEMPLATE_MAX_STEPS, .line = 1, .err = err};
	struct buffer text = {NULL, 0, 0};
	struct scope scope = {NULL, NULL};
	struct value variables;

	*out = NULL;
	*out_len = 0;
	if (!json_is_object(context))
		return error_set(err, AYNI_ERR_ARGUMENT, "template: variables are no JSON object");
	arena_init(&r.arena, TEMPLATE_MAX_MEMORY_BYTES);
	r.out = &text;
	r.scope = &scope;
	variables = import_json(&r, context, 0);
	if (r.code == AYNI_OK) {
		r.context = variables.as.dict;
		exec_body(&r, t->body);
	}
	if (r.code == AYNI_OK) {
		*out = malloc(text.len + 1);
		if (*out == NULL)
			r.code = error_set(err, AYNI_ERR_MEMORY, "template: out of memory");
	}
	if (*out != NULL) {
		if (text.len > 0)
			memcpy(*out, text.data, text.len);
		(*out)[text.len] = '\0';
		*out_len = text.len;
	}
	arena_free(&r.arena);
	return r.code;
}

/* NULL if a string is not UTF-8. */
static json_t *message_json(const struct chat_message *m)
{
	bool says = m->tool_calls == NULL || m->content[0] != '\0';
	json_t *o = json_pack("{s:s, s:s?}", "role", m->role, "content", says ? m->content : NULL);
	json_t *more = json_pack("{s:O*, s:s*, s:s*}", "tool_calls", m->tool_calls, "tool_call_id",
	    m->tool_call_id, "name", m->name);

	if (o == NULL || more == NULL || json_object_update(o, more) != 0) {
		json_decref(o);
		o = NULL;
	}
	json_decref(more);
	return o;
}

int template_render_chat(const struct template *t, const struct chat *chat,
    bool add_generation_prompt, const char *bos_token, const char *eos_token, char **out,
    size_t *out_len, struct error *err)
{
	json_t *context;
	json_t *list = json_array();
	int rc = AYNI_OK;

	*out = NULL;
	*out_len = 0;
	for (size_t i = 0; i < chat->n && rc == AYNI_OK; i++) {
		json_t *message = message_json(&chat->messages[i]);

		if (message == NULL)
			rc = error_set(
			    err, AYNI_ERR_FORMAT, "template: message %zu is not UTF-8", i);
		else if (json_array_append_new(list, message) != 0)
			rc = error_set(err, AYNI_ERR_MEMORY, "template: out of memory");
	}
	if (rc != AYNI_OK) {
		json_decref(list);
		return rc;
	}
	/* o takes the reference to the list, also on failure. */
	context =
	    json_pack("{s:o, s:b, s:s, s:s, s:O?, s:n}", "messages", list, "add_generation_prompt",
	        (int)add_generation_prompt, "bos_token", bos_token == NULL ? "" : bos_token,
	        "eos_token", eos_token == NULL ? "" : eos_token, "tools", chat->tools, "documents");
	if (context == NULL)
		return error_set(
		    err, AYNI_ERR_FORMAT, "template: bos_token or eos_token is not UTF-8");
	rc = template_render(t, context, out, out_len, err);
	json_decref(context);
	return rc;
}
