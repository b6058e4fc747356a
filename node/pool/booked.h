/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that is booked and in no receipt yet: windows, each of one session at one donor.
 *
 *   OPEN ──its path is left──► WAITING ──looked at──► SETTLED ──► a receipt, or nothing
 *     └── it is not looked at, or is full ──────────────▲
 *
 * What comes of a settled window depends on its donor, whom others know (books.h). Units that come
 * when their session has ended, a token behind the end of its answer, still go into its window. A
 * plain state machine: no I/O, no clock. One thread.
 */
#ifndef AYNI_NODE_POOL_BOOKED_H
#define AYNI_NODE_POOL_BOOKED_H

#include <uthash.h>

#include "node/pool/action.h"
#include "protocol/receipt.h"
#include "storage/windows.h"

enum { BOOKED_WINDOWS_MAX = 1 << 16 };

enum booked_state { BOOKED_OPEN, BOOKED_WAITING, BOOKED_SETTLED };

struct booked_key {
	uint64_t session; /* number; 0: of an earlier run */
	struct public_key donor;
};

struct booked_window {
	struct window w;
	struct booked_key key;
	enum booked_state state;
	const void *recheck; /* WAITING: for what this finds */
	enum verification verification;
	bool gap;     /* some of it cannot be looked at, and its donor could know */
	bool unsaved; /* changed since it was written down */
	bool saved;   /* written down ever */
	struct booked_window *prev, *next;
	UT_hash_handle hh; /* of those that are open */
};

struct booked;

int booked_new(struct booked **out, struct error *err);
void booked_free(struct booked *b);

/*
 * Work of one session of a unit. *full is its window now, borrowed. AYNI_ERR_LIMIT: there are too
 * many windows; AYNI_ERR_MEMORY.
 */
struct booked_work {
	const struct public_key *donor;
	const struct hash *model;
	const struct pseudonym *name;
	struct layer_range layers;
	uint64_t unit;
	struct hash result;
	uint64_t now_ms;
};
int booked_add(struct booked *b, const struct booked_work *work,
    const struct action_book_span *span, struct booked_window **out, struct error *err);
/* As it was written down by an earlier run. */
int booked_recall(struct booked *b, const struct window *w, struct error *err);

/* A session leaves a donor: its open window waits for a recheck, or for none (NULL). */
void booked_end(struct booked *b, uint64_t session, const struct public_key *donor,
    const void *recheck, bool gap);
/* It is over: its windows that are open still will not be looked at. */
void booked_end_session(struct booked *b, uint64_t session);
/* All windows that wait for this recheck are settled so. */
void booked_judge(struct booked *b, const void *recheck, enum verification v);
/* One that is open, not looked at. */
void booked_settle(struct booked *b, struct booked_window *w);

/* All, in order of their beginning; NULL: no more. */
struct booked_window *booked_first(const struct booked *b);
void booked_drop(struct booked *b, struct booked_window *w);

#endif
