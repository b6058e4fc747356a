/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as checked plain structs, one for each in ayni.proto, which documents the fields. Arrays
 * and strings are owned by the struct message that holds them, and bounded as ayni.proto says.
 */
#ifndef AYNI_PROTOCOL_MESSAGE_TYPES_H
#define AYNI_PROTOCOL_MESSAGE_TYPES_H

#include "protocol/logprob_types.h"

enum { TEXT_SHORT = 65, TEXT_LONG = 256, INVITE_TOKEN_MAX = 16, ADDRESS_BYTES = 65 };
enum {
	LIMIT_TOOL_FORMATS = 5,       /* ways in which models say that they call a tool */
	LIMIT_TOOLS_BYTES = 256 << 10 /* JSON of a request's tools, or of a turn's calls */
};
enum { BLOB_REQUEST_MAX = 16, RECEIPT_BYTES_MAX = 512 };

/* Why a message or unit was not accepted. On the wire and in counters: never renumber. */
enum refusal {
	REFUSAL_NONE = 0,
	REFUSAL_SHAPE,     /* not three frames, wrong envelope, bad header */
	REFUSAL_VERSION,   /* protocol version not spoken here */
	REFUSAL_TYPE,      /* message type unknown, or not allowed from this peer now */
	REFUSAL_SIZE,      /* a frame past its limit */
	REFUSAL_RECIPIENT, /* meant for another key */
	REFUSAL_SIGNER,    /* signed by another key than the connection's */
	REFUSAL_REPLAY,    /* sequence or unit number seen before */
	REFUSAL_EXPIRED,
	REFUSAL_SIGNATURE,  /* does not match: altered or unsigned */
	REFUSAL_PAYLOAD,    /* hash of the payload differs */
	REFUSAL_BOUNDS,     /* a field outside its range */
	REFUSAL_INVITE,     /* no valid invite, and not known here */
	REFUSAL_ASSIGNMENT, /* work that was not assigned */
	REFUSAL_SESSION,    /* positions that do not continue the session: replay it */
	REFUSAL_MEMORY,     /* no room for another session or model */
	REFUSAL_NUMERIC,    /* the computation is not finite, or is not the model's */
	REFUSAL_BUSY,       /* queues are full */
	REFUSAL_LEAVING,
	REFUSAL_INTERNAL, /* the worker died */
	REFUSAL_END
};

struct refusal_counts {
	uint64_t by_reason[REFUSAL_END];
};

enum peer_role { ROLE_DONOR = 1, ROLE_MEMBER = 2 };

struct msg_hello {
	enum peer_role role;
	bool has_invite;
	uint8_t invite[INVITE_TOKEN_MAX];
	char name[TEXT_SHORT];
	char software[TEXT_SHORT];
	char team[TEXT_SHORT]; /* a donor's; "": none */
};
struct msg_welcome {
	char pool_name[TEXT_SHORT];
	uint64_t pool_time_ms;
	uint32_t heartbeat_ms;
};
struct msg_refusal {
	enum refusal reason;
	char text[TEXT_LONG];
};
struct msg_heartbeat {
	uint64_t echo_us;
	struct refusal_counts refusals;
	uint64_t units_done;
};
struct msg_assignment {
	uint64_t assignment;
	struct hash model;
	uint32_t layer_first, layer_last, kv_tokens, max_sessions;
	uint32_t kv_type; /* enum kv_type of compute/kernels/kernels.h */
};
struct offer_speed {
	uint32_t type; /* enum tensor_type of compute/quant.h */
	uint64_t read_bytes_per_s, flop_per_s;
};
struct msg_offer {
	uint32_t cores;
	uint64_t memory_bytes, disk_bytes, flop_per_s, read_bytes_per_s;
	char kernels[33];
	uint32_t max_layers;
	bool holds;
	struct msg_assignment held;  /* if it holds layers of an earlier connection */
	char address[ADDRESS_BYTES]; /* "": other donors cannot reach it */
	size_t n_speeds;
	struct offer_speed speeds[LIMIT_SPEEDS]; /* ascending by type */
};
struct msg_unassign {
	uint64_t assignment;
};
enum assignment_progress {
	PROGRESS_FETCHING = 1,
	PROGRESS_LOADING,
	PROGRESS_READY,
	PROGRESS_FAILED
};
struct msg_assignment_state {
	uint64_t assignment;
	enum assignment_progress state;
	uint64_t done_bytes, total_bytes;
	char text[TEXT_LONG];
	uint32_t layers_ready; /* from the first on */
};
struct msg_blob_request {
	size_t n_hashes;
	struct hash hashes[BLOB_REQUEST_MAX];
};
struct msg_blob {
	struct hash hash;
	bool found;
};
struct unit_span {
	uint64_t session;
	uint32_t position, n_tokens, n_logits;
	uint32_t wire; /* enum wire_type */
	uint64_t from; /* not 0: begin anew with the first positions of this session */
};
struct sampling { /* as compute/sampler.h, which this room does not know */
	float temperature, top_p, min_p, repeat_penalty;
	float frequency_penalty, presence_penalty;
	uint32_t top_k, repeat_last_n;
	uint64_t seed;
};
struct transfer {
	uint64_t ticket; /* 0: none */
	struct public_key donor;
};
struct msg_work_unit {
	uint64_t unit, assignment;
	struct hash model;
	uint32_t layer_first, layer_last;
	size_t n_spans;
	struct unit_span *spans;
	uint32_t n_tokens; /* sum over spans; derived */
	uint32_t n_logits; /* likewise */
	uint32_t top;
	struct hash payload_hash;
	size_t n_closed;
	uint64_t *closed;
	struct transfer input, next;
	bool draws; /* the token drawn so goes to the next, instead of the result */
	struct sampling draw;
};
struct msg_withdraw {
	uint64_t unit;
};
struct msg_handover {
	uint64_t ticket;
	struct hash payload_hash;
};
struct msg_link {
	struct public_key donor;
	char address[ADDRESS_BYTES];
};
struct msg_link_state {
	struct public_key donor;
	bool up;
	uint64_t round_trip_us;
};
struct msg_result {
	uint64_t unit;
	struct hash payload_hash;
	struct flop cost;
	uint64_t compute_us;
	bool has_input, handed;
	struct hash input_hash, handed_hash; /* if so */
	size_t n_parts;                      /* 0: the whole is one, or empty */
	struct hash *parts;
	size_t n_layer_hashes; /* [layers but the last][parts of the activations] */
	struct hash *layer_hashes;
	size_t n_chains; /* spans */
	struct hash *chains;
	struct span envelope, header; /* as they came, borrowed: what its donor signed */
};
struct msg_unit_failed {
	uint64_t unit;
	enum refusal reason;
	char text[TEXT_LONG];
};
struct msg_leave {
	uint32_t units_left;
};

