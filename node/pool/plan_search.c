/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/plan_search.h"

#include <stdlib.h>

enum { WORDS = SEARCH_MAX_MOVABLE / 64 };

struct state {
	double us;            /* with the last donor's result at the pool */
	double low_us;        /* that, less all that handing it over directly could save */
	uint64_t used[WORDS]; /* marks */
	uint32_t from;        /* layer */
	uint32_t parent;      /* place in the list of that layer */
	uint32_t candidate;
	uint32_t n_stages;
};

/* What the search knows of a candidate beside the caller's words. */
struct option {
	const double *compute_us; /* [n_layers + 1] sums up to a layer; shared by equal donors */
	double half_us;           /* from the pool, or to it */
	double factor;
	double dear;      /* the factor, with what SEARCH_FETCH_PERCENT adds */
	double saving_us; /* by its ways, at most */
};

struct beam {
	const struct search *s;
	uint32_t n_layers, width;
	int words;        /* of marks in use */
	uint64_t *weight; /* [n_layers + 1] bytes of the layers below, without the extras */
	struct option *options;
	double *sums;        /* of all options */
	uint32_t *n;         /* [n_layers + 1] states */
	struct state *lists; /* [n_layers + 1][width] */
	uint32_t *next_cut;  /* [n_layers] the only end from a layer; NULL: any end */
	/* Lists through next[candidate], n_candidates at their end: of the exact ones those that
	 * begin at a layer, head[layer]; and all others, head[n_layers]. */
	uint32_t *head, *next;
};

static bool fits(
    const struct beam *b, const struct placement_donor *d, uint32_t first, uint32_t last)
{
	const struct placement_model *m = b->s->model;
	uint64_t bytes = b->weight[last] - b->weight[first];

	bytes += first == 0 ? m->first_bytes : 0;
	bytes += last == b->n_layers ? m->last_bytes : 0;
	return bytes + m->kv_layer_bytes * (last - first) <= d->memory_bytes &&
	       bytes < d->memory_bytes && (d->max_layers == 0 || last - first <= d->max_layers);
}

static void free_beam(struct beam *b)
{
	free(b->weight);
	free(b->options);
	free(b->sums);
	free(b->n);
	free(b->lists);
	free(b->next_cut);
	free(b->head);
	free(b->next);
}

/* ---- setting up --------------------------------------------------------------------------- */

static double fetch_factor(bool fetches)
{
	return fetches ? 1 + SEARCH_FETCH_PERCENT / 100.0 : 1;
}

/* Whoever it hands over to, at most so much less than over the pool. */
static double most_saved_us(
    const struct beam *b, const struct search_candidate *c, const struct option *o)
{
	const struct placement_model *m = b->s->model;
	const struct placement_line line = placement_line(m, c->donor);
	double most = 0;

	for (size_t i = 0; i < c->donor->n_ways; i++) {
		const struct placement_way *way = &c->donor->ways[i];
		const struct placement_donor *to = way->to;
		struct placement_line hop =
		    placement_hop(line, placement_line(m, to), way->round_trip_us);
		double arrives_us = placement_trip_us(m, to) / 2 - (hop.trip_us + hop.transfer_us);
		double saved_us = o->half_us * o->dear + arrives_us * placement_loss_factor(to) *
		                                             fetch_factor(arrives_us > 0);

		most = saved_us > most ? saved_us : most;
	}
	return most;
}

static void measure(struct beam *b)
{
	const struct placement_model *m = b->s->model;

	for (uint32_t l = 0; l < b->n_layers; l++)
		b->weight[l + 1] = b->weight[l] + m->layer_bytes[l];
	for (size_t i = 0; i < b->s->n_candidates; i++) {
		const struct search_candidate *c = &b->s->candidates[i];
		double *sums = b->sums + i * (b->n_layers + 1);

		if (c->mark >= 0 && c->mark / 64 >= b->words)
			b->words = c->mark / 64 + 1;
		for (uint32_t l = c->within.first; l < c->within.last; l++)
			sums[l + 1] = sums[l] + placement_layer_us(m, c->donor, l);
		b->options[i] = (struct option){.compute_us = sums,
		    .half_us = placement_trip_us(m, c->donor) / 2,
		    .factor = placement_loss_factor(c->donor)};
		b->options[i].dear = b->options[i].factor * fetch_factor(c->fetches);
		b->options[i].saving_us = most_saved_us(b, c, &b->options[i]);
	}
	for (uint32_t l = 0; l <= b->n_layers; l++)
		b->head[l] = (uint32_t)b->s->n_candidates;
	for (uint32_t i = (uint32_t)b->s->n_candidates; i-- > 0;) {
		const struct search_candidate *c = &b->s->candidates[i];
		uint32_t list = c->exact ? c->within.first : b->n_layers;

		b->next[i] = b->head[list];
		b->head[list] = i;
	}
	for (uint32_t i = 0; b->next_cut != NULL && i < b->s->n_cuts; i++)
		b->next_cut[b->s->cuts[i]] = b->s->cuts[i + 1];
}

