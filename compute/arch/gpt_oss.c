/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpt-oss (OpenAI, 2025): biases everywhere, a learnt sink in each attention head, a sliding window
 * in every other layer, YaRN, and routed experts whose gate and up values are clamped. Experts are
 * weighed by a softmax over the chosen ones' logits.
 */
#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

#define FIELD(name) offsetof(struct layer_weights, name)

static const char *const understands[] = {"expert_count", "attention.sliding_window", NULL};

static const struct tensor_spec tensors_own[] = {
    {"attn_sinks.weight", true, {WIDTH_HEADS}, PRESENT, FIELD(sinks)},
    {"post_attention_norm.weight", true, {WIDTH_MODEL}, PRESENT, FIELD(ff_norm)},
    {"ffn_gate_inp.bias", true, {WIDTH_EXPERTS}, PRESENT, FIELD(router_bias)},
    {"ffn_gate_exps.bias", true, {WIDTH_EXPERT_FF, WIDTH_EXPERTS}, PRESENT,
        FIELD(expert_gate_bias)},
    {"ffn_up_exps.bias", true, {WIDTH_EXPERT_FF, WIDTH_EXPERTS}, PRESENT, FIELD(expert_up_bias)},
    {"ffn_down_exps.bias", true, {WIDTH_MODEL, WIDTH_EXPERTS}, PRESENT, FIELD(expert_down_bias)},
    {.suffix = NULL},
};

static const struct tensor_spec *const tensors[] = {
    tensors_attention, tensors_attention_biases, tensors_own, tensors_experts, NULL};

enum { PERIOD = 2 };

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	int rc = sizes_read_experts(k, s);

	if (rc == AYNI_OK && s->experts.n == 0)
		rc = key_u32(k, "expert_count", 1, MODEL_MAX_EXPERTS, KEY_REQUIRED, &s->experts.n);
	if (rc == AYNI_OK)
		rc = sizes_read_window(k, PERIOD, s);
	s->rope.halves = true;
	s->activation = ACTIVATION_CLAMPED;
	s->experts.gating = GATING_SOFTMAX_CHOSEN;
	return rc;
}

const struct arch arch_gpt_oss = {
    .name = "gpt-oss",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
