/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/tool_call_formats.h"

#include <stdlib.h>

#include "compute/tool_format.h"
#include "node/gateway/tool_calls.h"

/* ---- cutting ------------------------------------------------------------------------------ */

static struct span behind(struct span s, size_t n)
{
	return (struct span){s.len > n ? s.data + n : s.data, s.len > n ? s.len - n : 0};
}

static struct span trimmed(struct span s)
{
	static const char spaces[] = " \t\r\n";

	while (s.len > 0 && memchr(spaces, s.data[0], 4) != NULL)
		s = behind(s, 1);
	while (s.len > 0 && memchr(spaces, s.data[s.len - 1], 4) != NULL)
		s.len--;
	return s;
}

static bool begins(struct span s, const char *with)
{
	return s.len >= strlen(with) && memcmp(s.data, with, strlen(with)) == 0;
}

/* What stands before the sign into *before, what behind it into *s. */
static bool cut(struct span *s, const char *sign, struct span *before)
{
	const uint8_t *at = s->len > 0 ? memmem(s->data, s->len, sign, strlen(sign)) : NULL;

	if (at == NULL)
		return false;
	*before = (struct span){s->data, (size_t)(at - s->data)};
	*s = behind(*s, before->len + strlen(sign));
	return true;
}

/* ---- calls -------------------------------------------------------------------------------- */

bool tool_name_is_good(const char *name, size_t len)
{
	static const char good[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

	for (size_t i = 0; i < len; i++)
		if (memchr(good, name[i], sizeof good - 1) == NULL)
			return false;
	return len >= 1 && len <= TOOL_NAME_BYTES_MAX;
}

/* Numbers as short as they stay the same. */
static char *dump(const json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));
	json_t *again = text != NULL ? json_loads(text, 0, NULL) : NULL;

	if (!json_equal(o, again)) {
		free(text);
		text = json_dumps(o, JSON_COMPACT);
	}
	json_decref(again);
	return text;
}

/* Some models write the object as a string. */
static json_t *arguments_text(const json_t *v)
{
	json_t *parsed = NULL, *out = NULL;
	char *text;

	if (json_is_string(v))
		v = parsed = json_loads(json_string_value(v), 0, NULL);
	text = json_is_object(v) ? dump(v) : NULL;
	if (text != NULL)
		out = json_string(text);
	free(text);
	json_decref(parsed);
	return out;
}

static bool add(json_t *list, struct span name, const json_t *arguments)
{
	json_t *text = arguments_text(arguments);

	name = trimmed(name);
	if (text == NULL || !tool_name_is_good((const char *)name.data, name.len)) {
		json_decref(text);
		return false;
	}
	return json_array_append_new(list, json_pack("{s:s%,s:o}", "name", (const char *)name.data,
	                                       name.len, "arguments", text)) == 0;
}

static bool add_object(json_t *list, const json_t *call)
{
	const json_t *name = json_object_get(call, "name");
	const json_t *arguments = json_object_get(call, "arguments");

	if (arguments == NULL)
		arguments = json_object_get(call, "parameters");
	return json_is_string(name) && add(list,
	                                   (struct span){(const uint8_t *)json_string_value(name),
	                                       json_string_length(name)},
	                                   arguments);
}

/* A value at the text's beginning; *s is what follows it. */
static json_t *take_json(struct span *s)
{
	json_error_t at;
	json_t *v = json_loadb((const char *)s->data, s->len, JSON_DISABLE_EOF_CHECK, &at);

	if (v != NULL)
		*s = trimmed(behind(*s, (size_t)at.position));
	return v;
}

/* The list if all was well and there is a call in it, else NULL. */
static json_t *list_or_none(json_t *list, bool good)
{
	if (good && json_array_size(list) > 0)
		return list;
	json_decref(list);
	return NULL;
}

/* ---- formats ------------------------------------------------------------------------------ */

json_t *tool_read_json(struct span text, const json_t *names)
{
	json_t *v = text.len > 0 ? json_loadb((const char *)text.data, text.len, 0, NULL) : NULL;
	json_t *list = json_array();
	const json_t *each;
	bool good = v != NULL;
	size_t i;

	(void)names;
	if (json_is_array(v)) {
		json_array_foreach(v, i, each) good = good && add_object(list, each);
	} else {
		good = good && add_object(list, v);
	}
	json_decref(v);
	return list_or_none(list, good);
}

json_t *tool_read_mistral(struct span text, const json_t *names)
{
	json_t *list;
	bool good = true;

	text = trimmed(text);
	if (begins(text, "[") || begins(text, "{"))
		return tool_read_json(text, names);
	list = json_array();
	while (good && text.len > 0) {
		struct span name;
		json_t *arguments = NULL;

		if (begins(text, TOOL_MISTRAL_OPEN))
			text = behind(text, strlen(TOOL_MISTRAL_OPEN));
		good = cut(&text, TOOL_MISTRAL_ARGUMENTS, &name) && text.len > 0;
		if (good)
			arguments = take_json(&text);
		good = good && add(list, name, arguments);
		json_decref(arguments);
	}
	return list_or_none(list, good);
}

/* One of DeepSeek's: what stands before and behind its separator. */
static bool add_deepseek(json_t *list, struct span kind, struct span call)
{
	struct span name = kind, rest = call, arguments = call, end;
	json_t *v;
	bool good;

	if (cut(&rest, "```json", &name)) {
		arguments = rest;
		if (!cut(&rest, "\n```", &end) || trimmed(rest).len > 0)
			return false;
		arguments = end;
	}
	v = arguments.len > 0 ? json_loadb((const char *)arguments.data, arguments.len, 0, NULL)
	                      : NULL;
	good = v != NULL && add(list, name, v);
	json_decref(v);
	return good;
}

json_t *tool_read_deepseek(struct span text, const json_t *names)
{
	json_t *list = json_array();
	bool good = true;

	(void)names;
	text = trimmed(text);
	while (good && text.len > 0) {
		struct span before, call, kind;

		good = begins(text, TOOL_DEEPSEEK_BEGIN) &&
		       cut(&text, TOOL_DEEPSEEK_BEGIN, &before) &&
		       cut(&text, TOOL_DEEPSEEK_END, &call) &&
		       cut(&call, TOOL_DEEPSEEK_SEPARATOR, &kind) && add_deepseek(list, kind, call);
		text = trimmed(text);
	}
	return list_or_none(list, good);
}

json_t *tool_read_llama(struct span text, const json_t *names)
{
	json_t *list = json_array();
	bool good = true;

	text = trimmed(text);
	while (good && text.len > 0) {
		json_t *v = take_json(&text);
		const char *name = json_string_value(json_object_get(v, "name"));

		good = name != NULL && json_object_get(names, name) != NULL && add_object(list, v);
		json_decref(v);
		if (begins(text, ";"))
			text = trimmed(behind(text, 1));
	}
	return list_or_none(list, good);
}
