/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gemma 3 (Gemma team, 2025): as Gemma 2 with norms on the heads of queries and keys in place of
 * the soft caps; of six layers the last sees all positions, the others a sliding window, with a
 * rotary base of their own that is never scaled.
 */
#include <math.h>

#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {
    "attention.sliding_window", "final_logit_softcapping", NULL};

static const struct tensor_spec *const tensors[] = {tensors_attention, tensors_head_norms,
    tensors_post_norms, tensors_ff_norm, tensors_feed_forward, NULL};

enum { LAYERS_OF_27B = 62, PERIOD = 6 };

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	double logit_cap = 0.0;
	int rc = sizes_read_window(k, PERIOD, s);

	s->rope.base_local = 10000.0;
	if (rc == AYNI_OK)
		rc = key_number(
		    k, "rope.freq_base_swa", 1.0, 1e15, KEY_OPTIONAL, &s->rope.base_local);
	if (rc == AYNI_OK)
		rc = key_number(k, "final_logit_softcapping", 0.0, 1e6, KEY_OPTIONAL, &logit_cap);
	s->rope.halves = true;
	s->activation = ACTIVATION_GELU;
	s->embedding_scale = sqrtf((float)s->d_model);
	s->logit_cap = (float)logit_cap;
	if (s->n_layers == LAYERS_OF_27B && s->attention_scale == 0.0f) {
		size_t head = s->d_model / s->n_heads;

		s->attention_scale = 1.0f / sqrtf((float)head);
	}
	return rc;
}

const struct arch arch_gemma3 = {
    .name = "gemma3",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
