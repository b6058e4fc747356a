/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with weights: does every table equal the definition to the bit, and is the definition as
 * close to the exact product as its quantised activations allow.
 */
#include "compute/kernels/blas.h"
#include "tests/support/kernel_trial.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0,
    TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_Q5_0, TENSOR_Q5_1, TENSOR_IQ4_NL, TENSOR_MXFP4, TENSOR_Q2_K,
    TENSOR_Q3_K, TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K, TENSOR_IQ4_XS};

enum { N_TYPES = sizeof types / sizeof types[0], MAX_N = 70 };

struct product {
	struct matrix w;
	struct activations x;
	uint8_t *weights; /* starts at an odd address */
	float *f32;
	int8_t *quants;
	float *scales;
	int16_t *sums;
};

/* Random bytes are weights of any type: raw they hold NaN and infinities, else exponents of floats
 * and scales are moderate. */
static void fill_weights(uint8_t *bytes, size_t n_bytes, enum tensor_type type, bool raw)
{
	for (size_t i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)random_u32();
	for (size_t i = 0; i < n_bytes && !raw; i += tensor_type_info(type)->block_bytes)
		quant_moderate(type, bytes + i);
}

/* A row length that the type can have: n blocks, or n elements of a float. */
static uint32_t length(enum tensor_type type, uint32_t n)
{
	return n * tensor_type_info(type)->block_elements;
}

static struct product product_new(
    enum tensor_type type, uint32_t rows, uint32_t cols, size_t vectors, enum kind kind, bool raw)
{
	struct product p;
	uint64_t row_bytes;

	assert_int_equal(tensor_row_bytes(type, cols, &row_bytes), AYNI_OK);
	p.weights = allocate(rows * row_bytes + 1);
	fill_weights(p.weights + 1, rows * row_bytes, type, raw);
	p.f32 = allocate(vectors * cols * sizeof *p.f32);
	fill(p.f32, vectors * cols, kind);
	p.quants = allocate(vectors * cols);
	p.scales = allocate(vectors * cols / QUANT_BLOCK * sizeof *p.scales);
	p.sums = allocate(vectors * cols / QUANT_HALF * sizeof *p.sums);
	if (tensor_type_info(type)->quantised)
		kernels_scalar.quantise(p.f32, vectors * cols, p.quants, p.scales, p.sums);
	p.w = (struct matrix){type, rows, cols, (size_t)row_bytes, p.weights + 1};
	p.x = (struct activations){cols, vectors, p.f32, p.quants, p.scales, p.sums};
	return p;
}

static void product_free(struct product *p)
{
	free(p->weights);
	free(p->f32);
	free(p->quants);
	free(p->scales);
	free(p->sums);
}

/* Rows [first, end); what lies outside of them must stay as it was. */
static void check_product(
    const struct kernels *k, const struct product *p, uint32_t first, uint32_t end)
{
	size_t stride = p->w.n_rows + 3;
	size_t n = p->x.n_vectors * stride;
	float *want = allocate(n * sizeof *want);
	float *got = allocate(n * sizeof *got);

	for (size_t i = 0; i < n; i++)
		want[i] = got[i] = 12345.0f;
	kernels_scalar.matmul(&p->w, first, end, &p->x, want, stride);
	k->matmul(&p->w, first, end, &p->x, got, stride);
	assert_same(tensor_type_info(p->w.type)->name, k, want, got, n, p->w.n_cols);
	free(want);
	free(got);
}

static void products_equal_the_definition_in_every_shape(void **state)
{
	const struct kernels *k = table_at(0);

	(void)state;
	for (size_t t = 0; k != NULL && t < N_TYPES; t++) {
		for (uint32_t rows = 1; rows <= 20; rows++) {
			for (size_t vectors = 1; vectors <= 9; vectors++) {
				bool blocks = tensor_type_info(types[t])->quantised;
				uint32_t cols =
				    length(types[t], blocks ? 1 + rows % 3 : 1 + rows * 3);
				struct product p = product_new(
				    types[t], rows, cols, vectors, KIND_MODERATE, false);

				check_product(k, &p, 0, rows);
				check_product(k, &p, rows / 3, rows - rows / 4);
				product_free(&p);
			}
		}
	}
}

static void products_equal_the_definition_on_hostile_numbers(void **state)
{
	const struct kernels *k = table_at(0);

	(void)state;
	for (size_t t = 0; k != NULL && t < N_TYPES; t++) {
		for (int round = 0; round < 120; round++) {
			enum kind kind = (enum kind)(round % KIND_END);
			bool blocks = tensor_type_info(types[t])->quantised;
			struct product p = product_new(types[t], 9,
			    length(types[t], blocks ? 3 : 67), 5, kind, round % 8 >= KIND_END);

			check_product(k, &p, 0, 9);
			product_free(&p);
		}
	}
}

static void products_equal_the_definition_for_every_row_length(void **state)
{
	const struct kernels *k = table_at(0);

	(void)state;
	for (size_t t = 0; k != NULL && t < N_TYPES; t++) {
		uint32_t shortest = length(types[t], 1);

		for (uint32_t n = 1; n <= (shortest == QUANT_SUPER ? MAX_N / 8 : MAX_N); n++) {
			struct product p =
			    product_new(types[t], 5, n * shortest, 2, KIND_MODERATE, false);

			check_product(k, &p, 0, 5);
			product_free(&p);
		}
	}
}

