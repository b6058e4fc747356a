/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pool and donor must agree on about a work unit: its published cost, how many bytes its
 * result has, and how a token is drawn of it; and about a donor's room for keys and values. Pure
 * functions.
 */
#ifndef AYNI_NODE_WORK_H
#define AYNI_NODE_WORK_H

#include "compute/kv.h"
#include "compute/model.h"
#include "compute/sampler.h"
#include "compute/wire.h"
#include "protocol/message_types.h"

/* A row of logits in a payload: lse, then `top` pairs of id and logit. */
size_t logit_row_bytes(uint32_t top);
/* The first n pairs of a row. */
void logit_row_read(const uint8_t *row, uint32_t n, struct logit *out, float *lse);

/* A whole row. */
void logit_row_write(uint8_t *row, const struct logit *in, uint32_t n, float lse);

/* How a token is drawn, as the sampler has it and as messages do. */
struct sampler_settings work_settings(const struct sampling *s);
struct sampling work_sampling(const struct sampler_settings *s);

/* The token of a unit that draws, of its one row: by its position, without the history. */
uint32_t work_draw(const struct msg_work_unit *u, const uint8_t *row);

/* The published cost of all spans (compute/cost.h). AYNI_ERR_LIMIT if it does not fit. */
int work_cost(const struct model_sizes *m, const struct msg_work_unit *u, struct flop *out);
/* Of one of them. */
int work_span_cost(const struct model_sizes *m, const struct msg_work_unit *u,
    const struct unit_span *s, struct flop *out);
/* Activations of all spans, each in its wire type. */
size_t work_activation_bytes(uint32_t d_model, const struct msg_work_unit *u);
/*
 * The parts of an input or a result, which donors stand for one by one (Result in ayni.proto): the
 * rows of one span within one page of WORK_PART_TOKENS positions, activations or, with `logits`,
 * rows of logits. So two sessions that begin alike have the same parts up to the page in which they
 * differ. Returns their number.
 */
enum { WORK_PART_TOKENS = KV_PAGE_TOKENS, WORK_PARTS_MAX = LIMIT_UNIT_TOKENS };
struct work_part {
	uint32_t span;     /* index */
	uint32_t position; /* of its first row */
	uint32_t n_rows;   /* at least 1 */
	uint32_t row;      /* its first, of the payload's */
	size_t offset;     /* its first byte, of the payload */
	size_t bytes;
};
size_t work_parts(uint32_t d_model, const struct msg_work_unit *u, bool logits,
    struct work_part out[WORK_PARTS_MAX]);
/*
 * Hash them: *whole is what the hash of an input or a result handed over is. Returns how many of
 * out are to be sent with a result, 0 where there is but one part: then *whole is its hash.
 */
size_t work_commit(uint32_t d_model, const struct msg_work_unit *u, bool logits,
    const uint8_t *payload, struct hash out[WORK_PARTS_MAX], struct hash *whole);
/* The same of what the unit takes as its input; *whole is the payload's own hash before. */
void work_commit_input(
    uint32_t d_model, const struct msg_work_unit *u, const uint8_t *payload, struct hash *whole);
/*
 * Spans of a session that continue each other, so that they may go through layers together: up to
 * most_tokens, and rows of logits for WORK_RUN_ROWS, unless one span has more of either.
 */
enum { WORK_RUN_TOKENS = 128, WORK_RUN_ROWS = 32 };
struct work_run {
	uint32_t n; /* spans; 0: none yet */
	uint32_t position, n_tokens;
	uint32_t n_rows; /* of logits, of the last tokens */
};
/* False: the span does not go with those that are there. */
bool work_run_add(struct work_run *r, uint32_t position, uint32_t n_tokens, uint32_t n_logits,
    uint32_t most_tokens);

/* Of more than one part. */
void work_whole(const struct hash *parts, size_t n, struct hash *whole);

/* Parts of the activations, and hashes of them after all layers of the unit but its last: in order
 * of the layers, each of all parts. */
size_t work_n_parts(const struct msg_work_unit *u);
size_t work_layer_hashes(const struct msg_work_unit *u);

/* Activations of every token, or at the model's last layer the rows of logits asked for. */
size_t work_result_bytes(uint32_t n_layers, uint32_t d_model, const struct msg_work_unit *u);

/*
 * Keys and values that a donor agrees to hold: those of max_sessions that fill their contexts, or
 * of more that are shorter. In pages (compute/kv.h) of all its layers, each session's counted
 * apart.
 */
uint32_t work_room_pages(uint32_t kv_tokens, uint32_t max_sessions);
/* Their bytes; UINT64_MAX if that is past counting. */
uint64_t work_room_bytes(const struct model_sizes *m, enum kv_type type, uint32_t n_layers,
    uint32_t kv_tokens, uint32_t max_sessions);

#endif
