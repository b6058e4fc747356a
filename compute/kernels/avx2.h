/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces that the files avx2*.c share, for files compiled with AVX2, FMA and F16C alone.
 * The sixteen lanes of the definition are two registers.
 */
#ifndef AYNI_COMPUTE_KERNELS_AVX2_H
#define AYNI_COMPUTE_KERNELS_AVX2_H

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "compute/kernels/kernels.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* Before loops over a tile: only unrolled do its arrays become registers. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

enum {
	WIDTH = 8,  /* floats of a register */
	LANES = 16, /* of the definition */
	CACHE_LINE = 64
};

void avx2_quantise(const float *x, size_t n, int8_t *quants, float *scales, int16_t *sums);
void avx2_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride);
void avx2_matmul_quants(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride);
float avx2_dot(const float *a, const float *b, size_t n);

/* All bits in the first n of eight elements. */
INLINE __m256i first_lanes(size_t n)
{
	const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), index);
}

INLINE size_t at_most(size_t n, size_t limit)
{
	return n < limit ? n : limit;
}

/* Lanes 0-7 in `low`, 8-15 in `high`. */
INLINE float sum16(__m256 low, __m256 high)
{
	__m256 l8 = _mm256_add_ps(low, high);
	__m128 l4 = _mm_add_ps(_mm256_castps256_ps128(l8), _mm256_extractf128_ps(l8, 1));
	__m128 l2 = _mm_add_ps(l4, _mm_movehl_ps(l4, l4));

	return _mm_cvtss_f32(_mm_add_ss(l2, _mm_movehdup_ps(l2)));
}

/* Up to eight elements; those past `left` read as +0 and are not written. */
INLINE __m256 load_some(const float *x, size_t left)
{
	return left >= WIDTH ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first_lanes(left));
}

INLINE void store_some(float *x, size_t left, __m256 v)
{
	if (left >= WIDTH)
		_mm256_storeu_ps(x, v);
	else
		_mm256_maskstore_ps(x, first_lanes(left), v);
}

/*
 * Ask for n_bytes to come nearer. Several rows at once are as many short streams, too many and too
 * short for the processor to foresee; while one tile is computed the next, which lies behind it in
 * one piece, is asked for in order. (One vector: Q8_0 24 GB/s instead of 10, F16 23 instead of 14.)
 */
INLINE void fetch_ahead(const uint8_t *at, size_t n_bytes)
{
	UNROLL
	for (size_t i = 0; i < n_bytes; i += CACHE_LINE)
		_mm_prefetch((const char *)at + i, _MM_HINT_T1);
}

#endif

#endif
