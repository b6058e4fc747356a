/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The weights of quantised blocks as bytes, for x86-64 with AVX2: a part of 32 elements of eight
 * rows. quant_unpack.c says the same to be read.
 */
#ifndef AYNI_COMPUTE_KERNELS_AVX2_WEIGHTS_H
#define AYNI_COMPUTE_KERNELS_AVX2_WEIGHTS_H

#include "compute/kernels/avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

enum {
	ROWS = 8, /* of a tile */
	PARTS = 8 /* of a block of 256 elements */
};

INLINE __m256i load32(const uint8_t *at)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

INLINE __m256i shifted(__m256i bytes, size_t shift, int mask)
{
	return _mm256_and_si256(
	    _mm256_srl_epi16(bytes, _mm_cvtsi32_si128((int)shift)), _mm256_set1_epi8((char)mask));
}

INLINE __m128i load16(const uint8_t *at)
{
	return _mm_loadu_si128((const __m128i *)(const void *)at);
}

/* Sixteen bytes: low nibbles, then high nibbles. */
INLINE __m256i nibbles(const uint8_t *at)
{
	__m128i b = load16(at);

	return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(b, 4), b), _mm256_set1_epi8(15));
}

INLINE __m256i look_up(const int8_t table[16], __m256i indices)
{
	__m128i t = _mm_loadu_si128((const __m128i *)(const void *)table);

	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), indices);
}

/* Bit i of four bytes as 16 in byte i. */
INLINE __m256i fifth_bits(const uint8_t high[4])
{
	const __m256i spread =
	    _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
	const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
	int32_t bits;

	memcpy(&bits, high, sizeof bits);
	__m256i b = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread);

	b = _mm256_cmpeq_epi8(_mm256_and_si256(b, bit), bit);
	return _mm256_and_si256(b, _mm256_set1_epi8(16));
}

/* What unpack adds to a type's weights so that they are not negative; the sums of activations take
 * it off again. -1 for types whose weights stay signed. */
INLINE int offset_of(enum tensor_type type)
{
	switch (type) {
	case TENSOR_Q3_K:
		return 4;
	case TENSOR_Q4_0:
		return 8;
	case TENSOR_MXFP4:
		return 12;
	case TENSOR_Q5_0:
		return 16;
	case TENSOR_Q6_K:
		return 32;
	case TENSOR_Q8_0:
	case TENSOR_IQ4_NL:
	case TENSOR_IQ4_XS:
		return -1;
	default:
		return 0;
	}
}

/* The 32 weights of part p of a block: bytes up to 63, or signed ones. */
INLINE __m256i unpack(enum tensor_type type, const uint8_t *b, size_t p)
{
	__m256i w, high;

	switch (type) {
	case TENSOR_Q8_0:
		return load32(b + offsetof(struct block_q8_0, quants));
	case TENSOR_IQ4_NL:
		return look_up(quant_table_iq4, nibbles(b + offsetof(struct block_iq4_nl, quants)));
	case TENSOR_IQ4_XS:
		b += offsetof(struct block_iq4_xs, quants) + p * QUANT_HALF;
		return look_up(quant_table_iq4, nibbles(b));
	case TENSOR_Q2_K:
		b += offsetof(struct block_q2_k, quants) + p / 4 * QUANT_BLOCK;
		return shifted(load32(b), 2 * (p % 4), 3);
	case TENSOR_Q3_K:
		w = load32(b + offsetof(struct block_q3_k, quants) + p / 4 * QUANT_BLOCK);
		high = shifted(load32(b + offsetof(struct block_q3_k, high)), p, 1);
		return _mm256_or_si256(shifted(w, 2 * (p % 4), 3), _mm256_slli_epi16(high, 2));
	case TENSOR_Q4_K:
		b += offsetof(struct block_q4_k, quants) + p / 2 * QUANT_BLOCK;
		return shifted(load32(b), 4 * (p % 2), 15);
	case TENSOR_Q5_K:
		w = load32(b + offsetof(struct block_q5_k, quants) + p / 2 * QUANT_BLOCK);
		high = shifted(load32(b + offsetof(struct block_q5_k, high)), p, 1);
		return _mm256_or_si256(shifted(w, 4 * (p % 2), 15), _mm256_slli_epi16(high, 4));
	case TENSOR_Q6_K:
		w = load32(b + offsetof(struct block_q6_k, low) + p / 4 * 64 + p % 2 * QUANT_BLOCK);
		high = load32(b + offsetof(struct block_q6_k, high) + p / 4 * QUANT_BLOCK);
		high = shifted(high, 2 * (p % 4), 3);
		return _mm256_or_si256(shifted(w, 4 * (p % 4 / 2), 15), _mm256_slli_epi16(high, 4));
	default:
		return _mm256_setzero_si256();
	}
}

/* Blocks of one part whose nibbles are halves and become bytes that are not negative. */
INLINE bool is_paired(enum tensor_type type)
{
	return type == TENSOR_Q4_0 || type == TENSOR_Q4_1 || type == TENSOR_Q5_0 ||
	       type == TENSOR_Q5_1 || type == TENSOR_MXFP4;
}

/* Rows a and b together: the first sixteen weights of both, and the last. */
INLINE void unpack_pair(enum tensor_type type, const uint8_t *a, const uint8_t *b, __m256i w[2])
{
	const size_t at = type == TENSOR_Q4_0   ? offsetof(struct block_q4_0, quants)
	                  : type == TENSOR_Q4_1 ? offsetof(struct block_q4_1, quants)
	                  : type == TENSOR_Q5_0 ? offsetof(struct block_q5_0, quants)
	                  : type == TENSOR_Q5_1 ? offsetof(struct block_q5_1, quants)
	                                        : offsetof(struct block_mxfp4, quants);
	__m256i bytes = _mm256_set_m128i(load16(b + at), load16(a + at));

	w[0] = shifted(bytes, 0, 15);
	w[1] = shifted(bytes, 4, 15);
	if (type == TENSOR_MXFP4) {
		const __m256i offset = _mm256_set1_epi8((char)offset_of(type));

		w[0] = _mm256_add_epi8(look_up(quant_table_mxfp4, w[0]), offset);
		w[1] = _mm256_add_epi8(look_up(quant_table_mxfp4, w[1]), offset);
	} else if (type == TENSOR_Q5_0 || type == TENSOR_Q5_1) {
		const size_t high = type == TENSOR_Q5_0 ? offsetof(struct block_q5_0, high)
		                                        : offsetof(struct block_q5_1, high);
		__m256i fifth_a = fifth_bits(a + high), fifth_b = fifth_bits(b + high);

		w[0] = _mm256_or_si256(w[0], _mm256_permute2x128_si256(fifth_a, fifth_b, 0x20));
		w[1] = _mm256_or_si256(w[1], _mm256_permute2x128_si256(fifth_a, fifth_b, 0x31));
	}
}

/* Part p of eight blocks: one register a row, or where paired, the first and last halves of rows r
 * and r + 4 in w[r] and w[r + 4]. */
INLINE void unpack_rows(
    enum tensor_type type, const uint8_t *const blocks[ROWS], size_t p, __m256i w[ROWS])
{
	if (!is_paired(type)) {
		UNROLL
		for (int r = 0; r < ROWS; r++)
			w[r] = unpack(type, blocks[r], p);
		return;
	}
	UNROLL
	for (int r = 0; r < ROWS / 2; r++) {
		__m256i halves[2];

		unpack_pair(type, blocks[r], blocks[r + ROWS / 2], halves);
		w[r] = halves[0];
		w[r + ROWS / 2] = halves[1];
	}
}

#endif
#endif
