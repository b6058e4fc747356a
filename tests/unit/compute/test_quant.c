/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/quant.h"
#include "tests/support/gguf_build.h"

#include <math.h>
#include <setjmp.h>

#include <cmocka.h>

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

/* The value of a binary16 from the words of the standard, in binary64. */
static double f16_value(uint16_t h)
{
	int exponent = h >> 10 & 31;
	double mantissa = h & 1023;
	double magnitude =
	    exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024.0 + mantissa, exponent - 25);

	return h & 0x8000 ? -magnitude : magnitude;
}

static void widens_every_binary16_exactly(void **state)
{
	(void)state;
	for (uint32_t h = 0; h <= UINT16_MAX; h++) {
		float f = f16_to_f32((uint16_t)h);

		if ((h >> 10 & 31) != 31) {
			assert_true((double)f == f16_value((uint16_t)h));
			assert_int_equal(bits_of(f) >> 31, h >> 15);
		} else if ((h & 1023) != 0) {
			assert_true(isnan(f));
		} else {
			assert_true(isinf(f) && (f < 0.0f) == (h >> 15 != 0));
		}
	}
}

static void widens_bfloat16_by_its_bits(void **state)
{
	(void)state;
	assert_true(bf16_to_f32(0x3f80) == 1.0f);
	assert_true(bf16_to_f32(0xc049) == -3.140625f);
	assert_int_equal(bits_of(bf16_to_f32(0x8000)), 0x80000000U);
	assert_int_equal(bits_of(bf16_to_f32(0x0001)), 0x00010000U);
	assert_true(isinf(bf16_to_f32(0x7f80)));
}

static void sizes_follow_the_file_format(void **state)
{
	uint64_t bytes;

	(void)state;
	assert_int_equal(tensor_row_bytes(TENSOR_F32, 7, &bytes), AYNI_OK);
	assert_int_equal(bytes, 28);
	assert_int_equal(tensor_row_bytes(TENSOR_BF16, 7, &bytes), AYNI_OK);
	assert_int_equal(bytes, 14);
	assert_int_equal(tensor_row_bytes(TENSOR_Q8_0, 64, &bytes), AYNI_OK);
	assert_int_equal(bytes, 68);
	assert_int_equal(tensor_row_bytes(TENSOR_Q4_0, 64, &bytes), AYNI_OK);
	assert_int_equal(bytes, 36);
	assert_int_equal(tensor_row_bytes(TENSOR_Q4_0, 65, &bytes), AYNI_ERR_FORMAT);
	assert_int_equal(tensor_row_bytes(TENSOR_Q6_K, 512, &bytes), AYNI_OK);
	assert_int_equal(bytes, 420);
	assert_int_equal(tensor_row_bytes(TENSOR_Q6_K, 288, &bytes), AYNI_ERR_FORMAT);
	assert_int_equal(tensor_row_bytes(TENSOR_F32, UINT64_MAX / 2, &bytes), AYNI_ERR_LIMIT);
	assert_int_equal(tensor_row_bytes(TENSOR_TYPE_END, 1, &bytes), AYNI_ERR_UNSUPPORTED);
	assert_int_equal(tensor_row_bytes(UINT32_MAX, 1, &bytes), AYNI_ERR_UNSUPPORTED);
	assert_int_equal(tensor_row_bytes(4, 32, &bytes), AYNI_ERR_UNSUPPORTED);
}

static void names_every_supported_type(void **state)
{
	size_t n = 0;

	(void)state;
	for (uint32_t type = 0; type <= TENSOR_TYPE_END; type++) {
		const struct tensor_type_info *info = tensor_type_info(type);

		if (info == NULL)
			continue;
		assert_non_null(strstr(tensor_types_supported(), info->name));
		n++;
	}
	assert_int_equal(n, 16);
}

static void decodes_blocks_as_laid_out(void **state)
{
	struct block_q8_0 q8 = {.scale = 0x3800}; /* 0.5 */
	struct block_q4_0 q4 = {.scale = 0xc000}; /* -2 */
	float out[QUANT_BLOCK];

	(void)state;
	for (int i = 0; i < QUANT_BLOCK; i++)
		q8.quants[i] = (int8_t)(i * 8 - 128);
	tensor_decode_row(TENSOR_Q8_0, (const uint8_t *)&q8, QUANT_BLOCK, out);
	for (int i = 0; i < QUANT_BLOCK; i++)
		assert_true(out[i] == 0.5f * (float)(i * 8 - 128));
	for (int i = 0; i < 16; i++)
		q4.quants[i] = (uint8_t)(i | (15 - i) << 4);
	tensor_decode_row(TENSOR_Q4_0, (const uint8_t *)&q4, QUANT_BLOCK, out);
	for (int i = 0; i < 16; i++) {
		assert_true(out[i] == -2.0f * (float)(i - 8));
		assert_true(out[i + 16] == -2.0f * (float)(7 - i));
	}
}

/* Encoding is the tests' own; what comes back may differ by half a step of the type. */
static void decoding_undoes_encoding_within_a_step(void **state)
{
	const struct {
		enum tensor_type type;
		double step; /* relative to the largest value */
	} cases[] = {{TENSOR_F32, 0.0}, {TENSOR_F16, 0x1p-11}, {TENSOR_BF16, 0x1p-8},
	    {TENSOR_Q8_0, 0.52 / 127.0}, {TENSOR_Q4_0, 0.52 / 7.0}};
	float values[3 * QUANT_BLOCK];
	float back[3 * QUANT_BLOCK];
	uint8_t row[sizeof values + 1];

	(void)state;
	for (int i = 0; i < 3 * QUANT_BLOCK; i++)
		values[i] = sinf((float)i * 1.7f);
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		/* one byte off, since rows need no alignment */
		(void)gguf_build_encode(cases[c].type, values, 3 * QUANT_BLOCK, row + 1);
		tensor_decode_row(cases[c].type, row + 1, 3 * QUANT_BLOCK, back);
		for (int i = 0; i < 3 * QUANT_BLOCK; i++)
			assert_true(fabs((double)back[i] - (double)values[i]) <= cases[c].step);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(widens_every_binary16_exactly),
	    cmocka_unit_test(widens_bfloat16_by_its_bits),
	    cmocka_unit_test(sizes_follow_the_file_format),
	    cmocka_unit_test(names_every_supported_type),
	    cmocka_unit_test(decodes_blocks_as_laid_out),
	    cmocka_unit_test(decoding_undoes_encoding_within_a_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
