/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and parsing. Memory is bounded by the bytes that are really there: a count is believed
 * only if so many of the smallest possible items fit what is left of the head.
 */
#include "compute/gguf.h"

#include "compute/gguf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAGIC = 0x46554747, /* "GGUF" */
	DEFAULT_ALIGNMENT = 32,
	MIN_ALIGNMENT = 8,
	MAX_ALIGNMENT = 1 << 16,
	MIN_STRING_BYTES = 8,                           /* its length */
	MIN_VALUE_BYTES = MIN_STRING_BYTES + 1 + 4 + 1, /* key, type, value */
	MIN_TENSOR_BYTES = MIN_STRING_BYTES + 1 + 4 + 8 + 4 + 8
};

/* ---- cursor -------------------------------------------------------------------------------- */

static size_t cursor_left(const struct gguf_cursor *c)
{
	return c->len - c->pos;
}

uint64_t gguf_read_uint(struct gguf_cursor *c, size_t n_bytes)
{
	uint64_t value = 0;

	if (c->failed || cursor_left(c) < n_bytes) {
		c->failed = true;
		return 0;
	}
	for (size_t i = 0; i < n_bytes; i++)
		value |= (uint64_t)c->data[c->pos + i] << (8 * i);
	c->pos += n_bytes;
	return value;
}

static uint32_t read_u32(struct gguf_cursor *c)
{
	return (uint32_t)gguf_read_uint(c, 4);
}

static uint64_t read_u64(struct gguf_cursor *c)
{
	return gguf_read_uint(c, 8);
}

/* Step over n_bytes and return where they begin, or NULL. */
static const uint8_t *read_bytes(struct gguf_cursor *c, uint64_t n_bytes)
{
	const uint8_t *at = c->data + c->pos;

	if (c->failed || n_bytes > cursor_left(c)) {
		c->failed = true;
		return NULL;
	}
	c->pos += (size_t)n_bytes;
	return at;
}

struct span gguf_read_string(struct gguf_cursor *c)
{
	uint64_t len = read_u64(c);
	const uint8_t *at = read_bytes(c, len);

	return at == NULL ? (struct span){NULL, 0} : (struct span){at, (size_t)len};
}

static int ends_early(const struct gguf_cursor *c, const char *where, struct error *err)
{
	if (c->len == GGUF_MAX_HEAD_BYTES)
		return error_set(err, AYNI_ERR_LIMIT,
		    "gguf: %s lies past the first %d bytes, more than a head may have", where,
		    GGUF_MAX_HEAD_BYTES);
	return error_set(err, AYNI_ERR_FORMAT,
	    "gguf: the file ends inside %s, at byte %zu; it is damaged or incomplete, fetch it "
	    "again",
	    where, c->len);
}

/* ---- names --------------------------------------------------------------------------------- */

/* Names go into messages and onto terminals, so only printable ASCII is let in. */
static int read_name(struct gguf_cursor *c, const char *what, char **out, struct error *err)
{
	size_t start = c->pos;
	struct span s = gguf_read_string(c);
	char *name;

	if (c->failed)
		return ends_early(c, what, err);
	if (s.len == 0 || s.len >= GGUF_MAX_NAME_BYTES)
		return error_set(err, AYNI_ERR_LIMIT,
		    "gguf: %s at byte %zu has %zu characters, 1 to %d can be", what, start, s.len,
		    GGUF_MAX_NAME_BYTES - 1);
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < ' ' || s.data[i] > '~')
			return error_set(err, AYNI_ERR_FORMAT,
			    "gguf: %s at byte %zu is not printable ASCII; the file is damaged",
			    what, start);
	name = malloc(s.len + 1);
	if (name == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "gguf: out of memory");
	memcpy(name, s.data, s.len);
	name[s.len] = '\0';
	*out = name;
	return AYNI_OK;
}

/* ---- metadata ------------------------------------------------------------------------------ */

