/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of canonical arithmetic in C: README.md beside this file says it in words. It is
 * written to be read, not to be fast; every other table of kernels must give the same bits.
 */
#include "compute/kernels/canon.h"
#include "compute/kernels/canon_exp.h"
#include "compute/kernels/kernels.h"

#include <float.h>
#include <math.h>

static_assert(FLT_EVAL_METHOD == 0, "binary32 expressions are evaluated in binary32");

enum { LANES = 16 };

static bool supported_everywhere(void)
{
	return true;
}

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

/* ---- sums ---------------------------------------------------------------------------------- */

static float sum16(float lanes[LANES])
{
	for (int half = LANES / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			lanes[i] += lanes[i + half];
	return lanes[0];
}

static void dot_step(float lanes[LANES], const float *a, const float *b)
{
	for (int i = 0; i < LANES; i++)
		lanes[i] = fmaf(a[i], b[i], lanes[i]);
}

/* dot() of a row of a float type and a vector; whole rows of F32 make it plain dot(). */
static float dot_float(enum tensor_type type, const uint8_t *row, const float *x, size_t n)
{
	size_t element_bytes = tensor_type_info(type)->block_bytes;
	float lanes[LANES] = {0};
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		float weights[LANES];

		tensor_decode_row(type, row + i * element_bytes, LANES, weights);
		dot_step(lanes, weights, x + i);
	}
	if (i < n) { /* padded with +0 */
		float weights[LANES] = {0};
		float vector[LANES] = {0};

		tensor_decode_row(type, row + i * element_bytes, n - i, weights);
		memcpy(vector, x + i, (n - i) * sizeof *x);
		dot_step(lanes, weights, vector);
	}
	return sum16(lanes);
}

static float scalar_dot(const float *a, const float *b, size_t n)
{
	return dot_float(TENSOR_F32, (const uint8_t *)a, b, n);
}

/* ---- quantised products -------------------------------------------------------------------- */

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

static void scalar_quantise(const float *x, size_t n, int8_t *quants, float *scales)
{
	assert(n % QUANT_BLOCK == 0);
	for (size_t i = 0; i < n; i += QUANT_BLOCK)
		quantise_block(x + i, quants + i, scales + i / QUANT_BLOCK);
}

static float dot_q8_0(const uint8_t *row, const int8_t *quants, const float *scales, size_t n)
{
	float acc = 0.0f;

	for (size_t b = 0; b < n / QUANT_BLOCK; b++, quants += QUANT_BLOCK) {
		struct block_q8_0 w;
		int32_t isum = 0;

		memcpy(&w, row + b * sizeof w, sizeof w);
		for (int i = 0; i < QUANT_BLOCK; i++)
			isum += w.quants[i] * quants[i];
		acc = fmaf((float)isum, f16_to_f32(w.scale) * scales[b], acc);
	}
	return acc;
}

static float dot_q4_0(const uint8_t *row, const int8_t *quants, const float *scales, size_t n)
{
	enum { HALF = QUANT_BLOCK / 2 };
	float acc = 0.0f;

	for (size_t b = 0; b < n / QUANT_BLOCK; b++, quants += QUANT_BLOCK) {
		struct block_q4_0 w;
		int32_t isum = 0;

		memcpy(&w, row + b * sizeof w, sizeof w);
		for (int i = 0; i < HALF; i++) {
			isum += ((w.quants[i] & 15) - 8) * quants[i];
			isum += ((w.quants[i] >> 4) - 8) * quants[i + HALF];
		}
		acc = fmaf((float)isum, f16_to_f32(w.scale) * scales[b], acc);
	}
	return acc;
}

static float row_product(const struct matrix *w, uint32_t r, const struct activations *x, size_t v)
{
	const uint8_t *row = w->data + r * w->row_bytes;
	size_t n = x->n;

	switch (w->type) {
	case TENSOR_F32:
	case TENSOR_F16:
	case TENSOR_BF16:
		return dot_float(w->type, row, x->f32 + v * n, n);
	case TENSOR_Q8_0:
		return dot_q8_0(row, x->quants + v * n, x->scales + v * (n / QUANT_BLOCK), n);
	case TENSOR_Q4_0:
		return dot_q4_0(row, x->quants + v * n, x->scales + v * (n / QUANT_BLOCK), n);
	case TENSOR_TYPE_END:
		break;
	}
	assert(false && "tensor type without a product");
	return 0.0f;
}

static void scalar_matmul(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	assert(row_end <= w->n_rows && x->n == w->n_cols);
	for (uint32_t r = row_first; r < row_end; r++)
		for (size_t v = 0; v < x->n_vectors; v++)
			out[v * out_stride + r] = row_product(w, r, x, v);
}

