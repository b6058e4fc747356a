/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mixture of experts. Of a layer's experts only those chosen are touched; a batch's tokens are
 * grouped by expert, so that each expert's weights pass by once.
 *
 * A token's result is the same whatever stands beside it: its experts are ordered by choice, and
 * their outputs are added in that order.
 */
#include <math.h>

#include "compute/batch.h"
#include "compute/kernels/canon.h"

struct mix {
	struct batch *batch;
	const struct layer_weights *w;
	size_t token, n; /* the tokens [token, token + n) of the batch */
};

static float sigmoid(float x)
{
	return 1.0f / (1.0f + canon_exp(-x));
}

/* ---- routing -------------------------------------------------------------------------------- */

/* The largest of n values, the first of equal ones; then it is out of the way. */
static uint32_t take_best(float *values, uint32_t n)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n; i++)
		if (values[i] > values[best])
			best = i;
	values[best] = -INFINITY;
	return best;
}

/* What a group of neighbours is worth: DeepSeek-V3 adds its two best, V2 takes the best. */
static float group_score(const float *choice, uint32_t n, enum gating gating)
{
	float best = -INFINITY, second = -INFINITY;

	for (uint32_t i = 0; i < n; i++) {
		if (choice[i] > best) {
			second = best;
			best = choice[i];
		} else if (choice[i] > second) {
			second = choice[i];
		}
	}
	return gating == GATING_SIGMOID ? best + second : best;
}

/* Experts outside the best groups are out of the choice. */
static void limit_to_groups(const struct expert_sizes *e, float *choice)
{
	float scores[MODEL_MAX_EXPERTS];
	bool used[MODEL_MAX_EXPERTS] = {false};
	uint32_t size = e->n / e->n_groups;

	for (uint32_t g = 0; g < e->n_groups; g++)
		scores[g] = group_score(choice + (size_t)g * size, size, e->gating);
	for (uint32_t g = 0; g < e->n_groups_used; g++)
		used[take_best(scores, e->n_groups)] = true;
	for (uint32_t i = 0; i < e->n; i++)
		if (!used[i / size])
			choice[i] = -INFINITY;
}

/* logits become what the gating makes of them */
static void gate_logits(const struct kernels *k, const struct expert_sizes *e, float *logits)
{
	float z;

	switch (e->gating) {
	case GATING_SOFTMAX:
		z = k->exp_sum(logits, k->max(logits, e->n), e->n);
		for (uint32_t i = 0; i < e->n; i++)
			logits[i] /= z;
		return;
	case GATING_SIGMOID:
		for (uint32_t i = 0; i < e->n; i++)
			logits[i] = sigmoid(logits[i]);
		return;
	case GATING_SOFTMAX_CHOSEN:
		return;
	}
}

static void weigh(
    const struct expert_sizes *e, const float *gated, const uint32_t *chosen, float *weights)
{
	float sum = 0.0f;
	bool softmax = e->gating == GATING_SOFTMAX_CHOSEN;

	for (uint32_t j = 0; j < e->n_used; j++) {
		weights[j] = gated[chosen[j]];
		if (softmax)
			weights[j] = canon_exp(weights[j] - gated[chosen[0]]);
		sum += weights[j];
	}
	for (uint32_t j = 0; j < e->n_used; j++) {
		if (softmax || e->normalised)
			weights[j] /= sum + 1e-20f;
		weights[j] *= e->scale;
	}
}

static void route_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct mix *mix = context;
	const struct expert_sizes *e = &mix->batch->model->sizes.experts;
	const struct batch_experts *x = &mix->batch->experts;
	const struct kernels *k = mix->batch->kernels;

	(void)thread;
	for (size_t t = first; t < end; t++) {
		float *gated = x->logits + t * e->n, *choice = x->choice + t * e->n;
		uint32_t *chosen = x->chosen + t * e->n_used;

		if (mix->w->router_bias != NULL)
			k->add(gated, mix->w->router_bias, e->n);
		gate_logits(k, e, gated);
		memcpy(choice, gated, e->n * sizeof *choice);
		if (mix->w->choice_bias != NULL)
			k->add(choice, mix->w->choice_bias, e->n);
		if (e->n_groups > 0)
			limit_to_groups(e, choice);
		for (uint32_t j = 0; j < e->n_used; j++)
			chosen[j] = take_best(choice, e->n);
		weigh(e, gated, chosen, x->weights + t * e->n_used);
	}
}

/* Rows of one expert follow each other, the batch's earlier tokens first. */
static void group_by_expert(const struct mix *mix)
{
	const struct expert_sizes *e = &mix->batch->model->sizes.experts;
	struct batch_experts *x = &mix->batch->experts;
	size_t n_rows = mix->n * e->n_used;
	uint32_t next = 0;

	memset(x->first, 0, (e->n + 1) * sizeof *x->first);
	for (size_t i = 0; i < n_rows; i++)
		x->first[x->chosen[i]]++;
	for (uint32_t i = 0; i <= e->n; i++) {
		uint32_t count = x->first[i];

		x->first[i] = next;
		next += count;
	}
	for (size_t i = 0; i < n_rows; i++)
		x->row[i] = x->first[x->chosen[i]]++;
	for (uint32_t i = e->n; i > 0; i--) /* undo the counting along */
		x->first[i] = x->first[i - 1];
	x->first[0] = 0;
}

