/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/messages_internal.h"

#include <stdlib.h>

/* Of one encoding or one decoded message; the bounds of ayni.proto keep valid ones far below. */
#define CONVERSION_BYTES_MAX ((size_t)64 << 20)

static const struct codec *const codecs[MSG_TYPE_END] = {
    [MSG_HELLO] = &codec_hello,
    [MSG_WELCOME] = &codec_welcome,
    [MSG_REFUSAL] = &codec_refusal,
    [MSG_HEARTBEAT] = &codec_heartbeat,
    [MSG_OFFER] = &codec_offer,
    [MSG_ASSIGNMENT] = &codec_assignment,
    [MSG_UNASSIGN] = &codec_unassign,
    [MSG_ASSIGNMENT_STATE] = &codec_assignment_state,
    [MSG_BLOB_REQUEST] = &codec_blob_request,
    [MSG_BLOB] = &codec_blob,
    [MSG_WORK_UNIT] = &codec_work_unit,
    [MSG_RESULT] = &codec_result,
    [MSG_UNIT_FAILED] = &codec_unit_failed,
    [MSG_LEAVE] = &codec_leave,
    [MSG_RECEIPT] = &codec_receipt,
    [MSG_RECEIPT_ACK] = &codec_receipt_ack,
    [MSG_GENERATE] = &codec_generate,
    [MSG_PIECE] = &codec_piece,
    [MSG_FINISHED] = &codec_finished,
    [MSG_CANCEL] = &codec_cancel,
    [MSG_STATUS_QUERY] = &codec_status_query,
    [MSG_STATUS] = &codec_status,
    [MSG_RECEIPTS_QUERY] = &codec_receipts_query,
    [MSG_RECEIPTS] = &codec_receipts,
    [MSG_HANDOVER] = &codec_handover,
    [MSG_LINK] = &codec_link,
    [MSG_LINK_STATE] = &codec_link_state,
    [MSG_WITHDRAW] = &codec_withdraw,
    [MSG_DOUBT] = &codec_doubt,
};

static const char *const refusal_names[REFUSAL_END] = {
    [REFUSAL_NONE] = "none",
    [REFUSAL_SHAPE] = "shape",
    [REFUSAL_VERSION] = "version",
    [REFUSAL_TYPE] = "type",
    [REFUSAL_SIZE] = "size",
    [REFUSAL_RECIPIENT] = "recipient",
    [REFUSAL_SIGNER] = "signer",
    [REFUSAL_REPLAY] = "replay",
    [REFUSAL_EXPIRED] = "expired",
    [REFUSAL_SIGNATURE] = "signature",
    [REFUSAL_PAYLOAD] = "payload",
    [REFUSAL_BOUNDS] = "bounds",
    [REFUSAL_INVITE] = "invite",
    [REFUSAL_ASSIGNMENT] = "assignment",
    [REFUSAL_SESSION] = "session",
    [REFUSAL_MEMORY] = "memory",
    [REFUSAL_NUMERIC] = "numeric",
    [REFUSAL_BUSY] = "busy",
    [REFUSAL_LEAVING] = "leaving",
    [REFUSAL_INTERNAL] = "internal",
};

/* A decoded message with the memory that its arrays lie in. */
struct decoded {
	struct message message; /* first: message_free gets its address */
	struct arena arena;
};

static const struct codec *find_codec(uint16_t type)
{
	return type < MSG_TYPE_END ? codecs[type] : NULL;
}

const char *message_name(uint16_t type)
{
	const struct codec *codec = find_codec(type);

	return codec == NULL ? NULL : codec->name;
}

const char *refusal_name(enum refusal reason)
{
	/* Through unsigned: whatever number a caller holds gives a name. */
	return (unsigned)reason < REFUSAL_END ? refusal_names[reason] : "unknown";
}

size_t message_payload_limit(uint16_t type)
{
	const struct codec *codec = find_codec(type);

	return codec == NULL ? 0 : codec->payload_limit;
}

