/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over binary16 keys and values: does every table equal the definition to the bit. */
#include "tests/emulated/tables.h"
#include "tests/support/kernel_trial.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_N = 70, MAX_ROWS = 64, READ_PAST = 32 /* elements that may be read behind a row */ };

/* Rows, weights and first outputs for a product, in buffers of just the size that they may have. */
struct sums {
	size_t n_rows, n, stride, n_queries;
	uint16_t *rows;
	float *weights[MAX_QUERIES];
	float *want[MAX_QUERIES], *got[MAX_QUERIES];
};

static uint16_t random_half(enum kind kind)
{
	return kind == KIND_WIDE ? (uint16_t)random_u32() : f32_to_f16(random_float(kind));
}

static struct sums sums_new(size_t n_rows, size_t n, size_t n_queries, enum kind kind)
{
	const size_t stride = n + n_queries % 3;
	const size_t n_halves = n_rows > 0 ? (n_rows - 1) * stride + n + READ_PAST : 0;
	struct sums s = {n_rows, n, stride, n_queries, NULL, {NULL}, {NULL}, {NULL}};

	s.rows = allocate(n_halves * sizeof *s.rows);
	for (size_t i = 0; i < n_halves; i++)
		s.rows[i] = random_half(kind);
	for (size_t q = 0; q < n_queries; q++) {
		s.weights[q] = allocate(n_rows * sizeof(float));
		s.want[q] = allocate(n * sizeof(float));
		s.got[q] = allocate(n * sizeof(float));
		fill(s.weights[q], n_rows, kind);
		fill(s.want[q], n, kind);
		memcpy(s.got[q], s.want[q], n * sizeof(float));
	}
	return s;
}

static void sums_free(struct sums *s)
{
	free(s->rows);
	for (size_t q = 0; q < s->n_queries; q++) {
		free(s->weights[q]);
		free(s->want[q]);
		free(s->got[q]);
	}
}

static void check_rows(const struct kernels *k, size_t n_rows, size_t n, size_t q, enum kind kind)
{
	struct sums s = sums_new(n_rows, n, q, kind);
	const float *const *weights = (const float *const *)s.weights;

	kernels_scalar.add_rows(s.rows, s.stride, n_rows, n, weights, s.want, q);
	k->add_rows(s.rows, s.stride, n_rows, n, weights, s.got, q);
	for (size_t i = 0; i < q; i++)
		assert_same("add_rows", k, s.want[i], s.got[i], n, n_rows);
	sums_free(&s);
}

static void sums_of_rows_equal_the_definition_in_every_shape(void **state)
{
	const struct kernels *k;

	(void)state;
	for (size_t i = 0; (k = table_at(i)) != NULL; i++)
		for (size_t n = 1; n <= MAX_N; n++)
			for (size_t q = 1; q <= MAX_QUERIES; q++)
				check_rows(k, (n * 7 + q) % MAX_ROWS, n, q, KIND_MODERATE);
}

static void sums_of_rows_equal_the_definition_on_hostile_numbers(void **state)
{
	const struct kernels *k;

	(void)state;
	for (size_t i = 0; (k = table_at(i)) != NULL; i++)
		for (size_t n = 1; n <= MAX_N; n++)
			for (int kind = 0; kind < KIND_END; kind++)
				check_rows(k, 5, n, 1 + n % MAX_QUERIES, (enum kind)kind);
}

/* Column j is n_rows numbers; queries stand side by side. */
static void check_columns(const struct kernels *k, size_t n_rows, size_t n, enum kind kind)
{
	float weights[MAX_ROWS][MAX_QUERIES], want[MAX_N][MAX_QUERIES], got[MAX_N][MAX_QUERIES];
	const size_t stride = n_rows + n % 3;
	const size_t n_halves = (n - 1) * stride + n_rows + READ_PAST;
	uint16_t *rows = allocate(n_halves * sizeof *rows);

	for (size_t i = 0; i < n_halves; i++)
		rows[i] = random_half(kind);
	fill(weights[0], (size_t)MAX_ROWS * MAX_QUERIES, kind);
	fill(want[0], (size_t)MAX_N * MAX_QUERIES, kind);
	memcpy(got, want, sizeof got);
	kernels_scalar.add_columns(rows, stride, n_rows, n, weights, want);
	k->add_columns(rows, stride, n_rows, n, weights, got);
	assert_same("add_columns", k, want[0], got[0], (size_t)MAX_N * MAX_QUERIES, n_rows);
	free(rows);
}

static void sums_of_columns_equal_the_definition(void **state)
{
	const struct kernels *k;

	(void)state;
	for (size_t i = 0; (k = table_at(i)) != NULL; i++)
		for (size_t n = 1; n <= MAX_N; n++)
			for (int kind = 0; kind < KIND_END; kind++)
				check_columns(k, 1 + n * 5 % MAX_ROWS, n, (enum kind)kind);
}

/* In binary32 the halfway cases and their neighbours, too. */
static void halves_are_rounded_as_defined(void **state)
{
	const struct kernels *k;
	float x[MAX_N];
	uint16_t want[MAX_N], got[MAX_N];

	(void)state;
	for (size_t t = 0; (k = table_at(t)) != NULL; t++)
		for (uint32_t round = 0; round < 20000; round++) {
			size_t n = 1 + round % MAX_N;

			for (size_t i = 0; i < n; i++) {
				uint32_t bits = random_u32() & (round % 2 ? 0xfffff000U : ~0U);

				memcpy(&x[i], &bits, sizeof bits);
				x[i] = x[i] == x[i] ? x[i] : 1.0f; /* a NaN's bits are left open */
			}
			memset(got, 0, sizeof got);
			memset(want, 0, sizeof want);
			kernels_scalar.to_halves(x, n, want);
			k->to_halves(x, n, got);
			assert_memory_equal(want, got, sizeof want);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sums_of_rows_equal_the_definition_in_every_shape),
	    cmocka_unit_test(sums_of_rows_equal_the_definition_on_hostile_numbers),
	    cmocka_unit_test(sums_of_columns_equal_the_definition),
	    cmocka_unit_test(halves_are_rounded_as_defined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
