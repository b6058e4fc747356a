/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows a pool's log: each checkpoint that it shows must continue the one seen before. What was
 * seen is kept in a file, the signed texts themselves, so that a pool that contradicts itself has
 * proven it with its own signatures.
 *
 * Of each new checkpoint is checked: the pool's signature; that the log's tiles give its root; that
 * its tree begins with the tree of the last one (RFC 9162, section 2.1.4); and that each new
 * receipt is there, is the one of the tree, and has the number of its place. One thread.
 */
#ifndef AYNI_NODE_CLI_LOG_WATCH_H
#define AYNI_NODE_CLI_LOG_WATCH_H

#include "node/log_reader.h"

enum { LOG_STATE_BYTES_MAX = 16 << 20, LOG_STATE_KEPT = 4096 };

struct log_state; /* what was seen of one log */

enum log_verdict {
	LOG_FIRST, /* nothing was seen before: this is what later ones are compared with */
	LOG_SAME,
	LOG_GREW,
	LOG_ALARM /* it contradicts itself, went back, or lacks a receipt */
};

struct log_watch_report {
	enum log_verdict verdict;
	uint64_t before, now; /* receipts */
	char text[256];       /* of an alarm: what is wrong */
};

/* AYNI_ERR_FORMAT if the file is damaged; one that is not there is an empty state. */
int log_state_open(const char *path, struct log_state **out, struct error *err);
void log_state_free(struct log_state *s);
/* Of these logs was seen something. */
const struct public_key *log_state_pool(const struct log_state *s); /* NULL: none yet */

/*
 * Read the log's checkpoint, compare, and write down what was seen, durably, before this returns;
 * *head (log_head_free) is what the log says now. An error: it could not be read, nothing is known.
 * After an alarm the state stays what it was, and the contradicting checkpoint is in <path>.alarm
 * with the last one before.
 */
int log_watch(struct log_state *s, struct log_reader *r, const struct public_key *pool,
    struct log_head *head, struct log_watch_report *out, struct error *err);

#endif
