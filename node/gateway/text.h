/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows. After the first allocation that fails it takes nothing more and says so, so that
 * one check at the end suffices. Zeroed: empty. One thread.
 */
#ifndef AYNI_NODE_GATEWAY_TEXT_H
#define AYNI_NODE_GATEWAY_TEXT_H

#include <jansson.h>

#include "protocol/base.h"

struct text {
	char *data; /* not NUL-terminated; NULL while empty */
	size_t len, capacity;
	bool failed;
};

void text_free(struct text *t);
void text_add(struct text *t, const void *data, size_t len);
void text_add_string(struct text *t, const char *s);
__attribute__((format(printf, 2, 3))) void text_printf(struct text *t, const char *fmt, ...);
/* What is not UTF-8 becomes U+FFFD, byte by byte. */
void text_add_utf8(struct text *t, struct span bytes);
/* The JSON object that ends the text gets one member more, JSON too. */
void text_add_member(struct text *t, const char *name, struct span json);
/* In one line; the reference is taken. NULL, for which memory was out, fails. */
void text_add_json(struct text *t, json_t *stolen);
/* Borrowed, until the text changes. */
struct span text_span(const struct text *t);
/* Of UTF-8; NULL if memory is out. */
json_t *text_json(struct span utf8);
/* The first n bytes are of no more use. */
void text_drop(struct text *t, size_t n);

#endif
