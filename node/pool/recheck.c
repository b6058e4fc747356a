/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/recheck.h"

#include <stdlib.h>

#include "compute/layers.h"
#include "compute/logits.h"
#include "protocol/identity.h"

enum {
	GROUP_TOKENS = 128, /* go through the layers together, */
	GROUP_ROWS = 32     /* with rows of logits for so many at most, unless one span has more */
};

/* A stage of the trail's path, as its donor held it. */
struct segment {
	struct model *model;
	struct layers *layers;
	struct kv *kv;
};

/* Spans that continue each other. */
struct group {
	uint32_t first, n; /* spans */
	uint32_t n_tokens;
	uint32_t n_rows; /* of logits, of its last tokens */
};

struct recheck {
	const struct kernels *kernels;
	struct team *team;
	/* Of one run: */
	const struct trail *trail;
	struct model_sizes sizes;
	uint32_t n_segments;
	struct segment *segments;
	uint32_t *tokens;   /* GROUP_TOKENS */
	float *activations; /* GROUP_TOKENS x d_model */
	uint8_t *rows;      /* the same in the trail's wire type, or one part of logits */
	size_t rows_bytes;
	float *logits; /* logits_rows x n_vocabulary */
	uint32_t logits_rows;
	float *scratch;    /* n_vocabulary */
	struct logit *top; /* n_vocabulary */
	struct recheck_finding finding;
};

int recheck_new(const struct kernels *k, struct team *team, struct recheck **out, struct error *err)
{
	struct recheck *c = calloc(1, sizeof *c);

	if (c == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "recheck: out of memory");
	c->kernels = k;
	c->team = team;
	*out = c;
	return AYNI_OK;
}

/* What was computed is as private as what was said. */
static void wipe(void *memory, size_t bytes)
{
	if (memory != NULL)
		explicit_bzero(memory, bytes);
	free(memory);
}

static void close_run(struct recheck *c)
{
	for (uint32_t k = 0; k < c->n_segments; k++) {
		kv_free(c->segments[k].kv);
		layers_free(c->segments[k].layers);
		model_free(c->segments[k].model);
	}
	free(c->segments);
	wipe(c->tokens, GROUP_TOKENS * sizeof *c->tokens);
	wipe(c->activations, GROUP_TOKENS * c->sizes.d_model * sizeof *c->activations);
	wipe(c->rows, c->rows_bytes);
	wipe(c->logits, (size_t)c->logits_rows * c->sizes.n_vocabulary * sizeof *c->logits);
	wipe(c->scratch, c->sizes.n_vocabulary * sizeof *c->scratch);
	wipe(c->top, c->sizes.n_vocabulary * sizeof *c->top);
	*c = (struct recheck){.kernels = c->kernels, .team = c->team, .finding = c->finding};
}

void recheck_free(struct recheck *c)
{
	free(c);
}

/* ---- opening ------------------------------------------------------------------------------ */

static uint32_t positions(const struct trail *t)
{
	uint32_t most = 1;

	for (uint32_t i = 0; i < t->n_spans; i++) {
		uint32_t end = t->spans[i].position + t->spans[i].n_tokens;

		most = end > most ? end : most;
	}
	return most;
}

static int open_segment(struct recheck *c, const struct recheck_model *m, struct layer_range layers,
    struct segment *out, struct error *err)
{
	int rc;

	/* The matrices stay as they are in the file: who has no room for the whole model can check
	 * donors that have. */
	if ((rc = model_load(m->gguf, layers.first, layers.last, &out->model, err)) != AYNI_OK ||
	    (rc = layers_new(out->model, c->kernels, c->team, GROUP_TOKENS, &out->layers, err)) !=
	        AYNI_OK)
		return rc;
	rc = kv_new(out->model, positions(c->trail), m->kv, &out->kv, err);
	if (rc == AYNI_OK)
		kv_set_wire(out->kv, c->trail->wire);
	return rc;
}

static int open_run(
    struct recheck *c, const struct recheck_model *m, const struct trail *t, struct error *err)
{
	int rc = model_sizes_read(m->gguf, &c->sizes, err);
	uint32_t at = 0;

