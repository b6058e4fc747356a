/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Methods of strings, as Python's, and what filters share with them.
 */
#include "compute/template_builtins.h"

#include "compute/template_text.h"

#include <ctype.h>

#define METHOD(name)                                                                               \
	static struct value string_##name(                                                         \
	    struct render *r, struct value self, const struct call *call)

/* For work that may look at each of `many` bytes `times` times. */
static bool charge_product(struct render *r, size_t many, size_t times)
{
	enum { BYTES_A_STEP = 32 };

	return render_charge(r, (uint64_t)(1 + many / BYTES_A_STEP) * (1 + times / BYTES_A_STEP));
}

/* ---- shared with filters --------------------------------------------------------------------- */

struct value text_cased(struct render *r, struct text s, int (*change)(int))
{
	char *out;

	if (!render_charge_bytes(r, s.len))
		return value_string(s);
	out = render_alloc(r, s.len + 1, 1);
	if (out == NULL)
		return value_string(s);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		out[i] = c < 0x80 ? (char)change(c) : s.data[i];
	}
	return value_string((struct text){out, s.len});
}

struct value text_strip(struct render *r, struct text s, struct text chars, bool left, bool right)
{
	if (!charge_product(r, s.len, chars.len))
		return value_string(s);
	return value_string(text_strip_chars(s, chars, left, right));
}

struct value text_capitalize(struct render *r, struct text s)
{
	struct value head = text_cased(r, text_sub(s, 0, s.len > 0), toupper);
	struct value tail = text_cased(r, text_sub(s, s.len > 0, s.len), tolower);

	return r->code == AYNI_OK ? arithmetic(r, OP_ADD, head, tail) : head;
}

/* Capitals after what is no letter; as a filter, after white space and - ( { [ < only. */
struct value text_title(struct render *r, struct text s, bool as_filter)
{
	struct value lower = text_cased(r, s, tolower);
	bool starts = true;
	char *out = render_alloc(r, s.len + 1, 1);

	if (out == NULL)
		return lower;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)lower.as.text.data[i];

		out[i] = starts && c < 0x80 ? (char)toupper(c) : (char)c;
		if (as_filter)
			starts =
			    c < 0x80 && (text_is_space(c) || (c != '\0' && strchr("-({[<", c)));
		else
			starts = c < 0x80 && !isalpha(c);
	}
	return value_string((struct text){out, s.len});
}

struct value text_replace(
    struct render *r, struct text s, struct text from, struct text to, int64_t count)
{
	struct buffer b = {NULL, 0, 0};
	size_t done = 0;

	if (!render_charge_bytes(r, s.len))
		return value_string(s);
	for (size_t at = 0; count != 0 && r->code == AYNI_OK; count--) {
		size_t found = text_find(s, from, at);

		if (found == SIZE_MAX)
			break;
		buffer_append(r, &b, text_sub(s, done, found));
		buffer_append(r, &b, to);
		done = found + from.len;
		at = done;
		if (from.len == 0) { /* between any two code points */
			if (at == s.len)
				break;
			at += utf8_size(s.data[at]);
		}
	}
	buffer_append(r, &b, text_sub(s, done, s.len));
	return buffer_value(&b);
}

struct value text_join(
    struct render *r, struct text separator, const struct value_list *items, bool strings_only)
{
	struct buffer b = {NULL, 0, 0};

	for (size_t i = 0; i < items->n && render_charge(r, 1); i++) {
		if (strings_only && items->items[i].type != VALUE_STRING)
			return render_fail(r, AYNI_ERR_FORMAT, "join(): item %zu is %s, no string",
			    i, value_type_name(items->items[i]));
		if (i > 0)
			buffer_append(r, &b, separator);
		format_to(r, &b, items->items[i]);
	}
	return buffer_value(&b);
}

struct value text_escape(struct render *r, struct value v)
{
	struct text s = format_str(r, v);
	struct buffer b = {NULL, 0, 0};
	size_t done = 0;

	for (size_t i = 0; !v.is_safe && i < s.len && r->code == AYNI_OK; i++) {
		const char *name = s.data[i] == '&'    ? "&amp;"
		                   : s.data[i] == '<'  ? "&lt;"
		                   : s.data[i] == '>'  ? "&gt;"
		                   : s.data[i] == '\'' ? "&#39;"
		                   : s.data[i] == '"'  ? "&#34;"
		                                       : NULL;

		if (name == NULL)
			continue;
		buffer_append(r, &b, text_sub(s, done, i));
		buffer_append_string(r, &b, name);
		done = i + 1;
	}
	buffer_append(r, &b, text_sub(s, done, s.len));
	v = buffer_value(&b);
	v.is_safe = true;
	return v;
}

