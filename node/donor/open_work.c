/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/open_work.h"

/* Its index, or n if nothing of these layers is open. */
static size_t find(const struct open_work *w, const struct hash *model, struct layer_range layers)
{
	size_t i = 0;

	while (i < w->n && (w->ranges[i].layers.first != layers.first ||
	                       w->ranges[i].layers.last != layers.last ||
	                       !hash_equal(&w->ranges[i].model, model)))
		i++;
	return i;
}

static size_t find_of(const struct open_work *w, const struct receipt *r)
{
	return find(w, &r->model, (struct layer_range){r->layer_first, r->layer_last});
}

static void take_out(struct open_work *w, size_t i)
{
	w->n--;
	memmove(&w->ranges[i], &w->ranges[i + 1], (w->n - i) * sizeof *w->ranges);
}

/* A sum that does not fit stays as it is: a receipt for less is fine. */
void open_work_add(struct open_work *w, const struct msg_work_unit *u, struct flop cost)
{
	struct layer_range layers = {u->layer_first, u->layer_last};
	struct open_range o = {.model = u->model, .layers = layers};
	size_t i = find(w, &u->model, layers);

	if (i < w->n)
		o = w->ranges[i];
	if (i < w->n || w->n == OPEN_WORK_RANGES)
		take_out(w, i < w->n ? i : 0);
	o.units += u->n_spans;
	o.tokens += u->n_tokens;
	(void)flop_add(o.cost, cost, &o.cost);
	w->ranges[w->n++] = o;
}

int open_work_check(const struct open_work *w, const struct receipt *r, struct error *err)
{
	size_t i = find_of(w, r);
	const struct open_range *o = &w->ranges[i];

	if (i == w->n)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "a receipt for layers %u to %u, of which no work is open", r->layer_first,
		    r->layer_last);
	if (r->units > o->units || r->tokens > o->tokens ||
	    flop_count(r->cost) > flop_count(o->cost))
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "a receipt for more work than was returned");
	return AYNI_OK;
}

void open_work_settle(struct open_work *w, const struct receipt *r, struct open_range *missing)
{
	size_t i = find_of(w, r);
	struct open_range *o = &w->ranges[i];

	memset(missing, 0, sizeof *missing);
	assert(i < w->n && r->units <= o->units && r->tokens <= o->tokens &&
	       flop_count(r->cost) <= flop_count(o->cost));
	o->units -= r->units;
	o->tokens -= r->tokens;
	(void)flop_from(flop_count(o->cost) - flop_count(r->cost), &o->cost);
	if (o->units > 0)
		return;
	*missing = *o;
	take_out(w, i);
}

uint64_t open_work_units(const struct open_work *w)
{
	uint64_t units = 0;

	for (size_t i = 0; i < w->n; i++)
		units += w->ranges[i].units;
	return units;
}
