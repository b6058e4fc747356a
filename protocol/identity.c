/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_PREFIX "ayni-key-v1 "

enum {
	KEY_FILE_PREFIX_CHARS = sizeof KEY_FILE_PREFIX - 1,
	KEY_FILE_BYTES = KEY_FILE_PREFIX_CHARS + 64 + 1, /* the seed in hexadecimal, newline */
	SIGN_STACK_BYTES = 4096 /* longer messages are put together on the heap */
};

_Static_assert(HASH_BYTES == crypto_generichash_BYTES, "BLAKE2b-256");
_Static_assert(PUBLIC_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519");
_Static_assert(CURVE_KEY_BYTES == crypto_scalarmult_BYTES, "Curve25519");

struct identity { /* in guarded, locked memory; read-only once made */
	uint8_t seed[crypto_sign_SEEDBYTES];
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	struct public_key public_key;
};

/* ---- libsodium ---------------------------------------------------------------------------- */

static pthread_once_t sodium_once = PTHREAD_ONCE_INIT;
static bool sodium_usable;

static void start_sodium(void)
{
	sodium_usable = sodium_init() >= 0;
}

/* sodium_init fails only where the system has no random source at all: nothing can go on there. */
static void need_sodium(void)
{
	(void)pthread_once(&sodium_once, start_sodium);
	assert(sodium_usable);
}

void hash_keyed(
    const uint8_t key[DERIVED_KEY_BYTES], const uint8_t *data, size_t len, struct hash *out)
{
	need_sodium();
	(void)crypto_generichash(out->bytes, HASH_BYTES, data, len, key, DERIVED_KEY_BYTES);
}

void identity_derive(const struct identity *id, const char *purpose, uint8_t out[DERIVED_KEY_BYTES])
{
	static_assert(sizeof id->seed == DERIVED_KEY_BYTES, "a seed is a key");
	struct hash hash;

	hash_keyed(id->seed, (const uint8_t *)purpose, strlen(purpose), &hash);
	memcpy(out, hash.bytes, DERIVED_KEY_BYTES);
	explicit_bzero(&hash, sizeof hash);
}

void hash_bytes(const uint8_t *data, size_t len, struct hash *out)
{
	need_sodium();
	(void)crypto_generichash(out->bytes, HASH_BYTES, data, len, NULL, 0);
}

void random_bytes(void *out, size_t len)
{
	need_sodium();
	randombytes_buf(out, len);
}

void hex32(const uint8_t bytes[32], char out[HEX32_CHARS])
{
	(void)sodium_bin2hex(out, HEX32_CHARS, bytes, 32);
}

int unhex32(const char *text, uint8_t out[32])
{
	size_t len;

	if (strnlen(text, HEX32_CHARS) != HEX32_CHARS - 1)
		return AYNI_ERR_FORMAT;
	if (sodium_hex2bin(out, 32, text, HEX32_CHARS - 1, NULL, &len, NULL) != 0 || len != 32)
		return AYNI_ERR_FORMAT;
	return AYNI_OK;
}

void pseudonym_to_text(const struct pseudonym *p, char out[PSEUDONYM_CHARS])
{
	(void)sodium_bin2hex(out, PSEUDONYM_CHARS, p->bytes, PSEUDONYM_BYTES);
}

int pseudonym_from_text(const char *text, struct pseudonym *out)
{
	size_t len;

	if (strnlen(text, PSEUDONYM_CHARS) != PSEUDONYM_CHARS - 1 ||
	    sodium_hex2bin(
	        out->bytes, PSEUDONYM_BYTES, text, PSEUDONYM_CHARS - 1, NULL, &len, NULL) != 0 ||
	    len != PSEUDONYM_BYTES || !pseudonym_is_set(out))
		return AYNI_ERR_FORMAT;
	return AYNI_OK;
}

/* ---- keys --------------------------------------------------------------------------------- */

/* A new identity from a seed; the caller wipes its copy of the seed. */
static int identity_from_seed(
    const uint8_t seed[crypto_sign_SEEDBYTES], struct identity **out, struct error *err)
{
	struct identity *id;

	need_sodium();
	id = sodium_malloc(sizeof *id); /* locked, with guard pages */
	if (id == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "identity: no memory for a key");
	memcpy(id->seed, seed, sizeof id->seed);
	(void)crypto_sign_seed_keypair(id->public_key.bytes, id->secret, id->seed);
	(void)sodium_mprotect_readonly(id);
	*out = id;
	return AYNI_OK;
}

int identity_generate(struct identity **out, struct error *err)
{
	uint8_t seed[crypto_sign_SEEDBYTES];
	int rc;

	random_bytes(seed, sizeof seed);
	rc = identity_from_seed(seed, out, err);
	sodium_memzero(seed, sizeof seed);
	return rc;
}

void identity_free(struct identity *id)
{
	if (id != NULL)
		sodium_free(id); /* wipes it */
}

const struct public_key *identity_public(const struct identity *id)
{
	return &id->public_key;
}

int identity_curve_secret(const struct identity *id, uint8_t out[CURVE_KEY_BYTES])
{
	return crypto_sign_ed25519_sk_to_curve25519(out, id->secret) == 0 ? AYNI_OK
	                                                                  : AYNI_ERR_SIGNATURE;
}

int identity_curve_public(const struct public_key *key, uint8_t out[CURVE_KEY_BYTES])
{
	need_sodium();
	return crypto_sign_ed25519_pk_to_curve25519(out, key->bytes) == 0 ? AYNI_OK
	                                                                  : AYNI_ERR_SIGNATURE;
}

/* ---- signatures --------------------------------------------------------------------------- */

/* domain NUL data in one piece, as Ed25519 wants it: in `small` if it fits, else on the heap. */
static uint8_t *signed_bytes(const char *domain, const uint8_t *data, size_t len,
    uint8_t small[SIGN_STACK_BYTES], size_t *total)
{
	size_t domain_len = strlen(domain) + 1;
	uint8_t *bytes = small;

	if (__builtin_add_overflow(domain_len, len, total))
		return NULL;
	if (*total > SIGN_STACK_BYTES)
		bytes = malloc(*total);
	if (bytes == NULL)
		return NULL;
	memcpy(bytes, domain, domain_len);
	if (len > 0)
		memcpy(bytes + domain_len, data, len);
	return bytes;
}

int identity_sign(const struct identity *id, const char *domain, const uint8_t *data, size_t len,
    struct signature *out)
{
	uint8_t small[SIGN_STACK_BYTES];
	size_t total;
	uint8_t *bytes = signed_bytes(domain, data, len, small, &total);

	if (bytes == NULL)
		return AYNI_ERR_MEMORY;
	(void)crypto_sign_detached(out->bytes, NULL, bytes, total, id->secret);
	if (bytes != small)
		free(bytes);
	return AYNI_OK;
}

bool identity_verify(const struct public_key *key, const char *domain, const uint8_t *data,
    size_t len, const struct signature *sig)
{
	uint8_t small[SIGN_STACK_BYTES];
	size_t total;
	uint8_t *bytes = signed_bytes(domain, data, len, small, &total);
	bool right;

	if (bytes == NULL)
		return false;
	need_sodium();
	right = crypto_sign_verify_detached(sig->bytes, bytes, total, key->bytes) == 0;
	if (bytes != small)
		free(bytes);
	return right;
}

int identity_sign_text(
    const struct identity *id, const char *text, size_t len, struct signature *out)
{
	if (memchr(text, '\0', len) != NULL)
		return AYNI_ERR_ARGUMENT;
	(void)crypto_sign_detached(out->bytes, NULL, (const uint8_t *)text, len, id->secret);
	return AYNI_OK;
}

bool identity_verify_text(
    const struct public_key *key, const char *text, size_t len, const struct signature *sig)
{
	need_sodium();
	return memchr(text, '\0', len) == NULL &&
	       crypto_sign_verify_detached(sig->bytes, (const uint8_t *)text, len, key->bytes) == 0;
}

/* ---- key files ---------------------------------------------------------------------------- */

/* AYNI_OK if what is open at `fd` is a file that only its owner can read. */
static int check_private(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set(err, AYNI_ERR_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, AYNI_ERR_ARGUMENT, "%s: is not a plain file", path);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "%s: others can read this key (mode %03o); run: chmod 600 %s", path,
		    (unsigned)(st.st_mode & 0777), path);
	return AYNI_OK;
}

