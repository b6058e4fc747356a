/* SPDX-License-Identifier: Apache-2.0 */
/*
 * + - * / // % ** with Python's rules: division rounds down, / gives a float, strings and lists
 * join and repeat. Integers have 64 bits; what does not fit is an error.
 */
#include "compute/template_builtins.h"

#include "compute/template_text.h"

#include <math.h>

static const char *operator_name(enum op op)
{
	switch (op) {
	case OP_ADD:
		return "+";
	case OP_SUB:
		return "-";
	case OP_MUL:
		return "*";
	case OP_DIV:
		return "/";
	case OP_FLOOR_DIV:
		return "//";
	case OP_MOD:
		return "%";
	default: /* only these are arithmetic */
		return "**";
	}
}

static struct value fail_types(struct render *r, enum op op, struct value a, struct value b)
{
	if (a.type == VALUE_UNDEFINED || b.type == VALUE_UNDEFINED) {
		struct text name = (a.type == VALUE_UNDEFINED ? a : b).as.text;

		return render_fail(r, AYNI_ERR_FORMAT, "'%.*s' is undefined",
		    (int)(name.len < ERROR_TEXT_BYTES ? name.len : ERROR_TEXT_BYTES), name.data);
	}
	return render_fail(r, AYNI_ERR_FORMAT, "%s %s %s is not possible", value_type_name(a),
	    operator_name(op), value_type_name(b));
}

static struct value fail_overflow(struct render *r)
{
	return render_fail(r, AYNI_ERR_LIMIT, "integer needs more than 64 bits");
}

static struct value fail_zero(struct render *r)
{
	return render_fail(r, AYNI_ERR_FORMAT, "division by zero");
}

static struct value integer_power(struct render *r, int64_t base, int64_t exponent)
{
	int64_t out = 1;

	if (exponent < 0)
		return base == 0 ? fail_zero(r) : value_float(pow((double)base, (double)exponent));
	while (exponent > 0) {
		if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out))
			return fail_overflow(r);
		exponent >>= 1;
		if (exponent > 0 && __builtin_mul_overflow(base, base, &base))
			return fail_overflow(r);
	}
	return value_int(out);
}

static struct value integer_arithmetic(struct render *r, enum op op, int64_t a, int64_t b)
{
	bool overflow = false;
	int64_t out = 0;

	if (b == 0 && (op == OP_DIV || op == OP_FLOOR_DIV || op == OP_MOD))
		return fail_zero(r);
	if (op == OP_DIV)
		return value_float((double)a / (double)b);
	if (op == OP_POW)
		return integer_power(r, a, b);
	if (op == OP_ADD) {
		overflow = __builtin_add_overflow(a, b, &out);
	} else if (op == OP_SUB) {
		overflow = __builtin_sub_overflow(a, b, &out);
	} else if (op == OP_MUL) {
		overflow = __builtin_mul_overflow(a, b, &out);
	} else if (b == -1) { /* INT64_MIN / -1 */
		overflow = op == OP_FLOOR_DIV && __builtin_sub_overflow(0, a, &out);
	} else {
		bool down = a % b != 0 && (a < 0) != (b < 0);

		out = op == OP_MOD ? a % b + (down ? b : 0) : a / b - (down ? 1 : 0);
	}
	return overflow ? fail_overflow(r) : value_int(out);
}

/* The quotient rounded down and the remainder with the sign of b, as Python computes them. */
static void divide_floor(double a, double b, double *quotient, double *remainder)
{
	double mod = fmod(a, b);
	double div = (a - mod) / b;

	if (mod != 0) {
		if ((b < 0) != (mod < 0)) {
			mod += b;
			div -= 1;
		}
	} else {
		mod = copysign(0, b);
	}
	*remainder = mod;
	*quotient = div == 0 ? copysign(0, a / b) : floor(div);
	if (div != 0 && div - *quotient > 0.5)
		*quotient += 1;
}

