/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's tensors, by tables: which names, which shapes, which layers have them. Names as in
 * ggml-org/ggml docs/gguf.md.
 */
#include "compute/arch/arch.h"
#include "compute/weights.h"

#define FIELD(name) offsetof(struct layer_weights, name)
#define END                                                                                        \
	{                                                                                          \
		.suffix = NULL                                                                     \
	}

const struct tensor_spec tensors_attention[] = {
    {"attn_norm.weight", true, {WIDTH_MODEL}, PRESENT, FIELD(attention_norm)},
    {"attn_q.weight", false, {WIDTH_MODEL, WIDTH_QUERIES}, PRESENT, FIELD(query)},
    {"attn_k.weight", false, {WIDTH_MODEL, WIDTH_KEYS}, PRESENT, FIELD(key)},
    {"attn_v.weight", false, {WIDTH_MODEL, WIDTH_VALUES}, PRESENT, FIELD(value)},
    {"attn_output.weight", false, {WIDTH_MIXED, WIDTH_MODEL}, PRESENT, FIELD(attention_out)},
    END,
};

const struct tensor_spec tensors_attention_biases[] = {
    {"attn_q.bias", true, {WIDTH_QUERIES}, PRESENT_OPTIONAL, FIELD(query_bias)},
    {"attn_k.bias", true, {WIDTH_KEYS}, PRESENT_OPTIONAL, FIELD(key_bias)},
    {"attn_v.bias", true, {WIDTH_VALUES}, PRESENT_OPTIONAL, FIELD(value_bias)},
    {"attn_output.bias", true, {WIDTH_MODEL}, PRESENT_OPTIONAL, FIELD(attention_out_bias)},
    END,
};

const struct tensor_spec tensors_head_norms[] = {
    {"attn_q_norm.weight", true, {WIDTH_HEAD}, PRESENT, FIELD(query_norm)},
    {"attn_k_norm.weight", true, {WIDTH_HEAD}, PRESENT, FIELD(key_norm)},
    END,
};

const struct tensor_spec tensors_post_norms[] = {
    {"post_attention_norm.weight", true, {WIDTH_MODEL}, PRESENT, FIELD(attention_post_norm)},
    {"post_ffw_norm.weight", true, {WIDTH_MODEL}, PRESENT, FIELD(ff_post_norm)},
    END,
};

const struct tensor_spec tensors_ff_norm[] = {
    {"ffn_norm.weight", true, {WIDTH_MODEL}, PRESENT, FIELD(ff_norm)},
    END,
};

const struct tensor_spec tensors_feed_forward[] = {
    {"ffn_gate.weight", false, {WIDTH_MODEL, WIDTH_FF}, PRESENT_DENSE, FIELD(ff_gate)},
    {"ffn_up.weight", false, {WIDTH_MODEL, WIDTH_FF}, PRESENT_DENSE, FIELD(ff_up)},
    {"ffn_down.weight", false, {WIDTH_FF, WIDTH_MODEL}, PRESENT_DENSE, FIELD(ff_down)},
    END,
};

const struct tensor_spec tensors_experts[] = {
    {"ffn_gate_inp.weight", false, {WIDTH_MODEL, WIDTH_EXPERTS}, PRESENT_EXPERTS, FIELD(router)},
    {"exp_probs_b.bias", true, {WIDTH_EXPERTS}, PRESENT_EXPERTS_OPTIONAL, FIELD(choice_bias)},
    {"ffn_gate_exps.weight", false, {WIDTH_MODEL, WIDTH_EXPERT_FF, WIDTH_EXPERTS}, PRESENT_EXPERTS,
        FIELD(expert_gate)},
    {"ffn_up_exps.weight", false, {WIDTH_MODEL, WIDTH_EXPERT_FF, WIDTH_EXPERTS}, PRESENT_EXPERTS,
        FIELD(expert_up)},
    {"ffn_down_exps.weight", false, {WIDTH_EXPERT_FF, WIDTH_MODEL, WIDTH_EXPERTS}, PRESENT_EXPERTS,
        FIELD(expert_down)},
    END,
};

const struct tensor_spec tensors_shared_expert[] = {
    {"ffn_gate_shexp.weight", false, {WIDTH_MODEL, WIDTH_SHARED_FF}, PRESENT_SHARED,
        FIELD(shared_gate)},
    {"ffn_up_shexp.weight", false, {WIDTH_MODEL, WIDTH_SHARED_FF}, PRESENT_SHARED,
        FIELD(shared_up)},
    {"ffn_down_shexp.weight", false, {WIDTH_SHARED_FF, WIDTH_MODEL}, PRESENT_SHARED,
        FIELD(shared_down)},
    END,
};

