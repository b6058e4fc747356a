/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/checkpoint.h"

#include <sodium.h>
#include <stdlib.h>

#define ORIGIN_PREFIX "ayni.pool/"
#define PROOF_HEAD    "c2sp.org/tlog-proof@v1"

enum {
	SIZE_DIGITS = 19, /* of 2^62 */
	HASH_CHARS =
	    sodium_base64_ENCODED_LEN(HASH_BYTES, sodium_base64_VARIANT_ORIGINAL), /* and NUL */
};

#define SIZE_MAX_LEAVES (UINT64_C(1) << 62)

/* ---- lines -------------------------------------------------------------------------------- */

struct lines {
	const char *at, *end;
};

/* The next line without its newline; false if there is none that ends. */
static bool next_line(struct lines *l, struct span *out)
{
	const char *newline = l->at < l->end ? memchr(l->at, '\n', (size_t)(l->end - l->at)) : NULL;

	if (newline == NULL)
		return false;
	*out = (struct span){(const uint8_t *)l->at, (size_t)(newline - l->at)};
	l->at = newline + 1;
	return true;
}

static bool begins(struct span line, const char *with)
{
	size_t len = strlen(with);

	return line.len >= len && memcmp(line.data, with, len) == 0;
}

/* Decimal without leading zeros. */
static int parse_number(struct span text, uint64_t *out)
{
	uint64_t value = 0;

	if (text.len == 0 || (text.len > 1 && text.data[0] == '0'))
		return AYNI_ERR_FORMAT;
	if (text.len > SIZE_DIGITS)
		return AYNI_ERR_LIMIT;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return AYNI_ERR_FORMAT;
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	*out = value;
	return value > SIZE_MAX_LEAVES ? AYNI_ERR_LIMIT : AYNI_OK;
}

static bool parse_base64(struct span text, uint8_t *out, size_t size, size_t *len)
{
	return sodium_base642bin(out, size, (const char *)text.data, text.len, NULL, len, NULL,
	           sodium_base64_VARIANT_ORIGINAL) == 0;
}

static int parse_hash(struct span text, struct hash *out)
{
	size_t len;

	return parse_base64(text, out->bytes, HASH_BYTES, &len) && len == HASH_BYTES
	           ? AYNI_OK
	           : AYNI_ERR_FORMAT;
}

static void format_hash(const struct hash *h, char out[HASH_CHARS])
{
	(void)sodium_bin2base64(
	    out, HASH_CHARS, h->bytes, HASH_BYTES, sodium_base64_VARIANT_ORIGINAL);
}

/* ---- checkpoints -------------------------------------------------------------------------- */

void checkpoint_origin(const struct public_key *pool, char out[CHECKPOINT_ORIGIN_BYTES])
{
	char hex[HEX32_CHARS];

	hex32(pool->bytes, hex);
	(void)snprintf(out, CHECKPOINT_ORIGIN_BYTES, ORIGIN_PREFIX "%s", hex);
}

int checkpoint_origin_key(const char *origin, struct public_key *out)
{
	struct public_key key;
	char again[CHECKPOINT_ORIGIN_BYTES];

	if (strncmp(origin, ORIGIN_PREFIX, strlen(ORIGIN_PREFIX)) != 0 ||
	    unhex32(origin + strlen(ORIGIN_PREFIX), key.bytes) != AYNI_OK)
		return AYNI_ERR_FORMAT;
	checkpoint_origin(&key, again); /* capital digits would be another name */
	if (strcmp(origin, again) != 0)
		return AYNI_ERR_FORMAT;
	*out = key;
	return AYNI_OK;
}

int checkpoint_sign(const struct checkpoint *c, const struct identity *pool,
    char out[CHECKPOINT_TEXT_BYTES], struct error *err)
{
	char origin[CHECKPOINT_ORIGIN_BYTES], root[HASH_CHARS], line[NOTE_LINE_BYTES];
	int len, rc;

	if (c->size > SIZE_MAX_LEAVES)
		return error_set(err, AYNI_ERR_ARGUMENT, "checkpoint: too large a log");
	checkpoint_origin(identity_public(pool), origin);
	format_hash(&c->root, root);
	len = snprintf(out, CHECKPOINT_TEXT_BYTES, "%s\n%llu\n%s\n", origin,
	    (unsigned long long)c->size, root);
	rc = note_sign(out, (size_t)len, origin, pool, line, err);
	if (rc == AYNI_OK)
		(void)snprintf(out + len, CHECKPOINT_TEXT_BYTES - (size_t)len, "\n%s", line);
	return rc;
}

static int bad(struct error *err, int code, const char *what)
{
	return error_set(err, (enum ayni_error)code, "checkpoint: %s", what);
}

