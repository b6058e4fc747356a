/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/logits.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_N = 5000 };

static float logits[MAX_N], scratch[MAX_N];
static struct logit top[MAX_N], sorted[MAX_N];

/* A repeatable sequence (the 64-bit LCG of Knuth's MMIX). */
static uint64_t sequence;

static uint32_t next(void)
{
	sequence = sequence * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(sequence >> 33);
}

/* `distinct` values only, so that there are many equal ones where it is small. */
static void fill(uint32_t n, uint32_t distinct)
{
	for (uint32_t i = 0; i < n; i++)
		logits[i] = (float)(next() % distinct) * 20.0f / (float)distinct - 10.0f;
}

static int by_definition(const void *a, const void *b)
{
	const struct logit *x = a, *y = b;

	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* The definition of `top`, by sorting everything. */
static void assert_top(uint32_t n, uint32_t k)
{
	float lse;

	for (uint32_t i = 0; i < n; i++)
		sorted[i] = (struct logit){.id = i, .value = logits[i]};
	qsort(sorted, n, sizeof sorted[0], by_definition);
	logits_top(&kernels_scalar, logits, n, k, scratch, top, &lse);
	for (uint32_t i = 0; i < k; i++) {
		assert_int_equal(top[i].id, sorted[i].id);
		assert_true(top[i].value == sorted[i].value);
	}
}

static void equals_a_full_sort_for_any_k(void **state)
{
	uint32_t ns[] = {1, 2, 3, 7, 16, 100, MAX_N};
	uint32_t kinds[] = {1, 3, 50, 1000000};

	(void)state;
	for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
		for (size_t d = 0; d < sizeof kinds / sizeof kinds[0]; d++) {
			uint32_t n = ns[i];
			uint32_t ks[] = {0, 1, 2, 3, 40, n / 2, n - 1, n};

			fill(n, kinds[d]);
			for (size_t j = 0; j < sizeof ks / sizeof ks[0]; j++)
				if (ks[j] <= n)
					assert_top(n, ks[j]);
		}
}

static void sorted_input_in_either_direction_is_no_special_case(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 300; i++)
		logits[i] = (float)i;
	assert_top(300, 20);
	for (uint32_t i = 0; i < 300; i++)
		logits[i] = -(float)i;
	assert_top(300, 20);
}

static void equal_values_come_by_smaller_id(void **state)
{
	float lse;

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		logits[i] = 1.0f;
	logits_top(&kernels_scalar, logits, 10, 4, scratch, top, &lse);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(top[i].id, i);
}

static void a_negative_zero_equals_a_zero(void **state)
{
	float lse;

	(void)state;
	logits[0] = -0.0f;
	logits[1] = 0.0f;
	logits_top(&kernels_scalar, logits, 2, 1, scratch, top, &lse);
	assert_int_equal(top[0].id, 0);
}

static void lse_is_the_log_of_the_sum_of_exponentials(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		double max = -1e30, sum = 0.0;
		float lse;

		fill(MAX_N, 1000000);
		for (uint32_t i = 0; i < MAX_N; i++)
			max = logits[i] > max ? (double)logits[i] : max;
		for (uint32_t i = 0; i < MAX_N; i++)
			sum += exp((double)logits[i] - max);
		logits_top(&kernels_scalar, logits, MAX_N, 1, scratch, top, &lse);
		assert_true(fabs((double)lse - (max + log(sum))) < 4e-6 * (max + log(sum)));
	}
}

static void lse_survives_logits_whose_exponentials_overflow(void **state)
{
	float lse;

	(void)state;
	logits[0] = 1e30f;
	logits[1] = -1e30f;
	logits_top(&kernels_scalar, logits, 2, 2, scratch, top, &lse);
	assert_true(lse == 1e30f);
	logits[0] = logits[1] = -1000.0f;
	logits_top(&kernels_scalar, logits, 2, 2, scratch, top, &lse);
	assert_true(fabs((double)lse - (-1000.0 + log(2.0))) < 1e-3);
}

static void any_kernels_give_the_same_bits(void **state)
{
	const struct kernels *best = kernels_best();
	float a, b;

	(void)state;
	fill(4999, 1000000);
	logits_top(&kernels_scalar, logits, 4999, 40, scratch, top, &a);
	logits_top(best, logits, 4999, 40, scratch, sorted, &b);
	assert_memory_equal(&a, &b, sizeof a);
	assert_memory_equal(top, sorted, 40 * sizeof top[0]);
}

static void the_logits_stay_as_they_were(void **state)
{
	static float copy[100];
	float lse;

	(void)state;
	fill(100, 1000);
	memcpy(copy, logits, sizeof copy);
	logits_top(&kernels_scalar, logits, 100, 10, scratch, top, &lse);
	assert_memory_equal(copy, logits, sizeof copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equals_a_full_sort_for_any_k),
	    cmocka_unit_test(sorted_input_in_either_direction_is_no_special_case),
	    cmocka_unit_test(equal_values_come_by_smaller_id),
	    cmocka_unit_test(a_negative_zero_equals_a_zero),
	    cmocka_unit_test(lse_is_the_log_of_the_sum_of_exponentials),
	    cmocka_unit_test(lse_survives_logits_whose_exponentials_overflow),
	    cmocka_unit_test(any_kernels_give_the_same_bits),
	    cmocka_unit_test(the_logits_stay_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
