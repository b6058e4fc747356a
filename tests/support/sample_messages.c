/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sample_messages.h"

#include <stdlib.h>

static void *own(struct sample *s, size_t n, size_t size)
{
	void *memory = calloc(n, size);

	assert(memory != NULL && s->n_owned < sizeof s->owned / sizeof s->owned[0]);
	s->owned[s->n_owned++] = memory;
	return memory;
}

static void fill(void *out, size_t len, uint8_t seed)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)(seed + i);
}

/* A text as long as its array holds, ending in a character of two bytes. */
static void fill_text(char *out, size_t size, bool full)
{
	memset(out, 0, size);
	if (!full) {
		memcpy(out, "short", 6);
		return;
	}
	memset(out, 'x', size - 1);
	memcpy(out + size - 3, "\xc3\xb1", 2); /* n with tilde */
}

static char *own_text(struct sample *s, size_t len)
{
	char *text = own(s, len + 1, 1);

	memset(text, 'y', len);
	return text;
}

static void fill_refusals(struct refusal_counts *out, bool full)
{
	for (int reason = REFUSAL_NONE + 1; reason < REFUSAL_END; reason++)
		out->by_reason[reason] = full ? UINT64_MAX : reason == REFUSAL_REPLAY;
}

static void make_work_unit(struct sample *s, bool full)
{
	struct msg_work_unit *m = &s->message.work_unit;

	m->unit = full ? UINT64_MAX : 1;
	m->assignment = full ? UINT64_MAX : 1;
	fill(m->model.bytes, HASH_BYTES, 1);
	m->layer_first = full ? LIMIT_LAYERS - 1 : 0;
	m->layer_last = full ? LIMIT_LAYERS : 1;
	m->n_spans = full ? LIMIT_UNIT_SPANS : 1;
	m->spans = own(s, m->n_spans, sizeof *m->spans);
	for (size_t i = 0; i < m->n_spans; i++) {
		m->spans[i].session = full ? UINT64_MAX - i : 7;
		m->spans[i].n_tokens = full ? LIMIT_UNIT_TOKENS / LIMIT_UNIT_SPANS : 1;
		m->spans[i].position = full ? LIMIT_CONTEXT_TOKENS - m->spans[i].n_tokens : 0;
		m->spans[i].n_logits = m->spans[i].n_tokens;
		m->spans[i].wire = full ? LIMIT_WIRE_TYPES - 1 : 0;
		m->spans[i].from = full ? UINT64_MAX - LIMIT_UNIT_SPANS - i : 0;
		m->n_tokens += m->spans[i].n_tokens;
		m->n_logits += m->spans[i].n_logits;
	}
	m->top = full ? LIMIT_VOCABULARY : 1;
	m->n_closed = full ? 1024 : 1;
	m->closed = own(s, m->n_closed, sizeof *m->closed);
	for (size_t i = 0; i < m->n_closed; i++)
		m->closed[i] = full ? UINT64_MAX : i;
	m->next.ticket = full ? UINT64_MAX : 2;
	fill(m->next.donor.bytes, PUBLIC_KEY_BYTES, 14);
	if (full)
		m->input = m->next;
	m->draws = !full; /* of one row */
	m->draw =
	    (struct sampling){.temperature = 0.5f, .top_p = 1, .repeat_penalty = 1, .seed = 3};
}

