/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/batch.h"

#include <math.h>

#include "compute/kernels/canon.h"

/* Smallest parts worth waking a thread for, and units in which work is cut. */
enum {
	ROWS_GRAIN = 8,        /* rows of a matrix; a multiple of what kernels interleave */
	TOKENS_GRAIN = 4,      /* tokens in the cheap operations of one token */
	ELEMENTS_GRAIN = 2048, /* elements in elementwise operations */
	BLOCKS_GRAIN = ELEMENTS_GRAIN / QUANT_BLOCK
};

static void spread(struct batch *b, size_t n_items, size_t grain, team_fn *fn, void *context)
{
	if (n_items <= grain)
		fn(context, 0, n_items, 0);
	else
		team_run(b->team, n_items, grain, fn, context);
}

/* ---- positions ------------------------------------------------------------------------------ */

static void angles_part(void *context, size_t first, size_t end, unsigned thread)
{
	struct batch *b = context;
	size_t n_pairs = b->model->sizes.d_rope / 2;

	(void)thread;
	for (size_t t = first; t < end; t++) {
		double position = (double)b->tokens[t].position;

		for (size_t i = 0; i < n_pairs; i++) {
			double sine, cosine;

			canon_sincos64(position * b->model->rope_frequencies[i], &sine, &cosine);
			b->cosines[t * n_pairs + i] = (float)cosine;
			b->sines[t * n_pairs + i] = (float)sine;
		}
	}
}

void batch_angles(struct batch *b)
{
	spread(b, b->n_tokens, 1, angles_part, b);
}

static void rotate_heads(const struct batch *b, float *x, size_t n_heads, size_t token)
{
	const struct model_sizes *s = &b->model->sizes;
	size_t n_pairs = s->d_rope / 2;

	for (size_t h = 0; h < n_heads; h++)
		b->kernels->rope_pairs(x + h * s->d_head, b->cosines + token * n_pairs,
		    b->sines + token * n_pairs, n_pairs);
}

static void rotate_part(void *context, size_t first, size_t end, unsigned thread)
{
	struct batch *b = context;
	const struct model_sizes *s = &b->model->sizes;
	size_t query_width = (size_t)s->n_heads * s->d_head;
	size_t key_width = (size_t)s->n_kv_heads * s->d_head;

	(void)thread;
	for (size_t t = first; t < end; t++) {
		rotate_heads(b, b->query + t * query_width, s->n_heads, t);
		rotate_heads(b, b->key + t * key_width, s->n_kv_heads, t);
	}
}

void batch_rotate(struct batch *b)
{
	spread(b, b->n_tokens, TOKENS_GRAIN, rotate_part, b);
}

/* ---- norms and elementwise ------------------------------------------------------------------ */

struct norm_work {
	const struct batch *batch;
	const float *weight;
};

static void norm_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct norm_work *work = context;
	const struct batch *b = work->batch;
	size_t n = b->model->sizes.d_model;

	(void)thread;
	for (size_t t = first; t < end; t++)
		b->kernels->rms_norm(b->residual + t * n, work->weight,
		    b->model->sizes.norm_epsilon, n, b->normed + t * n);
}

void batch_norm(struct batch *b, const float *weight)
{
	struct norm_work work = {.batch = b, .weight = weight};

	spread(b, b->n_tokens, TOKENS_GRAIN, norm_part, &work);
}

static void gate_part(void *context, size_t first, size_t end, unsigned thread)
{
	struct batch *b = context;

	(void)thread;
	b->kernels->silu_mul(b->gate + first, b->up + first, end - first);
}

void batch_gate(struct batch *b)
{
	spread(b, b->n_tokens * b->model->sizes.d_ff, ELEMENTS_GRAIN, gate_part, b);
}

static void add_part(void *context, size_t first, size_t end, unsigned thread)
{
	struct batch *b = context;

	(void)thread;
	b->kernels->add(b->residual + first, b->update + first, end - first);
}

void batch_add(struct batch *b)
{
	/* Addition is cheaper than waking a thread, except in a long prompt. */
	spread(b, b->n_tokens * b->model->sizes.d_model, 8 * ELEMENTS_GRAIN, add_part, b);
}

/* ---- products with weights ------------------------------------------------------------------ */

struct quantise_work {
	const struct batch *batch;
	const float *in;
};

/* Items are blocks: a vector is whole blocks, so that vectors need not be told apart. */
static void quantise_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct quantise_work *work = context;
	const struct batch *b = work->batch;

	(void)thread;
	b->kernels->quantise(work->in + first * QUANT_BLOCK, (end - first) * QUANT_BLOCK,
	    b->quants + first * QUANT_BLOCK, b->scales + first);
}

struct products_work {
	const struct batch *batch;
	const struct batch_product *products;
	size_t n_products;
	struct activations in;
};

