/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pool's state machines want done, in order. What must be durable (BOOK) stands before
 * what is sent, and the loop keeps that order. The queue owns texts and payloads of its actions.
 */
#ifndef AYNI_NODE_POOL_ACTION_H
#define AYNI_NODE_POOL_ACTION_H

#include "node/pool/session.h"

enum action_kind {
	ACTION_BOOK,     /* a result was right: credit the donor */
	ACTION_PIECE,    /* tell the member what was drawn, or a notice */
	ACTION_FINISH,   /* the answer is over; the session is freed by the loop afterwards */
	ACTION_UNIT,     /* send a work unit */
	ACTION_HANDOVER, /* give a unit its input, where another donor could not */
	ACTION_WITHDRAW, /* a unit's input will not come */
	ACTION_DRAFT     /* ask the small model what a session says next */
};

/* What of a unit is one session's. */
struct action_book_span {
	uint64_t session;
	uint32_t tokens;
	bool late; /* its answer is over: nobody waits for this */
	struct flop cost;
};

struct action_book {
	int donor; /* slot */
	uint32_t model;
	struct layer_range layers, ran; /* that the donor has, and of these, that the unit ran */
	uint64_t unit;
	uint64_t tokens;
	struct flop cost;
	size_t n_spans;
	struct action_book_span *spans; /* owned */
	struct hash result;
	bool handed;                  /* to the next donor, not to the pool */
	uint64_t away_us, compute_us; /* from sending to the result; of that, as the donor says */
};

struct action_piece {
	const struct session *session;
	char *text; /* owned: text_len bytes of answer, then reasoning_len bytes; NULL: none */
	size_t text_len, reasoning_len;
	uint32_t n_drawn;
	uint32_t drawn[DRAFT_MAX + 1];
	struct logprobs *logprobs; /* owned: [n_drawn]; NULL: none */
	uint8_t *rows;             /* owned; NULL: none */
	size_t rows_len;
	uint32_t n_rows;
	char notice[TEXT_LONG];
};

struct action_finish {
	struct session *session; /* ownership passes */
	enum finish_reason reason;
	enum finish_failure failure;
	char text[TEXT_LONG];
};

struct action_unit {
	int donor;
	struct msg_work_unit unit; /* spans and closed: owned by the action */
	uint8_t *payload;          /* owned */
	size_t payload_len;
};

struct action_handover {
	int donor;
	uint64_t ticket;
	uint8_t *payload; /* owned */
	size_t payload_len;
};

struct action_withdraw {
	int donor;
	uint64_t unit;
};

struct action_draft {
	const struct session *session;
	uint32_t most;     /* guesses; 0: it is to know of the session's text */
	uint64_t until_us; /* later they are of no use; 0: none are waited for */
};

struct action {
	enum action_kind kind;
	union {
		struct action_book book;
		struct action_piece piece;
		struct action_finish finish;
		struct action_unit unit;
		struct action_handover handover;
		struct action_withdraw withdraw;
		struct action_draft draft;
	};
};

struct actions {
	size_t n, capacity;
	struct action *list;
};

/* A zeroed action at the end of the queue; NULL if memory is out. */
struct action *actions_add(struct actions *q, enum action_kind kind);
/* Put units before the pieces and ends of answers that stand right before them, in their order: a
 * donor waits for its unit, and signing a piece for each session takes long. */
void actions_units_first(struct actions *q);
/* Release what the actions own (sessions are not theirs) and empty the queue. */
void actions_clear(struct actions *q);
void actions_free(struct actions *q);

#endif
