/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a GGUF file: if they open, all that can be asked is asked. */
#include "compute/gguf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_ELEMENTS = 64 }; /* asked of one array */

static void read_array(const struct gguf *g, const char *key)
{
	enum gguf_type type;
	size_t len;
	struct span s;
	uint64_t u;
	double d;

	if (gguf_get_array(g, key, &type, &len) != AYNI_OK)
		return;
	for (size_t i = 0; i < MAX_ELEMENTS; i++) {
		/* from both ends, one element past included */
		size_t at = i % 2 == 0 ? i / 2 : len - i / 2;

		if (gguf_array_u64(g, key, at, &u) == AYNI_OK && at >= len)
			abort();
		(void)gguf_array_f64(g, key, at, &d);
		if (gguf_array_string(g, key, at, &s) == AYNI_OK)
			for (size_t j = 0; j < s.len; j++)
				(void)*(const volatile uint8_t *)(s.data + j);
	}
}

static void read_metadata(const struct gguf *g)
{
	for (size_t i = 0; i < gguf_n_keys(g); i++) {
		enum gguf_type type;
		const char *key = gguf_key_at(g, i, &type);
		char text[64];
		struct span s;
		uint64_t u;
		double d;
		bool yes;

		gguf_format_value(g, i, text, sizeof text);
		if (gguf_get_u64(g, key, &u) == AYNI_ERR_NOT_FOUND)
			abort();
		(void)gguf_get_f64(g, key, &d);
		(void)gguf_get_bool(g, key, &yes);
		(void)gguf_get_string(g, key, &s);
		read_array(g, key);
	}
}

static void read_tensors(const struct gguf *g)
{
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);
		const uint8_t *data = gguf_tensor_data(g, t);

		if (gguf_tensor_find(g, t->name) != t)
			abort();
		if (t->offset > gguf_file_bytes(g) ||
		    t->size_bytes > gguf_file_bytes(g) - t->offset)
			abort();
		if (data != NULL) {
			(void)*(const volatile uint8_t *)data;
			(void)*(const volatile uint8_t *)(data + t->size_bytes - 1);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct gguf *g;
	int rc = gguf_parse(data, size, size, &g, &err);

	if (rc != AYNI_OK) {
		if (err.text[0] == '\0' || g != NULL)
			abort();
		return 0;
	}
	read_metadata(g);
	read_tensors(g);
	gguf_free(g);
	return 0;
}
