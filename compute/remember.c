/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of a batch's tokens, into the sessions' caches. */
#include "compute/batch.h"

struct remember_work {
	const struct batch *batch;
	uint32_t layer;
	struct attention_shape shape;
};

/* One key or value, of d elements, to a page: element i to number i * stride, the scale of part i
 * to number i * KV_PAGE_TOKENS. */
struct place {
	void *elements;
	size_t stride;
	float *scales;
};

static void put_halves(const struct kernels *k, const float *x, size_t d, struct place to)
{
	uint16_t halves[KV_PART];
	uint16_t *at = to.elements;

	for (size_t i = 0; i < d; i += KV_PART) {
		size_t n = d - i < KV_PART ? d - i : KV_PART;

		k->to_halves(x + i, n, halves);
		for (size_t e = 0; e < n; e++)
			at[(i + e) * to.stride] = halves[e];
	}
}

static void put_quants(const struct kernels *k, const float *x, size_t d, struct place to)
{
	int8_t quants[KV_PART];
	struct quant_terms terms;
	int8_t *at = to.elements;

	for (size_t i = 0; i < d; i += KV_PART) {
		k->quantise(x + i, KV_PART, 1, quants, &terms);
		for (size_t e = 0; e < KV_PART; e++)
			at[(i + e) * to.stride] = quants[e];
		to.scales[i / KV_PART * KV_PAGE_TOKENS] = terms.scale;
	}
}

static void put(
    enum kv_type type, const struct kernels *k, const float *x, size_t d, struct place to)
{
	(type == KV_F16 ? put_halves : put_quants)(k, x, d, to);
}

/* Keys stand across: the positions of a page side by side. Values stand as they are. */
static void remember(const struct remember_work *work, size_t t, uint32_t head)
{
	const struct batch *b = work->batch;
	const struct attention_shape *a = &work->shape;
	const struct batch_token *token = &b->tokens[t];
	const enum kv_type type = kv_type(token->kv);
	const size_t p = token->position % KV_PAGE_TOKENS;
	struct kv_head page = kv_head(token->kv, work->layer, head, token->position);

	put(type, b->kernels, b->key + t * a->key_width + head * a->d_key, a->d_key,
	    (struct place){(uint8_t *)page.keys + p * kv_element_bytes(type), KV_PAGE_TOKENS,
	        page.key_scales + p});
	if (a->value_width > 0)
		put(type, b->kernels, b->value + t * a->value_width + head * a->d_value, a->d_value,
		    (struct place){(uint8_t *)page.values + p * a->d_value * kv_element_bytes(type),
		        1, page.value_scales + p});
}

static void remember_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct remember_work *work = context;

	(void)thread;
	for (size_t t = first; t < end; t++)
		for (uint32_t head = 0; head < work->shape.n_kv_heads; head++)
			remember(work, t, head);
}

void batch_remember(struct batch *b, uint32_t layer)
{
	struct remember_work work = {b, layer, model_attention_shape(&b->model->sizes)};

	batch_spread(b, b->n_tokens, BATCH_TOKENS_GRAIN, remember_part, &work);
}
