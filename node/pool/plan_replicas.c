/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "node/pool/plan_internal.h"

enum {
	PLACES = 512,
	FURTHER_PATHS = 4 /* in one plan: the next has more */
};

/* A range that donors may become replicas of. */
struct place {
	uint32_t model;
	struct layer_range layers;
	double us,
	    path_us;      /* of its layers in the path, of the path; 0: the model is not covered */
	uint32_t holders; /* fewest of any of its layers */
	double rate;      /* likewise, tokens a second */
};

struct replicas {
	struct plan_work *w;
	struct place *places;
	size_t n_places;
	uint32_t **holders; /* [n_models][n_layers], as planned */
	double **rate;
	bool *counted; /* [n_donors] in these */
};

static void close_replicas(struct replicas *r)
{
	for (size_t m = 0; m < r->w->n_models; m++) {
		if (r->holders != NULL)
			free(r->holders[m]);
		if (r->rate != NULL)
			free(r->rate[m]);
	}
	free(r->holders);
	free(r->rate);
	free(r->places);
	free(r->counted);
}

static int open_replicas(struct replicas *r, struct plan_work *w)
{
	*r = (struct replicas){.w = w};
	r->holders = calloc(w->n_models + 1, sizeof *r->holders);
	r->rate = calloc(w->n_models + 1, sizeof *r->rate);
	r->places = calloc(PLACES, sizeof *r->places);
	r->counted = calloc(w->n_donors + 1, sizeof *r->counted);
	if (r->holders == NULL || r->rate == NULL || r->places == NULL || r->counted == NULL)
		return AYNI_ERR_MEMORY;
	for (size_t m = 0; m < w->n_models; m++) {
		r->holders[m] = calloc(w->models[m].n_layers + 1, sizeof *r->holders[m]);
		r->rate[m] = calloc(w->models[m].n_layers + 1, sizeof *r->rate[m]);
		if (r->holders[m] == NULL || r->rate[m] == NULL)
			return AYNI_ERR_MEMORY;
	}
	return AYNI_OK;
}

/* ---- counting ----------------------------------------------------------------------------- */

static void look(struct replicas *r, struct place *p)
{
	const uint32_t *holders_of = r->holders[p->model];
	const double *rate_of = r->rate[p->model];

	assert(holders_of != NULL && rate_of != NULL);
	p->holders = UINT32_MAX;
	for (uint32_t l = p->layers.first; l < p->layers.last; l++) {
		uint32_t holders = holders_of[l];
		double rate = rate_of[l];

		if (l == p->layers.first || rate < p->rate)
			p->rate = rate;
		p->holders = holders < p->holders ? holders : p->holders;
	}
}

/* The donor's share of its range changes by `sign`. */
static void count(struct replicas *r, size_t donor, int sign)
{
	const struct plan_donor *to = &r->w->plan->donors[donor];
	double us = plan_stage_us(r->w, donor, to->model, to->layers);

	r->counted[donor] = sign > 0;
	for (uint32_t l = to->layers.first; l < to->layers.last; l++) {
		r->holders[to->model][l] += (uint32_t)sign;
		r->rate[to->model][l] += sign * 1e6 / us;
	}
	for (size_t k = 0; k < r->n_places; k++) {
		struct place *p = &r->places[k];

		if (p->model == to->model && p->layers.first < to->layers.last &&
		    to->layers.first < p->layers.last)
			look(r, p);
	}
}

/* What the fastest path takes for these layers. */
static double path_share_us(const struct plan_path *path, struct layer_range layers)
{
	double us = 0;

	for (uint32_t k = 0; k < path->n_stages; k++) {
		struct layer_range s = path->stages[k].layers;
		uint32_t first = s.first > layers.first ? s.first : layers.first;
		uint32_t last = s.last < layers.last ? s.last : layers.last;

		if (first < last)
			us += path->stages[k].us * (last - first) / (s.last - s.first);
	}
	return us;
}

static void add_place(struct replicas *r, uint32_t model, struct layer_range layers)
{
	const struct plan_path *path = &r->w->plan->paths[model];

	for (size_t k = 0; k < r->n_places; k++) {
		if (r->places[k].model == model && plan_same_range(r->places[k].layers, layers))
			return;
	}
	if (r->n_places == PLACES)
		return;
	r->places[r->n_places++] = (struct place){.model = model,
	    .layers = layers,
	    .us = path_share_us(path, layers),
	    .path_us = path->us};
	look(r, &r->places[r->n_places - 1]);
}

