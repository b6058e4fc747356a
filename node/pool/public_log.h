/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's log as others see it: signed checkpoints of the tree over its receipts, and the files
 * (storage/tiles.h) from which anybody can audit the whole of it. Any web server can give out the
 * folder; nothing in it is secret.
 *
 * What is signed is written down in the database before anybody can see it, and what a checkpoint
 * speaks of is in the folder before the checkpoint is. The files are not synced, so that the pool's
 * loop never waits for a disk here: a pool that starts writes again what is younger than ten
 * minutes at the last checkpoint, and everything if the folder has no checkpoint. One thread.
 */
#ifndef AYNI_NODE_POOL_PUBLIC_LOG_H
#define AYNI_NODE_POOL_PUBLIC_LOG_H

#include "protocol/identity.h"
#include "storage/tree.h"

enum {
	/* How often a pool looks whether there is something to sign. */
	PUBLIC_LOG_EVERY_MS = 5000,
	/* What receipts promise: at the latest so long after their last unit they are in the log.
	 */
	PUBLIC_LOG_MERGE_DELAY_S = 86400
};

struct public_log;

/* All are borrowed. AYNI_ERR_STATE if the folder has a checkpoint that this pool signed and that
 * the database does not bear out: it is an older copy, and signing would make a second history. */
int public_log_new(const struct identity *pool, struct db *db, struct tree *tree,
    struct ledger *ledger, const char *folder, struct public_log **out, struct error *err);
void public_log_free(struct public_log *l);

/* Sign and write what is new since the last time, if anything is; a log without receipts too. */
int public_log_publish(struct public_log *l, uint64_t now_ms, struct error *err);

#endif
