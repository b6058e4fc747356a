/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does evidence (protocol/evidence.h) show what it says: that a donor signed numbers which the
 * model does not give? Nobody is believed but the donor itself:
 *
 *   - it signed a Result with a chain value, for this pool;
 *   - the parts listed give that value, so it stands for each of their hashes, in this order, from
 *     the session's first position on, with this model, these layers and types;
 *   - the rows are what it says it gave to the accused layer, or was given for it: by their hashes;
 *   - and the model, which is the manifest's, chunk by chunk, gives something else for these rows.
 *
 * An honest donor computes what the model gives for whatever it is given, so nobody can make
 * evidence against one: not the pool either, by wrong inputs, other orders or other models.
 */
#ifndef AYNI_NODE_EVIDENCE_H
#define AYNI_NODE_EVIDENCE_H

#include "compute/gguf.h"
#include "node/replay.h"
#include "protocol/evidence.h"

struct evidence_finding {
	struct public_key donor, pool; /* who signed, and to whom */
	struct hash model;
	char model_name[LIMIT_NAME_BYTES];
	uint32_t layer, position, n_rows;
	bool logits;              /* these are rows of logits */
	struct hash given, right; /* of the part: what the donor stands for, and the model's */
	bool proven;              /* they differ: it lied */
};

/*
 * AYNI_OK: the evidence hangs together, and out->proven says what it shows. AYNI_ERR_SIGNATURE: it
 * does not, and shows nothing. AYNI_ERR_ARGUMENT: the file is not the model that it is about.
 * Others: it could not be computed here. *out says as much as was found until then.
 */
int evidence_check(const struct evidence *e, const struct gguf *gguf, struct replay *r,
    struct evidence_finding *out, struct error *err);

#endif
