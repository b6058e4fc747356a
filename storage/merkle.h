/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merkle trees as transparency logs have them: who holds one root can be shown that an entry is in
 * the list, and that an older list is the beginning of a newer one, with a few hashes each.
 *
 * Source: RFC 9162, section 2.1 (the same tree as RFC 6962), with SHA-256. Indices begin at 0.
 * Hashes here are SHA-256, where the rest of ayni has BLAKE2b, because the formats around the tree
 * (C2SP tlog-tiles, tlog-checkpoint) say so. Pure functions, any thread.
 */
#ifndef AYNI_STORAGE_MERKLE_H
#define AYNI_STORAGE_MERKLE_H

#include "protocol/base.h"

enum {
	MERKLE_LEVELS = 64,    /* level 0 has the leaves */
	MERKLE_PROOF_MAX = 66, /* hashes of a proof */
};

/* Of larger trees nothing is said: 2^62 leaves, so that no sum of sizes overflows. */
#define MERKLE_SIZE_MAX (UINT64_C(1) << 62)

void merkle_leaf(const uint8_t *data, size_t len, struct hash *out);
void merkle_node(const struct hash *left, const struct hash *right, struct hash *out);

/* ---- growing ------------------------------------------------------------------------------ */

/* A tree of which only the roots of its full subtrees are kept: bit i of size, peak[i] is one of
 * 2^i leaves. All zeros: the empty tree. */
struct merkle {
	uint64_t size;
	struct hash peak[MERKLE_LEVELS];
};

/* A subtree of 2^level leaves, the index-th of its level, is full. Not zero: stop, and return it.
 */
typedef int merkle_full_fn(void *context, unsigned level, uint64_t index, const struct hash *root);

/* The hash of one more leaf. `full` is told of each subtree above the leaf that it fills, smallest
 * first; NULL: nobody is. After an error of `full` the tree is as before. AYNI_ERR_LIMIT. */
int merkle_append(struct merkle *m, const struct hash *leaf, merkle_full_fn *full, void *context);
/* Of a tree that is empty so far: the root of its first subtree, which has 2^level leaves, and so
 * on: subtrees in order, none larger than the one before. AYNI_ERR_ARGUMENT if it does not fit. */
int merkle_append_subtree(struct merkle *m, unsigned level, const struct hash *root);
void merkle_root(const struct merkle *m, struct hash *out);

/* ---- proofs ------------------------------------------------------------------------------- */

/* Gives the root of the index-th full subtree of 2^level leaves, or an error, which is handed on.
 */
typedef int merkle_read_fn(void *context, unsigned level, uint64_t index, struct hash *out);

struct merkle_proof {
	size_t n;
	struct hash hashes[MERKLE_PROOF_MAX];
};

/* The root of the first `size` leaves. */
int merkle_root_at(uint64_t size, merkle_read_fn *read, void *context, struct hash *out);
/* That leaf `index` is in the tree of `size` leaves: section 2.1.3.1. AYNI_ERR_ARGUMENT past it. */
int merkle_prove_inclusion(
    uint64_t index, uint64_t size, merkle_read_fn *read, void *context, struct merkle_proof *out);
/* That the tree of `older` leaves begins the tree of `newer`: section 2.1.4.1. For older 0, or the
 * same size, the proof is empty. */
int merkle_prove_consistency(
    uint64_t older, uint64_t newer, merkle_read_fn *read, void *context, struct merkle_proof *out);

bool merkle_check_inclusion(uint64_t index, uint64_t size, const struct hash *leaf,
    const struct merkle_proof *proof, const struct hash *root); /* section 2.1.3.2 */
/* Section 2.1.4.2. Every tree begins with the empty one, whose root is SHA-256 of nothing. */
bool merkle_check_consistency(uint64_t older, uint64_t newer, const struct hash *older_root,
    const struct hash *newer_root, const struct merkle_proof *proof);

#endif
