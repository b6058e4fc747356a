/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two questions: does every table equal the definition to the bit, whatever the input; and is the
 * definition itself close to the exact result. (Products with weights: test_matmul.c.)
 */
#include "compute/kernels/blas.h"
#include "compute/kernels/canon_exp.h"
#include "tests/support/kernel_trial.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MAX_N = 70 };

/* ---- elementwise: equal to the definition --------------------------------------------------- */

/* One call of each function on x (and y), whose results land in x and in result[]. */
enum { N_RESULTS = 5 };

static void call_all(const struct kernels *k, float *x, const float *y, size_t n, float weight,
    unsigned function, float result[N_RESULTS])
{
	float *out;

	switch (function) {
	case 0:
		result[0] = k->dot(x, y, n);
		result[1] = k->max(x, n);
		result[2] = k->all_finite(x, n) ? 1.0f : 0.0f;
		break;
	case 1:
		k->add(x, y, n);
		break;
	case 2:
		k->accumulate(x, weight, y, n);
		break;
	case 3:
		k->scale(x, weight, n);
		break;
	case 4:
		result[3] = k->exp_sum(x, weight, n);
		break;
	case 5:
		out = allocate(n * sizeof *out);
		k->rms_norm(x, y, 1e-5f, n, out);
		memcpy(x, out, n * sizeof *out);
		free(out);
		break;
	case 6:
		k->silu_mul(x, y, n);
		break;
	case 7:
		k->rope_pairs(x, y, y + n / 2, n / 2);
		break;
	case 8:
		k->rope_halves(x, y, y + n / 2, n / 2);
		break;
	case 9:
		k->gelu_mul(x, y, n);
		break;
	case 10:
		k->clamped_mul(x, y, n);
		break;
	case 11:
		k->soft_cap(x, 30.0f, n);
		break;
	case 12: /* in place */
		k->rms_norm(x, y, 1e-5f, n, x);
		break;
	default:
		break;
	}
}

static void check_elementwise(const struct kernels *k, size_t n, enum kind kind_x, enum kind kind_y)
{
	static const char *const names[] = {"dot/max/all_finite", "add", "accumulate", "scale",
	    "exp_sum", "rms_norm", "silu_mul", "rope_pairs", "rope_halves", "gelu_mul",
	    "clamped_mul", "soft_cap", "rms_norm in place"};
	float x[MAX_N], y[MAX_N];

	fill(x, n, kind_x);
	fill(y, n, kind_y);
	for (unsigned f = 0; f < sizeof names / sizeof names[0]; f++) {
		float want_results[N_RESULTS] = {0};
		float got_results[N_RESULTS] = {0};
		void *want_block, *got_block, *y_block;
		float *want = unaligned_copy(x, n, &want_block);
		float *got = unaligned_copy(x, n, &got_block);
		float *second = unaligned_copy(y, n, &y_block);
		float weight = random_float(kind_y);

		call_all(&kernels_scalar, want, second, n, weight, f, want_results);
		call_all(k, got, second, n, weight, f, got_results);
		assert_same(names[f], k, want, got, n, n);
		assert_same(names[f], k, want_results, got_results, N_RESULTS, n);
		free(want_block);
		free(got_block);
		free(y_block);
	}
}

static void elementwise_kernels_equal_the_definition(void **state)
{
	const struct kernels *k = table_at(0);

	(void)state;
	for (size_t n = 1; k != NULL && n <= MAX_N; n++)
		for (int a = 0; a < KIND_END; a++)
			for (int b = 0; b < KIND_END; b++)
				check_elementwise(k, n, (enum kind)a, (enum kind)b);
}

/* exp over its whole range, not only where random numbers fall. */
static void exp_kernels_equal_the_definition_over_the_range(void **state)
{
	const struct kernels *k = table_at(0);
	float want[64], got[64];

	(void)state;
	for (float x = -90.0f; k != NULL && x < 90.0f; x += 0.037f) {
		for (int i = 0; i < 64; i++)
			want[i] = got[i] = x + (float)i * 0.00057f;
		(void)kernels_scalar.exp_sum(want, 0.0f, 64);
		(void)k->exp_sum(got, 0.0f, 64);
		assert_same("exp_sum", k, want, got, 64, 64);
	}
}

