/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors' standing, from the entries of a log by someone who trusts nobody: each change of a donor's
 * begins where the one before ended. Logs from before there were such entries begin anywhere. All
 * zeros is empty.
 */
#ifndef AYNI_NODE_CLI_STANDINGS_H
#define AYNI_NODE_CLI_STANDINGS_H

#include "protocol/receipt.h"

struct standings {
	struct standing_of *by_donor; /* owned */
	uint64_t bad;                 /* changes that do not follow from the one before */
};

void standings_free(struct standings *s);
/* The next change in the log. AYNI_ERR_MEMORY. */
int standings_follow(struct standings *s, const struct public_key *donor, enum standing_state from,
    enum standing_state to, struct error *err);
/* Those of a later part of the log. */
int standings_merge(struct standings *s, const struct standings *later, struct error *err);
/* What each donor's was last. */
typedef void standings_fn(
    void *context, const struct public_key *donor, enum standing_state state);
void standings_each(const struct standings *s, standings_fn *fn, void *context);

#endif
