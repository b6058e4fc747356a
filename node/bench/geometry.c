/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/geometry.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compute/encode.h"
#include "compute/gguf_write.h"
#include "node/bench/tokens.h"

/* Elements of the pattern that all matrices are filled with: whole blocks of every type. */
enum { PATTERN = 1 << 18, NAME_BYTES = 64 };

struct number {
	const char *key; /* behind the architecture's name */
	uint32_t value;
};

/* A tensor of the layers [first, end), or of the whole model where its name has no "%u". */
struct shape {
	const char *name;
	uint64_t dims[3]; /* 0: none */
	uint32_t first, end;
	bool plain; /* always F32 */
};

struct geometry {
	const char *name, *architecture;
	const struct number *numbers;
	const struct shape *shapes;
};

/* ---- shapes --------------------------------------------------------------------------------- */

enum { ALL = 1 << 20, ONCE = 1 }; /* layers; and of the tensors that no layer has */

enum { LLAMA_LAYERS = 16, LLAMA_D = 2048, LLAMA_FF = 8192, LLAMA_KV = 512, VOCABULARY = 102400 };

static const struct number llama_numbers[] = {{"block_count", LLAMA_LAYERS},
    {"context_length", 16384}, {"embedding_length", LLAMA_D}, {"feed_forward_length", LLAMA_FF},
    {"attention.head_count", 32}, {"attention.head_count_kv", 8}, {"rope.dimension_count", 64},
    {NULL, 0}};

static const struct shape llama_shapes[] = {
    {"token_embd.weight", {LLAMA_D, VOCABULARY}, 0, ONCE, false},
    {"blk.%u.attn_norm.weight", {LLAMA_D}, 0, LLAMA_LAYERS, true},
    {"blk.%u.attn_q.weight", {LLAMA_D, LLAMA_D}, 0, LLAMA_LAYERS, false},
    {"blk.%u.attn_k.weight", {LLAMA_D, LLAMA_KV}, 0, LLAMA_LAYERS, false},
    {"blk.%u.attn_v.weight", {LLAMA_D, LLAMA_KV}, 0, LLAMA_LAYERS, false},
    {"blk.%u.attn_output.weight", {LLAMA_D, LLAMA_D}, 0, LLAMA_LAYERS, false},
    {"blk.%u.ffn_norm.weight", {LLAMA_D}, 0, LLAMA_LAYERS, true},
    {"blk.%u.ffn_gate.weight", {LLAMA_D, LLAMA_FF}, 0, LLAMA_LAYERS, false},
    {"blk.%u.ffn_up.weight", {LLAMA_D, LLAMA_FF}, 0, LLAMA_LAYERS, false},
    {"blk.%u.ffn_down.weight", {LLAMA_FF, LLAMA_D}, 0, LLAMA_LAYERS, false},
    {"output_norm.weight", {LLAMA_D}, 0, ONCE, true},
    {.name = NULL},
};

/* 7 of 27 layers: the first is dense as in the model, all others are alike. */
enum {
	LITE_LAYERS = 7,
	LITE_D = 2048,
	LITE_HEADS = 16,
	LITE_NOPE = 128,
	LITE_ROPE = 64,
	LITE_VALUE = 128,
	LITE_LATENT = 512,
	LITE_FF = 10944,
	LITE_EXPERTS = 64,
	LITE_EXPERT_FF = 1408,
	LITE_SHARED_FF = 2 * LITE_EXPERT_FF
};

static const struct number lite_numbers[] = {{"block_count", LITE_LAYERS},
    {"context_length", 16384}, {"embedding_length", LITE_D}, {"feed_forward_length", LITE_FF},
    {"attention.head_count", LITE_HEADS}, {"attention.head_count_kv", 1},
    {"attention.kv_lora_rank", LITE_LATENT}, {"attention.key_length_mla", LITE_NOPE + LITE_ROPE},
    {"attention.value_length_mla", LITE_VALUE}, {"attention.key_length", LITE_LATENT + LITE_ROPE},
    {"attention.value_length", LITE_LATENT}, {"rope.dimension_count", LITE_ROPE},
    {"leading_dense_block_count", 1}, {"expert_count", LITE_EXPERTS}, {"expert_used_count", 6},
    {"expert_shared_count", 2}, {"expert_feed_forward_length", LITE_EXPERT_FF}, {NULL, 0}};

