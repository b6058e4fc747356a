/* SPDX-License-Identifier: Apache-2.0 */
#include "node/replay.h"

#include <stdlib.h>

#include "compute/layers.h"
#include "compute/logits.h"
#include "node/work.h"

/* Spans that continue each other. */
struct group {
	size_t first; /* span */
	size_t row;   /* of its first token, of all */
	struct work_run run;
};

struct replay {
	const struct kernels *kernels;
	struct team *team;
	/* Of one run: */
	const struct replay_job *job;
	replay_fn *seen;
	void *context;
	struct model_sizes sizes;
	bool last, done;
	struct model *model;
	struct layers *layers;
	struct kv *kv;
	float *activations; /* WORK_RUN_TOKENS x d_model */
	float *logits;      /* logits_rows x n_vocabulary */
	uint32_t logits_rows;
	uint8_t *rows; /* of logits, of a span */
	size_t rows_bytes;
	float *scratch;    /* n_vocabulary */
	struct logit *top; /* n_vocabulary */
};

int replay_new(const struct kernels *k, struct team *team, struct replay **out, struct error *err)
{
	struct replay *r = calloc(1, sizeof *r);

	if (r == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "replay: out of memory");
	r->kernels = k;
	r->team = team;
	*out = r;
	return AYNI_OK;
}

void replay_free(struct replay *r)
{
	free(r);
}

/* ---- opening ------------------------------------------------------------------------------ */

/* What was computed is as private as what was said. */
static void wipe(void *memory, size_t bytes)
{
	if (memory != NULL)
		explicit_bzero(memory, bytes);
	free(memory);
}

static void close_run(struct replay *r)
{
	size_t vocabulary = r->sizes.n_vocabulary;

	wipe(r->activations, WORK_RUN_TOKENS * (size_t)r->sizes.d_model * sizeof *r->activations);
	wipe(r->logits, r->logits_rows * vocabulary * sizeof *r->logits);
	wipe(r->rows, r->rows_bytes);
	wipe(r->scratch, vocabulary * sizeof *r->scratch);
	wipe(r->top, vocabulary * sizeof *r->top);
	kv_free(r->kv);
	layers_free(r->layers);
	model_free(r->model);
	*r = (struct replay){.kernels = r->kernels, .team = r->team};
}

static uint32_t positions(const struct replay_job *job)
{
	uint32_t most = 1;

	for (size_t i = 0; i < job->n_spans; i++) {
		uint32_t end = job->spans[i].position + job->spans[i].n_tokens;

		most = end > most ? end : most;
	}
	return most;
}

static int open_run(struct replay *r, const struct replay_job *job, struct error *err)
{
	int rc = model_sizes_read(job->gguf, &r->sizes, err);

	if (rc == AYNI_OK && job->layer >= r->sizes.n_layers)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "replay: no layer %u", job->layer);
	if (rc != AYNI_OK)
		return rc;
	r->job = job;
	r->last = job->layer + 1 == r->sizes.n_layers;
	r->activations = calloc(WORK_RUN_TOKENS, (size_t)r->sizes.d_model * sizeof *r->activations);
	r->scratch = calloc(r->sizes.n_vocabulary, sizeof *r->scratch);
	r->top = calloc(r->sizes.n_vocabulary, sizeof *r->top);
	if (r->activations == NULL || r->scratch == NULL || r->top == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "replay: out of memory");
	if ((rc = model_load_for(job->gguf, job->layer, job->layer + 1, r->kernels, r->team,
	         &r->model, err)) != AYNI_OK ||
	    (rc = layers_new(r->model, r->kernels, r->team, WORK_RUN_TOKENS, &r->layers, err)) !=
	        AYNI_OK)
		return rc;
	rc = kv_new(r->model, positions(job), job->kv, &r->kv, err);
	if (rc == AYNI_OK)
		kv_set_wire(r->kv, job->wire);
	return rc;
}

/* ---- groups ------------------------------------------------------------------------------- */

/* The spans from this one on that go together. */
static struct group group_from(const struct replay_job *job, size_t first, size_t row)
{
	struct group g = {.first = first, .row = row};
	const struct replay_span *s = job->spans + first, *end = job->spans + job->n_spans;

	while (
	    s < end && work_run_add(&g.run, s->position, s->n_tokens, s->n_logits, WORK_RUN_TOKENS))
		s++;
	return g;
}

static int room_for_logits(struct replay *r, uint32_t n_rows, struct error *err)
{
	size_t vocabulary = r->sizes.n_vocabulary;
	float *logits;

	if (n_rows <= r->logits_rows)
		return AYNI_OK;
	logits = calloc(n_rows, vocabulary * sizeof *logits);
	if (logits == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "replay: out of memory");
	wipe(r->logits, r->logits_rows * vocabulary * sizeof *logits);
	r->logits = logits;
	r->logits_rows = n_rows;
	return AYNI_OK;
}

