/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block layouts of tensor types, as GGUF files store them, and their plain decoding.
 *
 * A tensor is rows of dims[0] elements; a row is whole blocks. Every quantised block is one part of
 * 32 elements or eight of them; quant_unpack turns a part into 8-bit integers with their scales,
 * and all else (decoding, products) follows from that. Products are in compute/kernels. To add a
 * type: one row in the table of quant.c, its part in quant_unpack.c, and compute/kernels/README.md.
 *
 * Origin of the layouts: ggml's block formats, as GGUF files carry them.
 */
#ifndef AYNI_COMPUTE_QUANT_H
#define AYNI_COMPUTE_QUANT_H

#include "protocol/base.h"

/* Numbers as in ggml's enum ggml_type, which GGUF files carry. */
enum tensor_type {
	TENSOR_F32 = 0,
	TENSOR_F16 = 1,
	TENSOR_Q4_0 = 2,
	TENSOR_Q4_1 = 3,
	TENSOR_Q5_0 = 6,
	TENSOR_Q5_1 = 7,
	TENSOR_Q8_0 = 8,
	TENSOR_Q2_K = 10,
	TENSOR_Q3_K = 11,
	TENSOR_Q4_K = 12,
	TENSOR_Q5_K = 13,
	TENSOR_Q6_K = 14,
	TENSOR_IQ4_NL = 20,
	TENSOR_IQ4_XS = 23,
	TENSOR_BF16 = 30,
	TENSOR_MXFP4 = 39,
	TENSOR_TYPE_END = 64 /* numbers are below this */
};

enum {
	QUANT_BLOCK = 32, /* elements of a part, and of a block of quantised activations */
	QUANT_HALF = 16,  /* elements that some types scale apart */
	QUANT_SUPER = 256 /* elements of a block of eight parts */
};

/*
 * In the structs below scales are binary16 unless said. "Halves" of a part of 32: element i < 16 is
 * the low nibble of byte i, element i + 16 its high nibble.
 */

struct block_q8_0 { /* scale * quant */
	uint16_t scale;
	int8_t quants[QUANT_BLOCK];
};

struct block_q4_0 { /* scale * (nibble - 8), halves */
	uint16_t scale;
	uint8_t quants[QUANT_BLOCK / 2];
};

struct block_q4_1 { /* scale * nibble + minimum, halves */
	uint16_t scale, minimum;
	uint8_t quants[QUANT_BLOCK / 2];
};

struct block_q5_0 { /* scale * (q - 16): nibble and, above it, bit i of `high` for element i */
	uint16_t scale;
	uint8_t high[4];
	uint8_t quants[QUANT_BLOCK / 2];
};

struct block_q5_1 { /* scale * q + minimum, q as in Q5_0 */
	uint16_t scale, minimum;
	uint8_t high[4];
	uint8_t quants[QUANT_BLOCK / 2];
};

struct block_iq4_nl { /* scale * table[nibble], halves */
	uint16_t scale;
	uint8_t quants[QUANT_BLOCK / 2];
};

struct block_mxfp4 { /* 2^(exponent - 127) * an E2M1 number (OCP Microscaling Formats), halves */
	uint8_t exponent;
	uint8_t quants[QUANT_BLOCK / 2];
};

/*
 * Blocks of eight parts p = 0..7. Where two bits or a nibble of a byte serve several parts, the
 * parts of one half of the block (p / 4, or p / 2) share bytes: see quant_unpack.c.
 */

struct block_q2_k { /* scale * (low nibble of scales) * q - minimum * (high nibble), 16 elements
	               each */
	uint8_t scales[16];
	uint8_t quants[QUANT_SUPER / 4];
	uint16_t scale, minimum;
};

struct block_q3_k { /* scale * (6 bits - 32) * (q - 4), q of three bits; 16 elements a scale */
	uint8_t high[QUANT_SUPER / 8];
	uint8_t quants[QUANT_SUPER / 4];
	uint8_t scales[12];
	uint16_t scale;
};

