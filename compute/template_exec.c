/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Execution of statements. A `set` writes to the innermost scope: a loop turn, a macro, a `with`, a
 * block; `if` has none of its own. Macros see the scope in which they were defined.
 */
#include "compute/template_builtins.h"

static struct scope *open_scope(struct render *r, struct scope *parent)
{
	struct scope *s = render_alloc(r, 1, sizeof *s);

	if (s != NULL)
		s->parent = parent;
	return s;
}

/* Run a body in a scope of its own, its output going to *out. */
static void exec_captured(struct render *r, const struct node *body, struct buffer *out)
{
	struct buffer *outer_out = r->out;
	struct scope *outer = r->scope;
	struct scope *inner = open_scope(r, outer);

	if (inner == NULL)
		return;
	r->scope = inner;
	r->out = out;
	exec_body(r, body);
	r->out = outer_out;
	r->scope = outer;
}

static void assign(struct render *r, const struct node *target, struct value v)
{
	const struct value_list *items;
	const struct node *part;
	size_t i = 0;

	if (r->code != AYNI_OK)
		return;
	if (target->kind == NODE_NAME) {
		scope_set(r, r->scope, target->text, v);
		return;
	}
	if (target->kind == NODE_ATTRIBUTE) {
		struct value obj = eval(r, target->a);

		if (obj.type == VALUE_NAMESPACE)
			dict_set(r, obj, value_string(target->text), v);
		else
			render_fail(
			    r, AYNI_ERR_FORMAT, "only attributes of a namespace can be set");
		return;
	}
	items = value_items(r, v);
	for (part = target->list; part != NULL && i < items->n && r->code == AYNI_OK;
	     part = part->next)
		assign(r, part, items->items[i++]);
	if (part != NULL || i < items->n)
		render_fail(
		    r, AYNI_ERR_FORMAT, "cannot spread %zu values over the names", items->n);
}

/* The items for which the loop's own `if` holds. */
static const struct value_list *filter_items(
    struct render *r, const struct node *n, const struct value_list *items)
{
	struct scope *outer = r->scope;
	struct value kept = value_list(r);

	for (size_t i = 0; i < items->n && render_charge(r, 1); i++) {
		r->scope = open_scope(r, outer);
		if (r->scope == NULL)
			break;
		assign(r, n->a, items->items[i]);
		if (value_truth(eval(r, n->c)))
			list_append(r, kept, items->items[i]);
	}
	r->scope = outer;
	return r->code == AYNI_OK ? kept.as.list : items;
}

static void exec_for(struct render *r, const struct node *n)
{
	struct value sequence = eval(r, n->b);
	struct scope *outer = r->scope;
	const struct value_list *items;
	struct loop *loop = render_alloc(r, 1, sizeof *loop);
	bool completed = false; /* a turn without break or continue, as Jinja sees it */

	if (loop == NULL)
		return;
	items = value_items(r, sequence);
	if (n->c != NULL)
		items = filter_items(r, n, items);
	loop->items = items;
	r->loop_depth++;
	for (; loop->index < items->n && render_charge(r, 1); loop->index++) {
		r->scope = open_scope(r, outer);
		if (r->scope == NULL)
			break;
		assign(r, n->a, items->items[loop->index]);
		scope_set(r, r->scope, (struct text){"loop", 4},
		    (struct value){.type = VALUE_LOOP, .as = {.loop = loop}});
		exec_body(r, n->body);
		if (r->jump == JUMP_BREAK)
			break;
		completed = completed || r->jump == JUMP_NONE;
		r->jump = JUMP_NONE;
	}
	r->jump = JUMP_NONE;
	r->loop_depth--;
	r->scope = outer;
	if (!completed && r->code == AYNI_OK && n->otherwise != NULL) {
		r->scope = open_scope(r, outer);
		if (r->scope != NULL)
			exec_body(r, n->otherwise);
		r->scope = outer;
	}
}

static void exec_if(struct render *r, const struct node *n)
{
	for (const struct node *branch = n->list; branch != NULL; branch = branch->next) {
		if (branch->a == NULL || value_truth(eval(r, branch->a))) {
			exec_body(r, branch->body);
			return;
		}
		if (r->code != AYNI_OK)
			return;
	}
}

/* The text of a body, run through filters if there are any. */
static struct value exec_filtered(struct render *r, const struct node *n)
{
	struct buffer b = {NULL, 0, 0};
	struct text outer = r->captured;
	struct value v;

	exec_captured(r, n->body, &b);
	v = buffer_value(&b);
	if (n->b != NULL && r->jump == JUMP_NONE) {
		r->captured = v.as.text;
		v = eval(r, n->b);
	}
	r->captured = outer;
	return v;
}

