/* SPDX-License-Identifier: Apache-2.0 */
/* Positions, and attention over the sessions' caches. */
#include <math.h>

#include "compute/batch.h"
#include "compute/kernels/canon.h"

/* ---- positions ------------------------------------------------------------------------------ */

static void fill_angles(
    const struct rope *r, const struct rope_table *table, double position, float *c, float *s)
{
	for (size_t i = 0; i < r->n_pairs; i++) {
		double sine, cosine;

		canon_sincos64(position * table->frequencies[i], &sine, &cosine);
		c[i] = (float)(cosine * table->magnitude);
		s[i] = (float)(sine * table->magnitude);
	}
}

static void angles_part(void *context, size_t first, size_t end, unsigned thread)
{
	struct batch *b = context;
	const struct rope *r = &b->model->rope;
	bool local = b->model->sizes.rope.base_local > 0.0;

	(void)thread;
	for (size_t t = first; t < end; t++) {
		double position = (double)b->tokens[t].position;
		size_t at = t * r->n_pairs;

		for (int i = 0; i < (local ? ROPE_TABLES : 1); i++)
			fill_angles(r, &r->tables[i], position, b->angles[i].cosines + at,
			    b->angles[i].sines + at);
	}
}

void batch_angles(struct batch *b)
{
	batch_spread(b, b->n_tokens, 1, angles_part, b);
}

struct rotate_work {
	const struct batch *batch;
	const struct batch_angles *angles;
	float *x;
	size_t n_heads, width, at;
};

static void rotate_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct rotate_work *work = context;
	const struct kernels *k = work->batch->kernels;
	size_t n_pairs = work->batch->model->rope.n_pairs;
	bool halves = work->batch->model->sizes.rope.halves;

	(void)thread;
	for (size_t t = first; t < end; t++)
		for (size_t h = 0; h < work->n_heads; h++)
			(halves ? k->rope_halves : k->rope_pairs)(
			    work->x + (t * work->n_heads + h) * work->width + work->at,
			    work->angles->cosines + t * n_pairs, work->angles->sines + t * n_pairs,
			    n_pairs);
}

void batch_rotate(
    struct batch *b, uint32_t layer, float *x, size_t n_heads, size_t width, size_t at)
{
	const struct model_sizes *s = &b->model->sizes;
	bool local =
	    s->rope.base_local > 0.0 && model_layer_is_windowed(s, b->model->layer_first + layer);
	struct rotate_work work = {
	    b, &b->angles[local ? ROPE_LOCAL : ROPE_ALL], x, n_heads, width, at};

	batch_spread(b, b->n_tokens, BATCH_TOKENS_GRAIN, rotate_part, &work);
}

void batch_temper(struct batch *b, float *query, size_t width)
{
	const struct model_sizes *s = &b->model->sizes;

	if (s->temperature == 0.0f)
		return;
	for (size_t t = 0; t < b->n_tokens; t++) {
		uint32_t times = b->tokens[t].position / s->temperature_tokens;
		double grown = 1.0 + (double)s->temperature * canon_log64(1.0 + (double)times);

		b->kernels->scale(query + t * width, (float)grown, width);
	}
}

/* ---- the cache ------------------------------------------------------------------------------ */

void batch_remember(struct batch *b, uint32_t layer)
{
	const struct attention_shape a = model_attention_shape(&b->model->sizes);

	for (size_t t = 0; t < b->n_tokens; t++) {
		const struct batch_token *token = &b->tokens[t];

		memcpy(kv_key(token->kv, layer, token->position), b->key + t * a.key_width,
		    a.key_width * sizeof(float));
		if (a.value_width > 0)
			memcpy(kv_value(token->kv, layer, token->position),
			    b->value + t * a.value_width, a.value_width * sizeof(float));
	}
}

/* ---- attention ------------------------------------------------------------------------------ */

struct attend_work {
	const struct batch *batch;
	uint32_t layer;
	const float *query;
	float *out;
	const float *sinks; /* or NULL */
	uint32_t window;    /* 0: all positions */
	struct attention_shape shape;
};

/* What one query head of one token looks at: n positions from `first` on, of one key head. */
struct look {
	struct kv *kv;
	uint32_t first, n;
	size_t kv_head;
	const float *query;
};

/* Rows from a position to the end of its page of the cache, or of the look. */
static uint32_t rows_together(const struct look *l, uint32_t done)
{
	uint32_t in_page = KV_PAGE_TOKENS - (l->first + done) % KV_PAGE_TOKENS;

	return l->n - done < in_page ? l->n - done : in_page;
}

static void score(const struct attend_work *work, const struct look *l, float *scores)
{
	const struct attention_shape *a = &work->shape;

	for (uint32_t p = 0; p < l->n;) {
		uint32_t rows = rows_together(l, p);
		const float *keys =
		    kv_key(l->kv, work->layer, l->first + p) + l->kv_head * a->d_key;

		for (uint32_t i = 0; i < rows; i++, keys += a->key_width)
			scores[p + i] = work->batch->kernels->dot(l->query, keys, a->d_key);
		p += rows;
	}
}

