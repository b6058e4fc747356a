/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's placement over hours with donors that offer something else than they do: some boast,
 * some are modest, all take longer than they measured, each unit takes another time. The plan, the
 * pace and the wait before donors move are those of the pool; time, donors and noise are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/pool/pace.h"
#include "node/pool/plan.h"
#include "tests/support/exact_placement.h"

enum {
	N_DONORS = 8,
	N_LAYERS = 12,
	LAYER_BYTES = 50000000,
	FETCH_S = 30,
	TICK_S = 10, /* between plans */
	HOUR_S = 3600,
	FLEETS = 10
};

static const uint64_t second_us = 1000000;

struct donor {
	struct placement_donor offer;
	double truth_us; /* of a layer */
	struct pace pace;
	uint64_t ready_s, idle_us; /* it holds its layers, it is free again */
};

struct fleet {
	struct donor donors[N_DONORS];
	struct placement_model model;
	double usual;
	struct plan_wishes wishes;
	struct plan *plan;
	uint64_t now_s;
	bool learns;
	uint32_t moves; /* of donors that held something */
};

static uint64_t layer_bytes[N_LAYERS];
static uint64_t random_state;

/* In [least, most) */
static double some(double least, double most)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return least + (most - least) * (double)(random_state >> 33) / (double)(1ULL << 31);
}

/* Each takes 1.6 times what reading takes, and offers from a quarter to twice what it has. */
static void begin(struct fleet *f, uint64_t seed, bool learns)
{
	memset(f, 0, sizeof *f);
	random_state = seed;
	f->learns = learns;
	f->now_s = 1;
	for (size_t i = 0; i < N_LAYERS; i++)
		layer_bytes[i] = LAYER_BYTES;
	f->model = (struct placement_model){.n_layers = N_LAYERS, .layer_bytes = layer_bytes};
	for (size_t i = 0; i < N_DONORS; i++) {
		double bytes_per_s = some(1e9, 8e9);

		f->donors[i].truth_us = 1.6 * LAYER_BYTES / bytes_per_s * 1e6;
		f->donors[i].offer = (struct placement_donor){.usable = true,
		    .memory_bytes = (uint64_t)(some(4, 13) * LAYER_BYTES),
		    .model = PLACEMENT_NO_MODEL,
		    .read_bytes_per_s = (uint64_t)(bytes_per_s * some(0.25, 2)),
		    .link_bytes_per_s = 10000000,
		    .round_trip_us = (uint64_t)some(2e3, 4e4)};
	}
}

/* What the first has is as slow as it gets, what it says is better than all others. */
static void add_boaster(struct fleet *f)
{
	f->donors[0].truth_us = 1.6 * LAYER_BYTES / 1e9 * 1e6;
	f->donors[0].offer.read_bytes_per_s = 50000000000;
	f->donors[0].offer.memory_bytes = 100ULL * LAYER_BYTES;
	f->donors[0].offer.round_trip_us = 2000;
}

static void carry_out(struct fleet *f)
{
	for (size_t i = 0; i < f->plan->n_changes; i++) {
		const struct placement_change *c = &f->plan->changes[i];
		struct donor *d = &f->donors[c->donor];

		f->moves += c->unassign;
		d->offer.model = c->unassign ? PLACEMENT_NO_MODEL : c->model;
		d->offer.layers = c->unassign ? (struct layer_range){0, 0} : c->layers;
		d->ready_s = f->now_s + FETCH_S;
	}
}

static void plan(struct fleet *f)
{
	struct plan_settings settings = {.max_sessions = 1};
	struct placement_donor donors[N_DONORS];

	for (size_t i = 0; i < N_DONORS; i++) {
		struct donor *d = &f->donors[i];

		donors[i] = d->offer;
		donors[i].ready = d->offer.model != PLACEMENT_NO_MODEL && d->ready_s <= f->now_s;
		if (f->learns)
			donors[i].pace = pace_relative(&d->pace, &f->usual, f->now_s * second_us);
	}
	f->model.pace = f->learns ? f->usual : 0;
	plan_wishes_hold(&f->wishes, f->now_s * second_us, &settings);
	plan_free(f->plan);
	f->plan = plan_new(donors, N_DONORS, &f->model, 1, &settings);
	assert_non_null(f->plan);
	carry_out(f);
	plan_wishes_note(&f->wishes, f->plan, f->now_s * second_us);
}

/* One unit after the other, for a tick. Now and then one takes five times as long. Nobody says more
 * than half of what it took. */
