/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantised activations, and products with quantised weights, for aarch64 with the dot product of
 * Armv8.2; elsewhere this file is empty.
 */
#include "compute/kernels/neon_lanes.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

#include <math.h>

#include "compute/kernels/vector_panels.inc"

void neon_dotprod_matmul_panels(const struct matrix *w, uint32_t row_first, uint32_t row_end,
    const struct activations *x, float *out, size_t out_stride)
{
	products[w->type](w, row_first, row_end, x, out, out_stride);
}

/* ---- activations ------------------------------------------------------------------------------
 */

enum { REGISTERS = QUANT_BLOCK / HALF_LANES };

/* The largest magnitude of 32 numbers, compared as integers as in scalar.c. */
INLINE float magnitude32(const float32x4_t x[REGISTERS])
{
	uint32x4_t m = vdupq_n_u32(0);

	UNROLL
	for (int i = 0; i < REGISTERS; i++)
		m = vmaxq_u32(m, vandq_u32(vreinterpretq_u32_f32(x[i]), vdupq_n_u32(0x7fffffffU)));
	return vget_lane_f32(vreinterpret_f32_u32(vdup_n_u32(vmaxvq_u32(m))), 0);
}

/* Four registers of numbers within a byte. */
INLINE int8x16_t narrowed(const int32x4_t q[4])
{
	int16x8_t low = vmovn_high_s32(vmovn_s32(q[0]), q[1]);
	int16x8_t high = vmovn_high_s32(vmovn_s32(q[2]), q[3]);

	return vmovn_high_s16(vmovn_s16(low), high);
}

static void quantise_block(const float *x, int8_t *quants, struct quant_terms *terms)
{
	float32x4_t v[REGISTERS];
	int32x4_t q[REGISTERS];

	UNROLL
	for (int i = 0; i < REGISTERS; i++)
		v[i] = vld1q_f32(x + i * HALF_LANES);

	float m = magnitude32(v);

	if (m < 0x1p-100f || !isfinite(m)) {
		*terms = (struct quant_terms){.scale = isfinite(m) ? 0.0f : NAN};
		terms->scaled_sum = 0.0f * terms->scale;
		terms->half_scaled_sum[0] = terms->half_scaled_sum[1] = terms->scaled_sum;
		memset(quants, 0, QUANT_BLOCK);
		return;
	}
	terms->scale = m / 127.0f;
	UNROLL
	for (int i = 0; i < REGISTERS; i++)
		q[i] = vcvtnq_s32_f32(vmulq_n_f32(v[i], 127.0f / m));

	int8x16_t first = narrowed(q), last = narrowed(q + REGISTERS / 2);
	int32_t sum_first = vaddlvq_s8(first), sum_last = vaddlvq_s8(last);

	vst1q_s8(quants, first);
	vst1q_s8(quants + QUANT_HALF, last);
	terms->scaled_sum = (float)(sum_first + sum_last) * terms->scale;
	terms->half_scaled_sum[0] = (float)sum_first * terms->scale;
	terms->half_scaled_sum[1] = (float)sum_last * terms->scale;
	terms->lowering = -128 * (sum_first + sum_last);
	terms->half_lowering[0] = -128 * sum_first;
	terms->half_lowering[1] = -128 * sum_last;
}

void neon_quantise(
    const float *x, size_t n, size_t stride, int8_t *quants, struct quant_terms *terms)
{
	assert(n % QUANT_BLOCK == 0);
	for (size_t p = 0; p < n / QUANT_BLOCK; p++)
		quantise_block(
		    x + p * QUANT_BLOCK, quants + p * stride * QUANT_BLOCK, terms + p * stride);
}

#else

typedef int neon_dotprod_panels_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
