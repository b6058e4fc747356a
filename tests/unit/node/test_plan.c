/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/pool/plan.h"

enum {
	EVENTS = 1000,
	MAX_DONORS = 24,
	MAX_LAYERS = 16,
	SETTLES_IN = 4 /* plans, after an event */
};

static uint64_t random_state;
static uint64_t layer_bytes[MAX_LAYERS];
static struct placement_model model;
static struct placement_donor donors[MAX_DONORS];
static size_t n_donors;
static struct plan_settings settings;

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

static int set_up(void **state)
{
	(void)state;
	random_state = 1;
	n_donors = 0;
	memset(donors, 0, sizeof donors);
	settings = (struct plan_settings){.max_sessions = 4};
	return 0;
}

static void even_model(uint32_t n_layers, uint64_t bytes)
{
	for (uint32_t i = 0; i < n_layers; i++)
		layer_bytes[i] = bytes;
	model = (struct placement_model){
	    .n_layers = n_layers, .layer_bytes = layer_bytes, .kv_layer_bytes = 1};
}

/* Reading a layer of 1000 bytes takes it us_per_layer. */
static struct placement_donor *donor(uint64_t layers, uint64_t us_per_layer, uint64_t trip_us)
{
	struct placement_donor *d = &donors[n_donors++];

	*d = (struct placement_donor){.usable = true,
	    .ready = true,
	    .memory_bytes = layers * 1100,
	    .model = PLACEMENT_NO_MODEL,
	    .read_bytes_per_s = 1000 * 1000000 / us_per_layer,
	    .round_trip_us = trip_us};
	return d;
}

static struct placement_donor *holding(struct placement_donor *d, uint32_t first, uint32_t last)
{
	d->model = 0;
	d->layers = (struct layer_range){first, last};
	return d;
}

static struct plan *make_plan(void)
{
	struct plan *p = plan_new(donors, n_donors, &model, 1, &settings);

	assert_non_null(p);
	return p;
}

static bool held_elsewhere(size_t donor_number, uint32_t layer)
{
	for (size_t i = 0; i < n_donors; i++) {
		const struct placement_donor *d = &donors[i];

		if (i != donor_number && d->usable && d->ready && d->model == 0 &&
		    d->layers.first <= layer && layer < d->layers.last)
			return true;
	}
	return false;
}

static size_t missing(void)
{
	struct layer_range gap;

	return placement_missing(donors, n_donors, 0, model.n_layers, &gap, 1);
}

/* With what plan.h says of changes. */
static void carry_out(const struct plan *p)
{
	bool covered = missing() == 0;

	for (size_t k = 0; k < p->n_changes; k++) {
		const struct placement_change *c = &p->changes[k];
		struct placement_donor *d = &donors[c->donor];

		assert_true(d->usable);
		if (c->unassign) {
			const struct placement_change *then = &p->changes[k + 1];

			assert_int_equal(d->sessions, 0);
			assert_true(k + 1 < p->n_changes && then->donor == c->donor);
			for (uint32_t l = d->layers.first; covered && l < d->layers.last; l++)
				assert_true((then->layers.first <= l && l < then->layers.last) ||
				            held_elsewhere(c->donor, l));
			d->model = PLACEMENT_NO_MODEL;
			d->layers = (struct layer_range){0, 0};
			continue;
		}
		assert_int_equal(d->model, PLACEMENT_NO_MODEL);
		assert_true(placement_sessions(&model, d, c->layers, 1) > 0);
		d->model = c->model;
		d->layers = c->layers;
		d->ready = false;
	}
}

/* The number of changes until there are none; what is fetched gets ready between plans. */
static size_t settle(void)
{
	size_t changes = 0;

	for (uint32_t plans = 0;; plans++) {
		struct plan *p = make_plan();
		size_t n = p->n_changes;

		assert_true(plans <= SETTLES_IN);
		carry_out(p);
		plan_free(p);
		changes += n;
		for (size_t i = 0; i < n_donors; i++)
			donors[i].ready = true;
		if (n == 0)
			return changes;
	}
}

/* ---- what the plan is for ------------------------------------------------------------------- */

