/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer of a model alone over a whole sequence of tokens, and two such runs side by side: what
 * one machine, table of kernels or file gives, and what another makes of the same input. By this
 * results of the class `fast` are checked, and the class is measured (agreement.h).
 *
 * Layers are loaded one at a time, so that memory is needed for the weights of one. One thread at a
 * time may use a team.
 */
#ifndef AYNI_COMPUTE_DEVIATION_H
#define AYNI_COMPUTE_DEVIATION_H

#include "compute/agreement.h"
#include "compute/team.h"

/* Who computes, and how. All borrowed. */
struct deviation_side {
	const struct gguf *gguf;
	const struct kernels *kernels;
	struct team *team;
	uint32_t batch; /* tokens at once, 1 to LIMIT_CONTEXT_TOKENS */
	enum kv_type kv;
};

/* A sequence from position 0 on, on its way through the layers. */
struct deviation_sequence {
	const uint32_t *tokens; /* n, which layer 0 reads */
	uint32_t n;
	float *rows;       /* n x d_model: into a layer, then out of it; layer 0 only writes */
	float *logits;     /* n_logits x n_vocabulary, of the last tokens: the last layer writes */
	uint32_t n_logits; /* at most n */
};

/* What a layer's results are judged by; NULL: it has experts. */
struct deviation_bounds {
	const struct agreement_bounds *rows, *logits;
};

enum { DEVIATION_TOP = 40 }; /* of logits that are compared, or the whole vocabulary */

struct deviation {
	struct agreement rows;
	struct agreement logits; /* of the last layer alone */
};

/* Run one layer. Errors as of layers_run and model_load_for; `bounds` may be NULL. */
int deviation_layer(const struct deviation_side *side, uint32_t layer,
    const struct deviation_sequence *s, struct deviation_bounds *bounds, struct error *err);

/*
 * Count what `claimed` holds against what is right; `in` went into the layer, and is NULL for layer
 * 0. Logits are compared if `layer` is the last. AYNI_ERR_MEMORY.
 */
int deviation_compare(const struct model_sizes *sizes, uint32_t layer, const float *in,
    const struct deviation_sequence *claimed, const struct deviation_sequence *own,
    struct deviation *out, struct error *err);

/*
 * Run one layer on both sides with what is in `s`, and compare. On return `s` holds what `claimed`
 * gave, which is what goes into the next layer. Bounds are those of `own`. AYNI_ERR_MEMORY, and as
 * above.
 */
int deviation_measure(const struct deviation_side *claimed, const struct deviation_side *own,
    uint32_t layer, const struct deviation_sequence *s, struct deviation *out,
    struct deviation_bounds *bounds, struct error *err);

#endif