static void exp_kernels_equal_the_definition_at_its_edges(void **state)
{
	const struct kernels *k = table_at(0);
	const float edges[] = {CANON_EXP_LOW, CANON_EXP_HIGH, 0.0f, -0.0f, FLT_MIN, FLT_MAX};
	float want[3 * 6], got[3 * 6];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		want[3 * i] = edges[i];
		want[3 * i + 1] = nextafterf(edges[i], INFINITY);
		want[3 * i + 2] = nextafterf(edges[i], -INFINITY);
	}
	memcpy(got, want, sizeof got);
	(void)kernels_scalar.exp_sum(want, 0.0f, 3 * 6);
	assert_true(want[0] > 0.0f && want[2] == 0.0f);   /* at and under the lower edge */
	assert_true(isfinite(want[3]) && isinf(want[4])); /* at and above the upper edge */
	if (k != NULL) {
		(void)k->exp_sum(got, 0.0f, 3 * 6);
		assert_same("exp_sum", k, want, got, 3 * 6, 3 * 6);
	}
}

/* ---- quantising ---------------------------------------------------------------------------- */

static void check_quantise(const struct kernels *k, const float *x, size_t n)
{
	int8_t want_q[8 * QUANT_BLOCK], got_q[8 * QUANT_BLOCK];
	int16_t want_sums[16], got_sums[16];
	float want_s[8], got_s[8];

	kernels_scalar.quantise(x, n, want_q, want_s, want_sums);
	k->quantise(x, n, got_q, got_s, got_sums);
	assert_memory_equal(want_q, got_q, n);
	assert_memory_equal(want_sums, got_sums, n / QUANT_HALF * sizeof *got_sums);
	assert_same("quantise", k, want_s, got_s, n / QUANT_BLOCK, n);
}

static void quantising_equals_the_definition(void **state)
{
	const struct kernels *k = table_at(0);
	float x[8 * QUANT_BLOCK + 1];

	(void)state;
	for (int round = 0; k != NULL && round < 2000; round++) {
		fill(x, 8 * QUANT_BLOCK + 1, (enum kind)(round % KIND_END));
		x[round % QUANT_BLOCK] *= 4.0f; /* the largest at each place of a block */
		check_quantise(k, x + 1, 8 * QUANT_BLOCK);
		for (int i = 0; i < 8 * QUANT_BLOCK; i++) /* ties: multiples of a half */
			x[i] = (float)((int)(random_u32() % 255) - 127) * 0.5f;
		x[round % QUANT_BLOCK] = 127.0f;
		check_quantise(k, x, 8 * QUANT_BLOCK);
		memset(x, 0, sizeof x); /* at and beside the least magnitude, and the largest */
		x[0] = 0x1p-100f;
		x[QUANT_BLOCK + round % QUANT_BLOCK] = nextafterf(0x1p-100f, 0.0f);
		x[2 * QUANT_BLOCK + round % QUANT_BLOCK] = -FLT_MAX;
		x[3 * QUANT_BLOCK + round % QUANT_BLOCK] = NAN;
		check_quantise(k, x, 8 * QUANT_BLOCK);
	}
}

static void quantising_rounds_ties_to_even(void **state)
{
	float x[QUANT_BLOCK] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f, 3.49f};
	const int8_t want[8] = {127, 0, 2, 2, 0, -2, -126, 3};
	int8_t q[QUANT_BLOCK];
	int16_t sums[2];
	float scale;

	(void)state;
	kernels_scalar.quantise(x, QUANT_BLOCK, q, &scale, sums);
	assert_memory_equal(q, want, sizeof want);
	assert_true(scale == 1.0f);
	assert_int_equal(sums[0], 127 + 0 + 2 + 2 + 0 - 2 - 126 + 3);
	assert_int_equal(sums[1], 0);
}

