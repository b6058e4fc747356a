/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/model.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "compute/arch/arch.h"
#include "compute/model_pack.h"
#include "compute/weights.h"

static const struct arch *const architectures[] = {&arch_llama, &arch_deepseek2, &arch_qwen2,
    &arch_qwen3, &arch_qwen2moe, &arch_qwen3moe, &arch_mistral3, &arch_gemma2, &arch_gemma3,
    &arch_phi3, &arch_gpt_oss};

enum { N_ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

const char *model_architectures(void)
{
	return "llama, deepseek2, qwen2, qwen3, qwen2moe, qwen3moe, mistral3, gemma2, gemma3, "
	       "phi3, "
	       "gpt-oss";
}

const char *model_word(struct span word, char text[MODEL_WORD_BYTES])
{
	size_t n = word.len < MODEL_WORD_BYTES - 1 ? word.len : MODEL_WORD_BYTES - 1;

	for (size_t i = 0; i < n; i++)
		text[i] = word.data[i] >= ' ' && word.data[i] <= '~' ? (char)word.data[i] : '?';
	text[n] = '\0';
	return text;
}

static int find_arch(const struct gguf *g, const struct arch **out, struct error *err)
{
	char text[MODEL_WORD_BYTES];
	struct span name;
	int rc = gguf_get_string(g, "general.architecture", &name);

	if (rc != AYNI_OK)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: the file names no architecture (general.architecture)");
	for (size_t i = 0; i < N_ARCHITECTURES; i++) {
		const char *known = architectures[i]->name;

		if (name.len == strlen(known) && memcmp(name.data, known, name.len) == 0) {
			*out = architectures[i];
			return AYNI_OK;
		}
	}
	return error_set(err, AYNI_ERR_UNSUPPORTED,
	    "model: architecture \"%s\" is not supported (supported: %s)", model_word(name, text),
	    model_architectures());
}

/* ---- what all families share ---------------------------------------------------------------- */

int model_sizes_read(const struct gguf *g, struct model_sizes *out, struct error *err)
{
	const struct arch *arch;
	int rc = find_arch(g, &arch, err);

	return rc != AYNI_OK ? rc : arch_read_sizes(arch, g, out, err);
}

struct attention_shape model_attention_shape(const struct model_sizes *s)
{
	if (s->d_latent > 0)
		return (struct attention_shape){.n_kv_heads = 1,
		    .d_key = s->d_latent + s->d_rope,
		    .d_value = s->d_latent,
		    .key_width = s->d_latent + s->d_rope,
		    .value_width = 0};
	return (struct attention_shape){.n_kv_heads = s->n_kv_heads,
	    .d_key = s->d_head,
	    .d_value = s->d_value,
	    .key_width = s->n_kv_heads * s->d_head,
	    .value_width = s->n_kv_heads * s->d_value};
}

bool model_layer_is_windowed(const struct model_sizes *s, uint32_t layer)
{
	return s->window > 0 && (s->window_period == 0 || (layer + 1) % s->window_period != 0);
}

bool model_layer_has_experts(const struct model_sizes *s, uint32_t layer)
{
	return s->experts.n > 0 && layer >= s->experts.n_dense_layers;
}

static bool is_tied(const struct gguf *g)
{
	return gguf_tensor_find(g, "output.weight") == NULL;
}

static int load_ends(const struct gguf *g, struct model *m, struct error *err)
{
	const struct model_sizes *s = &m->sizes;
	const char *output = is_tied(g) ? "token_embd.weight" : "output.weight";
	const uint64_t vocabulary[3] = {s->d_model, s->n_vocabulary, 1};
	const uint64_t norm[3] = {s->d_model, 1, 1};
	int rc = AYNI_OK;

	if (m->layer_first == 0)
		rc = weights_read_matrix(g, "token_embd.weight", vocabulary, &m->embedding, err);
	if (rc != AYNI_OK || m->layer_last != s->n_layers)
		return rc;
	rc = weights_read_vector(g, "output_norm.weight", norm, &m->output_norm, err);
	return rc != AYNI_OK ? rc : weights_read_matrix(g, output, vocabulary, &m->output, err);
}

int model_open(const struct gguf *g, uint32_t layer_first, uint32_t layer_last,
    const struct kernels *k, struct model **out, struct error *err)
{
	struct model *m = calloc(1, sizeof *m);
	int rc;

	*out = NULL;
	if (m == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "model: no memory");
	rc = find_arch(g, &m->arch, err);
	if (rc != AYNI_OK)
		goto err0;
	rc = arch_read_sizes(m->arch, g, &m->sizes, err);
	if (rc != AYNI_OK)
		goto err0;
	if (layer_first >= layer_last || layer_last > m->sizes.n_layers) {
		rc = error_set(err, AYNI_ERR_ARGUMENT,
		    "model: layers [%u, %u) are no range of its %u", layer_first, layer_last,
		    m->sizes.n_layers);
		goto err0;
	}
	m->layer_first = m->layer_ready = layer_first;
	m->layer_last = layer_last;
	m->layers = calloc(layer_last - layer_first, sizeof *m->layers);
	if (m->layers == NULL) {
		rc = error_set(err, AYNI_ERR_MEMORY, "model: no memory");
		goto err0;
	}
	rc = load_ends(g, m, err);
	if (rc == AYNI_OK)
		rc = rope_make(
		    g, &m->sizes.rope, m->sizes.d_rope, m->sizes.context_tokens, &m->rope, err);
	if (rc == AYNI_OK)
		rc = arch_load_layers(g, m, err);
	if (rc == AYNI_OK && k != NULL && k->panels)
		rc = model_pack_reserve(m, err);
	if (rc != AYNI_OK)
		goto err0;
	*out = m;
	return AYNI_OK;

err0:
	model_free(m);
	return rc;
}

int model_ready_next(struct model *m, const struct gguf *g, struct team *team, struct error *err)
{
	int rc;

	if (m->layer_ready == m->layer_last)
		return error_set(err, AYNI_ERR_STATE, "model: all layers are ready");
	rc = arch_finish_layer(m, m->layer_ready, err);
	if (rc != AYNI_OK)
		return rc;
	model_pack_layer(m, m->layer_ready, g, team);
	m->layer_ready++;
	return AYNI_OK;
}

int model_load_for(const struct gguf *g, uint32_t layer_first, uint32_t layer_last,
    const struct kernels *k, struct team *team, struct model **out, struct error *err)
{
	int rc = model_open(g, layer_first, layer_last, k, out, err);

	while (rc == AYNI_OK && (*out)->layer_ready < layer_last)
		rc = model_ready_next(*out, g, team, err);
	if (rc != AYNI_OK) {
		model_free(*out);
		*out = NULL;
	}
	return rc;
}

int model_load(const struct gguf *g, uint32_t layer_first, uint32_t layer_last, struct model **out,
    struct error *err)
{
	return model_load_for(g, layer_first, layer_last, NULL, NULL, out, err);
}

void model_free(struct model *m)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; m->layers != NULL && i < m->layer_last - m->layer_first; i++)
		free(m->layers[i].latent_key_transposed);
	free(m->layers);
	rope_clear(&m->rope);
	if (m->packed != NULL)
		(void)munmap(m->packed, m->packed_bytes);
	free(m);
}

