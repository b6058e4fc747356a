/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/public_log.h"

#include <stdlib.h>
#include <unistd.h>

#include "protocol/checkpoint.h"
#include "storage/files.h"
#include "storage/tiles.h"

enum {
	SIGNATURES_MAX = 64, /* bundles of countersignatures in one go */
	/* After this a system has written to its disk what was written to a file, by far. */
	SETTLED_MS = 600000
};

struct public_log {
	const struct identity *pool;
	struct db *db;
	struct tree *tree;
	struct ledger *ledger;
	int folder_fd;
	uint64_t published; /* receipts in the folder's checkpoint */
	bool any;           /* there is one */
	bool rewrite;       /* what came after l->published may not have reached the disk */
	uint8_t bundle[BUNDLE_BYTES_MAX];
	struct hash hashes[TILE_WIDTH];
};

/* ---- opening ------------------------------------------------------------------------------ */

/* Does the tree bear out what the folder's checkpoint says? */
static int compare(struct public_log *l, const struct checkpoint *c, struct error *err)
{
	struct hash root;
	int rc;

	if (c->size > tree_size(l->tree))
		return error_set(err, AYNI_ERR_STATE,
		    "the log's checkpoint is of %llu receipts, the database has %llu: it is an "
		    "older "
		    "copy. Put back the newest, or begin a new log with a new key",
		    (unsigned long long)c->size, (unsigned long long)tree_size(l->tree));
	rc = merkle_root_at(c->size, tree_hash, l->tree, &root);
	if (rc == AYNI_OK && !hash_equal(&root, &c->root))
		return error_set(err, AYNI_ERR_STATE,
		    "the log's checkpoint of %llu receipts is not of those in the database",
		    (unsigned long long)c->size);
	if (rc != AYNI_OK)
		return error_set(err, (enum ayni_error)rc, "the log's tree cannot be read");
	l->any = true;
	rc = tree_checkpoint_settled(l->tree, SETTLED_MS, &l->published, err);
	if (l->published > c->size)
		l->published = c->size;
	l->rewrite = l->published < c->size;
	return rc;
}

/* A checkpoint of another key, or a damaged one, is as good as none. */
static int find_published(struct public_log *l, struct error *err)
{
	struct checkpoint c;
	uint8_t *data;
	size_t len;
	int rc = files_read(l->folder_fd, TILE_CHECKPOINT, NOTE_BYTES_MAX, &data, &len, err);

	if (rc == AYNI_ERR_NOT_FOUND || rc == AYNI_ERR_LIMIT)
		return AYNI_OK;
	if (rc != AYNI_OK)
		return rc;
	if (checkpoint_open((const char *)data, len, identity_public(l->pool), &c, NULL) == AYNI_OK)
		rc = compare(l, &c, err);
	free(data);
	return rc;
}

int public_log_new(const struct identity *pool, struct db *db, struct tree *tree,
    struct ledger *ledger, const char *folder, struct public_log **out, struct error *err)
{
	struct public_log *l = calloc(1, sizeof *l);
	int rc;

	*out = NULL;
	if (l == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "log: out of memory");
	l->pool = pool;
	l->db = db;
	l->tree = tree;
	l->ledger = ledger;
	l->folder_fd = -1;
	rc = files_open_folder(folder, &l->folder_fd, err);
	if (rc == AYNI_OK)
		rc = find_published(l, err);
	if (rc != AYNI_OK) {
		public_log_free(l);
		return rc;
	}
	*out = l;
	return AYNI_OK;
}

void public_log_free(struct public_log *l)
{
	if (l == NULL)
		return;
	if (l->folder_fd >= 0)
		(void)close(l->folder_fd);
	free(l);
}

/* ---- tiles and bundles -------------------------------------------------------------------- */

static int write_file(
    struct public_log *l, const char *path, const void *data, size_t len, struct error *err)
{
	return files_write(l->folder_fd, path, (struct span){data, len}, FILES_LATER, err);
}

/* Partial files of something that is whole now. */
static void remove_partial(struct public_log *l, const char *path)
{
	char folder[TILE_PATH_BYTES + 4];

	(void)snprintf(folder, sizeof folder, "%s.p", path);
	files_remove_folder(l->folder_fd, folder);
}

struct gathering {
	struct public_log *log;
	unsigned n;
	size_t len;
};

static int gather(void *context, const struct ledger_entry *e)
{
	struct gathering *g = context;
	struct public_log *l = g->log;

	if (g->n == TILE_WIDTH || e->receipt.len + 2 > sizeof l->bundle - g->len)
		return AYNI_ERR_LIMIT;
	merkle_leaf(e->receipt.data, e->receipt.len, &l->hashes[g->n++]);
	g->len += bundle_put(l->bundle + g->len, e->receipt);
	return AYNI_OK;
}

/* The entries of one bundle and the tile of their hashes. */
static int write_bundle(struct public_log *l, uint64_t index, uint64_t size, struct error *err)
{
	struct gathering g = {.log = l};
	unsigned width = tile_width(0, index, size);
	char path[TILE_PATH_BYTES];
	int rc = ledger_each(l->ledger, index * TILE_WIDTH, width, gather, &g, err);

	if (rc == AYNI_OK && g.n != width)
		rc = error_set(err, AYNI_ERR_STATE, "log: receipts are missing");
	if (rc != AYNI_OK)
		return rc;
	tile_entries_path(index, width, path);
	rc = write_file(l, path, l->bundle, g.len, err);
	if (rc == AYNI_OK && width == TILE_WIDTH)
		remove_partial(l, path);
	tile_path(0, index, width, path);
	if (rc == AYNI_OK)
		rc = write_file(l, path, l->hashes, width * sizeof *l->hashes, err);
	if (rc == AYNI_OK && width == TILE_WIDTH)
		remove_partial(l, path);
	return rc;
}

