/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to a pool and its answer, streamed: what `ayni chat`, `ayni model eval --pool` and
 * `ayni demo` have in common.
 */
#ifndef AYNI_NODE_CLI_ANSWER_H
#define AYNI_NODE_CLI_ANSWER_H

#include "node/client.h"

struct answer {
	char *text; /* owned, NUL-terminated: without the reasoning */
	size_t text_len;
	uint32_t *tokens; /* owned: what was drawn */
	size_t n_tokens;
	uint8_t *rows; /* owned: rows of logits, as in ayni.proto's Result */
	size_t rows_len;
	uint32_t n_rows;
	uint32_t times_lost;          /* the pool was lost on the way, and then went on */
	struct msg_finished finished; /* shares: owned by the answer */
};

/* Called with each piece as it comes; may be NULL. The piece is valid during the call. */
typedef void answer_fn(void *context, const struct msg_piece *piece);

/*
 * Ask and wait for the end. If *cancel becomes true (a signal handler, say) the request is
 * cancelled and what came so far is kept. If the pool is lost on the way, the answer goes on where
 * it broke off as soon as the pool is there again. AYNI_ERR_STATE with the pool's words if it
 * failed.
 */
int answer_get(struct client *c, const struct msg_generate *g, answer_fn *fn, void *context,
    const volatile bool *cancel, struct answer *out, struct error *err);
void answer_free(struct answer *a);

#endif
