/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/event.h"

#include <time.h>

enum {
	PAUSES = 8, /* between two looks at the clock */
	SPIN_MIN_NS = 500,
	SPIN_MAX_NS = 20000 /* what falling asleep and being woken take, or a little less */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void pause_a_little(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

void event_init(struct event *e)
{
	*e = (struct event){.value = 0};
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->changed, NULL);
}

void patience_init(struct patience *p)
{
	p->spin_ns = SPIN_MAX_NS;
}

void event_destroy(struct event *e)
{
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
}

/*
 * Either this sees a sleeper, or the sleeper, which counts itself first, sees the change. Taking
 * the lock waits for whoever is between looking and falling asleep. It is let go before the call:
 * woken under the lock, a sleeper would run into it and sleep once more.
 */
void event_wake(struct event *e)
{
	if (atomic_load(&e->n_sleepers) == 0)
		return;
	pthread_mutex_lock(&e->lock);
	pthread_mutex_unlock(&e->lock);
	pthread_cond_broadcast(&e->changed);
}

unsigned event_add(struct event *e, unsigned amount)
{
	atomic_store_explicit(&e->changed_ns, now_ns(), memory_order_relaxed);
	return atomic_fetch_add(&e->value, amount) + amount;
}

static unsigned spin(struct event *e, unsigned old, uint64_t end_ns)
{
	do {
		for (int i = 0; i < PAUSES; i++) {
			unsigned now = atomic_load_explicit(&e->value, memory_order_acquire);

			if (now != old)
				return now;
			pause_a_little();
		}
	} while (now_ns() < end_ns);
	return old;
}

static unsigned sleep_through(struct event *e, unsigned old)
{
	unsigned now;

	pthread_mutex_lock(&e->lock);
	atomic_fetch_add(&e->n_sleepers, 1);
	while ((now = atomic_load(&e->value)) == old)
		pthread_cond_wait(&e->changed, &e->lock);
	atomic_fetch_sub(&e->n_sleepers, 1);
	pthread_mutex_unlock(&e->lock);
	return now;
}

unsigned event_await(struct event *e, unsigned old, struct patience *p)
{
	uint64_t start = now_ns();
	unsigned now = spin(e, old, start + p->spin_ns);
	bool soon;

	if (now == old)
		now = sleep_through(e, old);
	/* Not when it was noticed: a sleeper is late. */
	soon = atomic_load_explicit(&e->changed_ns, memory_order_relaxed) <= start + SPIN_MAX_NS;
	p->spin_ns = soon ? p->spin_ns * 2 : p->spin_ns / 4;
	if (p->spin_ns < SPIN_MIN_NS)
		p->spin_ns = SPIN_MIN_NS;
	if (p->spin_ns > SPIN_MAX_NS)
		p->spin_ns = SPIN_MAX_NS;
	return now;
}
