/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of products with weights (README.md beside this file, "Products with weights").
 */
#include "compute/kernels/scalar.h"

#include <float.h>
#include <math.h>

static_assert(FLT_EVAL_METHOD == 0, "binary32 expressions are evaluated in binary32");

/* ---- float products ------------------------------------------------------------------------ */

static void dot_step(float lanes[SCALAR_LANES], const float *a, const float *b)
{
	for (int i = 0; i < SCALAR_LANES; i++)
		lanes[i] = fmaf(a[i], b[i], lanes[i]);
}

float scalar_dot_row(enum tensor_type type, const uint8_t *row, const float *x, size_t n)
{
	size_t element_bytes = tensor_type_info(type)->block_bytes;
	float lanes[SCALAR_LANES] = {0};
	size_t i = 0;

	for (; i + SCALAR_LANES <= n; i += SCALAR_LANES) {
		float weights[SCALAR_LANES];

		tensor_decode_row(type, row + i * element_bytes, SCALAR_LANES, weights);
		dot_step(lanes, weights, x + i);
	}
	if (i < n) { /* padded with +0 */
		float weights[SCALAR_LANES] = {0};
		float vector[SCALAR_LANES] = {0};

		tensor_decode_row(type, row + i * element_bytes, n - i, weights);
		memcpy(vector, x + i, (n - i) * sizeof *x);
		dot_step(lanes, weights, vector);
	}
	return scalar_sum16(lanes);
}

/* ---- quantised products -------------------------------------------------------------------- */

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

/* Round to nearest even; |x| < 2^22. */
static int32_t round_even(float x)
{
	const float shift = 0x1.8p+23f;

	return (int32_t)(bits_of(x + shift) - bits_of(shift));
}

/* The largest magnitude, or something that is not finite if any element is so: magnitudes are
 * compared as integers, which order like the numbers, with infinity and NaN last. */
static float magnitude(const float *x, size_t n)
{
	uint32_t largest = 0;
	float m;

	for (size_t i = 0; i < n; i++) {
		uint32_t bits = bits_of(x[i]) & 0x7fffffffU;

		if (bits > largest)
			largest = bits;
	}
	memcpy(&m, &largest, sizeof m);
	return m;
}

static void quantise_block(const float *x, int8_t *quants, float *scale)
{
	float m = magnitude(x, QUANT_BLOCK);

	if (m < 0x1p-100f || !isfinite(m)) {
		*scale = isfinite(m) ? 0.0f : NAN;
		memset(quants, 0, QUANT_BLOCK);
		return;
	}
	float f = 127.0f / m;

	*scale = m / 127.0f;
	for (int i = 0; i < QUANT_BLOCK; i++)
		quants[i] = (int8_t)round_even(x[i] * f);
}

void scalar_quantise(const float *x, size_t n, int8_t *quants, float *scales, int16_t *sums)
{
	assert(n % QUANT_BLOCK == 0);
	for (size_t i = 0; i < n; i += QUANT_BLOCK)
		quantise_block(x + i, quants + i, scales + i / QUANT_BLOCK);
	for (size_t i = 0; i < n; i += QUANT_HALF) {
		int sum = 0;

		for (size_t j = 0; j < QUANT_HALF; j++)
			sum += quants[i + j];
		sums[i / QUANT_HALF] = (int16_t)sum;
	}
}

/* One part of 32 elements: an fma for each stretch that has a scale of its own, and after it one
 * for the minimum. */
static float add_part(float acc, const struct tensor_type_info *type, const struct quant_part *w,
    const int8_t *quants, float scale, const int16_t *sums)
{
	int stretch = type->halves ? QUANT_HALF : QUANT_BLOCK;

	for (int i = 0; i < QUANT_BLOCK; i += stretch) {
		int32_t isum = 0, xsum = 0;
		int h = i / QUANT_HALF;

		for (int j = i; j < i + stretch; j++)
			isum += w->quants[j] * quants[j];
		acc = fmaf((float)isum, w->scale[h] * scale, acc);
		for (int j = h; j < h + stretch / QUANT_HALF; j++)
			xsum += sums[j];
		if (type->minima)
			acc = fmaf(w->minimum[h], (float)xsum * scale, acc);
	}
	return acc;
}

static float dot_parts(
    const struct matrix *w, const uint8_t *row, const struct activations *x, size_t v)
{
	const struct tensor_type_info *type = tensor_type_info(w->type);
	size_t n_parts = x->n / QUANT_BLOCK;
	const int8_t *quants = x->quants + v * x->n;
	const float *scales = x->scales + v * n_parts;
	const int16_t *sums = x->sums + v * n_parts * 2;
	float acc = 0.0f;

	for (size_t p = 0; p < n_parts; p++) {
		struct quant_part part;

		quant_unpack(w->type, row, p, &part);
		acc = add_part(acc, type, &part, quants + p * QUANT_BLOCK, scales[p], sums + 2 * p);
	}
	return acc;
}

void scalar_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	bool quantised = tensor_type_info(w->type)->quantised;

	assert(row_end <= w->n_rows && x->n == w->n_cols);
	for (uint32_t r = row_first; r < row_end; r++) {
		const uint8_t *row = w->data + r * w->row_bytes;

		for (size_t v = 0; v < x->n_vectors; v++)
			out[v * out_stride + r] =
			    quantised ? dot_parts(w, row, x, v)
			              : scalar_dot_row(w->type, row, x->f32 + v * x->n, x->n);
	}
}
