/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/turns.h"

#include <stdlib.h>

#include "node/prompt.h"

static_assert((int)TOOL_FORMAT_END == (int)LIMIT_TOOL_FORMATS, "pieces name all formats");

static bool is_there(const char *s)
{
	return s != NULL && s[0] != '\0';
}

/* A member's JSON: how deeply it may nest, the template's own limit says. */
static int load_list(const char *text, const char *what, json_t **out, struct error *err)
{
	json_error_t at;

	*out = NULL;
	if (!is_there(text))
		return AYNI_OK;
	*out = json_loads(text, 0, &at);
	if (json_is_array(*out))
		return AYNI_OK;
	json_decref(*out);
	*out = NULL;
	return error_set(err, AYNI_ERR_FORMAT, "%s: not a list in JSON", what);
}

static int check_tools(
    const struct catalog_model *m, const struct msg_generate *g, struct error *err)
{
	bool wanted = is_there(g->tools);

	for (size_t i = 0; i < g->n_turns; i++)
		wanted |= is_there(g->turns[i].tool_calls);
	if (wanted && !m->has_tools)
		return error_set(
		    err, AYNI_ERR_UNSUPPORTED, "the chat template of %.100s has no tools", m->name);
	if (is_there(g->tools) && m->tool_format == TOOL_FORMAT_NONE)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "the way in which %.100s writes calls of tools is not known here", m->name);
	return AYNI_OK;
}

static void free_messages(struct chat_message *messages, size_t n)
{
	for (size_t i = 0; messages != NULL && i < n; i++)
		json_decref((json_t *)(uintptr_t)messages[i].tool_calls);
	free(messages);
}

static int load_messages(const struct msg_generate *g, struct chat_message **out, struct error *err)
{
	struct chat_message *messages = calloc(g->n_turns, sizeof *messages);
	int rc = AYNI_OK;

	*out = messages;
	if (messages == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "the pool is out of memory");
	for (size_t i = 0; i < g->n_turns && rc == AYNI_OK; i++) {
		const struct turn *t = &g->turns[i];
		json_t *calls = NULL;

		rc = load_list(t->tool_calls, "tool_calls", &calls, err);
		messages[i] = (struct chat_message){.role = t->role,
		    .content = t->content,
		    .tool_calls = calls,
		    .tool_call_id = is_there(t->tool_call_id) ? t->tool_call_id : NULL,
		    .name = is_there(t->name) ? t->name : NULL};
	}
	return rc;
}

int turns_encode(const struct catalog_model *m, const struct msg_generate *g, uint32_t **ids,
    size_t *n, struct error *err)
{
	struct chat_message *messages = NULL;
	json_t *tools = NULL;
	int rc = check_tools(m, g, err);

	if (rc == AYNI_OK)
		rc = load_list(g->tools, "tools", &tools, err);
	if (rc == AYNI_OK)
		rc = load_messages(g, &messages, err);
	if (rc == AYNI_OK) {
		const struct chat chat = {messages, g->n_turns, tools};

		rc = prompt_encode_chat(m->chat_template, m->tokenizer, &chat, ids, n, err);
	}
	free_messages(messages, g->n_turns);
	json_decref(tools);
	return rc;
}
