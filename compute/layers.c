/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/layers.h"

#include <stdlib.h>

#include "compute/arch/arch.h"
#include "compute/kernels/panels.h"

enum {
	MAX_BLOCKS = 32,  /* pieces of scratch memory */
	ALIGN_BYTES = 64, /* a cache line, and the widest vector register */
	MIN_SCORES = 1024 /* positions that attention has room for from the start */
};

struct block {
	void *data;
	size_t bytes;
};

struct layers {
	const struct model *model;
	uint32_t max_tokens;
	struct batch batch;
	struct block blocks[MAX_BLOCKS];
	size_t n_blocks;
	struct block scores; /* grows with the longest context seen */
	layers_seen_fn *seen;
	void *seen_context;
};

/* ---- memory --------------------------------------------------------------------------------- */

static void block_free(struct block *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->bytes); /* it tells what was said */
	free(b->data);
	*b = (struct block){0};
}

static bool block_new(size_t n, size_t width, size_t size, struct block *out)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, width, &bytes) ||
	    __builtin_mul_overflow(bytes, size, &bytes) ||
	    __builtin_add_overflow(bytes, ALIGN_BYTES, &bytes))
		return false;
	bytes = bytes / ALIGN_BYTES * ALIGN_BYTES;
	out->data = aligned_alloc(ALIGN_BYTES, bytes);
	out->bytes = bytes;
	return out->data != NULL;
}

