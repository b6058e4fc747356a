/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "node/pool/plan_internal.h"
#include "node/pool/plan_search.h"

enum {
	CANDIDATES_LEAST = 16, /* of those there are, so many are looked at, the best first; */
	CAPACITY_TIMES = 3,    /* more until their memory would hold the model so many times; */
	POCKET_LEAST = 4,      /* and so many of those that can hold what is hardest to hold */
	HOLDERS = 2            /* of a range */
};

/* The candidates of one search. */
struct field {
	struct plan_work *w;
	uint32_t model;
	struct search_candidate *list; /* [2 * n_donors + 1] */
	size_t n;
	int *marks;     /* [n_donors] */
	uint32_t *cuts; /* [n_layers + 1] */
	uint32_t n_cuts;
	int n_marks;
	struct placement_part sum[PLACEMENT_ANY_TYPE + 1]; /* of all its layers */
	size_t n_sum;
};

static void close_field(struct field *f)
{
	free(f->list);
	free(f->marks);
	free(f->cuts);
}

static int open_field(struct field *f, struct plan_work *w, uint32_t model)
{
	const struct placement_model *m = &w->models[model];

	*f = (struct field){.w = w, .model = model};
	f->list = calloc(2 * w->n_donors + 1, sizeof *f->list);
	f->marks = calloc(w->n_donors + 1, sizeof *f->marks);
	f->cuts = calloc(m->n_layers + 1, sizeof *f->cuts);
	if (f->list == NULL || f->marks == NULL || f->cuts == NULL)
		return AYNI_ERR_MEMORY;
	f->n_sum = placement_sum(m, f->sum);
	if (w->settings.stages > 0)
		f->n_cuts = placement_cut(m, w->settings.stages, f->cuts);
	return AYNI_OK;
}

/* ---- who may be moved --------------------------------------------------------------------- */

/* Within which range of the model may the donor be given layers? False: none. */
static bool open_to(const struct field *f, size_t donor, bool moving, struct layer_range *within)
{
	const struct placement_donor *d = &f->w->donors[donor];
	bool free_to_go;

	*within = (struct layer_range){0, f->w->models[f->model].n_layers};
	if (!d->usable || plan_has_target(f->w, donor))
		return false;
	if (d->model == PLACEMENT_NO_MODEL)
		return true;
	if (!moving || d->sessions > 0)
		return false;
	free_to_go =
	    plan_redundant(f->w, donor) || (d->model == f->model && !f->w->covered[d->model]);
	if (!free_to_go && d->model == f->model)
		*within = d->layers; /* a part of it: what it gives up others must hold first */
	return free_to_go || d->model == f->model;
}

/* Layers of average weight that fit. */
static double capacity(const struct field *f, const struct placement_donor *d, uint64_t all_bytes)
{
	const struct placement_model *m = &f->w->models[f->model];
	double n = (double)d->memory_bytes /
	           ((double)all_bytes / m->n_layers + (double)m->kv_layer_bytes + 1);

	n = d->max_layers > 0 && n > d->max_layers ? d->max_layers : n;
	return n > m->n_layers ? m->n_layers : n;
}

/* Order the donors that are open by the time that an average layer would take at them when they are
 * full; their number. */
static size_t order_open(struct field *f, bool moving)
{
	struct plan_work *w = f->w;
	const struct placement_model *m = &w->models[f->model];
	uint64_t bytes = m->first_bytes + m->last_bytes;
	size_t n = 0;

	for (uint32_t l = 0; l < m->n_layers; l++)
		bytes += m->layer_bytes[l];
	for (size_t i = 0; i < w->n_donors; i++) {
		const struct placement_donor *d = &w->donors[i];
		struct layer_range within;
		double layers;

		if (!open_to(f, i, moving, &within))
			continue;
		layers = capacity(f, d, bytes);
		if (layers > within.last - within.first)
			layers = within.last - within.first;
		w->key[i] = (placement_parts_us(m, d, f->sum, f->n_sum) / m->n_layers +
		                placement_trip_us(m, d) / (layers > 0.5 ? layers : 0.5)) *
		            placement_loss_factor(d);
		w->order[n++] = i;
	}
	plan_sort(w, n);
	return n;
}

