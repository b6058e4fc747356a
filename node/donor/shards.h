/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which chunks of a model's file a donor needs, has, and has asked for. Plain bookkeeping over a
 * manifest: the loop checks the cache, sends the requests and stores what comes. What is needed has
 * a part, 0 first: chunks are looked up and asked for in the order of parts, so that the first is
 * complete long before the last. One thread.
 *
 *   unwanted --want--> UNKNOWN --have--> HERE
 *                        |                ^
 *                        +--missing--> WANTED --ask--> ASKED --have--+
 *                                        ^--- too long ago ---+
 */
#ifndef AYNI_NODE_DONOR_SHARDS_H
#define AYNI_NODE_DONOR_SHARDS_H

#include "protocol/receipt.h"

struct shards;

enum { SHARDS_MAX_ASKED = 64, SHARDS_PARTS = LIMIT_LAYERS };

/* The manifest's chunks are taken over (m->chunks becomes NULL). */
int shards_new(struct manifest *m, struct shards **out, struct error *err);
void shards_free(struct shards *s);

/* Chunks that overlap bytes [offset, offset + len) of the file are needed for a part; of those that
 * several parts need the first one is theirs. */
void shards_want(struct shards *s, uint64_t offset, uint64_t len, uint32_t part);

/* A needed chunk whose presence is not known yet; false: there is none. */
bool shards_unknown(struct shards *s, size_t *index);
const struct manifest_chunk *shards_chunk(const struct shards *s, size_t index);
void shards_here(struct shards *s, size_t index);
void shards_missing(struct shards *s, size_t index);

/* Up to `max` hashes to ask for now; they count as asked until here, or until `again_us` passed. */
size_t shards_ask(
    struct shards *s, struct hash *out, size_t max, uint64_t now_us, uint64_t again_us);
/* Who was asked for this content does not have it: it is wanted again. */
void shards_lost(struct shards *s, const struct hash *content);
/* Nothing that was asked for will come: all of it is wanted again. */
void shards_all_lost(struct shards *s);
/* A chunk of this content that is here. */
bool shards_held(const struct shards *s, const struct hash *content, size_t *index);
/* Needed chunks of this content that are not here yet: the next index at or after *index. */
bool shards_find(const struct shards *s, const struct hash *content, size_t *index);

bool shards_complete(const struct shards *s); /* all that is needed is here */
bool shards_part_complete(const struct shards *s, uint32_t part);
void shards_progress(const struct shards *s, uint64_t *here_bytes, uint64_t *needed_bytes);

#endif
