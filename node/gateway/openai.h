/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of OpenAI's API share: openai.c, openai_answer.c, responses.c, responses_answer.c.
 */
#ifndef AYNI_NODE_GATEWAY_OPENAI_H
#define AYNI_NODE_GATEWAY_OPENAI_H

#include "node/gateway/api.h"

bool openai_read_chat(struct job *j, struct fault *f);
bool openai_read_completion(struct job *j, struct fault *f);
bool responses_read(struct job *j, struct fault *f);

/* As templates call it; NULL if there is none of that name, or it is NULL. */
const char *openai_role(const char *role);
/* A message's "content": a string, or text in parts of these types (NULL-terminated). What is
 * missing is empty. *content is kept, or NULL if memory is out. */
bool openai_content(struct job *j, const json_t *message, const char *where,
    const char *const *types, const char **content, struct fault *f);
/* o's member that says in which format the answer is to be: only text. */
bool openai_format(const json_t *o, const char *name, const char *where, struct fault *f);

#endif
