/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A party's keys. One Ed25519 key pair (RFC 8032) is the identity; the Curve25519 pair that CURVE
 * needs (RFC 7748) is derived from it, so that a signature and a connection prove the same party.
 *
 * The secret half lives in locked memory and is wiped by identity_free. A struct identity is
 * immutable: any thread may sign with it. libsodium does all cryptography.
 */
#ifndef AYNI_PROTOCOL_IDENTITY_H
#define AYNI_PROTOCOL_IDENTITY_H

#include "protocol/base.h"

enum { CURVE_KEY_BYTES = 32, DERIVED_KEY_BYTES = 32 };

struct identity;

int identity_generate(struct identity **out, struct error *err);
/*
 * Read a key file. AYNI_ERR_NOT_FOUND if there is none; AYNI_ERR_ARGUMENT if others than its owner
 * can read it (the message says which chmod to run); AYNI_ERR_FORMAT if it is damaged.
 */
int identity_read(const char *path, struct identity **out, struct error *err);
/* Write a new file with mode 0600, atomically; AYNI_ERR_EXISTS if there is one. */
int identity_write(const struct identity *id, const char *path, struct error *err);
/* identity_read, or generate and write (missing folders with mode 0700 are made). `created` may be
 * NULL. */
int identity_open(const char *path, struct identity **out, bool *created, struct error *err);
void identity_free(struct identity *id);

const struct public_key *identity_public(const struct identity *id);
/*
 * Sign or check `len` bytes under a domain, e.g. "ayni v1 receipt": the signature covers domain,
 * NUL, bytes. Signing fails (AYNI_ERR_MEMORY) only for more than 4000 bytes; a check that cannot be
 * done says false.
 */
int identity_sign(const struct identity *id, const char *domain, const uint8_t *data, size_t len,
    struct signature *out);
bool identity_verify(const struct public_key *key, const char *domain, const uint8_t *data,
    size_t len, const struct signature *sig);

/*
 * The same without a domain, for texts whose format says how they are signed (note.h). They must
 * not contain a NUL (AYNI_ERR_ARGUMENT), so that none is ever the bytes of a domain's signature.
 */
int identity_sign_text(
    const struct identity *id, const char *text, size_t len, struct signature *out);
bool identity_verify_text(
    const struct public_key *key, const char *text, size_t len, const struct signature *sig);

/* Curve25519 halves, for transport.c. */
int identity_curve_secret(const struct identity *id, uint8_t out[CURVE_KEY_BYTES]);
int identity_curve_public(const struct public_key *key, uint8_t out[CURVE_KEY_BYTES]);

/* A secret of this identity for one purpose, always the same: keyed BLAKE2b of the purpose. It says
 * nothing of the key. */
void identity_derive(
    const struct identity *id, const char *purpose, uint8_t out[DERIVED_KEY_BYTES]);

/* BLAKE2b-256, without and with a key. */
void hash_bytes(const uint8_t *data, size_t len, struct hash *out);
void hash_keyed(
    const uint8_t key[DERIVED_KEY_BYTES], const uint8_t *data, size_t len, struct hash *out);
/* 32 bytes as 64 hexadecimal digits with a NUL, and back (exactly 64 digits). */
void hex32(const uint8_t bytes[32], char out[HEX32_CHARS]);
int unhex32(const char *text, uint8_t out[32]);
/* Likewise. Zeros, which are no pseudonym, are refused too. */
void pseudonym_to_text(const struct pseudonym *p, char out[PSEUDONYM_CHARS]);
int pseudonym_from_text(const char *text, struct pseudonym *out);
void random_bytes(void *out, size_t len);

#endif
