/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a donor that has work still there? Everything it sends says so; when it has been silent for a
 * moment it is asked (a heartbeat, which its daemon answers while its worker computes). Silent for
 * longer than its way there and back explains, it is *suspect*: it gets no more, and what it has is
 * given to another donor, if there is one. It is a suspicion, not a verdict: the next word clears
 * it.
 *
 * The limit follows the measured round trip and its variation, as TCP's retransmission timer does
 * (RFC 6298): from LIVENESS_LEAST_US on a local network to LIVENESS_MOST_US. A word that comes soon
 * after the suspicion shows that the alarm was false: on a machine that is busy there would be
 * many, so each makes the limit longer, until there was none for a while.
 *
 * Plain data and pure functions; all zeros is a donor not measured yet. One thread.
 */
#ifndef AYNI_NODE_POOL_LIVENESS_H
#define AYNI_NODE_POOL_LIVENESS_H

#include "protocol/base.h"

enum {
	LIVENESS_ASK_US = 50000, /* of silence before it is asked, and again after as much */
	LIVENESS_LEAST_US = 200000,
	LIVENESS_MOST_US = 5000000,
	LIVENESS_ALARM_US = 100000, /* more for each false alarm, */
	LIVENESS_ALARMS = 3,        /* but not for more than so many; */
	LIVENESS_EASE_US = 5000000  /* so long without one, and one less counts */
};

struct liveness {
	uint64_t trip_us, variation_us; /* smoothed; 0: not measured */
	uint64_t asked_us;              /* the last time */
	uint64_t suspect_us;            /* since when, if it is */
	uint64_t alarm_us;              /* of the last false alarm, or since one less counts */
	uint32_t alarms;
	bool suspect;
};

/* A word of it came. echo_us: when it was asked what it now answers; 0: it was not. */
void liveness_heard(struct liveness *l, uint64_t echo_us, uint64_t now_us);
/*
 * It has work, and nothing came since `since_us` (or since it got that work). True: ask it now. May
 * make it suspect.
 */
bool liveness_silent(struct liveness *l, uint64_t since_us, uint64_t now_us);
uint64_t liveness_limit_us(const struct liveness *l);

#endif
