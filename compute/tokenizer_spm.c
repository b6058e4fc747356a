/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SentencePiece vocabularies of the BPE kind with scores (Kudo and Richardson 2018), as Llama 2
 * uses them: spaces become U+2581, characters merge by best score, and what is no token is spelt in
 * byte tokens <0x00> to <0xFF>.
 */
#include <math.h>
#include <stdlib.h>

#include "compute/tokenizer_internal.h"

static const uint8_t mark[3] = {0xe2, 0x96, 0x81}; /* U+2581 stands for a space */

static bool mark_at(const uint8_t *text, size_t len, size_t i)
{
	return len - i >= sizeof mark && memcmp(text + i, mark, sizeof mark) == 0;
}

/* Whether a word starts at text[i], i > 0: a mark after something that is none. */
static bool word_starts(const uint8_t *text, size_t len, size_t i)
{
	return mark_at(text, len, i) && !(i >= sizeof mark && mark_at(text, len, i - sizeof mark));
}

bool spm_pair(const struct encoder *e, const struct symbol *l, const struct symbol *r,
    uint32_t *rank, uint32_t *piece)
{
	uint32_t len = l->len + r->len;

	if (len > e->t->max_bytes)
		return false;
	*piece = pieces_find(&e->t->pieces, e->text + l->start, len);
	if (*piece == (uint32_t)TOKENIZER_NONE)
		return false;
	*rank = e->t->score_rank[e->t->pieces.at[*piece].token];
	return true;
}

struct scored {
	double score;
	uint32_t id;
};

static int scored_order(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int scores_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	struct scored *all = malloc((size_t)t->n * sizeof *all);
	uint32_t rank = 0;
	enum gguf_type type;
	size_t n = 0;
	int rc = AYNI_OK;

	t->score_rank = malloc((size_t)t->n * sizeof *t->score_rank);
	if (all == NULL || t->score_rank == NULL) {
		rc = AYNI_ERR_MEMORY;
		goto out;
	}
	rc = gguf_get_array(g, "tokenizer.ggml.scores", &type, &n);
	if (rc < 0 || n != t->n) {
		rc = error_set(err, AYNI_ERR_FORMAT, "tokenizer: %u tokens, but %zu scores", t->n,
		    rc < 0 ? (size_t)0 : n);
		goto out;
	}
	for (uint32_t i = 0; i < t->n; i++) {
		all[i].id = i;
		rc = gguf_array_f64(g, "tokenizer.ggml.scores", i, &all[i].score);
		if (rc < 0 || isnan(all[i].score)) {
			rc = error_set(err, AYNI_ERR_FORMAT,
			    "tokenizer: the score of token %u is no number", i);
			goto out;
		}
	}
	qsort(all, t->n, sizeof *all, scored_order);
	for (uint32_t i = 0; i < t->n; i++) {
		if (i > 0 && all[i].score != all[i - 1].score)
			rank = i;
		t->score_rank[all[i].id] = rank;
	}
out:
	free(all);
	return rc;
}

static void byte_tokens_find(struct tokenizer *t)
{
	static const char digits[] = "0123456789ABCDEF";

	for (unsigned b = 0; b < 256; b++) {
		const uint8_t name[6] = {
		    '<', '0', 'x', (uint8_t)digits[b >> 4], (uint8_t)digits[b & 15], '>'};
		uint8_t byte = (uint8_t)b;
		uint32_t piece = pieces_find(&t->pieces, name, sizeof name);

		if (piece == (uint32_t)TOKENIZER_NONE)
			piece = pieces_find(&t->pieces, &byte, 1);
		t->byte_token[b] = piece == (uint32_t)TOKENIZER_NONE ? (uint32_t)TOKENIZER_NONE
		                                                     : t->pieces.at[piece].token;
	}
}

int spm_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	int rc = scores_load(t, g, err);

	if (rc < 0)
		return rc;
	t->adds_bos = true;
	t->space_prefix = true;
	rc = gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix);
	if (rc < 0 && rc != AYNI_ERR_NOT_FOUND)
		return error_set(err, AYNI_ERR_FORMAT,
		    "tokenizer: tokenizer.ggml.add_space_prefix is not a boolean");
	if (pieces_init(&t->pieces, t->n, t->spelling_at[t->n]) < 0)
		return AYNI_ERR_MEMORY;
	t->words_apart = true;
	for (uint32_t i = 0; i < t->n; i++) {
		struct span text = tokenizer_spelling(t, i);

		if (text.len == 0)
			continue;
		t->pieces.at[pieces_intern(&t->pieces, text.data, text.len)].token = i;
		for (size_t k = 1; k < text.len && t->words_apart; k++)
			t->words_apart = !word_starts(text.data, text.len, k);
	}
	byte_tokens_find(t);
	return AYNI_OK;
}

static int spm_word(struct encoder *e, const uint8_t *word, size_t len)
{
	uint32_t n = 0;

	if (encoder_reserve(e, len) < 0)
		return AYNI_ERR_MEMORY;
	for (uint32_t i = 0; i < len;) {
		int step = utf8_step(word + i, len - i);
		uint32_t size = step > 0 ? (uint32_t)step : 1;

		e->symbols[n] = (struct symbol){
		    i, size, n - 1, n + 1, pieces_find(&e->t->pieces, word + i, size)};
		n++;
		i += size;
	}
	e->symbols[0].prev = (uint32_t)TOKENIZER_NONE;
	e->symbols[n - 1].next = (uint32_t)TOKENIZER_NONE;
	e->text = word;
	return encoder_merge(e, n);
}

int spm_encode(struct encoder *e, const uint8_t *text, size_t len, bool after_special)
{
	uint8_t *marked = malloc(sizeof mark * (len + 1));
	size_t n = 0, start = 0;
	int rc = AYNI_OK;

	if (marked == NULL)
		return AYNI_ERR_MEMORY;
	if (e->t->space_prefix && after_special) {
		memcpy(marked, mark, sizeof mark);
		n = sizeof mark;
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] == ' ') {
			memcpy(marked + n, mark, sizeof mark);
			n += sizeof mark;
		} else {
			marked[n++] = text[i];
		}
	}
	/* No merge crosses the start of a word, so that words can be done one by one. */
	for (size_t i = 1; i <= n && rc == AYNI_OK; i++) {
		if (i < n && !(e->t->words_apart && word_starts(marked, n, i)))
			continue;
		rc = encoder_word(e, marked + start, i - start, spm_word);
		start = i;
	}
	free(marked);
	return rc;
}
