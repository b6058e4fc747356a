/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer as it comes: what the model says goes to stdout and nothing else does; what it thinks
 * goes to stderr, dimmed on a terminal.
 */
#ifndef AYNI_NODE_CLI_SHOW_H
#define AYNI_NODE_CLI_SHOW_H

#include "protocol/base.h"

/* The key of --hide-reasoning in a command's table of options. */
enum { SHOW_KEY_HIDE = 0x400 };

struct show {
	bool hides_reasoning;
	bool thinking; /* the last that was shown was reasoning */
};

void show_text(struct show *s, struct span reasoning, struct span answer);
/* The answer is over: end its line. */
void show_end(struct show *s);

#endif
