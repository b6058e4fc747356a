/* SPDX-License-Identifier: Apache-2.0 */
/* Notes by the known example of Go's package note; checkpoints, cosignatures and proofs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "protocol/checkpoint.h"
#include "protocol/receipt.h"
#include "tests/support/scratch.h"

static struct error err;
static struct identity *pool, *witness;

static int set_up(void **state)
{
	(void)state;
	return identity_generate(&pool, NULL) == AYNI_OK &&
	               identity_generate(&witness, NULL) == AYNI_OK
	           ? 0
	           : -1;
}

static int tear_down(void **state)
{
	(void)state;
	identity_free(pool);
	identity_free(witness);
	return 0;
}

/* ---- notes -------------------------------------------------------------------------------- */

#define NEUMANN_TEXT                                                                               \
	"If you think cryptography is the answer to your problem,\n"                               \
	"then you don't know what your problem is.\n"
#define NEUMANN_LINE                                                                               \
	"— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdn" \
	"gotpRZb6KE6RyyBwJnAM=\n"

/* The example's private key is its algorithm and its seed. */
static struct identity *neumann(void)
{
	static const char secret[] = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
	uint8_t raw[33];
	char hex[65], path[1024];
	struct scratch scratch;
	struct identity *id;
	FILE *f;

	assert_int_equal(sodium_base642bin(raw, sizeof raw, secret, strlen(secret), NULL, NULL,
	                     NULL, sodium_base64_VARIANT_ORIGINAL),
	    0);
	hex32(raw + 1, hex);
	scratch_make(&scratch);
	(void)snprintf(path, sizeof path, "%s", scratch_path(&scratch, "key"));
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fprintf(f, "ayni-key-v1 %s\n", hex);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(identity_read(path, &id, &err), AYNI_OK);
	scratch_remove(&scratch);
	return id;
}

