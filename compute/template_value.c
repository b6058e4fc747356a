/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/template_render.h"

#include "compute/template_text.h"

enum { KEYS_A_STEP = 32 };

struct value value_list(struct render *r)
{
	struct value v = {
	    .type = VALUE_LIST, .as = {.list = render_alloc(r, 1, sizeof *v.as.list)}};

	return v.as.list == NULL ? value_undefined((struct text){"", 0}) : v;
}

struct value value_tuple(struct render *r, struct value a, struct value b)
{
	struct value v = value_list(r);

	list_append(r, v, a);
	list_append(r, v, b);
	if (v.type == VALUE_LIST)
		v.type = VALUE_TUPLE;
	return v;
}

struct value value_dict(struct render *r)
{
	struct value v = {
	    .type = VALUE_DICT, .as = {.dict = render_alloc(r, 1, sizeof *v.as.dict)}};

	return v.as.dict == NULL ? value_undefined((struct text){"", 0}) : v;
}

struct value value_function(struct render *r, struct function f)
{
	struct function *copy = render_alloc(r, 1, sizeof *copy);

	if (copy == NULL)
		return value_undefined((struct text){"", 0});
	*copy = f;
	return (struct value){.type = VALUE_FUNCTION, .as = {.function = copy}};
}

/* Room for one more of n elements: the array, perhaps a new one, or NULL. */
static void *grow(struct render *r, void *old, size_t n, size_t *capacity, size_t element_bytes)
{
	size_t more = n < 4 ? 4 : n * 2;
	void *new;

	if (n < *capacity)
		return old;
	if (!render_charge_bytes(r, n * element_bytes))
		return NULL;
	new = render_alloc(r, more, element_bytes);
	if (new == NULL)
		return NULL;
	if (n > 0)
		memcpy(new, old, n * element_bytes);
	*capacity = more;
	return new;
}

void list_append(struct render *r, struct value list, struct value item)
{
	struct value_list *l = list.as.list;
	struct value *items;

	if (!value_is_list(list) || !render_charge(r, 1))
		return;
	items = grow(r, l->items, l->n, &l->capacity, sizeof *items);
	if (items == NULL)
		return;
	l->items = items;
	l->items[l->n++] = item;
}

void dict_append(struct render *r, struct value dict, struct value key, struct value v)
{
	struct value_dict *d = dict.as.dict;
	struct value_entry *entries;

	if ((dict.type != VALUE_DICT && dict.type != VALUE_NAMESPACE) || !render_charge(r, 1))
		return;
	entries = grow(r, d->entries, d->n, &d->capacity, sizeof *entries);
	if (entries == NULL)
		return;
	d->entries = entries;
	d->entries[d->n++] = (struct value_entry){key, v};
}

static bool is_hashable(struct render *r, struct value key)
{
	if (key.type == VALUE_TUPLE) {
		for (size_t i = 0; i < key.as.list->n && render_charge(r, 1); i++) {
			if (!is_hashable(r, key.as.list->items[i]))
				return false;
		}
		return true;
	}
	return key.type != VALUE_LIST && key.type != VALUE_DICT;
}

const struct value *dict_find(struct render *r, const struct value_dict *d, struct value key)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct value_entry *e = &d->entries[i];

		if (key.type == VALUE_STRING && e->key.type == VALUE_STRING) {
			if (i % KEYS_A_STEP == 0 && !render_charge_bytes(r, key.as.text.len))
				return NULL;
			if (text_equal(key.as.text, e->key.as.text))
				return &e->value;
		} else if (value_equal(r, key, e->key)) {
			return &e->value;
		}
	}
	return NULL;
}

void dict_set(struct render *r, struct value dict, struct value key, struct value v)
{
	const struct value *old;

	if (dict.type != VALUE_DICT && dict.type != VALUE_NAMESPACE)
		return;
	if (!is_hashable(r, key)) {
		render_fail(r, AYNI_ERR_FORMAT, "%s cannot be a key", value_type_name(key));
		return;
	}
	old = dict_find(r, dict.as.dict, key);
	if (old == NULL)
		dict_append(r, dict, key, v);
	else
		dict.as.dict
		    ->entries[((const char *)old - (const char *)dict.as.dict->entries) /
		              (ptrdiff_t)sizeof(struct value_entry)]
		    .value = v;
}

