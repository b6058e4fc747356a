/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/model.h"

#include <float.h>
#include <inttypes.h>
#include <stdlib.h>

#include "compute/arch/arch.h"
#include "compute/kernels/canon.h"

static const struct arch *const architectures[] = {&arch_llama};

enum { N_ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

/* Faster rotations than this would leave the range of canon_sincos64 at the longest context. */
#define MAX_ROPE_FREQUENCY 1000.0

const char *model_architectures(void)
{
	return "llama";
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

/* ---- for the families' files ---------------------------------------------------------------- */

int model_read_u32(
    const struct gguf *g, const struct model_key *key, uint32_t *out, struct error *err)
{
	uint64_t value;
	int rc = gguf_get_u64(g, key->name, &value);

	if (rc == AYNI_ERR_NOT_FOUND && key->optional)
		return AYNI_OK;
	if (rc == AYNI_ERR_NOT_FOUND)
		return error_set(err, AYNI_ERR_FORMAT, "model: %s is missing", key->name);
	if (rc != AYNI_OK)
		return error_set(
		    err, AYNI_ERR_FORMAT, "model: %s is not one whole number", key->name);
	if (value < key->min || value > key->max)
		return error_set(err, AYNI_ERR_LIMIT,
		    "model: %s is %" PRIu64 ", not between %" PRIu64 " and %" PRIu64, key->name,
		    value, key->min, key->max);
	*out = (uint32_t)value;
	return AYNI_OK;
}

/* Find a tensor of the shape dims[0] x dims[1], as the file orders them. */
static int find_tensor(const struct gguf *g, const char *name, const uint64_t dims[2],
    const struct gguf_tensor **out, struct error *err)
{
	const struct gguf_tensor *t = gguf_tensor_find(g, name);

	if (t == NULL)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: tensor %s is missing (expected [%" PRIu64 ", %" PRIu64 "])", name,
		    dims[0], dims[1]);
	if (t->dims[0] != dims[0] || t->dims[1] != dims[1] || t->dims[2] != 1 || t->dims[3] != 1)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: tensor %s is [%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
		    "], expected [%" PRIu64 ", %" PRIu64 "]",
		    name, t->dims[0], t->dims[1], t->dims[2], t->dims[3], dims[0], dims[1]);
	*out = t;
	return AYNI_OK;
}

static int borrow_data(
    const struct gguf *g, const struct gguf_tensor *t, const uint8_t **out, struct error *err)
{
	const uint8_t *data = gguf_tensor_data(g, t);

	if (data == NULL)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: tensor %s lies past the part of the file that is here", t->name);
	if ((uintptr_t)data % sizeof(float) != 0)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: tensor %s at offset %" PRIu64 " is not aligned to 4 bytes", t->name,
		    t->offset);
	*out = data;
	return AYNI_OK;
}

int model_read_vector(
    const struct gguf *g, const char *name, uint32_t n, const float **out, struct error *err)
{
	const uint64_t dims[2] = {n, 1};
	const struct gguf_tensor *t;
	const uint8_t *data;
	int rc = find_tensor(g, name, dims, &t, err);

	if (rc != AYNI_OK)
		return rc;
	if (t->raw_type != TENSOR_F32)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "model: tensor %s [%" PRIu32 "] is of type %" PRIu32 ", expected F32", name, n,
		    t->raw_type);
	rc = borrow_data(g, t, &data, err);
	if (rc == AYNI_OK)
		*out = (const float *)(const void *)data;
	return rc;
}

int model_read_matrix(const struct gguf *g, const char *name, uint32_t n_rows, uint32_t n_cols,
    struct matrix *out, struct error *err)
{
	const uint64_t dims[2] = {n_cols, n_rows};
	const struct gguf_tensor *t;
	const uint8_t *data;
	uint64_t row_bytes;
	int rc = find_tensor(g, name, dims, &t, err);

	if (rc != AYNI_OK)
		return rc;
	if (tensor_type_info(t->raw_type) == NULL)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "model: tensor %s [%" PRIu32 ", %" PRIu32 "] is of type %" PRIu32
		    ", which is not supported (supported: %s)",
		    name, n_cols, n_rows, t->raw_type, tensor_types_supported());
	rc = tensor_row_bytes(t->raw_type, n_cols, &row_bytes);
	if (rc != AYNI_OK)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: rows of tensor %s have %" PRIu32 " elements, not whole blocks of %s",
		    name, n_cols, tensor_type_info(t->raw_type)->name);
	rc = borrow_data(g, t, &data, err);
	if (rc != AYNI_OK)
		return rc;
	*out = (struct matrix){.type = (enum tensor_type)t->raw_type,
	    .n_rows = n_rows,
	    .n_cols = n_cols,
	    .row_bytes = row_bytes,
	    .data = data};
	return AYNI_OK;
}

/* ---- what all families share ---------------------------------------------------------------- */