static uint64_t width_of(const struct model_sizes *s, enum width w)
{
	uint64_t queries = (uint64_t)s->n_heads * s->d_head;
	uint64_t keys = (uint64_t)s->n_kv_heads * s->d_head;
	uint64_t values = (uint64_t)s->n_kv_heads * s->d_value;

	switch (w) {
	case WIDTH_ONE:
		return 1;
	case WIDTH_MODEL:
		return s->d_model;
	case WIDTH_FF:
		return s->d_ff;
	case WIDTH_GATE_UP:
		return 2ULL * s->d_ff;
	case WIDTH_HEADS:
		return s->n_heads;
	case WIDTH_HEAD:
		return s->d_head;
	case WIDTH_QUERIES:
		return queries;
	case WIDTH_KEYS:
		return keys;
	case WIDTH_VALUES:
		return values;
	case WIDTH_QKV:
		return queries + keys + values;
	case WIDTH_MIXED:
		return (uint64_t)s->n_heads * s->d_value;
	case WIDTH_VALUE:
		return s->d_value;
	case WIDTH_NOPE:
		return s->d_head - s->d_rope;
	case WIDTH_QUERY_LATENT:
		return s->d_query_latent;
	case WIDTH_LATENT:
		return s->d_latent;
	case WIDTH_LATENT_ROPE:
		return (uint64_t)s->d_latent + s->d_rope;
	case WIDTH_LATENT_BOTH:
		return (uint64_t)s->n_heads * (s->d_head - s->d_rope + s->d_value);
	case WIDTH_EXPERTS:
		return s->experts.n;
	case WIDTH_EXPERT_FF:
		return s->experts.d_ff;
	case WIDTH_SHARED_FF:
		return s->experts.d_ff_shared;
	}
	assert(false);
	return 0;
}

static bool is_present(const struct gguf *g, const struct model_sizes *s, uint32_t layer,
    const struct tensor_spec *t, const char *name)
{
	bool experts = model_layer_has_experts(s, layer);

	switch (t->presence) {
	case PRESENT:
		return true;
	case PRESENT_OPTIONAL:
		return gguf_tensor_find(g, name) != NULL;
	case PRESENT_DENSE:
		return !experts;
	case PRESENT_EXPERTS:
		return experts;
	case PRESENT_EXPERTS_OPTIONAL:
		return experts && gguf_tensor_find(g, name) != NULL;
	case PRESENT_SHARED:
		return experts && s->experts.d_ff_shared > 0;
	case PRESENT_QUERY_LATENT:
		return s->d_query_latent > 0;
	case PRESENT_QUERY_WHOLE:
		return s->d_query_latent == 0;
	}
	assert(false);
	return false;
}

static int load_tensor(const struct gguf *g, const struct model_sizes *s, uint32_t layer,
    const struct tensor_spec *t, struct layer_weights *w, struct error *err)
{
	char name[GGUF_MAX_NAME_BYTES];
	void *field = (char *)w + t->field;
	uint64_t dims[3];

	(void)snprintf(name, sizeof name, "blk.%u.%s", layer, t->suffix);
	if (!is_present(g, s, layer, t, name))
		return AYNI_OK;
	for (int i = 0; i < 3; i++)
		dims[i] = width_of(s, t->dims[i]);
	return t->vector ? weights_read_vector(g, name, dims, field, err)
	                 : weights_read_matrix(g, name, dims, field, err);
}

int arch_load_layers(const struct gguf *g, struct model *m, struct error *err)
{
	int rc = AYNI_OK;

	for (uint32_t layer = m->layer_first; rc == AYNI_OK && layer < m->layer_last; layer++) {
		struct layer_weights *w = &m->layers[layer - m->layer_first];

		for (const struct tensor_spec *const *table = m->arch->tensors; *table != NULL;
		     table++)
			for (const struct tensor_spec *t = *table;
			     rc == AYNI_OK && t->suffix != NULL; t++)
				rc = load_tensor(g, &m->sizes, layer, t, w, err);
	}
	return rc;
}

int arch_finish_layer(struct model *m, uint32_t layer, struct error *err)
{
	if (m->arch->finish_layer == NULL)
		return AYNI_OK;
	return m->arch->finish_layer(m, &m->layers[layer - m->layer_first], err);
}

static const struct tensor_spec *find_spec(const struct arch *a, const char *suffix)
{
	for (const struct tensor_spec *const *table = a->tensors; *table != NULL; table++)
		for (const struct tensor_spec *t = *table; t->suffix != NULL; t++)
			if (strcmp(suffix, t->suffix) == 0)
				return t;
	return NULL;
}

/* "blk.<layer>.<suffix>" with a suffix of a table, the number written the only way it can be. */
bool arch_uses_tensor(const struct arch *a, const struct gguf *g, const struct model_sizes *s,
    const char *name, uint32_t *layer)
{
	const struct tensor_spec *t;

	if (!model_tensor_layer(name, layer) || (name[4] == '0' && name[5] != '.') ||
	    *layer >= s->n_layers)
		return false;
	t = find_spec(a, strchr(name + 4, '.') + 1);
	return t != NULL && is_present(g, s, *layer, t, name);
}
