/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/scheduler_internal.h"

/* A bound session that is to begin with it; NULL: none. */
static struct session *user_of(const struct scheduler *s, uint64_t session)
{
	for (size_t i = 0; i < s->n_bound; i++) {
		if (s->bound[i]->from == session)
			return s->bound[i];
	}
	return NULL;
}

static void count_at_donors(struct scheduler *s, const struct kept *k, int more)
{
	struct path *p = &s->paths[k->path];

	for (uint32_t i = 0; i < p->n_stages; i++) {
		struct roster_donor *d = path_donor(s->roster, &p->stages[i]);

		if (d != NULL)
			d->kept_pages += (uint32_t)more * k->pages;
	}
	p->kept += (uint32_t)more;
}

static void give_up(struct scheduler *s, size_t i)
{
	struct kept *k = &s->kept[i];
	struct path *p = &s->paths[k->path];

	count_at_donors(s, k, -1);
	binding_close(s, p, k->session);
	prefix_free(&k->prefix);
	trail_release(k->trail);
	s->n_kept--;
	memmove(k, k + 1, (s->n_kept - i) * sizeof *k);
}

/* What the new one covers entirely is of no more use. */
static void give_up_covered(struct scheduler *s, uint32_t path, const struct prefix *by)
{
	for (size_t i = s->n_kept; i-- > 0;) {
		const struct kept *k = &s->kept[i];

		if (k->path == path && prefix_common(&k->prefix, by) == k->prefix.n &&
		    user_of(s, k->session) == NULL)
			give_up(s, i);
	}
}

static bool uses(const struct path *p, int donor)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		if (p->stages[i].donor == donor)
			return true;
	}
	return false;
}

static void begin_alone(struct scheduler *s, struct session *session)
{
	session_begin_alone(session);
	if (session->trail != NULL)
		trail_empty(session->trail);
	else
		trails_begin(s, session);
}

/* At this donor, or any (ROSTER_NONE); those that somebody is to begin with come last. */
static bool give_up_oldest(struct scheduler *s, int donor, bool used_too)
{
	for (size_t i = 0; i < s->n_kept; i++) {
		const struct kept *k = &s->kept[i];
		struct session *user = user_of(s, k->session);

		if ((user != NULL && !used_too) ||
		    (donor != ROSTER_NONE && !uses(&s->paths[k->path], donor)))
			continue;
		if (user != NULL && user->state == SESSION_READY)
			begin_alone(s, user); /* else a donor may refuse, and it is replayed */
		give_up(s, i);
		return true;
	}
	return false;
}

/* At its donors, with guesses that were wrong. */
static uint32_t pages_held(const struct session *session)
{
	uint32_t most = session_most_tokens(session), n = session->n_tokens + DRAFT_MAX;

	return kv_pages(n < most ? n : most);
}

void kept_add(struct scheduler *s, struct session *session, uint64_t now_us)
{
	struct path *p = &s->paths[session->path];
	struct kept k = {.session = session->r.id,
	    .path = session->path,
	    .pages = pages_held(session),
	    .until_us = now_us + s->limits.keep_us};

	prefix_extend(&session->prefix, session->tokens, session->n_fed);
	k.trail = trail_hold(session->trail);
	binding_leave(s, session);
	if (s->limits.keep_us == 0 || !trails_has_room(s) || session->prefix.n == 0 ||
	    !path_alive(p, s->roster) ||
	    (s->n_kept == MAX_KEPT && !give_up_oldest(s, ROSTER_NONE, false))) {
		trail_release(k.trail);
		binding_close(s, p, session->r.id);
		return;
	}
	give_up_covered(s, session->path, &session->prefix);
	k.prefix = session->prefix;
	session->prefix = (struct prefix){0};
	s->kept[s->n_kept++] = k;
	count_at_donors(s, &k, 1);
}

/* What the donors hold of it is fed anew: nothing of that is in what was recorded before. */
void kept_restart(struct scheduler *s, uint64_t session)
{
	for (size_t i = 0; i < s->n_bound; i++) {
		if (s->bound[i]->from == session && s->bound[i]->state == SESSION_READY)
			begin_alone(s, s->bound[i]);
	}
}

void kept_lose(struct scheduler *s, uint64_t session)
{
	for (size_t i = 0; i < s->n_kept; i++) {
		if (s->kept[i].session == session)
			give_up(s, i--);
	}
}

static bool has_room(struct scheduler *s, const struct path *p, const struct session *session)
{
	if (!path_responds(p, s->roster))
		return false;
	for (uint32_t i = 0; i < p->n_stages; i++) {
		if (!roster_has_room(path_donor(s->roster, &p->stages[i]), session_pages(session)))
			return false;
	}
	return true;
}

static void consider(struct scheduler *s, const struct session *session, const struct prefix *has,
    uint64_t id, uint32_t path, struct source *best)
{
	uint32_t n = prefix_common(has, &session->prefix) * PREFIX_PAGE_TOKENS;

	n = n < session->n_tokens ? n : session->n_tokens - 1; /* its last gives the next */
	if (n > best->n_tokens && s->paths[path].model == session->r.model &&
	    has_room(s, &s->paths[path], session))
		*best = (struct source){id, path, n};
}

/* A session that reports rows of logits has every position computed. One that was replayed twice
 * may have met a donor that does not hold what it should. */
struct source kept_find(struct scheduler *s, struct session *session)
{
	struct source best = {0};

	if (s->limits.keep_us == 0 || session->r.top > 0 || session->replays > 1)
		return best;
	prefix_extend(&session->prefix, session->tokens, session->n_tokens);
	for (size_t i = 0; i < s->n_kept; i++) {
		const struct kept *k = &s->kept[i];

		consider(s, session, &k->prefix, k->session, k->path, &best);
	}
	for (size_t i = 0; i < s->n_bound; i++) {
		const struct session *other = s->bound[i];
		struct prefix held = other->prefix;

		if (other->from != 0)
			continue;
		if (held.n > other->n_fed / PREFIX_PAGE_TOKENS)
			held.n = other->n_fed / PREFIX_PAGE_TOKENS;
		consider(s, session, &held, other->r.id, other->path, &best);
	}
	return best;
}

void kept_make_room(struct scheduler *s, const struct path *p)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		int donor = p->stages[i].donor;
		const struct roster_donor *d = path_donor(s->roster, &p->stages[i]);

		while (d->pages + d->kept_pages > d->assignment.pages &&
		       (give_up_oldest(s, donor, false) || give_up_oldest(s, donor, true)))
			;
	}
}

void kept_run(struct scheduler *s, uint64_t now_us)
{
	for (size_t i = s->n_kept; i-- > 0;) {
		struct kept *k = &s->kept[i];
		bool alive = path_alive(&s->paths[k->path], s->roster);

		if (alive && k->until_us > now_us)
			continue;
		if (alive && user_of(s, k->session) != NULL)
			k->until_us = now_us + STILL_USED_US;
		else
			give_up(s, i);
	}
}

uint64_t kept_next_us(const struct scheduler *s)
{
	uint64_t next = 0;

	for (size_t i = 0; i < s->n_kept; i++) {
		if (next == 0 || s->kept[i].until_us < next)
			next = s->kept[i].until_us;
	}
	return next;
}