/* ---- candidates --------------------------------------------------------------------------- */

static void add_open(struct field *f, size_t donor, bool moving)
{
	struct layer_range within;

	if (f->marks[donor] >= 0 || f->n_marks == SEARCH_MAX_MOVABLE ||
	    !open_to(f, donor, moving, &within))
		return;
	f->marks[donor] = f->n_marks++;
	f->list[f->n++] = (struct search_candidate){.donor = &f->w->donors[donor],
	    .index = donor,
	    .within = within,
	    .fetches = true,
	    .mark = f->marks[donor]};
}

/* The best of those that can hold a range, which the best of all may not. */
static void add_for(
    struct field *f, size_t n_open, struct layer_range range, uint32_t want, bool moving)
{
	for (size_t k = 0; k < n_open && want > 0; k++) {
		size_t i = f->w->order[k];

		if (placement_sessions(&f->w->models[f->model], &f->w->donors[i], range, 1) == 0)
			continue;
		add_open(f, i, moving);
		want--;
	}
}

/* `effort` multiplies how many are looked at. */
static void add_best_open(struct field *f, bool moving, uint32_t effort)
{
	const struct placement_model *m = &f->w->models[f->model];
	size_t n = order_open(f, moving);
	uint64_t bytes = m->first_bytes + m->last_bytes;
	uint32_t heaviest = 0;
	double room = 0;

	for (uint32_t l = 0; l < m->n_layers; l++) {
		bytes += m->layer_bytes[l];
		if (m->layer_bytes[l] > m->layer_bytes[heaviest])
			heaviest = l;
	}
	add_for(f, n, (struct layer_range){0, 1}, POCKET_LEAST * effort, moving);
	add_for(f, n, (struct layer_range){m->n_layers - 1, m->n_layers}, POCKET_LEAST * effort,
	    moving);
	add_for(f, n, (struct layer_range){heaviest, heaviest + 1}, POCKET_LEAST * effort, moving);
	for (uint32_t c = 0; c < f->n_cuts; c++)
		add_for(f, n, (struct layer_range){f->cuts[c], f->cuts[c + 1]},
		    1 + SEARCH_MAX_MOVABLE / 2 / f->n_cuts, moving);
	for (size_t k = 0; k < n && (k < (size_t)CANDIDATES_LEAST * effort ||
	                                room < (double)CAPACITY_TIMES * effort * m->n_layers);
	     k++) {
		room += capacity(f, &f->w->donors[f->w->order[k]], bytes);
		add_open(f, f->w->order[k], moving);
	}
}

/* Of each range that is held, the two fastest, as one of them may be wanted elsewhere; and as many
 * more of those that hand over to others, which may make up for what they are slower. */
static void add_holders(struct field *f, bool useless)
{
	struct plan_work *w = f->w;
	struct layer_range range = {0, 0};
	size_t before = 0, with_ways = 0;

	for (size_t k = 0; k < w->n_holders; k++) {
		const struct plan_holder *h = &w->holders[k];
		const struct placement_donor *d = &w->donors[h->donor];

		if (d->model != f->model ||
		    (useless ? !w->useless[h->donor] : plan_has_target(w, h->donor)))
			continue;
		if (!plan_same_range(range, h->layers))
			before = with_ways = 0;
		range = h->layers;
		if (with_ways < HOLDERS && (before < HOLDERS || d->n_ways > 0))
			f->list[f->n++] = (struct search_candidate){.donor = d,
			    .index = h->donor,
			    .within = h->layers,
			    .exact = true,
			    .mark = f->marks[h->donor]};
		before++;
		with_ways += d->n_ways > 0;
	}
}

