/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a model file: reading its sizes and loading ranges must end in a model whose weights
 * lie inside the bytes, or in an error.
 */
#include "compute/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static volatile unsigned sink; /* so that no read is left out */

/* Touch the last byte of a matrix, so that one past the end is found. */
static unsigned last_byte(const struct matrix *m)
{
	return m->data == NULL ? 0 : m->data[(size_t)m->n_rows * m->row_bytes - 1];
}

static void load(const struct gguf *g, uint32_t first, uint32_t last)
{
	struct error err;
	struct model *m;

	if (model_load(g, first, last, &m, &err) != AYNI_OK)
		return;
	sink += last_byte(&m->embedding) + last_byte(&m->output);
	for (uint32_t i = 0; i < last - first; i++) {
		const struct layer_weights *w = &m->layers[i];

		const struct matrix *const all[] = {&w->query, &w->key, &w->value,
		    &w->attention_out, &w->query_a, &w->query_b, &w->latent, &w->latent_key,
		    &w->latent_value, &w->latent_both, &w->ff_gate, &w->ff_up, &w->ff_down,
		    &w->router, &w->expert_gate, &w->expert_up, &w->expert_down, &w->shared_gate,
		    &w->shared_up, &w->shared_down};

		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
			sink += last_byte(all[k]);
		sink += ((const uint8_t *)w->attention_norm)[m->sizes.d_model * sizeof(float) - 1];
	}
	model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct model_sizes sizes;
	struct error err;
	struct gguf *g;

	if (gguf_parse(data, len, len, &g, &err) != AYNI_OK)
		return 0;
	if (model_sizes_read(g, &sizes, &err) == AYNI_OK) {
		for (size_t i = 0; i < gguf_n_tensors(g); i++)
			(void)model_range_needs(g, &sizes, 0, 1, gguf_tensor_at(g, i));
		load(g, 0, sizes.n_layers);
		load(g, sizes.n_layers - 1, sizes.n_layers);
	}
	gguf_free(g);
	return 0;
}
