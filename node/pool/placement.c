/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/placement.h"

struct view {
	const struct placement_donor *donors;
	size_t n_donors;
	const struct placement_model *models;
	size_t n_models;
	uint32_t stages, max_sessions;
};

/* Sessions that fit beside the weights of a range; 0: the range does not fit. */
static uint32_t sessions_that_fit(
    const struct view *v, const struct placement_donor *d, uint32_t model, struct layer_range range)
{
	const struct placement_model *m = &v->models[model];
	uint64_t weights = range.first == 0 ? m->first_bytes : 0;
	uint64_t session = m->kv_layer_bytes * (range.last - range.first);
	uint64_t n;

	if (d->max_layers != 0 && range.last - range.first > d->max_layers)
		return 0;
	weights += range.last == m->n_layers ? m->last_bytes : 0;
	for (uint32_t i = range.first; i < range.last; i++)
		weights += m->layer_bytes[i];
	if (weights >= d->memory_bytes)
		return 0;
	n = session > 0 ? (d->memory_bytes - weights) / session : v->max_sessions;
	return n < v->max_sessions ? (uint32_t)n : v->max_sessions;
}

static bool holds(const struct placement_donor *d, uint32_t model)
{
	return d->usable && d->model == model;
}

/* How many donors hold a layer. */
static size_t holders(const struct view *v, uint32_t model, uint32_t layer)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_donors; i++) {
		const struct placement_donor *d = &v->donors[i];

		n += holds(d, model) && d->layers.first <= layer && layer < d->layers.last;
	}
	return n;
}

/* The next range from `from` on that nobody holds. */
static bool next_gap(
    const struct view *v, uint32_t model, uint32_t n_layers, uint32_t from, struct layer_range *gap)
{
	uint32_t at = from;

	while (at < n_layers && holders(v, model, at) > 0)
		at++;
	gap->first = at;
	while (at < n_layers && holders(v, model, at) == 0)
		at++;
	gap->last = at;
	return gap->first < gap->last;
}

/* Bytes that a token's way through layers [0, end) reads: the embedding is looked up, not read. */
static uint64_t bytes_before(const struct placement_model *m, uint32_t end)
{
	uint64_t bytes = end == m->n_layers ? m->last_bytes : 0;

	for (uint32_t i = 0; i < end; i++)
		bytes += m->layer_bytes[i];
	return bytes;
}

/* Where stage i of n begins: each reads as nearly the same as whole layers allow, and has one at
 * least. */
static uint32_t stage_begin(const struct placement_model *m, uint32_t stages, uint32_t i)
{
	double share = (double)bytes_before(m, m->n_layers) * i / stages;
	uint32_t at = i, most = m->n_layers - (stages - i);

	while (at < most && i > 0 &&
	       (double)(bytes_before(m, at) + bytes_before(m, at + 1)) / 2 < share)
		at++;
	return at;
}

static struct layer_range stage_range(const struct placement_model *m, uint32_t stages, uint32_t i)
{
	return (struct layer_range){stage_begin(m, stages, i), stage_begin(m, stages, i + 1)};
}

/* The part of a gap that one donor should take: its first stage, or as much as fits. */
static bool part_for(const struct view *v, const struct placement_donor *d, uint32_t model,
    struct layer_range gap, struct layer_range *part)
{
	*part = gap;
	for (uint32_t i = 0; v->stages > 0 && i < v->stages; i++) {
		struct layer_range stage = stage_range(&v->models[model], v->stages, i);

		if (stage.first <= gap.first && gap.first < stage.last && stage.last < part->last)
			part->last = stage.last;
	}
	if (v->stages > 0)
		return sessions_that_fit(v, d, model, *part) > 0;
	while (part->last > part->first && sessions_that_fit(v, d, model, *part) == 0)
		part->last--;
	return part->last > part->first;
}

static bool assign(const struct view *v, size_t donor, uint32_t model, struct layer_range range,
    struct placement_change *out)
{
	*out = (struct placement_change){
	    donor, false, model, range, sessions_that_fit(v, &v->donors[donor], model, range)};
	return true;
}