const char *value_type_name(struct value v)
{
	static const char *const names[] = {"Undefined", "None", "bool", "int", "float", "str",
	    "list", "tuple", "dict", "namespace", "loop", "function"};

	return names[v.type];
}

bool value_is_number(struct value v)
{
	return v.type == VALUE_BOOL || v.type == VALUE_INT || v.type == VALUE_FLOAT;
}

bool value_is_list(struct value v)
{
	return v.type == VALUE_LIST || v.type == VALUE_TUPLE;
}

bool value_truth(struct value v)
{
	switch (v.type) {
	case VALUE_UNDEFINED:
	case VALUE_NONE:
		return false;
	case VALUE_BOOL:
		return v.as.boolean;
	case VALUE_INT:
		return v.as.integer != 0;
	case VALUE_FLOAT:
		return v.as.real != 0;
	case VALUE_STRING:
		return v.as.text.len > 0;
	case VALUE_LIST:
	case VALUE_TUPLE:
		return v.as.list->n > 0;
	case VALUE_DICT:
		return v.as.dict->n > 0;
	case VALUE_NAMESPACE:
	case VALUE_LOOP:
	case VALUE_FUNCTION:
		return true;
	}
	return false;
}

double value_real(struct value v)
{
	return v.type == VALUE_FLOAT ? v.as.real : (double)value_integer(v);
}

int64_t value_integer(struct value v)
{
	return v.type == VALUE_BOOL ? v.as.boolean : v.as.integer;
}

static bool dicts_equal(struct render *r, const struct value_dict *a, const struct value_dict *b)
{
	bool equal = a->n == b->n;

	for (size_t i = 0; equal && i < a->n && render_charge(r, 1); i++) {
		const struct value *other = dict_find(r, b, a->entries[i].key);

		equal = other != NULL && value_equal(r, a->entries[i].value, *other);
	}
	return equal;
}

bool value_equal(struct render *r, struct value a, struct value b)
{
	bool equal = false;

	if (value_is_number(a) && value_is_number(b)) {
		if (a.type == VALUE_FLOAT || b.type == VALUE_FLOAT)
			return value_real(a) == value_real(b);
		return value_integer(a) == value_integer(b);
	}
	if (a.type != b.type || !render_enter(r))
		return false;
	switch (a.type) {
	case VALUE_UNDEFINED:
	case VALUE_NONE:
	case VALUE_BOOL: /* numbers: above */
	case VALUE_INT:
	case VALUE_FLOAT:
		equal = true;
		break;
	case VALUE_STRING:
		equal = a.as.text.len == b.as.text.len && render_charge_bytes(r, a.as.text.len) &&
		        text_equal(a.as.text, b.as.text);
		break;
	case VALUE_LIST:
	case VALUE_TUPLE:
		equal = a.as.list->n == b.as.list->n;
		for (size_t i = 0; equal && i < a.as.list->n && render_charge(r, 1); i++)
			equal = value_equal(r, a.as.list->items[i], b.as.list->items[i]);
		break;
	case VALUE_DICT:
		equal = dicts_equal(r, a.as.dict, b.as.dict);
		break;
	case VALUE_NAMESPACE:
		equal = a.as.dict == b.as.dict;
		break;
	case VALUE_LOOP:
		equal = a.as.loop == b.as.loop;
		break;
	case VALUE_FUNCTION:
		equal = a.as.function == b.as.function;
		break;
	}
	render_leave(r);
	return equal;
}

static int compare_lists(struct render *r, const struct value_list *a, const struct value_list *b)
{
	for (size_t i = 0; i < a->n && i < b->n && render_charge(r, 1); i++) {
		if (!value_equal(r, a->items[i], b->items[i]))
			return value_compare(r, a->items[i], b->items[i]);
	}
	return (a->n > b->n) - (a->n < b->n);
}

