/* SPDX-License-Identifier: Apache-2.0 */
#include "node/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WATCHES = 64, MAX_TIMERS = 64, MAX_PREPARES = 8, MAX_WAIT_MS = 60000 };

struct watch {
	int fd;
	loop_fn *fn; /* NULL: free slot */
	void *context;
};

struct timer {
	uint64_t at_us;
	loop_fn *fn; /* NULL: free slot */
	void *context;
};

struct prepare {
	loop_prepare_fn *fn;
	void *context;
};

struct loop {
	int epoll_fd;
	int signal_fd;
	loop_signal_fn *signal_fn;
	void *signal_context;
	bool stopping;
	struct watch watches[MAX_WATCHES];
	struct timer timers[MAX_TIMERS];
	struct prepare prepares[MAX_PREPARES];
	size_t n_prepares;
};

int loop_new(struct loop **out, struct error *err)
{
	struct loop *l = calloc(1, sizeof *l);

	if (l == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "loop: out of memory");
	l->signal_fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		free(l);
		return error_set(err, AYNI_ERR_IO, "loop: epoll_create1: %s", strerror(errno));
	}
	*out = l;
	return AYNI_OK;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	if (l->signal_fd >= 0)
		close(l->signal_fd);
	close(l->epoll_fd);
	free(l);
}

static struct watch *find_watch(struct loop *l, int fd)
{
	for (size_t i = 0; i < MAX_WATCHES; i++) {
		if (l->watches[i].fn != NULL && l->watches[i].fd == fd)
			return &l->watches[i];
	}
	return NULL;
}

int loop_watch(struct loop *l, int fd, loop_fn *fn, void *context, struct error *err)
{
	struct watch *w = find_watch(l, fd);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (w != NULL) {
		*w = (struct watch){fd, fn, context};
		return AYNI_OK;
	}
	for (size_t i = 0; i < MAX_WATCHES && w == NULL; i++) {
		if (l->watches[i].fn == NULL)
			w = &l->watches[i];
	}
	if (w == NULL)
		return error_set(
		    err, AYNI_ERR_LIMIT, "loop: more than %d descriptors", MAX_WATCHES);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return error_set(err, AYNI_ERR_IO, "loop: epoll_ctl: %s", strerror(errno));
	*w = (struct watch){fd, fn, context};
	return AYNI_OK;
}

void loop_unwatch(struct loop *l, int fd)
{
	struct watch *w = find_watch(l, fd);

	if (w == NULL)
		return;
	w->fn = NULL;
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int loop_prepare(struct loop *l, loop_prepare_fn *fn, void *context, struct error *err)
{
	if (l->n_prepares == MAX_PREPARES)
		return error_set(err, AYNI_ERR_LIMIT, "loop: more than %d hooks", MAX_PREPARES);
	l->prepares[l->n_prepares++] = (struct prepare){fn, context};
	return AYNI_OK;
}

int loop_timer(struct loop *l, uint64_t at_us, loop_fn *fn, void *context, struct error *err)
{
	struct timer *spare = NULL;

	for (size_t i = 0; i < MAX_TIMERS; i++) {
		struct timer *t = &l->timers[i];

		if (t->fn == fn && t->context == context) {
			t->at_us = at_us;
			if (at_us == 0)
				t->fn = NULL;
			return AYNI_OK;
		}
		if (t->fn == NULL && spare == NULL)
			spare = t;
	}
	if (at_us == 0)
		return AYNI_OK;
	if (spare == NULL)
		return error_set(err, AYNI_ERR_LIMIT, "loop: more than %d timers", MAX_TIMERS);
	*spare = (struct timer){at_us, fn, context};
	return AYNI_OK;
}

static void on_signal(void *context)
{
	struct loop *l = context;
	struct signalfd_siginfo info;

	while (read(l->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
		l->signal_fn(l->signal_context, (int)info.ssi_signo);
}

/*
 * Libraries start threads before main (OpenBLAS does), which do not block what is blocked here: a
 * signal to the process may well go to one of them. It is handed on to the loop's thread.
 */
static pthread_t loop_thread;

static void hand_on(int signal_number)
{
	(void)pthread_kill(loop_thread, signal_number);
}

int loop_signals(
    struct loop *l, const int *signals, loop_signal_fn *fn, void *context, struct error *err)
{
	struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; signals[i] != 0; i++)
		sigaddset(&set, signals[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return error_set(err, AYNI_ERR_IO, "loop: signals cannot be blocked");
	loop_thread = pthread_self();
	for (size_t i = 0; signals[i] != 0; i++) {
		if (sigaction(signals[i], &action, NULL) != 0)
			return error_set(err, AYNI_ERR_IO, "loop: sigaction: %s", strerror(errno));
	}
	l->signal_fd = signalfd(l->signal_fd, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (l->signal_fd < 0)
		return error_set(err, AYNI_ERR_IO, "loop: signalfd: %s", strerror(errno));
	l->signal_fn = fn;
	l->signal_context = context;
	return loop_watch(l, l->signal_fd, on_signal, l, err);
}

/* Run what is due. A timer that its own callback sets again for now waits for the next round. */
static void run_timers(struct loop *l)
{
	uint64_t now = loop_now_us();

	for (size_t i = 0; i < MAX_TIMERS && !l->stopping; i++) {
		struct timer t = l->timers[i];

		if (t.fn == NULL || t.at_us > now)
			continue;
		l->timers[i].fn = NULL;
		t.fn(t.context);
	}
}

static int wait_ms(const struct loop *l)
{
	uint64_t now = loop_now_us();
	uint64_t wait = (uint64_t)MAX_WAIT_MS * 1000;

	for (size_t i = 0; i < MAX_TIMERS; i++) {
		const struct timer *t = &l->timers[i];
		uint64_t left = t->at_us > now ? t->at_us - now : 0;

		if (t->fn != NULL && left < wait)
			wait = left;
	}
	return (int)((wait + 999) / 1000);
}

int loop_run(struct loop *l, struct error *err)
{
	struct epoll_event events[MAX_WATCHES];

	l->stopping = false;
	while (!l->stopping) {
		bool busy = false;
		int n;

		run_timers(l);
		for (size_t i = 0; i < l->n_prepares && !l->stopping; i++)
			busy |= l->prepares[i].fn(l->prepares[i].context);
		if (l->stopping)
			break;
		n = epoll_wait(l->epoll_fd, events, MAX_WATCHES, busy ? 0 : wait_ms(l));
		if (n < 0 && errno != EINTR)
			return error_set(err, AYNI_ERR_IO, "loop: epoll_wait: %s", strerror(errno));
		for (int i = 0; i < n && !l->stopping; i++) {
			struct watch *w = find_watch(l, events[i].data.fd);

			if (w != NULL)
				w->fn(w->context);
		}
	}
	return AYNI_OK;
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t loop_now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t loop_wall_ms(void)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}
