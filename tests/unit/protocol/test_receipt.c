/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/receipt.h"

struct parties {
	struct identity *pool, *donor;
};

static int setup(void **state)
{
	struct parties *p = calloc(1, sizeof *p);

	if (p == NULL || identity_generate(&p->pool, NULL) != 0 ||
	    identity_generate(&p->donor, NULL) != 0)
		return -1;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct parties *p = *state;

	identity_free(p->pool);
	identity_free(p->donor);
	free(p);
	return 0;
}

static struct receipt sample_receipt(const struct parties *p)
{
	struct receipt r = {.number = INT64_MAX,
	    .pool = *identity_public(p->pool),
	    .donor = *identity_public(p->donor),
	    .layer_first = 1,
	    .layer_last = LIMIT_LAYERS,
	    .units = INT64_MAX,
	    .tokens = INT64_MAX,
	    .cost = {FLOP_MAX},
	    .first_ms = 5,
	    .last_ms = INT64_MAX,
	    .merge_delay_s = 366 * 86400,
	    .verification = VERIFICATION_RIGHT};

	random_bytes(r.session.bytes, PSEUDONYM_BYTES);
	random_bytes(r.model.bytes, HASH_BYTES);
	random_bytes(r.units_hash.bytes, HASH_BYTES);
	return r;
}

/* ---- receipts ----------------------------------------------------------------------------- */

static void a_receipt_survives_a_round_trip_with_both_signatures(void **state)
{
	struct parties *p = *state;
	struct receipt r = sample_receipt(p), back;
	struct signed_receipt s;
	struct error err;

	assert_int_equal(receipt_issue(&r, p->pool, &s, &err), AYNI_OK);
	assert_false(s.countersigned);
	assert_int_equal(receipt_check(&s, &back, &err), AYNI_OK);
	receipt_countersign(&s, p->donor);
	assert_int_equal(receipt_check(&s, &back, &err), AYNI_OK);
	assert_true(back.number == r.number && back.units == r.units && back.tokens == r.tokens);
	assert_true(public_key_equal(&back.pool, &r.pool));
	assert_true(public_key_equal(&back.donor, &r.donor));
	assert_true(hash_equal(&back.model, &r.model));
	assert_true(hash_equal(&back.units_hash, &r.units_hash));
	assert_int_equal(back.layer_first, r.layer_first);
	assert_int_equal(back.layer_last, r.layer_last);
	assert_true(flop_count(back.cost) == flop_count(r.cost));
	assert_true(back.first_ms == r.first_ms && back.last_ms == r.last_ms);
	assert_int_equal(back.merge_delay_s, r.merge_delay_s);
	assert_true(pseudonym_equal(&back.session, &r.session));
	assert_int_equal(back.verification, r.verification);
	assert_false(back.is_standing);
}

/* As long as one can be. */
static struct receipt sample_standing(const struct parties *p)
{
	struct receipt r = {.number = INT64_MAX,
	    .pool = *identity_public(p->pool),
	    .donor = *identity_public(p->donor),
	    .first_ms = INT64_MAX,
	    .last_ms = INT64_MAX,
	    .merge_delay_s = 366 * 86400,
	    .is_standing = true,
	    .standing = {
	        .from = STANDING_TRUSTED, .to = STANDING_QUARANTINED, .has_evidence = true}};

	memset(r.standing.reason, 'r', sizeof r.standing.reason - 1);
	random_bytes(r.standing.evidence.bytes, HASH_BYTES);
	return r;
}

static void a_change_of_standing_survives_a_round_trip(void **state)
{
	struct parties *p = *state;
	struct receipt r = sample_standing(p), back;
	struct signed_receipt s;
	struct error err;

	assert_int_equal(receipt_issue(&r, p->pool, &s, &err), AYNI_OK);
	assert_int_equal(receipt_check(&s, &back, &err), AYNI_OK);
	assert_true(back.is_standing && back.standing.has_evidence);
	assert_int_equal(back.standing.from, STANDING_TRUSTED);
	assert_int_equal(back.standing.to, STANDING_QUARANTINED);
	assert_string_equal(back.standing.reason, r.standing.reason);
	assert_true(hash_equal(&back.standing.evidence, &r.standing.evidence));
	assert_int_equal(back.units, 0);
	r.standing.has_evidence = false;
	assert_int_equal(receipt_issue(&r, p->pool, &s, &err), AYNI_OK);
	assert_int_equal(receipt_check(&s, &back, &err), AYNI_OK);
	assert_false(back.standing.has_evidence);
}

