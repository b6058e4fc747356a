/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may compute once more what others gave, and what follows of what they find.
 *
 *   drawn ──► donors compute it ──same──► right
 *                 │        └──other──► the pool computes the same ──wrong──► its donor lied
 *                 └─failed─► the pool                          └──right──► the checkers' own trail,
 *                            computes it                                  which the pool computes
 *
 * A trail goes to donors only if all of its own are trusted, and all who are to check it: trusted,
 * and related to none of them. One in CHECKERS_POOL_SHARE stays with the pool whatever its donors
 * are, and so does what is drawn of the checkers' own trails. So who agrees with others on a lie is
 * found by what the pool computes. The choice is by a hash with a key that only the pool has, after
 * all donors of the trail are bound to it; of those who may, another half for each trail is passed
 * over if the others suffice: so nobody can tell who will check whom.
 *
 * Related are donors that one person may well have:
 *   - the same invite,
 *   - the same network: the first 24 bits of an IPv4 address, 48 of an IPv6 address. An address of
 *     this machine says nothing;
 *   - admitted within CHECKERS_BIRTH_MS of each other, until CHECKERS_YOUNG_MS after.
 * Who is not known is related to all.
 *
 * A plain state machine: no I/O, no clock. One thread.
 */
#ifndef AYNI_NODE_POOL_CHECKERS_H
#define AYNI_NODE_POOL_CHECKERS_H

#include "node/pool/path.h"
#include "node/pool/trust.h"

enum {
	CHECKERS_POOL_SHARE = 4,
	CHECKERS_MAX_DONORS = 1 << 16, /* known at once; the first met are forgotten */
	CHECKERS_BIRTH_MS = 3600 * 1000
};
#define CHECKERS_YOUNG_MS (UINT64_C(30) * 86400 * 1000)

enum network_kind { NETWORK_UNKNOWN, NETWORK_IPV4, NETWORK_IPV6 };

struct network_prefix {
	enum network_kind kind;
	uint8_t bytes[6]; /* 3 of IPv4 */
};

/* Of a numeric address; unknown for anything else, NULL too. */
struct network_prefix network_of(const char *address);

struct checker_origin {
	struct hash invite;
	struct network_prefix network;
	uint64_t admitted_ms;
};

bool checkers_related(
    const struct checker_origin *a, const struct checker_origin *b, uint64_t now_ms);

struct checkers;

/* secret: identity_derive. */
int checkers_new(const uint8_t secret[DERIVED_KEY_BYTES], struct checkers **out, struct error *err);
void checkers_free(struct checkers *c);

/* It joined: from now on this is known of it. Without memory it is not. */
void checkers_meet(
    struct checkers *c, const struct public_key *donor, const struct checker_origin *origin);

/* May donors check this trail, which was drawn? */
bool checkers_takes(const struct checkers *c, const struct trust *trust, const struct trail *trail);

struct checkers_search {
	const struct checkers *checkers;
	const struct trust *trust;
	const struct trail *trail;
	uint64_t now_ms;
	bool half; /* some of those who may are passed over */
};
/* path_avoid_fn, of such a search. */
bool checkers_avoid(const void *search, const struct roster_donor *d);

/* ---- cases -------------------------------------------------------------------------------- */

enum check_result { CHECK_SAME, CHECK_OTHER, CHECK_FAILED };

/* What is to be done; each trail that is not NULL is held for the caller. */
struct checkers_orders {
	struct trail *right; /* all compared the same */
	struct trail *audit; /* donors could not tell: the pool is to compute it */
	struct trail *own;   /* of those that checked: the pool is to compute it, */
	bool certainly;      /* drawn or not */
};

/* Donors compute it, as this session. It is held. AYNI_ERR_MEMORY. */
int checkers_begin(struct checkers *c, uint64_t session, struct trail *trail, struct error *err);
/* A session's trail ended: true, and taken over, if it is of one that checks. */
bool checkers_keep(struct checkers *c, struct trail *own);
/* A session that checks is over; its trails ended before. */
void checkers_finished(
    struct checkers *c, uint64_t session, enum check_result result, struct checkers_orders *out);
/* The pool has computed a trail: what it was, if it could tell. */
void checkers_audited(struct checkers *c, const struct trail *trail, bool known, bool wrong,
    struct checkers_orders *out);

#endif
