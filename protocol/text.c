/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/text.h"

static bool is_tail(char c)
{
	return ((uint8_t)c & 0xc0) == 0x80;
}

/* Bytes of the character that `text` begins with, and its code point; 0 if it is none. */
static size_t utf8_next(const char *text, size_t len, uint32_t *code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t head = (uint8_t)text[0];
	size_t n;
	uint32_t v;

	if (head < 0x80) {
		*code = head;
		return 1;
	}
	if (head < 0xc2 || head > 0xf4)
		return 0;
	n = head < 0xe0 ? 2 : head < 0xf0 ? 3 : 4;
	if (n > len)
		return 0;
	v = head & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (!is_tail(text[i]))
			return 0;
		v = v << 6 | ((uint8_t)text[i] & 0x3f);
	}
	if (v < smallest[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*code = v;
	return n;
}

size_t text_character(const char *text, size_t len)
{
	uint32_t code;

	return utf8_next(text, len, &code);
}

static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

bool text_is_utf8(const char *text, size_t len)
{
	uint32_t code;

	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_next(text + at, len - at, &code);
		if (n == 0)
			return false;
	}
	return true;
}

static bool is_blank(uint32_t code)
{
	switch (code) {
	case 0x20:
	case 0x85:
	case 0xa0:
	case 0x1680:
	case 0x2028:
	case 0x2029:
	case 0x202f:
	case 0x205f:
	case 0x3000:
		return true;
	default:
		return (code >= 9 && code <= 13) || (code >= 0x2000 && code <= 0x200a);
	}
}

bool text_has_blank(const char *text, size_t len)
{
	uint32_t code;

	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_next(text + at, len - at, &code);
		if (n == 0)
			return false;
		if (is_blank(code))
			return true;
	}
	return false;
}

bool text_is_line(const char *text, size_t len)
{
	uint32_t code;

	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_next(text + at, len - at, &code);
		if (n == 0 || is_control(code))
			return false;
	}
	return true;
}

void text_fit(char *out, size_t out_bytes, const char *in)
{
	size_t len = strlen(in), at = 0;

	/* Each byte keeps its place, so both may be one array. */
	while (at < len) {
		uint32_t code;
		size_t n = utf8_next(in + at, len - at, &code);

		if (at + (n == 0 ? 1 : n) >= out_bytes)
			break;
		if (n == 0 || is_control(code)) {
			size_t width = n == 0 ? 1 : n;

			memset(out + at, '?', width);
			at += width;
			continue;
		}
		memmove(out + at, in + at, n);
		at += n;
	}
	out[at] = '\0';
}