static void quantising_keeps_its_edges(void **state)
{
	const float not_finite[] = {INFINITY, -INFINITY, NAN};
	float x[QUANT_BLOCK] = {0.0f};
	const int8_t zeros[QUANT_BLOCK] = {0};
	int8_t q[QUANT_BLOCK];
	int16_t sums[2];
	float scale;

	(void)state;
	x[3] = nextafterf(0x1p-100f, 0.0f);
	kernels_scalar.quantise(x, QUANT_BLOCK, q, &scale, sums);
	assert_memory_equal(q, zeros, sizeof q);
	assert_true(scale == 0.0f && !signbit(scale));
	x[3] = -0x1p-100f;
	kernels_scalar.quantise(x, QUANT_BLOCK, q, &scale, sums);
	assert_int_equal(q[3], -127);
	assert_true(scale == 0x1p-100f / 127.0f);
	x[3] = FLT_MAX;
	kernels_scalar.quantise(x, QUANT_BLOCK, q, &scale, sums);
	assert_int_equal(q[3], 127);
	for (size_t i = 0; i < 3; i++) {
		x[20] = not_finite[i];
		kernels_scalar.quantise(x, QUANT_BLOCK, q, &scale, sums);
		assert_memory_equal(q, zeros, sizeof q);
		assert_true(isnan(scale));
	}
}

/* ---- the definition against exact arithmetic ------------------------------------------------ */

static void dot_is_close_to_the_exact_sum(void **state)
{
	float a[MAX_N], b[MAX_N];

	(void)state;
	for (size_t n = 1; n <= MAX_N; n++) {
		long double sum = 0.0L, magnitude = 0.0L;

		fill(a, n, KIND_MODERATE);
		fill(b, n, KIND_MODERATE);
		for (size_t i = 0; i < n; i++) {
			sum += (long double)a[i] * (long double)b[i];
			magnitude += fabsl((long double)a[i] * (long double)b[i]);
		}
		/* a term passes at most n/16 + 5 roundings */
		assert_true(fabsl((long double)kernels_scalar.dot(a, b, n) - sum) <=
		            magnitude * 0x1p-24L * (long double)(n / 16 + 6));
	}
}

static void elementwise_definition_is_close_to_the_exact_value(void **state)
{
	float x[64], y[64], e[64], out[64];
	long double squares = 0.0L, total = 0.0L;

	(void)state;
	fill(x, 64, KIND_MODERATE);
	fill(y, 64, KIND_MODERATE);
	memcpy(e, x, sizeof e);
	float sum = kernels_scalar.exp_sum(e, 0.25f, 64);

	for (int i = 0; i < 64; i++) {
		long double want = expl((long double)x[i] - 0.25L);

		assert_true(fabsl((long double)e[i] - want) <= want * 0x1p-22L);
		total += want;
		squares += (long double)x[i] * (long double)x[i];
	}
	assert_true(fabsl((long double)sum - total) <= total * 0x1p-21L);
	kernels_scalar.rms_norm(x, y, 1e-5f, 64, out);
	for (int i = 0; i < 64; i++) {
		long double want =
		    (long double)x[i] / sqrtl(squares / 64.0L + 1e-5L) * (long double)y[i];

		assert_true(fabsl((long double)out[i] - want) <= fabsl(want) * 0x1p-20L);
	}
	memcpy(out, x, sizeof out);
	kernels_scalar.silu_mul(out, y, 64);
	for (int i = 0; i < 64; i++) {
		long double g = (long double)x[i];
		long double want = g / (1.0L + expl(-g)) * (long double)y[i];

		assert_true(fabsl((long double)out[i] - want) <= fabsl(want) * 0x1p-21L);
	}
	memcpy(out, x, sizeof out);
	kernels_scalar.rope_pairs(out, (float[]){0.6f}, (float[]){0.8f}, 1);
	assert_true(fabsf(out[0] - (x[0] * 0.6f - x[1] * 0.8f)) < 1e-6f);
	assert_true(fabsf(out[1] - (x[0] * 0.8f + x[1] * 0.6f)) < 1e-6f);
}

