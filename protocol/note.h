/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed notes: a text, an empty line, and one line a signature, which names its key.
 *
 *     text, lines of UTF-8
 *                                          "— " name " " base64(key id, 4 bytes || signature)
 *     — example.com/log Az3grlgtzPI...
 *
 * A key id is the beginning of SHA-256(name || newline || algorithm || public key). Two algorithms
 * are known here: Ed25519 over the text, and a witness's cosignature, which adds when it was given:
 * 8 bytes of time and Ed25519 over "cosignature/v1", the time and the text. Signatures of other
 * keys and algorithms are ignored, as the format wants it.
 *
 * Sources: C2SP signed-note, C2SP tlog-cosignature (v1). Pure functions, any thread.
 */
#ifndef AYNI_PROTOCOL_NOTE_H
#define AYNI_PROTOCOL_NOTE_H

#include "protocol/identity.h"

enum note_algorithm { NOTE_ED25519 = 1, NOTE_COSIGNATURE = 4 }; /* bytes of the format */

enum {
	NOTE_BYTES_MAX = 65536,
	NOTE_NAME_BYTES = 256, /* with the NUL */
	NOTE_SIGNATURES_MAX = 64,
	NOTE_SIGNATURE_BYTES_MAX = 5000, /* of any algorithm; longer ones are refused */
	NOTE_LINE_BYTES =
	    3 + 1 + NOTE_NAME_BYTES + 112,    /* of the two algorithms here, with the NUL */
	NOTE_KEY_BYTES = NOTE_NAME_BYTES + 64 /* note_key_text */
};

struct note_signature {
	struct span name; /* borrowed */
	uint32_t key_id;
	size_t len;        /* after the key id */
	uint8_t bytes[72]; /* the first of them */
};

struct note {
	struct span text; /* borrowed, its last newline included */
	size_t n;
	struct note_signature signatures[NOTE_SIGNATURES_MAX];
};

/* Any bytes: AYNI_ERR_FORMAT or AYNI_ERR_LIMIT. *out borrows from data. Nothing is verified. */
int note_parse(const char *data, size_t len, struct note *out, struct error *err);

/* AYNI_ERR_NOT_FOUND: that key has not signed. AYNI_ERR_SIGNATURE: it should have, but this is not
 * its signature. */
int note_verify(const struct note *n, const char *name, const struct public_key *key);
/* The same of a cosignature; *time_s is when it was given, Unix time. */
int note_verify_cosignature(
    const struct note *n, const char *name, const struct public_key *key, uint64_t *time_s);

/* A signature's line, with its newline and a NUL. The text ends in a newline and follows the
 * format, the name has no blank and no plus: else AYNI_ERR_ARGUMENT. */
int note_sign(const char *text, size_t len, const char *name, const struct identity *signer,
    char line[NOTE_LINE_BYTES], struct error *err);
int note_cosign(const char *text, size_t len, const char *name, const struct identity *witness,
    uint64_t time_s, char line[NOTE_LINE_BYTES], struct error *err);

/* "name+keyid+base64": how others are told a key (a "vkey" of signed-note). */
void note_key_text(const char *name, enum note_algorithm algorithm, const struct public_key *key,
    char out[NOTE_KEY_BYTES]);

#endif
