/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels for x86-64 with AVX2, FMA and F16C, equal to scalar.c bit for bit. The files avx2*.c
 * alone are compiled for those extensions; elsewhere they are empty.
 */
#include "compute/kernels/avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include "compute/kernels/canon_exp.h"

#include <cpuid.h>
#include <math.h>

static bool avx2_supported(void)
{
	unsigned a, b, c = 0, d;

	/* The builtin also asks whether the system saves the registers; F16C lives in the same. */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

/* canon_exp() of eight numbers: the same operations in the same order (canon_exp.h). */
INLINE __m256 exp8(__m256 x)
{
	const __m256 round = _mm256_set1_ps(CANON_EXP_ROUND);
	const __m256 one = _mm256_set1_ps(1.0f);
	__m256 m = _mm256_fmadd_ps(x, _mm256_set1_ps(CANON_EXP_LOG2E), round);
	__m256 n = _mm256_sub_ps(m, round);
	__m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-CANON_EXP_LN2_HIGH), x);
	__m256 p = _mm256_set1_ps(CANON_EXP_C6);

	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-CANON_EXP_LN2_LOW), r);
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CANON_EXP_C5));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CANON_EXP_C4));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CANON_EXP_C3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CANON_EXP_C2));
	p = _mm256_fmadd_ps(p, r, one);
	p = _mm256_fmadd_ps(p, r, one);

	const __m256i bias = _mm256_set1_epi32(127);
	__m256i k = _mm256_sub_epi32(_mm256_castps_si256(m), _mm256_castps_si256(round));
	__m256i half = _mm256_srai_epi32(k, 1);
	__m256i rest = _mm256_sub_epi32(k, half);

	half = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
	rest = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(half));
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(rest));

	__m256 above = _mm256_cmp_ps(x, _mm256_set1_ps(CANON_EXP_HIGH), _CMP_GT_OQ);
	__m256 below = _mm256_cmp_ps(x, _mm256_set1_ps(CANON_EXP_LOW), _CMP_LT_OQ);
	__m256 is_nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);

	p = _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY), above);
	p = _mm256_andnot_ps(below, p);
	return _mm256_blendv_ps(p, x, is_nan);
}

static void avx2_add(float *x, const float *y, size_t n)
{
	for (size_t i = 0; i < n; i += WIDTH) {
		__m256 sum = _mm256_add_ps(load_some(x + i, n - i), load_some(y + i, n - i));

		store_some(x + i, n - i, sum);
	}
}

static void avx2_accumulate(float *acc, float weight, const float *x, size_t n)
{
	const __m256 w = _mm256_set1_ps(weight);

	for (size_t i = 0; i < n; i += WIDTH) {
		__m256 sum = _mm256_fmadd_ps(w, load_some(x + i, n - i), load_some(acc + i, n - i));

		store_some(acc + i, n - i, sum);
	}
}

static void avx2_scale(float *x, float factor, size_t n)
{
	const __m256 f = _mm256_set1_ps(factor);

	for (size_t i = 0; i < n; i += WIDTH)
		store_some(x + i, n - i, _mm256_mul_ps(load_some(x + i, n - i), f));
}

static float avx2_max(const float *x, size_t n)
{
	const __m256 least = _mm256_set1_ps(-INFINITY);
	__m256 m = least;

	/* The instruction returns its second operand for NaN, which so is passed over. */
	for (size_t i = 0; i < n; i += WIDTH) {
		__m256 v = load_some(x + i, n - i);
		__m256 valid = _mm256_castsi256_ps(first_lanes(at_most(n - i, WIDTH)));

		m = _mm256_max_ps(_mm256_blendv_ps(least, v, valid), m);
	}
	__m128 m4 = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
	__m128 m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));

	return _mm_cvtss_f32(_mm_max_ss(m2, _mm_movehdup_ps(m2))) + 0.0f;
}

