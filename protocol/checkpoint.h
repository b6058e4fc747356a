/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool says of its log, signed: whose log, how many receipts, and the root of the tree over
 * them. And proofs: one receipt, the hashes that lead from it to such a root, and the checkpoint.
 *
 *     ayni.pool/<key, 64 digits>           the origin, which is also the key's name
 *     20852163                             receipts
 *     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2...  root hash, base64
 *
 *     — ayni.pool/<key> Az3grlgtzPICa5...  signatures, as note.h has them
 *
 * The origin holds the key, so that whoever knows a pool knows its log. A log that says two things
 * of one size, or a size whose tree does not begin with an earlier one, has contradicted itself,
 * and the two checkpoints prove it to anybody.
 *
 * Sources: C2SP tlog-checkpoint, tlog-proof. Pure functions, any thread.
 */
#ifndef AYNI_PROTOCOL_CHECKPOINT_H
#define AYNI_PROTOCOL_CHECKPOINT_H

#include "protocol/note.h"
#include "protocol/receipt.h"

enum {
	CHECKPOINT_ORIGIN_BYTES = NOTE_NAME_BYTES,
	CHECKPOINT_TEXT_BYTES =
	    CHECKPOINT_ORIGIN_BYTES + 80 + NOTE_LINE_BYTES, /* as signed by a pool */
	PROOF_HASHES_MAX = 66,
	PROOF_BYTES_MAX = 16384 + NOTE_BYTES_MAX
};

struct checkpoint {
	char origin[CHECKPOINT_ORIGIN_BYTES];
	uint64_t size;    /* receipts; at most 2^62 */
	struct hash root; /* SHA-256 */
};

/* The origin of a pool's log, and the key in one; AYNI_ERR_FORMAT if it is another's form. */
void checkpoint_origin(const struct public_key *pool, char out[CHECKPOINT_ORIGIN_BYTES]);
int checkpoint_origin_key(const char *origin, struct public_key *out);

/* The whole note, NUL-terminated. c->origin is not read: it is the pool's. */
int checkpoint_sign(const struct checkpoint *c, const struct identity *pool,
    char out[CHECKPOINT_TEXT_BYTES], struct error *err);
/* A note's text as a checkpoint; what the note's keys say is for note_verify. AYNI_ERR_FORMAT,
 * AYNI_ERR_LIMIT. Extension lines are allowed and ignored. */
int checkpoint_parse(const struct note *n, struct checkpoint *out, struct error *err);
/* Bytes from anywhere to what this pool has signed: also AYNI_ERR_SIGNATURE. */
int checkpoint_open(const char *data, size_t len, const struct public_key *pool,
    struct checkpoint *out, struct error *err);

/* ---- proofs ------------------------------------------------------------------------------- */

struct proof {
	struct signed_receipt receipt;
	uint64_t index; /* of the receipt in the log, from 0 */
	size_t n;
	struct hash hashes[PROOF_HASHES_MAX]; /* the leaf's sibling first */
	struct span checkpoint;               /* the note; borrowed */
};

/* *out is malloc'd, NUL-terminated. */
int proof_format(const struct proof *p, char **out, struct error *err);
/* Only the form is checked here. *out borrows from data. AYNI_ERR_FORMAT, AYNI_ERR_LIMIT. */
int proof_parse(const char *data, size_t len, struct proof *out, struct error *err);

#endif
