/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of donors from one connection to the next, by key: how long they usually stay, how
 * their computing compares with their offer, how fast their links are. A donor that comes again is
 * as it was when it went, whatever it offers now, also after the pool was started anew: the loop
 * keeps this in the database (remember.c). Of HABITS_MAX donors at most, after which those it does
 * not know stay unknown.
 *
 * The usual stay is the mean of the connections' lengths, later ones counting more (each a quarter
 * of the mean). A donor that is here for longer than that counts as staying as long as it has.
 *
 * A donor that failed too often is out for a while, and each time within HABIT_OUT_DAY_S of the
 * last for twice as long, up to HABIT_OUT_MOST_S; coming again under the same key does not help. A
 * pool that is started anew does not know of that.
 *
 * No clock, no I/O; one thread.
 */
#ifndef AYNI_NODE_POOL_HABITS_H
#define AYNI_NODE_POOL_HABITS_H

#include "protocol/base.h"

enum { HABITS_MAX = 65536, HABIT_OUT_MOST_S = 3600, HABIT_OUT_DAY_S = 86400 };

struct habit {
	uint64_t stay_s; /* usual; 0: not known */
	double pace;     /* times slower than usual (pace.h), of an offer as good as this: */
	uint64_t flop_per_s, read_bytes_per_s; /* whatever the type of the weights */
	double down_us, up_us;                 /* of its link (link.h); 0: not known */
	uint32_t outs;                         /* times that it failed too often, */
	uint64_t out_until_us; /* and when the last of them is over, by the loop's clock */
};

struct habits;

struct habits *habits_new(void); /* NULL without memory */
void habits_free(struct habits *h);
/* NULL: nothing is known of it. Valid until the next is added. */
const struct habit *habits_find(const struct habits *h, const struct public_key *donor);
/* In place of what was known. Without memory, or beyond HABITS_MAX, nothing is kept. */
void habits_put(struct habits *h, const struct public_key *donor, const struct habit *habit);

/* Seconds, `here_s` of which it has been here now; 0: never seen before. NULL: nothing is known. */
uint64_t habit_stay_s(const struct habit *known, uint64_t here_s);
/* It failed too often once more; first_s: how long it is out the first time. */
void habit_out(struct habit *h, uint64_t now_us, uint64_t first_s);
/* The mean with a connection that ended after so many seconds. */
uint64_t habit_stayed_s(const struct habit *known, uint64_t here_s);

#endif
