/* SPDX-License-Identifier: Apache-2.0 */
/* An intake in a test, and units for it with room for all that a test may put in. */
#ifndef AYNI_TESTS_SUPPORT_INTAKE_TRIAL_H
#define AYNI_TESTS_SUPPORT_INTAKE_TRIAL_H

#include "node/donor/intake.h"

enum {
	NUMBER = 5, /* of the assignment */
	LAYERS = 8,
	WIDTH = 64,
	VOCABULARY = 1000,
	CONTEXT = 128,
	SESSIONS = 4, /* short ones, of a page each */
	MAX_CLOSED = 16
};

struct intake_trial {
	struct intake *intake;
	uint64_t last_unit; /* number of the last unit made */
};

/* A unit with room for all that a test may put in. */
struct intake_unit {
	struct msg_work_unit u;
	struct unit_span spans[LIMIT_UNIT_SPANS];
	uint64_t closed[MAX_CLOSED];
	size_t payload_bytes;
};

extern const struct intake_assignment intake_whole; /* the set-up assigns it */

struct intake_assignment intake_trial_part(uint32_t first, uint32_t last);
int intake_trial_set_up(void **state);
int intake_trial_tear_down(void **state);
/* The next unit by number, without sessions. */
struct intake_unit *intake_trial_begin(
    struct intake_trial *f, struct intake_unit *unit, const struct intake_assignment *a);
void intake_trial_add(
    struct intake_unit *unit, uint64_t session, uint32_t position, uint32_t n_tokens);
void intake_trial_close(struct intake_unit *unit, uint64_t session);
void intake_trial_assert_admitted(struct intake_trial *f, const struct intake_unit *unit);
/* Refused for this reason, with words, and as if it had not come. */
void intake_trial_assert_refused(
    struct intake_trial *f, const struct intake_unit *unit, enum refusal reason, const char *words);
/* One session's tokens in a unit of their own, which is not done yet. */
struct intake_unit *intake_trial_one(struct intake_trial *f, struct intake_unit *unit,
    uint64_t session, uint32_t position, uint32_t n_tokens);
void intake_trial_run(
    struct intake_trial *f, uint64_t session, uint32_t position, uint32_t n_tokens);

#endif
