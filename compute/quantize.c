/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/quantize.h"

#include "compute/encode.h"
#include "compute/gguf_write.h"
#include "compute/model.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

enum { PIECE_ELEMENTS = 1 << 22 }; /* encoded before they are written */

static const struct quantize_recipe recipes[] = {
    {"F32", TENSOR_F32, TENSOR_F32, 0},
    {"F16", TENSOR_F16, TENSOR_F16, 1},
    {"BF16", TENSOR_BF16, TENSOR_BF16, 32},
    {"Q8_0", TENSOR_Q8_0, TENSOR_Q8_0, 7},
    {"Q6_K", TENSOR_Q6_K, TENSOR_Q6_K, 18},
    {"Q5_K", TENSOR_Q5_K, TENSOR_Q5_K, 16},
    {"Q5_K_M", TENSOR_Q5_K, TENSOR_Q6_K, 17},
    {"Q4_K", TENSOR_Q4_K, TENSOR_Q4_K, 14},
    {"Q4_K_M", TENSOR_Q4_K, TENSOR_Q6_K, 15},
    {"Q5_1", TENSOR_Q5_1, TENSOR_Q5_1, 9},
    {"Q5_0", TENSOR_Q5_0, TENSOR_Q5_0, 8},
    {"Q4_1", TENSOR_Q4_1, TENSOR_Q4_1, 3},
    {"Q4_0", TENSOR_Q4_0, TENSOR_Q4_0, 2},
};

const struct quantize_recipe *quantize_recipe_find(const char *name)
{
	for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++)
		if (strcasecmp(recipes[i].name, name) == 0)
			return &recipes[i];
	return NULL;
}

const char *quantize_recipes(void)
{
	return "F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K, Q4_K_M, Q4_K, Q5_1, Q5_0, Q4_1, Q4_0";
}

/* ---- which type a tensor gets ---------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

/* Weights of products. Norms and routers are small and steer everything, so they stay. */
static bool is_matrix(const struct gguf_tensor *t)
{
	return t->n_dims >= 2 && ends_with(t->name, ".weight") &&
	       strstr(t->name, "_norm") == NULL && strstr(t->name, "ffn_gate_inp") == NULL;
}

/* The first and the last eighth of the layers, and each third between them. */
static bool is_sensitive_layer(uint32_t layer, uint32_t n_layers)
{
	uint32_t eighth = n_layers / 8;

	return layer < eighth || layer >= n_layers - eighth || (layer - eighth) % 3 == 2;
}

static bool is_sensitive(const struct gguf *g, const struct gguf_tensor *t, uint32_t n_layers)
{
	uint32_t layer;

	if (strcmp(t->name, "output.weight") == 0)
		return true;
	if (strcmp(t->name, "token_embd.weight") == 0) /* serves as output where there is none */
		return gguf_tensor_find(g, "output.weight") == NULL;
	return model_tensor_layer(t->name, &layer) && is_sensitive_layer(layer, n_layers) &&
	       (strstr(t->name, ".attn_v.") != NULL || strstr(t->name, ".ffn_down") != NULL);
}

/* For rows that are not whole blocks of 256: the type of blocks of 32 that loses as little. */
static enum tensor_type replacement(enum tensor_type type)
{
	return type == TENSOR_Q4_K ? TENSOR_Q5_0 : type == TENSOR_Q5_K ? TENSOR_Q5_1 : TENSOR_Q8_0;
}

static enum tensor_type choose_type(
    const struct quantize_job *job, const struct gguf_tensor *t, uint32_t n_layers)
{
	enum tensor_type type;
	uint64_t bytes;

	if (!is_matrix(t))
		return t->type;
	type = is_sensitive(job->in, t, n_layers) ? job->recipe->richer : job->recipe->type;
	if (tensor_row_bytes(type, t->dims[0], &bytes) == AYNI_OK)
		return type;
	if (job->n_replaced != NULL)
		++*job->n_replaced;
	type = replacement(type);
	return tensor_row_bytes(type, t->dims[0], &bytes) == AYNI_OK ? type : TENSOR_F16;
}

/* ---- the new head ---------------------------------------------------------------------------- */

static uint32_t count_layers(const struct gguf *g)
{
	uint32_t n = 0, layer;

	for (size_t i = 0; i < gguf_n_tensors(g); i++)
		if (model_tensor_layer(gguf_tensor_at(g, i)->name, &layer) && layer >= n)
			n = layer + 1;
	return n;
}

