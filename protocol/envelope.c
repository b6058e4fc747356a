/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/envelope.h"

#include <stdlib.h>

enum { DOMAIN_BYTES = 64 };

void envelope_channel_init(struct envelope_channel *c, const struct identity *self,
    const struct public_key *peer, uint64_t first_sequence)
{
	*c = (struct envelope_channel){.self = self, .peer_known = peer != NULL};
	if (peer != NULL)
		c->peer = *peer;
	/* Zero is never a sequence number: the other side has "seen" it from the start. */
	c->last_sent = first_sequence == 0 ? 0 : first_sequence - 1;
}

static void domain_of(uint16_t type, char out[DOMAIN_BYTES])
{
	(void)snprintf(out, DOMAIN_BYTES, "ayni v%d %s", PROTOCOL_VERSION, message_name(type));
}

/* What is signed after the domain: the envelope without its signature, and the header as sent. */
static uint8_t *signed_part(const uint8_t *envelope, const uint8_t *header, size_t header_len)
{
	uint8_t *part = malloc(FRAME_SIGNED_BYTES + header_len);

	if (part == NULL)
		return NULL;
	memcpy(part, envelope, FRAME_SIGNED_BYTES);
	if (header_len > 0)
		memcpy(part + FRAME_SIGNED_BYTES, header, header_len);
	return part;
}

/* ---- sealing ------------------------------------------------------------------------------ */

static int sign_frame(const struct identity *self, struct frame *f, const uint8_t *header,
    size_t header_len, uint8_t envelope[FRAME_BYTES])
{
	char domain[DOMAIN_BYTES];
	uint8_t *part;
	int rc;

	frame_write(f, envelope);
	part = signed_part(envelope, header, header_len);
	if (part == NULL)
		return AYNI_ERR_MEMORY;
	domain_of(f->type, domain);
	rc = identity_sign(self, domain, part, FRAME_SIGNED_BYTES + header_len, &f->signature);
	free(part);
	if (rc == AYNI_OK)
		frame_write(f, envelope);
	return rc;
}

int envelope_seal(struct envelope_channel *c, struct message *m, uint64_t expires_ms,
    const uint8_t *payload, size_t payload_len, uint8_t envelope[FRAME_BYTES], uint8_t **header,
    size_t *header_len, struct error *err)
{
	struct hash *payload_hash = message_payload_hash(m);
	struct frame f = {.version = PROTOCOL_VERSION,
	    .type = (uint16_t)m->type,
	    .sequence = c->last_sent + 1,
	    .expires_ms = expires_ms,
	    .signer = *identity_public(c->self),
	    .recipient = c->peer};
	int rc;

	if (!c->peer_known)
		return error_set(err, AYNI_ERR_STATE, "envelope: the recipient is not known yet");
	if (payload == NULL)
		payload_len = 0;
	if (payload_len > message_payload_limit((uint16_t)m->type))
		return error_set(err, AYNI_ERR_ARGUMENT, "%s: a payload of %zu bytes is too long",
		    message_name((uint16_t)m->type), payload_len);
	if (payload_hash != NULL)
		hash_bytes(payload, payload_len, payload_hash);
	rc = message_encode(m, header, header_len, err);
	if (rc != AYNI_OK)
		return rc;
	rc = sign_frame(c->self, &f, *header, *header_len, envelope);
	if (rc != AYNI_OK) {
		free(*header);
		*header = NULL;
		return error_set(err, rc, "envelope: no memory to sign");
	}
	c->last_sent = f.sequence;
	return AYNI_OK;
}

/* ---- opening ------------------------------------------------------------------------------ */

static int refuse(enum refusal reason, enum refusal *why, enum ayni_error code, struct error *err,
    const char *text)
{
	*why = reason;
	return error_set(err, code, "envelope: %s", text);
}

/* What can be said without reading header or payload and without cryptography. */
static int check_frame(const struct envelope_channel *c, const struct frame *f, size_t header_len,
    size_t payload_len, uint64_t now_ms, enum refusal *why, struct error *err)
{
	if (message_name(f->type) == NULL)
		return refuse(REFUSAL_TYPE, why, AYNI_ERR_UNSUPPORTED, err, "unknown message type");
	if (header_len > LIMIT_HEADER_BYTES || payload_len > message_payload_limit(f->type))
		return refuse(REFUSAL_SIZE, why, AYNI_ERR_LIMIT, err,
		    "a frame is longer than its type allows");
	if (!public_key_equal(&f->recipient, identity_public(c->self)))
		return refuse(
		    REFUSAL_RECIPIENT, why, AYNI_ERR_SIGNATURE, err, "meant for another recipient");
	if (c->peer_known && !public_key_equal(&f->signer, &c->peer))
		return refuse(REFUSAL_SIGNER, why, AYNI_ERR_SIGNATURE, err,
		    "signed by another than the peer");
	if (f->sequence <= c->last_received)
		return refuse(
		    REFUSAL_REPLAY, why, AYNI_ERR_STATE, err, "sequence number seen before");
	if (f->expires_ms != 0 && now_ms > f->expires_ms)
		return refuse(REFUSAL_EXPIRED, why, AYNI_ERR_TIMEOUT, err, "expired");
	return AYNI_OK;
}

