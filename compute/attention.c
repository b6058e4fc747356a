/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over the sessions' caches. */
#include <math.h>

#include "compute/batch.h"
#include "compute/kernels/canon.h"

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

static struct kv_head page_at(const struct attend_work *work, const struct look *l, uint32_t p)
{
	return kv_head(l->kv, work->layer, l->kv_head, p);
}

/* Elements from `first` on of keys or values. */
static const void *elements(enum kv_type type, const void *from, size_t first)
{
	return (const uint8_t *)from + first * kv_element_bytes(type);
}

/* Go n elements on, in what comes next too. */
static void step(struct kv_rows *rows, size_t n)
{
	rows->data = elements(rows->type, rows->data, n);
	if (rows->ahead != NULL)
		rows->ahead = elements(rows->type, rows->ahead, n);
}

/* The same scores with int8 keys: of each part a sum, times its scale. `keys` is as for f16. */
static void score_quants(const struct attend_work *work, const struct look *l, struct kv_rows keys,
    const float *scales, float *const out[])
{
	const size_t n_parts = keys.n_rows / KV_PART;
	float sums[MAX_QUERIES][KV_PAGE_TOKENS];
	const float *query[MAX_QUERIES];
	float *sum[MAX_QUERIES];

	keys.n_rows = KV_PART;
	for (size_t part = 0; part < n_parts; part++) {
		memset(sums, 0, l->n_queries * sizeof sums[0]);
		for (size_t q = 0; q < l->n_queries; q++) {
			query[q] = l->query[q] + part * KV_PART;
			sum[q] = sums[q];
		}
		work->batch->kernels->add_rows(&keys, query, sum, l->n_queries);
		for (size_t q = 0; q < l->n_queries; q++)
			work->batch->kernels->add_product(
			    out[q], scales + part * KV_PAGE_TOKENS, sums[q], KV_PAGE_TOKENS);
		step(&keys, KV_PART * KV_PAGE_TOKENS);
	}
}

/* All positions of the page that begins with p: what a query does not see is computed and not used.
 */
