/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte says what follows: 0 a text for the small BPE vocabulary (whose pre-tokenizer the
 * second byte picks), 1 a text for the small SentencePiece one, anything else a length (16 bits,
 * little-endian), so many bytes of a GGUF file, and a text for its vocabulary.
 *
 * What encodes must decode; with a vocabulary that has all bytes, byte-level BPE gives an
 * ASCII text back as it was.
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
enum { N_PRES = sizeof pres / sizeof pres[0] };

/* Longer inputs find nothing that short ones do not, ten times slower. */
enum { MAX_TEXT_BYTES = 192, MAX_FILE_BYTES = 6400 };

static bool is_ascii(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] >= 0x80)
			return false;
	return true;
}

static void try_text(const struct tokenizer *t, const uint8_t *text, size_t len, bool exact)
{
	struct tokenizer_stream *s;
	const char *part;
	uint32_t *ids;
	size_t n, n_part, n_back = 0;

	if (tokenizer_encode(t, (const char *)text, len, TOKENIZER_BOS, &ids, &n, NULL) < 0)
		return;
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
	if (tokenizer_encode(t, (const char *)text, len, TOKENIZER_SPECIAL, &ids, &n, NULL) == 0)
		free(ids);
}

static void try_small(bool spm, unsigned pre, const uint8_t *text, size_t len)
{
	static struct tokenizer *bpe_tokenizers[N_PRES], *spm_tokenizer;
	struct tokenizer **t = spm ? &spm_tokenizer : &bpe_tokenizers[pre % N_PRES];
	struct vocabulary v;

	if (*t == NULL) {
		if (spm) {
			vocabulary_spm(&v);
		} else {
			vocabulary_bpe(&v);
			v.pre = pres[pre % N_PRES];
		}
		if (vocabulary_open(&v, t, NULL) < 0)
			abort();
	}
	try_text(*t, text, len, !spm && is_ascii(text, len));
}

static void try_file(const uint8_t *data, size_t size)
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
	if (gguf_parse(data, n, n, &g, NULL) < 0)
		return;
	if (tokenizer_new(g, &t, NULL) == AYNI_OK) {
		try_text(t, data + n, size - n, false);
		try_text(t, (const uint8_t *)"hi <x> 12\n", 10, false);
		tokenizer_free(t);
	}
	gguf_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > (data[0] < 2 ? MAX_TEXT_BYTES : MAX_FILE_BYTES))
		return -1; /* not to be kept */
	if (data[0] == 0)
		try_small(false, data[1], data + 2, size - 2);
	else if (data[0] == 1)
		try_small(true, 0, data + 1, size - 1);
	else
		try_file(data + 1, size - 1);
	return 0;
}
