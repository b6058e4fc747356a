/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with weights, for x86-64 with AVX2, FMA and F16C; elsewhere this file is empty.
 *
 * Quantised products take eight rows at a time: the eight exact integer sums of a block become the
 * eight lanes of one register, so a block costs one fma for all of them.
 */
#include "compute/kernels/avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <math.h>

enum {
	ROWS = 8, /* of a quantised tile */
	CACHE_LINE = 64
};

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

/* ---- float products ------------------------------------------------------------------------ */

/* Eight weights, widened. */
INLINE __m256 load_weights(enum tensor_type type, const uint8_t *at)
{
	if (type == TENSOR_F32)
		return _mm256_loadu_ps((const float *)(const void *)at);

	__m128i h = _mm_loadu_si128((const __m128i *)(const void *)at);

	if (type == TENSOR_F16)
		return _mm256_cvtph_ps(h);
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/*
 * A tile of n_rows rows and n_vectors vectors; all three are constants where this is inlined.
 * rows[] and vectors[] point at the tile's rows and vectors, sums[v][r] is the result; `next` is
 * the following tile's beginning, or NULL.
 */
INLINE void float_tile(enum tensor_type type, int n_rows, int n_vectors,
    const uint8_t *const rows[], const uint8_t *next, const float *const vectors[], size_t n,
    float sums[][4])
{
	const size_t element = type == TENSOR_F32 ? 4 : 2;
	__m256 low[4][4], high[4][4];
	size_t i = 0;

	UNROLL
	for (int v = 0; v < n_vectors; v++)
		UNROLL
	for (int r = 0; r < n_rows; r++)
		low[v][r] = high[v][r] = _mm256_setzero_ps();
	for (; i + LANES <= n; i += LANES) {
		const size_t step_bytes = (size_t)n_rows * LANES * element;

		if (next != NULL)
			fetch_ahead(next + i / LANES * step_bytes, step_bytes);
		UNROLL
		for (int r = 0; r < n_rows; r++) {
			const uint8_t *at = rows[r] + i * element;
			__m256 w_low = load_weights(type, at);
			__m256 w_high = load_weights(type, at + WIDTH * element);

			UNROLL
			for (int v = 0; v < n_vectors; v++) {
				const float *x = vectors[v] + i;

				low[v][r] = _mm256_fmadd_ps(w_low, _mm256_loadu_ps(x), low[v][r]);
				high[v][r] =
				    _mm256_fmadd_ps(w_high, _mm256_loadu_ps(x + WIDTH), high[v][r]);
			}
		}
	}
	if (i < n) { /* padded with +0, as the definition says */
		UNROLL
		for (int r = 0; r < n_rows; r++) {
			uint8_t weights[LANES * sizeof(float)] = {0};

			memcpy(weights, rows[r] + i * element, (n - i) * element);
			UNROLL
			for (int v = 0; v < n_vectors; v++) {
				float x[LANES] = {0};

				memcpy(x, vectors[v] + i, (n - i) * sizeof *x);
				low[v][r] = _mm256_fmadd_ps(
				    load_weights(type, weights), _mm256_loadu_ps(x), low[v][r]);
				high[v][r] =
				    _mm256_fmadd_ps(load_weights(type, weights + WIDTH * element),
				        _mm256_loadu_ps(x + WIDTH), high[v][r]);
			}
		}
	}
	UNROLL
	for (int v = 0; v < n_vectors; v++)
		UNROLL
	for (int r = 0; r < n_rows; r++)
		sums[v][r] = sum16(low[v][r], high[v][r]);
}

/* Tiles over the rows for n_vectors vectors from v on. Rows missing from the last tile repeat the
 * last row and are not stored. */
INLINE void float_strip(enum tensor_type type, int n_rows, int n_vectors, const struct matrix *w,
    uint32_t row_first, uint32_t row_end, const struct activations *x, size_t v, float *out,
    size_t out_stride)
{
	const float *vectors[4];

	for (int k = 0; k < n_vectors; k++)
		vectors[k] = x->f32 + (v + (size_t)k) * x->n;
	for (size_t r = row_first; r < row_end; r += (size_t)n_rows) {
		const uint8_t *rows[4];
		const uint8_t *next = NULL;
		float sums[4][4];
		size_t valid = at_most(row_end - r, (size_t)n_rows);

		for (size_t k = 0; k < (size_t)n_rows; k++)
			rows[k] = w->data + (r + at_most(k, valid - 1)) * w->row_bytes;
		if (v == 0 && r + 2 * (size_t)n_rows <= w->n_rows)
			next = rows[0] + (size_t)n_rows * w->row_bytes;
		float_tile(type, n_rows, n_vectors, rows, next, vectors, x->n, sums);
		for (int k = 0; k < n_vectors; k++)
			memcpy(
			    out + (v + (size_t)k) * out_stride + r, sums[k], valid * sizeof(float));
	}
}

/*
 * Four rows share one vector; with more vectors, two rows share three (twelve sums in flight). The
 * weights of a few rows stay in cache while all vectors pass over them.
 */
INLINE void float_matmul(enum tensor_type type, const struct matrix *w, uint32_t row_first,
    uint32_t row_end, const struct activations *x, float *out, size_t out_stride)
{
	for (uint32_t r = row_first; r < row_end;) {
		uint32_t end = r + (uint32_t)at_most(row_end - r, ROWS);
		size_t v = 0;

		for (; v + 3 <= x->n_vectors; v += 3)
			float_strip(type, 2, 3, w, r, end, x, v, out, out_stride);
		if (x->n_vectors - v == 2)
			float_strip(type, 2, 2, w, r, end, x, v, out, out_stride);
		else if (x->n_vectors - v == 1)
			float_strip(type, 4, 1, w, r, end, x, v, out, out_stride);
		r = end;
	}
}

static void matmul_f32(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	float_matmul(TENSOR_F32, w, row_first, row_end, x, out, out_stride);
}

static void matmul_f16(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	float_matmul(TENSOR_F16, w, row_first, row_end, x, out, out_stride);
}

static void matmul_bf16(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	float_matmul(TENSOR_BF16, w, row_first, row_end, x, out, out_stride);
}

float avx2_dot(const float *a, const float *b, size_t n)
{
	const uint8_t *rows[1] = {(const uint8_t *)a};
	const float *vectors[1] = {b};
	float sums[1][4];

	float_tile(TENSOR_F32, 1, 1, rows, NULL, vectors, n, sums);
	return sums[0][0];
}

/* ---- quantised products -------------------------------------------------------------------- */

/* The integer sums of a block, lane r for row r, from each row's eight partial sums. */
INLINE __m256i sum_lanes8(const __m256i s[ROWS])
{
	__m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
	__m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(s[4], s[5]), _mm256_hadd_epi32(s[6], s[7]));

	return _mm256_add_epi32(
	    _mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

/*
 * |w| times x with w's sign: a pair's sum is at most 2 * 128 * 127 = 32512, so the saturating
 * 16-bit instruction never saturates. (The other way round, -128 has no int8 magnitude.)
 */
INLINE __m256i block_sums_q8_0(const uint8_t *const blocks[ROWS], const int8_t *quants)
{
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i x = _mm256_loadu_si256((const __m256i *)(const void *)quants);
	__m256i s[ROWS];

	UNROLL
	for (int r = 0; r < ROWS; r++) {
		const void *at = blocks[r] + offsetof(struct block_q8_0, quants);
		__m256i w = _mm256_loadu_si256((const __m256i *)at);
		__m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));

		s[r] = _mm256_madd_epi16(pairs, ones);
	}
	return sum_lanes8(s);
}

