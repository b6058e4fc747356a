/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binary64 functions use Taylor series with correctly rounded coefficients: over the reduced
 * ranges the first term left out is below 1e-17 of the result, so a fit would gain nothing.
 * Constants in two or three parts (ln 2, pi/2) are the number rounded, then what is left rounded.
 */
#include "compute/kernels/canon.h"

#include "compute/kernels/canon_exp.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static_assert(FLT_EVAL_METHOD == 0, "binary32 expressions are evaluated in binary32");

#define LOG2E    0x1.71547652b82fep+0
#define LN2_HIGH 0x1.62e42fefa39efp-1
#define LN2_LOW  0x1.abc9e3b39803fp-56
#define SQRT2    0x1.6a09e667f3bcdp+0

#define TWO_OVER_PI  0x1.45f306dc9c883p-1
#define HALF_PI_HIGH 0x1.921fb54442d18p+0
#define HALF_PI_MID  0x1.1a62633145c07p-54
#define HALF_PI_LOW  (-0x1.f1976b7ed8fbcp-110)

#define ROUND64 0x1.8p+52 /* adding it leaves no fraction bits */

static uint32_t bits_of_f32(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static float f32_of_bits(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

static uint64_t bits_of_f64(double x)
{
	uint64_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static double f64_of_bits(uint64_t bits)
{
	double x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

/* 2^n for n in the range of normal numbers. Anything else gives some number, never a trap. */
static float power_of_two(int32_t n)
{
	return f32_of_bits((uint32_t)(n + 127) << 23);
}

static double power_of_two64(int64_t n)
{
	return f64_of_bits((uint64_t)(n + 1023) << 52);
}

/* The rounded multiple m = y + ROUND64 as an integer; |y| < 2^51. */
static int64_t rounded_integer(double m)
{
	return (int64_t)(bits_of_f64(m) - bits_of_f64(ROUND64));
}

float canon_exp(float x)
{
	if (isnan(x))
		return x;
	if (x > CANON_EXP_HIGH)
		return INFINITY;
	if (x < CANON_EXP_LOW)
		return 0.0f;

	float m = fmaf(x, CANON_EXP_LOG2E, CANON_EXP_ROUND);
	float n = m - CANON_EXP_ROUND;
	float r = fmaf(n, -CANON_EXP_LN2_LOW, fmaf(n, -CANON_EXP_LN2_HIGH, x));
	float p = CANON_EXP_C6;

	p = fmaf(p, r, CANON_EXP_C5);
	p = fmaf(p, r, CANON_EXP_C4);
	p = fmaf(p, r, CANON_EXP_C3);
	p = fmaf(p, r, CANON_EXP_C2);
	p = fmaf(p, r, 1.0f);
	p = fmaf(p, r, 1.0f);

	int32_t k = (int32_t)(bits_of_f32(m) - bits_of_f32(CANON_EXP_ROUND));
	int32_t half = k >> 1;

	return p * power_of_two(half) * power_of_two(k - half);
}

float canon_log(float x)
{
	return (float)canon_log64((double)x);
}

double canon_exp64(double x)
{
	/* 1/k!, k = 14 down to 2 */
	static const double c[] = {1.0 / 87178291200.0, 1.0 / 6227020800.0, 1.0 / 479001600.0,
	    1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0,
	    1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0};

	if (isnan(x))
		return x;
	if (x > 709.78)
		return INFINITY;
	if (x < -708.39)
		return 0.0;

	double m = fma(x, LOG2E, ROUND64);
	double n = m - ROUND64;
	double r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x));
	double p = c[0];

	for (size_t i = 1; i < sizeof c / sizeof c[0]; i++)
		p = fma(p, r, c[i]);
	p = fma(p, r, 1.0);
	p = fma(p, r, 1.0);

	int64_t k = rounded_integer(m);
	int64_t half = k >> 1;

	return p * power_of_two64(half) * power_of_two64(k - half);
}

/*
 * x = 2^e * f with f in [sqrt(1/2), sqrt(2)); log f = 2 artanh(s), s = (f - 1) / (f + 1), and
 * |s| < 0.1716 makes the series in s^2 short.
 */
double canon_log64(double x)
{
	if (!(x > 0.0) || isinf(x))
		return x == 0.0 ? -INFINITY : x < 0.0 ? NAN : x;

	uint64_t bits = bits_of_f64(x);
	int64_t e = (int64_t)(bits >> 52) - 1023;
	double f = f64_of_bits((bits & 0xfffffffffffffU) | 0x3ff0000000000000U);

	if (f >= SQRT2) {
		f *= 0.5;
		e++;
	}
	double s = (f - 1.0) / (f + 1.0);
	double s2 = s * s;
	double p = 2.0 / 23.0;

	for (int k = 21; k >= 3; k -= 2)
		p = fma(p, s2, 2.0 / (double)k);

	double n = (double)e;
	double tail = fma(s * s2, p, n * LN2_LOW);

	return fma(n, LN2_HIGH, fma(2.0, s, tail));
}

/* Taylor series about 0, |r| <= pi/4. */
static double sine_near_zero(double r)
{
	static const double c[] = {1.0 / 355687428096000.0, -1.0 / 1307674368000.0,
	    1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0, -1.0 / 5040.0, 1.0 / 120.0,
	    -1.0 / 6.0};
	double r2 = r * r;
	double p = c[0];

	for (size_t i = 1; i < sizeof c / sizeof c[0]; i++)
		p = fma(p, r2, c[i]);
	return fma(p * r2, r, r);
}

static double cosine_near_zero(double r)
{
	static const double c[] = {1.0 / 20922789888000.0, -1.0 / 87178291200.0, 1.0 / 479001600.0,
	    -1.0 / 3628800.0, 1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0, -1.0 / 2.0};
	double r2 = r * r;
	double p = c[0];

	for (size_t i = 1; i < sizeof c / sizeof c[0]; i++)
		p = fma(p, r2, c[i]);
	return fma(p, r2, 1.0);
}

/*
 * The nearest multiple n of pi/2 is taken off in three parts. With |x| < 2^30 the first fma is
 * exact (both terms are multiples of 2^-53 or coarser and the difference is below 1), so the angle
 * keeps full precision however large x is.
 */
void canon_sincos64(double x, double *sine, double *cosine)
{
	double m = fma(x, TWO_OVER_PI, ROUND64);
	double n = m - ROUND64;
	double r = fma(n, -HALF_PI_HIGH, x);

	r = fma(n, -HALF_PI_MID, r);
	r = fma(n, -HALF_PI_LOW, r);

	double s = sine_near_zero(r);
	double c = cosine_near_zero(r);
	uint64_t quadrant = (uint64_t)rounded_integer(m) & 3U;

	*sine = quadrant == 0 ? s : quadrant == 1 ? c : quadrant == 2 ? -s : -c;
	*cosine = quadrant == 0 ? c : quadrant == 1 ? -s : quadrant == 2 ? -c : s;
}
