/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adds up receipts by someone who trusts nobody: both signatures of each are checked, numbers must
 * follow each other, and totals are made from the receipts alone: by donor, model, day or team.
 */
#ifndef AYNI_NODE_CLI_AUDIT_H
#define AYNI_NODE_CLI_AUDIT_H

#include "node/client.h"
#include "protocol/receipt.h"
#include "storage/sums.h"

struct audit_total {
	struct hash key; /* donor or model; by day its number from 1970 on, in the first bytes */
	char name[TEXT_SHORT]; /* of the donor or model, if known */
	char team[TEXT_SHORT];
	uint64_t giga, flop; /* cost of receipts that both sides signed: GFLOP, and below 10^9 */
	uint64_t receipts, units, tokens, first_ms, last_ms;
	uint64_t unsigned_receipts; /* not countersigned yet: not counted above */
	bool has_standing;          /* it changed: from, and to what in the end */
	enum standing_state standing_first, standing;
};

struct audit {
	enum sums_by by;        /* 0: by donor */
	uint64_t since_ms;      /* windows that ended before are not counted */
	struct public_key pool; /* whose receipts these must be; learnt from the first */
	bool pool_known;
	uint64_t last_number;
	uint64_t bad, missing; /* wrong signatures or pools; gaps in the numbers */
	uint64_t bad_standing; /* changes that do not follow from the one before */
	size_t n_totals;
	struct audit_total *totals;
	size_t n_slots; /* an index into totals by key; 0: none now */
	uint32_t *slots;
};

void audit_free(struct audit *a);
int audit_add(struct audit *a, const struct signed_receipt *s, struct error *err);
/* A receipt that has been checked otherwise, into its total; in order of number. Changes of
 * standing are followed by donor and by team only. */
int audit_count(struct audit *a, const struct receipt *r, bool countersigned, struct error *err);
/* All that `from` counts, whose receipts come after those of a, into a. */
int audit_merge(struct audit *a, const struct audit *from, struct error *err);
/* What a donor or model is called, and the donor's team; "": not known. */
void audit_name(struct audit *a, const struct hash *key, const char *name, const char *team);
/* When all is counted: by team, donors are added up now. Days in order, else most cost first. */
int audit_finish(struct audit *a, struct error *err);

double audit_gflop(const struct audit_total *t);
uint64_t audit_day_ms(const struct audit_total *t); /* by day */

/* All receipts of a pool, over the network. */
int audit_pool(struct audit *a, struct client *c, struct error *err);
/* All receipts in a database file (a pool's or a donor's). */
int audit_file(struct audit *a, const char *path, struct error *err);
/* What such a file says of itself, from its sums: no receipt is looked at. Finished. */
int audit_sums(struct audit *a, const char *path, struct error *err);

#endif
