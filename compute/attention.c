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

struct remember_work {
	const struct batch *batch;
	uint32_t layer;
	struct attention_shape shape;
};

/* Keys stand across: element d of a position is number d * KV_PAGE_TOKENS of its page. */
static void remember_key(const struct kernels *k, const float *key, size_t d, uint16_t *at)
{
	uint16_t halves[KV_PAGE_TOKENS];

	for (size_t i = 0; i < d; i += KV_PAGE_TOKENS) {
		size_t n = d - i < KV_PAGE_TOKENS ? d - i : KV_PAGE_TOKENS;

		k->to_halves(key + i, n, halves);
		for (size_t e = 0; e < n; e++)
			at[(i + e) * KV_PAGE_TOKENS] = halves[e];
	}
}

static void remember_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct remember_work *work = context;
	const struct batch *b = work->batch;
	const struct attention_shape *a = &work->shape;

	(void)thread;
	for (size_t t = first; t < end; t++)
		for (uint32_t head = 0; head < a->n_kv_heads; head++) {
			const struct batch_token *token = &b->tokens[t];
			uint32_t p = token->position;
			uint16_t *keys = kv_keys(token->kv, work->layer, head, p);
			uint16_t *values = kv_values(token->kv, work->layer, head, p);

			p %= KV_PAGE_TOKENS;
			remember_key(b->kernels, b->key + t * a->key_width + head * a->d_key,
			    a->d_key, keys + p);
			if (a->value_width > 0)
				b->kernels->to_halves(
				    b->value + t * a->value_width + head * a->d_value, a->d_value,
				    values + (size_t)p * a->d_value);
		}
}

void batch_remember(struct batch *b, uint32_t layer)
{
	struct remember_work work = {b, layer, model_attention_shape(&b->model->sizes)};

	batch_spread(b, b->n_tokens, BATCH_TOKENS_GRAIN, remember_part, &work);
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
	size_t heads_together, n_parts; /* query heads of an item; such parts of all query heads */
};

/* Neighbouring tokens of a session and query heads of one key head, which look at the same pages.
 * Position `base` is the first of the first page; query q is head q % n_heads of token q / n_heads.
 */
struct look {
	struct kv *kv;
	uint32_t kv_head;
	size_t token, n_tokens;
	size_t head, n_heads;
	size_t n_queries;
	uint32_t base, end; /* positions [base, end) are in pages that some query sees */
	const float *query[MAX_QUERIES];
	float *out[MAX_QUERIES];
	float *scores[MAX_QUERIES]; /* of the positions from base on */
	float sum[MAX_QUERIES];     /* of a query's weights */
};

/* What a token of the look sees: positions [first, end). */
static uint32_t seen_first(const struct attend_work *work, const struct batch_token *t)
{
	return work->window > 0 && t->position + 1 > work->window ? t->position + 1 - work->window
	                                                          : 0;
}

static void begin_look(const struct attend_work *work, const struct batch_group *g, size_t part,
    float *scores, struct look *l)
{
	const struct batch *b = work->batch;
	const struct attention_shape *a = &work->shape;
	const struct batch_token *tokens = &b->tokens[g->token];
	size_t n_heads = b->model->sizes.n_heads;

	*l = (struct look){.kv = tokens[0].kv,
	    .token = g->token,
	    .n_tokens = g->n_tokens,
	    .head = part * work->heads_together,
	    .n_heads = work->heads_together,
	    .n_queries = g->n_tokens * work->heads_together,
	    .base = seen_first(work, &tokens[0]) / KV_PAGE_TOKENS * KV_PAGE_TOKENS,
	    .end = tokens[g->n_tokens - 1].position + 1};
	l->kv_head = (uint32_t)(l->head / (n_heads / a->n_kv_heads));
	for (size_t q = 0; q < l->n_queries; q++) {
		size_t row = (l->token + q / l->n_heads) * n_heads + l->head + q % l->n_heads;

		l->query[q] = work->query + row * a->d_key;
		l->out[q] = work->out + row * a->d_value;
		l->scores[q] = scores + q * b->scores_stride;
	}
}

