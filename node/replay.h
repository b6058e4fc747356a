/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Computes one layer of a session once more, from what it was given: all spans that were fed, in
 * order, guesses that were wrong too. Spans that continue each other go through it together, which
 * costs a fraction of what a donor did token by token. One thread at a time may use a struct
 * replay.
 */
#ifndef AYNI_NODE_REPLAY_H
#define AYNI_NODE_REPLAY_H

#include "compute/kv.h"
#include "compute/team.h"
#include "compute/wire.h"

struct replay;

struct replay_span {
	uint32_t position, n_tokens;
	uint32_t n_logits,
	    top; /* of the model's last layer: rows, of the last tokens, and in each */
};

/* Borrowed. Rows of all spans one behind the other. */
struct replay_job {
	const struct gguf *gguf;
	enum kv_type kv;
	enum wire_type wire;
	uint32_t layer;
	size_t n_spans;
	const struct replay_span *spans;
	const uint32_t *tokens; /* the model's first layer takes these, */
	const uint8_t *in;      /* the others activations in the wire type */
	uint8_t *out;           /* the same; the model's last layer does not write here */
};

/* What the layer gives of one span: activations in the wire type, or rows of logits as a result has
 * them. Spans come in order, those without rows are left out. False: that is enough. */
typedef bool replay_fn(void *context, size_t span, const uint8_t *rows);

/* Kernels and team are borrowed. */
int replay_new(const struct kernels *k, struct team *team, struct replay **out, struct error *err);
void replay_free(struct replay *r);
/* AYNI_ERR_ARGUMENT and AYNI_ERR_LIMIT for what the model cannot be given; AYNI_ERR_MEMORY;
 * AYNI_ERR_NUMERIC if what comes out is not finite. */
int replay_layer(struct replay *r, const struct replay_job *job, replay_fn *seen, void *context,
    struct error *err);

#endif
