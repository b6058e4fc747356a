/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The donors that are connected, and where each stands:
 *
 *   JOINED --offer--> IDLE --assign--> FETCHING --progress--> LOADING --progress--> READY
 *                      ^                   |                     |                   |
 *                      +----- failed, or unassigned -------------+-------------------+
 *   any state --leave--> LEAVING (finishes its units, gets no more)
 *   any state --gone---> FREE    (the slot may be used again)
 *
 * Layers come one by one: a donor that fetches or loads serves those that are ready already.
 *
 * A plain state machine: no I/O, no clock. A donor is named by its slot, stable while it is
 * connected. One thread.
 */
#ifndef AYNI_NODE_POOL_ROSTER_H
#define AYNI_NODE_POOL_ROSTER_H

#include "node/pool/link.h"
#include "node/pool/liveness.h"
#include "node/pool/pace.h"
#include "protocol/message_types.h"

enum {
	ROSTER_MAX_DONORS = 4096,
	ROSTER_NONE = -1,
	ROSTER_MAX_FAILURES = 3, /* a donor with as many gets no more work for a while */
	ROSTER_MAX_EXCUSES = 8,  /* and so does one with so many of these, */
	ROSTER_EXCUSE_UNITS = 32 /* of which so many right results make up for one */
};

enum donor_state {
	DONOR_FREE,
	DONOR_JOINED,
	DONOR_IDLE,
	DONOR_FETCHING,
	DONOR_LOADING,
	DONOR_READY,
	DONOR_LEAVING,
	DONOR_STATE_END
};

struct donor_assignment {
	uint64_t number; /* 0: none */
	uint32_t model;  /* catalog index */
	struct layer_range layers;
	uint32_t ready_last;  /* layers from the first to this are ready */
	uint32_t pages;       /* room for keys and values (work_room_pages) */
	uint32_t token_us;    /* computing a token in these layers, by its offer and its pace */
	uint32_t head_us;     /* of that, what comes with the model's last layer */
	uint32_t transfer_us; /* its activations, there and back over the donor's link */
};

struct roster_donor {
	enum donor_state state;
	struct public_key key;
	char name[TEXT_SHORT];
	uint32_t peer; /* connection, as the pool's loop counts them */
	struct msg_offer offer;
	struct donor_assignment assignment;
	uint32_t sessions;     /* bound to it now */
	uint32_t bound_layers; /* those that they go through, all together */
	uint32_t pages;        /* of its room, promised to these until their ends */
	uint32_t kept_pages;   /* of sessions that ended and that it still holds; what is promised
	                          takes their place */
	uint32_t failures;     /* assignments and units it did not do, since the last it did */
	uint32_t excuses;      /* units given back and layers lost for reasons that nobody can be
	                          blamed for, and that are not made up for yet; */
	uint32_t since_excuse; /* right results since the last, or since one was made up for */
	uint64_t layer_us;     /* since when it is at the next of its layers */
	uint64_t out_until_us; /* it failed too often: no work before; 0: it did not */
	uint64_t last_unit;    /* number of the last unit sent, */
	uint64_t excused_unit; /* and when it made its last excuse */
	uint64_t units;        /* right results */
	struct flop cost;
	uint64_t joined_us, heard_us;
	struct liveness alive;
	uint64_t stalled_us;   /* since when its worker seems to stand still; 0: it does not */
	uint64_t us_per_layer; /* a small unit's time away for each layer, smoothed; 0: not known */
	uint64_t round_trip_us; /* 0: not measured yet */
	struct link link;       /* how fast bytes go to it and come back */
	struct pace pace;       /* how long it computes, beside what it offered */
	struct refusal_counts refused_by_donor;
};

struct roster;

int roster_new(struct roster **out, struct error *err);
void roster_free(struct roster *r);

/* AYNI_ERR_LIMIT if the roster is full, AYNI_ERR_EXISTS (with its slot) if this key is here
 * already. */
int roster_join(struct roster *r, const struct public_key *key, const char *name, uint32_t peer,
    uint64_t now_us, int *slot);
int roster_find(const struct roster *r, const struct public_key *key); /* or ROSTER_NONE */
/* NULL for a slot that is free or out of range. */
struct roster_donor *roster_get(struct roster *r, int slot);
int roster_slots(const struct roster *r); /* slots are below this */

/* The events. AYNI_ERR_STATE if the donor's state does not allow it (nothing changed). */
int roster_offer(struct roster *r, int slot, const struct msg_offer *offer);
int roster_assign(struct roster *r, int slot, const struct donor_assignment *a);
int roster_progress(struct roster *r, int slot, uint64_t assignment,
    enum assignment_progress progress, uint32_t layers_ready);
int roster_unassign(struct roster *r, int slot);
int roster_leave(struct roster *r, int slot);
void roster_remove(struct roster *r, int slot);

/* A result that was right: past failures do not count any more, unless they are too many. */
void roster_did_right(struct roster_donor *d);
/* It did not do a unit, or one and all that it had, for a reason that may be true. What it had when
 * it said so is of the same incident and counts no more. */
void roster_excuse(struct roster_donor *d, uint64_t unit);
/* It may try again. */
void roster_forgive(struct roster_donor *d);

/* A donor not heard since before_us, or ROSTER_NONE. */
int roster_silent(const struct roster *r, uint64_t before_us);
/* Its layers that take units; none: first and last are the same. */
struct layer_range roster_ready(const struct roster_donor *d);
/* It has these among them. */
bool roster_holds(const struct roster_donor *d, struct layer_range layers);
/* It has some, and is trusted with work: it did not fail too often. NULL is not. */
bool roster_serves(const struct roster_donor *d);
/* It serves, and neither is it silent nor does its worker stand still, as far as is known. */
bool roster_responds(const struct roster_donor *d);
/* Can it promise so many pages more? */
bool roster_has_room(const struct roster_donor *d, uint32_t pages);
/* The round trip with nothing in the way, else the last; 0: not measured yet. */
uint64_t roster_trip_us(const struct roster_donor *d);
const char *donor_state_name(enum donor_state s);
/* Each donor's fields agree with its state; asserts after every event. */
void roster_check(const struct roster *r);

#endif
