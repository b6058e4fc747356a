/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: the caller writes the job, deals the parts, opens the doors and raises `published`.
 * Helpers that see it go in, take pieces until none is left, and go out. When the caller finds no
 * piece left it shuts the doors and waits until the last helper is out; who comes later finds them
 * shut.
 *
 *     doors    open_doors | number of helpers inside; the job changes only while it is 0
 *     part     of each member: the grains not yet taken, both ends in one word
 *
 * Going in acquires what opening released, and the caller's last look what going out released.
 */
#include "compute/team.h"

#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>

#include "compute/event.h"

enum {
	CACHE_LINE = 64,
	PIECES = 8 /* a piece is this part of what is left */
};

static const unsigned open_doors = 1U << 31;

struct job {
	size_t n_items, grain;
	team_fn *fn;
	void *context;
};

struct member {
	alignas(CACHE_LINE) _Atomic uint64_t part; /* grains: the first, and the end times 2^32 */
	struct team *team;
	pthread_t thread; /* of a helper; the caller is member 0 */
	unsigned index;
	struct patience patience;
};

struct team {
	alignas(CACHE_LINE) struct event published; /* raised by each run */
	alignas(CACHE_LINE) struct event doors;
	struct job job; /* written by the caller while nobody is inside */
	atomic_bool stop;
	atomic_bool in_use;
	unsigned n_threads;
	unsigned n_helpers; /* threads started */
	struct member members[];
};

/* ---- sharing the work ----------------------------------------------------------------------- */

static size_t grains_of(const struct job *job)
{
	return job->n_items / job->grain + (job->n_items % job->grain != 0);
}

static uint64_t part_of(size_t first, size_t end)
{
	return (uint64_t)end << 32 | first;
}

/* Grains are dealt as evenly as they go; earlier members take the remainder. */
static void deal(struct team *t)
{
	size_t n_grains = grains_of(&t->job), first = 0;

	assert(n_grains <= UINT32_MAX);
	for (unsigned i = 0; i < t->n_threads; i++) {
		size_t n = n_grains / t->n_threads + (i < n_grains % t->n_threads);

		atomic_store_explicit(
		    &t->members[i].part, part_of(first, first + n), memory_order_relaxed);
		first += n;
	}
}

/* Take a piece from the front of a member's part: grains [*first, *end). */
static bool take(struct member *m, size_t *first, size_t *end)
{
	uint64_t part = atomic_load_explicit(&m->part, memory_order_relaxed);

	do {
		size_t part_end = part >> 32;

		*first = part & UINT32_MAX;
		if (*first >= part_end)
			return false;
		*end = *first + (part_end - *first + PIECES - 1) / PIECES;
	} while (!atomic_compare_exchange_weak_explicit(&m->part, &part, part_of(*end, part >> 32),
	    memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* All pieces there are, those of the member's own part first. */
static void work(struct team *t, unsigned index)
{
	const struct job *job = &t->job;
	size_t first, end, n_grains = grains_of(job);

	for (unsigned i = 0; i < t->n_threads; i++)
		while (take(&t->members[(index + i) % t->n_threads], &first, &end))
			job->fn(job->context, first * job->grain,
			    end == n_grains ? job->n_items : end * job->grain, index);
}

/* ---- helpers -------------------------------------------------------------------------------- */

static bool go_in(struct event *doors)
{
	unsigned seen = atomic_load_explicit(&doors->value, memory_order_relaxed);

	do {
		if ((seen & open_doors) == 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &doors->value, &seen, seen + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}

static void go_out(struct event *doors)
{
	if (event_add(doors, (unsigned)-1) == 0) /* shut, and the last */
		event_wake(doors);
}

static void *helper_main(void *argument)
{
	struct member *m = argument;
	struct team *t = m->team;
	unsigned seen = 0;

	for (;;) {
		seen = event_await(&t->published, seen, &m->patience);
		if (atomic_load_explicit(&t->stop, memory_order_acquire))
			return NULL;
		if (go_in(&t->doors)) {
			work(t, m->index);
			go_out(&t->doors);
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
		struct member *m = &t->members[t->n_helpers + 1];

		rc = pthread_create(&m->thread, NULL, helper_main, m);
		if (rc == 0)
			t->n_helpers++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

/* ---- the team ------------------------------------------------------------------------------- */

int team_new(unsigned n_threads, struct team **out, struct error *err)
{
	struct team *t;
	size_t bytes;
	int rc;

	*out = NULL;
	if (n_threads < 1 || n_threads > TEAM_MAX_THREADS)
		return error_set(err, AYNI_ERR_ARGUMENT, "team: %u threads asked, 1 to %d can be",
		    n_threads, TEAM_MAX_THREADS);
	bytes = sizeof *t + n_threads * sizeof t->members[0];
	t = aligned_alloc(CACHE_LINE, bytes);
	if (t == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "team: out of memory");
	memset(t, 0, bytes);
	t->n_threads = n_threads;
	event_init(&t->published);
	event_init(&t->doors);
	for (unsigned i = 0; i < n_threads; i++) {
		t->members[i].team = t;
		t->members[i].index = i;
		patience_init(&t->members[i].patience);
	}
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

static void publish(struct team *t)
{
	(void)event_add(&t->published, 1);
	event_wake(&t->published);
}

void team_free(struct team *t)
{
	if (t == NULL)
		return;
	atomic_store_explicit(&t->stop, true, memory_order_release);
	publish(t);
	for (unsigned i = 1; i <= t->n_helpers; i++)
		pthread_join(t->members[i].thread, NULL);
	event_destroy(&t->doors);
	event_destroy(&t->published);
	free(t);
}

unsigned team_size(const struct team *t)
{
	return t->n_threads;
}

int team_pin(struct team *t, struct error *err)
{
#ifdef __linux__
	cpu_set_t all, one;
	size_t cpu = 0;

	if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < (int)t->n_threads)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "team: %u threads have no processor each to be bound to", t->n_threads);
	for (unsigned i = 0; i < t->n_threads; i++) {
		while (!CPU_ISSET(cpu, &all))
			cpu++;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CPU_CLR(cpu, &all);
		if (pthread_setaffinity_np(
		        i == 0 ? pthread_self() : t->members[i].thread, sizeof one, &one) != 0)
			return error_set(err, AYNI_ERR_UNSUPPORTED,
			    "team: the system does not bind a thread to processor %zu", cpu);
	}
	return AYNI_OK;
#else
	return error_set(err, AYNI_ERR_UNSUPPORTED,
	    "team: %u threads cannot be bound to processors on this system", t->n_threads);
#endif
}

/* ---- a run ---------------------------------------------------------------------------------- */

static void run(struct team *t)
{
	unsigned inside;

	deal(t);
	atomic_store_explicit(&t->doors.value, open_doors, memory_order_release);
	publish(t);
	work(t, 0);
	inside = atomic_fetch_and(&t->doors.value, ~open_doors) & ~open_doors;
	while (inside != 0)
		inside = event_await(&t->doors, inside, &t->members[0].patience);
}

void team_run(struct team *t, size_t n_items, size_t grain, team_fn *fn, void *context)
{
	bool was_in_use = atomic_exchange(&t->in_use, true);

	assert(!was_in_use);
	assert(grain > 0);
	if (t->n_helpers == 0 || n_items <= grain) { /* not worth waking anyone */
		if (n_items > 0)
			fn(context, 0, n_items, 0);
	} else {
		t->job = (struct job){n_items, grain, fn, context};
		run(t);
	}
	atomic_store_explicit(&t->in_use, false, memory_order_release);
}