static int room_for_rows(struct replay *r, size_t bytes, struct error *err)
{
	uint8_t *rows;

	if (bytes <= r->rows_bytes)
		return AYNI_OK;
	rows = calloc(bytes, 1);
	if (rows == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "replay: out of memory");
	wipe(r->rows, r->rows_bytes);
	r->rows = rows;
	r->rows_bytes = bytes;
	return AYNI_OK;
}

static void get(struct replay *r, const struct group *g)
{
	size_t d = r->sizes.d_model, row_bytes = wire_row_bytes(r->job->wire, d);

	for (uint32_t i = 0; i < g->run.n_tokens; i++)
		wire_decode(
		    r->job->wire, r->job->in + (g->row + i) * row_bytes, d, r->activations + i * d);
}

/* What a group gave, as it goes on to the next layer. */
static void put(struct replay *r, const struct group *g)
{
	size_t d = r->sizes.d_model, row_bytes = wire_row_bytes(r->job->wire, d);
	uint8_t *at = r->job->out + g->row * row_bytes;

	for (uint32_t i = 0; i < g->run.n_tokens; i++)
		wire_encode(r->job->wire, r->activations + i * d, d, at + i * row_bytes);
	for (size_t i = g->first; i < g->first + g->run.n && !r->done; i++) {
		r->done = !r->seen(r->context, i, at);
		at += r->job->spans[i].n_tokens * row_bytes;
	}
}

/* Of one span, from its first on. */
static int put_rows(struct replay *r, size_t span, const float *logits, struct error *err)
{
	const struct replay_span *s = &r->job->spans[span];
	size_t row_bytes = logit_row_bytes(s->top), vocabulary = r->sizes.n_vocabulary;

	if (s->top > vocabulary)
		return error_set(err, AYNI_ERR_ARGUMENT, "replay: more logits than tokens");
	if (room_for_rows(r, s->n_logits * row_bytes, err) != AYNI_OK)
		return AYNI_ERR_MEMORY;
	for (uint32_t i = 0; i < s->n_logits; i++) {
		float lse;

		logits_top(r->kernels, logits + i * vocabulary, r->sizes.n_vocabulary, s->top,
		    r->scratch, r->top, &lse);
		logit_row_write(r->rows + i * row_bytes, r->top, s->top, lse);
	}
	r->done = !r->seen(r->context, span, r->rows);
	return AYNI_OK;
}

static int put_logits(struct replay *r, const struct group *g, struct error *err)
{
	uint32_t tokens_left = g->run.n_tokens;
	int rc = AYNI_OK;

	for (size_t i = g->first; i < g->first + g->run.n && rc == AYNI_OK && !r->done; i++) {
		const struct replay_span *s = &r->job->spans[i];

		tokens_left -= s->n_tokens;
		if (s->n_logits > 0)
			rc = put_rows(r, i,
			    r->logits + (size_t)(g->run.n_rows - tokens_left - s->n_logits) *
			                    r->sizes.n_vocabulary,
			    err);
	}
	return rc;
}

static int run_group(struct replay *r, const struct group *g, struct error *err)
{
	struct layers_span span = {.kv = r->kv,
	    .position = r->job->spans[g->first].position,
	    .n_tokens = g->run.n_tokens,
	    .n_logits = r->last ? g->run.n_rows : 0};
	int rc;

	if (g->run.n_tokens > WORK_RUN_TOKENS)
		return error_set(
		    err, AYNI_ERR_LIMIT, "replay: a span of %u tokens", g->run.n_tokens);
	if (r->last && room_for_logits(r, g->run.n_rows, err) != AYNI_OK)
		return AYNI_ERR_MEMORY;
	if (r->job->layer > 0)
		get(r, g);
	rc = layers_run(r->layers, &span, 1, r->job->layer == 0 ? r->job->tokens + g->row : NULL,
	    r->activations, r->last ? r->logits : NULL, err);
	if (rc == AYNI_OK && r->last)
		return put_logits(r, g, err);
	if (rc == AYNI_OK)
		put(r, g);
	return rc;
}

int replay_layer(struct replay *r, const struct replay_job *job, replay_fn *seen, void *context,
    struct error *err)
{
	size_t row = 0;
	int rc = open_run(r, job, err);

	r->seen = seen;
	r->context = context;
	for (size_t i = 0; rc == AYNI_OK && !r->done && i < job->n_spans;) {
		struct group g = group_from(job, i, row);

		rc = run_group(r, &g, err);
		i += g.run.n;
		row += g.run.n_tokens;
	}
	close_run(r);
	return rc;
}