INLINE __m256 exp_some(float *x, __m256 shift, size_t left)
{
	__m256 valid = _mm256_castsi256_ps(first_lanes(at_most(left, WIDTH)));
	__m256 e = exp8(_mm256_sub_ps(load_some(x, left), shift));

	store_some(x, left, e);
	return _mm256_and_ps(e, valid);
}

static float avx2_exp_sum(float *x, float shift, size_t n)
{
	const __m256 s = _mm256_set1_ps(shift);
	__m256 low = _mm256_setzero_ps();
	__m256 high = low;

	for (size_t i = 0; i < n; i += LANES) {
		low = _mm256_add_ps(low, exp_some(x + i, s, n - i));
		if (n - i > WIDTH)
			high = _mm256_add_ps(high, exp_some(x + i + WIDTH, s, n - i - WIDTH));
	}
	return sum16(low, high);
}

static void avx2_rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *out)
{
	const __m256 inverse = _mm256_set1_ps(1.0f / sqrtf(avx2_dot(x, x, n) / (float)n + epsilon));

	for (size_t i = 0; i < n; i += WIDTH) {
		__m256 v = _mm256_mul_ps(load_some(x + i, n - i), inverse);

		store_some(out + i, n - i, _mm256_mul_ps(v, load_some(weight + i, n - i)));
	}
}

static void avx2_silu_mul(float *gate, const float *up, size_t n)
{
	const __m256 one = _mm256_set1_ps(1.0f);
	const __m256 sign = _mm256_set1_ps(-0.0f);

	for (size_t i = 0; i < n; i += WIDTH) {
		__m256 g = load_some(gate + i, n - i);
		__m256 e = exp8(_mm256_xor_ps(g, sign));
		__m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, e));

		store_some(gate + i, n - i, _mm256_mul_ps(silu, load_some(up + i, n - i)));
	}
}

static void avx2_gelu_mul(float *gate, const float *up, size_t n)
{
	const __m256 one = _mm256_set1_ps(1.0f);
	const __m256 sign = _mm256_set1_ps(-0.0f);
	const __m256 cube = _mm256_set1_ps(CANON_GELU_CUBE);
	const __m256 line = _mm256_set1_ps(CANON_GELU_LINE);

	for (size_t i = 0; i < n; i += WIDTH) {
		__m256 g = load_some(gate + i, n - i);
		__m256 u = _mm256_mul_ps(g, _mm256_fmadd_ps(cube, _mm256_mul_ps(g, g), line));
		__m256 gelu = _mm256_div_ps(g, _mm256_add_ps(one, exp8(_mm256_xor_ps(u, sign))));

		store_some(gate + i, n - i, _mm256_mul_ps(gelu, load_some(up + i, n - i)));
	}
}

static void avx2_clamped_mul(float *gate, const float *up, size_t n)
{
	const __m256 one = _mm256_set1_ps(1.0f);
	const __m256 sign = _mm256_set1_ps(-0.0f);
	const __m256 high = _mm256_set1_ps(CANON_CLAMP);
	const __m256 low = _mm256_set1_ps(-CANON_CLAMP);
	const __m256 slope = _mm256_set1_ps(CANON_CLAMP_SLOPE);

	/* The minimum and maximum return their second operand for NaN. */
	for (size_t i = 0; i < n; i += WIDTH) {
		__m256 g = _mm256_min_ps(high, load_some(gate + i, n - i));
		__m256 u = _mm256_min_ps(high, load_some(up + i, n - i));
		__m256 e = exp8(_mm256_xor_ps(_mm256_mul_ps(slope, g), sign));

		u = _mm256_add_ps(_mm256_max_ps(low, u), one);
		g = _mm256_div_ps(g, _mm256_add_ps(one, e));
		store_some(gate + i, n - i, _mm256_mul_ps(g, u));
	}
}

