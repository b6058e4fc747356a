/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "node/loop.h"

static const int signals[] = {SIGTERM, SIGINT, 0};

struct heard {
	struct loop *loop;
	int n, signal_number;
};

static void on_signal(void *context, int signal_number)
{
	struct heard *h = context;

	h->n++;
	h->signal_number = signal_number;
	loop_stop(h->loop);
}

static void *sleep_for_good(void *started)
{
	(void)sem_post(started);
	for (;;)
		(void)pause();
	return NULL;
}

static void reports_a_signal_instead_of_ending(void **state)
{
	struct heard h = {0};

	(void)state;
	assert_int_equal(loop_new(&h.loop, NULL), AYNI_OK);
	assert_int_equal(loop_signals(h.loop, signals, on_signal, &h, NULL), AYNI_OK);
	assert_int_equal(kill(getpid(), SIGINT), 0);
	assert_int_equal(loop_run(h.loop, NULL), AYNI_OK);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.signal_number, SIGINT);
	loop_free(h.loop);
}

/* As with a library that starts a thread before main. */
static void hears_a_signal_that_went_to_a_thread_from_before(void **state)
{
	struct heard h = {0};
	pthread_t thread;
	sem_t started;
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
	assert_int_equal(sem_init(&started, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, sleep_for_good, &started), 0);
	assert_int_equal(sem_wait(&started), 0);
	assert_int_equal(loop_new(&h.loop, NULL), AYNI_OK);
	assert_int_equal(loop_signals(h.loop, signals, on_signal, &h, NULL), AYNI_OK);
	assert_int_equal(kill(getpid(), SIGTERM), 0); /* the loop's thread blocks it */
	assert_int_equal(loop_run(h.loop, NULL), AYNI_OK);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.signal_number, SIGTERM);
	loop_free(h.loop);
	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sem_destroy(&started), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reports_a_signal_instead_of_ending),
	    cmocka_unit_test(hears_a_signal_that_went_to_a_thread_from_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
