/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/gguf_join.h"

#include "compute/gguf_write.h"

#include <stdlib.h>

static int check_part(const struct gguf *g, size_t i, size_t n, struct error *err)
{
	uint64_t no = UINT64_MAX, count = 0;

	if (gguf_get_u64(g, "split.no", &no) == AYNI_OK &&
	    gguf_get_u64(g, "split.count", &count) == AYNI_OK && no == i && count == n)
		return AYNI_OK;
	return error_set(err, AYNI_ERR_FORMAT,
	    "part %zu of %zu says that it is another part, or of another split", i + 1, n);
}

static int by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* As many tensors as the first part says, each once. */
static int check_tensors(const struct gguf *const parts[], size_t n, struct error *err)
{
	uint64_t wanted;
	size_t all = 0, at = 0;
	const char **names;
	int rc = AYNI_OK;

	for (size_t i = 0; i < n; i++)
		all += gguf_n_tensors(parts[i]);
	if (gguf_get_u64(parts[0], "split.tensors.count", &wanted) == AYNI_OK && wanted != all)
		return error_set(err, AYNI_ERR_FORMAT, "the parts have %zu tensors, not %llu", all,
		    (unsigned long long)wanted);
	names = calloc(all + 1, sizeof *names);
	if (names == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < gguf_n_tensors(parts[i]); k++)
			names[at++] = gguf_tensor_at(parts[i], k)->name;
	if (all > 1)
		qsort(names, all, sizeof *names, by_name);
	for (size_t i = 1; rc == AYNI_OK && i < all; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			rc = error_set(err, AYNI_ERR_FORMAT, "tensor %s is in two parts", names[i]);
	free(names);
	return rc;
}

static int add_keys(const struct gguf *g, struct gguf_head *h)
{
	int rc = AYNI_OK;

	for (size_t i = 0; rc == AYNI_OK && i < gguf_n_keys(g); i++) {
		const char *key = gguf_key_at(g, i, NULL);

		if (strncmp(key, "split.", 6) != 0 && strcmp(key, "general.alignment") != 0)
			rc = gguf_head_copy_key(h, g, key);
	}
	return rc;
}

static int add_tensors(
    const struct gguf *g, struct gguf_head *h, uint64_t *bytes, struct error *err)
{
	int rc = AYNI_OK;

	for (size_t i = 0; rc == AYNI_OK && i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		if (t->type == TENSOR_TYPE_END)
			return error_set(err, AYNI_ERR_UNSUPPORTED,
			    "tensor %s has the unknown type %u (supported: %s)", t->name,
			    t->raw_type, tensor_types_supported());
		rc = gguf_head_add_tensor(h, t, t->type, err);
		*bytes += t->size_bytes;
	}
	return rc;
}

static bool pad_to(FILE *out, uint64_t offset, uint64_t *at)
{
	for (; *at < offset; ++*at)
		if (fputc(0, out) == EOF)
			return false;
	return true;
}

static int write_all(const struct gguf *const parts[], size_t n, const struct gguf_head *h,
    struct span head, FILE *out, gguf_join_progress_fn *progress, void *context, uint64_t all,
    struct error *err)
{
	uint64_t at = head.len, done = 0;
	size_t index = 0;
	bool good = fwrite(head.data, 1, head.len, out) == head.len;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; good && k < gguf_n_tensors(parts[i]); k++) {
			const struct gguf_tensor *t = gguf_tensor_at(parts[i], k);
			size_t bytes = (size_t)t->size_bytes;

			good = pad_to(out, gguf_head_tensor_offset(h, index++), &at) &&
			       fwrite(gguf_tensor_data(parts[i], t), 1, bytes, out) == bytes;
			at += bytes;
			done += bytes;
			if (good && progress != NULL)
				progress(context, done, all);
		}
	}
	return good ? AYNI_OK : error_set(err, AYNI_ERR_IO, "cannot write the joined file: %m");
}

int gguf_join(const struct gguf *const parts[], size_t n, FILE *out,
    gguf_join_progress_fn *progress, void *context, struct error *err)
{
	struct gguf_head *h = NULL;
	struct span head = {NULL, 0};
	uint64_t all = 0;
	int rc = AYNI_OK;

	assert(n > 0);
	for (size_t i = 0; rc == AYNI_OK && i < n; i++)
		rc = check_part(parts[i], i, n, err);
	if (rc == AYNI_OK)
		rc = check_tensors(parts, n, err);
	if (rc == AYNI_OK)
		rc = gguf_head_new(&h, err);
	if (rc == AYNI_OK && (rc = add_keys(parts[0], h)) != AYNI_OK)
		(void)error_set(err, (enum ayni_error)rc, "cannot take the metadata over");
	for (size_t i = 0; rc == AYNI_OK && i < n; i++)
		rc = add_tensors(parts[i], h, &all, err);
	if (rc == AYNI_OK)
		rc = gguf_head_finish(h, &head, err);
	if (rc == AYNI_OK)
		rc = write_all(parts, n, h, head, out, progress, context, all, err);
	gguf_head_free(h);
	return rc;
}
