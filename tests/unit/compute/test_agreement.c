/* SPDX-License-Identifier: Apache-2.0 */
/* How two rows are compared, on rows of known difference; test_deviation.c has real ones. */
#include "compute/agreement.h"

#include <math.h>
#include <setjmp.h>

#include <cmocka.h>

enum { N = 64, VOCABULARY = 50, TOP = 5 };

static const struct agreement_bounds loose = {
    .mean_loss = 1e-3, .row_loss = 1e-2, .row_error = 0.5};

/* Went into a layer, and came out: the change is 1 or -1 in each element. */
static float in[N], out[N];

static int make_rows(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++) {
		in[i] = (float)(i % 7) * 100.0f;
		out[i] = in[i] + (i % 2 == 0 ? 1.0f : -1.0f);
	}
	return 0;
}

static struct agreement compare(const float *claimed)
{
	struct agreement a = {0};

	agreement_row(&a, in, claimed, out, N);
	assert_int_equal(a.n_rows, 1);
	return a;
}

static void assert_near(double got, double want)
{
	assert_true(fabs(got - want) <= 1e-4 * fabs(want) + 1e-12);
}

static void equal_rows_agree_fully(void **state)
{
	struct agreement a = compare(out);

	(void)state;
	assert_true(a.loss_max < 1e-12 && a.error_max == 0.0);
	assert_true(agreement_holds(&a, &agreement_of_floats));
}

static void the_change_is_compared_not_what_was_handed_on(void **state)
{
	float claimed[N];
	struct agreement a, whole = {0};

	(void)state;
	memcpy(claimed, out, sizeof claimed);
	claimed[0] = in[0]; /* 0 for a change of 1 */
	a = compare(claimed);
	assert_near(a.error_max, 1.0);
	assert_near(a.loss_max, 1.0 - sqrt(63.0 / 64.0));
	assert_false(agreement_holds(&a, &loose));

	/* Beside hundreds it is nothing. */
	agreement_row(&whole, NULL, claimed, out, N);
	assert_true(agreement_holds(&whole, &loose));
}

static void an_element_is_measured_by_the_whole_row(void **state)
{
	float claimed[N];
	struct agreement a;

	(void)state;
	memcpy(claimed, out, sizeof claimed);
	claimed[1] += 0.25f;
	a = compare(claimed);
	assert_near(a.error_max, 0.25);
	assert_true(agreement_holds(&a, &loose));
	claimed[1] += 0.5f;
	a = compare(claimed);
	assert_near(a.error_max, 0.75);
	assert_false(agreement_holds(&a, &loose));
}

/* The cosine does not see it. */
static void a_row_of_another_length_is_found_by_its_elements(void **state)
{
	float claimed[N];
	struct agreement a;

	(void)state;
	for (int i = 0; i < N; i++)
		claimed[i] = in[i] + 2.0f * (out[i] - in[i]);
	a = compare(claimed);
	assert_true(a.loss_max < 1e-12);
	assert_near(a.error_max, 1.0);
	assert_false(agreement_holds(&a, &loose));
}

static void a_row_that_did_not_change_agrees_with_none_that_did(void **state)
{
	struct agreement a = compare(in), b = {0}, c = {0};

	(void)state;
	assert_true(isinf(a.loss_max));
	agreement_row(&b, in, out, in, N);
	assert_true(isinf(b.loss_max));
	agreement_row(&c, in, in, in, N);
	assert_true(agreement_holds(&c, &agreement_of_floats));
}

static void numbers_that_are_not_finite_never_agree(void **state)
{
	static const float wrong[] = {INFINITY, -INFINITY, NAN};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		float bad[N];
		struct agreement a, b = {0}, c = {0};

		memcpy(bad, out, sizeof bad);
		bad[N / 2] = wrong[i];
		a = compare(bad);
		assert_false(agreement_holds(&a, &loose));
		agreement_row(&b, in, out, bad, N);
		assert_false(agreement_holds(&b, &loose));
		agreement_row(&c, in, bad, bad, N);
		assert_false(agreement_holds(&c, &loose));
		for (int row = 0; row < 1000; row++) /* nor later */
			agreement_row(&a, in, out, out, N);
		assert_false(agreement_holds(&a, &loose));
	}
}

/* Each row within the bound of one, their mean not. */
static void many_rows_that_are_all_a_little_wrong_do_not_agree(void **state)
{
	struct agreement a = {0};
	float claimed[N];

	(void)state;
	for (int i = 0; i < N; i++)
		claimed[i] = out[i] + (i % 4 < 2 ? 0.1f : -0.1f);
	agreement_row(&a, in, claimed, out, N);
	assert_true(a.loss_max > 4e-3 && a.loss_max < 6e-3);
	assert_true(agreement_holds(&a, &loose));
	for (int row = 0; row < 9; row++)
		agreement_row(&a, in, claimed, out, N);
	assert_false(agreement_holds(&a, &loose));
}

static void no_rows_do_not_agree(void **state)
{
	(void)state;
	assert_false(agreement_holds(&(struct agreement){0}, &loose));
}

/* ---- logits --------------------------------------------------------------------------------- */

static float logits[VOCABULARY];
static double deviation, lse;

/* Id i has a logit of i / 10. */
static int make_logits(void **state)
{
	double squares = 0.0, sum = 0.0;

	(void)state;
	for (int i = 0; i < VOCABULARY; i++) {
		logits[i] = (float)i * 0.1f;
		squares += pow((i - (VOCABULARY - 1) / 2.0) * 0.1, 2.0);
		sum += exp(i * 0.1);
	}
	deviation = sqrt(squares / VOCABULARY);
	lse = log(sum);
	return 0;
}

