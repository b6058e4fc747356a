/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that came from, or goes to, another machine: UTF-8 as RFC 3629 has it (no surrogates, no
 * overlong forms, nothing past U+10FFFF). Names and notices are one line without control
 * characters, so that no peer can drive another's terminal. Pure functions.
 */
#ifndef AYNI_PROTOCOL_TEXT_H
#define AYNI_PROTOCOL_TEXT_H

#include "protocol/base.h"

bool text_is_utf8(const char *text, size_t len);
/* Bytes of the character that the text begins with; 0 if it begins with none. len > 0. */
size_t text_character(const char *text, size_t len);
/* UTF-8 without C0 and C1 control characters (newline and NUL among them). */
bool text_is_line(const char *text, size_t len);
/* A space of any kind (Unicode's property White_Space), in UTF-8. */
bool text_has_blank(const char *text, size_t len);
/*
 * Make one line of UTF-8 of any NUL-terminated bytes: what is not gets a '?' for each byte, and
 * what does not fit is cut at a character. `out` may be `in`; out_bytes at least 1.
 */
void text_fit(char *out, size_t out_bytes, const char *in);

#endif
