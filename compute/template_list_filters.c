/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters of sequences.
 */
#include "compute/template_builtins.h"

#include "compute/template_text.h"

#include <ctype.h>

#define FILTER(name)                                                                               \
	static struct value filter_##name(                                                         \
	    struct render *r, struct value self, const struct call *call)

/* The value at a path "a.b.0" (or an integer) inside v; on the way, `otherwise` takes the place of
 * what is undefined. */
static struct value value_at_path_or(
    struct render *r, struct value v, struct value path, struct value otherwise)
{
	struct text rest = path.as.text;

	if (path.type != VALUE_STRING) {
		v = item_of(r, v, path);
		return v.type == VALUE_UNDEFINED ? otherwise : v;
	}
	for (;;) {
		size_t dot = text_find(rest, (struct text){".", 1}, 0);
		struct text part = text_sub(rest, 0, dot == SIZE_MAX ? rest.len : dot);
		struct value key = value_string(part);
		int64_t index = 0;

		for (size_t i = 0; i < part.len && part.len < 10; i++) {
			if (!isdigit((unsigned char)part.data[i]))
				break;
			index = index * 10 + (part.data[i] - '0');
			if (i + 1 == part.len)
				key = value_int(index);
		}
		v = item_of(r, v, key);
		if (v.type == VALUE_UNDEFINED && otherwise.type != VALUE_UNDEFINED)
			v = otherwise;
		if (dot == SIZE_MAX || r->code != AYNI_OK)
			return v;
		rest = text_sub(rest, dot + 1, rest.len);
	}
}

static struct value value_at_path(struct render *r, struct value v, struct value path)
{
	static const struct text item = {"item", 4};

	return value_at_path_or(
	    r, v, path, value_undefined(path.type == VALUE_STRING ? path.as.text : item));
}

/* A keyword of a call whose arguments were not bound; undefined if it is not there. */
static struct value keyword_of(const struct call *call, const char *name)
{
	for (size_t i = 0; i < call->n_keywords; i++) {
		if (text_is(call->keywords[i].name, name))
			return call->keywords[i].value;
	}
	return value_undefined((struct text){name, strlen(name)});
}

FILTER(map)
{
	struct value attribute = keyword_of(call, "attribute");
	struct value otherwise = keyword_of(call, "default");
	struct value out = value_list(r);
	const struct value_list *items;
	struct call rest = *call;

	if (!value_truth(self)) /* also where it is none */
		return out;
	if (attribute.type == VALUE_UNDEFINED &&
	    (call->n_args == 0 || call->args[0].type != VALUE_STRING))
		return render_fail(r, AYNI_ERR_FORMAT, "map() needs a filter or attribute=");
	if (attribute.type == VALUE_UNDEFINED) {
		rest.args++;
		rest.n_args--;
	}
	items = value_items(r, self);
	for (size_t i = 0; i < items->n && render_charge(r, 1); i++) {
		struct value v = items->items[i];

		if (attribute.type == VALUE_UNDEFINED)
			v = filter_run(r, call->args[0].as.text, v, &rest);
		else
			v = value_at_path_or(r, v, attribute, otherwise);
		list_append(r, out, v);
	}
	return out;
}

/* Items for which a test (call->args[first...], or truth) answers `wanted`; of the item itself, or
 * of its attribute call->args[0] if first is 1. */
static struct value choose(
    struct render *r, struct value self, const struct call *call, size_t first, bool wanted)
{
	struct value out = value_list(r);
	const struct value_list *items;
	struct call rest = *call;
	bool has_test = call->n_args > first;

	if (!value_truth(self)) /* also where it is none */
		return out;
	if (call->n_args < first)
		return render_fail(r, AYNI_ERR_FORMAT, "selectattr() needs an attribute");
	if (has_test && call->args[first].type != VALUE_STRING)
		return render_fail(r, AYNI_ERR_FORMAT, "the name of a test must be a string");
	if (has_test) {
		rest.args += first + 1;
		rest.n_args -= first + 1;
	}
	items = value_items(r, self);
	for (size_t i = 0; i < items->n && render_charge(r, 1); i++) {
		struct value v = items->items[i];
		bool holds;

		if (first == 1)
			v = value_at_path(r, v, call->args[0]);
		holds =
		    has_test ? test_run(r, call->args[first].as.text, v, &rest) : value_truth(v);
		if (holds == wanted)
			list_append(r, out, items->items[i]);
	}
	return out;
}

