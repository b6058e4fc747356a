/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/donor_internal.h"

#include <stdlib.h>

#include "node/receipts.h"
#include "node/report.h"
#include "node/work.h"
#include "protocol/messages.h"
#include "protocol/receipt.h"

static const struct msg_work_unit *unit_at(const struct donor *d, size_t i)
{
	return &d->queue.units[i].message->work_unit;
}

static void pop(struct donor *d)
{
	queue_remove(&d->queue, 0);
	d->running = d->orphaned = false;
}

static void send_failed(struct donor *d, uint64_t unit, enum refusal reason, const char *text)
{
	struct message m = {.type = MSG_UNIT_FAILED};

	d->refused.by_reason[reason]++;
	m.unit_failed.unit = unit;
	m.unit_failed.reason = reason;
	(void)snprintf(m.unit_failed.text, sizeof m.unit_failed.text, "%s", text);
	donor_send(d, &m, (struct span){0});
}

bool units_take(struct donor *d, struct message *m, struct transport_parts *parts)
{
	struct error why = {0};
	enum refusal r = intake_admit(d->intake, &m->work_unit, m->payload, &why);

	if (r != REFUSAL_NONE) {
		report(REPORT_DEBUG, "unit refused: %s: %s", refusal_name(r), why.text);
		send_failed(d, m->work_unit.unit, r, why.text);
		return false;
	}
	queue_add(&d->queue, m, parts);
	if (m->work_unit.input.ticket != 0)
		direct_recall(d, &m->work_unit.input);
	units_pump(d);
	return true;
}

bool units_handover(struct donor *d, const struct public_key *from, uint64_t ticket,
    struct span payload, const struct hash *hash)
{
	struct queued_unit *q = queue_waiting(&d->queue, from, ticket);

	struct hash whole = *hash;

	if (q == NULL || payload.len != intake_input_bytes(d->intake, &q->message->work_unit))
		return false;
	work_commit_input(d->holding.sizes->d_model, &q->message->work_unit, payload.data, &whole);
	if (queue_give(q, payload, &whole) != AYNI_OK)
		return false;
	units_pump(d);
	return true;
}

void units_withdraw(struct donor *d, uint64_t unit)
{
	size_t i = queue_find(&d->queue, unit);

	if (i == d->queue.n || (i == 0 && d->running))
		return; /* too late: the pool will not take the result */
	intake_done(d->intake, unit_at(d, i), true);
	queue_remove(&d->queue, i);
	units_pump(d); /* what it held up */
}

/* While the worker computes, what it was given is hashed here. */
static bool run_first(struct donor *d, struct error *err)
{
	struct queued_unit *q = &d->queue.units[0];
	const struct msg_work_unit *u = &q->message->work_unit;

	q->inputs = calloc(WORK_PARTS_MAX, sizeof *q->inputs);
	if (q->inputs == NULL) {
		(void)error_set(err, AYNI_ERR_MEMORY, "out of memory");
		return false;
	}
	if (worker_link_run(d->worker, u, q->payload, err) != AYNI_OK)
		return false;
	chain_inputs(d->holding.sizes->d_model, u->layer_first, u, q->payload.data, q->inputs);
	return true;
}

/* Units and layers take turns, so that neither waits for all of the other. */
void units_pump(struct donor *d)
{
	while (!d->running && !d->holding.loading) {
		struct queued_unit *q = &d->queue.units[0];
		struct error err = {0};
		bool waits = queue_next(&d->queue);

		if ((d->ran_last || !waits) && holding_load_next(d)) {
			d->ran_last = false;
			return;
		}
		if (!waits || d->queue.n == 0)
			return;
		if (run_first(d, &err)) {
			d->running = d->ran_last = true;
			return;
		}
		send_failed(d, q->message->work_unit.unit, REFUSAL_INTERNAL, err.text);
		intake_done(d->intake, &q->message->work_unit, true);
		pop(d);
	}
}

void units_fail_all(struct donor *d, enum refusal reason, const char *why)
{
	if (d->orphaned)
		pop(d);
	while (d->queue.n > 0) {
		send_failed(d, unit_at(d, 0)->unit, reason, why);
		intake_done(d->intake, unit_at(d, 0), true);
		pop(d);
	}
}

void units_fail_waiting(struct donor *d, enum refusal reason, const char *why)
{
	for (size_t i = d->queue.n; i-- > (d->running ? 1 : 0);) {
		if (!d->queue.units[i].waits)
			continue;
		send_failed(d, unit_at(d, i)->unit, reason, why);
		intake_done(d->intake, unit_at(d, i), true);
		queue_remove(&d->queue, i);
	}
	units_pump(d);
}

