/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread in which a small model guesses (draft_model.h), so that the pool's loop never waits
 * for it. Jobs go in, guesses come out, both by copies; a descriptor says when there are some.
 *
 * Jobs are done in the order in which they came; but who reads a long text lets the next
 * DRAFTER_TURNS go first after each DRAFT_MODEL_CHUNK of it. Each job is answered once, unless its
 * session was forgotten meanwhile. What sessions said and what was guessed is wiped.
 *
 * All functions belong to one thread, the loop's.
 */
#ifndef AYNI_NODE_POOL_DRAFTER_H
#define AYNI_NODE_POOL_DRAFTER_H

#include "node/pool/draft.h"
#include "node/pool/draft_model.h"

enum {
	DRAFTER_JOBS = 64, /* not answered, or not taken yet */
	DRAFTER_TURNS = DRAFT_MODEL_SESSIONS / 2,
	DRAFTER_FORGOTTEN = 64 /* sessions; of more, all are forgotten */
};

struct drafter;

struct drafted {
	uint64_t session;
	uint32_t at; /* tokens of the session that were known */
	uint32_t n;  /* guesses; none if the model could not, or not in time */
	uint32_t tokens[DRAFT_MAX];
};

/* Takes the model over, also on failure. */
int drafter_new(struct draft_model *m, struct drafter **out, struct error *err);
void drafter_free(struct drafter *d); /* waits for what is being computed, a chunk at most */

/* Readable when drafter_take has something. */
int drafter_fd(const struct drafter *d);
/* The tokens are copied. False: too much to do already, or out of memory. */
bool drafter_ask(struct drafter *d, const struct draft_job *job);
/* The next answer; false: there is none now. */
bool drafter_take(struct drafter *d, struct drafted *out);
/* The session ended. */
void drafter_forget(struct drafter *d, uint64_t session);

#endif
