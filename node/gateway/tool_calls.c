/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/tool_calls.h"

#include <stdlib.h>

#include "node/gateway/stops.h"
#include "node/gateway/tool_call_formats.h"

/* How calls stand in the text. */
static const struct {
	const char *open;
	const char *close; /* NULL: they go to the answer's end */
	tool_read_fn *read;
} formats[TOOL_FORMAT_END] = {
    [TOOL_FORMAT_HERMES] = {TOOL_HERMES_OPEN, TOOL_HERMES_CLOSE, tool_read_json},
    [TOOL_FORMAT_MISTRAL] = {TOOL_MISTRAL_OPEN, NULL, tool_read_mistral},
    [TOOL_FORMAT_DEEPSEEK] = {TOOL_DEEPSEEK_OPEN, TOOL_DEEPSEEK_CLOSE, tool_read_deepseek},
    [TOOL_FORMAT_LLAMA] = {TOOL_LLAMA_OPEN, NULL, tool_read_llama},
};

void tool_calls_begin(
    struct tool_calls *t, enum tool_format format, const json_t *names, uint32_t most)
{
	t->format = format;
	t->names = names;
	t->most = most;
	t->list = json_array();
	t->place = format == TOOL_FORMAT_LLAMA ? TOOL_PLACE_BEGINNING : TOOL_PLACE_TEXT;
}

void tool_calls_free(struct tool_calls *t)
{
	json_decref(t->list);
	text_free(&t->held);
	*t = (struct tool_calls){0};
}

size_t tool_calls_n(const struct tool_calls *t)
{
	return json_array_size(t->list);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t leading_space(const struct text *t)
{
	size_t n = 0;

	while (n < t->len && is_space(t->data[n]))
		n++;
	return n;
}

static void say(struct tool_calls *t, size_t n, struct text *said)
{
	text_add(said, t->held.data, n);
	text_drop(&t->held, n);
}

/* Where the answer may be a call without any sign. True: it is known what it is. */
static bool look_at_beginning(struct tool_calls *t, bool over)
{
	size_t spaces = leading_space(&t->held), n = t->held.len - spaces;
	const char *open = formats[t->format].open;

	if (n == 0)
		return false;
	if (t->held.data[spaces] == '{') {
		t->place = TOOL_PLACE_CALL;
		return true;
	}
	if (!over && n < strlen(open) && memcmp(t->held.data + spaces, open, n) == 0)
		return false;
	t->place = TOOL_PLACE_TEXT; /* which looks for the sign */
	return true;
}

/* Text, up to a sign. True: there is one. */
static bool look_for_sign(struct tool_calls *t, struct text *said)
{
	const struct stops sign = {1, {formats[t->format].open}};
	bool found;
	size_t n = stops_find(&sign, &t->held, &found);

	while (n > 0 && is_space(t->held.data[n - 1]))
		n--; /* a call may follow */
	say(t, n, said);
	if (found)
		t->place = TOOL_PLACE_CALL;
	return found;
}

/* What is held turned out to be no call: its sign is text, and what follows is looked at again. */
static void give_up(struct tool_calls *t, size_t sign, struct text *said)
{
	say(t, sign, said);
	t->place = TOOL_PLACE_TEXT;
}

static void keep(struct tool_calls *t, json_t *calls)
{
	const json_t *each;
	size_t i;

	json_array_foreach(calls, i, each)
	{
		if (tool_calls_n(t) == t->most)
			return;
		t->bytes += json_string_length(json_object_get(each, "name")) +
		            json_string_length(json_object_get(each, "arguments"));
		(void)json_array_append(t->list, (json_t *)(uintptr_t)each);
	}
}

/* A call that is whole, or never will be. False: it may become whole. */
static bool look_at_call(struct tool_calls *t, bool over, struct text *said)
{
	const char *open = formats[t->format].open, *close = formats[t->format].close;
	size_t from = leading_space(&t->held), end = t->held.len, most = TOOL_CALL_BYTES_MAX;
	struct span body;
	const char *at = NULL;
	json_t *calls = NULL;

	if (t->held.len - from >= strlen(open) &&
	    memcmp(t->held.data + from, open, strlen(open)) == 0)
		from += strlen(open);
	body = (struct span){(const uint8_t *)t->held.data + from, t->held.len - from};
	if (close != NULL && body.len > 0)
		at = memmem(body.data, body.len, close, strlen(close));
	if (at != NULL) {
		body.len = (size_t)(at - (const char *)body.data);
		end = from + body.len + strlen(close);
	}
	if (at == NULL && !over && body.len <= most + (close != NULL ? strlen(close) : 0))
		return false;
	if (body.len <= most)
		calls = formats[t->format].read(body, t->names);
	if (calls == NULL) {
		give_up(t, from, said);
		return true;
	}
	keep(t, calls);
	json_decref(calls);
	text_drop(&t->held, end);
	t->place = TOOL_PLACE_TEXT;
	return true;
}

static void look(struct tool_calls *t, bool over, struct text *said)
{
	bool on = true;

	while (on && t->held.len > 0) {
		switch (t->place) {
		case TOOL_PLACE_BEGINNING:
			on = look_at_beginning(t, over);
			break;
		case TOOL_PLACE_TEXT:
			on = look_for_sign(t, said);
			break;
		case TOOL_PLACE_CALL:
			on = look_at_call(t, over, said);
			break;
		}
	}
	said->failed |= t->held.failed;
}

void tool_calls_feed(struct tool_calls *t, struct span more, struct text *said)
{
	if (t->format == TOOL_FORMAT_NONE) {
		text_add(said, more.data, more.len);
		return;
	}
	text_add(&t->held, more.data, more.len);
	look(t, false, said);
}

void tool_calls_end(struct tool_calls *t, struct text *said)
{
	if (t->format == TOOL_FORMAT_NONE)
		return;
	look(t, true, said);
	if (tool_calls_n(t) > 0 && leading_space(&t->held) == t->held.len)
		text_drop(&t->held, t->held.len);
	say(t, t->held.len, said);
}
