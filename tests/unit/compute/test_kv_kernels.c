/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over keys and values: does every table equal the definition to the bit. */
#include "tests/emulated/tables.h"
#include "tests/support/kernel_trial.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_N = 70, MAX_ROWS = 64, READ_PAST = 64 /* bytes that may be read behind a row */ };

/* Rows of random elements, in a buffer of just the size that it may have. */
static struct kv_rows rows_new(
    enum kv_type type, size_t n_rows, size_t n, size_t stride, enum kind kind)
{
	const size_t n_elements = n_rows > 0 ? (n_rows - 1) * stride + n : 0;
	const size_t past = READ_PAST / kv_element_bytes(type);
	void *data = allocate((n_elements + past) * kv_element_bytes(type));

	for (size_t i = 0; i < n_elements + past; i++)
		if (type == KV_INT8)
			((int8_t *)data)[i] = (int8_t)random_u32();
		else if (kind == KIND_WIDE)
			((uint16_t *)data)[i] = (uint16_t)random_u32();
		else
			((uint16_t *)data)[i] = f32_to_f16(random_float(kind));
	return (struct kv_rows){type, data, stride, n_rows, n, random_u32() % 2 ? data : NULL};
}

static void rows_free(struct kv_rows *rows)
{
	free((void *)(uintptr_t)rows->data);
}

/* What a trial varies. */
struct shape {
	enum kv_type type;
	size_t n_rows, n, n_queries;
	enum kind kind;
};

static void check_rows(const struct kernels *k, struct shape s)
{
	float *weights[MAX_QUERIES], *want[MAX_QUERIES], *got[MAX_QUERIES];
	const float *const *given = (const float *const *)weights;
	struct kv_rows rows = rows_new(s.type, s.n_rows, s.n, s.n + s.n_queries % 3, s.kind);

	for (size_t q = 0; q < s.n_queries; q++) {
		weights[q] = allocate(s.n_rows * sizeof(float));
		want[q] = allocate(s.n * sizeof(float));
		got[q] = allocate(s.n * sizeof(float));
		fill(weights[q], s.n_rows, s.kind);
		fill(want[q], s.n, s.kind);
		memcpy(got[q], want[q], s.n * sizeof(float));
	}
	kernels_scalar.add_rows(&rows, given, want, s.n_queries);
	k->add_rows(&rows, given, got, s.n_queries);
	for (size_t q = 0; q < s.n_queries; q++) {
		assert_same("add_rows", k, want[q], got[q], s.n, s.n_rows);
		free(weights[q]);
		free(want[q]);
		free(got[q]);
	}
	rows_free(&rows);
}

typedef void check_fn(const struct kernels *k, struct shape s);

/* By every table, of either type. */
static void check_everywhere(check_fn *check, struct shape s)
{
	const struct kernels *k;

	for (size_t i = 0; (k = table_at(i)) != NULL; i++)
		for (int type = 0; type < KV_TYPE_END; type++) {
			s.type = (enum kv_type)type;
			check(k, s);
		}
}

static void sums_of_rows_equal_the_definition_in_every_shape(void **state)
{
	(void)state;
	for (size_t n = 1; n <= MAX_N; n++)
		for (size_t q = 1; q <= MAX_QUERIES; q++)
			check_everywhere(
			    check_rows, (struct shape){.n_rows = (n * 7 + q) % MAX_ROWS,
			                    .n = n,
			                    .n_queries = q,
			                    .kind = KIND_MODERATE});
}

/* Wider than any tile. */
static void sums_of_wide_rows_equal_the_definition(void **state)
{
	(void)state;
	for (size_t q = 1; q <= 5; q++)
		check_everywhere(check_rows,
		    (struct shape){
		        .n_rows = 3, .n = 256 + q, .n_queries = q, .kind = KIND_MODERATE});
}

static void sums_of_rows_equal_the_definition_on_hostile_numbers(void **state)
{
	(void)state;
	for (size_t n = 1; n <= MAX_N; n++)
		for (int kind = 0; kind < KIND_END; kind++)
			check_everywhere(check_rows, (struct shape){.n_rows = 5,
			                                 .n = n,
			                                 .n_queries = 1 + n % MAX_QUERIES,
			                                 .kind = (enum kind)kind});
}

/* Rows of n elements; queries stand side by side. */
static void check_columns(const struct kernels *k, struct shape s)
{
	float weights[MAX_ROWS][MAX_QUERIES], want[MAX_N][MAX_QUERIES], got[MAX_N][MAX_QUERIES];
	struct kv_rows rows = rows_new(s.type, s.n_rows, s.n, s.n + s.n_rows % 3, s.kind);
	const float(*given)[MAX_QUERIES] = (const float(*)[MAX_QUERIES])weights;

	fill(weights[0], (size_t)MAX_ROWS * MAX_QUERIES, s.kind);
	fill(want[0], (size_t)MAX_N * MAX_QUERIES, s.kind);
	memcpy(got, want, sizeof got);
	kernels_scalar.add_columns(&rows, given, want);
	k->add_columns(&rows, given, got);
	assert_same("add_columns", k, want[0], got[0], (size_t)MAX_N * MAX_QUERIES, s.n);
	rows_free(&rows);
}

static void sums_of_columns_equal_the_definition(void **state)
{
	(void)state;
	for (size_t n = 1; n <= MAX_N; n++)
		for (int kind = 0; kind < KIND_END; kind++)
			check_everywhere(check_columns,
			    (struct shape){
			        .n_rows = n, .n = 1 + n * 5 % MAX_ROWS, .kind = (enum kind)kind});
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
	    cmocka_unit_test(sums_of_wide_rows_equal_the_definition),
	    cmocka_unit_test(sums_of_rows_equal_the_definition_on_hostile_numbers),
	    cmocka_unit_test(sums_of_columns_equal_the_definition),
	    cmocka_unit_test(halves_are_rounded_as_defined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
