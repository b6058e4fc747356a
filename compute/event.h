/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A number that threads wait for to change: what compute/team.c meets at.
 *
 * A waiting thread spins for a moment and then sleeps. How long is learned by each thread: waits
 * that end soon let it spin longer, up to what a sleep costs, and those that do not let it sleep
 * almost at once (after Karlin et al., "Empirical studies of competitive spinning", 1991). So work
 * that follows work costs no sleep, and on a machine with other work to do nothing is burnt.
 *
 * Any thread may call any function. A change happens before the end of a wait that sees it.
 */
#ifndef AYNI_COMPUTE_EVENT_H
#define AYNI_COMPUTE_EVENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "protocol/base.h"

struct event {
	atomic_uint value;
	atomic_uint n_sleepers;
	_Atomic uint64_t changed_ns; /* when value last changed, about */
	pthread_mutex_t lock;        /* guards falling asleep */
	pthread_cond_t changed;
};

/* How a thread waits; its own. */
struct patience {
	uint64_t spin_ns;
};

void event_init(struct event *e); /* value 0 */
void event_destroy(struct event *e);
void patience_init(struct patience *p);

/* Add, modulo 2^32; returns the sum. Sleepers sleep on until event_wake. */
unsigned event_add(struct event *e, unsigned amount);
/* Wake whoever sleeps; cheap if nobody does. */
void event_wake(struct event *e);
/* Wait while the value is `old`; returns the new one. */
unsigned event_await(struct event *e, unsigned old, struct patience *p);

#endif
