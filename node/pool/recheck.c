/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/recheck.h"

#include <stdlib.h>

#include "compute/layers.h"
#include "compute/logits.h"
#include "protocol/identity.h"

/* Of the activations between two layers; a trail that needs more is not computed. */
#define MOST_BYTES (UINT64_C(1) << 30)

struct recheck {
	const struct kernels *kernels;
	struct team *team;
	/* Of one run: */
	const struct recheck_model *model;
	const struct trail *trail;
	struct model_sizes sizes;
	float *activations; /* [trail's n_tokens] x d_model, between two layers */
	uint8_t *rows;      /* of a group: activations in the wire type, or rows of logits */
	size_t rows_bytes;
	float *logits; /* logits_rows x n_vocabulary */
	uint32_t logits_rows;
	float *scratch;    /* n_vocabulary */
	struct logit *top; /* n_vocabulary */
	struct recheck_finding finding;
};

/* One layer, as long as all spans go through it. */
struct layer {
	struct model *model;
	struct layers *layers;
	struct kv *kv;
	uint32_t index;
	bool last;
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

void recheck_free(struct recheck *c)
{
	free(c);
}

/* ---- opening ------------------------------------------------------------------------------ */

/* What was computed is as private as what was said. */
static void wipe(void *memory, size_t bytes)
{
	if (memory != NULL)
		explicit_bzero(memory, bytes);
	free(memory);
}

static size_t activation_bytes(const struct recheck *c)
{
	return (size_t)c->trail->n_tokens * c->sizes.d_model * sizeof *c->activations;
}

static void close_run(struct recheck *c)
{
	wipe(c->activations, activation_bytes(c));
	wipe(c->rows, c->rows_bytes);
	wipe(c->logits, (size_t)c->logits_rows * c->sizes.n_vocabulary * sizeof *c->logits);
	wipe(c->scratch, c->sizes.n_vocabulary * sizeof *c->scratch);
	wipe(c->top, c->sizes.n_vocabulary * sizeof *c->top);
	*c = (struct recheck){.kernels = c->kernels, .team = c->team, .finding = c->finding};
}

/* Stages that join end to end over the whole model. */
static int check_stages(const struct recheck *c, struct error *err)
{
	uint32_t at = 0;

	for (uint32_t k = 0; k < c->trail->n_stages; k++) {
		struct layer_range layers = c->trail->stages[k].layers;

		if (layers.first != at || layers.last <= at)
			return error_set(err, AYNI_ERR_ARGUMENT, "recheck: a gap between stages");
		at = layers.last;
	}
	if (at != c->sizes.n_layers)
		return error_set(err, AYNI_ERR_ARGUMENT, "recheck: the stages end at layer %u", at);
	return AYNI_OK;
}

static int open_run(
    struct recheck *c, const struct recheck_model *m, const struct trail *t, struct error *err)
{
	int rc;

	c->model = m;
	c->trail = t;
	if ((rc = model_sizes_read(m->gguf, &c->sizes, err)) != AYNI_OK ||
	    (rc = check_stages(c, err)) != AYNI_OK)
		return rc;
	if (activation_bytes(c) > MOST_BYTES)
		return error_set(
		    err, AYNI_ERR_LIMIT, "recheck: %u tokens are too many", t->n_tokens);
	c->rows_bytes = TRAIL_GROUP_TOKENS * wire_row_bytes(t->wire, c->sizes.d_model);
	c->activations = calloc(activation_bytes(c), 1);
	c->rows = calloc(c->rows_bytes, 1);
	c->scratch = calloc(c->sizes.n_vocabulary, sizeof *c->scratch);
	c->top = calloc(c->sizes.n_vocabulary, sizeof *c->top);
	if (c->activations == NULL || c->rows == NULL || c->scratch == NULL || c->top == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "recheck: out of memory");
	return AYNI_OK;
}

static void close_layer(struct layer *l)
{
	kv_free(l->kv);
	layers_free(l->layers);
	model_free(l->model);
}

static int open_layer(struct recheck *c, uint32_t index, struct layer *l, struct error *err)
{
	int rc;

	*l = (struct layer){.index = index, .last = index + 1 == c->sizes.n_layers};
	if ((rc = model_load_for(c->model->gguf, index, index + 1, c->kernels, c->team, &l->model,
	         err)) != AYNI_OK ||
	    (rc = layers_new(l->model, c->kernels, c->team, TRAIL_GROUP_TOKENS, &l->layers, err)) !=
	        AYNI_OK)
		return rc;
	rc = kv_new(l->model, trail_positions(c->trail), c->model->kv, &l->kv, err);
	if (rc == AYNI_OK)
		kv_set_wire(l->kv, c->trail->wire);
	return rc;
}

/* ---- groups ------------------------------------------------------------------------------- */

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

/* The first counts: by layer, then by span, in which order they come. */
static void note(struct recheck *c, uint32_t span, uint32_t layer, const struct work_part *part,
    const struct hash *right)
{
	struct recheck_finding *f = &c->finding;

	if (f->wrong)
		return;
	*f = (struct recheck_finding){.wrong = true,
	    .span = span,
	    .layer = layer,
	    .stage = trail_stage(c->trail, layer),
	    .position = part->position,
	    .right = *right};
}

/* The parts of one span, whose rows these are. */
static void compare(struct recheck *c, uint32_t index, uint32_t layer, const uint8_t *rows)
{
	const struct trail_span *s = &c->trail->spans[index];
	struct unit_span span = {.position = s->position,
	    .n_tokens = s->n_tokens,
	    .n_logits = s->n_logits,
	    .wire = c->trail->wire};
	struct msg_work_unit u = {.n_spans = 1, .spans = &span, .top = s->top};
	const struct hash *claimed = trail_after(c->trail, s, layer);
	struct work_part parts[WORK_PARTS_MAX];
	size_t n = work_parts(c->sizes.d_model, &u, layer + 1 == c->trail->n_layers, parts);

	for (size_t i = 0; i < n; i++) {
		struct hash right;

		hash_bytes(rows, parts[i].bytes, &right);
		rows += parts[i].bytes;
		if (hash_equal(&right, &claimed[i]))
			continue;
		note(c, index, layer, &parts[i], &right);
		return;
	}
}

/* What a group gave, as it goes on to the next layer. */
static void go_on(
    struct recheck *c, const struct trail_group *g, const struct layer *l, float *rows)
{
	size_t d = c->sizes.d_model, row_bytes = wire_row_bytes(c->trail->wire, d);
	const uint8_t *at = c->rows;