static void refuses_a_change_of_standing_that_counts_work_or_is_none(void **state)
{
	struct parties *p = *state;
	struct receipt good = sample_standing(p), bad[10];
	struct signed_receipt s;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		bad[i] = good;
	bad[0].standing.to = STANDING_TRUSTED;
	bad[1].standing.to = STANDING_STATE_END;
	bad[2].standing.from = STANDING_STATE_END;
	bad[3].standing.reason[0] = '\0';
	bad[4].standing.reason[0] = '\n';
	bad[5].units = 1;
	bad[6].tokens = 1;
	bad[7].cost = (struct flop){1}; /* allowed: made up */
	bad[8].layer_last = 1;
	bad[9].session.bytes[0] = 1;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_not_equal(receipt_issue(&bad[i], p->pool, &s, NULL), AYNI_OK);
	assert_int_equal(receipt_issue(&good, p->pool, &s, NULL), AYNI_OK);
}

static void refuses_every_flipped_bit_of_a_receipt(void **state)
{
	struct parties *p = *state;
	struct receipt r = sample_receipt(p), back;
	struct signed_receipt s;
	struct {
		uint8_t *data;
		size_t len;
	} areas[3];

	assert_int_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	receipt_countersign(&s, p->donor);
	areas[0].data = s.receipt;
	areas[0].len = s.receipt_len;
	areas[1].data = s.pool_signature.bytes;
	areas[2].data = s.donor_signature.bytes;
	areas[1].len = areas[2].len = SIGNATURE_BYTES;
	for (size_t a = 0; a < 3; a++)
		for (size_t bit = 0; bit < 8 * areas[a].len; bit++) {
			areas[a].data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_not_equal(receipt_check(&s, &back, NULL), AYNI_OK);
			areas[a].data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	assert_int_equal(receipt_check(&s, &back, NULL), AYNI_OK);
}

static void refuses_every_truncated_receipt(void **state)
{
	struct parties *p = *state;
	struct receipt r = sample_receipt(p), back;
	struct signed_receipt s;
	size_t whole;

	assert_int_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	whole = s.receipt_len;
	for (s.receipt_len = 0; s.receipt_len < whole; s.receipt_len++)
		assert_int_not_equal(receipt_check(&s, &back, NULL), AYNI_OK);
	s.receipt_len = RECEIPT_BYTES_MAX + 1;
	assert_int_not_equal(receipt_check(&s, &back, NULL), AYNI_OK);
}

static void refuses_a_countersignature_of_another(void **state)
{
	struct parties *p = *state;
	struct receipt r = sample_receipt(p), back;
	struct signed_receipt s;

	assert_int_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	receipt_countersign(&s, p->pool);
	assert_int_equal(receipt_check(&s, &back, NULL), AYNI_ERR_SIGNATURE);
	/* ... and the pool's signature does not serve as the donor's, even of one party. */
	r.donor = r.pool;
	assert_int_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	s.donor_signature = s.pool_signature;
	s.countersigned = true;
	assert_int_equal(receipt_check(&s, &back, NULL), AYNI_ERR_SIGNATURE);
}

static void issues_no_receipt_that_is_out_of_bounds(void **state)
{
	struct parties *p = *state;
	struct signed_receipt s;
	struct receipt r = sample_receipt(p);

	r.number = 0;
	assert_int_not_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	r = sample_receipt(p);
	r.units = 0;
	assert_int_not_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	r = sample_receipt(p);
	r.layer_last = r.layer_first;
	assert_int_not_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	r = sample_receipt(p);
	r.last_ms = r.first_ms - 1;
	assert_int_not_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	r = sample_receipt(p);
	r.merge_delay_s++;
	assert_int_not_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
	r = sample_receipt(p);
	r.pool = r.donor;
	assert_int_not_equal(receipt_issue(&r, p->pool, &s, NULL), AYNI_OK);
}

static void the_chain_depends_on_number_result_and_order(void **state)
{
	struct hash one = {{1}}, two = {{2}}, a = {{0}}, b = {{0}}, c = {{0}}, expected;
	uint8_t link[72] = {0};

	(void)state;
	receipt_chain(&a, 0x0102, &one);
	link[32] = 0x02;
	link[33] = 0x01;
	link[40] = 1;
	hash_bytes(link, sizeof link, &expected);
	assert_true(hash_equal(&a, &expected));
	receipt_chain(&a, 3, &two);
	receipt_chain(&b, 3, &two);
	receipt_chain(&b, 0x0102, &one);
	assert_false(hash_equal(&a, &b));
	receipt_chain(&c, 0x0103, &one);
	receipt_chain(&c, 3, &two);
	assert_false(hash_equal(&a, &c));
}

/* ---- manifests ---------------------------------------------------------------------------- */

/* 10 bytes of head in two chunks, a hole, and one chunk up to the end. */
static struct manifest sample_manifest(struct manifest_chunk chunks[3])
{
	const struct manifest m = {
	    .name = "demo", .file_bytes = 100, .head_bytes = 10, .n_chunks = 3, .chunks = chunks};

	chunks[0] = (struct manifest_chunk){.offset = 0, .length = 6};
	chunks[1] = (struct manifest_chunk){.offset = 6, .length = 4};
	chunks[2] = (struct manifest_chunk){.offset = 50, .length = 50};
	random_bytes(chunks[2].hash.bytes, HASH_BYTES);
	return m;
}

static void a_manifest_survives_a_round_trip(void **state)
{
	struct parties *p = *state;
	struct manifest_chunk chunks[3];
	struct manifest m = sample_manifest(chunks), back;
	struct error err;
	uint8_t *bytes;
	size_t len;

	assert_int_equal(manifest_sign(&m, p->pool, &bytes, &len, &err), AYNI_OK);
	assert_int_equal(manifest_open(bytes, len, &back, &err), AYNI_OK);
	assert_string_equal(back.name, "demo");
	assert_true(back.file_bytes == 100 && back.head_bytes == 10);
	assert_int_equal(back.n_chunks, 3);
	assert_int_equal(back.chunks[2].offset, 50);
	assert_true(hash_equal(&back.chunks[2].hash, &chunks[2].hash));
	assert_true(public_key_equal(&back.publisher, identity_public(p->pool)));
	manifest_free(&back);
	free(bytes);
}

static void refuses_every_flipped_bit_and_truncation_of_a_manifest(void **state)
{
	struct parties *p = *state;
	struct manifest_chunk chunks[3];
	struct manifest m = sample_manifest(chunks), back;
	uint8_t *bytes;
	size_t len;

	assert_int_equal(manifest_sign(&m, p->pool, &bytes, &len, NULL), AYNI_OK);
	for (size_t bit = 0; bit < 8 * len; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(manifest_open(bytes, len, &back, NULL), AYNI_OK);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		assert_int_not_equal(manifest_open(bytes, cut, &back, NULL), AYNI_OK);
	free(bytes);
}

static void refused(const struct parties *p, const struct manifest *m)
{
	uint8_t *bytes;
	size_t len;
	struct error err = {0};

	assert_int_not_equal(manifest_sign(m, p->pool, &bytes, &len, &err), AYNI_OK);
	assert_int_not_equal(err.text[0], 0);
}

static void refuses_chunks_that_overlap_or_leave_the_file(void **state)
{
	struct parties *p = *state;
	struct manifest_chunk chunks[3];
	struct manifest m = sample_manifest(chunks);

	chunks[1].offset = 5; /* overlaps */
	refused(p, &m);
	m = sample_manifest(chunks);
	chunks[2].length = 51; /* past the end */
	refused(p, &m);
	m = sample_manifest(chunks);
	chunks[2].offset = UINT64_MAX; /* would wrap */
	refused(p, &m);
	m = sample_manifest(chunks);
	chunks[2].length = 0;
	refused(p, &m);
	m = sample_manifest(chunks);
	m.file_bytes = (uint64_t)4 << 20;
	chunks[2].length = LIMIT_CHUNK_BYTES + 1;
	refused(p, &m);
	m = sample_manifest(chunks);
	chunks[1].offset = 7; /* a hole in the head */
	chunks[1].length = 3;
	refused(p, &m);
	m = sample_manifest(chunks);
	m.head_bytes = 11;
	refused(p, &m);
	m = sample_manifest(chunks);
	m.head_bytes = 101;
	refused(p, &m);
	m = sample_manifest(chunks);
	m.n_chunks = 0;
	refused(p, &m);
	m = sample_manifest(chunks);
	memcpy(m.name, "a\nb", 4);
	refused(p, &m);
}

static void holds_the_chunks_of_a_large_model(void **state)
{
	struct parties *p = *state;
	size_t n = 100000, len;
	struct manifest m = {
	    .name = "large", .file_bytes = (uint64_t)n << 20, .head_bytes = 1 << 20, .n_chunks = n};
	struct manifest back;
	uint8_t *bytes;

	m.chunks = calloc(n, sizeof *m.chunks);
	for (size_t i = 0; i < n; i++)
		m.chunks[i] =
		    (struct manifest_chunk){.offset = (uint64_t)i << 20, .length = 1 << 20};
	assert_int_equal(manifest_sign(&m, p->pool, &bytes, &len, NULL), AYNI_OK);
	assert_int_equal(manifest_open(bytes, len, &back, NULL), AYNI_OK);
	assert_int_equal(back.n_chunks, n);
	manifest_free(&back);
	free(m.chunks);
	free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_receipt_survives_a_round_trip_with_both_signatures),
	    TEST(a_change_of_standing_survives_a_round_trip),
	    TEST(refuses_a_change_of_standing_that_counts_work_or_is_none),
	    TEST(refuses_every_flipped_bit_of_a_receipt),
	    TEST(refuses_every_truncated_receipt),
	    TEST(refuses_a_countersignature_of_another),
	    TEST(issues_no_receipt_that_is_out_of_bounds),
	    TEST(the_chain_depends_on_number_result_and_order),
	    TEST(a_manifest_survives_a_round_trip),
	    TEST(refuses_every_flipped_bit_and_truncation_of_a_manifest),
	    TEST(refuses_chunks_that_overlap_or_leave_the_file),
	    TEST(holds_the_chunks_of_a_large_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
