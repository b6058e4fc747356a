/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gguf.c (parsing) and gguf_meta.c (reading values) share. Nobody else includes this.
 */
#ifndef AYNI_COMPUTE_GGUF_INTERNAL_H
#define AYNI_COMPUTE_GGUF_INTERNAL_H

#include "compute/gguf.h"

/*
 * Reads little-endian values from borrowed bytes. A read past the end gives zeros and sets
 * `failed`, which stays set, so that one check after several reads is enough.
 */
struct gguf_cursor {
	const uint8_t *data;
	size_t len;
	size_t pos;
	bool failed;
};

uint64_t gguf_read_uint(struct gguf_cursor *c, size_t n_bytes);
/* A string's bytes where they lie; {NULL, 0} after a failure. */
struct span gguf_read_string(struct gguf_cursor *c);

/* Bytes of a value of a fixed-size type; 0 for strings, arrays and unknown numbers. */
size_t gguf_type_bytes(uint32_t type);

/* One metadata value: where it lies in the head. Numbers are decoded when they are asked for. */
struct gguf_value {
	char *key;
	enum gguf_type type;
	enum gguf_type element_type; /* of an array, else equal to type */
	const uint8_t *at;           /* number, string bytes or first element */
	size_t len;                  /* bytes of a string, elements of an array, else 1 */
	size_t *offsets;             /* array of strings: where each begins, from `at` */
};

struct gguf {
	uint32_t version;
	uint64_t file_bytes;
	uint64_t head_bytes;
	uint32_t alignment;

	const uint8_t *data; /* borrowed, or the mapping */
	size_t len;
	void *mapping; /* NULL if borrowed */

	size_t n_values;
	struct gguf_value *values;               /* in the file's order */
	const struct gguf_value **values_by_key; /* sorted, for search */

	size_t n_tensors;
	struct gguf_tensor *tensors;
	const struct gguf_tensor **tensors_by_name;
};

const struct gguf_value *gguf_value_find(const struct gguf *g, const char *key);

#endif
