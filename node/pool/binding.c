/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/placement.h"
#include "node/pool/scheduler_internal.h"

#include <stdlib.h>

bool session_is_bound(const struct session *s)
{
	return s->state == SESSION_READY || s->state == SESSION_FLYING;
}

size_t binding_sessions(const struct scheduler *s)
{
	return s->n_bound + s->n_waiting;
}

struct session *binding_session(const struct scheduler *s, size_t i)
{
	return i < s->n_bound ? s->bound[i] : s->waiting[i - s->n_bound];
}

/* From the end: most often many leave one after the other. */
static void take_out(struct session **list, size_t *n, const struct session *session)
{
	size_t i = *n;

	do
		assert(i > 0);
	while (list[--i] != session);
	(*n)--;
	memmove(&list[i], &list[i + 1], (*n - i) * sizeof(struct session *));
}

/* Where it was in the order of arrival, among those that have not been served yet. */
static void wait_again(struct scheduler *s, struct session *session)
{
	size_t i = 0;

	while (i < s->n_waiting && s->waiting[i]->r.id < session->r.id)
		i++;
	memmove(&s->waiting[i + 1], &s->waiting[i], (s->n_waiting - i) * sizeof(struct session *));
	s->waiting[i] = session;
	s->n_waiting++;
}

static void promise(
    struct roster_donor *d, const struct path_stage *at, const struct session *session, int more)
{
	d->sessions += (uint32_t)more;
	d->bound_layers += (uint32_t)more * (at->layers.last - at->layers.first);
	d->pages += (uint32_t)more * session_pages(session);
}

void binding_leave(struct scheduler *s, struct session *session)
{
	struct path *p = &s->paths[session->path];

	for (uint32_t i = 0; i < p->n_stages; i++) {
		struct roster_donor *d = path_donor(s->roster, &p->stages[i]);

		if (d != NULL)
			promise(d, &p->stages[i], session, -1);
	}
	p->sessions--;
	trails_end(s, session);
	take_out(s->bound, &s->n_bound, session);
}

void binding_close(struct scheduler *s, const struct path *p, uint64_t session)
{
	for (uint32_t i = 0; i < p->n_stages && s->n_closed < MAX_CLOSED; i++) {
		if (path_donor(s->roster, &p->stages[i]) != NULL)
			s->closed[s->n_closed++] = (struct closed){p->stages[i], session, 0};
	}
}

/* The session needs its donors no more: they may forget it. */
void binding_release(struct scheduler *s, struct session *session)
{
	binding_leave(s, session);
	binding_close(s, &s->paths[session->path], session->r.id);
}

/* A suspicion is no failure: however often it was wrong, the request goes on. */
void binding_rewind(struct scheduler *s, struct session *session)
{
	const struct path *p = &s->paths[session->path];

	session->replays += !p->hedged;
	if (p->lost != 0)
		session->shunned = p->lost;
	binding_release(s, session);
	kept_restart(s, session->r.id);
	session_rewind(session);
	wait_again(s, session);
}

/* What flies on flies for nobody; a token that comes ahead is not waited for. */
static void leave(struct scheduler *s, struct flight *f, const struct session *session)
{
	for (size_t k = 0; f->legs != NULL && k < f->work.n_spans; k++) {
		if (f->sessions[k] != session)
			continue;
		f->sessions[k] = NULL;
		s->paths[f->path].ahead -= f->ahead;
		f->ahead = false;
	}
}

struct action_finish *binding_finish(struct scheduler *s, struct session *session,
    enum finish_reason reason, const char *text, struct actions *q)
{
	struct action *a = actions_add(q, ACTION_FINISH);

	if (session->state == SESSION_WAITING)
		take_out(s->waiting, &s->n_waiting, session);
	for (size_t i = 0; i < s->n_flights; i++)
		leave(s, &s->flights[i], session);
	session_end(session);
	if (a == NULL) {
		session_free(session);
		return NULL;
	}
	a->finish.session = session;
	a->finish.reason = reason;
	(void)snprintf(a->finish.text, sizeof a->finish.text, "%s", text);
	return &a->finish;
}

/*
 * Every unit names them until one of these has come back, so that none is missed if a unit is lost
 * or refused. The donor takes its units in order: a span that was sent before is computed before.
 */
void binding_attach_closed(
    struct scheduler *s, const struct path_stage *at, struct msg_work_unit *u)
{
	size_t kept = 0;

