/* SPDX-License-Identifier: Apache-2.0 */
/* Donating: assignments, content, work units and what becomes of them. */
#include "protocol/messages_internal.h"

enum { ASSIGNMENT_SESSIONS_MAX = 1 << 16, UNIT_CLOSED_MAX = 1024 };

/* ---- Assignment --------------------------------------------------------------------------- */

void load_assignment(struct conversion *c, const Ayni__Assignment *in, struct msg_assignment *m)
{
	m->assignment = in->assignment;
	load_bytes(c, "model", in->model, m->model.bytes, HASH_BYTES);
	m->layer_first = in->layer_first;
	m->layer_last = in->layer_last;
	m->kv_tokens = in->kv_tokens;
	m->max_sessions = in->max_sessions;
	m->kv_type = in->kv_type;
}

void check_assignment(struct conversion *c, const struct msg_assignment *m)
{
	check_layers(c, m->layer_first, m->layer_last, false);
	check_range(c, "kv_tokens", m->kv_tokens, 1, LIMIT_CONTEXT_TOKENS);
	check_range(c, "max_sessions", m->max_sessions, 1, ASSIGNMENT_SESSIONS_MAX);
	check_range(c, "kv_type", m->kv_type, 0, LIMIT_KV_TYPES - 1);
}

Ayni__Assignment *store_assignment(struct conversion *c, const struct msg_assignment *m)
{
	Ayni__Assignment *out = wire_new(c, &ayni__assignment__descriptor);

	if (out == NULL)
		return NULL;
	out->assignment = m->assignment;
	out->model = store_bytes(m->model.bytes, HASH_BYTES);
	out->layer_first = m->layer_first;
	out->layer_last = m->layer_last;
	out->kv_tokens = m->kv_tokens;
	out->max_sessions = m->max_sessions;
	out->kv_type = m->kv_type;
	return out;
}

static void assignment_load(struct conversion *c, const void *wire, struct message *out)
{
	load_assignment(c, wire, &out->assignment);
}

static void assignment_check(struct conversion *c, const struct message *in)
{
	check_assignment(c, &in->assignment);
}

static void *assignment_store(struct conversion *c, const struct message *in)
{
	return store_assignment(c, &in->assignment);
}

const struct codec codec_assignment = {.name = "assignment",
    .type = &ayni__assignment__descriptor,
    .load = assignment_load,
    .check = assignment_check,
    .store = assignment_store};

/* ---- Unassign ----------------------------------------------------------------------------- */

static void unassign_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Unassign *in = wire;

	(void)c;
	out->unassign.assignment = in->assignment;
}

static void unassign_check(struct conversion *c, const struct message *m)
{
	(void)c; /* every value is one that can be */
	(void)m;
}

static void *unassign_store(struct conversion *c, const struct message *in)
{
	Ayni__Unassign *out = wire_new(c, &ayni__unassign__descriptor);

	if (out != NULL)
		out->assignment = in->unassign.assignment;
	return out;
}

const struct codec codec_unassign = {.name = "unassign",
    .type = &ayni__unassign__descriptor,
    .load = unassign_load,
    .check = unassign_check,
    .store = unassign_store};

/* ---- AssignmentState ---------------------------------------------------------------------- */

static void assignment_state_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__AssignmentState *in = wire;
	struct msg_assignment_state *m = &out->assignment_state;

	check_range(c, "state", in->state, PROGRESS_FETCHING, PROGRESS_FAILED);
	m->assignment = in->assignment;
	m->state = (enum assignment_progress)in->state;
	m->done_bytes = in->done_bytes;
	m->total_bytes = in->total_bytes;
	m->layers_ready = in->layers_ready;
	load_line(c, "text", in->text, m->text, sizeof m->text);
	check_line(c, "text", m->text, sizeof m->text);
}

static void assignment_state_check(struct conversion *c, const struct message *in)
{
	const struct msg_assignment_state *m = &in->assignment_state;

	check_range(c, "state", m->state, PROGRESS_FETCHING, PROGRESS_FAILED);
	check_range(c, "total_bytes", m->total_bytes, 0, INT64_MAX);
	check_range(c, "done_bytes", m->done_bytes, 0, m->total_bytes);
	check_range(c, "layers_ready", m->layers_ready, 0, LIMIT_LAYERS);
}

static void *assignment_state_store(struct conversion *c, const struct message *in)
{
	const struct msg_assignment_state *m = &in->assignment_state;
	Ayni__AssignmentState *out = wire_new(c, &ayni__assignment_state__descriptor);

	if (out == NULL)
		return NULL;
	out->assignment = m->assignment;
	out->state = m->state;
	out->done_bytes = m->done_bytes;
	out->total_bytes = m->total_bytes;
	out->layers_ready = m->layers_ready;
	out->text = store_text(c, m->text, sizeof m->text);
	return out;
}

