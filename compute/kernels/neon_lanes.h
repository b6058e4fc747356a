/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight lanes, a pair of registers each: the operations that the templates ask for
 * (vector_weights.inc, vector_elements.inc, vector_floats.inc, vector_kv.inc), for files
 * compiled for aarch64 with the dot product of Armv8.2. Pairs, so that a load of activations serves
 * eight rows, and a panel of weights is passed over twice and not four times.
 */
#ifndef AYNI_COMPUTE_KERNELS_NEON_LANES_H
#define AYNI_COMPUTE_KERNELS_NEON_LANES_H

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

#include "compute/kernels/neon.h"

typedef struct {
	uint32x4_t low, high;
} ints;

typedef struct {
	float32x4_t low, high;
} floats;

typedef struct {
	uint32x4_t low, high; /* all bits of a lane, or none */
} masks;

enum { LANES = 8, HALF_LANES = 4, SUM_VECTORS = 4, TILE_VECTORS = 16, TILE_LANES = 2 };
enum { TILE_WHOLE = true }; /* sums in 32 registers, weights in memory */
#define UNROLL_PARTS
enum { RAISE = 0 }; /* the instruction multiplies signed bytes */

INLINE uint32x4_t load_four(const uint8_t *at)
{
	return vreinterpretq_u32_u8(vld1q_u8(at));
}

INLINE ints load(const uint8_t *at)
{
	return (ints){load_four(at), load_four(at + 16)};
}

INLINE ints widened(uint16x8_t x)
{
	return (ints){vmovl_u16(vget_low_u16(x)), vmovl_high_u16(x)};
}

INLINE ints load_shorts(const uint8_t *at)
{
	return widened(vreinterpretq_u16_u8(vld1q_u8(at)));
}

INLINE ints load_bytes(const uint8_t *at)
{
	return widened(vmovl_u8(vld1_u8(at)));
}

INLINE floats load_halves(const uint8_t *at)
{
	float16x8_t x = vreinterpretq_f16_u8(vld1q_u8(at));

	return (floats){vcvt_f32_f16(vget_low_f16(x)), vcvt_high_f32_f16(x)};
}

/* Signed bytes. */
INLINE floats load_quants(const uint8_t *at)
{
	int16x8_t x = vmovl_s8(vreinterpret_s8_u8(vld1_u8(at)));

	return (floats){
	    vcvtq_f32_s32(vmovl_s16(vget_low_s16(x))), vcvtq_f32_s32(vmovl_high_s16(x))};
}

INLINE floats load_floats(const float *x)
{
	return (floats){vld1q_f32(x), vld1q_f32(x + HALF_LANES)};
}

INLINE void store_lanes(float *out, floats x)
{
	vst1q_f32(out, x.low);
	vst1q_f32(out + HALF_LANES, x.high);
}

/* Up to LANES elements; those past `left` read as +0 and are not written. */
INLINE floats load_some(const float *x, size_t left)
{
	float lanes[LANES] = {0};

	if (left >= LANES)
		return load_floats(x);
	memcpy(lanes, x, left * sizeof *x);
	return load_floats(lanes);
}

INLINE void store_some(float *x, size_t left, floats v)
{
	float lanes[LANES];

	if (left >= LANES) {
		store_lanes(x, v);
		return;
	}
	store_lanes(lanes, v);
	memcpy(x, lanes, left * sizeof *x);
}

INLINE void store_halves(uint16_t *out, floats x)
{
	float16x8_t halves = vcvt_high_f16_f32(vcvt_f16_f32(x.low), x.high);

	vst1q_u16(out, vreinterpretq_u16_f16(halves));
}

INLINE ints splat(int32_t x)
{
	uint32x4_t four = vdupq_n_u32((uint32_t)x);

	return (ints){four, four};
}

INLINE floats splat_float(float x)
{
	float32x4_t four = vdupq_n_f32(x);

	return (floats){four, four};
}

INLINE ints both(ints a, ints b)
{
	return (ints){vandq_u32(a.low, b.low), vandq_u32(a.high, b.high)};
}

INLINE ints either(ints a, ints b)
{
	return (ints){vorrq_u32(a.low, b.low), vorrq_u32(a.high, b.high)};
}

INLINE ints add(ints a, ints b)
{
	return (ints){vaddq_u32(a.low, b.low), vaddq_u32(a.high, b.high)};
}

INLINE uint32x4_t add_sixteen(uint32x4_t a, uint32x4_t b)
{
	return vreinterpretq_u32_u8(vaddq_u8(vreinterpretq_u8_u32(a), vreinterpretq_u8_u32(b)));
}

INLINE ints add_bytes(ints a, ints b)
{
	return (ints){add_sixteen(a.low, b.low), add_sixteen(a.high, b.high)};
}

INLINE ints subtract(ints a, ints b)
{
	return (ints){vsubq_u32(a.low, b.low), vsubq_u32(a.high, b.high)};
}

INLINE ints multiply(ints a, ints b)
{
	return (ints){vmulq_u32(a.low, b.low), vmulq_u32(a.high, b.high)};
}

/* Operators, because the functions want numbers where inlining gives constants. */
INLINE ints shift_left(ints x, size_t n)
{
	return (ints){x.low << (uint32_t)n, x.high << (uint32_t)n};
}

INLINE ints shift_right(ints x, size_t n)
{
	return (ints){x.low >> (uint32_t)n, x.high >> (uint32_t)n};
}

