/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block layouts of tensor types, as GGUF files store them, and their plain decoding.
 *
 * A tensor is rows of dims[0] elements; a row is whole blocks. This file knows sizes and decodes
 * one row exactly; products with activations are in compute/kernels. To add a type: one row in the
 * table of quant.c, one decoder there, one product in each kernels/ file (see
 * compute/kernels/README.md).
 */
#ifndef AYNI_COMPUTE_QUANT_H
#define AYNI_COMPUTE_QUANT_H

#include "protocol/base.h"

/* Numbers as in ggml's enum ggml_type, which GGUF files carry. */
enum tensor_type {
	TENSOR_F32 = 0,
	TENSOR_F16 = 1,
	TENSOR_Q4_0 = 2,
	TENSOR_Q8_0 = 8,
	TENSOR_BF16 = 30,
	TENSOR_TYPE_END = 64 /* numbers are below this */
};

enum { QUANT_BLOCK = 32 }; /* elements a block of Q4_0, Q8_0 and of quantised activations */

/* value[i] = scale * quant[i] */
struct block_q8_0 {
	uint16_t scale; /* binary16 */
	int8_t quants[QUANT_BLOCK];
};

/* Element i < 16 is the low nibble of byte i, element i + 16 its high nibble; value = scale*(q-8)
 */
struct block_q4_0 {
	uint16_t scale; /* binary16 */
	uint8_t quants[QUANT_BLOCK / 2];
};

static_assert(sizeof(struct block_q8_0) == 34, "as in the file");
static_assert(sizeof(struct block_q4_0) == 18, "as in the file");

struct tensor_type_info {
	const char *name; /* "Q8_0" */
	uint32_t block_elements;
	uint32_t block_bytes;
	bool quantised; /* products take activations quantised to int8 */
};

/* NULL if the type is not known here. */
const struct tensor_type_info *tensor_type_info(uint32_t raw_type);
/* "F32, F16, ...": for error messages. */
const char *tensor_types_supported(void);
/* Bytes of a row of `n` elements; AYNI_ERR_FORMAT if n is not whole blocks. */
int tensor_row_bytes(uint32_t raw_type, uint64_t n, uint64_t *out);

/* Decode a row of n elements to binary32. Exact for F32, F16, BF16; one rounding for the others. */
void tensor_decode_row(enum tensor_type type, const uint8_t *row, size_t n, float *out);

float f16_to_f32(uint16_t h);
float bf16_to_f32(uint16_t h);

#endif