static int add_keys(const struct quantize_job *job, struct gguf_head *h)
{
	static const char *const not_taken[] = {
	    "general.alignment", "general.file_type", "general.quantization_version"};
	int rc = AYNI_OK;

	for (size_t i = 0; rc == AYNI_OK && i < gguf_n_keys(job->in); i++) {
		const char *key = gguf_key_at(job->in, i, NULL);
		bool taken = true;

		for (size_t k = 0; k < sizeof not_taken / sizeof not_taken[0]; k++)
			taken = taken && strcmp(key, not_taken[k]) != 0;
		if (taken)
			rc = gguf_head_copy_key(h, job->in, key);
	}
	if (rc == AYNI_OK)
		rc = gguf_head_set_u32(h, "general.file_type", job->recipe->file_type);
	if (rc == AYNI_OK)
		rc = gguf_head_set_u32(h, "general.quantization_version", 2);
	return rc;
}

static int make_head(const struct quantize_job *job, enum tensor_type *types, struct gguf_head *h,
    struct span *bytes, struct error *err)
{
	uint32_t n_layers = count_layers(job->in);
	int rc = add_keys(job, h);

	if (rc != AYNI_OK)
		return error_set(err, (enum ayni_error)rc, "cannot take the metadata over");
	for (size_t i = 0; rc == AYNI_OK && i < gguf_n_tensors(job->in); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(job->in, i);

		if (t->type == TENSOR_TYPE_END)
			return error_set(err, AYNI_ERR_UNSUPPORTED,
			    "tensor %s has the unknown type %u (supported: %s)", t->name,
			    t->raw_type, tensor_types_supported());
		types[i] = choose_type(job, t, n_layers);
		rc = gguf_head_add_tensor(h, t, types[i], err);
	}
	return rc == AYNI_OK ? gguf_head_finish(h, bytes, err) : rc;
}

/* ---- tensors ----------------------------------------------------------------------------------
 */

/* Rows of one tensor on their way, cut over the team. */
struct conversion {
	enum tensor_type from, to;
	size_t n; /* elements of a row */
	size_t from_bytes, to_bytes;
	const uint8_t *in;
	uint8_t *out;
	float *rows; /* one a thread */
	atomic_bool bad;
};

static bool encodes(const float *x, size_t n, float limit)
{
	for (size_t i = 0; i < n; i++)
		if (!(fabsf(x[i]) <= limit))
			return false;
	return true;
}

static void convert_rows(void *context, size_t first, size_t end, unsigned thread)
{
	struct conversion *c = context;
	bool wide = c->to == TENSOR_F32 || c->to == TENSOR_BF16;
	float *x = c->rows + thread * c->n;

	for (size_t r = first; r < end; r++) {
		tensor_decode_row(c->from, c->in + r * c->from_bytes, c->n, x);
		if (!encodes(x, c->n, wide ? 0x1p127f : ENCODE_MAX)) {
			atomic_store(&c->bad, true);
			return;
		}
		tensor_encode_row(c->to, x, c->n, c->out + r * c->to_bytes);
	}
}

/* Where the output stands, for messages and progress. */
struct writing {
	const struct quantize_job *job;
	FILE *out;
	uint64_t at;        /* bytes written */
	uint64_t done, all; /* of the input's tensors */
};

static int write_bytes(struct writing *w, const uint8_t *bytes, size_t n, struct error *err)
{
	if (fwrite(bytes, 1, n, w->out) != n)
		return error_set(err, AYNI_ERR_IO, "cannot write the new file: %m");
	w->at += n;
	return AYNI_OK;
}

static int pad_to(struct writing *w, uint64_t offset, struct error *err)
{
	static const uint8_t zeros[64];
	int rc = AYNI_OK;

	while (rc == AYNI_OK && w->at < offset) {
		uint64_t left = offset - w->at;

		rc = write_bytes(w, zeros, left < sizeof zeros ? (size_t)left : sizeof zeros, err);
	}
	return rc;
}

static int advance(struct writing *w, const struct gguf_tensor *t, size_t bytes, struct error *err)
{
	const struct quantize_job *job = w->job;

	w->done += bytes;
	if (job->progress != NULL)
		job->progress(job->context, t->name, w->done, w->all);
	if (job->stop != NULL && *job->stop)
		return error_set(err, AYNI_ERR_STATE, "stopped at tensor %s", t->name);
	return AYNI_OK;
}

