/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers a donor keeps on disk: for each model one sparse image of the model file, holes where
 * chunks were not fetched, so that compute/gguf.h maps it like a whole file.
 *
 * Chunks are named by hash. There is no index to go out of step with the data: whether a chunk is
 * there is found by hashing what the image holds (holes are skipped), so a damaged or half-written
 * chunk after a power cut is simply fetched again. One thread; one process by a lock on the folder.
 */
#ifndef AYNI_STORAGE_CACHE_H
#define AYNI_STORAGE_CACHE_H

#include "protocol/base.h"

struct cache;
struct cache_image;

struct cache_chunk {
	uint64_t offset;
	uint32_t length;
	struct hash hash;
};

/* Makes the folder if missing. max_bytes bounds the disk space of all images together. */
int cache_open(const char *folder, uint64_t max_bytes, struct cache **out, struct error *err);
void cache_free(struct cache *c);

/* The image of a model (id: its manifest's hash), of file_bytes, created as one hole if missing. */
int cache_image_open(struct cache *c, const struct hash *model, uint64_t file_bytes,
    struct cache_image **out, struct error *err);
void cache_image_free(struct cache_image *i);    /* closes; the file stays */
int cache_image_fd(const struct cache_image *i); /* for reading; borrowed */

/* Is the chunk there and right? Reads and hashes it. */
bool cache_has(struct cache_image *i, const struct cache_chunk *chunk);
/*
 * Store a chunk; AYNI_ERR_SIGNATURE if data does not have the chunk's hash (nothing is written),
 * AYNI_ERR_LIMIT if the cache is full after images not open have been removed, oldest use first.
 */
int cache_put(struct cache_image *i, const struct cache_chunk *chunk, const uint8_t *data,
    size_t len, struct error *err);
/* Blobs that are not chunks (signed manifests), whole files named by their hash. */
int cache_blob_put(
    struct cache *c, const struct hash *name, const uint8_t *data, size_t len, struct error *err);
/* *data is malloc'd; AYNI_ERR_NOT_FOUND. A damaged one is not found. */
int cache_blob_get(struct cache *c, const struct hash *name, uint8_t **data, size_t *len);

uint64_t cache_used_bytes(const struct cache *c); /* disk space really taken */

#endif
