/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "storage/cache.h"
#include "tests/support/scratch.h"

enum { CHUNK = 64 << 10, FILE_BYTES = 10 * CHUNK, ROOMY = 64 << 20 };

static struct scratch scratch;
static struct error err;
static struct cache *cache;
static uint8_t data[CHUNK];

static const struct hash model_a = {{0xa}}, model_b = {{0xb}}, model_c = {{0xc}};

static void open_cache(uint64_t max_bytes)
{
	assert_int_equal(
	    cache_open(scratch_path(&scratch, "cache"), max_bytes, &cache, &err), AYNI_OK);
}

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	memset(&err, 0, sizeof err);
	memset(data, 0x5a, sizeof data);
	open_cache(ROOMY);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	cache_free(cache);
	scratch_remove(&scratch);
	return 0;
}

static void reopen(uint64_t max_bytes)
{
	cache_free(cache);
	open_cache(max_bytes);
}

static struct cache_image *image(const struct hash *model)
{
	struct cache_image *i;

	assert_int_equal(cache_image_open(cache, model, FILE_BYTES, &i, &err), AYNI_OK);
	return i;
}

/* The chunk that `data` would be at that place. */
static struct cache_chunk chunk_at(uint64_t offset)
{
	struct cache_chunk c = {.offset = offset, .length = CHUNK};

	(void)crypto_generichash(c.hash.bytes, HASH_BYTES, data, CHUNK, NULL, 0);
	return c;
}

static void put(struct cache_image *i, uint64_t offset)
{
	struct cache_chunk c = chunk_at(offset);

	assert_int_equal(cache_put(i, &c, data, CHUNK, &err), AYNI_OK);
}

static bool has(struct cache_image *i, uint64_t offset)
{
	struct cache_chunk c = chunk_at(offset);

	return cache_has(i, &c);
}

static const char *path_of(const struct hash *name, const char *suffix)
{
	char hex[HEX32_CHARS], text[HEX32_CHARS + 16];

	(void)sodium_bin2hex(hex, sizeof hex, name->bytes, HASH_BYTES);
	(void)snprintf(text, sizeof text, "cache/%s%s", hex, suffix);
	return scratch_path(&scratch, text);
}

static bool is_there(const struct hash *name, const char *suffix)
{
	return access(path_of(name, suffix), F_OK) == 0;
}

/* An image with one chunk, closed, last used at a stated second. */
static void old_image(const struct hash *model, time_t used_s)
{
	const struct timespec times[2] = {{.tv_sec = used_s}, {.tv_sec = used_s}};
	struct cache_image *i = image(model);

	put(i, 0);
	cache_image_free(i);
	assert_int_equal(utimensat(AT_FDCWD, path_of(model, ".gguf"), times, 0), 0);
}

static void a_chunk_put_is_there_after_reopening(void **state)
{
	struct cache_image *i = image(&model_a);
	uint8_t back[CHUNK];

	(void)state;
	assert_false(has(i, CHUNK));
	put(i, CHUNK);
	assert_true(has(i, CHUNK));
	assert_false(has(i, 0));
	cache_image_free(i);
	reopen(ROOMY);
	i = image(&model_a);
	assert_true(has(i, CHUNK));
	assert_int_equal(pread(cache_image_fd(i), back, CHUNK, CHUNK), CHUNK);
	assert_memory_equal(back, data, CHUNK);
	cache_image_free(i);
}

static void an_image_is_a_hole_of_the_files_size(void **state)
{
	struct cache_image *i = image(&model_a);
	struct stat st;

	(void)state;
	assert_int_equal(fstat(cache_image_fd(i), &st), 0);
	assert_int_equal(st.st_size, FILE_BYTES);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(cache_used_bytes(cache), 0);
	put(i, 0);
	assert_int_equal(cache_used_bytes(cache), CHUNK);
	cache_image_free(i);
}

static void refuses_a_chunk_whose_hash_differs(void **state)
{
	struct cache_image *i = image(&model_a);
	struct cache_chunk c = chunk_at(0);

	(void)state;
	data[100] ^= 1;
	assert_int_equal(cache_put(i, &c, data, CHUNK, &err), AYNI_ERR_SIGNATURE);
	assert_int_equal(cache_used_bytes(cache), 0);
	cache_image_free(i);
}

