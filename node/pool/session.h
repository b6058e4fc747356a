/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request being answered: its tokens so far, how many of them the donors' KV caches hold, and
 * how the next one is drawn.
 *
 *   WAITING --bound to a path--> READY --span sent--> FLYING --logits--> READY ... --> DONE
 *      ^                           |                     |
 *      +------- path lost: fed = 0, all is replayed -----+
 *
 * A plain state machine. The pool owns the token history, so any donor can vanish: the tokens are
 * fed again, and canonical arithmetic gives the same logits. Guessed tokens (draft.h) may be fed
 * behind the known ones; those that the draw confirms are kept, so that a trip may give several.
 * They come from the text itself or, asked for while it is READY, from a small model (drafter.h).
 * The text leaves as it is drawn, reasoning apart from the answer.
 *
 * Many may wait for long: until session_prepare a session is little more than the tokens it came
 * with. Tokens and text are wiped wherever they are left. One thread.
 */
#ifndef AYNI_NODE_POOL_SESSION_H
#define AYNI_NODE_POOL_SESSION_H

#include "compute/reasoning.h"
#include "compute/sampler.h"
#include "compute/wire.h"
#include "node/pool/check.h"
#include "node/pool/draft.h"
#include "node/pool/gain.h"
#include "node/pool/logprobs.h"
#include "node/pool/prefix.h"
#include "protocol/message_types.h"

enum session_state { SESSION_WAITING, SESSION_READY, SESSION_FLYING, SESSION_DONE };

struct session_request {
	uint64_t id;      /* number in the registry; donors know the session by it */
	uint32_t peer;    /* whose request */
	uint64_t request; /* the member's number for it */
	uint32_t model;
	uint32_t *tokens;   /* prompt, and what was drawn before; ownership passes to the session */
	uint32_t n_tokens;  /* of the prompt */
	uint32_t n_drawn;   /* behind it, of an answer that broke off: the member has them */
	uint32_t kv_tokens; /* positions a session may have */
	uint32_t n_vocabulary;
	struct sampler_settings sampling;
	uint32_t max_tokens; /* 0: no limit but the context */
	enum wire_type wire; /* of activations between its layers */
	uint32_t top;        /* logits for the member, each position; 0 none */
	uint32_t logprobs;   /* 1 + alternatives told of each token drawn; 0: none are */
	bool ignore_end;
	enum tool_format tool_format; /* whose signs its text shows */
	bool plain;                   /* all text is answer: the prompt came without a template */
};

/* Text that grows. */
struct session_text {
	uint8_t *data;
	size_t len, capacity;
};

/* Guesses of a small model, which come as an event. */
struct session_drafting {
	struct draft draft; /* how well they went */
	struct gain gain;
	bool told;         /* that one knows of the text */
	bool out;          /* an answer of it is to come */
	uint32_t asked_at; /* tokens that were known when guesses were asked for */
	uint64_t until_us; /* it waits for them so long; 0: it does not */
	uint32_t n;        /* that came, behind the tokens */
	bool rode;         /* those in the span that is out are the small model's */
	enum way way;      /* of the span that is out */
	bool timed;        /* since the last token nothing was fed again */
};

struct session {
	struct session_request r;
	enum session_state state;
	uint32_t *tokens; /* [capacity] prompt, then what was drawn, then what is guessed */
	uint32_t capacity;
	uint32_t n_tokens;  /* without the guessed */
	uint32_t n_guessed; /* in the span that is out */
	struct draft draft;
	struct session_drafting drafting;
	uint32_t n_fed; /* positions that the path's donors hold */
	uint64_t from;  /* not 0: its donors are to begin it with n_fed positions of this session */
	uint32_t n_reused; /* positions that it began with, instead of computing them */
	struct prefix prefix;
	uint32_t n_reported; /* rows of logits the member has */
	uint32_t path;
	struct trail *trail;    /* held; of this path. NULL: there is none */
	struct check *check;    /* owned; NULL: a member's. Else see session_new_check */
	uint64_t shunned;       /* assignment of the donor that failed it last, without a blame;
	                           others go first; 0: none did */
	bool not_finite;        /* a donor says so of its numbers */
	uint32_t replays;       /* since the last token; the scheduler counts them */
	struct reasoning *text; /* NULL until it is prepared */
	struct session_text answer, thoughts;   /* of the last step */
	struct logprobs *logprobs;              /* [DRAFT_MAX + 1] likewise; NULL: not wanted */
	uint64_t arrived_us, first_us, last_us; /* first and last token drawn */
	uint64_t wait_until_us;                 /* 0: not waiting for coverage */
	bool told;                              /* that layers are missing */
	size_t n_shares;
	struct share *shares; /* who computed what */
};

