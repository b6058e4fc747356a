/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence of real lies, of none, and of what a pool might make up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/evidence.h"
#include "node/pool/accuse.h"
#include "tests/support/donors_trial.h"
#include "tests/support/tiny_model.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum { FIRST = 0, SECOND = 1 /* donors */ };

static struct recheck *recheck;
static struct replay *replay;
static atomic_bool stop;
static struct error err;
static uint8_t *file;
static size_t file_len;

static int set_up(void **state)
{
	(void)state;
	return recheck_new(kernels_best(), donors.team, &recheck, &err) == AYNI_OK &&
	               replay_new(kernels_best(), donors.team, &replay, &err) == AYNI_OK
	           ? 0
	           : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(file);
	file = NULL;
	donors_stop();
	recheck_free(recheck);
	replay_free(replay);
	return 0;
}

/* ---- evidence ----------------------------------------------------------------------------- */

/* What a pool makes of the lie that it finds. */
static void find_lie(void)
{
	struct recheck_model m = donors_model();
	struct recheck_finding f;

	donors_sign();
	assert_int_equal(recheck_run(recheck, &m, donors.trail, &stop, &f, &err), AYNI_OK);
	assert_true(f.wrong);
	if (f.evidence == NULL)
		fail_msg("%s", f.no_evidence.text);
	file = f.evidence;
	file_len = f.evidence_len;
}

/* What it says of a layer although nothing was found there. */
static void accuse_anyway(uint32_t donor, uint32_t layer, uint32_t span, uint32_t position)
{
	const struct accusation a = {.trail = donors.trail,
	    .manifest = {donors.manifest, donors.manifest_len},
	    .kv_type = (uint32_t)donors.kv,
	    .d_model = DONORS_D,
	    .stage = donor,
	    .layer = layer,
	    .span = span,
	    .position = position,
	    .rows = donors.given[layer]};

	donors_sign();
	assert_int_equal(accuse(&a, &file, &file_len, &err), AYNI_OK);
}

static int check_bytes(const uint8_t *data, size_t len, struct evidence_finding *out)
{
	struct evidence e;
	int rc = evidence_decode(data, len, &e, &err);

	*out = (struct evidence_finding){0};
	if (rc == AYNI_OK) {
		rc = evidence_check(&e, donors.gguf, replay, out, &err);
		evidence_free(&e);
	}
	return rc;
}

static void assert_proven(uint32_t donor, uint32_t layer, uint32_t position)
{
	struct evidence_finding f;

	if (check_bytes(file, file_len, &f) != AYNI_OK)
		fail_msg("%s", err.text);
	assert_true(f.proven);
	assert_true(public_key_equal(&f.donor, identity_public(donors.keys[donor])));
	assert_true(public_key_equal(&f.pool, identity_public(donors.pool)));
	assert_int_equal(f.layer, layer);
	assert_int_equal(f.position, position);
	assert_string_equal(f.model_name, "tiny");
	assert_false(hash_equal(&f.given, &f.right));
}

static void assert_no_lie(void)
{
	struct evidence_finding f;

	if (check_bytes(file, file_len, &f) != AYNI_OK)
		fail_msg("%s", err.text);
	assert_false(f.proven);
	assert_true(hash_equal(&f.given, &f.right));
}

/* Changed by hand, and written anew: only what was signed stays. */
static int check_changed(void (*change)(struct evidence *), struct evidence_finding *out)
{
	struct evidence e;
	uint8_t *again;
	size_t len;
	int rc;

	assert_int_equal(evidence_decode(file, file_len, &e, &err), AYNI_OK);
	change(&e);
	rc = evidence_encode(&e, &again, &len, &err);
	evidence_free(&e);
	if (rc != AYNI_OK)
		return rc;
	rc = check_bytes(again, len, out);
	free(again);
	return rc;
}

static void assert_shows_nothing(void (*change)(struct evidence *))
{
	struct evidence_finding f;

	assert_int_not_equal(check_changed(change, &f), AYNI_OK);
	assert_false(f.proven);
}

/* ---- lies --------------------------------------------------------------------------------- */

