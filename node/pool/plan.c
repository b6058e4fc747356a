/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/plan.h"

#include <stdlib.h>

#include "node/pool/plan_internal.h"

void plan_give(struct plan_work *w, size_t donor, enum plan_role role, uint32_t model,
    struct layer_range layers)
{
	w->plan->donors[donor] =
	    (struct plan_donor){.role = role, .model = model, .layers = layers};
}

/* Each of the donor's layers outside `keeps` is ready elsewhere. */
static bool may_give_up(const struct plan_work *w, size_t donor, struct layer_range keeps)
{
	const struct placement_donor *d = &w->donors[donor];

	for (uint32_t l = d->layers.first; l < d->layers.last; l++) {
		if ((l < keeps.first || l >= keeps.last) &&
		    w->ready[d->model][l] < (d->ready ? 2U : 1U))
			return false;
	}
	return true;
}

bool plan_redundant(const struct plan_work *w, size_t donor)
{
	return may_give_up(w, donor, (struct layer_range){0, 0});
}

struct keyed {
	double key;
	size_t donor;
};

static int compare_keys(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->donor < y->donor ? -1 : x->donor > y->donor;
}

void plan_sort(struct plan_work *w, size_t n)
{
	struct keyed *list = calloc(n + 1, sizeof *list);

	if (list == NULL)
		return; /* any order is allowed, only not as good */
	for (size_t i = 0; i < n; i++)
		list[i] = (struct keyed){w->key[w->order[i]], w->order[i]};
	qsort(list, n, sizeof *list, compare_keys);
	for (size_t i = 0; i < n; i++)
		w->order[i] = list[i].donor;
	free(list);
}

/* ---- what is now -------------------------------------------------------------------------- */

static int compare_holders(const void *a, const void *b)
{
	const struct plan_holder *x = a, *y = b;

	if (x->layers.first != y->layers.first)
		return x->layers.first < y->layers.first ? -1 : 1;
	if (x->layers.last != y->layers.last)
		return x->layers.last < y->layers.last ? -1 : 1;
	if (x->us != y->us)
		return x->us < y->us ? -1 : 1;
	return x->donor < y->donor ? -1 : x->donor > y->donor;
}

static void look_at_holders(struct plan_work *w)
{
	for (size_t i = 0; i < w->n_donors; i++) {
		const struct placement_donor *d = &w->donors[i];

		if (!d->usable || d->model == PLACEMENT_NO_MODEL)
			continue;
		w->held_us[i] = placement_stage_us(&w->models[d->model], d, d->layers);
		w->holders[w->n_holders++] = (struct plan_holder){d->layers, w->held_us[i], i};
		if (!d->ready)
			continue;
		for (uint32_t l = d->layers.first; l < d->layers.last; l++)
			w->ready[d->model][l]++;
	}
	qsort(w->holders, w->n_holders, sizeof *w->holders, compare_holders);
	for (uint32_t m = 0; m < w->n_models; m++) {
		struct layer_range gap;

		w->covered[m] = placement_missing(
		                    w->donors, w->n_donors, m, w->models[m].n_layers, &gap, 1) == 0;
	}
}

static void close_work(struct plan_work *w)
{
	for (size_t m = 0; w->ready != NULL && m < w->n_models; m++)
		free(w->ready[m]);
	free(w->ready);
	free(w->covered);
	free(w->useless);
	free(w->order);
	free(w->key);
	free(w->held_us);
	free(w->holders);
}

static int open_work(struct plan_work *w)
{
	struct plan *p = calloc(1, sizeof *p);

	w->plan = p;
	w->ready = calloc(w->n_models + 1, sizeof *w->ready);
	w->covered = calloc(w->n_models + 1, sizeof *w->covered);
	w->useless = calloc(w->n_donors + 1, sizeof *w->useless);
	w->order = calloc(w->n_donors + 1, sizeof *w->order);
	w->key = calloc(w->n_donors + 1, sizeof *w->key);
	w->held_us = calloc(w->n_donors + 1, sizeof *w->held_us);
	w->holders = calloc(w->n_donors + 1, sizeof *w->holders);
	if (p == NULL || w->ready == NULL || w->covered == NULL || w->useless == NULL ||
	    w->order == NULL || w->key == NULL || w->held_us == NULL || w->holders == NULL)
		return AYNI_ERR_MEMORY;
	p->n_donors = w->n_donors;
	p->n_models = w->n_models;
	p->donors = calloc(w->n_donors + 1, sizeof *p->donors);
	p->paths = calloc(w->n_models + 1, sizeof *p->paths);
	p->changes = calloc(2 * w->n_donors + 1, sizeof *p->changes);
	if (p->donors == NULL || p->paths == NULL || p->changes == NULL)
		return AYNI_ERR_MEMORY;
	for (size_t m = 0; m < w->n_models; m++) {
		w->ready[m] = calloc(w->models[m].n_layers + 1, sizeof *w->ready[m]);
		if (w->ready[m] == NULL)
			return AYNI_ERR_MEMORY;
	}
	for (size_t i = 0; i < w->n_donors; i++)
		p->donors[i].model = PLACEMENT_NO_MODEL;
	look_at_holders(w);
	return AYNI_OK;
}

