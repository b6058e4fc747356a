/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends a text before the first of some strings to be whole, also where it comes in parts: how the
 * text was cut makes no difference. What may be the
 * beginning of such a string is held back until it is known. Texts and strings are UTF-8, so cuts
 * are between characters.
 */
#ifndef AYNI_NODE_GATEWAY_STOPS_H
#define AYNI_NODE_GATEWAY_STOPS_H

#include "node/gateway/text.h"

enum { STOPS_MAX = 16, STOP_BYTES_MAX = 256 };

struct stops {
	size_t n;
	const char *list[STOPS_MAX]; /* borrowed; none is empty or longer than STOP_BYTES_MAX */
};

/*
 * `held` is what was held back so far, to which the new text has been added: how many bytes of it
 * are to go out. *found: a string stands behind these; nothing of the rest is wanted.
 */
size_t stops_find(const struct stops *s, const struct text *held, bool *found);

#endif
