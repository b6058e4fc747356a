/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that are recognised whole in the text, before anything else: user-defined ones always,
 * control and unknown ones where the caller asks. Where they overlap, the longer wins, then the one
 * with the smaller id, then the one further left, which is the order in which llama.cpp cuts.
 */
#include <stdlib.h>
#include <strings.h>

#include "compute/tokenizer_internal.h"

static struct span special_text(const struct tokenizer *t, const struct special *s)
{
	return tokenizer_spelling(t, s->id);
}

struct named {
	struct span text;
	uint32_t id;
};

static int named_order(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	size_t n = x->text.len < y->text.len ? x->text.len : y->text.len;
	int order = memcmp(x->text.data, y->text.data, n);

	if (order != 0)
		return order;
	if (x->text.len != y->text.len)
		return x->text.len < y->text.len ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static bool spelt(struct span text, const char *name)
{
	return text.len == strlen(name) && memcmp(text.data, name, text.len) == 0;
}

/* Phi-3 swallows white space after most special tokens; the file does not say it, only its name. */
static bool is_phi3(const struct gguf *g)
{
	struct span name;

	if (gguf_get_string(g, "general.name", &name) < 0)
		return false;
	for (size_t i = 0; i + 4 <= name.len; i++) {
		const char *p = (const char *)name.data + i;

		if (strncasecmp(p, "phi3", 4) == 0 ||
		    (i + 5 <= name.len && strncasecmp(p, "phi-3", 5) == 0))
			return true;
	}
	return false;
}

static bool is_special(uint8_t type)
{
	return type == TOKEN_CONTROL || type == TOKEN_USER || type == TOKEN_UNKNOWN;
}

int specials_load(struct tokenizer *t, const struct gguf *g, struct error *err)
{
	bool phi3 = is_phi3(g);
	struct named *named;
	uint32_t n = 0, at = 0;

	for (uint32_t i = 0; i < t->n; i++)
		n += is_special(t->types[i]) && tokenizer_spelling(t, i).len > 0;
	named = malloc((n + 1) * sizeof *named);
	t->special = malloc((n + 1) * sizeof *t->special);
	if (named == NULL || t->special == NULL) {
		free(named);
		return error_set(err, AYNI_ERR_MEMORY, "tokenizer: no memory for special tokens");
	}
	for (uint32_t i = 0; i < t->n; i++) {
		struct span text = tokenizer_spelling(t, i);

		if (is_special(t->types[i]) && text.len > 0)
			named[t->n_special++] = (struct named){text, i};
	}
	qsort(named, n, sizeof *named, named_order);
	for (uint32_t i = 0; i < n; i++) {
		struct span text = named[i].text;

		t->special[i] = (struct special){named[i].id, t->types[named[i].id] != TOKEN_USER,
		    phi3 && !spelt(text, "<unk>") && !spelt(text, "<s>") &&
		        !spelt(text, "<|endoftext|>")};
	}
	for (unsigned b = 0; b <= 256; b++) {
		while (at < n && named[at].text.data[0] < b)
			at++;
		t->special_at[b] = at;
	}
	free(named);
	return AYNI_OK;
}

uint32_t tokenizer_find(const struct tokenizer *t, const char *spelling)
{
	for (uint32_t i = 0; i < t->n_special; i++)
		if (spelt(special_text(t, &t->special[i]), spelling))
			return t->special[i].id;
	return (uint32_t)TOKENIZER_NONE;
}

struct found {
	uint32_t start, len;
	uint32_t special;
	uint32_t id;
};

struct found_list {
	struct found *at;
	size_t n, max;
};

static int found_add(struct found_list *list, struct found f, struct error *err)
{
	if (list->n == list->max) {
		size_t max = list->max == 0 ? 64 : list->max * 2;
		struct found *more;

		if (max > SPECIAL_MAX_FOUND)
			return error_set(err, AYNI_ERR_LIMIT,
			    "tokenizer: more than %d special tokens in one text",
			    SPECIAL_MAX_FOUND);
		more = realloc(list->at, max * sizeof *more);
		if (more == NULL)
			return AYNI_ERR_MEMORY;
		list->at = more;
		list->max = max;
	}
	list->at[list->n++] = f;
	return AYNI_OK;
}

/* The first special in [low, high) whose byte `depth` is at least (or, past, more than) `byte`. */
static uint32_t narrow(
    const struct tokenizer *t, uint32_t low, uint32_t high, size_t depth, uint8_t byte, bool past)
{
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint8_t at = special_text(t, &t->special[middle]).data[depth];

		if (at < byte || (past && at == byte))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* All specials that start at text[start]: the sorted list is narrowed byte by byte. */
static int find_at(const struct tokenizer *t, const uint8_t *text, size_t len, uint32_t start,
    bool with_control, struct found_list *list, struct error *err)
{
	uint32_t low = t->special_at[text[start]], high = t->special_at[text[start] + 1];

	for (size_t depth = 1; low < high; depth++) {
		for (; low < high && special_text(t, &t->special[low]).len == depth; low++) {
			const struct special *s = &t->special[low];
			int rc = AYNI_OK;

			if (with_control || !s->control)
				rc = found_add(
				    list, (struct found){start, (uint32_t)depth, low, s->id}, err);
			if (rc < 0)
				return rc;
		}
		if (start + depth >= len)
			break;
		low = narrow(t, low, high, depth, text[start + depth], false);
		high = narrow(t, low, high, depth, text[start + depth], true);
	}
	return AYNI_OK;
}

static int by_precedence(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->len != y->len)
		return x->len > y->len ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int by_start(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static bool is_space(uint8_t byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/*
 * Keep those that overlap none before them in order of precedence. What is taken is at least as
 * long as what comes after it, so that looking at the first and last byte is enough.
 */
static int choose(
    const struct tokenizer *t, const uint8_t *text, size_t len, struct found_list *list)
{
	bool *taken = calloc(len, sizeof *taken);
	size_t n = 0;

	if (taken == NULL)
		return AYNI_ERR_MEMORY;
	qsort(list->at, list->n, sizeof *list->at, by_precedence);
	for (size_t i = 0; i < list->n; i++) {
		struct found f = list->at[i];
		size_t end = f.start + f.len;

		if (taken[f.start] || taken[end - 1])
			continue;
		if (t->special[f.special].strips_right)
			while (end < len && !taken[end] && is_space(text[end]))
				end++;
		memset(taken + f.start, true, end - f.start);
		f.len = (uint32_t)(end - f.start);
		list->at[n++] = f;
	}
	list->n = n;
	qsort(list->at, list->n, sizeof *list->at, by_start);
	free(taken);
	return AYNI_OK;
}

int specials_cut(const struct tokenizer *t, const uint8_t *text, size_t len, bool with_control,
    stretch_fn fn, void *arg, struct error *err)
{
	struct found_list list = {NULL, 0, 0};
	size_t done = 0;
	int rc = AYNI_OK;

	for (uint32_t i = 0; i < len && rc == AYNI_OK; i++)
		if (t->special_at[text[i]] < t->special_at[text[i] + 1])
			rc = find_at(t, text, len, i, with_control, &list, err);
	if (rc == AYNI_OK && list.n > 0)
		rc = choose(t, text, len, &list);
	for (size_t i = 0; i < list.n && rc == AYNI_OK; i++) {
		const struct found *f = &list.at[i];

		if (f->start > done)
			rc = fn(arg, text + done, f->start - done, (uint32_t)TOKENIZER_NONE);
		if (rc == AYNI_OK)
			rc = fn(arg, text + f->start, f->len, f->id);
		done = f->start + f->len;
	}
	if (rc == AYNI_OK && done < len)
		rc = fn(arg, text + done, len - done, (uint32_t)TOKENIZER_NONE);
	free(list.at);
	return rc;
}
