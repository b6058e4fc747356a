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
	memcpy(t->stages, stages, n_stages * sizeof *stages);
	t->session = session;
	t->model = model;
	t->wire = wire;
	t->n_stages = n_stages;
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
	free(t->stages);
	free(t);
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

size_t trail_parts(const struct trail *t, const struct trail_span *span, uint32_t stage)
{
	bool last = stage + 1 == t->n_stages;

	return pages(span->position + span->n_tokens, last ? span->n_logits : span->n_tokens);
}

const struct hash *trail_hashes(
    const struct trail *t, const struct trail_span *span, uint32_t stage)
{
	return t->hashes + span->first_hash + stage * trail_parts(t, span, 0);
}

static size_t all_parts(const struct trail *t, const struct trail_span *span)
{
	size_t before_last = t->n_stages > 1 ? trail_parts(t, span, 0) : 0;

	return (t->n_stages - 1) * before_last + trail_parts(t, span, t->n_stages - 1);
}

static void append(struct trail *t, struct trail_span span, const uint32_t *tokens,
    const struct hash *const *parts)
{
	span.first_token = t->n_tokens;
	span.first_hash = t->n_hashes;
	if (t->n_missed > 0 || !make_room(t, span.n_tokens, all_parts(t, &span))) {
		t->n_missed++;
		return;
	}
	memcpy(t->tokens + t->n_tokens, tokens, span.n_tokens * sizeof *tokens);
	t->n_tokens += span.n_tokens;
	for (uint32_t k = 0; k < t->n_stages; k++) {
		size_t n = trail_parts(t, &span, k);

		if (n > 0)
			memcpy(t->hashes + t->n_hashes, parts[k], n * sizeof *parts[k]);
		t->n_hashes += (uint32_t)n;
	}
	t->spans[t->n_spans++] = span;
}

void trail_add(struct trail *t, const struct unit_span *span, uint32_t top, const uint32_t *tokens,
    const struct hash *const *parts)
{
	append(t,
	    (struct trail_span){.position = span->position,
	        .n_tokens = span->n_tokens,
	        .n_logits = span->n_logits,
	        .top = top},
	    tokens, parts);
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

void trail_begin_with(struct trail *t, const struct trail *from, uint32_t n)
{
	const struct hash **parts = calloc(t->n_stages, sizeof *parts);

	assert(t->n_spans == 0 && t->n_stages == from->n_stages);
	t->n_missed += parts == NULL || !knows(from, n);
	for (uint32_t i = 0; parts != NULL && i < from->n_spans; i++) {
		const struct trail_span *span = &from->spans[i];

		if (span->position >= n)
			continue;
		for (uint32_t k = 0; k < t->n_stages; k++)
			parts[k] = trail_hashes(from, span, k);
		append(t, cut(*span, n), from->tokens + span->first_token, parts);
	}
	t->n_inherited = t->n_spans;
	free(parts);
}

void trail_empty(struct trail *t)
{
	if (t->tokens != NULL)
		explicit_bzero(t->tokens, t->n_tokens * sizeof *t->tokens);
	t->n_spans = t->n_tokens = t->n_hashes = t->n_inherited = t->n_missed = 0;
}

struct trail_group trail_group(const struct trail *t, uint32_t first, uint32_t most_tokens)
{
	struct trail_group g = {.first = first};

	while (first + g.n < t->n_spans) {
		const struct trail_span *s = &t->spans[first + g.n];
		uint32_t rows = g.n_rows > 0 ? g.n_rows + s->n_tokens : s->n_logits;

		if (g.n > 0 &&
		    (s->position != t->spans[first].position + g.n_tokens ||
		        g.n_tokens + s->n_tokens > most_tokens || rows > TRAIL_GROUP_ROWS))
			break;
		g.n_rows = rows;
		g.n_tokens += s->n_tokens;
		g.n++;
	}
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
