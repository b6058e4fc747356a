/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What daemon and worker say to each other: fixed structs over the socket pair, and one shared
 * mapping with the unit on its way in and the result on its way out. Both are the same program, so
 * the structs' layout is the same; the daemon checks every field of an answer all the same.
 */
#ifndef AYNI_NODE_DONOR_WORKER_WIRE_H
#define AYNI_NODE_DONOR_WORKER_WIRE_H

#include "protocol/message_types.h"

enum { WORKER_CLOSED_MAX = 1024 };

/* The mapping. It is sparse: only what is used takes memory. */
struct worker_shared {
	struct unit_span spans[LIMIT_UNIT_SPANS];
	uint64_t closed[WORKER_CLOSED_MAX];
	struct hash layers[LIMIT_LAYER_HASHES]; /* of the result: work_layer_hashes of the unit */
	uint8_t in[LIMIT_PAYLOAD_BYTES];
	uint8_t out[LIMIT_PAYLOAD_BYTES];
};

enum worker_command_kind { WORKER_MAP = 1, WORKER_LOAD, WORKER_LOAD_NEXT, WORKER_RUN };

/* MAP comes with the mapping's descriptor, LOAD with the image's, whose first layer it loads;
 * LOAD_NEXT loads one more. */
struct worker_command {
	uint32_t kind;
	uint32_t layer_first, layer_last;          /* LOAD; RUN: some of those that are loaded */
	uint32_t kv_tokens, max_sessions, kv_type; /* LOAD */
	uint32_t forget;                           /* RUN: all sessions first */
	uint32_t n_spans, n_tokens, n_logits, n_closed, top; /* RUN */
	uint64_t unit;
};

struct worker_answer {
	uint32_t kind;                            /* of the command */
	int32_t code;                             /* enum ayni_error */
	uint32_t d_model, n_vocabulary, n_layers; /* LOAD */
	uint64_t unit, result_bytes, compute_us;  /* RUN */
	char text[ERROR_TEXT_BYTES];
};

#endif
