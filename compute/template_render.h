/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one rendering: its memory, its budget of steps, its variables, where its text goes.
 *
 * It is poisoned by its first error (render_fail): evaluations then give back undefined and loops
 * stop, as render_charge answers false.
 */
#ifndef AYNI_COMPUTE_TEMPLATE_RENDER_H
#define AYNI_COMPUTE_TEMPLATE_RENDER_H

#include "compute/template_value.h"

struct scope {
	struct scope *parent;
	struct variable {
		struct variable *next;
		struct text name;
		struct value value;
	} * variables;
};

/* Text being written. */
struct buffer {
	char *data;
	size_t len;
	size_t capacity;
};

struct render {
	struct arena arena;
	uint64_t steps_left;
	unsigned depth;
	uint32_t line; /* of the node being evaluated, for messages */
	struct buffer *out;
	const struct value_dict *context;
	struct scope *scope;
	struct text captured; /* what a filter block or set block filters */
	unsigned loop_depth;
	enum { JUMP_NONE, JUMP_BREAK, JUMP_CONTINUE } jump;
	int code; /* first error */
	struct error *err;
};

struct call; /* template_builtins.h: the arguments of a call */

/* ---- template_exec.c: statements ---- */
void exec_body(struct render *r, const struct node *body);
struct value exec_macro(struct render *r, const struct function *macro, const struct call *call);
/* ---- template_eval.c: expressions ---- */
struct value eval(struct render *r, const struct node *n);
struct value eval_call(struct render *r, const struct node *n, const struct value *caller);
struct value eval_function(struct render *r, struct value callee, const struct call *call);
struct variable *scope_find(struct render *r, struct scope *s, struct text name);
void scope_set(struct render *r, struct scope *s, struct text name, struct value v);

/* ---- template_value.c ------------------------------------------------------------------------ */

/* Record the first error; gives back undefined. */
__attribute__((format(printf, 3, 4))) struct value render_fail(
    struct render *r, enum ayni_error code, const char *fmt, ...);
/* Take steps from the budget; false after an error or when it is used up. */
bool render_charge(struct render *r, uint64_t steps);
/* The same for work on bytes of text. */
bool render_charge_bytes(struct render *r, size_t bytes);
/* Bracket each evaluation inside another. */
bool render_enter(struct render *r);
void render_leave(struct render *r);
/* Memory, or NULL after render_fail. */
void *render_alloc(struct render *r, size_t n, size_t element_bytes);

void buffer_append(struct render *r, struct buffer *b, struct text t);
void buffer_append_string(struct render *r, struct buffer *b, const char *s);
struct value buffer_value(const struct buffer *b);

#endif