INLINE uint32x4_t shift_signed_four(uint32x4_t x, size_t n)
{
	return vreinterpretq_u32_s32(vreinterpretq_s32_u32(x) >> (int32_t)n);
}

INLINE ints shift_signed(ints x, size_t n)
{
	return (ints){shift_signed_four(x.low, n), shift_signed_four(x.high, n)};
}

INLINE uint32x4_t look_up_sixteen(int8x16_t table, uint32x4_t indices)
{
	return vreinterpretq_u32_s8(vqtbl1q_s8(table, vreinterpretq_u8_u32(indices)));
}

INLINE ints look_up(const int8_t table[16], ints indices)
{
	int8x16_t t = vld1q_s8(table);

	return (ints){look_up_sixteen(t, indices.low), look_up_sixteen(t, indices.high)};
}

INLINE floats to_floats(ints x)
{
	return (floats){vcvtq_f32_s32(vreinterpretq_s32_u32(x.low)),
	    vcvtq_f32_s32(vreinterpretq_s32_u32(x.high))};
}

INLINE floats as_floats(ints x)
{
	return (floats){vreinterpretq_f32_u32(x.low), vreinterpretq_f32_u32(x.high)};
}

INLINE ints as_ints(floats x)
{
	return (ints){vreinterpretq_u32_f32(x.low), vreinterpretq_u32_f32(x.high)};
}

INLINE floats plus(floats a, floats b)
{
	return (floats){vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)};
}

INLINE floats minus(floats a, floats b)
{
	return (floats){vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)};
}

INLINE floats times(floats a, floats b)
{
	return (floats){vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)};
}

INLINE floats over(floats a, floats b)
{
	return (floats){vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)};
}

INLINE floats fused(floats a, floats b, floats c)
{
	return (floats){vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}

INLINE floats negated(floats x)
{
	return (floats){vnegq_f32(x.low), vnegq_f32(x.high)};
}

INLINE masks is_greater(floats a, floats b)
{
	return (masks){vcgtq_f32(a.low, b.low), vcgtq_f32(a.high, b.high)};
}

INLINE masks is_nan(floats x)
{
	return (masks){vmvnq_u32(vceqq_f32(x.low, x.low)), vmvnq_u32(vceqq_f32(x.high, x.high))};
}

INLINE masks is_equal(ints a, ints b)
{
	return (masks){vceqq_u32(a.low, b.low), vceqq_u32(a.high, b.high)};
}

INLINE bool any_lane(masks m)
{
	return vmaxvq_u32(vorrq_u32(m.low, m.high)) != 0;
}

INLINE floats choose(masks m, floats yes, floats no)
{
	return (floats){vbslq_f32(m.low, yes.low, no.low), vbslq_f32(m.high, yes.high, no.high)};
}

/* The first n lanes of x, +0 in the others. */
INLINE floats keep_first(floats x, size_t n)
{
	static const uint32_t index[LANES] = {0, 1, 2, 3, 4, 5, 6, 7};
	const uint32x4_t end = vdupq_n_u32((uint32_t)n);
	masks m = {vcltq_u32(vld1q_u32(index), end), vcltq_u32(vld1q_u32(index + HALF_LANES), end)};

	return choose(m, x, splat_float(0.0f));
}

enum { AHEAD_BYTES = 4096, STREAMS = false };

INLINE void prefetch(const uint8_t *at)
{
	__builtin_prefetch(at);
}

/* The definition's sum of sixteen lanes. */
INLINE float sum16(const floats x[2])
{
	floats l8 = plus(x[0], x[1]);
	float32x4_t l4 = vaddq_f32(l8.low, l8.high);

	return vpadds_f32(vadd_f32(vget_low_f32(l4), vget_high_f32(l4)));
}

/* x0 and x1 of neighbouring pairs, 2 * LANES numbers, apart and back. */
INLINE void load_pairs(const float *x, floats *even, floats *odd)
{
	float32x4x2_t low = vld2q_f32(x), high = vld2q_f32(x + LANES);

	*even = (floats){low.val[0], high.val[0]};
	*odd = (floats){low.val[1], high.val[1]};
}

INLINE void store_pairs(float *x, floats even, floats odd)
{
	const float32x4x2_t low = {{even.low, odd.low}}, high = {{even.high, odd.high}};

	vst2q_f32(x, low);
	vst2q_f32(x + LANES, high);
}

INLINE ints splat_four(const int8_t *x)
{
	int32_t four;

	memcpy(&four, x, sizeof four);
	return splat(four);
}

/* x, in registers from here on. */
INLINE ints held(ints x)
{
	__asm__("" : "+w"(x.low), "+w"(x.high));
	return x;
}

struct dot {
	ints sum;
};

INLINE void dot_begin(struct dot *d, ints first)
{
	d->sum = first;
}

INLINE uint32x4_t dot_four(uint32x4_t sum, uint32x4_t w, uint32x4_t x)
{
	return vreinterpretq_u32_s32(vdotq_s32(
	    vreinterpretq_s32_u32(sum), vreinterpretq_s8_u32(w), vreinterpretq_s8_u32(x)));
}

INLINE void dot_step(struct dot *d, ints w, ints x, int top, int i, int n)
{
	(void)top; /* no sum of four products is too large for the instruction */
	(void)i;
	(void)n;
	d->sum.low = dot_four(d->sum.low, w.low, x.low);
	d->sum.high = dot_four(d->sum.high, w.high, x.high);
}

INLINE ints dot_end(const struct dot *d, ints first)
{
	(void)first;
	return d->sum;
}

#endif
#endif
