/* SPDX-License-Identifier: Apache-2.0 */
/* Units at hand when the worker dies or the assignment goes, and receipts for those returned. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/donor_trial.h"

/* ---- deaths --------------------------------------------------------------------------------- */

static void units_at_hand_fail_when_the_worker_dies_and_another_takes_its_place(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_int_equal(kill(trial_pid(), SIGSTOP), 0);
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	assert_true(donor_trial_take_unit(f, 1, 5, 1));
	assert_true(donor_trial_take_unit(f, 1, 6, 0));
	assert_int_equal(f->d.queue.n, 3);
	assert_int_equal(kill(trial_pid(), SIGKILL), 0);
	while (f->d.queue.n > 0)
		donor_trial_hear_worker(f);
	assert_int_equal(intake_queued(f->d.intake), 0);
	assert_int_equal(f->d.holding.state, HOLDING_LOADING);
	assert_false(donor_trial_take_unit(f, 1, 5, 0)); /* not ready yet */
	while (f->d.holding.state == HOLDING_LOADING)
		donor_trial_hear_worker(f);
	assert_false(donor_trial_take_unit(f, 1, 5, 1)); /* its sessions are gone */
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	donor_trial_hear_worker(f);
	assert_int_equal(f->d.queue.n, 0);
}

static void a_worker_that_dies_again_and_again_ends_the_assignment(void **state)
{
	struct donor_trial *f = *state;
	unsigned deaths = 0;

	donor_trial_make_ready(f, 1);
	f->d.holding.deaths_since_us = UINT64_MAX / 2; /* the minute does not pass */
	for (; f->d.holding.state != HOLDING_NOTHING; deaths++) {
		unsigned before = f->d.holding.worker_deaths;

		assert_int_equal(kill(trial_pid(), SIGKILL), 0);
		while (
		    f->d.holding.state != HOLDING_NOTHING && f->d.holding.worker_deaths == before)
			donor_trial_hear_worker(f);
	}
	assert_int_equal(deaths, MAX_WORKER_DEATHS + 1);
	assert_null(f->d.worker);
	donor_trial_make_ready(f, 2);
}

static void deaths_of_earlier_minutes_do_not_count(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	f->d.holding.worker_deaths = MAX_WORKER_DEATHS;
	f->d.holding.deaths_since_us = loop_now_us() - WORKER_DEATHS_US - 1;
	assert_int_equal(kill(trial_pid(), SIGKILL), 0);
	while (f->d.holding.worker_deaths == MAX_WORKER_DEATHS)
		donor_trial_hear_worker(f);
	assert_int_equal(f->d.holding.worker_deaths, 1);
	while (f->d.holding.state == HOLDING_LOADING)
		donor_trial_hear_worker(f);
	assert_int_equal(f->d.holding.state, HOLDING_READY);
}

/* It dies at a layer, which it reaches late: that does not end by itself. */
static void deaths_while_layers_are_loaded_count_however_slow_that_is(void **state)
{
	struct donor_trial *f = *state;
	unsigned deaths = 0;

	donor_trial_make_ready(f, 1);
	for (; f->d.holding.state != HOLDING_NOTHING && deaths < 100; deaths++) {
		pid_t pid = trial_pid();

		f->d.holding.deaths_since_us = loop_now_us() - WORKER_DEATHS_US - 1;
		assert_int_equal(kill(pid, SIGKILL), 0);
		while (f->d.holding.state != HOLDING_NOTHING && trial_pid() == pid)
			donor_trial_hear_worker(f);
	}
	assert_int_equal(deaths, MAX_WORKER_DEATHS + 1);
}

static void dropping_an_assignment_with_units_at_hand_leaves_nothing(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	assert_true(donor_trial_take_unit(f, 1, 5, 1));
	holding_drop(&f->d);
	assert_int_equal(f->d.queue.n, 0);
	assert_int_equal(intake_queued(f->d.intake), 0);
	assert_null(f->d.worker);
	donor_trial_make_ready(f, 2);
	assert_true(donor_trial_take_unit(f, 2, 5, 0));
	donor_trial_hear_worker(f);
	assert_int_equal(f->d.units_done, 1);
}

/* The worker is at a unit when the pool is lost: it is finished for nobody, and the next pool's
 * units follow, with sessions of their own. */
