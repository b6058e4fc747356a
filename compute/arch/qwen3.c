/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Qwen3: as Qwen2, without biases, but with an RMS norm on each head of queries and keys.
 */
#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {NULL};

static const struct tensor_spec *const tensors[] = {tensors_attention, tensors_attention_biases,
    tensors_head_norms, tensors_ff_norm, tensors_feed_forward, NULL};

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	(void)k;
	s->rope.halves = true;
	return AYNI_OK;
}

const struct arch arch_qwen3 = {
    .name = "qwen3",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
