/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/messages.h"
#include "protocol/text.h"
#include "tests/support/sample_messages.h"

/* encode, decode, encode: the same bytes, or an assertion names the type. */
static void round_trip(enum message_type type, enum sample_size size)
{
	struct sample s;
	struct message *back = NULL;
	struct error err = {0};
	uint8_t *first = NULL, *second = NULL;
	size_t first_len = 0, second_len = 0;

	sample_make(&s, type, size);
	if (message_encode(&s.message, &first, &first_len, &err) != AYNI_OK)
		fail_msg("encode: %s", err.text);
	if (message_decode((uint16_t)type, first, first_len, &back, &err) != AYNI_OK)
		fail_msg("decode: %s", err.text);
	assert_int_equal(message_encode(back, &second, &second_len, &err), AYNI_OK);
	assert_int_equal(first_len, second_len);
	assert_memory_equal(first, second, first_len);
	message_free(back);
	free(first);
	free(second);
	sample_free(&s);
}

static void every_type_survives_a_round_trip(void **state)
{
	(void)state;
	for (int type = 1; type < MSG_TYPE_END; type++)
		round_trip((enum message_type)type, SAMPLE_SMALL);
}

static void every_type_survives_a_round_trip_at_its_bounds(void **state)
{
	(void)state;
	for (int type = 1; type < MSG_TYPE_END; type++)
		round_trip((enum message_type)type, SAMPLE_FULL);
}

static void decoded_fields_are_the_encoded_ones(void **state)
{
	struct sample s;
	struct message *back;
	struct error err;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_make(&s, MSG_WORK_UNIT, SAMPLE_FULL);
	assert_int_equal(message_encode(&s.message, &bytes, &len, &err), AYNI_OK);
	assert_int_equal(message_decode(MSG_WORK_UNIT, bytes, len, &back, &err), AYNI_OK);
	assert_int_equal(back->work_unit.n_tokens, LIMIT_UNIT_TOKENS);
	assert_int_equal(back->work_unit.n_logits, LIMIT_UNIT_TOKENS);
	assert_int_equal(back->work_unit.n_spans, LIMIT_UNIT_SPANS);
	assert_memory_equal(back->work_unit.spans, s.message.work_unit.spans,
	    LIMIT_UNIT_SPANS * sizeof *back->work_unit.spans);
	assert_memory_equal(
	    back->work_unit.model.bytes, s.message.work_unit.model.bytes, HASH_BYTES);
	assert_int_equal(back->work_unit.closed[1023], UINT64_MAX);
	message_free(back);
	free(bytes);
	sample_free(&s);
}

static void makes_a_text_for_people_fit_instead_of_refusing_it(void **state)
{
	struct message m = {.type = MSG_REFUSAL}, *back;
	struct error err;
	uint8_t *bytes;
	size_t len;

	(void)state;
	m.refusal.reason = REFUSAL_BUSY;
	memset(m.refusal.text, 'a', TEXT_LONG); /* no NUL */
	memcpy(m.refusal.text, "\033[2J\xff", 5);
	assert_int_equal(message_encode(&m, &bytes, &len, &err), AYNI_OK);
	assert_int_equal(message_decode(MSG_REFUSAL, bytes, len, &back, &err), AYNI_OK);
	assert_int_equal(strlen(back->refusal.text), TEXT_LONG - 1);
	assert_memory_equal(back->refusal.text, "?[2J?aaa", 8);
	message_free(back);
	free(bytes);
}

/* ---- hostile bytes ---------------------------------------------------------------------- */

static void ignores_fields_that_it_does_not_know(void **state)
{
	struct message *m;
	struct error err;

	(void)state;
	/* field 100, bytes "zz": as a later version may send */
	assert_int_equal(
	    message_decode(MSG_CANCEL, (const uint8_t *)"\x08\x07\xa2\x06\x02zz", 7, &m, &err),
	    AYNI_OK);
	assert_int_equal(m->cancel.request, 7);
	message_free(m);
}

static void a_small_message_cannot_claim_much_memory(void **state)
{
	/* 512 Ki empty donors, each 2 bytes here and over 200 when unpacked */
	size_t len = LIMIT_HEADER_BYTES;
	uint8_t *bytes = malloc(len);
	struct message *m;
	struct error err;

	(void)state;
	for (size_t i = 0; i < len; i += 2) {
		bytes[i] = 0x22;
		bytes[i + 1] = 0;
	}
	/* AYNI_ERR_LIMIT would say that all of them had been unpacked and counted. */
	assert_int_equal(message_decode(MSG_STATUS, bytes, len, &m, &err), AYNI_ERR_FORMAT);
	free(bytes);
}

