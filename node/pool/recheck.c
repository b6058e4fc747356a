/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/recheck.h"

#include <stdlib.h>

#include "node/pool/accuse.h"
#include "node/replay.h"
#include "protocol/identity.h"

/* Of the activations between two layers; a trail that needs more is not computed. */
#define MOST_BYTES (UINT64_C(1) << 30)

struct recheck {
	struct replay *replay;
	/* Of one run: */
	const struct recheck_model *model;
	const struct trail *trail;
	struct model_sizes sizes;
	struct replay_span *spans; /* [trail's n_spans] */
	uint8_t *in, *out;         /* [trail's n_tokens] rows in the wire type, around a layer */
	size_t rows_bytes;
	uint32_t layer;
	struct recheck_finding finding;
};

int recheck_new(const struct kernels *k, struct team *team, struct recheck **out, struct error *err)
{
	struct recheck *c = calloc(1, sizeof *c);
	int rc;

	if (c == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "recheck: out of memory");
	rc = replay_new(k, team, &c->replay, err);
	if (rc != AYNI_OK) {
		free(c);
		return rc;
	}
	*out = c;
	return AYNI_OK;
}

void recheck_free(struct recheck *c)
{
	if (c == NULL)
		return;
	replay_free(c->replay);
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

static void close_run(struct recheck *c)
{
	wipe(c->in, c->rows_bytes);
	wipe(c->out, c->rows_bytes);
	free(c->spans);
	*c = (struct recheck){.replay = c->replay};
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
	c->rows_bytes = t->n_tokens * wire_row_bytes(t->wire, c->sizes.d_model);
	if (c->rows_bytes > MOST_BYTES)
		return error_set(
		    err, AYNI_ERR_LIMIT, "recheck: %u tokens are too many", t->n_tokens);
	c->in = calloc(c->rows_bytes, 1);
	c->out = calloc(c->rows_bytes, 1);
	c->spans = calloc(t->n_spans, sizeof *c->spans);
	if (c->in == NULL || c->out == NULL || c->spans == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "recheck: out of memory");
	for (uint32_t i = 0; i < t->n_spans; i++)
		c->spans[i] = (struct replay_span){.position = t->spans[i].position,
		    .n_tokens = t->spans[i].n_tokens,
		    .n_logits = t->spans[i].n_logits,
		    .top = t->spans[i].top};
	return AYNI_OK;
}

/* ---- comparing ---------------------------------------------------------------------------- */

/* The parts of one span, whose rows these are: the first that differs is the finding. Layers come
 * in order, and spans in each. */
static bool compare(void *context, size_t index, const uint8_t *rows)
{
	struct recheck *c = context;
	const struct trail_span *s = &c->trail->spans[index];
	struct unit_span span = {.position = s->position,
	    .n_tokens = s->n_tokens,
	    .n_logits = s->n_logits,
	    .wire = c->trail->wire};
	struct msg_work_unit u = {.n_spans = 1, .spans = &span, .top = s->top};
	const struct hash *claimed = trail_after(c->trail, s, c->layer);
	struct work_part parts[WORK_PARTS_MAX];
	size_t n = work_parts(c->sizes.d_model, &u, c->layer + 1 == c->trail->n_layers, parts);

	for (size_t i = 0; i < n; i++) {
		struct hash right;

		hash_bytes(rows + parts[i].offset, parts[i].bytes, &right);
		if (hash_equal(&right, &claimed[i]))
			continue;
		c->finding = (struct recheck_finding){.wrong = true,
		    .layer = c->layer,
		    .span = (uint32_t)index,
		    .stage = trail_stage(c->trail, c->layer),
		    .position = parts[i].position,
		    .right = right};
		return false;
	}
	return true;
}

/* ---- running ------------------------------------------------------------------------------ */

static int run_layer(struct recheck *c, uint32_t layer, struct error *err)
{
	const struct replay_job job = {.gguf = c->model->gguf,
	    .kv = c->model->kv,
	    .wire = c->trail->wire,
	    .layer = layer,
	    .n_spans = c->trail->n_spans,
	    .spans = c->spans,
	    .tokens = c->trail->tokens,
	    .in = c->in,
	    .out = c->out};
	uint8_t *next = c->in;
	int rc;

	c->layer = layer;
	rc = replay_layer(c->replay, &job, compare, c, err);
	if (rc != AYNI_OK || c->finding.wrong)
		return rc;
	c->in = c->out;
	c->out = next;
	return AYNI_OK;
}

static void make_evidence(struct recheck *c)
{
	struct recheck_finding *f = &c->finding;
	const struct accusation a = {.trail = c->trail,
	    .manifest = c->model->manifest,
	    .kv_type = (uint32_t)c->model->kv,
	    .d_model = c->sizes.d_model,
	    .stage = f->stage,
	    .layer = f->layer,
	    .span = f->span,
	    .position = f->position,
	    .rows = c->in};

	if (accuse(&a, &f->evidence, &f->evidence_len, &f->no_evidence) != AYNI_OK)
		f->evidence = NULL;
}

/* Layer by layer, so that memory is needed for the weights of one. */
int recheck_run(struct recheck *c, const struct recheck_model *m, const struct trail *t,
    const atomic_bool *stop, struct recheck_finding *out, struct error *err)
{
	int rc = open_run(c, m, t, err);

	for (uint32_t i = 0; rc == AYNI_OK && !c->finding.wrong && i < c->sizes.n_layers; i++)
		rc = atomic_load(stop) ? AYNI_ERR_AGAIN : run_layer(c, i, err);
	if (rc == AYNI_OK && c->finding.wrong)
		make_evidence(c);
	*out = c->finding;
	close_run(c);
	return rc;
}
