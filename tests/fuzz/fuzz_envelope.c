/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three frames from a peer: [2 bytes: length of the header][envelope][header][payload]. Nothing
 * that this program did not sign may open, and nothing refused may change the channel. Where the
 * first byte says so, the frames are signed rightly, so that header and payload are reached too.
 */
#include "protocol/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct identity *self, *peer;

static void sign_rightly(uint8_t envelope[FRAME_BYTES], struct span header)
{
	struct frame f;
	uint8_t part[FRAME_SIGNED_BYTES + 65536];
	char domain[64];

	if (frame_parse(envelope, FRAME_BYTES, &f, NULL) != AYNI_OK || message_name(f.type) == NULL)
		return;
	f.signer = *identity_public(peer);
	f.recipient = *identity_public(self);
	frame_write(&f, envelope);
	memcpy(part, envelope, FRAME_SIGNED_BYTES);
	if (header.len > 0)
		memcpy(part + FRAME_SIGNED_BYTES, header.data, header.len);
	(void)snprintf(
	    domain, sizeof domain, "ayni v%d %s", PROTOCOL_VERSION, message_name(f.type));
	assert(identity_sign(peer, domain, part, FRAME_SIGNED_BYTES + header.len, &f.signature) ==
	       AYNI_OK);
	frame_write(&f, envelope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope_channel channel, before;
	struct message *m;
	enum refusal why;
	uint8_t envelope[FRAME_BYTES];
	struct span header, payload;
	bool sign;

	if (self == NULL) {
		assert(identity_generate(&self, NULL) == AYNI_OK);
		assert(identity_generate(&peer, NULL) == AYNI_OK);
	}
	if (size < 3 + FRAME_BYTES)
		return 0;
	sign = data[0] & 1;
	header.len = (size_t)data[1] | (size_t)data[2] << 8;
	memcpy(envelope, data + 3, FRAME_BYTES);
	data += 3 + FRAME_BYTES;
	size -= 3 + FRAME_BYTES;
	header.len = header.len > size ? size : header.len;
	header.data = data;
	payload = (struct span){data + header.len, size - header.len};
	if (sign)
		sign_rightly(envelope, header);

	envelope_channel_init(&channel, self, sign ? identity_public(peer) : NULL, 1);
	before = channel;
	if (envelope_open(&channel, (struct span){envelope, FRAME_BYTES}, header, payload, 1000, &m,
	        &why, NULL) == AYNI_OK) {
		assert(sign && channel.last_received > 0);
		message_free(m);
	} else {
		assert(why != REFUSAL_NONE);
		assert(sign || channel.last_received == before.last_received);
	}
	return 0;
}
