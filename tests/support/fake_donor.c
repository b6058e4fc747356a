/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_donor.h"

#include <stdlib.h>

#include "compute/cost.h"
#include "compute/kv.h"
#include "node/work.h"
#include "protocol/identity.h"
#include "protocol/messages.h"

/* The finaliser of MurmurHash3 (public domain) over both words. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a * 0x9e3779b97f4a7c15ULL + b;

	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
	x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

void fake_donor_forget(struct fake_donor *d)
{
	chains_forget(&d->chains);
	while (d->n_sessions > 0)
		free(d->sessions[--d->n_sessions]);
}

static struct fake_session *find(struct fake_donor *d, uint64_t id)
{
	for (uint32_t i = 0; i < d->n_sessions; i++) {
		if (d->sessions[i]->id == id)
			return d->sessions[i];
	}
	return NULL;
}

static void close_session(struct fake_donor *d, uint64_t id)
{
	for (uint32_t i = 0; i < d->n_sessions; i++) {
		if (d->sessions[i]->id != id)
			continue;
		free(d->sessions[i]);
		d->sessions[i] = d->sessions[--d->n_sessions];
		break;
	}
}

void fake_donor_forget_spans(struct fake_donor *d, const struct msg_work_unit *u)
{
	for (size_t i = 0; i < u->n_spans; i++)
		close_session(d, u->spans[i].session);
}

static struct fake_session *add(struct fake_donor *d, uint64_t id)
{
	struct fake_session *s = calloc(1, sizeof *s);

	assert(s != NULL && d->n_sessions < FAKE_MAX_SESSIONS);
	s->id = id;
	return d->sessions[d->n_sessions++] = s;
}

/* Sessions that begin with another's positions do so before any is closed. */
static enum refusal fork_sessions(struct fake_donor *d, const struct msg_work_unit *u)
{
	for (size_t i = 0; i < u->n_spans; i++) {
		const struct unit_span *span = &u->spans[i];
		struct fake_session *from = span->from != 0 ? find(d, span->from) : NULL;
		struct fake_session *s;

		if (span->from == 0)
			continue;
		if (from == NULL || from->length < span->position ||
		    from->layers.first != u->layer_first || from->layers.last != u->layer_last)
			return REFUSAL_SESSION;
		s = find(d, span->session);
		if (s == NULL)
			s = add(d, span->session);
		memcpy(s->keys, from->keys, sizeof s->keys);
		s->layers = from->layers;
		s->length = span->position;
	}
	return REFUSAL_NONE;
}

static uint32_t pages_held(const struct fake_donor *d)
{
	uint32_t pages = 0;

	for (uint32_t i = 0; i < d->n_sessions; i++)
		pages += kv_pages(d->sessions[i]->most);
	return pages;
}

static enum refusal open_span(struct fake_donor *d, const struct msg_work_unit *u,
    const struct unit_span *span, struct fake_session **out)
{
	struct fake_session *s = find(d, span->session);

	if (s == NULL && span->position == 0)
		s = add(d, span->session);
	if (s != NULL && span->position == 0)
		s->layers = (struct layer_range){u->layer_first, u->layer_last};
	if (s == NULL || s->length < span->position || s->layers.first != u->layer_first ||
	    s->layers.last != u->layer_last || span->position + span->n_tokens > FAKE_MAX_TOKENS)
		return REFUSAL_SESSION;
	s->length = span->position;
	if (span->position + span->n_tokens > s->most)
		s->most = span->position + span->n_tokens;
	*out = s;
	return pages_held(d) <= d->pages ? REFUSAL_NONE : REFUSAL_MEMORY;
}

/* `after`: what x is after each layer of the range goes to its column; or NULL. */
static uint64_t through_layers(struct fake_session *s, struct layer_range layers, uint32_t position,
    uint64_t x, uint64_t (*after)[LIMIT_UNIT_TOKENS])
{
	for (uint32_t l = layers.first; l < layers.last; l++) {
		uint64_t before = position > 0 ? s->keys[l][position - 1] : 0;

		s->keys[l][position] = mix(before, x);
		x = mix(x, s->keys[l][position] + l);
		if (after != NULL)
			*after[l - layers.first] = x;
	}
	return x;
}

