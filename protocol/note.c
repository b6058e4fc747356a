/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/note.h"

#include <sodium.h>
#include <stdlib.h>

#include "protocol/text.h"

#define DASH "\xe2\x80\x94 " /* U+2014, space */

enum {
	DASH_BYTES = 4,
	KEY_ID_BYTES = 4,
	TIME_BYTES = 8,
	COSIGNED_HEAD_BYTES = 64 /* "cosignature/v1", "time ..." */
};

static_assert(sizeof DASH - 1 == DASH_BYTES, "an em dash is three bytes of UTF-8");
static_assert(TIME_BYTES + SIGNATURE_BYTES <= sizeof((struct note_signature *)0)->bytes,
    "all of a cosignature is kept");

/* ---- names and keys ----------------------------------------------------------------------- */

static bool is_name(const char *name, size_t len)
{
	if (len == 0 || len >= NOTE_NAME_BYTES || !text_is_line(name, len))
		return false;
	return !text_has_blank(name, len) && memchr(name, '+', len) == NULL;
}

static uint32_t big_endian_32(const uint8_t bytes[4])
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static uint32_t key_id(
    const char *name, enum note_algorithm algorithm, const struct public_key *key)
{
	const uint8_t between[2] = {'\n', (uint8_t)algorithm};
	uint8_t digest[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state state;

	(void)crypto_hash_sha256_init(&state);
	(void)crypto_hash_sha256_update(&state, (const uint8_t *)name, strlen(name));
	(void)crypto_hash_sha256_update(&state, between, sizeof between);
	(void)crypto_hash_sha256_update(&state, key->bytes, PUBLIC_KEY_BYTES);
	(void)crypto_hash_sha256_final(&state, digest);
	return big_endian_32(digest);
}

void note_key_text(const char *name, enum note_algorithm algorithm, const struct public_key *key,
    char out[NOTE_KEY_BYTES])
{
	uint8_t raw[1 + PUBLIC_KEY_BYTES] = {(uint8_t)algorithm};
	char text[sodium_base64_ENCODED_LEN(sizeof raw, sodium_base64_VARIANT_ORIGINAL)];

	memcpy(raw + 1, key->bytes, PUBLIC_KEY_BYTES);
	(void)sodium_bin2base64(text, sizeof text, raw, sizeof raw, sodium_base64_VARIANT_ORIGINAL);
	(void)snprintf(out, NOTE_KEY_BYTES, "%.*s+%08x+%s", NOTE_NAME_BYTES - 1, name,
	    (unsigned)key_id(name, algorithm, key), text);
}

/* ---- reading ------------------------------------------------------------------------------ */

static int bad(struct error *err, const char *what)
{
	return error_set(err, AYNI_ERR_FORMAT, "note: %s", what);
}

/* One line without its newline: dash, name, blank, base64. */
static int parse_signature(
    const char *line, size_t len, struct note_signature *out, struct error *err)
{
	uint8_t raw[KEY_ID_BYTES + NOTE_SIGNATURE_BYTES_MAX];
	const char *blank;
	size_t n;

	if (len < DASH_BYTES || memcmp(line, DASH, DASH_BYTES) != 0)
		return bad(err, "a signature's line does not begin with a dash");
	line += DASH_BYTES;
	len -= DASH_BYTES;
	blank = memchr(line, ' ', len);
	if (blank == NULL || !is_name(line, (size_t)(blank - line)))
		return bad(err, "a signature's line has no proper name of a key");
	out->name = (struct span){(const uint8_t *)line, (size_t)(blank - line)};
	len -= out->name.len + 1;
	if (sodium_base642bin(raw, sizeof raw, blank + 1, len, NULL, &n, NULL,
	        sodium_base64_VARIANT_ORIGINAL) != 0)
		return bad(err, "a signature is not base64, or too long");
	if (n <= KEY_ID_BYTES)
		return bad(err, "a signature is too short");
	out->key_id = big_endian_32(raw);
	out->len = n - KEY_ID_BYTES;
	memset(out->bytes, 0, sizeof out->bytes);
	memcpy(out->bytes, raw + KEY_ID_BYTES,
	    out->len < sizeof out->bytes ? out->len : sizeof out->bytes);
	return AYNI_OK;
}

/* No control characters but newlines. */
static bool is_plain(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((uint8_t)data[i] < 0x20 && data[i] != '\n')
			return false;
	}
	return text_is_utf8(data, len);
}

int note_parse(const char *data, size_t len, struct note *out, struct error *err)
{
	const char *end = data + len, *line;

	*out = (struct note){0};
	if (len > NOTE_BYTES_MAX)
		return error_set(err, AYNI_ERR_LIMIT, "note: %zu bytes, at most %d are read", len,
		    NOTE_BYTES_MAX);
	if (len < 3 || end[-1] != '\n' || !is_plain(data, len))
		return bad(err, "not lines of UTF-8");
	/* The last empty line is where the text ends; the first line cannot be one. */
	for (line = end - 1; line > data + 1 && !(line[-1] == '\n' && line[-2] == '\n'); line--)
		;
	if (line <= data + 1)
		return bad(err, "no empty line between text and signatures");
	out->text = (struct span){(const uint8_t *)data, (size_t)(line - 1 - data)};
	while (line < end) {
		size_t n = (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) - line);
		int rc;

		if (out->n == NOTE_SIGNATURES_MAX)
			return error_set(err, AYNI_ERR_LIMIT, "note: more than %d signatures",
			    NOTE_SIGNATURES_MAX);
		rc = parse_signature(line, n, &out->signatures[out->n], err);
		if (rc != AYNI_OK)
			return rc;
		out->n++;
		line += n + 1;
	}
	return out->n > 0 ? AYNI_OK : bad(err, "no signature");
}

