/* SPDX-License-Identifier: Apache-2.0 */
#include "node/log_prune.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "node/log_reader.h"
#include "protocol/receipt.h"

/* Did all its windows end before? A bundle must be what its tile says, or the tile is worth nothing
 * without it. */
static int is_old(
    struct log_reader *r, uint64_t index, uint64_t before_ms, bool *old, struct error *err)
{
	struct hash tile[TILE_WIDTH], leaf;
	struct bundle b;
	int rc = log_reader_tile(r, 0, index, TILE_WIDTH, tile);

	*old = false;
	if (rc != AYNI_OK)
		return error_set(err, (enum ayni_error)rc, "%s", log_reader_why(r));
	rc = log_reader_bundle(r, index, TILE_WIDTH, &b, err);
	for (unsigned i = 0; rc == AYNI_OK && i < TILE_WIDTH; i++) {
		struct receipt receipt;

		merkle_leaf(b.entries[i].data, b.entries[i].len, &leaf);
		if (!hash_equal(&leaf, &tile[i]))
			return error_set(err, AYNI_ERR_SIGNATURE,
			    "receipt %llu is not the one of the tree: nothing from there on is "
			    "removed",
			    (unsigned long long)(index * TILE_WIDTH + i + 1));
		rc = receipt_read(b.entries[i], &receipt, err);
		if (rc == AYNI_OK && receipt.last_ms >= before_ms)
			return AYNI_OK;
	}
	*old = rc == AYNI_OK;
	return rc;
}

static int remove_file(int folder_fd, const char *path, struct error *err)
{
	if (unlinkat(folder_fd, path, 0) != 0 && errno != ENOENT)
		return error_set(err, AYNI_ERR_IO, "%s: %s", path, strerror(errno));
	return AYNI_OK;
}

/* Countersignatures first: a bundle that is gone says that they are too. */
static int remove_bundle(int folder_fd, uint64_t index, struct error *err)
{
	char path[TILE_PATH_BYTES];
	int rc;

	tile_signatures_path(index, path);
	rc = remove_file(folder_fd, path, err);
	tile_entries_path(index, TILE_WIDTH, path);
	return rc == AYNI_OK ? remove_file(folder_fd, path, err) : rc;
}

static int prune(struct log_reader *r, int folder_fd, uint64_t before_ms, struct log_pruned *out,
    struct error *err)
{
	struct log_head head = {0};
	uint64_t bundles, first = 0;
	int rc = log_reader_head(r, NULL, &head, err);

	bundles = head.checkpoint.size / TILE_WIDTH;
	if (rc == AYNI_OK)
		rc = log_reader_first(r, head.checkpoint.size, &first, err);
	for (; rc == AYNI_OK && first < bundles; first++) {
		bool old;

		rc = is_old(r, first, before_ms, &old, err);
		if (rc == AYNI_OK && !old)
			break;
		if (rc == AYNI_OK)
			rc = remove_bundle(folder_fd, first, err);
		out->bundles += rc == AYNI_OK ? 1 : 0;
	}
	out->receipts = first * TILE_WIDTH;
	log_head_free(&head);
	return rc;
}

int log_prune(const char *folder, uint64_t before_ms, struct log_pruned *out, struct error *err)
{
	struct log_reader *r = NULL;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	*out = (struct log_pruned){0};
	if (fd < 0)
		return error_set(err, AYNI_ERR_IO, "%.180s: %s", folder, strerror(errno));
	rc = log_reader_open(folder, &r, err);
	if (rc == AYNI_OK)
		rc = prune(r, fd, before_ms, out, err);
	log_reader_free(r);
	(void)close(fd);
	return rc;
}
