/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns right results into receipts: one for each window (booked.h), of one session at one donor,
 * signed, in the ledger and, in the same transaction, in the tree over it; and then handed to the
 * donor to countersign. What was looked at and right is paid. What nobody looked at is paid to who
 * is believed; of others it waits until they are, half a day at most, and is nothing if they lie.
 *
 * books_run does it: for all that is settled, and it writes down what is not, so that a pool that
 * died goes on with it; what was booked after the last books_run is lost then, and nothing is
 * counted twice. Changes of donors' standing are in the same log, as receipts of no work. One
 * thread.
 */
#ifndef AYNI_NODE_POOL_BOOKS_H
#define AYNI_NODE_POOL_BOOKS_H

#include "node/pool/action.h"
#include "protocol/identity.h"
#include "protocol/receipt.h"
#include "storage/tree.h"

struct books;

/* A receipt is in the ledger: give it to its donor, if that is there. */
typedef void books_issued_fn(
    void *context, const struct public_key *donor, const struct signed_receipt *receipt);

/* What of a donor's work that nobody looked at? */
enum books_belief { BOOKS_BELIEVED, BOOKS_NOT_YET, BOOKS_LIES };
typedef enum books_belief books_believes_fn(void *context, const struct public_key *donor);

/* All are borrowed. What an earlier run left in windows is here as work that nobody looked at. */
int books_new(const struct identity *pool, struct db *db, struct ledger *ledger, struct tree *tree,
    uint64_t window_units, books_issued_fn *issued, void *context, struct books **out,
    struct error *err);
/* Ask this one, with the context of `issued`; without, all are believed. */
void books_ask(struct books *b, books_believes_fn *believes);
void books_free(struct books *b); /* books_run before, or what is new is lost */

/* What a session is called in the log. */
void books_name(const struct books *b, uint64_t session, struct pseudonym *out);

int books_add(struct books *b, const struct action_book *a, const struct public_key *donor,
    const struct hash *model, uint64_t now_ms, struct error *err);
/*
 * A session leaves a donor. `recheck` names what will be found out of its window (books_judge);
 * NULL: nothing. With a gap, some of it cannot be, and the donor could know that: then nobody who
 * is not believed is paid for it.
 */
void books_end(struct books *b, uint64_t session, const struct public_key *donor,
    const void *recheck, bool gap);
/* It is over: all of it that did not end. */
void books_end_session(struct books *b, uint64_t session);
/* What came of the recheck: right, or nobody knows. */
void books_judge(struct books *b, const void *recheck, enum verification v);
/* Now and then, and `at_once` at the end, or when a donor waits: then without the pause in which
 * the last units of a session come in, and until all is done. */
int books_run(struct books *b, uint64_t now_ms, bool at_once, struct error *err);

/* A change of a donor's standing, as an entry of the log, in the caller's transaction; evidence may
 * be NULL. After a rollback, books_reload. */
int books_standing(struct books *b, const struct public_key *donor, enum standing_state from,
    enum standing_state to, const char *reason, const struct hash *evidence, uint64_t now_ms,
    struct error *err);
void books_reload(struct books *b);

/* The donor's signature came: checked and stored. AYNI_ERR_SIGNATURE if it does not fit. */
int books_countersign(struct books *b, const struct public_key *donor,
    const struct msg_receipt_ack *ack, struct error *err);
/* Receipts this donor has not countersigned, through `issued`. */
int books_remind(struct books *b, const struct public_key *donor, struct error *err);
uint64_t books_last_number(const struct books *b); /* of the last entry */
/* Receipts handed out and not countersigned since this pool started. */
uint64_t books_open_acks(const struct books *b);

#endif
