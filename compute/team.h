/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A team of threads that run one function over a range of items and meet at its end.
 *
 * The caller's thread is a member, so a team of one starts no thread. Each member begins with a
 * part of its own and takes it in pieces that grow smaller towards the end; who is done takes from
 * the parts of others. So nobody waits for a member that the machine holds up: those that do not
 * come before all is taken are not waited for at all. (After Polychronopoulos and Kuck, "Guided
 * self-scheduling", 1987, with one queue a member.) How the range is cut never changes a result: an
 * item is computed by one thread alone, in the same way (DESIGN.md section 3).
 *
 * Waiting threads spin for a moment, as long as that lately paid, and then sleep (compute/event.h):
 * a machine whose owner is busy, or a donor that has no work, burns nothing in waits.
 *
 * One thread may use a team at a time, and not from within a run (asserted).
 */
#ifndef AYNI_COMPUTE_TEAM_H
#define AYNI_COMPUTE_TEAM_H

#include "protocol/base.h"

enum { TEAM_MAX_THREADS = 256 };

struct team;

/* Called with items [first, end); `thread` is 0 .. team_size - 1. A thread may be called with
 * several pieces of one run, and another with none. */
typedef void team_fn(void *context, size_t first, size_t end, unsigned thread);

int team_new(unsigned n_threads, struct team **out, struct error *err);
void team_free(struct team *t); /* joins the threads */
unsigned team_size(const struct team *t);

/*
 * Bind each member, the calling thread first, to a processor of its own of those that this thread
 * may use: for measurements, and machines that do nothing else. On a shared one a bound thread
 * waits for its processor while another is idle. AYNI_ERR_ARGUMENT if there are fewer processors
 * than threads, AYNI_ERR_UNSUPPORTED where the system cannot.
 */
int team_pin(struct team *t, struct error *err);

/*
 * Run fn over [0, n_items), cut into pieces of a multiple of `grain` items, but for the last. There
 * are at most 2^32 - 1 grains. What the caller wrote before is seen by fn, and what fn wrote is
 * seen after the return.
 */
void team_run(struct team *t, size_t n_items, size_t grain, team_fn *fn, void *context);

#endif