static void make_generate(struct sample *s, bool full)
{
	struct msg_generate *m = &s->message.generate;

	m->request = 5;
	fill_text(m->model, sizeof m->model, full);
	m->n_turns = full ? 256 : 1;
	m->turns = own(s, m->n_turns, sizeof *m->turns);
	for (size_t i = 0; i < m->n_turns; i++) {
		if (i == 0) {
			m->turns[i].role = own_text(s, full ? 32 : 4);
			m->turns[i].content = own_text(s, full ? 3000 : 3);
			m->turns[i].tool_call_id = own_text(s, full ? 64 : 2);
			m->turns[i].name = m->turns[i].tool_call_id;
		} else {
			m->turns[i] = m->turns[0];
		}
	}
	m->sampling = (struct sampling){.temperature = 0.5f,
	    .top_p = 1,
	    .min_p = 0.25f,
	    .repeat_penalty = 1.5f,
	    .frequency_penalty = 100,
	    .presence_penalty = -100,
	    .top_k = 40,
	    .repeat_last_n = full ? LIMIT_CONTEXT_TOKENS : 64,
	    .seed = UINT64_MAX};
	m->turns[m->n_turns - 1].tool_calls = own_text(s, full ? LIMIT_TOOLS_BYTES / 4 : 2);
	m->tools = own_text(s, full ? LIMIT_TOOLS_BYTES / 4 : 2);
	m->n_drawn = full ? 4096 : 1;
	m->drawn = own(s, m->n_drawn, sizeof *m->drawn);
	for (size_t i = 0; i < m->n_drawn; i++)
		m->drawn[i] = full ? LIMIT_VOCABULARY - 1 : 3;
	m->max_tokens = full ? LIMIT_CONTEXT_TOKENS : 0;
	m->top = full ? LIMIT_VOCABULARY : 0;
	m->logprobs = full ? 1 + LOGPROB_ALTERNATIVES_MAX : 0;
	m->ignore_end = full;
	m->wire = full ? LIMIT_WIRE_TYPES - 1 : 0;
}

static void make_logprobs(struct sample *s, struct msg_piece *m, bool full)
{
	struct bytes text = {.len = full ? LOGPROB_TEXT_BYTES : 1};
	size_t n = full ? 1 + LOGPROB_ALTERNATIVES_MAX : 1;
	struct token_candidate *candidates = own(s, n, sizeof *candidates);

	text.data = (uint8_t *)own_text(s, text.len);
	text.data[0] = 0xff; /* any bytes */
	for (size_t i = 0; i < n; i++)
		candidates[i] = (struct token_candidate){text, full ? LOGPROB_NONE : -0.5f};
	m->n_logprobs = full ? LOGPROBS_MAX : 1;
	m->logprobs = own(s, m->n_logprobs, sizeof *m->logprobs);
	for (size_t i = 0; i < m->n_logprobs; i++)
		m->logprobs[i] = (struct token_logprob){n, candidates,
		    full ? TOKEN_OF_NEXT : TOKEN_OF_REASONING, full ? LIMIT_HEADER_BYTES : 2};
}

static void make_piece(struct sample *s, bool full)
{
	struct msg_piece *m = &s->message.piece;

	m->request = 5;
	m->text.len = full ? 1000 : 2;
	m->text.data = (uint8_t *)own_text(s, m->text.len);
	m->reasoning.len = full ? 1000 : 2;
	m->reasoning.data = (uint8_t *)own_text(s, m->reasoning.len);
	m->n_tokens = full ? 4096 : 1;
	m->tokens = own(s, m->n_tokens, sizeof *m->tokens);
	for (size_t i = 0; i < m->n_tokens; i++)
		m->tokens[i] = full ? LIMIT_VOCABULARY - 1 : 3;
	make_logprobs(s, m, full);
	m->tool_format = full ? LIMIT_TOOL_FORMATS - 1 : 0;
	m->rows = full ? LIMIT_CONTEXT_TOKENS : 0;
	fill_text(m->notice, sizeof m->notice, full);
	if (full)
		fill(m->session.bytes, PSEUDONYM_BYTES, 9);
}

static void make_receipts_query(struct sample *s, bool full)
{
	struct msg_receipts_query *m = &s->message.receipts_query;

	m->after = full ? INT64_MAX : 0;
	m->limit = full ? 1024 : 1;
	if (full)
		fill(m->session.bytes, PSEUDONYM_BYTES, 4);
}

