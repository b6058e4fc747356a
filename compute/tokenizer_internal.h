/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the tokenizer; nobody else includes it.
 *
 * A *piece* is a byte string that merging may form. Most are tokens, but a merge rule may name
 * strings that the vocabulary lacks. Pieces hold raw bytes: the spelling of byte-level vocabularies
 * (GPT-2's alphabet of printable stand-ins) is undone when the vocabulary is read.
 */
#ifndef AYNI_COMPUTE_TOKENIZER_INTERNAL_H
#define AYNI_COMPUTE_TOKENIZER_INTERNAL_H

#include "compute/pretokenizer.h"
#include "compute/tokenizer.h"

enum {
	SPECIAL_MAX_FOUND = 4 << 20, /* special tokens found in one text, overlapping ones too */
	VOCABULARY_MAX_BYTES = 256 << 20 /* all spellings together */
};

/* Types as numbered in the file. */
enum token_type {
	TOKEN_NORMAL = 1,
	TOKEN_UNKNOWN = 2,
	TOKEN_CONTROL = 3,
	TOKEN_USER = 4,
	TOKEN_UNUSED = 5,
	TOKEN_BYTE = 6
};

enum tokenizer_model { MODEL_BPE, MODEL_SPM };

struct piece {
	uint32_t offset; /* into pieces.bytes */
	uint32_t len;
	uint32_t token; /* or TOKENIZER_NONE */
};

/* Interned byte strings with an open-addressing index. */
struct pieces {
	struct piece *at;
	uint8_t *bytes;
	uint32_t *slots; /* piece + 1, 0 = free */
	uint32_t n, max;
	uint32_t mask;
	size_t n_bytes, max_bytes;
};

struct merge_rule {
	uint32_t left, right; /* pieces; left == TOKENIZER_NONE: free slot */
	uint32_t rank, result;
};

struct special {
	uint32_t id;
	bool control;      /* only recognised where the caller asks for it */
	bool strips_right; /* swallows the white space after it */
};

struct tokenizer {
	enum tokenizer_model model;
	uint32_t n;
	uint8_t *spellings;
	uint32_t *spelling_at; /* [n + 1] */
	uint8_t *types;        /* [n] */
	uint32_t max_bytes;    /* longest spelling */
	bool *ends;            /* [n]: ends a generation */

	struct pieces pieces;
	uint32_t byte_token[256]; /* or TOKENIZER_NONE */
	uint32_t bos, eos, unknown;
	bool adds_bos, adds_eos;

	/* byte-level BPE */
	uint32_t byte_piece[256];
	struct merge_rule *rules;
	uint32_t rules_mask;
	struct pretokenizer *pre;
	bool ignore_merges; /* a word that is a token is not merged at all */

	/* SentencePiece */
	uint32_t *score_rank; /* [n]: 0 = best score; equal scores share a rank */
	bool space_prefix;
	bool words_apart; /* no token spans the end of one word and the start of the next */

	struct special *special; /* [n_special], by spelling, shorter first among prefixes */
	uint32_t n_special;
	uint32_t special_at[257]; /* by first byte */
};

struct ids {
	uint32_t *at;
	size_t n, max;
};
int ids_append(struct ids *ids, uint32_t id);

/* FNV-1a with a final mix; the same on every machine. */
uint32_t bytes_hash(const uint8_t *data, size_t len);

int pieces_init(struct pieces *p, uint32_t max, size_t max_bytes);
void pieces_clear(struct pieces *p);
uint32_t pieces_find(const struct pieces *p, const uint8_t *data, size_t len);
/* The piece of these bytes, made if new; there must be room. */
uint32_t pieces_intern(struct pieces *p, const uint8_t *data, size_t len);

/* > 0: length of the whole character at p; 0: the n bytes are a beginning of one; < 0: as many
 * bytes cannot belong to any character. n > 0. */
int utf8_step(const uint8_t *p, size_t n);

/* The byte that a character of GPT-2's alphabet stands for, or -1. */
int alphabet_byte(uint32_t character);
/* Undo GPT-2's spelling; false where a character is outside the alphabet. out holds len bytes. */
bool alphabet_decode(const uint8_t *text, size_t len, uint8_t *out, size_t *out_len);

/* The id under `key`; without the key *id stays. */
int tokenizer_id_load(const struct tokenizer *t, const struct gguf *g, const char *key,
    uint32_t *id, struct error *err);
/* Finds what ends a generation; may make types stricter, so before specials_load. */
int ends_load(struct tokenizer *t, const struct gguf *g, struct error *err);

/* Reading of what only one of the models has. */
int bpe_load(struct tokenizer *t, const struct gguf *g, struct error *err);
int spm_load(struct tokenizer *t, const struct gguf *g, struct error *err);
int specials_load(struct tokenizer *t, const struct gguf *g, struct error *err);

/* One encode call: scratch memory and the output. */
struct encoder;
int bpe_encode(struct encoder *e, const uint8_t *text, size_t len);
int spm_encode(struct encoder *e, const uint8_t *text, size_t len, bool after_special);

/* A stretch of the text: a special token, or (id == TOKENIZER_NONE) ordinary text. */
typedef int (*stretch_fn)(void *arg, const uint8_t *text, size_t len, uint32_t id);
/* Cut the text at the special tokens in it. */
int specials_cut(const struct tokenizer *t, const uint8_t *text, size_t len, bool with_control,
    stretch_fn fn, void *arg, struct error *err);

enum { CACHE_SLOTS = 1 << 12, CACHE_WORD_BYTES = 24, CACHE_WORD_IDS = 8 };

struct cached_word {
	uint8_t len, n_ids; /* len 0: free */
	uint8_t bytes[CACHE_WORD_BYTES];
	uint32_t ids[CACHE_WORD_IDS];
};

/* The text being merged, as a list of neighbouring pieces. */
struct symbol {
	uint32_t start, len; /* len 0: merged into its left neighbour */
	uint32_t prev, next; /* or TOKENIZER_NONE */
	uint32_t piece;      /* or TOKENIZER_NONE */
};

/* A possible merge; the smallest key (rank, then position) happens first. */
struct candidate {
	uint64_t key; /* rank << 32 | symbol */
	uint32_t len; /* of both together: differs once one of them has been merged */
	uint32_t piece;
};

struct encoder {
	const struct tokenizer *t;
	struct error *err;
	struct ids ids;
	const uint8_t *text; /* the word being merged */
	struct symbol *symbols;
	size_t max_symbols;
	struct candidate *heap;
	size_t n_heap, max_heap;
	struct cached_word *cache; /* NULL for short texts */
	bool after_special;
};

void encoder_clear(struct encoder *e);
/* Room for this many symbols. */
int encoder_reserve(struct encoder *e, size_t n_symbols);
/* Merge symbols [0, n) until no rule applies, then append their tokens. */
int encoder_merge(struct encoder *e, size_t n);
/* The tokens of a word, from the cache or by encode(), which appends to e->ids. */
int encoder_word(struct encoder *e, const uint8_t *word, size_t len,
    int (*encode)(struct encoder *, const uint8_t *, size_t));

/* Whether l and r (neighbours) merge, into what and how early. */
bool bpe_pair(const struct encoder *e, const struct symbol *l, const struct symbol *r,
    uint32_t *rank, uint32_t *piece);
bool spm_pair(const struct encoder *e, const struct symbol *l, const struct symbol *r,
    uint32_t *rank, uint32_t *piece);

#endif
