/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/verify.h"

#include <stdlib.h>

#include "node/receipts.h"
#include "node/report.h"

enum { MISSING_MAX = 64 };

static size_t missing_layers(struct pool *p, uint32_t model, struct layer_range *out)
{
	uint32_t n_layers = catalog_at(p->catalog, model)->sizes.n_layers;
	bool held[LIMIT_LAYERS] = {false};

	for (int i = 0; i < roster_slots(p->roster); i++) {
		const struct roster_donor *d = roster_get(p->roster, i);
		struct layer_range ready;

		if (!roster_serves(d) || d->assignment.model != model)
			continue;
		ready = roster_ready(d);
		for (uint32_t l = ready.first; l < ready.last; l++)
			held[l] = true;
	}
	return placement_gaps(held, n_layers, out, MISSING_MAX);
}

static void describe_model(
    struct pool *p, uint32_t index, struct layer_range *missing, struct status_model *out)
{
	const struct catalog_model *m = catalog_at(p->catalog, index);
	struct scheduler_counts counts;

	scheduler_count(p->scheduler, index, &counts);
	memcpy(out->name, m->name, sizeof out->name);
	out->model = m->id;
	out->n_layers = m->sizes.n_layers;
	out->missing = missing;
	out->n_missing = missing_layers(p, index, missing);
	out->sessions = counts.sessions;
	out->waiting = counts.waiting;
	out->tokens = p->tokens_drawn[index];
	outlook_model(p, index, out);
}

static const char *describe_state(const struct roster_donor *d)
{
	if (!roster_serves(d) || roster_responds(d))
		return donor_state_name(d->state);
	return d->alive.suspect ? "silent" : "stalled";
}

static void describe_donor(struct pool *p, int slot, struct status_donor *out)
{
	const struct roster_donor *d = roster_get(p->roster, slot);
	const struct peer *peer = peer_by_number(p, d->peer);

	out->donor = d->key;
	(void)snprintf(out->name, sizeof out->name, "%s", d->name);
	(void)snprintf(out->state, sizeof out->state, "%s", describe_state(d));
	out->layer_first = d->assignment.layers.first;
	out->layer_last = d->assignment.layers.last;
	out->model = d->assignment.number > 0 ? d->assignment.model + 1 : 0;
	out->units = d->units;
	out->cost = d->cost;
	out->round_trip_us = d->round_trip_us;
	out->flop_per_s = d->offer.flop_per_s;
	out->link_bytes_per_s = link_bytes_per_s(&d->link);
	out->refused_by_donor = d->refused_by_donor;
	if (peer != NULL)
		out->refused_by_pool = peer->refused;
	outlook_donor(p, slot, out);
	verify_describe_donor(p, d, out);
}

void status_send(struct pool *p, struct peer *peer)
{
	struct message m = {.type = MSG_STATUS};
	struct msg_status *s = &m.status;
	struct status_model models[CONFIG_MAX_MODELS] = {0};
	struct layer_range missing[CONFIG_MAX_MODELS][MISSING_MAX];
	size_t slots = (size_t)roster_slots(p->roster);

	s->donors = calloc(slots > 0 ? slots : 1, sizeof *s->donors);
	if (s->donors == NULL) {
		peer_refuse(p, peer, REFUSAL_MEMORY, "the pool is out of memory");
		return;
	}
	(void)snprintf(s->pool_name, sizeof s->pool_name, "%s", p->config->name);
	s->uptime_ms = (loop_now_us() - p->started_us) / 1000;
	s->n_models = catalog_size(p->catalog);
	s->models = models;
	for (size_t i = 0; i < s->n_models; i++)
		describe_model(p, (uint32_t)i, missing[i], &models[i]);
	for (size_t i = 0; i < slots; i++) {
		if (roster_get(p->roster, (int)i) != NULL)
			describe_donor(p, (int)i, &s->donors[s->n_donors++]);
	}
	s->refusals = p->refused;
	s->receipts = books_last_number(p->books);
	s->requests_done = p->requests_done;
	verify_describe(p, s);
	(void)peer_send(p, peer, &m, (struct span){0}, 0);
	for (size_t i = 0; i < s->n_models; i++)
		free(models[i].path);
	free(s->donors);
}

/* ---- receipts ----------------------------------------------------------------------------- */

struct page {
	struct pool *pool;
	struct msg_receipts *out; /* room for `limit` of both */
	size_t limit;
};

static void add_name(struct page *page, const struct public_key *donor)
{
	struct msg_receipts *r = page->out;
	struct donor_name *n = &r->names[r->n_names];

	for (size_t i = 0; i < r->n_names; i++) {
		if (public_key_equal(&r->names[i].donor, donor))
			return;
	}
	n->donor = *donor;
	(void)registry_donor_name(page->pool->registry, donor, n->name, sizeof n->name);
	(void)registry_donor_team(page->pool->registry, donor, n->team, sizeof n->team);
	r->n_names++;
}

static int add_receipt(void *context, const struct ledger_entry *e)
{
	struct page *page = context;
	struct signed_receipt *s;

	if (page->out->n_receipts == page->limit)
		return AYNI_ERR_LIMIT; /* a number that several pools gave, in one file */
	s = &page->out->receipts[page->out->n_receipts++];
	add_name(page, &e->donor);
	return receipts_signed(e, s);
}

static int read_page(struct page *page, const struct msg_receipts_query *q, struct error *err)
{
	int rc;

	if (!pseudonym_is_set(&q->session))
		return ledger_each(page->pool->ledger, q->after, q->limit, add_receipt, page, err);
	rc = receipts_of_session(
	    page->pool->ledger, &q->session, q->after, q->limit, add_receipt, page, err);
	return rc == AYNI_ERR_LIMIT ? AYNI_OK : rc; /* so many are enough */
}

void receipts_send(struct pool *p, struct peer *peer, const struct msg_receipts_query *q)
{
	struct message m = {.type = MSG_RECEIPTS};
	struct page page = {.pool = p, .out = &m.receipts, .limit = q->limit};
	struct error err = {.text = "the books cannot be read"};

	m.receipts.receipts = calloc(q->limit, sizeof *m.receipts.receipts);
	m.receipts.names = calloc(q->limit, sizeof *m.receipts.names);
	if (m.receipts.receipts == NULL || m.receipts.names == NULL)
		peer_refuse(p, peer, REFUSAL_MEMORY, "the pool is out of memory");
	else if (read_page(&page, q, &err) != AYNI_OK)
		peer_refuse(p, peer, REFUSAL_INTERNAL, err.text);
	else
		(void)peer_send(p, peer, &m, (struct span){0}, 0);
	free(m.receipts.receipts);
	free(m.receipts.names);
}