/* All positions of all pages: what a query does not see is computed and not used. */
static void score(const struct attend_work *work, const struct look *l)
{
	for (uint32_t p = l->base; p < l->end; p += KV_PAGE_TOKENS) {
		float *out[MAX_QUERIES];

		for (size_t q = 0; q < l->n_queries; q++) {
			out[q] = l->scores[q] + (p - l->base);
			memset(out[q], 0, KV_PAGE_TOKENS * sizeof *out[q]);
		}
		work->batch->kernels->add_rows(kv_keys(l->kv, work->layer, l->kv_head, p),
		    KV_PAGE_TOKENS, work->shape.d_key, KV_PAGE_TOKENS, l->query, out, l->n_queries);
	}
}

/* From scores to weights that are not yet divided by their sum, which is returned. */
static float weigh(const struct attend_work *work, size_t head, float *scores, size_t n)
{
	const struct kernels *k = work->batch->kernels;
	const struct model_sizes *s = &work->batch->model->sizes;
	float max, z;

	k->scale(scores, s->attention_scale, n);
	if (s->attention_cap > 0.0f)
		k->soft_cap(scores, s->attention_cap, n);
	max = k->max(scores, n);
	if (work->sinks != NULL && work->sinks[head] > max)
		max = work->sinks[head];
	z = k->exp_sum(scores, max, n);
	if (work->sinks != NULL)
		z += canon_exp(work->sinks[head] - max);
	return z;
}

/* Add the values of positions [first, end) of one page to queries [q, q + n). */
static void add_values(const struct attend_work *work, const struct look *l, uint32_t first,
    uint32_t end, size_t q, size_t n)
{
	const struct attention_shape *a = &work->shape;
	const uint16_t *values = kv_values(l->kv, work->layer, l->kv_head, first) +
	                         (size_t)(first % KV_PAGE_TOKENS) * a->d_value;
	const float *weights[MAX_QUERIES];

	for (size_t i = 0; i < n; i++)
		weights[i] = l->scores[q + i] + (first - l->base);
	work->batch->kernels->add_rows(
	    values, a->d_value, end - first, a->d_value, weights, l->out + q, n);
}

/* The values of one page: of tokens that see all of it together, else of one after the other. */
static void gather_page(const struct attend_work *work, const struct look *l, uint32_t page)
{
	const struct batch_token *tokens = &work->batch->tokens[l->token];
	const struct batch_token *last = &tokens[l->n_tokens - 1];
	uint32_t page_end = page + KV_PAGE_TOKENS;

	if (seen_first(work, last) <= page && tokens[0].position + 1 >= page_end) {
		add_values(work, l, page, page_end, 0, l->n_queries);
		return;
	}
	for (size_t t = 0; t < l->n_tokens; t++) {
		uint32_t first = seen_first(work, &tokens[t]), end = tokens[t].position + 1;

		first = first > page ? first : page;
		end = end < page_end ? end : page_end;
		if (first < end)
			add_values(work, l, first, end, t * l->n_heads, l->n_heads);
	}
}

/* The same where values are the keys' beginnings, for a look of one token: weights and outputs of
 * all queries stand side by side. */
static void gather_latent(const struct attend_work *work, const struct look *l, uint32_t first,
    float columns[][MAX_QUERIES])
{
	size_t d = work->shape.d_value;

	memset(columns, 0, d * sizeof *columns);
	for (uint32_t p = first; p < l->end;) {
		uint32_t in_page = KV_PAGE_TOKENS - p % KV_PAGE_TOKENS;
		uint32_t n = l->end - p < in_page ? l->end - p : in_page;
		float weights[KV_PAGE_TOKENS][MAX_QUERIES] = {0};

		for (size_t q = 0; q < l->n_queries; q++)
			for (uint32_t i = 0; i < n; i++)
				weights[i][q] = l->scores[q][p - l->base + i];
		work->batch->kernels->add_columns(
		    kv_keys(l->kv, work->layer, l->kv_head, p) + p % KV_PAGE_TOKENS, KV_PAGE_TOKENS,
		    n, d, weights, columns);
		p += n;
	}
	for (size_t q = 0; q < l->n_queries; q++)
		for (size_t i = 0; i < d; i++)
			l->out[q][i] = columns[i][q];
}

