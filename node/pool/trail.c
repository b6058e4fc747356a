/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/trail.h"

#include <stdlib.h>

struct trail *trail_new(uint64_t session, uint32_t model, enum wire_type wire,
    const struct trail_stage *stages, uint32_t n_stages, struct trail_budget *budget)
{
	struct trail *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->stages = calloc(n_stages, sizeof *t->stages);
	if (t->stages == NULL) {
		free(t);
		return NULL;
	}
	for (uint32_t k = 0; k < n_stages; k++)
		t->stages[k] = (struct trail_stage){
		    .donor = stages[k].donor, .key = stages[k].key, .layers = stages[k].layers};
	t->session = session;
	t->model = model;
	t->wire = wire;
	t->n_stages = n_stages;
	t->n_layers = stages[n_stages - 1].layers.last;
	t->budget = budget;
	t->holders = 1;
	return t;
}

struct trail *trail_hold(struct trail *t)
{
	if (t != NULL)
		t->holders++;
	return t;
}

static size_t bytes_of(const struct trail *t)
{
	return t->room_spans * sizeof *t->spans + t->room_tokens * sizeof *t->tokens +
	       t->room_hashes * sizeof *t->hashes;
}

void trail_release(struct trail *t)
{
	if (t == NULL || --t->holders > 0)
		return;
	t->budget->used_bytes -= bytes_of(t);
	if (t->tokens != NULL)
		explicit_bzero(t->tokens, t->room_tokens * sizeof *t->tokens);
	free(t->tokens);
	free(t->spans);
	free(t->hashes);
	for (uint32_t k = 0; k < t->n_stages; k++) {
		chain_free(&t->stages[k].chain);
		statement_release(t->stages[k].statement);
	}
	free(t->stages);
	free(t);
}

struct statement *statement_new(
    struct trail_budget *budget, struct span envelope, struct span header)
{
	size_t bytes = sizeof(struct statement) + header.len;
	struct statement *s;

	if (envelope.len != FRAME_BYTES || budget->used_bytes + bytes > budget->most_bytes)
		return NULL;
	s = malloc(bytes);
	if (s == NULL)
		return NULL;
	*s = (struct statement){.holders = 1, .budget = budget, .header_len = header.len};
	memcpy(s->envelope, envelope.data, FRAME_BYTES);
	if (header.len > 0)
		memcpy(s->header, header.data, header.len);
	budget->used_bytes += bytes;
	return s;
}

struct statement *statement_hold(struct statement *s)
{
	if (s != NULL)
		s->holders++;
	return s;
}

void statement_release(struct statement *s)
{
	if (s == NULL || --s->holders > 0)
		return;
	s->budget->used_bytes -= sizeof *s + s->header_len;
	free(s);
}

void trail_vouch(struct trail *t, uint32_t stage, struct statement *s)
{
	struct trail_stage *at = &t->stages[stage];

	statement_hold(s);
	statement_release(at->statement);
	at->statement = s;
}

/* ---- memory ------------------------------------------------------------------------------- */

/* The list with room for so many more elements, twice as many as there are at least; what it moves
 * from is wiped. NULL: past a bound, or out of memory; it is as before. */
static void *grow(struct trail *t, void *list, uint32_t *room, uint32_t n, size_t more, size_t size)
{
	size_t want = *room > 0 ? *room : 16, bytes;
	void *larger;

	if (list != NULL && n + more <= *room)
		return list;
	while (want < n + more)
		want *= 2;
	bytes = (want - *room) * size;
	if (bytes_of(t) + bytes > TRAIL_MOST_BYTES ||
	    t->budget->used_bytes + bytes > t->budget->most_bytes)
		return NULL;
	larger = calloc(want, size);
	if (larger == NULL)
		return NULL;
	if (list != NULL) {
		memcpy(larger, list, n * size);
		explicit_bzero(list, *room * size);
	}
	free(list);
	*room = (uint32_t)want;
	t->budget->used_bytes += bytes;
	return larger;
}

static bool make_room(struct trail *t, size_t n_tokens, size_t n_hashes)
{
	struct trail_span *spans = grow(t, t->spans, &t->room_spans, t->n_spans, 1, sizeof *spans);
	uint32_t *tokens =
	    grow(t, t->tokens, &t->room_tokens, t->n_tokens, n_tokens, sizeof *tokens);
	struct hash *hashes =
	    grow(t, t->hashes, &t->room_hashes, t->n_hashes, n_hashes, sizeof *hashes);

	t->spans = spans != NULL ? spans : t->spans;
	t->tokens = tokens != NULL ? tokens : t->tokens;
	t->hashes = hashes != NULL ? hashes : t->hashes;
	return spans != NULL && tokens != NULL && hashes != NULL;
}

/* ---- parts -------------------------------------------------------------------------------- */

/* Pages that n rows before `end` lie in. */
static size_t pages(uint32_t end, uint32_t n)
{
	return n == 0 ? 0 : (end - 1) / WORK_PART_TOKENS - (end - n) / WORK_PART_TOKENS + 1;
}

size_t trail_parts(const struct trail *t, const struct trail_span *span, uint32_t layer)
{
	bool last = layer + 1 == t->n_layers;

	return pages(span->position + span->n_tokens, last ? span->n_logits : span->n_tokens);
}

