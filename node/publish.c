/* SPDX-License-Identifier: Apache-2.0 */
#include "node/publish.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

void publish_name(const char *path, char name[LIMIT_NAME_BYTES])
{
	const char *base = strrchr(path, '/');
	size_t len;

	base = base != NULL ? base + 1 : path;
	len = strlen(base);
	if (len > 5 && strcmp(base + len - 5, ".gguf") == 0)
		len -= 5;
	if (len >= LIMIT_NAME_BYTES)
		len = LIMIT_NAME_BYTES - 1;
	memcpy(name, base, len);
	name[len] = '\0';
}

/* ---- chunks --------------------------------------------------------------------------------- */

struct cutting {
	const uint8_t *file;
	struct manifest *manifest;
	size_t capacity;
};

static int add_chunk(struct cutting *k, uint64_t offset, uint32_t length, struct error *err)
{
	struct manifest *m = k->manifest;
	struct manifest_chunk *chunk;

	if (m->n_chunks == k->capacity) {
		size_t capacity = k->capacity > 0 ? k->capacity * 2 : 256;
		struct manifest_chunk *chunks = reallocarray(m->chunks, capacity, sizeof *chunks);

		if (chunks == NULL)
			return error_set(err, AYNI_ERR_MEMORY, "out of memory");
		m->chunks = chunks;
		k->capacity = capacity;
	}
	chunk = &m->chunks[m->n_chunks++];
	chunk->offset = offset;
	chunk->length = length;
	hash_bytes(k->file + offset, length, &chunk->hash);
	return AYNI_OK;
}

static int add_chunks(struct cutting *k, uint64_t offset, uint64_t length, struct error *err)
{
	int rc = AYNI_OK;

	for (uint64_t at = 0; at < length && rc == AYNI_OK; at += LIMIT_CHUNK_BYTES) {
		uint64_t n = length - at < LIMIT_CHUNK_BYTES ? length - at : LIMIT_CHUNK_BYTES;

		rc = add_chunk(k, offset + at, (uint32_t)n, err);
	}
	return rc;
}

static int compare_tensors(const void *a, const void *b)
{
	const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
	const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The head, then each tensor in the order of the file. */
int publish_cut(const struct gguf *g, const char *name, struct manifest *out, struct error *err)
{
	struct cutting k = {.file = gguf_data(g), .manifest = out};
	size_t n = gguf_n_tensors(g);
	const struct gguf_tensor **tensors = calloc(n > 0 ? n : 1, sizeof *tensors);
	int rc;

	*out =
	    (struct manifest){.file_bytes = gguf_file_bytes(g), .head_bytes = gguf_head_bytes(g)};
	(void)snprintf(out->name, sizeof out->name, "%s", name);
	if (tensors == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	for (size_t i = 0; i < n; i++)
		tensors[i] = gguf_tensor_at(g, i);
	qsort(tensors, n, sizeof *tensors, compare_tensors);
	rc = add_chunks(&k, 0, gguf_head_bytes(g), err);
	for (size_t i = 0; i < n && rc == AYNI_OK; i++)
		rc = add_chunks(&k, tensors[i]->offset, tensors[i]->size_bytes, err);
	free(tensors);
	return rc;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int manifest_path(const char *path, char out[PATH_MAX], struct error *err)
{
	if (snprintf(out, PATH_MAX, "%s.manifest", path) < PATH_MAX)
		return AYNI_OK;
	return error_set(err, AYNI_ERR_ARGUMENT, "the path of the model is too long");
}

int publish_write(
    const struct manifest *m, const char *path, const struct identity *publisher, struct error *err)
{
	char to[PATH_MAX];
	uint8_t *bytes = NULL;
	size_t len = 0;
	FILE *f = NULL;
	int rc = manifest_path(path, to, err);

	if (rc == AYNI_OK)
		rc = manifest_sign(m, publisher, &bytes, &len, err);
	if (rc == AYNI_OK) {
		f = fopen(to, "we");
		if (f == NULL || fwrite(bytes, 1, len, f) != len || fflush(f) != 0)
			rc = error_set(
			    err, AYNI_ERR_IO, "cannot write %.180s: %s", to, strerror(errno));
	}
	if (f != NULL && fclose(f) != 0 && rc == AYNI_OK)
		rc = error_set(err, AYNI_ERR_IO, "cannot write %.180s: %s", to, strerror(errno));
	free(bytes);
	return rc;
}

static int read_all(const char *path, uint8_t **out, size_t *len, struct error *err)
{
	FILE *f = fopen(path, "re");
	int rc = AYNI_OK;

	if (f == NULL)
		return errno == ENOENT ? AYNI_ERR_NOT_FOUND
		                       : error_set(err, AYNI_ERR_IO, "cannot read %.180s: %s", path,
		                             strerror(errno));
	*out = malloc(PUBLISH_MAX_MANIFEST_BYTES + 1);
	if (*out == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	else
		*len = fread(*out, 1, PUBLISH_MAX_MANIFEST_BYTES + 1, f);
	if (rc == AYNI_OK && (ferror(f) != 0 || *len > PUBLISH_MAX_MANIFEST_BYTES))
		rc = error_set(err, AYNI_ERR_LIMIT, "%.180s is too long or unreadable", path);
	(void)fclose(f);
	return rc;
}

/* Whether two manifests are of the same file. */
static bool same_file(const struct manifest *a, const struct manifest *b)
{
	if (strcmp(a->name, b->name) != 0 || a->file_bytes != b->file_bytes ||
	    a->head_bytes != b->head_bytes || a->n_chunks != b->n_chunks)
		return false;
	for (size_t i = 0; i < a->n_chunks; i++)
		if (a->chunks[i].offset != b->chunks[i].offset ||
		    a->chunks[i].length != b->chunks[i].length ||
		    !hash_equal(&a->chunks[i].hash, &b->chunks[i].hash))
			return false;
	return true;
}

int publish_read(const char *path, const struct manifest *cut, uint8_t **signed_manifest,
    size_t *len, struct public_key *publisher, struct error *err)
{
	struct manifest m = {0};
	struct error why = {0};
	char from[PATH_MAX];
	int rc = manifest_path(path, from, err);

	*signed_manifest = NULL;
	if (rc == AYNI_OK)
		rc = read_all(from, signed_manifest, len, err);
	if (rc == AYNI_OK && manifest_open(*signed_manifest, *len, &m, &why) != AYNI_OK)
		rc = error_set(err, AYNI_ERR_SIGNATURE, "%.120s: %.100s", from, why.text);
	else if (rc == AYNI_OK && !same_file(&m, cut))
		rc = error_set(err, AYNI_ERR_SIGNATURE,
		    "%.180s is of another file: one of the two has changed", from);
	*publisher = m.publisher;
	manifest_free(&m);
	if (rc != AYNI_OK) {
		free(*signed_manifest);
		*signed_manifest = NULL;
	}
	return rc;
}
