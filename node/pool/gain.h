/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is it worth a session's while to wait for guesses of a small model? Told by what both ways were
 * seen to give, from one token drawn to the next, whatever that time went into:
 *
 *   with guesses     time to guess + a trip of several tokens, for those of them that were right
 *   without          a trip; or less, where donors go on from tokens that they draw themselves
 *
 * Each way is tried for GAIN_TRY_TRIPS; then guesses are waited for where they gain at least
 * GAIN_LEAST_PERCENT, and the other way is tried again now and then, more seldom each time that it
 * loses.
 *
 * Plain data and pure functions; all zeros is a fresh state. One thread.
 */
#ifndef AYNI_NODE_POOL_GAIN_H
#define AYNI_NODE_POOL_GAIN_H

#include "protocol/base.h"

enum {
	GAIN_TRY_TRIPS = 3,
	GAIN_LEAST_PERCENT = 10, /* of a token's time: donors compute for wrong guesses too */
	GAIN_PAUSE = 32,         /* tokens until the way that lost is tried again, */
	GAIN_PAUSE_MOST = 1024
};

enum way {
	WAY_ALONE,   /* a token a trip */
	WAY_DRAFTED, /* guesses of the small model were waited for */
	WAY_OTHER    /* neither: the text's own guesses, or a replay */
};

struct gain {
	struct gain_way {
		uint32_t trips;      /* since it was tried last, up to GAIN_TRY_TRIPS */
		double us, n_tokens; /* of the last trips: older ones count for less */
	} ways[2];
	enum way best;
	uint32_t since; /* tokens since the other was tried */
	uint32_t pause; /* until it is tried next; 0: GAIN_PAUSE */
};

/* A session begins where another's was measured: what is known of the way there is known of it, but
 * its text may be another: what lost is tried again in half the time. */
void gain_begin(struct gain *g, const struct gain *known);
/* A trip that went this way gave so many tokens, and took so long. */
void gain_learn(struct gain *g, enum way way, uint64_t us, uint32_t n_tokens);
/* Which way the next trip is to go. */
enum way gain_next(const struct gain *g);
/* Both were tried, and guesses were not worth it. */
bool gain_is_lost(const struct gain *g);
/* What a token takes without guesses; 0: not known. */
uint64_t gain_alone_us(const struct gain *g);

#endif
