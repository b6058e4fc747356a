/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/logprobs.h"

#include <stdlib.h>

/* Logits come from a stranger: what is no probability is as good as none. */
static float logprob(float value, float lse)
{
	float p = value - lse;

	if (!(p >= LOGPROB_NONE))
		return LOGPROB_NONE;
	return p < 0.0f ? p : 0.0f;
}

void logprobs_of(const struct logit *candidates, uint32_t n, float lse, uint32_t token,
    uint32_t alternatives, struct logprobs *out)
{
	assert(alternatives <= LOGPROB_ALTERNATIVES_MAX);
	out->candidates[0] = (struct logit){.id = token, .value = LOGPROB_NONE};
	for (uint32_t i = 0; i < n; i++)
		if (candidates[i].id == token)
			out->candidates[0].value = logprob(candidates[i].value, lse);
	out->n = 1;
	for (uint32_t i = 0; i < n && i < alternatives; i++)
		out->candidates[out->n++] = (struct logit){
		    .id = candidates[i].id, .value = logprob(candidates[i].value, lse)};
}

static int tell(const struct tokenizer *t, const struct logit *in, struct token_candidate *out)
{
	uint8_t bytes[TOKENIZER_MAX_TOKEN_BYTES];
	size_t len = tokenizer_bytes(t, in->id, bytes);

	len = len < LOGPROB_TEXT_BYTES ? len : LOGPROB_TEXT_BYTES;
	out->logprob = in->value;
	out->text.data = malloc(len + 1);
	if (out->text.data == NULL)
		return AYNI_ERR_MEMORY;
	memcpy(out->text.data, bytes, len);
	out->text.len = len;
	return AYNI_OK;
}

int logprobs_tell(
    const struct tokenizer *t, const struct logprobs *in, size_t n, struct msg_piece *out)
{
	int rc = AYNI_OK;

	assert(n <= LOGPROBS_MAX);
	out->n_logprobs = 0;
	out->logprobs = calloc(n, sizeof *out->logprobs);
	if (out->logprobs == NULL)
		return AYNI_ERR_MEMORY;
	for (size_t i = 0; i < n && rc == AYNI_OK; i++) {
		struct token_logprob *to = &out->logprobs[out->n_logprobs++];

		to->part = in[i].part;
		to->text_bytes = in[i].text_bytes;
		to->candidates = calloc(in[i].n, sizeof *to->candidates);
		rc = to->candidates != NULL ? AYNI_OK : AYNI_ERR_MEMORY;
		while (rc == AYNI_OK && to->n_candidates < in[i].n) {
			size_t k = to->n_candidates++;

			rc = tell(t, &in[i].candidates[k], &to->candidates[k]);
		}
	}
	if (rc != AYNI_OK)
		logprobs_free(out);
	return rc;
}

void logprobs_free(struct msg_piece *m)
{
	for (size_t i = 0; i < m->n_logprobs; i++) {
		struct token_logprob *each = &m->logprobs[i];

		for (size_t k = 0; k < each->n_candidates; k++)
			free(each->candidates[k].text.data);
		free(each->candidates);
	}
	free(m->logprobs);
	m->logprobs = NULL;
	m->n_logprobs = 0;
}
