/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a donor really computes, as a multiple of what its offer says: the ratio
 *
 *   observed time of a unit / time by the offer (placement.h)
 *
 * learnt slowly from results. A ratio and not a time, so that it holds for ranges and models of any
 * size. What all donors take longer for, since a kernel does more than read memory, is not a
 * donor's doing: the median of the ratios over the donors of a model is what is *usual* there, a
 * donor's *relative* pace is its ratio over that, and a donor of which nothing was seen counts as
 * usual. Else whoever was never tried would look faster than all that were. A few that boast shall
 * not make that look usual: of few donors the best counts, and usual is within PACE_USUAL_TIMES of
 * what is offered.
 *
 * Observed is what the donor says that it computed, within what the pool saw itself. A donor takes
 * its units one after the other, so one whose way there and back takes `trip` computed, if all went
 * smoothly, from the later of its arrival and the end of the unit before:
 *
 *   at least  min(away - trip, time since its result before)   else it says less than it took
 *   at most   min(away, time since its result before)          else it says more
 *
 * So who says that it was faster than this is not believed, and what remains of its time away is
 * counted as its trip. A unit alone counts for little, however strange: each moves the ratio as if
 * it were at most PACE_STEP_TIMES off. What was learnt fades while nothing is seen: a donor that
 * was slow because its owner was there is tried again.
 *
 * Plain data and pure functions; all zeros is a donor of which nothing was seen. One thread.
 */
#ifndef AYNI_NODE_POOL_PACE_H
#define AYNI_NODE_POOL_PACE_H

#include "protocol/base.h"

enum {
	PACE_SEEN_LEAST = 16, /* units, before a donor's own ratio counts */
	PACE_WEIGHT = 16,     /* a unit counts one part in so many */
	PACE_STEP_TIMES = 2,
	PACE_SLOWER_MOST = 1024, /* times than offered; so many times more is not believed */
	PACE_FASTER_MOST = 16,
	PACE_MOST_TOKENS = 8, /* of a unit: of more, each costs less than the offer says */
	PACE_USUAL_LEAST = 3, /* donors, for their median to say what is usual */
	PACE_USUAL_TIMES = 4,
	PACE_HALF_S = 3600 /* without a unit, and half of the difference is forgotten */
};

struct pace {
	double before;      /* relative, of an earlier connection; 0: not known */
	double ratio;       /* learnt on `model`; 0: nothing yet */
	uint32_t model;     /* catalog index */
	uint32_t seen;      /* units */
	uint64_t seen_us;   /* the last that was learnt from */
	uint64_t result_us; /* the last result of any unit */
};

struct pace_unit {
	uint64_t away_us, said_us; /* from sending to the result; of that, as the donor says */
	uint64_t trip_us;          /* there and back, with its bytes */
};

/* What a unit whose result came now took to compute; remembers the time of the result. */
uint64_t pace_observed_us(struct pace *p, const struct pace_unit *u, uint64_t now_us);
/* usual[model]: 0 where it is not known. */
void pace_learn(struct pace *p, uint32_t model, double observed_us, double claimed_us,
    const double *usual, uint64_t now_us);
/* The offer says now that units take so many times as long as it said before. */
void pace_offered(struct pace *p, double times);
/* Enough was seen for its ratio to mean something. */
bool pace_known(const struct pace *p);
/* Times slower than usual; 1 if it is not known. */
double pace_relative(const struct pace *p, const double *usual, uint64_t now_us);
/* It was so much slower than usual when it was here before. */
void pace_recall(struct pace *p, double relative, uint64_t now_us);
/* Of a model, by its donors' ratios, which are sorted; 0 of none. */
double pace_usual(double *ratios, size_t n);

#endif
