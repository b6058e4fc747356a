/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by plan.c, plan_path.c (rules 1 and 2) and plan_replicas.c (rule 3). */
#ifndef AYNI_NODE_POOL_PLAN_INTERNAL_H
#define AYNI_NODE_POOL_PLAN_INTERNAL_H

#include "node/pool/plan.h"

struct plan_holder {
	struct layer_range layers;
	double us; /* a stage of these */
	size_t donor;
};

struct plan_work {
	const struct placement_donor *donors;
	size_t n_donors;
	const struct placement_model *models;
	size_t n_models;
	struct plan_settings settings;
	struct plan *plan;
	uint32_t **ready; /* [n_models][n_layers] ready donors that hold a layer */
	bool *covered;    /* [n_models] by what is held and being fetched */
	bool *useless;    /* [n_donors] holds what joins no path, as planned */
	size_t *order;    /* [n_donors] for sorting */
	double *key;      /* [n_donors] */
	double *held_us;  /* [n_donors] the stage of what a donor holds; 0: nothing */
	/* [n_holders] whoever holds something, by range, the fastest of each first. */
	struct plan_holder *holders;
	size_t n_holders;
};

static inline bool plan_holds(const struct placement_donor *d, uint32_t model)
{
	return d->usable && d->model == model;
}

static inline bool plan_has_target(const struct plan_work *w, size_t donor)
{
	return w->plan->donors[donor].role == PLAN_PATH ||
	       w->plan->donors[donor].role == PLAN_REPLICA;
}

static inline bool plan_same_range(struct layer_range a, struct layer_range b)
{
	return a.first == b.first && a.last == b.last;
}

/* placement_stage_us, which is known already of what donors hold. */
static inline double plan_stage_us(
    const struct plan_work *w, size_t donor, uint32_t model, struct layer_range layers)
{
	const struct placement_donor *d = &w->donors[donor];

	if (w->held_us[donor] > 0 && d->model == model && plan_same_range(d->layers, layers))
		return w->held_us[donor];
	return placement_stage_us(&w->models[model], d, layers);
}

void plan_give(struct plan_work *w, size_t donor, enum plan_role role, uint32_t model,
    struct layer_range layers);
/* Could the donor give up its layers, by what is held now? (plan.h, "What moves") */
bool plan_redundant(const struct plan_work *w, size_t donor);
/* AYNI_ERR_MEMORY or AYNI_OK. */
int plan_path_of(struct plan_work *w, uint32_t model);
/* A path of idle donors, and of those that are useless as they are, besides the fastest. */
int plan_further_path(struct plan_work *w, uint32_t model, bool *any);
int plan_replicas(struct plan_work *w);
/* Ascending by key, then by number: w->order[0] to [n - 1]. */
void plan_sort(struct plan_work *w, size_t n);

#endif
