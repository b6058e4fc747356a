/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/path.h"

#include <stdlib.h>

#include "node/pool/placement.h"

enum { CELLS_MOST = 1 << 18 }; /* of places at donors with ways; past it all goes over the pool */

/* From a place on: the least time to the end, through which donor to which place, and to whom that
 * one hands over there. */
struct hop {
	uint64_t us;
	int donor;
	int next; /* ROSTER_NONE: to the pool */
	uint32_t to;
	uint32_t n_stages; /* 0: no way */
};

/* Where stages may begin and end: layers at which a donor's do. In between a cut gains nothing, as
 * a donor's layers are taken to be equally long here, whatever the types of their weights. */
struct places {
	uint32_t n;
	uint32_t at[LIMIT_LAYERS + 1]; /* ascending, from 0 to the model's end */
};

/* What a path is for; pages 0: full donors, and those that do not respond, are as good. */
struct wanted {
	uint32_t model, n_layers, pages;
};

/* One search. */
struct field {
	const struct path_donors *all;
	const struct wanted *w;
	struct places places;
	int donors[ROSTER_MAX_DONORS]; /* [n_donors] that the path may use */
	int n_donors;
	struct hop at_pool[LIMIT_LAYERS + 1]; /* from a place on, with the token at the pool */
	/* The same with the token at a donor that others hand over to: [row[slot]][places.n]. */
	struct hop *at_donor;
	int row[ROSTER_MAX_DONORS]; /* ROSTER_NONE: nobody does */
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

/* ---- ways --------------------------------------------------------------------------------- */

static struct placement_line line(const struct roster_donor *d)
{
	uint64_t trip = roster_trip_us(d);

	trip = trip > 0 ? trip : PLACEMENT_ASSUMED_ROUND_TRIP_US;
	return (struct placement_line){(double)trip, d->assignment.transfer_us};
}

/* From the pool to it, or back. */
static uint64_t half_us(const struct roster_donor *d)
{
	struct placement_line l = line(d);

	return (uint64_t)(l.trip_us + l.transfer_us) / 2;
}

static uint64_t hop_us(
    const struct roster_donor *a, const struct roster_donor *b, uint64_t round_trip_us)
{
	struct placement_line hop = placement_hop(line(a), line(b), round_trip_us);

	return (uint64_t)(hop.trip_us + hop.transfer_us);
}

/* ---- the search --------------------------------------------------------------------------- */

static bool takes(const struct roster_donor *d, const struct wanted *w)
{
	return roster_serves(d) && d->assignment.model == w->model &&
	       d->assignment.layers.last <= w->n_layers &&
	       (w->pages == 0 || (roster_has_room(d, w->pages) && roster_responds(d)));
}

/* Donors that the path may use, and the places of their layers. */
static void gather(struct field *f)
{
	const struct wanted *w = f->w;
	struct roster *r = f->all->roster;
	struct places *p = &f->places;
	bool is_place[LIMIT_LAYERS + 1] = {false};

	for (int i = 0; i < roster_slots(r); i++) {
		const struct roster_donor *d = roster_get(r, i);
		struct layer_range ready;

		if (!takes(d, w))
			continue;
		ready = roster_ready(d);
		is_place[ready.first] = is_place[ready.last] = true;
		f->donors[f->n_donors++] = i;
	}
	is_place[0] = is_place[w->n_layers] = true;
	p->n = 0;
	for (uint32_t l = 0; l <= w->n_layers; l++) {
		if (is_place[l])
			p->at[p->n++] = l;
	}
}

/* Without memory, all goes over the pool. */
static void give_rows(struct field *f)
{
	const struct path_donors *all = f->all;
	int n = 0;

	for (int i = 0; i < roster_slots(all->roster); i++)
		f->row[i] = ROSTER_NONE;
	for (int i = 0; i < f->n_donors && all->pairs != NULL; i++) {
		struct pair_way way = {0};

		if (pairs_next(all->pairs, f->donors[i], all->now_us, &way))
			f->row[f->donors[i]] = n++;
	}
	if ((uint64_t)n * f->places.n <= CELLS_MOST)
		f->at_donor = calloc((size_t)n * f->places.n + 1, sizeof *f->at_donor);
}

static struct hop *cell(struct field *f, int donor, uint32_t place)
{
	if (f->at_donor == NULL || donor >= roster_slots(f->all->roster) ||
	    f->row[donor] == ROSTER_NONE)
		return NULL;
	return &f->at_donor[(size_t)f->row[donor] * f->places.n + place];
}

/* What comes after a donor that is done at a place: the least time, and to whom it hands over. */
static struct hop after(struct field *f, int slot, uint32_t place)
{
	const struct roster_donor *d = roster_get(f->all->roster, slot);
	struct hop rest = f->at_pool[place];
	struct pair_way way = {0};

	rest.us += half_us(d);
	rest.next = ROSTER_NONE;
	while (
	    cell(f, slot, place) != NULL && pairs_next(f->all->pairs, slot, f->all->now_us, &way)) {
		const struct hop *there = cell(f, way.other, place);
		uint64_t us;

		if (there == NULL || there->n_stages == 0)
			continue;
		us =
		    hop_us(d, roster_get(f->all->roster, way.other), way.round_trip_us) + there->us;
		if (us < rest.us)
			rest =
			    (struct hop){.us = us, .next = way.other, .n_stages = there->n_stages};
	}
	return rest;
}

/* The best way on from place k, with the token at this donor. */
static struct hop from_donor(struct field *f, int slot, uint32_t k)
{
	const struct roster_donor *d = roster_get(f->all->roster, slot);
	const struct places *p = &f->places;
	struct layer_range ready = roster_ready(d);
	struct hop best = {0};

