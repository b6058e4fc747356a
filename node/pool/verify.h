/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pool computes once more, and what follows: trails of the scheduler to the auditor's
 * thread and back, donors' records (trust.h) in memory, in the database and in the log, verdicts to
 * the books, and ends of answers that wait for one. Of the pool's loop; does I/O.
 */
#ifndef AYNI_NODE_POOL_VERIFY_H
#define AYNI_NODE_POOL_VERIFY_H

#include "node/pool/pool_internal.h"

int verify_open(struct pool *p, struct error *err); /* after the models, before the machines */
bool verify_wants_trails(const struct pool *p);
int verify_watch(struct pool *p, struct error *err); /* after machines and loop */
void verify_free(struct pool *p);                    /* before the scheduler */
/* It is in the roster. */
void verify_joined(struct pool *p, int slot);
/* Does a right result of this donor count? */
bool verify_pays(const struct pool *p, const struct roster_donor *d);
/* A books_believes_fn. */
enum books_belief verify_believes(void *pool, const struct public_key *donor);
/* After the scheduler's turn. */
void verify_run(struct pool *p);
bool verify_is_busy(const struct pool *p);
/* An answer is over: the member is told, perhaps later. Takes the session over. */
void verify_finish(struct pool *p, const struct action_finish *a);
/* Pardons that the operator asks for (node/pardons.h). */
void verify_pardon(struct pool *p);
/* The connection of a member ended. */
void verify_forget_member(struct pool *p, uint32_t peer);
void verify_save(struct pool *p); /* what changed since the last time */
void verify_describe_donor(
    const struct pool *p, const struct roster_donor *d, struct status_donor *out);
void verify_describe(const struct pool *p, struct msg_status *out);

#endif