static void put_activation(uint8_t *row, uint32_t width, uint64_t x)
{
	for (uint32_t i = 0; i < width; i++) {
		float value = i < 4 ? (float)((x >> (16 * i)) & 0xffff) : 0.5f;

		payload_put_f32(row + (size_t)i * 4, &value, 1);
	}
}

static uint64_t get_activation(const uint8_t *row)
{
	uint64_t x = 0;

	for (uint32_t i = 0; i < 4; i++) {
		float value;

		payload_get_f32(row + (size_t)i * 4, &value, 1);
		x |= (uint64_t)value << (16 * i);
	}
	return x;
}

/* Mostly a short refrain, so that there is something to guess; else whatever the layers gave. */
static uint64_t said(uint64_t x, uint32_t position)
{
	return (x >> 40) % 4 > 0 ? 'a' + position % 3 : x;
}

static struct logit candidate(uint64_t x, uint32_t rank, uint32_t n_vocabulary)
{
	/* the ids go once around the vocabulary */
	return (struct logit){
	    (uint32_t)((x % n_vocabulary + rank) % n_vocabulary), 9.0f - 0.0625f * (float)rank};
}

static void put_logits(uint8_t *row, uint32_t top, uint32_t n_vocabulary, uint64_t x)
{
	float lse = 12.0f;

	payload_put_f32(row, &lse, 1);
	for (uint32_t i = 0; i < top; i++) {
		struct logit c = candidate(x, i, n_vocabulary);

		payload_put_u32(row + 4 + (size_t)i * 8, &c.id, 1);
		payload_put_f32(row + 8 + (size_t)i * 8, &c.value, 1);
	}
}

static uint64_t input(
    const struct model_sizes *m, const struct msg_work_unit *u, const uint8_t *payload, size_t row)
{
	uint32_t token;

	if (u->layer_first > 0)
		return get_activation(payload + row * m->d_model * 4);
	payload_get_u32(payload + row * 4, &token, 1);
	return mix(token, 1);
}

static void commit(struct fake_donor *d, const struct model_sizes *m, const struct msg_work_unit *u,
    const uint8_t *in, const uint8_t *out, struct msg_result *r)
{
	struct hash inputs[WORK_PARTS_MAX];
	struct chain_unit unit = {.work = u,
	    .layers = {u->layer_first, u->layer_last},
	    .logits = u->layer_last == m->n_layers,
	    .inputs = inputs,
	    .after = d->layer_hashes,
	    .outputs = d->parts};
	uint32_t layers = u->layer_last - u->layer_first;
	size_t n = work_n_parts(u), row_bytes = (size_t)m->d_model * 4;
	uint8_t *rows = malloc(u->n_tokens * row_bytes);

	assert(rows != NULL && layers <= FAKE_MAX_LAYERS);
	for (uint32_t l = 0; l + 1 < layers; l++) {
		struct hash *hashes = d->layer_hashes + l * n;
		struct hash whole;

		for (uint32_t i = 0; i < u->n_tokens; i++)
			put_activation(rows + i * row_bytes, m->d_model, d->after[l][i]);
		if (work_commit(m->d_model, u, false, rows, d->parts, &whole) == 0)
			d->parts[0] = whole;
		memcpy(hashes, d->parts, n * sizeof *hashes);
	}
	free(rows);
	r->layer_hashes = d->layer_hashes;
	r->n_layer_hashes = (layers - 1) * n;
	r->parts = d->parts;
	r->n_parts = work_commit(m->d_model, u, unit.logits, out, d->parts, &r->handed_hash);
	chain_inputs(m->d_model, u->layer_first, u, in, inputs);
	assert(chains_ran(&d->chains, &unit, KV_F16, d->spans) == AYNI_OK);
	r->chains = d->spans;
	r->n_chains = u->n_spans;
}

