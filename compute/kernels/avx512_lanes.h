/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixteen lanes a register: the operations that the templates ask for (vector_panels.inc,
 * vector_floats.inc, vector_elements.inc), for files compiled with AVX-512 (F, BW, VL) and VNNI.
 */
#ifndef AYNI_COMPUTE_KERNELS_AVX512_LANES_H
#define AYNI_COMPUTE_KERNELS_AVX512_LANES_H

#if defined(__AVX512F__) && defined(__AVX512VNNI__)

#include "compute/kernels/x86.h"

typedef __m512i ints;
typedef __m512 floats;
typedef __mmask16 masks;

enum { LANES = 16, SUM_VECTORS = 4, TILE_VECTORS = 64, TILE_LANES = 4 };
enum { TILE_WHOLE = false }; /* weights stay in registers while vectors pass, however many */
#define UNROLL_PARTS UNROLL
enum { RAISE = 128 }; /* the instruction multiplies unsigned bytes by signed ones */

INLINE ints load(const uint8_t *at)
{
	return _mm512_loadu_si512(at);
}

INLINE ints load_shorts(const uint8_t *at)
{
	return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)at));
}

INLINE ints load_bytes(const uint8_t *at)
{
	return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)at));
}

INLINE floats load_halves(const uint8_t *at)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)at));
}

/* Signed bytes. */
INLINE floats load_quants(const uint8_t *at)
{
	return _mm512_cvtepi32_ps(
	    _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)at)));
}

INLINE floats load_floats(const float *x)
{
	return _mm512_loadu_ps(x);
}

INLINE masks first_lanes(size_t n)
{
	return (masks)((1U << n) - 1);
}

/* Up to LANES elements; those past `left` read as +0 and are not written. */
INLINE floats load_some(const float *x, size_t left)
{
	return left >= LANES ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(first_lanes(left), x);
}

INLINE void store_some(float *x, size_t left, floats v)
{
	if (left >= LANES)
		_mm512_storeu_ps(x, v);
	else
		_mm512_mask_storeu_ps(x, first_lanes(left), v);
}

INLINE void store_halves(uint16_t *out, floats x)
{
	_mm256_storeu_si256((__m256i *)(void *)out,
	    _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

INLINE ints splat(int32_t x)
{
	return _mm512_set1_epi32(x);
}

INLINE floats splat_float(float x)
{
	return _mm512_set1_ps(x);
}

INLINE ints both(ints a, ints b)
{
	return _mm512_and_si512(a, b);
}

INLINE ints either(ints a, ints b)
{
	return _mm512_or_si512(a, b);
}

INLINE ints add(ints a, ints b)
{
	return _mm512_add_epi32(a, b);
}

INLINE ints add_bytes(ints a, ints b)
{
	return _mm512_add_epi8(a, b);
}

INLINE ints subtract(ints a, ints b)
{
	return _mm512_sub_epi32(a, b);
}

INLINE ints multiply(ints a, ints b)
{
	return _mm512_mullo_epi32(a, b);
}

/* On Zen 4 a count in a register takes the dot product's ports; one a lane, or in the instruction,
 * does not. */
INLINE ints shift_left(ints x, size_t n)
{
	return __builtin_constant_p(n) ? _mm512_sll_epi32(x, _mm_cvtsi32_si128((int)n))
	                               : _mm512_sllv_epi32(x, splat((int)n));
}

INLINE ints shift_right(ints x, size_t n)
{
	return __builtin_constant_p(n) ? _mm512_srl_epi32(x, _mm_cvtsi32_si128((int)n))
	                               : _mm512_srlv_epi32(x, splat((int)n));
}

INLINE ints shift_signed(ints x, size_t n)
{
	return _mm512_sra_epi32(x, _mm_cvtsi32_si128((int)n)); /* a constant everywhere */
}

INLINE ints look_up(const int8_t table[16], ints indices)
{
	__m128i t = _mm_loadu_si128((const __m128i *)(const void *)table);

	return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), indices);
}

INLINE floats to_floats(ints x)
{
	return _mm512_cvtepi32_ps(x);
}

INLINE floats as_floats(ints x)
{
	return _mm512_castsi512_ps(x);
}

INLINE ints as_ints(floats x)
{
	return _mm512_castps_si512(x);
}

INLINE floats plus(floats a, floats b)
{
	return _mm512_add_ps(a, b);
}

INLINE floats minus(floats a, floats b)
{
	return _mm512_sub_ps(a, b);
}

INLINE floats over(floats a, floats b)
{
	return _mm512_div_ps(a, b);
}

INLINE masks is_greater(floats a, floats b)
{
	return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

INLINE masks is_nan(floats x)
{
	return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
}

INLINE masks is_equal(ints a, ints b)
{
	return _mm512_cmpeq_epi32_mask(a, b);
}

INLINE bool any_lane(masks m)
{
	return m != 0;
}

INLINE floats choose(masks m, floats yes, floats no)
{
	return _mm512_mask_blend_ps(m, no, yes);
}

/* The first n lanes of x, +0 in the others. */
INLINE floats keep_first(floats x, size_t n)
{
	return _mm512_maskz_mov_ps(n < LANES ? first_lanes(n) : (masks)-1, x);
}

INLINE floats times(floats a, floats b)
{
	return _mm512_mul_ps(a, b);
}

INLINE floats fused(floats a, floats b, floats c)
{
	return _mm512_fmadd_ps(a, b, c);
}

INLINE floats negated(floats x)
{
	return _mm512_castsi512_ps(
	    _mm512_xor_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MIN)));
}

INLINE void store_lanes(float *out, floats x)
{
	_mm512_storeu_ps(out, x);
}

enum { AHEAD_BYTES = 8192, STREAMS = true };

/* Into the second cache: the first has too few places for lines that are on their way. */
INLINE void prefetch(const uint8_t *at)
{
	_mm_prefetch((const char *)at, _MM_HINT_T1);
}

INLINE ints splat_four(const int8_t *x)
{
	int32_t four;

	memcpy(&four, x, sizeof four);
	return splat(four);
}

/* x: registers are enough. */
INLINE ints held(ints x)
{
	return x;
}

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
	d->sum = _mm512_dpbusd_epi32(d->sum, w, x);
}

INLINE ints dot_end(const struct dot *d, ints first)
{
	(void)first;
	return d->sum;
}

/* The definition's sum of sixteen lanes. */
INLINE float sum16(const floats x[1])
{
	__m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x[0]), 1));
	__m256 l8 = _mm256_add_ps(_mm512_castps512_ps256(x[0]), high);
	__m128 l4 = _mm_add_ps(_mm256_castps256_ps128(l8), _mm256_extractf128_ps(l8, 1));
	__m128 l2 = _mm_add_ps(l4, _mm_movehl_ps(l4, l4));

	return _mm_cvtss_f32(_mm_add_ss(l2, _mm_movehdup_ps(l2)));
}

/* x0 and x1 of neighbouring pairs, 2 * LANES numbers, apart and back. */
INLINE void load_pairs(const float *x, floats *even, floats *odd)
{
	const __m512i evens =
	    _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	__m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + LANES);

	*even = _mm512_permutex2var_ps(a, evens, b);
	*odd = _mm512_permutex2var_ps(a, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), b);
}

INLINE void store_pairs(float *x, floats even, floats odd)
{
	const __m512i low =
	    _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);

	_mm512_storeu_ps(x, _mm512_permutex2var_ps(even, low, odd));
	_mm512_storeu_ps(x + LANES,
	    _mm512_permutex2var_ps(even, _mm512_add_epi32(low, _mm512_set1_epi32(8)), odd));
}

#endif
#endif
