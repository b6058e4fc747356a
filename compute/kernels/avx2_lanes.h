/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight lanes a register: the operations that the templates ask for (vector_panels.inc,
 * vector_floats.inc, vector_elements.inc), for files compiled with AVX2, FMA and F16C; with the dot
 * product of AVX-VNNI where it is compiled for that too.
 */
#ifndef AYNI_COMPUTE_KERNELS_AVX2_LANES_H
#define AYNI_COMPUTE_KERNELS_AVX2_LANES_H

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "compute/kernels/x86.h"

typedef __m256i ints;
typedef __m256 floats;
typedef __m256 masks;

enum { LANES = 8, SUM_VECTORS = 4, TILE_VECTORS = 16, TILE_LANES = 2 };
enum { TILE_WHOLE = true }; /* weights are in memory: a loop of constant length costs least */
#define UNROLL_PARTS

INLINE ints load(const uint8_t *at)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

INLINE ints load_shorts(const uint8_t *at)
{
	return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)at));
}

INLINE ints load_bytes(const uint8_t *at)
{
	return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)at));
}

INLINE floats load_halves(const uint8_t *at)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)at));
}

/* Signed bytes. */
INLINE floats load_quants(const uint8_t *at)
{
	return _mm256_cvtepi32_ps(
	    _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)at)));
}

INLINE floats load_floats(const float *x)
{
	return _mm256_loadu_ps(x);
}

/* All bits in the first n lanes. */
INLINE __m256i first_lanes(size_t n)
{
	const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), index);
}

/* Up to LANES elements; those past `left` read as +0 and are not written. */
INLINE floats load_some(const float *x, size_t left)
{
	return left >= LANES ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first_lanes(left));
}

INLINE void store_some(float *x, size_t left, floats v)
{
	if (left >= LANES)
		_mm256_storeu_ps(x, v);
	else
		_mm256_maskstore_ps(x, first_lanes(left), v);
}

INLINE void store_halves(uint16_t *out, floats x)
{
	_mm_storeu_si128((__m128i *)(void *)out,
	    _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

INLINE ints splat(int32_t x)
{
	return _mm256_set1_epi32(x);
}

INLINE floats splat_float(float x)
{
	return _mm256_set1_ps(x);
}

INLINE ints both(ints a, ints b)
{
	return _mm256_and_si256(a, b);
}

INLINE ints either(ints a, ints b)
{
	return _mm256_or_si256(a, b);
}

INLINE ints add(ints a, ints b)
{
	return _mm256_add_epi32(a, b);
}

INLINE ints add_bytes(ints a, ints b)
{
	return _mm256_add_epi8(a, b);
}

INLINE ints subtract(ints a, ints b)
{
	return _mm256_sub_epi32(a, b);
}

INLINE ints multiply(ints a, ints b)
{
	return _mm256_mullo_epi32(a, b);
}

INLINE ints shift_left(ints x, size_t n)
{
	return _mm256_sll_epi32(x, _mm_cvtsi32_si128((int)n));
}

INLINE ints shift_right(ints x, size_t n)
{
	return _mm256_srl_epi32(x, _mm_cvtsi32_si128((int)n));
}

INLINE ints shift_signed(ints x, size_t n)
{
	return _mm256_sra_epi32(x, _mm_cvtsi32_si128((int)n));
}

INLINE ints look_up(const int8_t table[16], ints indices)
{
	__m128i t = _mm_loadu_si128((const __m128i *)(const void *)table);

	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), indices);
}

INLINE floats to_floats(ints x)
{
	return _mm256_cvtepi32_ps(x);
}

INLINE floats as_floats(ints x)
{
	return _mm256_castsi256_ps(x);
}

INLINE ints as_ints(floats x)
{
	return _mm256_castps_si256(x);
}

INLINE floats plus(floats a, floats b)
{
	return _mm256_add_ps(a, b);
}

INLINE floats minus(floats a, floats b)
{
	return _mm256_sub_ps(a, b);
}

INLINE floats over(floats a, floats b)
{
	return _mm256_div_ps(a, b);
}

INLINE masks is_greater(floats a, floats b)
{
	return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}

INLINE masks is_nan(floats x)
{
	return _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
}

INLINE masks is_equal(ints a, ints b)
{
	return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b));
}

INLINE bool any_lane(masks m)
{
	return _mm256_movemask_ps(m) != 0;
}

INLINE floats choose(masks m, floats yes, floats no)
{
	return _mm256_blendv_ps(no, yes, m);
}

/* The first n lanes of x, +0 in the others. */
INLINE floats keep_first(floats x, size_t n)
{
	return _mm256_and_ps(x, _mm256_castsi256_ps(first_lanes(n)));
}

