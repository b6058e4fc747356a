/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which donor should hold which layers. A pure function of what the donors offer, what they hold
 * now and what the models weigh: it names at most one change at a time, and naming none means that
 * nothing would be better. The caller carries the change out and asks again.
 *
 * Rules, in order:
 *  1. Layers that nobody holds (or is fetching) are given to the idle donor that can hold most of
 *     them, from the first missing layer on; of several, to the one with the least memory. With
 *     `stages` = n a model is cut into n ranges that a token reads equally much of (the head at the
 *     end counts, too) and a donor gets one of these whole; with 0 a donor gets as much of the gap
 * as it can.
 *  2. If no idle donor can help, a donor whose range another donor holds as well gives it up.
 *  3. Idle donors become replicas of the range with the fewest holders that they can hold.
 * Ranges that a path of donors uses must join end to end, so a gap is filled up to its end or up to
 * what the donor can hold, never across what others hold.
 */
#ifndef AYNI_NODE_POOL_PLACEMENT_H
#define AYNI_NODE_POOL_PLACEMENT_H

#include "protocol/message_types.h"

struct placement_model {
	uint32_t n_layers;
	const uint64_t *layer_bytes;      /* [n_layers] */
	uint64_t first_bytes, last_bytes; /* with the first layer; with the last */
	uint64_t kv_layer_bytes;          /* one session's KV cache in one layer */
};

enum { PLACEMENT_NO_MODEL = UINT32_MAX };

struct placement_donor {
	bool usable; /* may be given layers or keep them (not leaving, not failing) */
	uint64_t memory_bytes;
	uint32_t max_layers; /* 0: no limit */
	uint32_t model;      /* held or being fetched; PLACEMENT_NO_MODEL: idle */
	struct layer_range layers;
};

struct placement_change {
	size_t donor;
	bool unassign; /* else: assign */
	uint32_t model;
	struct layer_range layers;
	uint32_t max_sessions; /* that its memory allows, up to the limit given */
};

/* True if there is a change to make. */
bool placement_next(const struct placement_donor *donors, size_t n_donors,
    const struct placement_model *models, size_t n_models, uint32_t stages, uint32_t max_sessions,
    struct placement_change *out);

/* Layers of a model that no donor in the list holds: up to `max` ranges into out; their number. */
size_t placement_missing(const struct placement_donor *donors, size_t n_donors, uint32_t model,
    uint32_t n_layers, struct layer_range *out, size_t max);

#endif
