/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokens of an answer to text, with what the model thinks apart from what it says.
 *
 * Two ways of saying so are known. Tags: a block <think>...</think> (or [THINK]...[/THINK]) before
 * anything else, or one that the prompt has opened already, as templates of DeepSeek-R1 and Qwen
 * do. Channels (gpt-oss, "harmony"): messages of the channel "final", or of none, are the answer;
 * those of all other channels are reasoning; headers are no text at all. A tag may be cut anywhere
 * between tokens. White space between reasoning and answer belongs to neither.
 *
 * Belongs to one session; the tokenizer must outlive it.
 */
#ifndef AYNI_COMPUTE_REASONING_H
#define AYNI_COMPUTE_REASONING_H

#include "compute/tokenizer.h"
#include "compute/tool_format.h"

struct reasoning;

enum reasoning_part {
	REASONING_ANSWER,
	REASONING_APART, /* of the reasoning, or of a tag or header */
	REASONING_OPEN   /* not known yet: of what the next token is; at the end, of the answer */
};

/* Whole UTF-8 characters, valid until the next call; either may be empty. */
struct reasoning_text {
	struct span reasoning;
	struct span answer;
	enum reasoning_part part; /* of what the token is */
};

/*
 * `prompt` is what the answer follows. With `plain` all text is answer, as where a prompt was given
 * without a template.
 */
int reasoning_new(const struct tokenizer *t, const uint32_t *prompt, size_t n_prompt, bool plain,
    struct reasoning **out);
void reasoning_free(struct reasoning *r);
/* From now on the signs of this format are text, also where they are control tokens. */
void reasoning_show(struct reasoning *r, enum tool_format signs);

/* AYNI_ERR_ARGUMENT for an id out of range, AYNI_ERR_MEMORY. */
int reasoning_feed(struct reasoning *r, uint32_t token, struct reasoning_text *out);
/* What is still held back, once, after the last token. */
int reasoning_finish(struct reasoning *r, struct reasoning_text *out);

#endif
