/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/tiles.h"

unsigned tile_width(unsigned level, uint64_t index, uint64_t size)
{
	uint64_t hashes = level < TILE_LEVELS ? size >> (TILE_HEIGHT * level) : 0;
	uint64_t first;

	if (index > UINT64_MAX >> TILE_HEIGHT)
		return 0;
	first = index << TILE_HEIGHT;
	if (first >= hashes)
		return 0;
	return hashes - first < TILE_WIDTH ? (unsigned)(hashes - first) : TILE_WIDTH;
}

/* Three digits a folder, all but the last with an x before. */
static void put_number(uint64_t index, unsigned width, char *out, size_t size)
{
	uint64_t above = 1;
	size_t at = 0;

	while (index / above >= 1000)
		above *= 1000;
	for (; above > 1; above /= 1000)
		at += (size_t)snprintf(
		    out + at, size - at, "x%03u/", (unsigned)(index / above % 1000));
	at += (size_t)snprintf(out + at, size - at, "%03u", (unsigned)(index % 1000));
	if (width < TILE_WIDTH)
		(void)snprintf(out + at, size - at, ".p/%u", width);
}

static void put_path(const char *folder, uint64_t index, unsigned width, char out[TILE_PATH_BYTES])
{
	int n = snprintf(out, TILE_PATH_BYTES, "%s/", folder);

	put_number(index, width, out + n, TILE_PATH_BYTES - (size_t)n);
}

void tile_path(unsigned level, uint64_t index, unsigned width, char out[TILE_PATH_BYTES])
{
	char folder[16];

	(void)snprintf(folder, sizeof folder, "tile/%u", level % TILE_LEVELS);
	put_path(folder, index, width, out);
}

void tile_entries_path(uint64_t index, unsigned width, char out[TILE_PATH_BYTES])
{
	put_path("tile/entries", index, width, out);
}

void tile_signatures_path(uint64_t index, char out[TILE_PATH_BYTES])
{
	put_path("signatures", index, TILE_WIDTH, out);
}

void tile_root(const struct hash *hashes, unsigned n, struct hash *out)
{
	struct hash sums[TILE_WIDTH];

	memcpy(sums, hashes, n * sizeof *sums);
	for (; n > 1; n /= 2) {
		for (unsigned i = 0; i < n / 2; i++)
			merkle_node(&sums[2 * i], &sums[2 * i + 1], &sums[i]);
	}
	*out = sums[0];
}

/* ---- bundles of entries ------------------------------------------------------------------- */

size_t bundle_put(uint8_t *out, struct span entry)
{
	assert(entry.len <= BUNDLE_ENTRY_MAX);
	out[0] = (uint8_t)(entry.len >> 8);
	out[1] = (uint8_t)entry.len;
	if (entry.len > 0)
		memcpy(out + 2, entry.data, entry.len);
	return entry.len + 2;
}

int bundle_parse(const uint8_t *data, size_t len, unsigned n, struct bundle *out)
{
	size_t at = 0;

	out->n = 0;
	if (n > TILE_WIDTH)
		return AYNI_ERR_FORMAT;
	while (out->n < n) {
		size_t entry;

		if (len - at < 2)
			return AYNI_ERR_FORMAT;
		entry = (size_t)data[at] << 8 | data[at + 1];
		at += 2;
		if (len - at < entry)
			return AYNI_ERR_FORMAT;
		out->entries[out->n++] = (struct span){data + at, entry};
		at += entry;
	}
	return at == len ? AYNI_OK : AYNI_ERR_FORMAT;
}

/* ---- hashes from tiles -------------------------------------------------------------------- */

static int get_tile(struct tile_source *s, unsigned level, uint64_t index)
{
	unsigned width = tile_width(level, index, s->size);
	int rc;

	if (width == 0)
		return AYNI_ERR_ARGUMENT;
	if (s->kept_width[level] == width && s->kept_index[level] == index)
		return AYNI_OK;
	s->kept_width[level] = 0;
	rc = s->read(s->context, level, index, width, s->kept[level]);
	if (rc != AYNI_OK)
		return rc;
	s->kept_width[level] = width;
	s->kept_index[level] = index;
	return AYNI_OK;
}

int tile_source_hash(void *source, unsigned level, uint64_t index, struct hash *out)
{
	struct tile_source *s = source;
	unsigned tile = level / TILE_HEIGHT, n = 1U << level % TILE_HEIGHT;
	unsigned first = (unsigned)(index * n % TILE_WIDTH);
	int rc;

	if (level >= MERKLE_LEVELS || index > (MERKLE_SIZE_MAX - 1) >> level)
		return AYNI_ERR_ARGUMENT;
	rc = get_tile(s, tile, index * n / TILE_WIDTH);
	if (rc != AYNI_OK)
		return rc;
	if (s->kept_width[tile] < first + n)
		return AYNI_ERR_ARGUMENT;
	tile_root(&s->kept[tile][first], n, out);
	return AYNI_OK;
}
