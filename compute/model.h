/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model, or a contiguous range of its layers: named sizes, and weights with their shapes.
 *
 * Layers [layer_first, layer_last) of n_layers. A range that begins at 0 also holds the token
 * embedding; a range that ends at n_layers also holds the final norm and the output head. Weights
 * are borrowed from the gguf's mapping: only the pages of the loaded range are ever touched.
 * Immutable once all its layers are ready; any thread may read.
 *
 * All families share these structs; what a family does not have is zero or NULL, and then the
 * operation it belongs to is not done (compute/arch/blocks.c).
 */
#ifndef AYNI_COMPUTE_MODEL_H
#define AYNI_COMPUTE_MODEL_H

#include "compute/gguf.h"
#include "compute/kernels/kernels.h"
#include "compute/rope.h"
#include "protocol/base.h"

/* Bounds, so that no product of sizes overflows 64 bits. Far above any published model. */
enum {
	MODEL_MAX_WIDTH = 1 << 18, /* d_model, d_ff, n_heads*d_head, n_heads*d_value */
	MODEL_MAX_HEADS = 1 << 12,
	MODEL_MAX_EXPERTS = 1 << 10,
	MODEL_MAX_EXPERTS_USED = 64
};

enum activation {
	ACTIVATION_SILU,   /* silu(gate) * up */
	ACTIVATION_GELU,   /* gelu(gate) * up, by the tanh form */
	ACTIVATION_CLAMPED /* gpt-oss: clamped gate * sigmoid(1.702 gate) * (clamped up + 1) */
};

/* How a token's experts are chosen from the router's logits, and weighed. */
enum gating {
	GATING_SOFTMAX,       /* by probability among all experts */
	GATING_SIGMOID,       /* each expert by itself (DeepSeek-V3) */
	GATING_SOFTMAX_CHOSEN /* by logit; probability among the chosen (gpt-oss) */
};

/* Routed experts of the feed-forward. All zero: the model has none. */
struct expert_sizes {
	uint32_t n;              /* in each layer that has them */
	uint32_t n_used;         /* of them for one token */
	uint32_t n_groups;       /* of neighbours, to which the choice is limited; 0: none */
	uint32_t n_groups_used;  /* best groups that experts are chosen from */
	uint32_t d_ff;           /* width of one expert's middle */
	uint32_t d_ff_shared;    /* of the expert that every token uses; 0: none */
	uint32_t n_dense_layers; /* the first so many have an ordinary feed-forward */
	enum gating gating;
	bool normalised; /* the weights of a token's experts sum to 1 */
	float scale;     /* then they are multiplied by this */
};

struct model_sizes {
	uint32_t n_layers;
	uint32_t n_vocabulary;
	uint32_t d_model;    /* width of the residual stream */
	uint32_t d_ff;       /* width of the feed-forward's middle; 0: all layers have experts */
	uint32_t n_heads;    /* query heads */
	uint32_t n_kv_heads; /* key and value heads; divides n_heads */
	uint32_t d_head;     /* width of a query's and key's head (key_length) */
	uint32_t d_value;    /* width of a value head (value_length) */
	uint32_t d_rope;     /* rotated elements of a head; even */
	uint32_t context_tokens; /* positions it was trained for, at most LIMIT_CONTEXT_TOKENS */
	float norm_epsilon;

	float attention_scale;  /* of scores */
	float attention_cap;    /* soft cap of scores; 0: none */
	float logit_cap;        /* soft cap of logits; 0: none */
	float embedding_scale;  /* of the embedding's rows; 0: none */
	uint32_t window;        /* positions that a windowed layer sees, its own included; 0: all */
	uint32_t window_period; /* each so many layers the last is not windowed; 0: all are */
	float temperature;      /* queries times 1 + temperature * ln(1 + floor(position / */
	uint32_t temperature_tokens; /* temperature_tokens)); temperature 0: none */

	/* Latent attention (DeepSeek-V2): 0 where a layer has keys and values of its own. */
	uint32_t d_latent;       /* kv_lora_rank: what is kept of a token beside its rotated key */
	uint32_t d_query_latent; /* q_lora_rank; 0: queries are projected in one step */

	struct rope_sizes rope;
	enum activation activation;
	struct expert_sizes experts;
};

/* One layer. Shapes are rows x columns; vectors are binary32. Experts' matrices stand one over the
 * other, as the file has them. */
struct layer_weights {
	const float *attention_norm;     /* d_model */
	struct matrix query;             /* n_heads*d_head x d_model */
	struct matrix key;               /* n_kv_heads*d_head x d_model */
	struct matrix value;             /* n_kv_heads*d_value x d_model */
	struct matrix attention_out;     /* d_model x n_heads*d_value */
	const float *query_bias;         /* n_heads*d_head */
	const float *key_bias;           /* n_kv_heads*d_head */
	const float *value_bias;         /* n_kv_heads*d_value */
	const float *attention_out_bias; /* d_model */
	const float *query_norm;         /* d_head, for each head */
	const float *key_norm;           /* d_head */
	const float *sinks;              /* n_heads: a score that takes weight and gives no value */
	const float *attention_post_norm; /* d_model */

