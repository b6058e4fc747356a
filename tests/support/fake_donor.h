/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A donor for tests of the pool: it computes a made-up model whose every number depends on all
 * tokens before it, layer by layer, so that any cut into ranges and any replay gives the same
 * logits. It keeps a KV cache as a real donor does and refuses what does not continue it: units in
 * the order they were sent; `closed` sessions go first; a span at position 0 begins a session anew.
 */
#ifndef AYNI_TESTS_SUPPORT_FAKE_DONOR_H
#define AYNI_TESTS_SUPPORT_FAKE_DONOR_H

#include "compute/model.h"
#include "compute/sampler.h"
#include "node/donor/chains.h"
#include "node/work.h"
#include "protocol/message_types.h"

enum { FAKE_MAX_LAYERS = 8, FAKE_MAX_TOKENS = 128, FAKE_MAX_SESSIONS = 64 };

struct fake_session {
	uint64_t id;
	struct layer_range layers; /* that it goes through here */
	uint32_t length, most;     /* positions held, and ever held */
	uint64_t keys[FAKE_MAX_LAYERS][FAKE_MAX_TOKENS];
};

struct fake_donor {
	struct layer_range layers;
	uint32_t pages; /* of positions; more at once are refused */
	uint32_t n_sessions;
	struct fake_session *sessions[FAKE_MAX_SESSIONS];
	struct hash parts[WORK_PARTS_MAX]; /* of the last result */
	struct hash layer_hashes[FAKE_MAX_LAYERS * WORK_PARTS_MAX];
	struct chains chains;
	struct hash spans[LIMIT_UNIT_SPANS];                /* chains of the last result */
	uint64_t after[FAKE_MAX_LAYERS][LIMIT_UNIT_TOKENS]; /* each layer, of its tokens */
};

/* Forget all sessions, as when its worker dies. */
void fake_donor_forget(struct fake_donor *d);
/* Forget what the unit's sessions hold, as for a unit that is withdrawn. */
void fake_donor_forget_spans(struct fake_donor *d, const struct msg_work_unit *u);

/*
 * The unit's result with its published cost and its hashes (handed_hash too, for who hands it on;
 * hashes are the donor's until its next); *out is malloc'd. REFUSAL_SESSION for a
 * span that does not continue where the session stands, REFUSAL_MEMORY for a page too many.
 */
enum refusal fake_donor_compute(struct fake_donor *d, const struct model_sizes *m,
    const struct msg_work_unit *u, const uint8_t *payload, struct msg_result *r, uint8_t **out,
    size_t *out_len);

/*
 * What an undisturbed pool answers: tokens (room for kv_tokens, beginning with the n prompt tokens)
 * are continued. best (or NULL) gets the best id of each position fed. Returns the number of tokens
 * in the end.
 */
struct fake_question {
	const struct sampler_settings *sampling;
	uint32_t kv_tokens, max_tokens;
	bool ignore_end;
	bool (*is_end)(const void *context, uint32_t token);
	const void *context;
};
uint32_t fake_answer(const struct model_sizes *m, const struct fake_question *q, uint32_t *tokens,
    uint32_t n, uint32_t *best, enum finish_reason *reason);

#endif
