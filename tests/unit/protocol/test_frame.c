/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/frame.h"

static struct frame sample(void)
{
	struct frame f = {.version = PROTOCOL_VERSION,
	    .type = 0x0b0a,
	    .sequence = 0x0807060504030201,
	    .expires_ms = 0x1817161514131211};

	memset(f.signer.bytes, 0x21, PUBLIC_KEY_BYTES);
	memset(f.recipient.bytes, 0x22, PUBLIC_KEY_BYTES);
	memset(f.signature.bytes, 0x23, SIGNATURE_BYTES);
	return f;
}

static void has_the_stated_layout(void **state)
{
	const struct frame f = sample();
	uint8_t bytes[FRAME_BYTES];

	(void)state;
	frame_write(&f, bytes);
	assert_memory_equal(bytes, "AYNI\x06\x00\x0a\x0b\x01\x02\x03\x04\x05\x06\x07\x08", 16);
	assert_memory_equal(bytes + 16, "\x11\x12\x13\x14\x15\x16\x17\x18", 8);
	assert_int_equal(bytes[24], 0x21);
	assert_int_equal(bytes[55], 0x21);
	assert_int_equal(bytes[56], 0x22);
	assert_int_equal(bytes[87], 0x22);
	assert_memory_equal(bytes + 88, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(bytes[104], 0x23);
	assert_int_equal(bytes[167], 0x23);
}

static void survives_a_round_trip(void **state)
{
	const struct frame f = sample();
	uint8_t bytes[FRAME_BYTES];
	struct frame back;
	struct error err;

	(void)state;
	memset(&back, 0, sizeof back);
	frame_write(&f, bytes);
	assert_int_equal(frame_parse(bytes, sizeof bytes, &back, &err), AYNI_OK);
	assert_int_equal(back.version, f.version);
	assert_int_equal(back.type, f.type);
	assert_true(back.sequence == f.sequence && back.expires_ms == f.expires_ms);
	assert_true(public_key_equal(&back.signer, &f.signer));
	assert_true(public_key_equal(&back.recipient, &f.recipient));
	assert_memory_equal(back.signature.bytes, f.signature.bytes, SIGNATURE_BYTES);
}

static void refuses_every_other_length(void **state)
{
	const struct frame f = sample();
	uint8_t bytes[FRAME_BYTES];
	struct frame back;
	struct error err;

	(void)state;
	frame_write(&f, bytes);
	for (size_t len = 0; len < FRAME_BYTES; len++) {
		uint8_t *exact = malloc(len == 0 ? 1 : len);

		memcpy(exact, bytes, len);
		assert_int_equal(frame_parse(exact, len, &back, &err), AYNI_ERR_FORMAT);
		free(exact);
	}
	{
		uint8_t longer[FRAME_BYTES + 1] = {0};

		memcpy(longer, bytes, FRAME_BYTES);
		assert_int_equal(frame_parse(longer, sizeof longer, &back, &err), AYNI_ERR_FORMAT);
	}
}

static void refuses_another_version_whatever_its_length(void **state)
{
	struct frame f = sample();
	uint8_t bytes[FRAME_BYTES];
	struct frame back;
	struct error err;

	(void)state;
	f.version = PROTOCOL_VERSION + 1;
	frame_write(&f, bytes);
	assert_int_equal(frame_parse(bytes, FRAME_BYTES, &back, &err), AYNI_ERR_UNSUPPORTED);
	assert_int_equal(frame_parse(bytes, 6, &back, &err), AYNI_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "version 7"));
}

static void refuses_a_flipped_bit_in_magic_version_or_reserved_bytes(void **state)
{
	const struct frame f = sample();
	uint8_t bytes[FRAME_BYTES];
	struct frame back;
	struct error err;

	(void)state;
	frame_write(&f, bytes);
	for (unsigned bit = 0; bit < 8 * FRAME_BYTES; bit++) {
		unsigned at = bit / 8;
		bool fixed = at < 6 || (at >= 88 && at < 104);

		bytes[at] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(frame_parse(bytes, FRAME_BYTES, &back, &err) != AYNI_OK, fixed);
		bytes[at] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(has_the_stated_layout),
	    cmocka_unit_test(survives_a_round_trip),
	    cmocka_unit_test(refuses_every_other_length),
	    cmocka_unit_test(refuses_another_version_whatever_its_length),
	    cmocka_unit_test(refuses_a_flipped_bit_in_magic_version_or_reserved_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