static void activations_and_caps_are_close_to_the_exact_value(void **state)
{
	enum { N = 400 };
	float x[N], y[N], out[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		x[i] = ((float)i - 200.0f) * 0.05f;
		y[i] = sinf((float)i) * 9.0f;
	}
	memcpy(out, x, sizeof out);
	kernels_scalar.gelu_mul(out, y, N);
	for (int i = 0; i < N; i++) {
		long double g = (long double)x[i];
		long double tanh_of =
		    tanhl(sqrtl(2.0L / acosl(-1.0L)) * (g + 0.044715L * g * g * g));
		long double want = 0.5L * g * (1.0L + tanh_of) * (long double)y[i];

		assert_true(fabsl((long double)out[i] - want) <= fabsl(want) * 0x1p-18L + 1e-9L);
	}
	memcpy(out, x, sizeof out);
	kernels_scalar.clamped_mul(out, y, N);
	for (int i = 0; i < N; i++) {
		long double g = fminl((long double)x[i], 7.0L);
		long double u = fmaxl(fminl((long double)y[i], 7.0L), -7.0L);
		long double want = g / (1.0L + expl(-1.702L * g)) * (u + 1.0L);

		assert_true(fabsl((long double)out[i] - want) <= fabsl(want) * 0x1p-19L);
	}
	for (int i = 0; i < N; i++)
		out[i] = x[i] * 20.0f;
	kernels_scalar.soft_cap(out, 30.0f, N);
	for (int i = 0; i < N; i++) {
		long double want = 30.0L * tanhl((long double)x[i] * 20.0L / 30.0L);

		assert_true(fabsl((long double)out[i] - want) <= 30.0L * 0x1p-22L);
	}
	memcpy(out, x, sizeof out);
	kernels_scalar.rope_halves(out, (float[]){0.6f, 1.0f}, (float[]){0.8f, 0.0f}, 2);
	assert_true(fabsf(out[0] - (x[0] * 0.6f - x[2] * 0.8f)) < 1e-6f);
	assert_true(fabsf(out[2] - (x[0] * 0.8f + x[2] * 0.6f)) < 1e-6f);
	assert_true(out[1] == x[1] && out[3] == x[3]);
}

static void measures_a_peak(void **state)
{
	double gflops = 0.0;

	(void)state;
	assert_int_equal(blas_peak_gflops(0.0, &gflops, NULL), AYNI_OK);
	assert_true(gflops > 0.0 && gflops < 1e5);
}

/* ---- choice of a table ---------------------------------------------------------------------- */

static float wrong_dot(const float *a, const float *b, size_t n)
{
	return nextafterf(kernels_scalar.dot(a, b, n), INFINITY);
}

static void a_table_with_one_wrong_bit_is_found(void **state)
{
	struct kernels wrong = kernels_scalar;

	(void)state;
	assert_true(kernels_equal_definition(&wrong));
	wrong.dot = wrong_dot;
	assert_false(kernels_equal_definition(&wrong));
}

static void the_best_table_is_one_of_those_by_name(void **state)
{
	const struct kernels *best = kernels_best();

	(void)state;
	assert_ptr_equal(best, kernels_by_name(best->name));
	assert_ptr_equal(best, kernels_best());
	assert_true(best->supported());
	assert_true(kernels_equal_definition(best));
	assert_ptr_equal(kernels_by_name("scalar"), &kernels_scalar);
	assert_null(kernels_by_name("vax"));
	if (table_at(0) != NULL)
		assert_ptr_equal(best, table_at(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(elementwise_kernels_equal_the_definition),
	    cmocka_unit_test(exp_kernels_equal_the_definition_over_the_range),
	    cmocka_unit_test(exp_kernels_equal_the_definition_at_its_edges),
	    cmocka_unit_test(quantising_equals_the_definition),
	    cmocka_unit_test(quantising_rounds_ties_to_even),
	    cmocka_unit_test(quantising_keeps_its_edges),
	    cmocka_unit_test(dot_is_close_to_the_exact_sum),
	    cmocka_unit_test(elementwise_definition_is_close_to_the_exact_value),
	    cmocka_unit_test(activations_and_caps_are_close_to_the_exact_value),
	    cmocka_unit_test(measures_a_peak),
	    cmocka_unit_test(a_table_with_one_wrong_bit_is_found),
	    cmocka_unit_test(the_best_table_is_one_of_those_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