int value_compare(struct render *r, struct value a, struct value b)
{
	int order = 0;

	if (value_is_number(a) && value_is_number(b)) {
		if (a.type == VALUE_FLOAT || b.type == VALUE_FLOAT)
			return (value_real(a) > value_real(b)) - (value_real(a) < value_real(b));
		return (value_integer(a) > value_integer(b)) -
		       (value_integer(a) < value_integer(b));
	}
	if (a.type == VALUE_STRING && b.type == VALUE_STRING) {
		struct text s = a.as.text;
		struct text t = b.as.text;
		size_t n = s.len < t.len ? s.len : t.len;

		if (render_charge_bytes(r, n) && n > 0)
			order = memcmp(s.data, t.data, n);
		return order != 0 ? order : (s.len > t.len) - (s.len < t.len);
	}
	if (value_is_list(a) && a.type == b.type) {
		if (render_enter(r)) {
			order = compare_lists(r, a.as.list, b.as.list);
			render_leave(r);
		}
		return order;
	}
	if (a.type == VALUE_UNDEFINED || b.type == VALUE_UNDEFINED) {
		struct text name = (a.type == VALUE_UNDEFINED ? a : b).as.text;

		render_fail(r, AYNI_ERR_FORMAT, "'%.*s' is undefined", (int)name.len, name.data);
	} else {
		render_fail(r, AYNI_ERR_FORMAT, "%s and %s have no order", value_type_name(a),
		    value_type_name(b));
	}
	return 0;
}

bool value_contains(struct render *r, struct value container, struct value item)
{
	const struct value_list *items;

	if (container.type == VALUE_STRING) {
		if (item.type != VALUE_STRING) {
			render_fail(r, AYNI_ERR_FORMAT, "'in' a string needs a string, not %s",
			    value_type_name(item));
			return false;
		}
		return render_charge_bytes(r, container.as.text.len) &&
		       text_find(container.as.text, item.as.text, 0) != SIZE_MAX;
	}
	if (container.type == VALUE_DICT)
		return dict_find(r, container.as.dict, item) != NULL;
	items = value_items(r, container);
	for (size_t i = 0; i < items->n && render_charge(r, 1); i++) {
		if (value_equal(r, items->items[i], item))
			return true;
	}
	return false;
}

const struct value_list *value_items(struct render *r, struct value v)
{
	static const struct value_list empty;
	struct value list;

	if (value_is_list(v))
		return v.as.list;
	if (v.type == VALUE_UNDEFINED)
		return &empty;
	list = value_list(r);
	if (v.type == VALUE_DICT) {
		for (size_t i = 0; i < v.as.dict->n; i++)
			list_append(r, list, v.as.dict->entries[i].key);
	} else if (v.type == VALUE_STRING) {
		struct text s = v.as.text;

		for (size_t at = 0; at < s.len && r->code == AYNI_OK;) {
			size_t size = utf8_size(s.data[at]);

			list_append(r, list, value_string(text_sub(s, at, at + size)));
			at += size;
		}
	} else {
		render_fail(
		    r, AYNI_ERR_FORMAT, "%s cannot be gone through in a loop", value_type_name(v));
	}
	return r->code == AYNI_OK ? list.as.list : &empty;
}

int64_t value_length(struct value v)
{
	switch (v.type) {
	case VALUE_UNDEFINED:
		return 0;
	case VALUE_STRING:
		return (int64_t)text_length(v.as.text);
	case VALUE_LIST:
	case VALUE_TUPLE:
		return (int64_t)v.as.list->n;
	case VALUE_DICT:
		return (int64_t)v.as.dict->n;
	case VALUE_LOOP:
		return (int64_t)v.as.loop->items->n;
	case VALUE_NONE:
	case VALUE_BOOL:
	case VALUE_INT:
	case VALUE_FLOAT:
	case VALUE_NAMESPACE:
	case VALUE_FUNCTION:
		return -1;
	}
	return -1;
}