/* Over whom a path is looked for. */
enum scope {
	OVER_HOLDERS, /* as they are */
	OVER_STAYING, /* those, and idle donors */
	OVER_ALL,     /* donors may move as well */
	OVER_REST     /* idle donors, and those that are useless as they are */
};

static int find(struct field *f, enum scope scope, struct search_path *out)
{
	struct plan_work *w = f->w;
	uint32_t most = scope == OVER_HOLDERS ? 1 : 16;
	int rc = AYNI_OK;

	out->n_stages = 0;
	for (uint32_t effort = 1; rc == AYNI_OK && out->n_stages == 0 && effort <= most;
	     effort *= 16) {
		struct search s = {.model = &w->models[f->model],
		    .cuts = f->n_cuts > 0 ? f->cuts : NULL,
		    .n_cuts = f->n_cuts,
		    .candidates = f->list};

		f->n = 0;
		f->n_marks = 0;
		for (size_t i = 0; i < w->n_donors; i++)
			f->marks[i] = -1;
		if (scope != OVER_HOLDERS)
			add_best_open(f, scope == OVER_ALL, effort);
		add_holders(f, scope == OVER_REST);
		s.n_candidates = f->n;
		rc = search_path(&s, out);
	}
	for (uint32_t k = 0; k < out->n_stages; k++)
		out->stages[k].candidate = f->list[out->stages[k].candidate].index;
	return rc;
}

/* ---- rule 2 ------------------------------------------------------------------------------- */

/* The part of a gap that the donor should take: to the end of the stage, or as much as fits. */
static bool part_for(const struct field *f, const struct placement_donor *d, struct layer_range gap,
    struct layer_range *part)
{
	const struct placement_model *m = &f->w->models[f->model];

	*part = gap;
	for (uint32_t c = 0; c < f->n_cuts; c++) {
		if (f->cuts[c] <= gap.first && gap.first < f->cuts[c + 1] &&
		    f->cuts[c + 1] < part->last)
			part->last = f->cuts[c + 1];
	}
	if (f->n_cuts > 0)
		return placement_sessions(m, d, *part, 1) > 0;
	while (part->last > part->first && placement_sessions(m, d, *part, 1) == 0)
		part->last--;
	return part->last > part->first;
}

/* More layers are better; for as many, the smaller donor: a larger one may be needed elsewhere. */
static bool better(struct layer_range part, const struct placement_donor *d,
    struct layer_range best, const struct placement_donor *chosen)
{
	uint32_t n = part.last - part.first, n_best = best.last - best.first;

	return n > n_best || (n == n_best && d->memory_bytes < chosen->memory_bytes);
}

/* The layers given of the gap; empty: no idle donor can hold its first part. */
static struct layer_range fill(struct field *f, struct layer_range gap)
{
	struct plan_work *w = f->w;
	struct layer_range best = {gap.first, gap.first};
	size_t donor = w->n_donors;

	for (size_t i = 0; i < w->n_donors; i++) {
		struct layer_range part;

		if (!plan_holds(&w->donors[i], PLACEMENT_NO_MODEL) || plan_has_target(w, i) ||
		    !part_for(f, &w->donors[i], gap, &part))
			continue;
		if (donor == w->n_donors || better(part, &w->donors[i], best, &w->donors[donor])) {
			donor = i;
			best = part;
		}
	}
	if (donor < w->n_donors)
		plan_give(w, donor, PLAN_PATH, f->model, best);
	return best;
}

static void fill_gaps(struct field *f)
{
	struct plan_work *w = f->w;
	struct layer_range gaps[LIMIT_LAYERS / 2];
	size_t n = placement_missing(
	    w->donors, w->n_donors, f->model, w->models[f->model].n_layers, gaps, LIMIT_LAYERS / 2);

	for (size_t i = 0; i < w->n_donors; i++) {
		if (plan_holds(&w->donors[i], f->model) && !plan_has_target(w, i))
			plan_give(w, i, PLAN_PATH, f->model, w->donors[i].layers);
	}
	for (size_t g = 0; g < n; g++) {
		while (gaps[g].first < gaps[g].last) {
			struct layer_range filled = fill(f, gaps[g]);

			if (filled.first == filled.last && f->n_cuts == 0)
				break;
			if (filled.first == filled.last) { /* perhaps the next stage */
				uint32_t c = 0;

				while (f->cuts[c] <= gaps[g].first)
					c++;
				filled.last = f->cuts[c];
			}
			gaps[g].first = filled.last;
		}
	}
}

