/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/kv.h"

#include <setjmp.h>

#include <cmocka.h>

/* Two layers; keys of 2 x 4 and values of 2 x 3 elements a position. */
static const struct model model = {
    .sizes = {.n_layers = 5, .n_heads = 4, .n_kv_heads = 2, .d_head = 4, .d_value = 3},
    .layer_first = 1,
    .layer_last = 3};

enum { HEADS = 2, D_KEY = 4, D_VALUE = 3, CAPACITY = 150 };

/* The same with heads of whole parts, as int8 wants them: keys of 64, values of 32. */
static const struct model wide_model = {
    .sizes = {.n_layers = 5, .n_heads = 4, .n_kv_heads = 2, .d_head = 64, .d_value = 32},
    .layer_first = 1,
    .layer_last = 3};

enum { WIDE_KEY = 64, WIDE_VALUE = 32 };

static int set_up(void **state)
{
	struct kv *kv;

	if (kv_new(&model, CAPACITY, KV_F16, &kv, NULL) != AYNI_OK)
		return -1;
	*state = kv;
	return 0;
}

static int tear_down(void **state)
{
	kv_free(*state);
	return 0;
}

/* Element i of a head's key, or of its value behind it, at a position. */
static uint16_t *element(struct kv *kv, uint32_t layer, uint32_t head, uint32_t p, uint32_t i)
{
	struct kv_head page = kv_head(kv, layer, head, p);

	p %= KV_PAGE_TOKENS;
	if (i < D_KEY)
		return (uint16_t *)page.keys + (size_t)i * KV_PAGE_TOKENS + p;
	return (uint16_t *)page.values + (size_t)p * D_VALUE + i - D_KEY;
}

static uint16_t mark(uint32_t layer, uint32_t head, uint32_t position, uint32_t i)
{
	return (uint16_t)(((layer * HEADS + head) * CAPACITY + position) * (D_KEY + D_VALUE) + i);
}

static void write_marks(struct kv *kv, uint32_t first, uint32_t end)
{
	for (uint32_t layer = 0; layer < 2; layer++)
		for (uint32_t head = 0; head < HEADS; head++)
			for (uint32_t p = first; p < end; p++)
				for (uint32_t i = 0; i < D_KEY + D_VALUE; i++)
					*element(kv, layer, head, p, i) = mark(layer, head, p, i);
}

static void assert_marks(struct kv *kv, uint32_t end)
{
	for (uint32_t layer = 0; layer < 2; layer++)
		for (uint32_t head = 0; head < HEADS; head++)
			for (uint32_t p = 0; p < end; p++)
				for (uint32_t i = 0; i < D_KEY + D_VALUE; i++)
					assert_int_equal(*element(kv, layer, head, p, i),
					    mark(layer, head, p, i));
}

static void begins_empty(void **state)
{
	assert_int_equal(kv_length(*state), 0);
	assert_int_equal(kv_capacity(*state), CAPACITY);
}

static void keeps_each_row_of_each_layer_apart(void **state)
{
	struct kv *kv = *state;

	assert_int_equal(kv_reserve(kv, 0, CAPACITY, NULL), AYNI_OK);
	write_marks(kv, 0, CAPACITY);
	assert_marks(kv, CAPACITY);
}

static void positions_of_one_page_lie_together(void **state)
{
	struct kv *kv = *state;

	assert_int_equal(kv_reserve(kv, 0, CAPACITY, NULL), AYNI_OK);
	for (uint32_t p = 0; p < CAPACITY; p++) {
		uint32_t page = p / KV_PAGE_TOKENS * KV_PAGE_TOKENS;

		assert_ptr_equal(kv_head(kv, 1, 1, p).keys, kv_head(kv, 1, 1, page).keys);
		assert_ptr_equal(kv_head(kv, 1, 1, p).values, kv_head(kv, 1, 1, page).values);
	}
	assert_ptr_not_equal(kv_head(kv, 1, 1, 0).keys, kv_head(kv, 1, 1, KV_PAGE_TOKENS).keys);
}

static void growing_keeps_what_is_there(void **state)
{
	struct kv *kv = *state;
	uint32_t steps[] = {1, 62, 1, 1, 63, 22};
	uint32_t length = 0;

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		assert_int_equal(kv_reserve(kv, length, steps[i], NULL), AYNI_OK);
		write_marks(kv, length, length + steps[i]);
		length += steps[i];
		kv_filled(kv, length);
		assert_int_equal(kv_length(kv), length);
		assert_marks(kv, length);
	}
	assert_int_equal(length, CAPACITY);
}

