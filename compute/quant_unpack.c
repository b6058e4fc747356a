/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of 32 elements of each quantised type: where their bits and scales lie. All is written to
 * be read; kernels unpack faster, and are checked against this.
 */
#include "compute/quant.h"

#include <string.h>

enum { PARTS = QUANT_SUPER / QUANT_BLOCK };

const int8_t quant_table_iq4[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t quant_table_mxfp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void one_scale(struct quant_part *out, float scale, float minimum)
{
	out->scale[0] = out->scale[1] = scale;
	out->minimum[0] = out->minimum[1] = minimum;
}

/* ---- blocks of one part --------------------------------------------------------------------- */

/* Nibbles in halves, each plus `offset`. */
static void unpack_nibbles(const uint8_t *bytes, int offset, int8_t *quants)
{
	for (int i = 0; i < QUANT_HALF; i++) {
		quants[i] = (int8_t)((bytes[i] & 15) + offset);
		quants[i + QUANT_HALF] = (int8_t)((bytes[i] >> 4) + offset);
	}
}

static void look_up_nibbles(const uint8_t *bytes, const int8_t table[16], int8_t *quants)
{
	for (int i = 0; i < QUANT_HALF; i++) {
		quants[i] = table[bytes[i] & 15];
		quants[i + QUANT_HALF] = table[bytes[i] >> 4];
	}
}

/* Bit i of four bytes is worth 16 for element i. */
static void add_fifth_bits(const uint8_t high[4], int8_t *quants)
{
	for (int i = 0; i < QUANT_BLOCK; i++)
		quants[i] = (int8_t)(quants[i] + ((high[i / 8] >> (i % 8) & 1) << 4));
}

static void unpack_q8_0(const struct block_q8_0 *b, struct quant_part *out)
{
	memcpy(out->quants, b->quants, sizeof b->quants);
	one_scale(out, f16_to_f32(b->scale), 0.0f);
}

static void unpack_q4_0(const struct block_q4_0 *b, struct quant_part *out)
{
	unpack_nibbles(b->quants, -8, out->quants);
	one_scale(out, f16_to_f32(b->scale), 0.0f);
}

static void unpack_q4_1(const struct block_q4_1 *b, struct quant_part *out)
{
	unpack_nibbles(b->quants, 0, out->quants);
	one_scale(out, f16_to_f32(b->scale), f16_to_f32(b->minimum));
}

static void unpack_q5_0(const struct block_q5_0 *b, struct quant_part *out)
{
	unpack_nibbles(b->quants, -16, out->quants);
	add_fifth_bits(b->high, out->quants);
	one_scale(out, f16_to_f32(b->scale), 0.0f);
}

static void unpack_q5_1(const struct block_q5_1 *b, struct quant_part *out)
{
	unpack_nibbles(b->quants, 0, out->quants);
	add_fifth_bits(b->high, out->quants);
	one_scale(out, f16_to_f32(b->scale), f16_to_f32(b->minimum));
}

static void unpack_iq4_nl(const struct block_iq4_nl *b, struct quant_part *out)
{
	look_up_nibbles(b->quants, quant_table_iq4, out->quants);
	one_scale(out, f16_to_f32(b->scale), 0.0f);
}

static void unpack_mxfp4(const struct block_mxfp4 *b, struct quant_part *out)
{
	look_up_nibbles(b->quants, quant_table_mxfp4, out->quants);
	one_scale(out, quant_scale_mxfp4(b->exponent), 0.0f);
}

/* ---- blocks of eight parts ------------------------------------------------------------------ */

static void unpack_q2_k(const struct block_q2_k *b, int p, struct quant_part *out)
{
	const uint8_t *bytes = b->quants + p / 4 * QUANT_BLOCK;

	for (int i = 0; i < QUANT_BLOCK; i++)
		out->quants[i] = (int8_t)(bytes[i] >> 2 * (p % 4) & 3);
	for (int h = 0; h < 2; h++) {
		uint8_t s = b->scales[2 * p + h];

		out->scale[h] = f16_to_f32(b->scale) * (float)(s & 15);
		out->minimum[h] = -(f16_to_f32(b->minimum) * (float)(s >> 4));
	}
}

/* Sixteen scales of six bits: the lower four in eight bytes, two a byte, the upper two behind. */
static int scale_q3_k(const uint8_t scales[12], int j)
{
	int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
	int high = scales[8 + j % 4] >> 2 * (j / 4) & 3;

	return (low | high << 4) - 32;
}

static void unpack_q3_k(const struct block_q3_k *b, int p, struct quant_part *out)
{
	const uint8_t *bytes = b->quants + p / 4 * QUANT_BLOCK;

	for (int i = 0; i < QUANT_BLOCK; i++)
		out->quants[i] =
		    (int8_t)((bytes[i] >> 2 * (p % 4) & 3) + (b->high[i] >> p & 1) * 4 - 4);
	for (int h = 0; h < 2; h++) {
		out->scale[h] = f16_to_f32(b->scale) * (float)scale_q3_k(b->scales, 2 * p + h);
		out->minimum[h] = 0.0f;
	}
}

/* Eight scales and eight minima of six bits: the first four of each whole, the others' lower four
 * bits in four bytes and their upper two on top of the first ones. */
static void scales_k(const uint8_t *s, int p, int *scale, int *minimum)
{
	if (p < 4) {
		*scale = s[p] & 63;
		*minimum = s[p + 4] & 63;
	} else {
		*scale = (s[p + 4] & 15) | s[p - 4] >> 6 << 4;
		*minimum = s[p + 4] >> 4 | s[p] >> 6 << 4;
	}
}

static void set_scales_k(
    uint16_t scale, uint16_t minimum, const uint8_t scales[12], int p, struct quant_part *out)
{
	int s, m;

	scales_k(scales, p, &s, &m);
	one_scale(out, f16_to_f32(scale) * (float)s, -(f16_to_f32(minimum) * (float)m));
}

/* The lower nibbles of 32 bytes, then their upper ones, and so on. */
static void unpack_nibbles_k(const uint8_t *bytes, int p, int8_t *quants)
{
	for (int i = 0; i < QUANT_BLOCK; i++)
		quants[i] = (int8_t)(bytes[p / 2 * QUANT_BLOCK + i] >> 4 * (p % 2) & 15);
}

static void unpack_q4_k(const struct block_q4_k *b, int p, struct quant_part *out)
{
	unpack_nibbles_k(b->quants, p, out->quants);
	set_scales_k(b->scale, b->minimum, b->scales, p, out);
}

static void unpack_q5_k(const struct block_q5_k *b, int p, struct quant_part *out)
{
	unpack_nibbles_k(b->quants, p, out->quants);
	for (int i = 0; i < QUANT_BLOCK; i++)
		out->quants[i] = (int8_t)(out->quants[i] + ((b->high[i] >> p & 1) << 4));
	set_scales_k(b->scale, b->minimum, b->scales, p, out);
}

static void unpack_q6_k(const struct block_q6_k *b, int p, struct quant_part *out)
{
	int half = p / 4, k = p % 4;
	const uint8_t *low = b->low + half * 64 + k % 2 * QUANT_BLOCK;
	const uint8_t *high = b->high + half * QUANT_BLOCK;

	for (int i = 0; i < QUANT_BLOCK; i++)
		out->quants[i] =
		    (int8_t)((low[i] >> 4 * (k / 2) & 15) + ((high[i] >> 2 * k & 3) << 4) - 32);
	for (int h = 0; h < 2; h++) {
		out->scale[h] = f16_to_f32(b->scale) * (float)b->scales[2 * p + h];
		out->minimum[h] = 0.0f;
	}
}

static void unpack_iq4_xs(const struct block_iq4_xs *b, int p, struct quant_part *out)
{
	int low = b->scales_low[p / 2] >> 4 * (p % 2) & 15;
	int high = b->scales_high >> 2 * p & 3;

	look_up_nibbles(b->quants + p * QUANT_HALF, quant_table_iq4, out->quants);
	one_scale(out, f16_to_f32(b->scale) * (float)((low | high << 4) - 32), 0.0f);
}

/* ---- all ------------------------------------------------------------------------------------ */

/* 2^(exponent - 128): half the block's scale, as the table is doubled. */
float quant_scale_mxfp4(uint8_t exponent)
{
	uint32_t bits = exponent > 1 ? (uint32_t)(exponent - 1) << 23 : 0x00200000U << exponent;
	float scale;

	memcpy(&scale, &bits, sizeof scale);
	return scale;
}

/* Rows need no alignment, so a block is copied before it is looked at. */
#define CASE_SMALL(type, block, unpack)                                                            \
	case type: {                                                                               \
		struct block b;                                                                    \
		memcpy(&b, row + p * sizeof b, sizeof b);                                          \
		unpack(&b, out);                                                                   \
		return;                                                                            \
	}
#define CASE_SUPER(type, block, unpack)                                                            \
	case type: {                                                                               \
		struct block b;                                                                    \
		memcpy(&b, row + p / PARTS * sizeof b, sizeof b);                                  \
		unpack(&b, (int)(p % PARTS), out);                                                 \
		return;                                                                            \
	}

void quant_unpack(enum tensor_type type, const uint8_t *row, size_t p, struct quant_part *out)
{
	switch (type) {
		CASE_SMALL(TENSOR_Q8_0, block_q8_0, unpack_q8_0)
		CASE_SMALL(TENSOR_Q4_0, block_q4_0, unpack_q4_0)
		CASE_SMALL(TENSOR_Q4_1, block_q4_1, unpack_q4_1)
		CASE_SMALL(TENSOR_Q5_0, block_q5_0, unpack_q5_0)
		CASE_SMALL(TENSOR_Q5_1, block_q5_1, unpack_q5_1)
		CASE_SMALL(TENSOR_IQ4_NL, block_iq4_nl, unpack_iq4_nl)
		CASE_SMALL(TENSOR_MXFP4, block_mxfp4, unpack_mxfp4)
		CASE_SUPER(TENSOR_Q2_K, block_q2_k, unpack_q2_k)
		CASE_SUPER(TENSOR_Q3_K, block_q3_k, unpack_q3_k)
		CASE_SUPER(TENSOR_Q4_K, block_q4_k, unpack_q4_k)
		CASE_SUPER(TENSOR_Q5_K, block_q5_k, unpack_q5_k)
		CASE_SUPER(TENSOR_Q6_K, block_q6_k, unpack_q6_k)
		CASE_SUPER(TENSOR_IQ4_XS, block_iq4_xs, unpack_iq4_xs)
	case TENSOR_F32:
	case TENSOR_F16:
	case TENSOR_BF16:
	case TENSOR_TYPE_END:
		break;
	}
	assert(false && "a type without parts");
}
