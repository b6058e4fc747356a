/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/roster.h"

static struct roster *roster;

static int set_up(void **state)
{
	(void)state;
	return roster_new(&roster, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	roster_free(roster);
	return 0;
}

static struct public_key key_of(uint32_t n)
{
	struct public_key key = {{0}};

	memcpy(key.bytes, &n, sizeof n);
	return key;
}

static int join(uint32_t n, uint64_t now_us)
{
	struct public_key key = key_of(n);
	int slot = ROSTER_NONE;

	assert_int_equal(roster_join(roster, &key, "ana", n, now_us, &slot), AYNI_OK);
	return slot;
}

static enum donor_state state_of(int slot)
{
	return roster_get(roster, slot)->state;
}

static const struct msg_offer an_offer = {.cores = 4, .memory_bytes = 1 << 30};
static const struct donor_assignment an_assignment = {.number = 7, .layers = {0, 2}, .pages = 3};

/* A new donor, brought into a state by the shortest way. */
static int donor_in(enum donor_state wanted, uint32_t n)
{
	int slot = join(n, 1);

	if (wanted == DONOR_JOINED)
		return slot;
	assert_int_equal(roster_offer(roster, slot, &an_offer), AYNI_OK);
	if (wanted == DONOR_IDLE)
		return slot;
	if (wanted == DONOR_LEAVING) {
		assert_int_equal(roster_leave(roster, slot), AYNI_OK);
		return slot;
	}
	assert_int_equal(roster_assign(roster, slot, &an_assignment), AYNI_OK);
	if (wanted == DONOR_LOADING)
		assert_int_equal(roster_progress(roster, slot, 7, PROGRESS_LOADING, 0), AYNI_OK);
	if (wanted == DONOR_READY)
		assert_int_equal(roster_progress(roster, slot, 7, PROGRESS_READY, 0), AYNI_OK);
	assert_int_equal(state_of(slot), wanted);
	return slot;
}

enum event {
	OFFER,
	ASSIGN,
	SAYS_FETCHING,
	SAYS_LOADING,
	SAYS_READY,
	SAYS_FAILED,
	UNASSIGN,
	LEAVE,
	EVENT_END
};

static int apply(int slot, enum event e)
{
	switch (e) {
	case OFFER:
		return roster_offer(roster, slot, &an_offer);
	case ASSIGN:
		return roster_assign(roster, slot, &an_assignment);
	case SAYS_FETCHING:
		return roster_progress(roster, slot, 7, PROGRESS_FETCHING, 0);
	case SAYS_LOADING:
		return roster_progress(roster, slot, 7, PROGRESS_LOADING, 0);
	case SAYS_READY:
		return roster_progress(roster, slot, 7, PROGRESS_READY, 0);
	case SAYS_FAILED:
		return roster_progress(roster, slot, 7, PROGRESS_FAILED, 0);
	case UNASSIGN:
		return roster_unassign(roster, slot);
	case LEAVE:
		return roster_leave(roster, slot);
	case EVENT_END:
		break;
	}
	return AYNI_ERR_ARGUMENT;
}

enum { REFUSED = DONOR_STATE_END };

static void follows_its_table_of_transitions(void **state)
{
	/* offer, assign, fetching, loading, ready, failed, unassign, leave */
	static const int after[DONOR_STATE_END][EVENT_END] = {
	    [DONOR_JOINED] = {DONOR_IDLE, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED,
	        DONOR_LEAVING},
	    [DONOR_IDLE] = {DONOR_IDLE, DONOR_FETCHING, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED,
	        DONOR_LEAVING},
	    [DONOR_FETCHING] = {DONOR_FETCHING, REFUSED, DONOR_FETCHING, DONOR_LOADING, DONOR_READY,
	        DONOR_IDLE, DONOR_IDLE, DONOR_LEAVING},
	    [DONOR_LOADING] = {DONOR_LOADING, REFUSED, DONOR_FETCHING, DONOR_LOADING, DONOR_READY,
	        DONOR_IDLE, DONOR_IDLE, DONOR_LEAVING},
	    [DONOR_READY] = {DONOR_READY, REFUSED, DONOR_FETCHING, DONOR_LOADING, DONOR_READY,
	        DONOR_IDLE, DONOR_IDLE, DONOR_LEAVING},
	    [DONOR_LEAVING] = {DONOR_LEAVING, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED,
	        DONOR_LEAVING},
	};
	uint32_t n = 1;

	(void)state;
	for (enum donor_state from = DONOR_JOINED; from < DONOR_STATE_END; from++) {
		for (enum event e = OFFER; e < EVENT_END; e++) {
			int slot = donor_in(from, n++);
			int rc = apply(slot, e);

			if (after[from][e] == REFUSED) {
				assert_int_equal(rc, AYNI_ERR_STATE);
				assert_int_equal(state_of(slot), from);
			} else {
				assert_int_equal(rc, AYNI_OK);
				assert_int_equal(state_of(slot), after[from][e]);
			}
			roster_check(roster);
		}
	}
}

static void a_free_slot_refuses_every_event(void **state)
{
	(void)state;
	for (enum event e = OFFER; e < EVENT_END; e++) {
		assert_int_equal(apply(0, e), AYNI_ERR_STATE);
		assert_int_equal(apply(-1, e), AYNI_ERR_STATE);
		assert_int_equal(apply(ROSTER_MAX_DONORS, e), AYNI_ERR_STATE);
	}
	roster_remove(roster, -1);
	roster_remove(roster, ROSTER_MAX_DONORS);
	assert_null(roster_get(roster, 0));
}

static void progress_of_no_assignment_is_refused(void **state)
{
	enum assignment_progress all[] = {
	    PROGRESS_FETCHING, PROGRESS_LOADING, PROGRESS_READY, PROGRESS_FAILED};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		int idle = donor_in(DONOR_IDLE, 10 + (uint32_t)i);
		int joined = donor_in(DONOR_JOINED, 20 + (uint32_t)i);

		assert_int_equal(roster_progress(roster, idle, 0, all[i], 0), AYNI_ERR_STATE);
		assert_int_equal(state_of(idle), DONOR_IDLE);
		assert_int_equal(roster_progress(roster, joined, 0, all[i], 0), AYNI_ERR_STATE);
		assert_int_equal(state_of(joined), DONOR_JOINED);
	}
}