static void a_slow_fifth_donor_does_not_lower_the_speed_of_a_stream(void **state)
{
	struct plan *four, *five;

	(void)state;
	even_model(16, 1000);
	for (uint32_t i = 0; i < 4; i++)
		(void)donor(4, 1000, 2000);
	four = make_plan();
	assert_int_equal(four->paths[0].n_stages, 4);
	(void)donor(16, 20000, 50000);
	five = make_plan();
	assert_true(five->paths[0].us <= four->paths[0].us);
	assert_int_equal(five->donors[4].role, PLAN_REPLICA); /* each range has one holder */
	plan_free(five);
	for (uint32_t i = 0; i < 4; i++)
		(void)donor(4, 1000, 2000);
	five = make_plan();
	for (size_t i = 0; i < n_donors; i++) {
		if (i != 4)
			assert_int_not_equal(five->donors[i].role, PLAN_SPARE);
	}
	plan_free(five);
	plan_free(four);
}

static void a_donor_that_would_slow_streams_is_a_spare_and_says_by_how_much(void **state)
{
	struct plan *p;

	(void)state;
	even_model(4, 1000);
	holding(donor(4, 1000, 1000), 0, 4);
	holding(donor(4, 1000, 1000), 0, 4);
	(void)donor(4, 20000, 1000);
	p = make_plan();
	assert_int_equal(p->donors[2].role, PLAN_SPARE);
	assert_int_equal(p->donors[2].reason, PLAN_TOO_SLOW);
	assert_float_equal(p->donors[2].with_us, 81000, 1);
	assert_float_equal(p->paths[0].us, 5000, 1);
	assert_int_equal(p->n_changes, 0);
	plan_free(p);
}

static void a_donor_too_small_for_any_range_is_a_spare(void **state)
{
	struct plan *p;

	(void)state;
	even_model(4, 1000);
	holding(donor(4, 1000, 1000), 0, 4);
	(void)donor(0, 1000, 1000);
	p = make_plan();
	assert_int_equal(p->donors[1].role, PLAN_SPARE);
	assert_int_equal(p->donors[1].reason, PLAN_TOO_SMALL);
	plan_free(p);
}

/* Two donors that share a model, and two others that hold the same: 8 ms and two trips. Moved, one
 * of them could do it alone. */
static size_t changes_if_alone_it_takes(uint64_t us_per_layer)
{
	size_t n;

	(void)set_up(NULL);
	even_model(8, 1000);
	holding(donor(4, 1000, 2000), 0, 4);
	holding(donor(4, 1000, 2000), 4, 8);
	holding(donor(8, us_per_layer, 2000), 0, 4);
	holding(donor(4, 1000, 2000), 4, 8);
	n = settle();
	assert_true(n == 0 || donors[2].layers.last == 8);
	return n;
}

static void donors_move_only_if_a_token_is_faster_by_a_tenth(void **state)
{
	(void)state;
	assert_int_equal(changes_if_alone_it_takes(1140), 0); /* 12.0 to 11.1 ms */
	assert_true(changes_if_alone_it_takes(1100) > 0);     /* 12.0 to 10.8 ms */
}

static void a_donor_with_sessions_keeps_its_layers(void **state)
{
	(void)state;
	even_model(8, 1000);
	holding(donor(8, 1000, 2000), 0, 4)->sessions = 1;
	holding(donor(8, 1000, 2000), 0, 4);
	holding(donor(8, 1000, 2000), 4, 8)->sessions = 1;
	(void)settle();
	assert_int_equal(donors[0].layers.last, 4);
	assert_int_equal(donors[1].layers.last, 8); /* it moved: alone it is faster */
	assert_int_equal(donors[2].layers.first, 4);
}

static void the_last_that_is_ready_with_some_layers_keeps_them(void **state)
{
	struct plan *p;

	(void)state;
	even_model(8, 1000);
	holding(donor(8, 1000, 2000), 0, 4);
	holding(donor(8, 1000, 2000), 0, 4)->ready = false;
	holding(donor(8, 1000, 2000), 4, 8);
	p = make_plan();
	for (size_t k = 0; k < p->n_changes; k++)
		assert_int_equal(p->changes[k].donor, 1);
	plan_free(p);
}

/* A slow donor holds all; a fast one that can hold half takes that half, and then the slow one
 * keeps only what is left. */
static void who_holds_all_gives_up_what_a_faster_donor_has(void **state)
{
	struct plan *p;

	(void)state;
	even_model(8, 1000);
	holding(donor(8, 10000, 2000), 0, 8);
	(void)donor(4, 1000, 2000);
	p = make_plan();
	assert_int_equal(p->n_changes, 1); /* first the fast one fetches */
	assert_int_equal(p->changes[0].donor, 1);
	plan_free(p);
	(void)settle();
	assert_int_equal(donors[0].layers.last - donors[0].layers.first, 4);
	assert_int_equal(donors[1].layers.last - donors[1].layers.first, 4);
	assert_int_equal(missing(), 0);
}

