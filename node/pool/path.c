/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/path.h"

#include "node/pool/placement.h"

/* From layer l on: the least time to the end, and through which donor. */
struct hop {
	uint64_t us;
	int donor;
	uint32_t n_stages; /* 0: no way */
};

uint64_t path_wait_us(const struct roster_donor *d)
{
	return (uint64_t)d->sessions * (d->assignment.token_us + PATH_TURN_US);
}

uint64_t path_stage_us(const struct roster_donor *d)
{
	uint64_t trip = roster_trip_us(d);

	trip = trip > 0 ? trip : PLACEMENT_ASSUMED_ROUND_TRIP_US;
	return trip + d->assignment.transfer_us + d->assignment.token_us + path_wait_us(d);
}

/* What a path is for; pages 0: full donors, and those that do not respond, are as good. */
struct wanted {
	uint32_t model, n_layers, pages;
};

static bool takes(const struct roster_donor *d, uint32_t pages)
{
	return pages == 0 || (roster_has_room(d, pages) && roster_responds(d));
}

/* Donors of the model by the layer that they begin at: lists through `next`. */
static void sort_by_first(
    struct roster *r, const struct wanted *w, int head[LIMIT_LAYERS], int next[ROSTER_MAX_DONORS])
{
	for (uint32_t l = 0; l < w->n_layers; l++)
		head[l] = ROSTER_NONE;
	for (int i = roster_slots(r); i-- > 0;) {
		const struct roster_donor *d = roster_get(r, i);
		const struct donor_assignment *a;

		if (d == NULL || !roster_serves(d) || !takes(d, w->pages))
			continue;
		a = &d->assignment;
		if (a->model != w->model || a->layers.last > w->n_layers)
			continue;
		next[i] = head[a->layers.first];
		head[a->layers.first] = i;
	}
}

static void search(struct roster *r, const struct wanted *w, struct hop hops[LIMIT_LAYERS + 1])
{
	uint32_t n_layers = w->n_layers;
	int head[LIMIT_LAYERS], next[ROSTER_MAX_DONORS];

	memset(hops, 0, (n_layers + 1) * sizeof *hops);
	sort_by_first(r, w, head, next);
	for (uint32_t l = n_layers; l-- > 0;) {
		for (int i = head[l]; i != ROSTER_NONE; i = next[i]) {
			const struct roster_donor *d = roster_get(r, i);
			const struct hop *rest = &hops[d->assignment.layers.last];
			uint64_t us = rest->us + path_stage_us(d);

			if (d->assignment.layers.last < n_layers && rest->n_stages == 0)
				continue;
			if (hops[l].n_stages == 0 || us < hops[l].us)
				hops[l] = (struct hop){us, i, rest->n_stages + 1};
		}
	}
}

enum path_search path_find(
    struct roster *r, uint32_t model, uint32_t n_layers, uint32_t pages, struct path *out)
{
	struct wanted w = {model, n_layers, pages};
	struct hop hops[LIMIT_LAYERS + 1];

	search(r, &w, hops);
	if (hops[0].n_stages == 0 || hops[0].n_stages > PATH_MAX_STAGES) {
		w.pages = 0;
		search(r, &w, hops);
		return hops[0].n_stages == 0 ? PATH_MISSING : PATH_FULL;
	}
	memset(out, 0, sizeof *out);
	out->model = model;
	for (uint32_t l = 0; l < n_layers;) {
		const struct donor_assignment *a = &roster_get(r, hops[l].donor)->assignment;

		out->stages[out->n_stages++] =
		    (struct path_stage){hops[l].donor, a->number, a->layers};
		l = a->layers.last;
	}
	return PATH_FOUND;
}

struct roster_donor *path_donor(struct roster *r, const struct path_stage *s)
{
	struct roster_donor *d = roster_get(r, s->donor);

	return d != NULL && d->assignment.number == s->assignment ? d : NULL;
}

bool path_alive(const struct path *p, struct roster *r)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		if (!roster_serves(path_donor(r, &p->stages[i])))
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
		if (a->stages[i].donor != b->stages[i].donor ||
		    a->stages[i].assignment != b->stages[i].assignment)
			return false;
	}
	return true;
}
