/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with quantised weights, for x86-64 with AVX2, FMA and F16C; elsewhere this file is
 * empty.
 *
 * Eight rows at a time: the exact integer sums of a part of 32 elements become the eight lanes of
 * one register, so that an fma serves all of them. A part's weights are unpacked to 8-bit integers
 * once for up to four vectors.
 */
#include "compute/kernels/avx2_scales.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <math.h>

/* ---- a tile -----------------------------------------------------------------------------------
 */

/*
 * Sums of the products of 32 weights and activations of eight rows, one lane a row.
 *
 * A pair's sum stays inside the saturating 16-bit instruction: at most 2 * 63 * 127 where weights
 * are made unsigned, and 2 * 128 * 127 = 32512 of |w| times x with w's sign. (The other way round,
 * -128 has no int8 magnitude.) Paired types have at most 31, so two such sums may be added before
 * they are widened.
 */

INLINE __m256i paired_sums(const __m256i w[ROWS], const int8_t *quants)
{
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i first = _mm256_broadcastsi128_si256(load16((const uint8_t *)quants));
	__m256i last = _mm256_broadcastsi128_si256(load16((const uint8_t *)quants + QUANT_HALF));
	__m256i s[ROWS / 2];

	UNROLL
	for (int r = 0; r < ROWS / 2; r++)
		s[r] = _mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(w[r], first),
		                             _mm256_maddubs_epi16(w[r + ROWS / 2], last)),
		    ones);
	return _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
}

/* The sums of the first and of the last sixteen apart. */
INLINE void halves_sums(
    enum tensor_type type, const __m256i w[ROWS], const int8_t *quants, __m256i sums[2])
{
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i x = load32((const uint8_t *)quants);
	__m256i s[ROWS];

	UNROLL
	for (int r = 0; r < ROWS; r++) {
		__m256i pairs = offset_of(type) >= 0 ? _mm256_maddubs_epi16(w[r], x)
		                                     : _mm256_maddubs_epi16(_mm256_abs_epi8(w[r]),
		                                           _mm256_sign_epi8(x, w[r]));

		s[r] = _mm256_madd_epi16(pairs, ones);
	}

	__m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
	__m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(s[4], s[5]), _mm256_hadd_epi32(s[6], s[7]));

	sums[0] = _mm256_permute2x128_si256(a, b, 0x20);
	sums[1] = _mm256_permute2x128_si256(a, b, 0x31);
}

/* Add a stretch of 16 or 32 elements: its integer sum, less what unsigned weights have too much,
 * and its minimum. */
INLINE __m256 add_stretch(enum tensor_type type, __m256 acc, __m256i isum, __m256 scale,
    __m256 minimum, float xscale, int xsum)
{
	if (offset_of(type) > 0)
		isum = _mm256_sub_epi32(isum, _mm256_set1_epi32(offset_of(type) * xsum));
	acc = _mm256_fmadd_ps(
	    _mm256_cvtepi32_ps(isum), _mm256_mul_ps(scale, _mm256_set1_ps(xscale)), acc);
	if (has_minima(type))
		acc = _mm256_fmadd_ps(minimum, _mm256_set1_ps((float)xsum * xscale), acc);
	return acc;
}

/* Add one part to a vector's accumulators, in the order of the definition. */
INLINE __m256 add_part(enum tensor_type type, __m256 acc, const __m256i w[ROWS],
    const struct part_scales *s, const int8_t *quants, float xscale, const int16_t *xsums)
{
	__m256i sums[2];

	if (is_paired(type)) {
		sums[0] = paired_sums(w, quants);
	} else {
		halves_sums(type, w, quants, sums);
		if (has_halves(type)) {
			acc = add_stretch(
			    type, acc, sums[0], s->scale[0], s->minimum[0], xscale, xsums[0]);
			return add_stretch(
			    type, acc, sums[1], s->scale[1], s->minimum[1], xscale, xsums[1]);
		}
		sums[0] = _mm256_add_epi32(sums[0], sums[1]);
	}
	return add_stretch(
	    type, acc, sums[0], s->scale[0], s->minimum[0], xscale, xsums[0] + xsums[1]);
}

