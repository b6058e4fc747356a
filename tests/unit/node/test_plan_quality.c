/* SPDX-License-Identifier: Apache-2.0 */
/* How good plans are, beside the exact optimum of small instances, and how long they take. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "node/pool/plan.h"
#include "node/pool/plan_search.h"
#include "tests/support/exact_placement.h"

enum {
	INSTANCES = 500,
	MAX_LAYERS = 61,
	MANY = 10000,
	TYPES = 3, /* of weights */
	WAYS = 3   /* of one of many donors to others */
};

static uint64_t random_state;
static uint64_t layer_bytes[MAX_LAYERS];
static struct placement_part parts[2 * MAX_LAYERS + 1];
static uint32_t part_at[MAX_LAYERS + 2];
static struct offer_speed speeds[MANY][TYPES];
static struct placement_way ways[EXACT_MAX_DONORS][EXACT_MAX_DONORS];
static struct placement_way many_ways[MANY][WAYS];
static struct placement_model model;
static struct placement_donor donors[MANY];
static size_t n_donors;

static uint32_t below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % n;
}

/* From `least` to `least` * `times`, each power as likely as another. */
static double spread(double least, double times)
{
	return least * pow(times, below(100000) / 1e5);
}

static void begin(uint64_t seed, uint32_t n_layers)
{
	random_state = seed * 0x9e3779b97f4a7c15ULL;
	memset(donors, 0, sizeof donors);
	for (uint32_t i = 0; i < n_layers; i++)
		layer_bytes[i] = 1000;
	model = (struct placement_model){
	    .n_layers = n_layers, .layer_bytes = layer_bytes, .kv_layer_bytes = 1};
}

static struct plan *make_plan(void)
{
	const struct plan_settings settings = {.max_sessions = 4};
	struct plan *p = plan_new(donors, n_donors, &model, 1, &settings);

	assert_non_null(p);
	return p;
}

/* A layer's bytes are of two types at random, those of the head of another; what is not divided by
 * experts is read whole. */
static void mix_types(void)
{
	uint32_t n = 0;

	for (uint32_t l = 0; l < model.n_layers; l++) {
		uint64_t some = layer_bytes[l] / (1 + below(4));

		parts[n++] = (struct placement_part){below(2), some, some, 2 * some};
		parts[n++] = (struct placement_part){
		    2, (layer_bytes[l] - some) / (1 + below(8)), layer_bytes[l] - some, 0};
		part_at[l + 1] = n;
	}
	parts[n++] = (struct placement_part){1, model.last_bytes, model.last_bytes, 0};
	part_at[model.n_layers + 1] = n;
	model.parts = parts;
	model.part_at = part_at;
}

/* Of the types that the donor says anything of. */
static void offer_speeds(size_t i, double least, double times)
{
	struct offer_speed *s = speeds[i];

	donors[i].speeds = s;
	for (uint32_t type = 0; type < TYPES; type++) {
		if (below(4) == 0)
			continue;
		s[donors[i].n_speeds++] = (struct offer_speed){
		    type, (uint64_t)spread(least, times), (uint64_t)spread(2 * least, times)};
	}
}

/* One pair of donors in so many has a way, a tenth to twice as long as that over the pool. */
static void find_ways(uint32_t one_in)
{
	for (size_t i = 0; i < n_donors; i++)
		donors[i].ways = ways[i];
	for (size_t a = 0; a < n_donors; a++) {
		for (size_t b = a + 1; b < n_donors; b++) {
			double pool = (double)(donors[a].round_trip_us + donors[b].round_trip_us);
			uint64_t us = (uint64_t)(pool * spread(0.1, 20));

			if (below(one_in) > 0)
				continue;
			ways[a][donors[a].n_ways++] = (struct placement_way){&donors[b], us};
			ways[b][donors[b].n_ways++] = (struct placement_way){&donors[a], us};
		}
	}
}

/* ---- against the exact optimum -------------------------------------------------------------- */

static void make_instance(uint64_t seed)
{
	begin(seed, 1);
	model.n_layers = 1 + below(12);
	for (uint32_t i = 0; i < model.n_layers; i++)
		layer_bytes[i] = 1000000 * (uint64_t)spread(20, 5);
	model.first_bytes = 1000000ULL * below(200);
	model.last_bytes = 1000000ULL * below(200);
	model.kv_layer_bytes = 1000000ULL * below(10);
	model.activation_bytes = 16384;
	if (seed % 2 == 0)
		mix_types();
	n_donors = 1 + below(7);
	for (size_t i = 0; i < n_donors; i++) {
		donors[i] = (struct placement_donor){.usable = true,
		    .model = PLACEMENT_NO_MODEL,
		    .memory_bytes = (uint64_t)spread(6e7, 20),
		    .max_layers = below(4) == 0 ? 1 + below(6) : 0,
		    .read_bytes_per_s = (uint64_t)spread(1e9, 20),
		    .round_trip_us = (uint64_t)spread(200, 1000),
		    .link_bytes_per_s = below(2) == 0 ? (uint64_t)spread(1e5, 1000) : 0,
		    .stay_s = below(2) == 0 ? (uint64_t)spread(60, 1000) : 0};
		if (seed % 4 < 2)
			offer_speeds(i, 1e9, 20);
	}
	if (seed % 3 > 0)
		find_ways(1 + below(3));
}

