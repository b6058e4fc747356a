/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the scheduler share; see scheduler.h. */
#ifndef AYNI_NODE_POOL_SCHEDULER_INTERNAL_H
#define AYNI_NODE_POOL_SCHEDULER_INTERNAL_H

#include "node/pool/scheduler.h"
#include "node/pool/trails.h"

enum {
	MAX_PATHS = 256,
	MAX_FLIGHTS = 1024,
	PREFILL_CHUNK = 128,     /* tokens of one session in a unit */
	BATCH_TOKENS = 256,      /* tokens of all sessions in a unit */
	READ_BESIDE_TOKENS = 32, /* of prompts, in a unit with a session that decodes */
	GUESS_TOKENS = 16, /* a unit of more gets no guesses: there each costs as much as a token */
	LARGE_ROW = 8 << 20, /* bytes of logits a unit may ask for */
	MAX_CLOSED_A_UNIT = 1024,
	MAX_CLOSED = 1 << 16,
	MAX_KEPT = 256,
	STILL_USED_US = 1000000, /* a kept session that is too old, but that another begins with */
	CROWD = 2, /* sessions a path may have more than another, if it knows a session's tokens */
	PACE_TOKENS = 8, /* about as many take no longer than one: memory is read once for all */
	STALL_TIMES = 8, /* as long as usual: the donor's worker stands still */
	STALL_LEAST_US = 500000,
	STALL_FIRST_US = 800000, /* at least, for the first units of a donor */
	STALL_HANDED_US =
	    250000,             /* at least, where the input may be lost: it is soon tried again */
	DRAFT_WAIT_US = 100000, /* a session waits no longer for guesses; */
	DRAFT_WAIT_TOKENS = 2,  /* nor longer than so many tokens take without */
	MAX_REPLAYS = 32 /* of one session, without a token in between, for more than suspicions */
};

/* One stage's unit of a flight. */
struct leg {
	uint64_t unit; /* number; 0: not sent */
	uint64_t from; /* ticket of what is handed over to it; 0: the pool sent its input */
	uint64_t to;   /* ticket of what it hands over; 0: its result comes to the pool */
	uint64_t sent_us;
	uint64_t begun_us; /* since when its donor has all it needs; 0: it waits for another */
	bool done;
	struct hash input;  /* as its donor says, if it was handed over */
	struct word word;   /* what its donor stands for */
	struct hash output; /* of the result, handed over or not: over its parts */
};

struct flight {
	struct leg *legs;     /* [n_stages of the path], owned; NULL: free slot */
	uint32_t path, stage; /* stage: the first whose result is not in */
	uint32_t sent;        /* the first that was not sent its unit */
	/*
	 * It follows the session's other flight: the last stage of that hands the token that it
	 * draws to the first stage of this one. `token`: hash of the token that was drawn here.
	 */
	bool ahead;
	struct hash token;
	uint8_t *result; /* owned; payload of the last stage that was sent its unit, once it came */
	struct msg_work_unit work; /* owns spans */
	struct session **sessions; /* [work.n_spans]; an entry is NULL once its session ended */
};

/* A session that its donor may forget. */
struct closed {
	struct path_stage at;
	uint64_t session;
	uint64_t told_in; /* first unit that says so; 0: none yet */
};

/* A session that ended and that its donors still hold: others begin with what it has in common. */
struct kept {
	uint64_t session;
	uint32_t path;
	uint32_t pages; /* that it takes of its donors' room */
	uint64_t until_us;
	struct prefix prefix; /* owned */
	struct trail *trail;  /* held; may be NULL */
};

struct scheduler {
	const struct catalog *catalog;
	struct roster *roster;
	struct pairs *pairs; /* owned */
	struct scheduler_limits limits;
	uint64_t next_unit, next_ticket;
	uint64_t stall_ends_us; /* when the first donor that stalls counts as failed; 0: none */
	/* Each session is in one of these. What is done often looks at no session that waits. */
	size_t n_bound, n_waiting;
	struct session **bound;   /* [max_sessions], in order of binding */
	struct session **waiting; /* [max_sessions + max_waiting], in order of arrival */
	size_t turn;              /* bound session that is asked first, so that all are served */
	uint64_t wait_ends_us; /* when the first has waited long enough for layers; 0: none does */
	uint32_t n_paths, n_flights; /* slots below these were used */
	struct path paths[MAX_PATHS];
	struct gain gains[MAX_PATHS]; /* of a small model's guesses, as it was seen there last */
	struct flight flights[MAX_FLIGHTS];
	size_t n_kept;
	struct kept kept[MAX_KEPT]; /* in order of their ends */
	struct trail_budget trail_budget;
	struct trail *trails, **trails_end; /* that ended, and were not taken yet */
	size_t n_closed;
	struct closed closed[MAX_CLOSED]; /* not yet heard by their donors */
};

