/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/messages.h"
#include "tests/support/sample_messages.h"

/* ---- bounds, when encoding ---------------------------------------------------------------- */

static void break_hello_role(struct message *m)
{
	m->hello.role = (enum peer_role)3;
}
static void break_hello_name(struct message *m)
{
	memset(m->hello.name, 'a', TEXT_SHORT);
}
static void break_hello_utf8(struct message *m)
{
	memcpy(m->hello.name, "\xc3(", 3);
}
static void break_hello_escape(struct message *m)
{
	memcpy(m->hello.name, "\033[2J", 5);
}
static void break_welcome(struct message *m)
{
	m->welcome.heartbeat_ms = 99;
}
static void break_welcome_above(struct message *m)
{
	m->welcome.heartbeat_ms = 60001;
}
static void break_refusal(struct message *m)
{
	m->refusal.reason = REFUSAL_NONE;
}
static void break_refusal_above(struct message *m)
{
	m->refusal.reason = REFUSAL_END;
}
static void break_offer_cores(struct message *m)
{
	m->offer.cores = 0;
}
static void break_offer_many(struct message *m)
{
	m->offer.cores = 4097;
}
static void break_offer_memory(struct message *m)
{
	m->offer.memory_bytes = UINT64_MAX;
}
static void break_offer_speed(struct message *m)
{
	m->offer.flop_per_s = (1ull << 50) + 1;
}
static void break_offer_layers(struct message *m)
{
	m->offer.max_layers = LIMIT_LAYERS + 1;
}
static void break_link_round_trip(struct message *m)
{
	m->link_state.round_trip_us = LIMIT_ROUND_TRIP_US + 1;
}
static void one_speed(struct message *m)
{
	m->offer.n_speeds = 1;
	m->offer.speeds[0] = (struct offer_speed){LIMIT_TENSOR_TYPES - 1, 1, 1};
}
static void break_speeds_many(struct message *m)
{
	m->offer.n_speeds = LIMIT_SPEEDS + 1;
}
static void break_speeds_type(struct message *m)
{
	one_speed(m);
	m->offer.speeds[0].type = LIMIT_TENSOR_TYPES;
}
static void break_speeds_twice(struct message *m)
{
	one_speed(m);
	m->offer.n_speeds = 2;
	m->offer.speeds[0].type = 7;
	m->offer.speeds[1] = m->offer.speeds[0];
}
static void break_speeds_none(struct message *m)
{
	one_speed(m);
	m->offer.speeds[0].read_bytes_per_s = 0;
}
static void break_speeds_above(struct message *m)
{
	one_speed(m);
	m->offer.speeds[0].flop_per_s = (1ull << 50) + 1;
}
static void break_layers(struct message *m)
{
	m->assignment.layer_last = m->assignment.layer_first;
}
static void break_layers_above(struct message *m)
{
	m->assignment.layer_last = LIMIT_LAYERS + 1;
}
static void break_kv(struct message *m)
{
	m->assignment.kv_tokens = 0;
}
static void break_kv_above(struct message *m)
{
	m->assignment.kv_tokens = LIMIT_CONTEXT_TOKENS + 1;
}
static void break_sessions(struct message *m)
{
	m->assignment.max_sessions = 0;
}
static void break_kv_type(struct message *m)
{
	m->assignment.kv_type = LIMIT_KV_TYPES;
}
static void break_progress(struct message *m)
{
	m->assignment_state.state = 5;
}
static void break_done(struct message *m)
{
	m->assignment_state.total_bytes = 0;
}
static void break_hashes(struct message *m)
{
	m->blob_request.n_hashes = 0;
}
static void break_hashes_above(struct message *m)
{
	m->blob_request.n_hashes = 17;
}
static void break_spans(struct message *m)
{
	m->work_unit.n_spans = 0;
}
static void break_spans_above(struct message *m)
{
	m->work_unit.n_spans = LIMIT_UNIT_SPANS + 1;
}
static void break_span_tokens(struct message *m)
{
	m->work_unit.spans[0].n_tokens = 0;
}
static void break_span_wrap(struct message *m)
{
	m->work_unit.spans[0].n_tokens = UINT32_MAX;
}
static void break_span_end(struct message *m)
{
	m->work_unit.spans[0].position = UINT32_MAX;
}
static void break_span_logits(struct message *m)
{
	m->work_unit.spans[0].n_logits = 2;
}
static void break_draw_rows(struct message *m)
{
	m->work_unit.spans[0].n_logits = 0;
	m->work_unit.top = 0;
}
static void break_draw_penalty(struct message *m)
{
	m->work_unit.draw.repeat_penalty = 1.5f;
}
static void break_draw_presence(struct message *m)
{
	m->work_unit.draw.presence_penalty = 1;
}
static void break_draw_for_nobody(struct message *m)
{
	m->work_unit.next.ticket = 0;
}
static void break_handover(struct message *m)
{
	m->handover.ticket = 0;
}
static void break_link(struct message *m)
{
	memcpy(m->link.address, "a\nb", 4);
}
static void break_offer_address(struct message *m)
{
	memset(m->offer.address, 'x', sizeof m->offer.address);
}
static void break_top(struct message *m)
{
	m->work_unit.top = 0;
}
static void break_top_above(struct message *m)
{
	m->work_unit.top = LIMIT_VOCABULARY + 1;
}
static void break_closed(struct message *m)
{
	m->work_unit.n_closed = 1025;
}
static void break_cost(struct message *m)
{
	m->result.cost.count = FLOP_MAX + 1;
}
static void break_parts(struct message *m)
{
	m->result.n_parts = 1; /* that is the whole, and named already */
}
static void break_parts_above(struct message *m)
{
	m->result.n_parts = LIMIT_UNIT_TOKENS + 1;
}
static void break_failed(struct message *m)
{
	m->unit_failed.reason = REFUSAL_NONE;
}
static void break_receipt(struct message *m)
{
	m->receipt.receipt_len = 0;
}
static void break_receipt_above(struct message *m)
{
	m->receipt.receipt_len = 513;
}
static void break_ack(struct message *m)
{
	m->receipt_ack.number = 0;
}
static void break_finish(struct message *m)
{
	m->finished.reason = 0;
}
static void break_reused(struct message *m)
{
	m->finished.reused_tokens = LIMIT_CONTEXT_TOKENS + 1;
}
static void break_verification(struct message *m)
{
	m->finished.verification = VERIFICATION_WRONG + 1;
}
static void break_verified_units(struct message *m)
{
	m->status.donors[0].verified_units = (uint64_t)INT64_MAX + 1;
}
static void break_span_wire(struct message *m)
{
	m->work_unit.spans[0].wire = LIMIT_WIRE_TYPES;
}
static void break_held(struct message *m)
{
	m->offer.holds = true;
	m->offer.held = (struct msg_assignment){.layer_first = 2, .layer_last = 2};
}
static void break_span_from(struct message *m)
{
	m->work_unit.spans[0].position = 1;
	m->work_unit.spans[0].from = m->work_unit.spans[0].session;
}
static void break_span_from_nowhere(struct message *m)
{
	m->work_unit.spans[0].position = 0;
	m->work_unit.spans[0].from = m->work_unit.spans[0].session + 1;
}
static void break_guesses(struct message *m)
{
	m->finished.guessed_right = m->finished.guessed + 1;
}
static void break_shares(struct message *m)
{
	m->finished.n_shares = 1025;
}
static void break_share_layers(struct message *m)
{
	m->finished.shares[0].layer_last = 0;
}
static void break_models(struct message *m)
{
	m->status.n_models = 65;
}
static void break_donors(struct message *m)
{
	m->status.n_donors = 4097;
}
static void break_missing(struct message *m)
{
	m->status.models[0].missing[0].last = 0;
}
static void break_path(struct message *m)
{
	m->status.models[0].n_stages = 257;
}
static void break_path_layers(struct message *m)
{
	m->status.models[0].path[0].layers.last = 0;
}
static void break_limit(struct message *m)
{
	m->receipts_query.limit = 0;
}
static void break_limit_above(struct message *m)
{
	m->receipts_query.limit = 1025;
}
static void break_receipts(struct message *m)
{
	m->receipts.n_receipts = 1025;
}
static void break_names(struct message *m)
{
	m->receipts.n_names = 1025;
}

