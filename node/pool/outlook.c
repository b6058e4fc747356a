/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "node/pool/path.h"
#include "node/pool/pool_internal.h"

/* What a token's time over a path consists of, and where most of each is. */
struct parts {
	uint64_t total_us, compute_us, trip_us, transfer_us, wait_us;
	const struct roster_donor *slowest, *farthest, *narrowest, *busiest;
};

static uint64_t trip_us(const struct roster_donor *d)
{
	const struct donor_assignment *a = &d->assignment;

	return path_stage_us(d, a->layers) - path_compute_us(d, a->layers) - a->transfer_us -
	       path_wait_us(d);
}

static void add_part(struct parts *p, const struct roster_donor *d, struct layer_range layers)
{
	p->total_us += path_stage_us(d, layers);
	p->compute_us += path_compute_us(d, layers);
	p->trip_us += trip_us(d);
	p->transfer_us += d->assignment.transfer_us;
	p->wait_us += path_wait_us(d);
	if (p->slowest == NULL || d->assignment.token_us > p->slowest->assignment.token_us)
		p->slowest = d;
	if (p->farthest == NULL || trip_us(d) > trip_us(p->farthest))
		p->farthest = d;
	if (p->narrowest == NULL ||
	    d->assignment.transfer_us > p->narrowest->assignment.transfer_us)
		p->narrowest = d;
	if (p->busiest == NULL || path_wait_us(d) > path_wait_us(p->busiest))
		p->busiest = d;
}

/* The largest part of a token's time, in words. */
static void say_limit(const struct parts *p, char *text, size_t size)
{
	const struct roster_donor *d = p->slowest;
	const char *what = "computing", *where = "most at";
	uint64_t us = p->compute_us;

	if (p->trip_us > us) {
		d = p->farthest;
		what = "round trips";
		where = "the longest to";
		us = p->trip_us;
	}
	if (p->transfer_us > us) {
		d = p->narrowest;
		what = "sending activations";
		where = "most over the link of";
		us = p->transfer_us;
	}
	if (p->wait_us > us) {
		d = p->busiest;
		what = "waiting for other sessions";
		where = "most at";
		us = p->wait_us;
	}
	(void)snprintf(text, size, "%s: %.1f of %.1f ms a token, %s %s", what, (double)us / 1000,
	    (double)p->total_us / 1000, where, d->name[0] != '\0' ? d->name : "(no name)");
}

static uint32_t replicas(struct pool *p, const struct path_stage *stage, uint32_t model)
{
	uint32_t n = 0;

	for (int i = 0; i < roster_slots(p->roster); i++) {
		const struct roster_donor *d = roster_get(p->roster, i);

		n += i != stage->donor && d != NULL && roster_serves(d) &&
		     d->assignment.model == model && roster_holds(d, stage->layers);
	}
	return n;
}

static void describe_path(
    struct pool *p, const struct path *path, struct parts *parts, struct status_model *out)
{
	for (uint32_t k = 0; k < path->n_stages; k++) {
		const struct roster_donor *d = roster_get(p->roster, path->stages[k].donor);
		struct status_stage *s = &out->path[k];

		s->layers = path->stages[k].layers;
		s->donor = d->key;
		(void)snprintf(s->donor_name, sizeof s->donor_name, "%s", d->name);
		s->token_us = path_stage_us(d, s->layers);
		s->round_trip_us = roster_trip_us(d);
		s->replicas = replicas(p, &path->stages[k], path->model);
		s->direct = k + 1 < path->n_stages &&
		            pairs_up(scheduler_pairs(p->scheduler), path->stages[k].donor,
		                path->stages[k + 1].donor, loop_now_us());
		add_part(parts, d, s->layers);
	}
	out->n_stages = path->n_stages;
}

void outlook_model(struct pool *p, uint32_t index, struct status_model *out)
{
	struct parts parts = {0};
	struct path path = {0};

	switch (path_find(p->roster, index, out->n_layers, 1, &path)) {
	case PATH_MISSING:
		(void)snprintf(
		    out->limit, sizeof out->limit, "no ready donor holds some of the layers");
		return;
	case PATH_FULL:
		(void)snprintf(out->limit, sizeof out->limit,
		    "the donors have no room for another session, or do not respond");
		return;
	case PATH_FOUND:
		break;
	}
	out->path = calloc(path.n_stages, sizeof *out->path);
	if (out->path == NULL)
		return;
	describe_path(p, &path, &parts, out);
	say_limit(&parts, out->limit, sizeof out->limit);
}

void outlook_donor(const struct pool *p, int slot, struct status_donor *out)
{
	const struct plan_donor *d;

	if (p->plan == NULL || (size_t)slot >= p->plan->n_donors)
		return;
	d = &p->plan->donors[slot];
	(void)snprintf(out->role, sizeof out->role, "%s", plan_role_name(d->role));
	if (d->reason == PLAN_TOO_SMALL)
		(void)snprintf(
		    out->note, sizeof out->note, "no range of layers fits in its memory");
	if (d->reason == PLAN_TOO_SLOW)
		(void)snprintf(out->note, sizeof out->note,
		    "would slow streams from %.3g to %.3g tokens/s", 1e6 / d->without_us,
		    1e6 / d->with_us);
}
