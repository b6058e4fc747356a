/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/cost.h"

#include <setjmp.h>

#include <cmocka.h>

/* The sizes that compute/README.md uses for its test vectors. */
static const struct model_sizes small = {.n_layers = 4,
    .n_vocabulary = 1000,
    .d_model = 64,
    .d_ff = 160,
    .n_heads = 8,
    .n_kv_heads = 2,
    .d_head = 8,
    .d_value = 8,
    .d_rope = 8,
    .context_tokens = 256};

static const struct model_sizes uneven = {.n_layers = 3,
    .n_vocabulary = 500,
    .d_model = 48,
    .d_ff = 96,
    .n_heads = 6,
    .n_kv_heads = 3,
    .d_head = 16,
    .d_value = 4,
    .d_rope = 8,
    .context_tokens = 256};

/* Every other layer sees 8 positions only. */
static const struct model_sizes windowed = {.n_layers = 4,
    .n_vocabulary = 1000,
    .d_model = 64,
    .d_ff = 160,
    .n_heads = 8,
    .n_kv_heads = 2,
    .d_head = 8,
    .d_value = 8,
    .d_rope = 8,
    .context_tokens = 256,
    .window = 8,
    .window_period = 2};

/* Latent attention, and from the second layer on 2 of 16 experts beside a shared one. */
static const struct model_sizes latent = {.n_layers = 3,
    .n_vocabulary = 500,
    .d_model = 64,
    .d_ff = 160,
    .n_heads = 4,
    .n_kv_heads = 1,
    .d_head = 24,
    .d_value = 16,
    .d_rope = 8,
    .d_latent = 32,
    .d_query_latent = 48,
    .context_tokens = 256,
    .experts = {.n = 16, .n_used = 2, .d_ff = 32, .d_ff_shared = 64, .n_dense_layers = 1}};

struct vector {
	const struct model_sizes *sizes;
	uint32_t first, last, position, n_tokens, n_logits;
	uint64_t flop;
};

/* The table of compute/README.md, worked out by hand there. */
static const struct vector vectors[] = {
    {&small, 0, 1, 0, 1, 0, 82176},
    {&small, 0, 4, 0, 1, 1, 456704},
    {&small, 0, 4, 100, 1, 1, 559104},
    {&small, 2, 4, 10, 5, 1, 980480},
    {&uneven, 0, 3, 7, 2, 2, 377808},
    {&windowed, 0, 1, 100, 1, 0, 83968},
    {&windowed, 1, 2, 100, 1, 0, 107776},
    {&windowed, 0, 2, 4, 10, 0, 1681664},
    {&latent, 0, 1, 0, 1, 0, 98880},
    {&latent, 1, 3, 9, 1, 1, 251648},
};

static uint64_t cost(const struct vector *v)
{
	struct flop out;

	assert_int_equal(
	    cost_span(v->sizes, v->first, v->last, v->position, v->n_tokens, v->n_logits, &out),
	    AYNI_OK);
	return flop_count(out);
}

static void equals_the_published_test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
		assert_int_equal(cost(&vectors[i]), vectors[i].flop);
}

static void is_the_sum_of_its_layers_and_of_its_tokens(void **state)
{
	struct vector whole = {&uneven, 0, 3, 20, 9, 3, 0};
	uint64_t by_layers = 0, by_tokens = 0;

	(void)state;
	for (uint32_t l = 0; l < 3; l++)
		by_layers += cost(&(struct vector){&uneven, l, l + 1, 20, 9, l == 2 ? 3 : 0, 0});
	for (uint32_t t = 0; t < 9; t++)
		by_tokens += cost(&(struct vector){&uneven, 0, 3, 20 + t, 1, t >= 6, 0});
	assert_int_equal(by_layers, cost(&whole));
	assert_int_equal(by_tokens, cost(&whole));
}

static void a_window_costs_token_by_token_what_it_costs_in_one(void **state)
{
	(void)state;
	for (uint32_t position = 0; position < 20; position++)
		for (uint32_t n = 1; n < 20; n++) {
			uint64_t by_tokens = 0;

			for (uint32_t t = 0; t < n; t++)
				by_tokens +=
				    cost(&(struct vector){&windowed, 0, 4, position + t, 1, 0, 0});
			assert_int_equal(
			    by_tokens, cost(&(struct vector){&windowed, 0, 4, position, n, 0, 0}));
		}
}

static void costs_nothing_for_no_tokens(void **state)
{
	(void)state;
	assert_int_equal(cost(&(struct vector){&small, 0, 4, 9, 0, 0, 0}), 0);
}

static void refuses_a_range_that_the_model_does_not_have(void **state)
{
	struct flop out;

	(void)state;
	assert_int_equal(cost_span(&small, 2, 2, 0, 1, 0, &out), AYNI_ERR_ARGUMENT);
	assert_int_equal(cost_span(&small, 3, 2, 0, 1, 0, &out), AYNI_ERR_ARGUMENT);
	assert_int_equal(cost_span(&small, 0, 5, 0, 1, 0, &out), AYNI_ERR_ARGUMENT);
}

static void refuses_logits_that_the_range_does_not_make(void **state)
{
	struct flop out;

	(void)state;
	assert_int_equal(cost_span(&small, 0, 3, 0, 1, 1, &out), AYNI_ERR_ARGUMENT);
	assert_int_equal(cost_span(&small, 0, 4, 0, 1, 2, &out), AYNI_ERR_ARGUMENT);
}

static void refuses_what_does_not_fit(void **state)
{
	struct model_sizes huge = small;
	struct flop out;

	(void)state;
	huge.n_layers = UINT32_MAX;
	huge.d_model = huge.d_ff = huge.n_heads = UINT32_MAX;
	assert_int_equal(cost_span(&huge, 0, 1, 0, 1, 0, &out), AYNI_ERR_LIMIT);
	assert_int_equal(cost_span(&small, 0, 4, UINT32_MAX, UINT32_MAX, 0, &out), AYNI_ERR_LIMIT);
	/* Past INT64_MAX, though it fits 64 bits without sign. */
	huge = small;
	huge.n_vocabulary = 1U << 31;
	huge.d_model = 1U << 31;
	assert_int_equal(cost_span(&huge, 3, 4, 0, 1, 1, &out), AYNI_ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equals_the_published_test_vectors),
	    cmocka_unit_test(is_the_sum_of_its_layers_and_of_its_tokens),
	    cmocka_unit_test(a_window_costs_token_by_token_what_it_costs_in_one),
	    cmocka_unit_test(costs_nothing_for_no_tokens),
	    cmocka_unit_test(refuses_a_range_that_the_model_does_not_have),
	    cmocka_unit_test(refuses_logits_that_the_range_does_not_make),
	    cmocka_unit_test(refuses_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
