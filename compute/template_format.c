/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values to text: str() and repr() as in Python, and JSON as json.dumps writes it.
 */
#include "compute/template_render.h"

#include "compute/template_builtins.h"
#include "compute/template_text.h"

#include <inttypes.h>
#include <math.h>

enum { NUMBER_BYTES = 48 };

static void format_repr(struct render *r, struct buffer *b, struct value v);

static void append_escape(struct render *r, struct buffer *b, uint32_t code)
{
	char text[NUMBER_BYTES];

	if (code < 0x100)
		(void)snprintf(text, sizeof text, "\\x%02x", (unsigned)code);
	else if (code < 0x10000)
		(void)snprintf(text, sizeof text, "\\u%04x", (unsigned)code);
	else
		(void)snprintf(text, sizeof text, "\\U%08x", (unsigned)code);
	buffer_append_string(r, b, text);
}

static void repr_string(struct render *r, struct buffer *b, struct text s)
{
	bool has_single = s.len > 0 && memchr(s.data, '\'', s.len) != NULL;
	bool has_double = s.len > 0 && memchr(s.data, '"', s.len) != NULL;
	const char *quote = has_single && !has_double ? "\"" : "'";
	size_t done = 0;

	buffer_append_string(r, b, quote);
	for (size_t at = 0; at < s.len && r->code == AYNI_OK;) {
		uint32_t code = utf8_decode(s, at);
		size_t size = utf8_size(s.data[at]);

		if (code == '\\' || code == (unsigned char)*quote || !text_is_printable(code)) {
			buffer_append(r, b, text_sub(s, done, at));
			done = at + size;
			if (code == '\n')
				buffer_append_string(r, b, "\\n");
			else if (code == '\r')
				buffer_append_string(r, b, "\\r");
			else if (code == '\t')
				buffer_append_string(r, b, "\\t");
			else if (code == '\\')
				buffer_append_string(r, b, "\\\\");
			else if (code == (unsigned char)*quote)
				buffer_append_string(r, b, "\\'");
			else
				append_escape(r, b, code);
		}
		at += size;
	}
	buffer_append(r, b, text_sub(s, done, s.len));
	buffer_append_string(r, b, quote);
}

static void append_number(struct render *r, struct buffer *b, struct value v)
{
	char text[NUMBER_BYTES];

	if (v.type == VALUE_FLOAT)
		text_from_float(v.as.real, text);
	else
		(void)snprintf(text, sizeof text, "%" PRId64, v.as.integer);
	buffer_append_string(r, b, text);
}

static void repr_items(
    struct render *r, struct buffer *b, const struct value_list *l, const char *brackets)
{
	buffer_append(r, b, (struct text){brackets, 1});
	for (size_t i = 0; i < l->n && render_charge(r, 1); i++) {
		if (i > 0)
			buffer_append_string(r, b, ", ");
		format_repr(r, b, l->items[i]);
	}
	if (l->n == 1 && *brackets == '(')
		buffer_append_string(r, b, ",");
	buffer_append(r, b, (struct text){brackets + 1, 1});
}

static void repr_dict(struct render *r, struct buffer *b, const struct value_dict *d)
{
	buffer_append_string(r, b, "{");
	for (size_t i = 0; i < d->n && render_charge(r, 1); i++) {
		if (i > 0)
			buffer_append_string(r, b, ", ");
		format_repr(r, b, d->entries[i].key);
		buffer_append_string(r, b, ": ");
		format_repr(r, b, d->entries[i].value);
	}
	buffer_append_string(r, b, "}");
}