static void make_doubt(struct sample *s, bool full)
{
	struct msg_doubt *m = &s->message.doubt;

	m->request = full ? UINT64_MAX : 1;
	fill(m->session.bytes, PSEUDONYM_BYTES, 8);
	fill(m->donor.bytes, PUBLIC_KEY_BYTES, 2);
	fill_text(m->donor_name, sizeof m->donor_name, full);
	fill_text(m->reason, sizeof m->reason, full);
}

static void make_finished(struct sample *s, bool full)
{
	struct msg_finished *m = &s->message.finished;

	m->request = 5;
	m->reason = full ? FINISH_FAILED : FINISH_END;
	m->failure = full ? FAILURE_REQUEST : FAILURE_OTHER;
	fill_text(m->text, sizeof m->text, full);
	m->prompt_tokens = full ? LIMIT_CONTEXT_TOKENS : 1;
	m->answer_tokens = full ? LIMIT_CONTEXT_TOKENS : 1;
	m->prefill_us = full ? INT64_MAX : 1;
	m->decode_us = full ? INT64_MAX : 1;
	m->reused_tokens = full ? LIMIT_CONTEXT_TOKENS : 0;
	m->guessed = m->guessed_right = full ? UINT64_MAX - 1 : 0;
	m->verification = full ? VERIFICATION_WRONG : VERIFICATION_NONE;
	if (full)
		fill(m->session.bytes, PSEUDONYM_BYTES, 3);
	m->n_shares = full ? 1024 : 1;
	m->shares = own(s, m->n_shares, sizeof *m->shares);
	for (size_t i = 0; i < m->n_shares; i++) {
		fill(m->shares[i].donor.bytes, PUBLIC_KEY_BYTES, (uint8_t)i);
		fill_text(m->shares[i].donor_name, sizeof m->shares[i].donor_name, full);
		m->shares[i].layer_first = full ? LIMIT_LAYERS - 1 : 0;
		m->shares[i].layer_last = full ? LIMIT_LAYERS : 1;
		m->shares[i].units = full ? UINT64_MAX : 1;
	}
}

/* Or of what was thought to be right. */
static void make_end(struct sample *s, bool full)
{
	if (s->message.type == MSG_FINISHED)
		make_finished(s, full);
	else
		make_doubt(s, full);
}

static void make_status_path(struct sample *s, struct status_model *m, bool full)
{
	m->n_stages = full ? 256 : 1;
	m->path = own(s, m->n_stages, sizeof *m->path);
	for (size_t i = 0; i < m->n_stages; i++) {
		struct status_stage *stage = &m->path[i];

		stage->layers = (struct layer_range){(uint32_t)i, (uint32_t)i + 1};
		fill(stage->donor.bytes, PUBLIC_KEY_BYTES, (uint8_t)i);
		fill_text(stage->donor_name, sizeof stage->donor_name, full);
		stage->token_us = full ? UINT64_MAX : 1;
		stage->round_trip_us = full ? UINT64_MAX : 0;
		stage->replicas = full ? UINT32_MAX : 0;
		stage->direct = full;
	}
}

