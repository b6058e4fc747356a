/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flight's units, one for each stage, and what comes of them. Where donors can reach each other,
 * the units of several stages are sent at once, and each result goes to the next donor directly;
 * the pool gets its hash, and at the last stage the result. It goes on only when what a donor took
 * is what the donor before it gave.
 */
#include "node/pool/scheduler_internal.h"

#include <stdlib.h>

#include "node/pool/verifier.h"
#include "node/work.h"
#include "protocol/messages.h"

/* ---- sending ------------------------------------------------------------------------------ */

static bool is_last(const struct scheduler *s, const struct flight *f, uint32_t stage)
{
	return stage + 1 == s->paths[f->path].n_stages;
}

/* Who hands over to a stage: the one before it, or the last to the first. */
static const struct path_stage *giver(
    const struct scheduler *s, const struct flight *f, uint32_t stage)
{
	const struct path *p = &s->paths[f->path];

	return &p->stages[stage > 0 ? stage - 1 : p->n_stages - 1];
}

static struct transfer transfer_with(
    const struct scheduler *s, const struct path_stage *other, uint64_t ticket)
{
	const struct roster_donor *d = path_donor(s->roster, other);
	struct transfer t = {.ticket = ticket};

	if (ticket != 0 && d != NULL)
		t.donor = d->key;
	return t;
}

/* The unit as a stage gets it: logits are wanted from the last stage alone. */
static struct msg_work_unit as_sent(
    const struct scheduler *s, const struct flight *f, uint32_t stage, struct unit_span *spans)
{
	const struct path *p = &s->paths[f->path];
	const struct path_stage *at = &p->stages[stage];
	const struct leg *leg = &f->legs[stage];
	struct msg_work_unit u = f->work;

	u.unit = leg->unit;
	u.assignment = at->assignment;
	u.model = catalog_at(s->catalog, p->model)->id;
	u.layer_first = at->layers.first;
	u.layer_last = at->layers.last;
	u.input = transfer_with(s, giver(s, f, stage), leg->from);
	u.next = transfer_with(s, &p->stages[(stage + 1) % p->n_stages], leg->to);
	u.spans = spans;
	memcpy(spans, f->work.spans, u.n_spans * sizeof *spans);
	if (is_last(s, f, stage)) {
		u.draws = u.next.ticket != 0;
		if (u.draws && f->sessions[0] != NULL)
			u.draw = work_sampling(&f->sessions[0]->r.sampling);
		return u;
	}
	u.top = u.n_logits = 0;
	for (size_t i = 0; i < u.n_spans; i++)
		spans[i].n_logits = 0;
	return u;
}

/* Payload is taken over. */
static bool send_leg(struct scheduler *s, struct flight *f, uint8_t *payload, size_t payload_len,
    uint64_t now_us, struct actions *q)
{
	const struct path *p = &s->paths[f->path];
	const struct path_stage *stage = &p->stages[f->sent];
	struct leg *leg = &f->legs[f->sent];
	struct roster_donor *d = path_donor(s->roster, stage);
	struct unit_span *spans = calloc(f->work.n_spans, sizeof *spans);
	bool open = !p->broken && d != NULL && roster_holds(d, stage->layers);
	struct action *a = spans != NULL && open ? actions_add(q, ACTION_UNIT) : NULL;

	if (a == NULL) {
		free(spans);
		free(payload);
		return false;
	}
	leg->unit = s->next_unit++;
	leg->sent_us = now_us;
	leg->begun_us = leg->from == 0 ? now_us : 0;
	d->last_unit = leg->unit;
	a->unit.donor = stage->donor;
	a->unit.unit = as_sent(s, f, f->sent, spans);
	binding_attach_closed(s, stage, &a->unit.unit);
	a->unit.payload = payload;
	a->unit.payload_len = payload_len;
	f->sent++;
	return true;
}