/*
 * Rows r and r + 4 share a register. The nibbles stay unsigned, and 8 times the activations is
 * taken off afterwards; all stays far inside 16 bits (4 * 15 * 127).
 */
INLINE __m256i block_sums_q4_0(const uint8_t *const blocks[ROWS], const int8_t *quants)
{
	const __m256i ones = _mm256_set1_epi16(1);
	const __m256i eights = _mm256_set1_epi8(8);
	const __m256i nibble = _mm256_set1_epi8(15);
	const __m128i *x = (const __m128i *)(const void *)quants;
	__m256i x_low = _mm256_broadcastsi128_si256(_mm_loadu_si128(x));
	__m256i x_high = _mm256_broadcastsi128_si256(_mm_loadu_si128(x + 1));
	__m256i bias = _mm256_add_epi16(
	    _mm256_maddubs_epi16(eights, x_low), _mm256_maddubs_epi16(eights, x_high));
	__m256i s[ROWS / 2];

	UNROLL
	for (int r = 0; r < ROWS / 2; r++) {
		const void *a = blocks[r] + offsetof(struct block_q4_0, quants);
		const void *b = blocks[r + ROWS / 2] + offsetof(struct block_q4_0, quants);
		__m256i w = _mm256_inserti128_si256(
		    _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)),
		    _mm_loadu_si128((const __m128i *)b), 1);
		__m256i w_low = _mm256_and_si256(w, nibble);
		__m256i w_high = _mm256_and_si256(_mm256_srli_epi16(w, 4), nibble);
		__m256i pairs = _mm256_add_epi16(
		    _mm256_maddubs_epi16(w_low, x_low), _mm256_maddubs_epi16(w_high, x_high));

		s[r] = _mm256_madd_epi16(_mm256_sub_epi16(pairs, bias), ones);
	}
	return _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
}