static void format_repr(struct render *r, struct buffer *b, struct value v)
{
	if (!render_enter(r))
		return;
	switch (v.type) {
	case VALUE_UNDEFINED:
		buffer_append_string(r, b, "Undefined");
		break;
	case VALUE_NONE:
		buffer_append_string(r, b, "None");
		break;
	case VALUE_BOOL:
		buffer_append_string(r, b, v.as.boolean ? "True" : "False");
		break;
	case VALUE_INT:
	case VALUE_FLOAT:
		append_number(r, b, v);
		break;
	case VALUE_STRING:
		repr_string(r, b, v.as.text);
		break;
	case VALUE_LIST:
		repr_items(r, b, v.as.list, "[]");
		break;
	case VALUE_TUPLE:
		repr_items(r, b, v.as.list, "()");
		break;
	case VALUE_DICT:
		repr_dict(r, b, v.as.dict);
		break;
	case VALUE_NAMESPACE:
		buffer_append_string(r, b, "<Namespace ");
		repr_dict(r, b, v.as.dict);
		buffer_append_string(r, b, ">");
		break;
	case VALUE_LOOP:
	case VALUE_FUNCTION:
		buffer_append_string(r, b, "<");
		buffer_append_string(r, b, value_type_name(v));
		buffer_append_string(r, b, ">");
		break;
	}
	render_leave(r);
}

void format_to(struct render *r, struct buffer *b, struct value v)
{
	if (v.type == VALUE_STRING)
		buffer_append(r, b, v.as.text);
	else if (v.type != VALUE_UNDEFINED)
		format_repr(r, b, v);
}

struct text format_str(struct render *r, struct value v)
{
	struct buffer b = {NULL, 0, 0};