/* ---- rule 1 ------------------------------------------------------------------------------- */

static int take(struct plan_work *w, uint32_t model, const struct search_path *found)
{
	struct plan_path *path = &w->plan->paths[model];

	path->stages = calloc(found->n_stages, sizeof *path->stages);
	if (path->stages == NULL)
		return AYNI_ERR_MEMORY;
	path->us = found->us;
	path->n_stages = found->n_stages;
	for (uint32_t k = 0; k < found->n_stages; k++) {
		size_t donor = found->stages[k].candidate;

		path->stages[k] = (struct plan_stage){donor, found->stages[k].layers,
		    plan_stage_us(w, donor, model, found->stages[k].layers)};
		plan_give(w, donor, PLAN_PATH, model, found->stages[k].layers);
	}
	return AYNI_OK;
}

static bool any_holder(const struct plan_work *w)
{
	for (size_t i = 0; i < w->n_donors; i++) {
		if (w->donors[i].usable && w->donors[i].model != PLACEMENT_NO_MODEL)
			return true;
	}
	return false;
}

static bool faster(const struct search_path *a, const struct search_path *than)
{
	return a->n_stages > 0 && than->n_stages > 0 &&
	       a->us * (100 + PLAN_GAIN_PERCENT) / 100 <= than->us;
}

int plan_path_of(struct plan_work *w, uint32_t model)
{
	struct search_path *found = calloc(3, sizeof *found);
	struct search_path *held = found, *staying = found + 1, *moving = found + 2;
	bool any = any_holder(w), open = w->settings.stages == 0, gains;
	struct field f = {0};
	int rc = found != NULL ? open_field(&f, w, model) : AYNI_ERR_MEMORY;

	if (rc == AYNI_OK && any && open)
		rc = find(&f, OVER_HOLDERS, held);
	if (rc == AYNI_OK)
		rc = find(&f, OVER_STAYING, staying);
	if (rc == AYNI_OK && any && (open || staying->n_stages == 0))
		rc = find(&f, OVER_ALL, moving);
	if (rc != AYNI_OK)
		goto out;
	if (held->n_stages > 0 && !faster(staying, held))
		staying = held; /* other cuts would make replicas useless */
	gains = faster(moving, staying);
	w->plan->gains |= gains;
	if (moving->n_stages > 0 && (staying->n_stages == 0 || (gains && !w->settings.hold)))
		rc = take(w, model, moving);
	else if (staying->n_stages > 0)
		rc = take(w, model, staying);
	else
		fill_gaps(&f);
out:
	close_field(&f);
	free(found);
	return rc;
}

int plan_further_path(struct plan_work *w, uint32_t model, bool *any)
{
	struct search_path *found = calloc(1, sizeof *found);
	struct field f = {0};
	int rc = found != NULL ? open_field(&f, w, model) : AYNI_ERR_MEMORY;

	*any = false;
	if (rc == AYNI_OK)
		rc = find(&f, OVER_REST, found);
	if (rc == AYNI_OK && found->n_stages > 0 &&
	    found->us <= PLAN_SLOW_TIMES * w->plan->paths[model].us) {
		*any = true;
		for (uint32_t k = 0; k < found->n_stages; k++) {
			size_t donor = found->stages[k].candidate;

			w->useless[donor] = false;
			plan_give(w, donor, PLAN_REPLICA, model, found->stages[k].layers);
		}
	}
	close_field(&f);
	free(found);
	return rc;
}
