/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of an answer, one a byte: 0 to 3 are a vocabulary's control or user-defined tokens, all
 * else is itself. The first byte's lowest bits choose the vocabulary (tags or channels) and whether
 * the session is plain, its others how many of the tokens are the prompt. No more comes out than
 * went in, and a plain session has no reasoning.
 */
#include <stdlib.h>

#include "compute/reasoning.h"
#include "tests/support/vocabulary.h"

/* Fuzz programs are linked without the tests' helpers. */
#include "tests/support/gguf_build.c"
#include "tests/support/vocabulary.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BYTES = 256 };

static struct tokenizer *open_tokenizer(bool channels)
{
	static const char *const spellings[2][4] = {{"[THINK]", "[/THINK]", "<think>", "</think>"},
	    {"<|start|>", "<|channel|>", "<|message|>", "<|end|>"}};
	struct vocabulary v;
	struct tokenizer *t;

	vocabulary_bpe(&v);
	for (int i = 0; i < 4; i++)
		v.tokens[261 + i] = spellings[channels][i];
	if (vocabulary_open(&v, &t, NULL) != AYNI_OK)
		abort();
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tokenizer *tokenizers[2];
	uint32_t tokens[MAX_BYTES];
	struct reasoning_text out;
	struct reasoning *r;
	size_t n_prompt, n_text = 0;
	bool channels, plain;

	if (size < 1 || size > MAX_BYTES)
		return -1;
	channels = (data[0] & 1) != 0;
	plain = (data[0] & 2) != 0;
	n_prompt = data[0] >> 2 < size - 1 ? data[0] >> 2 : size - 1;
	if (tokenizers[channels] == NULL)
		tokenizers[channels] = open_tokenizer(channels);
	for (size_t i = 1; i < size; i++)
		tokens[i - 1] = data[i] < 4 ? 261U + data[i] : data[i];
	if (reasoning_new(tokenizers[channels], tokens, n_prompt, plain, &r) != AYNI_OK)
		abort();
	for (size_t i = n_prompt; i + 1 < size; i++) {
		if (reasoning_feed(r, tokens[i], &out) != AYNI_OK)
			abort();
		if (plain && out.reasoning.len > 0)
			abort();
		n_text += out.answer.len + out.reasoning.len;
	}
	if (reasoning_finish(r, &out) != AYNI_OK)
		abort();
	n_text += out.answer.len + out.reasoning.len;
	/* a broken character becomes U+FFFD, three bytes; a token, its spelling */
	if (n_text > (size - 1 - n_prompt) * 16)
		abort();
	reasoning_free(r);
	return 0;
}
