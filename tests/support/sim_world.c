/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/kv.h"
#include "node/donor/queue.h"
#include "node/pool/plan.h"
#include "node/pool/scheduler_internal.h"
#include "node/work.h"

uint64_t sim_random(struct sim_world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

uint32_t sim_below(struct sim_world *w, uint32_t n)
{
	return (uint32_t)((sim_random(w) >> 20) % n);
}

bool sim_chance(struct sim_world *w, uint32_t percent)
{
	return sim_below(w, 100) < percent;
}

void sim_start_pool(struct sim_world *w, const struct catalog *catalog)
{
	assert_int_equal(roster_new(&w->roster, NULL), AYNI_OK);
	assert_int_equal(
	    scheduler_new(catalog, w->roster, &w->limits, &w->scheduler, NULL), AYNI_OK);
}

void sim_free_pool(struct sim_world *w)
{
	scheduler_free(w->scheduler);
	roster_free(w->roster);
}

/* ---- donors ------------------------------------------------------------------------------- */

static void remove_unit(struct sim_donor *d, size_t i)
{
	struct sim_unit *q = &d->queue[i];

	free(q->unit.spans);
	free(q->unit.closed);
	free(q->payload);
	memmove(q, q + 1, (--d->n_queue - i) * sizeof *q);
}

void sim_drop_unit(struct sim_donor *d)
{
	remove_unit(d, 0);
}

bool sim_next_unit(struct sim_donor *d)
{
	for (size_t i = 0; i < d->n_queue; i++) {
		struct sim_unit next = d->queue[i];
		size_t k = i;

		while (next.payload != NULL && k > 0 &&
		       !queue_depends(&next.unit, &d->queue[k - 1].unit))
			k--;
		if (next.payload == NULL || k > 0)
			continue;
		memmove(&d->queue[1], &d->queue[0], i * sizeof next);
		d->queue[0] = next;
		return true;
	}
	return false;
}

static void give(const struct sim_world *w, struct sim_unit *q, struct span payload)
{
	q->payload = malloc(payload.len);
	assert_non_null(q->payload);
	memcpy(q->payload, payload.data, payload.len);
	hash_bytes(payload.data, payload.len, &q->input);
	work_commit_input(w->model->sizes.d_model, &q->unit, payload.data, &q->input);
}

bool sim_hand_over(
    struct sim_world *w, const struct public_key *to, uint64_t ticket, struct span payload)
{
	for (size_t i = 0; i < SIM_MAX_DONORS; i++) {
		struct sim_donor *d = &w->donors[i];
		const struct roster_donor *r = d->here ? roster_get(w->roster, d->slot) : NULL;

		for (size_t k = 0; r != NULL && k < d->n_queue; k++) {
			struct sim_unit *q = &d->queue[k];

			if (!public_key_equal(&r->key, to) || q->payload != NULL ||
			    q->unit.input.ticket != ticket)
				continue;
			give(w, q, payload);
			return true;
		}
	}
	return false;
}

void sim_end_donor(struct sim_donor *d)
{
	while (d->n_queue > 0)
		sim_drop_unit(d);
	fake_donor_forget(&d->fake);
	memset(d, 0, sizeof *d);
}

void sim_remove_donor(struct sim_world *w, struct sim_donor *d)
{
	pairs_forget(scheduler_pairs(w->scheduler), d->slot);
	roster_remove(w->roster, d->slot);
	sim_end_donor(d);
}

static struct sim_donor *donor_at(struct sim_world *w, int slot)
{
	for (size_t i = 0; i < SIM_MAX_DONORS; i++) {
		if (w->donors[i].here && w->donors[i].slot == slot)
			return &w->donors[i];
	}
	return NULL;
}

static void assign(struct sim_world *w, const struct placement_change *c)
{
	struct sim_donor *d = donor_at(w, (int)c->donor);
	struct donor_assignment a = {.number = w->next_assignment++,
	    .model = c->model,
	    .layers = c->layers,
	    .pages = work_room_pages(SIM_KV_TOKENS, c->max_sessions)};

	assert_non_null(d);
	assert_int_equal(roster_assign(w->roster, d->slot, &a), AYNI_OK);
	d->assignment = a.number;
	fake_donor_forget(&d->fake);
	d->fake.layers = a.layers;
	d->fake.pages = a.pages;
}

static struct placement_model describe_model(const struct sim_world *w)
{
	return (struct placement_model){.n_layers = w->model->sizes.n_layers,
	    .layer_bytes = w->model->layer_bytes,
	    .first_bytes = w->model->first_bytes,
	    .last_bytes = w->model->last_bytes,
	    .kv_layer_bytes = work_room_bytes(&w->model->sizes, KV_F16, 1, SIM_KV_TOKENS, 1)};
}

/* Any layers of an earlier connection, which no plan has cut. */
static void keep_layers(struct sim_world *w, const struct sim_donor *d, const struct msg_offer *o)
{
	struct placement_model m = describe_model(w);
	struct placement_donor donor = {.memory_bytes = o->memory_bytes};
	uint32_t first = sim_below(w, m.n_layers), most = m.n_layers - first;
	struct placement_change c = {.donor = (size_t)d->slot};

	most = o->max_layers > 0 && o->max_layers < most ? o->max_layers : most;
	c.layers = (struct layer_range){first, first + 1 + sim_below(w, most)};
	c.max_sessions = placement_sessions(&m, &donor, c.layers, 8);
	if (c.max_sessions > 0)
		assign(w, &c);
}

void sim_join(struct sim_world *w, uint64_t memory_bytes, uint32_t max_layers)
{
	for (size_t i = 0; i < SIM_MAX_DONORS; i++) {
		struct sim_donor *d = &w->donors[i];
		struct msg_offer offer = {
		    .memory_bytes = memory_bytes, .max_layers = max_layers, .address = "1.2.3.4:5"};
		struct public_key key = {{0}};
		uint64_t number = sim_random(w);

		if (d->here)
			continue;
		if (number % 8 == 0)
			offer.address[0] = '\0'; /* behind a router */
		memcpy(key.bytes, &number, sizeof number);
		assert_int_equal(
		    roster_join(w->roster, &key, "d", (uint32_t)i, w->now_us, &d->slot), AYNI_OK);
		assert_int_equal(roster_offer(w->roster, d->slot, &offer), AYNI_OK);
		d->here = true;
		if (sim_chance(w, 25))
			keep_layers(w, d, &offer);
		return;
	}
}

bool sim_holds(const struct roster_donor *d)
{
	return d->state == DONOR_FETCHING || d->state == DONOR_LOADING || d->state == DONOR_READY;
}

static size_t describe(struct sim_world *w, struct placement_donor *out)
{
	size_t n = (size_t)roster_slots(w->roster);

	for (size_t i = 0; i < n; i++) {
		const struct roster_donor *d = roster_get(w->roster, (int)i);

		out[i] = (struct placement_donor){.model = PLACEMENT_NO_MODEL};
		if (d == NULL || (d->state != DONOR_IDLE && !sim_holds(d)))
			continue;
		out[i].usable = d->failures < ROSTER_MAX_FAILURES;
		out[i].memory_bytes = d->offer.memory_bytes;
		out[i].ready = d->state == DONOR_READY;
		out[i].sessions = d->sessions;
		out[i].max_layers = d->offer.max_layers;
		if (sim_holds(d)) {
			out[i].model = d->assignment.model;
			out[i].layers = d->assignment.layers;
		}
	}
	return n;
}

static void unassign(struct sim_world *w, int slot)
{
	struct sim_donor *d = donor_at(w, slot);

	assert_int_equal(roster_unassign(w->roster, slot), AYNI_OK);
	d->assignment = 0;
	fake_donor_forget(&d->fake);
}

/* The plan's changes; what is planned after them is nothing. */
static size_t place_once(struct sim_world *w)
{
	struct placement_donor donors[SIM_MAX_DONORS];
	struct placement_model m = describe_model(w);
	struct plan_settings settings = {.stages = w->stages, .max_sessions = 8};
	struct plan *p = plan_new(donors, describe(w, donors), &m, 1, &settings);
	size_t n;

	assert_non_null(p);
	for (size_t i = 0; i < p->n_changes; i++) {
		const struct placement_change *c = &p->changes[i];

		if (c->unassign) {
			assert_int_equal(roster_get(w->roster, (int)c->donor)->sessions, 0);
			unassign(w, (int)c->donor);
		} else {
			assign(w, c);
		}
	}
	n = p->n_changes;
	plan_free(p);
	return n;
}

void sim_place(struct sim_world *w)
{
	uint32_t plans = 0;

	for (int i = 0; i < roster_slots(w->roster); i++) {
		const struct roster_donor *d = roster_get(w->roster, i);

		if (d != NULL && d->failures >= ROSTER_MAX_FAILURES && sim_holds(d))
			unassign(w, i);
	}
	while (place_once(w) > 0) {
		plans++;
		assert_true(plans < 10); /* it settles */
	}
}

/* ---- actions ------------------------------------------------------------------------------ */

static struct sim_request *request_of(struct sim_world *w, const struct session *s)
{
	uint64_t i = (s->r.id - 1) % SIM_MAX_REQUESTS;

	assert_true(i < w->n_requests);
	return &w->requests[i];
}

static void take_piece(struct sim_world *w, const struct action_piece *p)
{
	struct sim_request *q = request_of(w, p->session);

	assert_false(q->finished);
	for (uint32_t i = 0; i < p->n_rows; i++) {
		struct logit_rows rows = {p->n_rows, q->top, p->rows};
		uint32_t id;

		memcpy(&id, rows.data + i * logit_row_bytes(q->top) + 4, sizeof id);
		assert_true(q->n_rows < q->n_right);
		assert_int_equal(id, q->best[q->n_rows++]);
	}
	for (uint32_t i = 0; i < p->n_drawn; i++) {
		assert_true(q->n_tokens < q->n_right);
		assert_int_equal(p->drawn[i], q->right[q->n_tokens]);
		q->tokens[q->n_tokens++] = p->drawn[i];
	}
}

/* Who takes part is honest, or was refused: a check that was not lost has found no difference. */
static void take_check(struct sim_world *w, const struct action_finish *f)
{
	const struct check *c = f->session->check;

	assert_false(c->differs);
	assert_true(f->reason == FINISH_FAILED || check_agrees(c) || !c->last_compared);
	w->played->checks += check_agrees(c);
	w->played->checks_lost += f->reason == FINISH_FAILED;
	session_free(f->session);
}

static void take_finish(struct sim_world *w, const struct action_finish *f)
{
	struct sim_request *q = f->session->check == NULL ? request_of(w, f->session) : NULL;

	if (q == NULL) {
		take_check(w, f);
		return;
	}
	assert_false(q->finished);
	q->finished = true;
	if (f->reason == FINISH_CANCELLED) {
		w->played->cancelled++;
	} else if (f->reason == FINISH_FAILED) {
		w->played->failed++;
		assert_string_not_equal(f->text, "");
	} else {
		w->played->answered++;
		assert_int_equal(f->reason, q->right_reason);
		assert_int_equal(q->n_tokens, q->n_right);
		if (q->top > 0)
			assert_int_equal(
			    q->n_rows, q->right_reason == FINISH_END ? q->n_right : q->n_right - 1);
	}
	session_free(f->session);
}

static void take_unit(struct sim_world *w, struct action_unit *a)
{
	const struct roster_donor *r = roster_get(w->roster, a->donor);
	struct sim_donor *d = donor_at(w, a->donor);

	assert_non_null(r);
	assert_non_null(d);
	assert_int_equal(a->unit.assignment, d->assignment);
	assert_true(roster_holds(
	    r, (struct layer_range){a->unit.layer_first, a->unit.layer_last})); /* and is ready */
	w->played->early += r->state != DONOR_READY;
	w->played->partly += a->unit.layer_first != d->fake.layers.first ||
	                     a->unit.layer_last != d->fake.layers.last;
	assert_true(a->unit.unit > d->last_unit);
	assert_in_range(a->unit.n_spans, 1, LIMIT_UNIT_SPANS);
	assert_in_range(a->unit.n_tokens, 1, LIMIT_UNIT_TOKENS);
	d->last_unit = a->unit.unit;
	assert_true(d->n_queue < SIM_MAX_QUEUE);
	assert_true((a->payload == NULL) == (a->unit.input.ticket != 0));
	d->queue[d->n_queue++] = (struct sim_unit){.unit = a->unit, .payload = a->payload};
	a->unit.spans = NULL;
	a->unit.closed = NULL;
	a->payload = NULL;
	w->played->units++;
	w->played->ahead += a->unit.input.ticket != 0 && a->unit.layer_first == 0;
}

static void take_handover(struct sim_world *w, const struct action_handover *h)
{
	const struct roster_donor *r = roster_get(w->roster, h->donor);

	if (r != NULL)
		(void)sim_hand_over(
		    w, &r->key, h->ticket, (struct span){h->payload, h->payload_len});
}

static bool share_session(const struct msg_work_unit *a, const struct msg_work_unit *b)
{
	for (size_t i = 0; i < a->n_spans * b->n_spans; i++) {
		if (a->spans[i / b->n_spans].session == b->spans[i % b->n_spans].session)
			return true;
	}
	return false;
}

/* A session asks for one at a time; what was asked before for the same request is another's. */
static void take_draft(struct sim_world *w, const struct action_draft *a)
{
	const struct session *s = a->session;
	struct sim_draft *d = &w->drafts[request_of(w, s) - w->requests];

	assert_true(d->session != s->r.id);
	assert_true((a->most == 0) == (a->until_us == 0));
	assert_true(a->most < DRAFT_MAX && s->n_tokens + a->most < SIM_KV_TOKENS);
	assert_true(a->until_us == 0 || a->until_us > w->now_us);
	*d = (struct sim_draft){s->r.id, s->n_tokens, a->most};
}

static const struct session *session_by_id(const struct sim_world *w, uint64_t id)
{
	for (size_t i = 0; i < binding_sessions(w->scheduler); i++) {
		const struct session *s = binding_session(w->scheduler, i);

		if (s->r.id == id)
			return s;
	}
	return NULL;
}

void sim_answer_draft(struct sim_world *w)
{
	uint32_t i = sim_below(w, SIM_MAX_REQUESTS), tokens[DRAFT_MAX];
	const struct sim_request *q = &w->requests[i];
	struct sim_draft *d = &w->drafts[i];
	const struct session *s = session_by_id(w, d->session);
	uint32_t n = d->most > 0 ? sim_below(w, d->most + 1) : 0;

	if (d->session == 0)
		return;
	if (!w->calm && sim_chance(w, 5)) { /* never */
		w->played->undrafted++;
		d->session = UINT64_MAX;
		return;
	}
	for (uint32_t k = 0; k < n; k++)
		tokens[k] = d->at + k < q->n_right && sim_chance(w, 80) ? q->right[d->at + k]
		                                                        : sim_below(w, 300);
	scheduler_drafted(w->scheduler, d->session, d->at, tokens, n);
	if (s != NULL && s->drafting.n > 0)
		w->played->drafted++;
	else
		w->played->undrafted += n > 0;
	d->session = 0;
}

static void take_withdraw(struct sim_world *w, const struct action_withdraw *a)
{
	struct sim_donor *d = donor_at(w, a->donor);

	for (size_t i = 0; d != NULL && i < d->n_queue; i++) {
		if (d->queue[i].unit.unit != a->unit)
			continue;
		fake_donor_forget_spans(&d->fake, &d->queue[i].unit);
		for (size_t k = 0; k < d->n_queue; k++) /* of a flight that was given up */
			d->queue[k].stale |= share_session(&d->queue[k].unit, &d->queue[i].unit);
		remove_unit(d, i);
		return;
	}
}

/* Donors that are to know each other mostly find a way at once. */
static void introduce(struct sim_world *w)
{
	struct pairs *pairs = scheduler_pairs(w->scheduler);
	int dials, listens;

	while (pairs_tell(pairs, &dials, &listens)) {
		assert_string_not_equal(roster_get(w->roster, listens)->offer.address, "");
		pairs_heard(pairs, dials, listens, sim_chance(w, 80), 1 + sim_random(w) % 20000);
	}
}

void sim_carry_out(struct sim_world *w)
{
	for (size_t i = 0; i < w->actions.n; i++) {
		struct action *a = &w->actions.list[i];

		switch (a->kind) {
		case ACTION_BOOK:
			assert_int_equal(a->book.unit, w->bookable);
			w->bookable = 0;
			break;
		case ACTION_PIECE:
			take_piece(w, &a->piece);
			break;
		case ACTION_FINISH:
			take_finish(w, &a->finish);
			break;
		case ACTION_UNIT:
			take_unit(w, &a->unit);
			break;
		case ACTION_HANDOVER:
			take_handover(w, &a->handover);
			break;
		case ACTION_WITHDRAW:
			take_withdraw(w, &a->withdraw);
			break;
		case ACTION_DRAFT:
			take_draft(w, &a->draft);
			break;
		}
	}
	actions_clear(&w->actions);
}

/* Whoever takes the place of a donor that went has none of its ways. */
static void check_pairs(const struct sim_world *w)
{
	for (int i = 0; i < SIM_MAX_DONORS; i++) {
		struct pair_way way = {0};

		assert_true(roster_get(w->roster, i) != NULL ||
		            !pairs_next(scheduler_pairs(w->scheduler), i, w->now_us, &way));
	}
}

void sim_advance(struct sim_world *w)
{
	uint64_t next;

	scheduler_run(w->scheduler, w->now_us, &w->actions);
	sim_carry_out(w);
	sim_check_trails(w);
	introduce(w);
	check_pairs(w);
	scheduler_check(w->scheduler);
	roster_check(w->roster);
	next = scheduler_next_us(w->scheduler);
	assert_true(next == 0 || next > w->now_us); /* else the loop would spin */
}
