/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/trail_trial.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum { STAGES = 3, LAYERS = 4, PARTS = 16 };

static struct trail_budget budget;
static struct trail *trail;
static const struct trail_stage stages[STAGES] = {
    {.layers = {0, 1}}, {.layers = {1, 3}}, {.layers = {3, 4}}};
static const uint32_t tokens[LIMIT_UNIT_TOKENS] = {11, 22, 33};

static int set_up(void **state)
{
	(void)state;
	budget = (struct trail_budget){.most_bytes = 1 << 20};
	trail = trail_new(1, 0, WIRE_F32, stages, STAGES, &budget);
	return trail != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	trail_release(trail);
	assert_int_equal(budget.used_bytes, 0);
	return 0;
}

/* Each hash says its layer and its number. */
static void add(uint32_t position, uint32_t n, uint32_t n_logits)
{
	struct unit_span span = {.position = position, .n_tokens = n, .n_logits = n_logits};
	struct trail_span s = {.position = position, .n_tokens = n, .n_logits = n_logits};
	struct hash hashes[LAYERS * PARTS] = {{{0}}}, *h = hashes;

	for (uint32_t layer = 0; layer < LAYERS; layer++) {
		for (uint32_t i = 0; i < trail_parts(trail, &s, layer); i++, h++) {
			h->bytes[0] = (uint8_t)layer;
			h->bytes[1] = (uint8_t)i;
		}
	}
	assert_int_equal(trail_hashes(trail, &s), h - hashes);
	trail_trial_add(trail,
	    &(struct trail_feed){.span = span, .top = 1, .tokens = tokens, .hashes = hashes});
}

static void assert_part(const struct trail_span *s, uint32_t layer, size_t i)
{
	const struct hash *h = trail_after(trail, s, layer) + i;

	assert_int_equal(h->bytes[0], layer);
	assert_int_equal(h->bytes[1], i);
}

static void each_layer_has_the_hashes_of_its_parts_whatever_the_stages(void **state)
{
	const struct trail_span *s;

	(void)state;
	add(0, 3, 0);
	add(60, 70, 2); /* three pages, and the rows of the last */
	assert_int_equal(trail->n_spans, 2);
	s = &trail->spans[1];
	assert_int_equal(trail_parts(trail, s, 0), 3);
	assert_int_equal(trail_parts(trail, s, 1), 3);
	assert_int_equal(trail_parts(trail, s, 3), 1);
	assert_part(s, 0, 2);
	assert_part(s, 1, 0);
	assert_part(s, 2, 2);
	assert_part(s, 3, 0);
	assert_int_equal(trail_parts(trail, &trail->spans[0], 3), 0);
	assert_int_equal(trail_stage(trail, 0), 0);
	assert_int_equal(trail_stage(trail, 2), 1);
	assert_int_equal(trail_stage(trail, 3), 2);
	assert_int_equal(trail->tokens[trail->spans[1].first_token + 2], 33);
}

static void what_begins_with_it_has_whole_pages_of_it(void **state)
{
	struct trail *source = trail;

	(void)state;
	add(0, 100, 0);
	add(100, 40, 20);
	add(140, 1, 1);
	trail = trail_new(2, 0, WIRE_F32, stages, STAGES, &budget);
	trail_begin_with(trail, source, 128);
	assert_int_equal(trail->n_spans, 2);
	assert_int_equal(trail->n_inherited, 2);
	assert_int_equal(trail->spans[1].n_tokens, 28);
	assert_int_equal(trail->spans[1].n_logits, 8);
	assert_part(&trail->spans[1], 1, 0);
	assert_part(&trail->spans[1], 3, 0);
	trail_empty(trail);
	assert_int_equal(trail->n_spans + trail->n_inherited, 0);
	trail_release(source);
}

static void what_is_past_the_budget_is_missed_and_all_behind_it(void **state)
{
	uint32_t n = 0;

	(void)state;
	budget.most_bytes = 20000;
	while (trail->n_missed == 0 && n < 10000)
		add(n++, 1, 1);
	assert_int_equal(trail->n_spans, n - 1);
	assert_true(n > 50 && budget.used_bytes <= budget.most_bytes);
	budget.most_bytes = 1 << 20;
	add(n, 1, 1); /* it would not be whole */
	assert_int_equal(trail->n_missed, 2);
	assert_int_equal(trail->n_spans, n - 1);
}

static void nobody_knows_what_follows_a_trail_that_is_not_whole(void **state)
{
	struct trail *source = trail;

	(void)state;
	add(0, 64, 0);
	source->n_missed = 1;
	trail = trail_new(2, 0, WIRE_F32, stages, STAGES, &budget);
	trail_begin_with(trail, source, 64);
	add(64, 1, 1);
	assert_int_equal(trail->n_spans, 0);
	assert_true(trail->n_missed > 0);
	trail_release(source);
}

static void what_was_recorded_before_it_was_too_much_is_known(void **state)
{
	struct trail *source = trail;

	(void)state;
	add(0, 128, 0);
	add(128, 1, 1);
	source->n_missed = 1;
	trail = trail_new(2, 0, WIRE_F32, stages, STAGES, &budget);
	trail_begin_with(trail, source, 128);
	assert_int_equal(trail->n_missed, 0);
	assert_int_equal(trail->n_spans, 1);
	trail_release(source);
}

static void it_lives_as_long_as_somebody_holds_it(void **state)
{
	(void)state;
	add(0, 5, 1);
	assert_ptr_equal(trail_hold(trail), trail);
	trail_release(trail);
	assert_int_equal(trail->n_spans, 1);
	assert_null(trail_hold(NULL));
	trail_release(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_layer_has_the_hashes_of_its_parts_whatever_the_stages),
	    TEST(what_begins_with_it_has_whole_pages_of_it),
	    TEST(what_is_past_the_budget_is_missed_and_all_behind_it),
	    TEST(nobody_knows_what_follows_a_trail_that_is_not_whole),
	    TEST(what_was_recorded_before_it_was_too_much_is_known),
	    TEST(it_lives_as_long_as_somebody_holds_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
