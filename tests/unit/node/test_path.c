/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/path.h"

enum { N_LAYERS = 8 };

enum { NOW_US = 1000000 };

static struct roster *roster;
static struct pairs *pairs;
static struct path path;
static uint32_t n_joined;

static int set_up(void **state)
{
	(void)state;
	n_joined = 0;
	memset(&path, 0, sizeof path);
	return roster_new(&roster, NULL) != AYNI_OK || pairs_new(&pairs, NULL) != AYNI_OK;
}

static int tear_down(void **state)
{
	(void)state;
	pairs_free(pairs);
	roster_free(roster);
	return 0;
}

static int ready(uint32_t model, uint32_t first, uint32_t last, uint32_t pages)
{
	struct public_key key = {{(uint8_t)++n_joined}};
	struct msg_offer offer = {0};
	struct donor_assignment a = {
	    .number = n_joined, .model = model, .layers = {first, last}, .pages = pages};
	int slot;

	assert_int_equal(roster_join(roster, &key, "", n_joined, 1, &slot), AYNI_OK);
	assert_int_equal(roster_offer(roster, slot, &offer), AYNI_OK);
	assert_int_equal(roster_assign(roster, slot, &a), AYNI_OK);
	assert_int_equal(roster_progress(roster, slot, n_joined, PROGRESS_READY, 0), AYNI_OK);
	return slot;
}

/* A donor of model 0 that takes so long for a token, and is so far. */
static int timed(uint32_t first, uint32_t last, uint32_t token_us, uint64_t round_trip_us)
{
	int slot = ready(0, first, last, 9);

	roster_get(roster, slot)->assignment.token_us = token_us;
	roster_get(roster, slot)->round_trip_us = round_trip_us;
	return slot;
}

static struct path_donors donors(void)
{
	return (struct path_donors){.roster = roster, .pairs = pairs, .now_us = NOW_US};
}

static enum path_search find(void)
{
	struct path_donors all = donors();

	return path_find(&all, 0, N_LAYERS, 1, &path);
}

static void one_donor_with_all_layers_is_a_path(void **state)
{
	int slot = ready(0, 0, N_LAYERS, 1);

	(void)state;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 1);
	assert_int_equal(path.stages[0].donor, slot);
	assert_true(path_alive(&path, roster));
	assert_ptr_equal(path_donor(roster, &path.stages[0]), roster_get(roster, slot));
}

static void assert_stage(uint32_t k, int donor, uint32_t first, uint32_t last)
{
	assert_true(k < path.n_stages);
	assert_int_equal(path.stages[k].donor, donor);
	assert_int_equal(path.stages[k].layers.first, first);
	assert_int_equal(path.stages[k].layers.last, last);
}

static void ranges_join_where_each_layer_is_held(void **state)
{
	int front, back;

	(void)state;
	assert_int_equal(find(), PATH_MISSING);
	front = ready(0, 0, 4, 1);
	(void)ready(0, 5, 8, 1);
	assert_int_equal(find(), PATH_MISSING);
	back = ready(0, 4, 8, 1);
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
	assert_stage(0, front, 0, 4);
	assert_stage(1, back, 4, 8);
}

static void what_two_hold_is_done_by_the_faster(void **state)
{
	int front = timed(0, 5, 5000, 1000), back = timed(3, 8, 10000, 1000);

	(void)state;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
	assert_stage(0, front, 0, 5);
	assert_stage(1, back, 5, 8);
	roster_get(roster, front)->assignment.token_us = 20000;
	assert_int_equal(find(), PATH_FOUND);
	assert_stage(0, front, 0, 3);
	assert_stage(1, back, 3, 8);
}

/* The output head is not a layer more. */
static void the_head_is_counted_where_the_last_layer_is(void **state)
{
	int back = timed(4, 8, 40000, 1000);
	struct roster_donor *d = roster_get(roster, back);

	(void)state;
	d->assignment.head_us = 30000;
	assert_int_equal(path_compute_us(d, (struct layer_range){4, 6}), 5000);
	assert_int_equal(path_compute_us(d, (struct layer_range){6, 8}), 35000);
	assert_int_equal(path_compute_us(d, (struct layer_range){4, 8}), 40000);
}

