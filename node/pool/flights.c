/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/scheduler_internal.h"

#include <stdlib.h>

#include "node/work.h"
#include "protocol/messages.h"

void flight_clear(struct scheduler *s, struct flight *f)
{
	if (f->legs != NULL) {
		for (uint32_t k = 0; k < s->paths[f->path].n_stages; k++)
			trails_forget(&f->legs[k].word);
		s->paths[f->path].flights--;
		s->paths[f->path].ahead -= f->ahead;
	}
	free(f->legs);
	free(f->result);
	free(f->work.spans);
	free(f->sessions);
	memset(f, 0, sizeof *f);
}

struct flight *flight_follower(struct scheduler *s, const struct flight *f)
{
	uint64_t ticket = f->legs[s->paths[f->path].n_stages - 1].to;

	for (size_t i = 0; ticket != 0 && i < s->n_flights; i++) {
		struct flight *next = &s->flights[i];

		if (next->legs != NULL && next->legs[0].from == ticket)
			return next;
	}
	return NULL;
}

/* The flight whose token this one waits for, or NULL. */
static struct flight *followed_by(struct scheduler *s, const struct flight *f)
{
	for (size_t i = 0; f->ahead && i < s->n_flights; i++) {
		struct flight *before = &s->flights[i];

		if (before->legs != NULL && flight_follower(s, before) == f)
			return before;
	}
	return NULL;
}

/* It will not land: those with the same session will not either. */
void flight_abandon(struct scheduler *s, struct flight *f, struct actions *q)
{
	struct flight *before = followed_by(s, f), *next = flight_follower(s, f);

	if (before != NULL) {
		legs_withdraw(s, before, q);
		flight_clear(s, before);
	}
	if (next != NULL) {
		legs_withdraw(s, next, q);
		flight_clear(s, next);
	}
	legs_withdraw(s, f, q);
	flight_clear(s, f);
}

void flight_drop(struct scheduler *s, struct flight *f, struct actions *q)
{
	for (size_t i = 0; i < f->work.n_spans; i++) {
		if (f->sessions[i] != NULL)
			binding_rewind(s, f->sessions[i]);
		else
			kept_lose(s, f->work.spans[i].session);
	}
	flight_abandon(s, f, q);
}

void flight_blame(
    struct scheduler *s, struct flight *f, uint32_t stage, uint32_t strikes, struct actions *q)
{
	struct path *p = &s->paths[f->path];
	struct roster_donor *d = path_donor(s->roster, &p->stages[stage]);

	if (d != NULL) {
		d->failures += strikes;
		d->stalled_us = 0;
	}
	p->broken = true;
	flight_drop(s, f, q);
}

