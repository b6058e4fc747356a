/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Merkle tree over a pool's receipts, in its database: leaf i is the receipt of number i + 1,
 * its hash is over the bytes that were signed. It grows in the transaction in which the receipt is
 * written, so it is always of exactly the receipts that are there; of a database from before there
 * was a tree it is made when opened.
 *
 * Checkpoints are roots that were signed: the tree of each must forever begin the later ones, which
 * tree_new makes sure of for the last. Statements are prepared once; one thread, like struct db.
 */
#ifndef AYNI_STORAGE_TREE_H
#define AYNI_STORAGE_TREE_H

#include "storage/ledger.h"
#include "storage/tiles.h"

struct tree;

struct tree_checkpoint {
	uint64_t size;
	struct hash root;
	uint64_t signed_ms;
};

/* Borrows both. AYNI_ERR_STATE if a receipt is missing, or what was signed last does not fit what
 * is there: the database is an older copy, or was meddled with. */
int tree_new(struct db *d, struct ledger *l, struct tree **out, struct error *err);
void tree_free(struct tree *t);

uint64_t tree_size(const struct tree *t);
void tree_root(const struct tree *t, struct hash *out);
/* The receipt that the ledger has just got; in the same transaction. AYNI_ERR_STATE if its number
 * is not the next. */
int tree_append(struct tree *t, uint64_t number, struct span receipt, struct error *err);
/* The transaction was rolled back: be again what the database says. */
int tree_reload(struct tree *t, struct error *err);

/* A merkle_read_fn and a tile_read_fn; the context is the tree. */
int tree_hash(void *tree, unsigned level, uint64_t index, struct hash *out);
int tree_tile(void *tree, unsigned level, uint64_t index, unsigned width, struct hash *out);

/* AYNI_ERR_NOT_FOUND: none was signed yet. */
int tree_checkpoint_last(struct tree *t, struct tree_checkpoint *out, struct error *err);
/* Sign nothing before this is done. AYNI_ERR_STATE for what does not follow the last. */
int tree_checkpoint_add(struct tree *t, const struct tree_checkpoint *c, struct error *err);
/* The size of the newest checkpoint that is older than the last one by age_ms; 0: none is. */
int tree_checkpoint_settled(struct tree *t, uint64_t age_ms, uint64_t *size, struct error *err);
typedef int tree_checkpoint_fn(void *context, const struct tree_checkpoint *c);
int tree_checkpoint_each(struct tree *t, tree_checkpoint_fn *fn, void *context, struct error *err);

/* Bundles (tiles.h) whose countersignatures changed; at most `max` of them, and how many. */
int tree_unpublished(struct tree *t, uint64_t *bundles, size_t max, size_t *n, struct error *err);
int tree_published(struct tree *t, uint64_t bundle, struct error *err);

#endif