static void signs_and_verifies_the_known_note(void **state)
{
	struct identity *id = neumann();
	char line[NOTE_LINE_BYTES], key[NOTE_KEY_BYTES];
	struct note n;

	(void)state;
	note_key_text("PeterNeumann", NOTE_ED25519, identity_public(id), key);
	assert_string_equal(
	    key, "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
	assert_int_equal(
	    note_sign(NEUMANN_TEXT, strlen(NEUMANN_TEXT), "PeterNeumann", id, line, &err), AYNI_OK);
	assert_string_equal(line, NEUMANN_LINE);
	assert_int_equal(note_parse(NEUMANN_TEXT "\n" NEUMANN_LINE,
	                     strlen(NEUMANN_TEXT "\n" NEUMANN_LINE), &n, &err),
	    AYNI_OK);
	assert_int_equal(note_verify(&n, "PeterNeumann", identity_public(id)), AYNI_OK);
	assert_int_equal(note_verify(&n, "PaulNeumann", identity_public(id)), AYNI_ERR_NOT_FOUND);
	assert_int_equal(
	    note_verify(&n, "PeterNeumann", identity_public(pool)), AYNI_ERR_NOT_FOUND);
	identity_free(id);
}

static void a_changed_text_is_not_what_was_signed(void **state)
{
	struct identity *id = neumann();
	char text[] = NEUMANN_TEXT "\n" NEUMANN_LINE;
	struct note n;

	(void)state;
	text[3] = 'Y';
	assert_int_equal(note_parse(text, strlen(text), &n, &err), AYNI_OK);
	assert_int_equal(note_verify(&n, "PeterNeumann", identity_public(id)), AYNI_ERR_SIGNATURE);
	identity_free(id);
}

/* The example of C2SP tlog-cosignature, whose keys are not published. */
static void reads_the_cosigned_checkpoint_of_the_specification(void **state)
{
	static const char text[] =
	    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
	    "\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URY"
	    "N7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZM"
	    "HwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
	    "\n";
	static const uint8_t time[8] = {0, 0, 0, 0, 0x64, 0x18, 0x50, 0xcb};
	struct checkpoint c;
	struct note n;

	(void)state;
	assert_int_equal(note_parse(text, strlen(text), &n, &err), AYNI_OK);
	assert_int_equal(n.n, 2);
	assert_int_equal(n.signatures[0].key_id, 0x033de0ae);
	assert_int_equal(n.signatures[0].len, 64);
	assert_int_equal(n.signatures[1].key_id, 0x8d66cf3f);
	assert_int_equal(n.signatures[1].len, 72);
	assert_memory_equal(n.signatures[1].bytes, time, sizeof time);
	assert_int_equal(checkpoint_parse(&n, &c, &err), AYNI_OK);
	assert_string_equal(c.origin, "example.com/behind-the-sofa");
	assert_int_equal(c.size, 20852163);
	assert_int_equal(c.root.bytes[0], 0x0a);
}

static void refuses_what_is_no_note(void **state)
{
	static const char *const texts[] = {"", "\n", "\n\n", "text\n", "text\n\n", "text\n\n\n",
	    "text\n\n— name\n", "text\n\n— name \n", "text\n\n- name AAAAAAA=\n",
	    "text\n\n— name AAAA\n", "text\n\n— name AAAAAA=\n", "text\n\n— na+me AAAAAAA=\n",
	    "text\n\n— na\xc2\xa0me AAAAAAA=\n",
	    "text\n\n— name AAAAAAA=", "te\txt\n\n— name AAAAAAA=\n",
	    "te\xffxt\n\n— name AAAAAAA=\n", "text\n\n— name AAAAAAA= \n", "text\n\n—  AAAAAAA=\n"};
	struct note n;

	(void)state;
	assert_int_equal(
	    note_parse("text\n\n— name AAAAAAA=\n", strlen("text\n\n— name AAAAAAA=\n"), &n, &err),
	    AYNI_OK);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(note_parse(texts[i], strlen(texts[i]), &n, &err), AYNI_ERR_FORMAT);
}

static void never_signs_a_text_that_could_be_a_signed_message(void **state)
{
	char line[NOTE_LINE_BYTES];
	struct signature s;

	(void)state;
	assert_int_equal(identity_sign_text(pool, "a\0b\n", 4, &s), AYNI_ERR_ARGUMENT);
	assert_int_equal(note_sign("a\0b\n", 4, "name", pool, line, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(note_sign("no newline", 10, "name", pool, line, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(note_sign("text\n", 5, "na me", pool, line, &err), AYNI_ERR_ARGUMENT);
}

/* ---- checkpoints -------------------------------------------------------------------------- */

static void sign_checkpoint(uint64_t size, char text[CHECKPOINT_TEXT_BYTES])
{
	struct checkpoint c = {.size = size, .root = {{1, 2, 3}}};

	assert_int_equal(checkpoint_sign(&c, pool, text, &err), AYNI_OK);
}

static void a_checkpoint_survives_a_round_trip(void **state)
{
	static const uint64_t sizes[] = {0, 1, 20852163, UINT64_C(1) << 62};
	char text[CHECKPOINT_TEXT_BYTES];
	struct checkpoint c;
	struct public_key key;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		sign_checkpoint(sizes[i], text);
		assert_int_equal(
		    checkpoint_open(text, strlen(text), identity_public(pool), &c, &err), AYNI_OK);
		assert_int_equal(c.size, sizes[i]);
		assert_int_equal(c.root.bytes[2], 3);
		assert_int_equal(checkpoint_origin_key(c.origin, &key), AYNI_OK);
		assert_true(public_key_equal(&key, identity_public(pool)));
	}
}

static void no_byte_of_a_checkpoint_can_be_changed(void **state)
{
	char text[CHECKPOINT_TEXT_BYTES];
	struct checkpoint c;
	size_t len;

	(void)state;
	sign_checkpoint(77, text);
	len = strlen(text);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		assert_int_not_equal(
		    checkpoint_open(text, len, identity_public(pool), &c, &err), AYNI_OK);
		text[i] ^= 1;
	}
	assert_int_equal(
	    checkpoint_open(text, len, identity_public(witness), &c, &err), AYNI_ERR_SIGNATURE);
}

static void a_cosignature_stands_beside_the_signature_of_the_log(void **state)
{
	char text[CHECKPOINT_TEXT_BYTES + NOTE_LINE_BYTES], line[NOTE_LINE_BYTES];
	struct checkpoint c;
	struct note n;
	uint64_t time_s;
	char *at;

	(void)state;
	sign_checkpoint(5, text);
	assert_int_equal(note_parse(text, strlen(text), &n, &err), AYNI_OK);
	assert_int_equal(note_cosign((const char *)n.text.data, n.text.len, "witness.example/w",
	                     witness, 1679315147, line, &err),
	    AYNI_OK);
	memcpy(text + strlen(text), line, strlen(line) + 1);
	assert_int_equal(
	    checkpoint_open(text, strlen(text), identity_public(pool), &c, &err), AYNI_OK);
	assert_int_equal(note_parse(text, strlen(text), &n, &err), AYNI_OK);
	assert_int_equal(n.n, 2);
	assert_int_equal(
	    note_verify_cosignature(&n, "witness.example/w", identity_public(witness), &time_s),
	    AYNI_OK);
	assert_int_equal(time_s, 1679315147);
	assert_int_equal(
	    note_verify_cosignature(&n, "witness.example/v", identity_public(witness), &time_s),
	    AYNI_ERR_NOT_FOUND);
	at = &text[strlen(text) - 8]; /* a digit of base64 by another */
	*at = *at == 'A' ? 'B' : 'A';
	assert_int_equal(note_parse(text, strlen(text), &n, &err), AYNI_OK);
	assert_int_equal(
	    note_verify_cosignature(&n, "witness.example/w", identity_public(witness), &time_s),
	    AYNI_ERR_SIGNATURE);
}

static void refuses_what_is_no_checkpoint(void **state)
{
#define ROOT      "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define SIGNATURE "\n— name AAAAAAA=\n"
	static const char *const texts[] = {"a\n1\n" SIGNATURE, "a\n01\n" ROOT "\n" SIGNATURE,
	    "a\n-1\n" ROOT "\n" SIGNATURE, "a\n4611686018427387905\n" ROOT "\n" SIGNATURE,
	    "a\n99999999999999999999\n" ROOT "\n" SIGNATURE, "\n1\n" ROOT "\n" SIGNATURE,
	    "a\n1\nCsUY\n" SIGNATURE, "a\n1\n" ROOT "AAAA\n" SIGNATURE,
	    "a\n1\n" ROOT "\n\nmore\n" SIGNATURE, "a\n\n" ROOT "\n" SIGNATURE};
	static const char more[] = "a\n1\n" ROOT "\nmore\n" SIGNATURE;
	struct checkpoint c;
	struct note n;

	(void)state;
	assert_int_equal(note_parse(more, strlen(more), &n, &err), AYNI_OK);
	assert_int_equal(checkpoint_parse(&n, &c, &err), AYNI_OK);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_int_equal(note_parse(texts[i], strlen(texts[i]), &n, &err), AYNI_OK);
		assert_int_not_equal(checkpoint_parse(&n, &c, &err), AYNI_OK);
	}
}

/* ---- proofs ------------------------------------------------------------------------------- */

static void a_proof_survives_a_round_trip(void **state)
{
	char text[CHECKPOINT_TEXT_BYTES], *formatted;
	struct receipt r = {.number = 8,
	    .pool = *identity_public(pool),
	    .donor = *identity_public(witness),
	    .layer_last = 3,
	    .units = 1,
	    .last_ms = 1};
	struct proof p = {.index = 7, .n = PROOF_HASHES_MAX}, q;

	(void)state;
	sign_checkpoint(9, text);
	p.checkpoint = (struct span){(const uint8_t *)text, strlen(text)};
	for (size_t i = 0; i < p.n; i++)
		p.hashes[i].bytes[i % 32] = (uint8_t)(i + 1);
	assert_int_equal(receipt_issue(&r, pool, &p.receipt, &err), AYNI_OK);
	receipt_countersign(&p.receipt, witness);
	assert_int_equal(proof_format(&p, &formatted, &err), AYNI_OK);
	assert_int_equal(proof_parse(formatted, strlen(formatted), &q, &err), AYNI_OK);
	assert_int_equal(q.index, 7);
	assert_int_equal(q.n, p.n);
	assert_memory_equal(q.hashes, p.hashes, sizeof p.hashes);
	assert_int_equal(q.checkpoint.len, p.checkpoint.len);
	assert_memory_equal(q.checkpoint.data, text, q.checkpoint.len);
	assert_int_equal(receipt_check(&q.receipt, &r, &err), AYNI_OK);
	assert_true(q.receipt.countersigned);
	for (size_t cut = 0; cut < strlen(formatted) - strlen(text); cut++)
		assert_int_not_equal(proof_parse(formatted, cut, &q, &err), AYNI_OK);
	free(formatted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(signs_and_verifies_the_known_note),
	    cmocka_unit_test(a_changed_text_is_not_what_was_signed),
	    cmocka_unit_test(reads_the_cosigned_checkpoint_of_the_specification),
	    cmocka_unit_test(refuses_what_is_no_note),
	    cmocka_unit_test(never_signs_a_text_that_could_be_a_signed_message),
	    cmocka_unit_test(a_checkpoint_survives_a_round_trip),
	    cmocka_unit_test(no_byte_of_a_checkpoint_can_be_changed),
	    cmocka_unit_test(a_cosignature_stands_beside_the_signature_of_the_log),
	    cmocka_unit_test(refuses_what_is_no_checkpoint),
	    cmocka_unit_test(a_proof_survives_a_round_trip),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
