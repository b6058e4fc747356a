/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/pool/plan.h"

enum { MAX_DONORS = 24, MAX_LAYERS = 16, POPULATIONS = 2000 };

struct world {
	size_t n_donors, n_models;
	struct placement_donor donors[MAX_DONORS];
	struct placement_model models[2];
	uint64_t layer_bytes[2][MAX_LAYERS];
	uint32_t stages, max_sessions;
	uint32_t changes;
};

static struct world w;

static int set_up(void **state)
{
	(void)state;
	memset(&w, 0, sizeof w);
	w.max_sessions = 4;
	return 0;
}

static void model(uint32_t n_layers, uint64_t layer, uint64_t first, uint64_t last, uint64_t kv)
{
	for (uint32_t i = 0; i < n_layers; i++)
		w.layer_bytes[w.n_models][i] = layer;
	w.models[w.n_models] = (struct placement_model){.n_layers = n_layers,
	    .layer_bytes = w.layer_bytes[w.n_models],
	    .first_bytes = first,
	    .last_bytes = last,
	    .kv_layer_bytes = kv};
	w.n_models++;
}

static struct placement_donor *idle(uint64_t memory_bytes)
{
	struct placement_donor *d = &w.donors[w.n_donors++];

	*d = (struct placement_donor){.usable = true,
	    .ready = true,
	    .memory_bytes = memory_bytes,
	    .model = PLACEMENT_NO_MODEL};
	return d;
}

static struct placement_donor *holder(uint64_t memory_bytes, uint32_t first, uint32_t last)
{
	struct placement_donor *d = idle(memory_bytes);

	d->model = 0;
	d->layers = (struct layer_range){first, last};
	return d;
}

static struct plan *make_plan(void)
{
	struct plan_settings settings = {.stages = w.stages, .max_sessions = w.max_sessions};
	struct plan *p = plan_new(w.donors, w.n_donors, w.models, w.n_models, &settings);

	assert_non_null(p);
	return p;
}

/* The first change of a plan. */
static bool next(struct placement_change *c)
{
	struct plan *p = make_plan();
	bool any = p->n_changes > 0;

	if (any)
		*c = p->changes[0];
	plan_free(p);
	return any;
}

static uint64_t weight(uint32_t m, struct layer_range r)
{
	uint64_t sum = r.first == 0 ? w.models[m].first_bytes : 0;

	sum += r.last == w.models[m].n_layers ? w.models[m].last_bytes : 0;
	for (uint32_t i = r.first; i < r.last; i++)
		sum += w.layer_bytes[m][i];
	return sum;
}

/* Each change must be one that can be carried out. */
static void apply(const struct placement_change *c)
{
	struct placement_donor *d = &w.donors[c->donor];
	uint64_t kv;

	assert_true(c->donor < w.n_donors && d->usable);
	if (c->unassign) {
		assert_int_not_equal(d->model, PLACEMENT_NO_MODEL);
		d->model = PLACEMENT_NO_MODEL;
		d->layers = (struct layer_range){0, 0};
		return;
	}
	assert_int_equal(d->model, PLACEMENT_NO_MODEL);
	assert_true(c->model < w.n_models && c->layers.first < c->layers.last &&
	            c->layers.last <= w.models[c->model].n_layers);
	assert_true(d->max_layers == 0 || c->layers.last - c->layers.first <= d->max_layers);
	assert_in_range(c->max_sessions, 1, w.max_sessions);
	kv = w.models[c->model].kv_layer_bytes * (c->layers.last - c->layers.first);
	assert_true(weight(c->model, c->layers) + kv * c->max_sessions <= d->memory_bytes);
	d->model = c->model;
	d->layers = c->layers;
}

/* Plan and carry out until nothing is left to change; what is fetched is ready by the next. */
static void settle(void)
{
	for (size_t n = 1; n > 0;) {
		struct plan *p = make_plan();

		n = p->n_changes;
		for (size_t i = 0; i < n; i++)
			apply(&p->changes[i]);
		w.changes += (uint32_t)n;
		plan_free(p);
		assert_true(w.changes <= 4 * MAX_DONORS);
	}
}

