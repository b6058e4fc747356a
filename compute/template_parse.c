/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to statements, and the parser's helpers. The parser is poisoned by its first error: the
 * current token then is the last one, TOKEN_END, which no loop takes.
 */
#include "compute/template_parser.h"

static struct node *parse_body(struct parser *p);

void parse_fail(struct parser *p, enum ayni_error code, const char *fmt, ...)
{
	char text[ERROR_TEXT_BYTES / 2];
	va_list ap;

	if (p->code == AYNI_OK) {
		va_start(ap, fmt);
		(void)vsnprintf(text, sizeof text, fmt, ap);
		va_end(ap);
		p->code =
		    error_set(p->err, code, "template line %u: %s", (unsigned)p->token->line, text);
	}
	while (p->token->type != TOKEN_END)
		p->token++;
}

struct node *parse_node(struct parser *p, enum node_kind kind)
{
	struct node *n = arena_alloc(p->arena, 1, sizeof *n);

	if (n == NULL) {
		parse_fail(p, AYNI_ERR_MEMORY, "out of memory");
		n = &p->ignored;
		memset(n, 0, sizeof *n);
	}
	n->kind = kind;
	n->line = p->token->line;
	return n;
}

void parse_next(struct parser *p)
{
	if (p->token->type != TOKEN_END)
		p->token++;
}

bool parse_at_op(const struct parser *p, enum op op)
{
	return p->token->type == TOKEN_OPERATOR && p->token->op == op;
}

bool parse_at_name(const struct parser *p, const char *name)
{
	return p->token->type == TOKEN_NAME && text_is(p->token->text, name);
}

bool parse_skip_op(struct parser *p, enum op op)
{
	if (!parse_at_op(p, op))
		return false;
	parse_next(p);
	return true;
}

bool parse_skip_name(struct parser *p, const char *name)
{
	if (!parse_at_name(p, name))
		return false;
	parse_next(p);
	return true;
}

/* "... is missing before 'x'", x being the current token. */
static void fail_missing(struct parser *p, const char *what)
{
	enum { SHOWN_BYTES = 32 };
	const struct token *t = p->token;
	size_t len = t->text.len < SHOWN_BYTES ? t->text.len : SHOWN_BYTES;

	if (t->type == TOKEN_END)
		parse_fail(p, AYNI_ERR_FORMAT, "%s is missing before the end", what);
	else
		parse_fail(p, AYNI_ERR_FORMAT, "%s is missing before '%.*s'", what, (int)len,
		    t->text.data);
}

void parse_expect_op(struct parser *p, enum op op, const char *what)
{
	if (!parse_skip_op(p, op))
		fail_missing(p, what);
}

struct text parse_expect_name(struct parser *p, const char *what)
{
	struct text name = p->token->text;

	if (p->token->type != TOKEN_NAME) {
		fail_missing(p, what);
		return (struct text){"", 0};
	}
	parse_next(p);
	return name;
}

bool parse_enter(struct parser *p)
{
	if (p->nesting == TEMPLATE_MAX_NESTING) {
		parse_fail(p, AYNI_ERR_LIMIT, "nested more than %d deep", TEMPLATE_MAX_NESTING);
		return false;
	}
	p->nesting++;
	return true;
}

void parse_leave(struct parser *p)
{
	p->nesting--;
}

static void expect_block_end(struct parser *p)
{
	if (p->token->type != TOKEN_BLOCK_END)
		fail_missing(p, "'%}'");
	parse_next(p);
}

/* After "{% keyword ... %}": statements up to a tag whose name no statement has. */
static struct node *parse_inner(struct parser *p)
{
	(void)parse_skip_op(p, OP_COLON);
	expect_block_end(p);
	return parse_body(p);
}

/* "{% name %}", which closes a statement. */
static void expect_end(struct parser *p, const char *name)
{
	if (p->token->type == TOKEN_BLOCK_BEGIN)
		parse_next(p);
	if (!parse_skip_name(p, name))
		fail_missing(p, name);
	expect_block_end(p);
}

