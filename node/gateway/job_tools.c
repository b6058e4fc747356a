/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/job_tools.h"

#include <stdlib.h>

#include "node/gateway/tool_calls.h"
#include "protocol/text.h"

enum { NESTING_MAX = 48 }; /* of lists and objects: templates take a little more */

static bool nests_too_deeply(const json_t *v, unsigned left)
{
	const json_t *each;
	const char *key;
	size_t i;

	if (json_is_array(v) || json_is_object(v)) {
		if (left == 0)
			return true;
	}
	json_array_foreach(v, i, each) if (nests_too_deeply(each, left - 1)) return true;
	json_object_foreach(
	    (json_t *)(uintptr_t)v, key, each) if (nests_too_deeply(each, left - 1)) return true;
	return false;
}

/* The list as text that lives as long as the job; it is taken. */
static bool keep_text(struct job *j, json_t *list, const char *what, char **out, struct fault *f)
{
	bool deep = nests_too_deeply(list, NESTING_MAX);
	char *text = deep ? NULL : json_dumps(list, JSON_COMPACT);
	bool is_long = text != NULL && strlen(text) > LIMIT_TOOLS_BYTES;
	json_t *kept = text != NULL && !is_long ? json_string(text) : NULL;

	free(text);
	json_decref(list);
	if (deep || is_long)
		return fault_param(f, what,
		    "%s must not nest more than %d deep, nor be longer than %d bytes", what,
		    NESTING_MAX, LIMIT_TOOLS_BYTES);
	*out = (char *)(uintptr_t)job_keep(j, kept);
	json_decref(kept);
	return *out != NULL || fault_memory(f);
}

/* ---- tools -------------------------------------------------------------------------------- */

static bool check_tool(struct job *j, const json_t *tool, size_t i, struct fault *f)
{
	const char *type = json_string_value(json_object_get(tool, "type"));
	const json_t *function = json_object_get(tool, "function");
	const json_t *name = json_object_get(function, "name");

	if (type == NULL || strcmp(type, "function") != 0 || !json_is_object(function))
		return fault_param(
		    f, "tools", "tools[%zu] must be of type function: no other is supported", i);
	if (!json_is_string(name) ||
	    !tool_name_is_good(json_string_value(name), json_string_length(name)))
		return fault_param(f, "tools",
		    "tools[%zu].function.name must be 1 to %d of letters, digits, _ . and -", i,
		    TOOL_NAME_BYTES_MAX);
	return json_object_set_new(j->tool_names, json_string_value(name), json_true()) == 0 ||
	       fault_memory(f);
}

bool job_tools(struct job *j, struct fault *f)
{
	json_t *list = json_object_get(j->body, "tools"), *tool;
	size_t i;

	if (list == NULL || json_is_null(list))
		return true;
	if (!json_is_array(list))
		return fault_param(f, "tools", "tools must be a list");
	if (json_array_size(list) == 0)
		return true;
	json_decref(j->tool_names);
	j->tool_names = json_object();
	json_array_foreach(list, i, tool)
	{
		if (!check_tool(j, tool, i, f))
			return false;
	}
	return keep_text(j, json_incref(list), "tools", &j->generate.tools, f);
}

/* ---- calls -------------------------------------------------------------------------------- */

/* An object, or one as a string: NULL if it is neither. */
static json_t *arguments_object(const json_t *v)
{
	json_t *o;

	if (json_is_object(v))
		return json_incref((json_t *)(uintptr_t)v);
	if (!json_is_string(v))
		return NULL;
	if (json_string_length(v) == 0)
		return json_object();
	o = json_loads(json_string_value(v), 0, NULL);
	if (json_is_object(o))
		return o;
	json_decref(o);
	return NULL;
}

/* As templates take it. */
static bool add_call(json_t *list, const json_t *call, size_t i, struct fault *f)
{
	const json_t *id = json_object_get(call, "id");
	const json_t *function = json_object_get(call, "function");
	const json_t *name = json_object_get(function, "name");
	json_t *arguments = arguments_object(json_object_get(function, "arguments"));

	if (!json_is_string(name) || arguments == NULL || (id != NULL && !json_is_string(id))) {
		json_decref(arguments);
		return fault_param(f, "messages",
		    "messages: tool_calls[%zu] must have a function with a name, arguments that "
		    "are a JSON object, and an id that is a string",
		    i);
	}
	return json_array_append_new(
	           list, json_pack("{s:O*,s:s,s:{s:O,s:o}}", "id", id, "type", "function",
	                     "function", "name", name, "arguments", arguments)) == 0 ||
	       fault_memory(f);
}

static bool read_calls(struct job *j, const json_t *calls, struct turn *turn, struct fault *f)
{
	json_t *list;
	const json_t *call;
	size_t i;

	if (calls == NULL || json_is_null(calls))
		return true;
	if (!json_is_array(calls))
		return fault_param(f, "messages", "messages: tool_calls must be a list");
	if (json_array_size(calls) == 0)
		return true;
	list = json_array();
	json_array_foreach(calls, i, call)
	{
		if (!add_call(list, call, i, f)) {
			json_decref(list);
			return false;
		}
	}
	return keep_text(j, list, "tool_calls", &turn->tool_calls, f);
}

static bool read_line(
    struct job *j, const json_t *message, const char *name, char **out, struct fault *f)
{
	const char *line = NULL;

	if (!job_string(j, message, name, &line, f))
		return false;
	if (line != NULL && (strlen(line) >= TEXT_SHORT || !text_is_line(line, strlen(line))))
		return fault_param(f, "messages", "messages: %s must be one line of up to %d bytes",
		    name, TEXT_SHORT - 1);
	*out = (char *)(uintptr_t)line;
	return true;
}

bool job_turn_tools(struct job *j, const json_t *message, const char *name, struct fault *f)
{
	struct turn *turn = &j->turns[j->generate.n_turns - 1];

	if (strcmp(turn->role, "tool") == 0)
		return read_line(j, message, "tool_call_id", &turn->tool_call_id, f) &&
		       read_line(j, message, name, &turn->name, f);
	return read_calls(j, json_object_get(message, "tool_calls"), turn, f);
}