static void a_path_is_within_5_percent_of_the_optimum(void **state)
{
	double worst = 1;
	uint32_t covered = 0;

	(void)state;
	for (uint64_t seed = 1; covered < INSTANCES; seed++) {
		double least;
		struct plan *p;

		make_instance(seed);
		least = exact_token_us(&model, donors, n_donors);
		p = make_plan();
		assert_int_equal(p->paths[0].n_stages > 0, least < INFINITY);
		if (least < INFINITY) {
			covered++;
			worst = fmax(worst, p->paths[0].us / least);
			assert_true(p->paths[0].us <= 1.05 * least);
		}
		plan_free(p);
	}
	print_message("%u instances, the worst %.4f times the optimum\n", covered, worst);
}

/* As on large instances, where not all states can be kept. */
static void a_narrow_search_is_within_5_percent_nearly_always(void **state)
{
	double worst = 1;
	uint32_t covered = 0, close = 0;

	(void)state;
	for (uint64_t seed = 1; covered < INSTANCES; seed++) {
		struct search_candidate list[EXACT_MAX_DONORS] = {0};
		static struct search_path path;
		struct search s = {
		    .model = &model, .candidates = list, .width = SEARCH_WIDTH_LEAST};
		double least;

		make_instance(seed);
		least = exact_token_us(&model, donors, n_donors);
		if (least == INFINITY)
			continue;
		covered++;
		for (size_t i = 0; i < n_donors; i++)
			list[i] = (struct search_candidate){.donor = &donors[i],
			    .index = i,
			    .within = {0, model.n_layers},
			    .mark = (int)i};
		s.n_candidates = n_donors;
		assert_int_equal(search_path(&s, &path), AYNI_OK);
		close += path.n_stages > 0 && path.us <= 1.05 * least;
		if (path.n_stages > 0)
			worst = fmax(worst, path.us / least);
	}
	print_message("width %d: %u of %u within 5 %%, the worst %.3f times the optimum\n",
	    SEARCH_WIDTH_LEAST, close, covered, worst);
	assert_true(close >= INSTANCES * 95 / 100);
}

/* ---- how long ------------------------------------------------------------------------------- */

static void random_donor(struct placement_donor *d)
{
	*d = (struct placement_donor){.usable = true,
	    .model = PLACEMENT_NO_MODEL,
	    .memory_bytes = (uint64_t)spread(3000, 20),
	    .read_bytes_per_s = (uint64_t)spread(1e5, 20),
	    .round_trip_us = (uint64_t)spread(200, 1000)};
}

static double seconds_since(const struct timespec *begun)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)(now.tv_sec - begun->tv_sec) + (double)(now.tv_nsec - begun->tv_nsec) / 1e9;
}

static void find_ways_of_many(void)
{
	for (size_t i = 0; i < n_donors; i++) {
		donors[i].ways = many_ways[i];
		donors[i].n_ways = WAYS;
		for (size_t k = 0; k < WAYS; k++)
			many_ways[i][k] = (struct placement_way){
			    &donors[(i + 1 + below(100)) % n_donors], 1 + below(20000)};
	}
}

static void hold(const struct plan *p)
{
	for (size_t k = 0; k < p->n_changes; k++) {
		struct placement_donor *d = &donors[p->changes[k].donor];

		assert_false(p->changes[k].unassign);
		d->model = p->changes[k].model;
		d->layers = p->changes[k].layers;
		d->ready = true;
	}
}

static void ten_thousand_donors_are_planned(void **state)
{
	struct timespec begun;
	struct plan *p;
	double first, again;

	(void)state;
	begin(1, MAX_LAYERS);
	mix_types();
	n_donors = MANY;
	for (size_t i = 0; i < n_donors; i++) {
		random_donor(&donors[i]);
		offer_speeds(i, 1e5, 20);
	}
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
	p = make_plan();
	first = seconds_since(&begun);
	assert_true(p->paths[0].n_stages > 0);
	hold(p);
	plan_free(p);
	find_ways_of_many();
	p = make_plan();
	donors[p->paths[0].stages[0].donor].usable = false;
	plan_free(p);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
	p = make_plan();
	again = seconds_since(&begun);
	print_message("%d donors, %d layers: planned in %.0f ms of a core; after one of its path "
	              "left in %.0f ms, %zu "
	              "changes\n",
	    MANY, MAX_LAYERS, first * 1e3, again * 1e3, p->n_changes);
	plan_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_path_is_within_5_percent_of_the_optimum),
	    cmocka_unit_test(a_narrow_search_is_within_5_percent_nearly_always),
	    cmocka_unit_test(ten_thousand_donors_are_planned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