static void make_status(struct sample *s, bool full)
{
	struct msg_status *m = &s->message.status;

	fill_text(m->pool_name, sizeof m->pool_name, full);
	m->uptime_ms = full ? UINT64_MAX : 1;
	fill_refusals(&m->refusals, full);
	m->n_models = full ? 64 : 1;
	m->models = own(s, m->n_models, sizeof *m->models);
	for (size_t i = 0; i < m->n_models; i++) {
		fill_text(m->models[i].name, sizeof m->models[i].name, full);
		m->models[i].n_layers = full ? LIMIT_LAYERS : 1;
		m->models[i].n_missing = 1;
		m->models[i].missing =
		    i == 0 ? own(s, 1, sizeof *m->models[i].missing) : m->models[0].missing;
		m->models[0].missing[0] = (struct layer_range){0, 1};
		fill_text(m->models[i].limit, sizeof m->models[i].limit, full);
		m->models[i].tokens = full ? UINT64_MAX : 0;
		if (i == 0)
			make_status_path(s, &m->models[0], full);
	}
	m->checks_right = m->checks_wrong = m->checks_missed = m->checks_by_donors =
	    full ? UINT64_MAX : 0;
	/* 4096 with all that they can say is more than a header holds: as many as commonly fit. */
	m->n_donors = full ? 4096 : 1;
	m->donors = own(s, m->n_donors, sizeof *m->donors);
	for (size_t i = 0; i < m->n_donors; i++) {
		fill(m->donors[i].donor.bytes, PUBLIC_KEY_BYTES, (uint8_t)i);
		fill_text(m->donors[i].name, sizeof m->donors[i].name, full);
		fill_text(m->donors[i].state, sizeof m->donors[i].state, false);
		m->donors[i].layer_last = full ? LIMIT_LAYERS : 0;
		m->donors[i].cost.count = full ? FLOP_MAX : 0;
		m->donors[i].units = 12;
		m->donors[i].model = full ? 64 : 0;
		fill_refusals(&m->donors[i].refused_by_donor, false);
		fill_text(m->donors[i].role, sizeof m->donors[i].role, false);
		fill_text(m->donors[i].note, sizeof m->donors[i].note, full && i < 100);
		fill_text(m->donors[i].trust, sizeof m->donors[i].trust, full && i < 100);
		m->donors[i].verified_units = full && i < 100 ? INT64_MAX : 0;
		m->donors[i].lies = full && i < 100 ? INT64_MAX : 0;
		m->donors[i].link_bytes_per_s = full && i < 100 ? UINT64_MAX : 1;
	}
}

static void make_receipts(struct sample *s, bool full)
{
	struct msg_receipts *m = &s->message.receipts;

	m->n_receipts = full ? 1024 : 1;
	m->receipts = own(s, m->n_receipts, sizeof *m->receipts);
	for (size_t i = 0; i < m->n_receipts; i++) {
		m->receipts[i].receipt_len = full ? RECEIPT_BYTES_MAX : 1;
		fill(m->receipts[i].receipt, m->receipts[i].receipt_len, (uint8_t)i);
		m->receipts[i].countersigned = i % 2 == 0;
		if (m->receipts[i].countersigned)
			fill(m->receipts[i].donor_signature.bytes, SIGNATURE_BYTES, 9);
	}
	m->n_names = full ? 1024 : 1;
	m->names = own(s, m->n_names, sizeof *m->names);
	for (size_t i = 0; i < m->n_names; i++) {
		fill_text(m->names[i].name, sizeof m->names[i].name, full);
		fill_text(m->names[i].team, sizeof m->names[i].team, full);
	}
}