/* So many states a layer that the search stays within SEARCH_STEPS. */
static uint32_t choose_width(const struct beam *b)
{
	uint64_t ends = 1;

	if (b->s->width > 0)
		return b->s->width;
	for (size_t i = 0; i < b->s->n_candidates; i++) {
		const struct search_candidate *c = &b->s->candidates[i];
		uint32_t last = c->within.first;

		if (c->exact)
			continue;
		while (last < c->within.last && fits(b, c->donor, c->within.first, last + 1))
			last++;
		ends += last - c->within.first;
	}
	ends = SEARCH_STEPS / (ends * b->n_layers);
	if (ends > SEARCH_WIDTH)
		return SEARCH_WIDTH;
	return ends < SEARCH_WIDTH_LEAST ? SEARCH_WIDTH_LEAST : (uint32_t)ends;
}

static int set_up(struct beam *b, const struct search *s)
{
	uint32_t n = s->model->n_layers;

	*b = (struct beam){.s = s, .n_layers = n};
	b->weight = calloc(n + 1, sizeof *b->weight);
	b->options = calloc(s->n_candidates + 1, sizeof *b->options);
	b->sums = calloc((s->n_candidates + 1) * (n + 1), sizeof *b->sums);
	b->n = calloc(n + 1, sizeof *b->n);
	b->head = calloc(n + 1, sizeof *b->head);
	b->next = calloc(s->n_candidates + 1, sizeof *b->next);
	if (s->cuts != NULL)
		b->next_cut = calloc(n, sizeof *b->next_cut);
	if (b->weight == NULL || b->options == NULL || b->sums == NULL || b->n == NULL ||
	    b->head == NULL || b->next == NULL || (s->cuts != NULL && b->next_cut == NULL))
		return AYNI_ERR_MEMORY;
	measure(b);
	b->width = choose_width(b);
	b->lists = calloc((size_t)(n + 1) * b->width, sizeof *b->lists);
	return b->lists != NULL ? AYNI_OK : AYNI_ERR_MEMORY;
}

/* ---- the search --------------------------------------------------------------------------- */

static bool subset(const struct beam *b, const uint64_t *a, const uint64_t *of)
{
	for (int i = 0; i < b->words; i++) {
		if ((a[i] & ~of[i]) != 0)
			return false;
	}
	return true;
}

/* Whatever follows `other` is no slower behind `s`: it can hand over as well, or did so much sooner
 * that it need not. */
static inline bool dominates(const struct beam *b, const struct state *s, const struct state *other)
{
	const struct search_candidate *c = b->s->candidates;

	if (!subset(b, s->used, other->used))
		return false;
	return s->us <= other->low_us ||
	       (s->us <= other->us && c[s->candidate].donor == c[other->candidate].donor);
}

/* Lists are kept in order of time, so that the states that can dominate a new one stand before
 * it, those that it can dominate after it, and the one to drop last. */
static void insert(struct beam *b, uint32_t layer, const struct state *new)
{
	struct state *list = b->lists + (size_t)layer * b->width;
	uint32_t n = b->n[layer], at = 0, kept;

	if (n == b->width && new->us >= list[n - 1].us)
		return;
	for (; at < n && list[at].us <= new->us; at++) {
		if (dominates(b, &list[at], new))
			return;
	}
	kept = at;
	for (uint32_t i = at; i < n; i++) {
		if (dominates(b, new, &list[i]))
			continue;
		if (kept < i)
			list[kept] = list[i];
		kept++;
	}
	if (kept == b->width)
		kept--;
	memmove(&list[at + 1], &list[at], (kept - at) * sizeof *list);
	list[at] = *new;
	b->n[layer] = kept + 1;
}

/* Over a hop where there is one that is faster: what it takes, to a donor that is `factor` dearer,
 * in place of the one's way to the pool and the other's from it. Negative: over the pool. */
