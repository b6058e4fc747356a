/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer's text in which calls are looked for: the first byte says in which format, the second
 * where the text is cut. However it is cut the same comes out, and every call is one that can be
 * sent on.
 */
#include <stdlib.h>

#include "node/gateway/tool_calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void find(struct tool_calls *t, enum tool_format f, const json_t *names, struct span text,
    size_t at, struct text *said)
{
	tool_calls_begin(t, f, names, 3);
	tool_calls_feed(t, (struct span){text.data, at}, said);
	tool_calls_feed(t, (struct span){text.data + at, text.len - at}, said);
	tool_calls_end(t, said);
}

static void check_call(const json_t *call)
{
	const char *name, *arguments;
	json_t *o;

	if (json_unpack((json_t *)(uintptr_t)call, "{s:s,s:s!}", "name", &name, "arguments",
	        &arguments) != 0 ||
	    !tool_name_is_good(name, strlen(name)))
		abort();
	o = json_loads(arguments, 0, NULL);
	if (!json_is_object(o))
		abort();
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tool_calls whole = {0}, parts = {0};
	struct text said = {0}, again = {0};
	json_t *names = json_pack("{s:b}", "f", 1);
	enum tool_format f;
	struct span text;

	if (size < 2) {
		json_decref(names);
		return -1;
	}
	f = (enum tool_format)(data[0] % TOOL_FORMAT_END);
	text = (struct span){data + 2, size - 2};
	find(&whole, f, names, text, text.len, &said);
	find(&parts, f, names, text, text.len > 0 ? data[1] % text.len : 0, &again);
	if (said.failed || said.len > text.len || said.len != again.len ||
	    (said.len > 0 && memcmp(said.data, again.data, said.len) != 0) ||
	    !json_equal(whole.list, parts.list))
		abort();
	if (tool_calls_n(&whole) == 0 && said.len != text.len)
		abort();
	for (size_t i = 0; i < tool_calls_n(&whole); i++)
		check_call(json_array_get(whole.list, i));
	tool_calls_free(&whole);
	tool_calls_free(&parts);
	text_free(&said);
	text_free(&again);
	json_decref(names);
	return 0;
}
