/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool's operator asks it to pardon, as files of its folder, pardons/DONOR: `ayni pardon`
 * writes them, the pool takes them while it runs, or when it starts. One process on each side.
 */
#ifndef AYNI_NODE_PARDONS_H
#define AYNI_NODE_PARDONS_H

#include "protocol/base.h"

enum { PARDON_REASON_BYTES = 100 };

struct pardon {
	struct public_key donor;
	bool has_evidence;
	struct hash evidence;             /* if so: of the file that was looked at again */
	char reason[PARDON_REASON_BYTES]; /* for people, one line */
};

/* `folder`: the pool's. The reason is made to fit. */
int pardons_ask(const char *folder, const struct pardon *p, struct error *err);
/* The next one, which is taken away; AYNI_ERR_NOT_FOUND: none. A file that is no pardon is an
 * error, and taken away too. */
int pardons_take(const char *folder, struct pardon *out, struct error *err);

#endif