size_t gguf_type_bytes(uint32_t type)
{
	switch ((enum gguf_type)type) {
	case GGUF_U8:
	case GGUF_I8:
	case GGUF_BOOL:
		return 1;
	case GGUF_U16:
	case GGUF_I16:
		return 2;
	case GGUF_U32:
	case GGUF_I32:
	case GGUF_F32:
		return 4;
	case GGUF_U64:
	case GGUF_I64:
	case GGUF_F64:
		return 8;
	case GGUF_STRING:
	case GGUF_ARRAY:
		break;
	}
	return 0;
}

/* Note where each string begins, so that any one is found at once. */
static int index_strings(struct gguf_cursor *c, struct gguf_value *v, struct error *err)
{
	if (v->len > GGUF_MAX_ARRAY_STRINGS)
		return error_set(err, AYNI_ERR_LIMIT, "gguf: %s has %zu strings, at most %d can be",
		    v->key, v->len, GGUF_MAX_ARRAY_STRINGS);
	v->at = c->data + c->pos;
	if (v->len == 0)
		return AYNI_OK;
	v->offsets = malloc(v->len * sizeof *v->offsets);
	if (v->offsets == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "gguf: out of memory");
	for (size_t i = 0; i < v->len; i++) {
		v->offsets[i] = (size_t)(c->data + c->pos - v->at);
		(void)gguf_read_string(c);
	}
	return c->failed ? ends_early(c, v->key, err) : AYNI_OK;
}

static int parse_array(struct gguf_cursor *c, struct gguf_value *v, struct error *err)
{
	uint32_t element = read_u32(c);
	uint64_t len = read_u64(c);
	size_t element_bytes = element == GGUF_STRING ? MIN_STRING_BYTES : gguf_type_bytes(element);

	if (c->failed)
		return ends_early(c, v->key, err);
	if (element_bytes == 0)
		return error_set(err,
		    element == GGUF_ARRAY ? AYNI_ERR_UNSUPPORTED : AYNI_ERR_FORMAT,
		    "gguf: %s is an array of %s (type %u), which cannot be read here", v->key,
		    element == GGUF_ARRAY ? "arrays" : "an unknown type", element);
	if (len > cursor_left(c) / element_bytes)
		return error_set(err, AYNI_ERR_FORMAT,
		    "gguf: %s claims %llu elements, more than the file holds; it is damaged or "
		    "incomplete, fetch it again",
		    v->key, (unsigned long long)len);
	v->element_type = (enum gguf_type)element;
	v->len = (size_t)len;
	if (element == GGUF_STRING)
		return index_strings(c, v, err);
	v->at = read_bytes(c, len * element_bytes);
	return AYNI_OK;
}

static int parse_value(struct gguf_cursor *c, struct gguf_value *v, struct error *err)
{
	int rc = read_name(c, "a metadata key", &v->key, err);
	uint32_t type;

	if (rc != AYNI_OK)
		return rc;
	type = read_u32(c);
	v->type = v->element_type = (enum gguf_type)type;
	v->len = 1;
	if (type == GGUF_ARRAY)
		return parse_array(c, v, err);
	if (type == GGUF_STRING) {
		struct span s = gguf_read_string(c);

		v->at = s.data;
		v->len = s.len;
	} else {
		size_t n_bytes = gguf_type_bytes(type);

		if (n_bytes == 0)
			return error_set(err, AYNI_ERR_FORMAT,
			    "gguf: %s has the unknown value type %u; the file is damaged or newer "
			    "than "
			    "version 3",
			    v->key, type);
		v->at = read_bytes(c, n_bytes);
	}
	if (c->failed)
		return ends_early(c, v->key, err);
	if (type == GGUF_BOOL && *v->at > 1)
		return error_set(
		    err, AYNI_ERR_FORMAT, "gguf: %s is a boolean of value %u", v->key, *v->at);
	return AYNI_OK;
}

