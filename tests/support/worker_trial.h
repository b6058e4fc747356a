/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker processes (node/donor/worker_link.h) in tests. The program that a link starts is the test
 * program itself, so its main() begins with
 *
 *     if (argc > 1 && strcmp(argv[1], "worker") == 0)
 *             return trial_worker_main(argc, argv);
 *
 * A test fails inside these functions where something is wrong. Sessions get the same tokens at the
 * same positions each time.
 */
#ifndef AYNI_TESTS_SUPPORT_WORKER_TRIAL_H
#define AYNI_TESTS_SUPPORT_WORKER_TRIAL_H

#include <sys/types.h>

#include "compute/gguf.h"
#include "node/donor/worker_link.h"
#include "tests/support/tiny_model.h"

/* The model, what is agreed with the worker, and logits in a row. */
enum {
	LAYERS = 3,
	D = 64,
	V = TINY_MODEL_VOCABULARY,
	KV_TOKENS = 64,
	SESSIONS = 4,
	TOP = 5,
	MAX_TOKENS = 64 /* in a unit here */
};

extern const struct worker_options trial_ordinary; /* one thread, the best kernels */
extern int trial_image_fd;                         /* of a tiny model, for all tests */
extern struct gguf *trial_image;                   /* the same */

/* Group set-up and tear-down. */
int trial_open_image(void **state);
int trial_close_image(void **state);

struct trial_call {
	int fd;
	unsigned threads;
	const char *kernels;
};
void trial_worker_options(int argc, char **argv, struct trial_call *out);
int trial_worker_main(int argc, char **argv); /* an honest worker */

struct worker_link *trial_start(const struct worker_options *o);
struct worker_event trial_event(struct worker_link *l); /* waits for it */
void trial_load(struct worker_link *l, int fd, uint32_t first, uint32_t last);
struct worker_link *trial_loaded(const struct worker_options *o, uint32_t first, uint32_t last);
pid_t trial_pid(void); /* the process of the only link that is open */

struct trial_unit {
	struct msg_work_unit u;
	struct unit_span spans[SESSIONS + 1];
	uint64_t closed[SESSIONS];
	uint32_t tokens[MAX_TOKENS];
	uint8_t payload[MAX_TOKENS * D * 4];
	size_t payload_len;
};

void trial_begin(struct trial_unit *unit, uint32_t first, uint32_t last);
/* n tokens of a session; rows of logits for the last n_logits. */
void trial_add(
    struct trial_unit *unit, uint64_t session, uint32_t position, uint32_t n, uint32_t n_logits);
void trial_send(struct worker_link *l, const struct trial_unit *unit);
struct worker_event trial_run(struct worker_link *l, const struct trial_unit *unit);
/* One session's tokens through the whole model. */
struct worker_event trial_run_one(
    struct worker_link *l, uint64_t session, uint32_t position, uint32_t n);
void trial_assert_ran(struct worker_event e);
void trial_assert_failed(struct worker_event e, enum ayni_error code); /* with words */

#endif
