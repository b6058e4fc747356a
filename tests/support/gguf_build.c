/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/gguf_build.h"

#include <math.h>
#include <stdlib.h>

enum { ALIGNMENT = 32 };

struct buffer {
	uint8_t *data;
	size_t len;
	size_t capacity;
};

struct gguf_build {
	uint32_t version;
	uint64_t n_values;
	uint64_t n_tensors;
	struct buffer values;  /* encoded metadata */
	struct buffer tensors; /* encoded tensor table */
	struct buffer data;    /* tensor data */
};

static void append(struct buffer *b, const void *bytes, size_t n)
{
	if (b->len + n > b->capacity) {
		b->capacity = (b->len + n) * 2;
		b->data = realloc(b->data, b->capacity);
		assert(b->data != NULL);
	}
	if (n > 0)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
}

/* Tests run on little-endian machines, as compute/quant.c demands. */
static void append_u32(struct buffer *b, uint32_t value)
{
	append(b, &value, sizeof value);
}

static void append_u64(struct buffer *b, uint64_t value)
{
	append(b, &value, sizeof value);
}

static void append_string(struct buffer *b, const char *s)
{
	append_u64(b, strlen(s));
	append(b, s, strlen(s));
}

static void pad(struct buffer *b)
{
	static const uint8_t zeros[ALIGNMENT];

	append(b, zeros, (ALIGNMENT - b->len % ALIGNMENT) % ALIGNMENT);
}

struct gguf_build *gguf_build_new(uint32_t version)
{
	struct gguf_build *b = calloc(1, sizeof *b);

	assert(b != NULL);
	b->version = version;
	return b;
}

void gguf_build_raw(
    struct gguf_build *b, const char *key, uint32_t type, const void *value, size_t n_bytes)
{
	append_string(&b->values, key);
	append_u32(&b->values, type);
	append(&b->values, value, n_bytes);
	b->n_values++;
}

void gguf_build_u32(struct gguf_build *b, const char *key, uint32_t value)
{
	gguf_build_raw(b, key, GGUF_U32, &value, sizeof value);
}

void gguf_build_u64(struct gguf_build *b, const char *key, uint64_t value)
{
	gguf_build_raw(b, key, GGUF_U64, &value, sizeof value);
}

void gguf_build_f32(struct gguf_build *b, const char *key, float value)
{
	gguf_build_raw(b, key, GGUF_F32, &value, sizeof value);
}

void gguf_build_bool(struct gguf_build *b, const char *key, bool value)
{
	uint8_t byte = value ? 1 : 0;

	gguf_build_raw(b, key, GGUF_BOOL, &byte, sizeof byte);
}

void gguf_build_string(struct gguf_build *b, const char *key, const char *value)
{
	gguf_build_raw(b, key, GGUF_STRING, NULL, 0);
	append_string(&b->values, value);
}

static void begin_array(struct gguf_build *b, const char *key, enum gguf_type type, size_t n)
{
	gguf_build_raw(b, key, GGUF_ARRAY, NULL, 0);
	append_u32(&b->values, type);
	append_u64(&b->values, n);
}

void gguf_build_string_array(
    struct gguf_build *b, const char *key, const char *const values[], size_t n)
{
	begin_array(b, key, GGUF_STRING, n);
	for (size_t i = 0; i < n; i++)
		append_string(&b->values, values[i]);
}

void gguf_build_f32_array(struct gguf_build *b, const char *key, const float *values, size_t n)
{
	begin_array(b, key, GGUF_F32, n);
	append(&b->values, values, n * sizeof *values);
}

void gguf_build_i32_array(struct gguf_build *b, const char *key, const int32_t *values, size_t n)
{
	begin_array(b, key, GGUF_I32, n);
	append(&b->values, values, n * sizeof *values);
}

void gguf_build_tensor(struct gguf_build *b, const char *name, uint32_t raw_type, uint32_t n_dims,
    const uint64_t *dims, const void *data, size_t n_bytes)
{
	pad(&b->data);
	append_string(&b->tensors, name);
	append_u32(&b->tensors, n_dims);
	append(&b->tensors, dims, n_dims * sizeof *dims);
	append_u32(&b->tensors, raw_type);
	append_u64(&b->tensors, b->data.len);
	append(&b->data, data, n_bytes);
	b->n_tensors++;
}

