/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contribution ledger: receipts in order of number, append-only. What they come to: sums.h.
 *
 * This room stores receipts as the bytes that were signed, with the columns that queries need
 * beside them; checking signatures is protocol/receipt.h's duty and happens before. Also used by a
 * donor for its own receipts. Statements are prepared once; one thread, like struct db.
 */
#ifndef AYNI_STORAGE_LEDGER_H
#define AYNI_STORAGE_LEDGER_H

#include "storage/db.h"

struct ledger;

enum { LEDGER_RECEIPT_MAX = 1024 }; /* bytes of a receipt */

struct ledger_entry {
	uint64_t number;
	struct public_key pool, donor;
	struct hash model;
	uint32_t layer_first, layer_last;
	uint64_t units,
	    tokens; /* no units: a change of the donor's standing, never countersigned */
	struct flop cost;
	uint64_t first_ms, last_ms;
	uint64_t session;    /* ledger_session of its pseudonym; 0: none */
	struct span receipt; /* signed bytes; borrowed, in a callback during it */
	struct signature pool_signature;
	bool countersigned;
	struct signature donor_signature;
};

typedef int ledger_entry_fn(void *context, const struct ledger_entry *e);

int ledger_new(struct db *d, struct ledger **out, struct error *err); /* borrows d */
void ledger_free(struct ledger *l);

uint64_t ledger_last_number(struct ledger *l); /* of `pool`'s own books: 0 if empty */
/* AYNI_ERR_EXISTS if this pool's receipt of that number is there already with other bytes; the same
 * receipt again is fine. Joins an open transaction or makes its own. */
int ledger_append(struct ledger *l, const struct ledger_entry *e, struct error *err);
/* The donor's signature arrived. AYNI_ERR_NOT_FOUND if there is no such receipt of that donor,
 * AYNI_ERR_EXISTS if it has another signature already, AYNI_ERR_STATE if several pools have one. */
int ledger_countersign(struct ledger *l, uint64_t number, const struct public_key *donor,
    const struct signature *sig, struct error *err);

/* In order of number, after `after`, at most `limit`, and past it only what shares the last number
 * (receipts of several pools), so that the next page misses none. A callback's non-zero return ends
 * the walk and is returned. In a callback the same walk cannot begin again (AYNI_ERR_STATE). */
int ledger_each(struct ledger *l, uint64_t after, uint32_t limit, ledger_entry_fn *fn,
    void *context, struct error *err);
/* Receipts of a donor that it has not countersigned, to send again. */
int ledger_each_uncountersigned(struct ledger *l, const struct public_key *donor, uint32_t limit,
    ledger_entry_fn *fn, void *context, struct error *err);
/* What a pseudonym is found by: its first 63 bits. Others may have the same. */
uint64_t ledger_session(const struct pseudonym *session);
int ledger_each_of_session(struct ledger *l, uint64_t session, uint64_t after, uint32_t limit,
    ledger_entry_fn *fn, void *context, struct error *err);
/* Changes of a donor's standing. */
int ledger_each_standing(struct ledger *l, const struct public_key *donor, uint64_t after,
    uint32_t limit, ledger_entry_fn *fn, void *context, struct error *err);

#endif