/* Rows of logits in a payload (node/work.h). */
struct logit_rows {
	uint32_t n_rows, top;
	const uint8_t *data;
};

/* On failure (AYNI_ERR_MEMORY) r->tokens is freed too. */
int session_new(
    const struct session_request *r, uint64_t now_us, struct session **out, struct error *err);
/*
 * One that computes a trail (held) once more and compares, instead of answering: its spans are fed
 * as the trail has them, and nothing is drawn. r->id and the context are the caller's, the rest is
 * the trail's. AYNI_ERR_MEMORY; AYNI_ERR_ARGUMENT for a trail that cannot be followed.
 */
int session_new_check(const struct session_request *r, struct trail *t,
    const struct model_sizes *sizes, uint64_t now_us, struct session **out, struct error *err);
void session_free(struct session *s);                       /* wipes the history */
void session_request_free(const struct session_request *r); /* its tokens, wiped */

/* Positions that it can come to, at most, and what their keys and values take of a donor's room. */
uint32_t session_most_tokens(const struct session *s);
uint32_t session_pages(const struct session *s);
/*
 * Room for all that it may become, before it is bound for the first time; from then on drawing
 * allocates no tokens. The tokenizer is borrowed. AYNI_ERR_MEMORY: it is as before.
 */
int session_prepare(struct session *s, const struct tokenizer *t);

/* Logits wanted in each row: for the member, or for drawing. */
uint32_t session_top(const struct session *s);
/* One token is left to feed: an answer is being written. Else a prompt is being read. */
bool session_decodes(const struct session *s);
/* The next tokens to feed, at most `chunk`, and at most `guesses` behind the last: READY → FLYING.
 */
void session_take_span(struct session *s, uint32_t chunk, uint32_t guesses, struct unit_span *out);
/* Would guesses follow the last token, if it were fed now? */
bool session_foresees(struct session *s, uint32_t guesses);
/*
 * May a donor draw its tokens too, by what the unit says alone, and go on from them before they are
 * drawn here? `steps`: how many tokens are not drawn yet; it must want one more behind these.
 */
bool session_runs_ahead(const struct session *s, uint32_t steps);
/* Its next token is under way already: READY → FLYING, as if one token had been taken. */
void session_fly_on(struct session *s);
/* How many may be guessed behind the last token, at most `most`. A session that reports rows of
 * logits has none: they would be of tokens that may never be. */
uint32_t session_room_for_guesses(const struct session *s, uint32_t most);
/* How many guesses of a small model it can use, at most `most`. */
uint32_t session_wants_drafted(const struct session *s, uint32_t most);
/* They are asked for now: READY, but it waits for them until then. */
void session_ask(struct session *s, uint64_t until_us);
void session_wait_no_more(struct session *s);
/* What is guessed behind its first `at` tokens. False: it comes too late, and is of no use. */
bool session_drafted(struct session *s, uint32_t at, const uint32_t *tokens, uint32_t n);
/* All guesses so far, and how many were right. */
void session_count_guesses(const struct session *s, uint64_t *guessed, uint64_t *right);
/* Path lost, or never there: all is fed again. READY or FLYING → WAITING. */
void session_rewind(struct session *s);
void session_bind(struct session *s, uint32_t path); /* prepared: WAITING → READY */
/* Just bound: another session of this path has the same first n tokens. */
void session_begin_with(struct session *s, uint64_t from, uint32_t n);
void session_begin_alone(struct session *s); /* not after all; no span is out */

struct session_step {
	uint32_t rows_first, n_rows; /* of the rows given, those the member has not seen */
	uint32_t n_drawn;
	const uint32_t *drawn;           /* in the session's tokens */
	const struct logprobs *logprobs; /* of those drawn, or NULL; like the text, valid */
	struct reasoning_text text;      /* until the session's next step */
	bool finished;
	enum finish_reason reason;
};
/* The span came back with its rows of logits (top >= session_top): FLYING → READY or DONE. */
int session_logits(struct session *s, const struct unit_span *span, const struct logit_rows *rows,
    const struct tokenizer *t, uint64_t now_us, struct session_step *out);
/* After the last step: what is left of a character that never became whole, as U+FFFD. */
int session_rest(struct session *s, struct reasoning_text *out);
/* No more is wanted, or possible. */
void session_end(struct session *s);

/* Credit a donor's part in this answer. */
int session_share(
    struct session *s, const struct public_key *donor, const char *name, struct layer_range layers);
void session_check(const struct session *s); /* invariants */

#endif
