/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with weights: does every table equal the definition to the bit, and is the definition as
 * close to the exact product as its quantised activations allow.
 */
#include "compute/kernels/blas.h"
#include "tests/emulated/tables.h"
#include "tests/support/product_trial.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0,
    TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_Q5_0, TENSOR_Q5_1, TENSOR_IQ4_NL, TENSOR_MXFP4, TENSOR_Q2_K,
    TENSOR_Q3_K, TENSOR_Q4_K, TENSOR_Q5_K, TENSOR_Q6_K, TENSOR_IQ4_XS};

enum { N_TYPES = sizeof types / sizeof types[0], MAX_N = 70 };

/* A row length that the type can have: n blocks, or n elements of a float. */
static uint32_t length(enum tensor_type type, uint32_t n)
{
	return n * tensor_type_info(type)->block_elements;
}

static struct product random_product(
    enum tensor_type type, uint32_t rows, uint32_t cols, size_t vectors, bool raw)
{
	return product_new(
	    &(struct product_options){type, rows, cols, vectors, 1, KIND_MODERATE, raw});
}

/* The weights in the layout that a table is made for. */
static struct matrix weights_for(const struct kernels *k, const struct product *p)
{
	return k->panels ? product_in_panels(p) : p->w;
}

/* Rows [first, end); what lies outside of them must stay as it was. */
static void check_product(
    const struct kernels *k, const struct product *p, uint32_t first, uint32_t end)
{
	size_t stride = p->w.n_rows + 3;
	size_t n = p->x.n_vectors * stride;
	float *want = allocate(n * sizeof *want);
	float *got = allocate(n * sizeof *got);
	struct matrix w = weights_for(k, p);

	for (size_t i = 0; i < n; i++)
		want[i] = got[i] = UNTOUCHED;
	kernels_scalar.matmul(&p->w, first, end, &p->x, want, stride);
	k->matmul(&w, first, end, &p->x, got, stride);
	assert_same(tensor_type_info(p->w.type)->name, k, want, got, n, p->w.n_cols);
	free(want);
	free(got);
}

/*
 * Rows [first, end) of w times the first n of p's vectors, in buffers of just the size that they
 * may have, against `want`, the definition's product of all of p.
 */
static void check_shape(const struct kernels *k, const struct product *p, const struct matrix *w,
    const float *want, size_t n, uint32_t first, uint32_t end)
{
	const size_t cols = w->n_cols, stride = w->n_rows + 3;
	float *expected = allocate(n * stride * sizeof *expected);
	float *got = allocate(n * stride * sizeof *got);
	int8_t *quants = allocate(n * cols);
	struct quant_terms *terms = allocate(n * cols / QUANT_BLOCK * sizeof *terms);
	void *block;
	const float *f32 = unaligned_copy(p->f32, n * cols, &block);
	const struct activations x = {cols, n, f32, quants, terms};

	if (tensor_type_info(w->type)->quantised)
		kernels_quantise(&kernels_scalar, f32, cols, n, quants, terms);
	for (size_t i = 0; i < n * stride; i++) {
		size_t row = i % stride;
		bool meant = row >= first && row < end;

		got[i] = UNTOUCHED;
		expected[i] = meant ? want[i / stride * p->w.n_rows + row] : UNTOUCHED;
	}
	k->matmul(w, first, end, &x, got, stride);
	assert_same(tensor_type_info(w->type)->name, k, expected, got, n * stride, cols);
	free(expected);
	free(got);
	free(quants);
	free(terms);
	free(block);
}

/* With a seventh of the numbers of vectors, and over all numbers of rows with each. */
static void check_shapes(enum tensor_type type, uint32_t rows)
{
	const uint32_t n_blocks = tensor_type_info(type)->quantised ? 1 : rows;
	const uint32_t cols = length(type, n_blocks), skipped = rows / 3;
	struct product p = random_product(type, rows, cols, MAX_N, false);
	float *want = allocate(MAX_N * rows * sizeof *want);
	const struct kernels *k;

	kernels_scalar.matmul(&p.w, 0, rows, &p.x, want, rows);
	for (size_t i = 0; (k = table_at(i)) != NULL; i++) {
		const struct matrix w = weights_for(k, &p);
		const struct matrix last = matrix_rows(&w, skipped, rows - skipped);

		for (size_t n = 1 + rows % 7; n <= MAX_N; n += 7) {
			check_shape(k, &p, &w, want, n, 0, rows);
			check_shape(k, &p, &w, want, n, rows / 3, rows - rows / 4);
			check_shape(k, &p, &last, want + skipped, n, 0, last.n_rows);
		}
	}
	free(want);
	product_free(&p);
}

