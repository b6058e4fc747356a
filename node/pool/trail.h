/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the donors of a path stood for while they computed one session, from its first position on:
 * each span that was fed, its tokens, and the hashes of its parts (node/work.h) after each layer,
 * whichever donor that is of. With canonical arithmetic that is all it takes to find out later
 * whether it was right, and who was wrong first, in which layer: one that differs although all
 * layers before it, and all of it before, were right.
 *
 * A trail ends when its session leaves the path. A session that begins with another's keys and
 * values begins with its trail too, so that each trail is whole from position 0. It is bounded:
 * what comes past TRAIL_MOST_BYTES, or past the budget of all trails, is not recorded.
 *
 * Plain data with a count of its holders, all in one thread; another may read one that has ended
 * while it is held for it. Tokens are wiped when the last holder lets go.
 */
#ifndef AYNI_NODE_POOL_TRAIL_H
#define AYNI_NODE_POOL_TRAIL_H

#include "node/chain.h"
#include "protocol/frame.h"

enum { TRAIL_MOST_BYTES = 64 << 20, TRAILS_MOST_BYTES = 1 << 30 };

struct trail_budget;

/* A result as its donor signed it, held by all whose spans it ends. */
struct statement {
	unsigned holders;
	struct trail_budget *budget; /* that it counts in */
	uint8_t envelope[FRAME_BYTES];
	size_t header_len;
	uint8_t header[];
};

struct trail_stage {
	int donor; /* slot in the roster, while the trail is being recorded */
	struct public_key key;
	struct layer_range layers;
	/* Of all that is recorded, owned and held: the donor's chain, and its word for that. */
	struct chain chain;
	struct statement *statement; /* NULL: not known */
};

struct trail_span {
	uint32_t position, n_tokens, n_logits;
	uint32_t top;         /* logits in a row of its unit */
	uint32_t first_token; /* of the trail's tokens */
	uint32_t first_hash;
};

/* What all trails of a pool take. */
struct trail_budget {
	size_t used_bytes, most_bytes;
};

struct trail {
	uint64_t session;
	uint32_t model;
	enum wire_type wire;
	uint32_t n_stages, n_layers;
	struct trail_stage *stages;
	uint32_t n_spans, n_tokens, n_hashes;
	struct trail_span *spans;
	uint32_t *tokens; /* that were fed, guesses that were wrong too */
	struct hash *hashes;
	uint32_t n_inherited; /* of the spans, those of the session that it began with */
	uint32_t n_missed;    /* spans behind these that were not recorded */
	uint32_t room_spans, room_tokens, room_hashes;
	struct trail_budget *budget;
	unsigned holders;
	struct trail *next; /* in a list of its only holder */
};

/* Stages are copied, without chain and statement. NULL: out of memory. The budget is borrowed, and
 * outlives it. */
struct trail *trail_new(uint64_t session, uint32_t model, enum wire_type wire,
    const struct trail_stage *stages, uint32_t n_stages, struct trail_budget *budget);
struct trail *trail_hold(struct trail *t); /* NULL is fine */
void trail_release(struct trail *t);

/*
 * A span came back from all stages, and these are its hashes: after each layer of the model those
 * of its parts, layer by layer, trail_hashes in number. Where there is no room for it, it and all
 * that follow are counted as missed.
 */
void trail_add(struct trail *t, const struct unit_span *span, uint32_t top, const uint32_t *tokens,
    const struct hash *hashes);
/* An empty trail begins with the first n positions of another one of the same stages; n is whole
 * pages. What does not fit, or was not recorded there, is missed. */
void trail_begin_with(struct trail *t, const struct trail *from, uint32_t n);
/* The last span's result, of a stage: its donor's word for all up to there. NULL: not known. */
void trail_vouch(struct trail *t, uint32_t stage, struct statement *s);
/* It has nothing of its own any more, nor of another. */
void trail_empty(struct trail *t);

/* The spans from this one on that go together (node/work.h). */
struct trail_group {
	uint32_t first; /* span */
	struct work_run run;
};
struct trail_group trail_group(const struct trail *t, uint32_t first, uint32_t most_tokens);

/* That a session comes to which follows it; at least 1. */
uint32_t trail_positions(const struct trail *t);

/*
 * How many parts a span has after a layer, and their hashes, wherever the path was cut: of its
 * activations, and after the model's last layer of its rows of logits.
 */
size_t trail_parts(const struct trail *t, const struct trail_span *span, uint32_t layer);
const struct hash *trail_after(
    const struct trail *t, const struct trail_span *span, uint32_t layer);
size_t trail_hashes(const struct trail *t, const struct trail_span *span); /* of all layers */
/* NULL: past the budget, or out of memory. */
struct statement *statement_new(
    struct trail_budget *budget, struct span envelope, struct span header);
struct statement *statement_hold(struct statement *s); /* NULL is fine */
void statement_release(struct statement *s);

/* The stage that a layer is of. */
uint32_t trail_stage(const struct trail *t, uint32_t layer);

#endif
