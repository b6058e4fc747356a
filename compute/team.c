/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run is published by raising `generation`; each helper thread works its part and lowers
 * `running`, and the run ends when that is 0. Both are atomic, so that a waiting side can spin on
 * them for a moment; whoever waits longer sleeps on a condition, and both are changed so that a
 * sleeper cannot miss it (`generation` under the lock, `running` before taking it).
 */
#include "compute/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* About ten microseconds: a layer's operations follow each other in less, and a donor's machine
 * belongs to its owner. */
enum { SPIN_ROUNDS = 200 };

struct job {
	size_t n_items;
	size_t grain;
	team_fn *fn;
	void *context;
};

struct helper {
	struct team *team;
	pthread_t thread;
	unsigned index; /* in the team; the caller is 0 */
};

struct team {
	unsigned n_threads;
	unsigned n_helpers; /* threads started */

	pthread_mutex_t lock; /* guards sleeping on the two conditions */
	pthread_cond_t published;
	pthread_cond_t finished;

	struct job job; /* written by the caller before `generation` rises, then only read */
	atomic_uint generation;
	atomic_uint running;
	atomic_bool stop;

	struct helper helpers[];
};

static void pause_a_little(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Grains are dealt as evenly as they go; earlier threads take the remainder. */
static size_t part_start(const struct job *job, unsigned n_threads, unsigned thread)
{
	size_t n_grains = job->n_items / job->grain + (job->n_items % job->grain != 0);
	size_t share = n_grains / n_threads;
	size_t extra = n_grains % n_threads;
	size_t first_grain = share * thread + (thread < extra ? thread : extra);
	size_t first;

	if (__builtin_mul_overflow(first_grain, job->grain, &first) || first > job->n_items)
		return job->n_items;
	return first;
}

static void work_part(const struct team *t, unsigned thread)
{
	size_t first = part_start(&t->job, t->n_threads, thread);
	size_t end = part_start(&t->job, t->n_threads, thread + 1);

	if (first < end)
		t->job.fn(t->job.context, first, end, thread);
}

/* Wait until the generation is no longer `seen`; returns the new one. */
static unsigned await_generation(struct team *t, unsigned seen)
{
	unsigned now;

	for (int i = 0; i < SPIN_ROUNDS; i++) {
		now = atomic_load_explicit(&t->generation, memory_order_acquire);
		if (now != seen)
			return now;
		pause_a_little();
	}
	pthread_mutex_lock(&t->lock);
	while ((now = atomic_load_explicit(&t->generation, memory_order_acquire)) == seen)
		pthread_cond_wait(&t->published, &t->lock);
	pthread_mutex_unlock(&t->lock);
	return now;
}

static void await_finish(struct team *t)
{
	for (int i = 0; i < SPIN_ROUNDS; i++) {
		if (atomic_load_explicit(&t->running, memory_order_acquire) == 0)
			return;
		pause_a_little();
	}
	pthread_mutex_lock(&t->lock);
	while (atomic_load_explicit(&t->running, memory_order_acquire) != 0)
		pthread_cond_wait(&t->finished, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

static void publish(struct team *t)
{
	pthread_mutex_lock(&t->lock);
	atomic_fetch_add_explicit(&t->generation, 1, memory_order_release);
	pthread_cond_broadcast(&t->published);
	pthread_mutex_unlock(&t->lock);
}

static void *helper_main(void *argument)
{
	struct helper *h = argument;
	struct team *t = h->team;
	unsigned seen = 0;

	for (;;) {
		seen = await_generation(t, seen);
		if (atomic_load_explicit(&t->stop, memory_order_acquire))
			return NULL;
		work_part(t, h->index);
		if (atomic_fetch_sub_explicit(&t->running, 1, memory_order_acq_rel) == 1) {
			pthread_mutex_lock(&t->lock);
			pthread_cond_signal(&t->finished);
			pthread_mutex_unlock(&t->lock);
		}
	}
}

/* Signals are the loop thread's business: helpers start with all of them blocked. */
static int start_helpers(struct team *t)
{
	sigset_t all, before;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (t->n_helpers + 1 < t->n_threads && rc == 0) {
		struct helper *h = &t->helpers[t->n_helpers];

		h->team = t;
		h->index = t->n_helpers + 1;
		rc = pthread_create(&h->thread, NULL, helper_main, h);
		if (rc == 0)
			t->n_helpers++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int team_new(unsigned n_threads, struct team **out, struct error *err)
{
	struct team *t;
	int rc;

	*out = NULL;
	if (n_threads < 1 || n_threads > TEAM_MAX_THREADS)
		return error_set(err, AYNI_ERR_ARGUMENT, "team: %u threads asked, 1 to %d can be",
		    n_threads, TEAM_MAX_THREADS);
	t = calloc(1, sizeof *t + (n_threads - 1) * sizeof t->helpers[0]);
	if (t == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "team: out of memory");
	t->n_threads = n_threads;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->published, NULL);
	pthread_cond_init(&t->finished, NULL);
	rc = start_helpers(t);
	if (rc != 0) {
		rc = error_set(err, AYNI_ERR_MEMORY,
		    "team: the system started %u of %u threads: %s; ask for fewer",
		    t->n_helpers + 1, n_threads, strerror(rc));
		team_free(t);
		return rc;
	}
	*out = t;
	return AYNI_OK;
}

void team_free(struct team *t)
{
	if (t == NULL)
		return;
	atomic_store_explicit(&t->stop, true, memory_order_release);
	publish(t);
	for (unsigned i = 0; i < t->n_helpers; i++)
		pthread_join(t->helpers[i].thread, NULL);
	pthread_cond_destroy(&t->finished);
	pthread_cond_destroy(&t->published);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

unsigned team_size(const struct team *t)
{
	return t->n_threads;
}

void team_run(struct team *t, size_t n_items, size_t grain, team_fn *fn, void *context)
{
	assert(grain > 0);
	if (n_items == 0)
		return;
	if (t->n_helpers == 0 || n_items <= grain) { /* not worth waking anyone */
		fn(context, 0, n_items, 0);
		return;
	}
	t->job = (struct job){n_items, grain, fn, context};
	atomic_store_explicit(&t->running, t->n_helpers, memory_order_relaxed);
	publish(t);
	work_part(t, 0);
	await_finish(t);
}
