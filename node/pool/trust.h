/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far each donor's numbers are believed, and which of them are computed once more.
 *
 *            enough right                  long silent
 *   NEW ───────────────────► TRUSTED ─────────────────► PROBATION ──enough right──► TRUSTED
 *    │                          │                           │  ▲
 *    └────── a proven lie ──────┴───────────────────────────┤  └──── pardoned ────┐
 *                                                           ▼                     │
 *                                                      QUARANTINED ───────────────┘
 *   in PROBATION after a pardon, another proven lie ──► BANNED
 *
 * A record counts the units of a donor that were recomputed and right, since the last break. With v
 * of them a session over this donor is recomputed with probability
 *
 *   rate(v) = max(floor, min(1, TRUST_PROOF_UNITS / v))
 *
 * and of several donors the highest rate counts. What follows of it: node/pool/README.md.
 *
 * Chosen after the donors are bound to what they gave, by a hash with a key that only the pool has:
 * no donor can tell which sessions it will be, before or afterwards.
 *
 * A plain state machine: no I/O, no clock. One thread.
 */
#ifndef AYNI_NODE_POOL_TRUST_H
#define AYNI_NODE_POOL_TRUST_H

#include "node/pool/trail.h"
#include "protocol/identity.h"

enum {
	TRUST_PROOF_UNITS = 256, /* right ones that make a donor trusted */
	TRUST_SILENT_DAYS = 30,  /* after so many nothing is known of it any more */
	TRUST_MAX_DONORS = 1 << 20
};

enum trust_state {
	TRUST_NEW,
	TRUST_PROBATION,
	TRUST_TRUSTED,
	TRUST_QUARANTINED,
	TRUST_BANNED,
	TRUST_STATE_END
};

enum trust_event { TRUST_WAS_RIGHT, TRUST_WAS_SILENT, TRUST_LIED, TRUST_PARDONED, TRUST_EVENT_END };

struct trust_record {
	struct public_key donor;
	enum trust_state state;
	uint64_t right;    /* units recomputed and right, since the last break */
	uint64_t verified; /* the same, ever */
	uint64_t lies;
	uint64_t seen_ms; /* when it last joined or was recomputed */
};

/* What became of an event. */
struct trust_change {
	enum trust_state from, to;
};

struct trust;

/* secret: identity_derive. floor: the least rate, in thousandths, at least 1. */
int trust_new(const uint8_t secret[DERIVED_KEY_BYTES], uint32_t floor_permille, struct trust **out,
    struct error *err);
void trust_free(struct trust *t);

/* As it was stored. AYNI_ERR_MEMORY; AYNI_ERR_LIMIT; AYNI_ERR_FORMAT for one that cannot be. */
int trust_put(struct trust *t, const struct trust_record *r);
/* NULL: never met. */
const struct trust_record *trust_find(const struct trust *t, const struct public_key *donor);
/* It joins: its record, made if there is none; long silence is a break. NULL: out of memory. */
const struct trust_record *trust_meet(
    struct trust *t, const struct public_key *donor, uint64_t now_ms, struct trust_change *change);
/*
 * An event of a donor that was met; `units` of TRUST_WAS_RIGHT. AYNI_ERR_STATE if its state does
 * not allow it, AYNI_ERR_NOT_FOUND; then nothing changed.
 */
int trust_step(struct trust *t, const struct public_key *donor, enum trust_event event,
    uint64_t units, uint64_t now_ms, struct trust_change *change);

/* One whose record changed since this was asked last; NULL: none. */
const struct trust_record *trust_unsaved(struct trust *t);

/* May it be given work? */
bool trust_serves(const struct trust *t, const struct public_key *donor);
/* Is its work paid before it was looked at? */
bool trust_is_trusted(const struct trust *t, const struct public_key *donor);
/* The probability that its next session is recomputed; 1 of one that was never met. */
double trust_rate(const struct trust *t, const struct public_key *donor);
/* Is this one, whose donors are bound to all of it, to be recomputed? */
bool trust_draws(const struct trust *t, const struct trail *trail);

const char *trust_state_name(enum trust_state s);
void trust_check(const struct trust_record *r); /* invariants */

#endif
