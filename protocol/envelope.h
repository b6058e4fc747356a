/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs and opens messages. The Ed25519 signature covers
 *
 *   "ayni v6 " <name of the message type> NUL  <first 104 bytes of the envelope>  <header as sent>
 *
 * so that a signature for one type never serves as another, and nothing is encoded again to be
 * checked. The header holds the payload's hash, so the payload is covered too.
 *
 * Opening checks in this order, cheapest first, and names the first thing that is wrong as an
 * enum refusal: shape, version, type, sizes, recipient, signer, sequence, expiry, signature,
 * payload hash. One struct envelope_channel serves one direction pair with one peer; not shared
 * between threads.
 */
#ifndef AYNI_PROTOCOL_ENVELOPE_H
#define AYNI_PROTOCOL_ENVELOPE_H

#include "protocol/frame.h"
#include "protocol/identity.h"
#include "protocol/messages.h"

/* Both directions of one connection. */
struct envelope_channel {
	const struct identity *self;
	struct public_key peer;
	bool peer_known;    /* false: whoever signs the first message becomes the peer */
	uint64_t last_sent; /* sequence numbers */
	uint64_t last_received;
};

/* `first_sequence` is the number of the first message sent; 0 means 1, and no message has 0. */
void envelope_channel_init(struct envelope_channel *c, const struct identity *self,
    const struct public_key *peer /* or NULL */, uint64_t first_sequence);

/*
 * Encode and sign. `*header` is malloc'd, the caller frees it. `payload` may be NULL; if not, its
 * hash is put into the message (messages that carry one).
 */
int envelope_seal(struct envelope_channel *c, struct message *m, uint64_t expires_ms,
    const uint8_t *payload, size_t payload_len, uint8_t envelope[FRAME_BYTES], uint8_t **header,
    size_t *header_len, struct error *err);

/*
 * Check and decode what a peer sent. `now_ms` is the pool's clock as known here. On success *out
 * owns its memory (message_free) and borrows payload. On failure *why says the reason to count.
 * Only a right signature changes the channel: a forger cannot use up sequence numbers. Whether the
 * key that CURVE proved belongs to the signer (identity_curve_public) is for the caller to compare.
 */
int envelope_open(struct envelope_channel *c, struct span envelope, struct span header,
    struct span payload, uint64_t now_ms, struct message **out, enum refusal *why,
    struct error *err);

/*
 * Of a message that was kept: who signed it, and for whom, whenever that was. *out borrows nothing
 * (message_free), and has no payload. AYNI_ERR_SIGNATURE if it is not rightly signed, else as
 * frame_parse and message_decode.
 */
int envelope_read(struct span envelope, struct span header, struct frame *frame,
    struct message **out, struct error *err);

#endif
