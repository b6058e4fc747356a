/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/batch.h"

#include "compute/kernels/panels.h"

/* Smallest parts worth waking a thread for, and units in which work is cut. */
enum {
	ROWS_GRAIN = PANEL_ROWS, /* rows of a matrix */
};

void batch_spread(struct batch *b, size_t n_items, size_t grain, team_fn *fn, void *context)
{
	if (n_items <= grain)
		fn(context, 0, n_items, 0);
	else
		team_run(b->team, n_items, grain, fn, context);
}

/* ---- norms and elementwise ------------------------------------------------------------------ */

struct norm_work {
	const struct batch *batch;
	const float *in, *weight;
	size_t width;
	float *out;
};

static void norm_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct norm_work *work = context;
	const struct batch *b = work->batch;

	(void)thread;
	for (size_t v = first; v < end; v++)
		b->kernels->rms_norm(work->in + v * work->width, work->weight,
		    b->model->sizes.norm_epsilon, work->width, work->out + v * work->width);
}

void batch_norm(
    struct batch *b, const float *in, size_t n, size_t width, const float *weight, float *out)
{
	struct norm_work work = {b, in, weight, width, out};
	size_t grain = BATCH_TOKENS_GRAIN * (size_t)b->model->sizes.d_model / width;

	batch_spread(b, n, grain > 0 ? grain : 1, norm_part, &work);
}

struct bias_work {
	const struct batch *batch;
	float *x;
	const float *bias;
	size_t width;
};

static void bias_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct bias_work *work = context;

	(void)thread;
	for (size_t v = first; v < end; v++)
		work->batch->kernels->add(work->x + v * work->width, work->bias, work->width);
}

void batch_bias(struct batch *b, float *x, size_t n, size_t width, const float *bias)
{
	struct bias_work work = {b, x, bias, width};

	if (bias != NULL)
		batch_spread(b, n, BATCH_TOKENS_GRAIN, bias_part, &work);
}

static void gate_part(void *context, size_t first, size_t end, unsigned thread)
{
	struct batch *b = context;
	float *gate = b->gate + first;
	const float *up = b->up + first;

	(void)thread;
	switch (b->model->sizes.activation) {
	case ACTIVATION_SILU:
		b->kernels->silu_mul(gate, up, end - first);
		return;
	case ACTIVATION_GELU:
		b->kernels->gelu_mul(gate, up, end - first);
		return;
	case ACTIVATION_CLAMPED:
		b->kernels->clamped_mul(gate, up, end - first);
		return;
	}
	assert(false && "activation without a kernel");
}

void batch_gate(struct batch *b, size_t n)
{
	batch_spread(b, n, BATCH_ELEMENTS_GRAIN, gate_part, b);
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
	batch_spread(b, b->n_tokens * b->model->sizes.d_model, (size_t)8 * BATCH_ELEMENTS_GRAIN,
	    add_part, b);
}

/* ---- products with weights ------------------------------------------------------------------ */

struct products_work {
	const struct batch *batch;
	const struct batch_product *products;
	size_t n_products;
	const float *in; /* where the int8 form begins */
};

/* Items are elements of the piece of inputs; a vector is made where it begins. */
static void quantise_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct products_work *work = context;
	const struct batch *b = work->batch;
	size_t base =
	    0; /* where the next product's input begins, if it is not one of those before */

	(void)thread;
	for (size_t p = 0; p < work->n_products && base < end; p++) {
		const struct batch_product *product = &work->products[p];
		size_t n = product->weights.n_cols, at = (size_t)(product->in - work->in);

		if (at < base)
			continue;
		base = at + product->n_vectors * n;
		for (size_t v = first > at ? (first - at + n - 1) / n : 0;
		     v < product->n_vectors && at + v * n < end; v++) {
			struct activation_place to = activation_place(n, product->n_vectors, v);

			b->kernels->quantise(product->in + v * n, n, to.stride,
			    b->quants + at + to.first * QUANT_BLOCK,
			    b->terms + at / QUANT_BLOCK + to.first);
		}
	}
}

static size_t row_groups(const struct matrix *w)
{
	return ((size_t)w->n_rows + ROWS_GRAIN - 1) / ROWS_GRAIN;
}

static struct activations activations_of(
    const struct products_work *work, const struct batch_product *p)
{
	const struct batch *b = work->batch;
	size_t at = (size_t)(p->in - work->in);
	struct activations a = {.n = p->weights.n_cols, .n_vectors = p->n_vectors, .f32 = p->in};

	if (tensor_type_info(p->weights.type)->quantised) {
		a.quants = b->quants + at;
		a.terms = b->terms + at / QUANT_BLOCK;
	}
	return a;
}

/* Items are groups of ROWS_GRAIN rows, the matrices' one after the other. */
static void products_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct products_work *work = context;
	size_t base = 0;

	(void)thread;
	for (size_t p = 0; p < work->n_products && base < end; p++) {
		const struct batch_product *product = &work->products[p];
		const struct matrix *w = &product->weights;
		size_t groups = row_groups(w);
		size_t from = first > base ? first - base : 0;
		size_t to = end - base < groups ? end - base : groups;

		if (from < to) {
			size_t row_end = to * ROWS_GRAIN < w->n_rows ? to * ROWS_GRAIN : w->n_rows;
			struct activations a = activations_of(work, product);

			work->batch->kernels->matmul(w, (uint32_t)(from * ROWS_GRAIN),
			    (uint32_t)row_end, &a, product->out, w->n_rows);
		}
		base += groups;
	}
}

void batch_products(struct batch *b, const float *in, size_t n_in,
    const struct batch_product *products, size_t n_products)
{
	struct products_work work = {b, products, n_products, in};
	size_t groups = 0;
	bool quantised = false;

	for (size_t p = 0; p < n_products; p++) {
		assert(products[p].in >= in &&
		       products[p].in + products[p].n_vectors * products[p].weights.n_cols <=
		           in + n_in);
		quantised |= tensor_type_info(products[p].weights.type)->quantised;
		groups += row_groups(&products[p].weights);
	}
	if (quantised)
		batch_spread(b, n_in, BATCH_ELEMENTS_GRAIN, quantise_part, &work);
	batch_spread(b, groups, 1, products_part, &work);
}
