/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Greedy merging, the same for both models: of all neighbours that may merge, the pair of the
 * smallest rank does, the leftmost of equals. A heap holds the candidates; one whose symbols have
 * changed since is recognised by its length and dropped. O(n log n).
 */
#include <stdlib.h>

#include "compute/tokenizer_internal.h"

int ids_append(struct ids *ids, uint32_t id)
{
	if (ids->n == ids->max) {
		size_t max = ids->max == 0 ? 64 : ids->max * 2;
		uint32_t *more = realloc(ids->at, max * sizeof *more);

		if (more == NULL)
			return AYNI_ERR_MEMORY;
		ids->at = more;
		ids->max = max;
	}
	ids->at[ids->n++] = id;
	return AYNI_OK;
}

void encoder_clear(struct encoder *e)
{
	free(e->symbols);
	free(e->heap);
	free(e->cache);
	free(e->ids.at);
}

int encoder_reserve(struct encoder *e, size_t n_symbols)
{
	struct symbol *more;

	if (n_symbols <= e->max_symbols)
		return AYNI_OK;
	n_symbols += n_symbols / 2 + 64;
	more = realloc(e->symbols, n_symbols * sizeof *more);
	if (more == NULL)
		return AYNI_ERR_MEMORY;
	e->symbols = more;
	e->max_symbols = n_symbols;
	return AYNI_OK;
}

static int heap_push(struct encoder *e, struct candidate c)
{
	size_t i = e->n_heap;

	if (e->n_heap == e->max_heap) {
		size_t max = e->max_heap == 0 ? 256 : e->max_heap * 2;
		struct candidate *more = realloc(e->heap, max * sizeof *more);

		if (more == NULL)
			return AYNI_ERR_MEMORY;
		e->heap = more;
		e->max_heap = max;
	}
	e->n_heap++;
	while (i > 0 && e->heap[(i - 1) / 2].key > c.key) {
		e->heap[i] = e->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	e->heap[i] = c;
	return AYNI_OK;
}

static struct candidate heap_pop(struct encoder *e)
{
	struct candidate top = e->heap[0];
	struct candidate last = e->heap[--e->n_heap];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= e->n_heap)
			break;
		if (child + 1 < e->n_heap && e->heap[child + 1].key < e->heap[child].key)
			child++;
		if (e->heap[child].key >= last.key)
			break;
		e->heap[i] = e->heap[child];
		i = child;
	}
	e->heap[i] = last;
	return top;
}

static int offer_pair(struct encoder *e, uint32_t left)
{
	const struct symbol *l = &e->symbols[left];
	const struct symbol *r;
	uint32_t rank, piece;
	bool merges;

	if (l->next == (uint32_t)TOKENIZER_NONE)
		return AYNI_OK;
	r = &e->symbols[l->next];
	merges = e->t->model == MODEL_BPE ? bpe_pair(e, l, r, &rank, &piece)
	                                  : spm_pair(e, l, r, &rank, &piece);
	if (!merges)
		return AYNI_OK;
	return heap_push(
	    e, (struct candidate){(uint64_t)rank << 32 | left, l->len + r->len, piece});
}

/* The bytes of a symbol that is no token. */
static int append_bytes(struct encoder *e, const struct symbol *s)
{
	const struct tokenizer *t = e->t;

	for (uint32_t i = 0; i < s->len; i++) {
		uint8_t byte = e->text[s->start + i];
		uint32_t id = t->byte_token[byte];

		if (id == (uint32_t)TOKENIZER_NONE)
			id = t->unknown;
		if (id == (uint32_t)TOKENIZER_NONE)
			return error_set(e->err, AYNI_ERR_UNSUPPORTED,
			    "tokenizer: the vocabulary has no token for byte 0x%02x", byte);
		if (ids_append(&e->ids, id) < 0)
			return AYNI_ERR_MEMORY;
	}
	return AYNI_OK;
}

static int append_symbols(struct encoder *e)
{
	for (uint32_t i = 0; i != (uint32_t)TOKENIZER_NONE; i = e->symbols[i].next) {
		const struct symbol *s = &e->symbols[i];
		uint32_t id = (uint32_t)TOKENIZER_NONE;
		int rc;

		if (s->piece != (uint32_t)TOKENIZER_NONE)
			id = e->t->pieces.at[s->piece].token;
		rc = id == (uint32_t)TOKENIZER_NONE ? append_bytes(e, s) : ids_append(&e->ids, id);
		if (rc < 0)
			return rc;
	}
	return AYNI_OK;
}

int encoder_merge(struct encoder *e, size_t n)
{
	if (n == 0)
		return AYNI_OK;
	e->n_heap = 0;
	for (uint32_t i = 0; i < n; i++)
		if (offer_pair(e, i) < 0)
			return AYNI_ERR_MEMORY;
	while (e->n_heap > 0) {
		struct candidate c = heap_pop(e);
		uint32_t left = (uint32_t)c.key;
		struct symbol *l = &e->symbols[left];
		struct symbol *r;

		if (l->len == 0 || l->next == (uint32_t)TOKENIZER_NONE)
			continue;
		r = &e->symbols[l->next];
		if (l->len + r->len != c.len)
			continue;
		l->len = c.len;
		l->piece = c.piece;
		l->next = r->next;
		r->len = 0;
		if (l->next != (uint32_t)TOKENIZER_NONE)
			e->symbols[l->next].prev = left;
		if (l->prev != (uint32_t)TOKENIZER_NONE && offer_pair(e, l->prev) < 0)
			return AYNI_ERR_MEMORY;
		if (offer_pair(e, left) < 0)
			return AYNI_ERR_MEMORY;
	}
	return append_symbols(e);
}

int encoder_word(struct encoder *e, const uint8_t *word, size_t len,
    int (*encode)(struct encoder *, const uint8_t *, size_t))
{
	size_t before = e->ids.n;
	struct cached_word *slot;
	size_t n;
	int rc;

	if (e->cache == NULL || len == 0 || len > CACHE_WORD_BYTES)
		return encode(e, word, len);
	slot = &e->cache[bytes_hash(word, len) & (CACHE_SLOTS - 1)];
	if (slot->len == len && memcmp(slot->bytes, word, len) == 0) {
		for (uint8_t i = 0; i < slot->n_ids; i++)
			if (ids_append(&e->ids, slot->ids[i]) < 0)
				return AYNI_ERR_MEMORY;
		return AYNI_OK;
	}
	rc = encode(e, word, len);
	if (rc < 0)
		return rc;
	n = e->ids.n - before;
	if (n > CACHE_WORD_IDS)
		return AYNI_OK;
	slot->len = (uint8_t)len;
	slot->n_ids = (uint8_t)n;
	memcpy(slot->bytes, word, len);
	memcpy(slot->ids, e->ids.at + before, n * sizeof *slot->ids);
	return AYNI_OK;
}