enum refusal fake_donor_compute(struct fake_donor *d, const struct model_sizes *m,
    const struct msg_work_unit *u, const uint8_t *payload, struct msg_result *r, uint8_t **out,
    size_t *out_len)
{
	bool last = u->layer_last == m->n_layers;
	bool mine = d->layers.first <= u->layer_first && u->layer_last <= d->layers.last;
	size_t row_bytes = last ? 4 + (size_t)u->top * 8 : (size_t)m->d_model * 4;
	size_t row = 0, at = 0;

	if (!mine)
		return REFUSAL_ASSIGNMENT;
	if (fork_sessions(d, u) != REFUSAL_NONE)
		return REFUSAL_SESSION;
	for (size_t i = 0; i < u->n_closed; i++)
		close_session(d, u->closed[i]);
	*out_len = row_bytes * (last ? u->n_logits : u->n_tokens);
	*out = malloc(*out_len > 0 ? *out_len : 1);
	*r = (struct msg_result){.unit = u->unit};
	assert(*out != NULL);
	for (size_t i = 0; i < u->n_spans; i++) {
		const struct unit_span *span = &u->spans[i];
		struct fake_session *s;
		enum refusal why = open_span(d, u, span, &s);
		struct flop cost;

		if (why != REFUSAL_NONE) {
			free(*out);
			return why;
		}
		for (uint32_t t = 0; t < span->n_tokens; t++, row++) {
			uint64_t x = through_layers(s, s->layers, span->position + t,
			    input(m, u, payload, row),
			    (uint64_t(*)[LIMIT_UNIT_TOKENS]) & d->after[0][row]);

			if (!last)
				put_activation(*out + row_bytes * row, m->d_model, x);
			else if (t + span->n_logits >= span->n_tokens)
				put_logits(*out + row_bytes * at++, u->top, m->n_vocabulary,
				    said(x, span->position + t));
		}
		s->length = span->position + span->n_tokens;
		assert(cost_span(m, u->layer_first, u->layer_last, span->position, span->n_tokens,
		           span->n_logits, &cost) == AYNI_OK);
		assert(flop_add(r->cost, cost, &r->cost) == AYNI_OK);
	}
	commit(d, m, u, payload, *out, r);
	hash_bytes(*out, *out_len, &r->payload_hash);
	return REFUSAL_NONE;
}

uint32_t fake_answer(const struct model_sizes *m, const struct fake_question *q, uint32_t *tokens,
    uint32_t n, uint32_t *best, enum finish_reason *reason)
{
	struct fake_session *s = calloc(1, sizeof *s);
	struct layer_range all = {0, m->n_layers};
	uint32_t n_prompt = n;
	bool greedy = q->sampling->temperature <= 0 && q->sampling->repeat_penalty == 1;
	uint32_t view = SAMPLER_CANDIDATES < m->n_vocabulary ? SAMPLER_CANDIDATES : m->n_vocabulary;

	assert(s != NULL);
	for (uint32_t p = 0;; p++) {
		struct logit row[SAMPLER_CANDIDATES];
		uint64_t x = through_layers(s, all, p, mix(tokens[p], 1), NULL);
		uint32_t token;

		for (uint32_t i = 0; i < view; i++)
			row[i] = candidate(said(x, p), i, m->n_vocabulary);
		if (best != NULL)
			best[p] = row[0].id;
		if (p + 1 < n)
			continue;
		token = sampler_draw(q->sampling, row, greedy ? 1 : view, 12.0f, tokens, n);
		*reason = FINISH_END;
		if (q->is_end(q->context, token) && !q->ignore_end)
			break;
		tokens[n++] = token;
		*reason = FINISH_LENGTH;
		if (q->max_tokens > 0 && n - n_prompt == q->max_tokens)
			break;
		*reason = FINISH_CONTEXT;
		if (n == q->kv_tokens)
			break;
	}
	free(s);
	return n;
}