/* More layers are better; for as many, the smaller donor: a larger one may be needed elsewhere. */
static bool better(struct layer_range part, const struct placement_donor *d,
    struct layer_range best, const struct placement_donor *chosen)
{
	uint32_t n = part.last - part.first, n_best = best.last - best.first;

	return n > n_best || (n == n_best && d->memory_bytes < chosen->memory_bytes);
}

/* Rule 1. */
static bool fill_gap(
    const struct view *v, uint32_t model, struct layer_range gap, struct placement_change *out)
{
	struct layer_range best = {0, 0};
	size_t donor = v->n_donors;

	for (size_t i = 0; i < v->n_donors; i++) {
		struct layer_range part;

		if (!holds(&v->donors[i], PLACEMENT_NO_MODEL) ||
		    !part_for(v, &v->donors[i], model, gap, &part))
			continue;
		if (donor == v->n_donors || better(part, &v->donors[i], best, &v->donors[donor])) {
			donor = i;
			best = part;
		}
	}
	return donor < v->n_donors && assign(v, donor, model, best, out);
}

static bool redundant(const struct view *v, const struct placement_donor *d)
{
	for (uint32_t i = d->layers.first; i < d->layers.last; i++) {
		if (holders(v, d->model, i) < 2)
			return false;
	}
	return true;
}

/* Rule 2. */
static bool free_redundant(
    const struct view *v, uint32_t model, struct layer_range gap, struct placement_change *out)
{
	for (size_t i = 0; i < v->n_donors; i++) {
		const struct placement_donor *d = &v->donors[i];
		struct layer_range part;

		if (!d->usable || d->model == PLACEMENT_NO_MODEL || !redundant(v, d) ||
		    !part_for(v, d, model, gap, &part))
			continue;
		*out = (struct placement_change){i, true, d->model, d->layers, 0};
		return true;
	}
	return false;
}

/* Rule 3: copies of a range some donor already holds, the rarest first. */
static bool replicate(const struct view *v, size_t donor, struct placement_change *out)
{
	const struct placement_donor *d = &v->donors[donor];
	const struct placement_donor *best = NULL;
	size_t fewest = 0;

	for (size_t i = 0; i < v->n_donors; i++) {
		const struct placement_donor *other = &v->donors[i];
		size_t n;

		if (!other->usable || other->model == PLACEMENT_NO_MODEL ||
		    sessions_that_fit(v, d, other->model, other->layers) == 0)
			continue;
		n = holders(v, other->model, other->layers.first);
		if (best == NULL || n < fewest) {
			best = other;
			fewest = n;
		}
	}
	return best != NULL && assign(v, donor, best->model, best->layers, out);
}

bool placement_next(const struct placement_donor *donors, size_t n_donors,
    const struct placement_model *models, size_t n_models, uint32_t stages, uint32_t max_sessions,
    struct placement_change *out)
{
	struct view v = {donors, n_donors, models, n_models, stages, max_sessions};

	for (uint32_t m = 0; m < n_models; m++) {
		struct layer_range gap = {0, 0};

		if (v.stages > models[m].n_layers)
			v.stages = models[m].n_layers;
		while (next_gap(&v, m, models[m].n_layers, gap.last, &gap)) {
			if (fill_gap(&v, m, gap, out) || free_redundant(&v, m, gap, out))
				return true;
		}
		v.stages = stages;
	}
	for (size_t i = 0; i < n_donors; i++) {
		if (holds(&donors[i], PLACEMENT_NO_MODEL) && replicate(&v, i, out))
			return true;
	}
	return false;
}

size_t placement_missing(const struct placement_donor *donors, size_t n_donors, uint32_t model,
    uint32_t n_layers, struct layer_range *out, size_t max)
{
	struct view v = {.donors = donors, .n_donors = n_donors};
	struct layer_range gap = {0, 0};
	size_t n = 0;

	while (n < max && next_gap(&v, model, n_layers, gap.last, &gap))
		out[n++] = gap;
	return n;
}
