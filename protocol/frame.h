/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first frame of a message, the envelope, in fixed binary form: it is read before any parser of
 * variable data runs, and tells whether to go on. 168 bytes, integers little endian:
 *
 *   offset  bytes
 *        0      4  "AYNI"
 *        4      2  protocol version
 *        6      2  message type
 *        8      8  sequence number, strictly increasing from one signer on one connection
 *       16      8  expiry, Unix time in ms of the pool's clock; 0: never
 *       24     32  signer's key
 *       56     32  recipient's key
 *       88     16  reserved, zero
 *      104     64  signature (envelope.h)
 *
 * A total parser: any bytes give either a struct or one error. Pure functions.
 */
#ifndef AYNI_PROTOCOL_FRAME_H
#define AYNI_PROTOCOL_FRAME_H

#include "protocol/base.h"

enum { PROTOCOL_VERSION = 6, FRAME_BYTES = 168, FRAME_SIGNED_BYTES = 104 };

struct frame {
	uint16_t version;
	uint16_t type; /* enum message_type; not checked here */
	uint64_t sequence;
	uint64_t expires_ms;
	struct public_key signer;
	struct public_key recipient;
	struct signature signature;
};

/* AYNI_ERR_FORMAT for wrong length or magic, AYNI_ERR_UNSUPPORTED for another version. */
int frame_parse(const uint8_t *data, size_t len, struct frame *out, struct error *err);
void frame_write(const struct frame *f, uint8_t out[FRAME_BYTES]);

#endif
