/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's conversation as the tokens of its prompt, by the model's chat template: messages,
 * their calls of tools, and the tools. Pure.
 */
#ifndef AYNI_NODE_POOL_TURNS_H
#define AYNI_NODE_POOL_TURNS_H

#include "node/pool/catalog.h"
#include "protocol/message_types.h"

/*
 * *ids is malloc'd. AYNI_ERR_UNSUPPORTED: the model has no template, or it has no tools, or calls
 * them in a way not known here; AYNI_ERR_FORMAT: tools or calls are not a list in JSON.
 */
int turns_encode(const struct catalog_model *m, const struct msg_generate *g, uint32_t **ids,
    size_t *n, struct error *err);

#endif
