/* SPDX-License-Identifier: Apache-2.0 */
/* Of the scheduler: sessions that compute a trail once more (check.h), and give way to all others.
 */
#ifndef AYNI_NODE_POOL_CHECKS_H
#define AYNI_NODE_POOL_CHECKS_H

#include "node/pool/scheduler_internal.h"

/* It is over, and says nothing of its trail. */
void check_lose(struct scheduler *s, struct session *check, const char *why, struct actions *q);
/* A member's session wants room: one ends; false: there is none. */
bool checks_give_way(struct scheduler *s, uint32_t model, struct actions *q);
/* Those that took too long end. */
void checks_run(struct scheduler *s, uint64_t now_us, struct actions *q);
uint64_t checks_next_us(const struct scheduler *s); /* when the next has; 0: there is none */
/* Tokens that one may put into a unit now, if a span has no more. */
uint32_t checks_tokens(const struct scheduler *s, const struct path *p);

#endif
