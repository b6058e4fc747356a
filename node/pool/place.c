/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "compute/kv.h"
#include "node/pool/pool_internal.h"
#include "node/pool/verify.h"
#include "node/report.h"
#include "node/work.h"

/* Planning may take one part in so many of the loop's time, whatever joins and leaves. */
enum { PLANNING_SHARE = 10 };

enum { FETCH_LEAST_BYTES_PER_S = 125000 /* of a donor that is waited for */ };

static bool holds_layers(const struct roster_donor *d)
{
	return d->state == DONOR_FETCHING || d->state == DONOR_LOADING || d->state == DONOR_READY;
}

/* Its next layer should be there: what others could hold, it does not hold up for ever. */
static bool fetches_for_ever(const struct pool *p, const struct roster_donor *d)
{
	const struct donor_assignment *a = &d->assignment;
	const struct catalog_model *m;
	uint64_t bytes;

	if (d->state != DONOR_FETCHING && d->state != DONOR_LOADING)
		return false;
	m = catalog_at(p->catalog, a->model);
	bytes = a->ready_last < a->layers.last ? m->layer_bytes[a->ready_last] : 0;
	bytes += a->ready_last == 0 ? m->first_bytes : 0;
	bytes += a->ready_last + 1 >= a->layers.last ? m->last_bytes : 0;
	return loop_now_us() > d->layer_us + p->config->fetch_s * 1000000 +
	                           bytes / FETCH_LEAST_BYTES_PER_S * 1000000;
}

/* Who failed too often is out for a while, and a proven liar for good. */
static bool is_out(struct pool *p, struct roster_donor *d)
{
	uint64_t now = loop_now_us();

	if (d->failures < ROSTER_MAX_FAILURES)
		return false;
	if (!verify_pays(p, d))
		return true;
	if (d->out_until_us == 0) {
		remember_out(p, d);
		report(REPORT_WARNING, "donor %s failed too often: it gets no work for %llu s",
		    d->name, (unsigned long long)(d->out_until_us - now) / 1000000);
	}
	if (now < d->out_until_us)
		return true;
	roster_forgive(d);
	report(REPORT_INFO, "donor %s may try again", d->name);
	return false;
}

static void unassign_failing(struct pool *p)
{
	for (int i = 0; i < roster_slots(p->roster); i++) {
		struct roster_donor *d = roster_get(p->roster, i);

		if (d != NULL && fetches_for_ever(p, d)) {
			report(REPORT_WARNING, "donor %s does not get its layers", d->name);
			d->failures = ROSTER_MAX_FAILURES;
		}
		if (d != NULL && is_out(p, d) && holds_layers(d))
			donor_unassign(p, i);
	}
}

static void describe_donor(const struct pool *p, const struct roster_donor *d, uint64_t now_us,
    struct placement_donor *out)
{
	*out = (struct placement_donor){.model = PLACEMENT_NO_MODEL};
	if (d == NULL || (d->state != DONOR_IDLE && !holds_layers(d)))
		return;
	out->usable = d->failures < ROSTER_MAX_FAILURES;
	out->ready = d->state == DONOR_READY;
	out->memory_bytes = d->offer.memory_bytes;
	out->max_layers = d->offer.max_layers;
	out->sessions = d->sessions;
	out->read_bytes_per_s = d->offer.read_bytes_per_s;
	out->flop_per_s = d->offer.flop_per_s;
	out->speeds = d->offer.speeds;
	out->n_speeds = d->offer.n_speeds;
	out->pace = pace_relative(&d->pace, p->usual_pace, now_us);
	out->round_trip_us = roster_trip_us(d);
	out->link_bytes_per_s = link_bytes_per_s(&d->link);
	out->stay_s = remember_stay_s(p, d, now_us);
	if (holds_layers(d)) {
		out->model = d->assignment.model;
		out->layers = d->assignment.layers;
	}
}

size_t place_models(const struct pool *p, struct placement_model *models)
{
	size_t n = catalog_size(p->catalog);

	for (size_t i = 0; i < n; i++) {
		const struct catalog_model *m = catalog_at(p->catalog, i);

		models[i] = (struct placement_model){.n_layers = m->sizes.n_layers,
		    .layer_bytes = m->layer_bytes,
		    .first_bytes = m->first_bytes,
		    .last_bytes = m->last_bytes,
		    .kv_layer_bytes = work_room_bytes(&m->sizes, m->kv_type, 1, m->kv_tokens, 1),
		    .parts = m->parts,
		    .part_at = m->part_at,
		    .activation_bytes = (uint64_t)m->sizes.d_model * sizeof(float),
		    .pace = p->usual_pace[i]};
	}
	return n;
}

