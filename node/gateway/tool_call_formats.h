/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands between the signs of a call, in each format of compute/tool_format.h. Pure functions:
 * a list of {name, arguments}, both strings, arguments a JSON object in text; NULL if it is no call
 * or not one as it should be. The caller frees it.
 */
#ifndef AYNI_NODE_GATEWAY_TOOL_CALL_FORMATS_H
#define AYNI_NODE_GATEWAY_TOOL_CALL_FORMATS_H

#include <jansson.h>

#include "protocol/base.h"

/* names: an object with a member for each tool there is. */
typedef json_t *tool_read_fn(struct span text, const json_t *names);

json_t *tool_read_json(struct span text, const json_t *names); /* a call, or a list of them */
json_t *tool_read_mistral(struct span text, const json_t *names);
json_t *tool_read_deepseek(struct span text, const json_t *names);
/* Without a sign any object may look like a call: only those of tools that there are count. */
json_t *tool_read_llama(struct span text, const json_t *names);

#endif
