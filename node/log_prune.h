/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oldest entries out of a log's folder, a pool's own or a mirror's, to save room. All tiles
 * stay, so every proof can still be made, of an old receipt by whoever holds it: as C2SP tlog-tiles
 * has it for logs whose oldest entries nobody needs any more.
 */
#ifndef AYNI_NODE_LOG_PRUNE_H
#define AYNI_NODE_LOG_PRUNE_H

#include "protocol/base.h"

struct log_pruned {
	uint64_t receipts; /* whose entries are not there now: 1 to this number */
	uint64_t bundles;  /* of 256, removed by this call */
};

/*
 * Bundles from the first on, with their countersignatures, as long as all windows in them ended
 * before before_ms. Each is compared with its tile first, which must be there and be right:
 * AYNI_ERR_FORMAT or AYNI_ERR_SIGNATURE else, and what was removed until then stays removed. One
 * that was cut short goes on the next time.
 */
int log_prune(const char *folder, uint64_t before_ms, struct log_pruned *out, struct error *err);

#endif