static void units_of_a_lost_pool_are_finished_for_nobody(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	for (uint64_t s = 1; s <= SESSIONS; s++)
		assert_true(donor_trial_take_unit(f, 1, s, 0));
	holding_keep(&f->d);
	assert_int_equal(intake_queued(f->d.intake), 0);
	assert_int_equal(f->d.queue.n, 1);
	holding_keep(&f->d); /* lost again meanwhile */
	donor_trial_assign(f, 2);
	for (uint64_t s = 1; s <= SESSIONS; s++)
		assert_true(donor_trial_take_unit(f, 2, 100 + s, 0));
	while (f->d.queue.n > 0)
		donor_trial_hear_worker(f);
	assert_int_equal(f->d.units_done, SESSIONS);
	assert_int_equal(intake_queued(f->d.intake), 0);
}

static void a_worker_that_dies_at_an_orphaned_unit_leaves_nothing(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	holding_keep(&f->d);
	assert_int_equal(kill(trial_pid(), SIGKILL), 0);
	while (f->d.queue.n > 0 || f->d.holding.state == HOLDING_LOADING)
		donor_trial_hear_worker(f);
	donor_trial_assign(f, 2);
	assert_true(donor_trial_take_unit(f, 2, 5, 0));
}

/* ---- handed over ---------------------------------------------------------------------------- */

static const struct public_key other = {{7}};
static const uint8_t token_bytes[5] = {7, 0, 0, 0, 0};
static const struct span token = {token_bytes, 4};
static const struct hash token_hash = {{1}};

static void hear_until(struct donor_trial *f, uint64_t units_done)
{
	while (f->d.units_done < units_done)
		donor_trial_hear_worker(f);
	assert_int_equal(f->d.units_done, units_done);
}

static void a_unit_waits_for_what_is_handed_over_to_it(void **state)
{
	struct donor_trial *f = *state;
	const struct span too_long = {token_bytes, 5};

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit_without_input(f, 5, 0, &other, 3));
	assert_false(f->d.running);
	assert_false(units_handover(&f->d, &other, 4, token, &token_hash)); /* another ticket */
	assert_false(units_handover(
	    &f->d, identity_public(f->pool), 3, token, &token_hash)); /* another donor */
	assert_false(units_handover(&f->d, &other, 3, too_long, &token_hash));
	assert_false(f->d.running);
	assert_true(units_handover(&f->d, &other, 3, token, &token_hash));
	assert_true(f->d.running);
	assert_false(units_handover(&f->d, &other, 3, token, &token_hash)); /* once */
	hear_until(f, 1);
}

static void the_pool_may_hand_over_in_place_of_another_donor(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit_without_input(f, 5, 0, &other, 3));
	assert_true(units_handover(&f->d, NULL, 3, token, &token_hash));
	hear_until(f, 1);
}

static void other_sessions_overtake_a_unit_that_waits(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	hear_until(f, 1);
	assert_true(donor_trial_take_unit_without_input(f, 5, 1, &other, 3));
	assert_true(donor_trial_take_unit(f, 1, 5, 2)); /* behind the one that waits */
	assert_true(donor_trial_take_unit(f, 1, 6, 0));
	hear_until(f, 2);
	assert_false(f->d.running);
	assert_true(units_handover(&f->d, &other, 3, token, &token_hash));
	hear_until(f, 4);
	assert_int_equal(f->d.queue.n, 0);
}

static void a_unit_that_is_withdrawn_is_forgotten_with_its_sessions(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	hear_until(f, 1);
	assert_true(donor_trial_take_unit_without_input(f, 5, 1, &other, 3));
	units_withdraw(&f->d, 99); /* never there */
	assert_int_equal(f->d.queue.n, 1);
	units_withdraw(&f->d, 2);
	assert_int_equal(f->d.queue.n, 0);
	assert_int_equal(intake_queued(f->d.intake), 0);
	assert_false(donor_trial_take_unit(f, 1, 5, 1)); /* from its beginning only */
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	hear_until(f, 2);
}

static void a_unit_at_the_worker_cannot_be_withdrawn(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	units_withdraw(&f->d, 1);
	hear_until(f, 1);
}