static size_t missing(uint32_t m)
{
	struct layer_range gaps[MAX_LAYERS];
	size_t n =
	    placement_missing(w.donors, w.n_donors, m, w.models[m].n_layers, gaps, MAX_LAYERS);
	size_t layers = 0;

	for (size_t i = 0; i < n; i++)
		layers += gaps[i].last - gaps[i].first;
	return layers;
}

static void assert_holds(size_t donor, uint32_t first, uint32_t last)
{
	assert_int_equal(w.donors[donor].model, 0);
	assert_int_equal(w.donors[donor].layers.first, first);
	assert_int_equal(w.donors[donor].layers.last, last);
}

/* ---- examples ------------------------------------------------------------------------------- */

static void donors_that_can_only_together_hold_a_model_share_it(void **state)
{
	(void)state;
	model(8, 100, 50, 70, 10);
	idle(400);
	idle(50 + 5 * 100 + 5 * 10 + 109);
	settle();
	assert_int_equal(missing(0), 0);
	assert_int_equal(w.donors[0].layers.last - w.donors[0].layers.first, 3);
	assert_int_equal(w.donors[1].layers.last - w.donors[1].layers.first, 5);
}

static void while_not_all_can_be_held_the_donor_that_can_hold_most_comes_first(void **state)
{
	(void)state;
	model(12, 100, 0, 0, 1);
	idle(250);
	idle(450);
	idle(350);
	settle();
	assert_holds(1, 0, 4);
	assert_holds(2, 4, 7);
	assert_holds(0, 7, 9);
}

static void a_heavy_head_makes_the_last_stage_shorter(void **state)
{
	(void)state;
	model(8, 100, 0, 300, 1);
	w.stages = 2;
	idle(10000);
	idle(10000);
	settle();
	assert_int_equal(w.donors[0].layers.last + w.donors[1].layers.last, 13);
	assert_int_equal(missing(0), 0);
}

static void with_stages_ranges_are_cut_in_equal_parts(void **state)
{
	(void)state;
	model(7, 100, 0, 0, 1);
	w.stages = 3;
	for (size_t i = 0; i < 3; i++)
		idle(10000);
	settle();
	assert_holds(0, 0, 2);
	assert_holds(1, 2, 4);
	assert_holds(2, 4, 7);
}

static void more_stages_than_layers_are_one_layer_each(void **state)
{
	(void)state;
	model(3, 100, 0, 0, 1);
	w.stages = 50;
	for (size_t i = 0; i < 3; i++)
		idle(10000);
	settle();
	for (uint32_t i = 0; i < 3; i++)
		assert_holds(i, i, i + 1);
}

static void a_stage_is_given_whole_or_not_at_all(void **state)
{
	struct placement_change c = {0};

	(void)state;
	model(8, 100, 0, 0, 1);
	w.stages = 2;
	idle(350);
	assert_false(next(&c));
	idle(450);
	assert_true(next(&c));
	assert_int_equal(c.donor, 1);
	assert_int_equal(c.layers.last, 4);
}

static void large_donors_are_kept_for_what_only_they_can_hold(void **state)
{
	(void)state;
	model(4, 100, 0, 500, 1);
	w.stages = 2;
	idle(1000); /* only this one can hold the last stage */
	idle(350);
	settle();
	assert_int_equal(missing(0), 0);
	assert_holds(0, 3, 4);
}

static void weights_that_leave_no_room_for_a_session_do_not_fit(void **state)
{
	struct placement_change c = {0};

	(void)state;
	model(1, 100, 10, 10, 30);
	idle(120);
	idle(149);
	assert_false(next(&c));
	idle(150);
	assert_true(next(&c));
	assert_int_equal(c.donor, 2);
	assert_int_equal(c.max_sessions, 1);
}

