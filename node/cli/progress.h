/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pace at which long work tells on stderr how far it is: on a terminal one line that changes a
 * few times a second, elsewhere a line now and then.
 */
#ifndef AYNI_NODE_CLI_PROGRESS_H
#define AYNI_NODE_CLI_PROGRESS_H

#include "protocol/base.h"

struct progress {
	bool terminal;
	uint64_t began_us, shown_us; /* shown_us 0: nothing yet */
};

void progress_begin(struct progress *p);
double progress_seconds(const struct progress *p); /* since it began */
/* Whether it is time for a line; `quiet_s` is how long that takes where there is no terminal. */
bool progress_due(struct progress *p, unsigned quiet_s);
/* Erase a terminal's line, if one was shown. */
void progress_clear(const struct progress *p);

#endif
