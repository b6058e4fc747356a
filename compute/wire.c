/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/wire.h"

#include <math.h>

#include "compute/quant.h"

enum { BLOCK = 32, LARGEST_F16 = 65504 };

static const char *const type_names[WIRE_TYPE_END] = {"f32", "f16", "q8"};

const char *wire_type_name(enum wire_type type)
{
	return type_names[type];
}

bool wire_type_find(const char *name, enum wire_type *out)
{
	for (int i = 0; i < WIRE_TYPE_END; i++)
		if (strcmp(name, type_names[i]) == 0) {
			*out = (enum wire_type)i;
			return true;
		}
	return false;
}

size_t wire_row_bytes(enum wire_type type, size_t d)
{
	switch (type) {
	case WIRE_F16:
		return d * 2;
	case WIRE_Q8:
		return d + (d + BLOCK - 1) / BLOCK * 4;
	default:
		return d * 4;
	}
}

static void put_u32(uint8_t *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *in)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v |= (uint32_t)in[i] << (8 * i);
	return v;
}

static void put_f32(uint8_t *out, float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	put_u32(out, bits);
}

static float get_f32(const uint8_t *in)
{
	uint32_t bits = get_u32(in);
	float x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

/* ---- f16 ------------------------------------------------------------------------------------ */

static uint16_t to_f16(float x)
{
	if (isfinite(x) && fabsf(x) > LARGEST_F16)
		x = copysignf(LARGEST_F16, x);
	return f32_to_f16(x);
}

/* ---- q8: as products with weights quantise (kernels/README.md) ---------------------------------
 */

struct block {
	float scale, factor;
};

static struct block measure(const float *x, size_t n)
{
	float largest = 0;

	for (size_t i = 0; i < n; i++) {
		if (!isfinite(x[i]))
			return (struct block){NAN, 0};
		largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
	}
	if (largest < 0x1p-100f)
		return (struct block){0, 0};
	return (struct block){largest / 127, 127 / largest};
}

/* The factor is 0 where elements are not looked at: they may be infinite. */
static int8_t quant(float x, const struct block *b)
{
	return (int8_t)(b->factor > 0 ? rintf(x * b->factor) : 0);
}

static void q8_encode(const float *row, size_t d, uint8_t *out)
{
	for (size_t at = 0; at < d; at += BLOCK) {
		size_t n = d - at < BLOCK ? d - at : BLOCK;
		struct block b = measure(row + at, n);

		put_f32(out, b.scale);
		out += 4;
		for (size_t i = 0; i < n; i++)
			*out++ = (uint8_t)quant(row[at + i], &b);
	}
}

static void q8_decode(const uint8_t *in, size_t d, float *row)
{
	for (size_t at = 0; at < d; at += BLOCK) {
		size_t n = d - at < BLOCK ? d - at : BLOCK;
		float scale = get_f32(in);

		in += 4;
		for (size_t i = 0; i < n; i++)
			row[at + i] = (float)(int8_t)*in++ * scale;
	}
}

static void q8_round(float *row, size_t d)
{
	for (size_t at = 0; at < d; at += BLOCK) {
		size_t n = d - at < BLOCK ? d - at : BLOCK;
		struct block b = measure(row + at, n);

		for (size_t i = 0; i < n; i++)
			row[at + i] = (float)quant(row[at + i], &b) * b.scale;
	}
}

/* ---- rows ----------------------------------------------------------------------------------- */

void wire_encode(enum wire_type type, const float *row, size_t d, uint8_t *out)
{
	if (type == WIRE_Q8) {
		q8_encode(row, d, out);
		return;
	}
	for (size_t i = 0; i < d; i++) {
		uint16_t half = type == WIRE_F16 ? to_f16(row[i]) : 0;

		if (type == WIRE_F32) {
			put_f32(out + i * 4, row[i]);
			continue;
		}
		out[i * 2] = (uint8_t)half;
		out[i * 2 + 1] = (uint8_t)(half >> 8);
	}
}

void wire_decode(enum wire_type type, const uint8_t *in, size_t d, float *row)
{
	if (type == WIRE_Q8) {
		q8_decode(in, d, row);
		return;
	}
	for (size_t i = 0; i < d; i++)
		row[i] = type == WIRE_F32 ? get_f32(in + i * 4)
		                          : f16_to_f32((uint16_t)(in[i * 2] | in[i * 2 + 1] << 8));
}

void wire_round(enum wire_type type, float *row, size_t d)
{
	if (type == WIRE_Q8)
		q8_round(row, d);
	for (size_t i = 0; type == WIRE_F16 && i < d; i++)
		row[i] = f16_to_f32(to_f16(row[i]));
}
