/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A family of models: which sizes its files name, which tensors a layer has, and which operations a
 * layer is. It says what is computed, never how: compute/batch.h cuts each operation over the
 * threads, and compute/kernels does it on an instruction set.
 *
 * To add a family: one file beside llama.c, one row in model.c's table. Most families differ in
 * their tables alone; blocks.c does for a layer whatever its weights and sizes say.
 */
#ifndef AYNI_COMPUTE_ARCH_H
#define AYNI_COMPUTE_ARCH_H

#include "compute/batch.h"
#include "compute/model.h"

/* ---- reading keys, with one clear line on error -----------------------------------------------
 */

struct arch_keys {
	const struct gguf *g;
	const char *arch; /* prefix of the keys: "llama" */
	struct error *err;
};

enum { KEY_REQUIRED, KEY_OPTIONAL };

/* The key "<arch>.<suffix>", within [min, max]. A missing optional key leaves `*out`. */
int key_u32(const struct arch_keys *k, const char *suffix, uint64_t min, uint64_t max, int need,
    uint32_t *out);
int key_number(
    const struct arch_keys *k, const char *suffix, double min, double max, int need, double *out);
int key_bool(const struct arch_keys *k, const char *suffix, bool *out); /* optional */
bool key_exists(const struct arch_keys *k, const char *suffix);
/* A string, {NULL, 0} if missing. */
int key_word(const struct arch_keys *k, const char *suffix, struct span *out);
bool word_is(struct span word, const char *text);
/* AYNI_ERR_UNSUPPORTED: "model: <arch>.<suffix>: <why> is not supported". */
int key_refuse(const struct arch_keys *k, const char *suffix, const char *why);
/* "<arch>.<suffix>", for messages. */
const char *key_name(const struct arch_keys *k, const char *suffix, char name[GGUF_MAX_NAME_BYTES]);

/* ---- what a layer's tensors are ----------------------------------------------------------------
 */

/* A width that follows from the model's sizes. */
enum width {
	WIDTH_ONE,
	WIDTH_MODEL,        /* d_model */
	WIDTH_FF,           /* d_ff */
	WIDTH_GATE_UP,      /* 2*d_ff: gate over up */
	WIDTH_HEADS,        /* n_heads */
	WIDTH_HEAD,         /* d_head */
	WIDTH_QUERIES,      /* n_heads*d_head */
	WIDTH_KEYS,         /* n_kv_heads*d_head */
	WIDTH_VALUES,       /* n_kv_heads*d_value */
	WIDTH_QKV,          /* queries over keys over values */
	WIDTH_MIXED,        /* n_heads*d_value */
	WIDTH_VALUE,        /* d_value */
	WIDTH_NOPE,         /* d_head - d_rope */
	WIDTH_QUERY_LATENT, /* d_query_latent */
	WIDTH_LATENT,       /* d_latent */
	WIDTH_LATENT_ROPE,  /* d_latent + d_rope */
	WIDTH_LATENT_BOTH,  /* n_heads*(d_head - d_rope + d_value) */
	WIDTH_EXPERTS,      /* experts.n */
	WIDTH_EXPERT_FF,    /* experts.d_ff */
	WIDTH_SHARED_FF     /* experts.d_ff_shared */
};

/* Which layers have a tensor. */
enum presence {
	PRESENT,          /* all */
	PRESENT_OPTIONAL, /* those whose tensor is in the file */
	PRESENT_DENSE,    /* without experts */
	PRESENT_EXPERTS,  /* with experts */
	PRESENT_EXPERTS_OPTIONAL,
	PRESENT_SHARED,       /* with a shared expert */
	PRESENT_QUERY_LATENT, /* where queries are projected in two steps */
	PRESENT_QUERY_WHOLE   /* where they are not */
};

/* "blk.<layer>.<suffix>": a matrix, or where `vector` F32 numbers; dims as the file orders them. */
struct tensor_spec {
	const char *suffix; /* NULL ends a table */
	bool vector;
	enum width dims[3];
	enum presence presence;
	size_t field; /* of struct layer_weights */
};

extern const struct tensor_spec tensors_attention[];        /* norm, q, k, v, output */
extern const struct tensor_spec tensors_attention_biases[]; /* of q, k, v, output; optional */
extern const struct tensor_spec tensors_head_norms[];       /* of q and k */
extern const struct tensor_spec tensors_post_norms[]; /* after attention, after feed-forward */
extern const struct tensor_spec tensors_ff_norm[];
extern const struct tensor_spec tensors_feed_forward[]; /* of layers without experts */
extern const struct tensor_spec tensors_experts[];
extern const struct tensor_spec tensors_shared_expert[];

/* ---- a family -----------------------------------------------------------------------------------
 */

struct arch {
	const char *name; /* general.architecture in the file */
	/* Keys that this family understands though they change the numbers (sizes.c has the list of
	 * those that a file must not set otherwise); NULL at the end. */
	const char *const *understands;
	const struct tensor_spec *const *tensors; /* tables; NULL at the end */
	/* What is this family's own of the sizes; sizes.c has read the common ones. May be NULL. */
	int (*read_sizes)(const struct arch_keys *k, struct model_sizes *s);
	/* Make weights of a layer that the file has in another form, reading them. May be NULL. */
	int (*finish_layer)(const struct model *m, struct layer_weights *w, struct error *err);
	/* The two halves of a layer; `layer` counts from the range's first. */
	void (*attention)(struct batch *b, uint32_t layer);
	void (*feed_forward)(struct batch *b, uint32_t layer);
};

extern const struct arch arch_deepseek2, arch_gemma2, arch_gemma3, arch_gpt_oss, arch_llama,
    arch_mistral3, arch_phi3, arch_qwen2, arch_qwen2moe, arch_qwen3, arch_qwen3moe;

/* All sizes, checked; refuses by name whatever would change the numbers and is not done. */
int arch_read_sizes(
    const struct arch *a, const struct gguf *g, struct model_sizes *out, struct error *err);
/* Pieces of it that families share. */
int sizes_read_experts(const struct arch_keys *k, struct model_sizes *s);
int sizes_read_window(const struct arch_keys *k, uint32_t period, struct model_sizes *s);
int sizes_read_temperature(const struct arch_keys *k, struct model_sizes *s);

/* Fill m->layers for the model's range: where their tensors are, without reading these. */
int arch_load_layers(const struct gguf *g, struct model *m, struct error *err);
/* Make what a layer needs of tensors in another form, by reading them; once. */
int arch_finish_layer(struct model *m, uint32_t layer, struct error *err);
/* Whether a layer uses the file's tensor of this name; which one, in *layer. */
bool arch_uses_tensor(const struct arch *a, const struct gguf *g, const struct model_sizes *s,
    const char *name, uint32_t *layer);

/* A name or word from a file, fit for a message: printable ASCII, cut to the buffer. */
enum { MODEL_WORD_BYTES = 96 };
const char *model_word(struct span word, char text[MODEL_WORD_BYTES]);

#endif