static void progress_of_another_assignment_is_refused(void **state)
{
	int slot = donor_in(DONOR_FETCHING, 1);

	(void)state;
	assert_int_equal(roster_progress(roster, slot, 6, PROGRESS_READY, 0), AYNI_ERR_STATE);
	assert_int_equal(state_of(slot), DONOR_FETCHING);
}

static void a_failed_assignment_is_forgotten_and_counted(void **state)
{
	int slot = donor_in(DONOR_READY, 1);
	struct roster_donor *d = roster_get(roster, slot);

	(void)state;
	d->sessions = 2;
	assert_int_equal(roster_progress(roster, slot, 7, PROGRESS_FAILED, 0), AYNI_OK);
	assert_int_equal(d->failures, 1);
	assert_int_equal(d->assignment.number, 0);
	assert_int_equal(d->sessions, 0);
	assert_int_equal(roster_assign(roster, slot, &an_assignment), AYNI_OK);
	assert_int_equal(roster_unassign(roster, slot), AYNI_OK);
	assert_int_equal(d->failures, 1);
	assert_int_equal(d->assignment.number, 0);
}

static void a_leaving_donor_keeps_its_assignment_for_its_last_units(void **state)
{
	int slot = donor_in(DONOR_READY, 1);

	(void)state;
	assert_int_equal(roster_leave(roster, slot), AYNI_OK);
	assert_int_equal(roster_get(roster, slot)->assignment.number, 7);
}

static void a_key_joins_once(void **state)
{
	int first = join(5, 1), other = join(6, 1), slot = ROSTER_NONE;
	struct public_key key = key_of(5);

	(void)state;
	assert_int_not_equal(first, other);
	assert_int_equal(roster_join(roster, &key, "again", 9, 2, &slot), AYNI_ERR_EXISTS);
	assert_int_equal(slot, first);
	assert_string_equal(roster_get(roster, first)->name, "ana");
	roster_remove(roster, first);
	assert_int_equal(roster_join(roster, &key, "again", 9, 2, &slot), AYNI_OK);
	assert_string_equal(roster_get(roster, slot)->name, "again");
}

static void a_key_behind_a_free_slot_is_found(void **state)
{
	struct public_key key = key_of(2);
	int slot;

	(void)state;
	roster_remove(roster, join(1, 1)); /* nothing left: the next takes slot 0 again */
	assert_int_equal(join(1, 1), 0);
	assert_int_equal(join(2, 1), 1);
	roster_remove(roster, 0);
	assert_int_equal(roster_join(roster, &key, "", 0, 1, &slot), AYNI_ERR_EXISTS);
	assert_int_equal(slot, 1);
	assert_int_equal(join(3, 1), 0);
}