FILTER(select)
{
	return choose(r, self, call, 0, true);
}

FILTER(reject)
{
	return choose(r, self, call, 0, false);
}

FILTER(selectattr)
{
	return choose(r, self, call, 1, true);
}

FILTER(rejectattr)
{
	return choose(r, self, call, 1, false);
}

FILTER(first)
{
	const struct value_list *items = value_items(r, self);

	(void)call;
	return items->n > 0 ? items->items[0] : value_undefined((struct text){"first", 5});
}

FILTER(last)
{
	const struct value_list *items = value_items(r, self);

	(void)call;
	return items->n > 0 ? items->items[items->n - 1]
	                    : value_undefined((struct text){"last", 4});
}

FILTER(list)
{
	struct value out = value_list(r);
	const struct value_list *items = value_items(r, self);

	(void)call;
	for (size_t i = 0; i < items->n && render_charge(r, 1); i++)
		list_append(r, out, items->items[i]);
	return out;
}

FILTER(reverse)
{
	struct value none = value_none();

	(void)call;
	if (self.type != VALUE_STRING)
		self = filter_list(r, self, call);
	return r->code == AYNI_OK ? value_slice(r, self, none, none, value_int(-1)) : self;
}

FILTER(items)
{
	static const struct call no_arguments = {.n_args = 0};

	(void)call;
	if (self.type == VALUE_UNDEFINED)
		return value_list(r);
	if (self.type != VALUE_DICT)
		return render_fail(
		    r, AYNI_ERR_FORMAT, "items of %s: only of a dict", value_type_name(self));
	return builtin_run(
	    r, builtin_find(template_dict_methods, (struct text){"items", 5}), self, &no_arguments);
}

FILTER(join)
{
	struct text separator = {"", 0};
	const struct value_list *items = value_items(r, self);

	if (arg_given(call, 0))
		separator = format_str(r, call->args[0]);
	if (arg_given(call, 1) && call->args[1].type != VALUE_NONE) {
		struct value out = value_list(r);

		for (size_t i = 0; i < items->n && render_charge(r, 1); i++)
			list_append(r, out, value_at_path(r, items->items[i], call->args[1]));
		if (r->code != AYNI_OK)
			return self;
		items = out.as.list;
	}
	return text_join(r, separator, items, false);
}

/* ---- order ----------------------------------------------------------------------------------- */

/* What an item is sorted by: its attribute, in small letters unless case counts. */
static struct value sort_key(
    struct render *r, struct value item, const struct value *attribute, bool case_sensitive)
{
	if (attribute != NULL && attribute->type != VALUE_NONE)
		item = value_at_path(r, item, *attribute);
	if (item.type == VALUE_STRING && !case_sensitive)
		item = text_cased(r, item.as.text, tolower);
	return item;
}

/* Stable merge sort of pairs (key, item) from a[0..n), using b[0..n). */
static void merge_sort(
    struct render *r, struct value_entry *a, struct value_entry *b, size_t n, bool descending)
{
	size_t half = n / 2;
	size_t i = 0;
	size_t j = half;

	if (n < 2 || !render_charge(r, n))
		return;
	merge_sort(r, a, b, half, descending);
	merge_sort(r, a + half, b + half, n - half, descending);
	memcpy(b, a, n * sizeof *a);
	for (size_t k = 0; k < n && r->code == AYNI_OK; k++) {
		bool take_left = j == n;

		if (i < half && j < n) {
			int order = 0; /* also between items that lack the attribute */

			if (b[i].key.type != VALUE_UNDEFINED || b[j].key.type != VALUE_UNDEFINED)
				order = value_compare(r, b[j].key, b[i].key);

			take_left = descending ? order <= 0 : order >= 0;
		}
		a[k] = take_left ? b[i++] : b[j++];
	}
}

