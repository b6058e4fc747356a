/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the chat template language.
 *
 * Values are passed by copy; what they point to lies in the rendering's arena, in the syntax tree
 * or in the caller's json_t, all of which outlive them. Strings never change; lists only grow.
 *
 * Whatever takes a `struct render` charges its budget there and records its errors there; after the
 * first error it gives back some harmless value.
 */
#ifndef AYNI_COMPUTE_TEMPLATE_VALUE_H
#define AYNI_COMPUTE_TEMPLATE_VALUE_H

#include "compute/template_internal.h"

struct render; /* template_render.h */
struct buffer;

enum value_type {
	VALUE_UNDEFINED, /* as.text: the name that was looked for */
	VALUE_NONE,
	VALUE_BOOL,
	VALUE_INT,
	VALUE_FLOAT,
	VALUE_STRING,
	VALUE_LIST,
	VALUE_TUPLE,
	VALUE_DICT,
	VALUE_NAMESPACE, /* as.dict */
	VALUE_LOOP,      /* the variable `loop` */
	VALUE_FUNCTION
};

struct value {
	enum value_type type;
	bool is_safe; /* of a string made by `safe` or `escape`: + escapes what is added to it */
	union {
		bool boolean;
		int64_t integer;
		double real;
		struct text text;
		struct value_list *list;
		struct value_dict *dict;
		const struct loop *loop;
		const struct function *function;
	} as;
};

struct value_list {
	struct value *items;
	size_t n;
	size_t capacity;
};

/* Keys in order of insertion, found by looking through them: those of templates are few. */
struct value_dict {
	struct value_entry {
		struct value key;
		struct value value;
	} * entries;
	size_t n;
	size_t capacity;
};

struct loop {
	const struct value_list *items;
	size_t index; /* of the current item */
};

/* A builtin, perhaps of an object (`self`), or a macro with the scope it was defined in. */
struct function {
	const struct builtin *builtin;
	struct value self;
	const struct node *macro;
	struct scope *scope;
};

static inline struct value value_undefined(struct text name)
{
	return (struct value){.type = VALUE_UNDEFINED, .as = {.text = name}};
}

static inline struct value value_none(void)
{
	return (struct value){.type = VALUE_NONE, .as = {.integer = 0}};
}

static inline struct value value_bool(bool b)
{
	return (struct value){.type = VALUE_BOOL, .as = {.boolean = b}};
}

static inline struct value value_int(int64_t i)
{
	return (struct value){.type = VALUE_INT, .as = {.integer = i}};
}

static inline struct value value_float(double d)
{
	return (struct value){.type = VALUE_FLOAT, .as = {.real = d}};
}

static inline struct value value_string(struct text t)
{
	return (struct value){.type = VALUE_STRING, .as = {.text = t}};
}

/* Containers are empty values of their type, or undefined after an error. Adding to what is no such
 * container does nothing. */
struct value value_list(struct render *r);
struct value value_tuple(struct render *r, struct value a, struct value b);
struct value value_dict(struct render *r);
struct value value_function(struct render *r, struct function f);
void list_append(struct render *r, struct value list, struct value item);
/* Without looking for the key: it must be new. */
void dict_append(struct render *r, struct value dict, struct value key, struct value v);
void dict_set(struct render *r, struct value dict, struct value key, struct value v);
const struct value *dict_find(struct render *r, const struct value_dict *d, struct value key);

const char *value_type_name(struct value v); /* as Python names it */
bool value_is_number(struct value v);        /* bool, int or float */
bool value_is_list(struct value v);          /* list or tuple */
bool value_truth(struct value v);
double value_real(struct value v);     /* of a number */
int64_t value_integer(struct value v); /* of a bool or int */
bool value_equal(struct render *r, struct value a, struct value b);
/* < 0, 0, > 0; fails for values that have no order. */
int value_compare(struct render *r, struct value a, struct value b);
bool value_contains(struct render *r, struct value container, struct value item);
/* The items of a list, tuple, dict (keys), string (code points) or undefined as a list; fails for
 * others. Never NULL. */
const struct value_list *value_items(struct render *r, struct value v);
/* Number of items; -1 if the value has none. */
int64_t value_length(struct value v);
/* v[i]; undefined if there is no such item. */
struct value value_index(struct render *r, struct value v, struct value i);
/* from, to and step may be none. */
struct value value_slice(
    struct render *r, struct value v, struct value from, struct value to, struct value step);

/* ---- template_format.c: values to text ------------------------------------------------------- */

/* Python's str(): undefined is empty. */
struct text format_str(struct render *r, struct value v);
void format_to(struct render *r, struct buffer *b, struct value v);
/* Python's json.dumps with ensure_ascii=False; indent < 0: on one line. */
struct value format_json(struct render *r, struct value v, int64_t indent, bool ascii, bool sorted);

/* ---- template_arithmetic.c ------------------------------------------------------------------- */

struct value arithmetic(struct render *r, enum op op, struct value a, struct value b);
struct value arithmetic_negate(struct render *r, struct value a);
/* fmt % arguments, of %s %r %d %i %f %% with flags and widths as in C. */
struct value arithmetic_format(struct render *r, struct text fmt, struct value arguments);

#endif