static void a_lie_in_any_layer_is_proven_in_every_wire_type(void **state)
{
	for (int wire = 0; wire < WIRE_TYPE_END; wire++) {
		for (int layer = 0; layer < DONORS_LAYERS; layer++) {
			donors_start((enum wire_type)wire, KV_F16);
			donors_feed(0, 70, 0, HONEST);
			donors_feed(70, 3, 1, HONEST);
			donors_feed(73, 1, 1, layer);
			donors_feed(74, 1, 1, HONEST);
			find_lie();
			assert_proven(layer > 0 ? SECOND : FIRST, (uint32_t)layer, 73);
			tear_down(state);
			set_up(state);
		}
	}
}

static void a_lie_in_a_session_that_keeps_its_values_in_int8_is_proven(void **state)
{
	(void)state;
	donors_start(WIRE_F16, KV_INT8);
	donors_feed(0, 10, 1, HONEST);
	donors_feed(10, 1, 1, 2);
	find_lie();
	assert_proven(SECOND, 2, 10);
}

/* In the chain are guesses that were wrong, in what it began with too, and past that. */
static void a_lie_after_wrong_guesses_and_in_what_began_with_another_is_proven(void **state)
{
	struct trail *other;

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 100, 0, HONEST);
	donors_feed(100, 40, 40, HONEST);
	donors_feed(120, 8, 8, HONEST); /* up to the end of a page */
	donors_feed(128, 3, 3, HONEST);
	other = donors.trail;
	donors.trail = donors_new_trail();
	trail_begin_with(donors.trail, other, 128);
	assert_int_equal(donors.trail->n_missed, 0);
	trail_release(other);
	donors_feed(127, 2, 2, HONEST);
	donors_feed(129, 4, 4, HONEST);
	donors_feed(130, 2, 2, 3);
	find_lie();
	assert_proven(SECOND, 3, 130);
}

static void one_bit_that_is_changed_anywhere_leaves_nothing_proven(void **state)
{
	struct evidence_finding f;

	(void)state;
	donors_start(WIRE_F16, KV_INT8);
	donors_feed(0, 3, 1, HONEST);
	donors_feed(3, 1, 1, 2);
	donors_feed(4, 1, 1, HONEST);
	find_lie();
	assert_proven(SECOND, 2, 3);
	for (size_t i = 0; i < file_len; i++) {
		file[i] ^= (uint8_t)(1u << i % 8);
		if (check_bytes(file, file_len, &f) == AYNI_OK && f.proven)
			fail_msg("byte %zu of %zu", i, file_len);
		file[i] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t len = 0; len < file_len; len += 7)
		assert_true(check_bytes(file, len, &f) != AYNI_OK);
}

/* ---- no lies ------------------------------------------------------------------------------ */

static void an_honest_donor_is_not_convicted_whatever_layer_is_accused(void **state)
{
	for (uint32_t layer = 0; layer < DONORS_LAYERS; layer++) {
		donors_start(WIRE_Q8, KV_F16);
		donors_feed(0, 66, 66, HONEST);
		donors_feed(60, 2, 2, HONEST);
		accuse_anyway(layer > 0, layer, 1, 60);
		assert_no_lie();
		tear_down(state);
		set_up(state);
	}
}

/* The other donor, or the pool itself, gave it something wrong. */
static void who_was_given_wrong_numbers_is_not_convicted_of_what_it_made_of_them(void **state)
{
	for (uint32_t layer = 1; layer < DONORS_LAYERS; layer++) {
		donors_start(WIRE_F32, KV_F16);
		donors_feed(0, 5, 5, 0);
		donors_feed(5, 1, 1, HONEST);
		accuse_anyway(SECOND, layer, 1, 5);
		assert_no_lie();
		tear_down(state);
		set_up(state);
	}
}

static void change_a_row(struct evidence *e)
{
	((uint8_t *)e->rows.data)[9] ^= 1;
}

static void change_a_row_and_its_hash(struct evidence *e)
{
	change_a_row(e);
	hash_bytes(e->rows.data, e->parts[0].n_rows * e->rows.len / 6, &e->parts[0].input);
	memcpy((uint8_t *)e->parts[0].after, e->parts[0].input.bytes, HASH_BYTES);
}

