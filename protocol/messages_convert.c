/* SPDX-License-Identifier: Apache-2.0 */
/* What the codecs of all messages share: budgeted memory, faults, checks, fields of common form. */
#include "protocol/messages_internal.h"

#include <math.h>
#include <stdlib.h>

/* ---- memory ------------------------------------------------------------------------------- */

struct arena_block {
	struct arena_block *next;
	_Alignas(max_align_t) uint8_t bytes[];
};

enum {
	/*
	 * Memory that unpacking may take, for a byte of header and to begin with. The densest valid
	 * message, work units of many short spans, takes about 20 times its bytes.
	 */
	UNPACK_BYTES_EACH = 32,
	UNPACK_BYTES_BASE = 16 << 10
};

void *arena_take(struct arena *a, size_t n, size_t size)
{
	struct arena_block *block;
	size_t bytes;

	if (__builtin_mul_overflow(n == 0 ? 1 : n, size, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof *block, &bytes) || bytes > a->budget_bytes)
		return NULL;
	/* One malloc each, so that the sanitizers see every overrun. */
	block = calloc(1, bytes);
	if (block == NULL)
		return NULL;
	a->budget_bytes -= bytes;
	block->next = a->blocks;
	a->blocks = block;
	return block->bytes;
}

void arena_release(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
}

static void *allocator_take(void *arena, size_t size)
{
	return arena_take(arena, 1, size);
}