static void make_small_work(struct sample *s, bool full)
{
	struct message *m = &s->message;

	if (m->type == MSG_ASSIGNMENT) {
		m->assignment = (struct msg_assignment){.assignment = full ? UINT64_MAX : 1,
		    .layer_first = full ? LIMIT_LAYERS - 1 : 0,
		    .layer_last = full ? LIMIT_LAYERS : 1,
		    .kv_tokens = full ? LIMIT_CONTEXT_TOKENS : 1,
		    .max_sessions = full ? 1 << 16 : 1,
		    .kv_type = full ? LIMIT_KV_TYPES - 1 : 0};
		fill(m->assignment.model.bytes, HASH_BYTES, 3);
	} else if (m->type == MSG_ASSIGNMENT_STATE) {
		m->assignment_state.state = full ? PROGRESS_FAILED : PROGRESS_FETCHING;
		m->assignment_state.done_bytes = full ? INT64_MAX : 1;
		m->assignment_state.total_bytes = full ? INT64_MAX : 2;
		fill_text(m->assignment_state.text, sizeof m->assignment_state.text, full);
		m->assignment_state.layers_ready = full ? LIMIT_LAYERS : 0;
	} else if (m->type == MSG_BLOB_REQUEST) {
		m->blob_request.n_hashes = full ? BLOB_REQUEST_MAX : 1;
		fill(m->blob_request.hashes, m->blob_request.n_hashes * HASH_BYTES, 4);
	} else if (m->type == MSG_RESULT) {
		m->result.unit = full ? UINT64_MAX : 1;
		m->result.cost.count = full ? FLOP_MAX : 0;
		m->result.compute_us = full ? INT64_MAX : 0;
		m->result.has_input = m->result.handed = full;
		if (full) {
			fill(m->result.input_hash.bytes, HASH_BYTES, 10);
			fill(m->result.handed_hash.bytes, HASH_BYTES, 11);
			m->result.n_parts = LIMIT_UNIT_TOKENS;
			m->result.parts = own(s, LIMIT_UNIT_TOKENS, sizeof *m->result.parts);
			fill(m->result.parts[0].bytes, LIMIT_UNIT_TOKENS * HASH_BYTES, 14);
			m->result.n_chains = LIMIT_UNIT_SPANS;
			m->result.chains = own(s, LIMIT_UNIT_SPANS, sizeof *m->result.chains);
			fill(m->result.chains[0].bytes, LIMIT_UNIT_SPANS * HASH_BYTES, 16);
			m->result.n_layer_hashes = LIMIT_LAYER_HASHES;
			m->result.layer_hashes =
			    own(s, LIMIT_LAYER_HASHES, sizeof *m->result.layer_hashes);
			fill(m->result.layer_hashes[0].bytes, LIMIT_LAYER_HASHES * HASH_BYTES, 15);
		}
	} else {
		m->unit_failed.unit = full ? UINT64_MAX : 1;
		m->unit_failed.reason = full ? REFUSAL_END - 1 : 1;
		fill_text(m->unit_failed.text, sizeof m->unit_failed.text, full);
	}
}

static void make_joining(struct sample *s, bool full)
{
	struct message *m = &s->message;

	if (m->type == MSG_HELLO) {
		m->hello.role = full ? ROLE_MEMBER : ROLE_DONOR;
		m->hello.has_invite = full;
		if (full)
			fill(m->hello.invite, INVITE_TOKEN_MAX, 5);
		fill_text(m->hello.name, sizeof m->hello.name, full);
		fill_text(m->hello.software, sizeof m->hello.software, full);
		fill_text(m->hello.team, sizeof m->hello.team, full);
	} else if (m->type == MSG_WELCOME) {
		fill_text(m->welcome.pool_name, sizeof m->welcome.pool_name, full);
		m->welcome.pool_time_ms = full ? INT64_MAX : 0;
		m->welcome.heartbeat_ms = full ? 60000 : 100;
	} else if (m->type == MSG_REFUSAL) {
		m->refusal.reason = full ? REFUSAL_END - 1 : 1;
		fill_text(m->refusal.text, sizeof m->refusal.text, full);
	} else if (m->type == MSG_HEARTBEAT) {
		m->heartbeat.echo_us = full ? UINT64_MAX : 0;
		m->heartbeat.units_done = full ? UINT64_MAX : 0;
		fill_refusals(&m->heartbeat.refusals, full);
	} else {
		uint64_t amount = full ? UINT64_C(1) << 50 : 0;

		m->offer = (struct msg_offer){.cores = full ? 4096 : 1,
		    .memory_bytes = amount,
		    .disk_bytes = amount,
		    .flop_per_s = amount,
		    .read_bytes_per_s = amount,
		    .max_layers = full ? LIMIT_LAYERS : 0};
		fill_text(m->offer.kernels, sizeof m->offer.kernels, full);
		fill_text(m->offer.address, sizeof m->offer.address, full);
		m->offer.n_speeds = full ? LIMIT_SPEEDS : 0;
		for (size_t i = 0; i < m->offer.n_speeds; i++)
			m->offer.speeds[i] = (struct offer_speed){
			    LIMIT_TENSOR_TYPES - LIMIT_SPEEDS + (uint32_t)i, amount, amount};
		m->offer.holds = full;
		if (full)
			m->offer.held = (struct msg_assignment){.assignment = UINT64_MAX,
			    .layer_first = LIMIT_LAYERS - 1,
			    .layer_last = LIMIT_LAYERS,
			    .kv_tokens = LIMIT_CONTEXT_TOKENS,
			    .max_sessions = 1 << 16,
			    .kv_type = LIMIT_KV_TYPES - 1};
	}
}

