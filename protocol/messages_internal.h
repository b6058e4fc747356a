/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by messages.c, its parts (messages_*.c), receipt.c and evidence.c: the only files that see
 * the code generated from ayni.proto.
 *
 * Each message has three functions: load (wire struct to plain struct), store (plain to wire) and
 * check (the bounds of ayni.proto, on the plain struct). Decoding is unpack, load, check; encoding
 * is check, store, pack: so one check serves both ways. What load itself must check is only what
 * the plain struct could not hold.
 *
 * All three write through a struct conversion that remembers the first fault and ignores what
 * follows, so that they read as plain lists of fields. Memory comes from arenas with a budget: a
 * small message cannot claim much, whatever it says.
 */
#ifndef AYNI_PROTOCOL_MESSAGES_INTERNAL_H
#define AYNI_PROTOCOL_MESSAGES_INTERNAL_H

#include "protocol/ayni.pb-c.h"
#include "protocol/messages.h"
#include "protocol/text.h"

/* ---- memory ------------------------------------------------------------------------------- */

struct arena_block;

/* Allocations that are released together, of `budget_bytes` at most. */
struct arena {
	struct arena_block *blocks;
	size_t budget_bytes;
};

/* `n` zeroed elements of `size` bytes; NULL past the budget. n = 0 gives memory for one. */
void *arena_take(struct arena *a, size_t n, size_t size);
void arena_release(struct arena *a);
/* An allocator for protobuf-c that takes from the arena; freeing is left to arena_release. */
ProtobufCAllocator arena_allocator(struct arena *a);

/* ---- one conversion ----------------------------------------------------------------------- */

struct conversion {
	const char *message; /* name, for errors */
	struct arena *arena;
	int code; /* AYNI_OK, or the first fault */
	struct error *err;
};

/* Note a fault, unless there is one already. */
void conversion_fail(
    struct conversion *c, enum ayni_error code, const char *field, const char *rule);
/* arena_take that notes a fault. */
void *conversion_take(struct conversion *c, size_t n, size_t size);
/* A zeroed wire struct of this type; NULL after a fault. */
void *wire_new(struct conversion *c, const ProtobufCMessageDescriptor *type);
/*
 * Unpack `len` bytes, `limit` at most, into a wire struct in c->arena, whose budget this sets; NULL
 * after a fault.
 * Bytes are refused that are no protobuf of this type, or hold a string with a NUL inside.
 */
ProtobufCMessage *wire_unpack(struct conversion *c, const ProtobufCMessageDescriptor *type,
    const uint8_t *data, size_t len, size_t limit);

/* Is this well-formed protobuf without a NUL in any string that `type` knows? messages_wire.c */
bool wire_strings_are_whole(
    const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len);

/* ---- checks: both ways -------------------------------------------------------------------- */

void check_range(
    struct conversion *c, const char *field, uint64_t value, uint64_t min, uint64_t max);
/* A finite number in [min, max]. */
void check_float(struct conversion *c, const char *field, float value, float min, float max);
/* [first, last) lies within a model; empty only if `may_be_empty`. */
void check_layers(struct conversion *c, uint32_t first, uint32_t last, bool may_be_empty);
void check_refusal(struct conversion *c, uint32_t reason);
/* UTF-8 of one line, no control characters, its NUL within `size` bytes. */
void check_line(struct conversion *c, const char *field, const char *text, size_t size);
/* UTF-8 of any length. */
void check_utf8(struct conversion *c, const char *field, const char *text, size_t len);

/* ---- load: wire to plain ------------------------------------------------------------------ */

void load_line(struct conversion *c, const char *field, const char *in, char *out, size_t size);
void load_bytes(
    struct conversion *c, const char *field, ProtobufCBinaryData in, uint8_t *out, size_t len);
void load_pseudonym(struct conversion *c, ProtobufCBinaryData in, struct pseudonym *out);
void load_flop(struct conversion *c, const char *field, uint64_t in, struct flop *out);
void load_refusals(struct conversion *c, const char *field, size_t n, Ayni__RefusalCount *const *in,
    struct refusal_counts *out);
void load_signed_receipt(
    struct conversion *c, const Ayni__SignedReceipt *in, struct signed_receipt *out);

/* ---- store: plain to wire (borrows from the plain struct) ---------------------------------- */

ProtobufCBinaryData store_bytes(const void *data, size_t len);
ProtobufCBinaryData store_pseudonym(const struct pseudonym *p);
char *store_line(const char *text);
/* A text for people goes out in any case: what is not one line of UTF-8 is made so (text_fit). */
char *store_text(struct conversion *c, const char *text, size_t size);
size_t store_refusals(
    struct conversion *c, const struct refusal_counts *in, Ayni__RefusalCount ***out);
Ayni__SignedReceipt *store_signed_receipt(struct conversion *c, const struct signed_receipt *in);
void check_signed_receipt(struct conversion *c, const struct signed_receipt *in);

/* An assignment stands alone, or in an offer. */
void load_assignment(struct conversion *c, const Ayni__Assignment *in, struct msg_assignment *m);
void check_assignment(struct conversion *c, const struct msg_assignment *m);
Ayni__Assignment *store_assignment(struct conversion *c, const struct msg_assignment *m);

/* Sampling stands in a request, or in a unit whose token is handed on. */
void load_sampling(const Ayni__Sampling *in, struct sampling *out);
void check_sampling(struct conversion *c, const struct sampling *s);
Ayni__Sampling *store_sampling(struct conversion *c, const struct sampling *in);
/* What two donors exchange; a ticket of 0 is none, and stored as NULL. */
void load_transfer(struct conversion *c, const Ayni__Transfer *in, struct transfer *out);
Ayni__Transfer *store_transfer(struct conversion *c, const struct transfer *in);

/* ---- the table ---------------------------------------------------------------------------- */

struct codec {
	const char *name;
	const ProtobufCMessageDescriptor *type;
	size_t payload_limit;
	void (*load)(struct conversion *c, const void *wire, struct message *out);
	void *(*store)(struct conversion *c, const struct message *in);
	void (*check)(struct conversion *c, const struct message *m);
};

/* messages_join.c */
extern const struct codec codec_hello, codec_welcome, codec_refusal, codec_heartbeat, codec_offer,
    codec_leave;
/* messages_work.c */
extern const struct codec codec_assignment, codec_unassign, codec_assignment_state,
    codec_blob_request, codec_blob, codec_work_unit, codec_result, codec_unit_failed;
/* messages_link.c */
extern const struct codec codec_handover, codec_link, codec_link_state, codec_withdraw;
/* messages_member.c */
extern const struct codec codec_generate, codec_piece, codec_finished, codec_cancel, codec_doubt;
/* messages_books.c */
extern const struct codec codec_receipt, codec_receipt_ack, codec_status_query, codec_status,
    codec_receipts_query, codec_receipts;

#endif
