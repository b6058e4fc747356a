/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How likely the tokens were that a session drew, for members who ask: the token and the likeliest
 * of its row, each by its logit less the row's lse. So they are the model's own, before penalties
 * and temperature, and telling them changes nothing about what is drawn.
 *
 * Plain data and pure functions.
 */
#ifndef AYNI_NODE_POOL_LOGPROBS_H
#define AYNI_NODE_POOL_LOGPROBS_H

#include "compute/logits.h"
#include "compute/tokenizer.h"
#include "protocol/message_types.h"

/* Of one token drawn. */
struct logprobs {
	uint32_t n;
	/* The token, then the likeliest; `value` is the logprob, from LOGPROB_NONE to 0. */
	struct logit candidates[1 + LOGPROB_ALTERNATIVES_MAX];
	enum token_part part;
	uint32_t text_bytes;
};

/*
 * candidates: the row's first, among them the token; as many of them are told as `alternatives`
 * says, at most LOGPROB_ALTERNATIVES_MAX. Leaves what the text tells to the caller.
 */
void logprobs_of(const struct logit *candidates, uint32_t n, float lse, uint32_t token,
    uint32_t alternatives, struct logprobs *out);

/* Those of n tokens as a message has them. AYNI_ERR_MEMORY. */
int logprobs_tell(
    const struct tokenizer *t, const struct logprobs *in, size_t n, struct msg_piece *out);
void logprobs_free(struct msg_piece *m); /* what logprobs_tell put there */

#endif
