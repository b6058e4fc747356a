/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters, tests, global functions and methods: tables of C functions with the names of their
 * parameters, so that binding of positional and keyword arguments is written once.
 */
#ifndef AYNI_COMPUTE_TEMPLATE_BUILTINS_H
#define AYNI_COMPUTE_TEMPLATE_BUILTINS_H

#include "compute/template_render.h"

enum { BUILTIN_MAX_PARAMETERS = 4 };

struct call {
	const struct value *args;
	size_t n_args;
	const struct keyword {
		struct text name;
		struct value value;
	} * keywords;
	size_t n_keywords;
	unsigned given; /* once bound: bit i is set if parameter i was given */
};

struct builtin {
	const char *name;
	const char *parameters; /* "a b c"; NULL: called with the arguments as they are */
	size_t required;
	/* `self` is what a filter or test stands on, or a method's object. After binding,
	 * call->args has BUILTIN_MAX_PARAMETERS values, undefined where not given. */
	struct value (*run)(struct render *r, struct value self, const struct call *call);
};

/* Tables end with a builtin without a name. */
extern const struct builtin template_filters[];
extern const struct builtin template_list_filters[]; /* the filters that work on sequences */
extern const struct builtin template_tests[];
extern const struct builtin template_globals[];
extern const struct builtin template_string_methods[];
extern const struct builtin template_dict_methods[];
extern const struct builtin template_list_methods[];
extern const struct builtin template_loop_methods[];

const struct builtin *builtin_find(const struct builtin *table, struct text name);
struct value builtin_run(
    struct render *r, const struct builtin *b, struct value self, const struct call *call);
struct value filter_run(
    struct render *r, struct text name, struct value self, const struct call *call);
bool test_run(struct render *r, struct text name, struct value self, const struct call *call);

/* For builtins: argument i as text (fails if it is no string), as an integer or as truth. */
struct text arg_text(struct render *r, const struct call *call, size_t i);
int64_t arg_int(struct render *r, const struct call *call, size_t i, int64_t otherwise);
bool arg_bool(const struct call *call, size_t i, bool otherwise);
static inline bool arg_given(const struct call *call, size_t i)
{
	return (call->given >> i & 1) != 0;
}

/* obj.name: an item of a dict or namespace, a method, or a property of `loop`; else undefined. */
struct value attribute_of(struct render *r, struct value obj, struct text name);
/* obj['name'] or obj[index]: items first, then methods. */
struct value item_of(struct render *r, struct value obj, struct value key);
/* The text methods that are also filters. */
struct value text_replace(
    struct render *r, struct text s, struct text from, struct text to, int64_t count);
struct value text_cased(struct render *r, struct text s, int (*change)(int));
struct value text_title(struct render *r, struct text s, bool as_filter);
struct value text_strip(struct render *r, struct text s, struct text chars, bool left, bool right);
struct value text_escape(struct render *r, struct value v);
struct value text_capitalize(struct render *r, struct text s);
struct value text_join(
    struct render *r, struct text separator, const struct value_list *items, bool strings_only);

#endif