/* binding.c: sessions and the paths they are bound to */
bool session_is_bound(const struct session *s);
size_t binding_sessions(const struct scheduler *s); /* all of them: [0, n) of binding_session */
struct session *binding_session(const struct scheduler *s, size_t i);
void binding_release(struct scheduler *s, struct session *session);
void binding_rewind(struct scheduler *s, struct session *session);
/* It is bound no more; its donors still hold it. */
void binding_leave(struct scheduler *s, struct session *session);
/* Tell a path's donors that they may forget this session. */
void binding_close(struct scheduler *s, const struct path *p, uint64_t session);
/* The action, to say more in it; NULL if memory is out. */
struct action_finish *binding_finish(struct scheduler *s, struct session *session,
    enum finish_reason reason, const char *text, struct actions *q);
void binding_run(struct scheduler *s, uint64_t now_us, struct actions *q);
/* Name the sessions that are closed at a stage in the unit that goes there. */
void binding_attach_closed(
    struct scheduler *s, const struct path_stage *at, struct msg_work_unit *u);
/* The unit's result came: what it said of closed sessions was heard. */
void binding_closed_heard(struct scheduler *s, const struct path_stage *at, uint64_t unit);

/* kept.c: sessions that ended, for those that begin alike */
struct source {
	uint64_t session; /* 0: none */
	uint32_t path;
	uint32_t n_tokens; /* in common */
};
/* Instead of releasing a session that has ended, keep what its donors hold, if that is worth it. */
void kept_add(struct scheduler *s, struct session *session, uint64_t now_us);
/* Who has most in common with it, on a path with room: kept, or bound itself. */
struct source kept_find(struct scheduler *s, struct session *session);
/* Its donors may hold it no more: nobody begins with it. */
void kept_lose(struct scheduler *s, uint64_t session);
/* It is replayed: who was to begin with it begins alone. */
void kept_restart(struct scheduler *s, uint64_t session);
/* A session is bound to this path: its donors give up kept ones until it has room. */
void kept_make_room(struct scheduler *s, const struct path *p);
/* Give up what is too old, and what lies on broken paths. */
void kept_run(struct scheduler *s, uint64_t now_us);
uint64_t kept_next_us(const struct scheduler *s); /* 0: nothing is kept */

/* flights.c: batches on their way */
void flights_run(struct scheduler *s, uint64_t now_us, struct actions *q);
/* The flight and the stage that this unit of this donor belongs to; NULL: it is not out. */
struct flight *flight_find(struct scheduler *s, int donor, uint64_t unit, uint32_t *stage);
/* The one that begins with the token that this one's last stage hands on; NULL: there is none. */
struct flight *flight_follower(struct scheduler *s, const struct flight *f);
/* At most so many sessions of a path board one flight, so that each flight gets some. */
uint32_t flight_most_spans(const struct path *p);
/* Behind a flight of one session's token, the next token's. */
void flight_launch_ahead(struct scheduler *s, struct flight *f, uint64_t now_us, struct actions *q);
/* May the last stage hand its token on to the first? */
bool flight_may_ring(struct scheduler *s, const struct flight *f, uint64_t now_us);
/* What a layer should take a donor, a token or a few: as measured, else as placed; 0: not known. */
uint64_t flight_layer_us(const struct roster_donor *d);
/* When the donor of its stage seems to stand still; 0: that waits for another. */
uint64_t flight_stalls_us(const struct scheduler *s, const struct flight *f);
/* When its stage has failed. */
uint64_t flight_deadline_us(const struct scheduler *s, const struct flight *f);
/* It ends here, with those that follow it or that it follows. */
void flight_abandon(struct scheduler *s, struct flight *f, struct actions *q);
/* The stage's donor did not do its part: no more work over this path. */
void flight_blame(
    struct scheduler *s, struct flight *f, uint32_t stage, uint32_t strikes, struct actions *q);
/* Its sessions are replayed elsewhere. */
void flight_drop(struct scheduler *s, struct flight *f, struct actions *q);
void flight_clear(struct scheduler *s, struct flight *f);

/* drafts.c: guesses of a small model */
/* Ask for them, where they are worth it. */
void drafts_run(struct scheduler *s, uint64_t now_us, struct actions *q);
/* Would the session's next trip go better with them? Then nothing flies ahead of it. */
bool drafts_want(const struct scheduler *s, const struct session *session);
uint64_t drafts_next_us(const struct scheduler *s); /* 0: nobody waits for them */

/* legs.c: the units of a flight, and their results */
/* Send the next stage's unit, and those of the stages that get their input from it directly.
 * `payload` is taken over; NULL: the token is handed over. False: the flight was dropped. */
bool legs_send(struct scheduler *s, struct flight *f, uint8_t *payload, size_t payload_len,
    uint64_t now_us, struct actions *q);
enum refusal legs_result(struct scheduler *s, struct flight *f, uint32_t stage,
    const struct msg_result *r, struct span payload, uint64_t now_us, struct actions *q,
    struct error *why);
/* What was handed over to this stage was lost, or is wrong. */
void legs_input_lost(struct scheduler *s, const struct flight *f, uint32_t stage, uint64_t now_us);
/* It is handed what it gave itself. */
bool legs_from_itself(const struct scheduler *s, const struct flight *f, uint32_t stage);
/* Tell the donors that wait for input which will not come. */
void legs_withdraw(struct scheduler *s, const struct flight *f, struct actions *q);

#endif
