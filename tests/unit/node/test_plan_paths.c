/* SPDX-License-Identifier: Apache-2.0 */
/* What the time of a path consists of, beside what all layers have in common: types of weights, and
 * ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "compute/quant.h"
#include "node/pool/plan.h"

enum { N_LAYERS = 8, MAX_DONORS = 4, LAYER_BYTES = 1000000 };

static uint64_t layer_bytes[N_LAYERS];
static struct placement_part parts[N_LAYERS];
static uint32_t part_at[N_LAYERS + 2];
static struct placement_model model;
static struct placement_donor donors[MAX_DONORS];
static size_t n_donors;

static const struct plan_settings settings = {.max_sessions = 1};

/* Q4_K, and Q6_K from a layer on. */
static int set_up(void **state)
{
	(void)state;
	memset(donors, 0, sizeof donors);
	n_donors = 0;
	for (uint32_t l = 0; l < N_LAYERS; l++) {
		layer_bytes[l] = LAYER_BYTES;
		parts[l] = (struct placement_part){
		    l < N_LAYERS / 2 ? TENSOR_Q4_K : TENSOR_Q6_K, LAYER_BYTES, LAYER_BYTES, 0};
		part_at[l + 1] = l + 1;
	}
	part_at[N_LAYERS + 1] = N_LAYERS;
	model = (struct placement_model){
	    .n_layers = N_LAYERS, .layer_bytes = layer_bytes, .parts = parts, .part_at = part_at};
	return 0;
}

/* That can hold all layers; of any type it reads one in a millisecond. */
static struct placement_donor *donor(uint64_t trip_us)
{
	struct placement_donor *d = &donors[n_donors++];

	*d = (struct placement_donor){.usable = true,
	    .ready = true,
	    .memory_bytes = 100ULL * LAYER_BYTES,
	    .model = PLACEMENT_NO_MODEL,
	    .read_bytes_per_s = 1000ULL * LAYER_BYTES,
	    .round_trip_us = trip_us};
	return d;
}

static struct plan *make_plan(void)
{
	struct plan *p = plan_new(donors, n_donors, &model, 1, &settings);

	assert_non_null(p);
	return p;
}

/* ---- types of weights ----------------------------------------------------------------------- */

static const struct offer_speed good_at_q4[] = {
    {TENSOR_Q4_K, 1000ULL * LAYER_BYTES, 1}, {TENSOR_Q6_K, 100ULL * LAYER_BYTES, 1}};
static const struct offer_speed good_at_q6[] = {
    {TENSOR_Q4_K, 100ULL * LAYER_BYTES, 1}, {TENSOR_Q6_K, 1000ULL * LAYER_BYTES, 1}};

static struct placement_donor *with(struct placement_donor *d, const struct offer_speed speeds[2])
{
	d->speeds = speeds;
	d->n_speeds = 2;
	return d;
}

static void layers_go_to_donors_that_are_good_at_their_type(void **state)
{
	struct plan *p;

	(void)state;
	with(donor(1000), good_at_q6);
	with(donor(1000), good_at_q4);
	p = make_plan();
	assert_int_equal(p->paths[0].n_stages, 2);
	assert_int_equal(p->paths[0].stages[0].donor, 1);
	assert_int_equal(p->paths[0].stages[0].layers.last, N_LAYERS / 2);
	assert_int_equal(p->paths[0].stages[1].donor, 0);
	assert_float_equal(p->paths[0].us, N_LAYERS * 1000 + 2 * 1000, 1);
	plan_free(p);
}

static void a_type_that_a_donor_says_nothing_of_is_read_as_any_other(void **state)
{
	struct placement_donor *d = donor(1000);

	(void)state;
	assert_float_equal(placement_layer_us(&model, d, 0), 1000, 1);
	with(d, good_at_q6);
	assert_float_equal(placement_layer_us(&model, d, 0), 10000, 1);
	assert_float_equal(placement_layer_us(&model, d, 4), 1000, 1);
	d->n_speeds = 1; /* Q4_K alone */
	d->read_bytes_per_s = 500ULL * LAYER_BYTES;
	assert_float_equal(placement_layer_us(&model, d, 4), 2000, 1);
}

static void computing_counts_where_it_takes_longer_than_reading(void **state)
{
	const struct offer_speed speeds[] = {{TENSOR_Q4_K, 1000ULL * LAYER_BYTES, 1000000}};
	struct placement_donor *d = donor(1000);
	struct layer_range first = {0, 1};

	(void)state;
	d->speeds = speeds;
	d->n_speeds = 1;
	parts[0].flop = 500;
	assert_float_equal(placement_offered_us(&model, d, first, 1), 1000, 1);
	assert_float_equal(placement_offered_us(&model, d, first, 8), 4000, 1);
}