/* Whichever comes first, the token or the unit that takes it. */
static void a_donor_goes_on_from_the_token_that_it_draws(void **state)
{
	struct donor_trial *f = *state;
	const struct public_key *self = identity_public(f->d.identity);

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit_for_itself(f, 5, 0, 3));
	assert_true(donor_trial_take_unit_without_input(f, 5, 1, self, 3));
	hear_until(f, 2);
	assert_true(donor_trial_take_unit_for_itself(f, 6, 0, 4));
	hear_until(f, 3);
	assert_true(donor_trial_take_unit_without_input(f, 6, 1, self, 4));
	hear_until(f, 4);
}

static void units_that_wait_are_given_back_when_the_donor_leaves(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit_without_input(f, 5, 0, &other, 3));
	assert_true(donor_trial_take_unit(f, 1, 6, 0));
	units_fail_waiting(&f->d, REFUSAL_LEAVING, "the donor is leaving");
	assert_int_equal(f->d.queue.n, 1); /* the one at the worker */
	hear_until(f, 1);
	assert_int_equal(f->d.queue.n, 0);
	assert_int_equal(intake_queued(f->d.intake), 0);
}

static void a_unit_that_waits_goes_with_a_lost_pool(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit_without_input(f, 5, 0, &other, 3));
	holding_keep(&f->d);
	assert_int_equal(f->d.queue.n, 0);
	assert_int_equal(intake_queued(f->d.intake), 0);
	assert_false(units_handover(&f->d, &other, 3, token, &token_hash));
}

/* ---- receipts ------------------------------------------------------------------------------- */

static int count(void *n, const struct ledger_entry *e)
{
	assert_true(e->countersigned);
	++*(unsigned *)n;
	return 0;
}

/* How many receipts did the donor keep? */
static unsigned kept(struct donor_trial *f)
{
	unsigned n = 0;

	assert_int_equal(ledger_each(f->d.ledger, 0, 100, count, &n, NULL), AYNI_OK);
	return n;
}

static void send_receipt(struct donor_trial *f, const struct receipt *r)
{
	struct signed_receipt s = {0};

	assert_int_equal(receipt_issue(r, f->pool, &s, NULL), AYNI_OK);
	units_receipt(&f->d, &s);
}

/* A receipt for n units of one token, as an honest pool writes it for what is open. */
static struct receipt receipt_for(const struct donor_trial *f, uint64_t number, uint64_t n)
{
	struct receipt r = {.number = number,
	    .pool = *identity_public(f->pool),
	    .donor = *identity_public(f->d.identity),
	    .model = f->model,
	    .layer_last = LAYERS,
	    .units = n,
	    .tokens = n,
	    .first_ms = 1000,
	    .last_ms = 2000};

	assert_int_equal(flop_from(flop_count(f->d.open.ranges[0].cost), &r.cost), AYNI_OK);
	return r;
}

static void do_two_units(struct donor_trial *f)
{
	f->d.began_ms = 500;
	donor_trial_make_ready(f, 1);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(donor_trial_take_unit(f, 1, 5, i));
		donor_trial_hear_worker(f);
	}
	assert_int_equal(f->d.open.n, 1);
	assert_int_equal(f->d.open.ranges[0].units, 2);
	assert_int_equal(f->d.open.ranges[0].tokens, 2);
}

static void receipts_for_work_that_was_done_are_kept_and_settle_it(void **state)
{
	struct donor_trial *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 2);
	send_receipt(f, &r);
	assert_int_equal(kept(f), 1);
	assert_int_equal(f->d.open.n, 0);
}

static void receipts_for_work_that_was_never_done_are_refused(void **state)
{
	struct donor_trial *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 3);
	r.tokens = 2;
	send_receipt(f, &r);
	r = receipt_for(f, 1, 2);
	r.tokens = 3;
	send_receipt(f, &r);
	r = receipt_for(f, 1, 2);
	assert_int_equal(flop_add(r.cost, (struct flop){1}, &r.cost), AYNI_OK);
	send_receipt(f, &r);
	assert_int_equal(kept(f), 0);
	assert_int_equal(open_work_units(&f->d.open), 2);
	assert_int_equal(f->d.refused.by_reason[REFUSAL_BOUNDS], 3);
}