const struct hash *trail_after(const struct trail *t, const struct trail_span *span, uint32_t layer)
{
	return t->hashes + span->first_hash +
	       layer * pages(span->position + span->n_tokens, span->n_tokens);
}

size_t trail_hashes(const struct trail *t, const struct trail_span *span)
{
	return (t->n_layers - 1) * pages(span->position + span->n_tokens, span->n_tokens) +
	       trail_parts(t, span, t->n_layers - 1);
}

uint32_t trail_stage(const struct trail *t, uint32_t layer)
{
	uint32_t k = 0;

	while (t->stages[k].layers.last <= layer)
		k++;
	return k;
}

/* With room for its hashes; NULL: it is missed. */
static struct trail_span *append(struct trail *t, struct trail_span span, const uint32_t *tokens)
{
	span.first_token = t->n_tokens;
	span.first_hash = t->n_hashes;
	if (t->n_missed > 0 || !make_room(t, span.n_tokens, trail_hashes(t, &span))) {
		t->n_missed++;
		return NULL;
	}
	memcpy(t->tokens + t->n_tokens, tokens, span.n_tokens * sizeof *tokens);
	t->n_tokens += span.n_tokens;
	t->n_hashes += (uint32_t)trail_hashes(t, &span);
	t->spans[t->n_spans] = span;
	return &t->spans[t->n_spans++];
}

void trail_add(struct trail *t, const struct unit_span *span, uint32_t top, const uint32_t *tokens,
    const struct hash *hashes)
{
	struct trail_span s = {.position = span->position,
	    .n_tokens = span->n_tokens,
	    .n_logits = span->n_logits,
	    .top = top};
	struct trail_span *added = append(t, s, tokens);

	if (added != NULL && trail_hashes(t, added) > 0)
		memcpy(
		    t->hashes + added->first_hash, hashes, trail_hashes(t, added) * sizeof *hashes);
}

/* What of a span lies before position n. */
static struct trail_span cut(struct trail_span span, uint32_t n)
{
	uint32_t rows_from = span.position + span.n_tokens - span.n_logits;

	if (span.position + span.n_tokens <= n)
		return span;
	span.n_tokens = n - span.position;
	span.n_logits = rows_from < n ? n - rows_from : 0;
	return span;
}

/* Is all recorded of its first n positions? What precedes a span's first position is settled: no
 * guess comes before it any more. */
static bool knows(const struct trail *t, uint32_t n)
{
	return t->n_missed == 0 || (t->n_spans > 0 && t->spans[t->n_spans - 1].position >= n);
}

/* The first parts of each layer, which a span that was cut has left. */
static void copy_hashes(struct trail *t, const struct trail_span *to, const struct trail *from,
    const struct trail_span *span)
{
	struct hash *out = t->hashes + to->first_hash;

	for (uint32_t layer = 0; layer < t->n_layers; layer++) {
		size_t n = trail_parts(t, to, layer);

		if (n > 0)
			memcpy(out, trail_after(from, span, layer), n * sizeof *out);
		out += n;
	}
}

/* The last span before position n: in it the page was completed that ends there. */
static uint32_t last_before(const struct trail *t, uint32_t n)
{
	uint32_t i = t->n_spans;

	while (i > 0 && t->spans[i - 1].position >= n)
		i--;
	return i;
}

/* Guesses that went past n before that are in the donors' chains, and stay. */
void trail_begin_with(struct trail *t, const struct trail *from, uint32_t n)
{
	uint32_t n_spans = last_before(from, n);

	assert(t->n_spans == 0 && t->n_stages == from->n_stages && t->n_layers == from->n_layers);
	t->n_missed += !knows(from, n);
	for (uint32_t i = 0; i < n_spans; i++) {
		const struct trail_span *span = &from->spans[i];
		const struct trail_span *to = append(
		    t, i + 1 == n_spans ? cut(*span, n) : *span, from->tokens + span->first_token);

		if (to != NULL)
			copy_hashes(t, to, from, span);
	}
	t->n_inherited = t->n_spans;
	for (uint32_t k = 0; k < t->n_stages; k++) {
		const struct chain *chain = &from->stages[k].chain;

		t->n_missed += !chain_has_page(chain, n) ||
		               chain_fork(&t->stages[k].chain, chain, n) != AYNI_OK;
	}
}

void trail_empty(struct trail *t)
{
	if (t->tokens != NULL)
		explicit_bzero(t->tokens, t->n_tokens * sizeof *t->tokens);
	t->n_spans = t->n_tokens = t->n_hashes = t->n_inherited = t->n_missed = 0;
	for (uint32_t k = 0; k < t->n_stages; k++)
		trail_vouch(t, k, NULL);
}

struct trail_group trail_group(const struct trail *t, uint32_t first, uint32_t most_tokens)
{
	struct trail_group g = {.first = first};
	const struct trail_span *s = t->spans + first, *end = t->spans + t->n_spans;

	while (s < end && work_run_add(&g.run, s->position, s->n_tokens, s->n_logits, most_tokens))
		s++;
	return g;
}

uint32_t trail_positions(const struct trail *t)
{
	uint32_t most = 1;

	for (uint32_t i = 0; i < t->n_spans; i++) {
		uint32_t end = t->spans[i].position + t->spans[i].n_tokens;

		most = end > most ? end : most;
	}
	return most;
}