int checkpoint_parse(const struct note *n, struct checkpoint *out, struct error *err)
{
	struct lines l = {(const char *)n->text.data, (const char *)n->text.data + n->text.len};
	struct span origin, size, root, more;
	int rc;

	memset(out, 0, sizeof *out);
	if (!next_line(&l, &origin) || !next_line(&l, &size) || !next_line(&l, &root))
		return bad(err, AYNI_ERR_FORMAT, "fewer than three lines");
	if (origin.len == 0 || origin.len >= sizeof out->origin)
		return bad(err, AYNI_ERR_LIMIT, "no origin, or a very long one");
	memcpy(out->origin, origin.data, origin.len);
	rc = parse_number(size, &out->size);
	if (rc != AYNI_OK)
		return bad(err, rc, "the second line is not a size");
	rc = parse_hash(root, &out->root);
	if (rc != AYNI_OK)
		return bad(err, rc, "the third line is not a hash in base64");
	while (next_line(&l, &more)) {
		if (more.len == 0)
			return bad(err, AYNI_ERR_FORMAT, "an empty line");
	}
	return AYNI_OK;
}

int checkpoint_open(const char *data, size_t len, const struct public_key *pool,
    struct checkpoint *out, struct error *err)
{
	char origin[CHECKPOINT_ORIGIN_BYTES];
	struct note n;
	int rc = note_parse(data, len, &n, err);

	if (rc == AYNI_OK)
		rc = checkpoint_parse(&n, out, err);
	if (rc != AYNI_OK)
		return rc;
	checkpoint_origin(pool, origin);
	if (strcmp(out->origin, origin) != 0)
		return bad(err, AYNI_ERR_SIGNATURE, "it is of another log");
	if (note_verify(&n, origin, pool) != AYNI_OK)
		return bad(err, AYNI_ERR_SIGNATURE, "the pool has not signed it");
	return AYNI_OK;
}

/* ---- proofs ------------------------------------------------------------------------------- */

int proof_format(const struct proof *p, char **out, struct error *err)
{
	char receipt[RECEIPT_TEXT_BYTES];
	size_t size = 0;
	FILE *f;
	int rc = receipt_to_text(&p->receipt, receipt, err);

	if (rc != AYNI_OK)
		return rc;
	f = open_memstream(out, &size);
	if (f == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "proof: out of memory");
	(void)fprintf(
	    f, PROOF_HEAD "\nextra %s\nindex %llu\n", receipt, (unsigned long long)p->index);
	for (size_t i = 0; i < p->n; i++) {
		char hash[HASH_CHARS];

		format_hash(&p->hashes[i], hash);
		(void)fprintf(f, "%s\n", hash);
	}
	(void)fprintf(f, "\n%.*s", (int)p->checkpoint.len, (const char *)p->checkpoint.data);
	if (fclose(f) != 0) {
		free(*out);
		return error_set(err, AYNI_ERR_MEMORY, "proof: out of memory");
	}
	return AYNI_OK;
}

static int bad_proof(struct error *err, const char *what)
{
	return error_set(err, AYNI_ERR_FORMAT, "proof: %s", what);
}

static int parse_hashes(struct lines *l, struct proof *out, struct error *err)
{
	struct span line;

	while (next_line(l, &line)) {
		if (line.len == 0) {
			out->checkpoint =
			    (struct span){(const uint8_t *)l->at, (size_t)(l->end - l->at)};
			return AYNI_OK;
		}
		if (out->n == PROOF_HASHES_MAX)
			return error_set(err, AYNI_ERR_LIMIT, "proof: too many hashes");
		if (parse_hash(line, &out->hashes[out->n++]) != AYNI_OK)
			return bad_proof(err, "a line is not a hash in base64");
	}
	return bad_proof(err, "no checkpoint");
}

int proof_parse(const char *data, size_t len, struct proof *out, struct error *err)
{
	struct lines l = {data, data + len};
	struct span line;
	int rc;

	memset(out, 0, sizeof *out);
	if (len > PROOF_BYTES_MAX)
		return error_set(err, AYNI_ERR_LIMIT, "proof: %zu bytes are too many", len);
	if (!next_line(&l, &line) || line.len != strlen(PROOF_HEAD) || !begins(line, PROOF_HEAD))
		return bad_proof(err, "does not begin with " PROOF_HEAD);
	if (!next_line(&l, &line) || !begins(line, "extra "))
		return bad_proof(err, "no line \"extra\" with the receipt");
	rc = receipt_from_text((struct span){line.data + 6, line.len - 6}, &out->receipt, err);
	if (rc != AYNI_OK)
		return rc;
	if (!next_line(&l, &line) || !begins(line, "index ") ||
	    parse_number((struct span){line.data + 6, line.len - 6}, &out->index) != AYNI_OK)
		return bad_proof(err, "no line \"index\"");
	return parse_hashes(&l, out, err);
}
