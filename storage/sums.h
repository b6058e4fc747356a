/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What receipts come to: by donor, by model, by day or by team, of all or since a time.
 *
 * Of full subtrees of the log there are sums, written once in the transaction that fills the
 * subtree and never changed, four of one level in one of the next. Whoever asks gets few of the
 * largest subtrees instead of many receipts; only a subtree that has receipts on both sides of a
 * time, and what is not in a full one yet, is read receipt by receipt. Books without a log, as a
 * donor's, are read as a whole. Nothing here looks at signatures.
 *
 * Statements are prepared once; one thread, like struct db.
 */
#ifndef AYNI_STORAGE_SUMS_H
#define AYNI_STORAGE_SUMS_H

#include "storage/db.h"

struct sums;

enum sums_by {
	SUMS_BY_DONOR = 1,
	SUMS_BY_MODEL,
	SUMS_BY_DAY, /* on which the window ended, UTC */
	SUMS_BY_TEAM /* that the donor names now; "" for those that name none */
};

enum { SUMS_DAY_MS = 86400000 };

struct sums_row {
	uint64_t id;      /* of the donor or the model in this file, for ever; else 0 */
	struct hash key;  /* of the donor or the model; zeros by day and by team */
	uint64_t day_ms;  /* by day: its first millisecond */
	const char *name; /* of the donor or the model, or ""; valid during the call */
	const char *team; /* of the donor, or the row's own; likewise */
	/* Of receipts that both sides signed. */
	uint64_t giga, flop;              /* cost: whole GFLOP, and what is left, below 10^9 */
	uint64_t receipts, units, tokens; /* UINT64_MAX: does not fit */
	uint64_t waiting;                 /* receipts beside these that are not countersigned */
	uint64_t first_ms, last_ms;       /* of all */
};

struct sums_filter {
	enum sums_by by;
	uint64_t since_ms;              /* windows that ended then or later; 0: all */
	const struct public_key *donor; /* NULL: all; by donor only */
};

/* Non-zero ends the walk and is returned. */
typedef int sums_row_fn(void *context, const struct sums_row *r);

int sums_new(struct db *d, struct sums **out, struct error *err); /* borrows d */
void sums_free(struct sums *s);

/* Days in order; else most cost first. */
int sums_each(struct sums *s, const struct sums_filter *filter, sums_row_fn *fn, void *context,
    struct error *err);

/* ---- for tree.c ---- */

/* Are there sums of subtrees of 2^level receipts? */
bool sums_has_level(unsigned level);
/* A subtree is full: its receipts are written, and the sums of the level below. In a transaction.
 */
int sums_add(struct sums *s, unsigned level, uint64_t block, struct error *err);

#endif
