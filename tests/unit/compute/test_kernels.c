/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two questions: does every table equal the definition to the bit, whatever the input; and is the
 * definition itself close to the exact result. (Products with weights: test_matmul.c.)
 */
#include "compute/kernels/blas.h"
#include "compute/kernels/canon_exp.h"
#include "tests/emulated/tables.h"
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
	case 13:
		out = allocate(n * sizeof *out);
		k->multiply(x, y, n, out);
		memcpy(x, out, n * sizeof *out);
		free(out);
		break;
	case 14:
		out = allocate(n * sizeof *out);
		memcpy(out, x, n * sizeof *out);
		k->add_product(x, out, y, n);
		free(out);
		break;
	default:
		break;
	}
}

static void check_elementwise(const struct kernels *k, size_t n, enum kind kind_x, enum kind kind_y)
{
	static const char *const names[] = {"dot/max/all_finite", "add", "accumulate", "scale",
	    "exp_sum", "rms_norm", "silu_mul", "rope_pairs", "rope_halves", "gelu_mul",
	    "clamped_mul", "soft_cap", "rms_norm in place", "multiply", "add_product"};
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
	const struct kernels *k;

	(void)state;
	for (size_t i = 0; (k = table_at(i / MAX_N)) != NULL; i++)
		for (int a = 0; a < KIND_END; a++)
			for (int b = 0; b < KIND_END; b++)
				check_elementwise(k, 1 + i % MAX_N, (enum kind)a, (enum kind)b);
}

/* One element differs from the others, at each place of each length. */
static void check_places(const struct kernels *k, size_t n)
{
	void *x_block, *y_block;
	const float zeros[MAX_N] = {0.0f};
	float *x = unaligned_copy(zeros, n, &x_block);
	float *y = unaligned_copy(zeros, n, &y_block);

	assert_true(k->all_finite(x, n));
	for (size_t i = 0; i < n; i++) {
		x[i] = INFINITY;
		assert_false(k->all_finite(x, n));
		x[i] = NAN;
		assert_false(k->all_finite(x, n));
		assert_true(k->max(x, n) == (n == 1 ? -INFINITY : 0.0f));
		x[i] = -3.0f;
		assert_true(k->max(x, n) == (n == 1 ? -3.0f : 0.0f));
		x[i] = y[i] = 3.0f;
		assert_true(k->max(x, n) == 3.0f);
		assert_true(k->dot(x, y, n) == 9.0f);
		x[i] = y[i] = 0.0f;
	}
	free(x_block);
	free(y_block);
}

static void every_table_sees_each_place(void **state)
{
	const struct kernels *k = &kernels_scalar;

	(void)state;
	for (size_t i = 0; k != NULL; k = table_at(i++))
		for (size_t n = 1; n <= MAX_N; n++)
			check_places(k, n);
}

/* exp over its whole range, not only where random numbers fall. */
static void check_exp_range(const struct kernels *k)
{
	float want[64], got[64];

	for (float x = -90.0f; x < 90.0f; x += 0.037f) {
		for (int i = 0; i < 64; i++)
			want[i] = got[i] = x + (float)i * 0.00057f;
		(void)kernels_scalar.exp_sum(want, 0.0f, 64);
		(void)k->exp_sum(got, 0.0f, 64);
		assert_same("exp_sum", k, want, got, 64, 64);
	}
}

static void exp_kernels_equal_the_definition_over_the_range(void **state)
{
	(void)state;
	for (size_t i = 0; table_at(i) != NULL; i++)
		check_exp_range(table_at(i));
}

static void check_exp_edges(const struct kernels *k)
{
	const float edges[] = {CANON_EXP_LOW, CANON_EXP_HIGH, 0.0f, -0.0f, FLT_MIN, FLT_MAX};
	float want[3 * 6], got[3 * 6];

	for (size_t i = 0; i < 6; i++) {
		want[3 * i] = edges[i];
		want[3 * i + 1] = nextafterf(edges[i], INFINITY);
		want[3 * i + 2] = nextafterf(edges[i], -INFINITY);
	}
	memcpy(got, want, sizeof got);
	(void)kernels_scalar.exp_sum(want, 0.0f, 3 * 6);
	assert_true(want[0] > 0.0f && want[2] == 0.0f);   /* at and under the lower edge */
	assert_true(isfinite(want[3]) && isinf(want[4])); /* at and above the upper edge */
	(void)k->exp_sum(got, 0.0f, 3 * 6);
	assert_same("exp_sum", k, want, got, 3 * 6, 3 * 6);
}

static void exp_kernels_equal_the_definition_at_its_edges(void **state)
{
	(void)state;
	for (size_t i = 0; table_at(i) != NULL; i++)
		check_exp_edges(table_at(i));
}

/* ---- quantising ---------------------------------------------------------------------------- */

enum { MAX_BLOCKS = 8 };

/* All of the int8 form, wherever its groups put a part. */
static void check_quantise(const struct kernels *k, const float *x, size_t n, size_t n_vectors)
{
	static int8_t want_q[MAX_N * MAX_BLOCKS * QUANT_BLOCK], got_q[sizeof want_q];
	static struct quant_terms want[MAX_N * MAX_BLOCKS], got[MAX_N * MAX_BLOCKS];

	kernels_quantise(&kernels_scalar, x, n, n_vectors, want_q, want);
	kernels_quantise(k, x, n, n_vectors, got_q, got);
	assert_memory_equal(want_q, got_q, n * n_vectors);
	for (size_t i = 0; i < n * n_vectors / QUANT_BLOCK; i++) {
		assert_same("quantise", k, &want[i].scale, &got[i].scale, 1, n);
		assert_same("quantise", k, &want[i].scaled_sum, &got[i].scaled_sum, 1, n);
		assert_same("quantise", k, want[i].half_scaled_sum, got[i].half_scaled_sum, 2, n);
		assert_int_equal(want[i].lowering, got[i].lowering);
		assert_memory_equal(
		    want[i].half_lowering, got[i].half_lowering, sizeof want[i].half_lowering);
	}
}