static void work(struct fleet *f, const struct plan_stage *s)
{
	struct donor *d = &f->donors[s->donor];
	double layers = s->layers.last - s->layers.first;
	uint64_t begin_us = f->now_s * second_us;

	if (d->idle_us < begin_us)
		d->idle_us = begin_us;
	while (d->idle_us < begin_us + TICK_S * second_us) {
		double truth = layers * d->truth_us * some(0.8, 1.2) * (some(0, 50) < 1 ? 5 : 1);
		uint64_t trip = (uint64_t)((double)d->offer.round_trip_us * some(0.9, 1.1));
		struct pace_unit u = {.away_us = trip + (uint64_t)truth,
		    .said_us = (uint64_t)(truth / 2),
		    .trip_us = d->offer.round_trip_us};

		d->idle_us += u.away_us;
		pace_learn(&d->pace, 0, (double)pace_observed_us(&d->pace, &u, d->idle_us),
		    placement_offered_us(&f->model, &d->offer, s->layers, 1), &f->usual,
		    d->idle_us);
	}
}

static void learn_usual(struct fleet *f)
{
	double ratios[N_DONORS];
	size_t n = 0;

	for (size_t i = 0; i < N_DONORS; i++) {
		if (pace_known(&f->donors[i].pace))
			ratios[n++] = f->donors[i].pace.ratio;
	}
	if (n > 0)
		f->usual = pace_usual(ratios, n);
}

static void play(struct fleet *f, uint64_t seconds)
{
	for (uint64_t end_s = f->now_s + seconds; f->now_s < end_s; f->now_s += TICK_S) {
		learn_usual(f);
		plan(f);
		for (uint32_t k = 0; k < f->plan->paths[0].n_stages; k++) {
			const struct plan_stage *s = &f->plan->paths[0].stages[k];

			if (f->donors[s->donor].ready_s <= f->now_s)
				work(f, s);
		}
	}
}

static void truly(const struct fleet *f, struct placement_donor *donors)
{
	for (size_t i = 0; i < N_DONORS; i++) {
		donors[i] = f->donors[i].offer;
		donors[i].read_bytes_per_s = (uint64_t)(LAYER_BYTES / f->donors[i].truth_us * 1e6);
	}
}

/* What a token takes over the path that is there, over what it could take at best. */
static double times_best(const struct fleet *f)
{
	struct placement_donor donors[N_DONORS];
	const struct plan_path *p = &f->plan->paths[0];
	double us = 0;

	truly(f, donors);
	for (uint32_t k = 0; k < p->n_stages; k++)
		us += placement_stage_us(
		    &(struct placement_model){.n_layers = N_LAYERS, .layer_bytes = layer_bytes},
		    &donors[p->stages[k].donor], p->stages[k].layers);
	return us / exact_token_us(
	                &(struct placement_model){.n_layers = N_LAYERS, .layer_bytes = layer_bytes},
	                donors, N_DONORS);
}

struct outcome {
	double times_best; /* mean */
	uint32_t moves, late_moves;
};

static struct outcome play_fleets(bool learns, bool boast)
{
	struct outcome o = {0};

	for (uint64_t seed = 1; seed <= FLEETS; seed++) {
		struct fleet f;

		begin(&f, seed, learns);
		if (boast)
			add_boaster(&f);
		play(&f, HOUR_S);
		o.moves += f.moves;
		f.moves = 0;
		play(&f, HOUR_S);
		o.late_moves += f.moves;
		o.times_best += times_best(&f) / FLEETS;
		plan_free(f.plan);
	}
	print_message(
	    "%s, %s: a token takes %.2f times the best, %.1f moves in the first hour, %.1f "
	    "in the second\n",
	    learns ? "learning" : "by offers", boast ? "one boasts" : "nobody boasts", o.times_best,
	    (double)o.moves / FLEETS, (double)o.late_moves / FLEETS);
	return o;
}

static void streams_are_as_fast_as_donors_are_and_not_as_they_offer(void **state)
{
	struct outcome offered = play_fleets(false, false), seen = play_fleets(true, false);

	(void)state;
	assert_true(seen.times_best <= offered.times_best);
	assert_true(seen.times_best < 1.1);
	assert_true(seen.late_moves < FLEETS);
}

static void who_boasts_slows_streams_down_for_a_while_only(void **state)
{
	struct outcome offered = play_fleets(false, true), seen = play_fleets(true, true);

	(void)state;
	assert_true(offered.times_best > 2);
	assert_true(seen.times_best < 1.1);
	assert_true(seen.late_moves < FLEETS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(streams_are_as_fast_as_donors_are_and_not_as_they_offer),
	    cmocka_unit_test(who_boasts_slows_streams_down_for_a_while_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
