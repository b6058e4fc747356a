/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a pool believes each donor, from one run to the next. What the numbers mean is the pool's
 * affair (node/pool/trust.h). Statements are prepared once; one thread, like struct db.
 */
#ifndef AYNI_STORAGE_STANDING_H
#define AYNI_STORAGE_STANDING_H

#include "storage/db.h"

enum { STANDING_REASON_BYTES = 256 };

struct standing_store;

struct standing {
	struct public_key donor;
	uint32_t state; /* 0 to 4 */
	uint64_t right_units, verified_units, lies;
	uint64_t seen_ms;
	char reason[STANDING_REASON_BYTES]; /* of the last change of state, for people; one line */
};

/* A callback's non-zero return ends the walk and is returned. */
typedef int standing_fn(void *context, const struct standing *s);

int standing_new(struct db *d, struct standing_store **out, struct error *err); /* borrows d */
void standing_free(struct standing_store *s);

/* In place of the donor's before, whose reason stays if this one's is empty. Joins an open
 * transaction or makes its own. */
int standing_put(struct standing_store *s, const struct standing *standing, struct error *err);
/* Those that were seen last come first. */
int standing_each(struct standing_store *s, standing_fn *fn, void *context, struct error *err);

#endif
