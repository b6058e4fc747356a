/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that members have, and that were not computed once more: who computed them, so that their
 * members can be told if one of these is found lying later. Of each connection the last
 * DOUBTS_A_MEMBER, of all of them DOUBTS_MOST; what is older is forgotten, but in the ledger.
 *
 * A plain state machine: no I/O, no clock. One thread.
 */
#ifndef AYNI_NODE_POOL_DOUBTS_H
#define AYNI_NODE_POOL_DOUBTS_H

#include "protocol/message_types.h"

enum {
	DOUBTS_MOST = 4096,
	DOUBTS_A_MEMBER = 64,
	DOUBTS_DONORS = 64 /* of one answer; more are not known */
};

struct doubt {
	uint32_t peer;    /* the member's connection */
	uint64_t request; /* as the member calls it */
	struct pseudonym session;
};

struct doubts;

int doubts_new(struct doubts **out, struct error *err);
void doubts_free(struct doubts *d);

/* An answer is over, by these donors. Without memory it is forgotten. */
void doubts_add(
    struct doubts *d, const struct doubt *answer, const struct share *shares, size_t n_shares);
/* One of those that this donor had a part in; it is forgotten. False: no more. */
bool doubts_take(struct doubts *d, const struct public_key *donor, struct doubt *out);
/* The one of this session. */
bool doubts_take_session(struct doubts *d, const struct pseudonym *session, struct doubt *out);
/* There is nobody to be told. */
void doubts_forget(struct doubts *d, uint32_t peer);

#endif
