/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts and manifests: small signed documents that outlive the connection they came over. Both
 * are protobuf bytes that are signed once and kept as they are; whoever has the bytes and the keys
 * can check them offline. Pure functions, any thread.
 */
#ifndef AYNI_PROTOCOL_RECEIPT_H
#define AYNI_PROTOCOL_RECEIPT_H

#include "protocol/identity.h"
#include "protocol/messages.h"

enum {
	RECEIPT_PACKED_MAX = RECEIPT_BYTES_MAX + 2 * SIGNATURE_BYTES + 16,
	RECEIPT_TEXT_BYTES = (RECEIPT_PACKED_MAX + 2) / 3 * 4 + 1
};

/* How far a pool believes a donor. On the wire: never renumber. */
enum standing_state {
	STANDING_NEW,
	STANDING_PROBATION,
	STANDING_TRUSTED,
	STANDING_QUARANTINED,
	STANDING_BANNED,
	STANDING_STATE_END
};

enum { STANDING_LINE_BYTES = 129 };

/* A change of that. */
struct standing_change {
	enum standing_state from, to;
	char reason[STANDING_LINE_BYTES]; /* one line, not empty */
	bool has_evidence;
	struct hash evidence; /* if so */
};

/* Work, or a change of a donor's standing, which counts none: then only number, parties, times and
 * the change are set. */
struct receipt {
	uint64_t number;
	struct public_key pool, donor;
	struct hash model;
	uint32_t layer_first, layer_last;
	uint64_t units, tokens;
	struct flop cost;
	struct hash units_hash;
	uint64_t first_ms, last_ms;
	uint32_t merge_delay_s; /* the pool's promise: in its log so long after last_ms; 0: none */
	struct pseudonym session;       /* unset in logs from before there was one */
	enum verification verification; /* of this work: none, or right */
	bool is_standing;
	struct standing_change standing; /* if so */
};

const char *standing_state_name(enum standing_state s); /* "quarantined" */

/* Encode and sign as the pool. */
int receipt_issue(const struct receipt *r, const struct identity *pool, struct signed_receipt *out,
    struct error *err);
/* Decode, and check the pool's signature by the key inside; the donor's too if it is there. */
int receipt_check(const struct signed_receipt *s, struct receipt *out, struct error *err);
/* Decode and check the bounds, no signature: for receipts that a signed log holds. */
int receipt_read(struct span bytes, struct receipt *out, struct error *err);
bool receipt_countersigned(
    struct span bytes, const struct public_key *donor, const struct signature *signature);
void receipt_countersign(struct signed_receipt *s, const struct identity *donor);
/* With its signatures as one line of base64 (of the message Receipt), and back: AYNI_ERR_FORMAT,
 * AYNI_ERR_LIMIT; signatures are not checked. */
int receipt_to_text(
    const struct signed_receipt *s, char out[RECEIPT_TEXT_BYTES], struct error *err);
int receipt_from_text(struct span text, struct signed_receipt *out, struct error *err);
/* h = BLAKE2b(h || unit, little endian || result hash): the chain behind units_hash; from zeros. */
void receipt_chain(struct hash *h, uint64_t unit, const struct hash *result);

struct manifest_chunk {
	uint64_t offset;
	uint32_t length;
	struct hash hash;
};

struct manifest {
	char name[LIMIT_NAME_BYTES];
	uint64_t file_bytes, head_bytes;
	size_t n_chunks;
	struct manifest_chunk *chunks; /* ascending, not overlapping; owned */
	struct public_key publisher;
};

/* Encode and sign; *out is malloc'd: the blob whose hash is the model's id. */
int manifest_sign(const struct manifest *m, const struct identity *publisher, uint8_t **out,
    size_t *len, struct error *err);
/* Decode and check everything, the signature included. manifest_free releases the chunks. */
int manifest_open(const uint8_t *data, size_t len, struct manifest *out, struct error *err);
void manifest_free(struct manifest *m);

#endif