static const struct {
	enum message_type type;
	void (*apply)(struct message *m);
} breaks[] = {
    {MSG_HELLO, break_hello_role},
    {MSG_HELLO, break_hello_name},
    {MSG_HELLO, break_hello_utf8},
    {MSG_HELLO, break_hello_escape},
    {MSG_WELCOME, break_welcome},
    {MSG_WELCOME, break_welcome_above},
    {MSG_REFUSAL, break_refusal},
    {MSG_REFUSAL, break_refusal_above},
    {MSG_OFFER, break_offer_cores},
    {MSG_OFFER, break_offer_many},
    {MSG_OFFER, break_offer_memory},
    {MSG_OFFER, break_offer_speed},
    {MSG_OFFER, break_offer_layers},
    {MSG_ASSIGNMENT, break_layers},
    {MSG_ASSIGNMENT, break_layers_above},
    {MSG_ASSIGNMENT, break_kv},
    {MSG_ASSIGNMENT, break_kv_above},
    {MSG_ASSIGNMENT, break_sessions},
    {MSG_ASSIGNMENT, break_kv_type},
    {MSG_ASSIGNMENT_STATE, break_progress},
    {MSG_ASSIGNMENT_STATE, break_done},
    {MSG_BLOB_REQUEST, break_hashes},
    {MSG_BLOB_REQUEST, break_hashes_above},
    {MSG_WORK_UNIT, break_spans},
    {MSG_WORK_UNIT, break_spans_above},
    {MSG_WORK_UNIT, break_span_tokens},
    {MSG_WORK_UNIT, break_span_wrap},
    {MSG_WORK_UNIT, break_span_end},
    {MSG_WORK_UNIT, break_span_logits},
    {MSG_WORK_UNIT, break_top},
    {MSG_WORK_UNIT, break_top_above},
    {MSG_WORK_UNIT, break_closed},
    {MSG_FINISHED, break_verification},
    {MSG_STATUS, break_verified_units},
    {MSG_RESULT, break_cost},
    {MSG_RESULT, break_parts},
    {MSG_RESULT, break_parts_above},
    {MSG_UNIT_FAILED, break_failed},
    {MSG_RECEIPT, break_receipt},
    {MSG_RECEIPT, break_receipt_above},
    {MSG_RECEIPT_ACK, break_ack},
    {MSG_FINISHED, break_finish},
    {MSG_WORK_UNIT, break_span_from},
    {MSG_WORK_UNIT, break_span_wire},
    {MSG_OFFER, break_held},
    {MSG_OFFER, break_offer_address},
    {MSG_LINK_STATE, break_link_round_trip},
    {MSG_OFFER, break_speeds_many},
    {MSG_OFFER, break_speeds_type},
    {MSG_OFFER, break_speeds_twice},
    {MSG_OFFER, break_speeds_none},
    {MSG_OFFER, break_speeds_above},
    {MSG_WORK_UNIT, break_draw_rows},
    {MSG_WORK_UNIT, break_draw_presence},
    {MSG_WORK_UNIT, break_draw_penalty},
    {MSG_WORK_UNIT, break_draw_for_nobody},
    {MSG_HANDOVER, break_handover},
    {MSG_LINK, break_link},
    {MSG_WORK_UNIT, break_span_from_nowhere},
    {MSG_FINISHED, break_reused},
    {MSG_FINISHED, break_guesses},
    {MSG_FINISHED, break_shares},
    {MSG_FINISHED, break_share_layers},
    {MSG_STATUS, break_models},
    {MSG_STATUS, break_donors},
    {MSG_STATUS, break_missing},
    {MSG_STATUS, break_path},
    {MSG_STATUS, break_path_layers},
    {MSG_RECEIPTS_QUERY, break_limit},
    {MSG_RECEIPTS_QUERY, break_limit_above},
    {MSG_RECEIPTS, break_receipts},
    {MSG_RECEIPTS, break_names},
};

