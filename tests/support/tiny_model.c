/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tiny_model.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "compute/gguf.h"

enum { ALIGN = 32, NAME_BYTES = 64, N_MERGES = 0 };

/* Bytes that grow. A test's program ends when there is no memory. */
struct bytes {
	uint8_t *data;
	size_t len, room;
};

static void *grow(struct bytes *b, size_t n)
{
	if (b->len + n > b->room) {
		b->room = 2 * (b->len + n);
		b->data = realloc(b->data, b->room);
		assert(b->data != NULL);
	}
	b->len += n;
	return b->data + b->len - n;
}

static void put(struct bytes *b, const void *data, size_t n)
{
	if (n > 0)
		memcpy(grow(b, n), data, n);
}

static void put_u32(struct bytes *b, uint32_t value)
{
	put(b, &value, sizeof value);
}

static void put_u64(struct bytes *b, uint64_t value)
{
	put(b, &value, sizeof value);
}

static void put_text(struct bytes *b, const char *text)
{
	put_u64(b, strlen(text));
	put(b, text, strlen(text));
}

static void put_padding(struct bytes *b)
{
	while (b->len % ALIGN != 0)
		put(b, "", 1);
}

struct builder {
	struct tiny_model_options o;
	struct bytes keys, table, data;
	uint64_t n_keys, n_tensors;
	uint64_t random;
};

static bool is(const char *option, const char *name)
{
	return option != NULL && strcmp(option, name) == 0;
}

/* ---- metadata ------------------------------------------------------------------------------- */

/* Begin a key, unless the options leave it out or have their own value for it. */
static bool begin_key(struct builder *b, const char *name, enum gguf_type type)
{
	if (is(b->o.without, name) || (b->o.key != NULL && is(b->o.key->name, name)))
		return false;
	b->n_keys++;
	put_text(&b->keys, name);
	put_u32(&b->keys, type);
	return true;
}

static void key_u32(struct builder *b, const char *name, uint32_t value)
{
	if (begin_key(b, name, GGUF_U32))
		put_u32(&b->keys, value);
}

static void key_f32(struct builder *b, const char *name, float value)
{
	if (begin_key(b, name, GGUF_F32))
		put(&b->keys, &value, sizeof value);
}

static void key_text(struct builder *b, const char *name, const char *value)
{
	if (begin_key(b, name, GGUF_STRING))
		put_text(&b->keys, value);
}

static bool key_array(struct builder *b, const char *name, enum gguf_type type, uint64_t n)
{
	if (!begin_key(b, name, GGUF_ARRAY))
		return false;
	put_u32(&b->keys, type);
	put_u64(&b->keys, n);
	return true;
}

static void key_option(struct builder *b)
{
	const struct tiny_model_key *key = b->o.key;
	uint8_t truth = key != NULL && key->number != 0.0;

	b->o.key = NULL;
	if (key == NULL)
		return;
	switch ((enum gguf_type)key->type) {
	case GGUF_STRING:
		key_text(b, key->name, key->text);
		return;
	case GGUF_F32:
		key_f32(b, key->name, (float)key->number);
		return;
	case GGUF_BOOL:
		if (begin_key(b, key->name, GGUF_BOOL))
			put(&b->keys, &truth, 1);
		return;
	default:
		key_u32(b, key->name, (uint32_t)key->number);
		return;
	}
}

/* GPT-2's spelling of a byte: printable Latin-1 as itself, the others from U+0100 on. */
static void spell_byte(unsigned byte, char text[3])
{
	unsigned shown = byte;

	if (byte < 33)
		shown = 256 + byte;
	else if (byte >= 127 && byte <= 160)
		shown = 256 + 33 + byte - 127;
	else if (byte == 173)
		shown = 256 + 33 + 34;
	if (shown < 128) {
		text[0] = (char)shown;
		text[1] = '\0';
	} else {
		text[0] = (char)(0xc0 | shown >> 6);
		text[1] = (char)(0x80 | (shown & 0x3f));
		text[2] = '\0';
	}
}

