/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations that layers are made of, over all tokens of a batch, cut over the team. What each
 * computes for one token is in compute/kernels/README.md; how the work is cut never changes it: an
 * output element is always computed by one thread, from the same inputs, in the same order.
 *
 * compute/layers.c owns a batch and its memory, compute/arch says which operations follow which.
 * Nothing here allocates or fails. One thread at a time.
 */
#ifndef AYNI_COMPUTE_BATCH_H
#define AYNI_COMPUTE_BATCH_H

#include "compute/kv.h"
#include "compute/team.h"

struct batch_token {
	struct kv *kv;
	uint32_t position;
};

/* n = n_tokens in the shapes below. */
struct batch {
	const struct model *model;
	const struct kernels *kernels;
	struct team *team;

	size_t n_tokens;
	struct batch_token *tokens;
	float *residual; /* n x d_model, the caller's */
	float *normed;   /* n x d_model */
	float *query;    /* n x n_heads*d_head */
	float *key;      /* n x n_kv_heads*d_head */
	float *value;    /* n x n_kv_heads*d_value */
	float *mixed;    /* n x n_heads*d_value: what attention gathered */
	float *gate;     /* n x d_ff */
	float *up;       /* n x d_ff */
	float *update;   /* n x d_model: what is added to the residual */
	float *cosines;  /* n x d_rope/2, of the tokens' positions */
	float *sines;    /* n x d_rope/2 */
	int8_t *quants;  /* n x the widest input of a product */
	float *scales;   /* n x the same / QUANT_BLOCK */
	float *scores;   /* team_size x scores_stride: a thread's attention scores */
	size_t scores_stride;
};

struct batch_product {
	const struct matrix *weights;
	float *out; /* n_vectors x weights->n_rows */
};

/* cosines and sines of the tokens' positions, once a batch. */
void batch_angles(struct batch *b);
/* normed = rms_norm(residual) * weight */
void batch_norm(struct batch *b, const float *weight);
/* out = weights * vector for each of the n_vectors in `in`, for one or more matrices. */
void batch_products(struct batch *b, const float *in, size_t n_vectors,
    const struct batch_product *products, size_t n_products);
/* Rotate query and key by the positions' angles. */
void batch_rotate(struct batch *b);
/* Write key and value to the sessions' caches. */
void batch_remember(struct batch *b, uint32_t layer);
/* mixed = attention of query over the session's positions up to the token's own. */
void batch_attend(struct batch *b, uint32_t layer);
/* gate = silu(gate) * up */
void batch_gate(struct batch *b);
/* residual += update */
void batch_add(struct batch *b);

#endif
