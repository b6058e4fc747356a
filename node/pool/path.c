/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/path.h"

#include <stdlib.h>

#include "node/pool/placement.h"

enum {
	CELLS_MOST = 1 << 18, /* of places at donors with ways; past it all goes over the pool */
	PARTS = 1 << 10       /* of a microsecond */
};

/* From a place on: the least time to the end, through which donor to which place, and to whom that
 * one hands over there. Donors are numbers in the field. */
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

/* A donor that others hand over to, and how long that takes. */
struct edge {
	int to;
	uint64_t us;
};

/* A donor that the path may use. */
struct choice {
	const struct roster_donor *d;
	int slot;
	struct donor_assignment a; /* a copy, as donors are large and far apart */
	struct layer_range ready;
	uint64_t half_us, wait_us, layer_parts;
	const struct edge *edges; /* [n_edges] */
	uint32_t n_edges;
	int row; /* of cells; ROSTER_NONE: nobody hands over to it */
	struct hop
	    end; /* the best place to stop at; its time counts from the donor's first layer */
};

/* One search: from the model's end to its beginning, each place knows the best way on. */
struct field {
	const struct path_donors *all;
	const struct wanted *w;
	struct places places;
	struct choice *choices; /* [n] */
	int n;
	struct hop at_pool[LIMIT_LAYERS + 1]; /* from a place on, with the token at the pool */
	struct edge *edges;                   /* of all choices */
	struct hop *cells; /* [places.n][n_rows] the same with the token at a donor with ways */
	size_t n_rows;
};

/* Computing a layer, the head left out, in parts of a microsecond. */
static uint64_t layer_parts(const struct donor_assignment *a)
{
	return (uint64_t)(a->token_us - a->head_us) * PARTS / (a->layers.last - a->layers.first);
}

/* Computing from the first of a donor's layers up to this one. */
static uint64_t until_us(const struct donor_assignment *a, uint64_t parts, uint32_t layer)
{
	return layer == a->layers.last ? a->token_us : parts * (layer - a->layers.first) / PARTS;
}

uint64_t path_compute_us(const struct roster_donor *d, struct layer_range layers)
{
	const struct donor_assignment *a = &d->assignment;
	uint64_t parts = layer_parts(a);

	return until_us(a, parts, layers.last) - until_us(a, parts, layers.first);
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

static bool takes(const struct field *f, const struct roster_donor *d)
{
	const struct wanted *w = f->w;

	return roster_serves(d) && d->assignment.model == w->model &&
	       d->assignment.number != f->all->shunned &&
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
		struct choice *c = &f->choices[f->n];

		if (!takes(f, d))
			continue;
		*c = (struct choice){.d = d,
		    .slot = i,
		    .a = d->assignment,
		    .ready = roster_ready(d),
		    .row = ROSTER_NONE};
		c->half_us = half_us(d);
		c->wait_us = path_wait_us(d);
		c->layer_parts = layer_parts(&c->a);
		is_place[c->ready.first] = is_place[c->ready.last] = true;
		f->n++;
	}
	is_place[0] = is_place[w->n_layers] = true;
	for (uint32_t l = 0; l <= w->n_layers; l++) {
		if (is_place[l])
			p->at[p->n++] = l;
	}
}

/* The donor's number in the field; they stand in the order of their slots. */
static int number_of(const struct field *f, int slot)
{
	int low = 0, high = f->n;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (f->choices[middle].slot < slot)
			low = middle + 1;
		else
			high = middle;
	}
	return low < f->n && f->choices[low].slot == slot ? low : ROSTER_NONE;
}

/* Ways among the donors of the field. Without memory, all goes over the pool. */
static void gather_ways(struct field *f)
{
	const struct pairs *pairs = f->all->pairs;
	size_t used = 0;

	f->edges = pairs != NULL ? calloc(2 * pairs_count(pairs) + 1, sizeof *f->edges) : NULL;
	for (int i = 0; i < f->n && f->edges != NULL; i++) {
		struct choice *c = &f->choices[i];
		struct pair_way way = {0};

		c->edges = &f->edges[used];
		while (pairs_next(pairs, c->slot, f->all->now_us, &way)) {
			int to = number_of(f, way.other);

			if (to == ROSTER_NONE)
				continue;
			f->edges[used++] =
			    (struct edge){to, hop_us(c->d, f->choices[to].d, way.round_trip_us)};
			c->n_edges++;
		}
		if (c->n_edges > 0)
			c->row = (int)f->n_rows++;
	}
	if (f->n_rows * f->places.n <= CELLS_MOST)
		f->cells = calloc(f->n_rows * f->places.n + 1, sizeof *f->cells);
}

