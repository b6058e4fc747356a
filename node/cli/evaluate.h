/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logits for a prompt and the greedy tokens after it, from a model file on this machine or from a
 * pool: the two must agree to the bit.
 */
#ifndef AYNI_NODE_CLI_EVALUATE_H
#define AYNI_NODE_CLI_EVALUATE_H

#include "node/cli/local.h"

struct evaluation {
	const char *file; /* or: */
	const char *pool, *model;
	struct local_options local;
	uint32_t *tokens; /* prompt; owned */
	size_t n_tokens;
	uint32_t top; /* logits a position; cut to the vocabulary */
	uint32_t n_greedy;

	/* results, owned */
	struct logit *logits; /* n_tokens x top */
	uint32_t *greedy;
	uint32_t n_drawn; /* n_greedy, or less where the context is full */
};

int evaluate(struct evaluation *e, struct error *err);
void evaluation_free(struct evaluation *e);

#endif
