/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tiny_model.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/gguf_build.h"

enum { NAME_BYTES = 64 };

struct maker {
	struct tiny_model_options o;
	struct gguf_build *file;
	uint64_t random;
};

static bool is(const char *option, const char *name)
{
	return option != NULL && strcmp(option, name) == 0;
}

/* ---- metadata ------------------------------------------------------------------------------- */

/* Unless the options leave a key out or have their own value for it. */
static bool wanted(const struct maker *m, const char *name)
{
	return !is(m->o.without, name) && !(m->o.key != NULL && is(m->o.key->name, name));
}

static void key_u32(struct maker *m, const char *name, uint32_t value)
{
	if (wanted(m, name))
		gguf_build_u32(m->file, name, value);
}

static void key_f32(struct maker *m, const char *name, float value)
{
	if (wanted(m, name))
		gguf_build_f32(m->file, name, value);
}

static void key_text(struct maker *m, const char *name, const char *value)
{
	if (wanted(m, name))
		gguf_build_string(m->file, name, value);
}

static void key_option(struct maker *m)
{
	const struct tiny_model_key *key = m->o.key;

	if (key == NULL)
		return;
	if (key->text != NULL)
		gguf_build_string(m->file, key->name, key->text);
	else if (key->type == GGUF_F32)
		gguf_build_f32(m->file, key->name, (float)key->number);
	else if (key->type == GGUF_BOOL)
		gguf_build_bool(m->file, key->name, key->number != 0.0);
	else
		gguf_build_u32(m->file, key->name, (uint32_t)key->number);
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

static void vocabulary(struct maker *m)
{
	static const char chatml[] =
	    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
	    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
	    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
	enum { NORMAL = 1, CONTROL = 3 };
	const char *tokens[TINY_MODEL_VOCABULARY] = {[TINY_MODEL_END_OF_TEXT] = "<|endoftext|>",
	    [TINY_MODEL_IM_START] = "<|im_start|>",
	    [TINY_MODEL_IM_END] = "<|im_end|>"};
	int32_t token_types[TINY_MODEL_VOCABULARY];
	char spelling[256][3];

	for (unsigned i = 0; i < 256; i++) {
		spell_byte(i, spelling[i]);
		tokens[i] = spelling[i];
	}
	for (unsigned i = 0; i < TINY_MODEL_VOCABULARY; i++)
		token_types[i] = i < 256 ? NORMAL : CONTROL;
	key_text(m, "tokenizer.ggml.model", "gpt2");
	key_text(m, "tokenizer.ggml.pre", "gpt-2");
	gguf_build_string_array(m->file, "tokenizer.ggml.tokens", tokens, TINY_MODEL_VOCABULARY);
	gguf_build_i32_array(
	    m->file, "tokenizer.ggml.token_type", token_types, TINY_MODEL_VOCABULARY);
	gguf_build_string_array(m->file, "tokenizer.ggml.merges", NULL, 0);
	key_u32(m, "tokenizer.ggml.bos_token_id", TINY_MODEL_END_OF_TEXT);
	key_u32(m, "tokenizer.ggml.eos_token_id", TINY_MODEL_IM_END);
	gguf_build_bool(m->file, "tokenizer.ggml.add_bos_token", false);
	key_text(
	    m, "tokenizer.chat_template", m->o.chat_template != NULL ? m->o.chat_template : chatml);
}

static void sizes(struct maker *m, const struct tiny_model_options *given)
{
	const struct tiny_model_options *o = &m->o;

	key_text(m, "general.architecture", "llama");
	key_text(m, "general.name", "tiny");
	key_u32(m, "llama.block_count", o->n_layers);
	key_u32(m, "llama.context_length", o->context_tokens);
	key_u32(m, "llama.embedding_length", o->d_model);
	key_u32(m, "llama.feed_forward_length", o->d_ff);
	key_u32(m, "llama.attention.head_count", o->n_heads);
	key_u32(m, "llama.attention.head_count_kv", o->n_kv_heads);
	if (given->d_head > 0)
		key_u32(m, "llama.attention.key_length", o->d_head);
	if (given->d_value > 0)
		key_u32(m, "llama.attention.value_length", o->d_value);
	if (given->d_rope > 0)
		key_u32(m, "llama.rope.dimension_count", o->d_rope);
	key_f32(m, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	key_f32(m, "llama.rope.freq_base", 10000.0f);
}

/* ---- weights -------------------------------------------------------------------------------- */

/* Uniform in [-1, 1): the 64-bit generator of Knuth's MMIX, its upper 24 bits. */
static float uniform(struct maker *m)
{
	m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (float)(int32_t)(m->random >> 40) * 0x1p-23f - 1.0f;
}

/* A tensor of rows x cols (rows 0: a vector) with elements in [centre - spread, centre + spread).
 */
static void tensor(struct maker *m, const char *name, enum tensor_type type, uint32_t rows,
    uint32_t cols, float centre, float spread)
{
	size_t n = (rows > 0 ? rows : 1) * (size_t)cols;
	uint64_t dims[2] = {cols, rows};
	float *values = calloc(n, sizeof *values);
	uint8_t *data = calloc(n, sizeof *values);

	assert(values != NULL && data != NULL);
	for (size_t i = 0; i < n; i++)
		values[i] = centre + spread * uniform(m);
	if (is(m->o.misshapen, name))
		dims[rows > 0]--;
	if (!is(m->o.without, name))
		gguf_build_tensor(m->file, name,
		    is(m->o.mistyped, name) ? m->o.raw_type : (uint32_t)type, rows > 0 ? 2 : 1,
		    dims, data, gguf_build_encode(type, values, n, data));
	free(values);
	free(data);
}

static void vector(struct maker *m, const char *name, uint32_t n, float spread)
{
	tensor(m, name, TENSOR_F32, 0, n, 1.0f, spread);
}

/* A uniform distribution over [-a, a] has the variance a^2 / 3. */
static void matrix(struct maker *m, const char *name, uint32_t rows, uint32_t cols)
{
	tensor(m, name, m->o.type, rows, cols, 0.0f, sqrtf(3.0f / (float)cols));
}

static void layer(struct maker *m, uint32_t index)
{
	const struct tiny_model_options *o = &m->o;
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
			vector(m, name, tensors[i].cols, 0.1f);
		else
			matrix(m, name, tensors[i].rows, tensors[i].cols);
	}
}

static void tensors(struct maker *m)
{
	const struct tiny_model_options *o = &m->o;

	matrix(m, "token_embd.weight", TINY_MODEL_VOCABULARY, o->d_model);
	if (o->rope_factors)
		vector(m, "rope_freqs.weight", o->d_rope / 2, 0.5f);
	for (uint32_t i = 0; i < o->n_layers; i++)
		layer(m, i);
	vector(m, "output_norm.weight", o->d_model, 0.1f);
	if (!o->tied)
		matrix(m, "output.weight", TINY_MODEL_VOCABULARY, o->d_model);
	if (o->extra_tensor != NULL)
		vector(m, o->extra_tensor, o->d_model, 0.1f);
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
	struct maker m = {
	    .o = with_defaults(given), .file = gguf_build_new(3), .random = given->seed};
	struct gguf_bytes bytes;

	sizes(&m, given);
	vocabulary(&m);
	key_option(&m);
	tensors(&m);
	bytes = gguf_build_finish(m.file);
	*len = bytes.len;
	return bytes.data;
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