static void make_receipt(struct signed_receipt *r, bool full)
{
	r->receipt_len = full ? RECEIPT_BYTES_MAX : 1;
	r->countersigned = full;
	if (full)
		fill(r->donor_signature.bytes, SIGNATURE_BYTES, 8);
}

static void make_link(struct sample *s, bool full)
{
	struct message *m = &s->message;

	if (m->type == MSG_HANDOVER) {
		m->handover.ticket = full ? UINT64_MAX : 1;
	} else if (m->type == MSG_LINK) {
		fill(m->link.donor.bytes, PUBLIC_KEY_BYTES, 12);
		fill_text(m->link.address, sizeof m->link.address, full);
	} else if (m->type == MSG_LINK_STATE) {
		fill(m->link_state.donor.bytes, PUBLIC_KEY_BYTES, 13);
		m->link_state.up = full;
		m->link_state.round_trip_us = full ? LIMIT_ROUND_TRIP_US : 0;
	} else {
		m->withdraw.unit = full ? UINT64_MAX : 1;
	}
}

static void make_one_number(struct message *m, bool full)
{
	if (m->type == MSG_UNASSIGN)
		m->unassign.assignment = full ? UINT64_MAX : 1;
	else if (m->type == MSG_LEAVE)
		m->leave.units_left = full ? UINT32_MAX : 0;
	else
		m->cancel.request = full ? UINT64_MAX : 1;
}

void sample_make(struct sample *s, enum message_type type, enum sample_size size)
{
	struct message *m = &s->message;
	bool full = size == SAMPLE_FULL;

	memset(s, 0, sizeof *s);
	m->type = type;
	switch (type) {
	case MSG_HELLO:
	case MSG_WELCOME:
	case MSG_REFUSAL:
	case MSG_HEARTBEAT:
	case MSG_OFFER:
		make_joining(s, full);
		break;
	case MSG_ASSIGNMENT:
	case MSG_ASSIGNMENT_STATE:
	case MSG_BLOB_REQUEST:
	case MSG_RESULT:
	case MSG_UNIT_FAILED:
		make_small_work(s, full);
		break;
	case MSG_BLOB:
		fill(m->blob.hash.bytes, HASH_BYTES, 6);
		m->blob.found = full;
		break;
	case MSG_WORK_UNIT:
		make_work_unit(s, full);
		break;
	case MSG_RECEIPT:
		make_receipt(&m->receipt, full);
		break;
	case MSG_RECEIPT_ACK:
		m->receipt_ack.number = full ? INT64_MAX : 1;
		break;
	case MSG_GENERATE:
		make_generate(s, full);
		break;
	case MSG_PIECE:
		make_piece(s, full);
		break;
	case MSG_FINISHED:
	case MSG_DOUBT:
		make_end(s, full);
		break;
	case MSG_STATUS:
		make_status(s, full);
		break;
	case MSG_RECEIPTS_QUERY:
		make_receipts_query(s, full);
		break;
	case MSG_RECEIPTS:
		make_receipts(s, full);
		break;
	case MSG_HANDOVER:
	case MSG_LINK:
	case MSG_LINK_STATE:
	case MSG_WITHDRAW:
		make_link(s, full);
		break;
	case MSG_UNASSIGN:
	case MSG_LEAVE:
	case MSG_CANCEL:
		make_one_number(m, full);
		break;
	case MSG_STATUS_QUERY:
	case MSG_TYPE_END:
		break;
	}
}

void sample_free(struct sample *s)
{
	while (s->n_owned > 0)
		free(s->owned[--s->n_owned]);
}
