/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's log as anybody can read it: a folder, or a URL under which such a folder is served
 * (http, https, file). Nothing of it is believed but what the checkpoint's signature covers, and
 * that only of the tree: bundles and tiles are the caller's to compare with its root.
 *
 * A reader is one thread's; open each in the first thread. Uses libcurl.
 */
#ifndef AYNI_NODE_LOG_READER_H
#define AYNI_NODE_LOG_READER_H

#include "protocol/checkpoint.h"
#include "storage/tiles.h"

struct log_reader;

/* The checkpoint that a log shows. */
struct log_head {
	struct checkpoint checkpoint;
	struct public_key pool;
	char *note; /* owned, NUL-terminated */
	size_t len;
};

int log_reader_open(const char *where, struct log_reader **out, struct error *err);
void log_reader_free(struct log_reader *r);

/* `pool` NULL: whose it is, is learnt from the origin. AYNI_ERR_NOT_FOUND if there is no log,
 * AYNI_ERR_SIGNATURE if this pool has not signed it. */
int log_reader_head(
    struct log_reader *r, const struct public_key *pool, struct log_head *out, struct error *err);
void log_head_free(struct log_head *h);

/* A tile_read_fn; the context is the reader, and log_reader_why says what was wrong. Where a
 * partial tile is gone, the whole one is taken. */
int log_reader_tile(void *reader, unsigned level, uint64_t index, unsigned width, struct hash *out);
const char *log_reader_why(const struct log_reader *r);
/* The entries of a bundle, valid until the next call. AYNI_ERR_FORMAT if it is not one. */
int log_reader_bundle(
    struct log_reader *r, uint64_t index, unsigned width, struct bundle *out, struct error *err);
/* The first bundle of a log of this size whose entries are there; past the last one: none is. Those
 * before it were pruned, if all behind it are there. */
int log_reader_first(struct log_reader *r, uint64_t size, uint64_t *bundle, struct error *err);
/* Countersignatures of a bundle; zeros where there is none. */
int log_reader_signatures(
    struct log_reader *r, uint64_t index, struct signature out[TILE_WIDTH], struct error *err);

/* A source of the hashes of a tree of this size, for proofs (merkle.h) with tile_source_hash. */
void log_reader_source(struct log_reader *r, uint64_t size, struct tile_source *out);
/* p->receipt is in the log as its head says: fill in the hashes that show it, and the checkpoint
 * (borrowed from h). AYNI_ERR_SIGNATURE if the log's own tiles do not show it. */
int log_reader_prove(
    struct log_reader *r, const struct log_head *h, struct proof *p, struct error *err);
/* Does it lead from p->receipt, at p->index, to this root? */
bool log_proof_holds(const struct proof *p, const struct checkpoint *c);

#endif
