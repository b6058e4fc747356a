/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every room may know: errors, identifiers, hashes, amounts of work, and the limits that bound
 * all input. No I/O and no allocation happens here, so that protocol/, compute/ and storage/ need
 * nothing else of each other. Everything is a plain value and safe to use from any thread.
 */
#ifndef AYNI_PROTOCOL_BASE_H
#define AYNI_PROTOCOL_BASE_H

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Functions that can fail return AYNI_OK or one of these (all negative). */
enum ayni_error {
	AYNI_OK = 0,
	AYNI_ERR_MEMORY = -1,      /* allocation failed, or a limit on memory was reached */
	AYNI_ERR_IO = -2,          /* the system refused a file or socket operation */
	AYNI_ERR_FORMAT = -3,      /* bytes do not follow their format */
	AYNI_ERR_LIMIT = -4,       /* well-formed, but past a stated limit */
	AYNI_ERR_UNSUPPORTED = -5, /* well-formed, but nothing here can handle it */
	AYNI_ERR_ARGUMENT = -6,    /* a person asked for something that cannot be */
	AYNI_ERR_NOT_FOUND = -7,
	AYNI_ERR_EXISTS = -8,
	AYNI_ERR_SIGNATURE = -9, /* a signature, key or hash does not match */
	AYNI_ERR_STATE = -10,    /* not allowed now: wrong state, or already done */
	AYNI_ERR_TIMEOUT = -11,
	AYNI_ERR_AGAIN = -12,  /* would block; nothing was done */
	AYNI_ERR_NUMERIC = -13 /* a computation gave a value that is not finite */
};

enum { ERROR_TEXT_BYTES = 256 };

/* Context for a person. Functions take `struct error *err`, which may be NULL. */
struct error {
	enum ayni_error code;
	char text[ERROR_TEXT_BYTES]; /* one line: what was wrong, where, what to do */
};

/* Fill *err (if there is one) and hand back `code`, so that callers can `return error_set(...)`. */
__attribute__((format(printf, 3, 4))) static inline int error_set(
    struct error *err, enum ayni_error code, const char *fmt, ...)
{
	if (err != NULL) {
		va_list ap;

		va_start(ap, fmt);
		err->code = code;
		(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
	}
	return code;
}

/* ---- identifiers ------------------------------------------------------------------------- */

enum {
	HASH_BYTES = 32,       /* BLAKE2b-256 */
	PUBLIC_KEY_BYTES = 32, /* Ed25519 */
	SIGNATURE_BYTES = 64,  /* Ed25519 */
	PSEUDONYM_BYTES = 16,
	HEX32_CHARS = 65,    /* 32 bytes in hexadecimal with the NUL */
	PSEUDONYM_CHARS = 33 /* likewise */
};

struct hash {
	uint8_t bytes[HASH_BYTES];
};

struct public_key {
	uint8_t bytes[PUBLIC_KEY_BYTES];
};

struct signature {
	uint8_t bytes[SIGNATURE_BYTES];
};

/* What a session is called where everybody may read it; zeros: nothing. */
struct pseudonym {
	uint8_t bytes[PSEUDONYM_BYTES];
};

static inline bool hash_equal(const struct hash *a, const struct hash *b)
{
	return memcmp(a->bytes, b->bytes, HASH_BYTES) == 0;
}

static inline bool public_key_equal(const struct public_key *a, const struct public_key *b)
{
	return memcmp(a->bytes, b->bytes, PUBLIC_KEY_BYTES) == 0;
}

static inline bool pseudonym_equal(const struct pseudonym *a, const struct pseudonym *b)
{
	return memcmp(a->bytes, b->bytes, PSEUDONYM_BYTES) == 0;
}

static inline bool pseudonym_is_set(const struct pseudonym *p)
{
	static const struct pseudonym none;

	return !pseudonym_equal(p, &none);
}

/* Borrowed bytes. The owner is said where one is returned. */
struct span {
	const uint8_t *data;
	size_t len;
};

/* ---- amounts of work ---------------------------------------------------------------------- */

/*
 * Floating point operations by the published cost of a layer (compute/cost.h). Wrapped, so that it
 * is never added unchecked or mixed up with another integer. Values stay within SQLite's INTEGER.
 */
struct flop {
	uint64_t count;
};

#define FLOP_MAX ((uint64_t)INT64_MAX)

static inline int flop_from(uint64_t count, struct flop *out)
{
	if (count > FLOP_MAX)
		return AYNI_ERR_LIMIT;
	out->count = count;
	return AYNI_OK;
}

static inline int flop_add(struct flop a, struct flop b, struct flop *out)
{
	uint64_t sum;

	if (__builtin_add_overflow(a.count, b.count, &sum))
		return AYNI_ERR_LIMIT;
	return flop_from(sum, out);
}

static inline uint64_t flop_count(struct flop a)
{
	return a.count;
}

static inline double flop_giga(struct flop a)
{
	return (double)a.count / 1e9;
}

/* ---- limits ------------------------------------------------------------------------------- */

enum {
	LIMIT_LAYERS = 1024,        /* layers of a model */
	LIMIT_VOCABULARY = 1 << 20, /* tokens of a vocabulary */
	LIMIT_CONTEXT_TOKENS = 1 << 20 /* positions of one session */,
	LIMIT_WIRE_TYPES = 3,           /* ways to send activations */
	LIMIT_KV_TYPES = 2,             /* ways to keep keys and values */
	LIMIT_TENSOR_TYPES = 64,        /* numbers of weight types are below */
	LIMIT_ROUND_TRIP_US = 60000000, /* between two donors, as one of them says */
	LIMIT_SPEEDS = 32,              /* weight types that a donor says its speed with */
	LIMIT_UNIT_SPANS = 256,         /* sessions in one work unit */
	LIMIT_UNIT_TOKENS = 512,        /* tokens in one work unit, all sessions together */
	LIMIT_LAYER_HASHES = 1 << 14,   /* after the layers of one work unit, of all its parts */
	LIMIT_HEADER_BYTES = 1 << 20,   /* protobuf header of one message */
	LIMIT_PAYLOAD_BYTES = 64 << 20 /* raw frame beside a header */,
	LIMIT_CHUNK_BYTES = 1 << 20, /* one piece of a model file on the wire */
	LIMIT_NAME_BYTES = 128       /* names of models, donors, pools, with the NUL */
};

#endif
