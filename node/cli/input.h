/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines that a person types at a terminal, edited with libedit (emacs keys, or as ~/.editrc says;
 * Ctrl-R searches), with a history over many conversations. One at a time in a process, one thread.
 *
 * What was typed is private: the history is a file of its owner alone, of at most
 * INPUT_HISTORY_LINES lines. Two conversations at once: the last to write wins.
 */
#ifndef AYNI_NODE_CLI_INPUT_H
#define AYNI_NODE_CLI_INPUT_H

#include "protocol/base.h"

struct input;

enum {
	INPUT_HISTORY_LINES = 500,
	INPUT_HISTORY_LINE_BYTES = 4096 /* longer ones are not kept */
};

enum input_result {
	INPUT_LINE,    /* there is one */
	INPUT_CLEARED, /* Ctrl-C: what was typed is void */
	INPUT_END      /* Ctrl-D on an empty line, or the terminal is gone */
};

/* Whether standard input is a terminal, and one of the outputs, so that a person can see it. */
bool input_can_edit(void);

/* `path`: of the history, created when needed; NULL to keep none beyond
 * this conversation. AYNI_ERR_UNSUPPORTED: this terminal
 * cannot be used. */
int input_open(const char *path, bool coloured, struct input **out, struct error *err);
void input_free(struct input *in);

/* The next line, without its end; valid until the next call. `goes_on`: the prompt says that it
 * belongs to the one before. A line that has anything is remembered. */
enum input_result input_line(struct input *in, bool goes_on, const char **line);
/* Erase the history, the file too. */
int input_forget(struct input *in, struct error *err);

#endif
