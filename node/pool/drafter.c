/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/drafter.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct drafter {
	struct draft_model *model; /* the thread's alone, while it runs */
	pthread_t thread;
	int fd;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;  /* there is something to do, or to stop for */
	bool stops;
	size_t n_jobs; /* that wait; their tokens are owned */
	struct draft_job jobs[DRAFTER_JOBS];
	uint64_t running; /* session of the job that the thread has; 0: none */
	size_t n_answers;
	struct drafted answers[DRAFTER_JOBS];
	size_t n_forgotten;
	uint64_t forgotten[DRAFTER_FORGOTTEN];
	bool all_forgotten;   /* there was no room for another */
	bool running_is_over; /* the session of the job that the thread has was forgotten */
};

/* ---- what both threads do ----------------------------------------------------------------- */

static void free_job(struct draft_job *job)
{
	uint32_t *tokens = (uint32_t *)job->tokens;

	explicit_bzero(tokens, job->n_tokens * sizeof *tokens);
	free(tokens);
	*job = (struct draft_job){0};
}

static struct draft_job take_job(struct drafter *d, size_t i)
{
	struct draft_job job = d->jobs[i];

	memmove(&d->jobs[i], &d->jobs[i + 1], (--d->n_jobs - i) * sizeof job);
	return job;
}

/* Not behind all: so many that read at once would take the room for their caches from each other,
 * and none would come to an end. */
static void put_back(struct drafter *d, const struct draft_job *job)
{
	size_t at = d->n_jobs < DRAFTER_TURNS ? d->n_jobs : DRAFTER_TURNS;

	memmove(&d->jobs[at + 1], &d->jobs[at], (d->n_jobs - at) * sizeof *job);
	d->jobs[at] = *job;
	d->n_jobs++;
}

static void take_answer(struct drafter *d, size_t i)
{
	memmove(&d->answers[i], &d->answers[i + 1], (--d->n_answers - i) * sizeof *d->answers);
	explicit_bzero(&d->answers[d->n_answers], sizeof *d->answers);
}

/* ---- the thread --------------------------------------------------------------------------- */

/* The lock is held, and given up meanwhile. */
static void forget(struct drafter *d)
{
	uint64_t sessions[DRAFTER_FORGOTTEN];
	size_t n = d->n_forgotten;
	bool all = d->all_forgotten;

	memcpy(sessions, d->forgotten, n * sizeof *sessions);
	d->n_forgotten = 0;
	d->all_forgotten = false;
	(void)pthread_mutex_unlock(&d->lock);
	if (all)
		draft_model_forget_all(d->model);
	for (size_t i = 0; i < n; i++)
		draft_model_forget(d->model, sessions[i]);
	(void)pthread_mutex_lock(&d->lock);
}

/* A chunk of its text, and if that was the last, its guesses. True: there is more to read. */
static bool step(struct drafter *d, const struct draft_job *job, struct drafted *out)
{
	uint32_t left;

	*out = (struct drafted){.session = job->session, .at = job->n_tokens};
	if (draft_model_feed(d->model, job, &left, NULL) != AYNI_OK)
		return false; /* it has no guesses */
	if (left > 0)
		return true;
	out->n = draft_model_guess(d->model, job, out->tokens);
	return false;
}

/* The lock is held, and given up meanwhile. */
static void do_job(struct drafter *d)
{
	struct draft_job job = take_job(d, 0);
	struct drafted out;
	bool more;

	d->running = job.session;
	d->running_is_over = false;
	(void)pthread_mutex_unlock(&d->lock);
	more = step(d, &job, &out);
	(void)pthread_mutex_lock(&d->lock);
	d->running = 0;
	if (more && !d->running_is_over) {
		put_back(d, &job);
		return;
	}
	if (!d->running_is_over) {
		static const uint64_t one = 1;

		d->answers[d->n_answers++] = out;
		if (write(d->fd, &one, sizeof one) < 0)
			assert(errno == EAGAIN); /* readable it is */
	}
	explicit_bzero(&out, sizeof out);
	free_job(&job);
}