/* A piece of scratch memory that lives as long as `l`; NULL if there is none. */
static void *take(struct layers *l, size_t n, size_t width, size_t size)
{
	struct block *b = &l->blocks[l->n_blocks];

	assert(l->n_blocks < MAX_BLOCKS);
	if (!block_new(n, width, size, b))
		return NULL;
	l->n_blocks++;
	return b->data;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Tokens and rows of experts that run together. */
static size_t expert_tokens(const struct layers *l)
{
	return l->max_tokens < BATCH_EXPERT_TOKENS ? l->max_tokens : BATCH_EXPERT_TOKENS;
}

static size_t expert_rows(const struct layers *l)
{
	return expert_tokens(l) * l->model->sizes.experts.n_used;
}

/* Elements of the middle of the feed-forward, whichever is larger. */
static size_t middle(const struct layers *l)
{
	const struct model_sizes *s = &l->model->sizes;
	size_t tokens = l->max_tokens < BATCH_MIDDLE_TOKENS ? l->max_tokens : BATCH_MIDDLE_TOKENS;
	size_t n = tokens * s->d_ff;

	n = larger(n, expert_rows(l) * s->experts.d_ff);
	return larger(n, expert_tokens(l) * s->experts.d_ff_shared);
}

/* Elements of the largest input of one call of products. */
static size_t widest_input(const struct layers *l)
{
	const struct model_sizes *s = &l->model->sizes;
	size_t n = larger(s->d_model, (size_t)s->n_heads * s->d_value);

	n = larger(n, s->d_query_latent);
	if (s->d_latent > 0)
		n = larger(n, (size_t)s->n_heads * larger(s->d_latent, s->d_head));
	n = larger(n * l->max_tokens, expert_rows(l) * s->d_model);
	return larger(n, middle(l));
}

struct piece {
	float **place;
	size_t n, width;
};

static bool take_floats(struct layers *l, const struct piece *pieces, size_t n_pieces)
{
	for (size_t i = 0; i < n_pieces; i++) {
		if (pieces[i].width == 0)
			continue;
		*pieces[i].place = take(l, pieces[i].n, pieces[i].width, sizeof(float));
		if (*pieces[i].place == NULL)
			return false;
	}
	return true;
}

static bool take_experts(struct layers *l)
{
	const struct model_sizes *s = &l->model->sizes;
	struct batch_experts *x = &l->batch.experts;
	size_t m = expert_tokens(l), r = expert_rows(l);
	const struct piece pieces[] = {
	    {&x->logits, m, s->experts.n},
	    {&x->choice, m, s->experts.n},
	    {&x->in, r, s->d_model},
	    {&x->out, r, s->d_model},
	    {&x->shared, m, s->experts.d_ff_shared > 0 ? s->d_model : 0},
	    {&x->weights, r, 1},
	};

	if (s->experts.n == 0)
		return true;
	x->chosen = take(l, r, 1, sizeof *x->chosen);
	x->row = take(l, r, 1, sizeof *x->row);
	x->first = take(l, s->experts.n + 1, 1, sizeof *x->first);
	x->products = take(l, s->experts.n, 2, sizeof *x->products);
	return x->chosen != NULL && x->row != NULL && x->first != NULL && x->products != NULL &&
	       take_floats(l, pieces, sizeof pieces / sizeof pieces[0]);
}

static bool take_all(struct layers *l)
{
	const struct model_sizes *s = &l->model->sizes;
	const struct attention_shape a = model_attention_shape(s);
	struct batch *b = &l->batch;
	size_t n = l->max_tokens, pairs = s->d_rope / 2, latent = s->d_latent > 0 ? n : 0;
	size_t local = s->rope.base_local > 0.0 ? pairs : 0;
	const struct piece pieces[] = {
	    {&b->normed, n, s->d_model},
	    {&b->query, n, (size_t)s->n_heads * s->d_head},
	    {&b->key, n, a.key_width},
	    {&b->value, n, a.value_width},
	    {&b->mixed, n, (size_t)s->n_heads * s->d_value},
	    {&b->gate, middle(l), 1},
	    {&b->up, middle(l), 1},
	    {&b->update, n, s->d_model},
	    {&b->angles[ROPE_ALL].cosines, n, pairs},
	    {&b->angles[ROPE_ALL].sines, n, pairs},
	    {&b->angles[ROPE_LOCAL].cosines, n, local},
	    {&b->angles[ROPE_LOCAL].sines, n, local},
	    {&b->query_latent, n, s->d_query_latent},
	    {&b->absorbed, latent, latent > 0 ? (size_t)s->n_heads * a.d_key : 0},
	    {&b->gathered, latent, (size_t)s->n_heads * s->d_latent},
	    {&b->sums, 1, latent > 0 ? s->n_heads : 0},
	};

	b->quants = take(l, widest_input(l), 1, sizeof *b->quants);
	b->terms = take(l, widest_input(l) / QUANT_BLOCK + 1, 1, sizeof *b->terms);
	b->tokens = take(l, n, 1, sizeof *b->tokens);
	b->groups = take(l, n, 1, sizeof *b->groups);
	b->columns = take(l, latent > 0 ? team_size(b->team) : 0, a.d_value, sizeof *b->columns);
	return b->quants != NULL && b->terms != NULL && b->tokens != NULL && b->groups != NULL &&
	       b->columns != NULL && take_floats(l, pieces, sizeof pieces / sizeof pieces[0]) &&
	       take_experts(l);
}

/* Room for the scores of n positions in each thread. Grows by doubling, so that it soon rests. */
static int grow_scores(struct layers *l, size_t n, struct error *err)
{
	size_t stride = l->batch.scores_stride > 0 ? l->batch.scores_stride : MIN_SCORES;

	while (stride < n + 2 * KV_PAGE_TOKENS) /* whole pages, at both ends */
		stride *= 2;
	if (stride == l->batch.scores_stride)
		return AYNI_OK;
	block_free(&l->scores);
	l->batch.scores_stride = 0;
	if (!block_new(larger((size_t)team_size(l->batch.team) * MAX_QUERIES,
	                   l->model->sizes.d_latent > 0 ? l->model->sizes.n_heads : 0),
	        stride, sizeof(float), &l->scores))
		return error_set(
		    err, AYNI_ERR_MEMORY, "layers: no memory for attention over %zu positions", n);
	l->batch.scores = l->scores.data;
	l->batch.scores_stride = stride;
	return AYNI_OK;
}

int layers_new(const struct model *m, const struct kernels *k, struct team *team,
    uint32_t max_tokens, struct layers **out, struct error *err)
{
	struct layers *l;

	if (max_tokens == 0 || max_tokens > LIMIT_CONTEXT_TOKENS)
		return error_set(err, AYNI_ERR_LIMIT,
		    "layers: batches of %u tokens are not between 1 and %d", max_tokens,
		    LIMIT_CONTEXT_TOKENS);
	l = calloc(1, sizeof *l);
	if (l == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "layers: no memory");
	l->model = m;
	l->max_tokens = max_tokens;
	l->batch = (struct batch){.model = m, .kernels = k, .team = team};
	if (!take_all(l) || grow_scores(l, MIN_SCORES, NULL) != AYNI_OK) {
		layers_free(l);
		return error_set(
		    err, AYNI_ERR_MEMORY, "layers: no memory for batches of %u tokens", max_tokens);
	}
	*out = l;
	return AYNI_OK;
}

void layers_free(struct layers *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->n_blocks; i++)
		block_free(&l->blocks[i]);
	block_free(&l->scores);
	free(l);
}

