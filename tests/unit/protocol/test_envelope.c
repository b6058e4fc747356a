/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/envelope.h"
#include "tests/support/sample_messages.h"

/* Two parties with a channel each, and a third who belongs to neither. */
struct parties {
	struct identity *pool, *donor, *stranger;
	struct envelope_channel at_pool, at_donor;
};

/* A message as it lies on the wire. */
struct sealed {
	uint8_t envelope[FRAME_BYTES];
	uint8_t *header;
	size_t header_len;
	uint8_t payload[8];
	size_t payload_len;
};

static int setup(void **state)
{
	struct parties *p = calloc(1, sizeof *p);

	if (p == NULL || identity_generate(&p->pool, NULL) != 0 ||
	    identity_generate(&p->donor, NULL) != 0 || identity_generate(&p->stranger, NULL) != 0)
		return -1;
	envelope_channel_init(&p->at_pool, p->pool, identity_public(p->donor), 1);
	envelope_channel_init(&p->at_donor, p->donor, identity_public(p->pool), 1);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct parties *p = *state;

	identity_free(p->pool);
	identity_free(p->donor);
	identity_free(p->stranger);
	free(p);
	return 0;
}

static void seal(
    struct envelope_channel *c, enum message_type type, uint64_t expires_ms, struct sealed *out)
{
	struct sample s;
	struct error err;

