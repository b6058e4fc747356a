/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Global functions, and the methods of dict, list and `loop`.
 */
#include "compute/template_builtins.h"

#include <time.h>

#define FUNCTION(name)                                                                             \
	static struct value name(struct render *r, struct value self, const struct call *call)

/* ---- global functions ------------------------------------------------------------------------ */

FUNCTION(global_range)
{
	int64_t first = arg_int(r, call, 0, 0);
	int64_t from = arg_given(call, 1) ? first : 0;
	int64_t to = arg_int(r, call, 1, first);
	int64_t step = arg_int(r, call, 2, 1);
	struct value out = value_list(r);

	(void)self;
	if (step == 0)
		return render_fail(r, AYNI_ERR_FORMAT, "the step of a range is 0");
	for (int64_t i = from; step > 0 ? i < to : i > to;) {
		if (r->code != AYNI_OK)
			break;
		if (out.as.list->n == TEMPLATE_MAX_RANGE)
			return render_fail(
			    r, AYNI_ERR_LIMIT, "range of more than %d numbers", TEMPLATE_MAX_RANGE);
		list_append(r, out, value_int(i));
		if (__builtin_add_overflow(i, step, &i))
			break;
	}
	return out;
}

/* dict(a=1), dict({...}, a=1), and namespace() likewise. */
FUNCTION(global_dict)
{
	struct value out = value_dict(r);

	(void)self;
	if (call->n_args > 1)
		return render_fail(r, AYNI_ERR_FORMAT, "a dict is made of one value at most");
	if (call->n_args == 1 && call->args[0].type == VALUE_DICT) {
		const struct value_dict *from = call->args[0].as.dict;

		for (size_t i = 0; i < from->n && r->code == AYNI_OK; i++)
			dict_append(r, out, from->entries[i].key, from->entries[i].value);
	} else if (call->n_args == 1) {
		const struct value_list *pairs = value_items(r, call->args[0]);

		for (size_t i = 0; i < pairs->n && r->code == AYNI_OK; i++) {
			const struct value_list *pair = value_items(r, pairs->items[i]);

			if (pair->n != 2)
				return render_fail(r, AYNI_ERR_FORMAT, "a dict needs pairs");
			dict_set(r, out, pair->items[0], pair->items[1]);
		}
	}
	for (size_t i = 0; i < call->n_keywords && r->code == AYNI_OK; i++)
		dict_set(r, out, value_string(call->keywords[i].name), call->keywords[i].value);
	return out;
}

FUNCTION(global_namespace)
{
	struct value out = global_dict(r, self, call);

	if (out.type == VALUE_DICT)
		out.type = VALUE_NAMESPACE;
	return out;
}

FUNCTION(global_raise_exception)
{
	struct text message = format_str(r, call->args[0]);

	(void)self;
	return render_fail(r, AYNI_ERR_ARGUMENT, "%.*s",
	    (int)(message.len < ERROR_TEXT_BYTES ? message.len : ERROR_TEXT_BYTES), message.data);
}

/* The caller's clock and time zone. Only plain conversions: strftime is C, and the format hostile.
 */
FUNCTION(global_strftime_now)
{
	enum { FORMAT_BYTES = 128, TEXT_BYTES = 1024 };
	struct text format = arg_text(r, call, 0);
	time_t now = time(NULL);
	char copy[FORMAT_BYTES];
	char text[TEXT_BYTES];
	char *kept;
	struct tm tm;
	size_t n;

	(void)self;
	if (format.len >= sizeof copy)
		return render_fail(
		    r, AYNI_ERR_LIMIT, "time format of %d bytes or more", FORMAT_BYTES);
	memcpy(copy, format.data, format.len);
	copy[format.len] = '\0';
	for (size_t i = 0; i < format.len; i++) {
		if (copy[i] != '%')
			continue;
		i += copy[i + 1] == '-' ? 2 : 1;
		if (copy[i] == '\0' || strchr("aAbBcdDeFHIjmMnpRSTuUwWxXyYzZ%", copy[i]) == NULL)
			return render_fail(r, AYNI_ERR_UNSUPPORTED, "time format '%s'", copy);
	}
	if (localtime_r(&now, &tm) == NULL)
		return render_fail(r, AYNI_ERR_FORMAT, "the clock is not set");
	n = strftime(text, sizeof text, copy, &tm);
	kept = render_alloc(r, n + 1, 1);
	if (kept == NULL)
		return value_none();
	memcpy(kept, text, n);
	return value_string((struct text){kept, n});
}

