/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/path.h"

/* From layer l on: fewest stages to the end, through which donor, and how busy it is. */
struct hop {
	uint32_t n_stages; /* 0: no way */
	int donor;
	uint32_t sessions;
};

static void search(struct roster *r, uint32_t model, uint32_t n_layers, bool full_too,
    struct hop hops[LIMIT_LAYERS + 1])
{
	memset(hops, 0, (n_layers + 1) * sizeof *hops);
	for (uint32_t l = n_layers; l-- > 0;) {
		for (int i = 0; i < roster_slots(r); i++) {
			const struct roster_donor *d = roster_get(r, i);
			const struct donor_assignment *a;
			uint32_t n;

			if (d == NULL || !roster_serves(d))
				continue;
			a = &d->assignment;
			if (a->model != model || a->layers.first != l ||
			    a->layers.last > n_layers ||
			    (!full_too && (d->sessions >= a->max_sessions || !roster_responds(d))))
				continue;
			if (a->layers.last < n_layers && hops[a->layers.last].n_stages == 0)
				continue;
			n = a->layers.last < n_layers ? hops[a->layers.last].n_stages + 1 : 1;
			if (hops[l].n_stages == 0 || n < hops[l].n_stages ||
			    (n == hops[l].n_stages && d->sessions < hops[l].sessions))
				hops[l] = (struct hop){n, i, d->sessions};
		}
	}
}

enum path_search path_find(struct roster *r, uint32_t model, uint32_t n_layers, struct path *out)
{
	struct hop hops[LIMIT_LAYERS + 1];

	search(r, model, n_layers, false, hops);
	if (hops[0].n_stages == 0 || hops[0].n_stages > PATH_MAX_STAGES) {
		search(r, model, n_layers, true, hops);
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
