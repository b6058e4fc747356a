/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compute/cost.h"
#include "node/pool/session.h"
#include "node/pool/verifier.h"
#include "node/work.h"
#include "protocol/messages.h"

enum { TOP = 3, VOCABULARY = 10, WIDTH = 4, MAX_BYTES = 4096 };

static const struct model_sizes sizes = {.n_layers = 4,
    .n_vocabulary = VOCABULARY,
    .d_model = WIDTH,
    .d_ff = 8,
    .n_heads = 2,
    .n_kv_heads = 1,
    .d_head = 2,
    .d_value = 2,
    .context_tokens = 64};

static struct unit_span spans[2];
static struct msg_work_unit unit;
static struct msg_result result;
static uint8_t payload[MAX_BYTES];
static size_t len;
static struct error why;

static int set_up(void **state)
{
	(void)state;
	spans[0] = (struct unit_span){.session = 1, .position = 0, .n_tokens = 3, .n_logits = 1};
	spans[1] = (struct unit_span){.session = 2, .position = 7, .n_tokens = 1, .n_logits = 1};
	unit = (struct msg_work_unit){.layer_first = 2,
	    .layer_last = 4,
	    .n_spans = 2,
	    .spans = spans,
	    .n_tokens = 4,
	    .n_logits = 2,
	    .top = TOP};
	memset(payload, 0, sizeof payload);
	memset(&why, 0, sizeof why);
	memset(&result, 0, sizeof result);
	return 0;
}

static void put(size_t at, float value)
{
	payload_put_f32(payload + at, &value, 1);
}

static void put_logit(size_t row, size_t rank, uint32_t id, float value)
{
	size_t at = row * logit_row_bytes(TOP) + 4 + rank * 8;

	payload_put_u32(payload + at, &id, 1);
	put(at + 4, value);
}

/* What a right donor of the last layers answers. */
static void right_logits(void)
{
	len = 2 * logit_row_bytes(TOP);
	for (size_t row = 0; row < 2; row++) {
		put(row * logit_row_bytes(TOP), 5.0f);
		put_logit(row, 0, 9, 4.0f);
		put_logit(row, 1, 0, 1.0f);
		put_logit(row, 2, 4, 1.0f);
	}
	assert_int_equal(work_cost(&sizes, &unit, &result.cost), AYNI_OK);
}

/* And one of layers before these. */
static void right_activations(void)
{
	unit.layer_first = 1;
	unit.layer_last = 3;
	unit.top = unit.n_logits = 0;
	spans[0].n_logits = spans[1].n_logits = 0;
	len = 4 * WIDTH * 4;
	assert_int_equal(work_cost(&sizes, &unit, &result.cost), AYNI_OK);
}

static struct hash parts[WORK_PARTS_MAX], layer_hashes[WORK_PARTS_MAX];

/* As the donor signs it. */
static void commit(void)
{
	bool logits = unit.layer_last == sizes.n_layers;

	result.parts = parts;
	result.n_parts = work_commit(WIDTH, &unit, logits, payload, parts, &result.handed_hash);
	result.layer_hashes = layer_hashes;
	result.n_layer_hashes = work_layer_hashes(&unit);
	result.n_chains = unit.n_spans;
}

static enum refusal check(void)
{
	if (!result.handed)
		commit();
	return verifier_check(&sizes, &unit, &result, (struct span){payload, len}, &why);
}

static void a_right_result_is_accepted(void **state)
{
	(void)state;
	right_logits();
	assert_int_equal(work_result_bytes(sizes.n_layers, sizes.d_model, &unit), len);
	assert_int_equal(check(), REFUSAL_NONE);
	right_activations();
	assert_int_equal(work_result_bytes(sizes.n_layers, sizes.d_model, &unit), len);
	assert_int_equal(check(), REFUSAL_NONE);
}

static void the_cost_is_the_sum_over_the_spans(void **state)
{
	struct flop a, b, sum;

	(void)state;
	right_logits();
	assert_int_equal(cost_span(&sizes, 2, 4, 0, 3, 1, &a), AYNI_OK);
	assert_int_equal(cost_span(&sizes, 2, 4, 7, 1, 1, &b), AYNI_OK);
	assert_int_equal(flop_add(a, b, &sum), AYNI_OK);
	assert_int_equal(flop_count(result.cost), flop_count(sum));
}

static void another_size_is_refused(void **state)
{
	static const int off[] = {-4, -1, 1, 4};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		right_logits();
		len += (size_t)off[i];
		assert_int_equal(check(), REFUSAL_BOUNDS);
		(void)set_up(NULL);
		right_activations();
		len += (size_t)off[i];
		assert_int_equal(check(), REFUSAL_BOUNDS);
		(void)set_up(NULL);
	}
	right_logits();
	len = 0;
	assert_int_equal(check(), REFUSAL_BOUNDS);
	assert_string_equal(why.text, "result of 0 bytes where 56 belong");
}

static void another_cost_is_refused(void **state)
{
	uint64_t right;

	(void)state;
	right_logits();
	right = flop_count(result.cost);
	assert_int_equal(flop_from(right + 1, &result.cost), AYNI_OK);
	assert_int_equal(check(), REFUSAL_BOUNDS);
	assert_int_equal(flop_from(right - 1, &result.cost), AYNI_OK);
	assert_int_equal(check(), REFUSAL_BOUNDS);
	assert_int_equal(flop_from(0, &result.cost), AYNI_OK);
	assert_int_equal(check(), REFUSAL_BOUNDS);
}