static double hop_us(const struct beam *b, const struct state *from, uint32_t candidate,
    double from_factor, double factor)
{
	const struct search_candidate *c = b->s->candidates;
	double us, over_pool_us;

	if (from->n_stages == 0 || c[from->candidate].donor->n_ways == 0)
		return -1;
	us = placement_hop_us(b->s->model, c[from->candidate].donor, c[candidate].donor);
	over_pool_us = b->options[from->candidate].half_us * from_factor +
	               b->options[candidate].half_us * factor;
	return us < 0 || us * factor >= over_pool_us ? -1 : us;
}

static void extend(struct beam *b, uint32_t layer, uint32_t place, uint32_t candidate)
{
	const struct search_candidate *c = &b->s->candidates[candidate];
	const struct option *o = &b->options[candidate];
	const struct state *from = &b->lists[(size_t)layer * b->width + place];
	struct state new = *from;
	uint32_t first_end = layer + 1, last_end = c->within.last;
	double before_us, around_us = 2 * o->half_us, hop;

	if (c->exact)
		first_end = c->within.last;
	else if (b->next_cut != NULL)
		first_end = last_end = b->next_cut[layer];
	if (last_end > c->within.last)
		return;
	if (c->mark >= 0) {
		uint64_t bit = 1ULL << (c->mark % 64);

		if ((new.used[c->mark / 64] & bit) != 0)
			return;
		new.used[c->mark / 64] |= bit;
	}
	before_us = from->us;
	hop = hop_us(b, from, candidate, b->options[from->candidate].dear, o->dear);
	if (hop >= 0) {
		before_us -= b->options[from->candidate].half_us * b->options[from->candidate].dear;
		around_us = hop + o->half_us;
	}
	new.from = layer;
	new.parent = place;
	new.candidate = candidate;
	new.n_stages++;
	for (uint32_t end = first_end; end <= last_end; end++) {
		if (!c->exact && !fits(b, c->donor, layer, end))
			break;
		new.us =
		    before_us + (o->compute_us[end] - o->compute_us[layer] + around_us) * o->dear;
		new.low_us = new.us - (end < b->n_layers ? o->saving_us : 0);
		insert(b, end, &new);
	}
}

static bool begins_at(const struct beam *b, const struct search_candidate *c, uint32_t layer)
{
	if (b->next_cut != NULL && b->next_cut[layer] == 0)
		return false;
	return c->within.first <= layer && layer < c->within.last;
}

static void extend_all(struct beam *b, uint32_t layer, uint32_t place)
{
	if (b->lists[(size_t)layer * b->width + place].n_stages == PATH_MAX_STAGES)
		return;
	for (uint32_t i = b->head[layer]; i != b->s->n_candidates; i = b->next[i])
		extend(b, layer, place, i);
	for (uint32_t i = b->head[b->n_layers]; i != b->s->n_candidates; i = b->next[i]) {
		if (begins_at(b, &b->s->candidates[i], layer))
			extend(b, layer, place, i);
	}
}

/* The time of the stage that ends in state s, with its way in and its way to the pool, less the way
 * there of the stage before it where it hands over to this one. */
static double stage_us(const struct beam *b, const struct state *s, uint32_t end)
{
	const struct state *before = &b->lists[(size_t)s->from * b->width + s->parent];
	const struct option *o = &b->options[s->candidate];
	const struct option *giver = &b->options[before->candidate];
	double us = o->compute_us[end] - o->compute_us[s->from] + o->half_us;
	double hop = hop_us(b, before, s->candidate, giver->factor, o->factor);

	if (hop >= 0)
		return (us + hop) * o->factor - giver->half_us * giver->factor;
	return (us + o->half_us) * o->factor;
}

static void trace(const struct beam *b, struct search_path *out)
{
	uint32_t layer = b->n_layers, place = 0;
	const struct state *end = &b->lists[(size_t)layer * b->width];

	out->n_stages = end->n_stages;
	for (uint32_t i = end->n_stages; i-- > 0;) {
		const struct state *s = &b->lists[(size_t)layer * b->width + place];

		out->stages[i] = (struct search_stage){s->candidate, {s->from, layer}};
		out->us += stage_us(b, s, layer);
		layer = s->from;
		place = s->parent;
	}
}

int search_path(const struct search *s, struct search_path *out)
{
	struct beam b;
	int rc = set_up(&b, s);

	out->us = 0;
	out->n_stages = 0;
	if (rc != AYNI_OK)
		goto out;
	b.n[0] = 1;
	for (uint32_t layer = 0; layer < b.n_layers; layer++) {
		for (uint32_t place = 0; place < b.n[layer]; place++)
			extend_all(&b, layer, place);
	}
	if (b.n[b.n_layers] > 0)
		trace(&b, out);
out:
	free_beam(&b);
	return rc;
}
