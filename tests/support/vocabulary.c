/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/vocabulary.h"

#include <stdlib.h>

static void add(struct vocabulary *v, const char *token, int32_t type, float score)
{
	v->tokens[v->n_tokens++] = token;
	v->types[v->n_types++] = type;
	v->scores[v->n_scores++] = score;
}

/* GPT-2's character of a byte: itself where printable, else the next from U+0100 on. */
static void spell_bytes(struct vocabulary *v)
{
	unsigned next = 0x100;

	for (unsigned b = 0; b < 256; b++) {
		bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);
		unsigned c = prints ? b : next++;

		if (c < 0x80)
			(void)snprintf(v->bytes[b], sizeof v->bytes[b], "%c", (char)c);
		else
			(void)snprintf(v->bytes[b], sizeof v->bytes[b], "%c%c",
			    (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)));
		add(v, v->bytes[b], 1, 0.0f);
	}
}

void vocabulary_bpe(struct vocabulary *v)
{
	static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "\xc4\xa0 hello"};

	memset(v, 0, sizeof *v);
	v->model = "gpt2";
	v->pre = "gpt-2";
	spell_bytes(v);
	add(v, "he", 1, 0.0f);
	add(v, "ll", 1, 0.0f);
	add(v, "hell", 1, 0.0f);
	add(v, "hello", 1, 0.0f);
	add(v, "\xc4\xa0hello", 1, 0.0f);
	add(v, "<|im_start|>", 3, 0.0f);
	add(v, "<|im_end|>", 3, 0.0f);
	add(v, "<tool>", 4, 0.0f);
	add(v, "<tool>>", 4, 0.0f);
	v->n_scores = 0;
	memcpy(v->merges, merges, sizeof merges);
	v->n_merges = sizeof merges / sizeof merges[0];
	v->bos = UINT32_MAX;
	v->eos = 262;
}

void vocabulary_spm(struct vocabulary *v)
{
	memset(v, 0, sizeof *v);
	v->model = "llama";
	add(v, "<unk>", 2, 0.0f);
	add(v, "<s>", 3, 0.0f);
	add(v, "</s>", 3, 0.0f);
	for (unsigned b = 0; b < 256; b++) {
		(void)snprintf(v->bytes[b], sizeof v->bytes[b], "<0x%02X>", b);
		add(v, v->bytes[b], 6, 0.0f);
	}
	add(v, "\xe2\x96\x81", 1, -5.0f);
	add(v, "h", 1, -6.0f);
	add(v, "i", 1, -7.0f);
	add(v, "\xe2\x96\x81h", 1, -1.0f);
	add(v, "\xe2\x96\x81hi", 1, -2.0f);
	add(v, "hi", 1, -3.0f);
	add(v, "\xc3\xa9", 1, -4.0f);
	add(v, "<x>", 4, 0.0f);
	v->bos = 1;
	v->eos = 2;
}

uint32_t vocabulary_add(struct vocabulary *v, const char *token, int32_t type)
{
	assert(v->n_tokens < VOCABULARY_MAX);
	if (v->n_scores > 0)
		v->scores[v->n_scores++] = 0.0f;
	v->tokens[v->n_tokens] = token;
	v->types[v->n_types++] = type;
	return (uint32_t)v->n_tokens++;
}

struct gguf_bytes vocabulary_file(const struct vocabulary *v)
{
	struct gguf_build *b = gguf_build_new(3);

	if (v->model != NULL)
		gguf_build_string(b, "tokenizer.ggml.model", v->model);
	if (v->pre != NULL)
		gguf_build_string(b, "tokenizer.ggml.pre", v->pre);
	if (v->name != NULL)
		gguf_build_string(b, "general.name", v->name);
	if (v->n_tokens > 0)
		gguf_build_string_array(b, "tokenizer.ggml.tokens", v->tokens, v->n_tokens);
	if (v->n_types > 0)
		gguf_build_i32_array(b, "tokenizer.ggml.token_type", v->types, v->n_types);
	if (v->n_scores > 0)
		gguf_build_f32_array(b, "tokenizer.ggml.scores", v->scores, v->n_scores);
	if (v->n_merges > 0)
		gguf_build_string_array(b, "tokenizer.ggml.merges", v->merges, v->n_merges);
	if (v->bos != UINT32_MAX)
		gguf_build_u32(b, "tokenizer.ggml.bos_token_id", v->bos);
	if (v->eos != UINT32_MAX)
		gguf_build_u32(b, "tokenizer.ggml.eos_token_id", v->eos);
	for (size_t i = 0; i < sizeof v->ids / sizeof v->ids[0] && v->ids[i].key != NULL; i++)
		gguf_build_u32(b, v->ids[i].key, v->ids[i].id);
	for (size_t i = 0; i < sizeof v->rules / sizeof v->rules[0] && v->rules[i].key != NULL; i++)
		gguf_build_bool(b, v->rules[i].key, v->rules[i].value);
	return gguf_build_finish(b);
}

int vocabulary_open(const struct vocabulary *v, struct tokenizer **out, struct error *err)
{
	struct gguf_bytes file = vocabulary_file(v);
	struct gguf *g = NULL;
	int rc = gguf_parse(file.data, file.len, file.len, &g, err);

	*out = NULL;
	if (rc == AYNI_OK)
		rc = tokenizer_new(g, out, err);
	gguf_free(g);
	free(file.data);
	return rc;
}