static void an_activation_that_is_not_finite_is_refused(void **state)
{
	static const float wrong[] = {NAN, INFINITY, -INFINITY};

	(void)state;
	for (size_t at = 0; at < 4 * WIDTH * 4; at += 4) {
		for (size_t i = 0; i < 3; i++) {
			right_activations();
			put(at, wrong[i]);
			assert_int_equal(check(), REFUSAL_NUMERIC);
			put(at, 3e38f);
			assert_int_equal(check(), REFUSAL_NONE);
		}
	}
}

static void assert_row_refused(void)
{
	assert_int_equal(check(), REFUSAL_NUMERIC);
	assert_string_equal(why.text, "a row of logits out of order or bounds");
	right_logits();
	assert_int_equal(check(), REFUSAL_NONE);
}

static void logits_out_of_order_are_refused(void **state)
{
	(void)state;
	right_logits();
	put_logit(1, 1, 0, 4.5f); /* more than the one before */
	assert_row_refused();
	put_logit(1, 2, 0, 1.0f); /* one id twice */
	assert_row_refused();
	put_logit(0, 1, 5, 1.0f); /* equal values, ids descending */
	assert_row_refused();
}

static void logits_that_are_not_numbers_are_refused(void **state)
{
	static const float wrong[] = {NAN, INFINITY, -INFINITY};

	(void)state;
	right_logits();
	for (size_t i = 0; i < 3; i++) {
		put_logit(0, 0, 9, wrong[i]);
		assert_row_refused();
		put_logit(1, 2, 4, wrong[i]);
		assert_row_refused();
		put(logit_row_bytes(TOP), wrong[i]); /* the log of the sum */
		assert_row_refused();
	}
}

static void an_id_outside_the_vocabulary_is_refused(void **state)
{
	(void)state;
	right_logits();
	put_logit(0, 0, VOCABULARY, 4.0f);
	assert_row_refused();
	put_logit(1, 2, UINT32_MAX, 1.0f);
	assert_row_refused();
}

static void a_sum_below_its_largest_part_is_refused(void **state)
{
	(void)state;
	right_logits();
	put(0, 3.9f);
	assert_row_refused();
	put(0, 4.0f); /* the rest may vanish beside it */
	assert_int_equal(check(), REFUSAL_NONE);
}

/* ---- what a donor stands for -------------------------------------------------------------- */

static void parts_end_with_pages_and_spans(void **state)
{
	struct work_part list[WORK_PARTS_MAX];
	const size_t row = WIDTH * 4;

	(void)state;
	right_activations();
	spans[0].position = 62; /* one, one, and a page's first */
	assert_int_equal(work_parts(WIDTH, &unit, false, list), 3);
	assert_int_equal(list[0].n_rows, 2);
	assert_int_equal(list[0].bytes, 2 * row);
	assert_int_equal(list[1].position, 64);
	assert_int_equal(list[1].n_rows, 1);
	assert_int_equal(list[2].span, 1);
	assert_int_equal(list[2].position, 7);
	spans[1].n_logits = 1; /* rows of logits alone */
	unit.top = TOP;
	assert_int_equal(work_parts(WIDTH, &unit, true, list), 1);
	assert_int_equal(list[0].bytes, logit_row_bytes(TOP));
}

static void a_hash_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	right_activations();
	commit();
	assert_int_equal(result.n_parts, 2);
	parts[1].bytes[31] ^= 1;
	assert_int_equal(verifier_check(&sizes, &unit, &result, (struct span){payload, len}, &why),
	    REFUSAL_BOUNDS);
	parts[1].bytes[31] ^= 1;
	result.n_parts = 0;
	assert_int_equal(verifier_check(&sizes, &unit, &result, (struct span){payload, len}, &why),
	    REFUSAL_BOUNDS);
}

static void hashes_of_each_layer_but_the_last_are_there(void **state)
{
	(void)state;
	right_activations();
	commit();
	assert_int_equal(result.n_layer_hashes, 2); /* two parts after one of two layers */
	for (size_t n = 0; n < 5; n++) {
		result.n_layer_hashes = n;
		assert_int_equal(
		    verifier_check(&sizes, &unit, &result, (struct span){payload, len}, &why),
		    n == 2 ? REFUSAL_NONE : REFUSAL_BOUNDS);
	}
}

/* Or a donor could sign one thing and hand on another. */
static void parts_of_what_was_handed_on_fit_the_hash_of_all(void **state)
{
	(void)state;
	right_activations();
	unit.next.ticket = 1;
	result.handed = true;
	commit();
	len = 0;
	assert_int_equal(check(), REFUSAL_NONE);
	parts[0].bytes[0] ^= 1;
	assert_int_equal(check(), REFUSAL_BOUNDS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
	    TEST(a_right_result_is_accepted),
	    TEST(the_cost_is_the_sum_over_the_spans),
	    TEST(another_size_is_refused),
	    TEST(another_cost_is_refused),
	    TEST(an_activation_that_is_not_finite_is_refused),
	    TEST(logits_out_of_order_are_refused),
	    TEST(logits_that_are_not_numbers_are_refused),
	    TEST(an_id_outside_the_vocabulary_is_refused),
	    TEST(a_sum_below_its_largest_part_is_refused),
	    TEST(parts_end_with_pages_and_spans),
	    TEST(a_hash_that_does_not_fit_is_refused),
	    TEST(hashes_of_each_layer_but_the_last_are_there),
	    TEST(parts_of_what_was_handed_on_fit_the_hash_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
