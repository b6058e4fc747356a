/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/cost.h"

/* A sum of products that remembers that it overflowed, so that one check at the end suffices. */
struct tally {
	uint64_t count;
	bool overflow;
};

static void tally_add(struct tally *t, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t product;

	t->overflow |= __builtin_mul_overflow(a, b, &product);
	t->overflow |= __builtin_mul_overflow(product, c, &product);
	t->overflow |= __builtin_add_overflow(t->count, product, &t->count);
}

static void tally_attention(struct tally *t, const struct model_sizes *s)
{
	uint64_t nope = s->d_head - s->d_rope, latent = s->d_latent;

	tally_add(t, s->n_heads, s->d_value, s->d_model); /* attention_out */
	if (s->d_query_latent > 0) {
		tally_add(t, s->d_query_latent, s->d_model, 1);
		tally_add(t, s->n_heads, s->d_head, s->d_query_latent);
	} else {
		tally_add(t, s->n_heads, s->d_head, s->d_model);
	}
	if (latent > 0) {
		tally_add(t, latent + s->d_rope, s->d_model, 1);
		tally_add(t, s->n_heads, latent, nope + s->d_value);
	} else {
		tally_add(t, s->n_kv_heads, (uint64_t)s->d_head + s->d_value, s->d_model);
	}
}

/* Weights that one token meets: of the experts, those it uses. */
static void tally_feed_forward(struct tally *t, const struct model_sizes *s, uint32_t layer)
{
	const struct expert_sizes *e = &s->experts;

	if (!model_layer_has_experts(s, layer)) {
		tally_add(t, 3, s->d_ff, s->d_model);
		return;
	}
	tally_add(t, e->n, s->d_model, 1);
	tally_add(t, 3ULL * e->n_used, e->d_ff, s->d_model);
	tally_add(t, 3, e->d_ff_shared, s->d_model);
}

/* Positions that n tokens from `position` on look at in all: the token at p sees p + 1 of them, in
 * a windowed layer no more than the window. */
static uint64_t looks(uint64_t position, uint64_t n, uint64_t window)
{
	uint64_t growing = n;

	if (window > 0)
		growing = position >= window ? 0 : window - position < n ? window - position : n;
	/* No overflow: position + n is below 2^32. */
	return growing * position + growing * (growing + 1) / 2 + (n - growing) * window;
}

int cost_span(const struct model_sizes *s, uint32_t first, uint32_t last, uint32_t position,
    uint32_t n_tokens, uint32_t n_logits, struct flop *out)
{
	struct attention_shape a = model_attention_shape(s);
	struct tally flop = {0};

	if (first >= last || last > s->n_layers || n_logits > n_tokens ||
	    (n_logits > 0 && last != s->n_layers))
		return AYNI_ERR_ARGUMENT;
	if ((uint64_t)position + n_tokens > UINT32_MAX)
		return AYNI_ERR_LIMIT;
	for (uint32_t layer = first; layer < last; layer++) {
		struct tally weights = {0};
		uint64_t window = model_layer_is_windowed(s, layer) ? s->window : 0;

		tally_attention(&weights, s);
		tally_feed_forward(&weights, s, layer);
		flop.overflow |= weights.overflow;
		tally_add(&flop, 2, n_tokens, weights.count);
		tally_add(&flop, 2ULL * s->n_heads, (uint64_t)a.d_key + a.d_value,
		    looks(position, n_tokens, window));
	}
	tally_add(&flop, 2ULL * s->d_model, s->n_vocabulary, n_logits);
	return flop.overflow ? AYNI_ERR_LIMIT : flop_from(flop.count, out);
}