struct hash *message_payload_hash(struct message *m)
{
	switch (m->type) {
	case MSG_WORK_UNIT:
		return &m->work_unit.payload_hash;
	case MSG_RESULT:
		return &m->result.payload_hash;
	case MSG_PIECE:
		return &m->piece.payload_hash;
	case MSG_HANDOVER:
		return &m->handover.payload_hash;
	case MSG_HELLO:
	case MSG_WELCOME:
	case MSG_REFUSAL:
	case MSG_HEARTBEAT:
	case MSG_OFFER:
	case MSG_ASSIGNMENT:
	case MSG_UNASSIGN:
	case MSG_ASSIGNMENT_STATE:
	case MSG_BLOB_REQUEST:
	case MSG_BLOB:
	case MSG_UNIT_FAILED:
	case MSG_LEAVE:
	case MSG_RECEIPT:
	case MSG_RECEIPT_ACK:
	case MSG_GENERATE:
	case MSG_FINISHED:
	case MSG_CANCEL:
	case MSG_STATUS_QUERY:
	case MSG_STATUS:
	case MSG_RECEIPTS_QUERY:
	case MSG_RECEIPTS:
	case MSG_LINK:
	case MSG_LINK_STATE:
	case MSG_WITHDRAW:
	case MSG_DOUBT:
	case MSG_TYPE_END:
		break;
	}
	return NULL;
}

int message_encode(const struct message *m, uint8_t **out, size_t *len, struct error *err)
{
	const struct codec *codec = find_codec((uint16_t)m->type);
	struct arena arena = {.budget_bytes = CONVERSION_BYTES_MAX};
	struct conversion c = {.arena = &arena, .err = err};
	ProtobufCMessage *wire = NULL;
	size_t size;

	if (codec == NULL)
		return error_set(err, AYNI_ERR_ARGUMENT, "message: unknown type %d", (int)m->type);
	c.message = codec->name;
	codec->check(&c, m);
	if (c.code == AYNI_OK)
		wire = codec->store(&c, m);
	if (c.code != AYNI_OK)
		goto out;
	size = protobuf_c_message_get_packed_size(wire);
	check_range(&c, "header", size, 0, LIMIT_HEADER_BYTES);
	if (c.code != AYNI_OK)
		goto out;
	*out = malloc(size == 0 ? 1 : size);
	if (*out == NULL)
		conversion_fail(&c, AYNI_ERR_MEMORY, "header", "no memory for it");
	else
		*len = protobuf_c_message_pack(wire, *out);
out:
	arena_release(&arena);
	if (c.code == AYNI_ERR_FORMAT || c.code == AYNI_ERR_LIMIT) {
		c.code = AYNI_ERR_ARGUMENT;
		if (err != NULL)
			err->code = AYNI_ERR_ARGUMENT;
	}
	return c.code;
}

int message_decode(
    uint16_t type, const uint8_t *data, size_t len, struct message **out, struct error *err)
{
	const struct codec *codec = find_codec(type);
	struct arena unpacked = {0};
	struct conversion c = {.arena = &unpacked, .err = err};
	struct decoded *d;
	ProtobufCMessage *wire;

	if (codec == NULL)
		return error_set(
		    err, AYNI_ERR_UNSUPPORTED, "message: unknown type %u", (unsigned)type);
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "%s: no memory for it", codec->name);
	d->message.type = (enum message_type)type;
	d->arena.budget_bytes = CONVERSION_BYTES_MAX;
	c.message = codec->name;

	wire = wire_unpack(&c, codec->type, data, len, LIMIT_HEADER_BYTES);
	c.arena = &d->arena;
	if (wire != NULL)
		codec->load(&c, wire, &d->message);
	if (c.code == AYNI_OK)
		codec->check(&c, &d->message);
	arena_release(&unpacked);
	if (c.code != AYNI_OK) {
		message_free(&d->message);
		return c.code;
	}
	*out = &d->message;
	return AYNI_OK;
}

void message_free(struct message *m)
{
	struct decoded *d = (struct decoded *)m;

	if (d == NULL)
		return;
	arena_release(&d->arena);
	free(d);
}

/* ---- tensors of payloads ------------------------------------------------------------------ */

void payload_put_u32(uint8_t *out, const uint32_t *values, size_t n)
{
	for (size_t i = 0; i < n; i++, out += 4) {
		out[0] = (uint8_t)values[i];
		out[1] = (uint8_t)(values[i] >> 8);
		out[2] = (uint8_t)(values[i] >> 16);
		out[3] = (uint8_t)(values[i] >> 24);
	}
}

void payload_get_u32(const uint8_t *in, uint32_t *values, size_t n)
{
	for (size_t i = 0; i < n; i++, in += 4)
		values[i] = (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 |
		            (uint32_t)in[3] << 24;
}

void payload_put_f32(uint8_t *out, const float *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t bits;

		memcpy(&bits, &values[i], sizeof bits);
		payload_put_u32(out + 4 * i, &bits, 1);
	}
}

void payload_get_f32(const uint8_t *in, float *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t bits;

		payload_get_u32(in + 4 * i, &bits, 1);
		memcpy(&values[i], &bits, sizeof bits);
	}
}
