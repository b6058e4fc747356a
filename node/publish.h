/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it takes to publish a model file: its manifest (chunks of at most LIMIT_CHUNK_BYTES, none of
 * them across two tensors, each with its hash) and the publisher's signature, which lies beside the
 * file as FILE.manifest.
 */
#ifndef AYNI_NODE_PUBLISH_H
#define AYNI_NODE_PUBLISH_H

#include "compute/gguf.h"
#include "protocol/identity.h"
#include "protocol/receipt.h"

enum { PUBLISH_MAX_MANIFEST_BYTES = 64 << 20 };

/* "model.gguf" and all paths to it are called "model". */
void publish_name(const char *path, char name[LIMIT_NAME_BYTES]);

/* Cut and hash the whole file (about a second a gigabyte). manifest_free releases the chunks, on
 * failure too. The publisher is left as zeros. */
int publish_cut(const struct gguf *g, const char *name, struct manifest *out, struct error *err);

/* Write PATH.manifest: the manifest signed. */
int publish_write(const struct manifest *m, const char *path, const struct identity *publisher,
    struct error *err);

/*
 * Read PATH.manifest, if there is one, and check it against the file as cut: signature, name, and
 * every chunk. *signed_manifest is malloc'd, *publisher who signed it. AYNI_ERR_NOT_FOUND if there
 * is none, AYNI_ERR_SIGNATURE if it is of another file, or nobody's.
 */
int publish_read(const char *path, const struct manifest *cut, uint8_t **signed_manifest,
    size_t *len, struct public_key *publisher, struct error *err);

#endif