/* What it says of a type moves layers for as long as nothing was seen of it, as for all offers. */
static void what_was_seen_corrects_all_types(void **state)
{
	struct placement_donor *d = with(donor(1000), good_at_q4);

	(void)state;
	d->pace = 3;
	assert_float_equal(placement_layer_us(&model, d, 0), 3000, 1);
	assert_float_equal(placement_layer_us(&model, d, 4), 30000, 1);
}

/* ---- ways between donors -------------------------------------------------------------------- */

/* Half of the model fits. */
static struct placement_donor *half(uint64_t trip_us)
{
	struct placement_donor *d = donor(trip_us);

	d->max_layers = N_LAYERS / 2;
	d->link_bytes_per_s = 1000000000;
	return d;
}

static struct placement_donor *holding(
    struct placement_donor *d, uint32_t first, uint32_t last, struct placement_way *way)
{
	d->model = 0;
	d->layers = (struct layer_range){first, last};
	d->ways = way;
	d->n_ways = way != NULL;
	return d;
}

static void assert_path(const struct plan *p, size_t first, size_t second)
{
	assert_int_equal(p->paths[0].n_stages, 2);
	assert_int_equal(p->paths[0].stages[0].donor, first);
	assert_int_equal(p->paths[0].stages[1].donor, second);
}

static void donors_with_a_quick_way_are_on_the_path_though_others_are_nearer(void **state)
{
	struct placement_way ways[2];
	struct placement_donor *a = holding(half(60000), 0, 4, &ways[0]);
	struct placement_donor *b = holding(half(60000), 4, 8, &ways[1]);
	struct plan *p;

	(void)state;
	holding(half(40000), 0, 4, NULL);
	holding(half(40000), 4, 8, NULL);
	ways[0] = (struct placement_way){b, 10000};
	ways[1] = (struct placement_way){a, 10000};
	p = make_plan();
	assert_path(p, 0, 1);
	assert_float_equal(p->paths[0].us, 8000 + 30000 + 5000 + 30000, 1);
	plan_free(p);
	a->n_ways = b->n_ways = 0;
	p = make_plan();
	assert_path(p, 2, 3);
	assert_float_equal(p->paths[0].us, 8000 + 40000 + 40000, 1);
	plan_free(p);
}

/* The third fastest of a range: its way makes up for it. */
static void a_slower_holder_is_on_the_path_for_its_way(void **state)
{
	struct placement_way ways[2];
	struct placement_donor *a = holding(half(50000), 0, 4, &ways[0]), *b;
	struct plan *p;

	(void)state;
	holding(half(50000), 4, 8, NULL);
	holding(half(50000), 4, 8, NULL);
	b = holding(half(52000), 4, 8, &ways[1]);
	ways[0] = (struct placement_way){b, 4000};
	ways[1] = (struct placement_way){a, 4000};
	p = make_plan();
	assert_path(p, 0, 3);
	plan_free(p);
}

static void a_way_that_is_longer_than_that_over_the_pool_counts_as_that(void **state)
{
	struct placement_way ways[2];
	struct placement_donor *a = holding(half(10000), 0, 4, &ways[0]);
	struct placement_donor *b = holding(half(10000), 4, 8, &ways[1]);
	struct plan *p;

	(void)state;
	ways[0] = (struct placement_way){b, 90000};
	ways[1] = (struct placement_way){a, 90000};
	p = make_plan();
	assert_float_equal(p->paths[0].us, 8000 + 20000, 1);
	plan_free(p);
}

static void a_way_that_was_not_measured_is_as_long_as_that_over_the_pool(void **state)
{
	struct placement_way way;
	struct placement_donor *a = holding(half(10000), 0, 4, &way);

	(void)state;
	way = (struct placement_way){holding(half(30000), 4, 8, NULL), 0};
	model.activation_bytes = 16000;
	a->link_bytes_per_s = 4000000;
	assert_float_equal(placement_hop_us(&model, a, way.to), 20000 + 4000, 1);
	assert_true(placement_hop_us(&model, way.to, a) < 0);
	way.round_trip_us = 24000;
	assert_float_equal(placement_hop_us(&model, a, way.to), 12000 + 4000, 1);
	way.round_trip_us = 1; /* they are 20 ms apart, as seen from the pool */
	assert_float_equal(placement_hop_us(&model, a, way.to), 10000 + 4000, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
	    TEST(layers_go_to_donors_that_are_good_at_their_type),
	    TEST(a_type_that_a_donor_says_nothing_of_is_read_as_any_other),
	    TEST(computing_counts_where_it_takes_longer_than_reading),
	    TEST(what_was_seen_corrects_all_types),
	    TEST(donors_with_a_quick_way_are_on_the_path_though_others_are_nearer),
	    TEST(a_slower_holder_is_on_the_path_for_its_way),
	    TEST(a_way_that_is_longer_than_that_over_the_pool_counts_as_that),
	    TEST(a_way_that_was_not_measured_is_as_long_as_that_over_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