static int check_signature(const struct frame *f, struct span envelope, struct span header,
    enum refusal *why, struct error *err)
{
	char domain[DOMAIN_BYTES];
	uint8_t *part = signed_part(envelope.data, header.data, header.len);
	bool right;

	if (part == NULL)
		return refuse(REFUSAL_MEMORY, why, AYNI_ERR_MEMORY, err, "no memory to check it");
	domain_of(f->type, domain);
	right = identity_verify(
	    &f->signer, domain, part, FRAME_SIGNED_BYTES + header.len, &f->signature);
	free(part);
	if (!right)
		return refuse(REFUSAL_SIGNATURE, why, AYNI_ERR_SIGNATURE, err,
		    "altered on the way, or not signed");
	return AYNI_OK;
}

/* Does the header name this payload? Types without one have none here: check_frame saw to it. */
static bool payload_matches(struct message *m, struct span payload)
{
	const struct hash *named = message_payload_hash(m);
	struct hash actual;

	if (m->type == MSG_BLOB) {
		if (!m->blob.found)
			return payload.len == 0;
		named = &m->blob.hash;
	}
	if (named == NULL)
		return true;
	hash_bytes(payload.data, payload.len, &actual);
	return hash_equal(&actual, named);
}

static enum refusal refusal_of(int decode_error)
{
	if (decode_error == AYNI_ERR_LIMIT)
		return REFUSAL_BOUNDS;
	return decode_error == AYNI_ERR_MEMORY ? REFUSAL_MEMORY : REFUSAL_SHAPE;
}

int envelope_open(struct envelope_channel *c, struct span envelope, struct span header,
    struct span payload, uint64_t now_ms, struct message **out, enum refusal *why,
    struct error *err)
{
	struct frame f;
	struct message *m;
	int rc = frame_parse(envelope.data, envelope.len, &f, err);

	*why = REFUSAL_NONE;
	if (rc != AYNI_OK) {
		*why = rc == AYNI_ERR_UNSUPPORTED ? REFUSAL_VERSION : REFUSAL_SHAPE;
		return rc;
	}
	rc = check_frame(c, &f, header.len, payload.len, now_ms, why, err);
	if (rc == AYNI_OK)
		rc = check_signature(&f, envelope, header, why, err);
	if (rc != AYNI_OK)
		return rc;

	/*
	 * The peer did send this, so its number is used up, even if the content is refused. Not
	 * before: whoever cannot sign must not be able to use up numbers.
	 */
	c->last_received = f.sequence;
	c->peer = f.signer;
	c->peer_known = true;
	rc = message_decode(f.type, header.data, header.len, &m, err);
	if (rc != AYNI_OK) {
		*why = refusal_of(rc);
		return rc;
	}
	if (!payload_matches(m, payload)) {
		message_free(m);
		return refuse(REFUSAL_PAYLOAD, why, AYNI_ERR_SIGNATURE, err,
		    "the payload is not the one that the header names");
	}
	m->payload = payload;
	m->envelope = envelope;
	m->header = header;
	*out = m;
	return AYNI_OK;
}

int envelope_read(struct span envelope, struct span header, struct frame *frame,
    struct message **out, struct error *err)
{
	enum refusal why;
	int rc = frame_parse(envelope.data, envelope.len, frame, err);

	if (rc == AYNI_OK && message_name(frame->type) == NULL)
		rc = error_set(err, AYNI_ERR_UNSUPPORTED, "envelope: unknown message type");
	if (rc == AYNI_OK && header.len > LIMIT_HEADER_BYTES)
		rc = error_set(err, AYNI_ERR_LIMIT, "envelope: a header of %zu bytes", header.len);
	if (rc == AYNI_OK)
		rc = check_signature(frame, envelope, header, &why, err);
	return rc == AYNI_OK ? message_decode(frame->type, header.data, header.len, out, err) : rc;
}
