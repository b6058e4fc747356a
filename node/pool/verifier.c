/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/verifier.h"

#include <math.h>

#include "node/work.h"
#include "protocol/messages.h"

enum { PART = 256 }; /* whole blocks of every wire type */

static bool row_finite(enum wire_type wire, const uint8_t *row, uint32_t d_model)
{
	for (uint32_t at = 0; at < d_model; at += PART) {
		uint32_t n = d_model - at < PART ? d_model - at : PART;
		float part[PART];

		wire_decode(wire, row, n, part);
		row += wire_row_bytes(wire, n);
		for (uint32_t i = 0; i < n; i++) {
			if (!isfinite(part[i]))
				return false;
		}
	}
	return true;
}

static bool activations_finite(
    uint32_t d_model, const struct msg_work_unit *u, const uint8_t *payload)
{
	for (size_t i = 0; i < u->n_spans; i++) {
		enum wire_type wire = (enum wire_type)u->spans[i].wire;
		size_t row_bytes = wire_row_bytes(wire, d_model);

		for (uint32_t t = 0; t < u->spans[i].n_tokens; t++, payload += row_bytes) {
			if (!row_finite(wire, payload, d_model))
				return false;
		}
	}
	return true;
}

/* Largest first, equal ones by id, no id twice in a row, inside the vocabulary, lse above them. */
static bool row_in_order(const uint8_t *row, uint32_t top, uint32_t n_vocabulary)
{
	float lse, before = INFINITY;
	uint32_t id_before = 0;

	payload_get_f32(row, &lse, 1);
	if (!isfinite(lse))
		return false;
	for (uint32_t i = 0; i < top; i++) {
		uint32_t id;
		float value;

		payload_get_u32(row + 4 + (size_t)i * 8, &id, 1);
		payload_get_f32(row + 8 + (size_t)i * 8, &value, 1);
		if (id >= n_vocabulary || !isfinite(value) || value > before || value > lse ||
		    (value == before && id <= id_before))
			return false;
		before = value;
		id_before = id;
	}
	return true;
}

/* Only the next donor sees what was handed to it: here is its hash. */
static bool may_be_handed(const struct msg_work_unit *u)
{
	return u->next.ticket != 0 && !u->draws;
}

/* Do the hashes of the parts fit what came, or the hash of what was handed on? */
static bool parts_fit(const struct model_sizes *m, const struct msg_work_unit *u,
    const struct msg_result *r, struct span payload)
{
	bool logits = u->layer_last == m->n_layers;
	struct work_part parts[WORK_PARTS_MAX];
	struct hash hashes[WORK_PARTS_MAX], whole;
	size_t n = work_parts(m->d_model, u, logits, parts);

	if (r->n_parts != (n > 1 ? n : 0) || r->n_layer_hashes != work_layer_hashes(u) ||
	    r->n_chains != u->n_spans)
		return false;
	if (n <= 1)
		return true;
	if (r->handed) {
		work_whole(r->parts, n, &whole);
		return hash_equal(&whole, &r->handed_hash);
	}
	(void)work_commit(m->d_model, u, logits, payload.data, hashes, &whole);
	return memcmp(hashes, r->parts, n * sizeof *hashes) == 0;
}

enum refusal verifier_check(const struct model_sizes *m, const struct msg_work_unit *u,
    const struct msg_result *r, struct span payload, struct error *why)
{
	size_t want = r->handed ? 0 : work_result_bytes(m->n_layers, m->d_model, u);
	struct flop cost;

	if (r->handed && !may_be_handed(u)) {
		(void)error_set(why, AYNI_ERR_FORMAT, "a result handed on to nobody");
		return REFUSAL_BOUNDS;
	}
	if (r->has_input != (u->input.ticket != 0)) {
		(void)error_set(why, AYNI_ERR_FORMAT, "not the input that the unit names");
		return REFUSAL_BOUNDS;
	}
	if (payload.len != want) {
		(void)error_set(why, AYNI_ERR_FORMAT, "result of %zu bytes where %zu belong",
		    payload.len, want);
		return REFUSAL_BOUNDS;
	}
	if (work_cost(m, u, &cost) != AYNI_OK || flop_count(cost) != flop_count(r->cost)) {
		(void)error_set(why, AYNI_ERR_FORMAT, "claimed cost is not the published one");
		return REFUSAL_BOUNDS;
	}
	if (!parts_fit(m, u, r, payload)) {
		(void)error_set(why, AYNI_ERR_FORMAT, "hashes that do not fit the result");
		return REFUSAL_BOUNDS;
	}
	if (r->handed)
		return REFUSAL_NONE;
	if (u->layer_last < m->n_layers && !activations_finite(m->d_model, u, payload.data)) {
		(void)error_set(why, AYNI_ERR_NUMERIC, "activations that are not finite");
		return REFUSAL_NUMERIC;
	}
	for (uint32_t i = 0; u->layer_last == m->n_layers && i < u->n_logits; i++) {
		if (!row_in_order(
		        payload.data + i * logit_row_bytes(u->top), u->top, m->n_vocabulary)) {
			(void)error_set(
			    why, AYNI_ERR_FORMAT, "a row of logits out of order or bounds");
			return REFUSAL_NUMERIC;
		}
	}
	return REFUSAL_NONE;
}