bool legs_send(struct scheduler *s, struct flight *f, uint8_t *payload, size_t payload_len,
    uint64_t now_us, struct actions *q)
{
	const struct path *p = &s->paths[f->path];
	bool direct;

	do {
		uint32_t stage = f->sent;

		direct = !is_last(s, f, stage) && pairs_up(s->pairs, p->stages[stage].donor,
		                                      p->stages[stage + 1].donor, now_us);
		if (direct)
			f->legs[stage].to = f->legs[stage + 1].from = ++s->next_ticket;
		if (!send_leg(s, f, payload, payload_len, now_us, q)) {
			flight_drop(s, f, q);
			return false;
		}
		payload = NULL;
		payload_len = 0;
	} while (direct);
	return true;
}

void legs_withdraw(struct scheduler *s, const struct flight *f, struct actions *q)
{
	for (uint32_t k = f->stage; k < f->sent; k++) {
		const struct path_stage *stage = &s->paths[f->path].stages[k];
		struct action *a;

		if (f->legs[k].done || f->legs[k].from == 0 || path_donor(s->roster, stage) == NULL)
			continue;
		a = actions_add(q, ACTION_WITHDRAW);
		if (a != NULL)
			a->withdraw = (struct action_withdraw){stage->donor, f->legs[k].unit};
	}
}

bool legs_from_itself(const struct scheduler *s, const struct flight *f, uint32_t stage)
{
	return f->legs[stage].from != 0 &&
	       giver(s, f, stage)->donor == s->paths[f->path].stages[stage].donor;
}

static bool both_are_here(const struct scheduler *s, const struct flight *f, uint32_t stage)
{
	return path_donor(s->roster, giver(s, f, stage)) != NULL &&
	       path_donor(s->roster, &s->paths[f->path].stages[stage]) != NULL;
}

void legs_input_lost(struct scheduler *s, const struct flight *f, uint32_t stage, uint64_t now_us)
{
	if (both_are_here(s, f, stage))
		pairs_lost(s->pairs, giver(s, f, stage)->donor,
		    s->paths[f->path].stages[stage].donor, now_us);
}

static void input_kept(struct scheduler *s, const struct flight *f, uint32_t stage)
{
	if (f->legs[stage].from != 0 && both_are_here(s, f, stage))
		pairs_kept(
		    s->pairs, giver(s, f, stage)->donor, s->paths[f->path].stages[stage].donor);
}

/* ---- results ------------------------------------------------------------------------------ */

/* From units of few tokens: of more, each costs less. */
static void learn_pace(
    struct roster_donor *d, const struct flight *f, struct layer_range layers, uint64_t away_us)
{
	uint64_t us = away_us / (layers.last - layers.first);

	if (f->work.n_tokens > PACE_TOKENS)
		return;
	d->us_per_layer = d->us_per_layer > 0 ? (7 * d->us_per_layer + us) / 8 : us;
	d->us_per_layer += d->us_per_layer == 0; /* 0 is unknown */
}

/* Whose session each part of the unit was. */
static bool book_spans(const struct scheduler *s, const struct flight *f,
    const struct msg_work_unit *asked, struct action_book *b)
{
	const struct model_sizes *sizes = &catalog_at(s->catalog, s->paths[f->path].model)->sizes;

	b->spans = calloc(asked->n_spans, sizeof *b->spans);
	if (b->spans == NULL)
		return false;
	b->n_spans = asked->n_spans;
	for (size_t i = 0; i < b->n_spans; i++) {
		const struct unit_span *span = &asked->spans[i];

		b->spans[i] = (struct action_book_span){.session = span->session,
		    .tokens = span->n_tokens,
		    .late = f->sessions[i] == NULL};
		if (work_span_cost(sizes, asked, span, &b->spans[i].cost) != AYNI_OK)
			return false; /* no: that of all is known */
	}
	return true;
}

static bool book(struct scheduler *s, const struct flight *f, uint32_t at,
    const struct msg_work_unit *asked, const struct msg_result *r, uint64_t now_us,
    struct actions *q)
{
	const struct path *p = &s->paths[f->path];
	const struct path_stage *stage = &p->stages[at];
	const struct leg *leg = &f->legs[at];
	struct roster_donor *d = path_donor(s->roster, stage);
	struct action *a = actions_add(q, ACTION_BOOK);

