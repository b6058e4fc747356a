/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters of text and numbers. Those that work on sequences are in template_list_filters.c.
 */
#include "compute/template_builtins.h"

#include "compute/template_text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define FILTER(name)                                                                               \
	static struct value filter_##name(                                                         \
	    struct render *r, struct value self, const struct call *call)

FILTER(trim)
{
	struct text s = format_str(r, self);

	if (!render_charge_bytes(r, s.len))
		return value_none();
	if (arg_given(call, 0) && call->args[0].type != VALUE_NONE)
		return text_strip(r, s, arg_text(r, call, 0), true, true);
	return value_string(text_rstrip(text_lstrip(s)));
}

FILTER(upper)
{
	(void)call;
	return text_cased(r, format_str(r, self), toupper);
}

FILTER(lower)
{
	(void)call;
	return text_cased(r, format_str(r, self), tolower);
}

FILTER(capitalize)
{
	(void)call;
	return text_capitalize(r, format_str(r, self));
}

FILTER(title)
{
	(void)call;
	return text_title(r, format_str(r, self), true);
}

FILTER(string)
{
	(void)call;
	return value_string(format_str(r, self));
}

FILTER(safe)
{
	struct value v = filter_string(r, self, call);

	v.is_safe = true;
	return v;
}

FILTER(escape)
{
	(void)call;
	return text_escape(r, self);
}

FILTER(replace)
{
	struct text from = format_str(r, call->args[0]);
	struct text to = format_str(r, call->args[1]);
	int64_t count = call->args[2].type == VALUE_NONE ? -1 : arg_int(r, call, 2, -1);

	return text_replace(r, format_str(r, self), from, to, count);
}

FILTER(indent)
{
	struct text s = format_str(r, self);
	struct buffer b = {NULL, 0, 0};
	struct value width = value_string((struct text){"    ", 4});
	bool first = arg_bool(call, 1, false);
	bool blank = arg_bool(call, 2, false);
	size_t at = 0;

	if (arg_given(call, 0) && call->args[0].type == VALUE_STRING)
		width = call->args[0];
	else if (arg_given(call, 0))
		width = arithmetic(r, OP_MUL, value_string((struct text){" ", 1}), call->args[0]);
	for (bool is_first = true; (is_first || at < s.len) && r->code == AYNI_OK;
	     is_first = false) {
		struct text line = text_next_line(s, &at);

		if (!is_first)
			buffer_append_string(r, &b, "\n");
		if (is_first ? first : (blank || line.len > 0))
			buffer_append(r, &b, width.as.text);
		buffer_append(r, &b, line);
	}
	/* A last empty line counts: Jinja puts one more newline at the end before it splits. */
	if (s.len > 0 && s.data[s.len - 1] == '\n') {
		buffer_append_string(r, &b, "\n");
		if (blank)
			buffer_append(r, &b, width.as.text);
	}
	return buffer_value(&b);
}

FILTER(format)
{
	struct value arguments = value_list(r);

	for (size_t i = 0; i < call->n_args; i++)
		list_append(r, arguments, call->args[i]);
	if (r->code != AYNI_OK)
		return self;
	arguments.type = VALUE_TUPLE;
	return arithmetic_format(r, format_str(r, self), arguments);
}

FILTER(tojson)
{
	enum { MAX_INDENT = 64 };
	struct value separators = call->args[3];
	int64_t indent = -1;
	bool has_indent = arg_given(call, 1) && call->args[1].type != VALUE_NONE;

	if (arg_given(call, 3) && separators.type != VALUE_NONE)
		return render_fail(r, AYNI_ERR_UNSUPPORTED, "tojson with separators");
	if (has_indent)
		indent = arg_int(r, call, 1, -1);
	if (has_indent && indent < 0)
		indent = 0;
	if (indent > MAX_INDENT)
		return render_fail(r, AYNI_ERR_LIMIT, "tojson: indent of more than %d", MAX_INDENT);
	return format_json(r, self, indent, arg_bool(call, 0, false), arg_bool(call, 2, false));
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Copy text without surrounding space and with underscores between digits dropped. */
static bool number_text(struct text s, char *out, size_t out_bytes)
{
	size_t n = 0;

	s = text_rstrip(text_lstrip(s));
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '_' && i > 0 && i + 1 < s.len &&
		    isdigit((unsigned char)s.data[i - 1]) && isdigit((unsigned char)s.data[i + 1]))
			continue;
		if (n + 1 == out_bytes || s.data[i] == '\0' || isspace((unsigned char)s.data[i]))
			return false;
		out[n++] = s.data[i];
	}
	out[n] = '\0';
	return n > 0;
}

/* As Python's float(). */
static bool parse_float(struct text s, double *out)
{
	char digits[512];
	char *end;

	if (!number_text(s, digits, sizeof digits) || strpbrk(digits, "xXpP(") != NULL)
		return false;
	*out = strtod(digits, &end);
	return *end == '\0';
}

/* int(d) for a finite d that fits. */
static bool truncate_float(double d, int64_t *out)
{
	if (!(fabs(d) < 0x1p63))
		return false;
	*out = (int64_t)d;
	return true;
}

static bool parse_int(struct text s, int64_t base, int64_t *out)
{
	char digits[128];
	char *end;
	double d;

	if (base != 0 && (base < 2 || base > 36))
		return false;
	if (number_text(s, digits, sizeof digits)) {
		errno = 0;
		*out = strtoll(digits, &end, (int)base);
		if (*end == '\0' && errno == 0)
			return true;
	}
	return parse_float(s, &d) && truncate_float(d, out);
}

