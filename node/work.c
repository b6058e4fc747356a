/* SPDX-License-Identifier: Apache-2.0 */
#include "node/work.h"

#include "compute/cost.h"
#include "protocol/identity.h"
#include "protocol/messages.h"

static_assert((int)WIRE_TYPE_END == (int)LIMIT_WIRE_TYPES, "spans name all types");

size_t logit_row_bytes(uint32_t top)
{
	return 4 + (size_t)top * 8;
}

void logit_row_read(const uint8_t *row, uint32_t n, struct logit *out, float *lse)
{
	payload_get_f32(row, lse, 1);
	for (uint32_t i = 0; i < n; i++) {
		payload_get_u32(row + 4 + (size_t)i * 8, &out[i].id, 1);
		payload_get_f32(row + 8 + (size_t)i * 8, &out[i].value, 1);
	}
}

void logit_row_write(uint8_t *row, const struct logit *in, uint32_t n, float lse)
{
	payload_put_f32(row, &lse, 1);
	for (uint32_t i = 0; i < n; i++) {
		payload_put_u32(row + 4 + (size_t)i * 8, &in[i].id, 1);
		payload_put_f32(row + 8 + (size_t)i * 8, &in[i].value, 1);
	}
}

struct sampler_settings work_settings(const struct sampling *s)
{
	return (struct sampler_settings){.temperature = s->temperature,
	    .top_k = s->top_k,
	    .top_p = s->top_p,
	    .min_p = s->min_p,
	    .repeat_penalty = s->repeat_penalty,
	    .repeat_last_n = s->repeat_last_n,
	    .frequency_penalty = s->frequency_penalty,
	    .presence_penalty = s->presence_penalty,
	    .seed = s->seed};
}

struct sampling work_sampling(const struct sampler_settings *s)
{
	return (struct sampling){.temperature = s->temperature,
	    .top_p = s->top_p,
	    .min_p = s->min_p,
	    .repeat_penalty = s->repeat_penalty,
	    .frequency_penalty = s->frequency_penalty,
	    .presence_penalty = s->presence_penalty,
	    .top_k = s->top_k,
	    .repeat_last_n = s->repeat_last_n,
	    .seed = s->seed};
}

uint32_t work_draw(const struct msg_work_unit *u, const uint8_t *row)
{
	const struct unit_span *last = &u->spans[u->n_spans - 1];
	struct sampler_settings settings = work_settings(&u->draw);
	struct logit candidates[SAMPLER_CANDIDATES];
	float lse;

	assert(u->top <= SAMPLER_CANDIDATES);
	logit_row_read(row, u->top, candidates, &lse);
	return sampler_draw(
	    &settings, candidates, u->top, lse, NULL, last->position + last->n_tokens);
}

int work_span_cost(const struct model_sizes *m, const struct msg_work_unit *u,
    const struct unit_span *s, struct flop *out)
{
	return cost_span(
	    m, u->layer_first, u->layer_last, s->position, s->n_tokens, s->n_logits, out);
}

int work_cost(const struct model_sizes *m, const struct msg_work_unit *u, struct flop *out)
{
	struct flop sum = {0};

	for (size_t i = 0; i < u->n_spans; i++) {
		struct flop cost;
		int rc = work_span_cost(m, u, &u->spans[i], &cost);

		if (rc == AYNI_OK)
			rc = flop_add(sum, cost, &sum);
		if (rc != AYNI_OK)
			return rc;
	}
	*out = sum;
	return AYNI_OK;
}

size_t work_activation_bytes(uint32_t d_model, const struct msg_work_unit *u)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_spans; i++)
		n += u->spans[i].n_tokens *
		     wire_row_bytes((enum wire_type)u->spans[i].wire, d_model);
	return n;
}

/* The span's rows, from its first on, page by page; returns the number of parts added. */
static size_t span_parts(
    const struct unit_span *s, uint32_t n_rows, size_t row_bytes, struct work_part *out)
{
	uint32_t at = s->position + s->n_tokens - n_rows, end = s->position + s->n_tokens;
	size_t n = 0;

	while (at < end) {
		uint32_t page_end = (at / WORK_PART_TOKENS + 1) * WORK_PART_TOKENS;
		uint32_t rows = (page_end < end ? page_end : end) - at;

		out[n++] =
		    (struct work_part){.position = at, .n_rows = rows, .bytes = rows * row_bytes};
		at += rows;
	}
	return n;
}

