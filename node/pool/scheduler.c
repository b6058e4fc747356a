/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/scheduler_internal.h"

#include <stdlib.h>

int scheduler_new(const struct catalog *c, struct roster *r, const struct scheduler_limits *limits,
    struct scheduler **out, struct error *err)
{
	struct scheduler *s = calloc(1, sizeof *s);
	size_t most = (size_t)limits->max_sessions + limits->max_waiting;

	if (s == NULL)
		goto err0;
	s->bound = calloc(limits->max_sessions, sizeof(struct session *));
	s->waiting = calloc(most, sizeof(struct session *));
	if (s->bound == NULL || s->waiting == NULL || pairs_new(&s->pairs, NULL) != AYNI_OK)
		goto err1;
	s->catalog = c;
	s->roster = r;
	s->limits = *limits;
	s->next_unit = s->next_ticket = limits->first_unit;
	s->trail_budget.most_bytes = TRAILS_MOST_BYTES;
	s->trails_end = &s->trails;
	*out = s;
	return AYNI_OK;

err1:
	free(s->bound);
	free(s->waiting);
	free(s);
err0:
	return error_set(err, AYNI_ERR_MEMORY, "scheduler: out of memory");
}

void scheduler_free(struct scheduler *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_flights; i++)
		flight_clear(s, &s->flights[i]);
	for (size_t i = 0; i < binding_sessions(s); i++)
		session_free(binding_session(s, i));
	for (size_t i = 0; i < s->n_kept; i++) {
		prefix_free(&s->kept[i].prefix);
		trail_release(s->kept[i].trail);
	}
	trails_free(s);
	pairs_free(s->pairs);
	free(s->bound);
	free(s->waiting);
	free(s);
}

struct pairs *scheduler_pairs(struct scheduler *s)
{
	return s->pairs;
}

int scheduler_submit(
    struct scheduler *s, const struct session_request *r, uint64_t now_us, struct error *err)
{
	struct session *session;
	int rc = AYNI_OK;

	if (binding_sessions(s) == (size_t)s->limits.max_sessions + s->limits.max_waiting)
		rc = error_set(err, AYNI_ERR_AGAIN, "the pool is full; try again later");
	else if (r->n_tokens == 0)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "the prompt is empty");
	else if (r->n_tokens >= r->kv_tokens)
		rc = error_set(err, AYNI_ERR_ARGUMENT,
		    "the prompt has %u tokens; at most %u fit into the context here", r->n_tokens,
		    r->kv_tokens - 1);
	else if (r->n_drawn >= r->kv_tokens - r->n_tokens ||
	         (r->max_tokens > 0 && r->n_drawn >= r->max_tokens))
		rc = error_set(err, AYNI_ERR_ARGUMENT,
		    "an answer that has %u tokens already has no more to come", r->n_drawn);
	if (rc != AYNI_OK) {
		session_request_free(r);
		return rc;
	}
	rc = session_new(r, now_us, &session, err);
	if (rc == AYNI_OK)
		s->waiting[s->n_waiting++] = session;
	return rc;
}

static void end_session(struct scheduler *s, struct session *session, enum finish_reason reason,
    const char *text, struct actions *q)
{
	if (session_is_bound(session))
		binding_release(s, session);
	(void)binding_finish(s, session, reason, text, q);
}

void scheduler_cancel(
    struct scheduler *s, uint32_t peer, const uint64_t *request, struct actions *q)
{
	for (size_t i = binding_sessions(s); i-- > 0;) {
		struct session *session = binding_session(s, i);

		if (session->r.peer == peer && (request == NULL || session->r.request == *request))
			end_session(s, session, FINISH_CANCELLED, "", q);
	}
}

void scheduler_fail_all(struct scheduler *s, const char *text, struct actions *q)
{
	for (size_t i = binding_sessions(s); i-- > 0;)
		end_session(s, binding_session(s, i), FINISH_FAILED, text, q);
}

/* Whatever it answers, late perhaps: its worker works. If all it did was to take long, it is given
 * twice as long, or two slow donors would take a session from each other for ever. */
static void stands_no_more(const struct scheduler *s, struct roster_donor *d, bool was_slow)
{
	uint64_t us = flight_layer_us(d);

	if (d->stalled_us != 0 && was_slow && us < s->limits.unit_timeout_us)
		d->us_per_layer = 2 * us;
	d->stalled_us = 0;
}

enum refusal scheduler_result(struct scheduler *s, int donor, const struct msg_result *r,
    struct span payload, uint64_t now_us, struct actions *q, struct error *why)
{
	uint32_t stage = 0;
	struct flight *f = flight_find(s, donor, r->unit, &stage);
	struct roster_donor *d = roster_get(s->roster, donor);
	enum refusal wrong;

