/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input that another donor handed over before its unit came from the pool: a little of each donor,
 * so that none pushes out another's. Plain bookkeeping; all zeros is empty. One thread.
 */
#ifndef AYNI_NODE_DONOR_EARLY_H
#define AYNI_NODE_DONOR_EARLY_H

#include "protocol/base.h"

enum {
	EARLY_MAX = 16,
	EARLY_BYTES = 16 << 20,    /* of one donor, */
	EARLY_ALL_BYTES = 32 << 20 /* and of all */
};

struct early {
	uint64_t ticket; /* 0: none */
	struct hash hash;
	uint8_t *data; /* owned */
	size_t len;
};

/* Of one donor. `all_bytes` below is the sum over all of them. */
struct early_box {
	struct early list[EARLY_MAX];
	size_t next;
};

/* The oldest goes where there is no room. What is too large is not kept: the pool notices that the
 * unit goes on waiting. */
void early_keep(struct early_box *b, size_t *all_bytes, uint64_t ticket, struct span payload,
    const struct hash *hash);
struct early *early_find(struct early_box *b, uint64_t ticket); /* or NULL */
void early_drop(struct early *e, size_t *all_bytes);
void early_empty(struct early_box *b, size_t *all_bytes);

#endif
