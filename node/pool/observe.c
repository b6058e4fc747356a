/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/pool_internal.h"
#include "node/report.h"

static double offered_us(const struct pool *p, const struct msg_offer *offer, uint32_t model,
    struct layer_range layers, uint64_t tokens)
{
	struct placement_model models[CONFIG_MAX_MODELS];
	struct placement_donor donor = {.read_bytes_per_s = offer->read_bytes_per_s,
	    .flop_per_s = offer->flop_per_s,
	    .speeds = offer->speeds,
	    .n_speeds = offer->n_speeds};

	(void)place_models(p, models);
	return placement_offered_us(&models[model], &donor, layers, (uint32_t)tokens);
}

double observe_offers(const struct pool *p, const struct donor_assignment *held,
    const struct msg_offer *before, const struct msg_offer *now)
{
	struct layer_range layers = {0, catalog_at(p->catalog, 0)->sizes.n_layers};
	uint32_t model = 0;

	if (held != NULL && held->number != 0) {
		model = held->model;
		layers = held->layers;
	}
	return offered_us(p, now, model, layers, 1) / offered_us(p, before, model, layers, 1);
}

uint64_t observe_one_rate(const struct pool *p, const struct msg_offer *offer)
{
	struct layer_range all = {0, catalog_at(p->catalog, 0)->sizes.n_layers};
	const struct msg_offer one = {.read_bytes_per_s = 1000000};

	return (uint64_t)((double)one.read_bytes_per_s * offered_us(p, &one, 0, all, 1) /
	                  offered_us(p, offer, 0, all, 1)) +
	       1;
}

void observe_asked(struct pool *p, int slot, uint64_t bytes)
{
	struct roster_donor *d = roster_get(p->roster, slot);

	if (d != NULL && d->state == DONOR_FETCHING)
		link_asked(&d->link, d->assignment.number, bytes, loop_now_us());
}

void observe_fetched(struct pool *p, struct roster_donor *d, enum assignment_progress progress)
{
	struct placement_model models[CONFIG_MAX_MODELS];
	uint64_t most = 0;

	if (progress == PROGRESS_FETCHING)
		return;
	(void)place_models(p, models);
	if (progress != PROGRESS_FAILED)
		most = placement_weight(&models[d->assignment.model], d->assignment.layers);
	link_fetched(&d->link, progress != PROGRESS_FAILED, most, loop_now_us());
	if (progress == PROGRESS_READY)
		report(REPORT_DEBUG, "donor %s: %.2f MB/s", d->name,
		    (double)link_bytes_per_s(&d->link) / 1e6);
}

void observe_sent(struct pool *p, const struct action_unit *a)
{
	struct roster_donor *d = roster_get(p->roster, a->donor);

	if (d != NULL && a->unit.n_tokens > PACE_MOST_TOKENS)
		link_sent(&d->link, a->unit.unit, scheduler_units_at(p->scheduler, a->donor) == 1,
		    a->payload_len);
}

/* What a unit's bytes took is what is left of its time away. */
static void learn_link(struct roster_donor *d, const struct action_book *a)
{
	uint64_t known = roster_trip_us(d) + a->compute_us;

	link_took(&d->link, a->unit, a->away_us > known ? a->away_us - known : 0);
}

static void learn_pace(struct pool *p, struct roster_donor *d, const struct action_book *a)
{
	struct placement_model models[CONFIG_MAX_MODELS];
	struct placement_donor donor = {.link_bytes_per_s = link_bytes_per_s(&d->link)};
	struct pace_unit unit = {.away_us = a->away_us, .said_us = a->compute_us};
	uint64_t now = loop_now_us(), us;

	(void)place_models(p, models);
	unit.trip_us = roster_trip_us(d) + (uint64_t)placement_transfer_us(
	                                       &models[a->model], &donor, (uint32_t)a->tokens);
	us = pace_observed_us(&d->pace, &unit, now);
	if (a->tokens > PACE_MOST_TOKENS)
		return;
	pace_learn(&d->pace, a->model, (double)us,
	    offered_us(p, &d->offer, a->model, a->ran, a->tokens), p->usual_pace, now);
	if (d->pace.seen == PACE_SEEN_LEAST)
		report(REPORT_DEBUG, "donor %s takes %.2f times as long as it offered", d->name,
		    d->pace.ratio);
}

void observe_booked(struct pool *p, const struct action_book *a)
{
	struct roster_donor *d = roster_get(p->roster, a->donor);

	if (d == NULL || a->away_us == 0 || roster_trip_us(d) == 0)
		return; /* what was on the way, and what it did, is not known */
	learn_link(d, a);
	learn_pace(p, d, a);
}

void observe_usual(struct pool *p)
{
	double ratios[ROSTER_MAX_DONORS];

	for (uint32_t m = 0; m < catalog_size(p->catalog); m++) {
		size_t n = 0;

		for (int i = 0; i < roster_slots(p->roster); i++) {
			const struct roster_donor *d = roster_get(p->roster, i);

			if (d != NULL && d->pace.model == m && pace_known(&d->pace))
				ratios[n++] = d->pace.ratio;
		}
		if (n > 0) /* else what was usual is the best that is known */
			p->usual_pace[m] = pace_usual(ratios, n);
	}
}
