/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chains (node/chain.h) of the sessions that a donor holds, kept as its worker keeps their keys
 * and values: units in the order in which they ran. Plain bookkeeping; all zeros is empty. One
 * thread.
 */
#ifndef AYNI_NODE_DONOR_CHAINS_H
#define AYNI_NODE_DONOR_CHAINS_H

#include "node/chain.h"

struct chain_session;

struct chains {
	struct chain_session *sessions;
};

/*
 * The unit ran: the value of each of its spans. AYNI_ERR_STATE: a session that is not known here,
 * or AYNI_ERR_MEMORY; then those of the unit are forgotten.
 */
int chains_ran(struct chains *c, const struct chain_unit *u, uint32_t kv_type,
    struct hash out[LIMIT_UNIT_SPANS]);
/* It did not, or nobody knows: as the worker does, forget its sessions. */
void chains_failed(struct chains *c, const struct msg_work_unit *u);
void chains_forget(struct chains *c); /* all */

#endif
