/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading metadata values. A number is decoded from the file's bytes when it is asked for, into a
 * struct number that keeps what it was, and then converted if no bit is lost.
 */
#include "compute/gguf.h"

#include "compute/gguf_internal.h"

#include <inttypes.h>

enum { FORMAT_STRING_CHARS = 80 }; /* of a string value shown to people */

struct number {
	enum { NUMBER_UNSIGNED, NUMBER_SIGNED, NUMBER_FLOAT, NUMBER_BOOL, NUMBER_NONE } kind;
	uint64_t u;
	int64_t i;
	double f;
};

const struct gguf_value *gguf_value_find(const struct gguf *g, const char *key)
{
	size_t low = 0;
	size_t high = g->n_values;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(key, g->values_by_key[middle]->key);

		if (order == 0)
			return g->values_by_key[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static struct number decode(enum gguf_type type, const uint8_t *at)
{
	struct gguf_cursor c = {at, gguf_type_bytes(type), 0, false};
	uint64_t bits = gguf_read_uint(&c, c.len);
	struct number n = {NUMBER_NONE, bits, 0, 0.0};

	switch (type) {
	case GGUF_U8:
	case GGUF_U16:
	case GGUF_U32:
	case GGUF_U64:
		n.kind = NUMBER_UNSIGNED;
		break;
	case GGUF_I8:
		n.kind = NUMBER_SIGNED;
		n.i = (int8_t)bits;
		break;
	case GGUF_I16:
		n.kind = NUMBER_SIGNED;
		n.i = (int16_t)bits;
		break;
	case GGUF_I32:
		n.kind = NUMBER_SIGNED;
		n.i = (int32_t)bits;
		break;
	case GGUF_I64:
		n.kind = NUMBER_SIGNED;
		n.i = (int64_t)bits;
		break;
	case GGUF_F32: {
		uint32_t low = (uint32_t)bits;
		float f;

		memcpy(&f, &low, sizeof f);
		n.kind = NUMBER_FLOAT;
		n.f = (double)f;
		break;
	}
	case GGUF_F64:
		memcpy(&n.f, &bits, sizeof n.f);
		n.kind = NUMBER_FLOAT;
		break;
	case GGUF_BOOL:
		n.kind = NUMBER_BOOL;
		break;
	case GGUF_STRING:
	case GGUF_ARRAY:
		break;
	}
	return n;
}

static int to_u64(struct number n, uint64_t *out)
{
	if (n.kind == NUMBER_SIGNED && n.i >= 0)
		*out = (uint64_t)n.i;
	else if (n.kind == NUMBER_UNSIGNED)
		*out = n.u;
	else
		return AYNI_ERR_FORMAT;
	return AYNI_OK;
}

static int to_f64(struct number n, double *out)
{
	const uint64_t exact = UINT64_C(1) << 53; /* integers up to here are binary64 numbers */

	if (n.kind == NUMBER_FLOAT)
		*out = n.f;
	else if (n.kind == NUMBER_UNSIGNED && n.u <= exact)
		*out = (double)n.u;
	else if (n.kind == NUMBER_SIGNED && n.i <= (int64_t)exact && n.i >= -(int64_t)exact)
		*out = (double)n.i;
	else
		return AYNI_ERR_FORMAT;
	return AYNI_OK;
}

/* ---- single values ------------------------------------------------------------------------- */

size_t gguf_n_keys(const struct gguf *g)
{
	return g->n_values;
}

const char *gguf_key_at(const struct gguf *g, size_t i, enum gguf_type *type)
{
	if (i >= g->n_values)
		return NULL;
	if (type != NULL)
		*type = g->values[i].type;
	return g->values[i].key;
}

int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out)
{
	const struct gguf_value *v = gguf_value_find(g, key);

	if (v == NULL)
		return AYNI_ERR_NOT_FOUND;
	return to_u64(decode(v->type, v->at), out);
}

int gguf_get_f64(const struct gguf *g, const char *key, double *out)
{
	const struct gguf_value *v = gguf_value_find(g, key);

	if (v == NULL)
		return AYNI_ERR_NOT_FOUND;
	return to_f64(decode(v->type, v->at), out);
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *out)
{
	const struct gguf_value *v = gguf_value_find(g, key);

	if (v == NULL)
		return AYNI_ERR_NOT_FOUND;
	if (v->type != GGUF_BOOL)
		return AYNI_ERR_FORMAT;
	*out = *v->at != 0;
	return AYNI_OK;
}

int gguf_get_string(const struct gguf *g, const char *key, struct span *out)
{
	const struct gguf_value *v = gguf_value_find(g, key);

	if (v == NULL)
		return AYNI_ERR_NOT_FOUND;
	if (v->type != GGUF_STRING)
		return AYNI_ERR_FORMAT;
	*out = (struct span){v->at, v->len};
	return AYNI_OK;
}

/* ---- arrays -------------------------------------------------------------------------------- */

static int find_array(const struct gguf *g, const char *key, const struct gguf_value **out)
{
	*out = gguf_value_find(g, key);
	if (*out == NULL)
		return AYNI_ERR_NOT_FOUND;
	return (*out)->type == GGUF_ARRAY ? AYNI_OK : AYNI_ERR_FORMAT;
}

int gguf_get_array(const struct gguf *g, const char *key, enum gguf_type *type, size_t *len)
{
	const struct gguf_value *v;
	int rc = find_array(g, key, &v);

	if (rc == AYNI_OK) {
		*type = v->element_type;
		*len = v->len;
	}
	return rc;
}

int gguf_array_string(const struct gguf *g, const char *key, size_t i, struct span *out)
{
	const struct gguf_value *v;
	int rc = find_array(g, key, &v);

	if (rc != AYNI_OK)
		return rc;
	if (v->element_type != GGUF_STRING)
		return AYNI_ERR_FORMAT;
	if (i >= v->len)
		return AYNI_ERR_NOT_FOUND;

	/* Parsing has read this string before, so it lies inside the data. */
	const uint8_t *at = v->at + v->offsets[i];
	struct gguf_cursor c = {at, (size_t)(g->data + g->len - at), 0, false};

	*out = gguf_read_string(&c);
	return AYNI_OK;
}

static int array_number(const struct gguf *g, const char *key, size_t i, struct number *out)
{
	const struct gguf_value *v;
	int rc = find_array(g, key, &v);

	if (rc != AYNI_OK)
		return rc;
	if (v->element_type == GGUF_STRING)
		return AYNI_ERR_FORMAT;
	if (i >= v->len)
		return AYNI_ERR_NOT_FOUND;
	*out = decode(v->element_type, v->at + i * gguf_type_bytes(v->element_type));
	return AYNI_OK;
}

int gguf_array_u64(const struct gguf *g, const char *key, size_t i, uint64_t *out)
{
	struct number n;
	int rc = array_number(g, key, i, &n);

	if (rc != AYNI_OK)
		return rc;
	if (n.kind == NUMBER_BOOL && n.u <= 1)
		n.kind = NUMBER_UNSIGNED;
	return to_u64(n, out);
}

int gguf_array_f64(const struct gguf *g, const char *key, size_t i, double *out)
{
	struct number n;
	int rc = array_number(g, key, i, &n);

	return rc != AYNI_OK ? rc : to_f64(n, out);
}

/* ---- for people ---------------------------------------------------------------------------- */

static const char *type_plural(enum gguf_type type)
{
	switch (type) {
	case GGUF_STRING:
		return "strings";
	case GGUF_BOOL:
		return "booleans";
	case GGUF_F32:
	case GGUF_F64:
		return "floats";
	case GGUF_U8:
	case GGUF_I8:
	case GGUF_U16:
	case GGUF_I16:
	case GGUF_U32:
	case GGUF_I32:
	case GGUF_U64:
	case GGUF_I64:
		return "integers";
	case GGUF_ARRAY:
		break;
	}
	return "values";
}

/* What is not printable ASCII becomes a dot: a file must not drive anybody's terminal. */
static void format_string(const struct gguf_value *v, char *text, size_t text_bytes)
{
	size_t shown = v->len < FORMAT_STRING_CHARS ? v->len : FORMAT_STRING_CHARS;
	char chars[FORMAT_STRING_CHARS + 1];

	for (size_t i = 0; i < shown; i++)
		chars[i] = (char)(v->at[i] >= ' ' && v->at[i] <= '~' ? v->at[i] : '.');
	chars[shown] = '\0';
	(void)snprintf(text, text_bytes, "%s%s", chars, shown < v->len ? "..." : "");
}

void gguf_format_value(const struct gguf *g, size_t i, char *text, size_t text_bytes)
{
	if (text_bytes == 0)
		return;
	text[0] = '\0';
	if (i >= g->n_values)
		return;

	const struct gguf_value *v = &g->values[i];

	if (v->type == GGUF_STRING) {
		format_string(v, text, text_bytes);
		return;
	}
	if (v->type == GGUF_ARRAY) {
		(void)snprintf(text, text_bytes, "[%zu %s]", v->len, type_plural(v->element_type));
		return;
	}

	struct number n = decode(v->type, v->at);

	if (n.kind == NUMBER_FLOAT)
		(void)snprintf(text, text_bytes, "%g", n.f);
	else if (n.kind == NUMBER_SIGNED)
		(void)snprintf(text, text_bytes, "%" PRId64, n.i);
	else if (n.kind == NUMBER_BOOL)
		(void)snprintf(text, text_bytes, "%s", n.u != 0 ? "true" : "false");
	else
		(void)snprintf(text, text_bytes, "%" PRIu64, n.u);
}
