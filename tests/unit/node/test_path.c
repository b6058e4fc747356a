/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/path.h"

enum { N_LAYERS = 8 };

static int setup(void **state)
{
	return roster_new((struct roster **)state, NULL);
}

static int teardown(void **state)
{
	roster_free(*state);
	return 0;
}

/* A ready donor with these layers; its slot. */
static int add(struct roster *r, uint32_t first, uint32_t last)
{
	static uint8_t next;
	static uint64_t number;
	struct public_key key = {{++next}};
	struct donor_assignment a = {
	    .number = ++number, .layers = {first, last}, .max_sessions = 2};
	int slot;

	assert_int_equal(roster_join(r, &key, "", next, 0, &slot), AYNI_OK);
	assert_int_equal(roster_offer(r, slot, &(struct msg_offer){.cores = 1}), AYNI_OK);
	assert_int_equal(roster_assign(r, slot, &a), AYNI_OK);
	assert_int_equal(roster_progress(r, slot, a.number, PROGRESS_READY), AYNI_OK);
	return slot;
}

static void joins_ranges_end_to_end(void **state)
{
	int second = add(*state, 3, N_LAYERS), first = add(*state, 0, 3);
	struct path p;

	assert_int_equal(path_find(*state, 0, N_LAYERS, &p), PATH_FOUND);
	assert_int_equal(p.n_stages, 2);
	assert_int_equal(p.stages[0].donor, first);
	assert_int_equal(p.stages[1].donor, second);
	assert_true(path_alive(&p, *state));
	assert_int_equal(path_find(*state, 1, N_LAYERS, &p), PATH_MISSING); /* another model */
}

static void takes_the_fewest_stages_then_who_has_fewer_sessions(void **state)
{
	int busy, free_one;
	struct path p;

	(void)add(*state, 0, 3);
	(void)add(*state, 3, N_LAYERS);
	busy = add(*state, 0, N_LAYERS);
	free_one = add(*state, 0, N_LAYERS);
	roster_get(*state, busy)->sessions = 1;
	assert_int_equal(path_find(*state, 0, N_LAYERS, &p), PATH_FOUND);
	assert_int_equal(p.n_stages, 1);
	assert_int_equal(p.stages[0].donor, free_one);
}

static void tells_full_from_missing(void **state)
{
	int slot = add(*state, 0, N_LAYERS);
	struct path p;

	roster_get(*state, slot)->sessions = 2;
	assert_int_equal(path_find(*state, 0, N_LAYERS, &p), PATH_FULL);
	assert_int_equal(roster_unassign(*state, slot), AYNI_OK);
	assert_int_equal(path_find(*state, 0, N_LAYERS, &p), PATH_MISSING);
}

static void leaves_out_who_failed_too_often(void **state)
{
	int slot = add(*state, 0, N_LAYERS);
	struct path p, other;

	assert_int_equal(path_find(*state, 0, N_LAYERS, &p), PATH_FOUND);
	roster_get(*state, slot)->failures = ROSTER_MAX_FAILURES - 1;
	assert_true(path_alive(&p, *state));
	roster_get(*state, slot)->failures = ROSTER_MAX_FAILURES;
	assert_false(path_alive(&p, *state));
	assert_int_equal(path_find(*state, 0, N_LAYERS, &other), PATH_MISSING);
	assert_non_null(path_donor(*state, &p.stages[0])); /* what it still owes may come */
	slot = add(*state, 0, N_LAYERS);
	assert_int_equal(path_find(*state, 0, N_LAYERS, &other), PATH_FOUND);
	assert_int_equal(other.stages[0].donor, slot);
}

static void is_dead_once_a_donor_is_gone_or_holds_something_else(void **state)
{
	int slot = add(*state, 0, N_LAYERS);
	struct path before, after;

	assert_int_equal(path_find(*state, 0, N_LAYERS, &before), PATH_FOUND);
	roster_remove(*state, slot);
	assert_false(path_alive(&before, *state));
	assert_int_equal(add(*state, 0, N_LAYERS), slot);
	assert_false(path_alive(&before, *state));
	assert_null(path_donor(*state, &before.stages[0]));
	assert_int_equal(path_find(*state, 0, N_LAYERS, &after), PATH_FOUND);
	assert_false(path_equal(&before, &after));
	assert_int_equal(roster_leave(*state, slot), AYNI_OK);
	assert_false(path_alive(&after, *state));
	assert_non_null(path_donor(*state, &after.stages[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(joins_ranges_end_to_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        takes_the_fewest_stages_then_who_has_fewer_sessions, setup, teardown),
	    cmocka_unit_test_setup_teardown(tells_full_from_missing, setup, teardown),
	    cmocka_unit_test_setup_teardown(leaves_out_who_failed_too_often, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        is_dead_once_a_donor_is_gone_or_holds_something_else, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
