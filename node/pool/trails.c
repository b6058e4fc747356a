/* SPDX-License-Identifier: Apache-2.0 */
/* The trails of bound sessions: from the legs of flights that land to the list of those that ended.
 */
#include "node/pool/scheduler_internal.h"

#include <stdlib.h>

void trails_begin(struct scheduler *s, struct session *session)
{
	const struct path *p = &s->paths[session->path];
	struct trail_stage *stages;

	assert(session->trail == NULL);
	if (!s->limits.trails)
		return;
	stages = calloc(p->n_stages, sizeof *stages);
	if (stages == NULL)
		return; /* it goes unchecked */
	for (uint32_t k = 0; k < p->n_stages; k++)
		stages[k] = (struct trail_stage){.donor = p->stages[k].donor,
		    .key = roster_get(s->roster, p->stages[k].donor)->key,
		    .layers = p->stages[k].layers};
	session->trail = trail_new(session->r.id, session->r.model, session->r.wire, stages,
	    p->n_stages, &s->trail_budget);
	free(stages);
}

static struct trail *trail_of(struct scheduler *s, uint64_t session)
{
	for (size_t i = 0; i < s->n_kept; i++) {
		if (s->kept[i].session == session)
			return s->kept[i].trail;
	}
	for (size_t i = 0; i < s->n_bound; i++) {
		if (s->bound[i]->r.id == session)
			return s->bound[i]->trail;
	}
	return NULL;
}

/* The page that it ends in has the same tokens in both, and its hashes are of all of it. */
void trails_begin_with(struct scheduler *s, struct session *session, uint64_t from, uint32_t n)
{
	struct trail *source = trail_of(s, from);

	if (session->trail != NULL && source != NULL) {
		trail_begin_with(session->trail, source, kv_pages(n) * KV_PAGE_TOKENS);
		return;
	}
	trail_release(session->trail); /* nobody knows what it begins with */
	session->trail = NULL;
}

void trails_end(struct scheduler *s, struct session *session)
{
	struct trail *t = session->trail;

	session->trail = NULL;
	if (t == NULL || t->n_spans + t->n_missed == t->n_inherited) {
		trail_release(t);
		return;
	}
	*s->trails_end = t;
	s->trails_end = &t->next;
}

struct trail *scheduler_take_trail(struct scheduler *s)
{
	struct trail *t = s->trails;

	if (t == NULL)
		return NULL;
	s->trails = t->next;
	t->next = NULL;
	if (s->trails == NULL)
		s->trails_end = &s->trails;
	return t;
}

/* ---- legs --------------------------------------------------------------------------------- */

void trails_note(const struct scheduler *s, struct leg *leg, const struct msg_result *r)
{
	size_t n = r->n_parts > 0 ? r->n_parts : 1;

	if (!s->limits.trails)
		return;
	leg->parts = calloc(n, sizeof *leg->parts);
	if (leg->parts == NULL)
		return; /* the span is missed */
	leg->n_parts = n;
	if (r->n_parts > 0)
		memcpy(leg->parts, r->parts, n * sizeof *leg->parts);
	else
		leg->parts[0] = leg->output;
}

/* Those of one span, among activations. */
static size_t n_parts(const struct unit_span *span)
{
	struct msg_work_unit u = {.n_spans = 1, .spans = (struct unit_span *)span};
	struct work_part parts[WORK_PARTS_MAX];

	return work_parts(1, &u, false, parts);
}

void trails_disembark(struct flight *f)
{
	for (uint32_t k = 0; k < f->stage; k++) {
		struct leg *leg = &f->legs[k];
		size_t from = 0, to = 0;

		for (size_t i = 0; leg->parts != NULL && i < f->work.n_spans; i++) {
			size_t n = n_parts(&f->work.spans[i]);

			assert(from + n <= leg->n_parts);
			if (f->sessions[i] != NULL) {
				memmove(leg->parts + to, leg->parts + from, n * sizeof *leg->parts);
				to += n;
			}
			from += n;
		}
		leg->n_parts = to;
	}
}

static size_t n_row_parts(const struct unit_span *span, uint32_t top)
{
	struct msg_work_unit u = {.n_spans = 1, .spans = (struct unit_span *)span, .top = top};
	struct work_part parts[WORK_PARTS_MAX];

	return work_parts(1, &u, true, parts);
}

/* One span: its hashes of each leg, from where the spans before it ended. */
static void add(const struct flight *f, uint32_t n_stages, size_t span, const size_t *at,
    struct trail *t, const uint32_t *tokens)
{
	const struct hash **parts = calloc(n_stages, sizeof *parts);
	bool all = parts != NULL;

	for (uint32_t k = 0; k < n_stages && all; k++) {
		all = f->legs[k].parts != NULL;
		parts[k] = f->legs[k].parts + at[k + 1 == n_stages];
	}
	if (all)
		trail_add(t, &f->work.spans[span], f->work.top, tokens, parts);
	else
		t->n_missed++;
	free(parts);
}

void trails_land(const struct scheduler *s, const struct flight *f)
{
	uint32_t n_stages = s->paths[f->path].n_stages;
	size_t at[2] = {0}; /* among activations, and rows of logits */

	for (size_t i = 0; i < f->work.n_spans; i++) {
		const struct unit_span *span = &f->work.spans[i];
		const struct session *session = f->sessions[i];

		if (session != NULL && session->trail != NULL)
			add(f, n_stages, i, at, session->trail, session->tokens + span->position);
		at[0] += n_parts(span);
		at[1] += n_row_parts(span, f->work.top);
	}
}

/* Half is for those that run: nobody shall go unchecked for what is kept. */
bool trails_has_room(const struct scheduler *s)
{
	return s->trail_budget.used_bytes <= s->trail_budget.most_bytes / 2;
}

void trails_free(struct scheduler *s)
{
	struct trail *t;

	while ((t = scheduler_take_trail(s)) != NULL)
		trail_release(t);
}
