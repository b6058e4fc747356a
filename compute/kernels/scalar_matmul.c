/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of products with weights (README.md beside this file, "Products with weights").
 */
#include "compute/kernels/panels.h"
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

static int32_t sum_of(const int8_t *quants, size_t n)
{
	int32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += quants[i];
	return sum;
}

void scalar_quantise(
    const float *x, size_t n, size_t stride, int8_t *quants, struct quant_terms *terms)
{
	assert(n % QUANT_BLOCK == 0);
	for (size_t p = 0; p < n / QUANT_BLOCK; p++) {
		int8_t *q = quants + p * stride * QUANT_BLOCK;
		struct quant_terms *t = terms + p * stride;

		quantise_block(x + p * QUANT_BLOCK, q, &t->scale);
		t->scaled_sum = (float)sum_of(q, QUANT_BLOCK) * t->scale;
		t->lowering = -128 * sum_of(q, QUANT_BLOCK);
		for (int h = 0; h < 2; h++) {
			int32_t sum = sum_of(q + h * QUANT_HALF, QUANT_HALF);

			t->half_scaled_sum[h] = (float)sum * t->scale;
			t->half_lowering[h] = -128 * sum;
		}
	}
}

/* One part of 32 elements: an fma for each stretch that has a scale of its own, and after it one
 * for the minimum. */
static float add_part(float acc, const struct tensor_type_info *type, const struct quant_part *w,
    const int8_t *quants, float scale)
{
	int stretch = type->halves ? QUANT_HALF : QUANT_BLOCK;

	for (int i = 0; i < QUANT_BLOCK; i += stretch) {
		int32_t isum = 0, xsum = sum_of(quants + i, (size_t)stretch);
		int h = i / QUANT_HALF;

		for (int j = i; j < i + stretch; j++)
			isum += w->quants[j] * quants[j];
		acc = fmaf((float)isum, w->scale[h] * scale, acc);
		if (type->minima)
			acc = fmaf(w->minimum[h], (float)xsum * scale, acc);
	}
	return acc;
}

static float dot_parts(const struct matrix *w, uint32_t row, const struct activations *x, size_t v)
{
	const struct tensor_type_info *type = tensor_type_info(w->type);
	const size_t parts = type->block_elements / QUANT_BLOCK;
	struct activation_place at = activation_place(x->n, x->n_vectors, v);
	uint8_t copy[QUANT_MAX_BLOCK_BYTES];
	float acc = 0.0f;

	for (size_t b = 0; b < x->n / type->block_elements; b++) {
		const uint8_t *block = matrix_block(w, row, b, copy);

		for (size_t p = 0; p < parts; p++, at.first += at.stride) {
			struct quant_part part;

			quant_unpack(w->type, block, p, &part);
			acc = add_part(acc, type, &part, x->quants + at.first * QUANT_BLOCK,
			    x->terms[at.first].scale);
		}
	}
	return acc;
}

void scalar_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	bool quantised = tensor_type_info(w->type)->quantised;

	assert(row_end <= w->n_rows && x->n == w->n_cols);
	for (uint32_t r = row_first; r < row_end; r++)
		for (size_t v = 0; v < x->n_vectors; v++)
			out[v * out_stride + r] =
			    quantised ? dot_parts(w, r, x, v)
			              : scalar_dot_row(w->type, w->data + r * w->row_bytes,
			                    x->f32 + v * x->n, x->n);
}