static void *run(void *context)
{
	struct drafter *d = context;

	(void)pthread_mutex_lock(&d->lock);
	while (!d->stops) {
		if (d->n_forgotten > 0 || d->all_forgotten)
			forget(d);
		else if (d->n_jobs > 0)
			do_job(d);
		else
			(void)pthread_cond_wait(&d->work, &d->lock);
	}
	(void)pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* ---- the loop's side ---------------------------------------------------------------------- */

int drafter_new(struct draft_model *m, struct drafter **out, struct error *err)
{
	struct drafter *d = calloc(1, sizeof *d);

	if (d == NULL)
		goto err0;
	d->model = m;
	d->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->fd < 0)
		goto err1;
	(void)pthread_mutex_init(&d->lock, NULL);
	(void)pthread_cond_init(&d->work, NULL);
	if (pthread_create(&d->thread, NULL, run, d) != 0)
		goto err2;
	*out = d;
	return AYNI_OK;

err2:
	(void)pthread_cond_destroy(&d->work);
	(void)pthread_mutex_destroy(&d->lock);
	(void)close(d->fd);
err1:
	free(d);
err0:
	draft_model_free(m);
	return error_set(err, AYNI_ERR_MEMORY, "drafter: no thread to be had");
}

void drafter_free(struct drafter *d)
{
	if (d == NULL)
		return;
	(void)pthread_mutex_lock(&d->lock);
	d->stops = true;
	(void)pthread_cond_signal(&d->work);
	(void)pthread_mutex_unlock(&d->lock);
	(void)pthread_join(d->thread, NULL);
	for (size_t i = 0; i < d->n_jobs; i++)
		free_job(&d->jobs[i]);
	explicit_bzero(d->answers, sizeof d->answers);
	draft_model_free(d->model);
	(void)pthread_cond_destroy(&d->work);
	(void)pthread_mutex_destroy(&d->lock);
	(void)close(d->fd);
	free(d);
}

int drafter_fd(const struct drafter *d)
{
	return d->fd;
}

bool drafter_ask(struct drafter *d, const struct draft_job *job)
{
	uint32_t *tokens = calloc(job->n_tokens, sizeof *tokens);
	bool room;

	if (tokens == NULL)
		return false;
	memcpy(tokens, job->tokens, job->n_tokens * sizeof *tokens);
	(void)pthread_mutex_lock(&d->lock);
	room = d->n_jobs + d->n_answers + (d->running != 0) < DRAFTER_JOBS;
	if (room) {
		d->jobs[d->n_jobs] = *job;
		d->jobs[d->n_jobs++].tokens = tokens;
		(void)pthread_cond_signal(&d->work);
	}
	(void)pthread_mutex_unlock(&d->lock);
	if (!room) {
		explicit_bzero(tokens, job->n_tokens * sizeof *tokens);
		free(tokens);
	}
	return room;
}

bool drafter_take(struct drafter *d, struct drafted *out)
{
	uint64_t count;
	bool any;

	(void)pthread_mutex_lock(&d->lock);
	any = d->n_answers > 0;
	if (any) {
		*out = d->answers[0];
		take_answer(d, 0);
	} else if (read(d->fd, &count, sizeof count) < 0) {
		assert(errno == EAGAIN);
	}
	(void)pthread_mutex_unlock(&d->lock);
	return any;
}

void drafter_forget(struct drafter *d, uint64_t session)
{
	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = d->n_jobs; i-- > 0;) {
		if (d->jobs[i].session == session) {
			struct draft_job job = take_job(d, i);

			free_job(&job);
		}
	}
	for (size_t i = d->n_answers; i-- > 0;) {
		if (d->answers[i].session == session)
			take_answer(d, i);
	}
	d->running_is_over = d->running_is_over || d->running == session;
	if (d->n_forgotten < DRAFTER_FORGOTTEN)
		d->forgotten[d->n_forgotten++] = session;
	else
		d->all_forgotten = true;
	(void)pthread_cond_signal(&d->work);
	(void)pthread_mutex_unlock(&d->lock);
}