static void sessions_are_as_many_as_memory_allows(void **state)
{
	struct placement_change c = {0};

	(void)state;
	model(2, 100, 0, 0, 10);
	idle(200 + 3 * 20 + 19);
	assert_true(next(&c));
	assert_int_equal(c.max_sessions, 3);
	w.donors[0].memory_bytes = UINT64_MAX;
	assert_true(next(&c));
	assert_int_equal(c.max_sessions, w.max_sessions);
}

static void a_donors_own_limit_on_layers_is_kept(void **state)
{
	(void)state;
	model(6, 1, 0, 0, 1);
	for (size_t i = 0; i < 3; i++)
		idle(10000)->max_layers = 2;
	settle();
	assert_int_equal(missing(0), 0);
}

static void a_gap_between_holders_is_filled_and_not_crossed(void **state)
{
	(void)state;
	model(8, 100, 0, 0, 1);
	holder(350, 0, 3);
	holder(350, 5, 8);
	idle(350);
	settle();
	assert_holds(2, 3, 5);
}

static void an_unusable_donor_covers_nothing_and_gets_nothing(void **state)
{
	struct placement_change c = {0};

	(void)state;
	model(2, 100, 0, 0, 1);
	holder(1000, 0, 2)->usable = false;
	assert_int_equal(missing(0), 2);
	assert_false(next(&c));
	idle(1000);
	settle();
	assert_holds(1, 0, 2);
}

static void a_redundant_donor_is_freed_for_a_gap(void **state)
{
	struct placement_change c = {0};

	(void)state;
	model(4, 100, 0, 0, 1);
	holder(250, 0, 2);
	holder(250, 0, 2);
	assert_true(next(&c));
	assert_true(c.unassign);
	settle();
	assert_int_equal(missing(0), 0);
}

static void no_donor_is_freed_that_could_not_help(void **state)
{
	struct placement_change c = {0};

	(void)state;
	model(4, 100, 0, 1000, 1);
	w.stages = 2;
	holder(400, 0, 3);
	holder(400, 0, 3);
	assert_false(next(&c));
}

static void the_rarest_range_is_copied_first(void **state)
{
	(void)state;
	model(4, 100, 0, 0, 1);
	holder(250, 0, 2);
	holder(250, 0, 2);
	holder(250, 2, 4);
	idle(250);
	settle();
	assert_holds(3, 2, 4);
}

static void a_second_model_gets_its_donors_too(void **state)
{
	(void)state;
	model(2, 100, 0, 0, 1);
	model(3, 100, 0, 0, 1);
	idle(1000);
	idle(1000);
	settle();
	assert_int_equal(missing(0) + missing(1), 0);
}

static void nothing_changes_where_there_is_nothing(void **state)
{
	struct placement_change c = {0};
	struct layer_range gaps[1];

	(void)state;
	assert_false(next(&c));
	idle(100);
	assert_false(next(&c));
	model(4, 1, 0, 0, 1);
	w.n_donors = 0;
	assert_false(next(&c));
	assert_int_equal(placement_missing(w.donors, 0, 0, 4, gaps, 1), 1);
	assert_int_equal(gaps[0].last, 4);
}

/* ---- properties -------------------------------------------------------------------------------
 */

static uint64_t random_state;

static uint32_t below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % n;
}

static void populate(uint64_t seed)
{
	(void)set_up(NULL);
	random_state = seed;
	for (uint32_t m = 1 + below(2); m > 0; m--)
		model(
		    1 + below(MAX_LAYERS), 50 + below(100), below(300), below(300), 1 + below(20));
	w.stages = below(6);
	w.max_sessions = 1 + below(8);
	for (uint32_t n = below(MAX_DONORS); n > 0; n--) {
		struct placement_donor *d = idle(below(2500));

		d->usable = below(10) > 0;
		d->max_layers = below(3) == 0 ? 1 + below(4) : 0;
		if (below(4) == 0) {
			d->model = below((uint32_t)w.n_models);
			d->layers.first = below(w.models[d->model].n_layers);
			d->layers.last = d->layers.first + 1 +
			                 below(w.models[d->model].n_layers - d->layers.first);
		}
	}
}