static struct logit *right_top(struct logit top[TOP])
{
	for (uint32_t i = 0; i < TOP; i++)
		top[i] = (struct logit){VOCABULARY - 1 - i, logits[VOCABULARY - 1 - i]};
	return top;
}

static struct agreement compare_logits(const struct logit *top, double claimed_lse)
{
	struct agreement a = {0};

	agreement_logits(&a, top, TOP, (float)claimed_lse, logits, VOCABULARY);
	return a;
}

static void the_right_logits_agree(void **state)
{
	struct logit top[TOP];
	struct agreement a = compare_logits(right_top(top), lse);

	(void)state;
	assert_true(a.loss_max == 0.0);
	assert_true(agreement_holds(&a, &agreement_of_floats));
}

static void logits_are_measured_by_their_deviation(void **state)
{
	struct logit top[TOP];
	struct agreement a;

	(void)state;
	right_top(top)[0].value += 0.3f;
	a = compare_logits(top, lse);
	assert_near(a.error_max, 0.3 / deviation);
	assert_near(a.loss_max, 0.09 / (2.0 * TOP * deviation * deviation));
}

static void the_sum_of_exponentials_counts(void **state)
{
	struct logit top[TOP];
	struct agreement a = compare_logits(right_top(top), lse + 0.3);

	(void)state;
	assert_near(a.error_max, 0.3 / deviation);
	a = compare_logits(top, (double)NAN);
	assert_true(isinf(a.error_max));
}

/* 44 in place of 45, which is as far as its logit; a likelier one, much farther. */
static void an_entry_that_is_missing_counts_by_how_far_it_is(void **state)
{
	struct logit top[TOP];
	struct agreement a;

	(void)state;
	right_top(top)[TOP - 1] = (struct logit){44, logits[44]};
	a = compare_logits(top, lse);
	assert_near(a.error_max, 0.05 / deviation);
	for (uint32_t i = 0; i < TOP; i++)
		top[i] = (struct logit){30 - i, logits[30 - i]};
	a = compare_logits(top, lse);
	assert_near(a.error_max, (logits[49] - logits[26]) / 2.0 / deviation);
}

static void what_is_no_list_of_the_largest_never_agrees(void **state)
{
	struct logit top[TOP];
	struct agreement a;

	(void)state;
	right_top(top)[1].id = VOCABULARY;
	assert_true(isinf(compare_logits(top, lse).loss_max));
	right_top(top)[1] = top[0];
	assert_true(isinf(compare_logits(top, lse).loss_max));
	right_top(top)[1].value = top[0].value + 1e-3f;
	assert_true(isinf(compare_logits(top, lse).loss_max));
	right_top(top)[0].value = NAN;
	assert_true(isinf(compare_logits(top, lse).loss_max));
	a = (struct agreement){0};
	agreement_logits(&a, top, 0, (float)lse, logits, VOCABULARY);
	assert_true(isinf(a.loss_max));
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void bounds_follow_from_weights_and_caches(void **state)
{
	static const uint8_t data[4];
	struct layer_weights w = {.query = {.type = TENSOR_F16, .data = data},
	    .ff_up = {.type = TENSOR_BF16, .data = data}};
	const struct matrix output = {.type = TENSOR_Q8_0, .data = data};

	(void)state;
	assert_ptr_equal(agreement_bounds(&w, NULL, KV_F16), &agreement_of_floats);
	assert_ptr_equal(agreement_bounds(&w, NULL, KV_INT8), &agreement_of_quants);
	assert_ptr_equal(agreement_bounds(&w, &output, KV_F16), &agreement_of_quants);
	w.ff_down = (struct matrix){.type = TENSOR_Q4_K, .data = data};
	assert_ptr_equal(agreement_bounds(&w, NULL, KV_F16), &agreement_of_quants);
	w.router = (struct matrix){.type = TENSOR_F32, .data = data};
	assert_null(agreement_bounds(&w, NULL, KV_F16));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(equal_rows_agree_fully, make_rows),
	    cmocka_unit_test_setup(the_change_is_compared_not_what_was_handed_on, make_rows),
	    cmocka_unit_test_setup(an_element_is_measured_by_the_whole_row, make_rows),
	    cmocka_unit_test_setup(a_row_of_another_length_is_found_by_its_elements, make_rows),
	    cmocka_unit_test_setup(a_row_that_did_not_change_agrees_with_none_that_did, make_rows),
	    cmocka_unit_test_setup(numbers_that_are_not_finite_never_agree, make_rows),
	    cmocka_unit_test_setup(many_rows_that_are_all_a_little_wrong_do_not_agree, make_rows),
	    cmocka_unit_test(no_rows_do_not_agree),
	    cmocka_unit_test_setup(the_right_logits_agree, make_logits),
	    cmocka_unit_test_setup(logits_are_measured_by_their_deviation, make_logits),
	    cmocka_unit_test_setup(the_sum_of_exponentials_counts, make_logits),
	    cmocka_unit_test_setup(an_entry_that_is_missing_counts_by_how_far_it_is, make_logits),
	    cmocka_unit_test_setup(what_is_no_list_of_the_largest_never_agrees, make_logits),
	    cmocka_unit_test(bounds_follow_from_weights_and_caches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