/* ---- methods --------------------------------------------------------------------------------- */

static struct value strip(
    struct render *r, struct text s, const struct call *call, bool left, bool right)
{
	if (!render_charge_bytes(r, s.len))
		return value_string(s);
	if (arg_given(call, 0) && call->args[0].type != VALUE_NONE)
		return text_strip(r, s, arg_text(r, call, 0), left, right);
	if (left)
		s = text_lstrip(s);
	return value_string(right ? text_rstrip(s) : s);
}

METHOD(strip)
{
	return strip(r, self.as.text, call, true, true);
}

METHOD(lstrip)
{
	return strip(r, self.as.text, call, true, false);
}

METHOD(rstrip)
{
	return strip(r, self.as.text, call, false, true);
}

/* At most `limit` cuts at runs of white space, which are dropped at both ends too. */
static struct value split_space(struct render *r, struct text s, int64_t limit)
{
	struct value out = value_list(r);

	for (s = text_lstrip(s); s.len > 0 && r->code == AYNI_OK; s = text_lstrip(s)) {
		size_t at = 0;

		if (limit-- == 0) {
			list_append(r, out, value_string(text_rstrip(s)));
			break;
		}
		while (at < s.len && !text_is_space(utf8_decode(s, at)))
			at += utf8_size(s.data[at]);
		list_append(r, out, value_string(text_sub(s, 0, at)));
		s = text_sub(s, at, s.len);
	}
	return out;
}

METHOD(split)
{
	struct value out = value_list(r);
	struct text s = self.as.text;
	int64_t limit = arg_int(r, call, 1, -1);
	struct text separator;
	size_t at;

	if (!render_charge_bytes(r, s.len))
		return out;
	if (!arg_given(call, 0) || call->args[0].type == VALUE_NONE)
		return split_space(r, s, limit);
	separator = arg_text(r, call, 0);
	if (separator.len == 0)
		return render_fail(r, AYNI_ERR_FORMAT, "split() at an empty string");
	while (
	    limit-- != 0 && (at = text_find(s, separator, 0)) != SIZE_MAX && render_charge(r, 1)) {
		list_append(r, out, value_string(text_sub(s, 0, at)));
		s = text_sub(s, at + separator.len, s.len);
	}
	list_append(r, out, value_string(s));
	return out;
}

/* From the right. */
METHOD(rsplit)
{
	struct value parts = value_list(r);
	struct text s = self.as.text;
	int64_t limit = arg_int(r, call, 1, -1);
	struct value none = value_none();
	struct text separator;

	if (!arg_given(call, 0) || call->args[0].type == VALUE_NONE) {
		if (limit >= 0)
			return render_fail(
			    r, AYNI_ERR_UNSUPPORTED, "rsplit() at white space with a limit");
		return string_split(r, self, call);
	}
	separator = arg_text(r, call, 0);
	if (r->code == AYNI_OK && separator.len == 0)
		return render_fail(r, AYNI_ERR_FORMAT, "rsplit() at an empty string");
	while (limit-- != 0 && charge_product(r, s.len, separator.len)) {
		size_t at = text_find_last(s, separator);

		if (at == SIZE_MAX)
			break;
		list_append(r, parts, value_string(text_sub(s, at + separator.len, s.len)));
		s = text_sub(s, 0, at);
	}
	list_append(r, parts, value_string(s));
	return r->code == AYNI_OK ? value_slice(r, parts, none, none, value_int(-1)) : parts;
}

METHOD(splitlines)
{
	struct value out = value_list(r);
	bool keep_ends = arg_bool(call, 0, false);
	size_t at = 0;

	while (at < self.as.text.len && render_charge(r, 1)) {
		size_t from = at;
		struct text line = text_next_line(self.as.text, &at);

		if (keep_ends)
			line = text_sub(self.as.text, from, at);
		list_append(r, out, value_string(line));
		render_charge_bytes(r, at - from);
	}
	return out;
}

/* self[start:end] of the arguments (needle, start, end). */
static struct value searched(struct render *r, struct value self, const struct call *call)
{
	struct value none = value_none();

