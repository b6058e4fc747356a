/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The published cost of work, in FLOP: what a donor is credited for. A function of the model's
 * sizes and of positions alone, so that the same work earns the same credit on any machine; the
 * formula with test vectors is in compute/README.md. Pure, any thread.
 */
#ifndef AYNI_COMPUTE_COST_H
#define AYNI_COMPUTE_COST_H

#include "compute/model.h"

/*
 * Cost of n_tokens consecutive tokens from `position` through layers [first, last), with n_logits
 * rows of logits (0 unless last == n_layers). AYNI_ERR_LIMIT if it does not fit.
 */
int cost_span(const struct model_sizes *s, uint32_t first, uint32_t last, uint32_t position,
    uint32_t n_tokens, uint32_t n_logits, struct flop *out);

#endif