static struct hop *cell(const struct field *f, int number, uint32_t place)
{
	int row = f->choices[number].row;

	return f->cells != NULL && row != ROSTER_NONE ? &f->cells[place * f->n_rows + (size_t)row]
	                                              : NULL;
}

/* What comes after a donor that is done at a place: the least time, and to whom it hands over. */
static struct hop after(const struct field *f, const struct choice *c, uint32_t place)
{
	struct hop rest = f->at_pool[place];

	rest.us += c->half_us;
	rest.next = ROSTER_NONE;
	for (uint32_t e = 0; f->cells != NULL && e < c->n_edges; e++) {
		const struct hop *there = cell(f, c->edges[e].to, place);

		if (there->n_stages == 0 || c->edges[e].us + there->us >= rest.us)
			continue;
		rest.us = c->edges[e].us + there->us;
		rest.next = c->edges[e].to;
		rest.n_stages = there->n_stages;
	}
	return rest;
}

/* The donor may stop at this place as well. */
static void may_end(struct field *f, struct choice *c, uint32_t place)
{
	struct hop rest = after(f, c, place);

	if (place + 1 < f->places.n && rest.n_stages == 0)
		return;
	rest.us += until_us(&c->a, c->layer_parts, f->places.at[place]);
	if (c->end.n_stages > 0 && c->end.us < rest.us)
		return;
	c->end = rest;
	c->end.to = place;
	c->end.n_stages = rest.n_stages + 1;
}

/* The best ways on from place k, those from later places being known. */
static void search_from(struct field *f, uint32_t k)
{
	struct hop *at_pool = &f->at_pool[k];

	for (int i = 0; i < f->n; i++) {
		struct choice *c = &f->choices[i];
		struct hop *kept, h;

		if (f->places.at[k] < c->ready.first || f->places.at[k] >= c->ready.last)
			continue;
		may_end(f, c, k + 1);
		if (c->end.n_stages == 0)
			continue;
		h = c->end;
		h.donor = i;
		h.us += c->wait_us - until_us(&c->a, c->layer_parts, f->places.at[k]);
		kept = cell(f, i, k);
		if (kept != NULL)
			*kept = h;
		h.us += c->half_us;
		if (at_pool->n_stages == 0 || h.us < at_pool->us)
			*at_pool = h;
	}
}

/* A donor that comes again takes what is in between too, which it has: a session has one cache
 * there. */
static void add_stage(struct path *p, const struct choice *c, struct layer_range layers)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		if (p->stages[i].donor != c->slot)
			continue;
		p->stages[i].layers.last = layers.last;
		p->n_stages = i + 1;
		return;
	}
	p->stages[p->n_stages++] = (struct path_stage){c->slot, c->a.number, layers, c->a.layers};
}

static void trace(const struct field *f, struct path *out)
{
	const struct hop *h = &f->at_pool[0];

	memset(out, 0, sizeof *out);
	out->model = f->w->model;
	for (uint32_t k = 0; k + 1 < f->places.n;) {
		add_stage(out, &f->choices[h->donor],
		    (struct layer_range){f->places.at[k], f->places.at[h->to]});
		k = h->to;
		h = h->next == ROSTER_NONE ? &f->at_pool[k] : cell(f, h->next, k);
	}
}

static bool search(const struct path_donors *all, const struct wanted *w, struct path *out)
{
	struct field f = {.all = all, .w = w};
	bool found;

	f.choices = calloc((size_t)roster_slots(all->roster) + 1, sizeof *f.choices);
	if (f.choices == NULL)
		return false;
	gather(&f);
	gather_ways(&f);
	for (uint32_t k = f.places.n - 1; k-- > 0;)
		search_from(&f, k);
	found = f.at_pool[0].n_stages > 0 && f.at_pool[0].n_stages <= PATH_MAX_STAGES;
	if (found)
		trace(&f, out);
	free(f.choices);
	free(f.edges);
	free(f.cells);
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
