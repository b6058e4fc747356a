/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member's request as it outlives its pool: what was asked, and the tokens drawn so far. When the
 * pool was lost and is there again, whoever runs it now goes on behind these: the next token is
 * drawn by its place and by what stands before, so nothing else is different.
 */
#ifndef AYNI_NODE_REQUEST_H
#define AYNI_NODE_REQUEST_H

#include "node/client.h"

struct request {
	struct msg_generate generate; /* what it points to is borrowed; its `drawn` are ours */
	bool has_rows;                /* of logits */
};

/* `g` has a number below 2^32 that no other request of this connection has. */
int request_start(
    struct request *r, const struct msg_generate *g, struct client *c, struct error *err);
void request_free(struct request *r); /* zeroed, or started */

/* Is this Piece or Finished of the request as it was asked last? */
bool request_is_of(const struct request *r, const struct message *m);
/* Keep what was drawn. AYNI_ERR_MEMORY. */
int request_take(struct request *r, const struct msg_piece *p, struct error *err);
/* All that was wanted has come, but perhaps not that this was the end. */
bool request_is_whole(const struct request *r);
/* The pool is lost. AYNI_ERR_STATE: an answer with logits cannot go on. */
int request_lost(const struct request *r, struct error *err);
/* The pool was joined again: ask for the rest. */
int request_go_on(struct request *r, struct client *c, struct error *err);
int request_cancel(const struct request *r, struct client *c, struct error *err);

#endif