static void change_what_it_gave(struct evidence *e)
{
	((uint8_t *)e->parts[1].after)[HASH_BYTES] ^= 1;
	e->parts[1].output.bytes[0] ^= 1;
}

static void leave_a_part_out(struct evidence *e)
{
	e->parts[0].n_rows--;
	e->parts[1].position--;
}

static void forget_the_first_part(struct evidence *e)
{
	e->parts++;
	e->n_parts--;
	e->part--;
	e->parts[0].position = 0;
}

static void accuse_another_layer(struct evidence *e)
{
	e->layer = e->layer == 1 ? 2 : 1;
}

static void say_other_types(struct evidence *e)
{
	e->kv_type ^= 1;
}

static void say_other_layers(struct evidence *e)
{
	e->layers.first--;
	e->layers.last--;
}

static void a_pool_cannot_make_evidence_against_an_honest_donor(void **state)
{
	static void (*const changes[])(struct evidence *) = {change_a_row,
	    change_a_row_and_its_hash, change_what_it_gave, leave_a_part_out, forget_the_first_part,
	    accuse_another_layer, say_other_types, say_other_layers};

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 5, 5, HONEST);
	donors_feed(5, 1, 1, HONEST);
	accuse_anyway(SECOND, 2, 1, 5);
	assert_no_lie();
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		assert_shows_nothing(changes[i]);
}

/* Somebody's word for a session is nobody else's for it. */
static void what_another_signed_convicts_nobody(void **state)
{
	struct statement *s;

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 5, 5, 2);
	donors_sign();
	s = donors.trail->stages[FIRST].statement;
	trail_vouch(donors.trail, SECOND, s);
	{
		const struct accusation a = {.trail = donors.trail,
		    .manifest = {donors.manifest, donors.manifest_len},
		    .d_model = DONORS_D,
		    .stage = SECOND,
		    .layer = 2,
		    .rows = donors.given[2]};
		struct evidence_finding f;

		assert_int_equal(accuse(&a, &file, &file_len, &err), AYNI_OK);
		assert_int_equal(check_bytes(file, file_len, &f), AYNI_ERR_SIGNATURE);
	}
}

static void another_model_proves_nothing(void **state)
{
	const struct tiny_model_options options = {
	    .n_layers = DONORS_LAYERS, .n_heads = 2, .n_kv_heads = 1, .seed = 99};
	char *path = tiny_model_temporary(&options);
	struct gguf *other, *right = donors.gguf;
	struct evidence_finding f;

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 5, 5, 2);
	find_lie();
	assert_int_equal(gguf_open(path, &other, &err), AYNI_OK);
	donors.gguf = other;
	assert_int_equal(check_bytes(file, file_len, &f), AYNI_ERR_ARGUMENT);
	assert_false(f.proven);
	donors.gguf = right;
	gguf_free(other);
	tiny_model_remove(path);
}

static void without_a_signature_there_is_a_verdict_and_no_evidence(void **state)
{
	struct recheck_model m = donors_model();
	struct recheck_finding f;

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 5, 5, 2);
	assert_int_equal(recheck_run(recheck, &m, donors.trail, &stop, &f, &err), AYNI_OK);
	assert_true(f.wrong);
	assert_null(f.evidence);
	assert_true(f.no_evidence.text[0] != '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_lie_in_any_layer_is_proven_in_every_wire_type),
	    TEST(a_lie_in_a_session_that_keeps_its_values_in_int8_is_proven),
	    TEST(a_lie_after_wrong_guesses_and_in_what_began_with_another_is_proven),
	    TEST(one_bit_that_is_changed_anywhere_leaves_nothing_proven),
	    TEST(an_honest_donor_is_not_convicted_whatever_layer_is_accused),
	    TEST(who_was_given_wrong_numbers_is_not_convicted_of_what_it_made_of_them),
	    TEST(a_pool_cannot_make_evidence_against_an_honest_donor),
	    TEST(what_another_signed_convicts_nobody),
	    TEST(another_model_proves_nothing),
	    TEST(without_a_signature_there_is_a_verdict_and_no_evidence),
	};

	return cmocka_run_group_tests(tests, donors_open, donors_close);
}
