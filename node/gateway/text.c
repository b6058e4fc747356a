/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/text.h"

#include <stdlib.h>

#include "protocol/text.h"

enum { FIRST_BYTES = 256 };

void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){0};
}

static bool reserve(struct text *t, size_t more)
{
	size_t wanted, capacity = t->capacity > 0 ? t->capacity : FIRST_BYTES;
	char *data;

	if (t->failed || __builtin_add_overflow(t->len, more, &wanted) || wanted > SIZE_MAX / 2) {
		t->failed = true;
		return false;
	}
	if (wanted <= t->capacity)
		return true;
	while (capacity < wanted)
		capacity *= 2;
	data = realloc(t->data, capacity);
	if (data == NULL) {
		t->failed = true;
		return false;
	}
	t->data = data;
	t->capacity = capacity;
	return true;
}

void text_add(struct text *t, const void *data, size_t len)
{
	if (len == 0 || !reserve(t, len))
		return;
	memcpy(t->data + t->len, data, len);
	t->len += len;
}

void text_add_string(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	char *line = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->failed = true;
		return;
	}
	text_add(t, line, (size_t)n);
	free(line);
}

void text_add_utf8(struct text *t, struct span bytes)
{
	for (size_t at = 0, n; at < bytes.len; at += n) {
		const char *c = (const char *)bytes.data + at;

		n = text_character(c, bytes.len - at);
		if (n > 0)
			text_add(t, c, n);
		else
			text_add_string(t, "\xef\xbf\xbd");
		n = n > 0 ? n : 1;
	}
}

void text_add_member(struct text *t, const char *name, struct span json)
{
	if (t->failed || t->len < 2 || t->data[t->len - 1] != '}') {
		t->failed = true;
		return;
	}
	t->len--;
	text_printf(t, "%s\"%s\":", t->data[t->len - 1] == '{' ? "" : ",", name);
	text_add(t, json.data, json.len);
	text_add_string(t, "}");
}

static int dump(const char *data, size_t len, void *context)
{
	struct text *t = context;

	text_add(t, data, len);
	return t->failed ? -1 : 0;
}

void text_add_json(struct text *t, json_t *stolen)
{
	if (stolen == NULL ||
	    json_dump_callback(stolen, dump, t, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		t->failed = true;
	json_decref(stolen);
}

struct span text_span(const struct text *t)
{
	return (struct span){(const uint8_t *)t->data, t->len};
}

json_t *text_json(struct span utf8)
{
	return json_stringn(utf8.len > 0 ? (const char *)utf8.data : "", utf8.len);
}

void text_drop(struct text *t, size_t n)
{
	assert(n <= t->len);
	t->len -= n;
	if (t->len > 0)
		memmove(t->data, t->data + n, t->len);
}