/* Both quantised blocks begin with their scale. */
INLINE __m256 block_scales(const uint8_t *const blocks[ROWS])
{
	int16_t h[ROWS];

	UNROLL
	for (int r = 0; r < ROWS; r++)
		memcpy(&h[r], blocks[r], sizeof h[r]);
	return _mm256_cvtph_ps(_mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]));
}

/* Eight rows times n_vectors vectors (a constant where inlined): sums[v] has one lane a row. `next`
 * is the following tile's beginning, or NULL. */
INLINE void quant_tile(enum tensor_type type, int n_vectors, const uint8_t *const rows[ROWS],
    const uint8_t *next, const struct activations *x, size_t v, __m256 sums[])
{
	const size_t block_bytes =
	    type == TENSOR_Q8_0 ? sizeof(struct block_q8_0) : sizeof(struct block_q4_0);
	const size_t n_blocks = x->n / QUANT_BLOCK;
	const int8_t *quants = x->quants + v * x->n;
	const float *scales = x->scales + v * n_blocks;
	__m256 acc[4];

	UNROLL
	for (int k = 0; k < n_vectors; k++)
		acc[k] = _mm256_setzero_ps();
	for (size_t b = 0; b < n_blocks; b++) {
		const uint8_t *blocks[ROWS];

		UNROLL
		for (int r = 0; r < ROWS; r++)
			blocks[r] = rows[r] + b * block_bytes;
		if (next != NULL)
			fetch_ahead(next + b * ROWS * block_bytes, ROWS * block_bytes);

		__m256 weight_scale = block_scales(blocks);

		UNROLL
		for (int k = 0; k < n_vectors; k++) {
			const int8_t *q = quants + (size_t)k * x->n + b * QUANT_BLOCK;
			__m256i isum = type == TENSOR_Q8_0 ? block_sums_q8_0(blocks, q)
			                                   : block_sums_q4_0(blocks, q);
			__m256 scale = _mm256_mul_ps(
			    weight_scale, _mm256_set1_ps(scales[(size_t)k * n_blocks + b]));

			acc[k] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum), scale, acc[k]);
		}
	}
	UNROLL
	for (int k = 0; k < n_vectors; k++)
		sums[k] = acc[k];
}

/* Rows missing from the last tile repeat the last row and are not stored. */
INLINE void quant_matmul(enum tensor_type type, const struct matrix *w, uint32_t row_first,
    uint32_t row_end, const struct activations *x, float *out, size_t out_stride)
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
				quant_tile(type, 4, rows, next, x, v, sums);
			else if (n == 3)
				quant_tile(type, 3, rows, next, x, v, sums);
			else if (n == 2)
				quant_tile(type, 2, rows, next, x, v, sums);
			else
				quant_tile(type, 1, rows, next, x, v, sums);
			for (size_t k = 0; k < n; k++, v++)
				_mm256_maskstore_ps(out + v * out_stride + r, mask, sums[k]);
		}
	}
}

static void matmul_q8_0(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	quant_matmul(TENSOR_Q8_0, w, row_first, row_end, x, out, out_stride);
}

static void matmul_q4_0(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	quant_matmul(TENSOR_Q4_0, w, row_first, row_end, x, out, out_stride);
}

void avx2_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	assert(row_end <= w->n_rows && x->n == w->n_cols);
	switch (w->type) {
	case TENSOR_F32:
		matmul_f32(w, row_first, row_end, x, out, out_stride);
		return;
	case TENSOR_F16:
		matmul_f16(w, row_first, row_end, x, out, out_stride);
		return;
	case TENSOR_BF16:
		matmul_bf16(w, row_first, row_end, x, out, out_stride);
		return;
	case TENSOR_Q8_0:
		matmul_q8_0(w, row_first, row_end, x, out, out_stride);
		return;
	case TENSOR_Q4_0:
		matmul_q4_0(w, row_first, row_end, x, out, out_stride);
		return;
	case TENSOR_TYPE_END:
		break;
	}
	assert(false && "tensor type without a product");
}

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

static void quantise_block(const float *x, int8_t *quants, float *scale)
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
}

void avx2_quantise(const float *x, size_t n, int8_t *quants, float *scales)
{
	assert(n % QUANT_BLOCK == 0);
	for (size_t i = 0; i < n; i += QUANT_BLOCK)
		quantise_block(x + i, quants + i, scales + i / QUANT_BLOCK);
}

#else

typedef int avx2_matmul_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
