/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crowd of requests before a pool: its scheduler with a small model whose sessions may be long,
 * and one made-up donor. For tests and benches of what many waiting requests cost. Failures of the
 * set-up fail the test that asked for it (cmocka).
 */
#ifndef AYNI_TESTS_SUPPORT_CROWD_H
#define AYNI_TESTS_SUPPORT_CROWD_H

#include "node/pool/scheduler_internal.h"
#include "tests/support/fake_donor.h"
#include "tests/support/scratch.h"

enum { CROWD_KV_TOKENS = 8192, CROWD_PROMPT = 16 };

struct crowd {
	struct scratch folder;
	struct identity *publisher;
	struct catalog *catalog;
	struct roster *roster;
	struct scheduler *scheduler;
	struct fake_donor donor;
	uint64_t now_us, submitted;
	size_t ended[FINISH_FAILED + 1]; /* requests, by the reason */
};

/* Nobody holds the model's layers yet. */
void crowd_open(struct crowd *c, uint32_t max_sessions, uint32_t max_waiting);
void crowd_close(struct crowd *c);
/* The donor is ready with all layers, and room for so many of the crowd's requests. */
void crowd_donor(struct crowd *c, uint32_t n_sessions);
/* One more request, of CROWD_PROMPT tokens and one to come. */
int crowd_submit(struct crowd *c, struct error *err);
/* scheduler_run, a millisecond later. What it sends is computed, or nobody answers. */
void crowd_run(struct crowd *c, bool answered);
/* Until every request has ended. */
void crowd_serve(struct crowd *c);
/* Their member goes. */
void crowd_give_up(struct crowd *c);
size_t crowd_heap_bytes(void); /* what this process has allocated */

#endif