struct block_q4_k { /* scale * (6 bits) * nibble - minimum * (6 bits) */
	uint16_t scale, minimum;
	uint8_t scales[12];
	uint8_t quants[QUANT_SUPER / 2];
};

struct block_q5_k { /* the same with a fifth bit */
	uint16_t scale, minimum;
	uint8_t scales[12];
	uint8_t high[QUANT_SUPER / 8];
	uint8_t quants[QUANT_SUPER / 2];
};

struct block_q6_k { /* scale * (signed byte) * (q - 32), q of six bits; 16 elements a scale */
	uint8_t low[QUANT_SUPER / 2];
	uint8_t high[QUANT_SUPER / 4];
	int8_t scales[16];
	uint16_t scale;
};

struct block_iq4_xs { /* scale * (6 bits - 32) * table[nibble], halves */
	uint16_t scale;
	uint16_t scales_high;
	uint8_t scales_low[4];
	uint8_t quants[QUANT_SUPER / 2];
};

static_assert(sizeof(struct block_q8_0) == 34, "as in the file");
static_assert(sizeof(struct block_q4_0) == 18, "as in the file");
static_assert(sizeof(struct block_q4_1) == 20, "as in the file");
static_assert(sizeof(struct block_q5_0) == 22, "as in the file");
static_assert(sizeof(struct block_q5_1) == 24, "as in the file");
static_assert(sizeof(struct block_iq4_nl) == 18, "as in the file");
static_assert(sizeof(struct block_mxfp4) == 17, "as in the file");
static_assert(sizeof(struct block_q2_k) == 84, "as in the file");
static_assert(sizeof(struct block_q3_k) == 110, "as in the file");
static_assert(sizeof(struct block_q4_k) == 144, "as in the file");
static_assert(sizeof(struct block_q5_k) == 176, "as in the file");
static_assert(sizeof(struct block_q6_k) == 210, "as in the file");
static_assert(sizeof(struct block_iq4_xs) == 136, "as in the file");

struct tensor_type_info {
	const char *name; /* "Q8_0" */
	uint32_t block_elements;
	uint32_t block_bytes;
	bool quantised; /* products take activations quantised to int8 */
	bool halves;    /* each 16 elements have a scale, else each 32 */
	bool minima;    /* value = scale * quant + minimum, else scale * quant */
};

/*
 * A part of 32 elements: value[i] = scale[h] * quants[i] (+ minimum[h]), h = i / 16. scale[1]
 * equals scale[0] where the type has one for all 32, and minimum is 0 where it has none. Scales are
 * exact: binary16 times an integer of at most eight bits.
 */
struct quant_part {
	int8_t quants[QUANT_BLOCK];
	float scale[2];
	float minimum[2];
};

/* Part p of a row of a quantised type. */
void quant_unpack(enum tensor_type type, const uint8_t *row, size_t p, struct quant_part *out);

/* What the nibbles of IQ4_NL and IQ4_XS, and of MXFP4 (doubled, so that they are whole), stand for.
 */
extern const int8_t quant_table_iq4[16];
extern const int8_t quant_table_mxfp4[16];
/* The scale that goes with the doubled table: 2^(exponent - 128). */
float quant_scale_mxfp4(uint8_t exponent);

/* NULL if the type is not known here. */
const struct tensor_type_info *tensor_type_info(uint32_t raw_type);
/* "F32, F16, ...": for error messages. */
const char *tensor_types_supported(void);
/* Bytes of a row of `n` elements; AYNI_ERR_FORMAT if n is not whole blocks. */
int tensor_row_bytes(uint32_t raw_type, uint64_t n, uint64_t *out);

/* Decode a row of n elements to binary32. Exact, but for one rounding in types with minima. */
void tensor_decode_row(enum tensor_type type, const uint8_t *row, size_t n, float *out);

/* Turn a block (or float) of random bytes into one of moderate size: nothing but exponents of
 * scales changes. For trials of kernels. */
void quant_moderate(enum tensor_type type, uint8_t *block);

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float x); /* the nearest, ties to even; infinity from 65520 on */
float bf16_to_f32(uint16_t h);

#endif