	for (uint32_t i = 0; i < g->n_tokens; i++)
		wire_encode(c->trail->wire, rows + i * d, d, c->rows + i * row_bytes);
	for (uint32_t i = 0; i < g->n; i++) {
		compare(c, g->first + i, l->index, at);
		at += c->trail->spans[g->first + i].n_tokens * row_bytes;
	}
	for (uint32_t i = 0; i < g->n_tokens; i++)
		wire_decode(c->trail->wire, c->rows + i * row_bytes, d, rows + i * d);
}

static int compare_logits(
    struct recheck *c, const struct trail_group *g, uint32_t layer, struct error *err)
{
	uint32_t tokens_left = g->n_tokens;

	for (uint32_t i = 0; i < g->n; i++) {
		const struct trail_span *s = &c->trail->spans[g->first + i];
		size_t row_bytes = logit_row_bytes(s->top);
		const float *from;

		tokens_left -= s->n_tokens;
		if (s->n_logits == 0)
			continue;
		from = c->logits +
		       (size_t)(g->n_rows - tokens_left - s->n_logits) * c->sizes.n_vocabulary;
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
		compare(c, g->first + i, layer, c->rows);
	}
	return AYNI_OK;
}

/* ---- running ------------------------------------------------------------------------------ */

static int run_group(
    struct recheck *c, const struct trail_group *g, const struct layer *l, struct error *err)
{
	uint32_t first_token = c->trail->spans[g->first].first_token;
	float *rows = c->activations + (size_t)first_token * c->sizes.d_model;
	struct layers_span span = {.kv = l->kv,
	    .position = c->trail->spans[g->first].position,
	    .n_tokens = g->n_tokens,
	    .n_logits = l->last ? g->n_rows : 0};
	int rc;

	if (g->n_tokens > TRAIL_GROUP_TOKENS)
		return error_set(err, AYNI_ERR_LIMIT, "recheck: a span of %u tokens", g->n_tokens);
	if (l->last && room_for_logits(c, g->n_rows, err) != AYNI_OK)
		return AYNI_ERR_MEMORY;
	rc = layers_run(l->layers, &span, 1,
	    l->model->layer_first == 0 ? c->trail->tokens + first_token : NULL, rows,
	    l->last ? c->logits : NULL, err);
	if (rc == AYNI_OK && l->last)
		rc = compare_logits(c, g, l->index, err);
	else if (rc == AYNI_OK)
		go_on(c, g, l, rows);
	return rc;
}

/* All spans, or those up to the first that is wrong. */
static int run_layer(struct recheck *c, const struct layer *l, struct error *err)
{
	int rc = AYNI_OK;

	for (uint32_t i = 0; rc == AYNI_OK && !c->finding.wrong && i < c->trail->n_spans;) {
		struct trail_group g = trail_group(c->trail, i, TRAIL_GROUP_TOKENS);

		rc = run_group(c, &g, l, err);
		i += g.n;
	}
	return rc;
}

/* Layer by layer, so that memory is needed for the weights of one. */
int recheck_run(struct recheck *c, const struct recheck_model *m, const struct trail *t,
    const atomic_bool *stop, struct recheck_finding *out, struct error *err)
{
	int rc;

	c->finding = (struct recheck_finding){0};
	rc = open_run(c, m, t, err);
	for (uint32_t i = 0; rc == AYNI_OK && !c->finding.wrong && i < c->sizes.n_layers; i++) {
		struct layer l;

		rc = atomic_load(stop) ? AYNI_ERR_AGAIN : open_layer(c, i, &l, err);
		if (rc == AYNI_OK)
			rc = run_layer(c, &l, err);
		if (rc != AYNI_ERR_AGAIN)
			close_layer(&l);
	}
	close_run(c);
	*out = c->finding;
	return rc;
}
