/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/encode.h"

#include <math.h>

enum {
	STARTS = 9, /* starting scales tried to each side of the plain one */
	PARTS = QUANT_SUPER / QUANT_BLOCK,
	HALVES = QUANT_SUPER / QUANT_HALF
};

#define START_STEP 0.1f   /* apart, in units of the last integer */
#define NOTHING    1e-30f /* magnitudes below are zero: their scales would be no numbers */

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

/* For scales: what least squares made of the largest weights may lie just outside of binary16. */
static uint16_t scale_to_f16(float x)
{
	return f32_to_f16(x > ENCODE_MAX ? ENCODE_MAX : x < -ENCODE_MAX ? -ENCODE_MAX : x);
}

uint16_t f32_to_bf16(float x)
{
	uint32_t bits = bits_of(x);

	if (isnan(x))
		return (uint16_t)(bits >> 16 | 0x40U);
	return (uint16_t)((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

/* The nearest integer in [least, most], ties to even. Adding and taking off 1.5 * 2^23 rounds; it
 * is plain arithmetic, which a compiler can do for many elements at once. */
static float nearest(float x, float least, float most)
{
	const float shift = 0x1.8p+23f;

	x = x < least ? least : x;
	x = x > most ? most : x;
	return x + shift - shift;
}

static int clamped(float x, int least, int most)
{
	return (int)nearest(x, (float)least, (float)most);
}

/* 1 / x, and 0 where x is nothing, so that all its integers become 0. */
static float inverse(float x)
{
	return fabsf(x) < NOTHING ? 0.0f : 1.0f / x;
}

/* ---- choosing scales ------------------------------------------------------------------------ */

/*
 * Sums over a part of pairs (q, y) with a weight; y is x above the lowest, so that little is lost
 * in differences. The weight, how much an error counts, is x's magnitude and the mean one. Four
 * lanes, so that additions need not wait for each other.
 */
enum { LANES = 4 };

struct sums {
	float w, y, yy, q, yq, qq;
};

static float total(const float lanes[LANES])
{
	return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

static float mean_magnitude(const float *x, int n)
{
	float lanes[LANES] = {0};

	for (int i = 0; i < n; i += LANES)
		for (int k = 0; k < LANES; k++)
			lanes[k] += fabsf(x[i + k]);
	return total(lanes) / (float)n;
}

/* Those that depend on x alone. */
static void sum_values(const float *x, int n, float mean, float low, struct sums *s)
{
	float w[LANES] = {0}, wy[LANES] = {0}, wyy[LANES] = {0};

	for (int i = 0; i < n; i += LANES) {
		for (int k = 0; k < LANES; k++) {
			float weight = mean + fabsf(x[i + k]);
			float y = x[i + k] - low;

			w[k] += weight;
			wy[k] += weight * y;
			wyy[k] += weight * y * y;
		}
	}
	s->w = total(w);
	s->y = total(wy);
	s->yy = total(wyy);
}

/* The others, for q = the integers nearest to y * start. */
static void sum_integers(const float *x, int n, float mean, float low, float start, float least,
    float most, struct sums *s)
{
	float wq[LANES] = {0}, wyq[LANES] = {0}, wqq[LANES] = {0};

	for (int i = 0; i < n; i += LANES) {
		for (int k = 0; k < LANES; k++) {
			float weight = mean + fabsf(x[i + k]);
			float y = x[i + k] - low;
			float q = nearest(y * start, least, most);

			wq[k] += weight * q;
			wyq[k] += weight * y * q;
			wqq[k] += weight * q * q;
		}
	}
	s->q = total(wq);
	s->yq = total(wyq);
	s->qq = total(wqq);
}

static float largest(const float *x, int n)
{
	float found = 0.0f;

	for (int i = 0; i < n; i++)
		if (fabsf(x[i]) > fabsf(found))
			found = x[i];
	return found;
}

/* The scale for x = scale * q with q in [-most - 1, most]. */
static float fit_scale(const float *x, int n, int most)
{
	float peak = largest(x, n), best = -1.0f, scale = 0.0f, mean;

	if (fabsf(peak) < NOTHING)
		return 0.0f;
	mean = mean_magnitude(x, n);
	for (int try = -STARTS; try <= STARTS; try++) {
		/* The largest element lands near the lower end, which is the farther one. */
		float start = -((float)(most + 1) + START_STEP * (float)try) / peak;
		struct sums s;

		sum_integers(x, n, mean, 0.0f, start, (float)(-most - 1), (float)most, &s);
		/* The least-squares scale yq / qq takes yq^2 / qq off the error. */
		if (s.qq > 0.0f && s.yq * s.yq > best * s.qq) {
			best = s.yq * s.yq / s.qq;
			scale = s.yq / s.qq;
		}
	}
	return scale;
}

struct line {
	float scale, minimum;
};

/* Least squares, with the minimum at most `ceiling`. */
static struct line solve(const struct sums *s, float ceiling)
{
	float determinant = s->w * s->qq - s->q * s->q;
	struct line l = {0.0f, INFINITY};

	if (determinant > 0.0f) {
		l.scale = (s->w * s->yq - s->y * s->q) / determinant;
		l.minimum = (s->qq * s->y - s->q * s->yq) / determinant;
	}
	if (l.minimum > ceiling) {
		l.minimum = ceiling;
		l.scale = s->qq > 0.0f ? (s->yq - ceiling * s->q) / s->qq : 0.0f;
	}
	return l;
}

static float error_of(struct line l, const struct sums *s)
{
	return s->yy - 2.0f * (l.scale * s->yq + l.minimum * s->y) +
	       l.scale * (l.scale * s->qq + 2.0f * l.minimum * s->q) + l.minimum * l.minimum * s->w;
}

/* Scale and minimum for x = scale * q + minimum with q in [0, most] and minimum <= ceiling. */
static struct line fit_line(const float *x, int n, int most, float ceiling)
{
	float low = x[0] < ceiling ? x[0] : ceiling, high = x[0], best = INFINITY, mean;
	struct line line;
	struct sums s;

	for (int i = 1; i < n; i++) {
		low = x[i] < low ? x[i] : low;
		high = x[i] > high ? x[i] : high;
	}
	if (high - low < NOTHING)
		return (struct line){0.0f, low};
	line = (struct line){(high - low) / (float)most, 0.0f}; /* of y */
	mean = mean_magnitude(x, n);
	sum_values(x, n, mean, low, &s);
	for (int try = -STARTS; try <= STARTS; try++) {
		float start = ((float)most + START_STEP * (float)try) / (high - low);

		sum_integers(x, n, mean, low, start, 0.0f, (float)most, &s);

		struct line l = solve(&s, ceiling - low);

		if (l.scale > 0.0f && isfinite(l.minimum) && error_of(l, &s) < best) {
			best = error_of(l, &s);
			line = l;
		}
	}
	line.minimum += low;
	return line;
}

/* ---- blocks of one part --------------------------------------------------------------------- */

/* q[i] = the integer nearest to (x[i] - minimum) / scale. */
static void round_all(
    const float *x, int n, float scale, float minimum, int least, int most, int8_t *q)
{
	float to_q = inverse(scale);

	for (int i = 0; i < n; i++)
		q[i] = (int8_t)clamped((x[i] - minimum) * to_q, least, most);
}

/* Low nibbles: the first half; high nibbles: the last. */
static void pack_halves(const int8_t *q, int offset, uint8_t *bytes)
{
	for (int i = 0; i < QUANT_HALF; i++)
		bytes[i] =
		    (uint8_t)(((q[i] + offset) & 15) | ((q[i + QUANT_HALF] + offset) & 15) << 4);
}

static void pack_fifth_bits(const int8_t *q, int offset, uint8_t high[4])
{
	memset(high, 0, 4);
	for (int i = 0; i < QUANT_BLOCK; i++)
		high[i / 8] |= (uint8_t)(((q[i] + offset) >> 4 & 1) << i % 8);
}

static void encode_q8_0(const float *x, uint8_t *out)
{
	struct block_q8_0 b = {.scale = scale_to_f16(fabsf(largest(x, QUANT_BLOCK)) / 127.0f)};

	round_all(x, QUANT_BLOCK, f16_to_f32(b.scale), 0.0f, -127, 127, b.quants);
	memcpy(out, &b, sizeof b);
}

static void encode_q4_0(const float *x, uint8_t *out)
{
	struct block_q4_0 b = {.scale = scale_to_f16(fit_scale(x, QUANT_BLOCK, 7))};
	int8_t q[QUANT_BLOCK];

	round_all(x, QUANT_BLOCK, f16_to_f32(b.scale), 0.0f, -8, 7, q);
	pack_halves(q, 8, b.quants);
	memcpy(out, &b, sizeof b);
}

static void encode_q5_0(const float *x, uint8_t *out)
{
	struct block_q5_0 b = {.scale = scale_to_f16(fit_scale(x, QUANT_BLOCK, 15))};
	int8_t q[QUANT_BLOCK];

	round_all(x, QUANT_BLOCK, f16_to_f32(b.scale), 0.0f, -16, 15, q);
	pack_halves(q, 16, b.quants);
	pack_fifth_bits(q, 16, b.high);
	memcpy(out, &b, sizeof b);
}

static void fit_halves(
    const float *x, int most, uint16_t *scale, uint16_t *minimum, int8_t q[QUANT_BLOCK])
{
	struct line l = fit_line(x, QUANT_BLOCK, most, INFINITY);

	*scale = scale_to_f16(l.scale);
	*minimum = scale_to_f16(l.minimum);
	round_all(x, QUANT_BLOCK, f16_to_f32(*scale), f16_to_f32(*minimum), 0, most, q);
}

static void encode_q4_1(const float *x, uint8_t *out)
{
	struct block_q4_1 b;
	int8_t q[QUANT_BLOCK];

	fit_halves(x, 15, &b.scale, &b.minimum, q);
	pack_halves(q, 0, b.quants);
	memcpy(out, &b, sizeof b);
}

static void encode_q5_1(const float *x, uint8_t *out)
{
	struct block_q5_1 b;
	int8_t q[QUANT_BLOCK];

	fit_halves(x, 31, &b.scale, &b.minimum, q);
	pack_halves(q, 0, b.quants);
	pack_fifth_bits(q, 0, b.high);
	memcpy(out, &b, sizeof b);
}

/* ---- blocks of eight parts ------------------------------------------------------------------ */

struct k_block {
	uint16_t scale, minimum;
	uint8_t scales[12];
	int8_t q[QUANT_SUPER];
};

/* As scales_k of quant_unpack.c reads them. */
static void pack_scales_k(const int s[PARTS], const int m[PARTS], uint8_t out[12])
{
	for (int p = 0; p < 4; p++) {
		out[p] = (uint8_t)(s[p] | s[p + 4] >> 4 << 6);
		out[p + 4] = (uint8_t)(m[p] | m[p + 4] >> 4 << 6);
		out[p + 8] = (uint8_t)((s[p + 4] & 15) | (m[p + 4] & 15) << 4);
	}
}

/* Each part's line, its scale and minimum rounded to six bits of the block's. */
static void fit_k(const float *x, int most, struct k_block *b)
{
	struct line lines[PARTS];
	float scale = 0.0f, minimum = 0.0f;
	int s[PARTS], m[PARTS];

	for (int p = 0; p < PARTS; p++) {
		lines[p] = fit_line(x + p * QUANT_BLOCK, QUANT_BLOCK, most, 0.0f);
		scale = fmaxf(scale, lines[p].scale);
		minimum = fmaxf(minimum, -lines[p].minimum);
	}
	b->scale = scale_to_f16(scale / 63.0f);
	b->minimum = scale_to_f16(minimum / 63.0f);
	scale = f16_to_f32(b->scale);
	minimum = f16_to_f32(b->minimum);
	for (int p = 0; p < PARTS; p++) {
		s[p] = clamped(lines[p].scale * inverse(scale), 0, 63);
		m[p] = clamped(-lines[p].minimum * inverse(minimum), 0, 63);
		round_all(x + p * QUANT_BLOCK, QUANT_BLOCK, scale * (float)s[p],
		    -(minimum * (float)m[p]), 0, most, b->q + p * QUANT_BLOCK);
	}
	pack_scales_k(s, m, b->scales);
}

/* Parts in pairs: the first in the low nibbles of 32 bytes, the second in the high ones. */
static void pack_nibbles_k(const int8_t *q, uint8_t *bytes)
{
	for (int i = 0; i < QUANT_SUPER / 2; i++) {
		const int8_t *pair = q + i / QUANT_BLOCK * 2 * QUANT_BLOCK + i % QUANT_BLOCK;

		bytes[i] = (uint8_t)((pair[0] & 15) | (pair[QUANT_BLOCK] & 15) << 4);
	}
}

static void encode_q4_k(const float *x, uint8_t *out)
{
	struct block_q4_k b;
	struct k_block fit;

	fit_k(x, 15, &fit);
	b.scale = fit.scale;
	b.minimum = fit.minimum;
	memcpy(b.scales, fit.scales, sizeof b.scales);
	pack_nibbles_k(fit.q, b.quants);
	memcpy(out, &b, sizeof b);
}

static void encode_q5_k(const float *x, uint8_t *out)
{
	struct block_q5_k b = {0};
	struct k_block fit;

	fit_k(x, 31, &fit);
	b.scale = fit.scale;
	b.minimum = fit.minimum;
	memcpy(b.scales, fit.scales, sizeof b.scales);
	pack_nibbles_k(fit.q, b.quants);
	for (int i = 0; i < QUANT_SUPER; i++)
		b.high[i % QUANT_BLOCK] |= (uint8_t)((fit.q[i] >> 4 & 1) << i / QUANT_BLOCK);
	memcpy(out, &b, sizeof b);
}

static void encode_q6_k(const float *x, uint8_t *out)
{
	struct block_q6_k b = {0};
	float scales[HALVES], scale;
	int8_t q[QUANT_SUPER];

	for (int h = 0; h < HALVES; h++)
		scales[h] = fit_scale(x + h * QUANT_HALF, QUANT_HALF, 31);
	b.scale = scale_to_f16(largest(scales, HALVES) / -128.0f);
	scale = f16_to_f32(b.scale);
	for (int h = 0; h < HALVES; h++) {
		b.scales[h] = (int8_t)clamped(scales[h] * inverse(scale), -128, 127);
		round_all(x + h * QUANT_HALF, QUANT_HALF, scale * (float)b.scales[h], 0.0f, -32, 31,
		    q + h * QUANT_HALF);
	}
	for (int p = 0; p < PARTS; p++) {
		int half = p / 4, k = p % 4;

		for (int i = 0; i < QUANT_BLOCK; i++) {
			int v = q[p * QUANT_BLOCK + i] + 32;

			b.low[half * 64 + k % 2 * QUANT_BLOCK + i] |=
			    (uint8_t)((v & 15) << 4 * (k / 2));
			b.high[half * QUANT_BLOCK + i] |= (uint8_t)(v >> 4 << 2 * k);
		}
	}
	memcpy(out, &b, sizeof b);
}

/* ---- all ------------------------------------------------------------------------------------ */

static void encode_f32(const float *x, uint8_t *out)
{
	memcpy(out, x, sizeof *x);
}

static void encode_f16(const float *x, uint8_t *out)
{
	uint16_t h = f32_to_f16(*x);

	memcpy(out, &h, sizeof h);
}

static void encode_bf16(const float *x, uint8_t *out)
{
	uint16_t h = f32_to_bf16(*x);

	memcpy(out, &h, sizeof h);
}

typedef void encode_fn(const float *x, uint8_t *out); /* one block */

static encode_fn *const encoders[TENSOR_TYPE_END] = {
    [TENSOR_F32] = encode_f32,
    [TENSOR_F16] = encode_f16,
    [TENSOR_BF16] = encode_bf16,
    [TENSOR_Q8_0] = encode_q8_0,
    [TENSOR_Q4_0] = encode_q4_0,
    [TENSOR_Q4_1] = encode_q4_1,
    [TENSOR_Q5_0] = encode_q5_0,
    [TENSOR_Q5_1] = encode_q5_1,
    [TENSOR_Q4_K] = encode_q4_k,
    [TENSOR_Q5_K] = encode_q5_k,
    [TENSOR_Q6_K] = encode_q6_k,
};

bool tensor_type_encodes(enum tensor_type type)
{
	return type < TENSOR_TYPE_END && encoders[type] != NULL;
}

void tensor_encode_row(enum tensor_type type, const float *x, size_t n, uint8_t *row)
{
	const struct tensor_type_info *info = tensor_type_info(type);

	assert(tensor_type_encodes(type) && n % info->block_elements == 0);
	for (size_t i = 0; i < n; i += info->block_elements, row += info->block_bytes)
		encoders[type](x + i, row);
}
