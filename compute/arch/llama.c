/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Llama family (Touvron et al., "LLaMA" and its successors; Mixtral, Jiang et al.): pre-norm
 * blocks with RMS norms, rotary positions on neighbouring pairs, grouped-query attention and a
 * SwiGLU feed-forward, which in Mixtral is a mixture of experts whose chosen weights sum to 1.
 */
#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {"expert_count", "attention.sliding_window", NULL};

static const struct tensor_spec *const tensors[] = {tensors_attention, tensors_attention_biases,
    tensors_ff_norm, tensors_feed_forward, tensors_experts, NULL};

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	int rc = sizes_read_experts(k, s);

	s->experts.normalised = true;
	return rc != AYNI_OK ? rc : sizes_read_window(k, 0, s);
}

const struct arch arch_llama = {
    .name = "llama",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