	u->closed = s->n_closed > 0 ? calloc(MAX_CLOSED_A_UNIT, sizeof *u->closed) : NULL;
	for (size_t i = 0; i < s->n_closed; i++) {
		struct closed *c = &s->closed[i];

		if (path_donor(s->roster, &c->at) == NULL)
			continue;
		if (u->closed != NULL && u->n_closed < MAX_CLOSED_A_UNIT &&
		    c->at.assignment == at->assignment) {
			u->closed[u->n_closed++] = c->session;
			c->told_in = c->told_in != 0 ? c->told_in : u->unit;
		}
		s->closed[kept++] = *c;
	}
	s->n_closed = kept;
}

void binding_closed_heard(struct scheduler *s, const struct path_stage *at, uint64_t unit)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_closed; i++) {
		const struct closed *c = &s->closed[i];

		if (c->at.assignment != at->assignment || c->told_in == 0 || c->told_in > unit)
			s->closed[kept++] = *c;
	}
	s->n_closed = kept;
}

/* A session comes back to this donor: its first unit starts it anew, so it must not be closed. */
static void keep_open(struct scheduler *s, const struct path_stage *at, uint64_t session)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_closed; i++) {
		const struct closed *c = &s->closed[i];

		if (c->session != session || c->at.assignment != at->assignment)
			s->closed[kept++] = *c;
	}
	s->n_closed = kept;
}

static int slot_for_path(struct scheduler *s, const struct path *p)
{
	int spare = s->n_paths < MAX_PATHS ? (int)s->n_paths : -1;

	for (int i = (int)s->n_paths; i-- > 0;) {
		struct path *other = &s->paths[i];

		if (other->n_stages == 0)
			spare = i; /* the lowest in the end */
		else if (!other->broken && path_equal(other, p))
			return i;
	}
	if (spare >= 0) {
		s->paths[spare] = *p;
		s->gains[spare] = (struct gain){0};
	}
	if (spare == (int)s->n_paths)
		s->n_paths++;
	return spare;
}

static void notice_missing(struct session *session, const struct catalog_model *m,
    const char *missing, uint64_t wait_us, struct actions *q)
{
	struct action *a = actions_add(q, ACTION_PIECE);

	session->told = true;
	if (a == NULL)
		return;
	a->piece.session = session;
	(void)snprintf(a->piece.notice, sizeof a->piece.notice,
	    "no donor holds layers %s of %.60s now; waiting up to %llu s", missing, m->name,
	    (unsigned long long)(wait_us / 1000000));
}

/* "4 to 7, 12 to 15": what no donor that serves holds. */
static void describe_missing(struct scheduler *s, uint32_t model, char *text, size_t bytes)
{
	uint32_t n_layers = catalog_at(s->catalog, model)->sizes.n_layers;
	bool held[LIMIT_LAYERS] = {false};
	struct layer_range gaps[LIMIT_LAYERS / 2];
	size_t used = 0, n;

	for (int i = 0; i < roster_slots(s->roster); i++) {
		const struct roster_donor *d = roster_get(s->roster, i);
		struct layer_range ready;

		if (!roster_serves(d) || d->assignment.model != model)
			continue;
		ready = roster_ready(d);
		for (uint32_t l = ready.first; l < ready.last; l++)
			held[l] = true;
	}
	n = placement_gaps(held, n_layers, gaps, LIMIT_LAYERS / 2);
	text[0] = '\0';
	for (size_t i = 0; i < n && used < bytes; i++)
		used += (size_t)snprintf(text + used, bytes - used, "%s%u to %u", i > 0 ? ", " : "",
		    gaps[i].first, gaps[i].last - 1);
}

/* False: it has waited long enough, and ended. */
static bool wait_for_layers(
    struct scheduler *s, struct session *session, uint64_t now_us, struct actions *q)
{
	const struct catalog_model *m = catalog_at(s->catalog, session->r.model);
	char missing[120], text[TEXT_LONG];
	struct action_finish *end;

	if (session->wait_until_us == 0)
		session->wait_until_us = now_us + s->limits.wait_us;
	if (now_us < session->wait_until_us) {
		if (s->wait_ends_us == 0 || session->wait_until_us < s->wait_ends_us)
			s->wait_ends_us = session->wait_until_us;
		if (session->told)
			return true;
		describe_missing(s, session->r.model, missing, sizeof missing);
		notice_missing(session, m, missing, s->limits.wait_us, q);
		return true;
	}
	describe_missing(s, session->r.model, missing, sizeof missing);
	(void)snprintf(text, sizeof text,
	    "no donor held layers %s of %.60s for %llu s; try again later, or donate", missing,
	    m->name, (unsigned long long)(s->limits.wait_us / 1000000));
	end = binding_finish(s, session, FINISH_FAILED, text, q);
	if (end != NULL)
		end->failure = FAILURE_BUSY;
	return false;
}

