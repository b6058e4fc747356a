/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the receipts of protocol/ and the ledger of storage/ meet: one signed document in the forms
 * that these two rooms have for it. Pure functions, any thread.
 */
#ifndef AYNI_NODE_RECEIPTS_H
#define AYNI_NODE_RECEIPTS_H

#include "protocol/receipt.h"
#include "storage/ledger.h"

/*
 * Sign n receipts with the key of their pool: receipt_issue for each, and AYNI_OK if it was that
 * for all. A signature takes some 30 us, more than it takes to store one, so many of them are
 * shared among as many threads as there are processors, which have ended when this returns.
 */
int receipts_issue(const struct receipt *receipts, size_t n, const struct identity *pool,
    struct signed_receipt *out, struct error *err);

/* r: what s says, checked. The entry borrows the bytes of s. */
struct ledger_entry receipts_entry(const struct receipt *r, const struct signed_receipt *s);
/* AYNI_ERR_FORMAT if what is stored cannot be a receipt. */
int receipts_signed(const struct ledger_entry *e, struct signed_receipt *out);
/* The receipts of a session after this number, at most `limit`, then the changes of standing of
 * each of their donors, likewise. A callback's non-zero return ends the walk and is returned. */
int receipts_of_session(struct ledger *l, const struct pseudonym *session, uint64_t after,
    uint32_t limit, ledger_entry_fn *fn, void *context, struct error *err);

#endif
