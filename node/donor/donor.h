/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The donor daemon: joins a pool, offers what is spare, fetches the layers it is given, computes
 * signed work units in its worker process, countersigns receipts and keeps them. One process, one
 * thread, one loop, beside the worker.
 */
#ifndef AYNI_NODE_DONOR_DONOR_H
#define AYNI_NODE_DONOR_DONOR_H

#include "node/config.h"

/*
 * Donate until SIGTERM or SIGINT: then the pool is told, units at hand are finished, and receipts
 * of them are waited for (two seconds at most); a second signal ends at once. A pool that does not
 * answer is tried again for ever; one that refuses the invite is an error.
 */
int donor_run(const struct donor_config *config, struct error *err);

#endif
