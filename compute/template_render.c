/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/template_render.h"

enum { BYTES_A_STEP = 32 };

struct value render_fail(struct render *r, enum ayni_error code, const char *fmt, ...)
{
	char text[ERROR_TEXT_BYTES];
	va_list ap;

	if (r->code == AYNI_OK) {
		va_start(ap, fmt);
		(void)vsnprintf(text, sizeof text, fmt, ap);
		va_end(ap);
		/* One line, whatever the template says. */
		for (char *c = text; *c != '\0'; c++) {
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				*c = ' ';
		}
		r->code = error_set(r->err, code, "template line %u: %s", (unsigned)r->line, text);
	}
	return value_undefined((struct text){"", 0});
}

bool render_charge(struct render *r, uint64_t steps)
{
	if (r->code != AYNI_OK)
		return false;
	if (steps > r->steps_left) {
		render_fail(r, AYNI_ERR_LIMIT, "more than %d steps", TEMPLATE_MAX_STEPS);
		return false;
	}
	r->steps_left -= steps;
	return true;
}

bool render_charge_bytes(struct render *r, size_t bytes)
{
	return render_charge(r, 1 + bytes / BYTES_A_STEP);
}

bool render_enter(struct render *r)
{
	if (r->code != AYNI_OK)
		return false;
	if (r->depth == TEMPLATE_MAX_DEPTH) {
		render_fail(r, AYNI_ERR_LIMIT, "more than %d evaluations inside each other",
		    TEMPLATE_MAX_DEPTH);
		return false;
	}
	r->depth++;
	return true;
}

void render_leave(struct render *r)
{
	r->depth--;
}

void *render_alloc(struct render *r, size_t n, size_t element_bytes)
{
	void *p = r->code == AYNI_OK ? arena_alloc(&r->arena, n, element_bytes) : NULL;

	if (p == NULL)
		render_fail(r, AYNI_ERR_MEMORY, "needs more than %d MiB of memory",
		    TEMPLATE_MAX_MEMORY_BYTES >> 20);
	return p;
}

void buffer_append(struct render *r, struct buffer *b, struct text t)
{
	if (t.len == 0 || !render_charge_bytes(r, t.len))
		return;
	if (t.len > TEMPLATE_MAX_OUTPUT_BYTES - b->len) {
		render_fail(r, AYNI_ERR_LIMIT, "writes more than %d MiB of text",
		    TEMPLATE_MAX_OUTPUT_BYTES >> 20);
		return;
	}
	if (b->capacity - b->len < t.len) {
		size_t capacity = (b->len + t.len) * 2;
		char *data = render_alloc(r, capacity, 1);

		if (data == NULL)
			return;
		if (b->len > 0)
			memcpy(data, b->data, b->len);
		b->data = data;
		b->capacity = capacity;
	}
	memcpy(b->data + b->len, t.data, t.len);
	b->len += t.len;
}

void buffer_append_string(struct render *r, struct buffer *b, const char *s)
{
	buffer_append(r, b, (struct text){s, strlen(s)});
}

struct value buffer_value(const struct buffer *b)
{
	return value_string((struct text){b->len == 0 ? "" : b->data, b->len});
}
