/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/prefix.h"

#include <stdlib.h>

#include "protocol/identity.h"
#include "protocol/messages.h"

static bool grow(struct prefix *p, uint32_t n)
{
	struct hash *pages;

	if (n <= p->capacity)
		return true;
	pages = reallocarray(p->pages, n, sizeof *pages);
	if (pages == NULL)
		return false;
	p->pages = pages;
	p->capacity = n;
	return true;
}

void prefix_extend(struct prefix *p, const uint32_t *tokens, uint32_t n)
{
	uint8_t data[HASH_BYTES + PREFIX_PAGE_TOKENS * 4] = {0};
	uint32_t pages = n / PREFIX_PAGE_TOKENS;

	if (!grow(p, pages))
		return;
	for (; p->n < pages; p->n++) {
		data[0] = p->kind;
		if (p->n > 0)
			memcpy(data, p->pages[p->n - 1].bytes, HASH_BYTES);
		payload_put_u32(data + HASH_BYTES, tokens + (size_t)p->n * PREFIX_PAGE_TOKENS,
		    PREFIX_PAGE_TOKENS);
		hash_bytes(data, sizeof data, &p->pages[p->n]);
	}
	explicit_bzero(data, sizeof data);
}

/* Each hash is over all pages before, so the last that agrees says it of all. */
uint32_t prefix_common(const struct prefix *a, const struct prefix *b)
{
	uint32_t low = 0, high = a->n < b->n ? a->n : b->n;

	while (low < high) {
		uint32_t middle = high - (high - low) / 2;

		if (hash_equal(&a->pages[middle - 1], &b->pages[middle - 1]))
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

void prefix_free(struct prefix *p)
{
	free(p->pages);
	*p = (struct prefix){0};
}
