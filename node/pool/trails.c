/* SPDX-License-Identifier: Apache-2.0 */
/* The trails of bound sessions: from the legs of flights that land to the list of those that ended.
 */
#include "node/pool/scheduler_internal.h"

#include <stdlib.h>

#include "protocol/identity.h"
#include "protocol/messages.h"

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

void trails_forget(struct word *w)
{
	free(w->hashes);
	free(w->chains);
	statement_release(w->statement);
	*w = (struct word){0};
}

void trails_note(struct scheduler *s, struct leg *leg, const struct msg_result *r)
{
	size_t n = r->n_parts > 0 ? r->n_parts : 1;
	struct word w = {0};

	if (!s->limits.trails)
		return;
	w.hashes = calloc(r->n_layer_hashes + n, sizeof *w.hashes);
	w.chains = calloc(r->n_chains, sizeof *w.chains);
	if (w.hashes == NULL || w.chains == NULL) {
		trails_forget(&w); /* the spans are missed */
		return;
	}
	if (r->n_layer_hashes > 0)
		memcpy(w.hashes, r->layer_hashes, r->n_layer_hashes * sizeof *w.hashes);
	if (r->n_parts > 0)
		memcpy(w.hashes + r->n_layer_hashes, r->parts, n * sizeof *w.hashes);
	else
		w.hashes[r->n_layer_hashes] = leg->output;
	memcpy(w.chains, r->chains, r->n_chains * sizeof *w.chains);
	w.statement = statement_new(&s->trail_budget, r->envelope, r->header);
	leg->word = w;
}

/* Those of one span, among activations. */
static size_t n_parts(const struct unit_span *span)
{
	return work_n_parts(
	    &(struct msg_work_unit){.n_spans = 1, .spans = (struct unit_span *)span});
}

static uint32_t n_layers(const struct scheduler *s, const struct flight *f, uint32_t stage)
{
	const struct layer_range *layers = &s->paths[f->path].stages[stage].layers;

	return layers->last - layers->first;
}

/* Of a stage that is not the last. */
static void compact(struct flight *f, struct hash *hashes, uint32_t layers)
{
	size_t from = 0, to = 0;

	for (uint32_t layer = 0; layer < layers; layer++) {
		for (size_t i = 0; i < f->work.n_spans; i++) {
			size_t n = n_parts(&f->work.spans[i]);

			if (f->sessions[i] != NULL) {
				memmove(hashes + to, hashes + from, n * sizeof *hashes);
				to += n;
			}
			from += n;
		}
	}
}

void trails_disembark(const struct scheduler *s, struct flight *f)
{
	for (uint32_t k = 0; k < f->stage; k++) {
		if (f->legs[k].word.hashes != NULL)
			compact(f, f->legs[k].word.hashes, n_layers(s, f, k));
	}
}

static size_t n_row_parts(const struct unit_span *span, uint32_t top)
{
	struct msg_work_unit u = {.n_spans = 1, .spans = (struct unit_span *)span, .top = top};
	struct work_part parts[WORK_PARTS_MAX];

	return work_parts(1, &u, true, parts);
}

/* Where a span's parts are among those of the unit. */
struct place {
	size_t n, at, all;  /* of activations */
	size_t n_rows, row; /* of rows of logits: n_rows from row on */
};

/* What all legs say of a span, layer by layer. NULL: not known of all. */
static struct hash *gather(const struct scheduler *s, const struct flight *f, const struct place *p)
{
	uint32_t n_stages = s->paths[f->path].n_stages, all = 0;
	struct hash *out, *to;

	for (uint32_t k = 0; k < n_stages; k++) {
		all += n_layers(s, f, k);
		if (f->legs[k].word.hashes == NULL)
			return NULL;
	}
	to = out = calloc((all - 1) * p->n + p->n_rows + 1, sizeof *out);
	for (uint32_t k = 0; out != NULL && k < n_stages; k++) {
		const struct hash *from = f->legs[k].word.hashes;
		uint32_t layers = n_layers(s, f, k) - (k + 1 == n_stages);

		for (uint32_t i = 0; i < layers; i++, from += p->all, to += p->n)
			memcpy(to, from + p->at, p->n * sizeof *to);
		if (k + 1 == n_stages && p->n_rows > 0)
			memcpy(to, from + p->row, p->n_rows * sizeof *to);
	}
	return out;
}

/* ---- chains ------------------------------------------------------------------------------- */

/* Of the tokens that the first stage was given; those of sessions that ended are not known. */
static void token_inputs(const struct flight *f, struct hash *out)
{
	struct work_part parts[WORK_PARTS_MAX];
	size_t n = work_parts(1, &f->work, false, parts);

	for (size_t i = 0; i < n; i++) {
		const struct session *session = f->sessions[parts[i].span];
		uint8_t bytes[WORK_PART_TOKENS * 4];

		if (session == NULL)
			continue;
		payload_put_u32(bytes, session->tokens + parts[i].position, parts[i].n_rows);
		hash_bytes(bytes, (size_t)parts[i].n_rows * 4, &out[i]);
	}
}

