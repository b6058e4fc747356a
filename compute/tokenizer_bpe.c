/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte-level byte-pair encoding (Sennrich et al. 2016; GPT-2's alphabet of bytes). Works on the raw
 * bytes: GPT-2's spelling is undone once, when the vocabulary is read, so text is never respelt.
 */
#include <stdlib.h>

#include "compute/tokenizer_internal.h"

static uint32_t pair_hash(uint32_t left, uint32_t right)
{
	uint32_t h = left * 0x9e3779b1u ^ right * 0x85ebca6bu;

	h ^= h >> 16;
	h *= 0x7feb352du;
	return h ^ h >> 15;
}

static struct merge_rule *rule_slot(const struct tokenizer *t, uint32_t left, uint32_t right)
{
	uint32_t slot = pair_hash(left, right) & t->rules_mask;

	while (t->rules[slot].left != (uint32_t)TOKENIZER_NONE &&
	       (t->rules[slot].left != left || t->rules[slot].right != right))
		slot = (slot + 1) & t->rules_mask;
	return &t->rules[slot];
}

bool bpe_pair(const struct encoder *e, const struct symbol *l, const struct symbol *r,
    uint32_t *rank, uint32_t *piece)
{
	const struct merge_rule *rule = rule_slot(e->t, l->piece, r->piece);

	if (rule->left == (uint32_t)TOKENIZER_NONE)
		return false;
	*rank = rule->rank;
	*piece = rule->result;
	return true;
}

/* "left right", in GPT-2's spelling; a space cannot be part of either. */
static int rule_add(
    struct tokenizer *t, struct span text, uint32_t rank, uint8_t *raw, struct error *err)
{
	const uint8_t *space = text.len < 2 ? NULL : memchr(text.data + 1, ' ', text.len - 1);
	size_t left_len, right_len, left_bytes, right_bytes;
	struct merge_rule *rule;
	uint32_t left, right;

	if (space == NULL || space + 1 == text.data + text.len)
		return error_set(
		    err, AYNI_ERR_FORMAT, "tokenizer: merge %u is not a pair of pieces", rank);
	if (text.len > 2 * TOKENIZER_MAX_TOKEN_BYTES)
		return error_set(err, AYNI_ERR_LIMIT,
		    "tokenizer: merge %u is %zu bytes long; at most %d", rank, text.len,
		    2 * TOKENIZER_MAX_TOKEN_BYTES);
	left_len = (size_t)(space - text.data);
	right_len = text.len - left_len - 1;
	/* Pieces outside the alphabet of bytes never occur in a text. */
	if (!alphabet_decode(text.data, left_len, raw, &left_bytes) ||
	    !alphabet_decode(space + 1, right_len, raw + left_bytes, &right_bytes))
		return AYNI_OK;
	left = pieces_intern(&t->pieces, raw, left_bytes);
	right = pieces_intern(&t->pieces, raw + left_bytes, right_bytes);
	rule = rule_slot(t, left, right);
	if (rule->left == (uint32_t)TOKENIZER_NONE) /* of two equal rules the first counts */
		*rule = (struct merge_rule){
		    left, right, rank, pieces_intern(&t->pieces, raw, left_bytes + right_bytes)};
	return AYNI_OK;
}

static int rules_load(struct tokenizer *t, const struct gguf *g, size_t n, struct error *err)
{
	uint8_t raw[2 * TOKENIZER_MAX_TOKEN_BYTES];
	uint32_t slots = 16;

	while (slots / 2 < n)
		slots *= 2;
	t->rules = malloc(slots * sizeof *t->rules);
	if (t->rules == NULL)
		return AYNI_ERR_MEMORY;
	memset(t->rules, 0xff, slots * sizeof *t->rules);
	t->rules_mask = slots - 1;
	for (size_t i = 0; i < n; i++) {
		struct span text;
		int rc = gguf_array_string(g, "tokenizer.ggml.merges", i, &text);

		if (rc == AYNI_OK)
			rc = rule_add(t, text, (uint32_t)i, raw, err);
		if (rc < 0)
			return rc;
	}
	return AYNI_OK;
}

/* Room for the pieces of all rules: left, right and result of each. */
static int rules_measure(const struct gguf *g, size_t *n, size_t *bytes, struct error *err)
{
	enum gguf_type type;
	int rc = gguf_get_array(g, "tokenizer.ggml.merges", &type, n);

	*bytes = 0;
	if (rc < 0 || type != GGUF_STRING)
		return error_set(err, AYNI_ERR_FORMAT,
		    "tokenizer: tokenizer.ggml.merges is not an array of strings");
	if (*n > 2 * (size_t)LIMIT_VOCABULARY)
		return error_set(err, AYNI_ERR_LIMIT, "tokenizer: %zu merges; at most %d", *n,
		    2 * LIMIT_VOCABULARY);
	for (size_t i = 0; i < *n; i++) {
		struct span text;

		if (gguf_array_string(g, "tokenizer.ggml.merges", i, &text) < 0)
			return error_set(
			    err, AYNI_ERR_FORMAT, "tokenizer: merge %zu is unreadable", i);
		*bytes += 2 * text.len;
		if (*bytes > VOCABULARY_MAX_BYTES)
			return error_set(err, AYNI_ERR_LIMIT,
			    "tokenizer: the merges exceed %d bytes", VOCABULARY_MAX_BYTES);
	}
	return AYNI_OK;
}

static int pre_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	struct span name = {(const uint8_t *)"default", 7};
	int rc = gguf_get_string(g, "tokenizer.ggml.pre", &name);

	if (rc < 0 && rc != AYNI_ERR_NOT_FOUND)
		return error_set(
		    err, AYNI_ERR_FORMAT, "tokenizer: tokenizer.ggml.pre is not a string");
	rc = pretokenizer_new(name, &t->pre, err);
	if (rc < 0)
		return rc;
	t->ignore_merges = pretokenizer_ignores_merges(t->pre);
	t->adds_bos = pretokenizer_adds_bos(t->pre);
	return AYNI_OK;
}

