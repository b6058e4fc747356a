/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation of expressions: a walk over the tree that charges a step for each node.
 */
#include "compute/template_builtins.h"

#include "compute/template_text.h"

struct variable *scope_find(struct render *r, struct scope *s, struct text name)
{
	enum { SEEN_A_STEP = 16 };
	struct variable *found = NULL;
	uint64_t seen = 0;

	for (; s != NULL && found == NULL; s = s->parent) {
		seen++;
		for (struct variable *v = s->variables; v != NULL && found == NULL; v = v->next) {
			seen++;
			if (text_equal(v->name, name))
				found = v;
		}
	}
	return render_charge(r, seen / SEEN_A_STEP) ? found : NULL;
}

void scope_set(struct render *r, struct scope *s, struct text name, struct value v)
{
	struct scope alone = {NULL, s->variables};
	struct variable *variable = scope_find(r, &alone, name);

	if (variable == NULL) {
		variable = render_alloc(r, 1, sizeof *variable);
		if (variable == NULL)
			return;
		variable->name = name;
		variable->next = s->variables;
		s->variables = variable;
	}
	variable->value = v;
}

static struct value eval_name(struct render *r, struct text name)
{
	const struct variable *variable = scope_find(r, r->scope, name);
	const struct builtin *global;
	const struct value *found;

	if (variable != NULL)
		return variable->value;
	found = dict_find(r, r->context, value_string(name));
	if (found != NULL)
		return *found;
	global = builtin_find(template_globals, name);
	if (global != NULL)
		return value_function(r, (struct function){.builtin = global});
	return value_undefined(name);
}

static struct value eval_list(struct render *r, const struct node *n)
{
	struct value out = value_list(r);

	for (const struct node *item = n->list; item != NULL && r->code == AYNI_OK;
	     item = item->next)
		list_append(r, out, eval(r, item));
	if (n->kind == NODE_TUPLE && out.type == VALUE_LIST)
		out.type = VALUE_TUPLE;
	return out;
}

static struct value eval_dict(struct render *r, const struct node *n)
{
	struct value out = value_dict(r);

	for (const struct node *pair = n->list; pair != NULL && r->code == AYNI_OK;
	     pair = pair->next) {
		struct value key = eval(r, pair->a);

		dict_set(r, out, key, eval(r, pair->b));
	}
	return out;
}

static struct value eval_concat(struct render *r, const struct node *n)
{
	struct buffer b = {NULL, 0, 0};

	for (const struct node *item = n->list; item != NULL && r->code == AYNI_OK;
	     item = item->next)
		format_to(r, &b, eval(r, item));
	return buffer_value(&b);
}

static bool compare(struct render *r, enum op op, struct value a, struct value b)
{
	switch (op) {
	case OP_EQ:
		return value_equal(r, a, b);
	case OP_NE:
		return !value_equal(r, a, b);
	case OP_LT:
		return value_compare(r, a, b) < 0;
	case OP_LE:
		return value_compare(r, a, b) <= 0;
	case OP_GT:
		return value_compare(r, a, b) > 0;
	case OP_GE:
		return value_compare(r, a, b) >= 0;
	case OP_IN:
		return value_contains(r, b, a);
	default: /* the parser puts no other here */
		return !value_contains(r, b, a);
	}
}

/* a < b < c is a < b and b < c, each evaluated once. */
static struct value eval_compare(struct render *r, const struct node *n)
{
	struct value left = eval(r, n->a);
	bool holds = true;

	for (const struct node *o = n->list; o != NULL && holds && r->code == AYNI_OK;
	     o = o->next) {
		struct value right = eval(r, o->a);

		holds = r->code == AYNI_OK && compare(r, o->op, left, right);
		left = right;
	}
	return value_bool(holds);
}

static struct value eval_index(struct render *r, const struct node *n)
{
	struct value obj = eval(r, n->a);
	const struct node *slice = n->b;
	struct value from;
	struct value to;
	struct value step;

	if (slice->kind != NODE_SLICE) {
		struct value key = eval(r, slice);

		return r->code == AYNI_OK ? item_of(r, obj, key) : key;
	}
	from = slice->a == NULL ? value_none() : eval(r, slice->a);
	to = slice->b == NULL ? value_none() : eval(r, slice->b);
	step = slice->c == NULL ? value_none() : eval(r, slice->c);
	if (r->code != AYNI_OK)
		return value_none();
	if (obj.type == VALUE_UNDEFINED)
		return attribute_of(r, obj, (struct text){"slice", 5});
	return value_slice(r, obj, from, to, step);
}

/* Evaluate the arguments joined in `list`; false after an error. */
static bool eval_arguments(
    struct render *r, const struct node *list, const struct value *caller, struct call *call)
{
	size_t n = 1;
	struct value *args;
	struct keyword *keywords;

	*call = (struct call){NULL, 0, NULL, 0, 0};
	for (const struct node *a = list; a != NULL; a = a->next)
		n++;
	args = render_alloc(r, n, sizeof *args);
	keywords = render_alloc(r, n, sizeof *keywords);
	if (args == NULL || keywords == NULL)
		return false;
	for (const struct node *a = list; a != NULL && r->code == AYNI_OK; a = a->next) {
		if (a->kind == NODE_KEYWORD) {
			struct keyword *keyword = &keywords[call->n_keywords++];

			keyword->name = a->text;
			keyword->value = eval(r, a->a);
		} else {
			args[call->n_args++] = eval(r, a);
		}
	}
	if (caller != NULL)
		keywords[call->n_keywords++] = (struct keyword){{"caller", 6}, *caller};
	call->args = args;
	call->keywords = keywords;
	return r->code == AYNI_OK;
}

