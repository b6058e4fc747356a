/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/frame.h"

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_TYPE = 6,
	AT_SEQUENCE = 8,
	AT_EXPIRES = 16,
	AT_SIGNER = 24,
	AT_RECIPIENT = 56,
	AT_RESERVED = 88,
	AT_SIGNATURE = 104,
	/* Magic and version come first in every version, past and future. */
	VERSION_END = 6
};

_Static_assert((int)AT_SIGNATURE == FRAME_SIGNED_BYTES, "the signature covers all before it");
_Static_assert(
    (int)AT_SIGNATURE + SIGNATURE_BYTES == FRAME_BYTES, "the signature ends the envelope");

static const uint8_t magic[4] = {'A', 'Y', 'N', 'I'};

static uint64_t get_le(const uint8_t *in, unsigned n_bytes)
{
	uint64_t v = 0;

	for (unsigned i = n_bytes; i-- > 0;)
		v = v << 8 | in[i];
	return v;
}

static void put_le(uint8_t *out, unsigned n_bytes, uint64_t v)
{
	for (unsigned i = 0; i < n_bytes; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

int frame_parse(const uint8_t *data, size_t len, struct frame *out, struct error *err)
{
	uint8_t reserved = 0;

	if (len < VERSION_END || memcmp(data + AT_MAGIC, magic, sizeof magic) != 0)
		return error_set(err, AYNI_ERR_FORMAT, "envelope: does not begin with AYNI");
	out->version = (uint16_t)get_le(data + AT_VERSION, 2);
	/* Before the length: another version's envelope may well have another. */
	if (out->version != PROTOCOL_VERSION)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "envelope: protocol version %u, only %d is spoken here", (unsigned)out->version,
		    PROTOCOL_VERSION);
	if (len != FRAME_BYTES)
		return error_set(
		    err, AYNI_ERR_FORMAT, "envelope: %zu bytes instead of %d", len, FRAME_BYTES);
	for (unsigned i = AT_RESERVED; i < AT_SIGNATURE; i++)
		reserved |= data[i];
	if (reserved != 0)
		return error_set(err, AYNI_ERR_FORMAT, "envelope: reserved bytes are not zero");

	out->type = (uint16_t)get_le(data + AT_TYPE, 2);
	out->sequence = get_le(data + AT_SEQUENCE, 8);
	out->expires_ms = get_le(data + AT_EXPIRES, 8);
	memcpy(out->signer.bytes, data + AT_SIGNER, PUBLIC_KEY_BYTES);
	memcpy(out->recipient.bytes, data + AT_RECIPIENT, PUBLIC_KEY_BYTES);
	memcpy(out->signature.bytes, data + AT_SIGNATURE, SIGNATURE_BYTES);
	return AYNI_OK;
}

void frame_write(const struct frame *f, uint8_t out[FRAME_BYTES])
{
	memset(out, 0, FRAME_BYTES);
	memcpy(out + AT_MAGIC, magic, sizeof magic);
	put_le(out + AT_VERSION, 2, f->version);
	put_le(out + AT_TYPE, 2, f->type);
	put_le(out + AT_SEQUENCE, 8, f->sequence);
	put_le(out + AT_EXPIRES, 8, f->expires_ms);
	memcpy(out + AT_SIGNER, f->signer.bytes, PUBLIC_KEY_BYTES);
	memcpy(out + AT_RECIPIENT, f->recipient.bytes, PUBLIC_KEY_BYTES);
	memcpy(out + AT_SIGNATURE, f->signature.bytes, SIGNATURE_BYTES);
}