size_t work_parts(uint32_t d_model, const struct msg_work_unit *u, bool logits,
    struct work_part out[WORK_PARTS_MAX])
{
	size_t n = 0, offset = 0;
	uint32_t row = 0;

	for (size_t i = 0; i < u->n_spans; i++) {
		const struct unit_span *s = &u->spans[i];
		size_t row_bytes = logits ? logit_row_bytes(u->top)
		                          : wire_row_bytes((enum wire_type)s->wire, d_model);
		size_t more = span_parts(s, logits ? s->n_logits : s->n_tokens, row_bytes, out + n);

		for (size_t k = n; k < n + more; k++) {
			out[k].span = (uint32_t)i;
			out[k].row = row;
			out[k].offset = offset;
			row += out[k].n_rows;
			offset += out[k].bytes;
		}
		n += more;
	}
	return n;
}

size_t work_n_parts(const struct msg_work_unit *u)
{
	struct work_part parts[WORK_PARTS_MAX];

	return work_parts(1, u, false, parts);
}

size_t work_layer_hashes(const struct msg_work_unit *u)
{
	return (u->layer_last - u->layer_first - 1) * work_n_parts(u);
}

bool work_run_add(struct work_run *r, uint32_t position, uint32_t n_tokens, uint32_t n_logits,
    uint32_t most_tokens)
{
	/* behind the first row that is wanted all are */
	uint32_t rows = r->n_rows > 0 ? r->n_rows + n_tokens : n_logits;

	if (r->n == 0)
		r->position = position;
	else if (position != r->position + r->n_tokens || r->n_tokens + n_tokens > most_tokens ||
	         rows > WORK_RUN_ROWS)
		return false;
	r->n_rows = rows;
	r->n_tokens += n_tokens;
	r->n++;
	return true;
}

void work_whole(const struct hash *parts, size_t n, struct hash *whole)
{
	hash_bytes(parts[0].bytes, n * sizeof *parts, whole);
}

size_t work_commit(uint32_t d_model, const struct msg_work_unit *u, bool logits,
    const uint8_t *payload, struct hash out[WORK_PARTS_MAX], struct hash *whole)
{
	struct work_part parts[WORK_PARTS_MAX];
	size_t n = work_parts(d_model, u, logits, parts);

	for (size_t i = 0; i < n; i++) {
		hash_bytes(payload, parts[i].bytes, &out[i]);
		payload += parts[i].bytes;
	}
	if (n == 0)
		hash_bytes(NULL, 0, whole);
	else if (n == 1)
		*whole = out[0];
	else
		work_whole(out, n, whole);
	return n > 1 ? n : 0;
}

void work_commit_input(
    uint32_t d_model, const struct msg_work_unit *u, const uint8_t *payload, struct hash *whole)
{
	struct work_part parts[WORK_PARTS_MAX];
	struct hash hashes[WORK_PARTS_MAX];

	if (u->layer_first > 0 && work_parts(d_model, u, false, parts) > 1)
		(void)work_commit(d_model, u, false, payload, hashes, whole);
}

size_t work_result_bytes(uint32_t n_layers, uint32_t d_model, const struct msg_work_unit *u)
{
	if (u->layer_last < n_layers)
		return work_activation_bytes(d_model, u);
	return u->n_logits * logit_row_bytes(u->top);
}

uint32_t work_room_pages(uint32_t kv_tokens, uint32_t max_sessions)
{
	uint64_t pages = (uint64_t)kv_pages(kv_tokens) * max_sessions;

	return pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX;
}

uint64_t work_room_bytes(const struct model_sizes *m, enum kv_type type, uint32_t n_layers,
    uint32_t kv_tokens, uint32_t max_sessions)
{
	uint64_t bytes = kv_bytes_per_token(m, type, n_layers) * KV_PAGE_TOKENS;

	if (__builtin_mul_overflow(bytes, kv_pages(kv_tokens), &bytes) ||
	    __builtin_mul_overflow(bytes, max_sessions, &bytes))
		return UINT64_MAX;
	return bytes;
}
