/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to expressions, by recursive descent. One function a level of precedence, weakest first:
 *
 *   a if b else c    or    and    not    == < in ...    + -    ~    * / // %    **    - +
 *   .name [index] (call)    |filter  is test
 *
 * `~` binds more tightly than `+`, and a sign more tightly than `**`, as in Jinja.
 */
#include "compute/template_parser.h"

#include <stdlib.h>

static struct node *parse_unary(struct parser *p, bool with_filters);
static struct node *parse_or(struct parser *p);

/* A place where the next node of a list goes. */
struct node_list {
	struct node **end;
};

static void append(struct node_list *list, struct node *n)
{
	*list->end = n;
	list->end = &n->next;
}

static struct node *unary(struct parser *p, enum node_kind kind, struct node *a)
{
	struct node *n = parse_node(p, kind);

	n->a = a;
	return n;
}

static struct node *binary(
    struct parser *p, enum node_kind kind, enum op op, struct node *a, uint32_t line)
{
	struct node *n = parse_node(p, kind);

	n->op = op;
	n->a = a;
	n->line = line;
	return n;
}

static struct node *parse_string(struct parser *p)
{
	struct node *n = parse_node(p, NODE_CONST_STRING);

	n->text = p->token->text;
	parse_next(p);
	while (p->token->type == TOKEN_STRING) { /* 'a' 'b' is 'ab' */
		struct text a = n->text;
		struct text b = p->token->text;
		char *joined = arena_alloc(p->arena, a.len + b.len + 1, 1);

		if (joined == NULL) {
			parse_fail(p, AYNI_ERR_MEMORY, "out of memory");
			break;
		}
		memcpy(joined, a.data, a.len);
		memcpy(joined + a.len, b.data, b.len);
		n->text = (struct text){joined, a.len + b.len};
		parse_next(p);
	}
	return n;
}

static struct node *parse_number(struct parser *p)
{
	enum { NUMBER_BYTES = 64 };
	bool is_float = p->token->type == TOKEN_FLOAT;
	struct node *n = parse_node(p, is_float ? NODE_CONST_FLOAT : NODE_CONST_INT);
	struct text t = p->token->text;
	char digits[NUMBER_BYTES];
	size_t len = 0;

	if (t.len >= sizeof digits) {
		parse_fail(p, AYNI_ERR_LIMIT, "number of more than %d digits", NUMBER_BYTES - 1);
		return n;
	}
	for (size_t i = 0; i < t.len; i++) {
		if (t.data[i] != '_')
			digits[len++] = t.data[i];
	}
	digits[len] = '\0';
	if (is_float) {
		n->real = strtod(digits, NULL);
	} else {
		for (size_t i = 0; i < len; i++) {
			if (__builtin_mul_overflow(n->integer, 10, &n->integer) ||
			    __builtin_add_overflow(n->integer, digits[i] - '0', &n->integer)) {
				parse_fail(p, AYNI_ERR_LIMIT, "integer %s needs more than 64 bits",
				    digits);
				return n;
			}
		}
		if (digits[0] == '0' && n->integer != 0)
			parse_fail(p, AYNI_ERR_FORMAT, "integer %s begins with 0", digits);
	}
	parse_next(p);
	return n;
}

static struct node *parse_name(struct parser *p)
{
	static const struct {
		const char *name;
		enum node_kind kind;
		int64_t value;
	} constants[] = {
	    {"true", NODE_CONST_BOOL, 1},
	    {"True", NODE_CONST_BOOL, 1},
	    {"false", NODE_CONST_BOOL, 0},
	    {"False", NODE_CONST_BOOL, 0},
	    {"none", NODE_CONST_NONE, 0},
	    {"None", NODE_CONST_NONE, 0},
	};
	struct node *n = parse_node(p, NODE_NAME);

	n->text = p->token->text;
	for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
		if (text_is(n->text, constants[i].name)) {
			n->kind = constants[i].kind;
			n->integer = constants[i].value;
		}
	}
	parse_next(p);
	return n;
}

static struct node *parse_list(struct parser *p)
{
	struct node *n = parse_node(p, NODE_LIST);
	struct node_list items = {&n->list};

	parse_expect_op(p, OP_LBRACKET, "'['");
	while (!parse_at_op(p, OP_RBRACKET) && p->token->type != TOKEN_END) {
		if (n->list != NULL)
			parse_expect_op(p, OP_COMMA, "',' or ']'");
		if (!parse_at_op(p, OP_RBRACKET))
			append(&items, parse_expression(p));
	}
	parse_expect_op(p, OP_RBRACKET, "']'");
	return n;
}