static int copy_tensor(struct writing *w, const struct gguf_tensor *t, struct error *err)
{
	int rc = write_bytes(w, gguf_tensor_data(w->job->in, t), (size_t)t->size_bytes, err);

	return rc == AYNI_OK ? advance(w, t, (size_t)t->size_bytes, err) : rc;
}

static int convert_pieces(
    struct writing *w, const struct gguf_tensor *t, struct conversion *c, struct error *err)
{
	size_t n_rows = (size_t)(t->size_bytes / c->from_bytes);
	size_t piece = PIECE_ELEMENTS / c->n > 0 ? PIECE_ELEMENTS / c->n : 1;
	int rc = AYNI_OK;

	for (size_t r = 0; rc == AYNI_OK && r < n_rows; r += piece) {
		size_t n = n_rows - r < piece ? n_rows - r : piece;

		team_run(w->job->team, n, 1, convert_rows, c);
		if (atomic_load(&c->bad))
			return error_set(err, AYNI_ERR_FORMAT,
			    "tensor %s has weights that are not finite or too large for %s",
			    t->name, tensor_type_info(c->to)->name);
		rc = write_bytes(w, c->out, n * c->to_bytes, err);
		if (rc == AYNI_OK)
			rc = advance(w, t, n * c->from_bytes, err);
		c->in += n * c->from_bytes;
	}
	return rc;
}

static int convert_tensor(
    struct writing *w, const struct gguf_tensor *t, enum tensor_type to, struct error *err)
{
	struct conversion c = {.from = t->type,
	    .to = to,
	    .n = (size_t)t->dims[0],
	    .in = gguf_tensor_data(w->job->in, t)};
	uint64_t from_bytes, to_bytes;
	size_t rows = PIECE_ELEMENTS / c.n > 0 ? PIECE_ELEMENTS / c.n : 1;
	int rc = AYNI_ERR_MEMORY;

	/* Both sizes have been worked out before: parsing, and the new head, refuse what does not
	 * fit.
	 */
	(void)tensor_row_bytes(c.from, c.n, &from_bytes);
	(void)tensor_row_bytes(to, c.n, &to_bytes);
	c.from_bytes = (size_t)from_bytes;
	c.to_bytes = (size_t)to_bytes;
	c.rows = reallocarray(NULL, c.n, team_size(w->job->team) * sizeof *c.rows);
	c.out = reallocarray(NULL, rows, c.to_bytes);
	if (c.rows != NULL && c.out != NULL)
		rc = convert_pieces(w, t, &c, err);
	else
		(void)error_set(err, AYNI_ERR_MEMORY, "out of memory");
	free(c.rows);
	free(c.out);
	return rc;
}

static int write_tensors(
    struct writing *w, const enum tensor_type *types, const struct gguf_head *h, struct error *err)
{
	const struct gguf *g = w->job->in;
	int rc = AYNI_OK;

	for (size_t i = 0; i < gguf_n_tensors(g); i++)
		w->all += gguf_tensor_at(g, i)->size_bytes;
	for (size_t i = 0; rc == AYNI_OK && i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		rc = pad_to(w, gguf_head_tensor_offset(h, i), err);
		if (rc == AYNI_OK)
			rc = types[i] == t->type ? copy_tensor(w, t, err)
			                         : convert_tensor(w, t, types[i], err);
	}
	return rc;
}

int quantize(const struct quantize_job *job, FILE *out, struct error *err)
{
	struct writing w = {.job = job, .out = out};
	enum tensor_type *types = calloc(gguf_n_tensors(job->in) + 1, sizeof *types);
	struct gguf_head *h = NULL;
	struct span head;
	int rc = gguf_head_new(&h, err);

	if (types == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (job->n_replaced != NULL)
		*job->n_replaced = 0;
	if (rc == AYNI_OK)
		rc = make_head(job, types, h, &head, err);
	if (rc == AYNI_OK)
		rc = write_bytes(&w, head.data, head.len, err);
	if (rc == AYNI_OK)
		rc = write_tensors(&w, types, h, err);
	gguf_head_free(h);
	free(types);
	return rc;
}