/* The stages of the paths, and then what else is held and joins one. */
static void list_places(struct replicas *r)
{
	const struct plan *p = r->w->plan;

	for (uint32_t m = 0; m < p->n_models; m++) {
		for (uint32_t k = 0; k < p->paths[m].n_stages; k++)
			add_place(r, m, p->paths[m].stages[k].layers);
	}
	for (size_t i = 0; i < p->n_donors; i++) {
		if (plan_has_target(r->w, i) && !r->w->useless[i])
			add_place(r, p->donors[i].model, p->donors[i].layers);
	}
}

/* ---- who holds what joins no path --------------------------------------------------------- */

/* Boundaries that the planned ranges of a model reach from its beginning, or from its end. */
static int joined(struct replicas *r, uint32_t model, bool *from_start, bool *from_end)
{
	const struct plan *p = r->w->plan;
	uint32_t n = r->w->models[model].n_layers;
	size_t none = p->n_donors;
	size_t *head = calloc(n + 1, sizeof *head), *next = calloc(none + 1, sizeof *next);

	if (head == NULL || next == NULL) {
		free(head);
		free(next);
		return AYNI_ERR_MEMORY;
	}
	for (uint32_t l = 0; l <= n; l++)
		head[l] = none;
	for (size_t i = 0; i < p->n_donors; i++) {
		if (!plan_has_target(r->w, i) || p->donors[i].model != model)
			continue;
		next[i] = head[p->donors[i].layers.first];
		head[p->donors[i].layers.first] = i;
	}
	from_start[0] = from_end[n] = true;
	for (uint32_t l = 0; l < n; l++) {
		for (size_t i = head[l]; from_start[l] && i != none; i = next[i])
			from_start[p->donors[i].layers.last] = true;
	}
	for (uint32_t l = n; l-- > 0;) {
		for (size_t i = head[l]; i != none; i = next[i])
			from_end[l] = from_end[l] || from_end[p->donors[i].layers.last];
	}
	free(head);
	free(next);
	return AYNI_OK;
}

static bool in_use(const struct plan_work *w, uint32_t model)
{
	for (size_t i = 0; i < w->n_donors; i++) {
		if (plan_holds(&w->donors[i], model) && w->donors[i].sessions > 0)
			return true;
	}
	return false;
}

/* Finds replicas that no path can use, and takes the target of those that may go. */
static int release_useless(struct replicas *r, uint32_t model)
{
	struct plan *p = r->w->plan;
	uint32_t n = r->w->models[model].n_layers;
	bool *joins = calloc(2 * ((size_t)n + 1), sizeof *joins);
	bool *from_end, stays = in_use(r->w, model);
	int rc;

	if (joins == NULL)
		return AYNI_ERR_MEMORY;
	from_end = joins + n + 1;
	rc = joined(r, model, joins, from_end);
	for (size_t i = 0; rc == AYNI_OK && i < p->n_donors; i++) {
		struct plan_donor *d = &p->donors[i];

		if (d->role != PLAN_REPLICA || d->model != model ||
		    (joins[d->layers.first] && from_end[d->layers.last]))
			continue;
		r->w->useless[i] = true;
		if (stays || r->w->donors[i].sessions > 0 || !plan_redundant(r->w, i))
			continue;
		p->strays = true;
		if (!r->w->settings.hold_strays)
			*d = (struct plan_donor){.model = PLACEMENT_NO_MODEL};
	}
	free(joins);
	return rc;
}

/* ---- giving ranges ------------------------------------------------------------------------ */

/* The order in which places are filled up. */
static bool scarcer(const struct place *a, const struct place *b)
{
	bool few = a->holders < PLAN_HOLDERS_LEAST, few_b = b->holders < PLAN_HOLDERS_LEAST;

	if (few != few_b)
		return few;
	if (few && a->holders != b->holders)
		return a->holders < b->holders;
	return a->rate < b->rate;
}

static struct place *choose(struct replicas *r, size_t donor, struct plan_donor *spare)
{
	const struct placement_donor *d = &r->w->donors[donor];
	struct place *best = NULL;

	*spare = (struct plan_donor){
	    .role = PLAN_SPARE, .reason = PLAN_TOO_SMALL, .model = PLACEMENT_NO_MODEL};
	for (size_t k = 0; k < r->n_places; k++) {
		struct place *p = &r->places[k];
		const struct placement_model *m = &r->w->models[p->model];
		double with_us;

		if ((best != NULL && !scarcer(p, best)) ||
		    placement_sessions(m, d, p->layers, 1) == 0)
			continue;
		with_us = p->path_us - p->us + placement_stage_us(m, d, p->layers);
		if (p->path_us > 0 && p->holders >= PLAN_HOLDERS_LEAST &&
		    with_us > PLAN_SLOW_TIMES * p->path_us) {
			spare->reason = PLAN_TOO_SLOW;
			if (spare->with_us == 0 || with_us < spare->with_us) {
				spare->with_us = with_us;
				spare->without_us = p->path_us;
			}
			continue;
		}
		best = p;
	}
	return best;
}

