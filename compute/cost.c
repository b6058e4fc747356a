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

/* Weights of one layer's matrices. */
static void tally_layer_weights(struct tally *t, const struct model_sizes *s)
{
	tally_add(t, s->n_heads, s->d_head, s->d_model);     /* query */
	tally_add(t, s->n_kv_heads, s->d_head, s->d_model);  /* key */
	tally_add(t, s->n_kv_heads, s->d_value, s->d_model); /* value */
	tally_add(t, s->n_heads, s->d_value, s->d_model);    /* attention_out */
	tally_add(t, 3, s->d_ff, s->d_model);                /* ff_gate, ff_up, ff_down */
}

int cost_span(const struct model_sizes *s, uint32_t first, uint32_t last, uint32_t position,
    uint32_t n_tokens, uint32_t n_logits, struct flop *out)
{
	struct tally weights = {0}, looks = {0}, head = {0}, flop = {0};
	uint64_t n_layers;

	if (first >= last || last > s->n_layers || n_logits > n_tokens ||
	    (n_logits > 0 && last != s->n_layers))
		return AYNI_ERR_ARGUMENT;
	n_layers = last - first;
	/* The token at p looks at p + 1 positions: the sum of position+1 .. position+n_tokens. */
	tally_add(&looks, n_tokens, position, 1);
	tally_add(&looks, (uint64_t)n_tokens * (n_tokens + 1ULL) / 2, 1, 1);
	tally_add(&head, s->n_heads, (uint64_t)s->d_head + s->d_value, 1);

	tally_layer_weights(&weights, s);
	tally_add(&flop, 2 * n_layers, n_tokens, weights.count);
	tally_add(&flop, 2 * n_layers, looks.count, head.count);
	tally_add(&flop, 2ULL * s->d_model, s->n_vocabulary, n_logits);
	if (weights.overflow || looks.overflow || head.overflow || flop.overflow)
		return AYNI_ERR_LIMIT;
	return flop_from(flop.count, out);
}