	if (!render_charge_bytes(r, self.as.text.len))
		return self;
	return value_slice(r, self, arg_given(call, 1) ? call->args[1] : none,
	    arg_given(call, 2) ? call->args[2] : none, none);
}

/* Whether the string, or its part [start:end], begins (ends) with args[0], or with one of the
 * strings in a tuple. */
static struct value affix(struct render *r, struct value self, const struct call *call,
    bool (*has)(struct text, struct text))
{
	struct value v = call->args[0];
	struct text s;

	self = searched(r, self, call);
	if (r->code != AYNI_OK)
		return self;
	s = self.as.text;
	if (v.type == VALUE_TUPLE) {
		for (size_t i = 0; i < v.as.list->n && render_charge(r, 1); i++) {
			struct value one = v.as.list->items[i];

			if (one.type == VALUE_STRING && has(s, one.as.text))
				return value_bool(true);
		}
		return value_bool(false);
	}
	return value_bool(has(s, arg_text(r, call, 0)));
}

METHOD(startswith)
{
	return affix(r, self, call, text_starts_with);
}

METHOD(endswith)
{
	return affix(r, self, call, text_ends_with);
}

METHOD(removeprefix)
{
	struct text s = self.as.text;
	struct text prefix = arg_text(r, call, 0);

	return value_string(text_starts_with(s, prefix) ? text_sub(s, prefix.len, s.len) : s);
}

METHOD(removesuffix)
{
	struct text s = self.as.text;
	struct text suffix = arg_text(r, call, 0);

	return value_string(text_ends_with(s, suffix) ? text_sub(s, 0, s.len - suffix.len) : s);
}

METHOD(upper)
{
	(void)call;
	return text_cased(r, self.as.text, toupper);
}

METHOD(lower)
{
	(void)call;
	return text_cased(r, self.as.text, tolower);
}

METHOD(capitalize)
{
	(void)call;
	return text_capitalize(r, self.as.text);
}

METHOD(title)
{
	(void)call;
	return text_title(r, self.as.text, false);
}

METHOD(replace)
{
	struct text from = arg_text(r, call, 0);
	struct text to = arg_text(r, call, 1);
	int64_t count = arg_int(r, call, 2, -1);

	return r->code == AYNI_OK ? text_replace(r, self.as.text, from, to, count) : self;
}

/* Code points before the needle; -1 if it is not there. */
static int64_t position(struct render *r, struct value self, const struct call *call, bool last)
{
	struct text needle = arg_text(r, call, 0);
	struct value part = searched(r, self, call);
	size_t at;

	if (r->code != AYNI_OK || (last && !charge_product(r, part.as.text.len, needle.len)))
		return -1;
	at = last ? text_find_last(part.as.text, needle) : text_find(part.as.text, needle, 0);
	if (at == SIZE_MAX)
		return -1;
	at += (size_t)(part.as.text.data - self.as.text.data);
	return (int64_t)text_length(text_sub(self.as.text, 0, at));
}

METHOD(find)
{
	return value_int(position(r, self, call, false));
}

METHOD(rfind)
{
	return value_int(position(r, self, call, true));
}

METHOD(index)
{
	int64_t at = position(r, self, call, false);

	if (at < 0)
		return render_fail(r, AYNI_ERR_FORMAT, "index(): the string does not have it");
	return value_int(at);
}

METHOD(count)
{
	struct text needle = arg_text(r, call, 0);
	struct text s;
	int64_t n = 0;

	self = searched(r, self, call);
	if (r->code != AYNI_OK)
		return self;
	s = self.as.text;
	if (needle.len == 0)
		return value_int((int64_t)text_length(s) + 1);
	for (size_t at = text_find(s, needle, 0); at != SIZE_MAX;
	     at = text_find(s, needle, at + needle.len))
		n++;
	return value_int(n);
}

METHOD(join)
{
	return text_join(r, self.as.text, value_items(r, call->args[0]), true);
}

static bool all(struct text s, int (*is)(int))
{
	for (size_t i = 0; i < s.len; i++) {
		if (!is((unsigned char)s.data[i]))
			return false;
	}
	return s.len > 0;
}

METHOD(isdigit)
{
	(void)r, (void)call;
	return value_bool(all(self.as.text, isdigit));
}