/* Eight rows times n_vectors vectors (a constant where inlined): acc[k] has one lane a row. `next`
 * is the following tile's beginning, or NULL. */
INLINE void quant_tile(enum tensor_type type, size_t block_bytes, int n_vectors,
    const uint8_t *const rows[ROWS], const uint8_t *next, const struct activations *x, size_t v,
    __m256 acc[])
{
	const size_t parts = is_super(type) ? PARTS : 1;
	const size_t n_parts = x->n / QUANT_BLOCK;

	UNROLL
	for (int k = 0; k < n_vectors; k++)
		acc[k] = _mm256_setzero_ps();
	for (size_t b = 0; b < n_parts / parts; b++) {
		const uint8_t *blocks[ROWS];
		struct block_scales scales;

		UNROLL
		for (int r = 0; r < ROWS; r++)
			blocks[r] = rows[r] + b * block_bytes;
		if (next != NULL)
			fetch_ahead(next + b * ROWS * block_bytes, ROWS * block_bytes);
		read_scales(type, blocks, &scales);
		for (size_t p = 0; p < parts; p++) {
			struct part_scales s = scales_of(type, &scales, p);
			size_t at = b * parts + p;
			__m256i w[ROWS];

			unpack_rows(type, blocks, p, w);
			UNROLL
			for (int k = 0; k < n_vectors; k++) {
				size_t first = (v + (size_t)k) * n_parts + at;

				acc[k] =
				    add_part(type, acc[k], w, &s, x->quants + first * QUANT_BLOCK,
				        x->scales[first], x->sums + first * 2);
			}
		}
	}
}

/* Rows missing from the last tile repeat the last row and are not stored. */
INLINE void quant_matmul(enum tensor_type type, size_t block_bytes, const struct matrix *w,
    uint32_t row_first, uint32_t row_end, const struct activations *x, float *out,
    size_t out_stride)
{
	for (size_t r = row_first; r < row_end; r += ROWS) {
		const uint8_t *rows[ROWS];
		size_t valid = at_most(row_end - r, ROWS);
		__m256i mask = first_lanes(valid);

		for (size_t k = 0; k < ROWS; k++)
			rows[k] = w->data + (r + at_most(k, valid - 1)) * w->row_bytes;
		const uint8_t *next =
		    row_end - r >= 2 * ROWS ? rows[0] + ROWS * w->row_bytes : NULL;

		for (size_t v = 0; v < x->n_vectors; next = NULL) {
			size_t n = at_most(x->n_vectors - v, 4);
			__m256 sums[4];

			if (n == 4)
				quant_tile(type, block_bytes, 4, rows, next, x, v, sums);
			else if (n == 3)
				quant_tile(type, block_bytes, 3, rows, next, x, v, sums);
			else if (n == 2)
				quant_tile(type, block_bytes, 2, rows, next, x, v, sums);
			else
				quant_tile(type, block_bytes, 1, rows, next, x, v, sums);
			for (size_t k = 0; k < n; k++, v++)
				_mm256_maskstore_ps(out + v * out_stride + r, mask, sums[k]);
		}
	}
}

/* One copy of the tile for each type, with everything above decided when it is compiled. */
#define MATMUL(type, block)                                                                        \
	static void matmul_##block(const struct matrix *w, uint32_t row_first, uint32_t row_end,   \
	    const struct activations *x, float *out, size_t out_stride)                            \
	{                                                                                          \
		quant_matmul(                                                                      \
		    type, sizeof(struct block), w, row_first, row_end, x, out, out_stride);        \
	}