static struct flight *free_flight(struct scheduler *s)
{
	for (size_t i = 0; i < s->n_flights; i++) {
		if (s->flights[i].legs == NULL)
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
	for (size_t i = 0; i < s->n_bound; i++) {
		const struct session *session = s->bound[i];

		if (session->path == path && session_decodes(session))
			return true;
	}
	return false;
}

/* In a unit: each is a part, perhaps, and a result has a bound for what it says of all parts after
 * each layer but the last of a stage. */
static uint32_t most_tokens(const struct path *p)
{
	uint32_t most = BATCH_TOKENS;

	for (uint32_t k = 0; k < p->n_stages; k++) {
		uint32_t layers = p->stages[k].layers.last - p->stages[k].layers.first - 1;

		if (layers > 0 && LIMIT_LAYER_HASHES / layers < most)
			most = LIMIT_LAYER_HASHES / layers;
	}
	return most;
}

/*
 * Who writes goes before who reads: a token costs little, and a person waits for each. Where
 * somebody writes, prompts are read in small parts, so that the next token is never far.
 */
static void board_all(struct scheduler *s, struct flight *f, uint32_t path, uint32_t most_spans)
{
	uint32_t most = most_tokens(&s->paths[path]);

	for (int reads = 0; reads <= 1; reads++) {
		if (reads && path_decodes(s, path) && f->work.n_tokens + READ_BESIDE_TOKENS < most)
			most = f->work.n_tokens + READ_BESIDE_TOKENS;
		for (size_t i = 0; i < s->n_bound && f->work.n_spans < most_spans; i++) {
			struct session *session = s->bound[(s->turn + i) % s->n_bound];

			if (session->state == SESSION_READY && session->drafting.until_us == 0 &&
			    session->path == path && session_decodes(session) == !reads &&
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

/* An empty flight with room for so many sessions; NULL: there is none. */
static struct flight *flight_new(struct scheduler *s, uint32_t path, uint32_t most_spans)
{
	struct flight *f = free_flight(s);

	if (f == NULL)
		return NULL;
	f->work.spans = calloc(most_spans, sizeof *f->work.spans);
	f->sessions = calloc(most_spans, sizeof *f->sessions);
	f->legs = calloc(s->paths[path].n_stages, sizeof *f->legs);
	if (f->work.spans == NULL || f->sessions == NULL || f->legs == NULL) {
		free(f->legs);
		f->legs = NULL;
		flight_clear(s, f);
		return NULL;
	}
	f->path = path;
	s->paths[path].flights++;
	return f;
}

/* One more flight on a path, from the sessions that are ready. False: none was made. */
static bool take_off(
    struct scheduler *s, uint32_t path, uint32_t most_spans, uint64_t now_us, struct actions *q)
{
	struct flight *f = flight_new(s, path, most_spans);
	uint8_t *payload;
	bool ring;

	if (f == NULL)
		return false;
	board_all(s, f, path, most_spans);
	if (f->work.n_spans == 0) {
		flight_clear(s, f);
		return false;
	}
	s->turn++;
	payload = token_payload(f);
	if (payload == NULL) {
		flight_drop(s, f, q);
		return false;
	}
	ring = flight_may_ring(s, f, now_us);
	if (ring)
		f->legs[s->paths[path].n_stages - 1].to = ++s->next_ticket;
	if (!legs_send(s, f, payload, (size_t)f->work.n_tokens * 4, now_us, q))
		return false;
	if (ring)
		flight_launch_ahead(s, f, now_us, q);
	return true;
}

/* ---- a token behind the other ------------------------------------------------------------- */

/* Only where each session has a flight of its own: more of them go better together. */
bool flight_may_ring(struct scheduler *s, const struct flight *f, uint64_t now_us)
{
	const struct path *p = &s->paths[f->path];
	const struct unit_span *span = &f->work.spans[0];

	if (f->work.n_spans != 1 || f->sessions[0] == NULL || p->sessions > p->n_stages ||
	    span->n_tokens != 1 || span->n_logits != 1 || !session_runs_ahead(f->sessions[0], 1) ||
	    drafts_want(s, f->sessions[0]) || !path_responds(p, s->roster))
		return false;
	for (uint32_t i = 0; i < p->n_stages; i++) {
		if (!pairs_up(s->pairs, p->stages[i].donor, p->stages[(i + 1) % p->n_stages].donor,
		        now_us))
			return false;
	}
	return true;
}

void flight_launch_ahead(struct scheduler *s, struct flight *f, uint64_t now_us, struct actions *q)
{
	uint32_t last = s->paths[f->path].n_stages - 1;
	struct session *session = f->sessions[0];
	struct flight *g = flight_new(s, f->path, 1);

	if (g == NULL)
		return; /* the token that is handed on finds nobody */
	s->paths[g->path].ahead++;
	g->ahead = true;
	g->sessions[0] = session;
	g->work.spans[0] = f->work.spans[0];
	g->work.spans[0].position++;
	g->work.spans[0].from = 0;
	g->work.n_spans = g->work.n_tokens = g->work.n_logits = 1;
	g->work.top = f->work.top;
	g->legs[0].from = f->legs[last].to;
	if (session_runs_ahead(session, 2))
		g->legs[last].to = ++s->next_ticket;
	(void)legs_send(s, g, NULL, 0, now_us, q);
}

/* ---- all paths ---------------------------------------------------------------------------- */

uint32_t flight_most_spans(const struct path *p)
{
	uint32_t most = (p->sessions + p->n_stages - 1) / p->n_stages;

	return most < LIMIT_UNIT_SPANS ? most : LIMIT_UNIT_SPANS;
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
		most = flight_most_spans(p);
		while (p->flights - p->ahead <= p->n_stages && take_off(s, i, most, now_us, q))
			;
	}
}

struct flight *flight_find(struct scheduler *s, int donor, uint64_t unit, uint32_t *stage)
{
	for (size_t i = 0; i < s->n_flights; i++) {
		struct flight *f = &s->flights[i];

		for (uint32_t k = f->stage; f->legs != NULL && unit != 0 && k < f->sent; k++) {
			if (f->legs[k].unit != unit || f->legs[k].done ||
			    s->paths[f->path].stages[k].donor != donor)
				continue;
			*stage = k;
			return f;
		}
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

uint64_t flight_deadline_us(const struct scheduler *s, const struct flight *f)
{
	const struct leg *leg = &f->legs[f->stage];

	if (f->ahead)
		return UINT64_MAX; /* the one that it follows has one */
	return (leg->begun_us > 0 ? leg->begun_us : leg->sent_us) + s->limits.unit_timeout_us;
}

/* The longest that this unit should be away: many times what its donor usually takes. */
uint64_t flight_stalls_us(const struct scheduler *s, const struct flight *f)
{
	const struct path_stage *at = &s->paths[f->path].stages[f->stage];
	const struct roster_donor *d = path_donor(s->roster, at);
	const struct leg *leg = &f->legs[f->stage];
	uint64_t layers = at->layers.last - at->layers.first;
	uint64_t usual =
	    d != NULL ? flight_layer_us(d) * layers * (1 + f->work.n_tokens / PACE_TOKENS) : 0;
	uint64_t least = d != NULL && d->us_per_layer == 0 ? STALL_FIRST_US : STALL_LEAST_US;
	uint64_t deadline = flight_deadline_us(s, f);

	if (leg->begun_us == 0)
		return 0;
	if (leg->from != 0)
		least = STALL_HANDED_US;
	if (usual == 0)
		return deadline;
	usual *= STALL_TIMES;
	usual = usual > least ? usual : least;
	return leg->begun_us + usual < deadline ? leg->begun_us + usual : deadline;
}
