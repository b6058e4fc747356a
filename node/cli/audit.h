/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adds up receipts by someone who trusts nobody: both signatures of each are checked, numbers must
 * follow each other, and totals are made from the receipts alone.
 */
#ifndef AYNI_NODE_CLI_AUDIT_H
#define AYNI_NODE_CLI_AUDIT_H

#include "node/client.h"
#include "protocol/receipt.h"

struct audit_total {
	struct public_key donor;
	char name[TEXT_SHORT];
	struct flop cost; /* verified: receipts that both sides signed */
	uint64_t receipts, units, tokens, first_ms, last_ms;
	uint64_t unsigned_receipts; /* not countersigned yet: not counted above */
	bool has_standing;          /* it changed: from, and to what in the end */
	enum standing_state standing_first, standing;
};

struct audit {
	struct public_key
	    pool; /* whose receipts these must be; zeros: any (learnt from the first) */
	bool pool_known;
	uint64_t last_number;
	uint64_t bad, missing; /* wrong signatures or pools; gaps in the numbers */
	uint64_t bad_standing; /* changes that do not follow from the one before */
	size_t n_totals;
	struct audit_total *totals;
	size_t n_slots; /* an index into totals by donor; 0: none now */
	uint32_t *slots;
	uint64_t since_ms; /* windows that ended before are not counted */
};

void audit_free(struct audit *a);
int audit_add(struct audit *a, const struct signed_receipt *s, struct error *err);
/* A receipt that has been checked otherwise, into its donor's total; in order of number. */
int audit_count(struct audit *a, const struct receipt *r, bool countersigned, struct error *err);
/* All that `from` counts, whose receipts come after those of a, into a. */
int audit_merge(struct audit *a, const struct audit *from, struct error *err);
void audit_name(struct audit *a, const struct public_key *donor, const char *name);
/* Most cost first. */
void audit_sort(struct audit *a);

/* All receipts of a pool, over the network. */
int audit_pool(struct audit *a, struct client *c, struct error *err);
/* All receipts in a database file (a pool's or a donor's). */
int audit_file(struct audit *a, const char *path, struct error *err);

#endif