int bpe_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	uint8_t raw[TOKENIZER_MAX_TOKEN_BYTES];
	size_t n_rules, rule_bytes, len;
	int rc = pre_load(t, g, err);

	if (rc < 0)
		return rc;
	rc = rules_measure(g, &n_rules, &rule_bytes, err);
	if (rc < 0)
		return rc;
	if (pieces_init(&t->pieces, t->n + 256 + 3 * (uint32_t)n_rules,
	        t->spelling_at[t->n] + 256 + rule_bytes) < 0)
		return AYNI_ERR_MEMORY;
	for (uint32_t i = 0; i < t->n; i++) {
		struct span text = tokenizer_spelling(t, i);

		/* Of equal spellings the last counts. */
		if (text.len > 0 && alphabet_decode(text.data, text.len, raw, &len))
			t->pieces.at[pieces_intern(&t->pieces, raw, len)].token = i;
	}
	for (unsigned b = 0; b < 256; b++) {
		uint8_t byte = (uint8_t)b;

		t->byte_piece[b] = pieces_intern(&t->pieces, &byte, 1);
		t->byte_token[b] = t->pieces.at[t->byte_piece[b]].token;
	}
	return rules_load(t, g, n_rules, err);
}

static int bpe_word(struct encoder *e, const uint8_t *word, size_t len)
{
	if (e->t->ignore_merges) {
		uint32_t piece = pieces_find(&e->t->pieces, word, len);

		if (piece != (uint32_t)TOKENIZER_NONE &&
		    e->t->pieces.at[piece].token != (uint32_t)TOKENIZER_NONE)
			return ids_append(&e->ids, e->t->pieces.at[piece].token);
	}
	if (encoder_reserve(e, len) < 0)
		return AYNI_ERR_MEMORY;
	for (uint32_t i = 0; i < len; i++)
		e->symbols[i] = (struct symbol){i, 1, i - 1, i + 1, e->t->byte_piece[word[i]]};
	e->symbols[0].prev = (uint32_t)TOKENIZER_NONE;
	e->symbols[len - 1].next = (uint32_t)TOKENIZER_NONE;
	e->text = word;
	return encoder_merge(e, len);
}

static int on_word(void *arg, const uint8_t *word, size_t len)
{
	return encoder_word(arg, word, len, bpe_word);
}

/* Length of the valid (or of the invalid) UTF-8 that the text begins with. */
static size_t run_length(const uint8_t *text, size_t len, bool valid)
{
	size_t i = 0;

	while (i < len) {
		int step = utf8_step(text + i, len - i);

		if ((step > 0) != valid)
			break;
		i += step > 0 ? (size_t)step : 1;
	}
	return i;
}

int bpe_encode(struct encoder *e, const uint8_t *text, size_t len)
{
	while (len > 0) {
		size_t n = run_length(text, len, true);
		int rc = AYNI_OK;

		if (n > 0)
			rc = pretokenizer_split(e->t->pre, text, n, on_word, e, e->err);
		else
			rc = on_word(e, text, n = run_length(text, len, false));
		if (rc < 0)
			return rc;
		text += n;
		len -= n;
	}
	return AYNI_OK;
}
