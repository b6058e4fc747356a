/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/scheduler_internal.h"

#include <stdlib.h>

#include "node/pool/verifier.h"
#include "node/work.h"
#include "protocol/messages.h"

void flight_clear(struct scheduler *s, struct flight *f)
{
	if (f->unit != 0)
		s->paths[f->path].flights--;
	free(f->work.spans);
	free(f->sessions);
	memset(f, 0, sizeof *f);
}

void flight_drop(struct scheduler *s, struct flight *f)
{
	for (size_t i = 0; i < f->work.n_spans; i++) {
		if (f->sessions[i] != NULL)
			binding_rewind(s, f->sessions[i]);
	}
	flight_clear(s, f);
}

/* The unit as a stage gets it: logits are wanted from the last stage alone. */
static struct msg_work_unit as_sent(
    const struct msg_work_unit *work, struct unit_span *spans, bool last)
{
	struct msg_work_unit u = *work;

	memcpy(spans, work->spans, work->n_spans * sizeof *spans);
	u.spans = spans;
	if (!last) {
		u.top = u.n_logits = 0;
		for (size_t i = 0; i < u.n_spans; i++)
			spans[i].n_logits = 0;
	}
	return u;
}

/*
 * Send the flight's next unit; payload is taken over. False: the path takes no more work, or memory
 * is out; then the flight is dropped.
 */
static bool send_unit(struct scheduler *s, struct flight *f, uint8_t *payload, size_t payload_len,
    uint64_t now_us, struct actions *q)
{
	const struct path *p = &s->paths[f->path];
	const struct path_stage *stage = &p->stages[f->stage];
	const struct catalog_model *m = catalog_at(s->catalog, p->model);
	struct roster_donor *d = path_donor(s->roster, stage);
	struct unit_span *spans = calloc(f->work.n_spans, sizeof *spans);
	bool open = !p->broken && d != NULL && d->state == DONOR_READY;
	struct action *a = spans != NULL && open ? actions_add(q, ACTION_UNIT) : NULL;

	if (a == NULL) {
		free(spans);
		free(payload);
		flight_drop(s, f);
		return false;
	}
	f->work.unit = f->unit = s->next_unit++;
	f->work.assignment = stage->assignment;
	f->work.model = m->id;
	f->work.layer_first = stage->layers.first;
	f->work.layer_last = stage->layers.last;
	f->sent_us = now_us;
	f->deadline_us = now_us + s->limits.unit_timeout_us;
	d->last_unit = f->unit;
	a->unit.donor = stage->donor;
	a->unit.unit = as_sent(&f->work, spans, f->stage + 1 == p->n_stages);
	binding_attach_closed(s, stage, &a->unit.unit);
	a->unit.payload = payload;
	a->unit.payload_len = payload_len;
	return true;
}

static struct flight *free_flight(struct scheduler *s)
{
	for (size_t i = 0; i < s->n_flights; i++) {
		if (s->flights[i].unit == 0)
			return &s->flights[i];
	}
	return s->n_flights < MAX_FLIGHTS ? &s->flights[s->n_flights++] : NULL;
}

/* How many tokens of a session to feed at once, so that its rows of logits stay within bounds. */
static uint32_t chunk_for(const struct session *session, uint32_t room)
{
	size_t rows = LARGE_ROW / logit_row_bytes(session_top(session));
	uint32_t chunk = room < PREFILL_CHUNK ? room : PREFILL_CHUNK;

	if (session->r.top > 0 && rows < chunk)
		chunk = rows > 0 ? (uint32_t)rows : 1;
	return chunk;
}

/* Add a ready session's next tokens to a flight of at most so many, with up to `draft` guesses
 * behind them. False: it does not fit. */
static bool board(struct flight *f, struct session *session, uint32_t most_tokens, uint32_t draft)
{
	struct msg_work_unit *u = &f->work;
	uint32_t top = session_top(session);
	bool alone = session->r.top > SAMPLER_CANDIDATES;
	uint32_t guesses;

	if (u->n_tokens >= most_tokens ||
	    (u->n_spans > 0 && (alone || u->top > SAMPLER_CANDIDATES)))
		return false;
	guesses = u->n_tokens < GUESS_TOKENS ? GUESS_TOKENS - u->n_tokens : 0;
	guesses = guesses < draft ? guesses : draft;
	f->sessions[u->n_spans] = session;
	session_take_span(
	    session, chunk_for(session, most_tokens - u->n_tokens), guesses, &u->spans[u->n_spans]);
	u->n_tokens += u->spans[u->n_spans].n_tokens;
	u->n_logits += u->spans[u->n_spans].n_logits;
	u->top = u->top > top ? u->top : top;
	u->n_spans++;
	return true;
}