/* ---- checks: nothing is changed before all have passed -------------------------------------- */

struct totals {
	size_t n_tokens;
	size_t n_logits;
	size_t context; /* positions of the longest session after the batch */
};

static int check_range(const struct model *m, uint32_t first, uint32_t last, struct error *err)
{
	if (first >= last || first < m->layer_first || last > m->layer_last)
		return error_set(err, AYNI_ERR_ARGUMENT, "layers: [%u, %u) are no part of [%u, %u)",
		    first, last, m->layer_first, m->layer_last);
	if (last > m->layer_ready)
		return error_set(err, AYNI_ERR_STATE, "layers: [%u, %u) are not ready yet",
		    m->layer_ready, last);
	return AYNI_OK;
}

static int check_span(const struct layers *l, bool ends, const struct layers_span *spans, size_t i,
    const struct totals *so_far, struct error *err)
{
	const struct layers_span *s = &spans[i];

	if (s->n_tokens == 0 || s->n_tokens > l->max_tokens - so_far->n_tokens)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "layers: span %zu has %u tokens, but 1 to %zu fit this batch", i, s->n_tokens,
		    l->max_tokens - so_far->n_tokens);
	if (s->n_logits > s->n_tokens || (s->n_logits > 0 && !ends))
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "layers: span %zu wants %u rows of logits, but up to %u can be had", i,
		    s->n_logits, ends ? s->n_tokens : 0);
	if (s->kv == NULL || !kv_fits(s->kv, l->model))
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "layers: span %zu's cache is of another range", i);
	for (size_t j = 0; j < i; j++)
		if (spans[j].kv == s->kv)
			return error_set(err, AYNI_ERR_ARGUMENT,
			    "layers: spans %zu and %zu are of one session", j, i);
	if (s->position > kv_length(s->kv) || s->n_tokens > kv_capacity(s->kv) - s->position)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "layers: span %zu, positions [%u, %u + %u), does not fit a cache with %u of %u "
		    "positions filled",
		    i, s->position, s->position, s->n_tokens, kv_length(s->kv), kv_capacity(s->kv));
	return AYNI_OK;
}

/* `ends`: the model ends with the range. */
static int check_spans(const struct layers *l, bool ends, const struct layers_span *spans,
    size_t n_spans, struct totals *out, struct error *err)
{
	*out = (struct totals){0};
	if (n_spans == 0)
		return error_set(err, AYNI_ERR_ARGUMENT, "layers: a batch without spans");
	for (size_t i = 0; i < n_spans; i++) {
		int rc = check_span(l, ends, spans, i, out, err);
		size_t context = (size_t)spans[i].position + spans[i].n_tokens;

		if (rc != AYNI_OK)
			return rc;
		out->n_tokens += spans[i].n_tokens;
		out->n_logits += spans[i].n_logits;
		if (context > out->context)
			out->context = context;
	}
	return AYNI_OK;
}

static int check_input(const struct layers *l, uint32_t first, size_t n, const uint32_t *tokens,
    const float *activations, struct error *err)
{
	const struct model_sizes *s = &l->model->sizes;

	if (first > 0) {
		if (!l->batch.kernels->all_finite(activations, n * s->d_model))
			return error_set(
			    err, AYNI_ERR_NUMERIC, "layers: an input activation is not finite");
		return AYNI_OK;
	}
	if (tokens == NULL)
		return error_set(err, AYNI_ERR_ARGUMENT, "layers: layer 0 takes token ids");
	for (size_t i = 0; i < n; i++)
		if (tokens[i] >= s->n_vocabulary)
			return error_set(err, AYNI_ERR_ARGUMENT,
			    "layers: token %zu is %u, outside a vocabulary of %u", i, tokens[i],
			    s->n_vocabulary);
	return AYNI_OK;
}

/* ---- a batch -------------------------------------------------------------------------------- */

/* Memory for the batch's positions, and the list of its tokens. */
static int prepare(struct layers *l, const struct layers_span *spans, size_t n_spans,
    const struct totals *totals, struct error *err)
{
	size_t n = 0;
	int rc = grow_scores(l, totals->context, err);

	for (size_t i = 0; rc == AYNI_OK && i < n_spans; i++) {
		rc = kv_reserve(spans[i].kv, spans[i].position, spans[i].n_tokens, err);
		for (uint32_t t = 0; t < spans[i].n_tokens; t++)
			l->batch.tokens[n++] =
			    (struct batch_token){spans[i].kv, spans[i].position + t};
	}
	l->batch.n_tokens = n;
	return rc;
}

