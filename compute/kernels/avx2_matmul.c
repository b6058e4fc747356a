/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with float weights, for x86-64 with AVX2, FMA and F16C; elsewhere this file is empty.
 */
#include "compute/kernels/avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

enum { ROWS = 8 /* whose weights stay in cache while all vectors pass over them */ };

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

/* ---- all ----------------------------------------------------------------------------------- */

void avx2_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	assert(row_end <= w->n_rows && x->n == w->n_cols);
	if (w->type == TENSOR_F32)
		matmul_f32(w, row_first, row_end, x, out, out_stride);
	else if (w->type == TENSOR_F16)
		matmul_f16(w, row_first, row_end, x, out, out_stride);
	else if (w->type == TENSOR_BF16)
		matmul_bf16(w, row_first, row_end, x, out, out_stride);
	else
		avx2_matmul_quants(w, row_first, row_end, x, out, out_stride);
}

#else

typedef int avx2_matmul_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