MATMUL(TENSOR_Q8_0, block_q8_0)
MATMUL(TENSOR_Q4_0, block_q4_0)
MATMUL(TENSOR_Q4_1, block_q4_1)
MATMUL(TENSOR_Q5_0, block_q5_0)
MATMUL(TENSOR_Q5_1, block_q5_1)
MATMUL(TENSOR_IQ4_NL, block_iq4_nl)
MATMUL(TENSOR_MXFP4, block_mxfp4)
MATMUL(TENSOR_Q2_K, block_q2_k)
MATMUL(TENSOR_Q3_K, block_q3_k)
MATMUL(TENSOR_Q4_K, block_q4_k)
MATMUL(TENSOR_Q5_K, block_q5_k)
MATMUL(TENSOR_Q6_K, block_q6_k)
MATMUL(TENSOR_IQ4_XS, block_iq4_xs)

typedef void matmul_fn(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride);

static matmul_fn *const products[TENSOR_TYPE_END] = {
    [TENSOR_Q8_0] = matmul_block_q8_0,
    [TENSOR_Q4_0] = matmul_block_q4_0,
    [TENSOR_Q4_1] = matmul_block_q4_1,
    [TENSOR_Q5_0] = matmul_block_q5_0,
    [TENSOR_Q5_1] = matmul_block_q5_1,
    [TENSOR_IQ4_NL] = matmul_block_iq4_nl,
    [TENSOR_MXFP4] = matmul_block_mxfp4,
    [TENSOR_Q2_K] = matmul_block_q2_k,
    [TENSOR_Q3_K] = matmul_block_q3_k,
    [TENSOR_Q4_K] = matmul_block_q4_k,
    [TENSOR_Q5_K] = matmul_block_q5_k,
    [TENSOR_Q6_K] = matmul_block_q6_k,
    [TENSOR_IQ4_XS] = matmul_block_iq4_xs,
};

void avx2_matmul_quants(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	assert(products[w->type] != NULL);
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

/* The sums of the first and of the last sixteen quants. */
INLINE void store_sums(__m256i bytes, int16_t *sums)
{
	const __m256i ones8 = _mm256_set1_epi8(1);
	const __m256i ones16 = _mm256_set1_epi16(1);
	__m256i s = _mm256_madd_epi16(_mm256_maddubs_epi16(ones8, bytes), ones16);
	__m128i halves = _mm_hadd_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
	__m128i both = _mm_hadd_epi32(halves, halves);

	sums[0] = (int16_t)_mm_cvtsi128_si32(both);
	sums[1] = (int16_t)_mm_extract_epi32(both, 1);
}

static void quantise_block(const float *x, int8_t *quants, float *scale, int16_t *sums)
{
	__m256 v[4];
	__m256i q[4];

	UNROLL
	for (int i = 0; i < 4; i++)
		v[i] = _mm256_loadu_ps(x + i * WIDTH);

	float m = magnitude32(v);

	if (m < 0x1p-100f || !isfinite(m)) {
		*scale = isfinite(m) ? 0.0f : NAN;
		memset(quants, 0, QUANT_BLOCK);
		memset(sums, 0, 2 * sizeof *sums);
		return;
	}
	__m256 f = _mm256_set1_ps(127.0f / m);

	*scale = m / 127.0f;
	UNROLL
	for (int i = 0; i < 4; i++)
		q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], f));

	/* Packing works within halves, so groups of four come out as 0 2 4 6 1 3 5 7. */
	__m256i bytes =
	    _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));

	bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
	_mm256_storeu_si256((__m256i *)(void *)quants, bytes);
	store_sums(bytes, sums);
}

void avx2_quantise(const float *x, size_t n, int8_t *quants, float *scales, int16_t *sums)
{
	assert(n % QUANT_BLOCK == 0);
	for (size_t i = 0; i < n; i += QUANT_BLOCK)
		quantise_block(x + i, quants + i, scales + i / QUANT_BLOCK, sums + i / QUANT_HALF);
}

#else

typedef int avx2_quants_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