void units_drop_all(struct donor *d)
{
	if (d->orphaned)
		pop(d);
	while (d->queue.n > 0) {
		intake_done(d->intake, unit_at(d, 0), true);
		pop(d);
	}
}

void units_orphan(struct donor *d)
{
	size_t first = d->running ? 1 : 0;

	for (size_t i = 0; i < d->queue.n; i++) {
		if (!d->orphaned || i > 0)
			intake_done(d->intake, unit_at(d, i), true);
	}
	while (d->queue.n > first)
		queue_remove(&d->queue, d->queue.n - 1);
	d->orphaned = d->running;
	chains_forget(&d->chains);
	if (d->worker != NULL)
		worker_link_forget(d->worker);
}

/* ---- results ------------------------------------------------------------------------------ */

/* The one token of a last stage, as the pool will draw it. */
static int hand_on_token(struct donor *d, const struct msg_work_unit *u, struct span rows)
{
	struct sampler_settings settings = work_settings(&u->draw);
	uint8_t payload[4];
	uint32_t token;

	if (sampler_check(&settings, NULL) != AYNI_OK || rows.len < logit_row_bytes(u->top))
		return AYNI_ERR_ARGUMENT;
	token = work_draw(u, rows.data);
	payload_put_u32(payload, &token, 1);
	return direct_hand_over(d, &u->next, (struct span){payload, sizeof payload});
}

/* To the next donor, before the pool hears of it. False: the pool gets all of it. */
static bool hand_on(struct donor *d, const struct msg_work_unit *u, struct span payload)
{
	if (u->next.ticket == 0)
		return false;
	if (!u->draws)
		return direct_hand_over(d, &u->next, payload) == AYNI_OK;
	(void)hand_on_token(d, u, payload);
	return false;
}

/* What this donor stands for. */
struct word {
	struct hash parts[WORK_PARTS_MAX];
	struct hash chains[LIMIT_UNIT_SPANS];
};

static int give_word(
    struct donor *d, const struct worker_event *e, struct word *w, struct msg_result *r)
{
	const struct queued_unit *q = &d->queue.units[0];
	const struct msg_work_unit *u = &q->message->work_unit;
	const struct model_sizes *m = d->holding.sizes;
	struct chain_unit unit = {.work = u,
	    .layers = {u->layer_first, u->layer_last},
	    .logits = u->layer_last == m->n_layers,
	    .inputs = q->inputs,
	    .after = e->layer_hashes,
	    .outputs = w->parts};

	r->n_parts =
	    work_commit(m->d_model, u, unit.logits, e->payload.data, w->parts, &r->handed_hash);
	r->parts = w->parts;
	r->n_layer_hashes = e->n_layer_hashes;
	r->layer_hashes = e->layer_hashes;
	r->n_chains = u->n_spans;
	r->chains = w->chains;
	return chains_ran(&d->chains, &unit, d->holding.a.kv_type, w->chains);
}

static void send_result(struct donor *d, const struct worker_event *e, const struct message *begun)
{
	const struct msg_work_unit *u = unit_at(d, 0);
	struct span payload = e->payload;
	struct message m = *begun;
	struct word word;

	m.result.handed = hand_on(d, u, e->payload);
	if (m.result.handed)
		payload = (struct span){0};
	if (give_word(d, e, &word, &m.result) != AYNI_OK) {
		send_failed(d, u->unit, REFUSAL_MEMORY, "what it stands for could not be kept");
		return;
	}
	d->units_done++;
	open_work_add(&d->open, u, m.result.cost);
	donor_send(d, &m, payload);
}

static void on_result(struct donor *d, const struct worker_event *e)
{
	const struct queued_unit *q = &d->queue.units[0];
	const struct msg_work_unit *u = &q->message->work_unit;
	struct message m = {.type = MSG_RESULT};

	m.result.unit = u->unit;
	m.result.compute_us = e->compute_us;
	m.result.has_input = u->input.ticket != 0;
	m.result.input_hash = q->input_hash;
	if (work_cost(d->holding.sizes, u, &m.result.cost) != AYNI_OK)
		send_failed(d, u->unit, REFUSAL_BOUNDS, "the cost does not fit");
	else
		send_result(d, e, &m);
	intake_done(d->intake, u, false);
	pop(d);
}

static enum refusal reason_of(enum ayni_error code)
{
	switch (code) {
	case AYNI_ERR_NUMERIC:
		return REFUSAL_NUMERIC;
	case AYNI_ERR_STATE:
		return REFUSAL_SESSION;
	case AYNI_ERR_MEMORY:
		return REFUSAL_MEMORY;
	case AYNI_ERR_ARGUMENT:
		return REFUSAL_BOUNDS;
	default:
		return REFUSAL_INTERNAL;
	}
}

