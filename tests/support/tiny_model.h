/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes small Llama models with random weights for tests: same options, same bytes, anywhere.
 *
 * Weights of a matrix are uniform with a variance of 1 / columns, so that activations neither grow
 * nor vanish over the layers; norms and rope factors are near 1. What such a model says is noise,
 * but each token of it depends on all before it. The vocabulary is the 256 bytes in GPT-2's
 * spelling and the control tokens of TINY_MODEL_*, without merges; the chat template is ChatML.
 */
#ifndef AYNI_TESTS_SUPPORT_TINY_MODEL_H
#define AYNI_TESTS_SUPPORT_TINY_MODEL_H

#include "compute/quant.h"
#include "protocol/base.h"

enum {
	TINY_MODEL_END_OF_TEXT = 256, /* <|endoftext|> */
	TINY_MODEL_IM_START = 257,    /* <|im_start|> */
	TINY_MODEL_IM_END = 258,      /* <|im_end|>, the end of a turn */
	TINY_MODEL_VOCABULARY = 259
};

/* A metadata key for or instead of the model's own; `text` if not NULL, else the number. */
struct tiny_model_key {
	const char *name;
	uint32_t type; /* enum gguf_type: U32, F32, BOOL, STRING */
	double number;
	const char *text;
};

/* Zero means the value in brackets. */
struct tiny_model_options {
	enum tensor_type type;   /* of the matrices [TENSOR_F32] */
	uint32_t n_layers;       /* [3] */
	uint32_t d_model;        /* [64] */
	uint32_t d_ff;           /* [96] */
	uint32_t n_heads;        /* [4] */
	uint32_t n_kv_heads;     /* [2] */
	uint32_t d_head;         /* [d_model / n_heads, and then the file does not name it] */
	uint32_t d_value;        /* likewise */
	uint32_t d_rope;         /* [d_head, likewise] */
	uint32_t context_tokens; /* [512] */
	bool tied;               /* no output.weight: the embedding is the head */
	bool rope_factors;       /* with rope_freqs.weight */
	uint64_t seed;
	const char *chat_template; /* [ChatML] */

	/* What is wrong with the file, for tests of refusals. */
	const char *without;   /* the key or tensor of this name is left out */
	const char *misshapen; /* this tensor says one row (or element) less */
	const char *mistyped;  /* this tensor says that it is of raw_type */
	uint32_t raw_type;
	const char *extra_tensor;         /* a vector of d_model F32 of this name more */
	const struct tiny_model_key *key; /* one key more, or with another value */
};

/* Write the file; options may be NULL. Returns 0, or -1 with errno set. */
int tiny_model_write(const char *path, const struct tiny_model_options *options);

/* The same as bytes, to be freed. Running out of memory ends the test. */
uint8_t *tiny_model_bytes(const struct tiny_model_options *options, size_t *len);

/* A file in a temporary folder of the process, for tests that only want a model.
 * tiny_model_remove deletes it and frees the path. */
char *tiny_model_temporary(const struct tiny_model_options *options);
void tiny_model_remove(char *path);

#endif
