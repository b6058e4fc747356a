/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/donor/open_work.h"

static const struct hash MODEL = {{1}}, OTHER = {{2}};

static void add_costly(
    struct open_work *w, const struct hash *model, uint32_t first, uint32_t last, struct flop cost)
{
	struct msg_work_unit u = {
	    .model = *model, .layer_first = first, .layer_last = last, .n_spans = 1, .n_tokens = 3};

	open_work_add(w, &u, cost);
}

static void add(struct open_work *w, const struct hash *model, uint32_t first, uint32_t last)
{
	add_costly(w, model, first, last, (struct flop){100});
}

static struct receipt receipt_of(
    const struct hash *model, uint32_t first, uint32_t last, uint64_t units)
{
	return (struct receipt){.model = *model,
	    .layer_first = first,
	    .layer_last = last,
	    .units = units,
	    .tokens = units * 3,
	    .cost = {units * 100}};
}

static void assert_checks(const struct open_work *w, const struct receipt *r, int rc)
{
	assert_int_equal(open_work_check(w, r, NULL), rc);
}

static void nothing_is_open_at_first(void **state)
{
	struct open_work w = {0};
	struct receipt r = receipt_of(&MODEL, 0, 4, 0);

	(void)state;
	assert_int_equal(open_work_units(&w), 0);
	assert_checks(&w, &r, AYNI_ERR_ARGUMENT);
}

static void work_may_be_in_several_receipts_and_in_each_once(void **state)
{
	struct open_work w = {0};
	struct receipt one = receipt_of(&MODEL, 0, 4, 1), two = receipt_of(&MODEL, 0, 4, 2);
	struct open_range missing;

	(void)state;
	for (int i = 0; i < 3; i++)
		add(&w, &MODEL, 0, 4);
	assert_checks(&w, &two, AYNI_OK);
	open_work_settle(&w, &two, &missing);
	assert_checks(&w, &two, AYNI_ERR_ARGUMENT);
	assert_checks(&w, &one, AYNI_OK);
	open_work_settle(&w, &one, &missing);
	assert_int_equal(missing.tokens, 0);
	assert_int_equal(flop_count(missing.cost), 0);
	assert_checks(&w, &one, AYNI_ERR_ARGUMENT);
	assert_int_equal(open_work_units(&w), 0);
}

static void one_too_many_of_anything_is_refused(void **state)
{
	struct open_work w = {0};
	struct receipt r;

	(void)state;
	add(&w, &MODEL, 0, 4);
	r = receipt_of(&MODEL, 0, 4, 1);
	r.units++;
	assert_checks(&w, &r, AYNI_ERR_ARGUMENT);
	r = receipt_of(&MODEL, 0, 4, 1);
	r.tokens++;
	assert_checks(&w, &r, AYNI_ERR_ARGUMENT);
	r = receipt_of(&MODEL, 0, 4, 1);
	r.cost.count++; /* allowed: a test makes what no sum would */
	assert_checks(&w, &r, AYNI_ERR_ARGUMENT);
	r = receipt_of(&MODEL, 0, 4, 1);
	assert_checks(&w, &r, AYNI_OK);
}

static void ranges_and_models_are_counted_apart(void **state)
{
	struct open_work w = {0};
	struct receipt r = receipt_of(&MODEL, 0, 4, 2);
	struct open_range missing;

	(void)state;
	add(&w, &MODEL, 0, 4);
	add(&w, &MODEL, 4, 8);
	add(&w, &OTHER, 0, 4);
	add(&w, &MODEL, 0, 5);
	assert_int_equal(open_work_units(&w), 4);
	assert_checks(&w, &r, AYNI_ERR_ARGUMENT);
	r = receipt_of(&MODEL, 4, 8, 1);
	open_work_settle(&w, &r, &missing);
	assert_checks(&w, &r, AYNI_ERR_ARGUMENT);
	r = receipt_of(&OTHER, 0, 4, 1);
	assert_checks(&w, &r, AYNI_OK);
	r = receipt_of(&OTHER, 4, 8, 1);
	assert_checks(&w, &r, AYNI_ERR_ARGUMENT);
	assert_int_equal(open_work_units(&w), 3);
}

static void what_the_last_receipt_leaves_out_is_told(void **state)
{
	struct open_work w = {0};
	struct receipt r = receipt_of(&MODEL, 0, 4, 1);
	struct open_range missing;

	(void)state;
	add(&w, &MODEL, 0, 4);
	add(&w, &MODEL, 0, 4);
	r.tokens = 2;
	open_work_settle(&w, &r, &missing); /* another may count the rest */
	assert_int_equal(missing.tokens, 0);
	r = receipt_of(&MODEL, 0, 4, 1);
	r.cost = (struct flop){60};
	open_work_settle(&w, &r, &missing);
	assert_int_equal(missing.tokens, 1);
	assert_int_equal(flop_count(missing.cost), 40);
}

/* Each has a receipt of its own for it. */
static void a_unit_of_several_sessions_counts_as_so_many(void **state)
{
	struct msg_work_unit u = {.model = MODEL, .layer_last = 4, .n_spans = 2, .n_tokens = 6};
	struct receipt r = receipt_of(&MODEL, 0, 4, 1);
	struct open_work w = {0};
	struct open_range missing;

	(void)state;
	open_work_add(&w, &u, (struct flop){200});
	for (int i = 0; i < 2; i++) {
		assert_checks(&w, &r, AYNI_OK);
		open_work_settle(&w, &r, &missing);
	}
	assert_checks(&w, &r, AYNI_ERR_ARGUMENT);
	assert_int_equal(missing.tokens, 0);
}

static void a_sum_that_does_not_fit_stays(void **state)
{
	struct open_work w = {0};
	struct receipt r = receipt_of(&MODEL, 0, 4, 1);

	(void)state;
	add_costly(&w, &MODEL, 0, 4, (struct flop){FLOP_MAX});
	add(&w, &MODEL, 0, 4);
	r.cost = (struct flop){FLOP_MAX};
	assert_checks(&w, &r, AYNI_OK);
}

static void past_the_limit_what_was_idle_longest_is_given_up(void **state)
{
	struct open_work w = {0};
	struct receipt first = receipt_of(&MODEL, 0, 1, 1), second = receipt_of(&MODEL, 1, 2, 1);

	(void)state;
	for (uint32_t i = 0; i < OPEN_WORK_RANGES; i++)
		add(&w, &MODEL, i, i + 1);
	add(&w, &MODEL, 0, 1); /* not idle any more */
	add(&w, &OTHER, 0, 1);
	assert_int_equal(w.n, OPEN_WORK_RANGES);
	assert_checks(&w, &first, AYNI_OK);
	assert_checks(&w, &second, AYNI_ERR_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_open_at_first),
	    cmocka_unit_test(work_may_be_in_several_receipts_and_in_each_once),
	    cmocka_unit_test(one_too_many_of_anything_is_refused),
	    cmocka_unit_test(ranges_and_models_are_counted_apart),
	    cmocka_unit_test(what_the_last_receipt_leaves_out_is_told),
	    cmocka_unit_test(a_unit_of_several_sessions_counts_as_so_many),
	    cmocka_unit_test(a_sum_that_does_not_fit_stays),
	    cmocka_unit_test(past_the_limit_what_was_idle_longest_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