static void vocabulary(struct builder *b)
{
	static const char *const controls[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
	static const char chatml[] =
	    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
	    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
	    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
	enum { NORMAL = 1, CONTROL = 3 };

	key_text(b, "tokenizer.ggml.model", "gpt2");
	key_text(b, "tokenizer.ggml.pre", "gpt-2");
	if (key_array(b, "tokenizer.ggml.tokens", GGUF_STRING, TINY_MODEL_VOCABULARY)) {
		for (unsigned i = 0; i < 256; i++) {
			char text[3];

			spell_byte(i, text);
			put_text(&b->keys, text);
		}
		for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++)
			put_text(&b->keys, controls[i]);
	}
	if (key_array(b, "tokenizer.ggml.token_type", GGUF_I32, TINY_MODEL_VOCABULARY))
		for (unsigned i = 0; i < TINY_MODEL_VOCABULARY; i++)
			put_u32(&b->keys, i < 256 ? NORMAL : CONTROL);
	(void)key_array(b, "tokenizer.ggml.merges", GGUF_STRING, N_MERGES);
	key_u32(b, "tokenizer.ggml.bos_token_id", TINY_MODEL_END_OF_TEXT);
	key_u32(b, "tokenizer.ggml.eos_token_id", TINY_MODEL_IM_END);
	if (begin_key(b, "tokenizer.ggml.add_bos_token", GGUF_BOOL))
		put(&b->keys, &(uint8_t){0}, 1);
	key_text(
	    b, "tokenizer.chat_template", b->o.chat_template != NULL ? b->o.chat_template : chatml);
}