static void layers_serve_as_soon_as_they_are_ready(void **state)
{
	int back = ready(0, 2, 8, 9), coming = ready(0, 0, 8, 9);

	(void)state;
	assert_int_equal(roster_progress(roster, coming, 2, PROGRESS_FETCHING, 0), AYNI_OK);
	assert_int_equal(find(), PATH_MISSING);
	assert_int_equal(roster_progress(roster, coming, 2, PROGRESS_FETCHING, 1), AYNI_OK);
	assert_int_equal(find(), PATH_MISSING);
	assert_int_equal(roster_progress(roster, coming, 2, PROGRESS_LOADING, 3), AYNI_OK);
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
	assert_stage(1, back, path.stages[0].layers.last, 8);
	assert_int_equal(path.stages[0].donor, coming);
	assert_true(path_alive(&path, roster));
	assert_int_equal(roster_progress(roster, coming, 2, PROGRESS_LOADING, 0), AYNI_OK);
	assert_false(path_alive(&path, roster)); /* its worker died */
}

/* A fast one in the middle of a slow one: going back would need a second cache. */
static void no_donor_is_in_a_path_twice(void **state)
{
	int slow = timed(0, 8, 80000, 1000);

	(void)state;
	(void)timed(3, 5, 1000, 1000);
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 1);
	assert_stage(0, slow, 0, 8);
}

static void the_fewest_stages_win(void **state)
{
	int whole;

	(void)state;
	(void)ready(0, 0, 4, 9);
	(void)ready(0, 4, 8, 9);
	whole = ready(0, 0, 8, 9);
	roster_get(roster, whole)->sessions = roster_get(roster, whole)->pages = 8;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 1);
	assert_int_equal(path.stages[0].donor, whole);
}

static void of_equal_paths_the_less_busy_donors_win(void **state)
{
	int busy = ready(0, 0, 4, 9), free_one = ready(0, 0, 4, 9), last = ready(0, 4, 8, 9);

	(void)state;
	roster_get(roster, busy)->sessions = 3;
	roster_get(roster, free_one)->sessions = 2;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.stages[0].donor, free_one);
	assert_int_equal(path.stages[1].donor, last);
}

static void two_fast_stages_are_better_than_a_slow_one(void **state)
{
	int whole = timed(0, 8, 90000, 10000), first = timed(0, 4, 20000, 10000);
	int second = timed(4, 8, 20000, 10000);

	(void)state;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
	assert_int_equal(path.stages[0].donor, first);
	roster_get(roster, first)->round_trip_us = 60000; /* now it is too far */
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
	assert_stage(0, whole, 0, 4);
	roster_get(roster, second)->round_trip_us = 60000;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 1);
	assert_int_equal(path.stages[0].donor, whole);
}

static void a_donor_with_a_slow_link_is_gone_around(void **state)
{
	int near = timed(0, N_LAYERS, 20000, 1000), far = timed(0, N_LAYERS, 20000, 30000);

	(void)state;
	roster_get(roster, near)->assignment.transfer_us = 10000;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.stages[0].donor, near);
	roster_get(roster, near)->assignment.transfer_us = 40000;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.stages[0].donor, far);
}

/* 20 ms each, or 70 ms alone: the fourth waits 60 ms for the three before it. */
static void sessions_spread_over_slower_replicas_once_the_fast_one_is_busy(void **state)
{
	int slow = timed(0, 8, 70000, 1000), fast = timed(0, 8, 20000, 1000);
	int got[5];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(find(), PATH_FOUND);
		got[i] = path.stages[0].donor;
		roster_get(roster, got[i])->sessions++;
		roster_get(roster, got[i])->bound_layers += N_LAYERS;
	}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(got[i], fast);
	assert_int_equal(got[3], slow);
	assert_int_equal(got[4], fast);
}

static void full_donors_are_gone_around(void **state)
{
	int whole = ready(0, 0, 8, 1);

	(void)state;
	roster_get(roster, whole)->pages = 1;
	assert_int_equal(find(), PATH_FULL);
	(void)ready(0, 0, 4, 1);
	(void)ready(0, 4, 8, 1);
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
}

static void only_ready_donors_of_the_model_count(void **state)
{
	int slot;

	(void)state;
	(void)ready(1, 0, 8, 1);
	assert_int_equal(find(), PATH_MISSING);
	slot = ready(0, 0, 8, 1);
	assert_int_equal(roster_progress(roster, slot, n_joined, PROGRESS_LOADING, 0), AYNI_OK);
	assert_int_equal(find(), PATH_MISSING);
	assert_int_equal(roster_progress(roster, slot, n_joined, PROGRESS_READY, 0), AYNI_OK);
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(roster_leave(roster, slot), AYNI_OK);
	assert_false(path_alive(&path, roster));
	assert_non_null(path_donor(roster, &path.stages[0])); /* for its last units */
	assert_int_equal(find(), PATH_MISSING);
}

