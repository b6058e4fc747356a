/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the GGUF model file format, versions 2 and 3 (ggml-org/ggml docs/gguf.md).
 *
 * A struct gguf is the parsed head of a file: its metadata and its tensor table. Tensor data is not
 * touched by parsing, so a file whose head is present and whose tensors are holes (a donor's image
 * of a model of which it holds some layers) opens like any other. Every count, length, offset and
 * size is checked before use; a file that opens has only tensors that lie inside it.
 *
 * Immutable after opening: any thread may read. Strings and arrays handed out belong to the gguf.
 */
#ifndef AYNI_COMPUTE_GGUF_H
#define AYNI_COMPUTE_GGUF_H

#include "compute/quant.h"
#include "protocol/base.h"

enum {
	GGUF_MAX_DIMS = 4,
	GGUF_MAX_TENSORS = 1 << 17,
	GGUF_MAX_METADATA = 1 << 16,
	GGUF_MAX_NAME_BYTES = 128, /* of keys and tensors, with the NUL */
	GGUF_MAX_ARRAY_STRINGS = 1 << 22,
	GGUF_MAX_HEAD_BYTES = 256 << 20 /* metadata and tensor table */
};

/* Value types as numbered in the file. */
enum gguf_type {
	GGUF_U8 = 0,
	GGUF_I8 = 1,
	GGUF_U16 = 2,
	GGUF_I16 = 3,
	GGUF_U32 = 4,
	GGUF_I32 = 5,
	GGUF_F32 = 6,
	GGUF_BOOL = 7,
	GGUF_STRING = 8,
	GGUF_ARRAY = 9,
	GGUF_U64 = 10,
	GGUF_I64 = 11,
	GGUF_F64 = 12
};

struct gguf_tensor {
	const char *name;             /* NUL-terminated */
	uint32_t n_dims;              /* 1 to GGUF_MAX_DIMS */
	uint64_t dims[GGUF_MAX_DIMS]; /* dims[0] is the row length; unused ones are 1 */
	enum tensor_type type;        /* TENSOR_TYPE_END if quant.h does not know raw_type */
	uint32_t raw_type;            /* number in the file */
	uint64_t offset;              /* bytes from the start of the file */
	uint64_t size_bytes;          /* 0 if the type is not known */
};

struct gguf;

/*
 * Parse the head found in data[0..len). `file_bytes` is the size of the whole file, of which data
 * may be the beginning only. The bytes are borrowed and must outlive the gguf.
 */
int gguf_parse(
    const uint8_t *data, size_t len, uint64_t file_bytes, struct gguf **out, struct error *err);

/* Map a file read-only and parse it. The mapping lives as long as the gguf; the file must not be
 * cut shorter meanwhile. */
int gguf_open(const char *path, struct gguf **out, struct error *err);
/* The same from an open file descriptor (not kept). `name` is for messages. */
int gguf_open_fd(int fd, const char *name, struct gguf **out, struct error *err);
void gguf_free(struct gguf *g);

/* Bytes of the file are not needed for now: the mapping's whole pages among them leave memory, and
 * come back when they are read. Nothing where the file is not mapped. */
void gguf_give_back(const struct gguf *g, const uint8_t *data, size_t n_bytes);

/* The bytes that were parsed: the whole file where it was opened. */
const uint8_t *gguf_data(const struct gguf *g);

uint32_t gguf_version(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g);
/* Up to where tensor data begins, padding included. */
uint64_t gguf_head_bytes(const struct gguf *g);

size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name); /* or NULL */
/* The tensor's bytes, or NULL where only a head was parsed that does not reach so far. */
const uint8_t *gguf_tensor_data(const struct gguf *g, const struct gguf_tensor *t);

/* Metadata. The getters return AYNI_ERR_NOT_FOUND for a missing key and AYNI_ERR_FORMAT for a wrong
 * type or a value that does not fit: integers of any width convert to u64, and all numbers to f64,
 * if no bit is lost. */
size_t gguf_n_keys(const struct gguf *g);
const char *gguf_key_at(const struct gguf *g, size_t i, enum gguf_type *type);
int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out);
int gguf_get_f64(const struct gguf *g, const char *key, double *out);
int gguf_get_bool(const struct gguf *g, const char *key, bool *out);
int gguf_get_string(const struct gguf *g, const char *key, struct span *out);

/* An array's element type and length; then its elements (booleans read as u64 0 and 1). */
int gguf_get_array(const struct gguf *g, const char *key, enum gguf_type *type, size_t *len);
int gguf_array_string(const struct gguf *g, const char *key, size_t i, struct span *out);
int gguf_array_u64(const struct gguf *g, const char *key, size_t i, uint64_t *out);
int gguf_array_f64(const struct gguf *g, const char *key, size_t i, double *out);

/* Write a short printable form of the value at i ("llama", "[32000 strings]") for `ayni model
 * inspect`. */
void gguf_format_value(const struct gguf *g, size_t i, char *text, size_t text_bytes);

#endif
