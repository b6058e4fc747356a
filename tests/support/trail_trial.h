/* SPDX-License-Identifier: Apache-2.0 */
/* A trail as the scheduler records it, with its donors' chains, for tests of what is made of it. */
#ifndef AYNI_TESTS_SUPPORT_TRAIL_TRIAL_H
#define AYNI_TESTS_SUPPORT_TRAIL_TRIAL_H

#include "node/pool/trail.h"

/* Of a model and a type of keys and values; hashes as trail_add takes them. */
struct trail_feed {
	struct hash model;
	uint32_t kv_type;
	struct unit_span span;
	uint32_t top;
	const uint32_t *tokens;
	const struct hash *hashes;
};

void trail_trial_add(struct trail *t, const struct trail_feed *f);

#endif
