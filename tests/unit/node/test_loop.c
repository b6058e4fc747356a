/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/loop.h"

static struct loop *loop;
static struct error err;
static char trace[64]; /* what was called, in order */

static int set_up(void **state)
{
	(void)state;
	trace[0] = '\0';
	return loop_new(&loop, &err);
}

static int tear_down(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void note(char c)
{
	size_t len = strlen(trace);

	assert_true(len + 1 < sizeof trace);
	trace[len] = c;
	trace[len + 1] = '\0';
}

static void run(void)
{
	assert_int_equal(loop_run(loop, &err), AYNI_OK);
}

static void on_a(void *context)
{
	(void)context;
	note('a');
}

static void on_b(void *context)
{
	(void)context;
	note('b');
}

static void on_stop(void *context)
{
	(void)context;
	note('.');
	loop_stop(loop);
}

static void at_once(loop_fn *fn, void *context)
{
	assert_int_equal(loop_timer(loop, loop_now_us(), fn, context, &err), AYNI_OK);
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

static int ends[2];

static void on_byte(void *context)
{
	char c;

	(void)context;
	assert_int_equal(read(ends[0], &c, 1), 1);
	note(c);
	if (c == '.')
		loop_stop(loop);
}

static void open_pipe(loop_fn *fn)
{
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(loop_watch(loop, ends[0], fn, NULL, &err), AYNI_OK);
}

static void close_pipe(void)
{
	loop_unwatch(loop, ends[0]);
	close(ends[0]);
	close(ends[1]);
}

static void a_readable_descriptor_is_reported_until_it_is_read(void **state)
{
	(void)state;
	open_pipe(on_byte);
	assert_int_equal(write(ends[1], "xyz.", 4), 4);
	run();
	assert_string_equal(trace, "xyz.");
	close_pipe();
}

static void on_end(void *context)
{
	char c;

	(void)context;
	assert_int_equal(read(ends[0], &c, 1), 0);
	loop_stop(loop);
}

static void the_other_sides_end_is_reported(void **state)
{
	(void)state;
	open_pipe(on_end);
	close(ends[1]);
	run();
	loop_unwatch(loop, ends[0]);
	close(ends[0]);
}

static void an_unwatched_descriptor_is_silent(void **state)
{
	(void)state;
	open_pipe(on_a);
	assert_int_equal(write(ends[1], "x", 1), 1);
	loop_unwatch(loop, ends[0]);
	loop_unwatch(loop, ends[0]); /* twice is fine */
	at_once(on_stop, NULL);
	run();
	assert_string_equal(trace, ".");
	close_pipe();
}

static void a_descriptor_has_one_callback_the_last(void **state)
{
	(void)state;
	open_pipe(on_a);
	assert_int_equal(loop_watch(loop, ends[0], on_stop, NULL, &err), AYNI_OK);
	assert_int_equal(write(ends[1], "x", 1), 1);
	run();
	assert_string_equal(trace, ".");
	close_pipe();
}

static void too_many_descriptors_are_refused(void **state)
{
	int fds[2 * 64], n = 0, rc = AYNI_OK;

	(void)state;
	while (n < 2 * 64 && rc == AYNI_OK) {
		assert_int_equal(pipe(&fds[n]), 0);
		rc = loop_watch(loop, fds[n], on_a, NULL, &err);
		n += 2;
	}
	for (int i = 0; i < n; i++)
		close(fds[i]);
	assert_int_equal(rc, AYNI_OK); /* 64 fit */
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(loop_watch(loop, 1000000, on_a, NULL, &err), AYNI_ERR_LIMIT);
	close(ends[0]);
	close(ends[1]);
}

static void a_descriptor_that_is_none_is_refused(void **state)
{
	(void)state;
	assert_int_equal(loop_watch(loop, 1000000, on_a, NULL, &err), AYNI_ERR_IO);
}

/* ---- timers -----------------------------------------------------------------------------------
 */

static void a_timer_runs_once(void **state)
{
	(void)state;
	at_once(on_a, NULL);
	at_once(on_stop, NULL);
	run();
	at_once(on_stop, NULL);
	run();
	assert_string_equal(trace, "a..");
}

static void a_timer_is_named_by_function_and_context(void **state)
{
	int one, two;

	(void)state;
	at_once(on_a, &one);
	at_once(on_a, &two);
	at_once(on_a, &one); /* the same: moved, not added */
	at_once(on_stop, NULL);
	run();
	assert_string_equal(trace, "aa.");
}

static void a_timer_set_to_0_is_taken_away(void **state)
{
	(void)state;
	at_once(on_a, NULL);
	assert_int_equal(loop_timer(loop, 0, on_a, NULL, &err), AYNI_OK);
	assert_int_equal(loop_timer(loop, 0, on_b, NULL, &err), AYNI_OK); /* was never there */
	at_once(on_stop, NULL);
	run();
	assert_string_equal(trace, ".");
}

static void a_timer_can_be_put_off(void **state)
{
	(void)state;
	at_once(on_a, NULL);
	assert_int_equal(
	    loop_timer(loop, loop_now_us() + 3600000000ULL, on_a, NULL, &err), AYNI_OK);
	at_once(on_stop, NULL);
	run();
	assert_string_equal(trace, ".");
}

static void on_again(void *context)
{
	int *left = context;

	note('r');
	if (--*left > 0)
		at_once(on_again, context);
	else
		loop_stop(loop);
}

static void a_timer_may_set_itself_again(void **state)
{
	int left = 3;

	(void)state;
	at_once(on_again, &left);
	run();
	assert_string_equal(trace, "rrr");
}

static void too_many_timers_are_refused(void **state)
{
	char contexts[65];

	(void)state;
	for (int i = 0; i < 64; i++)
		at_once(on_a, &contexts[i]);
	assert_int_equal(loop_timer(loop, 1, on_a, &contexts[64], &err), AYNI_ERR_LIMIT);
}

/* ---- before each wait -------------------------------------------------------------------------
 */

static bool on_prepare(void *context)
{
	int *left = context;

	note('p');
	if (--*left == 0)
		loop_stop(loop);
	return *left > 0; /* more to do at once */
}

static void the_loop_does_not_wait_while_there_is_more_to_do(void **state)
{
	int left = 4;

	(void)state;
	assert_int_equal(loop_prepare(loop, on_prepare, &left, &err), AYNI_OK);
	run();
	assert_string_equal(trace, "pppp");
}

static void nothing_is_called_after_the_loop_was_stopped(void **state)
{
	int left = 1, more = 9;

	(void)state;
	assert_int_equal(loop_prepare(loop, on_prepare, &left, &err), AYNI_OK);
	assert_int_equal(loop_prepare(loop, on_prepare, &more, &err), AYNI_OK);
	open_pipe(on_byte);
	assert_int_equal(write(ends[1], "x", 1), 1);
	run();
	assert_string_equal(trace, "p");
	close_pipe();
	trace[0] = '\0';
	at_once(on_stop, NULL);
	at_once(on_a, NULL);
	run();
	assert_string_equal(trace, ".");
}

/* ---- signals ----------------------------------------------------------------------------------
 */

static void on_signal(void *context, int signal_number)
{
	(void)context;
	note(signal_number == SIGUSR1 ? '1' : '2');
	if (signal_number == SIGUSR2)
		loop_stop(loop);
}

static void signals_are_reported_in_the_loop(void **state)
{
	static const int signals[] = {SIGUSR1, SIGUSR2, 0};

	(void)state;
	assert_int_equal(loop_signals(loop, signals, on_signal, NULL, &err), AYNI_OK);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_string_equal(trace, "");
	assert_int_equal(raise(SIGUSR2), 0);
	run();
	assert_string_equal(trace, "12");
}

static void clocks_move_forward(void **state)
{
	uint64_t before = loop_now_us();

	(void)state;
	assert_true(loop_now_us() >= before);
	assert_true(loop_wall_ms() > 1600000000000ULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_readable_descriptor_is_reported_until_it_is_read),
	    TEST(the_other_sides_end_is_reported),
	    TEST(an_unwatched_descriptor_is_silent),
	    TEST(a_descriptor_has_one_callback_the_last),
	    TEST(too_many_descriptors_are_refused),
	    TEST(a_descriptor_that_is_none_is_refused),
	    TEST(a_timer_runs_once),
	    TEST(a_timer_is_named_by_function_and_context),
	    TEST(a_timer_set_to_0_is_taken_away),
	    TEST(a_timer_can_be_put_off),
	    TEST(a_timer_may_set_itself_again),
	    TEST(too_many_timers_are_refused),
	    TEST(the_loop_does_not_wait_while_there_is_more_to_do),
	    TEST(nothing_is_called_after_the_loop_was_stopped),
	    TEST(signals_are_reported_in_the_loop),
	    TEST(clocks_move_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