/* ---- encoding ------------------------------------------------------------------------------ */

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static uint16_t to_bf16(float x)
{
	uint32_t bits = bits_of(x);

	return (uint16_t)((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

/* Nearest binary16, ties to even. Finite x only; too large becomes infinity. */
static uint16_t to_f16(float x)
{
	uint16_t sign = (uint16_t)(bits_of(x) >> 16 & 0x8000U);
	float a = fabsf(x);
	int e;

	if (a == 0.0f)
		return sign;
	if (a >= 65520.0f)
		return (uint16_t)(sign | 0x7c00U);
	(void)frexpf(a, &e);                   /* a = m * 2^e, m in [1/2, 1) */
	int ulp = e - 11 > -24 ? e - 11 : -24; /* exponent of the last place */
	unsigned steps = (unsigned)lrintf(ldexpf(a, -ulp));

	if (ulp == -24)
		return (uint16_t)(sign | steps); /* subnormal, or just above: encodes itself */
	/* steps is in [1024, 2048]; 2048 carries into the exponent. */
	return (uint16_t)(sign | (((unsigned)(ulp + 24) << 10) + steps));
}

static float largest(const float *values, size_t n)
{
	float m = 0.0f;

	for (size_t i = 0; i < n; i++)
		m = fmaxf(m, fabsf(values[i]));
	return m;
}

static void encode_q8_0(const float *values, uint8_t *out)
{
	struct block_q8_0 block = {.scale = to_f16(largest(values, QUANT_BLOCK) / 127.0f)};
	float scale = f16_to_f32(block.scale);

	for (int i = 0; i < QUANT_BLOCK && scale > 0.0f; i++)
		block.quants[i] = (int8_t)fmaxf(-127.0f, fminf(127.0f, rintf(values[i] / scale)));
	memcpy(out, &block, sizeof block);
}

static void encode_q4_0(const float *values, uint8_t *out)
{
	struct block_q4_0 block = {.scale = to_f16(largest(values, QUANT_BLOCK) / 7.0f)};
	float scale = f16_to_f32(block.scale);
	uint8_t q[QUANT_BLOCK];

	for (int i = 0; i < QUANT_BLOCK; i++)
		q[i] = scale > 0.0f
		           ? (uint8_t)(8.0f + fmaxf(-8.0f, fminf(7.0f, rintf(values[i] / scale))))
		           : 8;
	for (int i = 0; i < QUANT_BLOCK / 2; i++)
		block.quants[i] = (uint8_t)(q[i] | q[i + QUANT_BLOCK / 2] << 4);
	memcpy(out, &block, sizeof block);
}

static void encode_block(enum tensor_type type, const float *values, uint8_t *out)
{
	uint16_t half;

	switch (type) {
	case TENSOR_F32:
		memcpy(out, values, sizeof *values);
		return;
	case TENSOR_F16:
		half = to_f16(*values);
		memcpy(out, &half, sizeof half);
		return;
	case TENSOR_BF16:
		half = to_bf16(*values);
		memcpy(out, &half, sizeof half);
		return;
	case TENSOR_Q8_0:
		encode_q8_0(values, out);
		return;
	case TENSOR_Q4_0:
		encode_q4_0(values, out);
		return;
	default:
		break;
	}
	assert(false && "tensor type without an encoder");
}

size_t gguf_build_encode(enum tensor_type type, const float *values, size_t n, uint8_t *out)
{
	const struct tensor_type_info *info = tensor_type_info(type);
	size_t n_bytes = 0;

	assert(info != NULL && n % info->block_elements == 0);
	for (size_t i = 0; i < n; i += info->block_elements, n_bytes += info->block_bytes)
		encode_block(type, values + i, out + n_bytes);
	return n_bytes;
}

void gguf_build_tensor_f32(struct gguf_build *b, const char *name, enum tensor_type type,
    uint32_t n_dims, const uint64_t *dims, const float *values)
{
	const struct tensor_type_info *info = tensor_type_info(type);
	size_t n = 1;

	for (uint32_t d = 0; d < n_dims; d++)
		n *= (size_t)dims[d];

	uint8_t *encoded = malloc(n / info->block_elements * info->block_bytes + 1);

	assert(encoded != NULL);
	gguf_build_tensor(
	    b, name, type, n_dims, dims, encoded, gguf_build_encode(type, values, n, encoded));
	free(encoded);
}

/* ---- the file ------------------------------------------------------------------------------ */

struct gguf_bytes gguf_build_finish(struct gguf_build *b)
{
	struct buffer file = {0};

	append(&file, "GGUF", 4);
	append_u32(&file, b->version);
	append_u64(&file, b->n_tensors);
	append_u64(&file, b->n_values);
	append(&file, b->values.data, b->values.len);
	append(&file, b->tensors.data, b->tensors.len);
	if (b->n_tensors > 0)
		pad(&file);
	append(&file, b->data.data, b->data.len);
	free(b->values.data);
	free(b->tensors.data);
	free(b->data.data);
	free(b);
	return (struct gguf_bytes){file.data, file.len};
}

void gguf_build_write(struct gguf_build *b, const char *path)
{
	struct gguf_bytes bytes = gguf_build_finish(b);
	FILE *f = fopen(path, "wb");

	assert(f != NULL);
	assert(fwrite(bytes.data, 1, bytes.len, f) == bytes.len);
	assert(fclose(f) == 0);
	free(bytes.data);
}