	if (d != NULL)
		stands_no_more(s, d, true);
	if (f == NULL) {
		(void)error_set(why, AYNI_ERR_STATE, "no such unit is out");
		return REFUSAL_REPLAY;
	}
	wrong = legs_result(s, f, stage, r, payload, now_us, q, why);
	if (wrong != REFUSAL_NONE)
		flight_blame(s, f, stage, ROSTER_MAX_FAILURES, q);
	return wrong;
}

/* The stage's donor could not, for a reason that may be true: sessions go to others, if there are
 * any. */
static void shun(struct scheduler *s, struct flight *f, uint32_t stage)
{
	const struct path_stage *at = &s->paths[f->path].stages[stage];
	struct roster_donor *d = path_donor(s->roster, at);

	if (d != NULL)
		roster_excuse(d, f->legs[stage].unit);
	for (size_t i = 0; i < f->work.n_spans; i++) {
		if (f->sessions[i] != NULL)
			f->sessions[i]->shunned = at->assignment;
	}
}

/* It says that numbers overflow. Who is the second to say so of a session is believed: yet another
 * donor would come to the same. */
static void fail_sessions(struct scheduler *s, struct flight *f, uint32_t stage, struct actions *q)
{
	shun(s, f, stage);
	for (size_t i = 0; i < f->work.n_spans; i++) {
		struct session *session = f->sessions[i];

		if (session == NULL)
			continue;
		if (!session->not_finite) {
			session->not_finite = true;
			binding_rewind(s, session);
			continue;
		}
		binding_release(s, session);
		(void)binding_finish(s, session, FINISH_FAILED,
		    "the model gave numbers that are not finite for this prompt", q);
	}
	flight_abandon(s, f, q);
}

/* Nobody can tell whether it was handed its input: it goes on through the pool, which sees. */
static void try_again(
    struct scheduler *s, struct flight *f, uint32_t stage, uint64_t now_us, struct actions *q)
{
	legs_input_lost(s, f, stage, now_us);
	flight_drop(s, f, q);
}

/* Nobody here has seen what was handed over to it: it may be that which does not fit. */
static bool is_inputs_fault(
    const struct scheduler *s, const struct flight *f, uint32_t stage, enum refusal reason)
{
	return f->legs[stage].from != 0 && !legs_from_itself(s, f, stage) &&
	       (reason == REFUSAL_NUMERIC || reason == REFUSAL_BOUNDS);
}

void scheduler_unit_failed(struct scheduler *s, int donor, const struct msg_unit_failed *u,
    uint64_t now_us, struct actions *q)
{
	uint32_t stage = 0;
	struct flight *f = flight_find(s, donor, u->unit, &stage);
	struct roster_donor *d = roster_get(s->roster, donor);

	if (d != NULL)
		stands_no_more(s, d, false);
	if (f == NULL)
		return;
	if (is_inputs_fault(s, f, stage, u->reason)) {
		try_again(s, f, stage, now_us, q);
		return;
	}
	switch (u->reason) {
	case REFUSAL_NUMERIC:
		fail_sessions(s, f, stage, q);
		break;
	case REFUSAL_SESSION: /* it can go on after a replay */
	case REFUSAL_BUSY:
	case REFUSAL_EXPIRED:
		shun(s, f, stage);
		flight_drop(s, f, q);
		break;
	case REFUSAL_LEAVING:
		if (d != NULL && d->state != DONOR_LEAVING)
			shun(s, f, stage);
		flight_blame(s, f, stage, 0, q);
		break;
	default: /* the other reasons say that unit and donor do not fit each other; of one path
	          * they come together, as when its worker dies, and count once */
		flight_blame(s, f, stage, !s->paths[f->path].broken, q);
		break;
	}
}

/* A donor that is gone, or loads again, has lost the KV caches of the path's sessions. */
static void break_paths(struct scheduler *s)
{
	for (size_t i = 0; i < s->n_paths; i++) {
		struct path *p = &s->paths[i];

		for (uint32_t k = 0; k < p->n_stages && !p->broken; k++) {
			const struct roster_donor *d = path_donor(s->roster, &p->stages[k]);

			if (d == NULL) {
				p->broken = true;
			} else if (d->state != DONOR_LEAVING &&
			           !roster_holds(d, p->stages[k].layers)) {
				p->broken = true;
				p->lost = p->stages[k].assignment;
			}
		}
	}
}

static bool has_other_path(struct scheduler *s, const struct path *p)
{
	const struct path_donors donors = {.roster = s->roster};
	struct path other;

	return path_find(&donors, p->model, catalog_at(s->catalog, p->model)->sizes.n_layers, 1,
	           &other) == PATH_FOUND;
}

