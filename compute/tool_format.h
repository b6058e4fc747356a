/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How models say that they call a tool. Each chat template teaches its model one way, so the
 * template tells which; and signs that are control tokens, which have no text otherwise, must be
 * shown where calls are wanted. Pure functions.
 *
 * HERMES (Hermes, Qwen):  <tool_call>{"name": ..., "arguments": {...}}</tool_call>, each call
 * MISTRAL:                [TOOL_CALLS] [{"name": ..., "arguments": {...}}, ...], or since 2025
 *                         [TOOL_CALLS]name[ARGS]{...}, each call; to the answer's end
 * DEEPSEEK (V3, R1):      <|tool calls begin|>, then of each call <|tool call begin|>function
 *                         <|tool sep|>name, its arguments in a block ```json, <|tool call end|>;
 *                         or, V3.1, name <|tool sep|> arguments; all with its own bars and blanks
 * LLAMA (3.1 and later):  {"name": ..., "parameters": {...}} as all of the answer, perhaps behind
 *                         <|python_tag|>; several with ; between them
 */
#ifndef AYNI_COMPUTE_TOOL_FORMAT_H
#define AYNI_COMPUTE_TOOL_FORMAT_H

#include "protocol/base.h"

/* On the wire: never renumber. */
enum tool_format {
	TOOL_FORMAT_NONE, /* the template has no tools, or a way that is not known here */
	TOOL_FORMAT_HERMES,
	TOOL_FORMAT_MISTRAL,
	TOOL_FORMAT_DEEPSEEK,
	TOOL_FORMAT_LLAMA,
	TOOL_FORMAT_END
};

#define TOOL_HERMES_OPEN        "<tool_call>"
#define TOOL_HERMES_CLOSE       "</tool_call>"
#define TOOL_MISTRAL_OPEN       "[TOOL_CALLS]"
#define TOOL_MISTRAL_ARGUMENTS  "[ARGS]"
#define TOOL_DEEPSEEK_OPEN      "<｜tool▁calls▁begin｜>"
#define TOOL_DEEPSEEK_CLOSE     "<｜tool▁calls▁end｜>"
#define TOOL_DEEPSEEK_BEGIN     "<｜tool▁call▁begin｜>"
#define TOOL_DEEPSEEK_END       "<｜tool▁call▁end｜>"
#define TOOL_DEEPSEEK_SEPARATOR "<｜tool▁sep｜>"
#define TOOL_LLAMA_OPEN         "<|python_tag|>"

/* Does the template, by its text, show its model tools? */
bool tool_format_has_tools(struct span chat_template);
/* The way that it teaches. */
enum tool_format tool_format_of(struct span chat_template);
/* Is this spelling a sign of the format? */
bool tool_format_is_sign(enum tool_format f, struct span spelling);

#endif