	memset(out, 0, sizeof *out);
	sample_make(&s, type, SAMPLE_SMALL);
	if (type == MSG_WORK_UNIT || type == MSG_RESULT) {
		memcpy(out->payload, "payload", 8);
		out->payload_len = 8;
	}
	if (envelope_seal(c, &s.message, expires_ms, out->payload, out->payload_len, out->envelope,
	        &out->header, &out->header_len, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	sample_free(&s);
}

static int open_sealed(struct envelope_channel *c, const struct sealed *s, uint64_t now_ms,
    struct message **m, enum refusal *why)
{
	*m = NULL;
	return envelope_open(c, (struct span){s->envelope, FRAME_BYTES},
	    (struct span){s->header, s->header_len}, (struct span){s->payload, s->payload_len},
	    now_ms, m, why, NULL);
}

static void assert_opens(struct envelope_channel *c, const struct sealed *s)
{
	struct message *m;
	enum refusal why;

	assert_int_equal(open_sealed(c, s, 0, &m, &why), AYNI_OK);
	assert_int_equal(why, REFUSAL_NONE);
	message_free(m);
}

static void assert_refused(
    struct envelope_channel *c, const struct sealed *s, uint64_t now_ms, enum refusal expected)
{
	struct message *m;
	enum refusal why = REFUSAL_NONE;

	if (open_sealed(c, s, now_ms, &m, &why) == AYNI_OK)
		fail_msg("opened, instead of a refusal for %s", refusal_name(expected));
	assert_null(m);
	if (why != expected)
		fail_msg("refused for %s instead of %s", refusal_name(why), refusal_name(expected));
}

/* ---- what is right ------------------------------------------------------------------------ */

static void opens_what_was_sealed(void **state)
{
	struct parties *p = *state;
	struct sealed s;
	struct message *m;
	enum refusal why;

	seal(&p->at_pool, MSG_WORK_UNIT, 0, &s);
	assert_int_equal(open_sealed(&p->at_donor, &s, 5, &m, &why), AYNI_OK);
	assert_int_equal(m->type, MSG_WORK_UNIT);
	assert_ptr_equal(m->payload.data, s.payload);
	assert_int_equal(m->payload.len, 8);
	message_free(m);
	free(s.header);
}

static void opens_every_type_in_order(void **state)
{
	struct parties *p = *state;

	for (int type = 1; type < MSG_TYPE_END; type++) {
		struct sealed s;

		seal(&p->at_donor, (enum message_type)type, 10, &s);
		assert_opens(&p->at_pool, &s);
		free(s.header);
	}
	assert_int_equal(p->at_pool.last_received, MSG_TYPE_END - 1);
}

static void the_first_right_signature_makes_the_peer(void **state)
{
	struct parties *p = *state;
	struct envelope_channel fresh;
	struct sealed good, other;

	envelope_channel_init(&fresh, p->pool, NULL, 1);
	seal(&p->at_donor, MSG_HELLO, 0, &good);
	good.envelope[30] ^= 1; /* another signer: must not be learnt */
	assert_refused(&fresh, &good, 0, REFUSAL_SIGNATURE);
	assert_false(fresh.peer_known);
	good.envelope[30] ^= 1;
	assert_opens(&fresh, &good);
	assert_true(fresh.peer_known);
	assert_true(public_key_equal(&fresh.peer, identity_public(p->donor)));

	{
		struct envelope_channel stranger;

		envelope_channel_init(&stranger, p->stranger, identity_public(p->pool), 9);
		seal(&stranger, MSG_HELLO, 0, &other);
	}
	assert_refused(&fresh, &other, 0, REFUSAL_SIGNER);
	free(good.header);
	free(other.header);
}

static void seals_nothing_for_an_unknown_peer(void **state)
{
	struct parties *p = *state;
	struct envelope_channel fresh;
	struct message m = {.type = MSG_STATUS_QUERY};
	uint8_t envelope[FRAME_BYTES], *header;
	size_t len;

	envelope_channel_init(&fresh, p->pool, NULL, 1);
	assert_int_equal(
	    envelope_seal(&fresh, &m, 0, NULL, 0, envelope, &header, &len, NULL), AYNI_ERR_STATE);
}

static void seals_no_payload_for_a_type_without_one(void **state)
{
	struct parties *p = *state;
	struct message m = {.type = MSG_STATUS_QUERY};
	uint8_t envelope[FRAME_BYTES], *header;
	size_t len;

	assert_int_equal(envelope_seal(&p->at_pool, &m, 0, (const uint8_t *)"x", 1, envelope,
	                     &header, &len, NULL),
	    AYNI_ERR_ARGUMENT);
}

/* ---- what is wrong ------------------------------------------------------------------------ */

static void refuses_a_replay(void **state)
{
	struct parties *p = *state;
	struct sealed first, second;

	seal(&p->at_pool, MSG_UNASSIGN, 0, &first);
	seal(&p->at_pool, MSG_UNASSIGN, 0, &second);
	assert_opens(&p->at_donor, &second);
	assert_refused(&p->at_donor, &second, 0, REFUSAL_REPLAY);
	assert_refused(&p->at_donor, &first, 0, REFUSAL_REPLAY);
	free(first.header);
	free(second.header);
}

static void refuses_what_has_expired(void **state)
{
	struct parties *p = *state;
	struct sealed s;

	seal(&p->at_pool, MSG_UNASSIGN, 1000, &s);
	assert_refused(&p->at_donor, &s, 1001, REFUSAL_EXPIRED);
	assert_opens(&p->at_donor, &s);
	free(s.header);
}

static void refuses_another_recipient(void **state)
{
	struct parties *p = *state;
	struct envelope_channel third;
	struct sealed s;

	envelope_channel_init(&third, p->stranger, identity_public(p->pool), 1);
	seal(&p->at_pool, MSG_UNASSIGN, 0, &s);
	assert_refused(&third, &s, 0, REFUSAL_RECIPIENT);
	free(s.header);
}

static void refuses_a_wrong_key(void **state)
{
	struct parties *p = *state;
	struct envelope_channel forger;
	struct sealed s;

	envelope_channel_init(&forger, p->stranger, identity_public(p->donor), 1);
	seal(&forger, MSG_UNASSIGN, 0, &s);
	assert_refused(&p->at_donor, &s, 0, REFUSAL_SIGNER);
	/* ... also if it claims to be the pool */
	memcpy(s.envelope + 24, identity_public(p->pool)->bytes, PUBLIC_KEY_BYTES);
	assert_refused(&p->at_donor, &s, 0, REFUSAL_SIGNATURE);
	free(s.header);
}

static void refuses_what_is_not_signed(void **state)
{
	struct parties *p = *state;
	struct sealed s;

	seal(&p->at_pool, MSG_UNASSIGN, 0, &s);
	memset(s.envelope + FRAME_SIGNED_BYTES, 0, SIGNATURE_BYTES);
	assert_refused(&p->at_donor, &s, 0, REFUSAL_SIGNATURE);
	free(s.header);
}

static void refuses_a_signature_for_another_type(void **state)
{
	struct parties *p = *state;
	struct frame f;
	struct sealed s;
	uint8_t part[FRAME_SIGNED_BYTES + 64];

	/* Unassign and Cancel have the same encoding. Sign right bytes under the wrong domain. */
	seal(&p->at_pool, MSG_UNASSIGN, 0, &s);
	assert_int_equal(frame_parse(s.envelope, FRAME_BYTES, &f, NULL), AYNI_OK);
	f.type = MSG_CANCEL;
	frame_write(&f, s.envelope);
	memcpy(part, s.envelope, FRAME_SIGNED_BYTES);
	memcpy(part + FRAME_SIGNED_BYTES, s.header, s.header_len);
	assert_int_equal(identity_sign(p->pool, "ayni v6 unassign", part,
	                     FRAME_SIGNED_BYTES + s.header_len, &f.signature),
	    AYNI_OK);
	frame_write(&f, s.envelope);
	assert_refused(&p->at_donor, &s, 0, REFUSAL_SIGNATURE);
	/* Under the right one it opens: the test above failed for that reason alone. */
	assert_int_equal(identity_sign(p->pool, "ayni v6 cancel", part,
	                     FRAME_SIGNED_BYTES + s.header_len, &f.signature),
	    AYNI_OK);
	frame_write(&f, s.envelope);
	assert_opens(&p->at_donor, &s);
	free(s.header);
}

static void refuses_unknown_versions_and_types(void **state)
{
	struct parties *p = *state;
	struct sealed s;

	seal(&p->at_pool, MSG_UNASSIGN, 0, &s);
	s.envelope[4] = PROTOCOL_VERSION + 1;
	assert_refused(&p->at_donor, &s, 0, REFUSAL_VERSION);
	s.envelope[4] = PROTOCOL_VERSION;
	s.envelope[6] = MSG_TYPE_END;
	assert_refused(&p->at_donor, &s, 0, REFUSAL_TYPE);
	s.envelope[6] = 0;
	assert_refused(&p->at_donor, &s, 0, REFUSAL_TYPE);
	free(s.header);
}

static void refuses_what_is_oversized(void **state)
{
	struct parties *p = *state;
	struct sealed s;
	struct message *m;
	enum refusal why;
	uint8_t *big = calloc(1, LIMIT_HEADER_BYTES + 1);

	seal(&p->at_pool, MSG_UNASSIGN, 0, &s);
	/* a payload where the type has none */
	s.payload_len = 1;
	assert_refused(&p->at_donor, &s, 0, REFUSAL_SIZE);
	assert_int_equal(envelope_open(&p->at_donor, (struct span){s.envelope, FRAME_BYTES},
	                     (struct span){big, LIMIT_HEADER_BYTES + 1}, (struct span){NULL, 0}, 0,
	                     &m, &why, NULL),
	    AYNI_ERR_LIMIT);
	assert_int_equal(why, REFUSAL_SIZE);
	/* The length is looked at before the bytes: none are there. */
	s.envelope[6] = MSG_WORK_UNIT;
	assert_int_equal(
	    envelope_open(&p->at_donor, (struct span){s.envelope, FRAME_BYTES},
	        (struct span){s.header, s.header_len},
	        (struct span){NULL, (size_t)LIMIT_PAYLOAD_BYTES + 1}, 0, &m, &why, NULL),
	    AYNI_ERR_LIMIT);
	assert_int_equal(why, REFUSAL_SIZE);
	free(big);
	free(s.header);
}

static void refuses_every_truncation(void **state)
{
	struct parties *p = *state;
	struct sealed s;
	struct message *m;
	enum refusal why;
	struct span header, payload;

	seal(&p->at_pool, MSG_WORK_UNIT, 0, &s);
	header = (struct span){s.header, s.header_len};
	payload = (struct span){s.payload, s.payload_len};
	for (size_t len = 0; len < FRAME_BYTES; len++) {
		assert_int_not_equal(envelope_open(&p->at_donor, (struct span){s.envelope, len},
		                         header, payload, 0, &m, &why, NULL),
		    AYNI_OK);
		assert_int_equal(why, REFUSAL_SHAPE);
	}
	for (header.len = 0; header.len < s.header_len; header.len++) {
		assert_int_not_equal(
		    envelope_open(&p->at_donor, (struct span){s.envelope, FRAME_BYTES}, header,
		        payload, 0, &m, &why, NULL),
		    AYNI_OK);
		assert_int_equal(why, REFUSAL_SIGNATURE);
	}
	free(s.header);
}

static void refuses_a_payload_that_the_header_does_not_name(void **state)
{
	struct parties *p = *state;
	struct sealed s;

	for (size_t len = 0; len < 8; len++) {
		seal(&p->at_pool, MSG_WORK_UNIT, 0, &s);
		s.payload_len = len;
		assert_refused(&p->at_donor, &s, 0, REFUSAL_PAYLOAD);
		free(s.header);
	}
}

static void refuses_a_blob_that_is_not_what_its_name_says(void **state)
{
	struct parties *p = *state;
	struct sealed s = {.payload_len = 5};
	struct message m = {.type = MSG_BLOB, .blob.found = true};

	memcpy(s.payload, "chunk", 5);
	hash_bytes(s.payload, 5, &m.blob.hash);
	assert_int_equal(envelope_seal(&p->at_pool, &m, 0, s.payload, 5, s.envelope, &s.header,
	                     &s.header_len, NULL),
	    AYNI_OK);
	assert_opens(&p->at_donor, &s);
	free(s.header);
	assert_int_equal(envelope_seal(&p->at_pool, &m, 0, s.payload, 5, s.envelope, &s.header,
	                     &s.header_len, NULL),
	    AYNI_OK);
	s.payload[0] ^= 1;
	assert_refused(&p->at_donor, &s, 0, REFUSAL_PAYLOAD);
	free(s.header);
}

static void refuses_a_signed_header_that_is_damaged_or_out_of_bounds(void **state)
{
	static const struct {
		const char *header;
		size_t len;
		enum refusal why;
	} cases[] = {{"\x08", 1, REFUSAL_SHAPE}, {"\x10\x81\x08", 3, REFUSAL_BOUNDS}};
	struct parties *p = *state;

	for (size_t i = 0; i < 2; i++) {
		struct frame f = {.version = PROTOCOL_VERSION,
		    .type = MSG_RECEIPTS_QUERY,
		    .sequence = 100 + i,
		    .signer = *identity_public(p->donor),
		    .recipient = *identity_public(p->pool)};
		struct sealed s = {
		    .header = (uint8_t *)(uintptr_t)cases[i].header, .header_len = cases[i].len};
		uint8_t part[FRAME_SIGNED_BYTES + 8];

		frame_write(&f, s.envelope);
		memcpy(part, s.envelope, FRAME_SIGNED_BYTES);
		memcpy(part + FRAME_SIGNED_BYTES, s.header, s.header_len);
		assert_int_equal(identity_sign(p->donor, "ayni v6 receipts-query", part,
		                     FRAME_SIGNED_BYTES + s.header_len, &f.signature),
		    AYNI_OK);
		frame_write(&f, s.envelope);
		assert_refused(&p->at_pool, &s, 0, cases[i].why);
		/* It was the peer who sent this: its number is used up. */
		assert_true(p->at_pool.last_received == 100 + i);
	}
}

/* Flip each bit of `data` in turn; no message may open, and no state may change. */
static void flip_all(struct parties *p, struct sealed *s, uint8_t *data, size_t len)
{
	for (size_t bit = 0; bit < 8 * len; bit++) {
		struct envelope_channel before = p->at_donor;
		struct message *m;
		enum refusal why;

		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (open_sealed(&p->at_donor, s, 0, &m, &why) == AYNI_OK)
			fail_msg("opened with bit %zu flipped", bit);
		assert_int_not_equal(why, REFUSAL_NONE);
		if (data != s->payload)
			assert_true(before.last_received == p->at_donor.last_received);
		p->at_donor = before;
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void refuses_every_single_flipped_bit(void **state)
{
	struct parties *p = *state;
	struct sealed s;

	seal(&p->at_pool, MSG_WORK_UNIT, 1000, &s);
	flip_all(p, &s, s.envelope, FRAME_BYTES);
	flip_all(p, &s, s.header, s.header_len);
	flip_all(p, &s, s.payload, s.payload_len);
	assert_opens(&p->at_donor, &s);
	free(s.header);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(opens_what_was_sealed),
	    TEST(opens_every_type_in_order),
	    TEST(the_first_right_signature_makes_the_peer),
	    TEST(seals_nothing_for_an_unknown_peer),
	    TEST(seals_no_payload_for_a_type_without_one),
	    TEST(refuses_a_replay),
	    TEST(refuses_what_has_expired),
	    TEST(refuses_another_recipient),
	    TEST(refuses_a_wrong_key),
	    TEST(refuses_what_is_not_signed),
	    TEST(refuses_a_signature_for_another_type),
	    TEST(refuses_unknown_versions_and_types),
	    TEST(refuses_what_is_oversized),
	    TEST(refuses_every_truncation),
	    TEST(refuses_a_payload_that_the_header_does_not_name),
	    TEST(refuses_a_blob_that_is_not_what_its_name_says),
	    TEST(refuses_a_signed_header_that_is_damaged_or_out_of_bounds),
	    TEST(refuses_every_single_flipped_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
