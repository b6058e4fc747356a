/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to token ids and back, from the vocabulary in a GGUF file: byte-level BPE
 * (tokenizer.ggml.model "gpt2", with the pre-tokenizer that tokenizer.ggml.pre names, by PCRE2 with
 * Unicode properties) and SentencePiece-style with byte fallback ("llama").
 *
 * A tokenizer is immutable after creation and may be used by any thread; a tokenizer_stream belongs
 * to one session.
 */
#ifndef AYNI_COMPUTE_TOKENIZER_H
#define AYNI_COMPUTE_TOKENIZER_H

#include "compute/gguf.h"

struct tokenizer;
struct tokenizer_stream;

enum { TOKENIZER_NONE = UINT32_MAX };         /* "this vocabulary has no such token" */
enum { TOKENIZER_MAX_TEXT_BYTES = 16 << 20 }; /* of one call */
enum { TOKENIZER_MAX_TOKEN_BYTES = 4096 };    /* of one token's spelling */

/*
 * Copies what it needs: the gguf may be freed afterwards. A model or pre-tokenizer that is not
 * known is AYNI_ERR_UNSUPPORTED, by name; tables that do not fit together are AYNI_ERR_FORMAT. Of
 * equal spellings the last counts.
 */
int tokenizer_new(const struct gguf *g, struct tokenizer **out, struct error *err);
void tokenizer_free(struct tokenizer *t);

uint32_t tokenizer_size(const struct tokenizer *t);
uint32_t tokenizer_bos(const struct tokenizer *t); /* or TOKENIZER_NONE */
uint32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_adds_bos(const struct tokenizer *t);
/* Whole texts end with EOS, by the file. A prompt never does: the model is to go on. */
bool tokenizer_adds_eos(const struct tokenizer *t);
/*
 * Whether id ends a generation: the file's EOS, EOT and EOM, and by their spelling, whatever type
 * the file gives them, those that published models end with (<|im_end|>, <|eot_id|>, <|return|>,
 * <end_of_turn>, ...; </s> only as a control token). A vocabulary with harmony's <|return|> and
 * <|call|> goes on after <|end|>.
 */
bool tokenizer_is_end(const struct tokenizer *t, uint32_t id);
/* The control or user-defined token that is spelt so, or TOKENIZER_NONE. */
uint32_t tokenizer_find(const struct tokenizer *t, const char *spelling);
/* The token's spelling as in the file; empty if out of range. */
struct span tokenizer_spelling(const struct tokenizer *t, uint32_t id);
/*
 * The bytes that a token stands for in any place but a text's first; those of a control token are
 * its spelling. They may be part of a character. Returns their number, 0 if out of range.
 */
size_t tokenizer_bytes(
    const struct tokenizer *t, uint32_t id, uint8_t out[TOKENIZER_MAX_TOKEN_BYTES]);

enum tokenizer_flags {
	TOKENIZER_BOS = 1,     /* put BOS first, if the vocabulary has one */
	TOKENIZER_SPECIAL = 2, /* recognise control tokens spelt out in the text (chat templates) */
	TOKENIZER_EOS = 4      /* put EOS last, if the vocabulary has one */
};

/*
 * *ids is malloc'd (NULL when empty or on error); the caller frees it. Invalid UTF-8 is taken byte
 * by byte. A text has at most TOKENIZER_MAX_TEXT_BYTES (AYNI_ERR_LIMIT); the worst texts take n log
 * n steps. User-defined tokens are always recognised in the text, control tokens only with
 * TOKENIZER_SPECIAL, so that what a person writes never becomes one.
 */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
    uint32_t **ids, size_t *n_ids, struct error *err);

/*
 * Streaming detokeniser: feed ids, get bytes. Never emits part of a UTF-8 character: what is
 * incomplete waits for the next id, or for finish, which emits U+FFFD for it. Control tokens give
 * no text; bytes that are no UTF-8 become U+FFFD; the space that SentencePiece puts before a text
 * is taken off the first token. An id out of range is AYNI_ERR_ARGUMENT. `*text` is NUL-terminated
 * and valid until the next call on this stream.
 */
int tokenizer_stream_new(const struct tokenizer *t, struct tokenizer_stream **out);
void tokenizer_stream_free(struct tokenizer_stream *s);
int tokenizer_stream_feed(struct tokenizer_stream *s, uint32_t id, const char **text, size_t *len);
int tokenizer_stream_finish(struct tokenizer_stream *s, const char **text, size_t *len);

#endif
