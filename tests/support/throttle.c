/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/throttle.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/network.h"

enum {
	TICK_NS = 1000000,
	SAVED_NS = 2000000 /* processor time that who was idle may use at once */
};

struct limited {
	pid_t process, child; /* 0: none */
	int64_t used_ns[2];   /* of both, when they were looked at */
	int64_t due_ns;       /* what they may still use; below 0 they stand still */
	unsigned percent;
	bool stopped;
};

struct throttle {
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	bool over;
	size_t n;
	struct limited limited[THROTTLE_MAX];
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	return clock_gettime(clock, &t) == 0 ? (int64_t)t.tv_sec * 1000000000 + t.tv_nsec : 0;
}

/* Nanoseconds used since the last time. */
static int64_t used(pid_t process, int64_t *before)
{
	clockid_t clock;
	int64_t then = *before;

	if (process == 0 || clock_getcpuclockid(process, &clock) != 0)
		return 0;
	*before = now_ns(clock);
	return *before > then ? *before - then : 0;
}

static void signal_both(struct limited *l, int number)
{
	if (l->child > 0)
		(void)kill(l->child, number);
	(void)kill(l->process, number);
	l->stopped = number == SIGSTOP;
}

/* While the process stands still it has the same child as before: it reaps none and starts none. */
static void look(struct limited *l, int64_t passed_ns)
{
	if (!l->stopped) {
		pid_t child = network_child(l->process);

		l->used_ns[1] = child == l->child ? l->used_ns[1] : 0;
		l->child = child;
	}
	l->due_ns += passed_ns * l->percent / 100;
	l->due_ns -= used(l->process, &l->used_ns[0]) + used(l->child, &l->used_ns[1]);
	l->due_ns = l->due_ns < SAVED_NS ? l->due_ns : SAVED_NS;
	if (l->stopped != (l->due_ns < 0))
		signal_both(l, l->stopped ? SIGCONT : SIGSTOP);
}

static void *watch(void *context)
{
	const struct timespec tick = {.tv_nsec = TICK_NS};
	struct throttle *t = context;
	int64_t before = now_ns(CLOCK_MONOTONIC);
	bool over = false;

	while (!over) {
		int64_t now;

		(void)nanosleep(&tick, NULL);
		now = now_ns(CLOCK_MONOTONIC);
		(void)pthread_mutex_lock(&t->lock);
		for (size_t i = 0; i < t->n; i++)
			look(&t->limited[i], now - before);
		over = t->over;
		(void)pthread_mutex_unlock(&t->lock);
		before = now;
	}
	return NULL;
}

struct throttle *throttle_start(void)
{
	struct throttle *t = calloc(1, sizeof *t);

	assert_non_null(t);
	assert_int_equal(pthread_mutex_init(&t->lock, NULL), 0);
	assert_int_equal(pthread_create(&t->thread, NULL, watch, t), 0);
	return t;
}

void throttle_add(struct throttle *t, pid_t process, unsigned percent)
{
	(void)pthread_mutex_lock(&t->lock);
	assert_true(t->n < THROTTLE_MAX);
	t->limited[t->n++] = (struct limited){.process = process, .percent = percent};
	(void)pthread_mutex_unlock(&t->lock);
}

void throttle_release(struct throttle *t, pid_t process)
{
	(void)pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n; i++) {
		if (t->limited[i].process != process)
			continue;
		signal_both(&t->limited[i], SIGCONT);
		t->limited[i] = t->limited[--t->n];
		break;
	}
	(void)pthread_mutex_unlock(&t->lock);
}

void throttle_stop(struct throttle *t)
{
	while (t->n > 0)
		throttle_release(t, t->limited[0].process);
	(void)pthread_mutex_lock(&t->lock);
	t->over = true;
	(void)pthread_mutex_unlock(&t->lock);
	(void)pthread_join(t->thread, NULL);
	(void)pthread_mutex_destroy(&t->lock);
	free(t);
}