const struct builtin template_globals[] = {
    {"range", "start stop step", 1, global_range},
    {"dict", NULL, 0, global_dict},
    {"namespace", NULL, 0, global_namespace},
    {"raise_exception", "message", 1, global_raise_exception},
    {"strftime_now", "format", 1, global_strftime_now},
    {NULL, NULL, 0, NULL},
};

/* ---- methods of dict, list, loop ------------------------------------------------------------- */

FUNCTION(dict_get)
{
	const struct value *found = dict_find(r, self.as.dict, call->args[0]);

	if (found != NULL)
		return *found;
	return arg_given(call, 1) ? call->args[1] : value_none();
}

FUNCTION(dict_items)
{
	struct value out = value_list(r);

	(void)call;
	for (size_t i = 0; i < self.as.dict->n && render_charge(r, 1); i++) {
		const struct value_entry *e = &self.as.dict->entries[i];

		list_append(r, out, value_tuple(r, e->key, e->value));
	}
	return out;
}

FUNCTION(dict_values)
{
	struct value out = value_list(r);

	(void)call;
	for (size_t i = 0; i < self.as.dict->n && render_charge(r, 1); i++)
		list_append(r, out, self.as.dict->entries[i].value);
	return out;
}

FUNCTION(dict_keys)
{
	struct value out = value_list(r);

	(void)call;
	for (size_t i = 0; i < self.as.dict->n && render_charge(r, 1); i++)
		list_append(r, out, self.as.dict->entries[i].key);
	return out;
}

FUNCTION(dict_copy)
{
	struct call copy = {.args = &self, .n_args = 1};

	(void)call;
	return global_dict(r, self, &copy);
}

const struct builtin template_dict_methods[] = {
    {"get", "key default", 1, dict_get},
    {"items", "", 0, dict_items},
    {"keys", "", 0, dict_keys},
    {"values", "", 0, dict_values},
    {"copy", "", 0, dict_copy},
    {NULL, NULL, 0, NULL},
};

FUNCTION(list_method_append)
{
	if (self.type == VALUE_TUPLE)
		return render_fail(r, AYNI_ERR_FORMAT, "a tuple cannot be appended to");
	list_append(r, self, call->args[0]);
	return value_none();
}

FUNCTION(list_index)
{
	for (size_t i = 0; i < self.as.list->n && render_charge(r, 1); i++) {
		if (value_equal(r, self.as.list->items[i], call->args[0]))
			return value_int((int64_t)i);
	}
	return render_fail(r, AYNI_ERR_FORMAT, "index(): the list has no such item");
}

FUNCTION(list_count)
{
	int64_t n = 0;

	for (size_t i = 0; i < self.as.list->n && render_charge(r, 1); i++)
		n += value_equal(r, self.as.list->items[i], call->args[0]);
	return value_int(n);
}

const struct builtin template_list_methods[] = {
    {"append", "item", 1, list_method_append},
    {"index", "item", 1, list_index},
    {"count", "item", 1, list_count},
    {NULL, NULL, 0, NULL},
};

FUNCTION(loop_cycle)
{
	if (call->n_args == 0)
		return render_fail(r, AYNI_ERR_FORMAT, "cycle() without items");
	return call->args[self.as.loop->index % call->n_args];
}

const struct builtin template_loop_methods[] = {
    {"cycle", NULL, 0, loop_cycle},
    {NULL, NULL, 0, NULL},
};
