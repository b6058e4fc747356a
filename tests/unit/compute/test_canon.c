/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracy against the C library in long double, which is an independent implementation. */
#include "compute/kernels/canon.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Error in units of the last place of the correct result. */
static double ulps(double got, long double want, int mantissa_bits)
{
	int e;

	(void)frexpl(want, &e);
	return (double)(fabsl((long double)got - want) / ldexpl(1.0L, e - mantissa_bits));
}

static float next_up(float x)
{
	return nextafterf(x, INFINITY);
}

static void exp_is_within_two_ulp(void **state)
{
	double worst = 0.0;

	(void)state;
	for (float x = -87.3f; x < 88.7228f; x += 0.00071f) {
		double error = ulps((double)canon_exp(x), expl((long double)x), FLT_MANT_DIG);

		worst = error > worst ? error : worst;
	}
	for (float x = 0x1p-60f; x < 1.0f; x *= 1.01f) {
		double error = ulps((double)canon_exp(-x), expl(-(long double)x), FLT_MANT_DIG);

		worst = error > worst ? error : worst;
	}
	assert_true(worst < 2.0);
	assert_true(worst > 0.4); /* the measure works */
}

static void exp_has_its_special_values(void **state)
{
	(void)state;
	assert_true(canon_exp(0.0f) == 1.0f);
	assert_true(canon_exp(-0.0f) == 1.0f);
	assert_true(canon_exp(0x1p-149f) == 1.0f);
	assert_true(canon_exp(INFINITY) == INFINITY);
	assert_true(canon_exp(FLT_MAX) == INFINITY);
	assert_true(canon_exp(88.73f) == INFINITY);
	assert_true(isfinite(canon_exp(88.7f)));
	assert_true(canon_exp(-INFINITY) == 0.0f);
	assert_true(canon_exp(-87.4f) == 0.0f);
	assert_true(canon_exp(-FLT_MAX) == 0.0f);
	assert_true(canon_exp(-87.3f) >= FLT_MIN);
	assert_true(isnan(canon_exp(NAN)));
}

/* Ranges of neighbouring numbers, most of all where the reduction steps to the next power of two.
 */
static void exp_never_falls(void **state)
{
	(void)state;
	for (int n = -125; n <= 127; n++) {
		float x = ((float)n + 0.5f) * 0.69314718f;

		for (int i = 0; i < 40; i++)
			x = nextafterf(x, -INFINITY);
		for (int i = 0; i < 80 && x > -87.3f; i++) {
			float y = next_up(x);

			assert_true(canon_exp(y) >= canon_exp(x));
			x = y;
		}
	}
}

static void log_is_correct_to_half_an_ulp_or_nearly(void **state)
{
	double worst = 0.0;

	(void)state;
	for (float x = 0x1p-126f; x < 0x1p127f; x *= 1.0037f) {
		double error = ulps((double)canon_log(x), logl((long double)x), FLT_MANT_DIG);

		worst = error > worst ? error : worst;
	}
	for (float x = 0.99f; x < 1.01f; x = next_up(x) + 1e-6f) {
		double error = x == 1.0f
		                   ? 0.0
		                   : ulps((double)canon_log(x), logl((long double)x), FLT_MANT_DIG);

		worst = error > worst ? error : worst;
	}
	assert_true(worst < 0.5001);
	assert_true(canon_log(1.0f) == 0.0f);
}

static void binary64_functions_are_within_two_ulp(void **state)
{
	double worst_exp = 0.0;
	double worst_log = 0.0;

	(void)state;
	for (double x = -708.0; x < 709.0; x += 0.0173) {
		double error = ulps(canon_exp64(x), expl((long double)x), DBL_MANT_DIG);

		worst_exp = error > worst_exp ? error : worst_exp;
	}
	for (double x = 1e-300; x < 1e300; x *= 1.0173) {
		double error = ulps(canon_log64(x), logl((long double)x), DBL_MANT_DIG);

		worst_log = error > worst_log ? error : worst_log;
	}
	assert_true(worst_exp < 2.0);
	assert_true(worst_log < 2.0);
	assert_true(canon_exp64(0.0) == 1.0);
	assert_true(canon_exp64(-1000.0) == 0.0);
	assert_true(canon_exp64(1000.0) == INFINITY);
	assert_true(isnan(canon_exp64(NAN)));
	assert_true(canon_log64(1.0) == 0.0);
	assert_true(canon_log64(0.0) == -INFINITY);
	assert_true(canon_log64(INFINITY) == INFINITY);
	assert_true(isnan(canon_log64(-1.0)));
	assert_true(isnan(canon_log64(NAN)));
}

/* The angles of long contexts: absolute error below 2 * 2^-53. */
static double worst_angle_error(double first, double end, double step)
{
	double worst = 0.0;

	for (double x = first; x < end; x += step) {
		double s, c;

		canon_sincos64(x, &s, &c);
		worst = fmax(worst, (double)fabsl((long double)s - sinl((long double)x)));
		worst = fmax(worst, (double)fabsl((long double)c - cosl((long double)x)));
		canon_sincos64(-x, &s, &c);
		worst = fmax(worst, (double)fabsl((long double)s + sinl((long double)x)));
	}
	return worst;
}

static void sine_and_cosine_keep_large_angles(void **state)
{
	double s, c;

	(void)state;
	assert_true(worst_angle_error(0.0, 30.0, 0.00137) < 2.0 * 0x1p-53);
	assert_true(worst_angle_error(1.0, 1048576.0, 37.7) < 2.0 * 0x1p-53);
	assert_true(worst_angle_error(0x1p29, 0x1p30, 54321.9) < 2.0 * 0x1p-53);
	canon_sincos64(0.0, &s, &c);
	assert_true(s == 0.0 && c == 1.0);
	/* close to pi, where all digits cancel */
	canon_sincos64(0x1.921fb54442d18p+1, &s, &c);
	assert_true(ulps(s, sinl(0x1.921fb54442d18p+1L), DBL_MANT_DIG) < 2.0);
	assert_true(c == -1.0);
}

/*
 * Bits that must never change, on any machine or with any compiler: a change here is a change of
 * the protocol.
 */
static void gives_the_recorded_bits(void **state)
{
	uint64_t digest = 0;

	(void)state;
	for (int i = -880; i <= 880; i++) {
		float e = canon_exp((float)i * 0.1f);
		float l = canon_log((float)(i + 881));
		uint32_t bits;
		double s, c;
		uint64_t wide;

		canon_sincos64((double)i * 1234.5, &s, &c);
		memcpy(&bits, &e, sizeof bits);
		digest = digest * 0x100000001b3U + bits;
		memcpy(&bits, &l, sizeof bits);
		digest = digest * 0x100000001b3U + bits;
		memcpy(&wide, &s, sizeof wide);
		digest = digest * 0x100000001b3U + wide;
		memcpy(&wide, &c, sizeof wide);
		digest = digest * 0x100000001b3U + wide;
	}
	assert_int_equal(digest, UINT64_C(0xa6cdc5a53b76f7d6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(exp_is_within_two_ulp),
	    cmocka_unit_test(exp_has_its_special_values),
	    cmocka_unit_test(exp_never_falls),
	    cmocka_unit_test(log_is_correct_to_half_an_ulp_or_nearly),
	    cmocka_unit_test(binary64_functions_are_within_two_ulp),
	    cmocka_unit_test(sine_and_cosine_keep_large_angles),
	    cmocka_unit_test(gives_the_recorded_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
