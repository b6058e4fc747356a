/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns right results into receipts: one for each donor and window of units, signed, in the ledger
 * and, in the same transaction, in the tree over it; and then handed to the donor to countersign.
 *
 * A window closes when it has as many units as the configuration says, when the donor's layers
 * change, or when books_close is called (a pause, a leaving donor, the end). Open windows are
 * written down by books_save, and become receipts when a pool that died is started again: what was
 * booked after the last books_save is lost then, and nothing is counted twice. One thread.
 */
#ifndef AYNI_NODE_POOL_BOOKS_H
#define AYNI_NODE_POOL_BOOKS_H

#include "node/pool/action.h"
#include "protocol/identity.h"
#include "storage/tree.h"

struct books;

/* A receipt is in the ledger: give it to its donor. */
typedef void books_issued_fn(void *context, int donor, const struct signed_receipt *receipt);

/* Is a donor's open window to become a receipt as soon as it is full, or nothing happens any more?
 */
typedef bool books_may_close_fn(void *context, int donor);

/* All are borrowed. What an earlier run left in open windows becomes receipts. */
int books_new(const struct identity *pool, struct db *db, struct ledger *ledger, struct tree *tree,
    uint64_t window_units, books_issued_fn *issued, void *context, struct books **out,
    struct error *err);
/* Ask this one, with the context of `issued`; without, all windows are closed. */
void books_ask(struct books *b, books_may_close_fn *may_close);
void books_free(struct books *b); /* close windows before, or the next run does */

int books_add(struct books *b, const struct action_book *a, const struct public_key *donor,
    const struct hash *model, uint64_t now_ms, struct error *err);
/* Close a donor's window, if it has one with units. */
int books_close(struct books *b, int donor, struct error *err);
/*
 * Instead: nobody knows yet whether it was right. Its window waits apart until it is settled, by a
 * receipt for who was right, which its slot is given if it has one, or by being forgotten.
 */
void books_set_aside(struct books *b, int donor, struct error *err);
int books_settle(
    struct books *b, const struct public_key *key, int donor, bool right, struct error *err);
/* Whose windows wait, by number from 0; false: no more. */
bool books_aside(const struct books *b, size_t i, struct public_key *key);
/* What the donor has in its open window counts for nothing. */
int books_void(struct books *b, int donor, struct error *err);
/* Write down what was added since the last time, in one transaction. */
int books_save(struct books *b, struct error *err);
/* Close windows in which nothing happened since before_ms, in one transaction. */
int books_close_idle(struct books *b, uint64_t before_ms, struct error *err);

/* The donor's signature came: checked and stored. AYNI_ERR_SIGNATURE if it does not fit. */
int books_countersign(struct books *b, const struct public_key *donor,
    const struct msg_receipt_ack *ack, struct error *err);
/* Receipts this donor has not countersigned, through `issued`, as slot `donor`. */
int books_remind(struct books *b, int donor, const struct public_key *key, struct error *err);
uint64_t books_last_number(const struct books *b);
/* Receipts handed out and not countersigned since this pool started. */
uint64_t books_open_acks(const struct books *b);

#endif
