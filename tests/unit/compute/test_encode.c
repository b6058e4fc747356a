/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding undone by decoding: how much is lost, and nothing else goes wrong. */
#include "compute/encode.h"
#include "tests/support/kernel_trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N = 16 * QUANT_SUPER };

/* The largest root mean square error, in units of the values' own, of normally distributed values:
 * what a uniform step of the type's width leaves, with some room. */
static const struct {
	enum tensor_type type;
	double loss;
} types[] = {{TENSOR_F32, 0.0}, {TENSOR_F16, 3e-4}, {TENSOR_BF16, 2.5e-3}, {TENSOR_Q8_0, 0.006},
    {TENSOR_Q6_K, 0.02}, {TENSOR_Q5_K, 0.04}, {TENSOR_Q5_1, 0.04}, {TENSOR_Q5_0, 0.045},
    {TENSOR_Q4_K, 0.075}, {TENSOR_Q4_1, 0.073}, {TENSOR_Q4_0, 0.084}};

enum { N_TYPES = sizeof types / sizeof types[0] };

/* Sums of twelve uniform numbers are close to normal. */
static void fill_normal(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		x[i] = -6.0f;
		for (int k = 0; k < 12; k++)
			x[i] += (float)(random_u32() >> 8) * 0x1p-24f;
	}
}

static void round_trip(enum tensor_type type, const float *x, size_t n, float *back)
{
	uint64_t bytes;
	uint8_t *row;

	assert_int_equal(tensor_row_bytes(type, n, &bytes), AYNI_OK);
	row = allocate(bytes);
	tensor_encode_row(type, x, n, row);
	tensor_decode_row(type, row, n, back);
	free(row);
}

static double loss(const float *x, const float *back, size_t n)
{
	double error = 0.0, power = 0.0;

	for (size_t i = 0; i < n; i++) {
		error += pow((double)back[i] - (double)x[i], 2.0);
		power += pow((double)x[i], 2.0);
	}
	return sqrt(error / power);
}

static void normal_values_lose_no_more_than_the_type_must(void **state)
{
	static float x[N], back[N];

	(void)state;
	fill_normal(x, N);
	for (size_t t = 0; t < N_TYPES; t++) {
		round_trip(types[t].type, x, N, back);
		if (!(loss(x, back, N) <= types[t].loss))
			fail_msg(
			    "%s loses %g", tensor_type_info(types[t].type)->name, loss(x, back, N));
	}
}

static void every_scale_of_values_is_encoded_alike(void **state)
{
	static float x[N], back[N];

	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		for (int e = -8; e <= 12; e += 4) {
			fill_normal(x, N);
			for (size_t i = 0; i < N; i++)
				x[i] = ldexpf(x[i], e);
			round_trip(types[t].type, x, N, back);
			assert_true(loss(x, back, N) <= types[t].loss * 1.1);
		}
	}
}

static void edges_stay_finite_and_near(void **state)
{
	static float x[N], back[N];
	const float values[] = {0.0f, 1.0f, -1.0f, ENCODE_MAX, -ENCODE_MAX, 0x1p-126f, 0x1p-149f};

	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
			for (int alone = 0; alone <= 1; alone++) {
				for (size_t i = 0; i < N; i++) /* all alike, or one a block */
					x[i] = alone == 0 || i % 37 == 5 ? values[v] : 0.0f;
				round_trip(types[t].type, x, N, back);
				for (size_t i = 0; i < N; i++)
					assert_true(fabsf(back[i] - x[i]) <=
					            fabsf(values[v]) * 0.05f + 0x1p-24f);
			}
		}
	}
}

static void unequal_neighbours_do_not_disturb_a_part(void **state)
{
	static float x[N], back[N];

	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		fill_normal(x, N);
		for (size_t i = 0; i < N; i++) /* parts of 32 that differ by a factor of 20 */
			x[i] *= i / QUANT_BLOCK % 2 == 0 ? 1.0f : 0.05f;
		round_trip(types[t].type, x, N, back);
		for (size_t p = QUANT_BLOCK; p < N; p += (size_t)2 * QUANT_BLOCK)
			assert_true(loss(x + p, back + p, QUANT_BLOCK) <= 0.35);
	}
}

/* ---- binary16 and bfloat16 ------------------------------------------------------------------ */

static void every_binary16_comes_back(void **state)
{
	(void)state;
	for (uint32_t h = 0; h <= UINT16_MAX; h++) {
		if ((h & 0x7c00U) != 0x7c00U || (h & 0x3ffU) == 0)
			assert_int_equal(f32_to_f16(f16_to_f32((uint16_t)h)), h);
		else
			assert_true(isnan(f16_to_f32(f32_to_f16(f16_to_f32((uint16_t)h)))));
	}
}

/* Between two neighbours: just below the middle, the middle itself (to even), just above. */
static void binary16_rounds_to_the_nearest(void **state)
{
	(void)state;
	for (uint16_t h = 0; h < 0x7bff; h++) {
		float low = f16_to_f32(h), high = f16_to_f32((uint16_t)(h + 1));
		float middle = low + (high - low) * 0.5f; /* exact: eleven bits and one more */

		assert_int_equal(f32_to_f16(nextafterf(middle, 0.0f)), h);
		assert_int_equal(f32_to_f16(middle), h + (h & 1));
		assert_int_equal(f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
		assert_int_equal(f32_to_f16(-middle), 0x8000 | (h + (h & 1)));
	}
	assert_int_equal(f32_to_f16(65519.9f), 0x7bff);
	assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
	assert_int_equal(f32_to_f16(-1e30f), 0xfc00);
}

static void bfloat16_rounds_to_the_nearest(void **state)
{
	(void)state;
	for (uint32_t h = 0; h <= UINT16_MAX; h++)
		if ((h & 0x7f80U) != 0x7f80U)
			assert_int_equal(f32_to_bf16(bf16_to_f32((uint16_t)h)), h);
	assert_int_equal(f32_to_bf16(1.00390625f), 0x3f80); /* the middle, to even */
	assert_int_equal(f32_to_bf16(1.01171875f), 0x3f82); /* and up */
	assert_int_equal(f32_to_bf16(1.00390637f), 0x3f81);
	assert_true(isnan(bf16_to_f32(f32_to_bf16(NAN))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(normal_values_lose_no_more_than_the_type_must),
	    cmocka_unit_test(every_scale_of_values_is_encoded_alike),
	    cmocka_unit_test(edges_stay_finite_and_near),
	    cmocka_unit_test(unequal_neighbours_do_not_disturb_a_part),
	    cmocka_unit_test(every_binary16_comes_back),
	    cmocka_unit_test(binary16_rounds_to_the_nearest),
	    cmocka_unit_test(bfloat16_rounds_to_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