static void refuses_to_encode_what_is_past_a_bound(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
		struct sample s;
		struct error err = {0};
		uint8_t *bytes;
		size_t len;

		sample_make(&s, breaks[i].type, SAMPLE_SMALL);
		breaks[i].apply(&s.message);
		if (message_encode(&s.message, &bytes, &len, &err) != AYNI_ERR_ARGUMENT)
			fail_msg(
			    "%s, break %zu was encoded", message_name((uint16_t)breaks[i].type), i);
		assert_int_equal(err.code, AYNI_ERR_ARGUMENT);
		assert_int_not_equal(err.text[0], 0);
		sample_free(&s);
	}
}

static void refuses_more_tokens_in_all_spans_than_a_unit_holds(void **state)
{
	struct sample s;
	struct error err;
	uint8_t *bytes;
	size_t len;

	(void)state;
	sample_make(&s, MSG_WORK_UNIT, SAMPLE_FULL);
	s.message.work_unit.spans[0].n_tokens++;
	s.message.work_unit.spans[0].position--;
	assert_int_equal(message_encode(&s.message, &bytes, &len, &err), AYNI_ERR_ARGUMENT);
	sample_free(&s);
}

static void refuses_a_header_past_its_limit(void **state)
{
	struct message m = {.type = MSG_GENERATE};
	struct error err;
	size_t len = LIMIT_HEADER_BYTES;
	uint8_t *bytes;

	(void)state;
	m.generate.prompt = malloc(len + 1);
	memset(m.generate.prompt, 'p', len);
	m.generate.prompt[len] = '\0';
	assert_int_equal(message_encode(&m, &bytes, &len, &err), AYNI_ERR_ARGUMENT);
	free(m.generate.prompt);
}

