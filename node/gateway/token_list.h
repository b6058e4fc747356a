/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokens of an answer with how likely they were, as they come from the pool, until the text
 * that they are of goes out: what is held back may be the beginning of a stop string, and then its
 * tokens are nobody's. Tokens of what the model thinks are left out. Zeroed: empty. One thread.
 */
#ifndef AYNI_NODE_GATEWAY_TOKEN_LIST_H
#define AYNI_NODE_GATEWAY_TOKEN_LIST_H

#include <jansson.h>

#include "protocol/message_types.h"

struct listed_token {
	json_t *entry;    /* {token, logprob, bytes, top_logprobs}, as OpenAI's API has it */
	size_t from;      /* bytes of the answer before its own */
	size_t character; /* likewise characters */
	bool open;        /* perhaps it is of what the model thinks */
};

struct token_list {
	size_t n, capacity;
	struct listed_token *list;
	size_t bytes, characters; /* of the answer so far */
	bool failed;              /* memory was out: something is missing */
};

void token_list_free(struct token_list *l);
/* A piece's tokens, and its text. */
void token_list_add(struct token_list *l, const struct msg_piece *p);
/* How many of the first may go out with so many bytes of the answer, or with its end. */
size_t token_list_ready(const struct token_list *l, size_t sent, bool over);
void token_list_drop(struct token_list *l, size_t n); /* of the first */

#endif
