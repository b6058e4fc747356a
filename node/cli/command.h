/* SPDX-License-Identifier: Apache-2.0 */
/* What a typed message asks of `ayni chat` itself: "/save talk.json". Parsing only, no I/O. */
#ifndef AYNI_NODE_CLI_COMMAND_H
#define AYNI_NODE_CLI_COMMAND_H

#include "protocol/base.h"

enum command_kind {
	COMMAND_MESSAGE, /* none: something for the model */
	COMMAND_HELP,
	COMMAND_MODEL,
	COMMAND_SYSTEM,
	COMMAND_SAVE,
	COMMAND_LOAD,
	COMMAND_CLEAR,
	COMMAND_FORGET,
	COMMAND_QUIT,
	COMMAND_WRONG /* unknown, or without what it needs; the error says so */
};

struct command {
	enum command_kind kind;
	const char *argument; /* in the text: "" if there is none; of a message, all of it */
};

/*
 * "//" begins a message with a slash. White space behind a command and around its argument is
 * cut off, for which `text` is changed. *err is set for COMMAND_WRONG.
 */
struct command command_parse(char *text, struct error *err);

/* The command number i as a line for people; NULL after the last. */
const char *command_help(size_t i);

#endif
