/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides whether a work unit is computed, before anything is: cheapest check first. The message
 * itself (signature, sender, freshness) was checked when it was opened; here: a number never seen,
 * work that was assigned, spans and payload of the right size, sessions that continue what is held
 * in the same layers and that there is memory for, and room in the queue.
 *
 * A plain state machine: units are admitted in the order in which they will run, so the positions
 * that sessions will have reached are known without asking the worker. One thread.
 */
#ifndef AYNI_NODE_DONOR_INTAKE_H
#define AYNI_NODE_DONOR_INTAKE_H

#include "protocol/message_types.h"

struct intake;

enum { INTAKE_MAX_QUEUE = 64 };

/* What the pool assigned and the worker has loaded. */
struct intake_assignment {
	uint64_t number;
	struct hash model;
	struct layer_range layers; /* that are ready: units may name any of them that join */
	uint32_t n_layers, d_model, n_vocabulary;
	uint32_t kv_tokens, max_sessions;
};

int intake_new(struct intake **out, struct error *err);
void intake_free(struct intake *i);

void intake_assign(struct intake *i, const struct intake_assignment *a); /* forgets all sessions */
void intake_extend(struct intake *i, uint32_t layer_last); /* more of them are ready */
void intake_unassign(struct intake *i);
void intake_leave(struct intake *i); /* no unit is admitted any more */

/* REFUSAL_NONE: admitted, and counted as queued. Else *why has the words. */
enum refusal intake_admit(
    struct intake *i, const struct msg_work_unit *u, struct span payload, struct error *why);
/* How many bytes the input of an admitted unit has, where it is handed over later. */
size_t intake_input_bytes(const struct intake *i, const struct msg_work_unit *u);
/* The unit ran, or will not. If it failed, what its sessions hold is unknown: they are forgotten.
 */
void intake_done(struct intake *i, const struct msg_work_unit *u, bool failed);

uint32_t intake_queued(const struct intake *i);
uint32_t intake_sessions(const struct intake *i);

#endif
