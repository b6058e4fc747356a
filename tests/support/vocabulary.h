/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small vocabularies for tests of the tokenizer: as a description that a test may spoil, as the
 * bytes of a GGUF file, or as a tokenizer.
 */
#ifndef AYNI_TESTS_SUPPORT_VOCABULARY_H
#define AYNI_TESTS_SUPPORT_VOCABULARY_H

#include "compute/tokenizer.h"
#include "tests/support/gguf_build.h"

enum { VOCABULARY_MAX = 320 };

/* Counts that differ from n_tokens, and ids out of range, are written as they stand. */
struct vocabulary {
	const char *model, *pre, *name; /* NULL: the key is left out */
	const char *tokens[VOCABULARY_MAX];
	int32_t types[VOCABULARY_MAX];
	float scores[VOCABULARY_MAX];
	size_t n_tokens, n_types, n_scores; /* 0: left out */
	const char *merges[16];
	size_t n_merges;   /* 0: left out */
	uint32_t bos, eos; /* UINT32_MAX: left out */
	struct {
		const char *key; /* NULL: left out */
		uint32_t id;
	} ids[4];
	struct {
		const char *key; /* NULL: left out */
		bool value;
	} rules[4];
	char bytes[256][8]; /* where spelt byte tokens are kept */
};

/*
 * Bytes 0 to 255 have ids 0 to 255 in GPT-2's spelling; 256 "he", 257 "ll", 258 "hell",
 * 259 "hello", 260 " hello"; then the control tokens 261 <|im_start|>, 262 <|im_end|> (EOS) and the
 * user's 263 <tool>, 264 <tool>>.
 */
void vocabulary_bpe(struct vocabulary *v);

/*
 * 0 <unk>, 1 <s>, 2 </s>, bytes from 3, then 259 a mark for space, 260 "h", 261 "i", 262 mark+"h",
 * 263 mark+"hi", 264 "hi", 265 U+00E9, 266 the user's "<x>".
 */
void vocabulary_spm(struct vocabulary *v);

/* One more token; its id. */
uint32_t vocabulary_add(struct vocabulary *v, const char *token, int32_t type);

struct gguf_bytes vocabulary_file(const struct vocabulary *v);
/* The result of tokenizer_new on that file. */
int vocabulary_open(const struct vocabulary *v, struct tokenizer **out, struct error *err);

#endif
