/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/verify.h"

#include "node/report.h"
#include "node/work.h"

enum { SEEDS_MOST = 4 /* donors that another is to fetch of, beside the pool */ };

static struct roster_donor *donor_of(struct pool *p, const struct peer *peer)
{
	return roster_get(p->roster, peer->donor);
}

static struct peer *peer_of(struct pool *p, int donor)
{
	const struct roster_donor *d = roster_get(p->roster, donor);

	return d != NULL ? peer_by_number(p, d->peer) : NULL;
}

int donor_join(struct pool *p, struct peer *peer, const char *name)
{
	struct error err = {0};
	uint64_t now = loop_now_us();
	int slot;
	int rc = roster_join(p->roster, &peer->channel.peer, name, peer->number, now, &slot);

	if (rc == AYNI_ERR_EXISTS) { /* it came back before its old connection was missed */
		struct peer *old = peer_of(p, slot);

		if (old != NULL)
			peer_drop(p, old, "the donor connected again");
		else
			roster_remove(p->roster, slot);
		rc = roster_join(p->roster, &peer->channel.peer, name, peer->number, now, &slot);
	}
	if (rc != AYNI_OK) {
		peer_refuse(p, peer, REFUSAL_BUSY, "the pool has no room for another donor");
		return rc;
	}
	peer->donor = slot;
	report(REPORT_INFO, "donor %s joined", name[0] != '\0' ? name : "(no name)");
	remember_joined(p, roster_get(p->roster, slot));
	verify_joined(p, slot);
	if (books_remind(p->books, &peer->channel.peer, &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
	return AYNI_OK;
}

static void end_assignment(struct pool *p, const struct roster_donor *d)
{
	struct error err = {0};

	if (d->assignment.number != 0 && registry_assignment_end(p->registry, d->assignment.number,
	                                     loop_wall_ms(), &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
}

void donor_gone(struct pool *p, struct peer *peer)
{
	int slot = peer->donor;
	struct roster_donor *d = donor_of(p, peer);

	if (d == NULL)
		return;
	peer->donor = ROSTER_NONE; /* receipts of its last sessions wait for its return */
	end_assignment(p, d);
	report(REPORT_INFO, "donor %s is gone", d->name);
	remember_gone(p, d);
	place_forget(p, slot);
	pairs_forget(scheduler_pairs(p->scheduler), slot);
	roster_remove(p->roster, slot);
}

/* ---- placement ---------------------------------------------------------------------------- */

/* Some that hold part of the same, ready ones first: it may fetch of them too. */
static void want_seeds(struct pool *p, int donor, const struct donor_assignment *a)
{
	const struct roster_donor *d = roster_get(p->roster, donor);
	int left = SEEDS_MOST, slots = roster_slots(p->roster);

	for (int wanted = DONOR_READY; wanted >= DONOR_FETCHING; wanted--) {
		for (int k = 1; k < slots && left > 0; k++) {
			int i = (donor + k) % slots; /* others for each */
			const struct roster_donor *other = roster_get(p->roster, i);

			if (other == NULL || other->state != (enum donor_state)wanted ||
			    other->assignment.model != a->model ||
			    other->assignment.layers.first >= a->layers.last ||
			    a->layers.first >= other->assignment.layers.last)
				continue;
			pairs_want(scheduler_pairs(p->scheduler), donor,
			    d->offer.address[0] != '\0', i, other->offer.address[0] != '\0');
			left--;
		}
	}
}

void donor_assign(struct pool *p, const struct placement_change *change)
{
	const struct catalog_model *m = catalog_at(p->catalog, change->model);
	struct roster_donor *d = roster_get(p->roster, (int)change->donor);
	struct donor_assignment a = {.model = change->model,
	    .layers = change->layers,
	    .pages = work_room_pages(m->kv_tokens, change->max_sessions)};
	struct message out = {.type = MSG_ASSIGNMENT};
	struct error err = {0};

	place_estimate(p, d, &a);
	if (registry_assignment_add(p->registry, &d->key, &m->id, a.layers.first, a.layers.last,
	        loop_wall_ms(), &a.number, &err) != AYNI_OK) {
		report(REPORT_ERROR, "%s", err.text);
		return;
	}
	if (roster_assign(p->roster, (int)change->donor, &a) != AYNI_OK)
		return;
	d->layer_us = loop_now_us();
	out.assignment = (struct msg_assignment){.assignment = a.number,
	    .model = m->id,
	    .layer_first = a.layers.first,
	    .layer_last = a.layers.last,
	    .kv_tokens = m->kv_tokens,
	    .max_sessions = change->max_sessions,
	    .kv_type = m->kv_type};
	report(REPORT_INFO, "layers %u to %u of %s go to donor %s", a.layers.first,
	    a.layers.last - 1, m->name, d->name);
	(void)peer_send(p, peer_of(p, (int)change->donor), &out, (struct span){0}, 0);
	if (roster_get(p->roster, (int)change->donor) != NULL)
		want_seeds(p, (int)change->donor, &a);
}

void donor_unassign(struct pool *p, int donor)
{
	struct roster_donor *d = roster_get(p->roster, donor);
	struct message out = {.type = MSG_UNASSIGN};

	out.unassign.assignment = d->assignment.number;
	end_assignment(p, d);
	if (roster_unassign(p->roster, donor) == AYNI_OK)
		(void)peer_send(p, peer_of(p, donor), &out, (struct span){0}, 0);
}

static uint64_t silent_since(const struct pool *p, const struct roster_donor *d, uint64_t busy_us)
{
	uint64_t since = d->heard_us > busy_us ? d->heard_us : busy_us;

	return since > p->awake_us ? since : p->awake_us;
}

bool donors_watch(struct pool *p)
{
	uint64_t since[ROSTER_MAX_DONORS], now = loop_now_us();
	bool any = false;

	scheduler_busy_since(p->scheduler, since);
	for (int i = 0; i < roster_slots(p->roster); i++) {
		struct roster_donor *d = roster_get(p->roster, i);
		struct message m = {.type = MSG_HEARTBEAT};
		bool was_suspect;

		if (d == NULL || since[i] == 0)
			continue;
		any = true;
		was_suspect = d->alive.suspect;
		m.heartbeat.echo_us = now;
		m.heartbeat.refusals = p->refused;
		if (liveness_silent(&d->alive, silent_since(p, d, since[i]), now))
			(void)peer_send(p, peer_of(p, i), &m, (struct span){0}, 0);
		if (!was_suspect && d->alive.suspect)
			report(REPORT_DEBUG, "donor %s is silent", d->name);
	}
	return any;
}

/* ---- messages of a donor ------------------------------------------------------------------ */

/* Layers that a donor holds from an earlier connection, as they would be assigned here: it gets
 * them again, and need not load them anew. */
static bool held_fits(const struct pool *p, const struct msg_assignment *held, uint32_t *model)
{
	for (size_t i = 0; i < catalog_size(p->catalog); i++) {
		const struct catalog_model *m = catalog_at(p->catalog, i);

		if (!hash_equal(&m->id, &held->model))
			continue;
		*model = (uint32_t)i;
		return held->layer_last <= m->sizes.n_layers && held->kv_tokens == m->kv_tokens &&
		       held->kv_type == (uint32_t)m->kv_type &&
		       held->max_sessions <= p->config->max_sessions;
	}
	return false;
}

static void assign_held(struct pool *p, int donor, const struct msg_assignment *held)
{
	struct placement_change same = {.donor = (size_t)donor,
	    .layers = {held->layer_first, held->layer_last},
	    .max_sessions = held->max_sessions};

	if (held_fits(p, held, &same.model))
		donor_assign(p, &same);
}

static void on_offer(struct pool *p, struct peer *peer, const struct msg_offer *offer)
{
	int slot = peer->donor;

	remember_offer(p, slot, offer);
	if (roster_offer(p->roster, slot, offer) == AYNI_OK && offer->holds &&
	    roster_get(p->roster, slot)->state == DONOR_IDLE)
		assign_held(p, slot, &offer->held);
	donors_place(p);
}

static void on_progress(struct pool *p, struct peer *peer, const struct msg_assignment_state *s)
{
	struct roster_donor *d = donor_of(p, peer);
	struct donor_assignment before = d->assignment;
	int slot = peer->donor;

	if (s->assignment != before.number)
		return; /* about one that was taken back meanwhile */
	if (s->state == PROGRESS_FAILED) {
		report(REPORT_WARNING, "donor %s cannot hold its layers: %s", d->name, s->text);
		end_assignment(p, d);
	}
	if (roster_progress(p->roster, slot, s->assignment, s->state, s->layers_ready) != AYNI_OK)
		return;
	observe_fetched(p, d, s->state);
	if (d->assignment.ready_last != before.ready_last)
		d->layer_us = loop_now_us();
	if (s->state == PROGRESS_READY)
		report(REPORT_INFO, "donor %s has layers %u to %u of %s", d->name,
		    before.layers.first, before.layers.last - 1,
		    catalog_at(p->catalog, before.model)->name);
	if (s->state == PROGRESS_FAILED)
		donors_place(p);
}

static void on_blob_request(struct pool *p, struct peer *peer, const struct msg_blob_request *q)
{
	uint32_t number = peer->number;

	for (size_t i = 0; i < q->n_hashes; i++) {
		struct message m = {.type = MSG_BLOB};
		struct span content = {0};

		m.blob.hash = q->hashes[i];
		m.blob.found = catalog_blob(p->catalog, &q->hashes[i], &content);
		peer = peer_by_number(p, number);
		if (peer != NULL)
			observe_asked(p, peer->donor, content.len);
		if (peer == NULL || peer_send(p, peer, &m, content, 0) != AYNI_OK)
			return;
	}
}

static void on_result(struct pool *p, struct peer *peer, const struct message *m)
{
	struct msg_result r = m->result;
	struct error why = {0};
	enum refusal wrong;

	r.envelope = m->envelope;
	r.header = m->header;
	link_arrived(&donor_of(p, peer)->link, m->result.unit, m->payload.len, loop_now_us());
	wrong = scheduler_result(
	    p->scheduler, peer->donor, &r, m->payload, loop_now_us(), &p->actions, &why);

	if (wrong != REFUSAL_NONE)
		peer_refuse(p, peer, wrong, why.text);
}

/* When it was asked what it answers; 0: it was not, or its answer was behind what it fetches. */
static uint64_t heartbeat_echo(struct roster_donor *d, const struct msg_heartbeat *h)
{
	uint64_t now = loop_now_us();

	if (h->echo_us == 0 || h->echo_us > now || !link_trip(&d->link, h->echo_us, now))
		return 0;
	d->round_trip_us = now - h->echo_us;
	return h->echo_us;
}

static void on_link_state(struct pool *p, struct peer *peer, const struct msg_link_state *l)
{
	int other = roster_find(p->roster, &l->donor);

	if (other == ROSTER_NONE)
		return; /* it went meanwhile */
	report(REPORT_DEBUG, "donor %s %s donor %s directly, %llu us there and back",
	    donor_of(p, peer)->name, l->up ? "reaches" : "does not reach",
	    roster_get(p->roster, other)->name, (unsigned long long)l->round_trip_us);
	pairs_heard(scheduler_pairs(p->scheduler), peer->donor, other, l->up, l->round_trip_us);
}

/* The one that listens first, so that it knows who comes. */
static void introduce(struct pool *p, int to, int other, const char *address)
{
	struct peer *peer = peer_of(p, to);
	struct message m = {.type = MSG_LINK};

	m.link.donor = roster_get(p->roster, other)->key;
	(void)snprintf(m.link.address, sizeof m.link.address, "%s", address);
	if (peer != NULL)
		(void)peer_send(p, peer, &m, (struct span){0}, 0);
}

void donors_introduce(struct pool *p)
{
	int dials, listens;

	while (pairs_tell(scheduler_pairs(p->scheduler), &dials, &listens)) {
		char address[ADDRESS_BYTES];

		memcpy(address, roster_get(p->roster, listens)->offer.address, sizeof address);
		introduce(p, listens, dials, "");
		if (roster_get(p->roster, listens) != NULL && roster_get(p->roster, dials) != NULL)
			introduce(p, dials, listens, address);
	}
}

static void on_leave(struct pool *p, struct peer *peer)
{
	if (roster_leave(p->roster, peer->donor) != AYNI_OK)
		return;
	report(REPORT_INFO, "donor %s leaves", donor_of(p, peer)->name);
	donors_place(p);
}

/* A donor that is leaving waits for the receipts of its last work. */
static void settle_leaving(struct pool *p, struct peer *peer)
{
	const struct roster_donor *d = donor_of(p, peer);
	struct error err = {0};

	if (d != NULL && d->state == DONOR_LEAVING &&
	    scheduler_units_at(p->scheduler, peer->donor) == 0 &&
	    books_run(p->books, loop_wall_ms(), true, &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
}

static void on_receipt_ack(struct pool *p, struct peer *peer, const struct msg_receipt_ack *ack)
{
	struct error err = {0};
	int rc = books_countersign(p->books, &peer->channel.peer, ack, &err);

	if (rc != AYNI_OK)
		peer_refuse(p, peer, rc == AYNI_ERR_SIGNATURE ? REFUSAL_SIGNATURE : REFUSAL_BOUNDS,
		    err.text);
}

void donor_message(struct pool *p, struct peer *peer, const struct message *m)
{
	struct roster_donor *d = donor_of(p, peer);
	uint32_t number = peer->number;

	if (d == NULL) {
		peer_refuse(p, peer, REFUSAL_TYPE, "say Hello first");
		return;
	}
	d->heard_us = loop_now_us();
	liveness_heard(&d->alive, m->type == MSG_HEARTBEAT ? heartbeat_echo(d, &m->heartbeat) : 0,
	    d->heard_us);
	switch (m->type) {
	case MSG_OFFER:
		on_offer(p, peer, &m->offer);
		break;
	case MSG_ASSIGNMENT_STATE:
		on_progress(p, peer, &m->assignment_state);
		break;
	case MSG_BLOB_REQUEST:
		on_blob_request(p, peer, &m->blob_request);
		break;
	case MSG_RESULT:
		on_result(p, peer, m);
		break;
	case MSG_UNIT_FAILED:
		scheduler_unit_failed(
		    p->scheduler, peer->donor, &m->unit_failed, loop_now_us(), &p->actions);
		break;
	case MSG_HEARTBEAT:
		d->refused_by_donor = m->heartbeat.refusals;
		break;
	case MSG_LINK_STATE:
		on_link_state(p, peer, &m->link_state);
		break;
	case MSG_LEAVE:
		on_leave(p, peer);
		break;
	case MSG_RECEIPT_ACK:
		on_receipt_ack(p, peer, &m->receipt_ack);
		break;
	default:
		peer_refuse(p, peer, REFUSAL_TYPE, "not a message for a donor to send");
		break;
	}
	pool_advance(p);
	peer = peer_by_number(p, number);
	if (peer != NULL)
		settle_leaving(p, peer);
}

void donor_send_unit(struct pool *p, const struct action_unit *a)
{
	struct peer *peer = peer_of(p, a->donor);
	struct message m = {.type = MSG_WORK_UNIT};

	if (peer == NULL)
		return; /* gone meanwhile: the scheduler drops the flight */
	m.work_unit = a->unit;
	observe_sent(p, a);
	(void)peer_send(p, peer, &m, (struct span){a->payload, a->payload_len},
	    loop_wall_ms() + p->config->unit_timeout_ms);
}

void donor_send_handover(struct pool *p, const struct action_handover *a)
{
	struct peer *peer = peer_of(p, a->donor);
	struct message m = {.type = MSG_HANDOVER};

	m.handover.ticket = a->ticket;
	if (peer != NULL)
		(void)peer_send(p, peer, &m, (struct span){a->payload, a->payload_len}, 0);
}

void donor_send_withdraw(struct pool *p, const struct action_withdraw *a)
{
	struct peer *peer = peer_of(p, a->donor);
	struct message m = {.type = MSG_WITHDRAW};

	m.withdraw.unit = a->unit;
	if (peer != NULL)
		(void)peer_send(p, peer, &m, (struct span){0}, 0);
}

void donor_send_receipt(
    void *pool, const struct public_key *donor, const struct signed_receipt *receipt)
{
	struct pool *p = pool;
	struct peer *peer = peer_of(p, roster_find(p->roster, donor));
	struct message m = {.type = MSG_RECEIPT};

	if (peer == NULL || peer->donor == ROSTER_NONE)
		return; /* it is reminded when it joins again */
	m.receipt = *receipt;
	(void)peer_send(p, peer, &m, (struct span){0}, 0);
}