static const struct shape lite_shapes[] = {
    {"token_embd.weight", {LITE_D, VOCABULARY}, 0, ONCE, false},
    {"blk.%u.attn_norm.weight", {LITE_D}, 0, LITE_LAYERS, true},
    {"blk.%u.attn_q.weight", {LITE_D, LITE_HEADS *(LITE_NOPE + LITE_ROPE)}, 0, LITE_LAYERS, false},
    {"blk.%u.attn_kv_a_mqa.weight", {LITE_D, LITE_LATENT + LITE_ROPE}, 0, LITE_LAYERS, false},
    {"blk.%u.attn_kv_a_norm.weight", {LITE_LATENT}, 0, LITE_LAYERS, true},
    {"blk.%u.attn_k_b.weight", {LITE_NOPE, LITE_LATENT, LITE_HEADS}, 0, LITE_LAYERS, false},
    {"blk.%u.attn_v_b.weight", {LITE_LATENT, LITE_VALUE, LITE_HEADS}, 0, LITE_LAYERS, false},
    {"blk.%u.attn_output.weight", {LITE_HEADS * LITE_VALUE, LITE_D}, 0, LITE_LAYERS, false},
    {"blk.%u.ffn_norm.weight", {LITE_D}, 0, LITE_LAYERS, true},
    {"blk.%u.ffn_gate.weight", {LITE_D, LITE_FF}, 0, 1, false},
    {"blk.%u.ffn_up.weight", {LITE_D, LITE_FF}, 0, 1, false},
    {"blk.%u.ffn_down.weight", {LITE_FF, LITE_D}, 0, 1, false},
    {"blk.%u.ffn_gate_inp.weight", {LITE_D, LITE_EXPERTS}, 1, LITE_LAYERS, true},
    {"blk.%u.ffn_gate_exps.weight", {LITE_D, LITE_EXPERT_FF, LITE_EXPERTS}, 1, LITE_LAYERS, false},
    {"blk.%u.ffn_up_exps.weight", {LITE_D, LITE_EXPERT_FF, LITE_EXPERTS}, 1, LITE_LAYERS, false},
    {"blk.%u.ffn_down_exps.weight", {LITE_EXPERT_FF, LITE_D, LITE_EXPERTS}, 1, LITE_LAYERS, false},
    {"blk.%u.ffn_gate_shexp.weight", {LITE_D, LITE_SHARED_FF}, 1, LITE_LAYERS, false},
    {"blk.%u.ffn_up_shexp.weight", {LITE_D, LITE_SHARED_FF}, 1, LITE_LAYERS, false},
    {"blk.%u.ffn_down_shexp.weight", {LITE_SHARED_FF, LITE_D}, 1, LITE_LAYERS, false},
    {"output_norm.weight", {LITE_D}, 0, ONCE, true},
    {.name = NULL},
};

static const struct geometry geometries[] = {
    {"llama-3.2-1b", "llama", llama_numbers, llama_shapes},
    {"deepseek-v2-lite", "deepseek2", lite_numbers, lite_shapes},
};

const struct geometry *geometry_find(const char *name)
{
	for (size_t i = 0; i < sizeof geometries / sizeof geometries[0]; i++)
		if (strcmp(geometries[i].name, name) == 0)
			return &geometries[i];
	return NULL;
}

const char *geometry_names(void)
{
	return "llama-3.2-1b, deepseek-v2-lite";
}

/* ---- the head ------------------------------------------------------------------------------- */

static void set_numbers(const struct geometry *g, struct gguf_head *h)
{
	char key[NAME_BYTES];

	(void)gguf_head_set_string(h, "general.architecture", g->architecture);
	for (const struct number *n = g->numbers; n->key != NULL; n++) {
		(void)snprintf(key, sizeof key, "%s.%s", g->architecture, n->key);
		(void)gguf_head_set_u32(h, key, n->value);
	}
	(void)snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", g->architecture);
	(void)gguf_head_set_f32(h, key, 1e-5f);
}

static int add_tensors(
    const struct geometry *g, enum tensor_type type, struct gguf_head *h, struct error *err)
{
	int rc = AYNI_OK;

	for (const struct shape *s = g->shapes; s->name != NULL; s++)
		for (uint32_t layer = s->first; rc == AYNI_OK && layer < s->end; layer++) {
			char name[NAME_BYTES];
			struct gguf_tensor t = {.name = name, .n_dims = 0};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			(void)snprintf(name, sizeof name, s->name, layer);
#pragma GCC diagnostic pop
			for (int d = 0; d < 3; d++) {
				t.dims[d] = s->dims[d] > 0 ? s->dims[d] : 1;
				t.n_dims += s->dims[d] > 0;
			}
			t.dims[3] = 1;
			rc = gguf_head_add_tensor(h, &t, s->plain ? TENSOR_F32 : type, err);
		}
	return rc;
}

/* ---- the weights ---------------------------------------------------------------------------- */