/* All weights and activations at their extremes, where 16-bit sums would saturate. */
static void quantised_sums_are_exact_at_the_extremes(void **state)
{
	const uint8_t bytes[] = {0x80, 0x7f, 0x81, 0xff, 0x00, 0x0f, 0xf0};

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++) {
		for (int sign = -1; sign <= 1; sign += 2) {
			uint8_t blocks[8 * sizeof(struct block_q8_0)];
			float out[8], x[QUANT_BLOCK], scale;
			int8_t q[QUANT_BLOCK];
			int16_t sums[2];
			const struct kernels *k = table_at(0);

			memset(blocks, bytes[i], sizeof blocks);
			for (size_t r = 0; r < 8; r++) /* scale 1 */
				memcpy(blocks + r * sizeof(struct block_q8_0), "\x00\x3c", 2);
			for (int j = 0; j < QUANT_BLOCK; j++)
				x[j] = (float)sign * 127.0f;
			kernels_scalar.quantise(x, QUANT_BLOCK, q, &scale, sums);

			struct matrix w = {
			    TENSOR_Q8_0, 8, QUANT_BLOCK, sizeof(struct block_q8_0), blocks};
			struct activations a = {QUANT_BLOCK, 1, x, q, &scale, sums};
			float want = (float)((int8_t)bytes[i] * 127 * sign * QUANT_BLOCK);

			for (; k != NULL; k = k == &kernels_scalar ? NULL : &kernels_scalar) {
				k->matmul(&w, 0, 8, &a, out, 8);
				assert_true(out[7] == want);
			}
		}
	}
}

/* Every quant of a type at an end of its range, and all activations at the largest. */
static void products_equal_the_definition_at_the_extremes(void **state)
{
	enum { ROWS = 8, COLS = 2 * QUANT_SUPER, VECTORS = 2 };
	const int bytes[] = {0x00, 0xff, 0x7f, 0x80, 0x0f, 0xf0, 0x11, 0x88};

	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		size_t block_bytes = tensor_type_info(types[t])->block_bytes;
		struct product p = product_new(types[t], ROWS, COLS, VECTORS, KIND_MODERATE, false);

		for (size_t i = 0; i < (size_t)VECTORS * COLS; i++)
			p.f32[i] = i < COLS ? 1.0f : -1.0f;
		kernels_scalar.quantise(p.f32, (size_t)VECTORS * COLS, p.quants, p.scales, p.sums);
		for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
			memset(p.weights + 1, bytes[i], ROWS * p.w.row_bytes);
			for (size_t b = 0; b < ROWS * p.w.row_bytes; b += block_bytes)
				quant_moderate(types[t], p.weights + 1 + b);
			check_product(kernels_best(), &p, 0, ROWS);
		}
		product_free(&p);
	}
}

/* The only loss beside float rounding is the activations' half step, times each weight. */
static void products_are_within_the_error_of_quantised_activations(void **state)
{
	enum { ROWS = 8, COLS = 256 };

	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		struct product p = product_new(types[t], ROWS, COLS, 1, KIND_MODERATE, false);
		bool quantised = tensor_type_info(types[t])->quantised;
		float weights[COLS], out[ROWS];

		kernels_scalar.matmul(&p.w, 0, ROWS, &p.x, out, ROWS);
		for (uint32_t r = 0; r < ROWS; r++) {
			double want = 0.0, bound = 0.0, magnitude = 0.0;

			tensor_decode_row(types[t], p.w.data + r * p.w.row_bytes, COLS, weights);
			for (int i = 0; i < COLS; i++) {
				double step = quantised ? (double)p.scales[i / QUANT_BLOCK] : 0.0;

				want += (double)weights[i] * (double)p.f32[i];
				magnitude += fabs((double)weights[i] * (double)p.f32[i]);
				bound += fabs((double)weights[i]) * step * 0.5001;
			}
			assert_true(fabs((double)out[r] - want) <= bound + magnitude * 0x1p-18);
		}
		product_free(&p);
	}
}

static void openblas_agrees_on_float_products(void **state)
{
	enum { ROWS = 33, COLS = 150, VECTORS = 7 };
	struct product p = product_new(TENSOR_F32, ROWS, COLS, VECTORS, KIND_MODERATE, false);
	float *aligned = allocate((size_t)ROWS * COLS * sizeof *aligned);
	float want[VECTORS * ROWS], got[VECTORS * ROWS];

	(void)state;
	assert_int_equal(blas_matmul_f32(&p.w, &p.x, got, ROWS), AYNI_ERR_UNSUPPORTED);
	fill(aligned, (size_t)ROWS * COLS, KIND_MODERATE);
	p.w.data = (const uint8_t *)aligned;
	assert_int_equal(blas_matmul_f32(&p.w, &p.x, got, ROWS), AYNI_OK);
	kernels_best()->matmul(&p.w, 0, ROWS, &p.x, want, ROWS);
	for (int i = 0; i < VECTORS * ROWS; i++)
		assert_true(fabsf(want[i] - got[i]) < 150.0f * 0x1p-22f);
	free(aligned);
	product_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(products_equal_the_definition_in_every_shape),
	    cmocka_unit_test(products_equal_the_definition_on_hostile_numbers),
	    cmocka_unit_test(products_equal_the_definition_for_every_row_length),
	    cmocka_unit_test(quantised_sums_are_exact_at_the_extremes),
	    cmocka_unit_test(products_equal_the_definition_at_the_extremes),
	    cmocka_unit_test(products_are_within_the_error_of_quantised_activations),
	    cmocka_unit_test(openblas_agrees_on_float_products),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
