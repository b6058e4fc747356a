/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/gguf_write.h"

#include "compute/gguf_internal.h"

#include <stdlib.h>

enum { ALIGNMENT = 32, VERSION = 3 };

/* A text in memory that grows; a failure stays in the stream until it is asked for. */
struct stream {
	FILE *file;
	char *bytes;
	size_t len;
};

struct gguf_head {
	struct stream keys, table, whole;
	uint64_t n_keys, n_tensors;
	uint64_t
	    *offsets; /* of tensors, from where their data begins; finishing makes them absolute */
	uint64_t end; /* of the last tensor, in the same way */
};

static bool stream_open(struct stream *s)
{
	s->file = open_memstream(&s->bytes, &s->len);
	return s->file != NULL;
}

static bool stream_flush(struct stream *s)
{
	return fflush(s->file) == 0 && ferror(s->file) == 0;
}

static void stream_close(struct stream *s)
{
	if (s->file != NULL)
		(void)fclose(s->file);
	free(s->bytes);
}

int gguf_head_new(struct gguf_head **out, struct error *err)
{
	struct gguf_head *h = calloc(1, sizeof *h);

	*out = NULL;
	if (h == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (!stream_open(&h->keys) || !stream_open(&h->table) || !stream_open(&h->whole)) {
		gguf_head_free(h);
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	}
	*out = h;
	return AYNI_OK;
}

void gguf_head_free(struct gguf_head *h)
{
	if (h == NULL)
		return;
	stream_close(&h->keys);
	stream_close(&h->table);
	stream_close(&h->whole);
	free(h->offsets);
	free(h);
}

/* ---- values --------------------------------------------------------------------------------- */

static void put(FILE *f, const void *bytes, size_t n)
{
	(void)fwrite(bytes, 1, n, f); /* what fails is found when the stream is flushed */
}

/* Little-endian. */
static void put_uint(FILE *f, uint64_t value, size_t n_bytes)
{
	for (size_t i = 0; i < n_bytes; i++)
		(void)fputc((int)(value >> 8 * i & 0xff), f);
}

static void put_string(FILE *f, const char *text)
{
	size_t len = strlen(text);

	put_uint(f, len, 8);
	put(f, text, len);
}

/* Bytes of a value's payload as it lies in the file it was read from. */
static size_t payload_bytes(const struct gguf_value *v)
{
	if (v->element_type != GGUF_STRING)
		return v->len * gguf_type_bytes(v->element_type);
	if (v->type == GGUF_STRING)
		return v->len;
	if (v->len == 0)
		return 0;

	/* An array of strings ends with its last one, which parsing has seen to lie inside. */
	struct gguf_cursor last = {v->at + v->offsets[v->len - 1], 8, 0, false};

	return v->offsets[v->len - 1] + 8 + (size_t)gguf_read_uint(&last, 8);
}

int gguf_head_copy_key(struct gguf_head *h, const struct gguf *from, const char *key)
{
	const struct gguf_value *v = gguf_value_find(from, key);
	FILE *f = h->keys.file;

	if (v == NULL)
		return AYNI_ERR_NOT_FOUND;
	put_string(f, key);
	put_uint(f, v->type, 4);
	if (v->type == GGUF_ARRAY)
		put_uint(f, v->element_type, 4);
	if (v->type == GGUF_ARRAY || v->type == GGUF_STRING)
		put_uint(f, v->len, 8);
	put(f, v->at, payload_bytes(v));
	h->n_keys++;
	return AYNI_OK;
}

int gguf_head_set_u32(struct gguf_head *h, const char *key, uint32_t value)
{
	put_string(h->keys.file, key);
	put_uint(h->keys.file, GGUF_U32, 4);
	put_uint(h->keys.file, value, 4);
	h->n_keys++;
	return AYNI_OK;
}

int gguf_head_set_f32(struct gguf_head *h, const char *key, float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	put_string(h->keys.file, key);
	put_uint(h->keys.file, GGUF_F32, 4);
	put_uint(h->keys.file, bits, 4);
	h->n_keys++;
	return AYNI_OK;
}

int gguf_head_set_string(struct gguf_head *h, const char *key, const char *value)
{
	put_string(h->keys.file, key);
	put_uint(h->keys.file, GGUF_STRING, 4);
	put_string(h->keys.file, value);
	h->n_keys++;
	return AYNI_OK;
}

int gguf_head_set_strings(struct gguf_head *h, const char *key, const char *const *values, size_t n)
{
	put_string(h->keys.file, key);
	put_uint(h->keys.file, GGUF_ARRAY, 4);
	put_uint(h->keys.file, GGUF_STRING, 4);
	put_uint(h->keys.file, n, 8);
	for (size_t i = 0; i < n; i++)
		put_string(h->keys.file, values[i]);
	h->n_keys++;
	return AYNI_OK;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static uint64_t aligned(uint64_t n)
{
	return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int tensor_bytes(const struct gguf_tensor *t, enum tensor_type type, uint64_t *out)
{
	int rc = tensor_row_bytes(type, t->dims[0], out);

	for (uint32_t d = 1; rc == AYNI_OK && d < t->n_dims; d++)
		if (__builtin_mul_overflow(*out, t->dims[d], out))
			rc = AYNI_ERR_LIMIT;
	return rc;
}

int gguf_head_add_tensor(
    struct gguf_head *h, const struct gguf_tensor *t, enum tensor_type type, struct error *err)
{
	FILE *f = h->table.file;
	uint64_t bytes;
	uint64_t *more;
	int rc = tensor_bytes(t, type, &bytes);

	if (rc != AYNI_OK || bytes > INT64_MAX / 2 || h->end > INT64_MAX / 2)
		return error_set(err, rc != AYNI_OK ? (enum ayni_error)rc : AYNI_ERR_LIMIT,
		    "tensor %s: its rows of %llu elements do not fit type %s", t->name,
		    (unsigned long long)t->dims[0], tensor_type_info(type)->name);
	more = reallocarray(h->offsets, h->n_tensors + 1, sizeof *more);
	if (more == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	h->offsets = more;
	h->offsets[h->n_tensors++] = aligned(h->end);
	put_string(f, t->name);
	put_uint(f, t->n_dims, 4);
	for (uint32_t d = 0; d < t->n_dims; d++)
		put_uint(f, t->dims[d], 8);
	put_uint(f, type, 4);
	put_uint(f, aligned(h->end), 8);
	h->end = aligned(h->end) + bytes;
	return AYNI_OK;
}

int gguf_head_finish(struct gguf_head *h, struct span *bytes, struct error *err)
{
	FILE *f = h->whole.file;

	if (!stream_flush(&h->keys) || !stream_flush(&h->table))
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	put(f, "GGUF", 4);
	put_uint(f, VERSION, 4);
	put_uint(f, h->n_tensors, 8);
	put_uint(f, h->n_keys, 8);
	put(f, h->keys.bytes, h->keys.len);
	put(f, h->table.bytes, h->table.len);
	if (!stream_flush(&h->whole))
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	for (size_t n = aligned(h->whole.len) - h->whole.len; n > 0; n--)
		(void)fputc(0, f);
	if (!stream_flush(&h->whole))
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	for (size_t i = 0; i < h->n_tensors; i++)
		h->offsets[i] += h->whole.len;
	h->end += h->whole.len;
	*bytes = (struct span){(const uint8_t *)h->whole.bytes, h->whole.len};
	return AYNI_OK;
}

uint64_t gguf_head_tensor_offset(const struct gguf_head *h, size_t i)
{
	assert(i < h->n_tensors);
	return h->offsets[i];
}

uint64_t gguf_head_file_bytes(const struct gguf_head *h)
{
	return h->end;
}