static struct node *parse_dict(struct parser *p)
{
	struct node *n = parse_node(p, NODE_DICT);
	struct node_list items = {&n->list};

	parse_expect_op(p, OP_LBRACE, "'{'");
	while (!parse_at_op(p, OP_RBRACE) && p->token->type != TOKEN_END) {
		struct node *pair;

		if (n->list != NULL)
			parse_expect_op(p, OP_COMMA, "',' or '}'");
		if (parse_at_op(p, OP_RBRACE))
			break;
		pair = parse_node(p, NODE_PAIR);
		pair->a = parse_expression(p);
		parse_expect_op(p, OP_COLON, "':'");
		pair->b = parse_expression(p);
		append(&items, pair);
	}
	parse_expect_op(p, OP_RBRACE, "'}'");
	return n;
}

static struct node *parse_parentheses(struct parser *p)
{
	struct node *n;

	parse_expect_op(p, OP_LPAREN, "'('");
	n = parse_at_op(p, OP_RPAREN) ? parse_node(p, NODE_TUPLE) : parse_tuple(p, true);
	parse_expect_op(p, OP_RPAREN, "')'");
	return n;
}

static struct node *parse_primary(struct parser *p)
{
	struct node *n = NULL;

	if (!parse_enter(p))
		return parse_node(p, NODE_CONST_NONE);
	if (p->token->type == TOKEN_NAME)
		n = parse_name(p);
	else if (p->token->type == TOKEN_STRING)
		n = parse_string(p);
	else if (p->token->type == TOKEN_INTEGER || p->token->type == TOKEN_FLOAT)
		n = parse_number(p);
	else if (parse_at_op(p, OP_LPAREN))
		n = parse_parentheses(p);
	else if (parse_at_op(p, OP_LBRACKET))
		n = parse_list(p);
	else if (parse_at_op(p, OP_LBRACE))
		n = parse_dict(p);
	else
		parse_fail(p, AYNI_ERR_FORMAT, "an expression is missing");
	parse_leave(p);
	return n != NULL ? n : parse_node(p, NODE_CONST_NONE);
}

/* "(a, b, name=c)": arguments of a call, filter or test, joined in `into`. */
static void parse_arguments(struct parser *p, struct node *into)
{
	struct node_list arguments = {&into->list};
	bool had_keyword = false;

	parse_expect_op(p, OP_LPAREN, "'('");
	while (!parse_at_op(p, OP_RPAREN) && p->token->type != TOKEN_END) {
		if (into->list != NULL)
			parse_expect_op(p, OP_COMMA, "',' or ')'");
		if (parse_at_op(p, OP_RPAREN))
			break;
		if (parse_at_op(p, OP_MUL) || parse_at_op(p, OP_POW)) {
			parse_fail(
			    p, AYNI_ERR_UNSUPPORTED, "* and ** in arguments are not supported");
		} else if (p->token->type == TOKEN_NAME && p->token[1].type == TOKEN_OPERATOR &&
		           p->token[1].op == OP_ASSIGN) {
			struct node *keyword = parse_node(p, NODE_KEYWORD);

			keyword->text = p->token->text;
			parse_next(p);
			parse_next(p);
			keyword->a = parse_expression(p);
			append(&arguments, keyword);
			had_keyword = true;
		} else {
			if (had_keyword)
				parse_fail(p, AYNI_ERR_FORMAT, "argument after one with a name");
			append(&arguments, parse_expression(p));
		}
	}
	parse_expect_op(p, OP_RPAREN, "')'");
}

/* What stands in brackets after a value: an expression, or a slice "from:to:step". */
static struct node *parse_index(struct parser *p)
{
	struct node *n = NULL;
	struct node *slice;

	if (!parse_at_op(p, OP_COLON)) {
		n = parse_expression(p);
		if (!parse_at_op(p, OP_COLON))
			return n;
	}
	slice = unary(p, NODE_SLICE, n);
	parse_next(p);
	if (!parse_at_op(p, OP_COLON) && !parse_at_op(p, OP_RBRACKET))
		slice->b = parse_expression(p);
	if (parse_skip_op(p, OP_COLON) && !parse_at_op(p, OP_RBRACKET))
		slice->c = parse_expression(p);
	return slice;
}

static struct node *parse_call(struct parser *p, struct node *callee)
{
	struct node *n = unary(p, NODE_CALL, callee);

	parse_arguments(p, n);
	return n;
}