static void products_equal_the_definition_in_every_shape(void **state)
{
	(void)state;
	for (size_t t = 0; t < N_TYPES; t++)
		for (uint32_t rows = 1; rows <= MAX_N; rows++)
			check_shapes(types[t], rows);
}

/* Vectors of all kinds side by side, so that none may touch its neighbours. */
static void fill_each_kind(struct product *p, int first)
{
	for (size_t v = 0; v < p->x.n_vectors; v++)
		fill(p->f32 + v * p->x.n, p->x.n, (enum kind)(((size_t)first + v) % KIND_END));
	if (tensor_type_info(p->w.type)->quantised)
		kernels_quantise(
		    &kernels_scalar, p->f32, p->x.n, p->x.n_vectors, p->quants, p->terms);
}

static void products_equal_the_definition_past_a_group_of_vectors(void **state)
{
	const size_t vectors[] = {ACTIVATION_GROUP - 1, ACTIVATION_GROUP, ACTIVATION_GROUP + 1,
	    2 * ACTIVATION_GROUP + 3, 5 * ACTIVATION_GROUP + 5};
	const struct kernels *k;

	(void)state;
	for (size_t i = 0; (k = table_at(i / N_TYPES)) != NULL; i++) {
		enum tensor_type type = types[i % N_TYPES];

		for (size_t v = 0; v < sizeof vectors / sizeof vectors[0]; v++) {
			struct product p =
			    random_product(type, 37, length(type, 2), vectors[v], false);

			check_product(k, &p, 3, 37);
			product_free(&p);
		}
	}
}

static void products_equal_the_definition_on_hostile_numbers(void **state)
{
	enum { ROWS = 19, VECTORS = 6 };
	const struct kernels *k;

	(void)state;
	for (size_t i = 0; (k = table_at(i / N_TYPES)) != NULL; i++) {
		size_t t = i % N_TYPES;

		for (int round = 0; round < 120; round++) {
			bool blocks = tensor_type_info(types[t])->quantised;
			struct product p = random_product(types[t], ROWS,
			    length(types[t], blocks ? 3 : 67), VECTORS, round % 8 >= KIND_END);

			fill_each_kind(&p, round);
			check_product(k, &p, 0, ROWS);
			product_free(&p);
		}
	}
}

static void products_equal_the_definition_for_every_row_length(void **state)
{
	const struct kernels *k;

	(void)state;
	for (size_t i = 0; (k = table_at(i / N_TYPES)) != NULL; i++) {
		size_t t = i % N_TYPES;

		uint32_t shortest = length(types[t], 1);

		for (uint32_t n = 1; n <= (shortest == QUANT_SUPER ? MAX_N / 8 : MAX_N); n++) {
			struct product p = random_product(types[t], 5, n * shortest, 2, false);

			check_product(k, &p, 0, 5);
			product_free(&p);
		}
	}
}

/* The definition itself, where every product is at its largest. */
static void quantised_sums_are_exact_at_the_extremes(void **state)
{
	const uint8_t bytes[] = {0x80, 0x7f, 0x81, 0xff, 0x00, 0x0f, 0xf0};

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++) {
		for (int sign = -1; sign <= 1; sign += 2) {
			struct block_q8_0 block = {.scale = 0x3c00}; /* 1 */
			float out, x[QUANT_BLOCK];
			int8_t q[QUANT_BLOCK];
			struct quant_terms terms;

			memset(block.quants, bytes[i], sizeof block.quants);
			for (int j = 0; j < QUANT_BLOCK; j++)
				x[j] = (float)sign * 127.0f;
			kernels_quantise(&kernels_scalar, x, QUANT_BLOCK, 1, q, &terms);

			struct matrix w = {TENSOR_Q8_0, 1, QUANT_BLOCK, sizeof block,
			    (const uint8_t *)&block, false, 0};
			struct activations a = {QUANT_BLOCK, 1, x, q, &terms};

			kernels_scalar.matmul(&w, 0, 1, &a, &out, 1);
			assert_true(out == (float)((int8_t)bytes[i] * 127 * sign * QUANT_BLOCK));
		}
	}
}

