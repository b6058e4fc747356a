/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Merkle tree and its entries as files that never change, so that any web server can give them
 * out and any proof can be made from them by whoever reads.
 *
 *     checkpoint                    what the log says of itself, signed; the only one that changes
 *     tile/<L>/<N>                  256 hashes of level 8L, from the 256N-th on
 *     tile/<L>/<N>.p/<W>            the last of a level while it has only W
 *     tile/entries/<N>, .p/<W>      the entries themselves, each after its length in two bytes
 *     signatures/<N>                ours: a donor's signature for each entry of bundle N, 64 bytes;
 *                                   zeros, or past the end: it has not countersigned
 *
 * Numbers are three digits a folder: 1234067 is x001/x234/067.
 *
 * Source: C2SP tlog-tiles. Pure functions, any thread; a struct tile_source is one thread's.
 */
#ifndef AYNI_STORAGE_TILES_H
#define AYNI_STORAGE_TILES_H

#include "storage/merkle.h"

enum {
	TILE_HEIGHT = 8,
	TILE_WIDTH = 1 << TILE_HEIGHT,
	TILE_BYTES = TILE_WIDTH * HASH_BYTES,
	TILE_LEVELS = MERKLE_LEVELS / TILE_HEIGHT,
	TILE_PATH_BYTES = 64,
	BUNDLE_ENTRY_MAX = 65535,
	BUNDLE_BYTES_MAX = TILE_WIDTH * 1024 /* of our entries: receipts of up to 512 bytes */
};

#define TILE_CHECKPOINT "checkpoint"

/* Hashes of a tile in a tree of `size` leaves: 0 if there is no such tile. */
unsigned tile_width(unsigned level, uint64_t index, uint64_t size);
/* Relative to the log's folder or URL. Width TILE_WIDTH: a full one. */
void tile_path(unsigned level, uint64_t index, unsigned width, char out[TILE_PATH_BYTES]);
void tile_entries_path(uint64_t index, unsigned width, char out[TILE_PATH_BYTES]);
void tile_signatures_path(uint64_t index, char out[TILE_PATH_BYTES]);
/* The root of a subtree of n leaves, n a power of two of at most TILE_WIDTH. */
void tile_root(const struct hash *hashes, unsigned n, struct hash *out);

/* ---- bundles of entries ------------------------------------------------------------------- */

struct bundle {
	unsigned n;
	struct span entries[TILE_WIDTH]; /* borrowed */
};

/* Add an entry; out has room for 2 more bytes than it. The bytes written. */
size_t bundle_put(uint8_t *out, struct span entry);
/* Exactly n entries, and nothing behind: else AYNI_ERR_FORMAT. */
int bundle_parse(const uint8_t *data, size_t len, unsigned n, struct bundle *out);

/* ---- hashes from tiles -------------------------------------------------------------------- */

/* Gives the first `width` hashes of a tile, or an error, which is handed on. */
typedef int tile_read_fn(
    void *context, unsigned level, uint64_t index, unsigned width, struct hash *out);

/* Of a tree of `size` leaves; keeps the last tile read of each level. */
struct tile_source {
	uint64_t size;
	tile_read_fn *read;
	void *context;
	uint64_t kept_index[TILE_LEVELS];
	unsigned kept_width[TILE_LEVELS]; /* 0: none */
	struct hash kept[TILE_LEVELS][TILE_WIDTH];
};

/* A merkle_read_fn; its context is a tile_source. AYNI_ERR_ARGUMENT past the tree. */
int tile_source_hash(void *source, unsigned level, uint64_t index, struct hash *out);

#endif
