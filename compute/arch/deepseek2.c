/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DeepSeek-V2, V2-Lite, V2.5, V3, V3.1 and R1 (DeepSeek-AI, "DeepSeek-V2" and "DeepSeek-V3"
 * technical reports): latent attention, whose cache holds a compressed vector and one rotated key
 * for all heads; leading dense layers; then routed experts, chosen from the best groups, beside
 * shared ones.
 *
 * Files come in two forms. Newer ones have the up-projections of keys and values apart (attn_k_b,
 * which is already transposed, and attn_v_b), and name the sizes of the compressed cache as
 * key_length and value_length and those of a head as key_length_mla and value_length_mla. Older
 * ones have both in attn_kv_b, head after head, and key_length and value_length are a head's.
 */
#include <math.h>
#include <stdlib.h>

#include "compute/arch/arch.h"
#include "compute/arch/blocks.h"

#define FIELD(name) offsetof(struct layer_weights, name)

static const char *const understands[] = {"expert_count", "attention.temperature_scale", NULL};

static const struct tensor_spec tensors_latent[] = {
    {"attn_norm.weight", true, {WIDTH_MODEL}, PRESENT, FIELD(attention_norm)},
    {"attn_q.weight", false, {WIDTH_MODEL, WIDTH_QUERIES}, PRESENT_QUERY_WHOLE, FIELD(query)},
    {"attn_q_a.weight", false, {WIDTH_MODEL, WIDTH_QUERY_LATENT}, PRESENT_QUERY_LATENT,
        FIELD(query_a)},
    {"attn_q_a_norm.weight", true, {WIDTH_QUERY_LATENT}, PRESENT_QUERY_LATENT, FIELD(query_a_norm)},
    {"attn_q_b.weight", false, {WIDTH_QUERY_LATENT, WIDTH_QUERIES}, PRESENT_QUERY_LATENT,
        FIELD(query_b)},
    {"attn_kv_a_mqa.weight", false, {WIDTH_MODEL, WIDTH_LATENT_ROPE}, PRESENT, FIELD(latent)},
    {"attn_kv_a_norm.weight", true, {WIDTH_LATENT}, PRESENT, FIELD(latent_norm)},
    {"attn_kv_b.weight", false, {WIDTH_LATENT, WIDTH_LATENT_BOTH}, PRESENT_OPTIONAL,
        FIELD(latent_both)},
    {"attn_k_b.weight", false, {WIDTH_NOPE, WIDTH_LATENT, WIDTH_HEADS}, PRESENT_OPTIONAL,
        FIELD(latent_key)},
    {"attn_v_b.weight", false, {WIDTH_LATENT, WIDTH_VALUE, WIDTH_HEADS}, PRESENT_OPTIONAL,
        FIELD(latent_value)},
    {"attn_output.weight", false, {WIDTH_MIXED, WIDTH_MODEL}, PRESENT, FIELD(attention_out)},
    {.suffix = NULL},
};

static const struct tensor_spec *const tensors[] = {tensors_latent, tensors_ff_norm,
    tensors_feed_forward, tensors_experts, tensors_shared_expert, NULL};

/* ---- sizes ---------------------------------------------------------------------------------- */

static int read_latent(const struct arch_keys *k, struct model_sizes *s)
{
	int rc =
	    key_u32(k, "attention.kv_lora_rank", 1, MODEL_MAX_WIDTH, KEY_REQUIRED, &s->d_latent);

	if (rc == AYNI_OK)
		rc = key_u32(k, "attention.q_lora_rank", 0, MODEL_MAX_WIDTH, KEY_OPTIONAL,
		    &s->d_query_latent);
	if (rc == AYNI_OK)
		rc = key_u32(
		    k, "attention.key_length_mla", 1, MODEL_MAX_WIDTH, KEY_OPTIONAL, &s->d_head);
	if (rc == AYNI_OK)
		rc = key_u32(
		    k, "attention.value_length_mla", 1, MODEL_MAX_WIDTH, KEY_OPTIONAL, &s->d_value);
	if (rc == AYNI_OK && s->d_rope >= s->d_head)
		rc = error_set(k->err, AYNI_ERR_FORMAT,
		    "model: all %u elements of a head rotate (%s.rope.dimension_count is %u), "
		    "which "
		    "leaves none to compress",
		    s->d_head, k->arch, s->d_rope);
	s->n_kv_heads = 1;
	return rc;
}

