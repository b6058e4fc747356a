/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a request that is about tools: those there are, and calls of earlier turns. They are
 * in the same shape in OpenAI's API for chats and in Ollama's, and in chat templates.
 */
#ifndef AYNI_NODE_GATEWAY_JOB_TOOLS_H
#define AYNI_NODE_GATEWAY_JOB_TOOLS_H

#include "node/gateway/job.h"

/* "tools"; the job's generate.tools, NULL if there are none. */
bool job_tools(struct job *j, struct fault *f);
/* Of a message that became the last turn: "tool_calls", and of a tool "tool_call_id" and its name,
 * which stands there under `name`. */
bool job_turn_tools(struct job *j, const json_t *message, const char *name, struct fault *f);

#endif