static void score_page(const struct attend_work *work, const struct look *l, uint32_t p)
{
	const struct kv_head page = page_at(work, l, p);
	struct kv_rows keys = {
	    kv_type(l->kv), page.keys, KV_PAGE_TOKENS, work->shape.d_key, KV_PAGE_TOKENS, NULL};
	float *out[MAX_QUERIES];

	if (l->end - p > KV_PAGE_TOKENS)
		keys.ahead = page_at(work, l, p + KV_PAGE_TOKENS).keys;
	for (size_t q = 0; q < l->n_queries; q++) {
		out[q] = l->scores[q] + (p - l->base);
		memset(out[q], 0, KV_PAGE_TOKENS * sizeof *out[q]);
	}
	if (keys.type == KV_F16)
		work->batch->kernels->add_rows(&keys, l->query, out, l->n_queries);
	else
		score_quants(work, l, keys, page.key_scales, out);
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

/* The same values in int8: for each part weights of their own, as its scale is in them. `values` is
 * as for f16. */
static void add_quants(const struct attend_work *work, struct kv_rows values, const float *scales,
    const float *const weights[], float *const out[], size_t n_queries)
{
	const size_t n_parts = values.n / KV_PART;
	float scaled[MAX_QUERIES][KV_PAGE_TOKENS];
	const float *scaled_of[MAX_QUERIES];
	float *out_of[MAX_QUERIES];

	values.n = KV_PART;
	for (size_t part = 0; part < n_parts; part++) {
		for (size_t q = 0; q < n_queries; q++) {
			work->batch->kernels->multiply(
			    weights[q], scales + part * KV_PAGE_TOKENS, values.n_rows, scaled[q]);
			scaled_of[q] = scaled[q];
			out_of[q] = out[q] + part * KV_PART;
		}
		work->batch->kernels->add_rows(&values, scaled_of, out_of, n_queries);
		step(&values, KV_PART);
	}
}

/* Add the values of positions [first, end) of one page to queries [q, q + n). */
static void add_values(const struct attend_work *work, const struct look *l, uint32_t first,
    uint32_t end, size_t q, size_t n)
{
	const size_t d = work->shape.d_value, skipped = first % KV_PAGE_TOKENS;
	const struct kv_head page = page_at(work, l, first);
	const enum kv_type type = kv_type(l->kv);
	struct kv_rows values = {
	    type, elements(type, page.values, skipped * d), d, end - first, d, NULL};
	const float *weights[MAX_QUERIES];

	if (end < l->end)
		values.ahead =
		    elements(type, page_at(work, l, end).values, end % KV_PAGE_TOKENS * d);
	for (size_t i = 0; i < n; i++)
		weights[i] = l->scores[q + i] + (first - l->base);
	if (type == KV_F16)
		work->batch->kernels->add_rows(&values, weights, l->out + q, n);
	else
		add_quants(work, values, page.value_scales + skipped, weights, l->out + q, n);
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

/* Weights of all queries side by side, for n positions from p on; with a part's scales in int8. */
static void turn_weights(
    const struct look *l, uint32_t p, uint32_t n, const float *scales, float weights[][MAX_QUERIES])
{
	for (size_t q = 0; q < l->n_queries; q++)
		for (uint32_t i = 0; i < n; i++) {
			float w = l->scores[q][p - l->base + i];

			weights[i][q] = scales != NULL ? w * scales[i] : w;
		}
}

/* Some of a value's elements. */
struct element_range {
	size_t first, end;
};

/* Add n positions from p on, which are in one page: all elements in one piece for f16, in parts for
 * int8. */
static void gather_latent_page(const struct attend_work *work, const struct look *l, uint32_t p,
    uint32_t n, struct element_range of, float columns[][MAX_QUERIES])
{
	const enum kv_type type = kv_type(l->kv);
	const size_t step = type == KV_F16 ? of.end - of.first : KV_PART;
	const struct kv_head page = page_at(work, l, p);
	const uint32_t in_page = p % KV_PAGE_TOKENS;
	float weights[KV_PAGE_TOKENS][MAX_QUERIES] = {0};

	for (size_t i = of.first; i < of.end; i += step) {
		const size_t at = i * KV_PAGE_TOKENS + in_page;
		const float *scales = page.key_scales + i / KV_PART * KV_PAGE_TOKENS + in_page;
		struct kv_rows keys = {
		    type, elements(type, page.keys, at), KV_PAGE_TOKENS, step, n, NULL};

		if (l->end - p > n)
			keys.ahead = elements(type, page_at(work, l, p + n).keys, at - in_page);
		turn_weights(l, p, n, type == KV_F16 ? NULL : scales, weights);
		work->batch->kernels->add_columns(
		    &keys, (const float(*)[MAX_QUERIES])weights, columns + (i - of.first));
	}
}

/* The values where they are the keys' beginnings, for a look of one token: outputs of all queries
 * stand side by side, one column for each of the elements asked for. */
static void gather_latent(const struct attend_work *work, const struct look *l,
    struct element_range of, float columns[][MAX_QUERIES])
{
	uint32_t first = seen_first(work, &work->batch->tokens[l->token]);

	memset(columns, 0, (of.end - of.first) * sizeof *columns);
	for (uint32_t p = first; p < l->end;) {
		uint32_t in_page = KV_PAGE_TOKENS - p % KV_PAGE_TOKENS;
		uint32_t n = l->end - p < in_page ? l->end - p : in_page;

		gather_latent_page(work, l, p, n, of, columns);
		p += n;
	}
	for (size_t q = 0; q < l->n_queries; q++)
		for (size_t i = of.first; i < of.end; i++)
			l->out[q][i] = columns[i - of.first][q];
}

static void attend(const struct attend_work *work, struct look *l, unsigned thread)
{
	const struct batch *b = work->batch;
	const struct attention_shape *a = &work->shape;

	for (uint32_t p = l->base; p < l->end; p += KV_PAGE_TOKENS)
		score_page(work, l, p);
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
		gather_latent(work, l, (struct element_range){0, a->d_value},
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

/* ---- latent attention of few tokens --------------------------------------------------------- */

/*
 * All heads look at the same keys. Where tokens are fewer than threads, the team takes one token
 * after the other, and cuts its pages, then its heads, then its values' elements: so each key is
 * read twice by one thread, and not by each thread for heads of its own.
 */
struct latent_work {
	const struct attend_work *attend;
	const struct batch_group *token;
	size_t n_together; /* elements of a value that are gathered at once */
};

static void begin_latent_look(const struct latent_work *work, size_t part, struct look *l)
{
	const struct batch *b = work->attend->batch;

	begin_look(work->attend, work->token, part,
	    b->scores + part * work->attend->heads_together * b->scores_stride, l);
}

static void score_latent_pages(void *context, size_t first, size_t end, unsigned thread)
{
	const struct latent_work *work = context;

	(void)thread;
	for (size_t page = first; page < end; page++)
		for (size_t part = 0; part < work->attend->n_parts; part++) {
			struct look l;

			begin_latent_look(work, part, &l);
			score_page(work->attend, &l, l.base + (uint32_t)page * KV_PAGE_TOKENS);
		}
}

static void weigh_latent_heads(void *context, size_t first, size_t end, unsigned thread)
{
	const struct latent_work *work = context;
	const struct batch *b = work->attend->batch;
	const struct batch_token *t = &b->tokens[work->token->token];
	uint32_t seen = seen_first(work->attend, t);

	(void)thread;
	for (size_t head = first; head < end; head++)
		b->sums[head] = weigh(work->attend, head,
		    b->scores + head * b->scores_stride + seen % KV_PAGE_TOKENS,
		    t->position + 1 - seen);
}

static void gather_latent_elements(void *context, size_t first, size_t end, unsigned thread)
{
	const struct latent_work *work = context;
	const struct batch *b = work->attend->batch;
	const size_t d = work->attend->shape.d_value;

	for (size_t i = first; i < end; i++)
		for (size_t part = 0; part < work->attend->n_parts; part++) {
			struct element_range of = {
			    i * work->n_together, (i + 1) * work->n_together};
			struct look l;

			of.end = of.end < d ? of.end : d;
			begin_latent_look(work, part, &l);
			gather_latent(work->attend, &l, of, b->columns + thread * d);
			for (size_t q = 0; q < l.n_queries; q++)
				b->kernels->scale(l.out[q] + of.first, 1.0f / b->sums[l.head + q],
				    of.end - of.first);
		}
}

static void attend_latent_together(struct batch *b, const struct attend_work *attend)
{
	const size_t d = attend->shape.d_value, pieces = 2 * (size_t)team_size(b->team);
	struct latent_work work = {.attend = attend};

	work.n_together = (d / pieces + KV_PART - 1) / KV_PART * KV_PART;
	work.n_together = work.n_together > 0 ? work.n_together : KV_PART;
	for (size_t i = 0; i < b->n_groups; i++) {
		struct look l;

		work.token = &b->groups[i];
		begin_latent_look(&work, 0, &l);
		batch_spread(b, (l.end - l.base + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS, 1,
		    score_latent_pages, &work);
		batch_spread(b, b->model->sizes.n_heads, 1, weigh_latent_heads, &work);
		batch_spread(b, (d + work.n_together - 1) / work.n_together, 1,
		    gather_latent_elements, &work);
	}
}

/* ---- a batch -------------------------------------------------------------------------------- */

static bool is_latent(const struct attention_shape *a)
{
	return a->value_width == 0;
}

/* Query heads that share a key head and are looked at together: a divisor of them, as many as one
 * call takes, and fewer where that would leave threads idle. */
static size_t heads_together(const struct batch *b)
{
	const struct attention_shape a = model_attention_shape(&b->model->sizes);
	size_t n = b->model->sizes.n_heads / a.n_kv_heads, parts = 1;

	while (n % parts != 0 || n / parts > MAX_QUERIES ||
	       (parts < n && !is_latent(&a) &&
	           a.n_kv_heads * parts * b->n_tokens < team_size(b->team)))
		parts++;
	return n / parts;
}

void batch_groups(struct batch *b)
{
	const struct attention_shape a = model_attention_shape(&b->model->sizes);
	size_t most = is_latent(&a) ? 1 : MAX_QUERIES / heads_together(b);

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
	if (is_latent(&work.shape) && b->n_groups < team_size(b->team))
		attend_latent_together(b, &work);
	else
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
