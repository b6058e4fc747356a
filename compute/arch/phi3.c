/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phi-3 and Phi-4 (Abdin et al.): the Llama block with one matrix for queries, keys and values and
 * one for gate and up, rotary positions on the two halves of (a part of) a head, and LongRoPE.
 */
#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

static const char *const understands[] = {"attention.sliding_window", NULL};

/* The whole of each fused matrix is borrowed in its last part's place until finish_layer. */
static const struct tensor_spec tensors_fused[] = {
    {"attn_norm.weight", true, {WIDTH_MODEL}, PRESENT,
        offsetof(struct layer_weights, attention_norm)},
    {"attn_qkv.weight", false, {WIDTH_MODEL, WIDTH_QKV}, PRESENT,
        offsetof(struct layer_weights, value)},
    {"attn_output.weight", false, {WIDTH_MIXED, WIDTH_MODEL}, PRESENT,
        offsetof(struct layer_weights, attention_out)},
    {"ffn_up.weight", false, {WIDTH_MODEL, WIDTH_GATE_UP}, PRESENT,
        offsetof(struct layer_weights, ff_up)},
    {"ffn_down.weight", false, {WIDTH_FF, WIDTH_MODEL}, PRESENT,
        offsetof(struct layer_weights, ff_down)},
    {.suffix = NULL},
};

static const struct tensor_spec *const tensors[] = {tensors_fused, tensors_ff_norm, NULL};

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	s->rope.halves = true;
	return sizes_read_window(k, 0, s);
}

static int finish_layer(const struct model *m, struct layer_weights *w, struct error *err)
{
	const struct model_sizes *s = &m->sizes;
	uint32_t queries = s->n_heads * s->d_head, keys = s->n_kv_heads * s->d_head;
	struct matrix all = w->value;

	(void)err;
	w->query = matrix_rows(&all, 0, queries);
	w->key = matrix_rows(&all, queries, keys);
	w->value = matrix_rows(&all, queries + keys, s->n_kv_heads * s->d_value);
	w->ff_gate = matrix_rows(&w->ff_up, 0, s->d_ff);
	w->ff_up = matrix_rows(&w->ff_up, s->d_ff, s->d_ff);
	return AYNI_OK;
}

const struct arch arch_phi3 = {
    .name = "phi3",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .finish_layer = finish_layer,
    .attention = block_attention,
    .feed_forward = block_feed_forward,
};
