/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look over protobuf bytes before they are unpacked. Unpacked strings are plain C strings, so
 * one with a NUL inside would be read as a shorter one than was signed: it is found here, where the
 * lengths still are. (protobuf encoding: protobuf.dev/programming-guides/encoding.)
 *
 * The schema has no message that contains itself, so that descent ends at its deepest nesting,
 * whatever the bytes say; the same holds for protobuf-c, which descends only into known fields and
 * refuses groups.
 */
#include "protocol/messages_internal.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* What is left of a message; after the first bad read everything else fails too. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static const uint8_t *read_span(struct reader *r, uint64_t len)
{
	const uint8_t *at = r->at;

	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	r->left -= (size_t)len;
	return at;
}

static uint64_t read_varint(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		const uint8_t *byte = read_span(r, 1);

		if (byte == NULL)
			return 0;
		if (shift < 64)
			v |= (uint64_t)(*byte & 0x7f) << shift;
		if ((*byte & 0x80) == 0)
			return v;
	}
	r->bad = true;
	return 0;
}

/* A field of bytes form that the schema knows. */
static bool field_is_whole(const ProtobufCFieldDescriptor *field, const uint8_t *data, size_t len)
{
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return len == 0 || memchr(data, '\0', len) == NULL;
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return wire_strings_are_whole(field->descriptor, data, len);
	return true;
}

bool wire_strings_are_whole(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len)
{
	struct reader r = {.at = data, .left = len};

	while (r.left > 0 && !r.bad) {
		uint64_t tag = read_varint(&r), n;
		const ProtobufCFieldDescriptor *field;
		const uint8_t *content;

		switch (tag & 7) {
		case WIRE_VARINT:
			(void)read_varint(&r);
			break;
		case WIRE_FIXED64:
			(void)read_span(&r, 8);
			break;
		case WIRE_FIXED32:
			(void)read_span(&r, 4);
			break;
		case WIRE_BYTES:
			n = read_varint(&r);
			content = read_span(&r, n);
			if (r.bad)
				break;
			field = tag >> 3 > UINT32_MAX ? NULL
			                              : protobuf_c_message_descriptor_get_field(
			                                    type, (unsigned)(tag >> 3));
			if (field != NULL && !field_is_whole(field, content, (size_t)n))
				r.bad = true;
			break;
		default:
			r.bad = true;
		}
	}
	return !r.bad;
}