	if (rc != AYNI_OK)
		return rc;
	c->trail = t;
	c->rows_bytes = GROUP_TOKENS * wire_row_bytes(t->wire, c->sizes.d_model);
	c->segments = calloc(t->n_stages, sizeof *c->segments);
	c->tokens = calloc(GROUP_TOKENS, sizeof *c->tokens);
	c->activations = calloc(GROUP_TOKENS, c->sizes.d_model * sizeof *c->activations);
	c->rows = calloc(c->rows_bytes, 1);
	c->scratch = calloc(c->sizes.n_vocabulary, sizeof *c->scratch);
	c->top = calloc(c->sizes.n_vocabulary, sizeof *c->top);
	if (c->segments == NULL || c->tokens == NULL || c->activations == NULL || c->rows == NULL ||
	    c->scratch == NULL || c->top == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "recheck: out of memory");
	while (c->n_segments < t->n_stages && rc == AYNI_OK) {
		struct layer_range layers = t->stages[c->n_segments].layers;

		if (layers.first != at)
			return error_set(err, AYNI_ERR_ARGUMENT, "recheck: a gap between stages");
		at = layers.last;
		rc = open_segment(c, m, layers, &c->segments[c->n_segments++], err);
	}
	if (rc == AYNI_OK && at != c->sizes.n_layers)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "recheck: the stages end at layer %u", at);
	return rc;
}

/* ---- groups ------------------------------------------------------------------------------- */

/* The spans from this one on that go together. */
static struct group group_from(const struct trail *t, uint32_t first)
{
	struct group g = {.first = first};

	while (first + g.n < t->n_spans) {
		const struct trail_span *s = &t->spans[first + g.n];
		uint32_t rows = g.n_rows > 0 ? g.n_rows + s->n_tokens : s->n_logits;

		if (g.n > 0 && (s->position != t->spans[first].position + g.n_tokens ||
		                   g.n_tokens + s->n_tokens > GROUP_TOKENS || rows > GROUP_ROWS))
			break;
		g.n_rows = rows;
		g.n_tokens += s->n_tokens;
		g.n++;
	}
	return g;
}

static int room_for_logits(struct recheck *c, uint32_t n_rows, struct error *err)
{
	float *logits;

	if (n_rows <= c->logits_rows)
		return AYNI_OK;
	logits = calloc(n_rows, (size_t)c->sizes.n_vocabulary * sizeof *logits);
	if (logits == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "recheck: out of memory");
	wipe(c->logits, (size_t)c->logits_rows * c->sizes.n_vocabulary * sizeof *logits);
	c->logits = logits;
	c->logits_rows = n_rows;
	return AYNI_OK;
}

static int room_for_rows(struct recheck *c, size_t bytes, struct error *err)
{
	uint8_t *rows;

	if (bytes <= c->rows_bytes)
		return AYNI_OK;
	rows = calloc(bytes, 1);
	if (rows == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "recheck: out of memory");
	wipe(c->rows, c->rows_bytes);
	c->rows = rows;
	c->rows_bytes = bytes;
	return AYNI_OK;
}

/* ---- comparing ---------------------------------------------------------------------------- */

/* The first counts: by span, then by stage. Stages come in order. */
static void note(struct recheck *c, uint32_t span, uint32_t stage, const struct work_part *part,
    const struct hash *right)
{
	struct recheck_finding *f = &c->finding;

	if (f->wrong && f->span <= span)
		return;
	*f = (struct recheck_finding){.wrong = true,
	    .span = span,
	    .stage = stage,
	    .position = part->position,
	    .right = *right};
}

/* The parts of one span, whose rows these are. */
static void compare(struct recheck *c, uint32_t index, uint32_t stage, const uint8_t *rows)
{
	const struct trail_span *s = &c->trail->spans[index];
	struct unit_span span = {.position = s->position,
	    .n_tokens = s->n_tokens,
	    .n_logits = s->n_logits,
	    .wire = c->trail->wire};
	struct msg_work_unit u = {.n_spans = 1, .spans = &span, .top = s->top};
	const struct hash *claimed = trail_hashes(c->trail, s, stage);
	struct work_part parts[WORK_PARTS_MAX];
	size_t n = work_parts(c->sizes.d_model, &u, stage + 1 == c->n_segments, parts);

	for (size_t i = 0; i < n; i++) {
		struct hash right;

		hash_bytes(rows, parts[i].bytes, &right);
		rows += parts[i].bytes;
		if (hash_equal(&right, &claimed[i]))
			continue;
		note(c, index, stage, &parts[i], &right);
		return;
	}
}

