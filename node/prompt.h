/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations to token ids, by the chat template and the tokenizer of a model file: the same for
 * a pool's sessions and for `ayni run`. Pure functions; *ids is malloc'd, the caller frees it.
 */
#ifndef AYNI_NODE_PROMPT_H
#define AYNI_NODE_PROMPT_H

#include "compute/gguf.h"
#include "compute/template.h"
#include "compute/tokenizer.h"
#include "compute/tool_format.h"

/* *out is NULL if the file has no chat template. */
int prompt_template(const struct gguf *g, struct template **out, struct error *err);
/* How a model with this template calls tools. *has_tools: the template shows it some at all. */
enum tool_format prompt_tool_format(const struct gguf *g, bool *has_tools);

/* The messages, and the beginning of an answer. AYNI_ERR_UNSUPPORTED if t is NULL. */
int prompt_encode_chat(const struct template *t, const struct tokenizer *tokenizer,
    const struct chat *chat, uint32_t **ids, size_t *n_ids, struct error *err);
/* Text as it is; BOS before it if the model wants one. */
int prompt_encode_text(const struct tokenizer *tokenizer, const char *text, uint32_t **ids,
    size_t *n_ids, struct error *err);

#endif
