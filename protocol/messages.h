/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to checked plain structs and back. messages.c, its parts, receipt.c and evidence.c are the
 * only files that see the code generated from ayni.proto; every bound stated there is checked here,
 * both ways.
 *
 * A struct message made by message_decode owns its arrays: message_free. One made by hand (on the
 * stack, say) may point to anything; message_encode only reads it.
 */
#ifndef AYNI_PROTOCOL_MESSAGES_H
#define AYNI_PROTOCOL_MESSAGES_H

#include "protocol/message_types.h"
#include "protocol/status_types.h"

/* Numbers are on the wire: never renumber. */
enum message_type {
	MSG_HELLO = 1,
	MSG_WELCOME = 2,
	MSG_REFUSAL = 3,
	MSG_HEARTBEAT = 4,
	MSG_OFFER = 5,
	MSG_ASSIGNMENT = 6,
	MSG_UNASSIGN = 7,
	MSG_ASSIGNMENT_STATE = 8,
	MSG_BLOB_REQUEST = 9,
	MSG_BLOB = 10,
	MSG_WORK_UNIT = 11,
	MSG_RESULT = 12,
	MSG_UNIT_FAILED = 13,
	MSG_LEAVE = 14,
	MSG_RECEIPT = 15,
	MSG_RECEIPT_ACK = 16,
	MSG_GENERATE = 17,
	MSG_PIECE = 18,
	MSG_FINISHED = 19,
	MSG_CANCEL = 20,
	MSG_STATUS_QUERY = 21,
	MSG_STATUS = 22,
	MSG_RECEIPTS_QUERY = 23,
	MSG_RECEIPTS = 24,
	MSG_HANDOVER = 25,
	MSG_LINK = 26,
	MSG_LINK_STATE = 27,
	MSG_WITHDRAW = 28,
	MSG_DOUBT = 29,
	MSG_TYPE_END
};

struct message {
	enum message_type type;
	struct span payload;          /* borrowed; set by envelope_open */
	struct span envelope, header; /* likewise: as they came */
	union {
		struct msg_hello hello;
		struct msg_welcome welcome;
		struct msg_refusal refusal;
		struct msg_heartbeat heartbeat;
		struct msg_offer offer;
		struct msg_assignment assignment;
		struct msg_unassign unassign;
		struct msg_assignment_state assignment_state;
		struct msg_blob_request blob_request;
		struct msg_blob blob;
		struct msg_work_unit work_unit;
		struct msg_result result;
		struct msg_unit_failed unit_failed;
		struct msg_leave leave;
		struct signed_receipt receipt;
		struct msg_receipt_ack receipt_ack;
		struct msg_generate generate;
		struct msg_piece piece;
		struct msg_finished finished;
		struct msg_cancel cancel;
		struct msg_doubt doubt;
		struct msg_status status; /* MSG_STATUS_QUERY has no fields */
		struct msg_receipts_query receipts_query;
		struct msg_receipts receipts;
		struct msg_handover handover;
		struct msg_link link;
		struct msg_link_state link_state;
		struct msg_withdraw withdraw;
	};
};

/*
 * Encode the header. *out is malloc'd. AYNI_ERR_ARGUMENT names the field that is out of bounds.
 * A text for people (Refusal.text, Piece.notice ...) is made to fit instead: text.h.
 */
int message_encode(const struct message *m, uint8_t **out, size_t *len, struct error *err);
/* AYNI_ERR_FORMAT, _LIMIT (a field past its bound) or _UNSUPPORTED (unknown type). */
int message_decode(
    uint16_t type, const uint8_t *data, size_t len, struct message **out, struct error *err);
void message_free(struct message *m); /* made by message_decode; NULL is fine */

const char *message_name(uint16_t type);       /* "work-unit"; NULL if unknown */
const char *refusal_name(enum refusal reason); /* "signature": for status and logs */
/* Does the type carry a payload, and of how many bytes at most? */
size_t message_payload_limit(uint16_t type);
/* Where the header holds the payload's hash; NULL for types whose payload needs none (Blob is named
 * by its own hash) or that have no payload. */
struct hash *message_payload_hash(struct message *m);

/* Little-endian tensors of payloads; hosts of either order. */
void payload_put_u32(uint8_t *out, const uint32_t *values, size_t n);
void payload_get_u32(const uint8_t *in, uint32_t *values, size_t n);
void payload_put_f32(uint8_t *out, const float *values, size_t n);
void payload_get_f32(const uint8_t *in, float *values, size_t n);

#endif
