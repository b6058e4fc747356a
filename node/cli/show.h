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

/* Whether what goes there may be coloured, or dimmed: a terminal, and NO_COLOR is not set
 * (no-color.org). */
bool show_is_coloured(FILE *f);
/* Dim what follows on stderr, or no more, if it may be. */
void show_dim(bool on);
void show_text(struct show *s, struct span reasoning, struct span answer);
/* The answer is over: end its line. */
void show_end(struct show *s);

#endif