int model_sizes_read(const struct gguf *g, struct model_sizes *out, struct error *err)
{
	const struct arch *arch;
	int rc = find_arch(g, &arch, err);

	return rc != AYNI_OK ? rc : arch->read_sizes(g, out, err);
}

static bool is_tied(const struct gguf *g)
{
	return gguf_tensor_find(g, "output.weight") == NULL;
}

static int load_ends(const struct gguf *g, struct model *m, struct error *err)
{
	const struct model_sizes *s = &m->sizes;
	const char *output = is_tied(g) ? "token_embd.weight" : "output.weight";
	int rc = AYNI_OK;

	if (m->layer_first == 0)
		rc = model_read_matrix(
		    g, "token_embd.weight", s->n_vocabulary, s->d_model, &m->embedding, err);
	if (rc != AYNI_OK || m->layer_last != s->n_layers)
		return rc;
	rc = model_read_vector(g, "output_norm.weight", s->d_model, &m->output_norm, err);
	if (rc != AYNI_OK)
		return rc;
	return model_read_matrix(g, output, s->n_vocabulary, s->d_model, &m->output, err);
}

/* frequency[i] = base^(-2i/d_rope) / factor[i], in the operations that README.md states. */
static int make_frequencies(const struct gguf *g, struct model *m, struct error *err)
{
	uint32_t n_pairs = m->sizes.d_rope / 2;
	double log_base = canon_log64(m->sizes.rope_base);

	if (gguf_tensor_find(g, "rope_freqs.weight") != NULL) {
		int rc = model_read_vector(g, "rope_freqs.weight", n_pairs, &m->rope_factors, err);

		if (rc != AYNI_OK)
			return rc;
	}
	m->rope_frequencies = calloc(n_pairs, sizeof *m->rope_frequencies);
	if (m->rope_frequencies == NULL)
		return error_set(
		    err, AYNI_ERR_MEMORY, "model: no memory for %u frequencies", n_pairs);
	for (uint32_t i = 0; i < n_pairs; i++) {
		double exponent = -((double)(2 * i) / (double)m->sizes.d_rope);
		double factor = m->rope_factors != NULL ? (double)m->rope_factors[i] : 1.0;
		double frequency = canon_exp64(exponent * log_base) / factor;

		/* Written so that a NaN is refused too. */
		if (!(factor > 0.0 && factor <= FLT_MAX && frequency <= MAX_ROPE_FREQUENCY))
			return error_set(err, AYNI_ERR_FORMAT,
			    "model: element %u of rope_freqs.weight is %g, not a divisor that "
			    "keeps the "
			    "frequency under %g",
			    i, factor, MAX_ROPE_FREQUENCY);
		m->rope_frequencies[i] = frequency;
	}
	return AYNI_OK;
}

int model_load(const struct gguf *g, uint32_t layer_first, uint32_t layer_last, struct model **out,
    struct error *err)
{
	struct model *m = calloc(1, sizeof *m);
	int rc;

	if (m == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "model: no memory");
	rc = find_arch(g, &m->arch, err);
	if (rc != AYNI_OK)
		goto err0;
	rc = m->arch->read_sizes(g, &m->sizes, err);
	if (rc != AYNI_OK)
		goto err0;
	if (layer_first >= layer_last || layer_last > m->sizes.n_layers) {
		rc = error_set(err, AYNI_ERR_ARGUMENT,
		    "model: layers [%u, %u) are no range of its %u", layer_first, layer_last,
		    m->sizes.n_layers);
		goto err0;
	}
	m->layer_first = layer_first;
	m->layer_last = layer_last;
	m->layers = calloc(layer_last - layer_first, sizeof *m->layers);
	if (m->layers == NULL) {
		rc = error_set(err, AYNI_ERR_MEMORY, "model: no memory");
		goto err0;
	}
	rc = load_ends(g, m, err);
	if (rc == AYNI_OK)
		rc = make_frequencies(g, m, err);
	if (rc == AYNI_OK)
		rc = m->arch->load_layers(g, m, err);
	if (rc != AYNI_OK)
		goto err0;
	*out = m;
	return AYNI_OK;

err0:
	model_free(m);
	return rc;
}

void model_free(struct model *m)
{
	if (m == NULL)
		return;
	free(m->layers);
	free(m->rope_frequencies);
	free(m);
}

bool model_range_needs(const struct gguf *g, const struct model_sizes *sizes, uint32_t first,
    uint32_t last, const struct gguf_tensor *t)
{
	bool holds_output = last == sizes->n_layers;
	const struct arch *arch;
	uint32_t layer;

	if (strcmp(t->name, "rope_freqs.weight") == 0)
		return true;
	if (strcmp(t->name, "token_embd.weight") == 0)
		return first == 0 || (holds_output && is_tied(g));
	if (strcmp(t->name, "output_norm.weight") == 0 || strcmp(t->name, "output.weight") == 0)
		return holds_output;
	return find_arch(g, &arch, NULL) == AYNI_OK && arch->layer_of(t->name, &layer) &&
	       layer >= first && layer < last;
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