/* Every number of a quantised block's scale and minimum; MXFP4 has an exponent's byte instead. */
static void set_scales(enum tensor_type type, uint8_t *block, uint16_t half)
{
	const struct tensor_type_info *info = tensor_type_info(type);
	const bool behind = type == TENSOR_Q2_K || type == TENSOR_Q3_K || type == TENSOR_Q6_K;
	const size_t n = info->minima ? 2 : 1;
	uint8_t *at = behind ? block + info->block_bytes - n * sizeof half : block;

	if (type == TENSOR_MXFP4)
		block[0] = (uint8_t)(half >> 8);
	for (size_t i = 0; i < n && type != TENSOR_MXFP4; i++)
		memcpy(at + i * sizeof half, &half, sizeof half);
}

/* All bytes the same, or each at random one of those that are extreme. */
static void fill_extreme(struct product *p, int byte, uint16_t scale)
{
	const uint8_t ends[] = {0x00, 0xff, 0x7f, 0x80};
	const size_t n = p->w.n_rows * p->w.row_bytes;
	const struct tensor_type_info *info = tensor_type_info(p->w.type);

	for (size_t i = 0; i < n; i++)
		p->weights[1 + i] = byte >= 0 ? (uint8_t)byte : ends[random_u32() % 4];
	for (size_t b = 0; b < n && info->quantised; b += info->block_bytes)
		set_scales(p->w.type, p->weights + 1 + b, scale);
}

/* Vectors of one magnitude each and any signs, and some with a single number that is not finite. */
static void fill_extreme_vectors(struct product *p)
{
	const float magnitudes[] = {1.0f, FLT_MAX, 0x1p-100f, 0x1p-101f, FLT_TRUE_MIN, 0.0f};
	const float ends[] = {INFINITY, -INFINITY, NAN, 1.0f};

	for (size_t v = 0; v < p->x.n_vectors; v++) {
		float *x = p->f32 + v * p->x.n;

		for (size_t i = 0; i < p->x.n; i++)
			x[i] =
			    copysignf(magnitudes[v % 6], v == 0 || random_u32() % 2 ? 1.0f : -1.0f);
		if (v >= 6)
			x[random_u32() % p->x.n] = ends[v % 4];
	}
	kernels_quantise(&kernels_scalar, p->f32, p->x.n, p->x.n_vectors, p->quants, p->terms);
}

/* Quants at the ends of their range; scales that are zero, subnormal, largest or not finite. */
static void products_equal_the_definition_at_the_extremes(void **state)
{
	enum { ROWS = 19, COLS = 2 * QUANT_SUPER, VECTORS = 10, ANY = -1 };
	const int bytes[] = {0x00, 0xff, 0x7f, 0x80, 0x81, 0x0f, 0xf0, 0x11, 0x88, ANY};
	const uint16_t scales[] = {
	    0x3c00, 0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfe00};

	(void)state;
	for (size_t t = 0; t < N_TYPES; t++) {
		struct product p = random_product(types[t], ROWS, COLS, VECTORS, false);

		fill_extreme_vectors(&p);
		for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
			for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++) {
				fill_extreme(&p, bytes[i], scales[s]);
				for (size_t k = 0; table_at(k) != NULL; k++)
					check_product(table_at(k), &p, 0, ROWS);
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
		struct product p = random_product(types[t], ROWS, COLS, 1, false);
		bool quantised = tensor_type_info(types[t])->quantised;
		float weights[COLS], out[ROWS];

		kernels_scalar.matmul(&p.w, 0, ROWS, &p.x, out, ROWS);
		for (uint32_t r = 0; r < ROWS; r++) {
			double want = 0.0, bound = 0.0, magnitude = 0.0;

			tensor_decode_row(types[t], p.w.data + r * p.w.row_bytes, COLS, weights);
			for (int i = 0; i < COLS; i++) {
				double step =
				    quantised ? (double)p.terms[i / QUANT_BLOCK].scale : 0.0;

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
	struct product p = random_product(TENSOR_F32, ROWS, COLS, VECTORS, false);
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
	    cmocka_unit_test(products_equal_the_definition_past_a_group_of_vectors),
	    cmocka_unit_test(products_equal_the_definition_on_hostile_numbers),
	    cmocka_unit_test(products_equal_the_definition_for_every_row_length),
	    cmocka_unit_test(quantised_sums_are_exact_at_the_extremes),
	    cmocka_unit_test(products_equal_the_definition_at_the_extremes),
	    cmocka_unit_test(products_are_within_the_error_of_quantised_activations),
	    cmocka_unit_test(openblas_agrees_on_float_products),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