static struct value fail_undefined(struct render *r, struct value self)
{
	return render_fail(r, AYNI_ERR_FORMAT, "'%.*s' is undefined",
	    (int)(self.as.text.len < 64 ? self.as.text.len : 64), self.as.text.data);
}

FILTER(int)
{
	struct value otherwise = arg_given(call, 0) ? call->args[0] : value_int(0);
	int64_t base = arg_int(r, call, 1, 10);
	int64_t out;

	if (self.type == VALUE_UNDEFINED)
		return fail_undefined(r, self);
	if (self.type == VALUE_INT || self.type == VALUE_BOOL)
		return value_int(value_integer(self));
	if (self.type == VALUE_FLOAT && truncate_float(self.as.real, &out))
		return value_int(out);
	if (self.type == VALUE_STRING && parse_int(self.as.text, base, &out))
		return value_int(out);
	return otherwise;
}

FILTER(float)
{
	struct value otherwise = arg_given(call, 0) ? call->args[0] : value_float(0);
	double d;

	if (self.type == VALUE_UNDEFINED)
		return fail_undefined(r, self);
	if (value_is_number(self))
		return value_float(value_real(self));
	if (self.type == VALUE_STRING && parse_float(self.as.text, &d))
		return value_float(d);
	return otherwise;
}

FILTER(abs)
{
	(void)call;
	if (!value_is_number(self))
		return render_fail(r, AYNI_ERR_FORMAT, "abs of %s", value_type_name(self));
	if (self.type == VALUE_FLOAT)
		return value_float(fabs(self.as.real));
	return value_integer(self) < 0 ? arithmetic_negate(r, self)
	                               : value_int(value_integer(self));
}

/* Round to `precision` digits, halves to even, by writing the digits and reading them, as Python.
 */
FILTER(round)
{
	enum { MAX_PRECISION = 22, TEXT_BYTES = 512 };
	int64_t precision = arg_int(r, call, 0, 0);
	struct text method = {"common", 6};
	char text[TEXT_BYTES];
	double d;
	double scale;

	if (arg_given(call, 1))
		method = arg_text(r, call, 1);
	if (!value_is_number(self))
		return render_fail(r, AYNI_ERR_FORMAT, "round of %s", value_type_name(self));
	if (precision < -MAX_PRECISION || precision > MAX_PRECISION)
		return render_fail(
		    r, AYNI_ERR_LIMIT, "round to more than %d digits", MAX_PRECISION);
	d = value_real(self);
	scale = pow(10, (double)precision);
	if (text_is(method, "ceil"))
		return value_float(ceil(d * scale) / scale);
	if (text_is(method, "floor"))
		return value_float(floor(d * scale) / scale);
	if (!text_is(method, "common"))
		return render_fail(
		    r, AYNI_ERR_FORMAT, "round: method must be common, ceil or floor");
	if (self.type != VALUE_FLOAT && precision >= 0)
		return value_int(value_integer(self));
	if (!isfinite(d))
		return self;
	if (precision < 0) {
		scale = pow(10, (double)-precision);
		d = nearbyint(d / scale) * scale;
		return self.type == VALUE_FLOAT ? value_float(d) : value_int((int64_t)d);
	}
	(void)snprintf(text, sizeof text, "%.*f", (int)precision, d);
	return value_float(strtod(text, NULL));
}

FILTER(default)
{
	struct value otherwise =
	    arg_given(call, 0) ? call->args[0] : value_string((struct text){"", 0});

	(void)r;
	if (self.type == VALUE_UNDEFINED || (arg_bool(call, 1, false) && !value_truth(self)))
		return otherwise;
	return self;
}

FILTER(length)
{
	int64_t n = value_length(self);

	(void)call;
	if (n < 0)
		return render_fail(r, AYNI_ERR_FORMAT, "%s has no length", value_type_name(self));
	render_charge_bytes(r, self.type == VALUE_STRING ? self.as.text.len : 0);
	return value_int(n);
}

const struct builtin template_filters[] = {
    {"trim", "chars", 0, filter_trim},
    {"upper", "", 0, filter_upper},
    {"lower", "", 0, filter_lower},
    {"capitalize", "", 0, filter_capitalize},
    {"title", "", 0, filter_title},
    {"string", "", 0, filter_string},
    {"safe", "", 0, filter_safe},
    {"escape", "", 0, filter_escape},
    {"e", "", 0, filter_escape},
    {"replace", "old new count", 2, filter_replace},
    {"indent", "width first blank", 0, filter_indent},
    {"format", NULL, 0, filter_format},
    {"tojson", "ensure_ascii indent sort_keys separators", 0, filter_tojson},
    {"int", "default base", 0, filter_int},
    {"float", "default", 0, filter_float},
    {"abs", "", 0, filter_abs},
    {"round", "precision method", 0, filter_round},
    {"default", "default_value boolean", 0, filter_default},
    {"d", "default_value boolean", 0, filter_default},
    {"length", "", 0, filter_length},
    {"count", "", 0, filter_length},
    {NULL, NULL, 0, NULL},
};

struct value filter_run(
    struct render *r, struct text name, struct value self, const struct call *call)
{
	const struct builtin *b = builtin_find(template_filters, name);

	if (b == NULL)
		b = builtin_find(template_list_filters, name);
	if (b == NULL)
		return render_fail(r, AYNI_ERR_UNSUPPORTED, "there is no filter '%.*s'",
		    (int)(name.len < 64 ? name.len : 64), name.data);
	return builtin_run(r, b, self, call);
}
