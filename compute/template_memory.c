/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arenas: blocks of zeroed memory, each twice what is asked for or ARENA_BLOCK_BYTES, under one
 * limit.
 */
#include "compute/template_internal.h"

#include <stdalign.h>
#include <stdlib.h>

enum { ARENA_BLOCK_BYTES = 8 << 10 };

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t bytes;
	alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *a, size_t limit_bytes)
{
	a->block = NULL;
	a->left_bytes = limit_bytes;
}

void arena_free(struct arena *a)
{
	while (a->block != NULL) {
		struct arena_block *next = a->block->next;

		free(a->block);
		a->block = next;
	}
}

void *arena_alloc(struct arena *a, size_t n, size_t element_bytes)
{
	size_t bytes;
	void *at;

	if (__builtin_mul_overflow(n, element_bytes, &bytes) || bytes > TEMPLATE_MAX_MEMORY_BYTES)
		return NULL;
	bytes = bytes == 0 ? 1 : bytes; /* so that nothing is no failure */
	bytes = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (a->block == NULL || a->block->bytes - a->block->used < bytes) {
		size_t block_bytes = bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES;
		struct arena_block *block;

		if (block_bytes > a->left_bytes)
			return NULL;
		block = calloc(1, sizeof *block + block_bytes);
		if (block == NULL)
			return NULL;
		a->left_bytes -= block_bytes;
		block->bytes = block_bytes;
		/* A large block is full at once: keep filling the one before it. */
		if (block_bytes == bytes && a->block != NULL) {
			block->used = bytes;
			block->next = a->block->next;
			a->block->next = block;
			return block->data;
		}
		block->next = a->block;
		a->block = block;
	}
	at = a->block->data + a->block->used;
	a->block->used += bytes;
	return at;
}