static void refuses_a_chunk_past_the_end_of_the_file(void **state)
{
	static const uint64_t offsets[] = {
	    FILE_BYTES - CHUNK + 1, FILE_BYTES, UINT64_MAX, UINT64_MAX - CHUNK + 1, INT64_MAX};
	struct cache_image *i = image(&model_a);
	struct cache_chunk c;

	(void)state;
	for (size_t n = 0; n < sizeof offsets / sizeof offsets[0]; n++) {
		c = chunk_at(offsets[n]);
		assert_int_equal(cache_put(i, &c, data, CHUNK, &err), AYNI_ERR_FORMAT);
		assert_false(cache_has(i, &c));
	}
	put(i, FILE_BYTES - CHUNK);
	c = chunk_at(0);
	assert_int_equal(cache_put(i, &c, data, CHUNK - 1, &err), AYNI_ERR_FORMAT);
	c.length = 0;
	assert_int_equal(cache_put(i, &c, data, 0, &err), AYNI_ERR_FORMAT);
	c.length = UINT32_MAX;
	assert_false(cache_has(i, &c));
	cache_image_free(i);
}

static void a_damaged_chunk_counts_as_missing(void **state)
{
	struct cache_image *i = image(&model_a);

	(void)state;
	put(i, 0);
	assert_int_equal(pwrite(cache_image_fd(i), "!", 1, CHUNK - 1), 1);
	assert_false(has(i, 0));
	put(i, 0);
	assert_true(has(i, 0));
	cache_image_free(i);
}

static void a_half_written_chunk_counts_as_missing(void **state)
{
	struct cache_image *i = image(&model_a);

	(void)state;
	assert_int_equal(pwrite(cache_image_fd(i), data, CHUNK / 2, 0), CHUNK / 2);
	assert_false(has(i, 0));
	cache_image_free(i);
}

static void a_chunk_of_zeros_is_there_without_being_fetched(void **state)
{
	struct cache_image *i = image(&model_a);

	(void)state;
	memset(data, 0, sizeof data);
	assert_true(has(i, 0));
	memset(data, 1, sizeof data);
	assert_false(has(i, 0));
	cache_image_free(i);
}

static void an_image_cut_short_is_mended(void **state)
{
	struct cache_image *i = image(&model_a);

	(void)state;
	put(i, 0);
	put(i, FILE_BYTES - CHUNK);
	cache_image_free(i);
	assert_int_equal(truncate(path_of(&model_a, ".gguf"), CHUNK), 0);
	i = image(&model_a);
	assert_true(has(i, 0));
	assert_false(has(i, FILE_BYTES - CHUNK));
	cache_image_free(i);
}

static void an_open_image_is_not_resized(void **state)
{
	struct cache_image *i = image(&model_a), *j;

	(void)state;
	assert_int_equal(cache_image_open(cache, &model_a, CHUNK, &j, &err), AYNI_ERR_STATE);
	assert_int_equal(cache_image_open(cache, &model_a, 0, &j, &err), AYNI_ERR_LIMIT);
	assert_int_equal(cache_image_open(cache, &model_a, UINT64_MAX, &j, &err), AYNI_ERR_LIMIT);
	j = image(&model_a); /* the same size is fine */
	put(j, 0);
	assert_true(has(i, 0));
	cache_image_free(i);
	cache_image_free(j);
}

