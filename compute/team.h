/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A team of threads that run one function over a range of items and meet at its end.
 *
 * The caller's thread is a member, so a team of one starts no thread. How the range is cut never
 * changes a result: an item is computed by one thread alone, in the same way (DESIGN.md section 3).
 * Waiting threads yield to other work on the machine: a short spin, then a futex-backed sleep.
 * One thread may use a team at a time.
 */
#ifndef AYNI_COMPUTE_TEAM_H
#define AYNI_COMPUTE_TEAM_H

#include "protocol/base.h"

enum { TEAM_MAX_THREADS = 256 };

struct team;

/* Called with items [first, end); `thread` is 0 .. team_size - 1. */
typedef void team_fn(void *context, size_t first, size_t end, unsigned thread);

int team_new(unsigned n_threads, struct team **out, struct error *err);
void team_free(struct team *t); /* joins the threads */
unsigned team_size(const struct team *t);

/* Cut [0, n_items) into one contiguous part a thread, each a multiple of `grain` but the last. */
void team_run(struct team *t, size_t n_items, size_t grain, team_fn *fn, void *context);

#endif
