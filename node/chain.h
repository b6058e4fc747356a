/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a donor stands for of a session, in one value: a hash chained over all that it was given and
 * gave since the session began. A result names it (Result.chains in ayni.proto), so one signature
 * binds its donor to the whole session, and pool, donor and whoever checks evidence compute the
 * same.
 *
 *   c(0)   = BLAKE2b-256 of "ayni chain v1" NUL, model (32), first layer, one past the last, type
 * of keys and values; numbers are u32, little endian c(i+1) = BLAKE2b-256 of c(i), position, rows,
 * rows of logits, logits in a row, wire type, hash of the part's input, its hashes after each layer
 * but the last, hash of its output
 *
 * for each part (node/work.h) in order. The input is token ids (u32) at the model's first layer,
 * else activations; the output activations, or rows of logits: all zeros where there are none. A
 * session fed again from an earlier position on goes on with its chain; at position 0 it begins
 * anew.
 *
 * One that begins with another's keys and values has the chain which that one had when it last
 * completed the page (kv.h) that they end in; if the page is not complete there, or something was
 * fed before its end since, the chain as it is.
 *
 * Plain data, one thread.
 */
#ifndef AYNI_NODE_CHAIN_H
#define AYNI_NODE_CHAIN_H

#include "node/work.h"

/* All zeros is none. */
struct chain {
	struct hash now;
	uint32_t n_pages, room_pages;
	struct hash *pages; /* owned; what it was when each was completed */
};

/* One part. */
struct chain_item {
	uint32_t span; /* of the unit that it is in */
	uint32_t position, n_rows;
	uint32_t n_logits, top; /* rows, and in each; 0 but at the model's last layer */
	uint32_t wire;
	struct hash input, output;
	const struct hash *after; /* layer: `stride` elements from one to the next; borrowed */
	size_t n_after, stride;
};

/* What is known of a unit of which a donor gave the result; borrowed. */
struct chain_unit {
	const struct msg_work_unit *work; /* the layers are these: */
	struct layer_range layers;
	bool logits;                /* they end the model */
	const struct hash *inputs;  /* [parts] */
	const struct hash *after;   /* [layers but the last][parts] */
	const struct hash *outputs; /* [parts], or of the rows of logits */
};

/* Its parts. Returns their number. */
size_t chain_items(const struct chain_unit *u, struct chain_item out[WORK_PARTS_MAX]);
/* Hashes of the parts of a payload: token ids, if it is the input of layer 0. */
void chain_inputs(uint32_t d_model, uint32_t layer_first, const struct msg_work_unit *u,
    const uint8_t *payload, struct hash out[WORK_PARTS_MAX]);

/* Values alone. */
void chain_start(
    const struct hash *model, struct layer_range layers, uint32_t kv_type, struct hash *out);
void chain_step(struct hash *now, const struct chain_item *item);

void chain_begin(struct chain *c, const struct hash *start);
/* AYNI_ERR_MEMORY: it is of no use any more. */
int chain_add(struct chain *c, const struct chain_item *item);
/* With the first positions of another, at least 1. AYNI_ERR_MEMORY. */
int chain_fork(struct chain *c, const struct chain *from, uint32_t position);
/* Would it begin with the page that these positions end in? */
bool chain_has_page(const struct chain *c, uint32_t position);
void chain_free(struct chain *c); /* it is none then */

#endif