static void embed(struct layers *l, const uint32_t *tokens)
{
	const struct matrix *e = &l->model->embedding;

	for (size_t t = 0; t < l->batch.n_tokens; t++)
		matrix_decode_row(e, tokens[t], l->batch.residual + t * e->n_cols);
	if (l->model->sizes.embedding_scale != 0.0f)
		l->batch.kernels->scale(l->batch.residual, l->model->sizes.embedding_scale,
		    l->batch.n_tokens * e->n_cols);
}

/* The final norm and the vocabulary head, for the rows wanted alone. */
static void project(struct layers *l, const struct layers_span *spans, size_t n_spans,
    size_t n_logits, float *logits)
{
	const struct model *m = l->model;
	size_t d = m->sizes.d_model, token = 0, row = 0;

	for (size_t i = 0; i < n_spans; i++) {
		token += spans[i].n_tokens;
		for (size_t t = token - spans[i].n_logits; t < token; t++)
			l->batch.kernels->rms_norm(l->batch.residual + t * d, m->output_norm,
			    m->sizes.norm_epsilon, d, l->batch.normed + row++ * d);
	}
	batch_products(&l->batch, l->batch.normed, n_logits * d,
	    &(struct batch_product){m->output, l->batch.normed, logits, n_logits}, 1);
	if (m->sizes.logit_cap > 0.0f)
		l->batch.kernels->soft_cap(
		    logits, m->sizes.logit_cap, n_logits * m->sizes.n_vocabulary);
}

/* Between two layers, wherever they are cut apart. */
static void cross_wire(struct layers *l, const struct layers_span *spans, size_t n_spans)
{
	size_t d = l->model->sizes.d_model;
	float *row = l->batch.residual;

	for (size_t i = 0; i < n_spans; i++) {
		enum wire_type wire = kv_wire(spans[i].kv);

		for (uint32_t t = 0; wire != WIRE_F32 && t < spans[i].n_tokens; t++)
			wire_round(wire, row + t * d, d);
		row += spans[i].n_tokens * d;
	}
}

void layers_watch(struct layers *l, layers_seen_fn *seen, void *context)
{
	l->seen = seen;
	l->seen_context = context;
}

int layers_run(struct layers *l, const struct layers_span *spans, size_t n_spans,
    const uint32_t *tokens, float *activations, float *logits, struct error *err)
{
	return layers_run_part(l, l->model->layer_first, l->model->layer_last, spans, n_spans,
	    tokens, activations, logits, err);
}

int layers_run_part(struct layers *l, uint32_t first, uint32_t last,
    const struct layers_span *spans, size_t n_spans, const uint32_t *tokens, float *activations,
    float *logits, struct error *err)
{
	const struct model_sizes *s = &l->model->sizes;
	const struct kernels *k = l->batch.kernels;
	struct totals totals;
	int rc = check_range(l->model, first, last, err);

	if (rc == AYNI_OK)
		rc = check_spans(l, last == s->n_layers, spans, n_spans, &totals, err);
	if (rc == AYNI_OK && totals.n_logits > 0 && logits == NULL)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "layers: no place for the logits wanted");
	if (rc == AYNI_OK)
		rc = check_input(l, first, totals.n_tokens, tokens, activations, err);
	if (rc == AYNI_OK)
		rc = prepare(l, spans, n_spans, &totals, err);
	if (rc != AYNI_OK)
		return rc;

	l->batch.residual = activations;
	if (first == 0)
		embed(l, tokens);
	batch_angles(&l->batch);
	batch_groups(&l->batch);
	for (uint32_t layer = first; layer < last; layer++) {
		if (layer > first && l->seen != NULL)
			l->seen(l->seen_context, layer - 1, activations);
		if (layer > first)
			cross_wire(l, spans, n_spans);
		l->model->arch->attention(&l->batch, layer - l->model->layer_first);
		l->model->arch->feed_forward(&l->batch, layer - l->model->layer_first);
	}
	if (totals.n_logits > 0)
		project(l, spans, n_spans, totals.n_logits, logits);

	if (!k->all_finite(activations, totals.n_tokens * s->d_model) ||
	    (totals.n_logits > 0 && !k->all_finite(logits, totals.n_logits * s->n_vocabulary)))
		return error_set(err, AYNI_ERR_NUMERIC, "layers: an output is not finite");
	for (size_t i = 0; i < n_spans; i++)
		kv_filled(spans[i].kv, spans[i].position + spans[i].n_tokens);
	return AYNI_OK;
}
