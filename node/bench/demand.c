/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/demand.h"

#include <math.h>

#include "compute/cost.h"
#include "compute/kv.h"

static bool is(const struct gguf_tensor *t, const char *name)
{
	return strcmp(t->name, name) == 0;
}

/* The part of a tensor's bytes that n tokens, logits of which are wanted or not, meet. */
static double share_met(const struct gguf *g, const struct model_sizes *s,
    const struct gguf_tensor *t, double n, bool logits)
{
	const struct expert_sizes *e = &s->experts;
	bool tied = gguf_tensor_find(g, "output.weight") == NULL;

	if (!model_range_needs(g, s, 0, s->n_layers, t))
		return 0.0;
	if (is(t, "output.weight") || is(t, "output_norm.weight"))
		return logits ? 1.0 : 0.0;
	if (is(t, "token_embd.weight"))
		return tied && logits ? 1.0 : fmin(n / s->n_vocabulary, 1.0);
	if (e->n > 0 && model_tensor_is_of_experts(t->name))
		return 1.0 - pow(1.0 - (double)e->n_used / e->n, n);
	return 1.0;
}

/* Bytes of keys and values of the positions that the tokens up to `end` see. */
static double kv_bytes(
    const struct model_sizes *s, enum kv_type type, uint32_t end, uint32_t n_tokens)
{
	double bytes = 0.0;

	for (uint32_t layer = 0; layer < s->n_layers; layer++) {
		double seen = end;

		if (model_layer_is_windowed(s, layer))
			seen = fmin(seen, (double)s->window + n_tokens - 1);
		bytes += seen * (double)kv_bytes_per_token(s, type, 1);
	}
	return bytes;
}

void demand_add(const struct gguf *g, const struct model_sizes *s, const struct demand_batch *batch,
    struct demand *out)
{
	double n = (double)batch->sessions * batch->n_tokens;
	struct flop flop = {0};

	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		out->weight_bytes +=
		    (double)t->size_bytes * share_met(g, s, t, n, batch->n_logits > 0);
	}
	out->kv_bytes += batch->sessions *
	                 kv_bytes(s, batch->kv, batch->position + batch->n_tokens, batch->n_tokens);
	if (cost_span(s, 0, s->n_layers, batch->position, batch->n_tokens, batch->n_logits,
	        &flop) == AYNI_OK)
		out->multiply_adds += batch->sessions * (double)flop_count(flop) / 2.0;
}
