/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items and slices of strings and lists, with Python's negative indices.
 */
#include "compute/template_render.h"

#include "compute/template_text.h"

struct value value_index(struct render *r, struct value v, struct value i)
{
	struct value missing = value_undefined((struct text){"item", 4});
	int64_t length = value_length(v);
	int64_t at;

	if (v.type == VALUE_DICT || v.type == VALUE_NAMESPACE) {
		const struct value *found = dict_find(r, v.as.dict, i);

		if (found != NULL)
			return *found;
		return i.type == VALUE_STRING ? value_undefined(i.as.text) : missing;
	}
	if (i.type == VALUE_STRING)
		return value_undefined(i.as.text);
	if ((i.type != VALUE_INT && i.type != VALUE_BOOL) ||
	    (!value_is_list(v) && v.type != VALUE_STRING))
		return missing;
	at = value_integer(i);
	if (at < 0)
		at += length;
	if (at < 0 || at >= length)
		return missing;
	if (v.type == VALUE_STRING) {
		struct text s = v.as.text;
		size_t from;

		if (!render_charge_bytes(r, s.len))
			return missing;
		from = text_offset(s, (size_t)at);
		return value_string(text_sub(s, from, from + utf8_size(s.data[from])));
	}
	return v.as.list->items[at];
}

/* A bound of a slice, brought into [lowest, highest]. False if it is no integer. */
static bool slice_bound(
    struct value v, int64_t length, int64_t lowest, int64_t highest, int64_t *out)
{
	int64_t i;

	if (v.type == VALUE_NONE)
		return true;
	if (v.type != VALUE_INT && v.type != VALUE_BOOL)
		return false;
	i = value_integer(v);
	if (i < 0)
		i += length;
	*out = i < lowest ? lowest : i > highest ? highest : i;
	return true;
}

static struct value slice_list(
    struct render *r, struct value v, int64_t from, int64_t to, int64_t step)
{
	struct value out = value_list(r);

	if (out.type != VALUE_LIST)
		return out;
	out.type = v.type;
	if (step == 1 && to <= from) /* an empty list may have no items to point into */
		return out;
	if (step == 1) {
		/* Shares the items: at its capacity, appending to either copies. */
		out.as.list->items = v.as.list->items + from;
		out.as.list->n = (size_t)(to - from);
		out.as.list->capacity = out.as.list->n;
		return out;
	}
	for (int64_t i = from; step > 0 ? i < to : i > to;) {
		list_append(r, out, v.as.list->items[i]);
		if (r->code != AYNI_OK || __builtin_add_overflow(i, step, &i))
			break;
	}
	return out;
}

static struct value slice_string(
    struct render *r, struct text s, int64_t from, int64_t to, int64_t step)
{
	const struct value_list *points;
	struct buffer b = {NULL, 0, 0};

	if (!render_charge_bytes(r, s.len))
		return value_undefined(s);
	if (step == 1) {
		size_t start = text_offset(s, (size_t)from);
		size_t end = to > from ? text_offset(s, (size_t)to) : start;

		return value_string(text_sub(s, start, end));
	}
	points = value_items(r, value_string(s));
	for (int64_t i = from; step > 0 ? i < to : i > to;) {
		if (r->code != AYNI_OK)
			break;
		buffer_append(r, &b, points->items[i].as.text);
		if (__builtin_add_overflow(i, step, &i))
			break;
	}
	return buffer_value(&b);
}

struct value value_slice(
    struct render *r, struct value v, struct value from, struct value to, struct value step)
{
	int64_t length = value_length(v);
	int64_t by = step.type == VALUE_NONE ? 1 : value_integer(step);
	int64_t start = by > 0 ? 0 : length - 1;
	int64_t end = by > 0 ? length : -1;

	if (!value_is_list(v) && v.type != VALUE_STRING)
		return render_fail(r, AYNI_ERR_FORMAT, "%s has no slices", value_type_name(v));
	if ((step.type != VALUE_NONE && step.type != VALUE_INT && step.type != VALUE_BOOL) ||
	    by == 0)
		return render_fail(r, AYNI_ERR_FORMAT, "the step of a slice is no integer or 0");
	if (!slice_bound(from, length, by > 0 ? 0 : -1, by > 0 ? length : length - 1, &start) ||
	    !slice_bound(to, length, by > 0 ? 0 : -1, by > 0 ? length : length - 1, &end))
		return render_fail(r, AYNI_ERR_FORMAT, "a bound of a slice is no integer");
	if (v.type == VALUE_STRING)
		return slice_string(r, v.as.text, start, end, by);
	return slice_list(r, v, start, end, by);
}
