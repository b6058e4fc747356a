/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Qwen3-MoE: Qwen3 whose feed-forward is routed experts; the chosen ones' weights sum to 1.
 */
#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {"expert_count", NULL};

static const struct tensor_spec *const tensors[] = {tensors_attention, tensors_attention_biases,
    tensors_head_norms, tensors_ff_norm, tensors_experts, NULL};

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	int rc = sizes_read_experts(k, s);

	s->rope.halves = true;
	s->experts.normalised = true;
	if (rc == AYNI_OK && s->experts.n == 0)
		rc = key_u32(k, "expert_count", 1, MODEL_MAX_EXPERTS, KEY_REQUIRED, &s->experts.n);
	return rc;
}

const struct arch arch_qwen3moe = {
    .name = "qwen3moe",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