/* PATTERN numbers, level between -1/16 and 1/16, as rows of a type; the bytes, or NULL. */
static uint8_t *make_pattern(enum tensor_type type, size_t *bytes)
{
	float *x = malloc(PATTERN * sizeof *x);
	uint64_t state = 0x9e3779b97f4a7c15U, n;
	uint8_t *out = NULL;

	if (tensor_row_bytes(type, PATTERN, &n) == AYNI_OK)
		out = malloc((size_t)n);
	for (size_t i = 0; x != NULL && i < PATTERN; i++) {
		state ^= state << 13; /* xorshift64 (Marsaglia 2003) */
		state ^= state >> 7;
		state ^= state << 17;
		x[i] = (float)(int32_t)(state >> 32) * 0x1p-35f;
	}
	if (x != NULL && out != NULL)
		tensor_encode_row(type, x, PATTERN, out);
	free(x);
	*bytes = (size_t)n;
	return out;
}

static void fill(uint8_t *to, size_t n, const uint8_t *pattern, size_t pattern_bytes)
{
	for (size_t at = 0; at < n; at += pattern_bytes)
		memcpy(to + at, pattern, n - at < pattern_bytes ? n - at : pattern_bytes);
}

static void fill_tensors(
    uint8_t *file, const struct gguf *head, const uint8_t *pattern, size_t pattern_bytes)
{
	for (size_t i = 0; i < gguf_n_tensors(head); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(head, i);
		uint8_t *to = file + t->offset;

		if (t->type != TENSOR_F32) {
			fill(to, (size_t)t->size_bytes, pattern, pattern_bytes);
			continue;
		}
		for (size_t k = 0; k < t->size_bytes; k += sizeof(float)) {
			/* Norms are 1; a router's rows differ. */
			const float x =
			    t->n_dims == 1 ? 1.0f : (float)(k * 2654435761U % 257) / 4096.0f;

			memcpy(to + k, &x, sizeof x);
		}
	}
}

static int fill_file(const struct gguf_head *h, struct span head, enum tensor_type type,
    uint8_t *file, struct error *err)
{
	size_t file_bytes = (size_t)gguf_head_file_bytes(h), pattern_bytes;
	uint8_t *pattern = make_pattern(type, &pattern_bytes);
	struct gguf *g = NULL;
	int rc;

	if (pattern == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "bench: out of memory");
	memcpy(file, head.data, head.len);
	rc = gguf_parse(file, file_bytes, file_bytes, &g, err);
	if (rc == AYNI_OK)
		fill_tensors(file, g, pattern, pattern_bytes);
	gguf_free(g);
	free(pattern);
	return rc;
}

static int make_file(
    const struct gguf_head *h, struct span head, enum tensor_type type, int fd, struct error *err)
{
	size_t bytes = (size_t)gguf_head_file_bytes(h);
	uint8_t *file;
	int rc;

	if (ftruncate(fd, (off_t)bytes) != 0)
		return error_set(err, AYNI_ERR_MEMORY, "bench: no memory for %zu bytes", bytes);
	file = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED)
		return error_set(err, AYNI_ERR_MEMORY, "bench: no memory for %zu bytes", bytes);
	rc = fill_file(h, head, type, file, err);
	(void)munmap(file, bytes);
	return rc;
}

int geometry_file(const struct geometry *g, enum tensor_type type, int *out, struct error *err)
{
	struct gguf_head *h = NULL;
	struct span head;
	int fd, rc;

	*out = -1;
	if (!tensor_type_encodes(type))
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "bench: weights of type %s are not made here", tensor_type_info(type)->name);
	fd = memfd_create("ayni-bench", MFD_CLOEXEC);
	if (fd < 0)
		return error_set(err, AYNI_ERR_IO, "bench: no file in memory: %m");
	rc = gguf_head_new(&h, err);
	if (rc == AYNI_OK) {
		set_numbers(g, h);
		rc = tokens_make_up(h, VOCABULARY, err);
	}
	if (rc == AYNI_OK)
		rc = add_tensors(g, type, h, err);
	if (rc == AYNI_OK)
		rc = gguf_head_finish(h, &head, err);
	if (rc == AYNI_OK)
		rc = make_file(h, head, type, fd, err);
	gguf_head_free(h);
	if (rc == AYNI_OK)
		*out = fd;
	else
		(void)close(fd);
	return rc;
}

int geometry_make(
    const struct geometry *g, enum tensor_type type, struct gguf **out, struct error *err)
{
	int fd, rc = geometry_file(g, type, &fd, err);

	*out = NULL;
	if (rc != AYNI_OK)
		return rc;
	rc = gguf_open_fd(fd, g->name, out, err);
	(void)close(fd);
	return rc;
}