static void give_ranges(struct replicas *r)
{
	struct plan_work *w = r->w;

	for (size_t i = 0; i < w->n_donors; i++) {
		struct plan_donor spare;
		struct place *p;

		if (!w->donors[i].usable || plan_has_target(w, i))
			continue;
		p = choose(r, i, &spare);
		w->useless[i] = w->useless[i] && p == NULL;
		if (p != NULL)
			plan_give(w, i, PLAN_REPLICA, p->model, p->layers);
		else if (w->donors[i].model != PLACEMENT_NO_MODEL)
			plan_give(w, i, PLAN_REPLICA, w->donors[i].model, w->donors[i].layers);
		else
			w->plan->donors[i] = spare;
		if (plan_has_target(w, i))
			count(r, i, 1);
	}
}

/* Counts the donors of a path just found, and lets others become replicas of its ranges. */
static void add_further(struct replicas *r)
{
	struct plan_work *w = r->w;

	for (size_t i = 0; i < w->n_donors; i++) {
		if (!plan_has_target(w, i) || r->counted[i])
			continue;
		count(r, i, 1);
		add_place(r, w->plan->donors[i].model, w->plan->donors[i].layers);
	}
	give_ranges(r);
}

/* Of donors too small for any range of the paths: paths of their own. */
static int further_paths(struct replicas *r)
{
	struct plan_work *w = r->w;
	uint32_t left = FURTHER_PATHS;
	bool small = false, any;
	int rc = AYNI_OK;

	for (size_t i = 0; i < w->n_donors; i++)
		small = small || w->plan->donors[i].reason == PLAN_TOO_SMALL;
	for (uint32_t m = 0; small && m < w->n_models && rc == AYNI_OK; m++) {
		any = w->plan->paths[m].n_stages > 0;
		while (rc == AYNI_OK && any && left > 0) {
			rc = plan_further_path(w, m, &any);
			if (!any)
				break;
			left--;
			add_further(r);
		}
	}
	return rc;
}

/* One donor of the most crowded range goes to the scarcest, if that is much scarcer. */
static void balance(struct replicas *r)
{
	const struct plan *p = r->w->plan;
	struct place *least = NULL;
	size_t mover = p->n_donors;
	uint32_t most = 0;

	for (size_t k = 0; k < r->n_places; k++) {
		if (least == NULL || r->places[k].holders < least->holders)
			least = &r->places[k];
	}
	for (size_t i = 0; least != NULL && i < p->n_donors; i++) {
		const struct placement_donor *d = &r->w->donors[i];
		struct place own = {.model = p->donors[i].model, .layers = p->donors[i].layers};

		if (p->donors[i].role != PLAN_REPLICA || d->sessions > 0 ||
		    d->model == PLACEMENT_NO_MODEL || !plan_redundant(r->w, i) ||
		    placement_sessions(&r->w->models[least->model], d, least->layers, 1) == 0)
			continue;
		look(r, &own);
		if (own.holders >= PLAN_CROWD_TIMES * least->holders && own.holders > most) {
			most = own.holders;
			mover = i;
		}
	}
	if (mover == p->n_donors)
		return;
	count(r, mover, -1);
	plan_give(r->w, mover, PLAN_REPLICA, least->model, least->layers);
	count(r, mover, 1);
}

int plan_replicas(struct plan_work *w)
{
	struct replicas r;
	int rc = open_replicas(&r, w);

	for (size_t i = 0; i < w->n_donors; i++) {
		const struct placement_donor *d = &w->donors[i];

		if (d->usable && d->model != PLACEMENT_NO_MODEL && !plan_has_target(w, i))
			plan_give(w, i, PLAN_REPLICA, d->model, d->layers);
	}
	for (uint32_t m = 0; rc == AYNI_OK && m < w->n_models; m++) {
		if (w->plan->paths[m].n_stages > 0)
			rc = release_useless(&r, m);
	}
	if (rc == AYNI_OK) {
		for (size_t i = 0; i < w->n_donors; i++) {
			if (plan_has_target(w, i))
				count(&r, i, 1);
		}
		list_places(&r);
		give_ranges(&r);
		balance(&r);
		rc = further_paths(&r);
	}
	close_replicas(&r);
	return rc;
}
