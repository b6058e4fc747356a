/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What members and everybody else can see of a pool's donors (network.h): its status, its books,
 * and answers. All fail the test if a program of ours fails.
 */
#ifndef AYNI_TESTS_SUPPORT_DONORS_SEEN_H
#define AYNI_TESTS_SUPPORT_DONORS_SEEN_H

#include <jansson.h>

#include "tests/support/network.h"

/* What `ayni status` says of a donor; all zero if it is not connected. */
struct donor_seen {
	char state[32], trust[32];
	json_int_t units, lies, verified, round_trip_us;
	json_int_t refused; /* messages of it, by the pool */
};
struct donor_seen donor_seen(struct network *n, const char *name);
/* Wait until the pool knows how far it is. */
void donor_wait_measured(struct network *n, const char *name);

/* Units of its receipts, in the pool's books. */
json_int_t donor_paid(struct network *n, const char *name);

/* A member's question, alone. The answer and what is told beside it stay until the next. */
struct told {
	const char *answer, *beside;
	bool failed;
	unsigned ms;
};
struct told member_asks(struct network *n, const char *question);

#endif