static void sizes(struct builder *b, const struct tiny_model_options *given)
{
	const struct tiny_model_options *o = &b->o;

	key_text(b, "general.architecture", "llama");
	key_text(b, "general.name", "tiny");
	key_u32(b, "llama.block_count", o->n_layers);
	key_u32(b, "llama.context_length", o->context_tokens);
	key_u32(b, "llama.embedding_length", o->d_model);
	key_u32(b, "llama.feed_forward_length", o->d_ff);
	key_u32(b, "llama.attention.head_count", o->n_heads);
	key_u32(b, "llama.attention.head_count_kv", o->n_kv_heads);
	if (given->d_head > 0)
		key_u32(b, "llama.attention.key_length", o->d_head);
	if (given->d_value > 0)
		key_u32(b, "llama.attention.value_length", o->d_value);
	if (given->d_rope > 0)
		key_u32(b, "llama.rope.dimension_count", o->d_rope);
	key_f32(b, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	key_f32(b, "llama.rope.freq_base", 10000.0f);
}

/* ---- weights -------------------------------------------------------------------------------- */

/* Uniform in [-1, 1): the 64-bit generator of Knuth's MMIX, its upper 24 bits. */
static float uniform(struct builder *b)
{
	b->random = b->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (float)(int32_t)(b->random >> 40) * 0x1p-23f - 1.0f;
}

/* To nearest even; for magnitudes under 65504. */
static uint16_t f16_from_f32(float x)
{
	float magnitude = fabsf(x);
	uint16_t sign = signbit(x) ? 0x8000 : 0;
	uint32_t bits;

	if (magnitude < 0x1p-14f) /* subnormal: units of 2^-24 */
		return (uint16_t)(sign | (uint16_t)rintf(magnitude * 0x1p24f));
	memcpy(&bits, &magnitude, sizeof bits);
	bits += 0xfff + (bits >> 13 & 1); /* a carry moves on to the exponent, as it should */
	return (uint16_t)(sign | ((bits >> 13) - ((127 - 15) << 10)));
}

static uint16_t bf16_from_f32(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float largest(const float x[QUANT_BLOCK])
{
	float m = 0.0f;

	for (int i = 0; i < QUANT_BLOCK; i++)
		m = fabsf(x[i]) > m ? fabsf(x[i]) : m;
	return m;
}

static void put_q8_0(struct bytes *out, const float x[QUANT_BLOCK])
{
	struct block_q8_0 block = {.scale = f16_from_f32(largest(x) / 127.0f)};
	float scale = f16_to_f32(block.scale);

	for (int i = 0; i < QUANT_BLOCK; i++)
		block.quants[i] = (int8_t)fminf(fmaxf(rintf(x[i] / scale), -127.0f), 127.0f);
	put(out, &block, sizeof block);
}

static void put_q4_0(struct bytes *out, const float x[QUANT_BLOCK])
{
	struct block_q4_0 block = {.scale = f16_from_f32(largest(x) / 7.5f)};
	float scale = f16_to_f32(block.scale);

	for (int i = 0; i < QUANT_BLOCK / 2; i++) {
		float low = fminf(fmaxf(rintf(x[i] / scale) + 8.0f, 0.0f), 15.0f);
		float high = fminf(fmaxf(rintf(x[i + 16] / scale) + 8.0f, 0.0f), 15.0f);

		block.quants[i] = (uint8_t)((unsigned)low | (unsigned)high << 4);
	}
	put(out, &block, sizeof block);
}

static void put_block(struct bytes *out, enum tensor_type type, const float *x)
{
	switch (type) {
	case TENSOR_F32:
		put(out, x, QUANT_BLOCK * sizeof *x);
		return;
	case TENSOR_F16:
	case TENSOR_BF16:
		for (int i = 0; i < QUANT_BLOCK; i++) {
			uint16_t h = type == TENSOR_F16 ? f16_from_f32(x[i]) : bf16_from_f32(x[i]);

			put(out, &h, sizeof h);
		}
		return;
	case TENSOR_Q8_0:
		put_q8_0(out, x);
		return;
	case TENSOR_Q4_0:
		put_q4_0(out, x);
		return;
	case TENSOR_TYPE_END:
		break;
	}
	assert(false);
}

/* Begin a tensor of rows x cols (rows 0: a vector); false if the options leave it out. */
static bool begin_tensor(
    struct builder *b, const char *name, uint64_t rows, uint64_t cols, enum tensor_type type)
{
	uint64_t less = is(b->o.misshapen, name);

	if (is(b->o.without, name))
		return false;
	b->n_tensors++;
	put_text(&b->table, name);
	put_u32(&b->table, rows > 0 ? 2 : 1);
	put_u64(&b->table, rows > 0 ? cols : cols - less);
	if (rows > 0)
		put_u64(&b->table, rows - less);
	put_u32(&b->table, is(b->o.mistyped, name) ? b->o.raw_type : (uint32_t)type);
	put_u64(&b->table, b->data.len);
	return true;
}

/* Elements in [1 - spread, 1 + spread). */
static void vector(struct builder *b, const char *name, uint32_t n, float spread)
{
	if (!begin_tensor(b, name, 0, n, TENSOR_F32))
		return;
	for (uint32_t i = 0; i < n; i++) {
		float x = 1.0f + spread * uniform(b);

		put(&b->data, &x, sizeof x);
	}
	put_padding(&b->data);
}

/* A uniform distribution over [-a, a] has the variance a^2 / 3. */
static void matrix(
    struct builder *b, const char *name, uint32_t rows, uint32_t cols, enum tensor_type type)
{
	float reach = sqrtf(3.0f / (float)cols);
	float x[QUANT_BLOCK];

	if (!begin_tensor(b, name, rows, cols, type))
		return;
	assert(cols % QUANT_BLOCK == 0);
	for (uint64_t i = 0; i < (uint64_t)rows * cols; i += QUANT_BLOCK) {
		for (int j = 0; j < QUANT_BLOCK; j++)
			x[j] = reach * uniform(b);
		put_block(&b->data, type, x);
	}
	put_padding(&b->data);
}

static void layer(struct builder *b, uint32_t index)
{
	const struct tiny_model_options *o = &b->o;
	const struct {
		const char *suffix;
		uint32_t rows, cols;
	} tensors[] = {
	    {"attn_norm", 0, o->d_model},
	    {"attn_q", o->n_heads * o->d_head, o->d_model},
	    {"attn_k", o->n_kv_heads * o->d_head, o->d_model},
	    {"attn_v", o->n_kv_heads * o->d_value, o->d_model},
	    {"attn_output", o->d_model, o->n_heads * o->d_value},
	    {"ffn_norm", 0, o->d_model},
	    {"ffn_gate", o->d_ff, o->d_model},
	    {"ffn_up", o->d_ff, o->d_model},
	    {"ffn_down", o->d_model, o->d_ff},
	};

	for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
		char name[NAME_BYTES];

		(void)snprintf(name, sizeof name, "blk.%u.%s.weight", index, tensors[i].suffix);
		if (tensors[i].rows == 0)
			vector(b, name, tensors[i].cols, 0.1f);
		else
			matrix(b, name, tensors[i].rows, tensors[i].cols, o->type);
	}
}

static void tensors(struct builder *b)
{
	const struct tiny_model_options *o = &b->o;

	matrix(b, "token_embd.weight", TINY_MODEL_VOCABULARY, o->d_model, o->type);
	if (o->rope_factors)
		vector(b, "rope_freqs.weight", o->d_rope / 2, 0.5f);
	for (uint32_t i = 0; i < o->n_layers; i++)
		layer(b, i);
	vector(b, "output_norm.weight", o->d_model, 0.1f);
	if (!o->tied)
		matrix(b, "output.weight", TINY_MODEL_VOCABULARY, o->d_model, o->type);
	if (o->extra_tensor != NULL)
		vector(b, o->extra_tensor, o->d_model, 0.1f);
}

/* ---- the file ------------------------------------------------------------------------------- */

static uint32_t or_else(uint32_t value, uint32_t otherwise)
{
	return value > 0 ? value : otherwise;
}

static struct tiny_model_options with_defaults(const struct tiny_model_options *given)
{
	struct tiny_model_options o = *given;

	o.n_layers = or_else(o.n_layers, 3);
	o.d_model = or_else(o.d_model, 64);
	o.d_ff = or_else(o.d_ff, 96);
	o.n_heads = or_else(o.n_heads, 4);
	o.n_kv_heads = or_else(o.n_kv_heads, 2);
	o.d_head = or_else(o.d_head, o.d_model / o.n_heads);
	o.d_value = or_else(o.d_value, o.d_model / o.n_heads);
	o.d_rope = or_else(o.d_rope, o.d_head);
	o.context_tokens = or_else(o.context_tokens, 512);
	return o;
}

uint8_t *tiny_model_bytes(const struct tiny_model_options *options, size_t *len)
{
	struct tiny_model_options none = {0};
	const struct tiny_model_options *given = options != NULL ? options : &none;
	struct builder b = {.o = with_defaults(given), .random = given->seed};
	struct bytes out = {0};

	sizes(&b, given);
	vocabulary(&b);
	key_option(&b);
	tensors(&b);

	put(&out, "GGUF", 4);
	put_u32(&out, 3);
	put_u64(&out, b.n_tensors);
	put_u64(&out, b.n_keys);
	put(&out, b.keys.data, b.keys.len);
	put(&out, b.table.data, b.table.len);
	put_padding(&out);
	put(&out, b.data.data, b.data.len);
	free(b.keys.data);
	free(b.table.data);
	free(b.data.data);
	*len = out.len;
	return out.data;
}

int tiny_model_write(const char *path, const struct tiny_model_options *options)
{
	size_t len;
	uint8_t *data = tiny_model_bytes(options, &len);
	FILE *file = fopen(path, "wb");
	int rc = -1;

	if (file != NULL) {
		rc = fwrite(data, 1, len, file) == len ? 0 : -1;
		rc = fclose(file) == 0 ? rc : -1;
	}
	free(data);
	return rc;
}

char *tiny_model_temporary(const struct tiny_model_options *options)
{
	char *path = strdup("/tmp/ayni-tiny-XXXXXX");
	int fd = path != NULL ? mkstemp(path) : -1;

	if (fd < 0 || close(fd) != 0 || tiny_model_write(path, options) != 0) {
		free(path);
		return NULL;
	}
	return path;
}

void tiny_model_remove(char *path)
{
	if (path != NULL)
		(void)unlink(path);
	free(path);
}
