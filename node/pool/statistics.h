/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics files of a running pool, now and then: `ayni ledger export` as a child process, which
 * reads the database beside the pool and writes to log/stats in the pool's folder, where the HTTP
 * server gives them out with the log. One that fails is reported, and tried again in its turn.
 * The loop's thread.
 */
#ifndef AYNI_NODE_POOL_STATISTICS_H
#define AYNI_NODE_POOL_STATISTICS_H

#include "node/loop.h"

struct statistics;

/* Now, and then every so many hours. `folder` is the pool's. */
int statistics_start(
    struct loop *l, const char *folder, uint64_t hours, struct statistics **out, struct error *err);
void statistics_free(struct statistics *s); /* waits some seconds for what is being written */

#endif