static int read_experts(const struct arch_keys *k, struct model_sizes *s)
{
	enum { SOFTMAX = 1, SIGMOID = 2 }; /* expert_gating_func */
	uint32_t gating = SOFTMAX, n_shared = 0;
	int rc = sizes_read_experts(k, s);

	if (rc != AYNI_OK || s->experts.n == 0)
		return rc;
	rc = key_u32(k, "leading_dense_block_count", 0, s->n_layers, KEY_OPTIONAL,
	    &s->experts.n_dense_layers);
	if (rc == AYNI_OK)
		rc = key_u32(
		    k, "expert_shared_count", 0, MODEL_MAX_EXPERTS, KEY_OPTIONAL, &n_shared);
	if (rc == AYNI_OK)
		rc = key_u32(k, "expert_gating_func", 0, SIGMOID, KEY_OPTIONAL, &gating);
	if (rc == AYNI_OK && (uint64_t)n_shared * s->experts.d_ff > MODEL_MAX_WIDTH)
		rc = error_set(k->err, AYNI_ERR_LIMIT,
		    "model: %u shared experts of width %u are wider than %d", n_shared,
		    s->experts.d_ff, MODEL_MAX_WIDTH);
	s->experts.gating = gating == SIGMOID ? GATING_SIGMOID : GATING_SOFTMAX;
	s->experts.d_ff_shared = n_shared * s->experts.d_ff;
	return rc;
}

static int read_sizes(const struct arch_keys *k, struct model_sizes *s)
{
	int rc = read_latent(k, s);

	if (rc == AYNI_OK)
		rc = read_experts(k, s);
	if (rc == AYNI_OK)
		rc = sizes_read_temperature(k, s);
	/* The file's value has been multiplied by 0.1 on its way. */
	s->rope.log_multiplier /= 0.1;
	s->rope.log_multiplier_is_both = true;
	if (s->rope.scaling == ROPE_YARN && s->attention_scale == 0.0f) {
		double m = rope_yarn_magnitude(s->rope.factor, s->rope.log_multiplier);

		s->attention_scale = (float)(m * m / sqrt((double)s->d_head));
	}
	return rc;
}

/* ---- weights -------------------------------------------------------------------------------- */

/* Keys are never unfolded: a query meets the latent vectors through its head's rows of attn_kv_b,
 * transposed. */
static int transpose_keys(const struct model_sizes *s, struct layer_weights *w, struct error *err)
{
	size_t nope = s->d_head - s->d_rope, latent = s->d_latent;
	float *row = calloc(latent, sizeof *row);
	float *out = calloc((size_t)s->n_heads * latent, nope * sizeof *out);

	if (row == NULL || out == NULL) {
		free(row);
		free(out);
		return error_set(err, AYNI_ERR_MEMORY, "model: no memory for a layer's keys");
	}
	for (size_t h = 0; h < s->n_heads; h++)
		for (size_t i = 0; i < nope; i++) {
			size_t from = h * (nope + s->d_value) + i;

			tensor_decode_row(w->latent_both.type,
			    w->latent_both.data + from * w->latent_both.row_bytes, latent, row);
			for (size_t j = 0; j < latent; j++)
				out[(h * latent + j) * nope + i] = row[j];
		}
	free(row);
	w->latent_key_transposed = out;
	w->latent_key = (struct matrix){.type = TENSOR_F32,
	    .n_rows = (uint32_t)(s->n_heads * latent),
	    .n_cols = (uint32_t)nope,
	    .row_bytes = nope * sizeof *out,
	    .data = (const uint8_t *)out};
	return AYNI_OK;
}

static int finish_layer(const struct model *m, struct layer_weights *w, struct error *err)
{
	if (w->latent_key.data != NULL && w->latent_value.data != NULL) {
		w->latent_both.data = NULL;
		return AYNI_OK;
	}
	if (w->latent_both.data == NULL)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: tensor blk.%u.attn_kv_b.weight is missing (or attn_k_b and attn_v_b in "
		    "its place)",
		    m->layer_first + (uint32_t)(w - m->layers));
	return transpose_keys(&m->sizes, w, err);
}

const struct arch arch_deepseek2 = {
    .name = "deepseek2",
    .understands = understands,
    .tensors = tensors,
    .read_sizes = read_sizes,
    .finish_layer = finish_layer,
    .attention = block_latent_attention,
    .feed_forward = block_feed_forward,
};