/* As they go to the next stage, and come there. */
static void compare_activations(struct recheck *c, const struct group *g, uint32_t stage)
{
	size_t d = c->sizes.d_model, row_bytes = wire_row_bytes(c->trail->wire, d);
	const uint8_t *at = c->rows;

	for (uint32_t i = 0; i < g->n_tokens; i++)
		wire_encode(c->trail->wire, c->activations + i * d, d, c->rows + i * row_bytes);
	for (uint32_t i = 0; i < g->n; i++) {
		compare(c, g->first + i, stage, at);
		at += c->trail->spans[g->first + i].n_tokens * row_bytes;
	}
	for (uint32_t i = 0; i < g->n_tokens; i++)
		wire_decode(c->trail->wire, c->rows + i * row_bytes, d, c->activations + i * d);
}

static int compare_logits(
    struct recheck *c, const struct group *g, uint32_t stage, struct error *err)
{
	const float *end = c->logits + (size_t)g->n_rows * c->sizes.n_vocabulary;
	uint32_t tokens_left = g->n_tokens;

	for (uint32_t i = 0; i < g->n; i++) {
		const struct trail_span *s = &c->trail->spans[g->first + i];
		size_t row_bytes = logit_row_bytes(s->top);
		const float *from;

		tokens_left -= s->n_tokens;
		from = end - (size_t)(tokens_left + s->n_logits) * c->sizes.n_vocabulary;
		if (s->n_logits == 0)
			continue;
		if (s->top > c->sizes.n_vocabulary)
			return error_set(
			    err, AYNI_ERR_ARGUMENT, "recheck: more logits than tokens");
		if (room_for_rows(c, s->n_logits * row_bytes, err) != AYNI_OK)
			return AYNI_ERR_MEMORY;
		for (uint32_t row = 0; row < s->n_logits; row++) {
			float lse;

			logits_top(c->kernels, from + (size_t)row * c->sizes.n_vocabulary,
			    c->sizes.n_vocabulary, s->top, c->scratch, c->top, &lse);
			logit_row_write(c->rows + row * row_bytes, c->top, s->top, lse);
		}
		compare(c, g->first + i, stage, c->rows);
	}
	return AYNI_OK;
}

/* ---- running ------------------------------------------------------------------------------ */

static void take_tokens(struct recheck *c, const struct group *g)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		const struct trail_span *s = &c->trail->spans[g->first + i];

		memcpy(c->tokens + n, c->trail->tokens + s->first_token,
		    s->n_tokens * sizeof *c->tokens);
		n += s->n_tokens;
	}
}

static int run_group(struct recheck *c, const struct group *g, struct error *err)
{
	int rc = g->n_tokens <= GROUP_TOKENS
	             ? room_for_logits(c, g->n_rows, err)
	             : error_set(err, AYNI_ERR_LIMIT, "recheck: a span of %u tokens", g->n_tokens);

	if (rc == AYNI_OK)
		take_tokens(c, g);
	for (uint32_t k = 0; k < c->n_segments && rc == AYNI_OK; k++) {
		bool last = k + 1 == c->n_segments;
		struct layers_span span = {.kv = c->segments[k].kv,
		    .position = c->trail->spans[g->first].position,
		    .n_tokens = g->n_tokens,
		    .n_logits = last ? g->n_rows : 0};

		rc = layers_run(c->segments[k].layers, &span, 1, k == 0 ? c->tokens : NULL,
		    c->activations, last ? c->logits : NULL, err);
		if (rc == AYNI_OK && last)
			rc = compare_logits(c, g, k, err);
		else if (rc == AYNI_OK)
			compare_activations(c, g, k);
	}
	return rc;
}

int recheck_run(struct recheck *c, const struct recheck_model *m, const struct trail *t,
    const atomic_bool *stop, struct recheck_finding *out, struct error *err)
{
	int rc = open_run(c, m, t, err);

	c->finding = (struct recheck_finding){0};
	for (uint32_t i = 0; rc == AYNI_OK && i < t->n_spans && !c->finding.wrong;) {
		struct group g = group_from(t, i);

		rc = atomic_load(stop) ? AYNI_ERR_AGAIN : run_group(c, &g, err);
		i += g.n;
	}
	close_run(c);
	*out = c->finding;
	return rc;
}