/* Each stage to the next; the last one's tokens to the first. */
static void want_links(struct scheduler *s, const struct path *p)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		int a = p->stages[i].donor, b = p->stages[(i + 1) % p->n_stages].donor;

		pairs_want(s->pairs, a, roster_get(s->roster, a)->offer.address[0] != '\0', b,
		    roster_get(s->roster, b)->offer.address[0] != '\0');
	}
}

static void bind_session(
    struct scheduler *s, struct session *session, int slot, const struct source *source)
{
	struct path *p = &s->paths[slot];

	for (uint32_t k = 0; k < p->n_stages; k++) {
		promise(roster_get(s->roster, p->stages[k].donor), &p->stages[k], session, 1);
		keep_open(s, &p->stages[k], session->r.id);
	}
	p->sessions++;
	take_out(s->waiting, &s->n_waiting, session);
	s->bound[s->n_bound++] = session;
	session_bind(session, (uint32_t)slot);
	gain_begin(&session->drafting.gain, &s->gains[slot]);
	trails_begin(s, session);
	if (source->session != 0 && source->path == (uint32_t)slot) {
		session_begin_with(session, source->session, source->n_tokens);
		trails_begin_with(s, session, source->session, source->n_tokens);
	}
	kept_make_room(s, p);
	want_links(s, p);
}

/* Where most of its tokens are known already, unless many more are served there. */
static bool bind_to(struct scheduler *s, struct session *session, const struct path *found)
{
	struct source source = kept_find(s, session);
	int slot = slot_for_path(s, found);
	uint32_t elsewhere = slot >= 0 ? s->paths[slot].sessions : UINT32_MAX - CROWD;

	if (source.session != 0 && s->paths[source.path].sessions <= elsewhere + CROWD)
		slot = (int)source.path;
	if (slot >= 0)
		bind_session(s, session, slot, &source);
	return slot >= 0;
}

/* How a model's donors stand in one run, found once for all who wait for it. */
enum stand { UNKNOWN, FULL, MISSING };

/* Who failed it is asked again only if there is nobody else. */
static enum path_search find_path(
    struct scheduler *s, const struct session *session, uint64_t now_us, struct path *path)
{
	uint32_t n_layers = catalog_at(s->catalog, session->r.model)->sizes.n_layers;
	struct path_donors donors = {s->roster, s->pairs, now_us, session->shunned};
	uint32_t pages = session_pages(session);
	enum path_search found = path_find(&donors, session->r.model, n_layers, pages, path);

	if (found == PATH_FOUND || donors.shunned == 0)
		return found;
	donors.shunned = 0;
	return path_find(&donors, session->r.model, n_layers, pages, path);
}

/* A session that waits, where its model has room. False: it waits no more. */
static bool bind_or_wait(struct scheduler *s, struct session *session, enum stand *stand,
    uint64_t now_us, struct actions *q)
{
	const struct catalog_model *m = catalog_at(s->catalog, session->r.model);
	struct path path;

	if (session->replays > MAX_REPLAYS) {
		(void)binding_finish(s, session, FINISH_FAILED, "its donors failed too often", q);
		return false;
	}
	if (*stand == MISSING)
		return wait_for_layers(s, session, now_us, q);
	switch (find_path(s, session, now_us, &path)) {
	case PATH_MISSING:
		*stand = MISSING;
		return wait_for_layers(s, session, now_us, q);
	case PATH_FOUND:
		if (session_prepare(session, m->tokenizer) != AYNI_OK) {
			(void)binding_finish(
			    s, session, FINISH_FAILED, "the pool is out of memory", q);
			return false;
		}
		if (bind_to(s, session, &path))
			return false;
		/* fall through */
	case PATH_FULL:
		*stand = FULL;
		session->wait_until_us = 0;
		break;
	}
	return true;
}

/* Give waiting sessions a path, in order of arrival. */
void binding_run(struct scheduler *s, uint64_t now_us, struct actions *q)
{
	enum stand stands[CATALOG_MAX_MODELS] = {UNKNOWN};

	s->wait_ends_us = 0;
	for (size_t i = 0; i < s->n_waiting;) {
		struct session *session = s->waiting[i];
		enum stand *stand = &stands[session->r.model];

		if (s->n_bound == s->limits.max_sessions || *stand == FULL) {
			session->wait_until_us = 0; /* it waits for room, not for layers */
			i++;
		} else {
			i += bind_or_wait(s, session, stand, now_us, q);
		}
	}
}
