/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A family of models: which sizes its files name, which tensors a layer has, and which operations a
 * layer is. It says what is computed, never how: compute/batch.h cuts each operation over the
 * threads, and compute/kernels does it on an instruction set.
 *
 * To add a family: one file beside llama.c, one row in model.c's table.
 */
#ifndef AYNI_COMPUTE_ARCH_H
#define AYNI_COMPUTE_ARCH_H

#include "compute/batch.h"
#include "compute/model.h"

struct arch {
	const char *name; /* general.architecture in the file */

	/* Read and check all sizes, and refuse by name whatever would change the numbers. */
	int (*read_sizes)(const struct gguf *g, struct model_sizes *out, struct error *err);
	/* Fill m->layers for the model's range; the rest of the model is already there. */
	int (*load_layers)(const struct gguf *g, struct model *m, struct error *err);
	/* The layer that a tensor belongs to, in *layer; false if it is none of a layer's tensors.
	 */
	bool (*layer_of)(const char *tensor_name, uint32_t *layer);
	/* Run one layer over the batch; `layer` counts from the range's first. */
	void (*run_layer)(struct batch *b, uint32_t layer);
};

extern const struct arch arch_llama;

/* ---- for the families' files: reading a model file with one clear line on error -------------- */

/* An integer in [min, max]. If the key is missing: `*out` as it was when optional, else an error.
 */
struct model_key {
	const char *name; /* "llama.block_count" */
	uint64_t min, max;
	bool optional;
};

int model_read_u32(
    const struct gguf *g, const struct model_key *key, uint32_t *out, struct error *err);

/* Borrow a vector of n binary32, or a matrix, whose shape and type must be right. */
int model_read_vector(
    const struct gguf *g, const char *name, uint32_t n, const float **out, struct error *err);
int model_read_matrix(const struct gguf *g, const char *name, uint32_t n_rows, uint32_t n_cols,
    struct matrix *out, struct error *err);

/* A name or word from a file, fit for a message: printable ASCII, cut to the buffer. */
enum { MODEL_WORD_BYTES = 96 };
const char *model_word(struct span word, char text[MODEL_WORD_BYTES]);

#endif
