/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a range of a model's layers over a batch of sessions: the room's main entry.
 *
 * The result for a token depends on nothing but the model, the session's tokens up to it, and its
 * position: not on the batch, the threads, the chunks of the prompt or the instruction set
 * (compute/kernels/README.md). One thread at a time may use a struct layers; it uses the team.
 */
#ifndef AYNI_COMPUTE_LAYERS_H
#define AYNI_COMPUTE_LAYERS_H

#include "compute/kv.h"
#include "compute/model.h"
#include "compute/team.h"

struct layers;

/* Consecutive tokens of one session in a batch. */
struct layers_span {
	struct kv *kv;
	uint32_t position; /* of the first token; at most kv_length(kv) */
	uint32_t n_tokens; /* at least 1 */
	uint32_t n_logits; /* rows wanted, for the last n tokens; 0 unless the model ends it */
};

/*
 * Scratch memory for batches of up to max_tokens, 1 to LIMIT_CONTEXT_TOKENS. `kernels` is
 * kernels_best() or a test's choice. Model, kernels and team are borrowed and must outlive it.
 */
int layers_new(const struct model *m, const struct kernels *k, struct team *team,
    uint32_t max_tokens, struct layers **out, struct error *err);
void layers_free(struct layers *l);

/*
 * Who is told what the residual stream is after each layer of a run but its last: all tokens of the
 * batch x d_model, before they go through their sessions' wire types. Called by the thread that
 * runs the layers, which may use the team meanwhile. NULL: nobody.
 */
typedef void layers_seen_fn(void *context, uint32_t layer, const float *activations);
void layers_watch(struct layers *l, layers_seen_fn *seen, void *context);

/*
 * Run the batch. Let n = all spans' n_tokens together.
 *   tokens       n token ids, used if the range begins at layer 0, else NULL
 *   activations  n x d_model in; out: the residual stream after the last layer of the range, before
 *                it goes through the session's wire type (wire.h), as it does between all layers.
 *                If the range begins at layer 0 its input content is ignored.
 *   logits       (all n_logits together) x n_vocabulary, if it ends with the last layer, else NULL
 * AYNI_ERR_ARGUMENT for a batch past max_tokens, a span that does not fit its kv, a kv named twice
 * or made for another range, or a token id outside the vocabulary; AYNI_ERR_STATE for layers that
 * are not ready yet; AYNI_ERR_MEMORY;
 * AYNI_ERR_NUMERIC if an input or output is not finite. After an error no kv of the batch is longer
 * than before, one whose span continues it is exactly as before, and activations and logits hold
 * nothing of use.
 */
int layers_run(struct layers *l, const struct layers_span *spans, size_t n_spans,
    const uint32_t *tokens, float *activations, float *logits, struct error *err);
/*
 * The same with layers [first, last) of the model alone, which are the range then: a kv serves one
 * such range from its first position on, and keeps nothing of the other layers. AYNI_ERR_ARGUMENT
 * if it is none of the model's.
 */
int layers_run_part(struct layers *l, uint32_t first, uint32_t last,
    const struct layers_span *spans, size_t n_spans, const uint32_t *tokens, float *activations,
    float *logits, struct error *err);

#endif
