/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI's API: how requests are read (openai.c), for the tables in openai_answer.c. */
#ifndef AYNI_NODE_GATEWAY_OPENAI_H
#define AYNI_NODE_GATEWAY_OPENAI_H

#include "node/gateway/api.h"

bool openai_read_chat(struct job *j, struct fault *f);
bool openai_read_completion(struct job *j, struct fault *f);

#endif
