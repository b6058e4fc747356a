/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trail (trail.h) that other donors compute once more: what they are fed next, and whether what
 * they give is what the trail's donors gave. Its spans in their order, wrong guesses too; those
 * that continue each other go together, as a prompt's do.
 *
 * A difference names nobody: one of both is wrong, and only who computes it from the model's file
 * can tell (recheck.h). Where nothing differs, all are right or all of them agreed on a lie.
 *
 * Plain data. One thread.
 */
#ifndef AYNI_NODE_POOL_CHECK_H
#define AYNI_NODE_POOL_CHECK_H

#include "compute/model.h"
#include "node/pool/trail.h"

struct check {
	struct trail *trail; /* held */
	uint32_t d_model, n_layers;
	uint32_t n_positions;     /* that the trail comes to */
	uint32_t top;             /* logits that a row needs, for all of them */
	struct trail_group group; /* that is out, or was fed last */
	uint64_t n_compared;      /* parts */
	bool last_compared;       /* something of its last span is among them */
	bool missed;              /* memory was out for something */
	bool differs;
	uint32_t span, layer; /* if so: the first that was seen, behind so many layers */
};

/* The trail is held. AYNI_ERR_MEMORY; AYNI_ERR_ARGUMENT: nothing in it can be compared. */
int check_new(
    struct trail *t, const struct model_sizes *sizes, struct check **out, struct error *err);
void check_free(struct check *c); /* NULL is fine */

/* Tokens in the next unit, at least: a span goes as a whole. */
uint32_t check_least(const struct check *c);
/* The next that is fed, at most so many tokens if more than one span: fills out but for its
 * session. Returns the tokens, which the trail owns. */
const uint32_t *check_take(struct check *c, uint32_t most_tokens, struct unit_span *out);
/* What came of it behind so many layers, not the last. */
void check_activations(struct check *c, uint32_t layer, const uint8_t *rows);
/* And its rows of logits, of `top` each. */
void check_rows(struct check *c, uint32_t top, const uint8_t *rows);
/* Goes on behind it: *position is where. False: all is fed, or something differs. */
bool check_next(struct check *c, uint32_t *position);

/* All was fed, and is the same: whether what was compared says so of all the trail. */
bool check_agrees(const struct check *c);

#endif