static void survives_every_truncation_and_every_flipped_bit(void **state)
{
	(void)state;
	for (int type = 1; type < MSG_TYPE_END; type++) {
		struct sample s;
		struct message *m;
		struct error err;
		uint8_t *bytes;
		size_t len;

		sample_make(&s, (enum message_type)type, SAMPLE_SMALL);
		assert_int_equal(message_encode(&s.message, &bytes, &len, &err), AYNI_OK);
		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *copy = malloc(cut == 0 ? 1 : cut); /* exact, for ASan */

			memcpy(copy, bytes, cut);
			if (message_decode((uint16_t)type, copy, cut, &m, &err) == AYNI_OK)
				message_free(m);
			free(copy);
		}
		for (size_t bit = 0; bit < 8 * len; bit++) {
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (message_decode((uint16_t)type, bytes, len, &m, &err) == AYNI_OK)
				message_free(m);
			bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		free(bytes);
		sample_free(&s);
	}
}

/* ---- names, payloads ---------------------------------------------------------------------- */

static void every_type_and_reason_has_a_name(void **state)
{
	(void)state;
	for (int type = 1; type < MSG_TYPE_END; type++)
		assert_non_null(message_name((uint16_t)type));
	assert_null(message_name(0));
	assert_null(message_name(MSG_TYPE_END));
	for (int reason = 0; reason < REFUSAL_END; reason++)
		assert_non_null(refusal_name((enum refusal)reason));
	assert_string_equal(refusal_name((enum refusal) - 1), "unknown");
}

static void a_donors_model_is_one_of_the_same_status(void **state)
{
	struct sample s;
	struct error err;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_make(&s, MSG_STATUS, SAMPLE_SMALL);
	s.message.status.donors[0].model = (uint32_t)s.message.status.n_models;
	assert_int_equal(message_encode(&s.message, &bytes, &len, &err), AYNI_OK);
	free(bytes);
	s.message.status.donors[0].model++;
	assert_int_equal(message_encode(&s.message, &bytes, &len, &err), AYNI_ERR_ARGUMENT);
	sample_free(&s);
}

static void five_types_carry_a_payload(void **state)
{
	int n = 0;

	(void)state;
	for (int type = 0; type <= MSG_TYPE_END; type++)
		n += message_payload_limit((uint16_t)type) > 0;
	assert_int_equal(n, 5);
	assert_int_equal(message_payload_limit(MSG_WORK_UNIT), LIMIT_PAYLOAD_BYTES);
}

static void tensors_are_little_endian(void **state)
{
	const uint32_t in[2] = {0x01020304, 0xfffefdfc};
	const float f_in[2] = {1.0f, -0.0f};
	uint32_t out[2];
	float f_out[2];
	uint8_t bytes[8];

	(void)state;
	payload_put_u32(bytes, in, 2);
	assert_memory_equal(bytes, "\x04\x03\x02\x01\xfc\xfd\xfe\xff", 8);
	payload_get_u32(bytes, out, 2);
	assert_memory_equal(in, out, sizeof in);
	payload_put_f32(bytes, f_in, 2);
	assert_memory_equal(bytes, "\0\0\x80\x3f\0\0\0\x80", 8);
	payload_get_f32(bytes, f_out, 2);
	assert_memory_equal(f_in, f_out, sizeof f_in);
}

static void tells_utf8_from_what_is_not(void **state)
{
	static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
	    "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
	    "\xe2\x82"};
	const char *good = "a\xc3\xb1\xe2\x82\xac\xf0\x9f\x98\x80";
	char fitted[6];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(text_is_utf8(bad[i], strlen(bad[i])));
	assert_true(text_is_utf8(good, strlen(good)));
	assert_true(text_is_utf8("\n", 1));
	assert_false(text_is_line("\n", 1));
	assert_false(text_is_line("\xc2\x85", 2)); /* C1: next line */
	assert_false(text_is_line("", 1));
	text_fit(fitted, sizeof fitted, good); /* the euro sign would end past it */
	assert_string_equal(fitted, "a\xc3\xb1");
	text_fit(fitted, 1, good);
	assert_string_equal(fitted, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_type_survives_a_round_trip),
	    cmocka_unit_test(every_type_survives_a_round_trip_at_its_bounds),
	    cmocka_unit_test(decoded_fields_are_the_encoded_ones),
	    cmocka_unit_test(makes_a_text_for_people_fit_instead_of_refusing_it),
	    cmocka_unit_test(ignores_fields_that_it_does_not_know),
	    cmocka_unit_test(a_small_message_cannot_claim_much_memory),
	    cmocka_unit_test(survives_every_truncation_and_every_flipped_bit),
	    cmocka_unit_test(every_type_and_reason_has_a_name),
	    cmocka_unit_test(a_donors_model_is_one_of_the_same_status),
	    cmocka_unit_test(five_types_carry_a_payload),
	    cmocka_unit_test(tensors_are_little_endian),
	    cmocka_unit_test(tells_utf8_from_what_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