static struct node *parse_postfix(struct parser *p, struct node *n)
{
	for (;;) {
		if (parse_at_op(p, OP_LPAREN)) {
			n = parse_call(p, n);
		} else if (parse_skip_op(p, OP_DOT)) {
			if (p->token->type == TOKEN_INTEGER) {
				n = unary(p, NODE_INDEX, n);
				n->b = parse_number(p);
			} else {
				n = unary(p, NODE_ATTRIBUTE, n);
				n->text = parse_expect_name(p, "a name after '.'");
			}
		} else if (parse_skip_op(p, OP_LBRACKET)) {
			n = unary(p, NODE_INDEX, n);
			n->b = parse_index(p);
			parse_expect_op(p, OP_RBRACKET, "']'");
		} else {
			return n;
		}
	}
}

struct node *parse_filters(struct parser *p, struct node *inner, bool first_without_pipe)
{
	while (first_without_pipe || parse_skip_op(p, OP_PIPE)) {
		inner = unary(p, NODE_FILTER, inner);
		inner->text = parse_expect_name(p, "the name of a filter");
		if (parse_at_op(p, OP_LPAREN))
			parse_arguments(p, inner);
		first_without_pipe = false;
	}
	return inner;
}

static bool begins_test_argument(const struct parser *p)
{
	switch (p->token->type) {
	case TOKEN_NAME:
		return !parse_at_name(p, "else") && !parse_at_name(p, "or") &&
		       !parse_at_name(p, "and");
	case TOKEN_STRING:
	case TOKEN_INTEGER:
	case TOKEN_FLOAT:
		return true;
	case TOKEN_OPERATOR:
		return p->token->op == OP_LBRACKET || p->token->op == OP_LBRACE;
	case TOKEN_END:
	case TOKEN_DATA:
	case TOKEN_OUTPUT_BEGIN:
	case TOKEN_OUTPUT_END:
	case TOKEN_BLOCK_BEGIN:
	case TOKEN_BLOCK_END:
		return false;
	}
	return false;
}

/* After "is". An argument may stand without parentheses: x is divisibleby 3. */
static struct node *parse_test(struct parser *p, struct node *inner)
{
	bool negated = parse_skip_name(p, "not");
	struct node *n = unary(p, NODE_TEST, inner);

	n->text = parse_expect_name(p, "the name of a test");
	if (parse_at_op(p, OP_LPAREN)) {
		parse_arguments(p, n);
	} else if (begins_test_argument(p)) {
		if (parse_at_name(p, "is"))
			parse_fail(p, AYNI_ERR_FORMAT, "tests with 'is' cannot be chained");
		n->list = parse_postfix(p, parse_primary(p));
	}
	return negated ? unary(p, NODE_NOT, n) : n;
}

static struct node *parse_unary(struct parser *p, bool with_filters)
{
	struct node *n;

	if (parse_at_op(p, OP_SUB) || parse_at_op(p, OP_ADD)) {
		n = parse_node(p, parse_at_op(p, OP_SUB) ? NODE_NEGATE : NODE_PLUS);
		if (parse_enter(p)) {
			parse_next(p);
			n->a = parse_unary(p, false);
			parse_leave(p);
		} else {
			n->a = parse_node(p, NODE_CONST_NONE);
		}
	} else {
		n = parse_primary(p);
	}
	n = parse_postfix(p, n);
	while (with_filters) {
		if (parse_at_op(p, OP_PIPE))
			n = parse_filters(p, n, false);
		else if (parse_skip_name(p, "is"))
			n = parse_test(p, n);
		else if (parse_at_op(p, OP_LPAREN))
			n = parse_call(p, n);
		else
			break;
	}
	return n;
}

static struct node *parse_power(struct parser *p)
{
	struct node *n = parse_unary(p, true);

	while (parse_at_op(p, OP_POW)) {
		n = binary(p, NODE_BINARY, OP_POW, n, p->token->line);
		parse_next(p);
		n->b = parse_unary(p, true);
	}
	return n;
}

static struct node *parse_product(struct parser *p)
{
	struct node *n = parse_power(p);

	while (parse_at_op(p, OP_MUL) || parse_at_op(p, OP_DIV) || parse_at_op(p, OP_FLOOR_DIV) ||
	       parse_at_op(p, OP_MOD)) {
		n = binary(p, NODE_BINARY, p->token->op, n, p->token->line);
		parse_next(p);
		n->b = parse_power(p);
	}
	return n;
}

static struct node *parse_concat(struct parser *p)
{
	struct node *first = parse_product(p);
	struct node_list items;
	struct node *n;

	if (!parse_at_op(p, OP_TILDE))
		return first;
	n = parse_node(p, NODE_CONCAT);
	items.end = &n->list;
	append(&items, first);
	while (parse_skip_op(p, OP_TILDE))
		append(&items, parse_product(p));
	return n;
}

static struct node *parse_sum(struct parser *p)
{
	struct node *n = parse_concat(p);

