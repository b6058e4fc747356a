/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves sessions through donors: binds waiting sessions to paths, gathers what is ready into work
 * units, hands each result on to the next stage, and lets sessions draw their tokens at the last.
 *
 * A *flight* is one batch of spans on its way along a path; several are in the air, so that no
 * stage waits while another computes. When a donor is lost, its flights are dropped and the
 * sessions rewound: they are replayed elsewhere, and the stream of tokens stays the same.
 *
 * A plain state machine: events and times in, actions out. Borrows the catalog and the roster. One
 * thread.
 */
#ifndef AYNI_NODE_POOL_SCHEDULER_H
#define AYNI_NODE_POOL_SCHEDULER_H

#include "node/pool/action.h"
#include "node/pool/catalog.h"
#include "node/pool/pairs.h"
#include "node/pool/path.h"
#include "node/pool/trail.h"

struct scheduler;

enum {
	CHECKS_MOST = 8,         /* sessions of scheduler_recheck, at once; */
	CHECK_MOST_US = 10000000 /* each takes no longer */
};

struct scheduler_limits {
	uint32_t max_sessions; /* bound to paths at once */
	uint32_t max_waiting;  /* beyond these */
	uint64_t wait_us;      /* for layers that no donor holds */
	uint64_t unit_timeout_us;
	uint64_t keep_us; /* that donors hold a session after its end, for who goes on from it */
	uint32_t draft_tokens;   /* guessed behind a session's last token, at most DRAFT_MAX */
	uint64_t drafted_models; /* of the catalog, by bits, that a small model guesses for */
	uint64_t first_unit;     /* numbers of units go on from here */
	bool trails;             /* are wanted: scheduler_take_trail */
};

int scheduler_new(const struct catalog *c, struct roster *r, const struct scheduler_limits *limits,
    struct scheduler **out, struct error *err);
void scheduler_free(struct scheduler *s);

/*
 * A new request. Takes r->tokens over, also on failure: AYNI_ERR_LIMIT if the pool is full,
 * AYNI_ERR_ARGUMENT for a prompt that is empty or does not fit the context.
 */
int scheduler_submit(
    struct scheduler *s, const struct session_request *r, uint64_t now_us, struct error *err);
/* The member cancelled, or is gone (request NULL: all of its requests). FINISH actions follow. */
void scheduler_cancel(
    struct scheduler *s, uint32_t peer, const uint64_t *request, struct actions *q);
/* The pool stops: all requests end with this text. */
void scheduler_fail_all(struct scheduler *s, const char *text, struct actions *q);

/*
 * A donor's result. REFUSAL_NONE: taken. REFUSAL_REPLAY: no such unit is out (late, or twice).
 * Otherwise it was wrong; its sessions are rewound and the path is given up.
 */
enum refusal scheduler_result(struct scheduler *s, int donor, const struct msg_result *r,
    struct span payload, uint64_t now_us, struct actions *q, struct error *why);
/* A donor says that a unit gave no result. */
void scheduler_unit_failed(struct scheduler *s, int donor, const struct msg_unit_failed *u,
    uint64_t now_us, struct actions *q);
/*
 * What the small model guesses behind a session's first `at` tokens (ACTION_DRAFT), perhaps
 * nothing. What comes too late is dropped. An answer that never comes is not waited for.
 */
void scheduler_drafted(
    struct scheduler *s, uint64_t session, uint32_t at, const uint32_t *tokens, uint32_t n);
/* The next trail that ended, for the caller to release; NULL: none now. Those of a session come
 * before its FINISH. */
struct trail *scheduler_take_trail(struct scheduler *s);
/*
 * May donors compute this trail once more now? Nobody waits, and a path without those to avoid has
 * room for it: that path, which is good until the next event. Its results all come here.
 */
bool scheduler_recheckers(struct scheduler *s, const struct trail *t, path_avoid_fn *avoid,
    const void *context, uint64_t now_us, struct path *out);
/* Let them, as session `id`, of no member. It gives way to members, is never replayed, and ends in
 * a FINISH: check_agrees tells, or its `differs`, if it went to its end. AYNI_ERR_MEMORY. */
int scheduler_recheck(struct scheduler *s, uint64_t id, struct trail *t, const struct path *p,
    uint64_t now_us, struct error *err);
/* Which donors its work goes between, and which of them can hand over directly. */
struct pairs *scheduler_pairs(struct scheduler *s);

/* After every event, and when scheduler_next_us says so: bind, time out, send. */
void scheduler_run(struct scheduler *s, uint64_t now_us, struct actions *q);
uint64_t scheduler_next_us(const struct scheduler *s); /* 0: no need */

struct scheduler_counts {
	uint32_t sessions, waiting; /* of a model */
	uint32_t units_out;         /* of all */
};
void scheduler_count(const struct scheduler *s, uint32_t model, struct scheduler_counts *out);
/* Of each donor's slot [ROSTER_MAX_DONORS], when its oldest unit was sent; 0: it has none. */
void scheduler_busy_since(const struct scheduler *s, uint64_t *since_us);
bool scheduler_any_out(const struct scheduler *s);
/* Units out at a donor: it may still answer them while it leaves. */
uint32_t scheduler_units_at(const struct scheduler *s, int donor);
void scheduler_check(const struct scheduler *s); /* invariants */

#endif
