/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the next token from the candidates of a position (compute/logits.h), reproducibly: the
 * same settings, seed, history and candidates give the same token on every machine.
 *
 * Order: repeat penalty over the last `repeat_last_n` tokens, frequency and presence penalty over
 * the answer, top-k, temperature, min-p, top-p, draw. Temperature 0 takes the best candidate after
 * the penalties. Arithmetic is canonical (kernels/canon.h). The generator is counter-based:
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), key =
 * seed, counter = position of the token, so a session that is replayed or moved draws the same
 * numbers. No state is kept; pure, any thread.
 *
 * Weights are canon_exp((value - best) / temperature), summed in the order of the candidates, in
 * binary32; the draw is the first candidate whose running sum exceeds u * sum, with u the upper 24
 * bits of the generator's first word times 2^-24. top_p is a share of the candidates' weights, or
 * of the whole row (by its lse) where temperature is 1 and no other setting cuts or changes it.
 * Candidates come from a stranger: NaN counts as -inf, and a best that is not finite is taken.
 */
#ifndef AYNI_COMPUTE_SAMPLER_H
#define AYNI_COMPUTE_SAMPLER_H

#include "compute/logits.h"

enum { SAMPLER_CANDIDATES = 256 }; /* most candidates that are looked at; stages send this many */

struct sampler_settings {
	float temperature;    /* 0 = greedy */
	uint32_t top_k;       /* 0 = all candidates */
	float top_p;          /* 1 = off */
	float min_p;          /* 0 = off */
	float repeat_penalty; /* 1 = off */
	uint32_t repeat_last_n;
	/* Taken off a logit for each time that its token is in the answer, and once if it is at all
	 * (as OpenAI's API defines them); 0 = off. */
	float frequency_penalty, presence_penalty;
	uint32_t answer_from; /* where in the history the answer begins; only for these two */
	uint64_t seed;
};

void sampler_defaults(struct sampler_settings *out); /* greedy, seed 0 */
/* AYNI_ERR_ARGUMENT naming the setting that is out of range and its range. */
int sampler_check(const struct sampler_settings *s, struct error *err);

/* Does a draw look at the history? */
bool sampler_looks_back(const struct sampler_settings *s);

/*
 * candidates: n > 0, as logits_top gives them, with the lse of their row. history: the session's
 * tokens so far, prompt included; the token drawn takes position n_history.
 */
uint32_t sampler_draw(const struct sampler_settings *s, const struct logit *candidates, size_t n,
    float lse, const uint32_t *history, size_t n_history);

/* The generator itself, for tests against the published vectors. */
void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
