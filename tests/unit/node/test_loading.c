/* SPDX-License-Identifier: Apache-2.0 */
/* A donor whose layers come to its worker one by one, between units and whatever else happens. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/donor_trial.h"

enum { MANY = 4 /* layers */ };

static void assign(struct donor_trial *f, uint64_t number)
{
	struct msg_assignment a = donor_trial_assignment(f, number);

	a.layer_last = MANY;
	holding_assign(&f->d, &a);
}

static void hear_until_loaded(struct donor_trial *f, uint32_t n)
{
	while (f->d.holding.loaded < n)
		donor_trial_hear_worker(f);
	assert_int_equal(f->d.holding.loaded, n);
}

static void hear_until_done(struct donor_trial *f, uint64_t units)
{
	while (f->d.units_done < units)
		donor_trial_hear_worker(f);
	assert_int_equal(f->d.units_done, units);
}

/* The first layer is loaded, the others are as if they had not come, and the worker stands still.
 */
static void load_first(struct donor_trial *f)
{
	donor_trial_publish(f, &(struct tiny_model_options){.n_layers = MANY});
	assign(f, 1);
	donor_trial_fetch_until(f, HOLDING_LOADING);
	f->d.holding.fetched = 1;
	hear_until_loaded(f, 1);
	assert_int_equal(kill(trial_pid(), SIGSTOP), 0);
}

/* So many are there. */
static void fetch(struct donor_trial *f, uint32_t n)
{
	f->d.holding.fetched = n;
	units_pump(&f->d);
}

static void go_on(void)
{
	assert_int_equal(kill(trial_pid(), SIGCONT), 0);
}

/* One word of the worker, which stands still before it hears the next command. */
static void hear_one(struct donor_trial *f)
{
	struct pollfd p = {.fd = worker_link_fd(f->d.worker), .events = POLLIN};

	go_on();
	assert_int_equal(poll(&p, 1, 120000), 1);
	assert_int_equal(kill(trial_pid(), SIGSTOP), 0);
	units_on_worker(&f->d);
}

static void units_and_layers_take_turns(void **state)
{
	struct donor_trial *f = *state;

	load_first(f);
	assert_true(donor_trial_take_part(f, 1, 5, 0, 1));
	assert_true(f->d.running);
	for (uint64_t s = 6; s < 5 + MANY; s++)
		assert_true(donor_trial_take_part(f, 1, s, 0, 1));
	assert_false(donor_trial_take_part(f, 1, 20, 0, 2)); /* not ready */
	fetch(f, MANY);
	for (uint32_t n = 1; n < MANY; n++) {
		hear_one(f);
		assert_int_equal(f->d.units_done, n);
		assert_true(f->d.holding.loading); /* though units wait */
		hear_one(f);
		assert_int_equal(f->d.holding.loaded, n + 1);
		assert_true(f->d.running);
	}
	go_on();
	hear_until_done(f, MANY);
	assert_int_equal(f->d.holding.loaded, MANY);
	assert_false(donor_trial_take_part(f, 1, 5, 1, 2)); /* it began in one layer */
	assert_true(donor_trial_take_part(f, 1, 5, 1, 1));
	assert_true(donor_trial_take_part(f, 1, 6, 0, 2)); /* and this one anew, in two */
	hear_until_done(f, MANY + 2);
}

static void a_worker_that_dies_at_a_layer_begins_with_the_first(void **state)
{
	struct donor_trial *f = *state;

	load_first(f);
	fetch(f, MANY);
	assert_true(f->d.holding.loading);
	assert_true(donor_trial_take_part(f, 1, 5, 0, 1));
	assert_int_equal(kill(trial_pid(), SIGKILL), 0);
	while (f->d.holding.worker_deaths == 0)
		donor_trial_hear_worker(f);
	assert_int_equal(f->d.queue.n, 0);
	assert_int_equal(intake_queued(f->d.intake), 0);
	hear_until_loaded(f, MANY);
	assert_int_equal(f->d.holding.state, HOLDING_READY);
	assert_false(donor_trial_take_part(f, 1, 5, 1, 1));
	assert_true(donor_trial_take_part(f, 1, 5, 0, MANY - 1));
	hear_until_done(f, 1);
}

static void an_assignment_that_ends_at_a_layer_leaves_nothing(void **state)
{
	struct donor_trial *f = *state;

	load_first(f);
	fetch(f, MANY);
	assert_true(donor_trial_take_part(f, 1, 5, 0, 1));
	holding_drop(&f->d);
	assert_null(f->d.worker);
	assert_int_equal(f->d.queue.n, 0);
	assert_int_equal(intake_queued(f->d.intake), 0);
	assign(f, 2);
	donor_trial_fetch_until(f, HOLDING_LOADING);
	hear_until_loaded(f, MANY);
	assert_true(donor_trial_take_part(f, 2, 5, 0, 1));
	hear_until_done(f, 1);
}

/* The connection is lost at a unit, and layers are loaded before it is back. */
static void loading_goes_on_from_one_connection_to_the_next(void **state)
{
	struct donor_trial *f = *state;

	load_first(f);
	assert_true(donor_trial_take_part(f, 1, 5, 0, 1));
	holding_keep(&f->d);
	assert_true(f->d.orphaned);
	fetch(f, MANY - 1);
	go_on();
	hear_until_loaded(f, MANY - 1);
	assert_int_equal(f->d.units_done, 0);
	assign(f, 2);
	assert_false(donor_trial_take_part(f, 1, 6, 0, 1));
	assert_false(donor_trial_take_part(f, 2, 5, 1, 1)); /* its sessions are forgotten */
	assert_false(donor_trial_take_unit(f, 2, 6, 0));
	assert_true(donor_trial_take_part(f, 2, 6, 0, MANY - 1));
	fetch(f, MANY);
	hear_until_done(f, 1);
	hear_until_loaded(f, MANY);
	assert_int_equal(f->d.holding.state, HOLDING_READY);
	assert_int_equal(intake_queued(f->d.intake), 0);
}

static void a_donor_that_stops_loads_no_more(void **state)
{
	struct donor_trial *f = *state;

	load_first(f);
	assert_true(donor_trial_take_part(f, 1, 5, 0, 1));
	assert_true(donor_trial_take_part(f, 1, 6, 0, 1));
	f->d.stopping = true;
	fetch(f, MANY);
	go_on();
	hear_until_done(f, 2);
	assert_int_equal(f->d.holding.loaded, 1);
	assert_false(f->d.holding.loading);
}

int main(int argc, char **argv)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, donor_trial_set_up, donor_trial_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(units_and_layers_take_turns),
	    TEST(a_worker_that_dies_at_a_layer_begins_with_the_first),
	    TEST(an_assignment_that_ends_at_a_layer_leaves_nothing),
	    TEST(loading_goes_on_from_one_connection_to_the_next),
	    TEST(a_donor_that_stops_loads_no_more),
	};

	if (argc > 1 && strcmp(argv[1], "worker") == 0)
		return trial_worker_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
