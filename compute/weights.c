/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/weights.h"

#include <inttypes.h>

static int find_tensor(const struct gguf *g, const char *name, const uint64_t dims[3],
    const struct gguf_tensor **out, struct error *err)
{
	const struct gguf_tensor *t = gguf_tensor_find(g, name);

	if (t == NULL)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: tensor %s is missing (expected [%" PRIu64 ", %" PRIu64 ", %" PRIu64
		    "])",
		    name, dims[0], dims[1], dims[2]);
	if (t->dims[0] != dims[0] || t->dims[1] != dims[1] || t->dims[2] != dims[2] ||
	    t->dims[3] != 1)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: tensor %s is [%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
		    "], expected [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "]",
		    name, t->dims[0], t->dims[1], t->dims[2], t->dims[3], dims[0], dims[1],
		    dims[2]);
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

int weights_read_vector(const struct gguf *g, const char *name, const uint64_t dims[3],
    const float **out, struct error *err)
{
	const struct gguf_tensor *t;
	const uint8_t *data;
	int rc = find_tensor(g, name, dims, &t, err);

	if (rc != AYNI_OK)
		return rc;
	if (t->raw_type != TENSOR_F32)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "model: tensor %s [%" PRIu64 "] is of type %" PRIu32 ", expected F32", name,
		    dims[0], t->raw_type);
	rc = borrow_data(g, t, &data, err);
	if (rc == AYNI_OK)
		*out = (const float *)(const void *)data;
	return rc;
}

int weights_read_matrix(const struct gguf *g, const char *name, const uint64_t dims[3],
    struct matrix *out, struct error *err)
{
	const struct gguf_tensor *t;
	const uint8_t *data;
	uint64_t row_bytes, n_rows;
	int rc = find_tensor(g, name, dims, &t, err);

	if (rc != AYNI_OK)
		return rc;
	if (tensor_type_info(t->raw_type) == NULL)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "model: tensor %s [%" PRIu64 ", %" PRIu64 "] is of type %" PRIu32
		    ", which is not supported (supported: %s)",
		    name, dims[0], dims[1], t->raw_type, tensor_types_supported());
	rc = tensor_row_bytes(t->raw_type, dims[0], &row_bytes);
	if (rc != AYNI_OK)
		return error_set(err, AYNI_ERR_FORMAT,
		    "model: rows of tensor %s have %" PRIu64 " elements, not whole blocks of %s",
		    name, dims[0], tensor_type_info(t->raw_type)->name);
	rc = borrow_data(g, t, &data, err);
	if (rc != AYNI_OK)
		return rc;
	if (__builtin_mul_overflow(dims[1], dims[2], &n_rows) || n_rows > UINT32_MAX ||
	    dims[0] > UINT32_MAX)
		return error_set(err, AYNI_ERR_LIMIT, "model: tensor %s is too large", name);
	*out = (struct matrix){.type = (enum tensor_type)t->raw_type,
	    .n_rows = (uint32_t)n_rows,
	    .n_cols = (uint32_t)dims[0],
	    .row_bytes = row_bytes,
	    .data = data};
	return AYNI_OK;
}
