/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the bytes of weights and caches that kernels are told to read. How often a batch passes
 * over them is the engine's doing and not the machine's, so it is counted and not timed.
 *
 * A product counts its rows once, whatever the number of vectors; a sum over keys or values its
 * elements once, whatever the number of queries. One count at a time in a process; the kernels
 * themselves may run in any thread.
 */
#ifndef AYNI_NODE_BENCH_TOUCHED_H
#define AYNI_NODE_BENCH_TOUCHED_H

#include "compute/kernels/kernels.h"

/* A table that computes what `k` does and counts; valid until the next call. The count is 0. */
const struct kernels *touched_kernels(const struct kernels *k);
/* What was counted since. */
uint64_t touched_bytes(void);

#endif