static size_t row_groups(const struct matrix *w)
{
	return ((size_t)w->n_rows + ROWS_GRAIN - 1) / ROWS_GRAIN;
}

/* Items are groups of ROWS_GRAIN rows, the matrices' one after the other. */
static void products_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct products_work *work = context;
	size_t base = 0;

	(void)thread;
	for (size_t p = 0; p < work->n_products && base < end; p++) {
		const struct matrix *w = work->products[p].weights;
		size_t groups = row_groups(w);
		size_t from = first > base ? first - base : 0;
		size_t to = end - base < groups ? end - base : groups;

		if (from < to) {
			size_t row_end = to * ROWS_GRAIN < w->n_rows ? to * ROWS_GRAIN : w->n_rows;

			work->batch->kernels->matmul(w, (uint32_t)(from * ROWS_GRAIN),
			    (uint32_t)row_end, &work->in, work->products[p].out, w->n_rows);
		}
		base += groups;
	}
}

void batch_products(struct batch *b, const float *in, size_t n_vectors,
    const struct batch_product *products, size_t n_products)
{
	struct products_work work = {.batch = b, .products = products, .n_products = n_products};
	size_t n = products[0].weights->n_cols;
	size_t groups = 0;
	bool quantised = false;

	for (size_t p = 0; p < n_products; p++) {
		assert(products[p].weights->n_cols == n);
		quantised |= tensor_type_info(products[p].weights->type)->quantised;
		groups += row_groups(products[p].weights);
	}
	work.in = (struct activations){.n = n, .n_vectors = n_vectors, .f32 = in};
	if (quantised) {
		struct quantise_work blocks = {.batch = b, .in = in};

		spread(b, n_vectors * n / QUANT_BLOCK, BLOCKS_GRAIN, quantise_part, &blocks);
		work.in.quants = b->quants;
		work.in.scales = b->scales;
	}
	spread(b, groups, 1, products_part, &work);
}

/* ---- attention ------------------------------------------------------------------------------ */

void batch_remember(struct batch *b, uint32_t layer)
{
	const struct model_sizes *s = &b->model->sizes;
	size_t key_width = (size_t)s->n_kv_heads * s->d_head;
	size_t value_width = (size_t)s->n_kv_heads * s->d_value;

	for (size_t t = 0; t < b->n_tokens; t++) {
		const struct batch_token *token = &b->tokens[t];

		memcpy(kv_key(token->kv, layer, token->position), b->key + t * key_width,
		    key_width * sizeof(float));
		memcpy(kv_value(token->kv, layer, token->position), b->value + t * value_width,
		    value_width * sizeof(float));
	}
}

struct attend_work {
	struct batch *batch;
	uint32_t layer;
};

static size_t rows_in_page(size_t position, size_t n)
{
	return n - position < KV_PAGE_TOKENS ? n - position : KV_PAGE_TOKENS;
}

/* One query head of one token. Rows of one page of the cache follow each other. */
static void attend_head(const struct attend_work *work, size_t token, size_t head, float *scores)
{
	struct batch *b = work->batch;
	const struct kernels *k = b->kernels;
	const struct model_sizes *s = &b->model->sizes;
	struct kv *kv = b->tokens[token].kv;
	size_t kv_head = head / (s->n_heads / s->n_kv_heads);
	size_t key_width = (size_t)s->n_kv_heads * s->d_head;
	size_t value_width = (size_t)s->n_kv_heads * s->d_value;
	const float *query = b->query + (token * s->n_heads + head) * s->d_head;
	float *out = b->mixed + (token * s->n_heads + head) * s->d_value;
	size_t n = (size_t)b->tokens[token].position + 1;
	float z;

	for (size_t p = 0; p < n; p += KV_PAGE_TOKENS) {
		const float *keys = kv_key(kv, work->layer, (uint32_t)p) + kv_head * s->d_head;
		size_t rows = rows_in_page(p, n);

		for (size_t i = 0; i < rows; i++)
			scores[p + i] = k->dot(query, keys + i * key_width, s->d_head);
	}
	k->scale(scores, 1.0f / sqrtf((float)s->d_head), n);
	z = k->exp_sum(scores, k->max(scores, n), n);

	for (size_t i = 0; i < s->d_value; i++)
		out[i] = 0.0f;
	for (size_t p = 0; p < n; p += KV_PAGE_TOKENS) {
		const float *values = kv_value(kv, work->layer, (uint32_t)p) + kv_head * s->d_value;
		size_t rows = rows_in_page(p, n);

		for (size_t i = 0; i < rows; i++)
			k->accumulate(out, scores[p + i], values + i * value_width, s->d_value);
	}
	k->scale(out, 1.0f / z, s->d_value);
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

void batch_attend(struct batch *b, uint32_t layer)
{
	struct attend_work work = {.batch = b, .layer = layer};

	spread(b, b->n_tokens * b->model->sizes.n_heads, 1, attend_part, &work);
}
