/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trails (trail.h) of the scheduler's sessions: from what donors say of a flight's units to
 * what they stand for of each session. Part of the scheduler (scheduler_internal.h).
 */
#ifndef AYNI_NODE_POOL_TRAILS_H
#define AYNI_NODE_POOL_TRAILS_H

#include "node/pool/trail.h"

struct scheduler;
struct session;
struct flight;
struct leg;

/* What a donor said with a unit's result; all zeros: nothing is known. */
struct word {
	struct hash
	    *hashes; /* owned; of all parts after each of its layers, or of rows of logits */
	struct hash *chains;         /* owned; of its spans */
	struct statement *statement; /* held */
};

void trails_begin(struct scheduler *s, struct session *session); /* it is bound to its path */
void trails_begin_with(struct scheduler *s, struct session *session, uint64_t from, uint32_t n);
void trails_end(struct scheduler *s, struct session *session); /* it leaves its path */

/* The result of a leg, whose output is set. */
void trails_note(struct scheduler *s, struct leg *leg, const struct msg_result *r);
void trails_forget(struct word *w);
/* Does the donor of a stage stand for what it was given and gave before, and no more? All stages
 * before it are in, and what it took is what they gave. */
bool trails_fit(const struct scheduler *s, const struct flight *f, uint32_t stage);
void trails_disembark(const struct scheduler *s, struct flight *f);  /* before sessions go */
void trails_land(const struct scheduler *s, const struct flight *f); /* before sessions draw */

bool trails_has_room(const struct scheduler *s); /* for those of sessions that ended */
void trails_free(struct scheduler *s);

#endif
