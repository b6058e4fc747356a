/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool says of itself to members: the part of message_types.h that is about its state. */
#ifndef AYNI_PROTOCOL_STATUS_TYPES_H
#define AYNI_PROTOCOL_STATUS_TYPES_H

#include "protocol/message_types.h"

struct status_stage {
	struct layer_range layers;
	struct public_key donor;
	char donor_name[TEXT_SHORT];
	uint64_t token_us, round_trip_us;
	uint32_t replicas;
	bool direct;
};
struct status_model {
	char name[LIMIT_NAME_BYTES];
	struct hash model;
	uint32_t n_layers;
	size_t n_missing;
	struct layer_range *missing;
	uint32_t sessions, waiting;
	size_t n_stages;
	struct status_stage *path;
	char limit[TEXT_LONG];
	uint64_t tokens; /* drawn since the pool started */
};
struct status_donor {
	struct public_key donor;
	char name[TEXT_SHORT];
	char state[TEXT_SHORT];
	uint32_t layer_first, layer_last;
	uint64_t units;
	struct flop cost;
	uint64_t round_trip_us, flop_per_s;
	struct refusal_counts refused_by_donor, refused_by_pool;
	char role[TEXT_SHORT], note[TEXT_SHORT];
	uint64_t link_bytes_per_s; /* 0: not measured */
	char trust[TEXT_SHORT];    /* "": results are not checked here */
	uint64_t verified_units, lies;
	uint32_t model; /* 1: the first of the status; 0: none */
};
struct msg_status {
	char pool_name[TEXT_SHORT];
	uint64_t uptime_ms;
	size_t n_models;
	struct status_model *models;
	size_t n_donors;
	struct status_donor *donors;
	struct refusal_counts refusals;
	uint64_t receipts, requests_done;
	uint64_t checks_right, checks_wrong, checks_missed, checks_by_donors;
};

#endif
