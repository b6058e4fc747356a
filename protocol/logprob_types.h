/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens with the logarithm of their probability, as Piece has them (ayni.proto). */
#ifndef AYNI_PROTOCOL_LOGPROB_TYPES_H
#define AYNI_PROTOCOL_LOGPROB_TYPES_H

#include "protocol/base.h"

struct bytes { /* owned */
	uint8_t *data;
	size_t len;
};

enum { LOGPROB_TEXT_BYTES = 1024, LOGPROB_ALTERNATIVES_MAX = 20, LOGPROBS_MAX = 32 };
#define LOGPROB_NONE (-9999.0f)
struct token_candidate {
	struct bytes text; /* not always whole characters */
	float logprob;
};
enum token_part { TOKEN_OF_ANSWER, TOKEN_OF_REASONING, TOKEN_OF_NEXT };
struct token_logprob {
	size_t n_candidates;
	struct token_candidate *candidates; /* the token drawn, then the likeliest */
	enum token_part part;
	uint32_t text_bytes; /* of the piece's text that came with it */
};

#endif
