/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was said, turn by turn, and its form as JSON: {"model": ..., "messages": [{"role": ...,
 * "content": ...}]}, which is also what an OpenAI client sends. A turn of the assistant that was
 * broken off has "interrupted": true beside. One thread.
 */
#ifndef AYNI_NODE_CLI_CONVERSATION_H
#define AYNI_NODE_CLI_CONVERSATION_H

#include "protocol/messages.h"

struct conversation;

enum {
	CONVERSATION_MAX_TURNS = 256,
	CONVERSATION_MAX_BYTES = 16 << 20 /* of a file that is read */
};

int conversation_new(struct conversation **out, struct error *err);
void conversation_free(struct conversation *c);

/* All turns, oldest first; valid until the next change. */
struct turn *conversation_turns(struct conversation *c, size_t *n);
/* Add a turn: "user" or "assistant", or "system" to begin with. AYNI_ERR_LIMIT after
 * CONVERSATION_MAX_TURNS, AYNI_ERR_FORMAT if it is not UTF-8. */
int conversation_add(
    struct conversation *c, const char *role, const char *content, struct error *err);
/* The last turn was broken off. */
void conversation_interrupted(struct conversation *c);
/* Forget the last turn, which there must be. */
void conversation_take_back(struct conversation *c);
/* Forget all turns but the system message. */
void conversation_clear(struct conversation *c);

/* NULL if there is none. */
const char *conversation_system(const struct conversation *c);
/* Set the system message, which is the first turn; "" removes it. */
int conversation_set_system(struct conversation *c, const char *text, struct error *err);

/* `model` may be "", and is then left out. *out is to be freed. */
int conversation_json(
    const struct conversation *c, const char *model, char **out, struct error *err);
/* Take the turns of JSON as above, or of its array of messages alone, instead of those that were
 * there; after an error those stay. */
int conversation_parse(struct conversation *c, const char *json, size_t len, struct error *err);

/*
 * Write the JSON into a file that only its owner may read. A file that is there already is
 * replaced if this conversation wrote it, else AYNI_ERR_EXISTS.
 */
int conversation_save(
    struct conversation *c, const char *path, const char *model, struct error *err);
/* As conversation_parse, from a file. */
int conversation_load(struct conversation *c, const char *path, struct error *err);

#endif