METHOD(isalpha)
{
	(void)r, (void)call;
	return value_bool(all(self.as.text, isalpha));
}

METHOD(isalnum)
{
	(void)r, (void)call;
	return value_bool(all(self.as.text, isalnum));
}

METHOD(isspace)
{
	(void)call;
	if (!render_charge_bytes(r, self.as.text.len))
		return self;
	return value_bool(self.as.text.len > 0 && text_lstrip(self.as.text).len == 0);
}

METHOD(isupper)
{
	static const struct call no_arguments = {.n_args = 0};
	const struct builtin *test = builtin_find(template_tests, (struct text){"upper", 5});

	(void)call;
	return builtin_run(r, test, self, &no_arguments);
}

METHOD(islower)
{
	static const struct call no_arguments = {.n_args = 0};
	const struct builtin *test = builtin_find(template_tests, (struct text){"lower", 5});

	(void)call;
	return builtin_run(r, test, self, &no_arguments);
}

/* The value for "{}", "{0}" or "{name}" inside format(). */
static struct value format_field(
    struct render *r, struct text field, const struct call *call, size_t *next)
{
	size_t index = 0;

	for (size_t i = 0; i < call->n_keywords; i++) {
		if (text_equal(call->keywords[i].name, field))
			return call->keywords[i].value;
	}
	if (field.len == 0)
		index = (*next)++;
	for (size_t i = 0; i < field.len; i++) {
		if (!isdigit((unsigned char)field.data[i]) || field.len > 4)
			return render_fail(r, AYNI_ERR_UNSUPPORTED,
			    "format() knows {}, {0} and {name} of a given argument only");
		index = index * 10 + (size_t)(field.data[i] - '0');
	}
	if (index >= call->n_args)
		return render_fail(r, AYNI_ERR_FORMAT, "format() lacks an argument");
	return call->args[index];
}

METHOD(format)
{
	struct text s = self.as.text;
	struct buffer b = {NULL, 0, 0};
	size_t next = 0;

	for (size_t at = 0; at < s.len && render_charge(r, 1);) {
		size_t plain = at;
		size_t end;

		while (plain < s.len && s.data[plain] != '{' && s.data[plain] != '}')
			plain++;
		buffer_append(r, &b, text_sub(s, at, plain));
		at = plain;
		if (at == s.len)
			break;
		if (at + 1 < s.len && s.data[at + 1] == s.data[at]) { /* {{ or }} */
			buffer_append(r, &b, text_sub(s, at, at + 1));
			at += 2;
			continue;
		}
		end = text_find(s, (struct text){"}", 1}, at);
		if (s.data[at] == '}' || end == SIZE_MAX)
			return render_fail(
			    r, AYNI_ERR_FORMAT, "format(): a brace without the other");
		format_to(r, &b, format_field(r, text_sub(s, at + 1, end), call, &next));
		at = end + 1;
	}
	return buffer_value(&b);
}

const struct builtin template_string_methods[] = {
    {"strip", "chars", 0, string_strip},
    {"lstrip", "chars", 0, string_lstrip},
    {"rstrip", "chars", 0, string_rstrip},
    {"split", "sep maxsplit", 0, string_split},
    {"rsplit", "sep maxsplit", 0, string_rsplit},
    {"splitlines", "keepends", 0, string_splitlines},
    {"startswith", "prefix start end", 1, string_startswith},
    {"endswith", "suffix start end", 1, string_endswith},
    {"removeprefix", "prefix", 1, string_removeprefix},
    {"removesuffix", "suffix", 1, string_removesuffix},
    {"upper", "", 0, string_upper},
    {"lower", "", 0, string_lower},
    {"capitalize", "", 0, string_capitalize},
    {"title", "", 0, string_title},
    {"replace", "old new count", 2, string_replace},
    {"find", "sub start end", 1, string_find},
    {"rfind", "sub start end", 1, string_rfind},
    {"index", "sub start end", 1, string_index},
    {"count", "sub start end", 1, string_count},
    {"join", "iterable", 1, string_join},
    {"isdigit", "", 0, string_isdigit},
    {"isalpha", "", 0, string_isalpha},
    {"isalnum", "", 0, string_isalnum},
    {"isspace", "", 0, string_isspace},
    {"isupper", "", 0, string_isupper},
    {"islower", "", 0, string_islower},
    {"format", NULL, 0, string_format},
    {NULL, NULL, 0, NULL},
};