static void a_slot_taken_by_another_donor_is_noticed(void **state)
{
	int slot = ready(0, 0, 8, 1);

	(void)state;
	assert_int_equal(find(), PATH_FOUND);
	roster_remove(roster, slot);
	assert_null(path_donor(roster, &path.stages[0]));
	assert_int_equal(ready(0, 0, 8, 1), slot);
	assert_null(path_donor(roster, &path.stages[0]));
	assert_false(path_alive(&path, roster));
}

static void a_broken_path_is_not_alive(void **state)
{
	(void)state;
	(void)ready(0, 0, 8, 1);
	assert_int_equal(find(), PATH_FOUND);
	path.broken = true;
	assert_false(path_alive(&path, roster));
}

static void paths_are_equal_by_donors_and_assignments(void **state)
{
	struct path other;

	(void)state;
	(void)ready(0, 0, 4, 1);
	(void)ready(0, 4, 8, 1);
	assert_int_equal(find(), PATH_FOUND);
	other = path;
	other.sessions = 5;
	assert_true(path_equal(&path, &other));
	other.stages[1].assignment++;
	assert_false(path_equal(&path, &other));
	other = path;
	other.stages[0].donor++;
	assert_false(path_equal(&path, &other));
	other = path;
	other.stages[0].layers.last = other.stages[1].layers.first = 3;
	assert_false(path_equal(&path, &other));
	other = path;
	other.n_stages = 1;
	assert_false(path_equal(&path, &other));
	other = path;
	other.model = 1;
	assert_false(path_equal(&path, &other));
}

static void a_model_of_as_many_layers_as_there_may_be_is_searched(void **state)
{
	struct path_donors all;

	(void)state;
	(void)ready(0, 0, 1000, 1);
	(void)ready(0, 1000, LIMIT_LAYERS, 1);
	all = donors();
	assert_int_equal(path_find(&all, 0, LIMIT_LAYERS, 1, &path), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
}

/* ---- ways ----------------------------------------------------------------------------------- */

static void pair(int a, int b, uint64_t round_trip_us)
{
	int dials, listens;

	pairs_want(pairs, a, true, b, true);
	assert_true(pairs_tell(pairs, &dials, &listens));
	pairs_heard(pairs, dials, listens, true, round_trip_us);
}

static void assert_time(uint32_t stage, uint64_t compute_us, uint64_t trip_us, uint64_t transfer_us)
{
	struct path_donors all = donors();
	struct path_time t = path_time(&all, &path, stage);

	assert_int_equal(t.compute_us, compute_us);
	assert_int_equal(t.trip_us, trip_us);
	assert_int_equal(t.transfer_us, transfer_us);
	assert_int_equal(t.all_us, compute_us + trip_us + transfer_us + t.wait_us);
}

/* Both far from the pool, near to each other. */
static void donors_that_hand_over_to_each_other_are_taken_though_others_are_nearer(void **state)
{
	int first = timed(0, 4, 20000, 60000), last = timed(4, 8, 20000, 60000);
	int near_first = timed(0, 4, 20000, 40000), near_last = timed(4, 8, 20000, 40000);

	(void)state;
	assert_int_equal(find(), PATH_FOUND); /* 40 + 80 ms */
	assert_int_equal(path.stages[0].donor, near_first);
	assert_int_equal(path.stages[1].donor, near_last);
	pair(first, last, 10000); /* 40 + 30 + 5 + 30 ms */
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
	assert_int_equal(path.stages[0].donor, first);
	assert_int_equal(path.stages[1].donor, last);
	pairs_lost(pairs, first, last, NOW_US); /* not now */
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.stages[0].donor, near_first);
}

static void a_way_leads_over_a_slower_replica_and_on(void **state)
{
	int first = timed(0, 3, 10000, 50000), slow = timed(3, 6, 15000, 50000);
	int last = timed(6, 8, 10000, 50000);

	(void)state;
	(void)timed(3, 6, 10000, 50000);
	pair(first, slow, 2000);
	pair(slow, last, 2000);
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 3);
	assert_int_equal(path.stages[1].donor, slow);
	assert_time(0, 10000, 25000, 0);
	assert_time(1, 15000, 1000, 0);
	assert_time(2, 10000, 1000 + 25000, 0);
}

/* It holds all, and takes over in the middle from a faster donor that it is near to. */
static void a_way_may_lead_into_the_middle_of_a_range(void **state)
{
	int first = timed(0, 4, 10000, 50000), all = timed(0, 8, 40000, 50000);

	(void)state;
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 1);
	pair(first, all, 2000);
	assert_int_equal(find(), PATH_FOUND);
	assert_int_equal(path.n_stages, 2);
	assert_stage(0, first, 0, 4);
	assert_stage(1, all, 4, 8);
}