static void allocator_ignore(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

ProtobufCAllocator arena_allocator(struct arena *a)
{
	return (ProtobufCAllocator){
	    .alloc = allocator_take, .free = allocator_ignore, .allocator_data = a};
}

/* ---- one conversion ----------------------------------------------------------------------- */

void conversion_fail(
    struct conversion *c, enum ayni_error code, const char *field, const char *rule)
{
	if (c->code == AYNI_OK)
		c->code = error_set(c->err, code, "%s: %s: %s", c->message, field, rule);
}

void *conversion_take(struct conversion *c, size_t n, size_t size)
{
	void *memory = c->code == AYNI_OK ? arena_take(c->arena, n, size) : NULL;

	if (memory == NULL)
		conversion_fail(c, AYNI_ERR_MEMORY, "memory", "none left for it");
	return memory;
}

void *wire_new(struct conversion *c, const ProtobufCMessageDescriptor *type)
{
	void *wire = conversion_take(c, 1, type->sizeof_message);

	if (wire != NULL)
		protobuf_c_message_init(type, wire);
	return wire;
}

ProtobufCMessage *wire_unpack(struct conversion *c, const ProtobufCMessageDescriptor *type,
    const uint8_t *data, size_t len, size_t limit)
{
	ProtobufCAllocator allocator = arena_allocator(c->arena);
	ProtobufCMessage *wire;

	if (len > limit) {
		conversion_fail(c, AYNI_ERR_LIMIT, "encoded size", "is past its limit");
		return NULL;
	}
	if (!wire_strings_are_whole(type, data, len)) {
		conversion_fail(c, AYNI_ERR_FORMAT, "encoding", "is damaged");
		return NULL;
	}
	c->arena->budget_bytes = UNPACK_BYTES_BASE + len * UNPACK_BYTES_EACH;
	wire = protobuf_c_message_unpack(type, &allocator, len, data);
	if (wire == NULL)
		conversion_fail(c, AYNI_ERR_FORMAT, "encoding", "is damaged");
	return wire;
}

/* ---- checks ------------------------------------------------------------------------------- */

void check_range(
    struct conversion *c, const char *field, uint64_t value, uint64_t min, uint64_t max)
{
	char rule[96];

	if (c->code != AYNI_OK || (value >= min && value <= max))
		return;
	(void)snprintf(rule, sizeof rule, "is %llu, allowed is %llu to %llu",
	    (unsigned long long)value, (unsigned long long)min, (unsigned long long)max);
	conversion_fail(c, AYNI_ERR_LIMIT, field, rule);
}

void check_float(struct conversion *c, const char *field, float value, float min, float max)
{
	if (!isfinite(value) || value < min || value > max)
		conversion_fail(c, AYNI_ERR_LIMIT, field, "is outside its range");
}

void check_layers(struct conversion *c, uint32_t first, uint32_t last, bool may_be_empty)
{
	check_range(c, "layer_last", last, 0, LIMIT_LAYERS);
	if (first > last || (first == last && !may_be_empty))
		conversion_fail(c, AYNI_ERR_LIMIT, "layer_first", "is not before layer_last");
}

void check_refusal(struct conversion *c, uint32_t reason)
{
	check_range(c, "reason", reason, REFUSAL_NONE + 1, REFUSAL_END - 1);
}

void check_line(struct conversion *c, const char *field, const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	if (len == size)
		conversion_fail(c, AYNI_ERR_LIMIT, field, "is too long");
	else if (!text_is_line(text, len))
		conversion_fail(c, AYNI_ERR_FORMAT, field, "is not one line of UTF-8");
}

void check_utf8(struct conversion *c, const char *field, const char *text, size_t len)
{
	if (!text_is_utf8(text, len))
		conversion_fail(c, AYNI_ERR_FORMAT, field, "is not UTF-8");
}

void check_signed_receipt(struct conversion *c, const struct signed_receipt *in)
{
	check_range(c, "receipt", in->receipt_len, 1, RECEIPT_BYTES_MAX);
}

/* ---- load --------------------------------------------------------------------------------- */

void load_line(struct conversion *c, const char *field, const char *in, char *out, size_t size)
{
	size_t len = strnlen(in, size);

	if (len == size)
		conversion_fail(c, AYNI_ERR_LIMIT, field, "is too long");
	else
		memcpy(out, in, len + 1);
}

void load_bytes(
    struct conversion *c, const char *field, ProtobufCBinaryData in, uint8_t *out, size_t len)
{
	if (in.len != len)
		conversion_fail(c, AYNI_ERR_FORMAT, field, "has the wrong length");
	else if (len > 0)
		memcpy(out, in.data, len);
}

/* Empty is none. */
void load_pseudonym(struct conversion *c, ProtobufCBinaryData in, struct pseudonym *out)
{
	memset(out, 0, sizeof *out);
	if (in.len == 0)
		return;
	load_bytes(c, "session", in, out->bytes, PSEUDONYM_BYTES);
	if (c->code == AYNI_OK && !pseudonym_is_set(out))
		conversion_fail(c, AYNI_ERR_FORMAT, "session", "is all zeros");
}

void load_flop(struct conversion *c, const char *field, uint64_t in, struct flop *out)
{
	if (flop_from(in, out) != AYNI_OK)
		conversion_fail(c, AYNI_ERR_LIMIT, field, "is past what can be counted");
}

void load_refusals(struct conversion *c, const char *field, size_t n, Ayni__RefusalCount *const *in,
    struct refusal_counts *out)
{
	uint32_t previous = REFUSAL_NONE;

	/* Ascending, so that each reason comes once. */
	for (size_t i = 0; i < n; i++) {
		uint32_t reason = in[i]->reason;

		if (reason <= previous || reason >= REFUSAL_END) {
			conversion_fail(c, AYNI_ERR_LIMIT, field, "reasons are not ascending");
			return;
		}
		out->by_reason[reason] = in[i]->count;
		previous = reason;
	}
}

void load_signed_receipt(
    struct conversion *c, const Ayni__SignedReceipt *in, struct signed_receipt *out)
{
	if (in->receipt.len > RECEIPT_BYTES_MAX) {
		conversion_fail(c, AYNI_ERR_LIMIT, "receipt", "is too long");
		return;
	}
	load_bytes(c, "receipt", in->receipt, out->receipt, in->receipt.len);
	out->receipt_len = in->receipt.len;
	load_bytes(
	    c, "pool_signature", in->pool_signature, out->pool_signature.bytes, SIGNATURE_BYTES);
	out->countersigned = in->donor_signature.len > 0;
	if (out->countersigned)
		load_bytes(c, "donor_signature", in->donor_signature, out->donor_signature.bytes,
		    SIGNATURE_BYTES);
}

/* ---- store -------------------------------------------------------------------------------- */

ProtobufCBinaryData store_bytes(const void *data, size_t len)
{
	/* protobuf-c has one struct for both ways; packing only reads. */
	return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

ProtobufCBinaryData store_pseudonym(const struct pseudonym *p)
{
	return store_bytes(p->bytes, pseudonym_is_set(p) ? PSEUDONYM_BYTES : 0);
}

char *store_line(const char *text)
{
	return (char *)(uintptr_t)text;
}

char *store_text(struct conversion *c, const char *text, size_t size)
{
	char *fitted = conversion_take(c, 1, size + 1);

	/* strnlen first: the array of a careless caller may lack its NUL. */
	if (fitted != NULL) {
		memcpy(fitted, text, strnlen(text, size));
		text_fit(fitted, size, fitted);
	}
	return fitted;
}

size_t store_refusals(
    struct conversion *c, const struct refusal_counts *in, Ayni__RefusalCount ***out)
{
	Ayni__RefusalCount **list = conversion_take(c, REFUSAL_END, sizeof(Ayni__RefusalCount *));
	size_t n = 0;

	if (list == NULL)
		return 0;
	for (uint32_t reason = REFUSAL_NONE + 1; reason < REFUSAL_END; reason++) {
		if (in->by_reason[reason] == 0)
			continue;
		list[n] = wire_new(c, &ayni__refusal_count__descriptor);
		if (list[n] == NULL)
			return 0;
		list[n]->reason = reason;
		list[n]->count = in->by_reason[reason];
		n++;
	}
	*out = list;
	return n;
}

Ayni__SignedReceipt *store_signed_receipt(struct conversion *c, const struct signed_receipt *in)
{
	Ayni__SignedReceipt *wire = wire_new(c, &ayni__signed_receipt__descriptor);

	if (wire == NULL)
		return NULL;
	wire->receipt = store_bytes(in->receipt, in->receipt_len);
	wire->pool_signature = store_bytes(in->pool_signature.bytes, SIGNATURE_BYTES);
	if (in->countersigned)
		wire->donor_signature = store_bytes(in->donor_signature.bytes, SIGNATURE_BYTES);
	return wire;
}