static void note_stalled(struct scheduler *s, struct flight *f, uint64_t now_us, struct actions *q)
{
	struct roster_donor *d = path_donor(s->roster, &s->paths[f->path].stages[f->stage]);

	if (f->legs[f->stage].from != 0) {
		try_again(s, f, f->stage, now_us, q);
		return;
	}
	if (d == NULL || d->stalled_us != 0)
		return;
	d->stalled_us = now_us;
	s->stall_ends_us =
	    s->stall_ends_us > 0 ? s->stall_ends_us : now_us + s->limits.unit_timeout_us;
}

static void note_all_stalled(struct scheduler *s, uint64_t now_us, struct actions *q)
{
	for (size_t i = 0; i < s->n_flights; i++) {
		struct flight *f = &s->flights[i];
		uint64_t stalls = f->legs != NULL ? flight_stalls_us(s, f) : 0;

		if (stalls != 0 && stalls <= now_us && now_us < flight_deadline_us(s, f))
			note_stalled(s, f, now_us, q);
	}
}

/* What it has been given to no other was lost perhaps, and no answer will come: it counts as a
 * failure, and it may try again. */
static void end_stalls(struct scheduler *s, uint64_t now_us)
{
	if (s->stall_ends_us == 0 || now_us < s->stall_ends_us)
		return;
	s->stall_ends_us = 0;
	for (int i = 0; i < roster_slots(s->roster); i++) {
		struct roster_donor *d = roster_get(s->roster, i);
		uint64_t end;

		if (d == NULL || d->stalled_us == 0)
			continue;
		end = d->stalled_us + s->limits.unit_timeout_us;
		if (end <= now_us) {
			d->stalled_us = 0;
			d->failures++;
		} else if (s->stall_ends_us == 0 || end < s->stall_ends_us) {
			s->stall_ends_us = end;
		}
	}
}

/* A path with a donor that does not respond is given up as soon as there is another: what was under
 * way there is replayed, and nobody is blamed. */
static void hedge(struct scheduler *s, struct actions *q)
{
	for (size_t i = 0; i < s->n_paths; i++) {
		struct path *p = &s->paths[i];

		if (p->n_stages > 0 && !p->broken && !path_responds(p, s->roster) &&
		    has_other_path(s, p))
			p->broken = p->hedged = true;
	}
	for (size_t i = 0; i < s->n_flights; i++) {
		struct flight *f = &s->flights[i];
		struct path *p = &s->paths[f->path];

		if (f->legs != NULL && p->broken &&
		    !roster_responds(path_donor(s->roster, &p->stages[f->stage])))
			flight_drop(s, f, q);
	}
}

/* Whose time is over, or who is gone. One that waits for another has no time of its own. */
static void reap_flights(struct scheduler *s, uint64_t now_us, struct actions *q)
{
	for (size_t i = 0; i < s->n_flights; i++) {
		struct flight *f = &s->flights[i];

		if (f->legs == NULL ||
		    (path_donor(s->roster, &s->paths[f->path].stages[f->stage]) != NULL &&
		        now_us < flight_deadline_us(s, f)))
			continue;
		if (f->legs[f->stage].from == 0)
			flight_blame(s, f, f->stage, 1, q);
		else
			try_again(s, f, f->stage, now_us, q);
	}
}

static void reap(struct scheduler *s, uint64_t now_us, struct actions *q)
{
	break_paths(s);
	end_stalls(s, now_us);
	reap_flights(s, now_us, q);
	note_all_stalled(s, now_us, q);
	hedge(s, q);
	for (size_t i = s->n_bound; i-- > 0;) {
		struct session *session = s->bound[i];

		if (session->state == SESSION_READY &&
		    !path_alive(&s->paths[session->path], s->roster))
			binding_rewind(s, session);
	}
	for (size_t i = 0; i < s->n_paths; i++) {
		const struct path *p = &s->paths[i];

		if (p->sessions == 0 && p->flights == 0 && p->kept == 0)
			s->paths[i].n_stages = 0;
	}
}

void scheduler_run(struct scheduler *s, uint64_t now_us, struct actions *q)
{
	kept_run(s, now_us);
	reap(s, now_us, q);
	binding_run(s, now_us, q);
	drafts_run(s, now_us, q);
	flights_run(s, now_us, q);
	actions_units_first(q);
	scheduler_check(s);
}

/* One that stands still is looked at again when its time is over. */
static uint64_t flight_wakes_us(const struct scheduler *s, const struct flight *f)
{
	const struct roster_donor *d = path_donor(s->roster, &s->paths[f->path].stages[f->stage]);
	bool waits = f->legs[f->stage].begun_us == 0;

	return waits || (d != NULL && d->stalled_us != 0) ? flight_deadline_us(s, f)
	                                                  : flight_stalls_us(s, f);
}

