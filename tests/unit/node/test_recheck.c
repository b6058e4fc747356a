/* SPDX-License-Identifier: Apache-2.0 */
/* Trails of a real model, as donors compute them, a unit at a time, computed once more. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/auditor.h"
#include "tests/support/donors_trial.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static struct recheck *recheck;
static atomic_bool stop;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	atomic_store(&stop, false);
	return recheck_new(kernels_best(), donors.team, &recheck, &err);
}

static int tear_down(void **state)
{
	(void)state;
	donors_stop();
	recheck_free(recheck);
	return 0;
}

static struct recheck_finding find(enum kv_type kv)
{
	struct recheck_model m = {.gguf = donors.gguf, .kv = kv};
	struct recheck_finding f;

	if (recheck_run(recheck, &m, donors.trail, &stop, &f, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return f;
}

static void assert_right(void)
{
	assert_false(find(KV_F16).wrong);
}

static void assert_liar(uint32_t layer, uint32_t index, uint32_t position)
{
	struct recheck_finding f = find(KV_F16);

	assert_true(f.wrong);
	assert_int_equal(f.layer, layer);
	assert_int_equal(f.stage, layer > 0);
	assert_int_equal(f.span, index);
	assert_int_equal(f.position, position);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void what_honest_donors_gave_is_right_in_every_wire_type(void **state)
{
	(void)state;
	for (int type = 0; type < WIRE_TYPE_END; type++) {
		donors_start((enum wire_type)type, KV_F16);
		donors_feed_session(40);
		assert_right();
		tear_down(NULL);
		set_up(NULL);
	}
}

static void a_session_that_keeps_its_values_in_int8_is_computed_so(void **state)
{
	(void)state;
	donors_start(WIRE_F32, KV_INT8);
	donors_feed_session(5);
	assert_false(find(KV_INT8).wrong);
	assert_true(find(KV_F16).wrong);
}

static void guesses_that_were_wrong_are_fed_as_they_were(void **state)
{
	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 60, 1, -1);
	donors_feed(60, 8, 8, -1); /* over the end of a page; of these two were right */
	donors_feed(62, 3, 3, -1);
	donors_feed(63, 1, 1, -1);
	assert_right();
}

static void one_bit_names_its_layer_and_its_part(void **state)
{
	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed_session(3);
	donors_feed(113, 1, 1, 0);
	donors_feed(114, 1, 1, -1);
	assert_liar(0, 5, 113);
}

static void a_lie_in_the_middle_of_a_stage_names_that_layer(void **state)
{
	(void)state;
	donors_start(WIRE_F16, KV_F16);
	donors_feed(0, 100, 0, -1);
	donors_feed(100, 10, 1, 2);
	donors_feed(110, 1, 1, -1);
	assert_liar(2, 1, 100);
}

/* Each was given only right numbers, so both lied; one is enough. */
static void of_two_liars_the_one_in_the_lower_layer_is_named(void **state)
{
	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 100, 0, 2);
	donors_feed(100, 10, 1, 1);
	assert_liar(1, 1, 100);
}

/* The next stage's keys and values are made of it, and it gives what the model does not ever after:
 * it is not the one that lied. */
static void who_was_given_wrong_input_is_not_blamed(void **state)
{
	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 100, 0, 0);
	donors_feed(100, 10, 1, -1);
	assert_liar(0, 0, 0);
}

static void the_last_stage_is_caught_by_its_rows(void **state)
{
	(void)state;
	donors_start(WIRE_Q8, KV_F16);
	donors_feed_session(2);
	donors_feed(112, 1, 1, DONORS_LAYERS - 1);
	assert_liar(DONORS_LAYERS - 1, 4, 112);
}

static void a_session_that_began_with_another_is_checked_from_its_first_position(void **state)
{
	struct trail *other;

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed(0, 100, 0, -1);
	donors_feed(100, 40, 1, -1);
	other = donors.trail;
	donors.trail = donors_new_trail();
	trail_begin_with(donors.trail, other, 128);
	assert_int_equal(donors.trail->n_inherited, 2);
	assert_int_equal(donors.trail->spans[1].n_tokens, 28);
	donors_feed(128, 20, 1, -1);
	assert_right();
	trail_release(donors.trail);
	donors.trail = donors_new_trail(); /* the liar was at work in the other one */
	((struct hash *)trail_after(other, &other->spans[0], 0))->bytes[3] ^= 4;
	trail_begin_with(donors.trail, other, 128);
	donors_feed(128, 20, 1, -1);
	assert_liar(0, 0, 0);
	trail_release(other);
}