/* ---- verifying ---------------------------------------------------------------------------- */

static const struct note_signature *find(const struct note *n, const char *name,
    enum note_algorithm algorithm, const struct public_key *key)
{
	uint32_t id = key_id(name, algorithm, key);
	size_t len = strlen(name);

	for (size_t i = 0; i < n->n; i++) {
		const struct note_signature *s = &n->signatures[i];

		if (s->key_id == id && s->name.len == len && memcmp(s->name.data, name, len) == 0)
			return s;
	}
	return NULL;
}

int note_verify(const struct note *n, const char *name, const struct public_key *key)
{
	const struct note_signature *s = find(n, name, NOTE_ED25519, key);
	struct signature signature;

	if (s == NULL)
		return AYNI_ERR_NOT_FOUND;
	if (s->len != SIGNATURE_BYTES)
		return AYNI_ERR_SIGNATURE;
	memcpy(signature.bytes, s->bytes, SIGNATURE_BYTES);
	return identity_verify_text(key, (const char *)n->text.data, n->text.len, &signature)
	           ? AYNI_OK
	           : AYNI_ERR_SIGNATURE;
}

/* What a witness signs, malloc'd; its length. */
static char *cosigned(const char *text, size_t len, uint64_t time_s, size_t *total)
{
	char *all = malloc(COSIGNED_HEAD_BYTES + len);
	int head;

	if (all == NULL)
		return NULL;
	head = snprintf(
	    all, COSIGNED_HEAD_BYTES, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
	memcpy(all + head, text, len);
	*total = (size_t)head + len;
	return all;
}

int note_verify_cosignature(
    const struct note *n, const char *name, const struct public_key *key, uint64_t *time_s)
{
	const struct note_signature *s = find(n, name, NOTE_COSIGNATURE, key);
	struct signature signature;
	uint64_t time = 0;
	size_t total;
	bool right;
	char *all;

	if (s == NULL)
		return AYNI_ERR_NOT_FOUND;
	if (s->len != TIME_BYTES + SIGNATURE_BYTES)
		return AYNI_ERR_SIGNATURE;
	for (size_t i = 0; i < TIME_BYTES; i++)
		time = time << 8 | s->bytes[i];
	if (time > INT64_MAX)
		return AYNI_ERR_SIGNATURE;
	memcpy(signature.bytes, s->bytes + TIME_BYTES, SIGNATURE_BYTES);
	all = cosigned((const char *)n->text.data, n->text.len, time, &total);
	if (all == NULL)
		return AYNI_ERR_MEMORY;
	right = identity_verify_text(key, all, total, &signature);
	free(all);
	*time_s = time;
	return right ? AYNI_OK : AYNI_ERR_SIGNATURE;
}

/* ---- signing ------------------------------------------------------------------------------ */

static int check_signing(const char *text, size_t len, const char *name, struct error *err)
{
	if (len < 2 || text[len - 1] != '\n' || !is_plain(text, len))
		return error_set(err, AYNI_ERR_ARGUMENT, "note: the text is not lines of UTF-8");
	if (!is_name(name, strlen(name)))
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "note: a key's name has no blank, no plus and at most %d bytes",
		    NOTE_NAME_BYTES - 1);
	return AYNI_OK;
}

static void write_line(
    const char *name, uint32_t id, const uint8_t *signature, size_t len, char line[NOTE_LINE_BYTES])
{
	uint8_t raw[KEY_ID_BYTES + TIME_BYTES + SIGNATURE_BYTES];
	char text[sodium_base64_ENCODED_LEN(sizeof raw, sodium_base64_VARIANT_ORIGINAL)];

	for (size_t i = 0; i < KEY_ID_BYTES; i++)
		raw[i] = (uint8_t)(id >> (24 - 8 * i));
	memcpy(raw + KEY_ID_BYTES, signature, len);
	(void)sodium_bin2base64(
	    text, sizeof text, raw, KEY_ID_BYTES + len, sodium_base64_VARIANT_ORIGINAL);
	(void)snprintf(line, NOTE_LINE_BYTES, DASH "%s %s\n", name, text);
}

int note_sign(const char *text, size_t len, const char *name, const struct identity *signer,
    char line[NOTE_LINE_BYTES], struct error *err)
{
	struct signature signature;
	int rc = check_signing(text, len, name, err);

	if (rc == AYNI_OK)
		rc = identity_sign_text(signer, text, len, &signature);
	if (rc == AYNI_OK)
		write_line(name, key_id(name, NOTE_ED25519, identity_public(signer)),
		    signature.bytes, SIGNATURE_BYTES, line);
	return rc;
}

int note_cosign(const char *text, size_t len, const char *name, const struct identity *witness,
    uint64_t time_s, char line[NOTE_LINE_BYTES], struct error *err)
{
	uint8_t raw[TIME_BYTES + SIGNATURE_BYTES];
	struct signature signature;
	size_t total;
	char *all;
	int rc = check_signing(text, len, name, err);

	if (rc != AYNI_OK)
		return rc;
	all = cosigned(text, len, time_s, &total);
	if (all == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "note: out of memory");
	rc = identity_sign_text(witness, all, total, &signature);
	free(all);
	if (rc != AYNI_OK)
		return rc;
	for (size_t i = 0; i < TIME_BYTES; i++)
		raw[i] = (uint8_t)(time_s >> (56 - 8 * i));
	memcpy(raw + TIME_BYTES, signature.bytes, SIGNATURE_BYTES);
	write_line(
	    name, key_id(name, NOTE_COSIGNATURE, identity_public(witness)), raw, sizeof raw, line);
	return AYNI_OK;
}