/* ---- elementwise --------------------------------------------------------------------------- */

static void scalar_add(float *x, const float *y, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] += y[i];
}

static void scalar_accumulate(float *acc, float weight, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		acc[i] = fmaf(weight, x[i], acc[i]);
}

static void scalar_scale(float *x, float factor, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= factor;
}

static float scalar_max(const float *x, size_t n)
{
	float m = -INFINITY;

	for (size_t i = 0; i < n; i++)
		if (x[i] > m)
			m = x[i];
	return m + 0.0f; /* -0 and +0 are equal, so which came first must not show */
}

static float scalar_exp_sum(float *x, float shift, size_t n)
{
	float lanes[LANES] = {0};

	for (size_t i = 0; i < n; i++) {
		x[i] = canon_exp(x[i] - shift);
		lanes[i % LANES] += x[i];
	}
	return sum16(lanes);
}

static void scalar_rms_norm(
    const float *x, const float *weight, float epsilon, size_t n, float *out)
{
	float inverse = 1.0f / sqrtf(scalar_dot(x, x, n) / (float)n + epsilon);

	for (size_t i = 0; i < n; i++)
		out[i] = (x[i] * inverse) * weight[i];
}

static void scalar_silu_mul(float *gate, const float *up, size_t n)
{
	for (size_t i = 0; i < n; i++)
		gate[i] = (gate[i] / (1.0f + canon_exp(-gate[i]))) * up[i];
}

/* gelu(x) = x * sigmoid(2u), u = sqrt(2/pi) * (x + 0.044715 x^3): the tanh form, rewritten. */
static void scalar_gelu_mul(float *gate, const float *up, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float g = gate[i];
		float u = g * fmaf(CANON_GELU_CUBE, g * g, CANON_GELU_LINE);

		gate[i] = (g / (1.0f + canon_exp(-u))) * up[i];
	}
}

/* NaN passes through both bounds. */
static float at_most_f(float x, float limit)
{
	return x > limit ? limit : x;
}

static void scalar_clamped_mul(float *gate, const float *up, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float g = at_most_f(gate[i], CANON_CLAMP);
		float u = at_most_f(up[i], CANON_CLAMP);

		u = u < -CANON_CLAMP ? -CANON_CLAMP : u;
		gate[i] = (g / (1.0f + canon_exp(-(CANON_CLAMP_SLOPE * g)))) * (u + 1.0f);
	}
}

/* tanh(y) = 1 - 2 / (1 + exp(2y)) */
static void scalar_soft_cap(float *x, float cap, size_t n)
{
	float twice = cap + cap;
	float inverse = 2.0f / cap;

	for (size_t i = 0; i < n; i++)
		x[i] = cap - twice / (1.0f + canon_exp(x[i] * inverse));
}

static void scalar_rope_pairs(float *x, const float *cosines, const float *sines, size_t n_pairs)
{
	for (size_t i = 0; i < n_pairs; i++) {
		float x0 = x[2 * i];
		float x1 = x[2 * i + 1];

		x[2 * i] = fmaf(x0, cosines[i], -(x1 * sines[i]));
		x[2 * i + 1] = fmaf(x0, sines[i], x1 * cosines[i]);
	}
}

static void scalar_rope_halves(float *x, const float *cosines, const float *sines, size_t n_pairs)
{
	for (size_t i = 0; i < n_pairs; i++) {
		float x0 = x[i];
		float x1 = x[i + n_pairs];

		x[i] = fmaf(x0, cosines[i], -(x1 * sines[i]));
		x[i + n_pairs] = fmaf(x0, sines[i], x1 * cosines[i]);
	}
}

static bool scalar_all_finite(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return false;
	return true;
}

const struct kernels kernels_scalar = {
    .name = "scalar",
    .supported = supported_everywhere,
    .quantise = scalar_quantise,
    .matmul = scalar_matmul,
    .dot = scalar_dot,
    .add = scalar_add,
    .accumulate = scalar_accumulate,
    .scale = scalar_scale,
    .max = scalar_max,
    .exp_sum = scalar_exp_sum,
    .rms_norm = scalar_rms_norm,
    .silu_mul = scalar_silu_mul,
    .gelu_mul = scalar_gelu_mul,
    .clamped_mul = scalar_clamped_mul,
    .soft_cap = scalar_soft_cap,
    .rope_pairs = scalar_rope_pairs,
    .rope_halves = scalar_rope_halves,
    .all_finite = scalar_all_finite,
};