static struct value real_arithmetic(struct render *r, enum op op, double a, double b)
{
	double quotient;
	double remainder;
	double power;

	if (op == OP_ADD)
		return value_float(a + b);
	if (op == OP_SUB)
		return value_float(a - b);
	if (op == OP_MUL)
		return value_float(a * b);
	if (op == OP_POW) {
		if (a == 0 && b < 0)
			return fail_zero(r);
		power = pow(a, b);
		if (!isfinite(power) && isfinite(a) && isfinite(b))
			return render_fail(r, AYNI_ERR_FORMAT, "the power is no finite number");
		return value_float(power);
	}
	if (b == 0)
		return fail_zero(r);
	if (op == OP_DIV)
		return value_float(a / b);
	divide_floor(a, b, &quotient, &remainder);
	return value_float(op == OP_MOD ? remainder : quotient);
}

static struct value join_lists(struct render *r, struct value a, struct value b)
{
	struct value out = value_list(r);

	if (out.type == VALUE_LIST)
		out.type = a.type;
	for (size_t i = 0; i < a.as.list->n && r->code == AYNI_OK; i++)
		list_append(r, out, a.as.list->items[i]);
	for (size_t i = 0; i < b.as.list->n && r->code == AYNI_OK; i++)
		list_append(r, out, b.as.list->items[i]);
	return out;
}

static struct value repeat(struct render *r, struct value v, int64_t times)
{
	struct buffer b = {NULL, 0, 0};
	struct value out;

	if (v.type == VALUE_STRING) {
		for (int64_t i = 0; i < times && v.as.text.len > 0 && r->code == AYNI_OK; i++)
			buffer_append(r, &b, v.as.text);
		return buffer_value(&b);
	}
	out = value_list(r);
	if (out.type == VALUE_LIST)
		out.type = v.type;
	for (int64_t i = 0; i < times && v.as.list->n > 0 && r->code == AYNI_OK; i++) {
		for (size_t j = 0; j < v.as.list->n && r->code == AYNI_OK; j++)
			list_append(r, out, v.as.list->items[j]);
	}
	return out;
}

static bool is_sequence(struct value v)
{
	return v.type == VALUE_STRING || value_is_list(v);
}

static bool is_integer(struct value v)
{
	return v.type == VALUE_INT || v.type == VALUE_BOOL;
}

struct value arithmetic(struct render *r, enum op op, struct value a, struct value b)
{
	struct buffer joined = {NULL, 0, 0};

	if (value_is_number(a) && value_is_number(b)) {
		if (a.type == VALUE_FLOAT || b.type == VALUE_FLOAT)
			return real_arithmetic(r, op, value_real(a), value_real(b));
		return integer_arithmetic(r, op, value_integer(a), value_integer(b));
	}
	if (op == OP_ADD && a.type == b.type && a.type == VALUE_STRING) {
		bool is_safe = a.is_safe || b.is_safe;

		buffer_append(r, &joined, is_safe ? text_escape(r, a).as.text : a.as.text);
		buffer_append(r, &joined, is_safe ? text_escape(r, b).as.text : b.as.text);
		a = buffer_value(&joined);
		a.is_safe = is_safe;
		return a;
	}
	if (op == OP_ADD && a.type == b.type && value_is_list(a))
		return join_lists(r, a, b);
	if (op == OP_MUL && is_sequence(a) && is_integer(b))
		return repeat(r, a, value_integer(b));
	if (op == OP_MUL && is_integer(a) && is_sequence(b))
		return repeat(r, b, value_integer(a));
	if (op == OP_MOD && a.type == VALUE_STRING)
		return arithmetic_format(r, a.as.text, b);
	return fail_types(r, op, a, b);
}

struct value arithmetic_negate(struct render *r, struct value a)
{
	if (a.type == VALUE_FLOAT)
		return value_float(-a.as.real);
	return arithmetic(r, OP_SUB, value_int(0), a);
}