static void collect_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct mix *mix = context;
	const struct model_sizes *s = &mix->batch->model->sizes;
	const struct batch_experts *x = &mix->batch->experts;
	size_t d = s->d_model;

	(void)thread;
	for (size_t i = first; i < end; i++)
		memcpy(x->in + x->row[i] * d,
		    mix->batch->normed + (mix->token + i / s->experts.n_used) * d,
		    d * sizeof(float));
}

/* ---- the experts ---------------------------------------------------------------------------- */

/* One product for each expert that has rows, of matrices that stand one over the other. */
static size_t add_products(const struct mix *mix, const struct matrix *all, uint32_t n_rows,
    const float *in, float *out, size_t n_products)
{
	struct batch_experts *x = &mix->batch->experts;

	for (uint32_t e = 0; e < mix->batch->model->sizes.experts.n; e++) {
		size_t first = x->first[e], n = x->first[e + 1] - x->first[e];

		if (n > 0)
			x->products[n_products++] =
			    (struct batch_product){matrix_rows(all, e * n_rows, n_rows),
			        in + first * all->n_cols, out + first * n_rows, n};
	}
	return n_products;
}

/* biases: one vector of `width` for each expert */
static void add_biases(const struct mix *mix, float *rows, size_t width, const float *biases)
{
	const struct batch_experts *x = &mix->batch->experts;

	for (uint32_t e = 0; biases != NULL && e < mix->batch->model->sizes.experts.n; e++)
		if (x->first[e + 1] > x->first[e])
			batch_bias(mix->batch, rows + x->first[e] * width,
			    x->first[e + 1] - x->first[e], width, biases + e * width);
}

static void run_experts(const struct mix *mix)
{
	struct batch *b = mix->batch;
	const struct model_sizes *s = &b->model->sizes;
	const struct layer_weights *w = mix->w;
	struct batch_experts *x = &b->experts;
	uint32_t d_ff = s->experts.d_ff;
	size_t n_rows = mix->n * s->experts.n_used, n;

	n = add_products(mix, &w->expert_gate, d_ff, x->in, b->gate, 0);
	n = add_products(mix, &w->expert_up, d_ff, x->in, b->up, n);
	batch_products(b, x->in, n_rows * s->d_model, x->products, n);
	add_biases(mix, b->gate, d_ff, w->expert_gate_bias);
	add_biases(mix, b->up, d_ff, w->expert_up_bias);
	batch_gate(b, n_rows * d_ff);
	n = add_products(mix, &w->expert_down, s->d_model, b->gate, x->out, 0);
	batch_products(b, b->gate, n_rows * d_ff, x->products, n);
	add_biases(mix, x->out, s->d_model, w->expert_down_bias);
}

static void run_shared(const struct mix *mix)
{
	struct batch *b = mix->batch;
	const struct model_sizes *s = &b->model->sizes;
	const struct layer_weights *w = mix->w;
	const float *in = b->normed + mix->token * s->d_model;
	const struct batch_product gate_up[] = {
	    {w->shared_gate, in, b->gate, mix->n}, {w->shared_up, in, b->up, mix->n}};
	const struct batch_product down = {w->shared_down, b->gate, b->experts.shared, mix->n};

	batch_products(b, in, mix->n * s->d_model, gate_up, 2);
	batch_gate(b, mix->n * s->experts.d_ff_shared);
	batch_products(b, b->gate, mix->n * s->experts.d_ff_shared, &down, 1);
}

static void add_shared(const struct mix *mix, size_t t, float *update)
{
	const struct kernels *k = mix->batch->kernels;
	size_t d = mix->batch->model->sizes.d_model;
	const float *shared = mix->batch->experts.shared + t * d;
	const float *gate = mix->w->shared_gate_input;

	if (gate == NULL)
		k->add(update, shared, d);
	else
		k->accumulate(update,
		    sigmoid(k->dot(gate, mix->batch->normed + (mix->token + t) * d, d)), shared, d);
}

static void combine_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct mix *mix = context;
	const struct model_sizes *s = &mix->batch->model->sizes;
	const struct batch_experts *x = &mix->batch->experts;
	size_t d = s->d_model;

	(void)thread;
	for (size_t t = first; t < end; t++) {
		float *update = mix->batch->update + (mix->token + t) * d;

		memset(update, 0, d * sizeof *update);
		for (size_t j = t * s->experts.n_used; j < (t + 1) * s->experts.n_used; j++)
			mix->batch->kernels->accumulate(
			    update, x->weights[j], x->out + x->row[j] * d, d);
		if (s->experts.d_ff_shared > 0)
			add_shared(mix, t, update);
	}
}

void batch_mix_experts(struct batch *b, const struct layer_weights *w)
{
	const struct model_sizes *s = &b->model->sizes;

	for (size_t token = 0; token < b->n_tokens; token += BATCH_EXPERT_TOKENS) {
		size_t left = b->n_tokens - token;
		size_t n = left < BATCH_EXPERT_TOKENS ? left : BATCH_EXPERT_TOKENS;
		const float *in = b->normed + token * s->d_model;
		struct mix mix = {b, w, token, n};

		batch_products(b, in, n * s->d_model,
		    &(struct batch_product){w->router, in, b->experts.logits, n}, 1);
		batch_spread(b, n, BATCH_TOKENS_GRAIN, route_part, &mix);
		group_by_expert(&mix);
		batch_spread(
		    b, n * s->experts.n_used, (size_t)4 * BATCH_TOKENS_GRAIN, collect_part, &mix);
		run_experts(&mix);
		if (s->experts.d_ff_shared > 0)
			run_shared(&mix);
		batch_spread(b, n, BATCH_TOKENS_GRAIN, combine_part, &mix);
	}
}
