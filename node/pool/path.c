/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/path.h"

#include "node/pool/placement.h"

/* From a place on: the least time to the end, and through which donor to which place. */
struct hop {
	uint64_t us;
	int donor;
	uint32_t to;
	uint32_t n_stages; /* 0: no way */
};

/* Where stages may begin and end: layers at which a donor's do. In between a cut gains nothing, as
 * each donor's layers take about equally long. */
struct places {
	uint32_t n;
	uint32_t at[LIMIT_LAYERS + 1]; /* ascending, from 0 to the model's end */
};

/* What a path is for; pages 0: full donors, and those that do not respond, are as good. */
struct wanted {
	uint32_t model, n_layers, pages;
};

uint64_t path_compute_us(const struct roster_donor *d, struct layer_range layers)
{
	const struct donor_assignment *a = &d->assignment;
	uint64_t body = a->token_us - a->head_us;
	uint64_t us = body * (layers.last - layers.first) / (a->layers.last - a->layers.first);

	return us + (layers.last == a->layers.last ? a->head_us : 0);
}

uint64_t path_wait_us(const struct roster_donor *d)
{
	const struct donor_assignment *a = &d->assignment;

	return (uint64_t)d->sessions * PATH_TURN_US +
	       (uint64_t)d->bound_layers * a->token_us / (a->layers.last - a->layers.first);
}

uint64_t path_stage_us(const struct roster_donor *d, struct layer_range layers)
{
	uint64_t trip = roster_trip_us(d);

	trip = trip > 0 ? trip : PLACEMENT_ASSUMED_ROUND_TRIP_US;
	return trip + d->assignment.transfer_us + path_compute_us(d, layers) + path_wait_us(d);
}

static bool takes(const struct roster_donor *d, const struct wanted *w)
{
	return roster_serves(d) && d->assignment.model == w->model &&
	       d->assignment.layers.last <= w->n_layers &&
	       (w->pages == 0 || (roster_has_room(d, w->pages) && roster_responds(d)));
}

/* Donors that the path may use, their number; and the places of their layers. */
static int gather(
    struct roster *r, const struct wanted *w, int donors[ROSTER_MAX_DONORS], struct places *p)
{
	bool is_place[LIMIT_LAYERS + 1] = {false};
	int n = 0;

	for (int i = 0; i < roster_slots(r); i++) {
		const struct roster_donor *d = roster_get(r, i);
		struct layer_range ready;

		if (!takes(d, w))
			continue;
		ready = roster_ready(d);
		is_place[ready.first] = is_place[ready.last] = true;
		donors[n++] = i;
	}
	is_place[0] = is_place[w->n_layers] = true;
	p->n = 0;
	for (uint32_t l = 0; l <= w->n_layers; l++) {
		if (is_place[l])
			p->at[p->n++] = l;
	}
	return n;
}

/* The best way on from place k through this donor, if it is better than what is known. */
static void try_donor(struct roster *r, int donor, const struct places *p, uint32_t k,
    struct hop hops[LIMIT_LAYERS + 1])
{
	const struct roster_donor *d = roster_get(r, donor);
	struct layer_range ready = roster_ready(d);

	if (p->at[k] < ready.first)
		return;
	for (uint32_t to = k + 1; to < p->n && p->at[to] <= ready.last; to++) {
		const struct hop *rest = &hops[to];
		uint64_t us =
		    rest->us + path_stage_us(d, (struct layer_range){p->at[k], p->at[to]});

		if (to + 1 < p->n && rest->n_stages == 0)
			continue;
		if (hops[k].n_stages == 0 || us < hops[k].us)
			hops[k] = (struct hop){us, donor, to, rest->n_stages + 1};
	}
}

/* A donor that comes again takes what is in between too, which it has: a session has one cache
 * there. */
static void add_stage(struct path *p, int donor, uint64_t assignment, struct layer_range layers)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		if (p->stages[i].donor != donor)
			continue;
		p->stages[i].layers.last = layers.last;
		p->n_stages = i + 1;
		return;
	}
	p->stages[p->n_stages++] = (struct path_stage){donor, assignment, layers};
}

static bool search(struct roster *r, const struct wanted *w, struct path *out)
{
	struct hop hops[LIMIT_LAYERS + 1] = {0};
	int donors[ROSTER_MAX_DONORS];
	struct places places;
	int n = gather(r, w, donors, &places);

	for (uint32_t k = places.n - 1; k-- > 0;) {
		for (int i = 0; i < n; i++)
			try_donor(r, donors[i], &places, k, hops);
	}
	if (hops[0].n_stages == 0 || hops[0].n_stages > PATH_MAX_STAGES)
		return false;
	memset(out, 0, sizeof *out);
	out->model = w->model;
	for (uint32_t k = 0; k + 1 < places.n; k = hops[k].to)
		add_stage(out, hops[k].donor, roster_get(r, hops[k].donor)->assignment.number,
		    (struct layer_range){places.at[k], places.at[hops[k].to]});
	return true;
}

enum path_search path_find(
    struct roster *r, uint32_t model, uint32_t n_layers, uint32_t pages, struct path *out)
{
	struct wanted w = {model, n_layers, pages};
	struct path any;

	if (search(r, &w, out))
		return PATH_FOUND;
	w.pages = 0;
	return search(r, &w, &any) ? PATH_FULL : PATH_MISSING;
}

struct roster_donor *path_donor(struct roster *r, const struct path_stage *s)
{
	struct roster_donor *d = roster_get(r, s->donor);

	return d != NULL && d->assignment.number == s->assignment ? d : NULL;
}

bool path_alive(const struct path *p, struct roster *r)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		const struct roster_donor *d = path_donor(r, &p->stages[i]);

		if (!roster_serves(d) || !roster_holds(d, p->stages[i].layers))
			return false;
	}
	return !p->broken;
}

bool path_responds(const struct path *p, struct roster *r)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		if (!roster_responds(path_donor(r, &p->stages[i])))
			return false;
	}
	return path_alive(p, r);
}

bool path_equal(const struct path *a, const struct path *b)
{
	if (a->model != b->model || a->n_stages != b->n_stages)
		return false;
	for (uint32_t i = 0; i < a->n_stages; i++) {
		const struct path_stage *x = &a->stages[i], *y = &b->stages[i];

		if (x->donor != y->donor || x->assignment != y->assignment ||
		    x->layers.first != y->layers.first || x->layers.last != y->layers.last)
			return false;
	}
	return true;
}