	if (v.type == VALUE_STRING)
		return v.as.text;
	format_to(r, &b, v);
	return buffer_value(&b).as.text;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

struct json_style {
	int64_t indent; /* -1: on one line */
	bool ascii;
	bool sorted;
};

static void write_json(struct render *r, struct buffer *b, struct value v,
    const struct json_style *style, int64_t level);

static void write_json_escape(struct render *r, struct buffer *b, uint32_t code)
{
	static const char named[] = "\"\"\\\\\nn\rr\tt\bb\ff";
	char text[NUMBER_BYTES];

	for (size_t i = 0; i + 1 < sizeof named; i += 2) {
		if ((unsigned char)named[i] == code) {
			char pair[] = {'\\', named[i + 1], '\0'};

			buffer_append_string(r, b, pair);
			return;
		}
	}
	if (code >= 0x10000) {
		(void)snprintf(text, sizeof text, "\\u%04x\\u%04x",
		    (unsigned)(0xd800 + ((code - 0x10000) >> 10)),
		    (unsigned)(0xdc00 + ((code - 0x10000) & 0x3ff)));
	} else {
		(void)snprintf(text, sizeof text, "\\u%04x", (unsigned)code);
	}
	buffer_append_string(r, b, text);
}

static void write_json_string(struct render *r, struct buffer *b, struct text s, bool ascii)
{
	size_t done = 0;

	buffer_append_string(r, b, "\"");
	for (size_t at = 0; at < s.len && r->code == AYNI_OK;) {
		uint32_t code = utf8_decode(s, at);
		size_t size = utf8_size(s.data[at]);

		if (code < 0x20 || code == '"' || code == '\\' || (ascii && code > 0x7e)) {
			buffer_append(r, b, text_sub(s, done, at));
			done = at + size;
			if (code == 0x7f)
				buffer_append_string(r, b, "\x7f");
			else
				write_json_escape(r, b, code);
		}
		at += size;
	}
	buffer_append(r, b, text_sub(s, done, s.len));
	buffer_append_string(r, b, "\"");
}

/* Between items: a comma unless it is the first, then a space or a new line. */
static void write_json_separator(
    struct render *r, struct buffer *b, const struct json_style *style, int64_t level, bool comma)
{
	if (comma)
		buffer_append_string(r, b, style->indent < 0 ? ", " : ",");
	if (style->indent < 0)
		return;
	buffer_append_string(r, b, "\n");
	for (int64_t i = 0; i < style->indent * level && r->code == AYNI_OK; i++)
		buffer_append_string(r, b, " ");
}

static void write_json_list(struct render *r, struct buffer *b, const struct value_list *l,
    const struct json_style *style, int64_t level)
{
	buffer_append_string(r, b, "[");
	for (size_t i = 0; i < l->n && render_charge(r, 1); i++) {
		write_json_separator(r, b, style, level + 1, i > 0);
		write_json(r, b, l->items[i], style, level + 1);
	}
	if (l->n > 0)
		write_json_separator(r, b, style, level, false);
	buffer_append_string(r, b, "]");
}

static void write_json_key(
    struct render *r, struct buffer *b, struct value key, const struct json_style *style)
{
	if (key.type == VALUE_STRING) {
		write_json(r, b, key, style, 0);
	} else if (key.type == VALUE_NONE || value_is_number(key)) {
		buffer_append_string(r, b, "\"");
		write_json(r, b, key, style, 0);
		buffer_append_string(r, b, "\"");
	} else {
		render_fail(r, AYNI_ERR_FORMAT, "tojson: %s cannot be a key", value_type_name(key));
	}
}

static void write_json_dict(struct render *r, struct buffer *b, struct value v,
    const struct json_style *style, int64_t level)
{
	struct value order = v;

	if (style->sorted) {
		const struct keyword exact = {{"case_sensitive", 14}, value_bool(true)};
		const struct call call = {.keywords = &exact, .n_keywords = 1};

		order = filter_run(r, (struct text){"dictsort", 8}, v, &call);
		if (r->code != AYNI_OK)
			return;
	}
	buffer_append_string(r, b, "{");
	for (size_t i = 0; i < v.as.dict->n && render_charge(r, 1); i++) {
		struct value key = v.as.dict->entries[i].key;
		struct value item = v.as.dict->entries[i].value;

		if (style->sorted) {
			key = order.as.list->items[i].as.list->items[0];
			item = order.as.list->items[i].as.list->items[1];
		}
		write_json_separator(r, b, style, level + 1, i > 0);
		write_json_key(r, b, key, style);
		buffer_append_string(r, b, ": ");
		write_json(r, b, item, style, level + 1);
	}
	if (v.as.dict->n > 0)
		write_json_separator(r, b, style, level, false);
	buffer_append_string(r, b, "}");
}

static void write_json(struct render *r, struct buffer *b, struct value v,
    const struct json_style *style, int64_t level)
{
	if (!render_enter(r))
		return;
	switch (v.type) {
	case VALUE_NONE:
		buffer_append_string(r, b, "null");
		break;
	case VALUE_BOOL:
		buffer_append_string(r, b, v.as.boolean ? "true" : "false");
		break;
	case VALUE_FLOAT:
		if (!isfinite(v.as.real)) {
			buffer_append_string(r, b,
			    isnan(v.as.real) ? "NaN"
			    : v.as.real > 0  ? "Infinity"
			                     : "-Infinity");
			break;
		}
		append_number(r, b, v);
		break;
	case VALUE_INT:
		append_number(r, b, v);
		break;
	case VALUE_STRING:
		write_json_string(r, b, v.as.text, style->ascii);
		break;
	case VALUE_LIST:
	case VALUE_TUPLE:
		write_json_list(r, b, v.as.list, style, level);
		break;
	case VALUE_DICT:
		write_json_dict(r, b, v, style, level);
		break;
	case VALUE_UNDEFINED:
	case VALUE_NAMESPACE:
	case VALUE_LOOP:
	case VALUE_FUNCTION:
		render_fail(
		    r, AYNI_ERR_FORMAT, "tojson: %s has no form in JSON", value_type_name(v));
		break;
	}
	render_leave(r);
}

struct value format_json(struct render *r, struct value v, int64_t indent, bool ascii, bool sorted)
{
	struct json_style style = {indent, ascii, sorted};
	struct buffer b = {NULL, 0, 0};

	write_json(r, &b, v, &style, 0);
	return buffer_value(&b);
}
