/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message put together from typed lines. A line that ends with a backslash goes on with the next
 * one; a line that begins with """ begins a block that goes on until a line ends with """. No I/O.
 */
#ifndef AYNI_NODE_CLI_COMPOSE_H
#define AYNI_NODE_CLI_COMPOSE_H

#include "protocol/base.h"

enum { COMPOSE_MAX_BYTES = 512 << 10 };

struct compose {
	char *text; /* owned, NUL-terminated: the message, once a line completed it; else NULL */
	size_t len;
	bool in_block;
	bool is_literal; /* it came as a block: never a command */
	bool goes_on;    /* lines are missing */
};

/*
 * One more line, without its end. Follow it with compose_reset once a message is there (!goes_on).
 * AYNI_ERR_LIMIT: longer than COMPOSE_MAX_BYTES; what was composed is gone.
 */
int compose_line(struct compose *c, const char *line, struct error *err);
void compose_reset(struct compose *c);

#endif