static void exec_with(struct render *r, const struct node *n)
{
	struct scope *outer = r->scope;
	struct scope *inner = open_scope(r, outer);

	if (inner == NULL)
		return;
	/* Values are evaluated outside. */
	for (const struct node *set = n->list; set != NULL && r->code == AYNI_OK; set = set->next)
		scope_set(r, inner, set->a->text, eval(r, set->b));
	r->scope = inner;
	exec_body(r, n->body);
	r->scope = outer;
}

static void exec_call_block(struct render *r, const struct node *n)
{
	struct value caller = value_function(r, (struct function){.macro = n, .scope = r->scope});

	if (r->code == AYNI_OK)
		format_to(r, r->out, eval_call(r, n->a, &caller));
}

static bool bind_parameters(
    struct render *r, const struct node *macro, const struct call *call, struct scope *scope)
{
	size_t i = 0;
	size_t used = 0;

	for (const struct node *p = macro->list; p != NULL && r->code == AYNI_OK;
	     p = p->next, i++) {
		struct value v = value_undefined(p->text);
		bool given = i < call->n_args;

		if (given)
			v = call->args[i];
		render_charge(r, call->n_keywords);
		for (size_t k = 0; k < call->n_keywords; k++) {
			if (!text_equal(call->keywords[k].name, p->text))
				continue;
			if (given)
				render_fail(r, AYNI_ERR_FORMAT, "a macro got '%.*s' twice",
				    (int)(p->text.len < 64 ? p->text.len : 64), p->text.data);
			v = call->keywords[k].value;
			given = true;
			used++;
		}
		if (!given && p->a != NULL)
			v = eval(r, p->a);
		scope_set(r, scope, p->text, v);
	}
	for (size_t k = 0; k < call->n_keywords; k++) {
		if (text_is(call->keywords[k].name, "caller") &&
		    scope_find(r, &(struct scope){NULL, scope->variables},
		        call->keywords[k].name) == NULL) {
			scope_set(r, scope, call->keywords[k].name, call->keywords[k].value);
			used++;
		}
	}
	if (call->n_args > i || used < call->n_keywords)
		render_fail(r, AYNI_ERR_FORMAT, "macro '%.*s' does not take so many arguments",
		    (int)(macro->text.len < 64 ? macro->text.len : 64), macro->text.data);
	return r->code == AYNI_OK;
}

struct value exec_macro(struct render *r, const struct function *macro, const struct call *call)
{
	struct buffer b = {NULL, 0, 0};
	struct scope *outer = r->scope;
	struct buffer *outer_out = r->out;
	unsigned outer_loop_depth = r->loop_depth;

	r->scope = open_scope(r, macro->scope);
	if (r->scope != NULL && render_enter(r)) {
		r->loop_depth = 0;
		r->out = &b;
		if (bind_parameters(r, macro->macro, call, r->scope))
			exec_body(r, macro->macro->body);
		render_leave(r);
	}
	r->jump = JUMP_NONE;
	r->loop_depth = outer_loop_depth;
	r->out = outer_out;
	r->scope = outer;
	return buffer_value(&b);
}

static void exec_scope(struct render *r, const struct node *n)
{
	exec_captured(r, n->body, r->out);
}

static void exec_node(struct render *r, const struct node *n)
{
	switch (n->kind) {
	case NODE_TEXT:
		buffer_append(r, r->out, n->text);
		break;
	case NODE_OUTPUT:
		format_to(r, r->out, eval(r, n->a));
		break;
	case NODE_IF:
		exec_if(r, n);
		break;
	case NODE_FOR:
		exec_for(r, n);
		break;
	case NODE_SET:
		assign(r, n->a, eval(r, n->b));
		break;
	case NODE_SET_BLOCK:
		assign(r, n->a, exec_filtered(r, n));
		break;
	case NODE_WITH:
		exec_with(r, n);
		break;
	case NODE_MACRO:
		scope_set(r, r->scope, n->text,
		    value_function(r, (struct function){.macro = n, .scope = r->scope}));
		break;
	case NODE_CALL_BLOCK:
		exec_call_block(r, n);
		break;
	case NODE_FILTER_BLOCK:
		format_to(r, r->out, exec_filtered(r, n));
		break;
	case NODE_SCOPE:
		exec_scope(r, n);
		break;
	case NODE_BREAK:
	case NODE_CONTINUE:
		if (r->loop_depth == 0)
			render_fail(r, AYNI_ERR_FORMAT, "break or continue outside of a loop");
		r->jump = n->kind == NODE_BREAK ? JUMP_BREAK : JUMP_CONTINUE;
		break;
	default: /* expressions and parts of statements stand in no body */
		render_fail(r, AYNI_ERR_FORMAT, "no statement");
		break;
	}
}

void exec_body(struct render *r, const struct node *body)
{
	if (!render_enter(r))
		return;
	for (; body != NULL && r->jump == JUMP_NONE && render_charge(r, 1); body = body->next) {
		r->line = body->line;
		exec_node(r, body);
	}
	render_leave(r);
}