/* Read until the end or `size` bytes; how many, or -1. */
static ssize_t read_all(int fd, void *out, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (uint8_t *)out + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int parse_key(char text[KEY_FILE_BYTES + 1], size_t len, uint8_t seed[32])
{
	if (len != KEY_FILE_BYTES || text[KEY_FILE_BYTES - 1] != '\n' ||
	    memcmp(text, KEY_FILE_PREFIX, KEY_FILE_PREFIX_CHARS) != 0)
		return AYNI_ERR_FORMAT;
	text[KEY_FILE_BYTES - 1] = '\0';
	return unhex32(text + KEY_FILE_PREFIX_CHARS, seed);
}

int identity_read(const char *path, struct identity **out, struct error *err)
{
	char text[KEY_FILE_BYTES + 1]; /* one more, so that a longer file shows */
	uint8_t seed[crypto_sign_SEEDBYTES];
	ssize_t len;
	int rc;
	/* O_NONBLOCK: a FIFO in this place must not hang the program. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return error_set(err, AYNI_ERR_NOT_FOUND, "%s: no such key file", path);
	if (fd < 0 && errno == ELOOP)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "%s: is a symbolic link; give the key file itself", path);
	if (fd < 0)
		return error_set(err, AYNI_ERR_IO, "%s: %s", path, strerror(errno));

	rc = check_private(fd, path, err);
	if (rc != AYNI_OK)
		goto out;
	len = read_all(fd, text, sizeof text);
	if (len < 0)
		rc = error_set(err, AYNI_ERR_IO, "%s: %s", path, strerror(errno));
	else if (parse_key(text, (size_t)len, seed) != AYNI_OK)
		rc = error_set(err, AYNI_ERR_FORMAT,
		    "%s: is damaged: expected one line, \"%s\" and 64 hexadecimal digits", path,
		    KEY_FILE_PREFIX);
	else
		rc = identity_from_seed(seed, out, err);
	sodium_memzero(text, sizeof text);
	sodium_memzero(seed, sizeof seed);
out:
	(void)close(fd);
	return rc;
}

static int write_all(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const uint8_t *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/* Make the name of a new file durable: fsync of its folder. */
static int sync_folder_of(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	int fd, rc;

	if (slash == NULL)
		(void)snprintf(folder, sizeof folder, ".");
	else
		(void)snprintf(folder, sizeof folder, "%.*s/", (int)len, path);
	fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	(void)close(fd);
	return rc;
}

int identity_write(const struct identity *id, const char *path, struct error *err)
{
	char text[KEY_FILE_BYTES + 1], hex[HEX32_CHARS], temporary[PATH_MAX];
	uint64_t salt;
	int fd, n, rc = AYNI_OK;

	random_bytes(&salt, sizeof salt);
	n = snprintf(temporary, sizeof temporary, "%s.%016llx", path, (unsigned long long)salt);
	if (n < 0 || (size_t)n >= sizeof temporary)
		return error_set(err, AYNI_ERR_ARGUMENT, "identity: path of the key is too long");
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set(err, AYNI_ERR_IO, "%s: %s", path, strerror(errno));

	hex32(id->seed, hex);
	(void)snprintf(text, sizeof text, KEY_FILE_PREFIX "%s\n", hex);
	if (write_all(fd, text, KEY_FILE_BYTES) != 0 || fsync(fd) != 0)
		rc = error_set(err, AYNI_ERR_IO, "%s: %s", path, strerror(errno));
	sodium_memzero(text, sizeof text);
	sodium_memzero(hex, sizeof hex);
	if (close(fd) != 0 && rc == AYNI_OK)
		rc = error_set(err, AYNI_ERR_IO, "%s: %s", path, strerror(errno));
	/* link, not rename: a key that is there is never replaced, whoever comes second. */
	if (rc == AYNI_OK && link(temporary, path) != 0)
		rc = error_set(err, errno == EEXIST ? AYNI_ERR_EXISTS : AYNI_ERR_IO, "%s: %s", path,
		    strerror(errno));
	(void)unlink(temporary);
	if (rc == AYNI_OK && sync_folder_of(path) != 0)
		rc = error_set(err, AYNI_ERR_IO, "%s: folder: %s", path, strerror(errno));
	return rc;
}

static int make_folders_of(const char *path, struct error *err)
{
	char folder[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof folder)
		return error_set(err, AYNI_ERR_ARGUMENT, "identity: path of the key is too long");
	memcpy(folder, path, len + 1);
	for (char *p = strchr(folder + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(folder, 0700) != 0 && errno != EEXIST)
			return error_set(
			    err, AYNI_ERR_IO, "%s: cannot be made: %s", folder, strerror(errno));
		*p = '/';
	}
	return AYNI_OK;
}

int identity_open(const char *path, struct identity **out, bool *created, struct error *err)
{
	struct identity *id = NULL;
	int rc;

	if (created != NULL)
		*created = false;
	if (path[0] == '\0')
		return error_set(err, AYNI_ERR_ARGUMENT, "identity: the path of the key is empty");
	rc = identity_read(path, out, err);
	if (rc != AYNI_ERR_NOT_FOUND)
		return rc;
	rc = make_folders_of(path, err);
	if (rc == AYNI_OK)
		rc = identity_generate(&id, err);
	if (rc == AYNI_OK)
		rc = identity_write(id, path, err);
	if (rc != AYNI_OK) {
		identity_free(id);
		/* Another process made one between the two: then that is the key. */
		return rc == AYNI_ERR_EXISTS ? identity_read(path, out, err) : rc;
	}
	if (created != NULL)
		*created = true;
	*out = id;
	return AYNI_OK;
}
