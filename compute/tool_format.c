/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/tool_format.h"

enum { SIGNS_MAX = 5 };

static const char *const signs[TOOL_FORMAT_END][SIGNS_MAX] = {
    [TOOL_FORMAT_HERMES] = {TOOL_HERMES_OPEN, TOOL_HERMES_CLOSE},
    [TOOL_FORMAT_MISTRAL] = {TOOL_MISTRAL_OPEN, TOOL_MISTRAL_ARGUMENTS},
    [TOOL_FORMAT_DEEPSEEK] = {TOOL_DEEPSEEK_OPEN, TOOL_DEEPSEEK_CLOSE, TOOL_DEEPSEEK_BEGIN,
        TOOL_DEEPSEEK_END, TOOL_DEEPSEEK_SEPARATOR},
    [TOOL_FORMAT_LLAMA] = {TOOL_LLAMA_OPEN},
};

/* The first that fits: all of the texts stand in the template. What has a sign of a known way, but
 * another way to write the call, stands before it. */
static const struct {
	enum tool_format format;
	const char *texts[2];
} ways[] = {
    {TOOL_FORMAT_NONE, {TOOL_HERMES_OPEN, "<function="}}, /* Qwen3-Coder */
    {TOOL_FORMAT_NONE, {TOOL_HERMES_OPEN, "<arg_key>"}},  /* GLM-4.5 */
    {TOOL_FORMAT_NONE, {TOOL_MISTRAL_OPEN, "[CALL_ID]"}}, /* one of Mistral's between */
    {TOOL_FORMAT_HERMES, {TOOL_HERMES_OPEN, TOOL_HERMES_CLOSE}},
    {TOOL_FORMAT_MISTRAL, {TOOL_MISTRAL_OPEN}},
    {TOOL_FORMAT_DEEPSEEK, {TOOL_DEEPSEEK_OPEN, TOOL_DEEPSEEK_SEPARATOR}},
    {TOOL_FORMAT_LLAMA, {"<|start_header_id|>", "\"parameters\""}},
};

static bool holds(struct span text, const char *what)
{
	return what == NULL ||
	       (text.len > 0 && memmem(text.data, text.len, what, strlen(what)) != NULL);
}

bool tool_format_has_tools(struct span chat_template)
{
	return holds(chat_template, "tools");
}

enum tool_format tool_format_of(struct span chat_template)
{
	if (!tool_format_has_tools(chat_template))
		return TOOL_FORMAT_NONE;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		if (holds(chat_template, ways[i].texts[0]) &&
		    holds(chat_template, ways[i].texts[1]))
			return ways[i].format;
	}
	return TOOL_FORMAT_NONE;
}

bool tool_format_is_sign(enum tool_format f, struct span spelling)
{
	for (size_t i = 0; i < SIGNS_MAX && signs[f][i] != NULL; i++) {
		if (spelling.len == strlen(signs[f][i]) &&
		    memcmp(spelling.data, signs[f][i], spelling.len) == 0)
			return true;
	}
	return false;
}