static void avx2_soft_cap(float *x, float cap, size_t n)
{
	const __m256 one = _mm256_set1_ps(1.0f);
	const __m256 c = _mm256_set1_ps(cap);
	const __m256 twice = _mm256_set1_ps(cap + cap);
	const __m256 inverse = _mm256_set1_ps(2.0f / cap);

	for (size_t i = 0; i < n; i += WIDTH) {
		__m256 e = exp8(_mm256_mul_ps(load_some(x + i, n - i), inverse));
		__m256 part = _mm256_div_ps(twice, _mm256_add_ps(one, e));

		store_some(x + i, n - i, _mm256_sub_ps(c, part));
	}
}

static void avx2_rope_pairs(float *x, const float *cosines, const float *sines, size_t n_pairs)
{
	const __m256i even_twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
	size_t i = 0;

	for (; i + WIDTH / 2 <= n_pairs; i += WIDTH / 2) {
		__m256 v = _mm256_loadu_ps(x + 2 * i);
		__m256 c = _mm256_permutevar8x32_ps(
		    _mm256_castps128_ps256(_mm_loadu_ps(cosines + i)), even_twice);
		__m256 s = _mm256_permutevar8x32_ps(
		    _mm256_castps128_ps256(_mm_loadu_ps(sines + i)), even_twice);
		__m256 cs = _mm256_blend_ps(c, s, 0xaa);
		__m256 sc = _mm256_blend_ps(s, c, 0xaa);
		__m256 x1_part = _mm256_mul_ps(_mm256_movehdup_ps(v), sc);

		/* even lanes x0 c - x1 s, odd lanes x0 s + x1 c */
		_mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(_mm256_moveldup_ps(v), cs, x1_part));
	}
	for (; i < n_pairs; i++) {
		float x0 = x[2 * i];
		float x1 = x[2 * i + 1];

		x[2 * i] = fmaf(x0, cosines[i], -(x1 * sines[i]));
		x[2 * i + 1] = fmaf(x0, sines[i], x1 * cosines[i]);
	}
}

static void avx2_rope_halves(float *x, const float *cosines, const float *sines, size_t n_pairs)
{
	for (size_t i = 0; i < n_pairs; i += WIDTH) {
		size_t left = n_pairs - i;
		__m256 x0 = load_some(x + i, left);
		__m256 x1 = load_some(x + n_pairs + i, left);
		__m256 c = load_some(cosines + i, left);
		__m256 s = load_some(sines + i, left);

		store_some(x + i, left, _mm256_fmsub_ps(x0, c, _mm256_mul_ps(x1, s)));
		store_some(x + n_pairs + i, left, _mm256_fmadd_ps(x0, s, _mm256_mul_ps(x1, c)));
	}
}

static bool avx2_all_finite(const float *x, size_t n)
{
	const __m256i exponent = _mm256_set1_epi32(0x7f800000);
	__m256i bad = _mm256_setzero_si256();

	for (size_t i = 0; i < n; i += WIDTH) {
		__m256i v = _mm256_castps_si256(load_some(x + i, n - i));

		bad = _mm256_or_si256(
		    bad, _mm256_cmpeq_epi32(_mm256_and_si256(v, exponent), exponent));
	}
	return _mm256_testz_si256(bad, bad) != 0;
}

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .supported = avx2_supported,
    .quantise = avx2_quantise,
    .matmul = avx2_matmul,
    .dot = avx2_dot,
    .add = avx2_add,
    .accumulate = avx2_accumulate,
    .scale = avx2_scale,
    .max = avx2_max,
    .exp_sum = avx2_exp_sum,
    .rms_norm = avx2_rms_norm,
    .silu_mul = avx2_silu_mul,
    .gelu_mul = avx2_gelu_mul,
    .clamped_mul = avx2_clamped_mul,
    .soft_cap = avx2_soft_cap,
    .rope_pairs = avx2_rope_pairs,
    .rope_halves = avx2_rope_halves,
    .all_finite = avx2_all_finite,
};

#else

typedef int avx2_not_compiled_here; /* ISO C wants a declaration in every file */

#endif