	if (p->at[k] < ready.first)
		return best;
	for (uint32_t to = k + 1; to < p->n && p->at[to] <= ready.last; to++) {
		struct hop rest = after(f, slot, to);
		uint64_t us = rest.us + path_wait_us(d) +
		              path_compute_us(d, (struct layer_range){p->at[k], p->at[to]});

		if (to + 1 < p->n && rest.n_stages == 0)
			continue;
		if (best.n_stages == 0 || us < best.us)
			best = (struct hop){us, slot, rest.next, to, rest.n_stages + 1};
	}
	return best;
}

static void search_from(struct field *f, uint32_t k)
{
	for (int i = 0; i < f->n_donors; i++) {
		struct hop h = from_donor(f, f->donors[i], k);
		struct hop *kept = cell(f, f->donors[i], k), *at_pool = &f->at_pool[k];

		if (h.n_stages == 0)
			continue;
		if (kept != NULL)
			*kept = h;
		h.us += half_us(roster_get(f->all->roster, f->donors[i]));
		if (at_pool->n_stages == 0 || h.us < at_pool->us)
			*at_pool = h;
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

static void trace(struct field *f, struct path *out)
{
	const struct hop *h = &f->at_pool[0];

	memset(out, 0, sizeof *out);
	out->model = f->w->model;
	for (uint32_t k = 0; k + 1 < f->places.n;) {
		add_stage(out, h->donor, roster_get(f->all->roster, h->donor)->assignment.number,
		    (struct layer_range){f->places.at[k], f->places.at[h->to]});
		k = h->to;
		h = h->next == ROSTER_NONE ? &f->at_pool[k] : cell(f, h->next, k);
	}
}

static bool search(const struct path_donors *all, const struct wanted *w, struct path *out)
{
	struct field f = {.all = all, .w = w};
	bool found;

	gather(&f);
	give_rows(&f);
	for (uint32_t k = f.places.n - 1; k-- > 0;)
		search_from(&f, k);
	found = f.at_pool[0].n_stages > 0 && f.at_pool[0].n_stages <= PATH_MAX_STAGES;
	if (found)
		trace(&f, out);
	free(f.at_donor);
	return found;
}

enum path_search path_find(const struct path_donors *all, uint32_t model, uint32_t n_layers,
    uint32_t pages, struct path *out)
{
	struct wanted w = {model, n_layers, pages};
	struct path any;

	if (search(all, &w, out))
		return PATH_FOUND;
	w.pages = 0;
	return search(all, &w, &any) ? PATH_FULL : PATH_MISSING;
}

/* ---- what a path takes -------------------------------------------------------------------- */

static void add_half(struct path_time *t, struct placement_line l)
{
	t->trip_us += (uint64_t)l.trip_us / 2;
	t->transfer_us += (uint64_t)l.transfer_us / 2;
}

/* From a stage to the next, the last one's being the first: is there a way, and what a token takes
 * over it. */
static bool hands_over(
    const struct path_donors *all, const struct path *p, uint32_t stage, struct placement_line *hop)
{
	uint32_t next = (stage + 1) % p->n_stages;
	int a = p->stages[stage].donor, b = p->stages[next].donor;
	uint64_t round_trip_us;

	*hop = (struct placement_line){0};
	if (all->pairs == NULL || !pairs_trip(all->pairs, a, b, all->now_us, &round_trip_us))
		return false;
	if (a != b)
		*hop = placement_hop(line(roster_get(all->roster, a)),
		    line(roster_get(all->roster, b)), round_trip_us);
	if (next == 0)
		hop->transfer_us = 0; /* a token, no activations */
	return true;
}

bool path_is_ring(const struct path_donors *all, const struct path *p)
{
	struct placement_line hop;

	for (uint32_t i = 0; i < p->n_stages; i++) {
		if (roster_get(all->roster, p->stages[i].donor)->sessions >= p->n_stages ||
		    !hands_over(all, p, i, &hop))
			return false;
	}
	return true;
}

struct path_time path_time(const struct path_donors *all, const struct path *p, uint32_t stage)
{
	const struct roster_donor *d = roster_get(all->roster, p->stages[stage].donor);
	uint32_t before = (stage + p->n_stages - 1) % p->n_stages;
	struct path_time t = {
	    .compute_us = path_compute_us(d, p->stages[stage].layers), .wait_us = path_wait_us(d)};
	bool ring = path_is_ring(all, p), last = stage + 1 == p->n_stages;
	struct placement_line hop;

	if (hands_over(all, p, before, &hop) && (stage > 0 || ring)) {
		t.trip_us += (uint64_t)hop.trip_us;
		t.transfer_us += (uint64_t)hop.transfer_us;
	} else {
		add_half(&t, line(d));
	}
	t.direct = !last && hands_over(all, p, stage, &hop);
	if (!t.direct && !(last && ring))
		add_half(&t, line(d));
	t.all_us = t.compute_us + t.wait_us + t.trip_us + t.transfer_us;
	return t;
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
