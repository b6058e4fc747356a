/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors that compute once more what others did, on behalf of verify.h: between the scheduler, in
 * which they do (check.h), and the machine that says who may and what follows (checkers.h). Of the
 * pool's loop; does I/O.
 */
#ifndef AYNI_NODE_POOL_CHECKING_H
#define AYNI_NODE_POOL_CHECKING_H

#include "node/pool/pool_internal.h"

int checking_open(struct pool *p, struct error *err);
void checking_free(struct pool *p);                         /* before the scheduler */
void checking_met(struct pool *p, const struct peer *peer); /* it is admitted */
/* A trail that was drawn: true, and taken over, if donors check it now. */
bool checking_gives(struct pool *p, struct trail *t);
/* Has one been given since this was asked last? Then the scheduler has something to send. */
bool checking_began(struct pool *p);
/* A trail of donors that check: true, and taken over. */
bool checking_keeps(struct pool *p, struct trail *own);
/* A check is over; takes the session over. */
void checking_finished(struct pool *p, const struct action_finish *a);
/* The pool has computed a trail, or (known: false) could not. */
void checking_audited(struct pool *p, const struct trail *t, bool known, bool wrong);
uint64_t checking_by_donors(const struct pool *p); /* trails, since the pool started */

#endif
