/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "node/pool/path.h"
#include "node/pool/pool_internal.h"

/* What a token's time over a path consists of, and where most of each is. */
struct parts {
	struct path_time sum, most;
	const struct roster_donor *slowest, *farthest, *narrowest, *busiest;
};

static void add_part(uint64_t us, const struct roster_donor *d, uint64_t *sum, uint64_t *most,
    const struct roster_donor **where)
{
	*sum += us;
	if (*where != NULL && us <= *most)
		return;
	*most = us;
	*where = d;
}

static void add_parts(struct parts *p, const struct path_time *t, const struct roster_donor *d)
{
	p->sum.all_us += t->all_us;
	add_part(t->compute_us, d, &p->sum.compute_us, &p->most.compute_us, &p->slowest);
	add_part(t->trip_us, d, &p->sum.trip_us, &p->most.trip_us, &p->farthest);
	add_part(t->transfer_us, d, &p->sum.transfer_us, &p->most.transfer_us, &p->narrowest);
	add_part(t->wait_us, d, &p->sum.wait_us, &p->most.wait_us, &p->busiest);
}

/* The largest part of a token's time, in words. */
static void say_limit(const struct parts *p, char *text, size_t size)
{
	const struct roster_donor *d = p->slowest;
	const char *what = "computing", *where = "most at";
	uint64_t us = p->sum.compute_us;

	if (p->sum.trip_us > us) {
		d = p->farthest;
		what = "ways to donors";
		where = "the longest at";
		us = p->sum.trip_us;
	}
	if (p->sum.transfer_us > us) {
		d = p->narrowest;
		what = "sending activations";
		where = "most over the link of";
		us = p->sum.transfer_us;
	}
	if (p->sum.wait_us > us) {
		d = p->busiest;
		what = "waiting for other sessions";
		where = "most at";
		us = p->sum.wait_us;
	}
	(void)snprintf(text, size, "%s: %.1f of %.1f ms a token, %s %s", what, (double)us / 1000,
	    (double)p->sum.all_us / 1000, where, d->name[0] != '\0' ? d->name : "(no name)");
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

static void describe_path(const struct path_donors *donors, struct pool *p, const struct path *path,
    struct parts *parts, struct status_model *out)
{
	for (uint32_t k = 0; k < path->n_stages; k++) {
		const struct roster_donor *d = roster_get(p->roster, path->stages[k].donor);
		struct path_time t = path_time(donors, path, k);
		struct status_stage *s = &out->path[k];

		s->layers = path->stages[k].layers;
		s->donor = d->key;
		(void)snprintf(s->donor_name, sizeof s->donor_name, "%s", d->name);
		s->token_us = t.all_us;
		s->round_trip_us = t.trip_us;
		s->replicas = replicas(p, &path->stages[k], path->model);
		s->direct = t.direct;
		add_parts(parts, &t, d);
	}
	out->n_stages = path->n_stages;
}

void outlook_model(struct pool *p, uint32_t index, struct status_model *out)
{
	const struct path_donors donors = {
	    p->roster, scheduler_pairs(p->scheduler), loop_now_us(), 0};
	struct parts parts = {0};
	struct path path = {0};

	switch (path_find(&donors, index, out->n_layers, 1, &path)) {
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
	describe_path(&donors, p, &path, &parts, out);
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
