/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's log without a pool: receipts of some donors in a database, in the tree and in a folder,
 * by the very code of the daemon. What fails ends the test (cmocka).
 */
#ifndef AYNI_TESTS_SUPPORT_LOG_TRIAL_H
#define AYNI_TESTS_SUPPORT_LOG_TRIAL_H

#include "node/pool/public_log.h"
#include "protocol/receipt.h"

enum { LOG_TRIAL_DONORS = 3 };

struct log_trial {
	struct identity *pool, *donors[LOG_TRIAL_DONORS];
	bool owns_keys;
	struct db *db;
	struct ledger *ledger;
	struct tree *tree;
	struct public_log *log;
	char file[600], folder[600]; /* the database; the log */
	uint64_t salt;               /* makes this history another than one with another salt */
};

/* In a folder that is there; `keys`: of another trial, or NULL for new ones. */
void log_trial_open(struct log_trial *t, const char *folder, const struct log_trial *keys);
void log_trial_close(struct log_trial *t);
/* Its files only, or its keys only: for who lets another process have the files. */
void log_trial_pause(struct log_trial *t);
void log_trial_free_keys(struct log_trial *t);
/* The process is gone without any end, and another one opens the files. */
void log_trial_reopen(struct log_trial *t);

/* Receipt `number`, as this history has it, countersigned; of donor (number - 1) % DONORS. */
struct signed_receipt log_trial_receipt(const struct log_trial *t, uint64_t number);
/* So many more receipts, in one transaction. */
void log_trial_add(struct log_trial *t, uint64_t n);
/* All that are there get their countersignatures. */
void log_trial_countersign(struct log_trial *t, uint64_t first, uint64_t last);
void log_trial_publish(struct log_trial *t);

/* A donor's own books with its receipts up to the last one, in a file. */
void log_trial_donor_books(
    const struct log_trial *t, unsigned donor, uint64_t last, const char *file);

#endif
