/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What running a batch of tokens must read and compute at least: each weight that it meets once,
 * the keys and values of the positions it sees once for each session, and the multiply-adds of the
 * published cost. Norms and the like are counted as bytes alone.
 */
#ifndef AYNI_NODE_BENCH_DEMAND_H
#define AYNI_NODE_BENCH_DEMAND_H

#include "compute/kernels/kernels.h"
#include "compute/model.h"
#include "node/bench/limits.h"

/* A batch of sessions that are all alike, through the whole model. */
struct demand_batch {
	enum kv_type kv;
	uint32_t sessions;
	uint32_t position; /* of each session's first token */
	uint32_t n_tokens; /* of each session */
	uint32_t n_logits; /* rows, of each session */
};

/*
 * Add the batch to *out. Of a layer's experts one token meets those it uses; several meet as many
 * as they would if each chose at random.
 */
void demand_add(const struct gguf *g, const struct model_sizes *s, const struct demand_batch *batch,
    struct demand *out);

#endif