bool model_range_needs(const struct gguf *g, const struct model_sizes *sizes, uint32_t first,
    uint32_t last, const struct gguf_tensor *t)
{
	bool holds_output = last == sizes->n_layers;
	const struct arch *arch;
	uint32_t layer;

	if (rope_factors_name(g, &sizes->rope, sizes->context_tokens) != NULL &&
	    strcmp(t->name, rope_factors_name(g, &sizes->rope, sizes->context_tokens)) == 0)
		return true;
	if (strcmp(t->name, "token_embd.weight") == 0)
		return first == 0 || (holds_output && is_tied(g));
	if (strcmp(t->name, "output_norm.weight") == 0 || strcmp(t->name, "output.weight") == 0)
		return holds_output;
	return find_arch(g, &arch, NULL) == AYNI_OK &&
	       arch_uses_tensor(arch, g, sizes, t->name, &layer) && layer >= first && layer < last;
}

bool model_tensor_layer(const char *tensor_name, uint32_t *layer)
{
	unsigned long number;
	char *rest;

	if (strncmp(tensor_name, "blk.", 4) != 0 || tensor_name[4] < '0' || tensor_name[4] > '9')
		return false;
	number = strtoul(tensor_name + 4, &rest, 10);
	if (*rest != '.' || number >= LIMIT_LAYERS)
		return false;
	*layer = (uint32_t)number;
	return true;
}

bool model_tensor_is_of_experts(const char *tensor_name)
{
	return strstr(tensor_name, "_exps.") != NULL;
}
