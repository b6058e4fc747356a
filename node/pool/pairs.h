/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which donors can hand over to which without the pool in between. A pair is named to both ends
 * (Link); one dials and probes, and says when it is up (LinkState). If that fails, the other one
 * tries; if that fails too, all goes through the pool.
 *
 *   WANTED --told--> DIALLED --up--> UP <--> (down, up: as the dialling end says)
 *                      |  down: the other end dials, WANTED again; after that FAILED
 *
 * What was lost on a way that seemed to be up blocks it for a while, longer each time. Pairs have
 * no direction: each end may send. A plain state machine; donors are slots of the roster. One
 * thread.
 */
#ifndef AYNI_NODE_POOL_PAIRS_H
#define AYNI_NODE_POOL_PAIRS_H

#include "protocol/base.h"

enum {
	PAIRS_MOST = 1 << 14,            /* pairs; of more nothing is known */
	PAIR_BLOCKED_US = 1000000,       /* after the first loss, */
	PAIR_BLOCKED_MOST_US = 32000000, /* and twice as long after each other, up to this; */
	PAIR_MAKES_UP = 100              /* so many that arrive make up for one */
};

struct pairs;

int pairs_new(struct pairs **out, struct error *err);
void pairs_free(struct pairs *l);

/* Work will go from one to the other; whether each can be dialled. Again and again is fine. */
void pairs_want(struct pairs *l, int a, bool a_listens, int b, bool b_listens);
/* A pair that its ends have to be told of, once: true, and who dials whom. */
bool pairs_tell(struct pairs *l, int *dials, int *listens);
/* What the end that dials says; if it is up, how long there and back. */
void pairs_heard(struct pairs *l, int dials, int listens, bool up, uint64_t round_trip_us);
/* A handing over was lost, or was not what it should be. */
void pairs_lost(struct pairs *l, int a, int b, uint64_t now_us);
void pairs_kept(struct pairs *l, int a, int b); /* one arrived, as it should */
void pairs_forget(struct pairs *l, int donor);  /* it is gone */

size_t pairs_count(const struct pairs *l); /* in whatever state */
/* May one hand over to the other? A donor to itself, unless it lost something there. */
bool pairs_up(const struct pairs *l, int a, int b, uint64_t now_us);
/* The same, and how long there and back; 0: not known, or to itself. */
bool pairs_trip(const struct pairs *l, int a, int b, uint64_t now_us, uint64_t *round_trip_us);

struct pair_way {
	struct pair *pair; /* NULL before the first */
	int other;
	uint64_t round_trip_us; /* 0: not known */
};
/* The next of those to whom a donor may hand over, itself left out; false: there are no more. */
bool pairs_next(const struct pairs *l, int donor, uint64_t now_us, struct pair_way *way);

#endif
