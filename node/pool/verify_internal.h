/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of verify.h share: verify.c, verify_status.c. */
#ifndef AYNI_NODE_POOL_VERIFY_INTERNAL_H
#define AYNI_NODE_POOL_VERIFY_INTERNAL_H

#include "node/pool/auditor.h"
#include "node/pool/doubts.h"
#include "node/pool/verify.h"
#include "storage/standing.h"

/* What is known of a session's trails, and its end if that waits. */
struct verdict {
	uint64_t session;
	uint32_t pending;           /* trails being computed */
	bool right, wrong, unknown; /* of others, some were */
	bool parked;
	struct action_finish finish; /* if so: its session is owned */
	uint64_t until_us;
	UT_hash_handle hh;
};

struct verify {
	struct trust *trust;
	struct standing_store *store;
	struct auditor *auditor; /* NULL: nothing is computed once more */
	struct verdict *verdicts;
	struct doubts *doubts;
	uint64_t right, wrong, missed; /* trails, since the pool started */
};

#endif
