/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder: `lock`, <model>.gguf (images), <hash>.blob, and <hash>.tmp while a blob is written.
 * Names are made from hashes only. Sizes are asked of the file system each time: there are few
 * files, and a counter could go out of step.
 */
#include "storage/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	STAT_BLOCK_BYTES = 512, /* the unit of st_blocks */
	BLOB_MAX_BYTES = LIMIT_PAYLOAD_BYTES,
	NAME_CHARS = 2 * HASH_BYTES, /* of a file, before its suffix */
	FILE_NAME_BYTES = HEX32_CHARS + 8,
	RESERVE_BYTES = 64 << 20 /* of the disk, left to others */
};

struct cache {
	int folder_fd, lock_fd;
	uint64_t max_bytes;
	struct cache_image *open; /* list */
	/* The hash of zeros of the last length asked for: what a hole holds. */
	size_t zeros_len;
	struct hash zeros_hash;
};

struct cache_image {
	struct cache *cache;
	struct cache_image *next;
	struct hash model;
	uint64_t file_bytes;
	int fd;
};

static void file_name(char out[FILE_NAME_BYTES], const struct hash *name, const char *suffix)
{
	char hex[HEX32_CHARS];

	(void)sodium_bin2hex(hex, sizeof hex, name->bytes, HASH_BYTES);
	(void)snprintf(out, FILE_NAME_BYTES, "%s%s", hex, suffix);
}

static struct hash hash_of(const uint8_t *data, size_t len)
{
	struct hash h;

	(void)crypto_generichash(h.bytes, HASH_BYTES, data, len, NULL, 0);
	return h;
}

static bool has_hash(const uint8_t *data, size_t len, const struct hash *wanted)
{
	struct hash h = hash_of(data, len);

	return hash_equal(&h, wanted);
}

static int io_error(const char *doing, struct error *err)
{
	return error_set(err, AYNI_ERR_IO, "cache: %s: %s", doing, strerror(errno));
}

/* ---- the files of the folder ---- */

struct file {
	char name[FILE_NAME_BYTES];
	struct timespec used; /* last */
	uint64_t bytes;       /* on disk */
};

/* Is it <hash><suffix>? Others' files in the folder are none of ours. */
static bool is_ours(const char *name, const char *suffix)
{
	size_t n = strspn(name, "0123456789abcdef");

	return n == NAME_CHARS && strcmp(name + n, suffix) == 0;
}

typedef void file_fn(const struct cache *c, const struct file *f, void *context);