/* Take characters of `set` into spec[n..most); the new n. */
static size_t take_spec(
    struct text fmt, size_t *at, const char *set, char *spec, size_t n, size_t most)
{
	while (*at < fmt.len && n < most && fmt.data[*at] != '\0' &&
	       strchr(set, fmt.data[*at]) != NULL)
		spec[n++] = fmt.data[(*at)++];
	return n;
}

/* One conversion "%..." of fmt at *at, which is moved past it: flags, width, point, precision, so
 * that nothing else ever reaches snprintf. */
static void format_one(
    struct render *r, struct buffer *out, struct text fmt, size_t *at, struct value v)
{
	enum { SPEC_BYTES = 16, TEXT_BYTES = 512 };
	char spec[SPEC_BYTES] = "%";
	char text[TEXT_BYTES];
	size_t n = 1;
	char kind = '\0';
	int written = 0;

	n = take_spec(fmt, at, "+- 0", spec, n, 8);
	n = take_spec(fmt, at, "0123456789", spec, n, 8);
	if (*at < fmt.len && fmt.data[*at] == '.')
		n = take_spec(
		    fmt, at, "0123456789", spec, take_spec(fmt, at, ".", spec, n, n + 1), 8);
	if (*at < fmt.len)
		kind = fmt.data[(*at)++];
	if (kind == 's' && n == 1) {
		format_to(r, out, v);
	} else if (kind == 's' || n > 6) {
		render_fail(r, AYNI_ERR_UNSUPPORTED, "width of '%%s' is not supported");
	} else if ((kind == 'd' || kind == 'i') && value_is_number(v)) {
		double whole = v.type == VALUE_FLOAT ? trunc(v.as.real) : 0;

		if (!(fabs(whole) < 0x1p63)) {
			fail_overflow(r);
			return;
		}
		memcpy(spec + n, "lld", 4);
		written = snprintf(text, sizeof text, spec,
		    v.type == VALUE_FLOAT ? (long long)whole : (long long)value_integer(v));
	} else if (kind == 'f' && value_is_number(v)) {
		memcpy(spec + n, "f", 2);
		written = snprintf(text, sizeof text, spec, value_real(v));
	} else {
		render_fail(r, AYNI_ERR_FORMAT, "'%%' cannot format %s so", value_type_name(v));
	}
	if (written < 0 || written >= TEXT_BYTES)
		render_fail(r, AYNI_ERR_LIMIT, "'%%' writes a number of %d characters", written);
	else if (written > 0)
		buffer_append_string(r, out, text);
}

struct value arithmetic_format(struct render *r, struct text fmt, struct value arguments)
{
	struct buffer out = {NULL, 0, 0};
	size_t used = 0;
	bool is_tuple = arguments.type == VALUE_TUPLE;
	size_t n = is_tuple ? arguments.as.list->n : 1;

	for (size_t at = 0; at < fmt.len && r->code == AYNI_OK;) {
		size_t percent = text_find(fmt, (struct text){"%", 1}, at);
		bool literal;

		percent = percent == SIZE_MAX ? fmt.len : percent;
		literal = percent + 1 < fmt.len && fmt.data[percent + 1] == '%';
		buffer_append(r, &out, text_sub(fmt, at, literal ? percent + 1 : percent));
		at = percent + (literal ? 2 : 1);
		if (literal || percent == fmt.len)
			continue;
		if (used == n)
			return render_fail(r, AYNI_ERR_FORMAT, "'%%' lacks an argument");
		format_one(
		    r, &out, fmt, &at, is_tuple ? arguments.as.list->items[used] : arguments);
		used++;
	}
	/* Python forgives what might be a mapping. */
	if (used < n && arguments.type != VALUE_DICT && arguments.type != VALUE_LIST &&
	    arguments.type != VALUE_UNDEFINED)
		return render_fail(r, AYNI_ERR_FORMAT, "'%%' has an argument too many");
	return buffer_value(&out);
}