const struct codec codec_assignment_state = {.name = "assignment-state",
    .type = &ayni__assignment_state__descriptor,
    .load = assignment_state_load,
    .check = assignment_state_check,
    .store = assignment_state_store};

/* ---- BlobRequest -------------------------------------------------------------------------- */

static void blob_request_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__BlobRequest *in = wire;
	struct msg_blob_request *m = &out->blob_request;

	check_range(c, "hashes", in->n_hashes, 1, BLOB_REQUEST_MAX);
	if (c->code != AYNI_OK)
		return;
	m->n_hashes = in->n_hashes;
	for (size_t i = 0; i < in->n_hashes; i++)
		load_bytes(c, "hashes", in->hashes[i], m->hashes[i].bytes, HASH_BYTES);
}

static void blob_request_check(struct conversion *c, const struct message *m)
{
	check_range(c, "hashes", m->blob_request.n_hashes, 1, BLOB_REQUEST_MAX);
}

static void *blob_request_store(struct conversion *c, const struct message *in)
{
	const struct msg_blob_request *m = &in->blob_request;
	Ayni__BlobRequest *out = wire_new(c, &ayni__blob_request__descriptor);

	if (out == NULL)
		return NULL;
	out->hashes = conversion_take(c, m->n_hashes, sizeof *out->hashes);
	if (out->hashes == NULL)
		return NULL;
	out->n_hashes = m->n_hashes;
	for (size_t i = 0; i < m->n_hashes; i++)
		out->hashes[i] = store_bytes(m->hashes[i].bytes, HASH_BYTES);
	return out;
}

const struct codec codec_blob_request = {.name = "blob-request",
    .type = &ayni__blob_request__descriptor,
    .load = blob_request_load,
    .check = blob_request_check,
    .store = blob_request_store};

/* ---- Blob --------------------------------------------------------------------------------- */

static void blob_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Blob *in = wire;

	load_bytes(c, "hash", in->hash, out->blob.hash.bytes, HASH_BYTES);
	out->blob.found = in->found != 0;
}

static void blob_check(struct conversion *c, const struct message *m)
{
	(void)c; /* every value is one that can be */
	(void)m;
}

static void *blob_store(struct conversion *c, const struct message *in)
{
	Ayni__Blob *out = wire_new(c, &ayni__blob__descriptor);

	if (out == NULL)
		return NULL;
	out->hash = store_bytes(in->blob.hash.bytes, HASH_BYTES);
	out->found = in->blob.found;
	return out;
}

const struct codec codec_blob = {.name = "blob",
    .type = &ayni__blob__descriptor,
    .payload_limit = LIMIT_PAYLOAD_BYTES,
    .load = blob_load,
    .check = blob_check,
    .store = blob_store};

/* ---- WorkUnit ----------------------------------------------------------------------------- */

static void spans_load(
    struct conversion *c, size_t n, Ayni__Span *const *in, struct msg_work_unit *m)
{
	check_range(c, "spans", n, 1, LIMIT_UNIT_SPANS);
	m->spans = conversion_take(c, n, sizeof *m->spans);
	if (m->spans == NULL)
		return;
	m->n_spans = n;
	for (size_t i = 0; i < n; i++) {
		m->spans[i] = (struct unit_span){.session = in[i]->session,
		    .position = in[i]->position,
		    .n_tokens = in[i]->n_tokens,
		    .n_logits = in[i]->n_logits,
		    .from = in[i]->from,
		    .wire = in[i]->wire};
		/* These may wrap; work_unit_check then refuses the spans themselves. */
		m->n_tokens += in[i]->n_tokens;
		m->n_logits += in[i]->n_logits;
	}
}

static void work_unit_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__WorkUnit *in = wire;
	struct msg_work_unit *m = &out->work_unit;

	m->unit = in->unit;
	m->assignment = in->assignment;
	load_bytes(c, "model", in->model, m->model.bytes, HASH_BYTES);
	m->layer_first = in->layer_first;
	m->layer_last = in->layer_last;
	spans_load(c, in->n_spans, in->spans, m);
	m->top = in->top;
	load_bytes(c, "payload_hash", in->payload_hash, m->payload_hash.bytes, HASH_BYTES);
	check_range(c, "closed", in->n_closed, 0, UNIT_CLOSED_MAX);
	m->closed = conversion_take(c, in->n_closed, sizeof *m->closed);
	if (m->closed == NULL)
		return;
	m->n_closed = in->n_closed;
	for (size_t i = 0; i < in->n_closed; i++)
		m->closed[i] = in->closed[i];
	load_transfer(c, in->input, &m->input);
	load_transfer(c, in->next, &m->next);
	m->draws = in->draw != NULL;
	if (m->draws)
		load_sampling(in->draw, &m->draw);
}

