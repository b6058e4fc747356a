/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte says what follows: 0 a text for the small BPE vocabulary (whose pre-tokenizer the
 * second byte picks), 1 a text for the small SentencePiece one, anything else a length (16 bits,
 * little-endian), so many bytes of a GGUF file, and a text for its vocabulary. Its highest bit: the
 * text may hold control tokens.
 *
 * What encodes must decode; with a vocabulary that has all bytes, byte-level BPE gives an
 * ASCII text back as it was.
 *
 * Made for many runs a second: vocabularies that do not come from the input are read once, the
 * expressions of all pre-tokenizers stay compiled, and what is long without being new is cut off.
 */
#include <stdlib.h>

#include "tests/support/vocabulary.h"

/* Fuzz programs are linked without the tests' helpers. */
#include "tests/support/gguf_build.c"
#include "tests/support/vocabulary.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pres[] = {"gpt-2", "llama-bpe", "dbrx", "qwen2", "seed-coder",
    "deepseek-llm", "deepseek-coder", "deepseek-v3", "smollm", "falcon", "default", "gpt-4o",
    "tekken"};
enum { N_PRES = sizeof pres / sizeof pres[0], TEXT_BYTES = 64, FILE_BYTES = 1024 };

static struct tokenizer *bpe_tokenizers[N_PRES], *spm_tokenizer;

static bool is_ascii(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] >= 0x80)
			return false;
	return true;
}

static void try_text(
    const struct tokenizer *t, const uint8_t *text, size_t len, unsigned flags, bool exact)
{
	struct tokenizer_stream *s;
	const char *part;
	uint32_t *ids;
	size_t n, n_part, n_back = 0;

	if (len > TEXT_BYTES)
		len = TEXT_BYTES;
	if (tokenizer_encode(t, (const char *)text, len, flags, &ids, &n, NULL) < 0)
		return;
	exact = exact && (flags & TOKENIZER_SPECIAL) == 0;
	if (tokenizer_stream_new(t, &s) < 0)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (ids[i] >= tokenizer_size(t) ||
		    tokenizer_stream_feed(s, ids[i], &part, &n_part) < 0)
			abort();
		if (exact && (n_part > len - n_back || memcmp(text + n_back, part, n_part) != 0))
			abort();
		n_back += n_part;
	}
	(void)tokenizer_stream_finish(s, &part, &n_part);
	if (exact && (n_back != len || n_part != 0))
		abort();
	tokenizer_stream_free(s);
	free(ids);
}

static void try_file(const uint8_t *data, size_t size, unsigned flags)
{
	struct tokenizer *t;
	struct gguf *g;
	size_t n;

	if (size < 2)
		return;
	n = data[0] | (size_t)data[1] << 8;
	data += 2;
	size -= 2;
	if (n > size)
		n = size;
	if (n > FILE_BYTES)
		return;
	if (gguf_parse(data, n, n, &g, NULL) < 0)
		return;
	if (tokenizer_new(g, &t, NULL) == AYNI_OK) {
		try_text(t, data + n, size - n, flags, false);
		tokenizer_free(t);
	}
	gguf_free(g);
}

static void open_small(void)
{
	struct vocabulary v;

	vocabulary_spm(&v);
	if (vocabulary_open(&v, &spm_tokenizer, NULL) < 0)
		abort();
	vocabulary_bpe(&v);
	for (size_t i = 0; i < N_PRES; i++) {
		v.pre = pres[i];
		if (vocabulary_open(&v, &bpe_tokenizers[i], NULL) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned flags;

	if (spm_tokenizer == NULL)
		open_small();
	if (size < 2)
		return 0;
	flags = TOKENIZER_BOS | TOKENIZER_EOS | (data[0] >= 0x80 ? TOKENIZER_SPECIAL : 0);
	if ((data[0] & 0x7f) == 0)
		try_text(bpe_tokenizers[data[1] % N_PRES], data + 2, size - 2, flags,
		    is_ascii(data + 2, size - 2));
	else if ((data[0] & 0x7f) == 1)
		try_text(spm_tokenizer, data + 1, size - 1, flags, false);
	else
		try_file(data + 1, size - 1, flags);
	return 0;
}
