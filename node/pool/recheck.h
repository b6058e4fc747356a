/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Computes a trail (trail.h) once more from the model's file, and finds the first hash that is not
 * the right one: of the first layer that has one, the first span. All that this layer was given was
 * right then, so that its donor gave what the model does not.
 *
 * As batched prefill (node/replay.h), and all spans go through one layer before the next is loaded,
 * so that who has no room for the whole model can check donors that have. One thread at a time may
 * use a struct recheck.
 */
#ifndef AYNI_NODE_POOL_RECHECK_H
#define AYNI_NODE_POOL_RECHECK_H

#include <stdatomic.h>

#include "compute/kv.h"
#include "compute/team.h"
#include "node/pool/trail.h"

struct recheck;

/* What the trail is about; borrowed. */
struct recheck_model {
	const struct gguf *gguf;
	enum kv_type kv;
	struct span manifest; /* signed; empty: no evidence is made */
};

struct recheck_finding {
	bool wrong;
	uint32_t layer, span; /* if so: the first */
	uint32_t stage;       /* that the layer is of */
	uint32_t position;    /* of the part's first row */
	struct hash right;    /* what it should be; in the trail is what it is */
	/* What shows it to others (protocol/evidence.h), malloc'd, or NULL and why there is none.
	 */
	uint8_t *evidence;
	size_t evidence_len;
	struct error no_evidence;
};

/* Kernels and team are borrowed. */
int recheck_new(
    const struct kernels *k, struct team *team, struct recheck **out, struct error *err);
void recheck_free(struct recheck *c);
/*
 * AYNI_OK: *out is what was found; its evidence is the caller's. An error says nothing about the
 * donors: memory was out, the model cannot be computed here, or `stop` became true meanwhile
 * (AYNI_ERR_AGAIN).
 */
int recheck_run(struct recheck *c, const struct recheck_model *m, const struct trail *t,
    const atomic_bool *stop, struct recheck_finding *out, struct error *err);

#endif
