/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This program again, as a child process that gets no descriptor of ours but the standard three and
 * one more, and no blocked signals: a donor's worker, a pool's HTTP server. The thread that starts
 * it is the one whose end it may follow.
 */
#ifndef AYNI_NODE_CHILD_H
#define AYNI_NODE_CHILD_H

#include <sys/types.h>

#include "protocol/base.h"

struct child_options {
	const char *program; /* NULL: this very one */
	char *const *argv;   /* ended by NULL */
	int keep_fd;         /* keeps its number; -1: none */
	int death_signal;    /* that it gets when we end; 0: none */
};

/* AYNI_ERR_IO. Whoever starts it waits for it. */
int child_start(const struct child_options *o, pid_t *out, struct error *err);

#endif
