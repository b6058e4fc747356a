/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the chat template engine share below values: memory, tokens, the syntax tree.
 *
 *   template_lex.c ──► template_parse.c, template_expression.c ──► template_exec.c, template_eval.c
 *   text to tokens     tokens to a tree of struct node             tree and values to text
 *
 * Lexer, parser and renderer are each poisoned by their first error: later calls do nothing and
 * give back harmless values, so that one check at the end suffices. Loops end because each turn
 * charges a budget or takes a token.
 */
#ifndef AYNI_COMPUTE_TEMPLATE_INTERNAL_H
#define AYNI_COMPUTE_TEMPLATE_INTERNAL_H

#include "compute/template.h"

/* Counted UTF-8, not owned. */
struct text {
	const char *data;
	size_t len;
};

static inline bool text_is(struct text t, const char *s)
{
	return t.len == strlen(s) && memcmp(t.data, s, t.len) == 0;
}

static inline bool text_equal(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ---- memory: everything of a template or a rendering is freed at once (template_memory.c) ---- */

struct arena {
	struct arena_block *block;
	size_t left_bytes; /* of the limit */
};

void arena_init(struct arena *a, size_t limit_bytes);
void arena_free(struct arena *a);
/* Zeroed memory for n elements, or NULL. */
void *arena_alloc(struct arena *a, size_t n, size_t element_bytes);

/* ---- syntax tree ----------------------------------------------------------------------------- */

/* Of expressions, and of tokens. */
enum op {
	OP_NONE,
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV,
	OP_FLOOR_DIV,
	OP_MOD,
	OP_POW,
	OP_TILDE,
	OP_EQ,
	OP_NE,
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE,
	OP_IN,
	OP_NOT_IN,
	OP_ASSIGN,
	OP_DOT,
	OP_COMMA,
	OP_COLON,
	OP_PIPE,
	OP_LPAREN,
	OP_RPAREN,
	OP_LBRACKET,
	OP_RBRACKET,
	OP_LBRACE,
	OP_RBRACE
};

/* For each kind, the fields of struct node that it uses. Lists are joined by node.next. */
enum node_kind {
	/* expressions */
	NODE_CONST_NONE,
	NODE_CONST_BOOL, /* integer */
	NODE_CONST_INT,  /* integer */
	NODE_CONST_FLOAT,
	NODE_CONST_STRING, /* text */
	NODE_NAME,         /* text */
	NODE_LIST,         /* list */
	NODE_TUPLE,        /* list */
	NODE_DICT,         /* list of NODE_PAIR: a key, b value */
	NODE_PAIR,
	NODE_NEGATE,  /* a */
	NODE_PLUS,    /* a */
	NODE_NOT,     /* a */
	NODE_AND,     /* a, b */
	NODE_OR,      /* a, b */
	NODE_BINARY,  /* op, a, b */
	NODE_CONCAT,  /* list */
	NODE_COMPARE, /* a, list of NODE_OPERAND: op, a */
	NODE_OPERAND,
	NODE_CONDITION, /* a test, b then, c else or NULL */
	NODE_ATTRIBUTE, /* a, text */
	NODE_INDEX,     /* a, b */
	NODE_SLICE,     /* as b of NODE_INDEX; a from, b to, c step, each or NULL */
	NODE_CALL,      /* a, list of arguments */
	NODE_KEYWORD,   /* in such a list: text name, a value */
	NODE_FILTER,    /* a (NULL: the text of the block it stands on), text, list of arguments */
	NODE_TEST,      /* a, text, list of arguments */
	/* statements */
	NODE_TEXT,   /* text */
	NODE_OUTPUT, /* a */
	NODE_IF,     /* list of NODE_BRANCH: a test (NULL: else), body */
	NODE_BRANCH,
	NODE_FOR,          /* a target, b sequence, c filter or NULL, body, otherwise */
	NODE_SET,          /* a target, b value */
	NODE_SET_BLOCK,    /* a target, b filters or NULL, body */
	NODE_WITH,         /* list of NODE_SET, body */
	NODE_MACRO,        /* text, list of NODE_KEYWORD: text name, a default or NULL; body */
	NODE_CALL_BLOCK,   /* a call, list as of NODE_MACRO, body */
	NODE_FILTER_BLOCK, /* b filters, body */
	NODE_SCOPE,        /* body */
	NODE_BREAK,
	NODE_CONTINUE
};

struct node {
	enum node_kind kind;
	enum op op;
	uint32_t line;
	int64_t integer;
	double real;
	struct text text;
	struct node *a, *b, *c;
	struct node *list;
	struct node *body;
	struct node *otherwise;
	struct node *next;
};

#endif
