/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/event.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 2000 };

static void a_wait_for_what_has_changed_ends_at_once(void **state)
{
	struct patience patience;
	struct event e;

	(void)state;
	event_init(&e);
	patience_init(&patience);
	assert_int_equal(event_add(&e, 5), 5);
	assert_int_equal(event_add(&e, (unsigned)-2), 3);
	event_wake(&e);
	assert_int_equal(event_await(&e, 5, &patience), 3);
	event_destroy(&e);
}

/* Two threads take turns to raise a number by one, `plain` being handed from one to the other. */
struct turns {
	struct event turn;
	unsigned plain;
	bool impatient; /* sleeps at once, as on a busy machine */
};

static void take_turns(struct turns *t, unsigned which)
{
	struct patience patience;

	patience_init(&patience);
	for (unsigned now = 0; now < ROUNDS;) {
		if (now % 2 == which) {
			t->plain++;
			now = event_add(&t->turn, 1);
			event_wake(&t->turn);
			continue;
		}
		if (t->impatient)
			patience.spin_ns = 0;
		now = event_await(&t->turn, now, &patience);
	}
}

static void *odd_turns(void *context)
{
	take_turns(context, 1);
	return NULL;
}

static void threads_see_all_that_was_done_before_a_change(void **state)
{
	(void)state;
	for (int impatient = 0; impatient < 2; impatient++) {
		struct turns t = {.impatient = impatient};
		pthread_t other;

		event_init(&t.turn);
		assert_int_equal(pthread_create(&other, NULL, odd_turns, &t), 0);
		take_turns(&t, 0);
		assert_int_equal(pthread_join(other, NULL), 0);
		assert_int_equal(t.plain, ROUNDS);
		event_destroy(&t.turn);
	}
}

static void patience_does_not_grow_past_its_bound(void **state)
{
	struct patience patience;
	struct event e;
	uint64_t most;

	(void)state;
	event_init(&e);
	patience_init(&patience);
	most = patience.spin_ns;
	for (unsigned i = 1; i < 100; i++) {
		assert_int_equal(event_add(&e, 1), i);
		assert_int_equal(event_await(&e, i - 1, &patience), i);
		assert_int_equal(patience.spin_ns, most); /* it was over when it began */
	}
	event_destroy(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_wait_for_what_has_changed_ends_at_once),
	    cmocka_unit_test(threads_see_all_that_was_done_before_a_change),
	    cmocka_unit_test(patience_does_not_grow_past_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
