/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two texts have in common from their beginning, told by hashes: one for each full page of
 * tokens, over the page and the hash before it. So a text that ended can be recognised in a new one
 * without keeping it.
 *
 * Origin: block hashes of prefix caches (Kwon et al., "Efficient Memory Management for Large
 * Language Model Serving with PagedAttention", 2023, and vLLM's automatic prefix caching).
 *
 * Plain data; all zeros is the empty prefix. One thread.
 */
#ifndef AYNI_NODE_POOL_PREFIX_H
#define AYNI_NODE_POOL_PREFIX_H

#include "protocol/base.h"

enum { PREFIX_PAGE_TOKENS = 64 };

struct prefix {
	uint8_t kind; /* texts of different kinds have nothing in common; set while it is empty */
	uint32_t n;   /* pages */
	uint32_t capacity;
	struct hash *pages; /* owned */
};

/* Cover all full pages of tokens[0, n), which begin with those covered so far. Fewer if memory is
 * out. */
void prefix_extend(struct prefix *p, const uint32_t *tokens, uint32_t n);
/* Full pages that both begin with. */
uint32_t prefix_common(const struct prefix *a, const struct prefix *b);
void prefix_free(struct prefix *p);

#endif
