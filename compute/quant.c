/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/quant.h"

#include <math.h>

/* Rows are read in place, so multi-byte values have the file's order: little-endian. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor data is little-endian");

#define SMALL(name, block, minima)                                                                 \
	{                                                                                          \
		name, QUANT_BLOCK, sizeof(struct block), true, false, minima                       \
	}
#define SUPER(name, block, halves, minima)                                                         \
	{                                                                                          \
		name, QUANT_SUPER, sizeof(struct block), true, halves, minima                      \
	}

static const struct tensor_type_info types[TENSOR_TYPE_END] = {
    [TENSOR_F32] = {"F32", 1, sizeof(float), false, false, false},
    [TENSOR_F16] = {"F16", 1, sizeof(uint16_t), false, false, false},
    [TENSOR_BF16] = {"BF16", 1, sizeof(uint16_t), false, false, false},
    [TENSOR_Q8_0] = SMALL("Q8_0", block_q8_0, false),
    [TENSOR_Q4_0] = SMALL("Q4_0", block_q4_0, false),
    [TENSOR_Q4_1] = SMALL("Q4_1", block_q4_1, true),
    [TENSOR_Q5_0] = SMALL("Q5_0", block_q5_0, false),
    [TENSOR_Q5_1] = SMALL("Q5_1", block_q5_1, true),
    [TENSOR_IQ4_NL] = SMALL("IQ4_NL", block_iq4_nl, false),
    [TENSOR_MXFP4] = SMALL("MXFP4", block_mxfp4, false),
    [TENSOR_Q2_K] = SUPER("Q2_K", block_q2_k, true, true),
    [TENSOR_Q3_K] = SUPER("Q3_K", block_q3_k, true, false),
    [TENSOR_Q4_K] = SUPER("Q4_K", block_q4_k, false, true),
    [TENSOR_Q5_K] = SUPER("Q5_K", block_q5_k, false, true),
    [TENSOR_Q6_K] = SUPER("Q6_K", block_q6_k, true, false),
    [TENSOR_IQ4_XS] = SUPER("IQ4_XS", block_iq4_xs, false, false),
};

const struct tensor_type_info *tensor_type_info(uint32_t raw_type)
{
	if (raw_type >= TENSOR_TYPE_END || types[raw_type].name == NULL)
		return NULL;
	return &types[raw_type];
}

const char *tensor_types_supported(void)
{
	return "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, "
	       "IQ4_NL, IQ4_XS, MXFP4";
}

int tensor_row_bytes(uint32_t raw_type, uint64_t n, uint64_t *out)
{
	const struct tensor_type_info *info = tensor_type_info(raw_type);

	if (info == NULL)
		return AYNI_ERR_UNSUPPORTED;
	if (n % info->block_elements != 0)
		return AYNI_ERR_FORMAT;
	if (__builtin_mul_overflow(n / info->block_elements, info->block_bytes, out))
		return AYNI_ERR_LIMIT;
	return AYNI_OK;
}

static float f32_from_bits(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof f);
	return f;
}

float f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h >> 15) << 31;
	uint32_t exponent = (h >> 10) & 31U;
	uint32_t mantissa = h & 1023U;

	if (exponent == 31) /* infinity or NaN */
		return f32_from_bits(sign | 0x7f800000U | mantissa << 13);
	if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 is exact in binary32 */
		float magnitude = (float)mantissa * 0x1p-24f;

		return sign != 0 ? -magnitude : magnitude;
	}
	return f32_from_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13);
}

uint16_t f32_to_f16(float x)
{
	const uint32_t least_normal = 0x38800000U, rebias = 112U << 23, too_large = 0x47800000U;
	uint32_t all;

	memcpy(&all, &x, sizeof all);

	uint32_t sign = all >> 16 & 0x8000U;
	uint32_t bits = all & 0x7fffffffU;

	if (bits > 0x7f800000U)
		return (uint16_t)(sign | 0x7e00U);
	if (bits >= too_large)
		return (uint16_t)(sign | 0x7c00U);
	if (bits < least_normal) /* multiples of 2^-24 */
		return (uint16_t)(sign | (uint32_t)rintf(fabsf(x) * 0x1p24f));
	bits += 0xfffU + (bits >> 13 & 1U) - rebias;
	return (uint16_t)(sign | bits >> 13);
}

float bf16_to_f32(uint16_t h)
{
	return f32_from_bits((uint32_t)h << 16);
}

static void decode_16bit(float (*widen)(uint16_t), const uint8_t *row, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h;

		memcpy(&h, row + i * sizeof h, sizeof h);
		out[i] = widen(h);
	}
}

/* Half a part, in loops that a compiler makes vectors of. */
static void decode_half(const int8_t *restrict quants, float scale, float *restrict out)
{
	for (int i = 0; i < QUANT_HALF; i++)
		out[i] = scale * (float)quants[i];
}

static void add_minimum(float minimum, float *out)
{
	for (int i = 0; i < QUANT_HALF; i++)
		out[i] += minimum;
}

static void decode_parts(enum tensor_type type, const uint8_t *row, size_t n_parts, float *out)
{
	for (size_t p = 0; p < n_parts; p++) {
		struct quant_part part;

		quant_unpack(type, row, p, &part);
		for (int h = 0; h < 2; h++, out += QUANT_HALF) {
			decode_half(part.quants + h * QUANT_HALF, part.scale[h], out);
			if (types[type].minima)
				add_minimum(part.minimum[h], out);
		}
	}
}

void tensor_decode_row(enum tensor_type type, const uint8_t *row, size_t n, float *out)
{
	assert(tensor_type_info(type) != NULL);
	if (types[type].quantised) {
		assert(n % types[type].block_elements == 0);
		decode_parts(type, row, n / QUANT_BLOCK, out);
	} else if (type == TENSOR_F32) {
		memcpy(out, row, n * sizeof *out);
	} else {
		decode_16bit(type == TENSOR_F16 ? f16_to_f32 : bf16_to_f32, row, n, out);
	}
}

/* Where a block's binary16 scale lies, and its minimum; the same where it has none. */
static void scales_at(enum tensor_type type, size_t *scale, size_t *minimum)
{
	*scale = 0;
	if (type == TENSOR_Q2_K)
		*scale = offsetof(struct block_q2_k, scale);
	else if (type == TENSOR_Q3_K)
		*scale = offsetof(struct block_q3_k, scale);
	else if (type == TENSOR_Q6_K)
		*scale = offsetof(struct block_q6_k, scale);
	*minimum = *scale + (types[type].minima ? sizeof(uint16_t) : 0);
}

void quant_moderate(enum tensor_type type, uint8_t *block)
{
	const uint8_t kept = 0x83; /* the sign, and the exponent's lower bits */
	size_t scale, minimum;

	if (type == TENSOR_MXFP4) {
		block[0] = (uint8_t)(120 + block[0] % 8);
		return;
	}
	if (!types[type].quantised) {
		uint8_t *top = block + types[type].block_bytes - 1;

		*top = (uint8_t)((*top & kept) | (type == TENSOR_F16 ? 0x30 : 0x3c));
		return;
	}
	scales_at(type, &scale, &minimum);
	block[scale + 1] = (uint8_t)((block[scale + 1] & kept) | 0x2c);
	block[minimum + 1] = (uint8_t)((block[minimum + 1] & kept) | 0x2c);
}