/* A token is drawn of one row, without the history that a penalty would need. */
static void check_draw(struct conversion *c, const struct msg_work_unit *m, uint64_t n_logits)
{
	if (!m->draws)
		return;
	check_sampling(c, &m->draw);
	check_float(c, "draw.repeat_penalty", m->draw.repeat_penalty, 1, 1);
	check_float(c, "draw.frequency_penalty", m->draw.frequency_penalty, 0, 0);
	check_float(c, "draw.presence_penalty", m->draw.presence_penalty, 0, 0);
	check_range(c, "draw: rows of logits", n_logits, 1, 1);
	check_range(c, "draw: next", m->next.ticket, 1, UINT64_MAX);
}

static void work_unit_check(struct conversion *c, const struct message *in)
{
	const struct msg_work_unit *m = &in->work_unit;
	uint64_t n_tokens = 0, n_logits = 0;

	check_layers(c, m->layer_first, m->layer_last, false);
	check_range(c, "spans", m->n_spans, 1, LIMIT_UNIT_SPANS);
	check_range(c, "closed", m->n_closed, 0, UNIT_CLOSED_MAX);
	/* At most 256 times 2^32: 64 bits hold the sums. */
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_spans; i++) {
		const struct unit_span *s = &m->spans[i];

		check_range(c, "spans.n_tokens", s->n_tokens, 1, LIMIT_UNIT_TOKENS);
		check_range(c, "spans.position", (uint64_t)s->position + s->n_tokens, 1,
		    LIMIT_CONTEXT_TOKENS);
		check_range(c, "spans.n_logits", s->n_logits, 0, s->n_tokens);
		check_range(c, "spans.from", s->from != 0 && s->position == 0, 0, 0);
		check_range(c, "spans.wire", s->wire, 0, LIMIT_WIRE_TYPES - 1);
		check_range(c, "spans.from", s->from != 0 && s->from == s->session, 0, 0);
		n_tokens += s->n_tokens;
		n_logits += s->n_logits;
	}
	check_range(c, "n_tokens of all spans", n_tokens, 1, LIMIT_UNIT_TOKENS);
	check_range(c, "top", m->top, n_logits > 0 ? 1 : 0, LIMIT_VOCABULARY);
	check_draw(c, m, n_logits);
}

static void *work_unit_store(struct conversion *c, const struct message *in)
{
	const struct msg_work_unit *m = &in->work_unit;
	Ayni__WorkUnit *out = wire_new(c, &ayni__work_unit__descriptor);

	if (out == NULL)
		return NULL;
	out->unit = m->unit;
	out->assignment = m->assignment;
	out->model = store_bytes(m->model.bytes, HASH_BYTES);
	out->layer_first = m->layer_first;
	out->layer_last = m->layer_last;
	out->top = m->top;
	out->payload_hash = store_bytes(m->payload_hash.bytes, HASH_BYTES);
	out->n_closed = m->n_closed;
	out->closed = m->closed; /* packing only reads */
	out->spans = conversion_take(c, m->n_spans, sizeof *out->spans);
	if (out->spans == NULL)
		return NULL;
	for (size_t i = 0; i < m->n_spans; i++) {
		Ayni__Span *span = wire_new(c, &ayni__span__descriptor);

		if (span == NULL)
			return NULL;
		span->session = m->spans[i].session;
		span->position = m->spans[i].position;
		span->n_tokens = m->spans[i].n_tokens;
		span->n_logits = m->spans[i].n_logits;
		span->from = m->spans[i].from;
		span->wire = m->spans[i].wire;
		out->spans[out->n_spans++] = span;
	}
	out->input = store_transfer(c, &m->input);
	out->next = store_transfer(c, &m->next);
	out->draw = m->draws ? store_sampling(c, &m->draw) : NULL;
	return out;
}

const struct codec codec_work_unit = {.name = "work-unit",
    .type = &ayni__work_unit__descriptor,
    .payload_limit = LIMIT_PAYLOAD_BYTES,
    .load = work_unit_load,
    .check = work_unit_check,
    .store = work_unit_store};

/* ---- Result ------------------------------------------------------------------------------- */

/* Hashes in a row. */
static void load_hashes(struct conversion *c, const char *field, ProtobufCBinaryData in,
    size_t most, struct hash **out, size_t *n)
{
	check_range(c, field, in.len % HASH_BYTES, 0, 0);
	check_range(c, field, in.len / HASH_BYTES, 0, most);
	*out = conversion_take(c, in.len / HASH_BYTES, sizeof **out);
	if (*out == NULL || in.len == 0)
		return;
	memcpy(*out, in.data, in.len);
	*n = in.len / HASH_BYTES;
}

