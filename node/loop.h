/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process: descriptors, timers, signals (epoll, signalfd). The only place where
 * a daemon waits, and where it reads the clocks that its state machines are told.
 *
 * One thread. Callbacks run in it, one at a time, and may add or remove anything, themselves too.
 */
#ifndef AYNI_NODE_LOOP_H
#define AYNI_NODE_LOOP_H

#include "protocol/base.h"

struct loop;

typedef void loop_fn(void *context);
/* Returns true if there is more to do at once, so that the loop does not wait. */
typedef bool loop_prepare_fn(void *context);
typedef void loop_signal_fn(void *context, int signal_number);

int loop_new(struct loop **out, struct error *err);
void loop_free(struct loop *l);

/* Call fn whenever fd is readable. A descriptor has one callback. */
int loop_watch(struct loop *l, int fd, loop_fn *fn, void *context, struct error *err);
void loop_unwatch(struct loop *l, int fd);
/* Before each wait. For sockets whose descriptor is edge-triggered (protocol/transport.h). */
int loop_prepare(struct loop *l, loop_prepare_fn *fn, void *context, struct error *err);

/* A one-shot timer, named by fn and context: set again it moves, at 0 it is taken away. */
int loop_timer(struct loop *l, uint64_t at_us, loop_fn *fn, void *context, struct error *err);

/* Take these signals (0-terminated list) out of the process's normal handling and report them. */
int loop_signals(
    struct loop *l, const int *signals, loop_signal_fn *fn, void *context, struct error *err);

int loop_run(struct loop *l, struct error *err); /* until loop_stop */
void loop_stop(struct loop *l);

uint64_t loop_now_us(void);  /* monotonic */
uint64_t loop_wall_ms(void); /* Unix time */

#endif