struct value eval_function(struct render *r, struct value callee, const struct call *call)
{
	if (callee.type == VALUE_UNDEFINED)
		return render_fail(r, AYNI_ERR_FORMAT, "'%.*s' is undefined",
		    (int)(callee.as.text.len < 64 ? callee.as.text.len : 64), callee.as.text.data);
	if (callee.type != VALUE_FUNCTION)
		return render_fail(
		    r, AYNI_ERR_FORMAT, "%s cannot be called", value_type_name(callee));
	if (callee.as.function->builtin != NULL)
		return builtin_run(r, callee.as.function->builtin, callee.as.function->self, call);
	return exec_macro(r, callee.as.function, call);
}

struct value eval_call(struct render *r, const struct node *n, const struct value *caller)
{
	struct value callee = eval(r, n->a);
	struct call call;

	if (!eval_arguments(r, n->list, caller, &call))
		return callee;
	r->line = n->line;
	return eval_function(r, callee, &call);
}

static struct value eval_filter(struct render *r, const struct node *n)
{
	struct value self = n->a == NULL ? value_string(r->captured) : eval(r, n->a);
	struct call call;

	if (!eval_arguments(r, n->list, NULL, &call))
		return self;
	return filter_run(r, n->text, self, &call);
}

static struct value eval_test(struct render *r, const struct node *n)
{
	struct value self = eval(r, n->a);
	struct call call;

	if (!eval_arguments(r, n->list, NULL, &call))
		return self;
	return value_bool(test_run(r, n->text, self, &call));
}

static struct value eval_binary(struct render *r, const struct node *n)
{
	struct value a = eval(r, n->a);
	struct value b = eval(r, n->b);

	if (r->code != AYNI_OK)
		return a;
	return arithmetic(r, n->op, a, b);
}

/* + and - before a value. */
static struct value eval_sign(struct render *r, const struct node *n)
{
	struct value a = eval(r, n->a);

	if (r->code != AYNI_OK)
		return a;
	if (!value_is_number(a))
		return render_fail(
		    r, AYNI_ERR_FORMAT, "a sign before %s is not possible", value_type_name(a));
	return n->kind == NODE_NEGATE ? arithmetic_negate(r, a)
	                              : arithmetic(r, OP_ADD, value_int(0), a);
}

static struct value eval_logic(struct render *r, const struct node *n)
{
	struct value a = eval(r, n->a);

	if (value_truth(a) == (n->kind == NODE_OR))
		return a;
	return eval(r, n->b);
}

static struct value eval_condition(struct render *r, const struct node *n)
{
	if (value_truth(eval(r, n->a)))
		return eval(r, n->b);
	return n->c == NULL ? value_undefined((struct text){"if without else", 15}) : eval(r, n->c);
}

static struct value eval_node(struct render *r, const struct node *n)
{
	struct value v;

	switch (n->kind) {
	case NODE_CONST_NONE:
		return value_none();
	case NODE_CONST_BOOL:
		return value_bool(n->integer != 0);
	case NODE_CONST_INT:
		return value_int(n->integer);
	case NODE_CONST_FLOAT:
		return value_float(n->real);
	case NODE_CONST_STRING:
		return value_string(n->text);
	case NODE_NAME:
		return eval_name(r, n->text);
	case NODE_LIST:
	case NODE_TUPLE:
		return eval_list(r, n);
	case NODE_DICT:
		return eval_dict(r, n);
	case NODE_NEGATE:
	case NODE_PLUS:
		return eval_sign(r, n);
	case NODE_NOT:
		return value_bool(!value_truth(eval(r, n->a)));
	case NODE_AND:
	case NODE_OR:
		return eval_logic(r, n);
	case NODE_BINARY:
		return eval_binary(r, n);
	case NODE_CONCAT:
		return eval_concat(r, n);
	case NODE_COMPARE:
		return eval_compare(r, n);
	case NODE_CONDITION:
		return eval_condition(r, n);
	case NODE_ATTRIBUTE:
		v = eval(r, n->a);
		return r->code == AYNI_OK ? attribute_of(r, v, n->text) : v;
	case NODE_INDEX:
		return eval_index(r, n);
	case NODE_CALL:
		return eval_call(r, n, NULL);
	case NODE_FILTER:
		return eval_filter(r, n);
	case NODE_TEST:
		return eval_test(r, n);
	default: /* parts of other nodes, and statements: no expressions */
		return render_fail(r, AYNI_ERR_FORMAT, "no expression");
	}
}

struct value eval(struct render *r, const struct node *n)
{
	struct value v = value_undefined((struct text){"", 0});
	uint32_t line = r->line;

	if (!render_charge(r, 1) || !render_enter(r))
		return v;
	r->line = n->line;
	v = eval_node(r, n);
	render_leave(r);
	if (r->code != AYNI_OK)
		return value_undefined((struct text){"", 0});
	r->line = line;
	return v;
}