static void follows_no_link_out_of_its_folder(void **state)
{
	char target[1024];
	struct cache_image *i;
	struct stat st;

	(void)state;
	(void)snprintf(target, sizeof target, "%s", scratch_path(&scratch, "target"));
	assert_int_equal(close(open(target, O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(symlink(target, path_of(&model_a, ".gguf")), 0);
	assert_int_equal(cache_image_open(cache, &model_a, FILE_BYTES, &i, &err), AYNI_ERR_IO);
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void a_full_cache_refuses_while_its_images_are_open(void **state)
{
	struct cache_image *i;
	struct cache_chunk c = chunk_at(4 * CHUNK);
	struct error e;

	(void)state;
	reopen(3 * CHUNK);
	i = image(&model_a);
	put(i, 0);
	put(i, CHUNK);
	assert_int_equal(cache_put(i, &c, data, CHUNK, &e), AYNI_OK);
	c = chunk_at(6 * CHUNK);
	assert_int_equal(cache_put(i, &c, data, CHUNK, &e), AYNI_ERR_LIMIT);
	assert_non_null(strstr(e.text, "full"));
	assert_false(has(i, 6 * CHUNK));
	put(i, 0); /* in place of what is there: takes no room */
	assert_true(cache_used_bytes(cache) <= 3 * CHUNK);
	cache_image_free(i);
}

static void removes_the_image_not_used_longest(void **state)
{
	struct cache_image *i;

	(void)state;
	reopen(3 * CHUNK);
	old_image(&model_a, 2000);
	old_image(&model_b, 1000);
	i = image(&model_c);
	put(i, 0);
	assert_true(is_there(&model_b, ".gguf"));
	put(i, CHUNK);
	assert_false(is_there(&model_b, ".gguf"));
	assert_true(is_there(&model_a, ".gguf"));
	put(i, 2 * CHUNK);
	assert_false(is_there(&model_a, ".gguf"));
	assert_true(has(i, 0));
	cache_image_free(i);
}

static void opening_an_image_is_a_use(void **state)
{
	struct cache_image *i;

	(void)state;
	reopen(3 * CHUNK);
	old_image(&model_a, 1000);
	old_image(&model_b, 2000);
	cache_image_free(image(&model_a));
	i = image(&model_c);
	put(i, 0);
	put(i, CHUNK);
	assert_true(is_there(&model_a, ".gguf"));
	assert_false(is_there(&model_b, ".gguf"));
	cache_image_free(i);
}

static void a_second_process_is_refused_until_the_first_ends(void **state)
{
	struct cache *second;
	pid_t child;
	int status;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int rc = cache_open(scratch_path(&scratch, "cache"), ROOMY, &second, &err);

		_exit(rc == AYNI_ERR_STATE && strstr(err.text, "in use") != NULL ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	reopen(ROOMY);
}

static struct hash hash_of(const void *bytes, size_t len)
{
	struct hash h;

	(void)crypto_generichash(h.bytes, HASH_BYTES, bytes, len, NULL, 0);
	return h;
}

static void a_blob_comes_back_as_it_was(void **state)
{
	struct hash name = hash_of(data, 1000), other = hash_of(data, 999), none = hash_of(data, 0);
	uint8_t *back;
	size_t len;

	(void)state;
	assert_int_equal(cache_blob_put(cache, &name, data, 1000, &err), AYNI_OK);
	assert_int_equal(cache_blob_put(cache, &name, data, 1000, &err), AYNI_OK);
	assert_int_equal(cache_blob_get(cache, &name, &back, &len), AYNI_OK);
	assert_int_equal(len, 1000);
	assert_memory_equal(back, data, len);
	free(back);
	assert_int_equal(cache_blob_get(cache, &other, &back, &len), AYNI_ERR_NOT_FOUND);
	assert_null(back);
	assert_int_equal(cache_blob_put(cache, &none, data, 0, &err), AYNI_OK);
	assert_int_equal(cache_blob_get(cache, &none, &back, &len), AYNI_OK);
	assert_int_equal(len, 0);
	free(back);
}

static void a_damaged_blob_is_not_found(void **state)
{
	struct hash name = hash_of(data, 1000);
	uint8_t *back;
	size_t len;

	(void)state;
	assert_int_equal(cache_blob_put(cache, &name, data, 1000, &err), AYNI_OK);
	assert_int_equal(truncate(path_of(&name, ".blob"), 999), 0);
	assert_int_equal(cache_blob_get(cache, &name, &back, &len), AYNI_ERR_NOT_FOUND);
	assert_null(back);
	assert_int_equal(cache_blob_put(cache, &model_a, data, 1000, &err), AYNI_ERR_SIGNATURE);
	assert_false(is_there(&model_a, ".blob"));
}

static void what_a_crash_left_half_written_is_removed(void **state)
{
	(void)state;
	assert_int_equal(close(open(path_of(&model_a, ".tmp"), O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(
	    close(open(scratch_path(&scratch, "cache/mine.tmp"), O_WRONLY | O_CREAT, 0600)), 0);
	reopen(ROOMY);
	assert_false(is_there(&model_a, ".tmp"));
	/* Someone else's file is left alone. */
	assert_int_equal(access(scratch_path(&scratch, "cache/mine.tmp"), F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_chunk_put_is_there_after_reopening),
	    TEST(an_image_is_a_hole_of_the_files_size),
	    TEST(refuses_a_chunk_whose_hash_differs),
	    TEST(refuses_a_chunk_past_the_end_of_the_file),
	    TEST(a_damaged_chunk_counts_as_missing),
	    TEST(a_half_written_chunk_counts_as_missing),
	    TEST(a_chunk_of_zeros_is_there_without_being_fetched),
	    TEST(an_image_cut_short_is_mended),
	    TEST(an_open_image_is_not_resized),
	    TEST(follows_no_link_out_of_its_folder),
	    TEST(a_full_cache_refuses_while_its_images_are_open),
	    TEST(removes_the_image_not_used_longest),
	    TEST(opening_an_image_is_a_use),
	    TEST(a_second_process_is_refused_until_the_first_ends),
	    TEST(a_blob_comes_back_as_it_was),
	    TEST(a_damaged_blob_is_not_found),
	    TEST(what_a_crash_left_half_written_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
