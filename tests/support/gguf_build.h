/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes GGUF files for tests: metadata and tensors are added in order, then the whole becomes
 * bytes.
 *
 *     struct gguf_build *b = gguf_build_new(3);
 *     gguf_build_string(b, "general.architecture", "llama");
 *     gguf_build_tensor(b, "token_embd.weight", TENSOR_F32, 2, (uint64_t[]){64, 100}, data, bytes);
 *     struct gguf_bytes file = gguf_build_finish(b);
 *     ...
 *     free(file.data);
 *
 * Nothing is checked, so that damaged files can be made as well. Out of memory ends the test.
 */
#ifndef AYNI_TESTS_SUPPORT_GGUF_BUILD_H
#define AYNI_TESTS_SUPPORT_GGUF_BUILD_H

#include "compute/gguf.h"

struct gguf_build;

struct gguf_bytes {
	uint8_t *data; /* the caller frees */
	size_t len;
};

struct gguf_build *gguf_build_new(uint32_t version);

/* Metadata. All bytes given are copied. */
void gguf_build_u32(struct gguf_build *b, const char *key, uint32_t value);
void gguf_build_u64(struct gguf_build *b, const char *key, uint64_t value);
void gguf_build_f32(struct gguf_build *b, const char *key, float value);
void gguf_build_bool(struct gguf_build *b, const char *key, bool value);
void gguf_build_string(struct gguf_build *b, const char *key, const char *value);
void gguf_build_string_array(
    struct gguf_build *b, const char *key, const char *const values[], size_t n);
void gguf_build_f32_array(struct gguf_build *b, const char *key, const float *values, size_t n);
void gguf_build_i32_array(struct gguf_build *b, const char *key, const int32_t *values, size_t n);
/* Any key: type number and encoded value as they shall stand in the file. */
void gguf_build_raw(
    struct gguf_build *b, const char *key, uint32_t type, const void *value, size_t n_bytes);

/* A tensor with its data, placed after the one before, aligned (to general.alignment = 32). */
void gguf_build_tensor(struct gguf_build *b, const char *name, uint32_t raw_type, uint32_t n_dims,
    const uint64_t *dims, const void *data, size_t n_bytes);
/* The same from binary32 values, converted to F32, F16 (nearest), BF16 (nearest), Q8_0 or Q4_0. */
void gguf_build_tensor_f32(struct gguf_build *b, const char *name, enum tensor_type type,
    uint32_t n_dims, const uint64_t *dims, const float *values);

/* Put the file together; b is freed. */
struct gguf_bytes gguf_build_finish(struct gguf_build *b);
/* Put it together and write it to `path`; b is freed. */
void gguf_build_write(struct gguf_build *b, const char *path);

/* Encode n binary32 values (whole blocks) as a row of `type`; returns the bytes written. */
size_t gguf_build_encode(enum tensor_type type, const float *values, size_t n, uint8_t *out);

#endif