static void result_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Result *in = wire;
	struct msg_result *m = &out->result;

	m->unit = in->unit;
	load_bytes(c, "payload_hash", in->payload_hash, m->payload_hash.bytes, HASH_BYTES);
	load_flop(c, "cost_flop", in->cost_flop, &m->cost);
	m->compute_us = in->compute_us;
	m->has_input = in->input_hash.len > 0;
	if (m->has_input)
		load_bytes(c, "input_hash", in->input_hash, m->input_hash.bytes, HASH_BYTES);
	m->handed = in->handed_hash.len > 0;
	if (m->handed)
		load_bytes(c, "handed_hash", in->handed_hash, m->handed_hash.bytes, HASH_BYTES);
	check_range(c, "part_hashes", in->n_part_hashes, 0, LIMIT_UNIT_TOKENS);
	m->parts = conversion_take(c, in->n_part_hashes, sizeof *m->parts);
	if (m->parts == NULL)
		return;
	m->n_parts = in->n_part_hashes;
	for (size_t i = 0; i < m->n_parts; i++)
		load_bytes(c, "part_hashes", in->part_hashes[i], m->parts[i].bytes, HASH_BYTES);
	load_hashes(c, "layer_hashes", in->layer_hashes, LIMIT_LAYER_HASHES, &m->layer_hashes,
	    &m->n_layer_hashes);
	load_hashes(c, "chains", in->chains, LIMIT_UNIT_SPANS, &m->chains, &m->n_chains);
}

static void result_check(struct conversion *c, const struct message *m)
{
	check_range(c, "part_hashes: one is none", m->result.n_parts == 1, 0, 0);
	check_range(c, "part_hashes", m->result.n_parts, 0, LIMIT_UNIT_TOKENS);
	check_range(c, "chains", m->result.n_chains, 0, LIMIT_UNIT_SPANS);
	check_range(c, "layer_hashes", m->result.n_layer_hashes, 0, LIMIT_LAYER_HASHES);
	check_range(c, "cost_flop", flop_count(m->result.cost), 0, FLOP_MAX);
	check_range(c, "compute_us", m->result.compute_us, 0, INT64_MAX);
}

static void *result_store(struct conversion *c, const struct message *in)
{
	const struct msg_result *m = &in->result;
	Ayni__Result *out = wire_new(c, &ayni__result__descriptor);

	if (out == NULL)
		return NULL;
	out->unit = m->unit;
	out->payload_hash = store_bytes(m->payload_hash.bytes, HASH_BYTES);
	out->cost_flop = flop_count(m->cost);
	out->compute_us = m->compute_us;
	if (m->has_input)
		out->input_hash = store_bytes(m->input_hash.bytes, HASH_BYTES);
	if (m->handed)
		out->handed_hash = store_bytes(m->handed_hash.bytes, HASH_BYTES);
	out->part_hashes = conversion_take(c, m->n_parts, sizeof *out->part_hashes);
	if (out->part_hashes == NULL)
		return NULL;
	out->n_part_hashes = m->n_parts;
	for (size_t i = 0; i < m->n_parts; i++)
		out->part_hashes[i] = store_bytes(m->parts[i].bytes, HASH_BYTES);
	out->chains = store_bytes(m->chains, m->n_chains * HASH_BYTES);
	out->layer_hashes = store_bytes(m->layer_hashes, m->n_layer_hashes * HASH_BYTES);
	return out;
}

const struct codec codec_result = {.name = "result",
    .type = &ayni__result__descriptor,
    .payload_limit = LIMIT_PAYLOAD_BYTES,
    .load = result_load,
    .check = result_check,
    .store = result_store};

/* ---- UnitFailed --------------------------------------------------------------------------- */

static void unit_failed_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__UnitFailed *in = wire;
	struct msg_unit_failed *m = &out->unit_failed;

	check_refusal(c, in->reason);
	m->unit = in->unit;
	m->reason = (enum refusal)in->reason;
	load_line(c, "text", in->text, m->text, sizeof m->text);
	check_line(c, "text", m->text, sizeof m->text);
}

static void unit_failed_check(struct conversion *c, const struct message *m)
{
	check_refusal(c, m->unit_failed.reason);
}

static void *unit_failed_store(struct conversion *c, const struct message *in)
{
	const struct msg_unit_failed *m = &in->unit_failed;
	Ayni__UnitFailed *out = wire_new(c, &ayni__unit_failed__descriptor);

	if (out == NULL)
		return NULL;
	out->unit = m->unit;
	out->reason = m->reason;
	out->text = store_text(c, m->text, sizeof m->text);
	return out;
}

const struct codec codec_unit_failed = {.name = "unit-failed",
    .type = &ayni__unit_failed__descriptor,
    .load = unit_failed_load,
    .check = unit_failed_check,
    .store = unit_failed_store};
