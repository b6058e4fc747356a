/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counted UTF-8 text as Python sees it: a sequence of code points. All text here is valid UTF-8;
 * template_text_is_utf8 is asked once, at the door. Nothing allocates.
 */
#ifndef AYNI_COMPUTE_TEMPLATE_TEXT_H
#define AYNI_COMPUTE_TEMPLATE_TEXT_H

#include "compute/template_internal.h"

enum { UTF8_MAX_BYTES = 4 };

bool template_text_is_utf8(const char *data, size_t len);

/* Bytes of the code point that starts with `lead`. */
size_t utf8_size(char lead);
/* Write a code point (no surrogate); returns its bytes, at most UTF8_MAX_BYTES. */
size_t utf8_encode(uint32_t code, char *out);
/* The code point at s[at]. */
uint32_t utf8_decode(struct text s, size_t at);

size_t text_length(struct text s);
/* Byte offset of code point i, or s.len. */
size_t text_offset(struct text s, size_t i);
struct text text_sub(struct text s, size_t from, size_t to);

/* Python's str.isspace for one code point. */
bool text_is_space(uint32_t code);
/* Python's str.isprintable, without the tables of unassigned code points. */
bool text_is_printable(uint32_t code);

struct text text_lstrip(struct text s);
struct text text_rstrip(struct text s);
/* Remove code points that occur in `chars` from either side. */
struct text text_strip_chars(struct text s, struct text chars, bool left, bool right);

/* First occurrence at or after byte `from`; SIZE_MAX if there is none. */
size_t text_find(struct text s, struct text needle, size_t from);
size_t text_find_last(struct text s, struct text needle);
bool text_starts_with(struct text s, struct text prefix);
bool text_ends_with(struct text s, struct text suffix);

/* The line at *at without its end, and *at moved past it, as str.splitlines(). */
struct text text_next_line(struct text s, size_t *at);

/* Python's repr() of a float into out, NUL-terminated. */
enum { TEXT_FLOAT_BYTES = 40 };
void text_from_float(double d, char out[TEXT_FLOAT_BYTES]);

#endif