static uint32_t rounded_us(double us)
{
	return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static void estimate(const struct placement_model *models, const struct placement_donor *donor,
    struct donor_assignment *a)
{
	const struct placement_model *m = &models[a->model];

	a->token_us = rounded_us(placement_compute_us(m, donor, a->layers));
	a->head_us = a->layers.last == m->n_layers ? rounded_us(placement_head_us(m, donor)) : 0;
	a->transfer_us = rounded_us(placement_transfer_us(m, donor, 1));
}

void place_estimate(const struct pool *p, const struct roster_donor *d, struct donor_assignment *a)
{
	struct placement_model models[CONFIG_MAX_MODELS];
	struct placement_donor donor;

	(void)place_models(p, models);
	describe_donor(p, d, loop_now_us(), &donor);
	estimate(models, &donor, a);
}

void place_forget(struct pool *p, int slot)
{
	if (p->plan != NULL && (size_t)slot < p->plan->n_donors)
		p->plan->donors[slot] =
		    (struct plan_donor){.role = PLAN_NOTHING, .model = PLACEMENT_NO_MODEL};
}

static void carry_out(struct pool *p)
{
	for (size_t i = 0; i < p->plan->n_changes; i++) {
		const struct placement_change *c = &p->plan->changes[i];

		/* sending may have ended the connection of a donor that stands further down */
		if (roster_get(p->roster, (int)c->donor) == NULL)
			continue;
		if (c->unassign)
			donor_unassign(p, (int)c->donor);
		else
			donor_assign(p, c);
	}
}

static void on_time(void *context)
{
	struct pool *p = context;

	p->place_waits = false;
	donors_place(p);
	pool_advance(p);
}

/* All donors, as they are known now; new sessions choose their paths by that too. */
static void describe_donors(struct pool *p, const struct placement_model *models, uint64_t now_us,
    struct placement_donor *donors)
{
	for (int i = 0; i < roster_slots(p->roster); i++) {
		struct roster_donor *d = roster_get(p->roster, i);

		describe_donor(p, d, now_us, &donors[i]);
		if (d != NULL && holds_layers(d))
			estimate(models, &donors[i], &d->assignment);
	}
}

/* Their ways to each other, room for which goes with the plan; without memory there are none. */
static struct placement_way *describe_ways(
    struct pool *p, uint64_t now_us, struct placement_donor *donors, size_t n)
{
	const struct pairs *pairs = scheduler_pairs(p->scheduler);
	struct placement_way *ways = calloc(2 * pairs_count(pairs) + 1, sizeof *ways);
	size_t used = 0;

	for (size_t i = 0; i < n && ways != NULL; i++) {
		struct pair_way way = {0};

		donors[i].ways = &ways[used];
		while (pairs_next(pairs, (int)i, now_us, &way) && (size_t)way.other < n) {
			ways[used++] =
			    (struct placement_way){&donors[way.other], way.round_trip_us};
			donors[i].n_ways++;
		}
	}
	return ways;
}

void donors_place(struct pool *p)
{
	struct plan_settings settings = {.stages = (uint32_t)p->config->stages,
	    .max_sessions = (uint32_t)p->config->max_sessions};
	struct placement_model models[CONFIG_MAX_MODELS];
	struct placement_donor *donors;
	struct placement_way *ways = NULL;
	size_t n_models, n;
	uint64_t begun_us = loop_now_us();

	unassign_failing(p);
	if (p->stop_at_us != 0 || p->place_waits)
		return;
	if (begun_us < p->place_again_us) {
		p->place_waits =
		    loop_timer(p->loop, p->place_again_us, on_time, p, NULL) == AYNI_OK;
		return;
	}
	plan_wishes_hold(&p->wishes, begun_us, &settings);
	n = (size_t)roster_slots(p->roster);
	observe_usual(p);
	n_models = place_models(p, models);
	donors = calloc(n + 1, sizeof *donors);
	plan_free(p->plan);
	p->plan = NULL;
	if (donors != NULL) {
		describe_donors(p, models, begun_us, donors);
		ways = describe_ways(p, begun_us, donors, n);
		p->plan = plan_new(donors, n, models, n_models, &settings);
	}
	if (p->plan == NULL)
		report(REPORT_ERROR, "out of memory: no layers are placed");
	else
		carry_out(p);
	plan_wishes_note(&p->wishes, p->plan, begun_us);
	free(donors);
	free(ways);
	p->place_again_us = loop_now_us() + (loop_now_us() - begun_us) * (PLANNING_SHARE - 1);
}