static void each_file(const struct cache *c, const char *suffix, file_fn *fn, void *context)
{
	int fd = openat(c->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (dir == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		struct stat st;
		struct file f;

		if (!is_ours(entry->d_name, suffix) ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		memcpy(f.name, entry->d_name, NAME_CHARS + strlen(suffix) + 1); /* is_ours */
		f.used = st.st_mtim;
		f.bytes = (uint64_t)st.st_blocks * STAT_BLOCK_BYTES;
		fn(c, &f, context);
	}
	(void)closedir(dir);
}

static void add_size(const struct cache *c, const struct file *f, void *context)
{
	uint64_t *sum = context;

	(void)c;
	*sum += f->bytes;
}

uint64_t cache_used_bytes(const struct cache *c)
{
	uint64_t sum = 0;

	each_file(c, ".gguf", add_size, &sum);
	each_file(c, ".blob", add_size, &sum);
	return sum;
}

static bool is_open(const struct cache *c, const char *name)
{
	char open_name[FILE_NAME_BYTES];

	for (const struct cache_image *i = c->open; i != NULL; i = i->next) {
		file_name(open_name, &i->model, "");
		if (strncmp(name, open_name, NAME_CHARS) == 0)
			return true;
	}
	return false;
}

static bool is_older(const struct file *a, const struct file *b)
{
	if (a->used.tv_sec != b->used.tv_sec)
		return a->used.tv_sec < b->used.tv_sec;
	if (a->used.tv_nsec != b->used.tv_nsec)
		return a->used.tv_nsec < b->used.tv_nsec;
	return strcmp(a->name, b->name) < 0;
}

static void keep_oldest(const struct cache *c, const struct file *f, void *context)
{
	struct file *oldest = context;

	if (!is_open(c, f->name) && (oldest->name[0] == '\0' || is_older(f, oldest)))
		*oldest = *f;
}

/* Removes the image, not open, whose last use is longest ago, with its manifest. */
static bool evict_one(struct cache *c)
{
	struct file oldest = {.name = ""};
	struct hash model;

	each_file(c, ".gguf", keep_oldest, &oldest);
	if (oldest.name[0] == '\0' || unlinkat(c->folder_fd, oldest.name, 0) != 0)
		return false;
	if (sodium_hex2bin(model.bytes, HASH_BYTES, oldest.name, NAME_CHARS, NULL, NULL, NULL) ==
	    0) {
		file_name(oldest.name, &model, ".blob");
		(void)unlinkat(c->folder_fd, oldest.name, 0);
	}
	return true;
}

static bool fits(const struct cache *c, uint64_t need)
{
	uint64_t used = cache_used_bytes(c);
	struct statvfs v;

	if (need > c->max_bytes || used > c->max_bytes - need)
		return false;
	/* Unknown free space: the write will tell. */
	return fstatvfs(c->folder_fd, &v) != 0 ||
	       (uint64_t)v.f_bavail >= (need + RESERVE_BYTES) / v.f_frsize;
}

static int make_room(struct cache *c, uint64_t need, struct error *err)
{
	if (need > c->max_bytes)
		return error_set(err, AYNI_ERR_LIMIT, "cache: %llu bytes are more than it may hold",
		    (unsigned long long)need);
	while (!fits(c, need))
		if (!evict_one(c))
			return error_set(err, AYNI_ERR_LIMIT,
			    "cache: full (%llu of %llu bytes, or the disk is)",
			    (unsigned long long)cache_used_bytes(c),
			    (unsigned long long)c->max_bytes);
	return AYNI_OK;
}

/* ---- whole reads and writes ---- */

static bool read_all(int fd, uint8_t *data, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pread(fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

static int write_all(int fd, const uint8_t *data, size_t len, uint64_t offset, struct error *err)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
			return error_set(err, AYNI_ERR_LIMIT, "cache: the disk is full");
		if (n <= 0)
			return io_error("writing", err);
		data += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return AYNI_OK;
}

/* ---- open, free ---- */

static void remove_file(const struct cache *c, const struct file *f, void *context)
{
	(void)context;
	(void)unlinkat(c->folder_fd, f->name, 0);
}

static int take_lock(struct cache *c, const char *folder, struct error *err)
{
	c->lock_fd = openat(c->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lock_fd < 0)
		return io_error("making the lock", err);
	if (flock(c->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return AYNI_OK;
	if (errno != EWOULDBLOCK)
		return io_error("locking", err);
	return error_set(err, AYNI_ERR_STATE, "cache: %s is in use by another process", folder);
}

int cache_open(const char *folder, uint64_t max_bytes, struct cache **out, struct error *err)
{
	struct cache *c = calloc(1, sizeof *c);
	int rc = AYNI_OK;

	*out = NULL;
	if (c == NULL || sodium_init() < 0) {
		free(c);
		return error_set(err, AYNI_ERR_MEMORY, "cache: out of memory");
	}
	c->max_bytes = max_bytes;
	c->lock_fd = -1;
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		rc = error_set(
		    err, AYNI_ERR_IO, "cache: cannot make %s: %s", folder, strerror(errno));
	c->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rc == AYNI_OK && c->folder_fd < 0)
		rc = error_set(
		    err, AYNI_ERR_IO, "cache: cannot open %s: %s", folder, strerror(errno));
	if (rc == AYNI_OK)
		rc = take_lock(c, folder, err);
	if (rc != AYNI_OK) {
		cache_free(c);
		return rc;
	}
	each_file(c, ".tmp", remove_file, NULL); /* what a crash left */
	*out = c;
	return AYNI_OK;
}

void cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	assert(c->open == NULL); /* images go first */
	if (c->lock_fd >= 0)
		(void)close(c->lock_fd);
	if (c->folder_fd >= 0)
		(void)close(c->folder_fd);
	free(c);
}

/* ---- images ---- */

/* A size that differs is a half-made or damaged image: its chunks are checked one by one anyway. */
static int set_size(const struct cache_image *image, struct error *err)
{
	struct stat st;

	if (fstat(image->fd, &st) != 0)
		return io_error("looking at an image", err);
	if (!S_ISREG(st.st_mode))
		return error_set(err, AYNI_ERR_FORMAT, "cache: an image is not a file");
	if ((uint64_t)st.st_size == image->file_bytes)
		return AYNI_OK;
	for (const struct cache_image *i = image->cache->open; i != NULL; i = i->next)
		if (hash_equal(&i->model, &image->model))
			return error_set(
			    err, AYNI_ERR_STATE, "cache: the image is open with another size");
	if (ftruncate(image->fd, (off_t)image->file_bytes) != 0)
		return io_error("sizing an image", err);
	return AYNI_OK;
}

int cache_image_open(struct cache *c, const struct hash *model, uint64_t file_bytes,
    struct cache_image **out, struct error *err)
{
	char name[FILE_NAME_BYTES];
	struct cache_image *i;
	int rc;

	*out = NULL;
	if (file_bytes == 0 || file_bytes > INT64_MAX)
		return error_set(err, AYNI_ERR_LIMIT, "cache: an image cannot have %llu bytes",
		    (unsigned long long)file_bytes);
	i = calloc(1, sizeof *i);
	if (i == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "cache: out of memory");
	*i = (struct cache_image){.cache = c, .model = *model, .file_bytes = file_bytes};
	file_name(name, model, ".gguf");
	i->fd = openat(
	    c->folder_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	rc = i->fd < 0 ? io_error("opening an image", err) : set_size(i, err);
	if (rc != AYNI_OK) {
		if (i->fd >= 0)
			(void)close(i->fd);
		free(i);
		return rc;
	}
	(void)futimens(i->fd, NULL); /* used now */
	i->next = c->open;
	c->open = i;
	*out = i;
	return AYNI_OK;
}

void cache_image_free(struct cache_image *i)
{
	struct cache_image **at;

	if (i == NULL)
		return;
	for (at = &i->cache->open; *at != i; at = &(*at)->next)
		assert(*at != NULL);
	*at = i->next;
	(void)futimens(i->fd, NULL);
	(void)close(i->fd);
	free(i);
}

int cache_image_fd(const struct cache_image *i)
{
	return i->fd;
}

/* ---- chunks ---- */

static bool in_bounds(const struct cache_image *i, const struct cache_chunk *chunk)
{
	return chunk->length > 0 && chunk->length <= LIMIT_CHUNK_BYTES &&
	       chunk->length <= i->file_bytes && chunk->offset <= i->file_bytes - chunk->length;
}

/* Is there no data at all? False also where the file system cannot say. */
static bool is_hole(const struct cache_image *i, const struct cache_chunk *chunk)
{
	off_t data = lseek(i->fd, (off_t)chunk->offset, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO; /* no data from there to the end */
	return (uint64_t)data >= chunk->offset + chunk->length;
}

/* A hole reads as zeros: a chunk of zeros is there without being fetched. */
static bool is_zeros(struct cache *c, const struct cache_chunk *chunk)
{
	if (c->zeros_len != chunk->length) {
		uint8_t *zeros = calloc(1, chunk->length);

		if (zeros == NULL)
			return false;
		c->zeros_hash = hash_of(zeros, chunk->length);
		c->zeros_len = chunk->length;
		free(zeros);
	}
	return hash_equal(&c->zeros_hash, &chunk->hash);
}

bool cache_has(struct cache_image *i, const struct cache_chunk *chunk)
{
	uint8_t *data;
	bool has;

	if (!in_bounds(i, chunk))
		return false;
	if (is_hole(i, chunk))
		return is_zeros(i->cache, chunk);
	data = malloc(chunk->length);
	if (data == NULL)
		return false;
	has = read_all(i->fd, data, chunk->length, chunk->offset) &&
	      has_hash(data, chunk->length, &chunk->hash);
	free(data);
	return has;
}

int cache_put(struct cache_image *i, const struct cache_chunk *chunk, const uint8_t *data,
    size_t len, struct error *err)
{
	struct stat st;
	uint64_t end;
	off_t hole;
	int rc;

	if (!in_bounds(i, chunk) || len != chunk->length)
		return error_set(err, AYNI_ERR_FORMAT,
		    "cache: a chunk of %zu bytes at %llu is not one of this image", len,
		    (unsigned long long)chunk->offset);
	if (!has_hash(data, len, &chunk->hash))
		return error_set(err, AYNI_ERR_SIGNATURE,
		    "cache: the chunk at %llu has another hash", (unsigned long long)chunk->offset);
	if (fstat(i->fd, &st) != 0)
		return io_error("looking at an image", err);
	end = chunk->offset + len;
	hole = lseek(i->fd, (off_t)chunk->offset, SEEK_HOLE);
	if (hole < 0 || (uint64_t)hole < end) {
		/* Whole blocks are taken; none where data is only replaced. */
		uint64_t block = (uint64_t)st.st_blksize;
		uint64_t first = chunk->offset / block * block;

		rc = make_room(i->cache, (end - first + block - 1) / block * block, err);
		if (rc != AYNI_OK)
			return rc;
	}
	return write_all(i->fd, data, len, chunk->offset, err);
}

/* ---- blobs ---- */

static int write_blob(int fd, const uint8_t *data, size_t len, struct error *err)
{
	int rc = write_all(fd, data, len, 0, err);

	if (rc == AYNI_OK && fsync(fd) != 0)
		rc = io_error("syncing a blob", err);
	return rc;
}

int cache_blob_put(
    struct cache *c, const struct hash *name, const uint8_t *data, size_t len, struct error *err)
{
	char temporary[FILE_NAME_BYTES], final[FILE_NAME_BYTES];
	int fd, rc;

	if (len > BLOB_MAX_BYTES)
		return error_set(
		    err, AYNI_ERR_LIMIT, "cache: a blob of %zu bytes is too large", len);
	if (!has_hash(data, len, name))
		return error_set(err, AYNI_ERR_SIGNATURE, "cache: a blob has another hash");
	rc = make_room(c, len, err);
	if (rc != AYNI_OK)
		return rc;
	file_name(temporary, name, ".tmp");
	file_name(final, name, ".blob");
	fd = openat(
	    c->folder_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return io_error("making a blob", err);
	rc = write_blob(fd, data, len, err);
	(void)close(fd);
	if (rc == AYNI_OK && renameat(c->folder_fd, temporary, c->folder_fd, final) != 0)
		rc = io_error("naming a blob", err);
	if (rc == AYNI_OK)
		(void)fsync(c->folder_fd);
	else
		(void)unlinkat(c->folder_fd, temporary, 0);
	return rc;
}

int cache_blob_get(struct cache *c, const struct hash *name, uint8_t **data, size_t *len)
{
	char text[FILE_NAME_BYTES];
	struct stat st;
	int fd, rc = AYNI_ERR_NOT_FOUND;

	*data = NULL;
	*len = 0;
	file_name(text, name, ".blob");
	fd = openat(c->folder_fd, text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return rc;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0 &&
	    st.st_size <= BLOB_MAX_BYTES) {
		size_t size = (size_t)st.st_size;

		*data = malloc(size + 1); /* never of 0 */
		if (*data == NULL)
			rc = AYNI_ERR_MEMORY;
		else if (read_all(fd, *data, size, 0) && has_hash(*data, size, name))
			rc = AYNI_OK;
		*len = size;
	}
	(void)close(fd);
	if (rc != AYNI_OK) {
		free(*data);
		*data = NULL;
		*len = 0;
	}
	return rc;
}