/* ---- bounds, when decoding ---------------------------------------------------------------- */

static void decode_refused(uint16_t type, const void *bytes, size_t len, int code)
{
	struct message *m = NULL;
	struct error err = {0};
	int rc = message_decode(type, bytes, len, &m, &err);

	if (rc != code)
		fail_msg("%s gave %d instead of %d: %s", message_name(type), rc, code, err.text);
	assert_null(m);
}

static void refuses_to_decode_what_is_past_a_bound(void **state)
{
	(void)state;
	/* role 3; heartbeat 99; reason 0; reason 20; cores 4097; limit 1025 */
	decode_refused(MSG_HELLO, "\x08\x03", 2, AYNI_ERR_LIMIT);
	decode_refused(MSG_WELCOME, "\x18\x63", 2, AYNI_ERR_LIMIT);
	decode_refused(MSG_REFUSAL, "", 0, AYNI_ERR_LIMIT);
	decode_refused(MSG_REFUSAL, "\x08\x14", 2, AYNI_ERR_LIMIT);
	decode_refused(MSG_OFFER, "\x08\x81\x20", 3, AYNI_ERR_LIMIT);
	decode_refused(MSG_RECEIPTS_QUERY, "\x10\x81\x08", 3, AYNI_ERR_LIMIT);
	/* a reason twice; an invite of one byte; no hashes at all; a model of no bytes */
	decode_refused(
	    MSG_HEARTBEAT, "\x12\x04\x08\x01\x10\x01\x12\x04\x08\x01\x10\x01", 12, AYNI_ERR_LIMIT);
	decode_refused(MSG_HELLO, "\x08\x01\x12\x01x", 5, AYNI_ERR_FORMAT);
	decode_refused(MSG_BLOB_REQUEST, "", 0, AYNI_ERR_LIMIT);
	decode_refused(MSG_ASSIGNMENT, "\x20\x01\x28\x01\x30\x01", 6, AYNI_ERR_FORMAT);
	/* types that there are not */
	decode_refused(0, "", 0, AYNI_ERR_UNSUPPORTED);
	decode_refused(MSG_TYPE_END, "", 0, AYNI_ERR_UNSUPPORTED);
	decode_refused(UINT16_MAX, "", 0, AYNI_ERR_UNSUPPORTED);
}

static void refuses_a_name_that_is_too_long_or_holds_a_nul(void **state)
{
	uint8_t bytes[4 + 65] = {0x08, 0x01, 0x1a, 65};

	(void)state;
	memset(bytes + 4, 'n', 65);
	decode_refused(MSG_HELLO, bytes, sizeof bytes, AYNI_ERR_LIMIT);
	decode_refused(MSG_HELLO,
	    "\x08\x01\x1a\x03"
	    "a\0b",
	    7, AYNI_ERR_FORMAT);
	decode_refused(MSG_HELLO, "\x08\x01\x1a\x02\xc3(", 6, AYNI_ERR_FORMAT);
	decode_refused(MSG_HELLO, "\x08\x01\x1a\x02\n!", 6, AYNI_ERR_FORMAT);
}

static void refuses_a_nul_in_a_string_of_a_message_inside(void **state)
{
	(void)state;
	/* turns { role "a" content "b\0c" } sampling {} */
	decode_refused(MSG_GENERATE,
	    "\x1a\x08\x0a\x01"
	    "a\x12\x03"
	    "b\0c"
	    "\x32\x00",
	    12, AYNI_ERR_FORMAT);
}

static void knows_no_sampling_by_default(void **state)
{
	(void)state;
	decode_refused(MSG_GENERATE, "\x22\x01p", 3, AYNI_ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_to_encode_what_is_past_a_bound),
	    cmocka_unit_test(refuses_more_tokens_in_all_spans_than_a_unit_holds),
	    cmocka_unit_test(refuses_a_header_past_its_limit),
	    cmocka_unit_test(refuses_to_decode_what_is_past_a_bound),
	    cmocka_unit_test(refuses_a_name_that_is_too_long_or_holds_a_nul),
	    cmocka_unit_test(refuses_a_nul_in_a_string_of_a_message_inside),
	    cmocka_unit_test(knows_no_sampling_by_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
