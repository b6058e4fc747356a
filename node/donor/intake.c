/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/intake.h"

#include <stdlib.h>
#include <uthash.h>

#include "compute/sampler.h"
#include "node/work.h"

struct held {
	uint64_t session;
	uint32_t wire;
	struct layer_range layers; /* that its keys and values are of */
	uint32_t length;           /* positions in the KV cache when all admitted units have run */
	uint32_t most;             /* that it ever reached: their memory stays with it */
	UT_hash_handle hh;
};

struct intake {
	struct intake_assignment a; /* number 0: none */
	bool leaving;
	uint64_t last_unit;
	uint32_t queued;
	uint32_t room, pages; /* agreed, and taken by all sessions */
	struct held *sessions;
};

int intake_new(struct intake **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	return *out != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "intake: out of memory");
}

static void forget(struct intake *i, struct held *h)
{
	i->pages -= kv_pages(h->most);
	HASH_DEL(i->sessions, h);
	free(h);
}

static void forget_all(struct intake *i)
{
	struct held *h, *next;

	HASH_ITER(hh, i->sessions, h, next)
	forget(i, h);
}

static struct held *find(const struct intake *i, uint64_t session)
{
	struct held *h = NULL;

	HASH_FIND(hh, i->sessions, &session, sizeof session, h);
	return h;
}

void intake_free(struct intake *i)
{
	if (i == NULL)
		return;
	forget_all(i);
	free(i);
}

void intake_assign(struct intake *i, const struct intake_assignment *a)
{
	forget_all(i);
	i->a = *a;
	i->room = work_room_pages(a->kv_tokens, a->max_sessions);
}

void intake_extend(struct intake *i, uint32_t layer_last)
{
	if (i->a.number != 0 && layer_last > i->a.layers.last)
		i->a.layers.last = layer_last;
}

void intake_unassign(struct intake *i)
{
	forget_all(i);
	memset(&i->a, 0, sizeof i->a);
}

void intake_leave(struct intake *i)
{
	i->leaving = true;
}

static enum refusal refuse(struct error *why, enum refusal reason, const char *text)
{
	(void)error_set(why, AYNI_ERR_ARGUMENT, "%s", text);
	return reason;
}

static enum refusal check_assignment(
    const struct intake *i, const struct msg_work_unit *u, struct error *why)
{
	if (i->a.number == 0 || u->assignment != i->a.number)
		return refuse(why, REFUSAL_ASSIGNMENT, "no such assignment here, or not ready");
	if (!hash_equal(&u->model, &i->a.model))
		return refuse(why, REFUSAL_ASSIGNMENT, "another model than the assigned one");
	if (u->layer_first < i->a.layers.first || u->layer_last > i->a.layers.last ||
	    u->layer_first >= u->layer_last)
		return refuse(
		    why, REFUSAL_ASSIGNMENT, "other layers than the assigned ones that are ready");
	return REFUSAL_NONE;
}

size_t intake_input_bytes(const struct intake *i, const struct msg_work_unit *u)
{
	return u->layer_first == 0 ? (size_t)u->n_tokens * 4
	                           : work_activation_bytes(i->a.d_model, u);
}

static enum refusal check_bounds(
    const struct intake *i, const struct msg_work_unit *u, struct span payload, struct error *why)
{
	bool last = u->layer_last == i->a.n_layers;

	if (u->n_tokens == 0 || u->n_tokens > LIMIT_UNIT_TOKENS || u->n_spans == 0 ||
	    u->n_spans > LIMIT_UNIT_SPANS)
		return refuse(why, REFUSAL_BOUNDS, "too many tokens or sessions, or none");
	if (payload.len != (u->input.ticket != 0 ? 0 : intake_input_bytes(i, u)))
		return refuse(why, REFUSAL_BOUNDS, "the payload's size does not fit the tokens");
	if (u->top > i->a.n_vocabulary || (u->n_logits > 0 && (!last || u->top == 0)))
		return refuse(why, REFUSAL_BOUNDS, "logits that these layers cannot give");
	if (u->n_logits * logit_row_bytes(u->top) > LIMIT_PAYLOAD_BYTES)
		return refuse(why, REFUSAL_BOUNDS, "more logits than a result may hold");
	if (last && u->next.ticket != 0 && (!u->draws || u->top > SAMPLER_CANDIDATES))
		return refuse(why, REFUSAL_BOUNDS, "the last layers hand on a token, or nothing");
	if (!last && u->draws)
		return refuse(why, REFUSAL_BOUNDS, "a token that these layers cannot give");
	for (size_t s = 0; s < u->n_spans; s++) {
		const struct unit_span *span = &u->spans[s];

		if (span->n_tokens == 0 || span->n_logits > span->n_tokens ||
		    span->position >= i->a.kv_tokens ||
		    span->n_tokens > i->a.kv_tokens - span->position)
			return refuse(why, REFUSAL_BOUNDS, "a session past its context");
	}
	if (work_layer_hashes(u) > LIMIT_LAYER_HASHES)
		return refuse(why, REFUSAL_BOUNDS, "too many tokens for so many layers");
	return REFUSAL_NONE;
}

