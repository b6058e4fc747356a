/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path: donors with layers that join end to end over a whole model. A stage is any part of what
 * its donor has ready, so that ranges which overlap join too, and a donor serves before all of its
 * layers are there. Sessions are bound to a path because their KV caches lie with its donors. Plain
 * data and one search; no I/O.
 */
#ifndef AYNI_NODE_POOL_PATH_H
#define AYNI_NODE_POOL_PATH_H

#include "node/pool/pairs.h"
#include "node/pool/roster.h"

enum {
	PATH_MAX_STAGES = 256,
	PATH_TURN_US = 100 /* what a session waits for another at a donor beside its computing */
};

struct path_stage {
	int donor;                 /* slot */
	uint64_t assignment;       /* so that a slot taken by another donor is noticed */
	struct layer_range layers; /* some of the donor's; */
	struct layer_range held;   /* these are all, as its receipts name them */
};

struct path {
	bool broken;   /* a stage failed: no new work */
	bool hedged;   /* broken, but by a suspicion alone */
	uint64_t lost; /* broken, because the donor with this assignment lost its layers; else 0 */
	uint32_t model;
	uint32_t n_stages; /* 0: free slot */
	struct path_stage stages[PATH_MAX_STAGES];
	uint32_t sessions, flights, kept; /* that use it; kept.c */
	uint32_t ahead; /* of the flights, those of tokens that follow another's */
};

enum path_search {
	PATH_FOUND,
	PATH_FULL,   /* the model is covered, but its donors have no room, or do not respond */
	PATH_MISSING /* some layers are held by no ready donor */
};

/* Among whom a path is looked for. */
struct path_donors {
	struct roster *roster;
	const struct pairs *pairs; /* who hands over to whom, at now_us; NULL: nobody */
	uint64_t now_us;
	uint64_t shunned; /* assignment of one that is left out; 0: nobody is */
};

/*
 * The least time of a token, with the sessions that are there already: a sum over the stages of
 *   way in + computing + (computing + PATH_TURN_US) of each session there + way out,
 * as if the donor computed for its sessions one after the other. So streams go over the fastest
 * donors first, and over slower replicas as soon as their turn comes earlier there; ways, which
 * nobody waits for, are paid once. Between two donors that hand over to each other the way is a
 * hop, else it goes from the one to the pool and from there to the other (placement.h); first and
 * last, it is that from the pool and to it. A token that the last donor hands to the first saves
 * these two, but only while the path has few sessions, and not a session's prompt or its guesses:
 * so that does not count here, and of two donors as fast the nearer is taken. Computing is what the
 * donor's offer and its pace say; trip and transfer are what was measured, or assumed. All donors
 * have room for so many pages of keys and values more.
 */
enum path_search path_find(const struct path_donors *all, uint32_t model, uint32_t n_layers,
    uint32_t pages, struct path *out);
/* Computing at a donor that holds these layers, and waiting there, as above. */
uint64_t path_compute_us(const struct roster_donor *d, struct layer_range layers);
uint64_t path_wait_us(const struct roster_donor *d);

/* What a token of one session more takes at a stage: its way in, that out to the pool where it goes
 * there. Tokens that the last donor hands to the first count as that. */
struct path_time {
	uint64_t compute_us, wait_us, trip_us, transfer_us, all_us;
	bool direct; /* its donor hands over to the next stage's */
};
/* All its donors are there. */
struct path_time path_time(const struct path_donors *all, const struct path *p, uint32_t stage);
/* Does the last donor hand tokens to the first, with one session more? */
bool path_is_ring(const struct path_donors *all, const struct path *p);
/* Do all its donors still hold what they held, ready for work? */
bool path_alive(const struct path *p, struct roster *r);
/* And do all of them respond? */
bool path_responds(const struct path *p, struct roster *r);
bool path_equal(const struct path *a, const struct path *b);
/* The donor of a stage, ready or leaving; NULL if it is gone or holds something else now. */
struct roster_donor *path_donor(struct roster *r, const struct path_stage *s);

#endif