/* "{% name" of a part that follows, as elif; takes both. */
static bool skip_part(struct parser *p, const char *name)
{
	if (p->token->type != TOKEN_BLOCK_BEGIN || p->token[1].type != TOKEN_NAME ||
	    !text_is(p->token[1].text, name))
		return false;
	parse_next(p);
	parse_next(p);
	return true;
}

static void parse_if(struct parser *p, struct node *n)
{
	struct node **end = &n->list;
	bool has_else = false;

	do {
		struct node *branch = parse_node(p, NODE_BRANCH);

		if (!has_else)
			branch->a = parse_tuple(p, false);
		branch->body = parse_inner(p);
		*end = branch;
		end = &branch->next;
		if (has_else)
			break;
		has_else = skip_part(p, "else");
	} while (has_else || skip_part(p, "elif"));
	expect_end(p, "endif");
}

static void parse_for(struct parser *p, struct node *n)
{
	n->a = parse_target(p);
	if (!parse_skip_name(p, "in"))
		fail_missing(p, "'in'");
	n->b = parse_tuple(p, false);
	if (parse_skip_name(p, "if"))
		n->c = parse_expression(p);
	if (parse_at_name(p, "recursive"))
		parse_fail(p, AYNI_ERR_UNSUPPORTED, "recursive loops are not supported");
	n->body = parse_inner(p);
	if (skip_part(p, "else"))
		n->otherwise = parse_inner(p);
	expect_end(p, "endfor");
}

static struct node *parse_set_target(struct parser *p)
{
	struct node *target = parse_target(p);

	if (target->kind == NODE_NAME && parse_skip_op(p, OP_DOT)) {
		struct node *n = parse_node(p, NODE_ATTRIBUTE);

		n->a = target;
		n->text = parse_expect_name(p, "a name after '.'");
		return n;
	}
	return target;
}

static void parse_set(struct parser *p, struct node *n)
{
	n->a = parse_set_target(p);
	if (parse_skip_op(p, OP_ASSIGN)) {
		n->b = parse_tuple(p, true);
		expect_block_end(p);
		return;
	}
	n->kind = NODE_SET_BLOCK;
	n->b = parse_filters(p, NULL, false);
	n->body = parse_inner(p);
	expect_end(p, "endset");
}

static void parse_with(struct parser *p, struct node *n)
{
	struct node **end = &n->list;

	while (p->token->type == TOKEN_NAME || parse_at_op(p, OP_COMMA)) {
		struct node *set;

		if (n->list != NULL)
			parse_expect_op(p, OP_COMMA, "','");
		set = parse_node(p, NODE_SET);
		set->a = parse_node(p, NODE_NAME);
		set->a->text = parse_expect_name(p, "the name of a variable");
		parse_expect_op(p, OP_ASSIGN, "'='");
		set->b = parse_expression(p);
		*end = set;
		end = &set->next;
	}
	n->body = parse_inner(p);
	expect_end(p, "endwith");
}

/* "(a, b=1)" */
static void parse_parameters(struct parser *p, struct node *n)
{
	struct node **end = &n->list;
	bool had_default = false;

	parse_expect_op(p, OP_LPAREN, "'('");
	while (!parse_at_op(p, OP_RPAREN) && p->token->type != TOKEN_END) {
		struct node *parameter;

		if (n->list != NULL)
			parse_expect_op(p, OP_COMMA, "',' or ')'");
		parameter = parse_node(p, NODE_KEYWORD);
		parameter->text = parse_expect_name(p, "the name of a parameter");
		if (parse_skip_op(p, OP_ASSIGN)) {
			parameter->a = parse_expression(p);
			had_default = true;
		} else if (had_default) {
			parse_fail(
			    p, AYNI_ERR_FORMAT, "parameter without a default after one with it");
		}
		*end = parameter;
		end = &parameter->next;
	}
	parse_expect_op(p, OP_RPAREN, "')'");
}

static void parse_macro(struct parser *p, struct node *n)
{
	n->text = parse_expect_name(p, "the name of a macro");
	parse_parameters(p, n);
	n->body = parse_inner(p);
	expect_end(p, "endmacro");
}

