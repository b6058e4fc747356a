/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gemma 2 (Gemma team, 2024): norms before and after each half of a layer, a GELU-gated
 * feed-forward, scaled embeddings, soft caps on attention scores and logits, and every other layer
 * sees a sliding window only. The file's norm weights already have the family's +1.
 */
#include <math.h>

#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {
    "attention.sliding_window", "attn_logit_softcapping", "final_logit_softcapping", NULL};

static const struct tensor_spec *const tensors[] = {
    tensors_attention, tensors_post_norms, tensors_ff_norm, tensors_feed_forward, NULL};

enum { LAYERS_OF_27B = 46, PERIOD = 2, WINDOW = 4096 };

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	double attention_cap = 50.0, logit_cap = 30.0;
	int rc;

	s->window = WINDOW;
	rc = sizes_read_window(k, PERIOD, s);
	if (rc == AYNI_OK)
		rc =
		    key_number(k, "attn_logit_softcapping", 0.0, 1e6, KEY_OPTIONAL, &attention_cap);
	if (rc == AYNI_OK)
		rc = key_number(k, "final_logit_softcapping", 0.0, 1e6, KEY_OPTIONAL, &logit_cap);
	s->rope.halves = true;
	s->activation = ACTIVATION_GELU;
	s->embedding_scale = sqrtf((float)s->d_model);
	s->attention_cap = (float)attention_cap;
	s->logit_cap = (float)logit_cap;
	/* The files do not say it: the largest model scales by the width of a head as it would be
	 * without its own key_length. */
	if (s->n_layers == LAYERS_OF_27B && s->attention_scale == 0.0f) {
		size_t head = s->d_model / s->n_heads;

		s->attention_scale = 1.0f / sqrtf((float)head);
	}
	return rc;
}

const struct arch arch_gemma2 = {
    .name = "gemma2",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
