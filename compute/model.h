/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model, or a contiguous range of its layers: named sizes, and weights with their shapes.
 *
 * Layers [layer_first, layer_last) of n_layers. A range that begins at 0 also holds the token
 * embedding; a range that ends at n_layers also holds the final norm and the output head. Weights
 * are borrowed from the gguf's mapping: only the pages of the loaded range are ever touched.
 * Immutable after loading; any thread may read.
 */
#ifndef AYNI_COMPUTE_MODEL_H
#define AYNI_COMPUTE_MODEL_H

#include "compute/gguf.h"
#include "compute/kernels/kernels.h"
#include "protocol/base.h"

/* Bounds, so that no product of sizes overflows 64 bits. Far above any published model. */
enum {
	MODEL_MAX_WIDTH = 1 << 18, /* d_model, d_ff, n_heads*d_head, n_heads*d_value */
	MODEL_MAX_HEADS = 1 << 12
};

struct model_sizes {
	uint32_t n_layers;
	uint32_t n_vocabulary;
	uint32_t d_model;        /* width of the residual stream */
	uint32_t d_ff;           /* width of the feed-forward's middle */
	uint32_t n_heads;        /* query heads */
	uint32_t n_kv_heads;     /* key and value heads; divides n_heads */
	uint32_t d_head;         /* width of a key head (key_length) */
	uint32_t d_value;        /* width of a value head (value_length) */
	uint32_t d_rope;         /* rotated elements at the front of a head; even */
	uint32_t context_tokens; /* positions it was trained for, at most LIMIT_CONTEXT_TOKENS */
	float norm_epsilon;
	double rope_base;
};

/* One layer of the llama family. Shapes are rows x columns; vectors are binary32. */
struct layer_weights {
	const float *attention_norm; /* d_model */
	struct matrix query;         /* n_heads*d_head x d_model */
	struct matrix key;           /* n_kv_heads*d_head x d_model */
	struct matrix value;         /* n_kv_heads*d_value x d_model */
	struct matrix attention_out; /* d_model x n_heads*d_value */
	const float *ff_norm;        /* d_model */
	struct matrix ff_gate;       /* d_ff x d_model */
	struct matrix ff_up;         /* d_ff x d_model */
	struct matrix ff_down;       /* d_model x d_ff */
};

struct arch; /* compute/arch/arch.h */

struct model {
	const struct arch *arch;
	struct model_sizes sizes;
	uint32_t layer_first, layer_last;
	struct layer_weights *layers; /* [layer_last - layer_first] */
	struct matrix embedding;      /* n_vocabulary x d_model, if layer_first == 0 */
	const float *output_norm;     /* d_model, if layer_last == n_layers */
	struct matrix output;         /* n_vocabulary x d_model, likewise; may be the embedding */
	const float *rope_factors;    /* d_rope/2 divisors of the frequencies, or NULL */
	double *rope_frequencies;     /* d_rope/2, radians a position */
};

/* Sizes alone, from the metadata and tensor table: works on any file whose head is there. */
int model_sizes_read(const struct gguf *g, struct model_sizes *out, struct error *err);

/* layer_first < layer_last <= n_layers. The gguf must outlive the model. */
int model_load(const struct gguf *g, uint32_t layer_first, uint32_t layer_last, struct model **out,
    struct error *err);
void model_free(struct model *m);

/*
 * Which layer range needs a tensor: true if layers [first, last) cannot run without it. Donors ask
 * this to know what to fetch. Tensors that no layer names (unknown ones) are needed by none.
 */
bool model_range_needs(const struct gguf *g, const struct model_sizes *sizes, uint32_t first,
    uint32_t last, const struct gguf_tensor *t);

/* The layer that a tensor's name says it belongs to ("blk.7.attn_q.weight"); false: none. */
bool model_tensor_layer(const char *tensor_name, uint32_t *layer);

/* "llama": what compute/arch knows, for messages. */
const char *model_architectures(void);

#endif