	if (a == NULL)
		return false;
	a->book = (struct action_book){.donor = stage->donor,
	    .model = p->model,
	    .layers = stage->held,
	    .ran = stage->layers,
	    .unit = leg->unit,
	    .tokens = f->work.n_tokens,
	    .cost = r->cost,
	    .result = leg->output,
	    .handed = r->handed,
	    .away_us = leg->begun_us > 0 ? now_us - leg->begun_us : 0,
	    .compute_us = r->compute_us};
	if (!book_spans(s, f, asked, &a->book))
		return false;
	if (d == NULL)
		return true;
	if (leg->begun_us > 0)
		learn_pace(d, f, stage->layers, now_us - leg->begun_us);
	d->units++;
	roster_did_right(d);
	(void)flop_add(d->cost, r->cost, &d->cost);
	for (size_t i = 0; i < f->work.n_spans; i++) {
		if (f->sessions[i] != NULL)
			(void)session_share(f->sessions[i], &d->key, d->name, stage->layers);
	}
	return true;
}

/* What a token added, answer before reasoning; it may hold NULs. */
static bool copy_text(struct action_piece *p, const struct reasoning_text *text)
{
	p->text_len = text->answer.len;
	p->reasoning_len = text->reasoning.len;
	if (p->text_len + p->reasoning_len == 0)
		return true;
	p->text = malloc(p->text_len + p->reasoning_len);
	if (p->text == NULL)
		return false;
	if (p->text_len > 0)
		memcpy(p->text, text->answer.data, p->text_len);
	if (p->reasoning_len > 0)
		memcpy(p->text + p->text_len, text->reasoning.data, p->reasoning_len);
	return true;
}

static bool copy_logprobs(struct action_piece *p, const struct session_step *step)
{
	size_t bytes = step->n_drawn * sizeof *p->logprobs;

	if (step->logprobs == NULL || bytes == 0)
		return true;
	p->logprobs = malloc(bytes);
	if (p->logprobs != NULL)
		memcpy(p->logprobs, step->logprobs, bytes);
	return p->logprobs != NULL;
}

static bool add_piece(struct session *session, const struct session_step *step,
    const struct logit_rows *rows, struct actions *q)
{
	size_t row_bytes = logit_row_bytes(session->r.top);
	struct action *a = actions_add(q, ACTION_PIECE);
	struct action_piece *p;

	if (a == NULL)
		return false;
	p = &a->piece;
	p->session = session;
	p->n_drawn = step->n_drawn;
	assert(step->n_drawn <= DRAFT_MAX + 1);
	if (step->n_drawn > 0)
		memcpy(p->drawn, step->drawn, step->n_drawn * sizeof *p->drawn);
	p->n_rows = step->n_rows;
	p->rows_len = step->n_rows * row_bytes;
	p->rows = p->rows_len > 0 ? malloc(p->rows_len) : NULL;
	if (!copy_text(p, &step->text) || !copy_logprobs(p, step) ||
	    (p->rows_len > 0 && p->rows == NULL))
		return false;
	for (uint32_t i = 0; i < step->n_rows; i++)
		memcpy(p->rows + i * row_bytes,
		    rows->data + (step->rows_first + i) * logit_row_bytes(rows->top), row_bytes);
	return true;
}

/* The answer is over: what is left of its text, and its end. */
static void end_session(struct scheduler *s, struct session *session, enum finish_reason reason,
    const struct logit_rows *rows, struct actions *q)
{
	struct session_step rest = {0};

	if (session_rest(session, &rest.text) == AYNI_OK &&
	    rest.text.answer.len + rest.text.reasoning.len > 0)
		(void)add_piece(session, &rest, rows, q);
	(void)binding_finish(s, session, reason, "", q);
}

static void settle(struct scheduler *s, struct flight *f, uint64_t now_us, struct actions *q);