/* Does anybody on this path wait for each single token? */
static bool path_decodes(const struct scheduler *s, uint32_t path)
{
	for (size_t i = 0; i < s->n_sessions; i++) {
		const struct session *session = s->sessions[i];

		if (session_is_bound(session) && session->path == path && session_decodes(session))
			return true;
	}
	return false;
}

/*
 * Who writes goes before who reads: a token costs little, and a person waits for each. Where
 * somebody writes, prompts are read in small parts, so that the next token is never far.
 */
static void board_all(struct scheduler *s, struct flight *f, uint32_t path, uint32_t most_spans)
{
	uint32_t most = BATCH_TOKENS;

	for (int reads = 0; reads <= 1; reads++) {
		if (reads && path_decodes(s, path) && f->work.n_tokens + READ_BESIDE_TOKENS < most)
			most = f->work.n_tokens + READ_BESIDE_TOKENS;
		for (size_t i = 0; i < s->n_sessions && f->work.n_spans < most_spans; i++) {
			struct session *session = s->sessions[(s->turn + i) % s->n_sessions];

			if (session->state == SESSION_READY && session->path == path &&
			    session_decodes(session) == !reads &&
			    !board(f, session, most, s->limits.draft_tokens))
				return;
		}
	}
}

static uint8_t *token_payload(const struct flight *f)
{
	uint8_t *payload = calloc(f->work.n_tokens, 4);
	size_t at = 0;

	for (size_t i = 0; payload != NULL && i < f->work.n_spans; i++) {
		const struct unit_span *span = &f->work.spans[i];

		payload_put_u32(
		    payload + at * 4, f->sessions[i]->tokens + span->position, span->n_tokens);
		at += span->n_tokens;
	}
	return payload;
}

/* One more flight on a path, from the sessions that are ready. False: none was made. */
static bool take_off(
    struct scheduler *s, uint32_t path, uint32_t most_spans, uint64_t now_us, struct actions *q)
{
	struct flight *f = free_flight(s);
	uint8_t *payload;

	if (f == NULL)
		return false;
	f->work.spans = calloc(most_spans, sizeof *f->work.spans);
	f->sessions = calloc(most_spans, sizeof *f->sessions);
	if (f->work.spans != NULL && f->sessions != NULL)
		board_all(s, f, path, most_spans);
	if (f->work.n_spans == 0) {
		flight_clear(s, f);
		return false;
	}
	s->turn++;
	f->path = path;
	f->unit = s->next_unit; /* send_unit takes it */
	s->paths[path].flights++;
	payload = token_payload(f);
	if (payload == NULL) {
		flight_drop(s, f);
		return false;
	}
	return send_unit(s, f, payload, (size_t)f->work.n_tokens * 4, now_us, q);
}

/*
 * As many flights as stages, and one more to hide the way between them; the sessions are shared out
 * so that each flight gets some.
 */
void flights_run(struct scheduler *s, uint64_t now_us, struct actions *q)
{
	for (uint32_t i = 0; i < s->n_paths; i++) {
		struct path *p = &s->paths[i];
		uint32_t most;

		if (p->n_stages == 0 || p->sessions == 0 || !path_responds(p, s->roster))
			continue;
		most = (p->sessions + p->n_stages - 1) / p->n_stages;
		most = most < LIMIT_UNIT_SPANS ? most : LIMIT_UNIT_SPANS;
		while (p->flights <= p->n_stages && take_off(s, i, most, now_us, q))
			;
	}
}

struct flight *flight_find(struct scheduler *s, int donor, uint64_t unit)
{
	for (size_t i = 0; i < s->n_flights; i++) {
		struct flight *f = &s->flights[i];

		if (unit != 0 && f->unit == unit &&
		    s->paths[f->path].stages[f->stage].donor == donor)
			return f;
	}
	return NULL;
}

uint64_t flight_layer_us(const struct roster_donor *d)
{
	uint64_t layers = d->assignment.layers.last - d->assignment.layers.first;

	if (d->us_per_layer > 0 || layers == 0 || d->assignment.token_us == 0)
		return d->us_per_layer;
	return d->assignment.token_us / layers + 1;
}

/* The longest that this unit should be away: many times what its donor usually takes. */
uint64_t flight_stalls_us(const struct scheduler *s, const struct flight *f)
{
	const struct path_stage *at = &s->paths[f->path].stages[f->stage];
	const struct roster_donor *d = path_donor(s->roster, at);
	uint64_t layers = at->layers.last - at->layers.first;
	uint64_t usual =
	    d != NULL ? flight_layer_us(d) * layers * (1 + f->work.n_tokens / PACE_TOKENS) : 0;
	uint64_t least = d != NULL && d->us_per_layer == 0 ? STALL_FIRST_US : STALL_LEAST_US;

	if (usual == 0)
		return f->deadline_us;
	usual *= STALL_TIMES;
	usual = usual > least ? usual : least;
	return f->sent_us + usual < f->deadline_us ? f->sent_us + usual : f->deadline_us;
}

