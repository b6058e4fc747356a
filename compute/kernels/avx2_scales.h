/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scales and minima of quantised blocks, for x86-64 with AVX2: of eight rows, one lane a row.
 * quant_unpack.c says the same to be read.
 */
#ifndef AYNI_COMPUTE_KERNELS_AVX2_SCALES_H
#define AYNI_COMPUTE_KERNELS_AVX2_SCALES_H

#include "compute/kernels/avx2_integers.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

/* What a part needs of its eight rows, beside their weights: one lane a row. [1] is used by types
 * that scale halves apart, the minima by those that have them. */
struct part_scales {
	__m256 scale[2];
	__m256 minimum[2];
};

/* The same of a block: its own scale and minimum, and the integers that each part multiplies them
 * by, [which][row]. */
struct block_scales {
	__m256 scale;
	__m256 minimum;
	int8_t scales[SCALES][ROWS];
	int8_t minima[SCALES][ROWS];
};

/* The binary16 at the same place of eight blocks. */
INLINE __m256 halves_at(const uint8_t *const blocks[ROWS], size_t at)
{
	int16_t h[ROWS];

	UNROLL
	for (int r = 0; r < ROWS; r++)
		memcpy(&h[r], blocks[r] + at, sizeof h[r]);
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)h));
}

INLINE __m256 from_bytes(const int8_t bytes[ROWS])
{
	__m128i b = _mm_loadl_epi64((const __m128i *)(const void *)bytes);

	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b));
}

INLINE __m256 negated(__m256 x)
{
	return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}

/* Where the binary16 scale of a block lies. */
INLINE size_t scale_at(enum tensor_type type)
{
	return type == TENSOR_Q2_K   ? offsetof(struct block_q2_k, scale)
	       : type == TENSOR_Q3_K ? offsetof(struct block_q3_k, scale)
	       : type == TENSOR_Q6_K ? offsetof(struct block_q6_k, scale)
	                             : 0;
}

/* quant_scale_mxfp4 of eight blocks. */
INLINE __m256 scales_mxfp4(const uint8_t *const blocks[ROWS])
{
	const __m256i one = _mm256_set1_epi32(1);
	__m256i e = _mm256_setr_epi32(blocks[0][0], blocks[1][0], blocks[2][0], blocks[3][0],
	    blocks[4][0], blocks[5][0], blocks[6][0], blocks[7][0]);
	__m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
	__m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);

	return _mm256_castsi256_ps(
	    _mm256_blendv_epi8(subnormal, normal, _mm256_cmpgt_epi32(e, one)));
}

INLINE void read_scales(
    enum tensor_type type, const uint8_t *const blocks[ROWS], struct block_scales *out)
{
	if (type == TENSOR_MXFP4) {
		out->scale = scales_mxfp4(blocks);
		return;
	}
	out->scale = halves_at(blocks, scale_at(type));
	if (has_minima(type))
		out->minimum = halves_at(blocks, scale_at(type) + sizeof(uint16_t));
	if (is_super(type))
		read_integers(type, blocks, out->scales, out->minima);
}

INLINE struct part_scales scales_of(enum tensor_type type, const struct block_scales *b, size_t p)
{
	/* Q3_K and IQ4_XS store their integers plus 32. */
	const __m256 excess =
	    _mm256_set1_ps(type == TENSOR_Q3_K || type == TENSOR_IQ4_XS ? 32.0f : 0.0f);
	struct part_scales s = {{b->scale, b->scale}, {b->minimum, b->minimum}};

	if (!is_super(type))
		return s;
	for (size_t h = 0; h < (has_halves(type) ? 2 : 1); h++) {
		size_t j = has_halves(type) ? 2 * p + h : p;
		__m256 integers = _mm256_sub_ps(from_bytes(b->scales[j]), excess);

		s.scale[h] = _mm256_mul_ps(b->scale, integers);
		if (has_minima(type))
			s.minimum[h] = negated(_mm256_mul_ps(b->minimum, from_bytes(b->minima[j])));
	}
	return s;
}

#endif
#endif