INLINE floats times(floats a, floats b)
{
	return _mm256_mul_ps(a, b);
}

INLINE floats fused(floats a, floats b, floats c)
{
	return _mm256_fmadd_ps(a, b, c);
}

INLINE floats negated(floats x)
{
	return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}

INLINE void store_lanes(float *out, floats x)
{
	_mm256_storeu_ps(out, x);
}

enum { AHEAD_BYTES = 8192, STREAMS = true };

INLINE void prefetch(const uint8_t *at)
{
	_mm_prefetch((const char *)at, _MM_HINT_T0);
}

/* The definition's sum of sixteen lanes. */
INLINE float sum16(const floats x[2])
{
	__m256 l8 = _mm256_add_ps(x[0], x[1]);
	__m128 l4 = _mm_add_ps(_mm256_castps256_ps128(l8), _mm256_extractf128_ps(l8, 1));
	__m128 l2 = _mm_add_ps(l4, _mm_movehl_ps(l4, l4));

	return _mm_cvtss_f32(_mm_add_ss(l2, _mm_movehdup_ps(l2)));
}

/* x0 and x1 of neighbouring pairs, 2 * LANES numbers, apart and back: both as lanes 0 1 4 5 2 3 6 7
 * stand, in pairs. */
INLINE void load_pairs(const float *x, floats *even, floats *odd)
{
	__m256 a = _mm256_loadu_ps(x), b = _mm256_loadu_ps(x + LANES);
	__m256 low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);

	*even = _mm256_shuffle_ps(low, high, 0x88);
	*odd = _mm256_shuffle_ps(low, high, 0xdd);
}

INLINE void store_pairs(float *x, floats even, floats odd)
{
	__m256 low = _mm256_unpacklo_ps(even, odd), high = _mm256_unpackhi_ps(even, odd);

	_mm256_storeu_ps(x, _mm256_permute2f128_ps(low, high, 0x20));
	_mm256_storeu_ps(x + LANES, _mm256_permute2f128_ps(low, high, 0x31));
}

INLINE ints splat_four(const int8_t *x)
{
	int32_t four;

	memcpy(&four, x, sizeof four);
	return splat(four);
}

/* x, in a register from here on. */
INLINE ints held(ints x)
{
	__asm__("" : "+x"(x));
	return x;
}

#if defined(__AVXVNNI__)

enum { RAISE = 128 }; /* the instruction multiplies unsigned bytes by signed ones */

struct dot {
	ints sum;
};

INLINE void dot_begin(struct dot *d, ints first)
{
	d->sum = first;
}

INLINE void dot_step(struct dot *d, ints w, ints x, int top, int i, int n)
{
	(void)top; /* no sum of four products is too large for the instruction */
	(void)i;
	(void)n;
	d->sum = _mm256_dpbusd_avx_epi32(d->sum, w, x);
}

INLINE ints dot_end(const struct dot *d, ints first)
{
	(void)first;
	return d->sum;
}

#else

enum { RAISE = 0 };

/* Left to itself the compiler makes all products first, and has no registers for them. */
#define IN_ORDER(sum) __asm__ volatile("" : : "x"(sum))

struct dot {
	ints sum;
	ints pairs; /* sums of neighbouring products, in 16 bits */
};

INLINE void dot_begin(struct dot *d, ints first)
{
	(void)first;
	d->sum = splat(0);
}

/*
 * The instruction adds two products in 16 bits, and saturates: |w| times x with w's sign stays
 * within 2 * 128 * 127. (The other way round, -128 has no magnitude.) Weights up to `top` leave
 * room for as many such sums as fit in 16 bits before they are widened.
 */
INLINE void dot_step(struct dot *d, ints w, ints x, int top, int i, int n)
{
	const __m256i ones = _mm256_set1_epi16(1);
	const int together = INT16_MAX / (2 * INT8_MAX * top);

	if (top > INT8_MAX) {
		__m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));

		d->sum = add(d->sum, _mm256_madd_epi16(pairs, ones));
		IN_ORDER(d->sum);
		return;
	}
	__m256i pairs = _mm256_maddubs_epi16(w, x);

	d->pairs = i % together == 0 ? pairs : _mm256_add_epi16(d->pairs, pairs);
	IN_ORDER(d->pairs);
	if ((i + 1) % together == 0 || i + 1 == n)
		d->sum = add(d->sum, _mm256_madd_epi16(d->pairs, ones));
}

INLINE ints dot_end(const struct dot *d, ints first)
{
	return add(d->sum, first);
}

#endif

#endif
#endif
