/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/token_list.h"

#include <stdlib.h>

#include "node/gateway/text.h"

void token_list_drop(struct token_list *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_decref(l->list[i].entry);
	l->n -= n;
	if (l->n > 0)
		memmove(l->list, l->list + n, l->n * sizeof *l->list);
}

void token_list_free(struct token_list *l)
{
	token_list_drop(l, l->n);
	free(l->list);
	*l = (struct token_list){0};
}

/* ---- entries ------------------------------------------------------------------------------ */

static json_t *bytes_json(struct span bytes)
{
	json_t *list = json_array();

	for (size_t i = 0; i < bytes.len; i++)
		(void)json_array_append_new(list, json_integer(bytes.data[i]));
	return list;
}

static json_t *candidate_json(const struct token_candidate *c)
{
	struct span bytes = {c->text.data, c->text.len};
	struct text token = {0};
	json_t *o;

	text_add_utf8(&token, bytes);
	o = json_pack("{s:o,s:f,s:o}", "token", text_json(text_span(&token)), "logprob",
	    (double)c->logprob, "bytes", bytes_json(bytes));
	text_free(&token);
	return o;
}

static json_t *entry_json(const struct token_logprob *t)
{
	json_t *o = candidate_json(&t->candidates[0]), *top = json_array();

	for (size_t i = 1; i < t->n_candidates; i++)
		(void)json_array_append_new(top, candidate_json(&t->candidates[i]));
	(void)json_object_set_new(o, "top_logprobs", top);
	return o;
}

/* ---- the list ----------------------------------------------------------------------------- */

static void append(struct token_list *l, const struct token_logprob *t)
{
	struct listed_token each = {.entry = entry_json(t),
	    .from = l->bytes,
	    .character = l->characters,
	    .open = t->part == TOKEN_OF_NEXT};

	if (l->n == l->capacity) {
		size_t capacity = l->capacity > 0 ? 2 * l->capacity : 32;
		struct listed_token *list = reallocarray(l->list, capacity, sizeof *list);

		l->failed |= list == NULL;
		if (list == NULL) {
			json_decref(each.entry);
			return;
		}
		l->list = list;
		l->capacity = capacity;
	}
	l->failed |= each.entry == NULL;
	l->list[l->n++] = each;
}

static void settle(struct token_list *l, bool of_answer)
{
	for (size_t i = l->n; i > 0 && l->list[i - 1].open; i--) {
		if (of_answer) {
			l->list[i - 1].open = false;
		} else {
			json_decref(l->list[i - 1].entry);
			l->n--;
		}
	}
}

/* Text that a token brought, or the end. */
static void count(struct token_list *l, struct span text)
{
	l->bytes += text.len;
	for (size_t i = 0; i < text.len; i++)
		l->characters += (text.data[i] & 0xc0) != 0x80;
}

void token_list_add(struct token_list *l, const struct msg_piece *p)
{
	struct span rest = {p->text.data, p->text.len};

	for (size_t i = 0; i < p->n_logprobs; i++) {
		const struct token_logprob *t = &p->logprobs[i];
		size_t n = t->text_bytes < rest.len ? t->text_bytes : rest.len;

		if (t->part != TOKEN_OF_NEXT)
			settle(l, t->part == TOKEN_OF_ANSWER);
		if (t->part != TOKEN_OF_REASONING)
			append(l, t);
		count(l, (struct span){rest.data, n});
		rest = (struct span){n > 0 ? rest.data + n : rest.data, rest.len - n};
	}
	count(l, rest);
}

size_t token_list_ready(const struct token_list *l, size_t sent, bool over)
{
	size_t n = 0;

	while (n < l->n && (over || (!l->list[n].open && l->list[n].from < sent)))
		n++;
	return n;
}
