/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A donor in a test, with a cache, a ledger and a model that its pool has published. It is not
 * joined, so that what it would send goes nowhere; a test fails inside these functions where
 * something is wrong. Its workers are the test program itself: worker_trial.h.
 */
#ifndef AYNI_TESTS_SUPPORT_DONOR_TRIAL_H
#define AYNI_TESTS_SUPPORT_DONOR_TRIAL_H

#include "node/donor/donor_internal.h"
#include "tests/support/scratch.h"
#include "tests/support/worker_trial.h"

enum { CHUNK = 1000, MODEL_CONTEXT = 512 };

struct donor_trial {
	struct donor d;
	struct donor_config config;
	struct scratch scratch;
	struct identity *pool;
	uint8_t *file, *manifest;
	size_t file_len, manifest_len;
	struct hash model;
	uint64_t units; /* made so far */
};

/* The model in chunks, signed by the pool, under the name of its hash. */
void donor_trial_publish(struct donor_trial *f, const struct tiny_model_options *options);
int donor_trial_set_up(void **state);
int donor_trial_tear_down(void **state);
struct msg_assignment donor_trial_assignment(const struct donor_trial *f, uint64_t number);
void donor_trial_assign(struct donor_trial *f, uint64_t number);
void donor_trial_send_manifest(struct donor_trial *f);
struct msg_blob donor_trial_chunk(const struct donor_trial *f, size_t i, struct span *content);
/* All chunks in [first, last), asked for or not. */
void donor_trial_send_chunks(struct donor_trial *f, size_t first, size_t last);
/* The worker's next word reaches the donor. */
void donor_trial_hear_worker(struct donor_trial *f);
void donor_trial_fetch_until(struct donor_trial *f, enum holding_state wanted);
void donor_trial_make_ready(struct donor_trial *f, uint64_t number);
/* One token of a session, as the loop would hand it over. */
bool donor_trial_take_unit(
    struct donor_trial *f, uint64_t assignment, uint64_t session, uint32_t position);
/* Through the first layers alone, `last` not among them. */
bool donor_trial_take_part(
    struct donor_trial *f, uint64_t assignment, uint64_t session, uint32_t position, uint32_t last);
/* One that waits for what this donor hands over with this ticket. */
bool donor_trial_take_unit_without_input(struct donor_trial *f, uint64_t session, uint32_t position,
    const struct public_key *from, uint64_t ticket);
/* One whose token the donor hands over to itself. */
bool donor_trial_take_unit_for_itself(
    struct donor_trial *f, uint64_t session, uint32_t position, uint64_t ticket);

#endif