struct signed_receipt {
	uint8_t receipt[RECEIPT_BYTES_MAX]; /* encoded; receipt.h reads it */
	size_t receipt_len;
	struct signature pool_signature;
	bool countersigned;
	struct signature donor_signature;
};
struct msg_receipt_ack {
	uint64_t number;
	struct signature donor_signature;
};

struct turn {
	char *role; /* all NUL-terminated UTF-8 */
	char *content;
	char *tool_calls; /* JSON; this and the next: NULL or "" if there are none */
	char *tool_call_id, *name;
};
struct msg_generate {
	uint64_t request;
	char model[LIMIT_NAME_BYTES];
	size_t n_turns; /* exactly one of turns, prompt, tokens is there */
	struct turn *turns;
	char *prompt; /* or NULL */
	size_t n_tokens;
	uint32_t *tokens;
	size_t n_drawn;
	uint32_t *drawn; /* the answer so far, if it broke off */
	struct sampling sampling;
	uint32_t max_tokens, top;
	bool ignore_end;
	uint32_t wire;     /* enum wire_type */
	uint32_t logprobs; /* 1 + alternatives; 0: none are told */
	char *tools;       /* JSON, or NULL */
};
struct msg_piece {
	uint64_t request;
	struct bytes text;
	struct bytes reasoning;
	size_t n_tokens;
	uint32_t *tokens;
	size_t n_logprobs;
	struct token_logprob *logprobs;
	uint32_t tool_format; /* enum tool_format; of an answer that may call tools */
	uint32_t rows;
	struct hash payload_hash;
	char notice[TEXT_LONG]; /* for people: why the answer waits, or "" */
	struct pseudonym session;
};
enum finish_reason {
	FINISH_END = 1,
	FINISH_LENGTH,
	FINISH_CONTEXT,
	FINISH_CANCELLED,
	FINISH_FAILED
};
enum finish_failure {
	FAILURE_OTHER,
	FAILURE_BUSY,   /* no room now: later, perhaps */
	FAILURE_MODEL,  /* no such model */
	FAILURE_REQUEST /* it cannot be answered as it is */
};
struct share {
	struct public_key donor;
	char donor_name[TEXT_SHORT];
	uint32_t layer_first, layer_last;
	uint64_t units;
};
/* Whether what donors gave for an answer was computed once more, and what came of it. */
enum verification { VERIFICATION_NONE, VERIFICATION_RIGHT, VERIFICATION_WRONG };
struct msg_finished {
	uint64_t request;
	enum finish_reason reason;
	enum finish_failure failure; /* FINISH_FAILED: of what kind */
	char text[TEXT_LONG];
	uint32_t prompt_tokens, answer_tokens;
	uint64_t prefill_us, decode_us;
	uint32_t reused_tokens; /* whose keys and values were there, of a text that began alike */
	enum verification verification;
	uint64_t guessed, guessed_right; /* tokens fed unasked; of these, those that were drawn */
	struct pseudonym session;
	size_t n_shares;
	struct share *shares;
};
struct msg_doubt {
	uint64_t request;
	struct pseudonym session;
	struct public_key donor;
	char donor_name[TEXT_SHORT];
	char reason[TEXT_LONG];
};
struct msg_cancel {
	uint64_t request;
};

struct layer_range {
	uint32_t first, last;
};
struct msg_receipts_query {
	uint64_t after;
	uint32_t limit;
	struct pseudonym session; /* set: of this one alone */
};
struct donor_name {
	struct public_key donor;
	char name[TEXT_SHORT], team[TEXT_SHORT];
};
struct msg_receipts {
	size_t n_receipts;
	struct signed_receipt *receipts;
	size_t n_names;
	struct donor_name *names;
};

#endif
