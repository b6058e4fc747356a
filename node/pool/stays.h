/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long donors usually stay: of each key the mean of its connections' lengths, later ones
 * counting more (each a quarter of the mean). A donor that is here for longer than that counts as
 * staying as long as it has. Kept in memory, so a pool that was started anew knows nothing yet; of
 * STAYS_MAX donors at most, after which those it does not know stay unknown. No clock, no I/O; one
 * thread.
 */
#ifndef AYNI_NODE_POOL_STAYS_H
#define AYNI_NODE_POOL_STAYS_H

#include "protocol/base.h"

enum { STAYS_MAX = 65536 };

struct stays;

struct stays *stays_new(void); /* NULL without memory */
void stays_free(struct stays *s);
/* A connection of the donor ended after so many seconds. Without memory it is not counted. */
void stays_ended(struct stays *s, const struct public_key *donor, uint64_t seconds);
/* Seconds; `here_s` is how long it has been here now. 0: never seen before. */
uint64_t stays_usual(const struct stays *s, const struct public_key *donor, uint64_t here_s);

#endif