static struct value sorted(struct render *r, const struct value_list *items,
    const struct value *attribute, bool case_sensitive, bool descending)
{
	struct value out = value_list(r);
	struct value_entry *a = render_alloc(r, items->n + 1, sizeof *a);
	struct value_entry *b = render_alloc(r, items->n + 1, sizeof *b);
	size_t n = 0;

	if (a == NULL || b == NULL)
		return out;
	for (; n < items->n && render_charge(r, 1); n++) {
		a[n].key = sort_key(r, items->items[n], attribute, case_sensitive);
		a[n].value = items->items[n];
	}
	merge_sort(r, a, b, n, descending);
	for (size_t i = 0; i < n && render_charge(r, 1); i++)
		list_append(r, out, a[i].value);
	return out;
}

FILTER(sort)
{
	return sorted(r, value_items(r, self), arg_given(call, 2) ? &call->args[2] : NULL,
	    arg_bool(call, 1, false), arg_bool(call, 0, false));
}

FILTER(dictsort)
{
	struct value by = value_int(0);
	struct value pairs;

	if (self.type != VALUE_DICT)
		return render_fail(r, AYNI_ERR_FORMAT, "dictsort of %s", value_type_name(self));
	if (arg_given(call, 1) && text_is(arg_text(r, call, 1), "value"))
		by = value_int(1);
	pairs = filter_items(r, self, call);
	if (r->code != AYNI_OK)
		return pairs;
	return sorted(r, pairs.as.list, &by, arg_bool(call, 0, false), arg_bool(call, 2, false));
}

FILTER(unique)
{
	struct value seen = value_list(r);
	struct value out = value_list(r);
	const struct value_list *items = value_items(r, self);
	const struct value *attribute = arg_given(call, 1) ? &call->args[1] : NULL;

	for (size_t i = 0; i < items->n && render_charge(r, 1); i++) {
		struct value key =
		    sort_key(r, items->items[i], attribute, arg_bool(call, 0, false));

		if (r->code != AYNI_OK || value_contains(r, seen, key))
			continue;
		list_append(r, seen, key);
		list_append(r, out, items->items[i]);
	}
	return out;
}

static struct value extreme(
    struct render *r, struct value self, const struct call *call, bool largest)
{
	const struct value_list *items = value_items(r, self);
	const struct value *attribute = arg_given(call, 1) ? &call->args[1] : NULL;
	struct value best = value_undefined((struct text){"item", 4});
	struct value best_key = best;

	for (size_t i = 0; i < items->n && render_charge(r, 1); i++) {
		struct value key =
		    sort_key(r, items->items[i], attribute, arg_bool(call, 0, false));
		int order = i == 0 ? 0 : value_compare(r, key, best_key);

		if (i == 0 || (largest ? order > 0 : order < 0)) {
			best = items->items[i];
			best_key = key;
		}
	}
	return best;
}

FILTER(min)
{
	return extreme(r, self, call, false);
}

FILTER(max)
{
	return extreme(r, self, call, true);
}

FILTER(sum)
{
	const struct value_list *items = value_items(r, self);
	struct value total = arg_given(call, 1) ? call->args[1] : value_int(0);

	for (size_t i = 0; i < items->n && render_charge(r, 1); i++) {
		struct value v = items->items[i];

		if (arg_given(call, 0) && call->args[0].type != VALUE_NONE)
			v = value_at_path(r, v, call->args[0]);
		if (r->code == AYNI_OK)
			total = arithmetic(r, OP_ADD, total, v);
	}
	return total;
}

const struct builtin template_list_filters[] = {
    {"map", NULL, 0, filter_map},
    {"select", NULL, 0, filter_select},
    {"reject", NULL, 0, filter_reject},
    {"selectattr", NULL, 0, filter_selectattr},
    {"rejectattr", NULL, 0, filter_rejectattr},
    {"first", "", 0, filter_first},
    {"last", "", 0, filter_last},
    {"list", "", 0, filter_list},
    {"reverse", "", 0, filter_reverse},
    {"items", "", 0, filter_items},
    {"join", "d attribute", 0, filter_join},
    {"sort", "reverse case_sensitive attribute", 0, filter_sort},
    {"dictsort", "case_sensitive by reverse", 0, filter_dictsort},
    {"unique", "case_sensitive attribute", 0, filter_unique},
    {"min", "case_sensitive attribute", 0, filter_min},
    {"max", "case_sensitive attribute", 0, filter_max},
    {"sum", "attribute start", 0, filter_sum},
    {NULL, NULL, 0, NULL},
};