static void parse_call_block(struct parser *p, struct node *n)
{
	n->text = (struct text){"caller", 6};
	if (parse_at_op(p, OP_LPAREN))
		parse_parameters(p, n);
	n->a = parse_expression(p);
	if (n->a->kind != NODE_CALL)
		parse_fail(p, AYNI_ERR_FORMAT, "'call' needs the call of a macro");
	n->body = parse_inner(p);
	expect_end(p, "endcall");
}

static void parse_filter_block(struct parser *p, struct node *n)
{
	n->b = parse_filters(p, NULL, true);
	n->body = parse_inner(p);
	expect_end(p, "endfilter");
}

static void parse_generation(struct parser *p, struct node *n)
{
	n->body = parse_inner(p);
	expect_end(p, "endgeneration");
}

static void parse_jump(struct parser *p, struct node *n)
{
	(void)n;
	expect_block_end(p);
}

static const struct statement {
	const char *name;
	enum node_kind kind;
	void (*parse)(struct parser *p, struct node *n); /* NULL: known, and refused */
} statements[] = {
    {"if", NODE_IF, parse_if},
    {"for", NODE_FOR, parse_for},
    {"set", NODE_SET, parse_set},
    {"with", NODE_WITH, parse_with},
    {"macro", NODE_MACRO, parse_macro},
    {"call", NODE_CALL_BLOCK, parse_call_block},
    {"filter", NODE_FILTER_BLOCK, parse_filter_block},
    {"generation", NODE_SCOPE, parse_generation},
    {"break", NODE_BREAK, parse_jump},
    {"continue", NODE_CONTINUE, parse_jump},
    {"include", NODE_SCOPE, NULL},
    {"import", NODE_SCOPE, NULL},
    {"from", NODE_SCOPE, NULL},
    {"extends", NODE_SCOPE, NULL},
    {"block", NODE_SCOPE, NULL},
    {"autoescape", NODE_SCOPE, NULL},
    {"print", NODE_SCOPE, NULL},
    {"do", NODE_SCOPE, NULL},
};

/* The statement whose name is at the token after "{%". */
static const struct statement *find_statement(const struct parser *p)
{
	for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
		if (p->token[1].type == TOKEN_NAME && text_is(p->token[1].text, statements[i].name))
			return &statements[i];
	}
	return NULL;
}

static struct node *parse_statement(struct parser *p, const struct statement *s)
{
	struct node *n;

	parse_next(p);
	n = parse_node(p, s->kind);
	if (s->parse == NULL) {
		parse_fail(p, AYNI_ERR_UNSUPPORTED, "statement '%s' is not supported", s->name);
	} else if (parse_enter(p)) {
		parse_next(p);
		s->parse(p, n);
		parse_leave(p);
	}
	return n;
}

/* Statements up to the end, or to a tag that is no statement (which the caller looks at). */
static struct node *parse_body(struct parser *p)
{
	struct node *first = NULL;
	struct node **end = &first;

	while (p->token->type != TOKEN_END) {
		struct node *n;

		if (p->token->type == TOKEN_DATA) {
			n = parse_node(p, NODE_TEXT);
			n->text = p->token->text;
			parse_next(p);
		} else if (p->token->type == TOKEN_OUTPUT_BEGIN) {
			n = parse_node(p, NODE_OUTPUT);
			parse_next(p);
			n->a = parse_tuple(p, true);
			if (p->token->type != TOKEN_OUTPUT_END)
				fail_missing(p, "'}}'");
			parse_next(p);
		} else {
			const struct statement *s = find_statement(p);

			if (s == NULL)
				break;
			n = parse_statement(p, s);
		}
		*end = n;
		end = &n->next;
	}
	return first;
}

int template_parse_tokens(
    const struct token *tokens, struct arena *arena, struct node **body, struct error *err)
{
	struct parser p = {.arena = arena, .token = tokens, .err = err};

	*body = parse_body(&p);
	if (p.token->type != TOKEN_END) {
		parse_next(&p);
		if (p.token->type == TOKEN_NAME)
			parse_fail(&p, AYNI_ERR_FORMAT, "unexpected '%.*s'",
			    (int)(p.token->text.len < 32 ? p.token->text.len : 32),
			    p.token->text.data);
		else
			parse_fail(&p, AYNI_ERR_FORMAT, "the name of a statement is missing");
	}
	return p.code;
}
