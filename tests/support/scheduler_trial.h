/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler by itself, with a made-up model of four layers and donors that compute it: what
 * tests of its files share. One at a time. Whatever goes wrong fails the test that is running.
 */
#ifndef AYNI_TESTS_SUPPORT_SCHEDULER_TRIAL_H
#define AYNI_TESTS_SUPPORT_SCHEDULER_TRIAL_H

#include "node/pool/scheduler_internal.h"
#include "tests/support/fake_donor.h"

enum { KV_TOKENS = 40, MAX_DONORS = 6, TIMEOUT_US = 1000, WAIT_US = 5000, PEER = 3 };

struct scheduler_trial {
	const struct catalog_model *model;
	struct roster *roster;
	struct scheduler *scheduler;
	struct actions actions;
	struct error err;
	struct fake_donor fakes[MAX_DONORS];
};

extern struct scheduler_trial play;

int scheduler_trial_set_up_model(void **state); /* of a group of tests */
int scheduler_trial_tear_down_model(void **state);
int scheduler_trial_set_up(void **state); /* of each test */
int scheduler_trial_tear_down(void **state);

/* A donor that is ready; slots are given in order. */
int play_ready(uint32_t first, uint32_t last, uint32_t pages);
/* A request; sessions are numbered from 1. */
int play_submit(uint32_t n_prompt, uint32_t max_tokens);
void play_run(uint64_t now_us);
/* The actions that came since they were cleared. */
const struct action *play_nth(enum action_kind kind, size_t n); /* NULL: not so many */
size_t play_count(enum action_kind kind);
void play_clear(void);

/* A unit taken out of the queue, so that the next actions can be seen. */
struct taken {
	int donor;
	struct msg_work_unit unit;
	uint8_t *payload;
};

struct taken play_take(size_t n);
void play_drop(struct taken *t);
/* The donor computes it and the scheduler gets the result, its cost changed by `lie`. */
enum refusal play_answer(struct taken *t, uint64_t lie);
void play_give_up(struct taken *t, enum refusal reason);

#endif
