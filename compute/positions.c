/* SPDX-License-Identifier: Apache-2.0 */
/* What a token's position does to queries and keys. */
#include "compute/batch.h"
#include "compute/kernels/canon.h"

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