static void receipts_for_layers_or_models_that_were_not_computed_are_refused(void **state)
{
	struct donor_trial *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 2);
	r.layer_last--;
	send_receipt(f, &r);
	r = receipt_for(f, 1, 2);
	r.model.bytes[0] ^= 1;
	send_receipt(f, &r);
	assert_int_equal(kept(f), 0);
	assert_int_equal(open_work_units(&f->d.open), 2);
	assert_int_equal(f->d.refused.by_reason[REFUSAL_BOUNDS], 2);
}

static void receipts_of_an_earlier_run_are_kept_and_settle_nothing(void **state)
{
	struct donor_trial *f = *state;
	struct receipt r;

	do_two_units(f);
	f->d.began_ms = 1500;
	r = receipt_for(f, 1, 9);
	r.layer_last--;
	send_receipt(f, &r);
	assert_int_equal(kept(f), 1);
	assert_int_equal(open_work_units(&f->d.open), 2);
}

static void a_receipt_for_less_than_was_returned_is_kept(void **state)
{
	struct donor_trial *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 2);
	r.tokens = 1;
	send_receipt(f, &r);
	assert_int_equal(kept(f), 1);
	assert_int_equal(f->d.open.n, 0);
}

static void receipts_between_others_are_refused(void **state)
{
	struct donor_trial *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 2);
	r.donor = r.pool;
	send_receipt(f, &r);
	assert_int_equal(kept(f), 0);
	assert_int_equal(f->d.refused.by_reason[REFUSAL_SIGNATURE], 1);
}

static void a_receipt_that_comes_again_is_answered_and_settles_nothing_more(void **state)
{
	struct donor_trial *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 2);
	send_receipt(f, &r);
	send_receipt(f, &r); /* our answer was lost */
	assert_int_equal(f->d.refused.by_reason[REFUSAL_BOUNDS], 0);
	assert_true(donor_trial_take_unit(f, 1, 5, 2));
	donor_trial_hear_worker(f);
	send_receipt(f, &r);
	assert_int_equal(open_work_units(&f->d.open), 1);
	r.units = 1; /* the same number for other work */
	r.tokens = 1;
	r.cost = (struct flop){1};
	send_receipt(f, &r);
	assert_int_equal(open_work_units(&f->d.open), 1);
	assert_int_equal(kept(f), 1);
}

int main(int argc, char **argv)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, donor_trial_set_up, donor_trial_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(units_at_hand_fail_when_the_worker_dies_and_another_takes_its_place),
	    TEST(a_worker_that_dies_again_and_again_ends_the_assignment),
	    TEST(deaths_of_earlier_minutes_do_not_count),
	    TEST(deaths_while_layers_are_loaded_count_however_slow_that_is),
	    TEST(units_of_a_lost_pool_are_finished_for_nobody),
	    TEST(a_worker_that_dies_at_an_orphaned_unit_leaves_nothing),
	    TEST(dropping_an_assignment_with_units_at_hand_leaves_nothing),
	    TEST(a_unit_waits_for_what_is_handed_over_to_it),
	    TEST(the_pool_may_hand_over_in_place_of_another_donor),
	    TEST(other_sessions_overtake_a_unit_that_waits),
	    TEST(a_unit_that_is_withdrawn_is_forgotten_with_its_sessions),
	    TEST(a_unit_at_the_worker_cannot_be_withdrawn),
	    TEST(a_donor_goes_on_from_the_token_that_it_draws),
	    TEST(units_that_wait_are_given_back_when_the_donor_leaves),
	    TEST(a_unit_that_waits_goes_with_a_lost_pool),
	    TEST(receipts_for_work_that_was_done_are_kept_and_settle_it),
	    TEST(receipts_for_work_that_was_never_done_are_refused),
	    TEST(receipts_for_layers_or_models_that_were_not_computed_are_refused),
	    TEST(receipts_of_an_earlier_run_are_kept_and_settle_nothing),
	    TEST(a_receipt_for_less_than_was_returned_is_kept),
	    TEST(receipts_between_others_are_refused),
	    TEST(a_receipt_that_comes_again_is_answered_and_settles_nothing_more),
	};

	if (argc > 1 && strcmp(argv[1], "worker") == 0)
		return trial_worker_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