static void on_unit_failed(struct donor *d, const struct worker_event *e)
{
	const struct msg_work_unit *u = unit_at(d, 0);

	report(REPORT_WARNING, "a unit failed: %s", e->text);
	send_failed(d, u->unit, reason_of(e->code), e->text);
	chains_failed(&d->chains, u);
	intake_done(d->intake, u, true);
	pop(d);
}

/* The end of a unit that nobody waits for any more. */
static bool take_orphan(struct donor *d, const struct worker_event *e)
{
	if (!d->orphaned || (e->kind != WORKER_RESULT && e->kind != WORKER_UNIT_FAILED))
		return false;
	pop(d);
	return true;
}

void units_on_worker(void *donor)
{
	struct donor *d = donor;
	struct worker_event e;

	while (d->worker != NULL && worker_link_receive(d->worker, &e) == AYNI_OK) {
		if (take_orphan(d, &e)) {
			units_pump(d);
			continue;
		}
		switch (e.kind) {
		case WORKER_LOADED:
			holding_loaded(d);
			break;
		case WORKER_LOAD_FAILED:
			holding_failed(d, e.text);
			break;
		case WORKER_RESULT:
			if (d->running)
				on_result(d, &e);
			break;
		case WORKER_UNIT_FAILED:
			if (d->running)
				on_unit_failed(d, &e);
			break;
		case WORKER_DIED:
			holding_worker_died(d);
			break;
		}
		units_pump(d);
	}
}

/* ---- receipts ----------------------------------------------------------------------------- */

static int is_this(void *receipt, const struct ledger_entry *e)
{
	const struct signed_receipt *s = receipt;

	return e->receipt.len == s->receipt_len &&
	       memcmp(e->receipt.data, s->receipt, s->receipt_len) == 0;
}

/* Was it kept before? The pool sends it again if it did not hear our answer. */
static bool is_known(struct donor *d, const struct receipt *r, struct signed_receipt *s)
{
	return r->number > 0 &&
	       ledger_each(d->ledger, r->number - 1, 1, is_this, s, NULL) == (int)true;
}

static int check_receipt(
    const struct donor *d, const struct signed_receipt *s, struct receipt *r, struct error *err)
{
	int rc = receipt_check(s, r, err);

	if (rc != AYNI_OK)
		return rc;
	if (!public_key_equal(&r->donor, identity_public(d->identity)) ||
	    !public_key_equal(&r->pool, &d->invite.pool))
		return error_set(err, AYNI_ERR_SIGNATURE, "a receipt between others");
	return AYNI_OK;
}

/* What was returned before this program started is not known any more: the pool is believed. */
static bool is_earlier(const struct donor *d, const struct receipt *r)
{
	return r->first_ms < d->began_ms;
}

static void settle(struct donor *d, const struct receipt *r)
{
	struct open_range missing;

	open_work_settle(&d->open, r, &missing);
	if (missing.tokens > 0 || flop_count(missing.cost) > 0)
		report(REPORT_WARNING,
		    "receipt %llu counts less than was returned: %llu tokens and %.3f GFLOP are "
		    "in none",
		    (unsigned long long)r->number, (unsigned long long)missing.tokens,
		    flop_giga(missing.cost));
}

/* Ours to keep first, then countersigned to the pool. */
static int keep_receipt(
    struct donor *d, const struct receipt *r, const struct signed_receipt *s, struct error *err)
{
	struct ledger_entry e = receipts_entry(r, s);

	return ledger_append(d->ledger, &e, err);
}

void units_receipt(struct donor *d, const struct signed_receipt *receipt)
{
	struct message m = {.type = MSG_RECEIPT_ACK};
	struct signed_receipt s = *receipt;
	struct error err = {0};
	struct receipt r;
	bool known;
	int rc;

	s.countersigned = false; /* what the pool says of our signature does not count */
	rc = check_receipt(d, &s, &r, &err);
	known = rc == AYNI_OK && is_known(d, &r, &s);
	if (rc == AYNI_OK && !known && !is_earlier(d, &r))
		rc = open_work_check(&d->open, &r, &err);
	if (rc != AYNI_OK) {
		report(REPORT_WARNING, "receipt refused: %s", err.text);
		donor_refuse(d, rc == AYNI_ERR_SIGNATURE ? REFUSAL_SIGNATURE : REFUSAL_BOUNDS,
		    err.text, true);
		return;
	}
	receipt_countersign(&s, d->identity);
	rc = keep_receipt(d, &r, &s, &err);
	if (rc != AYNI_OK) {
		report(REPORT_ERROR, "a receipt could not be kept: %s", err.text);
		return;
	}
	if (!known && !is_earlier(d, &r))
		settle(d, &r);
	m.receipt_ack.number = r.number;
	m.receipt_ack.donor_signature = s.donor_signature;
	donor_send(d, &m, (struct span){0});
}
