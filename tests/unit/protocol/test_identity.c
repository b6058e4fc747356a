/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/identity.h"

enum { PATH_BYTES = 128, AT_ONCE = 32 };

/* A folder of its own for each test, with the path of a key in it. */
struct place {
	char folder[64];
	char key[PATH_BYTES];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	if (p == NULL)
		return -1;
	(void)snprintf(p->folder, sizeof p->folder, "/tmp/ayni-identity-XXXXXX");
	if (mkdtemp(p->folder) == NULL)
		return -1;
	(void)snprintf(p->key, sizeof p->key, "%s/key", p->folder);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	int rc;

	(void)unlink(p->key);
	rc = rmdir(p->folder); /* fails if anything else was left there */
	free(p);
	return rc;
}

static void put_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0, 1);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void a_written_key_reads_back_as_the_same(void **state)
{
	struct place *p = *state;
	struct identity *id, *back;
	struct error err;
	struct stat st;

	assert_int_equal(identity_generate(&id, &err), AYNI_OK);
	assert_int_equal(identity_write(id, p->key, &err), AYNI_OK);
	assert_int_equal(stat(p->key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(identity_read(p->key, &back, &err), AYNI_OK);
	assert_true(public_key_equal(identity_public(id), identity_public(back)));
	identity_free(id);
	identity_free(back);
}

static void never_replaces_a_key(void **state)
{
	struct place *p = *state;
	struct identity *first, *second, *back;
	struct error err;

	assert_int_equal(identity_generate(&first, &err), AYNI_OK);
	assert_int_equal(identity_generate(&second, &err), AYNI_OK);
	assert_int_equal(identity_write(first, p->key, &err), AYNI_OK);
	assert_int_equal(identity_write(second, p->key, &err), AYNI_ERR_EXISTS);
	assert_int_equal(identity_read(p->key, &back, &err), AYNI_OK);
	assert_true(public_key_equal(identity_public(first), identity_public(back)));
	identity_free(first);
	identity_free(second);
	identity_free(back);
}

static void opens_makes_folders_and_a_key_once(void **state)
{
	struct place *p = *state;
	struct identity *id, *again;
	struct error err;
	struct stat st;
	char deep[PATH_BYTES + 32], middle[PATH_BYTES + 32], top[PATH_BYTES + 32];
	bool created;

	(void)snprintf(top, sizeof top, "%s/a", p->folder);
	(void)snprintf(middle, sizeof middle, "%s/a/b", p->folder);
	(void)snprintf(deep, sizeof deep, "%s/a/b/key", p->folder);
	assert_int_equal(identity_open(deep, &id, &created, &err), AYNI_OK);
	assert_true(created);
	assert_int_equal(stat(middle, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(identity_open(deep, &again, &created, &err), AYNI_OK);
	assert_false(created);
	assert_true(public_key_equal(identity_public(id), identity_public(again)));
	identity_free(id);
	identity_free(again);
	assert_int_equal(unlink(deep), 0);
	assert_int_equal(identity_open(deep, &id, NULL, &err), AYNI_OK); /* nobody asks */
	identity_free(id);
	assert_int_equal(unlink(deep) | rmdir(middle) | rmdir(top), 0);
}

/* A process that opens the key as soon as nobody holds the other end of `start`, and says which. */
static pid_t open_at(int start, int holds, const char *path, int answers)
{
	struct identity *id;
	pid_t pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	(void)close(holds);
	if (read(start, &byte, 1) != 0 || identity_open(path, &id, NULL, NULL) != AYNI_OK ||
	    write(answers, identity_public(id)->bytes, PUBLIC_KEY_BYTES) != PUBLIC_KEY_BYTES)
		_exit(1);
	_exit(0);
}

static void many_processes_that_open_at_once_have_the_same_key(void **state)
{
	struct place *p = *state;
	struct public_key first = {{0}}, key;
	char path[PATH_BYTES + 32];
	int start[2], answers[2], status;
	pid_t pids[AT_ONCE];

	(void)snprintf(path, sizeof path, "%s/a/key", p->folder);
	assert_true(pipe(start) == 0 && pipe(answers) == 0);
	for (int i = 0; i < AT_ONCE; i++) {
		pids[i] = open_at(start[0], start[1], path, answers[1]);
		assert_true(pids[i] > 0);
	}
	(void)close(start[1]);
	for (int i = 0; i < AT_ONCE; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
		assert_int_equal(read(answers[0], key.bytes, sizeof key.bytes), sizeof key.bytes);
		first = i == 0 ? key : first;
		assert_true(public_key_equal(&first, &key));
	}
	(void)close(start[0]);
	(void)close(answers[0]);
	(void)close(answers[1]);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof path, "%s/a", p->folder);
	assert_int_equal(rmdir(path), 0); /* nothing else was left */
}

static void refuses_a_key_that_others_can_read(void **state)
{
	struct place *p = *state;
	struct identity *id;
	struct error err;

	assert_int_equal(identity_generate(&id, &err), AYNI_OK);
	assert_int_equal(identity_write(id, p->key, &err), AYNI_OK);
	identity_free(id);
	for (mode_t bit = 1; bit <= 040; bit <<= 1) {
		assert_int_equal(chmod(p->key, 0600 | bit), 0);
		assert_int_equal(identity_read(p->key, &id, &err), AYNI_ERR_ARGUMENT);
		assert_non_null(strstr(err.text, "chmod 600 "));
	}
}

static void refuses_a_key_file_that_is_none(void **state)
{
	static const char *const texts[] = {"", "\n", "ayni-key-v1 \n", "ayni-key-v1 00",
	    "ayni-key-v2 0000000000000000000000000000000000000000000000000000000000000000\n",
	    "ayni-key-v1 000000000000000000000000000000000000000000000000000000000000000g\n",
	    "ayni-key-v1 0000000000000000000000000000000000000000000000000000000000000000",
	    "ayni-key-v1 00000000000000000000000000000000000000000000000000000000000000000\n",
	    "ayni-key-v1 0000000000000000000000000000000000000000000000000000000000000000\n\n"};
	struct place *p = *state;
	struct identity *id = NULL;
	struct error err;

	assert_int_equal(identity_read(p->key, &id, &err), AYNI_ERR_NOT_FOUND);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		put_file(p->key, texts[i], 0600);
		assert_int_equal(identity_read(p->key, &id, &err), AYNI_ERR_FORMAT);
		assert_null(id);
	}
}

static void refuses_a_link_a_fifo_and_a_folder(void **state)
{
	struct place *p = *state;
	struct identity *id;
	struct error err;
	bool created;

	assert_int_equal(symlink("/dev/zero", p->key), 0);
	assert_int_equal(identity_read(p->key, &id, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(unlink(p->key), 0);
	assert_int_equal(mkfifo(p->key, 0600), 0);
	assert_int_equal(identity_read(p->key, &id, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(identity_read(p->folder, &id, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(identity_open("", &id, &created, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(identity_open("/proc/no/key", &id, &created, &err), AYNI_ERR_IO);
}

static void signs_in_a_domain_as_rfc_8032_says(void **state)
{
	/* Section 7.1, test 1: this seed and public key. */
	static const char seed[] =
	    "ayni-key-v1 "
	    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
	    "\n";
	struct place *p = *state;
	struct identity *id;
	struct signature a, b;
	char hex[HEX32_CHARS];
	const uint8_t *data = (const uint8_t *)"data";

	put_file(p->key, seed, 0600);
	assert_int_equal(identity_read(p->key, &id, NULL), AYNI_OK);
	hex32(identity_public(id)->bytes, hex);
	assert_string_equal(
	    hex, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");

	assert_int_equal(identity_sign(id, "ayni v1 x", data, 4, &a), AYNI_OK);
	assert_int_equal(identity_sign(id, "ayni v1 x", data, 4, &b), AYNI_OK);
	assert_memory_equal(a.bytes, b.bytes, SIGNATURE_BYTES);
	assert_true(identity_verify(identity_public(id), "ayni v1 x", data, 4, &a));
	assert_false(identity_verify(identity_public(id), "ayni v1 y", data, 4, &a));
	assert_false(identity_verify(identity_public(id), "ayni v1 x", data, 3, &a));
	/* The NUL keeps domain and data apart. */
	assert_false(
	    identity_verify(identity_public(id), "ayni v1 ", (const uint8_t *)"x\0data", 6, &a));
	identity_free(id);
}

static void signs_messages_longer_than_its_stack_buffer(void **state)
{
	struct identity *id;
	struct signature sig;
	size_t len = 100000;
	uint8_t *data = calloc(1, len);

	(void)state;
	assert_int_equal(identity_generate(&id, NULL), AYNI_OK);
	assert_int_equal(identity_sign(id, "long", data, len, &sig), AYNI_OK);
	assert_true(identity_verify(identity_public(id), "long", data, len, &sig));
	data[len - 1] ^= 1;
	assert_false(identity_verify(identity_public(id), "long", data, len, &sig));
	assert_int_equal(identity_sign(id, "", NULL, 0, &sig), AYNI_OK);
	assert_true(identity_verify(identity_public(id), "", NULL, 0, &sig));
	free(data);
	identity_free(id);
}

static void refuses_keys_that_are_no_points(void **state)
{
	struct public_key zero = {{0}};
	struct signature sig = {{0}};
	uint8_t curve[CURVE_KEY_BYTES];

	(void)state;
	assert_int_not_equal(identity_curve_public(&zero, curve), AYNI_OK);
	assert_false(identity_verify(&zero, "x", NULL, 0, &sig));
}

static void hexadecimal_is_exactly_64_digits(void **state)
{
	uint8_t bytes[32], back[32];
	char text[HEX32_CHARS + 1];

	(void)state;
	random_bytes(bytes, sizeof bytes);
	hex32(bytes, text);
	assert_int_equal(unhex32(text, back), AYNI_OK);
	assert_memory_equal(bytes, back, 32);
	text[63] = ' ';
	assert_int_equal(unhex32(text, back), AYNI_ERR_FORMAT);
	text[63] = '\0';
	assert_int_equal(unhex32(text, back), AYNI_ERR_FORMAT);
	memset(text, 'a', 65);
	text[65] = '\0';
	assert_int_equal(unhex32(text, back), AYNI_ERR_FORMAT);
	assert_int_equal(unhex32("", back), AYNI_ERR_FORMAT);
}

static void hashes_are_blake2b_256(void **state)
{
	struct hash h;
	char hex[HEX32_CHARS];

	(void)state;
	hash_bytes(NULL, 0, &h);
	hex32(h.bytes, hex);
	assert_string_equal(
	    hex, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void a_derived_secret_depends_on_identity_and_purpose_alone(void **state)
{
	uint8_t a[DERIVED_KEY_BYTES], again[DERIVED_KEY_BYTES], other[DERIVED_KEY_BYTES];
	struct identity *one, *two;
	struct hash plain, keyed;

	(void)state;
	assert_int_equal(identity_generate(&one, NULL), AYNI_OK);
	assert_int_equal(identity_generate(&two, NULL), AYNI_OK);
	identity_derive(one, "a purpose", a);
	identity_derive(one, "a purpose", again);
	assert_memory_equal(a, again, sizeof a);
	identity_derive(one, "another", other);
	assert_memory_not_equal(a, other, sizeof a);
	identity_derive(two, "a purpose", other);
	assert_memory_not_equal(a, other, sizeof a);
	hash_bytes(a, sizeof a, &plain);
	hash_keyed(a, a, sizeof a, &keyed);
	assert_false(hash_equal(&plain, &keyed));
	identity_free(one);
	identity_free(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_written_key_reads_back_as_the_same),
	    TEST(never_replaces_a_key),
	    TEST(opens_makes_folders_and_a_key_once),
	    TEST(many_processes_that_open_at_once_have_the_same_key),
	    TEST(refuses_a_key_that_others_can_read),
	    TEST(refuses_a_key_file_that_is_none),
	    TEST(refuses_a_link_a_fifo_and_a_folder),
	    TEST(signs_in_a_domain_as_rfc_8032_says),
	    TEST(signs_messages_longer_than_its_stack_buffer),
	    TEST(refuses_keys_that_are_no_points),
	    TEST(hexadecimal_is_exactly_64_digits),
	    TEST(hashes_are_blake2b_256),
	    TEST(a_derived_secret_depends_on_identity_and_purpose_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