static void going_back_forgets_what_came_after(void **state)
{
	struct kv *kv = *state;

	assert_int_equal(kv_reserve(kv, 0, 100, NULL), AYNI_OK);
	write_marks(kv, 0, 100);
	kv_filled(kv, 100);
	assert_int_equal(kv_reserve(kv, 70, 5, NULL), AYNI_OK);
	assert_int_equal(kv_length(kv), 70);
	assert_marks(kv, 70);
	kv_filled(kv, 75);
	assert_int_equal(kv_length(kv), 75);
	kv_filled(kv, 3);
	assert_int_equal(kv_length(kv), 3);
}

static void a_cache_begins_with_what_another_holds(void **state)
{
	struct kv *from = *state, *to;
	struct error err;

	assert_int_equal(kv_reserve(from, 0, 100, NULL), AYNI_OK);
	write_marks(from, 0, 100);
	kv_filled(from, 100);
	assert_int_equal(kv_new(&model, CAPACITY, kv_type(from), &to, NULL), AYNI_OK);
	assert_int_equal(kv_copy(to, from, 101, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(kv_copy(to, to, 0, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(kv_copy(to, from, 70, &err), AYNI_OK);
	assert_int_equal(kv_length(to), 70);
	assert_marks(to, 70);
	assert_int_equal(kv_reserve(to, 70, 20, NULL), AYNI_OK); /* its own from here on */
	assert_int_equal(kv_length(from), 100);
	assert_marks(from, 100);
	kv_free(to);
}

static void refuses_a_gap_and_keeps_its_length(void **state)
{
	struct kv *kv = *state;
	struct error err;

	assert_int_equal(kv_reserve(kv, 0, 10, NULL), AYNI_OK);
	kv_filled(kv, 10);
	assert_int_equal(kv_reserve(kv, 11, 1, &err), AYNI_ERR_ARGUMENT);
	assert_non_null(strstr(err.text, "gap"));
	assert_int_equal(kv_length(kv), 10);
}

static void refuses_more_than_its_capacity_and_keeps_its_length(void **state)
{
	struct kv *kv = *state;

	assert_int_equal(kv_reserve(kv, 0, 10, NULL), AYNI_OK);
	kv_filled(kv, 10);
	assert_int_equal(kv_reserve(kv, 5, CAPACITY - 4, NULL), AYNI_ERR_ARGUMENT);
	assert_int_equal(kv_reserve(kv, 5, UINT32_MAX, NULL), AYNI_ERR_ARGUMENT);
	assert_int_equal(kv_length(kv), 10);
	assert_int_equal(kv_reserve(kv, 5, CAPACITY - 5, NULL), AYNI_OK);
}

static void refuses_a_capacity_of_none_or_past_the_limit(void **state)
{
	struct kv *kv = NULL;

	(void)state;
	assert_int_equal(kv_new(&model, 0, KV_F16, &kv, NULL), AYNI_ERR_LIMIT);
	assert_int_equal(
	    kv_new(&model, LIMIT_CONTEXT_TOKENS + 1, KV_F16, &kv, NULL), AYNI_ERR_LIMIT);
	assert_null(kv);
}

static void a_large_capacity_takes_memory_only_as_it_fills(void **state)
{
	struct kv *kv;

	(void)state;
	assert_int_equal(kv_new(&model, LIMIT_CONTEXT_TOKENS, KV_F16, &kv, NULL), AYNI_OK);
	assert_int_equal(kv_reserve(kv, 0, 1, NULL), AYNI_OK);
	assert_int_equal(*element(kv, 1, 1, 0, D_KEY + D_VALUE - 1), 0);
	kv_free(kv);
}

static void fits_only_the_range_and_widths_it_was_made_for(void **state)
{
	struct model other = model;

	assert_true(kv_fits(*state, &model));
	other.layer_last = 4;
	assert_false(kv_fits(*state, &other));
	other = model;
	other.layer_first = 2;
	assert_false(kv_fits(*state, &other));
	other = model;
	other.sizes.d_head = 8;
	assert_false(kv_fits(*state, &other));
	other = model;
	other.sizes.d_value = 4;
	assert_false(kv_fits(*state, &other));
}

static void says_what_a_position_takes(void **state)
{
	(void)state;
	assert_int_equal(
	    kv_bytes_per_token(&model.sizes, KV_F16, 2), 2 * HEADS * (D_KEY + D_VALUE) * 2);
	assert_int_equal(kv_pages(0), 0);
	assert_int_equal(kv_pages(KV_PAGE_TOKENS), 1);
	assert_int_equal(kv_pages(KV_PAGE_TOKENS + 1), 2);
	/* a byte each, and a float for each part of 32 */
	assert_int_equal(kv_bytes_per_token(&wide_model.sizes, KV_INT8, 2),
	    2 * HEADS * (WIDE_KEY + WIDE_VALUE) / KV_PART * (KV_PART + 4));
}

/* Fills every byte that a head has in int8 with a mark of its own, and finds them all again. */
static void keeps_quants_and_scales_of_each_head_apart(void **state)
{
	struct kv *kv;

	(void)state;
	assert_int_equal(kv_new(&wide_model, CAPACITY, KV_INT8, &kv, NULL), AYNI_OK);
	assert_int_equal(kv_type(kv), KV_INT8);
	assert_int_equal(kv_reserve(kv, 0, CAPACITY, NULL), AYNI_OK);
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < 2 * HEADS * 3; i++) {
			struct kv_head page =
			    kv_head(kv, i % 2, i / 2 % HEADS, i / 2 / HEADS * KV_PAGE_TOKENS);
			const struct {
				void *at;
				size_t bytes;
			} pieces[] = {{page.keys, (size_t)WIDE_KEY * KV_PAGE_TOKENS},
			    {page.values, (size_t)WIDE_VALUE * KV_PAGE_TOKENS},
			    {page.key_scales, sizeof(float) * WIDE_KEY / KV_PART * KV_PAGE_TOKENS},
			    {page.value_scales,
			        sizeof(float) * WIDE_VALUE / KV_PART * KV_PAGE_TOKENS}};

			for (size_t j = 0; j < 4; j++)
				for (size_t b = 0; b < pieces[j].bytes; b++) {
					uint8_t *byte = (uint8_t *)pieces[j].at + b;

					if (pass == 0)
						*byte = (uint8_t)(4 * i + j + 1);
					else
						assert_int_equal(*byte, 4 * i + j + 1);
				}
		}
	kv_free(kv);
}

static void refuses_int8_for_heads_that_are_not_whole_parts(void **state)
{
	struct kv *kv = NULL;
	struct error err;

	(void)state;
	assert_false(kv_type_suits(KV_INT8, &model.sizes));
	assert_true(kv_type_suits(KV_F16, &model.sizes));
	assert_true(kv_type_suits(KV_INT8, &wide_model.sizes));
	assert_int_equal(kv_new(&model, CAPACITY, KV_INT8, &kv, &err), AYNI_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "choose f16"));
	assert_null(kv);
}

static void types_are_found_by_their_names_alone(void **state)
{
	enum kv_type type = KV_F16;

	(void)state;
	for (int i = 0; i < KV_TYPE_END; i++) {
		assert_true(kv_type_find(kv_type_name((enum kv_type)i), &type));
		assert_int_equal(type, i);
	}
	assert_false(kv_type_find("f32", &type));
	assert_false(kv_type_find("", &type));
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	kv_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(begins_empty, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(keeps_each_row_of_each_layer_apart, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(positions_of_one_page_lie_together, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(growing_keeps_what_is_there, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(going_back_forgets_what_came_after, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        a_cache_begins_with_what_another_holds, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(refuses_a_gap_and_keeps_its_length, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        refuses_more_than_its_capacity_and_keeps_its_length, set_up, tear_down),
	    cmocka_unit_test(refuses_a_capacity_of_none_or_past_the_limit),
	    cmocka_unit_test(a_large_capacity_takes_memory_only_as_it_fills),
	    cmocka_unit_test_setup_teardown(
	        fits_only_the_range_and_widths_it_was_made_for, set_up, tear_down),
	    cmocka_unit_test(says_what_a_position_takes),
	    cmocka_unit_test(keeps_quants_and_scales_of_each_head_apart),
	    cmocka_unit_test(refuses_int8_for_heads_that_are_not_whole_parts),
	    cmocka_unit_test(types_are_found_by_their_names_alone),
	    cmocka_unit_test(freeing_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