/* All through the pool: as much as the trips to both. */
static void without_ways_a_stage_takes_its_whole_trip(void **state)
{
	int first = timed(0, 4, 20000, 10000);

	(void)state;
	(void)timed(4, 8, 30000, 50000);
	roster_get(roster, first)->assignment.transfer_us = 400;
	assert_int_equal(find(), PATH_FOUND);
	assert_time(0, 20000, 10000, 400);
	assert_time(1, 30000, 50000, 0);
}

static void bytes_take_as_long_as_over_the_slower_line(void **state)
{
	int first = timed(0, 4, 20000, 50000), last = timed(4, 8, 20000, 50000);

	(void)state;
	roster_get(roster, first)->assignment.transfer_us = 400;
	roster_get(roster, last)->assignment.transfer_us = 6000;
	roster_get(roster, last)->sessions = 2; /* and so no token goes round by itself */
	pair(first, last, 8000);
	assert_int_equal(find(), PATH_FOUND);
	assert_time(0, 20000, 25000, 200);
	assert_time(1, 20000, 4000 + 25000, 3000 + 3000);
}

static void a_token_that_the_last_hands_to_the_first_never_sees_the_pool(void **state)
{
	struct path_donors all = donors();
	int first = timed(0, 4, 20000, 50000), last = timed(4, 8, 20000, 50000);

	(void)state;
	roster_get(roster, last)->assignment.transfer_us = 6000;
	pair(first, last, 8000);
	assert_int_equal(find(), PATH_FOUND);
	assert_true(path_is_ring(&all, &path));
	assert_time(0, 20000, 4000, 0);
	assert_time(1, 20000, 4000, 3000);
	roster_get(roster, first)->sessions = 2;
	assert_false(path_is_ring(&all, &path));
}

static void a_donor_alone_hands_tokens_to_itself(void **state)
{
	int slot = timed(0, N_LAYERS, 20000, 50000);

	(void)state;
	assert_int_equal(find(), PATH_FOUND);
	assert_time(0, 20000, 0, 0);
	roster_get(roster, slot)->sessions = 1;
	assert_time(0, 20000, 50000, 0);
}

/* Who says so would be nearer to the pool over the other than it is. */
static void a_way_is_no_shorter_than_what_its_ends_are_apart(void **state)
{
	int first = timed(0, 4, 20000, 10000), last = timed(4, 8, 20000, 50000);

	(void)state;
	roster_get(roster, last)->sessions = 2;
	pair(first, last, 1);
	assert_int_equal(find(), PATH_FOUND);
	assert_time(1, 20000, 20000 + 25000, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(one_donor_with_all_layers_is_a_path),
	    TEST(ranges_join_where_each_layer_is_held),
	    TEST(what_two_hold_is_done_by_the_faster),
	    TEST(the_head_is_counted_where_the_last_layer_is),
	    TEST(layers_serve_as_soon_as_they_are_ready),
	    TEST(no_donor_is_in_a_path_twice),
	    TEST(the_fewest_stages_win),
	    TEST(of_equal_paths_the_less_busy_donors_win),
	    TEST(two_fast_stages_are_better_than_a_slow_one),
	    TEST(a_donor_with_a_slow_link_is_gone_around),
	    TEST(sessions_spread_over_slower_replicas_once_the_fast_one_is_busy),
	    TEST(full_donors_are_gone_around),
	    TEST(only_ready_donors_of_the_model_count),
	    TEST(a_slot_taken_by_another_donor_is_noticed),
	    TEST(a_broken_path_is_not_alive),
	    TEST(paths_are_equal_by_donors_and_assignments),
	    TEST(donors_that_hand_over_to_each_other_are_taken_though_others_are_nearer),
	    TEST(a_way_leads_over_a_slower_replica_and_on),
	    TEST(a_way_may_lead_into_the_middle_of_a_range),
	    TEST(without_ways_a_stage_takes_its_whole_trip),
	    TEST(bytes_take_as_long_as_over_the_slower_line),
	    TEST(a_token_that_the_last_hands_to_the_first_never_sees_the_pool),
	    TEST(a_donor_alone_hands_tokens_to_itself),
	    TEST(a_way_is_no_shorter_than_what_its_ends_are_apart),
	    TEST(a_model_of_as_many_layers_as_there_may_be_is_searched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
