/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A donor's countersigned receipts that the pool has not been seen to have: kept until then, so
 * that neither side loses one in a crash. Rows are in the donor's own SQLite file. One thread.
 */
#ifndef AYNI_STORAGE_OUTBOX_H
#define AYNI_STORAGE_OUTBOX_H

#include "storage/db.h"

struct outbox;

int outbox_new(struct db *d, struct outbox **out, struct error *err); /* borrows d */
void outbox_free(struct outbox *o);
int outbox_put(struct outbox *o, const struct public_key *pool, uint64_t number,
    const struct signature *donor_signature, struct error *err);
int outbox_remove(
    struct outbox *o, const struct public_key *pool, uint64_t number, struct error *err);
typedef int outbox_fn(void *context, uint64_t number, const struct signature *donor_signature);
int outbox_each(struct outbox *o, const struct public_key *pool, outbox_fn *fn, void *context,
    struct error *err);

#endif
