/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the evidence (protocol/evidence.h) of a lie that a recheck found: what its donor signed,
 * and what the layer was given. Pure functions, any thread.
 */
#ifndef AYNI_NODE_POOL_ACCUSE_H
#define AYNI_NODE_POOL_ACCUSE_H

#include "node/pool/trail.h"

/* The part at `position` of a span, after this layer. */
struct accusation {
	const struct trail *trail;
	struct span manifest; /* signed, of the model */
	uint32_t kv_type, d_model;
	uint32_t stage, layer, span, position;
	const uint8_t
	    *rows; /* what the layer takes of all spans, in the wire type; not used for 0 */
};

/* *out is malloc'd. AYNI_ERR_NOT_FOUND: nothing is there that the donor signed, or no manifest;
 * AYNI_ERR_LIMIT: it would be too large; AYNI_ERR_MEMORY. */
int accuse(const struct accusation *a, uint8_t **out, size_t *len, struct error *err);

#endif
