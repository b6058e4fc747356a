/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of canonical arithmetic in C: README.md beside this file says it in words. It is
 * written to be read, not to be fast; every other table of kernels must give the same bits.
 */
#include "compute/kernels/scalar.h"
#include "compute/kernels/canon.h"
#include "compute/kernels/canon_exp.h"

#include <float.h>
#include <math.h>

static_assert(FLT_EVAL_METHOD == 0, "binary32 expressions are evaluated in binary32");

static bool supported_everywhere(void)
{
	return true;
}

/* ---- sums ---------------------------------------------------------------------------------- */

float scalar_sum16(float lanes[SCALAR_LANES])
{
	for (int half = SCALAR_LANES / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			lanes[i] += lanes[i + half];
	return lanes[0];
}

static float scalar_dot(const float *a, const float *b, size_t n)
{
	return scalar_dot_row(TENSOR_F32, (const uint8_t *)a, b, n);
}

/* ---- attention ------------------------------------------------------------------------------ */

static void scalar_to_halves(const float *x, size_t n, uint16_t *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = f32_to_f16(x[i]);
}

static float element(const struct kv_rows *rows, size_t row, size_t i)
{
	size_t at = row * rows->stride + i;

	return rows->type == KV_F16 ? f16_to_f32(((const uint16_t *)rows->data)[at])
	                            : (float)((const int8_t *)rows->data)[at];
}

static void scalar_add_rows(
    const struct kv_rows *rows, const float *const weights[], float *const out[], size_t n_queries)
{
	for (size_t q = 0; q < n_queries; q++)
		for (size_t i = 0; i < rows->n_rows; i++)
			for (size_t j = 0; j < rows->n; j++)
				out[q][j] = fmaf(weights[q][i], element(rows, i, j), out[q][j]);
}

static void scalar_add_columns(
    const struct kv_rows *rows, const float weights[][MAX_QUERIES], float out[][MAX_QUERIES])
{
	for (size_t j = 0; j < rows->n_rows; j++)
		for (size_t i = 0; i < rows->n; i++)
			for (size_t q = 0; q < MAX_QUERIES; q++)
				out[j][q] = fmaf(weights[i][q], element(rows, j, i), out[j][q]);
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

static void scalar_multiply(const float *a, const float *b, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = a[i] * b[i];
}

static void scalar_add_product(float *acc, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		acc[i] += a[i] * b[i];
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
	float lanes[SCALAR_LANES] = {0};

	for (size_t i = 0; i < n; i++) {
		x[i] = canon_exp(x[i] - shift);
		lanes[i % SCALAR_LANES] += x[i];
	}
	return scalar_sum16(lanes);
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

static uint64_t scalar_peak(size_t rounds)
{
	const int8_t w[QUANT_BLOCK] = {3}, x[QUANT_BLOCK] = {5};
	const int8_t *volatile at = x; /* read each round, so that no product is known before */
	int32_t sum = 0;

	for (size_t r = 0; r < rounds; r++) {
		const int8_t *now = at;

		for (int i = 0; i < QUANT_BLOCK; i++)
			sum += w[i] * now[i];
	}
	volatile int32_t kept = sum;

	(void)kept;
	return (uint64_t)rounds * QUANT_BLOCK;
}

const struct kernels kernels_scalar = {
    .name = "scalar",
    .supported = supported_everywhere,
    .quantise = scalar_quantise,
    .matmul = scalar_matmul,
    .to_halves = scalar_to_halves,
    .add_rows = scalar_add_rows,
    .add_columns = scalar_add_columns,
    .dot = scalar_dot,
    .add = scalar_add,
    .accumulate = scalar_accumulate,
    .scale = scalar_scale,
    .multiply = scalar_multiply,
    .add_product = scalar_add_product,
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
    .peak = scalar_peak,
};
