/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Qwen1.5-MoE and Qwen2-MoE: Qwen2 whose feed-forward is routed experts, weighed by their
 * probability among all, beside one expert that every token uses and that has a gate of its own.
 */
#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {"expert_count", NULL};

static const struct tensor_spec tensors_shared_gate[] = {
    {"ffn_gate_inp_shexp.weight", true, {WIDTH_MODEL}, PRESENT_SHARED,
        offsetof(struct layer_weights, shared_gate_input)},
    {.suffix = NULL},
};

static const struct tensor_spec *const tensors[] = {tensors_attention, tensors_attention_biases,
    tensors_ff_norm, tensors_experts, tensors_shared_expert, tensors_shared_gate, NULL};

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	int rc = sizes_read_experts(k, s);

	s->rope.halves = true;
	s->experts.d_ff_shared = s->d_ff;
	if (rc == AYNI_OK && s->experts.n == 0)
		rc = key_u32(k, "expert_count", 1, MODEL_MAX_EXPERTS, KEY_REQUIRED, &s->experts.n);
	if (rc == AYNI_OK)
		rc = key_u32(k, "expert_shared_feed_forward_length", 1, MODEL_MAX_WIDTH,
		    s->d_ff > 0 ? KEY_OPTIONAL : KEY_REQUIRED, &s->experts.d_ff_shared);
	return rc;
}

const struct arch arch_qwen2moe = {
    .name = "qwen2moe",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
