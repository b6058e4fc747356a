/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/early.h"

#include <stdlib.h>

void early_drop(struct early *e, size_t *all_bytes)
{
	*all_bytes -= e->len;
	free(e->data);
	*e = (struct early){0};
}

void early_empty(struct early_box *b, size_t *all_bytes)
{
	for (size_t i = 0; i < EARLY_MAX; i++)
		early_drop(&b->list[i], all_bytes);
}

/* Room for so much more of this donor, in place of the oldest. */
static struct early *make_room(struct early_box *b, size_t *all_bytes, size_t len)
{
	struct early *e = &b->list[b->next];
	size_t held = len;

	early_drop(e, all_bytes);
	for (size_t i = 1; i < EARLY_MAX; i++) {
		struct early *newer = &b->list[(b->next + EARLY_MAX - i) % EARLY_MAX];

		held += newer->len;
		if (held > EARLY_BYTES)
			early_drop(newer, all_bytes);
	}
	return e;
}

void early_keep(struct early_box *b, size_t *all_bytes, uint64_t ticket, struct span payload,
    const struct hash *hash)
{
	struct early *e;

	if (payload.len == 0 || payload.len > EARLY_BYTES)
		return;
	e = make_room(b, all_bytes, payload.len);
	e->data = payload.len <= EARLY_ALL_BYTES - *all_bytes ? malloc(payload.len) : NULL;
	if (e->data == NULL)
		return;
	memcpy(e->data, payload.data, payload.len);
	e->len = payload.len;
	e->ticket = ticket;
	e->hash = *hash;
	*all_bytes += e->len;
	b->next = (b->next + 1) % EARLY_MAX;
}

struct early *early_find(struct early_box *b, uint64_t ticket)
{
	for (size_t i = 0; i < EARLY_MAX; i++) {
		if (b->list[i].ticket == ticket && ticket != 0)
			return &b->list[i];
	}
	return NULL;
}