static void check_quantising(const struct kernels *k)
{
	float x[8 * QUANT_BLOCK + 1];

	for (int round = 0; round < 2000; round++) {
		fill(x, 8 * QUANT_BLOCK + 1, (enum kind)(round % KIND_END));
		x[round % QUANT_BLOCK] *= 4.0f; /* the largest at each place of a block */
		check_quantise(k, x + 1, 8 * QUANT_BLOCK, 1);
		for (int i = 0; i < 8 * QUANT_BLOCK; i++) /* ties: multiples of a half */
			x[i] = (float)((int)(random_u32() % 255) - 127) * 0.5f;
		x[round % QUANT_BLOCK] = 127.0f;
		check_quantise(k, x, 8 * QUANT_BLOCK, 1);
		memset(x, 0, sizeof x); /* at and beside the least magnitude, and the largest */
		x[0] = 0x1p-100f;
		x[QUANT_BLOCK + round % QUANT_BLOCK] = nextafterf(0x1p-100f, 0.0f);
		x[2 * QUANT_BLOCK + round % QUANT_BLOCK] = -FLT_MAX;
		x[3 * QUANT_BLOCK + round % QUANT_BLOCK] = NAN;
		check_quantise(k, x, 8 * QUANT_BLOCK, 1);
	}
}

static void quantising_equals_the_definition(void **state)
{
	(void)state;
	for (size_t i = 0; table_at(i) != NULL; i++)
		check_quantising(table_at(i));
}

static void quantising_equals_the_definition_for_every_number_of_vectors(void **state)
{
	static float x[MAX_N * MAX_BLOCKS * QUANT_BLOCK];

	(void)state;
	for (size_t i = 0; table_at(i) != NULL; i++)
		for (size_t n = 1; n <= MAX_N; n++) {
			size_t length = (1 + n % MAX_BLOCKS) * QUANT_BLOCK;

			for (size_t v = 0; v < n; v++)
				fill(x + v * length, length, (enum kind)(v % KIND_END));
			check_quantise(table_at(i), x, length, n);
		}
}

static void quantising_rounds_ties_to_even(void **state)
{
	float x[QUANT_BLOCK] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f, 3.49f};
	const int8_t want[8] = {127, 0, 2, 2, 0, -2, -126, 3};
	int8_t q[QUANT_BLOCK];
	struct quant_terms t;

	(void)state;
	kernels_quantise(&kernels_scalar, x, QUANT_BLOCK, 1, q, &t);
	assert_memory_equal(q, want, sizeof want);
	assert_true(t.scale == 1.0f);
	assert_int_equal(t.half_lowering[0], -128 * (127 + 0 + 2 + 2 + 0 - 2 - 126 + 3));
	assert_int_equal(t.half_lowering[1], 0);
}

static void quantising_keeps_its_edges(void **state)
{
	const float not_finite[] = {INFINITY, -INFINITY, NAN};
	float x[QUANT_BLOCK] = {0.0f};
	const int8_t zeros[QUANT_BLOCK] = {0};
	int8_t q[QUANT_BLOCK];
	struct quant_terms t;

	(void)state;
	x[3] = nextafterf(0x1p-100f, 0.0f);
	kernels_quantise(&kernels_scalar, x, QUANT_BLOCK, 1, q, &t);
	assert_memory_equal(q, zeros, sizeof q);
	assert_true(t.scale == 0.0f && !signbit(t.scale));
	x[3] = -0x1p-100f;
	kernels_quantise(&kernels_scalar, x, QUANT_BLOCK, 1, q, &t);
	assert_int_equal(q[3], -127);
	assert_true(t.scale == 0x1p-100f / 127.0f);
	x[3] = FLT_MAX;
	kernels_quantise(&kernels_scalar, x, QUANT_BLOCK, 1, q, &t);
	assert_int_equal(q[3], 127);
	for (size_t i = 0; i < 3; i++) {
		x[20] = not_finite[i];
		kernels_quantise(&kernels_scalar, x, QUANT_BLOCK, 1, q, &t);
		assert_memory_equal(q, zeros, sizeof q);
		assert_true(isnan(t.scale));
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

static void every_table_passes_the_trial_at_start(void **state)
{
	(void)state;
	for (size_t i = 0; table_at(i) != NULL; i++)
		assert_true(kernels_equal_definition(table_at(i)));
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
	assert_ptr_equal(best, kernels_at(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(elementwise_kernels_equal_the_definition),
	    cmocka_unit_test(every_table_sees_each_place),
	    cmocka_unit_test(exp_kernels_equal_the_definition_over_the_range),
	    cmocka_unit_test(exp_kernels_equal_the_definition_at_its_edges),
	    cmocka_unit_test(quantising_equals_the_definition),
	    cmocka_unit_test(quantising_equals_the_definition_for_every_number_of_vectors),
	    cmocka_unit_test(quantising_rounds_ties_to_even),
	    cmocka_unit_test(quantising_keeps_its_edges),
	    cmocka_unit_test(dot_is_close_to_the_exact_sum),
	    cmocka_unit_test(elementwise_definition_is_close_to_the_exact_value),
	    cmocka_unit_test(activations_and_caps_are_close_to_the_exact_value),
	    cmocka_unit_test(measures_a_peak),
	    cmocka_unit_test(a_table_with_one_wrong_bit_is_found),
	    cmocka_unit_test(every_table_passes_the_trial_at_start),
	    cmocka_unit_test(the_best_table_is_one_of_those_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