	/* Latent attention; d_nope = d_head - d_rope. */
	struct matrix query_a;      /* d_query_latent x d_model */
	const float *query_a_norm;  /* d_query_latent */
	struct matrix query_b;      /* n_heads*d_head x d_query_latent */
	struct matrix latent;       /* d_latent+d_rope x d_model */
	const float *latent_norm;   /* d_latent */
	struct matrix latent_key;   /* n_heads*d_latent x d_nope: the key's part, transposed */
	struct matrix latent_value; /* n_heads*d_value x d_latent */
	struct matrix latent_both;  /* n_heads*(d_nope+d_value) x d_latent: older files have this */
	float
	    *latent_key_transposed; /* owned: latent_key's data where it was made of latent_both */

	const float *ff_norm;      /* d_model */
	struct matrix ff_gate;     /* d_ff x d_model */
	struct matrix ff_up;       /* d_ff x d_model */
	struct matrix ff_down;     /* d_model x d_ff */
	const float *ff_post_norm; /* d_model */

	struct matrix router;           /* experts.n x d_model */
	const float *router_bias;       /* experts.n */
	const float *choice_bias;       /* experts.n: moves the choice, not the weights */
	struct matrix expert_gate;      /* experts.n*experts.d_ff x d_model */
	struct matrix expert_up;        /* the same */
	struct matrix expert_down;      /* experts.n*d_model x experts.d_ff */
	const float *expert_gate_bias;  /* experts.n x experts.d_ff */
	const float *expert_up_bias;    /* the same */
	const float *expert_down_bias;  /* experts.n x d_model */
	struct matrix shared_gate;      /* experts.d_ff_shared x d_model */
	struct matrix shared_up;        /* the same */
	struct matrix shared_down;      /* d_model x experts.d_ff_shared */
	const float *shared_gate_input; /* d_model: the shared expert's own gate */
};

struct arch; /* compute/arch/arch.h */

struct model {
	const struct arch *arch;
	struct model_sizes sizes;
	uint32_t layer_first, layer_last;
	uint32_t layer_ready;         /* layers [layer_first, layer_ready) can run */
	struct layer_weights *layers; /* [layer_last - layer_first] */
	struct matrix embedding;      /* n_vocabulary x d_model, if layer_first == 0 */
	const float *output_norm;     /* d_model, if layer_last == n_layers */
	struct matrix output;         /* n_vocabulary x d_model, likewise; may be the embedding */
	struct rope rope;
	void *packed; /* owned: room for the matrices' panels (model_pack.c), or NULL */
	size_t packed_bytes, packed_used;
};

/* Sizes alone, from the metadata and tensor table: works on any file whose head is there. */
int model_sizes_read(const struct gguf *g, struct model_sizes *out, struct error *err);

/* What attention reads of the cache: n_kv_heads keys of d_key and values of d_value a position; in
 * latent attention one key for all heads, whose beginning is the value too. */
struct attention_shape {
	uint32_t n_kv_heads, d_key, d_value;
	uint32_t key_width, value_width; /* of a position in the cache; value_width may be 0 */
};
struct attention_shape model_attention_shape(const struct model_sizes *s);

/* Of the model's layer `layer`, counted from 0. */
bool model_layer_is_windowed(const struct model_sizes *s, uint32_t layer);
bool model_layer_has_experts(const struct model_sizes *s, uint32_t layer);

/* layer_first < layer_last <= n_layers. The gguf must outlive the model. */
int model_load(const struct gguf *g, uint32_t layer_first, uint32_t layer_last, struct model **out,
    struct error *err);
/*
 * The same, ready to run with `k`: if it wants panels (kernels/panels.h), quantised matrices are
 * rearranged by the team into memory of the model's own, and the file's pages are given back.
 */
struct team;
int model_load_for(const struct gguf *g, uint32_t layer_first, uint32_t layer_last,
    const struct kernels *k, struct team *team, struct model **out, struct error *err);
/* The same layer by layer, while the file is still coming: model_open needs its head and what the
 * first layer does (model_range_needs), and makes none ready. Each model_ready_next needs what one
 * more does, and makes it ready; no layer may run meanwhile. */
int model_open(const struct gguf *g, uint32_t layer_first, uint32_t layer_last,
    const struct kernels *k, struct model **out, struct error *err);
int model_ready_next(struct model *m, const struct gguf *g, struct team *team, struct error *err);
void model_free(struct model *m);

/*
 * Which layer range needs a tensor: true if layers [first, last) cannot run without it. Donors ask
 * this to know what to fetch. Tensors that no layer names (unknown ones) are needed by none.
 */
bool model_range_needs(const struct gguf *g, const struct model_sizes *sizes, uint32_t first,
    uint32_t last, const struct gguf_tensor *t);

/* The layer that a tensor's name says it belongs to ("blk.7.attn_q.weight"); false: none. */
bool model_tensor_layer(const char *tensor_name, uint32_t *layer);
bool model_tensor_is_of_experts(const char *tensor_name); /* of all; a token meets some */

/* "llama, qwen2, ...": what compute/arch knows, for messages. */
const char *model_architectures(void);

#endif
