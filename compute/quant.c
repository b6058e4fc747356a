/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/quant.h"

/* Rows are read in place, so multi-byte values have the file's order: little-endian. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor data is little-endian");

static const struct tensor_type_info types[TENSOR_TYPE_END] = {
    [TENSOR_F32] = {"F32", 1, sizeof(float), false},
    [TENSOR_F16] = {"F16", 1, sizeof(uint16_t), false},
    [TENSOR_BF16] = {"BF16", 1, sizeof(uint16_t), false},
    [TENSOR_Q8_0] = {"Q8_0", QUANT_BLOCK, sizeof(struct block_q8_0), true},
    [TENSOR_Q4_0] = {"Q4_0", QUANT_BLOCK, sizeof(struct block_q4_0), true},
};

const struct tensor_type_info *tensor_type_info(uint32_t raw_type)
{
	if (raw_type >= TENSOR_TYPE_END || types[raw_type].name == NULL)
		return NULL;
	return &types[raw_type];
}

const char *tensor_types_supported(void)
{
	return "F32, F16, BF16, Q8_0, Q4_0";
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

static void decode_q8_0(const uint8_t *row, size_t n_blocks, float *out)
{
	for (size_t b = 0; b < n_blocks; b++, out += QUANT_BLOCK) {
		struct block_q8_0 block;

		memcpy(&block, row + b * sizeof block, sizeof block);
		float scale = f16_to_f32(block.scale);

		for (int i = 0; i < QUANT_BLOCK; i++)
			out[i] = scale * (float)block.quants[i];
	}
}

static void decode_q4_0(const uint8_t *row, size_t n_blocks, float *out)
{
	for (size_t b = 0; b < n_blocks; b++, out += QUANT_BLOCK) {
		struct block_q4_0 block;

		memcpy(&block, row + b * sizeof block, sizeof block);
		float scale = f16_to_f32(block.scale);

		for (int i = 0; i < QUANT_BLOCK / 2; i++) {
			out[i] = scale * (float)((block.quants[i] & 15) - 8);
			out[i + QUANT_BLOCK / 2] = scale * (float)((block.quants[i] >> 4) - 8);
		}
	}
}

void tensor_decode_row(enum tensor_type type, const uint8_t *row, size_t n, float *out)
{
	switch (type) {
	case TENSOR_F32:
		memcpy(out, row, n * sizeof *out);
		return;
	case TENSOR_F16:
		decode_16bit(f16_to_f32, row, n, out);
		return;
	case TENSOR_BF16:
		decode_16bit(bf16_to_f32, row, n, out);
		return;
	case TENSOR_Q8_0:
		assert(n % QUANT_BLOCK == 0);
		decode_q8_0(row, n / QUANT_BLOCK, out);
		return;
	case TENSOR_Q4_0:
		assert(n % QUANT_BLOCK == 0);
		decode_q4_0(row, n / QUANT_BLOCK, out);
		return;
	case TENSOR_TYPE_END:
		break;
	}
	assert(false && "tensor type without a decoder");
}