/* From units of few tokens: of more, each costs less. */
static void learn_pace(struct roster_donor *d, const struct flight *f, uint64_t now_us)
{
	uint64_t layers = d->assignment.layers.last - d->assignment.layers.first;
	uint64_t us = (now_us - f->sent_us) / layers;

	if (f->work.n_tokens > PACE_TOKENS)
		return;
	d->us_per_layer = d->us_per_layer > 0 ? (7 * d->us_per_layer + us) / 8 : us;
	d->us_per_layer += d->us_per_layer == 0; /* 0 is unknown */
}

static bool book(struct scheduler *s, const struct flight *f, const struct msg_result *r,
    uint64_t now_us, struct actions *q)
{
	const struct path *p = &s->paths[f->path];
	const struct path_stage *stage = &p->stages[f->stage];
	struct roster_donor *d = path_donor(s->roster, stage);
	struct action *a = actions_add(q, ACTION_BOOK);

	if (a == NULL)
		return false;
	a->book = (struct action_book){.donor = stage->donor,
	    .model = p->model,
	    .layers = stage->layers,
	    .unit = f->unit,
	    .tokens = f->work.n_tokens,
	    .cost = r->cost,
	    .result = r->payload_hash,
	    .away_us = now_us - f->sent_us,
	    .compute_us = r->compute_us};
	if (d != NULL) {
		learn_pace(d, f, now_us);
		d->units++;
		/* one that failed too often stays out, whatever it still sends */
		if (d->failures < ROSTER_MAX_FAILURES)
			d->failures = 0;
		(void)flop_add(d->cost, r->cost, &d->cost);
		for (size_t i = 0; i < f->work.n_spans; i++) {
			if (f->sessions[i] != NULL)
				(void)session_share(
				    f->sessions[i], &d->key, d->name, stage->layers);
		}
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
	if (!copy_text(p, &step->text) || (p->rows_len > 0 && p->rows == NULL))
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
	binding_finish(s, session, reason, "", q);
}

/* The last stage's rows, each to its session. */
static void land(
    struct scheduler *s, struct flight *f, struct span payload, uint64_t now_us, struct actions *q)
{
	const struct catalog_model *m = catalog_at(s->catalog, s->paths[f->path].model);
	size_t row_bytes = logit_row_bytes(f->work.top);
	const uint8_t *at = payload.data;

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
		if (rc == AYNI_OK && !step.finished)
			continue;
		kept_add(s, session, now_us);
		if (rc == AYNI_OK)
			end_session(s, session, step.reason, &rows, q);
		else
			binding_finish(s, session, FINISH_FAILED, "the pool is out of memory", q);
	}
	flight_clear(s, f);
}

/* Take out the sessions that ended meanwhile, with their rows; returns the bytes left. */
static size_t disembark(struct flight *f, uint8_t *rows, size_t d_model)
{
	struct msg_work_unit *u = &f->work;
	size_t n = 0, from = 0, to = 0;

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
static void fly_on(
    struct scheduler *s, struct flight *f, struct span payload, uint64_t now_us, struct actions *q)
{
	const struct catalog_model *m = catalog_at(s->catalog, s->paths[f->path].model);
	uint8_t *copy = malloc(payload.len);
	size_t len;

	if (copy == NULL) {
		flight_drop(s, f);
		return;
	}
	memcpy(copy, payload.data, payload.len);
	len = disembark(f, copy, m->sizes.d_model);
	if (f->work.n_spans == 0) {
		free(copy);
		flight_clear(s, f);
		return;
	}
	f->stage++;
	(void)send_unit(s, f, copy, len, now_us, q);
}

enum refusal flight_result(struct scheduler *s, struct flight *f, const struct msg_result *r,
    struct span payload, uint64_t now_us, struct actions *q, struct error *why)
{
	const struct path *p = &s->paths[f->path];
	const struct model_sizes *sizes = &catalog_at(s->catalog, p->model)->sizes;
	bool last = f->stage + 1 == p->n_stages;
	struct unit_span spans[LIMIT_UNIT_SPANS];
	struct msg_work_unit asked = as_sent(&f->work, spans, last);
	enum refusal wrong = verifier_check(sizes, &asked, r, payload, why);

	if (wrong != REFUSAL_NONE)
		return wrong;
	binding_closed_heard(s, &p->stages[f->stage], f->unit);
	if (!book(s, f, r, now_us, q))
		flight_drop(s, f);
	else if (last)
		land(s, f, payload, now_us, q);
	else
		fly_on(s, f, payload, now_us, q);
	return REFUSAL_NONE;
}
