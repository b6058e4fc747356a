/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/template_text.h"

#include <math.h>
#include <stdlib.h>

size_t utf8_size(char lead)
{
	unsigned char c = (unsigned char)lead;

	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

size_t utf8_encode(uint32_t code, char *out)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | (code >> 6));
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | (code >> 12));
		out[1] = (char)(0x80 | ((code >> 6) & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | (code >> 18));
	out[1] = (char)(0x80 | ((code >> 12) & 0x3f));
	out[2] = (char)(0x80 | ((code >> 6) & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

uint32_t utf8_decode(struct text s, size_t at)
{
	static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	size_t size = utf8_size(s.data[at]);
	uint32_t code = (unsigned char)s.data[at] & lead_bits[size];

	for (size_t i = 1; i < size && at + i < s.len; i++)
		code = code << 6 | ((unsigned char)s.data[at + i] & 0x3f);
	return code;
}

bool template_text_is_utf8(const char *data, size_t len)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	struct text s = {data, len};

	for (size_t at = 0; at < len;) {
		unsigned char c = (unsigned char)data[at];
		size_t size = utf8_size(data[at]);
		uint64_t eight;
		uint32_t code;

		/* mostly ASCII, eight bytes at a time */
		if (len - at >= sizeof eight) {
			memcpy(&eight, data + at, sizeof eight);
			if ((eight & UINT64_C(0x8080808080808080)) == 0) {
				at += sizeof eight;
				continue;
			}
		}
		if ((c >= 0x80 && c < 0xc0) || c >= 0xf8 || size > len - at)
			return false;
		for (size_t i = 1; i < size; i++) {
			if (((unsigned char)data[at + i] & 0xc0) != 0x80)
				return false;
		}
		code = utf8_decode(s, at);
		if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			return false;
		at += size;
	}
	return true;
}

size_t text_length(struct text s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
	return n;
}

size_t text_offset(struct text s, size_t i)
{
	size_t at = 0;

	for (; i > 0 && at < s.len; i--)
		at += utf8_size(s.data[at]);
	return at;
}

struct text text_sub(struct text s, size_t from, size_t to)
{
	return (struct text){s.data + from, to - from};
}

bool text_is_space(uint32_t code)
{
	return (code >= 9 && code <= 13) || (code >= 28 && code <= 32) || code == 0x85 ||
	       code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
	       code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
	       code == 0x3000;
}

bool text_is_printable(uint32_t code)
{
	if (code < 0x7f)
		return code >= 0x20;
	return !(code < 0xa1 || code == 0xad || text_is_space(code) ||
	         (code >= 0x600 && code <= 0x605) || code == 0x61c || code == 0x6dd ||
	         code == 0x180e || (code >= 0x200b && code <= 0x200f) ||
	         (code >= 0x202a && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
	         (code >= 0xd800 && code <= 0xf8ff) || code == 0xfeff ||
	         (code >= 0xfff0 && code <= 0xfffb) || (code & 0xfffe) == 0xfffe ||
	         code >= 0xe0000);
}

struct text text_lstrip(struct text s)
{
	size_t at = 0;

	while (at < s.len && text_is_space(utf8_decode(s, at)))
		at += utf8_size(s.data[at]);
	return text_sub(s, at, s.len);
}

static size_t last_code_point(struct text s)
{
	size_t at = s.len - 1;

	while (at > 0 && ((unsigned char)s.data[at] & 0xc0) == 0x80)
		at--;
	return at;
}

struct text text_rstrip(struct text s)
{
	while (s.len > 0 && text_is_space(utf8_decode(s, last_code_point(s))))
		s.len = last_code_point(s);
	return s;
}

struct text text_strip_chars(struct text s, struct text chars, bool left, bool right)
{
	while (left && s.len > 0) {
		size_t size = utf8_size(s.data[0]);

		if (text_find(chars, text_sub(s, 0, size), 0) == SIZE_MAX)
			break;
		s = text_sub(s, size, s.len);
	}
	while (right && s.len > 0) {
		size_t at = last_code_point(s);

		if (text_find(chars, text_sub(s, at, s.len), 0) == SIZE_MAX)
			break;
		s.len = at;
	}
	return s;
}

size_t text_find(struct text s, struct text needle, size_t from)
{
	const char *at;

	if (from > s.len || needle.len > s.len - from)
		return SIZE_MAX;
	if (needle.len == 0)
		return from;
	at = memmem(s.data + from, s.len - from, needle.data, needle.len);
	return at == NULL ? SIZE_MAX : (size_t)(at - s.data);
}

size_t text_find_last(struct text s, struct text needle)
{
	size_t last = SIZE_MAX;

	if (needle.len == 0)
		return s.len;
	for (size_t at = text_find(s, needle, 0); at != SIZE_MAX; at = text_find(s, needle, at + 1))
		last = at;
	return last;
}

bool text_starts_with(struct text s, struct text prefix)
{
	return prefix.len <= s.len && text_equal(text_sub(s, 0, prefix.len), prefix);
}

bool text_ends_with(struct text s, struct text suffix)
{
	return suffix.len <= s.len && text_equal(text_sub(s, s.len - suffix.len, s.len), suffix);
}

struct text text_next_line(struct text s, size_t *at)
{
	size_t from = *at;

	while (*at < s.len) {
		uint32_t code = utf8_decode(s, *at);
		size_t size = utf8_size(s.data[*at]);
		struct text line = text_sub(s, from, *at);

		*at += size;
		if (code == '\r' && *at < s.len && s.data[*at] == '\n')
			++*at;
		if ((code >= 10 && code <= 13) || (code >= 28 && code <= 30) || code == 0x85 ||
		    code == 0x2028 || code == 0x2029)
			return line;
	}
	return text_sub(s, from, s.len);
}

void text_from_float(double d, char out[TEXT_FLOAT_BYTES])
{
	char digits[TEXT_FLOAT_BYTES];
	int precision = 0;
	long exponent;
	int decimals;

	if (!isfinite(d)) {
		(void)snprintf(out, TEXT_FLOAT_BYTES, "%s",
		    isnan(d) ? "nan"
		    : d < 0  ? "-inf"
		             : "inf");
		return;
	}
	do {
		(void)snprintf(digits, sizeof digits, "%.*e", precision, d);
	} while (++precision < 17 && strtod(digits, NULL) != d);
	exponent = strtol(strchr(digits, 'e') + 1, NULL, 10);
	if (exponent >= -4 && exponent < 16) {
		decimals = precision - 1 - (int)exponent;
		(void)snprintf(out, TEXT_FLOAT_BYTES, "%.*f", decimals < 1 ? 1 : decimals, d);
	} else {
		(void)snprintf(out, TEXT_FLOAT_BYTES, "%s", digits);
	}
}
