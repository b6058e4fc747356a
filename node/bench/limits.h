/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine can do at best, measured, and how fast a piece of work could be at most by
 * that: the time its bytes take to come from memory, or its multiply-adds take the processor,
 * whichever is longer (S. Williams et al., "Roofline", 2009).
 *
 * A machine is not the same from one moment to the next, least of all a rented one. So a yardstick
 * is laid on between the very rounds of what is measured, and the best of both are compared.
 */
#ifndef AYNI_NODE_BENCH_LIMITS_H
#define AYNI_NODE_BENCH_LIMITS_H

#include "compute/kernels/kernels.h"
#include "compute/team.h"

/* By all threads of a team together; 0: not measured. */
struct limits {
	double read_bytes_s;    /* from memory */
	double multiply_adds_s; /* of the table's integer dot product, on data at hand */
};

/* Keep the better of each. */
void limits_improve(struct limits *limits, const struct limits *others);

struct yardstick;

/* Takes half a GiB of memory. Kernels and team are borrowed. */
int yardstick_new(
    const struct kernels *k, struct team *team, struct yardstick **out, struct error *err);
void yardstick_free(struct yardstick *y);
/* One round of each, some 50 ms together; *limits is improved. */
void yardstick_measure(struct yardstick *y, struct limits *limits);

/* Seconds that a team takes to get so many bytes of new memory from the system, in large pages, and
 * to touch them; a virtual machine may have to get them itself first. 0 if there are none. */
double new_memory_seconds(struct team *team, uint64_t bytes);

/* What a piece of work needs. */
struct demand {
	double weight_bytes; /* of weights read from memory */
	double kv_bytes;     /* of keys and values read */
	double multiply_adds;
};

struct bound {
	double seconds; /* the work cannot take less */
	bool by_memory; /* else by the processor */
};

struct bound limits_bound(const struct limits *limits, const struct demand *demand);
/* How much of what the limits allow a speed is that takes `seconds` for this, in percent. */
double limits_percent(const struct limits *limits, const struct demand *demand, double seconds);

#endif
