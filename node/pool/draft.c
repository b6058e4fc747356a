/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/draft.h"

enum {
	FIRST_LENGTH = 4,
	LONG_MATCH = 16, /* no longer ones are told apart */
	/* Tokens that must be the same before a guess. A wrong guess costs computing, so after one
	 * more is asked for. */
	MATCH = 3,
	MATCH_AFTER_MISS = 6
};

/* How many tokens before `at` are the same as those before `n`. */
static uint32_t match_length(const uint32_t *tokens, uint32_t at, uint32_t n)
{
	uint32_t len = 0;

	while (len < LONG_MATCH && len < at && tokens[at - 1 - len] == tokens[n - 1 - len])
		len++;
	return len;
}

/* Where the text went on after the longest match; of several, after the latest. 0: nowhere. */
static uint32_t find_match(const uint32_t *tokens, uint32_t n, uint32_t wanted)
{
	uint32_t oldest = n > DRAFT_LOOKBACK ? n - DRAFT_LOOKBACK : 1;
	uint32_t best = 0, longest = wanted - 1;

	for (uint32_t at = n - 1; at >= oldest && longest < LONG_MATCH; at--) {
		uint32_t len;

		if (tokens[at - 1] != tokens[n - 1])
			continue;
		len = match_length(tokens, at, n);
		if (len > longest) {
			longest = len;
			best = at;
		}
	}
	return best;
}

uint32_t draft_length(const struct draft *d)
{
	return d->length > 0 ? d->length : FIRST_LENGTH;
}

uint32_t draft_guess(
    const struct draft *d, const uint32_t *tokens, uint32_t n, uint32_t *out, uint32_t most)
{
	uint32_t length = draft_length(d);
	uint32_t wanted = d->missed ? MATCH_AFTER_MISS : MATCH;
	uint32_t from;

	length = length < most ? length : most;
	if (length == 0 || n <= wanted)
		return 0;
	from = find_match(tokens, n, wanted);
	if (from == 0)
		return 0;
	/* A match close to the end goes on into the guess itself: a text that repeats a period. */
	for (uint32_t i = 0; i < length; i++)
		out[i] = from + i < n ? tokens[from + i] : out[from + i - n];
	return length;
}

void draft_learn(struct draft *d, uint32_t guessed, uint32_t right)
{
	assert(right <= guessed);
	if (guessed == 0)
		return;
	d->guessed += guessed;
	d->right += right;
	d->missed = right == 0;
	d->length = right == guessed ? 2 * guessed : right + 1;
	d->length = d->length < DRAFT_MAX ? d->length : DRAFT_MAX;
}