static void what_cannot_be_computed_says_nothing_of_the_donors(void **state)
{
	struct recheck_model m = {.gguf = donors.gguf, .kv = KV_F16};
	struct recheck_finding f;

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed_session(1);
	donors.trail->stages[1].layers.last--; /* not the whole model */
	assert_int_equal(
	    recheck_run(recheck, &m, donors.trail, &stop, &f, &err), AYNI_ERR_ARGUMENT);
	donors.trail->stages[1].layers.last++;
	atomic_store(&stop, true);
	assert_int_equal(recheck_run(recheck, &m, donors.trail, &stop, &f, &err), AYNI_ERR_AGAIN);
	atomic_store(&stop, false);
	assert_right();
}

/* ---- the thread --------------------------------------------------------------------------- */

static struct audited wait_for(struct auditor *a)
{
	struct audited out;

	while (!auditor_take(a, &out)) {
		struct pollfd ready = {.fd = auditor_fd(a), .events = POLLIN};

		assert_int_equal(poll(&ready, 1, 60000), 1);
	}
	return out;
}

static void findings_come_in_the_order_of_their_trails(void **state)
{
	struct recheck_model m = {.gguf = donors.gguf, .kv = KV_F16};
	const struct trail *open[AUDITOR_JOBS];
	struct auditor *a;
	struct trail *wrong, *right;

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed_session(2);
	right = donors.trail;
	donors.trail = donors_new_trail();
	donors_feed(0, 5, 1, 2);
	wrong = donors.trail;
	donors.trail = NULL;
	assert_int_equal(auditor_new(1, NULL, &a, &err), AYNI_OK);
	assert_true(auditor_ask(a, &m, right));
	assert_true(auditor_ask(a, &m, wrong));
	assert_int_equal(auditor_open(a, open), 2);
	for (int i = 0; i < 2; i++) {
		struct audited done = wait_for(a);

		assert_int_equal(done.rc, AYNI_OK);
		assert_ptr_equal(done.trail, i == 0 ? right : wrong);
		assert_int_equal(done.finding.wrong, i == 1);
		trail_release(done.trail);
	}
	assert_int_equal(auditor_open(a, open), 0);
	auditor_free(a);
}

static void an_auditor_takes_no_more_than_it_has_room_for_and_may_end_at_any_time(void **state)
{
	struct recheck_model m = {.gguf = donors.gguf, .kv = KV_F16};
	struct auditor *a;

	(void)state;
	donors_start(WIRE_F32, KV_F16);
	donors_feed_session(1);
	assert_int_equal(auditor_new(1, NULL, &a, &err), AYNI_OK);
	for (int i = 0; i < AUDITOR_JOBS; i++)
		assert_true(auditor_ask(a, &m, trail_hold(donors.trail)));
	assert_false(auditor_ask(a, &m, donors.trail)); /* none was taken, whatever is done */
	auditor_free(a);
	assert_int_equal(donors.trail->holders, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_honest_donors_gave_is_right_in_every_wire_type),
	    TEST(a_session_that_keeps_its_values_in_int8_is_computed_so),
	    TEST(guesses_that_were_wrong_are_fed_as_they_were),
	    TEST(one_bit_names_its_layer_and_its_part),
	    TEST(a_lie_in_the_middle_of_a_stage_names_that_layer),
	    TEST(of_two_liars_the_one_in_the_lower_layer_is_named),
	    TEST(who_was_given_wrong_input_is_not_blamed),
	    TEST(the_last_stage_is_caught_by_its_rows),
	    TEST(a_session_that_began_with_another_is_checked_from_its_first_position),
	    TEST(what_cannot_be_computed_says_nothing_of_the_donors),
	    TEST(findings_come_in_the_order_of_their_trails),
	    TEST(an_auditor_takes_no_more_than_it_has_room_for_and_may_end_at_any_time),
	};

	return cmocka_run_group_tests(tests, donors_open, donors_close);
}
