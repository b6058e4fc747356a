/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/relay_damage.h"

#include <math.h>
#include <stdlib.h>

enum { UNKNOWN_TYPE = 60000, LONG_ENVELOPE = 2000 };

static void *copy(const void *data, size_t len)
{
	void *bytes = malloc(len + 1);

	if (bytes == NULL)
		abort();
	if (len > 0)
		memcpy(bytes, data, len);
	return bytes;
}

void relayed_copy(struct span envelope, struct span header, struct span payload, struct relayed *m)
{
	*m = (struct relayed){
	    .envelope_len = envelope.len, .header_len = header.len, .payload_len = payload.len};
	assert(envelope.len <= sizeof m->envelope);
	memcpy(m->envelope, envelope.data, envelope.len);
	m->header = copy(header.data, header.len);
	m->payload = copy(payload.data, payload.len);
}

void relayed_free(struct relayed *m)
{
	free(m->header);
	free(m->payload);
	memset(m, 0, sizeof *m);
}

/* ---- signing ------------------------------------------------------------------------------ */

/* The rule of envelope.h once more, so that it is not only checked against itself. */
static int sign(struct relayed *m, struct frame *f, const struct identity *signer)
{
	char domain[64];
	uint8_t *part = malloc(FRAME_SIGNED_BYTES + m->header_len);
	int rc;

	if (part == NULL)
		return AYNI_ERR_MEMORY;
	(void)snprintf(
	    domain, sizeof domain, "ayni v%d %s", PROTOCOL_VERSION, message_name(f->type));
	frame_write(f, m->envelope);
	memcpy(part, m->envelope, FRAME_SIGNED_BYTES);
	memcpy(part + FRAME_SIGNED_BYTES, m->header, m->header_len);
	rc = identity_sign(signer, domain, part, FRAME_SIGNED_BYTES + m->header_len, &f->signature);
	free(part);
	frame_write(f, m->envelope);
	return rc;
}

static const struct identity *sender(const struct frame *f, const struct relay_keys *keys)
{
	bool pool = public_key_equal(&f->signer, identity_public(keys->pool));

	return pool ? keys->pool : keys->donor;
}

/* ---- damage to what the sender said ------------------------------------------------------- */

/* Change the content of a WorkUnit or Result. False: not one of those, or nothing to change. */
static bool edit(struct message *m, enum relay_damage damage, struct relayed *r)
{
	struct msg_work_unit *u = &m->work_unit;
	float nan = NAN;

	if (damage < RELAY_RESULT_SHORT ? m->type != MSG_WORK_UNIT : m->type != MSG_RESULT)
		return false;
	switch ((int)damage) {
	case RELAY_UNIT_NUMBER:
		u->unit--;
		return true;
	case RELAY_UNIT_ASSIGNMENT:
		u->assignment++;
		return true;
	case RELAY_UNIT_LAYERS:
		u->layer_last++;
		return true;
	case RELAY_UNIT_POSITION:
		u->spans[0].position += 7;
		return true;
	case RELAY_UNIT_TOKENS:
		r->payload = realloc(r->payload, r->payload_len + 4);
		if (r->payload == NULL)
			abort();
		memset(r->payload + r->payload_len, 0, 4);
		r->payload_len += 4;
		return true;
	case RELAY_RESULT_SHORT:
		r->payload_len -= 4;
		return true;
	case RELAY_RESULT_NAN:
		payload_put_f32(r->payload, &nan, 1);
		return true;
	case RELAY_RESULT_COST:
		return flop_add(m->result.cost, (struct flop){1}, &m->result.cost) == AYNI_OK;
	case RELAY_RESULT_UNKNOWN:
		m->result.unit += 1000000;
		return true;
	default:
		return false;
	}
}

static int edit_and_sign(struct relayed *r, struct frame *f, enum relay_damage damage,
    const struct relay_keys *keys, struct error *err)
{
	struct message *m = NULL;
	uint8_t *header = NULL;
	size_t len = 0;
	int rc = message_decode(f->type, r->header, r->header_len, &m, err);

	if (rc == AYNI_OK && (r->payload_len < 4 || !edit(m, damage, r)))
		rc = error_set(err, AYNI_ERR_ARGUMENT, "relay: damage %d does not fit a %s",
		    (int)damage, message_name(f->type));
	if (rc == AYNI_OK) {
		hash_bytes(r->payload, r->payload_len, message_payload_hash(m));
		rc = message_encode(m, &header, &len, err);
	}
	message_free(m);
	if (rc != AYNI_OK)
		return rc;
	free(r->header);
	r->header = header;
	r->header_len = len;
	return sign(r, f, sender(f, keys));
}

/* ---- all ---------------------------------------------------------------------------------- */

/* What needs no key. */
static void damage_bytes(struct relayed *m, struct frame *f, enum relay_damage damage)
{
	switch ((int)damage) {
	case RELAY_PAYLOAD_BIT:
		m->payload[m->payload_len / 2] ^= 0x10;
		break;
	case RELAY_HEADER_BIT:
		m->header[m->header_len / 2] ^= 1;
		break;
	case RELAY_HEADER_CUT:
		m->header_len--;
		break;
	case RELAY_UNSIGNED:
		memset(&f->signature, 0, sizeof f->signature);
		break;
	case RELAY_TWICE:
		m->twice = true;
		break;
	case RELAY_VERSION:
		f->version++;
		break;
	case RELAY_TYPE:
		f->type = UNKNOWN_TYPE;
		break;
	case RELAY_DISGUISED:
		f->type = MSG_HEARTBEAT;
		break;
	default:
		break;
	}
	frame_write(f, m->envelope);
	if (damage == RELAY_ENVELOPE_CUT)
		m->envelope_len--;
	if (damage == RELAY_ENVELOPE_LONG)
		m->envelope_len = LONG_ENVELOPE;
}

int relayed_damage(
    struct relayed *m, enum relay_damage damage, const struct relay_keys *keys, struct error *err)
{
	struct frame f;
	int rc = frame_parse(m->envelope, m->envelope_len, &f, err);

	if (rc != AYNI_OK)
		return rc;
	if (m->header_len == 0 || (m->payload_len == 0 && damage == RELAY_PAYLOAD_BIT))
		return error_set(err, AYNI_ERR_ARGUMENT, "relay: nothing to damage");
	if (damage < RELAY_STRANGER) {
		damage_bytes(m, &f, damage);
		return AYNI_OK;
	}
	if (damage >= RELAY_UNIT_NUMBER)
		return edit_and_sign(m, &f, damage, keys, err);
	if (damage == RELAY_STRANGER)
		f.signer = *identity_public(keys->stranger);
	if (damage == RELAY_STRANGER || damage == RELAY_FORGED)
		return sign(m, &f, keys->stranger);
	if (damage == RELAY_RECIPIENT)
		f.recipient = *identity_public(keys->stranger);
	if (damage == RELAY_EXPIRED)
		f.expires_ms = 1;
	if (damage == RELAY_HEADER_NOISE)
		memset(m->header, 0xff, m->header_len);
	return sign(m, &f, sender(&f, keys));
}
