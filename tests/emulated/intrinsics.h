/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX-512 and AVX-VNNI on a processor with AVX2: the build puts this file before the kernels' own
 * sources and compiles them once more, for AVX2 alone (Makefile, EMULATED_O). Intrinsics are
 * SIMDe's, and written out where Debian's SIMDe 0.7.4 has none; a new one in avx512_lanes.h that
 * neither has is an error of the compiler, and belongs below.
 *
 * FMA and binary16 stay the processor's own, since SIMDe would round twice where they are not.
 */
#ifndef AYNI_TESTS_EMULATED_INTRINSICS_H
#define AYNI_TESTS_EMULATED_INTRINSICS_H

#if !defined(__FMA__) || !defined(__F16C__) || defined(__AVX512F__)
#error "compile for AVX2, FMA and F16C, and no more"
#endif

#define SIMDE_ENABLE_NATIVE_ALIASES
#define SIMDE_NO_INLINE
#include <simde/x86/avx512.h>

#include "compute/kernels/vector.h"

/* Unrolled and inlined, all this would take minutes to compile. */
#undef UNROLL
#define UNROLL

/* ---- what SIMDe lacks, or is slow at -------------------------------------------------------- */

union emulated_register {
	__m512i ints;
	__m512 floats;
	__m256i ints_half[2];
	__m256 floats_half[2];
	int32_t dwords[16];
	float numbers[16];
};

/* name(x): the elements of x, widened to dwords. */
#define EMULATED_WIDENING(name, element, half)                                                     \
	static inline __m512i name(half x)                                                         \
	{                                                                                          \
		union emulated_register r;                                                         \
		element elements[16];                                                              \
                                                                                                   \
		memcpy(elements, &x, sizeof elements);                                             \
		for (int i = 0; i < 16; i++)                                                       \
			r.dwords[i] = elements[i];                                                 \
		return r.ints;                                                                     \
	}

EMULATED_WIDENING(emulated_from_bytes, uint8_t, __m128i)
EMULATED_WIDENING(emulated_from_signed_bytes, int8_t, __m128i)
EMULATED_WIDENING(emulated_from_shorts, uint16_t, __m256i)

static inline __m512i emulated_shift_signed(__m512i x, __m128i n)
{
	union emulated_register r = {.ints = x};

	for (int i = 0; i < 2; i++)
		r.ints_half[i] = _mm256_sra_epi32(r.ints_half[i], n);
	return r.ints;
}

static inline __m512 emulated_to_floats(__m512i x)
{
	union emulated_register r = {.ints = x};

	for (int i = 0; i < 16; i++)
		r.numbers[i] = (float)r.dwords[i];
	return r.floats;
}

static inline __m512 emulated_from_halves(__m256i x)
{
	union emulated_register r;

	r.floats_half[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(x));
	r.floats_half[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1));
	return r.floats;
}

static inline __m256i emulated_to_halves(__m512 x)
{
	union emulated_register r = {.floats = x};

	return _mm256_set_m128i(_mm256_cvtps_ph(r.floats_half[1], _MM_FROUND_TO_NEAREST_INT),
	    _mm256_cvtps_ph(r.floats_half[0], _MM_FROUND_TO_NEAREST_INT));
}

/* Even and odd bytes apart, as numbers of 16 bits: no sum of two products is too large. */
static inline __m256i emulated_dot256(__m256i acc, __m256i a, __m256i b)
{
	__m256i even = _mm256_madd_epi16(_mm256_and_si256(a, _mm256_set1_epi16(0xff)),
	    _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
	__m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));

	return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
}

static inline __m512i emulated_dot512(__m512i acc, __m512i a, __m512i b)
{
	union emulated_register r = {.ints = acc}, x = {.ints = a}, y = {.ints = b};

	for (int i = 0; i < 2; i++)
		r.ints_half[i] = emulated_dot256(r.ints_half[i], x.ints_half[i], y.ints_half[i]);
	return r.ints;
}

/* Lanes that the mask leaves out are not touched in memory. */
static inline __m512 emulated_load_some(__mmask16 mask, const float *x)
{
	union emulated_register r;

	for (int i = 0; i < 16; i++)
		r.numbers[i] = (mask >> i & 1) != 0 ? x[i] : 0.0f;
	return r.floats;
}

static inline void emulated_store_some(float *x, __mmask16 mask, __m512 v)
{
	union emulated_register r = {.floats = v};

	for (int i = 0; i < 16; i++)
		if ((mask >> i & 1) != 0)
			x[i] = r.numbers[i];
}

#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepu16_epi32
#undef _mm512_sra_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_dpbusd_epi32
#undef _mm256_dpbusd_avx_epi32
#define _mm512_cvtepi8_epi32(x)            emulated_from_signed_bytes(x)
#define _mm512_cvtepu8_epi32(x)            emulated_from_bytes(x)
#define _mm512_cvtepu16_epi32(x)           emulated_from_shorts(x)
#define _mm512_sra_epi32(x, n)             emulated_shift_signed(x, n)
#define _mm512_cvtepi32_ps(x)              emulated_to_floats(x)
#define _mm512_cvtph_ps(x)                 emulated_from_halves(x)
#define _mm512_cvtps_ph(x, rounding)       emulated_to_halves(x)
#define _mm512_maskz_loadu_ps(mask, x)     emulated_load_some(mask, x)
#define _mm512_mask_storeu_ps(x, mask, v)  emulated_store_some(x, mask, v)
#define _mm512_dpbusd_epi32(acc, a, b)     emulated_dot512(acc, a, b)
#define _mm256_dpbusd_avx_epi32(acc, a, b) emulated_dot256(acc, a, b)

/* ---- what the kernels' sources see: a compiler with the extensions, and names of their own --- */

#define __AVX512F__    1
#define __AVX512VNNI__ 1
#define __AVXVNNI__    1

#define kernels_avx512        emulated_avx512
#define kernels_avxvnni       emulated_avxvnni
#define avx512_matmul_panels  emulated_avx512_matmul_panels
#define avxvnni_matmul_panels emulated_avxvnni_matmul_panels

#endif
