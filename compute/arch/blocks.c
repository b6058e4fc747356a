/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/arch/blocks.h"

static void norm(struct batch *b, const float *weight)
{
	batch_norm(b, b->residual, b->n_tokens, b->model->sizes.d_model, weight, b->normed);
}

/* One product for all tokens. */
static void product(struct batch *b, const struct matrix *w, const float *in, float *out)
{
	batch_products(
	    b, in, b->n_tokens * w->n_cols, &(struct batch_product){*w, in, out, b->n_tokens}, 1);
}

/* residual += norm(update), or update itself where there is no norm. */
static void add(struct batch *b, const float *post_norm)
{
	if (post_norm != NULL)
		batch_norm(
		    b, b->update, b->n_tokens, b->model->sizes.d_model, post_norm, b->update);
	batch_add(b);
}

/* ---- attention ------------------------------------------------------------------------------ */

static void attention_out(struct batch *b, const struct layer_weights *w)
{
	product(b, &w->attention_out, b->mixed, b->update);
	batch_bias(b, b->update, b->n_tokens, b->model->sizes.d_model, w->attention_out_bias);
	add(b, w->attention_post_norm);
}

static void norm_heads(struct batch *b, const struct layer_weights *w)
{
	const struct model_sizes *s = &b->model->sizes;

	if (w->query_norm != NULL)
		batch_norm(
		    b, b->query, b->n_tokens * s->n_heads, s->d_head, w->query_norm, b->query);
	if (w->key_norm != NULL)
		batch_norm(b, b->key, b->n_tokens * s->n_kv_heads, s->d_head, w->key_norm, b->key);
}

void block_attention(struct batch *b, uint32_t layer)
{
	const struct model_sizes *s = &b->model->sizes;
	const struct layer_weights *w = &b->model->layers[layer];
	size_t n = b->n_tokens;
	const struct batch_product heads[] = {{w->query, b->normed, b->query, n},
	    {w->key, b->normed, b->key, n}, {w->value, b->normed, b->value, n}};

	norm(b, w->attention_norm);
	batch_products(b, b->normed, n * s->d_model, heads, 3);
	batch_bias(b, b->query, n, w->query.n_rows, w->query_bias);
	batch_bias(b, b->key, n, w->key.n_rows, w->key_bias);
	batch_bias(b, b->value, n, w->value.n_rows, w->value_bias);
	norm_heads(b, w);
	batch_rotate(b, layer, b->query, s->n_heads, s->d_head, 0);
	batch_rotate(b, layer, b->key, s->n_kv_heads, s->d_head, 0);
	batch_temper(b, b->query, w->query.n_rows);
	batch_remember(b, layer);
	batch_attend(b, layer, b->query, b->mixed);
	attention_out(b, w);
}

/* ---- latent attention ----------------------------------------------------------------------- */

static void latent_queries(struct batch *b, const struct layer_weights *w)
{
	size_t width = b->model->sizes.d_query_latent;

	if (width == 0) {
		product(b, &w->query, b->normed, b->query);
		return;
	}
	product(b, &w->query_a, b->normed, b->query_latent);
	batch_norm(b, b->query_latent, b->n_tokens, width, w->query_a_norm, b->query_latent);
	product(b, &w->query_b, b->query_latent, b->query);
}

/* What the cache keeps of a token: the compressed vector, normed, and the rotated key. */
static void latent_keys(struct batch *b, const struct layer_weights *w, uint32_t layer)
{
	const struct model_sizes *s = &b->model->sizes;
	size_t width = (size_t)s->d_latent + s->d_rope;

	product(b, &w->latent, b->normed, b->key);
	for (size_t t = 0; t < b->n_tokens; t++)
		b->kernels->rms_norm(b->key + t * width, w->latent_norm, s->norm_epsilon,
		    s->d_latent, b->key + t * width);
	batch_rotate(b, layer, b->key, 1, width, s->d_latent);
}

/*
 * q.(W c) = (W' q).c, so that keys are never unfolded: each head's query goes through the
 * transposed up-projection once, and meets the compressed vectors themselves. Its rotated part
 * stands behind.
 */
static void absorb_queries(struct batch *b, const struct layer_weights *w, uint32_t layer)
{
	const struct model_sizes *s = &b->model->sizes;
	size_t key = (size_t)s->d_latent + s->d_rope, nope = s->d_head - s->d_rope;
	const struct batch_head_product up = {.weights = w->latent_key,
	    .stride = s->d_latent,
	    .n_rows = s->d_latent,
	    .in = b->query,
	    .in_stride = s->d_head,
	    .out = b->absorbed,
	    .out_stride = key};

	batch_rotate(b, layer, b->query, s->n_heads, s->d_head, nope);
	batch_temper(b, b->query, (size_t)s->n_heads * s->d_head);
	batch_heads(b, &up);
	for (size_t i = 0; i < b->n_tokens * s->n_heads; i++)
		memcpy(b->absorbed + i * key + s->d_latent, b->query + i * s->d_head + nope,
		    s->d_rope * sizeof(float));
}

/* Likewise the values: what was gathered of the compressed vectors is unfolded once. */
static void unfold_values(struct batch *b, const struct layer_weights *w)
{
	const struct model_sizes *s = &b->model->sizes;
	uint32_t nope = s->d_head - s->d_rope;
	struct batch_head_product values = {.weights = w->latent_value,
	    .stride = s->d_value,
	    .n_rows = s->d_value,
	    .in = b->gathered,
	    .in_stride = s->d_latent,
	    .out = b->mixed,
	    .out_stride = s->d_value};

	if (w->latent_both.data != NULL) { /* a head's value rows follow its key rows */
		values.weights = w->latent_both;
		values.first = nope;
		values.stride = nope + s->d_value;
	}
	batch_heads(b, &values);
}

void block_latent_attention(struct batch *b, uint32_t layer)
{
	const struct layer_weights *w = &b->model->layers[layer];

	norm(b, w->attention_norm);
	latent_queries(b, w);
	latent_keys(b, w, layer);
	absorb_queries(b, w, layer);
	batch_remember(b, layer);
	batch_attend(b, layer, b->absorbed, b->gathered);
	unfold_values(b, w);
	attention_out(b, w);
}

/* ---- feed-forward --------------------------------------------------------------------------- */

/* Some tokens at a time, as their middle is wide. */
static void feed_dense(struct batch *b, const struct layer_weights *w)
{
	const struct model_sizes *s = &b->model->sizes;

	for (size_t token = 0; token < b->n_tokens; token += BATCH_MIDDLE_TOKENS) {
		size_t left = b->n_tokens - token;
		size_t n = left < BATCH_MIDDLE_TOKENS ? left : BATCH_MIDDLE_TOKENS;
		const float *in = b->normed + token * s->d_model;
		const struct batch_product gate_up[] = {
		    {w->ff_gate, in, b->gate, n}, {w->ff_up, in, b->up, n}};
		const struct batch_product down = {
		    w->ff_down, b->gate, b->update + token * s->d_model, n};

		batch_products(b, in, n * s->d_model, gate_up, 2);
		batch_gate(b, n * s->d_ff);
		batch_products(b, b->gate, n * s->d_ff, &down, 1);
	}
}

void block_feed_forward(struct batch *b, uint32_t layer)
{
	const struct model_sizes *s = &b->model->sizes;
	const struct layer_weights *w = &b->model->layers[layer];

	norm(b, w->ff_norm);
	if (model_layer_has_experts(s, b->model->layer_first + layer))
		batch_mix_experts(b, w);
	else
		feed_dense(b, w);
	add(b, w->ff_post_norm);
}