/* The token is drawn: the flight that follows has it already, and another may follow that. */
static void go_on(struct scheduler *s, struct flight *next, struct session *session,
    uint64_t now_us, struct actions *q)
{
	uint8_t payload[4];

	session_fly_on(session);
	payload_put_u32(payload, &session->tokens[session->n_fed], 1);
	hash_bytes(payload, sizeof payload, &next->token);
	next->ahead = false;
	s->paths[next->path].ahead--;
	if (next->legs[s->paths[next->path].n_stages - 1].to != 0 &&
	    flight_may_ring(s, next, now_us) && !session_foresees(session, s->limits.draft_tokens))
		flight_launch_ahead(s, next, now_us, q);
	if (next->legs != NULL) /* or it was dropped with the one that was to follow */
		settle(s, next, now_us, q);
}

/* The last stage's rows, each to its session. */
static void land(struct scheduler *s, struct flight *f, uint64_t now_us, struct actions *q)
{
	const struct catalog_model *m = catalog_at(s->catalog, s->paths[f->path].model);
	size_t row_bytes = logit_row_bytes(f->work.top);
	const uint8_t *at = f->result;
	struct flight *next = flight_follower(s, f);

	trails_land(s, f);
	if (next != NULL)
		next->legs[0].begun_us = now_us;
	for (size_t i = 0; i < f->work.n_spans; i++) {
		const struct unit_span *span = &f->work.spans[i];
		struct logit_rows rows = {span->n_logits, f->work.top, at};
		struct session *session = f->sessions[i];
		struct session_step step;
		int rc;

		at += span->n_logits * row_bytes;
		if (session == NULL)
			continue;
		rc = session_logits(session, span, &rows, m->tokenizer, now_us, &step);
		if (rc == AYNI_OK && (step.n_drawn > 0 || step.n_rows > 0) &&
		    !add_piece(session, &step, &rows, q))
			rc = AYNI_ERR_MEMORY;
		f->sessions[i] = NULL;
		s->gains[f->path] = session->drafting.gain;
		if (rc == AYNI_OK && !step.finished) {
			if (next != NULL)
				go_on(s, next, session, now_us, q);
			continue;
		}
		kept_add(s, session, now_us);
		if (rc == AYNI_OK)
			end_session(s, session, step.reason, &rows, q);
		else
			(void)binding_finish(
			    s, session, FINISH_FAILED, "the pool is out of memory", q);
	}
	flight_clear(s, f);
}

/* Take out the sessions that ended meanwhile, with their rows; returns the bytes left. */
static size_t disembark(const struct scheduler *s, struct flight *f, uint8_t *rows, size_t d_model)
{
	struct msg_work_unit *u = &f->work;
	size_t n = 0, from = 0, to = 0;

	trails_disembark(s, f);
	for (size_t i = 0; i < u->n_spans; i++) {
		struct unit_span span = u->spans[i];
		size_t bytes = span.n_tokens * wire_row_bytes((enum wire_type)span.wire, d_model);

		if (f->sessions[i] != NULL) {
			memmove(rows + to, rows + from, bytes);
			to += bytes;
			u->spans[n] = span;
			f->sessions[n++] = f->sessions[i];
		} else {
			u->n_tokens -= span.n_tokens;
			u->n_logits -= span.n_logits;
		}
		from += bytes;
	}
	u->n_spans = n;
	return to;
}

/* On to the next stage with what this one gave. */
static void fly_on(struct scheduler *s, struct flight *f, uint64_t now_us, struct actions *q)
{
	const struct catalog_model *m = catalog_at(s->catalog, s->paths[f->path].model);
	uint8_t *payload = f->result;
	size_t len;

	assert(payload != NULL); /* kept before its leg was done */
	len = disembark(s, f, payload, m->sizes.d_model);

	f->result = NULL;
	if (f->work.n_spans == 0) {
		free(payload);
		flight_clear(s, f);
		return;
	}
	(void)legs_send(s, f, payload, len, now_us, q);
}

