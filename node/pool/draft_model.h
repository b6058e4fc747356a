/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small model that guesses what a large one says next (draft.h). It draws with the session's own
 * settings and random numbers (compute/sampler.h), so that where the two models agree on what is
 * likely, they draw the same token: greedy guesses would be wrong wherever the draw is not the
 * best.
 *
 * It keeps the keys and values of the DRAFT_MODEL_SESSIONS sessions that asked last. What a session
 * has in common with what is kept of it is not computed again; a session that is not kept is fed
 * from its tokens. One thread at a time.
 */
#ifndef AYNI_NODE_POOL_DRAFT_MODEL_H
#define AYNI_NODE_POOL_DRAFT_MODEL_H

#include "compute/kv.h"
#include "compute/sampler.h"
#include "compute/tokenizer.h"

enum {
	DRAFT_MODEL_SESSIONS = 8,
	DRAFT_MODEL_CHUNK = 128, /* tokens fed at once */
	/* Tables of one vocabulary differ in how far they are filled up with tokens that no text
	 * has. */
	DRAFT_MODEL_FILLING = 256
};

struct draft_model;

struct draft_model_options {
	enum kv_type kv;     /* as the served model's, if this one can; else KV_F16 */
	uint32_t max_tokens; /* of a session; the model's context may be less */
	unsigned threads;
};

/* What a session wants to know. */
struct draft_job {
	uint64_t session;
	const uint32_t *tokens; /* all of its */
	uint32_t n_tokens;
	uint32_t most; /* guesses, at most DRAFT_MAX; 0: only take notice of the tokens */
	enum wire_type wire;
	struct sampler_settings sampling;
	bool ignore_end;   /* it goes on behind an end of text */
	uint64_t until_us; /* a guess that would come later is not made (loop_now_us); 0: no limit
	                    */
};

int draft_model_open(const char *path, const struct draft_model_options *o,
    struct draft_model **out, struct error *err);
void draft_model_free(struct draft_model *m);
/* Has it the same tokens, by number? */
bool draft_model_knows(const struct draft_model *m, const struct tokenizer *served);

/*
 * Feed at most DRAFT_MODEL_CHUNK of the tokens that it has not seen. *left: how many are left then;
 * 0: guesses may be asked for. AYNI_ERR_ARGUMENT if a token is not the model's, or there are too
 * many of them.
 */
int draft_model_feed(
    struct draft_model *m, const struct draft_job *job, uint32_t *left, struct error *err);
/* All is fed: up to job->most guesses of what follows. Returns their number. */
uint32_t draft_model_guess(struct draft_model *m, const struct draft_job *job, uint32_t *out);
/* Tokens, keys and values of this session are wiped. */
void draft_model_forget(struct draft_model *m, uint64_t session);
void draft_model_forget_all(struct draft_model *m);
/* Tokens that were computed since it was opened. */
uint64_t draft_model_computed(const struct draft_model *m);

#endif