/* ---- changes ------------------------------------------------------------------------------ */

static bool may_move(const struct plan_work *w, size_t donor)
{
	const struct placement_donor *d = &w->donors[donor];
	const struct plan_donor *to = &w->plan->donors[donor];
	struct layer_range keeps = {0, 0};

	if (d->sessions > 0)
		return false;
	if (to->model == d->model && !w->covered[d->model])
		return true;
	if (to->model == d->model)
		keeps = to->layers;
	return may_give_up(w, donor, keeps);
}

static void change(struct plan_work *w, size_t donor)
{
	const struct placement_donor *d = &w->donors[donor];
	const struct plan_donor *to = &w->plan->donors[donor];
	struct plan *p = w->plan;

	if (to->model == d->model && plan_same_range(to->layers, d->layers))
		return;
	if (d->model != PLACEMENT_NO_MODEL) {
		if (!may_move(w, donor))
			return;
		p->changes[p->n_changes++] =
		    (struct placement_change){donor, true, d->model, d->layers, 0};
		for (uint32_t l = d->layers.first; d->ready && l < d->layers.last; l++)
			w->ready[d->model][l]--;
	}
	p->changes[p->n_changes++] = (struct placement_change){donor, false, to->model, to->layers,
	    placement_sessions(&w->models[to->model], d, to->layers, w->settings.max_sessions)};
}

/* The paths of all models go before what only adds to them. */
static void list_changes(struct plan_work *w)
{
	static const enum plan_role order[] = {PLAN_PATH, PLAN_REPLICA};

	for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
		for (size_t i = 0; i < w->n_donors; i++) {
			if (w->plan->donors[i].role == order[k])
				change(w, i);
		}
	}
}

/* ---- outside ------------------------------------------------------------------------------ */

struct plan *plan_new(const struct placement_donor *donors, size_t n_donors,
    const struct placement_model *models, size_t n_models, const struct plan_settings *settings)
{
	struct plan_work w = {.donors = donors,
	    .n_donors = n_donors,
	    .models = models,
	    .n_models = n_models,
	    .settings = *settings};
	int rc = open_work(&w);

	for (uint32_t m = 0; rc == AYNI_OK && m < n_models; m++)
		rc = plan_path_of(&w, m);
	if (rc == AYNI_OK)
		rc = plan_replicas(&w);
	if (rc == AYNI_OK)
		list_changes(&w);
	close_work(&w);
	if (rc != AYNI_OK) {
		plan_free(w.plan);
		return NULL;
	}
	return w.plan;
}

void plan_free(struct plan *p)
{
	if (p == NULL)
		return;
	for (size_t m = 0; p->paths != NULL && m < p->n_models; m++)
		free(p->paths[m].stages);
	free(p->paths);
	free(p->donors);
	free(p->changes);
	free(p);
}

const char *plan_role_name(enum plan_role r)
{
	switch (r) {
	case PLAN_PATH:
		return "path";
	case PLAN_REPLICA:
		return "replica";
	case PLAN_SPARE:
		return "spare";
	case PLAN_NOTHING:
		break;
	}
	return "";
}

/* ---- wishes ------------------------------------------------------------------------------- */

static bool steady(uint64_t since_us, uint64_t now_us)
{
	return since_us != 0 && now_us - since_us >= PLAN_STEADY_S * UINT64_C(1000000);
}

void plan_wishes_hold(const struct plan_wishes *w, uint64_t now_us, struct plan_settings *settings)
{
	settings->hold = !steady(w->gains_us, now_us);
	settings->hold_strays = !steady(w->strays_us, now_us);
}

static void note(uint64_t *since_us, bool wish, uint64_t now_us)
{
	if (!wish)
		*since_us = 0;
	else if (*since_us == 0)
		*since_us = now_us;
}

void plan_wishes_note(struct plan_wishes *w, const struct plan *p, uint64_t now_us)
{
	note(&w->gains_us, p != NULL && p->gains, now_us);
	note(&w->strays_us, p != NULL && p->strays, now_us);
}
