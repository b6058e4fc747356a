/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The models that a pool serves: each file's metadata, tokenizer and chat template, and its content
 * as blobs named by hash that donors fetch (signed manifest and chunks). The publisher is whoever
 * signed the manifest beside the file (node/publish.h), else the pool itself. Read at start,
 * immutable after; the files stay mapped.
 */
#ifndef AYNI_NODE_POOL_CATALOG_H
#define AYNI_NODE_POOL_CATALOG_H

#include "compute/gguf.h"
#include "compute/kv.h"
#include "compute/model.h"
#include "compute/template.h"
#include "compute/tokenizer.h"
#include "compute/tool_format.h"
#include "node/pool/placement.h"
#include "protocol/identity.h"

enum { CATALOG_MAX_MODELS = 64 };

struct catalog;

struct catalog_model {
	char name[LIMIT_NAME_BYTES]; /* the file's name without folder and .gguf */
	struct hash id;              /* of the signed manifest */
	struct public_key publisher;
	struct gguf *gguf;
	struct model_sizes sizes;
	struct tokenizer *tokenizer;
	struct template *chat_template;   /* NULL: the file has none */
	bool has_tools;                   /* the template shows them, */
	enum tool_format tool_format;     /* and teaches this way to call them */
	uint32_t kv_tokens;               /* context of a session here */
	enum kv_type kv_type;             /* how its keys and values are kept */
	uint64_t *layer_bytes;            /* [n_layers] weights of each layer */
	uint64_t first_bytes, last_bytes; /* embedding; norm and head */
	struct placement_part *parts;     /* of layers and head, as in struct placement_model */
	uint32_t *part_at;                /* [n_layers + 2] */
};

int catalog_new(struct catalog **out, struct error *err);
void catalog_free(struct catalog *c);
/* What sessions' caches are like here. */
struct catalog_kv {
	uint64_t max_tokens; /* of a session; the model's context may be less */
	enum kv_type type;
};
/* Hashes the whole file: about a second a gigabyte. AYNI_ERR_EXISTS if another model has this name,
 * AYNI_ERR_UNSUPPORTED if its keys and values cannot be kept so; a file that donors could not load
 * is refused. On failure the catalog is as before. */
int catalog_add(struct catalog *c, const char *path, const struct identity *pool,
    const struct catalog_kv *kv, struct error *err);

size_t catalog_size(const struct catalog *c);
const struct catalog_model *catalog_at(const struct catalog *c, size_t i);
/* By name; the first for "". AYNI_ERR_NOT_FOUND lists what there is. */
int catalog_find(const struct catalog *c, const char *name, uint32_t *index, struct error *err);
/* A manifest or chunk; borrowed from the catalog. */
bool catalog_blob(const struct catalog *c, const struct hash *name, struct span *out);

#endif
