/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that was returned and is in no receipt yet, for each range of layers of a model: what a
 * receipt may be for. Plain bookkeeping; all zeros is empty. One thread.
 */
#ifndef AYNI_NODE_DONOR_OPEN_WORK_H
#define AYNI_NODE_DONOR_OPEN_WORK_H

#include "protocol/receipt.h"

/* Of the layers that it holds sessions go through some; so many parts are rarely in use. */
enum { OPEN_WORK_RANGES = 32 };

struct open_range {
	struct hash model;
	struct layer_range layers;
	uint64_t units, tokens;
	struct flop cost;
};

struct open_work {
	size_t n;
	struct open_range ranges[OPEN_WORK_RANGES]; /* the one with the latest result last */
};

/* A unit's result was returned. It is in a receipt of each of its sessions, and counts as so many.
 * Past the limit the range that was idle longest is given up. */
void open_work_add(struct open_work *w, const struct msg_work_unit *u, struct flop cost);
/* AYNI_ERR_ARGUMENT: a receipt for other layers, or for more than was returned of these. */
int open_work_check(const struct open_work *w, const struct receipt *r, struct error *err);
/*
 * Take what a checked receipt counts out. *missing is what no further receipt can count, because
 * this one settles the last unit: all zeros if the pool counted fully.
 */
void open_work_settle(struct open_work *w, const struct receipt *r, struct open_range *missing);
uint64_t open_work_units(const struct open_work *w); /* of all ranges */

#endif