static void slots_are_stable_and_used_again(void **state)
{
	int a = join(1, 1), b = join(2, 1), c = join(3, 1);

	(void)state;
	roster_get(roster, b)->units = 99;
	roster_remove(roster, b);
	assert_null(roster_get(roster, b));
	assert_int_equal(roster_get(roster, a)->peer, 1);
	assert_int_equal(roster_get(roster, c)->peer, 3);
	assert_int_equal(join(4, 1), b);
	assert_int_equal(roster_get(roster, b)->units, 0);
	roster_remove(roster, c);
	roster_remove(roster, b);
	assert_int_equal(roster_slots(roster), a + 1);
}

static void a_full_roster_refuses_the_next_donor(void **state)
{
	struct public_key key = key_of(ROSTER_MAX_DONORS);
	int slot;

	(void)state;
	for (uint32_t i = 0; i < ROSTER_MAX_DONORS; i++)
		assert_int_equal(join(i, 1), (int)i);
	assert_int_equal(roster_slots(roster), ROSTER_MAX_DONORS);
	assert_int_equal(roster_join(roster, &key, "", 0, 1, &slot), AYNI_ERR_LIMIT);
	roster_remove(roster, 17);
	assert_int_equal(join(ROSTER_MAX_DONORS, 1), 17);
}

static void a_silent_donor_is_found(void **state)
{
	int a = join(1, 100), b = join(2, 50), c = join(3, 70);

	(void)state;
	assert_int_equal(roster_silent(roster, 50), ROSTER_NONE);
	assert_int_equal(roster_silent(roster, 51), b);
	roster_get(roster, b)->heard_us = 200;
	assert_int_equal(roster_silent(roster, 71), c);
	roster_remove(roster, c);
	assert_int_equal(roster_silent(roster, 100), ROSTER_NONE);
	assert_int_equal(roster_silent(roster, 101), a);
}

static void an_overlong_name_is_cut(void **state)
{
	char name[200];
	struct public_key key = key_of(1);
	int slot;

	(void)state;
	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = '\0';
	assert_int_equal(roster_join(roster, &key, name, 1, 1, &slot), AYNI_OK);
	assert_int_equal(strlen(roster_get(roster, slot)->name), TEXT_SHORT - 1);
}

static void excuses_of_one_moment_count_once_and_can_be_made_up_for(void **state)
{
	struct roster_donor *d = roster_get(roster, join(1, 1));

	(void)state;
	d->last_unit = 10;
	for (uint64_t unit = 1; unit <= 10; unit++)
		roster_excuse(d, unit); /* all that it had */
	assert_int_equal(d->excuses, 1);
	for (uint32_t i = 0; i < ROSTER_EXCUSE_UNITS; i++) {
		assert_int_equal(d->excuses, 1);
		roster_did_right(d);
	}
	assert_int_equal(d->excuses, 0);
	for (uint32_t i = 0; i < ROSTER_MAX_EXCUSES; i++) {
		assert_true(d->failures < ROSTER_MAX_FAILURES);
		roster_excuse(d, ++d->last_unit);
	}
	assert_int_equal(d->failures, ROSTER_MAX_FAILURES);
	roster_did_right(d);
	assert_int_equal(d->failures, ROSTER_MAX_FAILURES);
	roster_forgive(d);
	assert_int_equal(d->failures + d->excuses, 0);
}

static void every_state_has_a_name(void **state)
{
	(void)state;
	for (enum donor_state s = DONOR_FREE; s < DONOR_STATE_END; s++) {
		for (enum donor_state other = DONOR_FREE; other < s; other++)
			assert_string_not_equal(donor_state_name(s), donor_state_name(other));
	}
	assert_string_equal(donor_state_name(DONOR_READY), "ready");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(follows_its_table_of_transitions),
	    TEST(a_free_slot_refuses_every_event),
	    TEST(progress_of_no_assignment_is_refused),
	    TEST(progress_of_another_assignment_is_refused),
	    TEST(a_failed_assignment_is_forgotten_and_counted),
	    TEST(a_leaving_donor_keeps_its_assignment_for_its_last_units),
	    TEST(a_key_joins_once),
	    TEST(a_key_behind_a_free_slot_is_found),
	    TEST(slots_are_stable_and_used_again),
	    TEST(a_full_roster_refuses_the_next_donor),
	    TEST(a_silent_donor_is_found),
	    TEST(an_overlong_name_is_cut),
	    TEST(excuses_of_one_moment_count_once_and_can_be_made_up_for),
	    TEST(every_state_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