static int write_tile(
    struct public_log *l, unsigned level, uint64_t index, uint64_t size, struct error *err)
{
	unsigned width = tile_width(level, index, size);
	char path[TILE_PATH_BYTES];
	int rc = tree_tile(l->tree, level, index, width, l->hashes);

	if (rc != AYNI_OK)
		return error_set(err, (enum ayni_error)rc, "log: the tree cannot be read");
	tile_path(level, index, width, path);
	rc = write_file(l, path, l->hashes, width * sizeof *l->hashes, err);
	if (rc == AYNI_OK && width == TILE_WIDTH)
		remove_partial(l, path);
	return rc;
}

/* What a tree of `size` leaves has and one of l->published had not. */
static int write_tiles(struct public_log *l, uint64_t size, struct error *err)
{
	int rc = AYNI_OK;

	for (uint64_t i = l->published / TILE_WIDTH; rc == AYNI_OK && tile_width(0, i, size) > 0;
	     i++)
		rc = write_bundle(l, i, size, err);
	for (unsigned level = 1; level < TILE_LEVELS; level++) {
		uint64_t had = l->published >> (TILE_HEIGHT * level);

		if (size >> (TILE_HEIGHT * level) == had)
			continue;
		for (uint64_t i = had / TILE_WIDTH; rc == AYNI_OK && tile_width(level, i, size) > 0;
		     i++)
			rc = write_tile(l, level, i, size, err);
	}
	return rc;
}

/* ---- countersignatures -------------------------------------------------------------------- */

static int gather_signature(void *context, const struct ledger_entry *e)
{
	struct gathering *g = context;

	if (g->n == TILE_WIDTH)
		return AYNI_ERR_LIMIT;
	memset(g->log->bundle + g->len, 0, SIGNATURE_BYTES);
	if (e->countersigned)
		memcpy(g->log->bundle + g->len, e->donor_signature.bytes, SIGNATURE_BYTES);
	g->len += SIGNATURE_BYTES;
	g->n++;
	return AYNI_OK;
}

static int write_signatures(struct public_log *l, uint64_t index, struct error *err)
{
	struct gathering g = {.log = l};
	char path[TILE_PATH_BYTES];
	int rc = ledger_each(l->ledger, index * TILE_WIDTH,
	    tile_width(0, index, tree_size(l->tree)), gather_signature, &g, err);

	tile_signatures_path(index, path);
	if (rc == AYNI_OK)
		rc = write_file(l, path, l->bundle, g.len, err);
	return rc == AYNI_OK ? tree_published(l->tree, index, err) : rc;
}

/* Some now, the others the next time: no turn takes long. */
static int publish_signatures(struct public_log *l, struct error *err)
{
	uint64_t bundles[SIGNATURES_MAX];
	size_t n;
	int rc = tree_unpublished(l->tree, bundles, SIGNATURES_MAX, &n, err);

	if (rc != AYNI_OK || n == 0)
		return rc;
	rc = db_begin(l->db, err);
	for (size_t i = 0; rc == AYNI_OK && i < n; i++)
		rc = write_signatures(l, bundles[i], err);
	if (rc == AYNI_OK)
		rc = db_commit(l->db, err);
	db_rollback(l->db);
	return rc;
}

/* ---- checkpoints -------------------------------------------------------------------------- */

/* In the database before anybody can see it. */
static int sign(struct public_log *l, uint64_t now_ms, char text[CHECKPOINT_TEXT_BYTES],
    struct checkpoint *c, struct error *err)
{
	struct tree_checkpoint last = {0};
	int rc = tree_checkpoint_last(l->tree, &last, err);

	*c = (struct checkpoint){.size = tree_size(l->tree)};
	tree_root(l->tree, &c->root);
	if (rc == AYNI_ERR_NOT_FOUND || (rc == AYNI_OK && last.size < c->size)) {
		last = (struct tree_checkpoint){c->size, c->root, now_ms};
		rc = tree_checkpoint_add(l->tree, &last, err);
	}
	return rc == AYNI_OK ? checkpoint_sign(c, l->pool, text, err) : rc;
}

int public_log_publish(struct public_log *l, uint64_t now_ms, struct error *err)
{
	char text[CHECKPOINT_TEXT_BYTES];
	uint64_t size = tree_size(l->tree);
	struct checkpoint c;
	int rc = AYNI_OK;

	if (!l->any || l->rewrite || size > l->published) {
		rc = sign(l, now_ms, text, &c, err);
		if (rc == AYNI_OK)
			rc = write_tiles(l, size, err);
		if (rc == AYNI_OK)
			rc = write_file(l, TILE_CHECKPOINT, text, strlen(text), err);
		if (rc != AYNI_OK)
			return rc;
		l->published = size;
		l->any = true;
		l->rewrite = false;
	}
	return publish_signatures(l, err);
}