static void gather(
    const struct attend_work *work, const struct look *l, const float *scores, float *out)
{
	const struct attention_shape *a = &work->shape;
	bool apart = a->value_width > 0; /* else a value is its key's beginning */
	size_t width = apart ? a->value_width : a->key_width;

	memset(out, 0, a->d_value * sizeof *out);
	for (uint32_t p = 0; p < l->n;) {
		uint32_t rows = rows_together(l, p), at = l->first + p;
		const float *values =
		    apart ? kv_value(l->kv, work->layer, at) + l->kv_head * a->d_value
		          : kv_key(l->kv, work->layer, at);

		for (uint32_t i = 0; i < rows; i++, values += width)
			work->batch->kernels->accumulate(out, scores[p + i], values, a->d_value);
		p += rows;
	}
}

static void attend_head(const struct attend_work *work, size_t token, size_t head, float *scores)
{
	const struct kernels *k = work->batch->kernels;
	const struct model_sizes *s = &work->batch->model->sizes;
	const struct attention_shape *a = &work->shape;
	const struct batch_token *t = &work->batch->tokens[token];
	uint32_t seen = t->position + 1;
	struct look l = {.kv = t->kv,
	    .first = work->window > 0 && seen > work->window ? seen - work->window : 0,
	    .kv_head = head / (s->n_heads / a->n_kv_heads),
	    .query = work->query + (token * s->n_heads + head) * a->d_key};
	float *out = work->out + (token * s->n_heads + head) * a->d_value;
	float max, z;

	l.n = seen - l.first;
	score(work, &l, scores);
	k->scale(scores, s->attention_scale, l.n);
	if (s->attention_cap > 0.0f)
		k->soft_cap(scores, s->attention_cap, l.n);
	max = k->max(scores, l.n);
	if (work->sinks != NULL && work->sinks[head] > max)
		max = work->sinks[head];
	z = k->exp_sum(scores, max, l.n);
	if (work->sinks != NULL)
		z += canon_exp(work->sinks[head] - max);
	gather(work, &l, scores, out);
	k->scale(out, 1.0f / z, a->d_value);
}

/* Items are (token, query head); heads that share a key head stand side by side. */
static void attend_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct attend_work *work = context;
	const struct batch *b = work->batch;
	size_t n_heads = b->model->sizes.n_heads;

	for (size_t i = first; i < end; i++)
		attend_head(work, i / n_heads, i % n_heads, b->scores + thread * b->scores_stride);
}

void batch_attend(struct batch *b, uint32_t layer, const float *query, float *out)
{
	const struct model_sizes *s = &b->model->sizes;
	struct attend_work work = {.batch = b,
	    .layer = layer,
	    .query = query,
	    .out = out,
	    .sinks = b->model->layers[layer].sinks,
	    .shape = model_attention_shape(s)};

	if (model_layer_is_windowed(s, b->model->layer_first + layer))
		work.window = s->window;
	batch_spread(b, b->n_tokens * s->n_heads, 1, attend_part, &work);
}

/* ---- products of single heads --------------------------------------------------------------- */

struct heads_work {
	const struct batch *batch;
	const struct batch_head_product *product;
};

/*
 * Items are (head, token), a head's tokens side by side, so that its rows stay in cache. A head's
 * vector is quantised where it is used, into the batch's buffer at its own place.
 */
static void heads_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct heads_work *work = context;
	const struct batch *b = work->batch;
	const struct batch_head_product *p = work->product;
	size_t n_heads = b->model->sizes.n_heads, n = p->weights.n_cols;

	(void)thread;
	for (size_t i = first; i < end; i++) {
		size_t head = i / b->n_tokens, item = i % b->n_tokens * n_heads + head;
		uint32_t row = p->first + (uint32_t)head * p->stride;
		struct matrix rows = matrix_rows(&p->weights, row, p->n_rows);
		struct activations a = {.n = n, .n_vectors = 1, .f32 = p->in + item * p->in_stride};

		if (tensor_type_info(rows.type)->quantised) {
			int8_t *quants = b->quants + item * n;
			float *scales = b->scales + item * n / QUANT_BLOCK;

			int16_t *sums = b->sums + item * n / QUANT_HALF;

			b->kernels->quantise(a.f32, n, quants, scales, sums);
			a.quants = quants;
			a.scales = scales;
			a.sums = sums;
		}
		b->kernels->matmul(
		    &rows, 0, p->n_rows, &a, p->out + item * p->out_stride, p->n_rows);
	}
}

void batch_heads(struct batch *b, const struct batch_head_product *p)
{
	struct heads_work work = {b, p};

	batch_spread(b, b->n_tokens * b->model->sizes.n_heads, 1, heads_part, &work);
}
