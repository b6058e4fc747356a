/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's machines with the donors and requests that play against them, for tests/sim: what the
 * pool's loop does (placing layers, carrying out actions), with checks where it would send. Each
 * check fails the cmocka test that is running.
 */
#ifndef AYNI_TESTS_SUPPORT_SIM_WORLD_H
#define AYNI_TESTS_SUPPORT_SIM_WORLD_H

#include "node/pool/scheduler.h"
#include "tests/support/fake_donor.h"

enum { SIM_MAX_DONORS = 10, SIM_MAX_QUEUE = 64, SIM_MAX_REQUESTS = 40, SIM_KV_TOKENS = 100 };

#define SIM_CHECKS                                                                                 \
	(UINT64_C(1) << 32) /* sessions from this on compute once more what others did             \
	                     */

/* What was played, over all scenarios: a test of faults that never happen is no test. */
struct sim_played {
	uint64_t answered, cancelled, failed, units, wrong, lost, crashes, restarts, boasts, leaves,
	    suspected, resumed, pools;
	uint64_t handed, not_handed, wrongly_handed,
	    ahead; /* ahead: units of tokens not drawn yet */
	uint64_t drafted,
	    undrafted; /* guesses of a small model that were taken; that came too late, or never */
	uint64_t traced, inherited;   /* spans of trails: of their own, and begun with */
	uint64_t checks, checks_lost; /* trails that others computed; of which not to the end */
	uint64_t early, partly;       /* units before all layers were ready; over some of them */
	uint64_t alike,
	    alike_lost; /* units with a session that begins with another's; of which refused */
};

/* A unit on its way to a donor, or in its queue. */
struct sim_unit {
	struct msg_work_unit unit; /* spans and closed are owned */
	uint8_t *payload;          /* NULL: it waits for another donor */
	struct hash input;
	bool stale; /* the donor forgot its sessions after this was sent */
};

struct sim_donor {
	bool here;
	int slot;
	uint64_t last_unit;
	struct fake_donor fake;
	uint64_t assignment;
	size_t n_queue;
	struct sim_unit queue[SIM_MAX_QUEUE];
};

struct sim_request {
	uint64_t number;
	struct session_request asked; /* without its tokens */
	uint64_t times;               /* asked again, behind what had come */
	uint32_t n_prompt, n_tokens, n_rows;
	uint32_t tokens[SIM_KV_TOKENS]; /* as answered so far */
	uint32_t n_right;
	uint32_t right[SIM_KV_TOKENS], best[SIM_KV_TOKENS];
	enum finish_reason right_reason;
	uint32_t top;
	bool finished;
};

/* Guesses that a session asked for. */
struct sim_draft {
	uint64_t session; /* 0: none */
	uint32_t at, most;
};

struct sim_world {
	uint64_t random, now_us, next_assignment;
	uint32_t stages;
	bool calm; /* no more faults */
	struct roster *roster;
	struct scheduler_limits limits;
	struct scheduler *scheduler;
	struct actions actions;
	struct sim_donor donors[SIM_MAX_DONORS];
	size_t n_requests;
	struct sim_request requests[SIM_MAX_REQUESTS];
	struct sim_draft drafts[SIM_MAX_REQUESTS]; /* not answered, by request */
	const struct catalog_model *model;
	struct sim_played *played;
	uint64_t n_checks; /* given to donors */
	uint64_t bookable; /* the unit whose right result is being given; 0: none */
};

uint64_t sim_random(struct sim_world *w);
uint32_t sim_below(struct sim_world *w, uint32_t n);
bool sim_chance(struct sim_world *w, uint32_t percent);

/* Without donors and requests. */
void sim_start_pool(struct sim_world *w, const struct catalog *catalog);
void sim_free_pool(struct sim_world *w);
/* A new donor joins and makes an offer, if there is room for one. */
void sim_join(struct sim_world *w, uint64_t memory_bytes, uint32_t max_layers);
/* The donor is no more; the roster is not told. */
void sim_end_donor(struct sim_donor *d);
void sim_remove_donor(struct sim_world *w, struct sim_donor *d); /* as the pool does */
void sim_drop_unit(struct sim_donor *d);                         /* the first of its queue */
/* Bring the first unit that the donor may run to the front; false: there is none. */
bool sim_next_unit(struct sim_donor *d);
/* Payload is copied. False: nobody waits for it. */
bool sim_hand_over(
    struct sim_world *w, const struct public_key *to, uint64_t ticket, struct span payload);
/* The donor says that it cannot do the first unit of its queue. */
void sim_fail_head(struct sim_world *w, struct sim_donor *d, enum refusal reason);
/* It computes the first that it may run, hands the result on, or lies, as chance has it. */
void sim_compute_head(struct sim_world *w, struct sim_donor *d);
/* A small model answers what it was asked, rightly, wrongly or not at all, as chance has it. */
void sim_answer_draft(struct sim_world *w);
/* Has it layers, or fetches them? */
bool sim_holds(const struct roster_donor *d);
/* Bring what donors hold closer to what they should, as the pool's loop does. */
void sim_place(struct sim_world *w);

/* Carry out what the machines want, and check that it may be done. */
void sim_carry_out(struct sim_world *w);
/* What donors stood for in sessions that left their paths is right, to the last hash. */
void sim_check_trails(struct sim_world *w);
/* The scheduler's turn, then all invariants. */
void sim_advance(struct sim_world *w);

#endif