static void the_scarcest_range_gets_replicas_first(void **state)
{
	(void)state;
	even_model(6, 1000);
	settings.stages = 3;
	for (uint32_t i = 0; i < 3; i++)
		holding(donor(2, 1000, 2000), 0, 2);
	for (uint32_t i = 0; i < 2; i++)
		holding(donor(2, 1000, 2000), 2, 4);
	holding(donor(2, 1000, 2000), 4, 6);
	for (uint32_t i = 0; i < 3; i++)
		(void)donor(2, 1000, 2000);
	assert_int_equal(settle(), 3);
	assert_int_equal(donors[6].layers.first, 4);
	for (size_t i = 7; i < 9; i++)
		assert_true(donors[i].layers.first == 2 || donors[i].layers.first == 4);
	assert_int_not_equal(donors[7].layers.first, donors[8].layers.first);
}

static void donors_too_small_for_a_range_make_a_path_of_their_own(void **state)
{
	uint32_t first;

	(void)state;
	even_model(8, 1000);
	holding(donor(8, 1000, 1000), 0, 8);
	(void)donor(3, 1000, 1000);
	(void)donor(6, 1000, 1000);
	assert_int_equal(settle(), 2);
	first = donors[1].layers.last - donors[1].layers.first;
	assert_int_equal(first + donors[2].layers.last - donors[2].layers.first, 8);
	donors[1].usable = false; /* without it the other joins no path, until one like it comes */
	assert_int_equal(settle(), 0);
	(void)donor(3, 1000, 1000);
	assert_int_equal(settle(), 1);
	assert_int_equal(donors[3].layers.last - donors[3].layers.first, first);
}

static void gains_are_told_and_not_taken_while_the_caller_holds(void **state)
{
	struct plan *p;

	(void)state;
	even_model(8, 1000);
	holding(donor(8, 10000, 2000), 0, 8);
	(void)donor(4, 1000, 2000);
	settings.hold = true;
	p = make_plan();
	assert_true(p->gains);
	assert_int_equal(p->n_changes, 0);
	plan_free(p);
}

/* ---- whatever comes and goes ---------------------------------------------------------------- */

static void random_donor(struct placement_donor *d)
{
	*d = (struct placement_donor){.usable = true,
	    .model = PLACEMENT_NO_MODEL,
	    .memory_bytes = (uint64_t)spread(3000, 20),
	    .read_bytes_per_s = (uint64_t)spread(1e5, 20),
	    .round_trip_us = (uint64_t)spread(200, 1000)};
}

static void joins_and_leaves_are_followed_by_few_changes(void **state)
{
	size_t most = 0, sum = 0, moves = 0;

	(void)state;
	even_model(16, 1000);
	n_donors = MAX_DONORS;
	for (size_t i = 0; i < n_donors; i++)
		donors[i].model = PLACEMENT_NO_MODEL;
	for (uint32_t event = 0; event < EVENTS; event++) {
		struct placement_donor *d = &donors[below(MAX_DONORS)];
		bool joins = !d->usable;
		size_t n;

		if (joins)
			random_donor(d);
		else
			*d = (struct placement_donor){.model = PLACEMENT_NO_MODEL};
		for (size_t i = 0; i < n_donors; i++)
			donors[i].sessions =
			    donors[i].model == 0 && below(4) == 0 ? 1 + below(3) : 0;
		n = settle();
		sum += n;
		most = n > most ? n : most;
		moves += n > 1;
	}
	print_message("%d events: %zu changes, at most %zu after one; %zu with more than one\n",
	    EVENTS, sum, most, moves);
	assert_true(sum <= 4 * EVENTS);
	assert_true(most <= MAX_DONORS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
	    TEST(a_slow_fifth_donor_does_not_lower_the_speed_of_a_stream),
	    TEST(a_donor_that_would_slow_streams_is_a_spare_and_says_by_how_much),
	    TEST(a_donor_too_small_for_any_range_is_a_spare),
	    TEST(donors_move_only_if_a_token_is_faster_by_a_tenth),
	    TEST(a_donor_with_sessions_keeps_its_layers),
	    TEST(the_last_that_is_ready_with_some_layers_keeps_them),
	    TEST(who_holds_all_gives_up_what_a_faster_donor_has),
	    TEST(the_scarcest_range_gets_replicas_first),
	    TEST(donors_too_small_for_a_range_make_a_path_of_their_own),
	    TEST(gains_are_told_and_not_taken_while_the_caller_holds),
	    TEST(joins_and_leaves_are_followed_by_few_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