/* The parts of the unit of a stage. 0: not known. */
static size_t items_of(const struct scheduler *s, const struct flight *f, uint32_t stage,
    struct chain_item items[WORK_PARTS_MAX])
{
	const struct path *p = &s->paths[f->path];
	const struct hash *hashes = f->legs[stage].word.hashes;
	size_t n = work_n_parts(&f->work);
	struct hash tokens[WORK_PARTS_MAX];
	struct chain_unit u = {.work = &f->work,
	    .layers = p->stages[stage].layers,
	    .logits = stage + 1 == p->n_stages,
	    .inputs = tokens,
	    .after = hashes};

	if (hashes == NULL || (stage > 0 && f->legs[stage - 1].word.hashes == NULL))
		return 0;
	u.outputs = hashes + (n_layers(s, f, stage) - 1) * n;
	if (stage == 0)
		token_inputs(f, tokens);
	else
		u.inputs = f->legs[stage - 1].word.hashes + (n_layers(s, f, stage - 1) - 1) * n;
	return chain_items(&u, items);
}

static void start_of(
    const struct scheduler *s, const struct flight *f, uint32_t stage, struct hash *out)
{
	const struct path *p = &s->paths[f->path];
	const struct catalog_model *m = catalog_at(s->catalog, p->model);

	chain_start(&m->id, p->stages[stage].layers, m->kv_type, out);
}

/* Whose chain is known up to this flight, or NULL. */
static struct trail *whole_trail(const struct flight *f, size_t span)
{
	struct trail *t = f->sessions[span] != NULL ? f->sessions[span]->trail : NULL;

	return t != NULL && t->n_missed == 0 ? t : NULL;
}

bool trails_fit(const struct scheduler *s, const struct flight *f, uint32_t stage)
{
	struct chain_item items[WORK_PARTS_MAX];
	struct hash now[LIMIT_UNIT_SPANS], start;
	size_t n = items_of(s, f, stage, items);

	start_of(s, f, stage, &start);
	for (size_t i = 0; i < f->work.n_spans; i++) {
		const struct trail *t = whole_trail(f, i);

		now[i] = t == NULL || f->work.spans[i].position == 0 ? start
		                                                     : t->stages[stage].chain.now;
	}
	for (size_t i = 0; i < n; i++)
		chain_step(&now[items[i].span], &items[i]);
	for (size_t i = 0; i < f->work.n_spans && n > 0; i++) {
		if (whole_trail(f, i) != NULL &&
		    !hash_equal(&now[i], &f->legs[stage].word.chains[i]))
			return false;
	}
	return true;
}

/* They stand for this flight too. */
static void advance(const struct scheduler *s, const struct flight *f, uint32_t stage)
{
	struct chain_item items[WORK_PARTS_MAX];
	size_t n = items_of(s, f, stage, items);
	struct hash start;

	start_of(s, f, stage, &start);
	for (size_t i = 0; i < f->work.n_spans; i++) {
		struct trail *t = whole_trail(f, i);

		if (t == NULL)
			continue;
		trail_vouch(t, stage, f->legs[stage].word.statement);
		if (f->work.spans[i].position == 0)
			chain_begin(&t->stages[stage].chain, &start);
	}
	for (size_t i = 0; i < n; i++) {
		struct trail *t = whole_trail(f, items[i].span);

		if (t != NULL && chain_add(&t->stages[stage].chain, &items[i]) != AYNI_OK)
			t->n_missed++;
	}
}

static void add_all(const struct scheduler *s, const struct flight *f)
{
	struct place p = {.all = work_n_parts(&f->work)};

	for (size_t i = 0; i < f->work.n_spans; i++) {
		const struct unit_span *span = &f->work.spans[i];
		const struct session *session = f->sessions[i];
		struct trail *t = session != NULL ? session->trail : NULL;
		struct hash *hashes;

		p.n = n_parts(span);
		p.n_rows = n_row_parts(span, f->work.top);
		hashes = t != NULL ? gather(s, f, &p) : NULL;
		if (hashes != NULL)
			trail_add(t, span, f->work.top, session->tokens + span->position, hashes);
		else if (t != NULL)
			t->n_missed++;
		free(hashes);
		p.at += p.n;
		p.row += p.n_rows;
	}
}

void trails_land(const struct scheduler *s, const struct flight *f)
{
	add_all(s, f);
	for (uint32_t k = 0; k < s->paths[f->path].n_stages; k++)
		advance(s, f, k);
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