static int compare_keys(const void *a, const void *b)
{
	const struct gguf_value *const *x = a;
	const struct gguf_value *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

static int parse_metadata(
    struct gguf *g, struct gguf_cursor *c, uint64_t n_values, struct error *err)
{
	if (n_values > GGUF_MAX_METADATA || n_values > cursor_left(c) / MIN_VALUE_BYTES)
		return error_set(err, AYNI_ERR_LIMIT,
		    "gguf: %llu metadata keys claimed, more than %s", (unsigned long long)n_values,
		    n_values > GGUF_MAX_METADATA ? "can be" : "the file holds");
	if (n_values == 0)
		return AYNI_OK;
	g->values = calloc((size_t)n_values, sizeof *g->values);
	g->values_by_key = calloc((size_t)n_values, sizeof *g->values_by_key);
	if (g->values == NULL || g->values_by_key == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "gguf: out of memory");
	g->n_values = (size_t)n_values;
	for (size_t i = 0; i < g->n_values; i++) {
		int rc = parse_value(c, &g->values[i], err);

		if (rc != AYNI_OK)
			return rc;
		g->values_by_key[i] = &g->values[i];
	}
	qsort(g->values_by_key, g->n_values, sizeof g->values_by_key[0], compare_keys);
	for (size_t i = 1; i < g->n_values; i++)
		if (compare_keys(&g->values_by_key[i - 1], &g->values_by_key[i]) == 0)
			return error_set(err, AYNI_ERR_FORMAT, "gguf: the key %s stands twice",
			    g->values_by_key[i]->key);
	return AYNI_OK;
}

static int read_alignment(struct gguf *g, struct error *err)
{
	uint64_t alignment = DEFAULT_ALIGNMENT;
	int rc = gguf_get_u64(g, "general.alignment", &alignment);

	if (rc == AYNI_ERR_NOT_FOUND)
		rc = AYNI_OK;
	if (rc != AYNI_OK || alignment < MIN_ALIGNMENT || alignment > MAX_ALIGNMENT ||
	    (alignment & (alignment - 1)) != 0)
		return error_set(err, AYNI_ERR_FORMAT,
		    "gguf: general.alignment is not a power of two from %d to %d", MIN_ALIGNMENT,
		    MAX_ALIGNMENT);
	g->alignment = (uint32_t)alignment;
	return AYNI_OK;
}

/* ---- tensors ------------------------------------------------------------------------------- */

/* Size from type and shape; a type that is not known leaves 0. */
static int measure_tensor(struct gguf_tensor *t, struct error *err)
{
	uint64_t elements = 1;
	uint64_t rows;
	int rc;

	for (uint32_t d = 0; d < t->n_dims; d++)
		if (t->dims[d] == 0 || __builtin_mul_overflow(elements, t->dims[d], &elements))
			return error_set(err, AYNI_ERR_FORMAT,
			    "gguf: tensor %s has a shape that cannot be (dimension %u is %llu)",
			    t->name, d, (unsigned long long)t->dims[d]);
	t->type = TENSOR_TYPE_END;
	if (tensor_type_info(t->raw_type) == NULL)
		return AYNI_OK;
	t->type = (enum tensor_type)t->raw_type;
	rows = elements / t->dims[0];
	rc = tensor_row_bytes(t->raw_type, t->dims[0], &t->size_bytes);
	if (rc == AYNI_OK && __builtin_mul_overflow(t->size_bytes, rows, &t->size_bytes))
		rc = AYNI_ERR_LIMIT;
	if (rc != AYNI_OK)
		return error_set(err, rc,
		    "gguf: tensor %s has rows of %llu elements, which type %s cannot have", t->name,
		    (unsigned long long)t->dims[0], tensor_type_info(t->raw_type)->name);
	return AYNI_OK;
}

static int parse_tensor(struct gguf_cursor *c, struct gguf_tensor *t, struct error *err)
{
	char *name = NULL;
	int rc = read_name(c, "a tensor's name", &name, err);

	if (rc != AYNI_OK)
		return rc;
	t->name = name;
	t->n_dims = read_u32(c);
	if (!c->failed && (t->n_dims < 1 || t->n_dims > GGUF_MAX_DIMS))
		return error_set(err, AYNI_ERR_FORMAT,
		    "gguf: tensor %s has %u dimensions, 1 to %d can be", name, t->n_dims,
		    GGUF_MAX_DIMS);
	for (uint32_t d = 0; d < GGUF_MAX_DIMS; d++)
		t->dims[d] = d < t->n_dims ? read_u64(c) : 1;
	t->raw_type = read_u32(c);
	t->offset = read_u64(c); /* from the start of the data, until place_tensors */
	if (c->failed)
		return ends_early(c, name, err);
	return measure_tensor(t, err);
}

static int compare_names(const void *a, const void *b)
{
	const struct gguf_tensor *const *x = a;
	const struct gguf_tensor *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int parse_tensors(
    struct gguf *g, struct gguf_cursor *c, uint64_t n_tensors, struct error *err)
{
	if (n_tensors > GGUF_MAX_TENSORS || n_tensors > cursor_left(c) / MIN_TENSOR_BYTES)
		return error_set(err, AYNI_ERR_LIMIT, "gguf: %llu tensors claimed, more than %s",
		    (unsigned long long)n_tensors,
		    n_tensors > GGUF_MAX_TENSORS ? "can be" : "the file holds");
	if (n_tensors == 0)
		return AYNI_OK;
	g->tensors = calloc((size_t)n_tensors, sizeof *g->tensors);
	g->tensors_by_name = calloc((size_t)n_tensors, sizeof *g->tensors_by_name);
	if (g->tensors == NULL || g->tensors_by_name == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "gguf: out of memory");
	g->n_tensors = (size_t)n_tensors;
	for (size_t i = 0; i < g->n_tensors; i++) {
		int rc = parse_tensor(c, &g->tensors[i], err);

		if (rc != AYNI_OK)
			return rc;
		g->tensors_by_name[i] = &g->tensors[i];
	}
	qsort(g->tensors_by_name, g->n_tensors, sizeof g->tensors_by_name[0], compare_names);
	for (size_t i = 1; i < g->n_tensors; i++)
		if (compare_names(&g->tensors_by_name[i - 1], &g->tensors_by_name[i]) == 0)
			return error_set(err, AYNI_ERR_FORMAT, "gguf: the tensor %s stands twice",
			    g->tensors_by_name[i]->name);
	return AYNI_OK;
}

/* Turn offsets into places in the file and see that each tensor lies inside it. */
static int place_tensors(struct gguf *g, size_t head_end, struct error *err)
{
	uint64_t padded = ((uint64_t)head_end + g->alignment - 1) & ~(uint64_t)(g->alignment - 1);

	g->head_bytes = g->n_tensors == 0 && padded > g->file_bytes ? g->file_bytes : padded;
	for (size_t i = 0; i < g->n_tensors; i++) {
		struct gguf_tensor *t = &g->tensors[i];
		uint64_t end;

		if (t->offset % g->alignment != 0)
			return error_set(err, AYNI_ERR_FORMAT,
			    "gguf: tensor %s begins at %llu, which is not a multiple of %u",
			    t->name, (unsigned long long)t->offset, g->alignment);
		if (__builtin_add_overflow(t->offset, g->head_bytes, &t->offset) ||
		    __builtin_add_overflow(t->offset, t->size_bytes, &end))
			return error_set(err, AYNI_ERR_FORMAT,
			    "gguf: tensor %s ends past any possible file", t->name);
		if (end > g->file_bytes)
			return error_set(err, AYNI_ERR_FORMAT,
			    "gguf: tensor %s ends %llu bytes past the file; it is incomplete, "
			    "fetch it "
			    "again",
			    t->name, (unsigned long long)(end - g->file_bytes));
	}
	return AYNI_OK;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int parse_head(struct gguf *g, struct error *err)
{
	size_t len = g->len < GGUF_MAX_HEAD_BYTES ? g->len : GGUF_MAX_HEAD_BYTES;
	struct gguf_cursor c = {g->data, len, 0, false};
	uint32_t magic = read_u32(&c);
	uint64_t n_tensors, n_values;
	int rc;

	if (c.failed || magic != MAGIC)
		return error_set(
		    err, AYNI_ERR_FORMAT, "gguf: this is not a GGUF file (it does not begin so)");
	g->version = read_u32(&c);
	if (!c.failed && g->version != 2 && g->version != 3)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    (g->version & 0xffffU) == 0
		        ? "gguf: the file is big-endian (version %#x); convert it"
		        : "gguf: version %u; only 2 and 3 can be read",
		    g->version);
	n_tensors = read_u64(&c);
	n_values = read_u64(&c);
	if (c.failed)
		return ends_early(&c, "its first 24 bytes", err);
	if ((rc = parse_metadata(g, &c, n_values, err)) != AYNI_OK)
		return rc;
	if ((rc = read_alignment(g, err)) != AYNI_OK)
		return rc;
	if ((rc = parse_tensors(g, &c, n_tensors, err)) != AYNI_OK)
		return rc;
	return place_tensors(g, c.pos, err);
}

int gguf_parse(
    const uint8_t *data, size_t len, uint64_t file_bytes, struct gguf **out, struct error *err)
{
	struct gguf *g;
	int rc;

	*out = NULL;
	if (len > file_bytes)
		return error_set(err, AYNI_ERR_ARGUMENT, "gguf: the head is longer than the file");
	g = calloc(1, sizeof *g);
	if (g == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "gguf: out of memory");
	g->data = data;
	g->len = len;
	g->file_bytes = file_bytes;
	rc = parse_head(g, err);
	if (rc != AYNI_OK) {
		gguf_free(g);
		return rc;
	}
	*out = g;
	return AYNI_OK;
}

int gguf_open_fd(int fd, const char *name, struct gguf **out, struct error *err)
{
	struct error why = {0};
	struct stat st;
	void *mapping;
	size_t len;
	int rc;

	*out = NULL;
	if (fstat(fd, &st) != 0)
		return error_set(err, AYNI_ERR_IO, "%s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, AYNI_ERR_ARGUMENT, "%s: not a regular file", name);
	if (st.st_size == 0)
		return error_set(err, AYNI_ERR_FORMAT, "%s: the file is empty", name);
	len = (size_t)st.st_size;
	mapping = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (mapping == MAP_FAILED)
		return error_set(err, AYNI_ERR_IO, "%s: cannot map: %s", name, strerror(errno));
	rc = gguf_parse(mapping, len, len, out, &why);
	if (rc != AYNI_OK) {
		(void)munmap(mapping, len);
		return error_set(err, rc, "%.80s: %.170s", name, why.text);
	}
	(*out)->mapping = mapping;
	return AYNI_OK;
}

int gguf_open(const char *path, struct gguf **out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
	int rc;

	*out = NULL;
	if (fd < 0)
		return error_set(err, errno == ENOENT ? AYNI_ERR_NOT_FOUND : AYNI_ERR_IO, "%s: %s",
		    path, strerror(errno));
	rc = gguf_open_fd(fd, path, out, err);
	(void)close(fd);
	return rc;
}

void gguf_free(struct gguf *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n_values; i++) {
		free(g->values[i].key);
		free(g->values[i].offsets);
	}
	for (size_t i = 0; i < g->n_tensors; i++)
		free((char *)(uintptr_t)g->tensors[i].name);
	free(g->values);
	free(g->values_by_key);
	free(g->tensors);
	free(g->tensors_by_name);
	if (g->mapping != NULL)
		(void)munmap(g->mapping, g->len);
	free(g);
}

void gguf_give_back(const struct gguf *g, const uint8_t *data, size_t n_bytes)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = ((uintptr_t)data + page - 1) / page * page;
	uintptr_t end = ((uintptr_t)data + n_bytes) / page * page;

	if (g->mapping != NULL && first < end)
		(void)madvise((void *)first, end - first, MADV_DONTNEED);
}

uint32_t gguf_version(const struct gguf *g)
{
	return g->version;
}

uint64_t gguf_file_bytes(const struct gguf *g)
{
	return g->file_bytes;
}

const uint8_t *gguf_data(const struct gguf *g)
{
	return g->data;
}

uint64_t gguf_head_bytes(const struct gguf *g)
{
	return g->head_bytes;
}

size_t gguf_n_tensors(const struct gguf *g)
{
	return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
	return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name)
{
	size_t low = 0;
	size_t high = g->n_tensors;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, g->tensors_by_name[middle]->name);

		if (order == 0)
			return g->tensors_by_name[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const uint8_t *gguf_tensor_data(const struct gguf *g, const struct gguf_tensor *t)
{
	if (t->size_bytes == 0 || t->offset > g->len || t->size_bytes > g->len - t->offset)
		return NULL;
	return g->data + t->offset;
}
