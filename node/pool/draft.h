/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guesses of what a session says next, so that one trip through its donors can confirm several
 * tokens at once. The guess is what followed the last time the text ended as it ends now: text that
 * is quoted, edited or listed repeats itself. Every guess is drawn again from the logits that the
 * donors give for it, so what a session says does not depend on the guesses, only how fast.
 *
 * Origin: Leviathan et al., "Fast Inference from Transformers via Speculative Decoding" (2022);
 * prompt lookup: Saxena, 2023. Here the draw is a function of seed, position and logits
 * (compute/sampler.h), so a guess is right exactly if it is the token drawn.
 *
 * Plain data and pure functions; all zeros is a fresh state. One thread.
 */
#ifndef AYNI_NODE_POOL_DRAFT_H
#define AYNI_NODE_POOL_DRAFT_H

#include "protocol/base.h"

enum {
	DRAFT_MAX = 16,       /* tokens guessed at once */
	DRAFT_LOOKBACK = 8192 /* tokens that are searched */
};

/* How well the guesses for one text went. */
struct draft {
	uint32_t length;  /* to guess next time; 0: the first */
	bool missed;      /* the last guess was wrong from its first token on */
	uint64_t guessed; /* in all */
	uint64_t right;
};

uint32_t draft_length(const struct draft *d); /* how many are worth guessing next time */
/*
 * Up to `most` tokens that may follow tokens[0, n), into out, which may be the tokens behind these;
 * returns their number.
 */
uint32_t draft_guess(
    const struct draft *d, const uint32_t *tokens, uint32_t n, uint32_t *out, uint32_t most);
/* Of the last `guessed` tokens the first `right` were drawn. */
void draft_learn(struct draft *d, uint32_t guessed, uint32_t right);

#endif
