/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ministral 3 and its kin: the Llama family with YaRN, and with queries that grow with the
 * logarithm of the position past the original context, so that attention stays sharp far out.
 */
#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {
    "expert_count", "attention.sliding_window", "attention.temperature_scale", NULL};

static const struct tensor_spec *const tensors[] = {tensors_attention, tensors_attention_biases,
    tensors_ff_norm, tensors_feed_forward, tensors_experts, NULL};

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	int rc = sizes_read_experts(k, s);

	s->experts.normalised = true;
	if (rc == AYNI_OK)
		rc = sizes_read_window(k, 0, s);
	return rc != AYNI_OK ? rc : sizes_read_temperature(k, s);
}

const struct arch arch_mistral3 = {
    .name = "mistral3",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
