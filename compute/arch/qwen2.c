/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Qwen2 and Qwen2.5 (and the DeepSeek-R1 distills made of them): the Llama block with biases on
 * queries, keys and values, and rotary positions on the two halves of a head.
 */
#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {NULL};

static const struct tensor_spec *const tensors[] = {
    tensors_attention, tensors_attention_biases, tensors_ff_norm, tensors_feed_forward, NULL};

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	(void)k;
	s->rope.halves = true;
	return AYNI_OK;
}

const struct arch arch_qwen2 = {
    .name = "qwen2",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
