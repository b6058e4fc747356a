/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integers among the scales and minima of blocks of eight parts, for x86-64 with AVX2: of eight
 * rows. quant_unpack.c says the same to be read.
 */
#ifndef AYNI_COMPUTE_KERNELS_AVX2_INTEGERS_H
#define AYNI_COMPUTE_KERNELS_AVX2_INTEGERS_H

#include "compute/kernels/avx2_weights.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

enum { SCALES = 16 }; /* at most, of a block of eight parts */

INLINE bool has_halves(enum tensor_type type)
{
	return type == TENSOR_Q2_K || type == TENSOR_Q3_K || type == TENSOR_Q6_K;
}

INLINE bool has_minima(enum tensor_type type)
{
	return type == TENSOR_Q4_1 || type == TENSOR_Q5_1 || type == TENSOR_Q2_K ||
	       type == TENSOR_Q4_K || type == TENSOR_Q5_K;
}

INLINE bool is_super(enum tensor_type type)
{
	return has_halves(type) || type == TENSOR_Q4_K || type == TENSOR_Q5_K ||
	       type == TENSOR_IQ4_XS;
}

/* Eight rows of eight bytes to eight columns of eight. */
INLINE void transpose(const uint64_t rows[ROWS], int8_t columns[][ROWS])
{
	__m128i r[ROWS], pairs[4], fours[4];

	UNROLL
	for (int i = 0; i < ROWS; i++)
		r[i] = _mm_cvtsi64_si128((long long)rows[i]);
	UNROLL
	for (int i = 0; i < 4; i++) /* bytes of rows i and i + 4 take turns, then of four rows */
		pairs[i] = _mm_unpacklo_epi8(r[i], r[i + 4]);
	for (int i = 0; i < 2; i++) {
		fours[i] = _mm_unpacklo_epi8(pairs[i], pairs[i + 2]);
		fours[i + 2] = _mm_unpackhi_epi8(pairs[i], pairs[i + 2]);
	}
	for (int i = 0; i < 4; i += 2) {
		__m128i *to = (__m128i *)(void *)columns[2 * i];

		_mm_storeu_si128(to, _mm_unpacklo_epi8(fours[i], fours[i + 1]));
		_mm_storeu_si128(to + 1, _mm_unpackhi_epi8(fours[i], fours[i + 1]));
	}
}

/* The scales of one row's block as bytes: eight or sixteen scales in s, the same of minima in m.
 * The layouts are those of quant_unpack.c, eight bytes at a time. */

INLINE uint64_t word(const uint8_t *at)
{
	uint64_t w;

	memcpy(&w, at, sizeof w);
	return w;
}

INLINE uint64_t joined(uint32_t first, uint32_t second)
{
	return first | (uint64_t)second << 32;
}

INLINE void row_scales_k(const uint8_t *at, uint64_t s[2], uint64_t m[2])
{
	const uint32_t low6 = 0x3f3f3f3f, low4 = 0x0f0f0f0f, low2 = 0x03030303;
	uint32_t in[3];

	memcpy(in, at, sizeof in);
	s[0] = joined(in[0] & low6, (in[2] & low4) | (in[0] >> 6 & low2) << 4);
	m[0] = joined(in[1] & low6, (in[2] >> 4 & low4) | (in[1] >> 6 & low2) << 4);
}

INLINE void row_scales_q3_k(const uint8_t *at, uint64_t s[2])
{
	const uint32_t low4 = 0x0f0f0f0f, low2 = 0x03030303;
	uint32_t in[3];

	memcpy(in, at, sizeof in);
	s[0] =
	    joined((in[0] & low4) | (in[2] & low2) << 4, (in[1] & low4) | (in[2] >> 2 & low2) << 4);
	s[1] = joined((in[0] >> 4 & low4) | (in[2] >> 4 & low2) << 4,
	    (in[1] >> 4 & low4) | (in[2] >> 6 & low2) << 4);
}

INLINE void row_scales_iq4_xs(const uint8_t *block, uint64_t s[2])
{
	struct block_iq4_xs head;
	uint32_t nibbles;

	memcpy(&head, block, offsetof(struct block_iq4_xs, quants));
	memcpy(&nibbles, head.scales_low, sizeof nibbles);

	/* Eight nibbles, and eight pairs of bits, apart into eight bytes. */
	uint64_t low = nibbles, high = head.scales_high;

	low = (low | low << 16) & 0x0000ffff0000ffff;
	low = (low | low << 8) & 0x00ff00ff00ff00ff;
	low = (low | low << 4) & 0x0f0f0f0f0f0f0f0f;
	high = (high | high << 24) & 0x000000ff000000ff;
	high = (high | high << 12) & 0x000f000f000f000f;
	high = (high | high << 6) & 0x0303030303030303;
	s[0] = low | high << 4;
}

INLINE void row_scales(enum tensor_type type, const uint8_t *block, uint64_t s[2], uint64_t m[2])
{
	const uint64_t low4 = 0x0f0f0f0f0f0f0f0f;

	if (type == TENSOR_Q4_K) {
		row_scales_k(block + offsetof(struct block_q4_k, scales), s, m);
	} else if (type == TENSOR_Q5_K) {
		row_scales_k(block + offsetof(struct block_q5_k, scales), s, m);
	} else if (type == TENSOR_Q3_K) {
		row_scales_q3_k(block + offsetof(struct block_q3_k, scales), s);
	} else if (type == TENSOR_IQ4_XS) {
		row_scales_iq4_xs(block, s);
	} else {
		size_t at = type == TENSOR_Q6_K ? offsetof(struct block_q6_k, scales)
		                                : offsetof(struct block_q2_k, scales);

		for (size_t i = 0; i < 2; i++) {
			s[i] = word(block + at + 8 * i);
			m[i] = s[i] >> 4 & low4;
			s[i] = type == TENSOR_Q6_K ? s[i] : s[i] & low4;
		}
	}
}

/* The integers of eight blocks. */
INLINE void read_integers(enum tensor_type type, const uint8_t *const blocks[ROWS],
    int8_t scales[SCALES][ROWS], int8_t minima[SCALES][ROWS])
{
	uint64_t s[2][ROWS], m[2][ROWS];

	UNROLL
	for (int r = 0; r < ROWS; r++) {
		uint64_t row_s[2] = {0}, row_m[2] = {0};

		row_scales(type, blocks[r], row_s, row_m);
		for (int i = 0; i < 2; i++) {
			s[i][r] = row_s[i];
			m[i][r] = row_m[i];
		}
	}
	for (int i = 0; i < (has_halves(type) ? 2 : 1); i++) {
		transpose(s[i], scales + 8 * i);
		if (has_minima(type))
			transpose(m[i], minima + 8 * i);
	}
}

#endif
#endif
