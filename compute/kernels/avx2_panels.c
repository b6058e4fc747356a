/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantised activations, and products with quantised weights, for x86-64 with AVX2, FMA and F16C:
 * eight rows a register; elsewhere this file is empty.
 */
#include "compute/kernels/avx2_lanes.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <math.h>

#include "compute/kernels/vector_panels.inc"

void avx2_matmul_panels(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	products[w->type](w, row_first, row_end, x, out, out_stride);
}

/* ---- activations ------------------------------------------------------------------------------
 */

/* The largest magnitude of 32 numbers, compared as integers as in scalar.c. */
INLINE float magnitude32(const __m256 x[4])
{
	const __m256i positive = _mm256_set1_epi32(0x7fffffff);
	__m256i m = _mm256_setzero_si256();

	UNROLL
	for (int i = 0; i < 4; i++)
		m = _mm256_max_epi32(m, _mm256_and_si256(_mm256_castps_si256(x[i]), positive));

	__m128i m4 = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
	__m128i m2 = _mm_max_epi32(m4, _mm_unpackhi_epi64(m4, m4));
	__m128i m1 = _mm_max_epi32(m2, _mm_shuffle_epi32(m2, 1));

	return _mm_cvtss_f32(_mm_castsi128_ps(m1));
}

INLINE void store_sums(__m256i bytes, struct quant_terms *terms)
{
	const __m256i ones8 = _mm256_set1_epi8(1);
	const __m256i ones16 = _mm256_set1_epi16(1);
	__m256i s = _mm256_madd_epi16(_mm256_maddubs_epi16(ones8, bytes), ones16);
	__m128i halves = _mm_hadd_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
	__m128i sums = _mm_hadd_epi32(halves, halves);

	int32_t first = _mm_cvtsi128_si32(sums), last = _mm_extract_epi32(sums, 1);

	terms->scaled_sum = (float)(first + last) * terms->scale;
	terms->half_scaled_sum[0] = (float)first * terms->scale;
	terms->half_scaled_sum[1] = (float)last * terms->scale;
	terms->lowering = -128 * (first + last);
	terms->half_lowering[0] = -128 * first;
	terms->half_lowering[1] = -128 * last;
}

static void quantise_block(const float *x, int8_t *quants, struct quant_terms *terms)
{
	__m256 v[4];
	__m256i q[4];

	UNROLL
	for (int i = 0; i < 4; i++)
		v[i] = _mm256_loadu_ps(x + i * LANES);

	float m = magnitude32(v);

	if (m < 0x1p-100f || !isfinite(m)) {
		terms->scale = isfinite(m) ? 0.0f : NAN;
		memset(quants, 0, QUANT_BLOCK);
		store_sums(_mm256_setzero_si256(), terms);
		return;
	}
	__m256 f = _mm256_set1_ps(127.0f / m);

	terms->scale = m / 127.0f;
	UNROLL
	for (int i = 0; i < 4; i++)
		q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], f));

	/* Packing works within halves, so groups of four come out as 0 2 4 6 1 3 5 7. */
	__m256i bytes =
	    _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));

	bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
	_mm256_storeu_si256((__m256i *)(void *)quants, bytes);
	store_sums(bytes, terms);
}

void avx2_quantise(
    const float *x, size_t n, size_t stride, int8_t *quants, struct quant_terms *terms)
{
	assert(n % QUANT_BLOCK == 0);
	for (size_t p = 0; p < n / QUANT_BLOCK; p++)
		quantise_block(
		    x + p * QUANT_BLOCK, quants + p * stride * QUANT_BLOCK, terms + p * stride);
}

#else

typedef int avx2_panels_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
