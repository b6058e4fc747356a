/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool daemon: admits peers, places layers on donors, runs members' requests through them,
 * keeps the ledger. One process, one thread, one loop; everything that decides is in the plain
 * state machines beside this file.
 */
#ifndef AYNI_NODE_POOL_POOL_H
#define AYNI_NODE_POOL_POOL_H

#include "node/config.h"

/*
 * Serve until SIGTERM or SIGINT: then no request is taken any more, open windows become receipts,
 * donors get two seconds to countersign. A second signal ends at once.
 * When it listens, the endpoint is written to <folder>/endpoint, for `ayni invite`.
 */
int pool_run(const struct pool_config *config, struct error *err);

#endif