/* 0: never. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

uint64_t scheduler_next_us(const struct scheduler *s)
{
	uint64_t next = 0;

	for (size_t i = 0; i < s->n_flights; i++) {
		if (s->flights[i].legs == NULL)
			continue;
		next = sooner(next, flight_wakes_us(s, &s->flights[i]));
	}
	next = sooner(next, s->stall_ends_us);
	next = sooner(next, s->wait_ends_us);
	next = sooner(next, drafts_next_us(s));
	return sooner(next, kept_next_us(s));
}

void scheduler_count(const struct scheduler *s, uint32_t model, struct scheduler_counts *out)
{
	*out = (struct scheduler_counts){0};
	for (size_t i = 0; i < s->n_bound; i++)
		out->sessions += s->bound[i]->r.model == model;
	for (size_t i = 0; i < s->n_waiting; i++)
		out->waiting += s->waiting[i]->r.model == model;
	out->sessions += out->waiting;
	for (size_t i = 0; i < s->n_flights; i++)
		out->units_out += s->flights[i].legs != NULL;
}

void scheduler_busy_since(const struct scheduler *s, uint64_t *since_us)
{
	memset(since_us, 0, ROSTER_MAX_DONORS * sizeof *since_us);
	for (size_t i = 0; i < s->n_flights; i++) {
		const struct flight *f = &s->flights[i];
		uint64_t *since, begun;

		begun = f->legs != NULL ? f->legs[f->stage].begun_us : 0;
		if (begun == 0)
			continue;
		since = &since_us[s->paths[f->path].stages[f->stage].donor];
		*since = *since == 0 || begun < *since ? begun : *since;
	}
}

bool scheduler_any_out(const struct scheduler *s)
{
	for (size_t i = 0; i < s->n_flights; i++) {
		if (s->flights[i].legs != NULL)
			return true;
	}
	return false;
}

uint32_t scheduler_units_at(const struct scheduler *s, int donor)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s->n_flights; i++) {
		const struct flight *f = &s->flights[i];

		for (uint32_t k = f->stage; f->legs != NULL && k < f->sent; k++)
			n += !f->legs[k].done && s->paths[f->path].stages[k].donor == donor;
	}
	return n;
}

/* Donors are promised what the sessions of the paths over them take, no more and no less. */
static void check_promises(const struct scheduler *s)
{
	uint64_t sessions = 0, layers = 0;

	for (size_t i = 0; i < s->n_paths; i++) {
		const struct path *p = &s->paths[i];

		for (uint32_t k = 0; k < p->n_stages; k++) {
			const struct layer_range *at = &p->stages[k].layers;

			if (path_donor(s->roster, &p->stages[k]) == NULL)
				continue;
			sessions += p->sessions;
			layers += (uint64_t)p->sessions * (at->last - at->first);
		}
	}
	for (int i = 0; i < roster_slots(s->roster); i++) {
		const struct roster_donor *d = roster_get(s->roster, i);

		assert(d == NULL || d->pages + d->kept_pages <= d->assignment.pages);
		sessions -= d != NULL ? d->sessions : 0;
		layers -= d != NULL ? d->bound_layers : 0;
	}
	assert(sessions == 0 && layers == 0);
}

void scheduler_check(const struct scheduler *s)
{
	uint32_t sessions[MAX_PATHS] = {0}, flights[MAX_PATHS] = {0}, kept[MAX_PATHS] = {0};
	uint32_t ahead[MAX_PATHS] = {0};
	size_t flying = 0, aboard = 0;

	assert(s->n_bound <= s->limits.max_sessions);
	for (size_t i = 0; i < s->n_bound; i++) {
		const struct session *session = s->bound[i];

		assert(session_is_bound(session));
		flying += session->state == SESSION_FLYING;
		sessions[session->path]++;
	}
	for (size_t i = 0; i < s->n_flights; i++) {
		const struct flight *f = &s->flights[i];

		if (f->legs == NULL)
			continue;
		flights[f->path]++;
		ahead[f->path] += f->ahead;
		assert(f->stage < f->sent);
		for (size_t k = 0; !f->ahead && k < f->work.n_spans; k++)
			aboard += f->sessions[k] != NULL;
	}
	assert(flying == aboard);
	check_promises(s);
	for (size_t i = 0; i < s->n_kept; i++)
		kept[s->kept[i].path]++;
	for (size_t i = 0; i < s->n_paths; i++)
		assert(s->paths[i].sessions == sessions[i] && s->paths[i].flights == flights[i] &&
		       s->paths[i].kept == kept[i] && s->paths[i].ahead == ahead[i]);
}
