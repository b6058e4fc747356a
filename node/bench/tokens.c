/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/tokens.h"

#include <stdlib.h>

enum { N_BYTES = 256, LETTERS = 26, WORD = 4, N_WORDS = LETTERS * LETTERS * LETTERS * LETTERS };

struct token {
	char text[WORD + 1];
};

/* GPT-2's character of a byte: itself where printable, else the next from U+0100 on. */
static void spell_bytes(struct token *tokens)
{
	unsigned next = 0x100;

	for (unsigned b = 0; b < N_BYTES; b++) {
		bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);
		unsigned c = prints ? b : next++;
		char *to = tokens[b].text;

		if (c >= 0x80)
			*to++ = (char)(0xc0 | c >> 6);
		*to = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
	}
}

/* The number in base 26, "aaaa" first. */
static void spell_word(unsigned number, struct token *out)
{
	for (int i = WORD; i-- > 0; number /= LETTERS)
		out->text[i] = (char)('a' + number % LETTERS);
}

int tokens_make_up(struct gguf_head *h, uint32_t n, struct error *err)
{
	static const char *const merges[] = {"a a", "aa aa"};
	struct token *tokens;
	const char **list;

	if (n <= N_BYTES || n > N_BYTES + N_WORDS)
		return error_set(err, AYNI_ERR_ARGUMENT, "bench: %u tokens are not made here", n);
	tokens = calloc(n, sizeof *tokens);
	list = calloc(n, sizeof *list);
	if (tokens == NULL || list == NULL) {
		free(tokens);
		free((void *)list);
		return error_set(err, AYNI_ERR_MEMORY, "bench: out of memory");
	}
	spell_bytes(tokens);
	for (uint32_t i = N_BYTES; i < n; i++)
		spell_word(i - N_BYTES, &tokens[i]);
	for (uint32_t i = 0; i < n; i++)
		list[i] = tokens[i].text;
	(void)gguf_head_set_string(h, "tokenizer.ggml.model", "gpt2");
	(void)gguf_head_set_string(h, "tokenizer.ggml.pre", "gpt-2");
	(void)gguf_head_set_strings(h, "tokenizer.ggml.tokens", list, n);
	(void)gguf_head_set_strings(
	    h, "tokenizer.ggml.merges", merges, sizeof merges / sizeof merges[0]);
	free(tokens);
	free((void *)list);
	return AYNI_OK;
}
