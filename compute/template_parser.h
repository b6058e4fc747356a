/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens, and the parser that makes a syntax tree of them (template_internal.h). Its state is
 * poisoned by the first error: the current token then is the last one, TOKEN_END, where every loop
 * stops, and nodes are still given out but thrown away in the end.
 */
#ifndef AYNI_COMPUTE_TEMPLATE_PARSER_H
#define AYNI_COMPUTE_TEMPLATE_PARSER_H

#include "compute/template_internal.h"

enum token_type {
	TOKEN_END,
	TOKEN_DATA, /* text between tags, trimmed as whitespace control says */
	TOKEN_OUTPUT_BEGIN,
	TOKEN_OUTPUT_END,
	TOKEN_BLOCK_BEGIN,
	TOKEN_BLOCK_END,
	TOKEN_NAME,
	TOKEN_STRING, /* escapes decoded */
	TOKEN_INTEGER,
	TOKEN_FLOAT,
	TOKEN_OPERATOR
};

struct token {
	enum token_type type;
	enum op op;
	uint32_t line;
	struct text text;
};

/* All tokens of the text, the last one TOKEN_END. Text of tokens lies in `arena`, the array of them
 * in `scratch`. */
int template_lex(const char *text, size_t len, struct arena *arena, struct arena *scratch,
    struct token **tokens, struct error *err);

struct parser {
	struct arena *arena;
	const struct token *token; /* the current one */
	unsigned nesting;
	struct node ignored; /* given out when memory ends; the tree is thrown away then */
	int code;            /* first error */
	struct error *err;
};

/* Record an error at the current token's line and move to the end, so that every loop stops. */
__attribute__((format(printf, 3, 4))) void parse_fail(
    struct parser *p, enum ayni_error code, const char *fmt, ...);
struct node *parse_node(struct parser *p, enum node_kind kind); /* never NULL */
bool parse_at_op(const struct parser *p, enum op op);
bool parse_at_name(const struct parser *p, const char *name);
bool parse_skip_op(struct parser *p, enum op op);
bool parse_skip_name(struct parser *p, const char *name);
void parse_expect_op(struct parser *p, enum op op, const char *what);
struct text parse_expect_name(struct parser *p, const char *what);
void parse_next(struct parser *p);
/* Bracket each level of nesting; false at the limit. */
bool parse_enter(struct parser *p);
void parse_leave(struct parser *p);

/* template_expression.c */
struct node *parse_expression(struct parser *p);
/* Expressions joined by commas are a tuple; unless with_condition, a following `if` is left alone.
 */
struct node *parse_tuple(struct parser *p, bool with_condition);
struct node *parse_target(struct parser *p);
struct node *parse_filters(struct parser *p, struct node *inner, bool first_without_pipe);

/* template_parse.c: the statements of a whole template */
int template_parse_tokens(
    const struct token *tokens, struct arena *arena, struct node **body, struct error *err);

#endif