static void attend(const struct attend_work *work, struct look *l, unsigned thread)
{
	const struct batch *b = work->batch;
	const struct attention_shape *a = &work->shape;

	score(work, l);
	for (size_t q = 0; q < l->n_queries; q++) {
		const struct batch_token *t = &b->tokens[l->token + q / l->n_heads];
		uint32_t first = seen_first(work, t);

		l->sum[q] = weigh(work, l->head + q % l->n_heads, l->scores[q] + (first - l->base),
		    t->position + 1 - first);
	}
	if (a->value_width > 0) {
		for (size_t q = 0; q < l->n_queries; q++)
			memset(l->out[q], 0, a->d_value * sizeof(float));
		for (uint32_t p = l->base; p < l->end; p += KV_PAGE_TOKENS)
			gather_page(work, l, p);
	} else {
		gather_latent(work, l, seen_first(work, &b->tokens[l->token]),
		    b->columns + thread * a->d_value);
	}
	for (size_t q = 0; q < l->n_queries; q++)
		b->kernels->scale(l->out[q], 1.0f / l->sum[q], a->d_value);
}

/* Items are (part of the query heads, group of tokens): the groups of one part stand side by side,
 * so that its keys and values stay in cache. */
static void attend_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct attend_work *work = context;
	const struct batch *b = work->batch;
	float *scores = b->scores + thread * b->scores_stride * MAX_QUERIES;

	for (size_t i = first; i < end; i++) {
		struct look l;

		begin_look(work, &b->groups[i % b->n_groups], i / b->n_groups, scores, &l);
		attend(work, &l, thread);
	}
}

/* Query heads that share a key head and are looked at together: a divisor of them, as many as one
 * call takes, and fewer where that would leave threads idle. */
static size_t heads_together(const struct batch *b)
{
	const struct attention_shape a = model_attention_shape(&b->model->sizes);
	size_t n = b->model->sizes.n_heads / a.n_kv_heads, parts = 1;

	while (n % parts != 0 || n / parts > MAX_QUERIES ||
	       (parts < n && a.n_kv_heads * parts * b->n_tokens < team_size(b->team)))
		parts++;
	return n / parts;
}

void batch_groups(struct batch *b)
{
	const struct attention_shape a = model_attention_shape(&b->model->sizes);
	size_t most = a.value_width > 0 ? MAX_QUERIES / heads_together(b) : 1;

	b->n_groups = 0;
	for (size_t t = 0; t < b->n_tokens; t++) {
		struct batch_group *last = &b->groups[b->n_groups - (b->n_groups > 0)];

		if (b->n_groups > 0 && b->tokens[t].kv == b->tokens[t - 1].kv &&
		    last->n_tokens < most)
			last->n_tokens++;
		else
			b->groups[b->n_groups++] = (struct batch_group){t, 1};
	}
}

void batch_attend(struct batch *b, uint32_t layer, const float *query, float *out)
{
	const struct model_sizes *s = &b->model->sizes;
	struct attend_work work = {.batch = b,
	    .layer = layer,
	    .query = query,
	    .out = out,
	    .sinks = b->model->layers[layer].sinks,
	    .shape = model_attention_shape(s),
	    .heads_together = heads_together(b)};

	if (model_layer_is_windowed(s, b->model->layer_first + layer))
		work.window = s->window;
	work.n_parts = s->n_heads / work.heads_together;
	batch_spread(b, b->n_groups * work.n_parts, 1, attend_part, &work);
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
			struct quant_terms *terms = b->terms + item * n / QUANT_BLOCK;

			b->kernels->quantise(a.f32, n, 1, quants, terms);
			a.quants = quants;
			a.terms = terms;
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