/* Could this donor alone hold the whole model, by the rules? */
static bool can_hold_all(const struct placement_donor *d, uint32_t m)
{
	struct layer_range all = {0, w.models[m].n_layers};

	return d->usable && d->model == PLACEMENT_NO_MODEL && w.stages <= 1 &&
	       (d->max_layers == 0 || d->max_layers >= all.last) &&
	       weight(m, all) + w.models[m].kv_layer_bytes * all.last <= d->memory_bytes &&
	       weight(m, all) < d->memory_bytes;
}

static void any_population_settles_and_loses_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= POPULATIONS; seed++) {
		size_t before[2] = {0};
		bool coverable;

		populate(seed);
		for (uint32_t m = 0; m < w.n_models; m++)
			before[m] = missing(m);
		coverable = false;
		for (size_t i = 0;
		     i < w.n_donors && w.n_models == 1 && before[0] == w.models[0].n_layers; i++)
			coverable |= can_hold_all(&w.donors[i], 0);
		settle();
		for (uint32_t m = 0; m < w.n_models; m++)
			assert_true(missing(m) <= before[m]);
		assert_true(!coverable || missing(0) == 0);
	}
}

/* With layers of one size and nothing beside them, capacity is a number of layers. */
static void a_model_is_covered_whenever_the_donors_have_room(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= POPULATIONS; seed++) {
		uint64_t capacity = 0;

		(void)set_up(NULL);
		random_state = seed;
		model(1 + below(MAX_LAYERS), 100, 0, 0, 10);
		for (uint32_t n = below(MAX_DONORS); n > 0; n--) {
			struct placement_donor *d = idle(below(800));
			uint64_t layers = d->memory_bytes / 110;

			d->max_layers = below(3) == 0 ? 1 + below(3) : 0;
			capacity +=
			    d->max_layers > 0 && d->max_layers < layers ? d->max_layers : layers;
		}
		settle();
		assert_int_equal(missing(0) == 0, capacity >= w.models[0].n_layers);
	}
}

/* Stages of one size, the last one heavier: donors of two kinds. */
static void stages_are_covered_whenever_the_donors_have_room(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= POPULATIONS; seed++) {
		uint32_t small = 0, large = 0;

		(void)set_up(NULL);
		random_state = seed;
		w.stages = 1 + below(4);
		model(w.stages * (1 + below(4)), 100, 0, 1000, 1);
		for (uint32_t n = below(8); n > 0; n--) {
			bool is_large = below(2) == 0;

			idle(is_large ? 3000 : 900);
			large += is_large;
			small += !is_large;
		}
		settle();
		assert_int_equal(missing(0) == 0, large > 0 && large + small >= w.stages);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
	    TEST(donors_that_can_only_together_hold_a_model_share_it),
	    TEST(while_not_all_can_be_held_the_donor_that_can_hold_most_comes_first),
	    TEST(a_heavy_head_makes_the_last_stage_shorter),
	    TEST(with_stages_ranges_are_cut_in_equal_parts),
	    TEST(more_stages_than_layers_are_one_layer_each),
	    TEST(a_stage_is_given_whole_or_not_at_all),
	    TEST(large_donors_are_kept_for_what_only_they_can_hold),
	    TEST(weights_that_leave_no_room_for_a_session_do_not_fit),
	    TEST(sessions_are_as_many_as_memory_allows),
	    TEST(a_donors_own_limit_on_layers_is_kept),
	    TEST(a_gap_between_holders_is_filled_and_not_crossed),
	    TEST(an_unusable_donor_covers_nothing_and_gets_nothing),
	    TEST(a_redundant_donor_is_freed_for_a_gap),
	    TEST(no_donor_is_freed_that_could_not_help),
	    TEST(the_rarest_range_is_copied_first),
	    TEST(a_second_model_gets_its_donors_too),
	    TEST(nothing_changes_where_there_is_nothing),
	    TEST(any_population_settles_and_loses_nothing),
	    TEST(a_model_is_covered_whenever_the_donors_have_room),
	    TEST(stages_are_covered_whenever_the_donors_have_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