	while (parse_at_op(p, OP_ADD) || parse_at_op(p, OP_SUB)) {
		n = binary(p, NODE_BINARY, p->token->op, n, p->token->line);
		parse_next(p);
		n->b = parse_concat(p);
	}
	return n;
}

/* The comparison at the current token, which is taken; OP_NONE if there is none. */
static enum op take_comparison(struct parser *p)
{
	enum op op = p->token->type == TOKEN_OPERATOR ? p->token->op : OP_NONE;

	if (parse_skip_name(p, "in"))
		return OP_IN;
	if (parse_at_name(p, "not") && p->token[1].type == TOKEN_NAME &&
	    text_is(p->token[1].text, "in")) {
		parse_next(p);
		parse_next(p);
		return OP_NOT_IN;
	}
	if (op < OP_EQ || op > OP_GE)
		return OP_NONE;
	parse_next(p);
	return op;
}

static struct node *parse_comparison(struct parser *p)
{
	struct node *first = parse_sum(p);
	enum op op = take_comparison(p);
	struct node_list operands;
	struct node *n;

	if (op == OP_NONE)
		return first;
	n = unary(p, NODE_COMPARE, first);
	operands.end = &n->list;
	for (; op != OP_NONE; op = take_comparison(p)) {
		struct node *operand = parse_node(p, NODE_OPERAND);

		operand->op = op;
		operand->a = parse_sum(p);
		append(&operands, operand);
	}
	return n;
}

static struct node *parse_not(struct parser *p)
{
	struct node *n;

	if (!parse_at_name(p, "not"))
		return parse_comparison(p);
	n = parse_node(p, NODE_NOT);
	if (!parse_enter(p)) {
		n->a = parse_node(p, NODE_CONST_NONE);
		return n;
	}
	parse_next(p);
	n->a = parse_not(p);
	parse_leave(p);
	return n;
}

static struct node *parse_and(struct parser *p)
{
	struct node *n = parse_not(p);

	while (parse_at_name(p, "and")) {
		n = binary(p, NODE_AND, OP_NONE, n, p->token->line);
		parse_next(p);
		n->b = parse_not(p);
	}
	return n;
}

static struct node *parse_or(struct parser *p)
{
	struct node *n = parse_and(p);

	while (parse_at_name(p, "or")) {
		n = binary(p, NODE_OR, OP_NONE, n, p->token->line);
		parse_next(p);
		n->b = parse_and(p);
	}
	return n;
}

struct node *parse_expression(struct parser *p)
{
	struct node *n;

	if (!parse_enter(p))
		return parse_node(p, NODE_CONST_NONE);
	n = parse_or(p);
	while (parse_at_name(p, "if")) {
		struct node *condition = parse_node(p, NODE_CONDITION);

		parse_next(p);
		condition->b = n;
		condition->a = parse_or(p);
		if (parse_skip_name(p, "else"))
			condition->c = parse_expression(p);
		n = condition;
	}
	parse_leave(p);
	return n;
}

struct node *parse_tuple(struct parser *p, bool with_condition)
{
	struct node *first = with_condition ? parse_expression(p) : parse_or(p);
	struct node_list items;
	struct node *n;

	if (!parse_at_op(p, OP_COMMA))
		return first;
	n = parse_node(p, NODE_TUPLE);
	items.end = &n->list;
	append(&items, first);
	while (parse_skip_op(p, OP_COMMA)) {
		if (p->token->type == TOKEN_OUTPUT_END || p->token->type == TOKEN_BLOCK_END ||
		    parse_at_op(p, OP_RPAREN))
			break;
		append(&items, with_condition ? parse_expression(p) : parse_or(p));
	}
	return n;
}

static struct node *parse_target_item(struct parser *p)
{
	struct node *n = parse_node(p, NODE_NAME);

	if (!parse_enter(p))
		return n;
	if (parse_skip_op(p, OP_LPAREN)) {
		n = parse_target(p);
		parse_expect_op(p, OP_RPAREN, "')'");
	} else {
		n->text = parse_expect_name(p, "the name of a variable");
	}
	parse_leave(p);
	return n;
}

struct node *parse_target(struct parser *p)
{
	struct node *first = parse_target_item(p);
	struct node_list items;
	struct node *n;

	if (!parse_at_op(p, OP_COMMA))
		return first;
	n = parse_node(p, NODE_TUPLE);
	items.end = &n->list;
	append(&items, first);
	while (parse_skip_op(p, OP_COMMA)) {
		if (parse_at_name(p, "in") || parse_at_op(p, OP_ASSIGN) ||
		    parse_at_op(p, OP_RPAREN))
			break;
		append(&items, parse_target_item(p));
	}
	return n;
}