/* Did it take what the one before it gave, or the token that was drawn here? */
static bool input_is_right(const struct flight *f)
{
	const struct leg *leg = &f->legs[f->stage];

	if (leg->from == 0 || (f->stage == 0 && f->sessions[0] == NULL))
		return true; /* for nobody no token was drawn */
	return hash_equal(&leg->input, f->stage > 0 ? &leg[-1].output : &f->token);
}

/* As far as results are in. */
static void settle(struct scheduler *s, struct flight *f, uint64_t now_us, struct actions *q)
{
	while (!f->ahead && f->stage < f->sent && f->legs[f->stage].done) {
		if (!input_is_right(f)) {
			legs_input_lost(s, f, f->stage, now_us);
			flight_drop(s, f, q);
			return;
		}
		if (!trails_fit(s, f, f->stage)) {
			flight_blame(s, f, f->stage, ROSTER_MAX_FAILURES, q);
			return;
		}
		input_kept(s, f, f->stage);
		f->stage++;
		if (f->stage < f->sent)
			f->legs[f->stage].begun_us = now_us;
	}
	if (f->stage < f->sent)
		return;
	if (f->stage == s->paths[f->path].n_stages)
		land(s, f, now_us, q);
	else
		fly_on(s, f, now_us, q);
}

/* A donor that could not hand over sent all to the pool: it goes on from here. */
static bool pass_on(struct scheduler *s, const struct flight *f, uint32_t stage,
    struct span payload, struct actions *q)
{
	const struct path_stage *next = &s->paths[f->path].stages[stage + 1];
	struct action *a =
	    path_donor(s->roster, next) != NULL ? actions_add(q, ACTION_HANDOVER) : NULL;

	if (a == NULL)
		return false;
	a->handover.donor = next->donor;
	a->handover.ticket = f->legs[stage].to;
	a->handover.payload = malloc(payload.len);
	if (a->handover.payload == NULL)
		return false;
	memcpy(a->handover.payload, payload.data, payload.len);
	a->handover.payload_len = payload.len;
	return true;
}

static bool keep_result(struct flight *f, struct span payload)
{
	f->result = malloc(payload.len > 0 ? payload.len : 1);
	if (f->result == NULL)
		return false;
	if (payload.len > 0)
		memcpy(f->result, payload.data, payload.len);
	return true;
}

/* What the next one is to have taken, and what is compared with a recomputation. */
static void note_output(struct leg *leg, const struct msg_result *r)
{
	leg->output = r->handed ? r->handed_hash : r->payload_hash;
	if (r->n_parts > 0)
		work_whole(r->parts, r->n_parts, &leg->output);
}

enum refusal legs_result(struct scheduler *s, struct flight *f, uint32_t stage,
    const struct msg_result *r, struct span payload, uint64_t now_us, struct actions *q,
    struct error *why)
{
	const struct path *p = &s->paths[f->path];
	struct leg *leg = &f->legs[stage];
	struct unit_span spans[LIMIT_UNIT_SPANS];
	struct msg_work_unit asked = as_sent(s, f, stage, spans);
	enum refusal wrong =
	    verifier_check(&catalog_at(s->catalog, p->model)->sizes, &asked, r, payload, why);
	bool ok = true;

	if (wrong != REFUSAL_NONE)
		return wrong;
	leg->input = r->input_hash;
	note_output(leg, r);
	trails_note(s, leg, r);
	if (!f->ahead && stage == f->stage && input_is_right(f) && !trails_fit(s, f, stage)) {
		(void)error_set(
		    why, AYNI_ERR_FORMAT, "a chain that does not fit what it was given and gave");
		return REFUSAL_BOUNDS;
	}
	binding_closed_heard(s, &p->stages[stage], leg->unit);
	leg->done = true;
	if (stage + 1 == f->sent)
		ok = keep_result(f, payload);
	else if (!r->handed)
		ok = pass_on(s, f, stage, payload, q);
	if (book(s, f, stage, &asked, r, now_us, q) &&
	    ok) /* its work counts, even if it leads nowhere */
		settle(s, f, now_us, q);
	else
		flight_drop(s, f, q);
	return REFUSAL_NONE;
}
