/* SPDX-License-Identifier: Apache-2.0 */
#include "node/chain.h"

#include <stdlib.h>

#include "protocol/identity.h"
#include "protocol/messages.h"

static const char DOMAIN[] = "ayni chain v1"; /* with its NUL */

/* ---- parts -------------------------------------------------------------------------------- */

static bool is_within(const struct work_part *rows, const struct chain_item *item)
{
	return rows->span == item->span && rows->position >= item->position &&
	       rows->position < item->position + item->n_rows;
}

/* Rows of logits lie in the parts that have their positions; both are in order. */
static void add_rows(const struct chain_unit *u, struct chain_item *items, size_t n_items)
{
	struct work_part rows[WORK_PARTS_MAX];
	size_t n = work_parts(1, u->work, true, rows), at = 0;

	for (size_t i = 0; i < n_items; i++) {
		items[i].output = (struct hash){{0}};
		if (at == n || !is_within(&rows[at], &items[i]))
			continue;
		items[i].n_logits = rows[at].n_rows;
		items[i].top = u->work->top;
		items[i].output = u->outputs[at++];
	}
	assert(at == n);
}

size_t chain_items(const struct chain_unit *u, struct chain_item out[WORK_PARTS_MAX])
{
	struct work_part parts[WORK_PARTS_MAX];
	size_t n = work_parts(1, u->work, false, parts);

	for (size_t i = 0; i < n; i++)
		out[i] = (struct chain_item){.span = parts[i].span,
		    .position = parts[i].position,
		    .n_rows = parts[i].n_rows,
		    .wire = u->work->spans[parts[i].span].wire,
		    .input = u->inputs[i],
		    .output = u->outputs[u->logits ? 0 : i],
		    .after = u->after + i,
		    .n_after = u->layers.last - u->layers.first - 1,
		    .stride = n};
	if (u->logits)
		add_rows(u, out, n);
	return n;
}

void chain_inputs(uint32_t d_model, uint32_t layer_first, const struct msg_work_unit *u,
    const uint8_t *payload, struct hash out[WORK_PARTS_MAX])
{
	struct work_part parts[WORK_PARTS_MAX];
	size_t n = work_parts(d_model, u, false, parts);

	for (size_t i = 0; i < n; i++) {
		if (layer_first == 0)
			hash_bytes(payload + (size_t)parts[i].row * 4, (size_t)parts[i].n_rows * 4,
			    &out[i]);
		else
			hash_bytes(payload + parts[i].offset, parts[i].bytes, &out[i]);
	}
}

/* ---- values ------------------------------------------------------------------------------- */

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
	payload_put_u32(at, &value, 1);
	return at + 4;
}

static uint8_t *put_hash(uint8_t *at, const struct hash *h)
{
	memcpy(at, h->bytes, HASH_BYTES);
	return at + HASH_BYTES;
}

void chain_start(
    const struct hash *model, struct layer_range layers, uint32_t kv_type, struct hash *out)
{
	uint8_t bytes[sizeof DOMAIN + HASH_BYTES + 12], *at = bytes + sizeof DOMAIN;

	memcpy(bytes, DOMAIN, sizeof DOMAIN);
	at = put_hash(at, model);
	at = put_u32(at, layers.first);
	at = put_u32(at, layers.last);
	at = put_u32(at, kv_type);
	hash_bytes(bytes, (size_t)(at - bytes), out);
}

void chain_step(struct hash *now, const struct chain_item *item)
{
	uint8_t bytes[(LIMIT_LAYERS + 3) * HASH_BYTES + 20], *at;

	assert(item->n_after < LIMIT_LAYERS);
	at = put_hash(bytes, now);
	at = put_u32(at, item->position);
	at = put_u32(at, item->n_rows);
	at = put_u32(at, item->n_logits);
	at = put_u32(at, item->top);
	at = put_u32(at, item->wire);
	at = put_hash(at, &item->input);
	for (size_t i = 0; i < item->n_after; i++)
		at = put_hash(at, &item->after[i * item->stride]);
	at = put_hash(at, &item->output);
	hash_bytes(bytes, (size_t)(at - bytes), now);
}

/* ---- chains ------------------------------------------------------------------------------- */

void chain_begin(struct chain *c, const struct hash *start)
{
	c->now = *start;
	c->n_pages = 0;
}

static bool make_room(struct chain *c, uint32_t n_pages)
{
	uint32_t room = c->room_pages > 0 ? c->room_pages : 8;
	struct hash *pages;

	if (n_pages <= c->room_pages)
		return true;
	while (room < n_pages)
		room *= 2;
	pages = reallocarray(c->pages, room, sizeof *pages);
	if (pages == NULL)
		return false;
	c->pages = pages;
	c->room_pages = room;
	return true;
}

int chain_add(struct chain *c, const struct chain_item *item)
{
	uint32_t before = item->position / KV_PAGE_TOKENS, end = item->position + item->n_rows;

	chain_step(&c->now, item);
	c->n_pages = before < c->n_pages ? before : c->n_pages;
	if (end % KV_PAGE_TOKENS != 0 || c->n_pages < before)
		return AYNI_OK;
	if (!make_room(c, c->n_pages + 1))
		return AYNI_ERR_MEMORY;
	c->pages[c->n_pages++] = c->now;
	return AYNI_OK;
}

bool chain_has_page(const struct chain *c, uint32_t position)
{
	return kv_pages(position) <= c->n_pages;
}

int chain_fork(struct chain *c, const struct chain *from, uint32_t position)
{
	uint32_t pages = kv_pages(position);
	bool has = chain_has_page(from, position);

	pages = has ? pages : from->n_pages;
	if (!make_room(c, pages))
		return AYNI_ERR_MEMORY;
	if (pages > 0)
		memcpy(c->pages, from->pages, pages * sizeof *c->pages);
	c->n_pages = pages;
	c->now = has ? from->pages[pages - 1] : from->now;
	return AYNI_OK;
}

void chain_free(struct chain *c)
{
	free(c->pages);
	*c = (struct chain){0};
}
