/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tokens end a generation. Files name one EOS, but models end with others too, so the rest
 * is told by spelling, as llama.cpp does it.
 */
#include <stdlib.h>

#include "compute/tokenizer_internal.h"

#define BAR  "\xef\xbd\x9c" /* U+FF5C, as DeepSeek spells its tokens */
#define MARK "\xe2\x96\x81" /* U+2581 */

static const char *const end_spellings[] = {"<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>",
    "<|endoftext|>", "<|end_of_text|>", "<|eot|>", "<|eom|>", "<|return|>", "<|call|>", "<|calls|>",
    "<|flush|>", "<end_of_turn>", "<turn|>", "<|tool_response>", "<end_of_utterance>", "<eos>",
    "<EOT>", "_<EOT>", "<|EOT|>", "[EOT]", "[EOS]", "[e~[", "<|end_of_sentence|>",
    "<" BAR "end" MARK "of" MARK "sentence" BAR ">", "<" BAR "EOT" BAR ">"};

/* Of code models: where a file's text stops. Told by spelling only where the file names none. */
static const struct {
	const char *key;
	const char *spellings[6];
} code_ends[] = {
    {"tokenizer.ggml.fim_pad_token_id",
        {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {"tokenizer.ggml.fim_rep_token_id",
        {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {"tokenizer.ggml.fim_sep_token_id", {"<|file_sep|>"}},
};

enum {
	N_END_SPELLINGS = sizeof end_spellings / sizeof end_spellings[0],
	N_CODE_ENDS = sizeof code_ends / sizeof code_ends[0]
};

static bool spelt(struct span text, const char *name)
{
	return text.len == strlen(name) && memcmp(text.data, name, text.len) == 0;
}

static bool spelt_as_any(struct span text, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n && names[i] != NULL; i++)
		if (spelt(text, names[i]))
			return true;
	return false;
}

static int named_end(
    struct tokenizer *t, const struct gguf *g, const char *key, bool *named, struct error *err)
{
	uint32_t id = (uint32_t)TOKENIZER_NONE;
	int rc = tokenizer_id_load(t, g, key, &id, err);

	*named = rc == AYNI_OK && id != (uint32_t)TOKENIZER_NONE;
	if (*named)
		t->ends[id] = true;
	return rc;
}

/* Tokens of this spelling, or NONE. */
static uint32_t find_spelling(const struct tokenizer *t, const char *name)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (spelt(tokenizer_spelling(t, i), name))
			return i;
	return (uint32_t)TOKENIZER_NONE;
}

/*
 * In OpenAI's harmony format (and Solar's, alike) <|end|> only ends a channel: the answer comes in
 * the next one.
 */
static void channels_go_on(struct tokenizer *t)
{
	uint32_t end = find_spelling(t, "<|end|>");
	bool harmony = find_spelling(t, "<|return|>") != (uint32_t)TOKENIZER_NONE &&
	               find_spelling(t, "<|call|>") != (uint32_t)TOKENIZER_NONE;
	bool solar = find_spelling(t, "<|flush|>") != (uint32_t)TOKENIZER_NONE &&
	             (find_spelling(t, "<|call|>") != (uint32_t)TOKENIZER_NONE ||
	                 find_spelling(t, "<|calls|>") != (uint32_t)TOKENIZER_NONE);

	if (end != (uint32_t)TOKENIZER_NONE && (harmony || solar))
		t->ends[end] = false;
}

/* First byte of any spelling above. */
static bool may_matter(struct span text)
{
	return text.len > 0 && (text.data[0] == '<' || text.data[0] == '[' || text.data[0] == '_');
}

int ends_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	bool named, code_named[N_CODE_ENDS];
	int rc;

	t->ends = calloc(t->n, sizeof *t->ends);
	if (t->ends == NULL)
		return AYNI_ERR_MEMORY;
	if ((rc = named_end(t, g, "tokenizer.ggml.eot_token_id", &named, err)) < 0 ||
	    (rc = named_end(t, g, "tokenizer.ggml.eom_token_id", &named, err)) < 0)
		return rc;
	for (size_t k = 0; k < N_CODE_ENDS; k++)
		if ((rc = named_end(t, g, code_ends[k].key, &code_named[k], err)) < 0)
			return rc;
	for (uint32_t i = 0; i < t->n; i++) {
		struct span text = tokenizer_spelling(t, i);

		if (!may_matter(text))
			continue;
		/* Gemma's </s> is an element of HTML, a user's token */
		if (spelt_as_any(text, end_spellings, N_END_SPELLINGS) ||
		    (spelt(text, "</s>") && t->types[i] == TOKEN_CONTROL))
			t->ends[i] = true;
		for (size_t k = 0; k < N_CODE_ENDS; k++)
			if (!code_named[k] && spelt_as_any(text, code_ends[k].spellings, 6))
				t->ends[i] = true;
	}
	channels_go_on(t);
	if (t->eos != (uint32_t)TOKENIZER_NONE)
		t->ends[t->eos] = true;
	/* What ends a text is a control token whatever the file says, so that nobody types it. */
	for (uint32_t i = 0; i < t->n; i++)
		if (t->ends[i] && (t->types[i] == TOKEN_NORMAL || t->types[i] == TOKEN_USER))
			t->types[i] = TOKEN_CONTROL;
	return AYNI_OK;
}
