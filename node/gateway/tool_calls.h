/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the calls of tools in an answer's text, in the way that the model's template teaches
 * (compute/tool_format.h), also where the text comes in parts: how it was cut makes no difference.
 * What begins like a call and turns out to be none stays text, whatever it is; white space before
 * and after calls belongs to nobody. A call is given out when it is whole.
 *
 * Zeroed: no format, and all is text. One thread.
 */
#ifndef AYNI_NODE_GATEWAY_TOOL_CALLS_H
#define AYNI_NODE_GATEWAY_TOOL_CALLS_H

#include "compute/tool_format.h"
#include "node/gateway/text.h"

enum {
	TOOL_CALL_BYTES_MAX = 256 << 10, /* of a call's text; more is no call */
	TOOL_NAME_BYTES_MAX = 64
};

enum tool_place {
	TOOL_PLACE_BEGINNING, /* nothing but white space so far */
	TOOL_PLACE_TEXT,
	TOOL_PLACE_CALL
};

struct tool_calls {
	enum tool_format format;
	const json_t *names; /* borrowed: an object with a member for each tool there is */
	uint32_t most;       /* calls wanted; what more there are is dropped */
	json_t *list;        /* owned: of each call {name, arguments}, both strings */
	size_t bytes;        /* of these */
	enum tool_place place;
	struct text held; /* white space and what may be a sign, or is a call that is not whole */
};

/* May be called once, before any text. */
void tool_calls_begin(
    struct tool_calls *t, enum tool_format format, const json_t *names, uint32_t most);
void tool_calls_free(struct tool_calls *t);

/* More of the answer: what of it is text goes to `said`. */
void tool_calls_feed(struct tool_calls *t, struct span more, struct text *said);
/* There is no more. */
void tool_calls_end(struct tool_calls *t, struct text *said);
size_t tool_calls_n(const struct tool_calls *t);

/* 1 to TOOL_NAME_BYTES_MAX of A-Z a-z 0-9 _ . - */
bool tool_name_is_good(const char *name, size_t len);

#endif