/* Is it among the first n sessions that the unit closes? */
static bool is_closed(const struct msg_work_unit *u, size_t n, uint64_t session)
{
	for (size_t c = 0; c < n; c++) {
		if (u->closed[c] == session)
			return true;
	}
	return false;
}

/* Pages that are left when the unit has closed what it names, however often it names it. */
static uint64_t left_open(const struct intake *i, const struct msg_work_unit *u)
{
	uint64_t left = i->pages;

	for (size_t c = 0; c < u->n_closed; c++) {
		const struct held *h = find(i, u->closed[c]);

		if (h != NULL && !is_closed(u, c, u->closed[c]))
			left -= kv_pages(h->most);
	}
	return left;
}

/* Pages that a span adds to those of its session; NULL: it has none. */
static uint32_t added(const struct held *h, const struct unit_span *span)
{
	uint32_t has = h != NULL ? kv_pages(h->most) : 0;
	uint32_t needs = kv_pages(span->position + span->n_tokens);

	return needs > has ? needs - has : 0;
}

/* A session that begins with another's positions takes them before the unit closes or runs any. */
static bool reaches(
    const struct intake *i, const struct msg_work_unit *u, const struct unit_span *span)
{
	const struct held *h = find(i, span->from != 0 ? span->from : span->session);

	return h != NULL && span->position <= h->length && span->wire == h->wire &&
	       h->layers.first == u->layer_first && h->layers.last == u->layer_last &&
	       !is_closed(u, u->n_closed, span->session);
}

static enum refusal check_sessions(
    const struct intake *i, const struct msg_work_unit *u, struct error *why)
{
	uint64_t pages = left_open(i, u);

	for (size_t s = 0; s < u->n_spans; s++) {
		const struct unit_span *span = &u->spans[s];
		const struct held *h =
		    is_closed(u, u->n_closed, span->session) ? NULL : find(i, span->session);

		for (size_t k = 0; k < s; k++) {
			if (u->spans[k].session == span->session)
				return refuse(why, REFUSAL_BOUNDS, "one session twice in a unit");
		}
		if (span->position > 0 && !reaches(i, u, span))
			return refuse(
			    why, REFUSAL_SESSION, "the session does not reach that position here");
		pages += added(h, span);
	}
	if (pages > i->room)
		return refuse(why, REFUSAL_MEMORY, "more positions than were agreed");
	return REFUSAL_NONE;
}

static bool hold(struct intake *i, const struct msg_work_unit *u, const struct unit_span *span)
{
	struct held *h = find(i, span->session);

	if (h == NULL) {
		h = calloc(1, sizeof *h);
		if (h == NULL)
			return false;
		h->session = span->session;
		HASH_ADD(hh, i->sessions, session, sizeof h->session, h);
	}
	i->pages += added(h, span);
	h->wire = span->wire;
	h->layers = (struct layer_range){u->layer_first, u->layer_last};
	h->length = span->position + span->n_tokens;
	h->most = h->length > h->most ? h->length : h->most;
	return true;
}

static void forget_spans(struct intake *i, const struct msg_work_unit *u)
{
	for (size_t s = 0; s < u->n_spans; s++) {
		struct held *h = find(i, u->spans[s].session);

		if (h != NULL)
			forget(i, h);
	}
}

enum refusal intake_admit(
    struct intake *i, const struct msg_work_unit *u, struct span payload, struct error *why)
{
	enum refusal r;

	if (u->unit <= i->last_unit)
		return refuse(
		    why, REFUSAL_REPLAY, "a unit of this or a higher number was here before");
	if (i->leaving)
		return refuse(why, REFUSAL_LEAVING, "the donor is leaving");
	r = check_assignment(i, u, why);
	if (r == REFUSAL_NONE)
		r = check_bounds(i, u, payload, why);
	if (r == REFUSAL_NONE && i->queued >= INTAKE_MAX_QUEUE)
		r = refuse(why, REFUSAL_BUSY, "the queue is full");
	if (r == REFUSAL_NONE)
		r = check_sessions(i, u, why);
	if (r != REFUSAL_NONE)
		return r;
	i->last_unit = u->unit;
	for (size_t c = 0; c < u->n_closed; c++) {
		struct held *h = find(i, u->closed[c]);

		if (h != NULL)
			forget(i, h);
	}
	for (size_t s = 0; s < u->n_spans; s++) {
		if (hold(i, u, &u->spans[s]))
			continue;
		forget_spans(i, u);
		return refuse(why, REFUSAL_MEMORY, "out of memory");
	}
	i->queued++;
	return REFUSAL_NONE;
}

void intake_done(struct intake *i, const struct msg_work_unit *u, bool failed)
{
	assert(i->queued > 0);
	i->queued--;
	if (failed)
		forget_spans(i, u);
}

uint32_t intake_queued(const struct intake *i)
{
	return i->queued;
}

uint32_t intake_sessions(const struct intake *i)
{
	return HASH_COUNT(i->sessions);
}
