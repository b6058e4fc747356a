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

/* Tokens whose experts run together: a bound for scratch memory, whatever the batch. */
enum { BATCH_EXPERT_TOKENS = 128 };
/* Tokens whose middles of a dense feed-forward are in memory at once. */
enum { BATCH_MIDDLE_TOKENS = 64 };

struct batch_token {
	struct kv *kv;
	uint32_t position;
};

/* Tokens [token, token + n_tokens), which follow each other in one session. */
struct batch_group {
	size_t token, n_tokens;
};

/* Scratch of the mixture of experts, for up to BATCH_EXPERT_TOKENS tokens: m tokens, r = m*n_used
 * rows, one for each chosen expert of each token. */
struct batch_experts {
	float *logits;                  /* m x n, then what the gating makes of them */
	float *choice;                  /* m x n: what experts are chosen by */
	float *in;                      /* r x d_model: the tokens' vectors, grouped by expert */
	float *out;                     /* r x d_model */
	float *shared;                  /* m x d_model: the shared expert's */
	uint32_t *chosen;               /* m x n_used experts, best first */
	float *weights;                 /* m x n_used */
	uint32_t *row;                  /* m x n_used: where a token's expert has its row */
	uint32_t *first;                /* n + 1: the first row of each expert */
	struct batch_product *products; /* 2*n */
};

/* n = n_tokens in the shapes below. */
struct batch {
	const struct model *model;
	const struct kernels *kernels;
	struct team *team;

	size_t n_tokens;
	struct batch_token *tokens;
	size_t n_groups;
	struct batch_group *groups; /* n: of tokens that attention looks at together */
	float *residual;            /* n x d_model, the caller's */
	float *normed;              /* n x d_model */
	float *query;               /* n x n_heads*d_head */
	float *key;                 /* n x key_width of the cache */
	float *value;               /* n x value_width of the cache */
	float *mixed;               /* n x n_heads*d_value: what attention gathered */
	float *gate;   /* m x d_ff, m <= BATCH_MIDDLE_TOKENS, or the experts' r x d_ff */
	float *up;     /* the same */
	float *update; /* n x d_model: what is added to the residual */
	struct batch_angles {
		float *cosines; /* n x d_rope/2, of the tokens' positions */
		float *sines;
	} angles[ROPE_TABLES];

	/* Latent attention alone. */
	float *query_latent; /* n x d_query_latent */
	float *absorbed;     /* n x n_heads*d_key: queries as the cache's keys want them */
	float *gathered;     /* n x n_heads*d_latent */

	struct batch_experts experts;
	int8_t *quants;            /* of the widest input of a product */
	struct quant_terms *terms; /* the same / QUANT_BLOCK */
	/* Of attention, for each thread: MAX_QUERIES x scores_stride scores, and in latent
	 * attention d_value x MAX_QUERIES outputs. There the scores are of n_heads at least, and
	 * sums[n_heads] what their weights come to. */
	float *scores;
	size_t scores_stride;
	float (*columns)[MAX_QUERIES];
	float *sums;
};

/* out[v] = weights * in[v] for n_vectors vectors that follow each other. */
struct batch_product {
	struct matrix weights;
	const float *in; /* n_vectors x weights.n_cols */
	float *out;      /* n_vectors x weights.n_rows */
	size_t n_vectors;
};

/* cosines and sines of the tokens' positions, and the groups of tokens, once a batch. */
void batch_angles(struct batch *b);
void batch_groups(struct batch *b);
/* out = rms_norm(in) * weight for each of n vectors of `width`; out may be in. */
void batch_norm(
    struct batch *b, const float *in, size_t n, size_t width, const float *weight, float *out);
/*
 * One or more products. Their inputs must lie in one piece of n_in elements from `in` on, as their
 * int8 form does; products that share vectors share all of them. The first products' inputs follow
 * each other and make up the piece, and the others repeat some of them.
 */
void batch_products(struct batch *b, const float *in, size_t n_in,
    const struct batch_product *products, size_t n_products);
/* x[v] += bias for each of n vectors of `width`; nothing where bias is NULL. */
void batch_bias(struct batch *b, float *x, size_t n, size_t width, const float *bias);
/* gate = activation(gate) * up over n elements. */
void batch_gate(struct batch *b, size_t n);
/* residual += update */
void batch_add(struct batch *b);

/* ---- positions.c, remember.c, attention.c -----------------------------------------------------
 */

/*
 * Rotate the last d_rope elements of each head (`at` is where in a head they begin) by the tokens'
 * positions: n_heads heads of `width` in x.
 */
void batch_rotate(
    struct batch *b, uint32_t layer, float *x, size_t n_heads, size_t width, size_t at);
/* Queries grow with the position, where the model says so. */
void batch_temper(struct batch *b, float *query, size_t width);
/* Write key and value to the sessions' caches. */
void batch_remember(struct batch *b, uint32_t layer);
/*
 * out = attention of query (n_heads of the cache's d_key) over the positions that the token sees:
 * n_heads values of the cache's d_value.
 */
void batch_attend(struct batch *b, uint32_t layer, const float *query, float *out);
/*
 * For each head h of each token: out = rows [first + h*stride, .. + n_rows) of w times the head's
 * vector. `in` has heads of in_stride elements, of which the first n_cols count; `out` has heads of
 * out_stride elements.
 */
struct batch_head_product {
	struct matrix weights;
	uint32_t first, stride, n_rows;
	const float *in;
	size_t in_stride;
	float *out;
	size_t out_stride;
};
void batch_heads(struct batch *b, const struct batch_head_product *p);

/* ---- experts.c --------------------------------------------------------------------------------
 */

/* update = the mixture of experts of normed. */
void batch_mix_experts(struct batch *b, const struct layer_weights *w);

/* ---- for the files above ------------------------------------------------------------------------
 */

/* Run fn over n_items, in the team if they are more than `grain`. */
void batch_spread(struct batch *b, size_t n_items, size_t grain, team_fn *fn, void *context);

enum {
	BATCH_TOKENS_GRAIN = 4,     /* tokens in the cheap operations of one token */
	BATCH_ELEMENTS_GRAIN = 2048 /* elements in elementwise operations */
};

#endif
