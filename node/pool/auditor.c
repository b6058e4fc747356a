/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/auditor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "protocol/identity.h"
#include "storage/files.h"

enum { LOWEST_PRIORITY = 19 };

struct job {
	struct recheck_model model;
	struct audited result;
	bool done;
};

struct auditor {
	pthread_t thread;
	unsigned threads;
	int folder_fd; /* of evidence, or -1 */
	int fd;
	atomic_bool stops;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;  /* there is something to do, or to stop for */
	size_t n_jobs;        /* in order; those that are done come first */
	struct job jobs[AUDITOR_JOBS];
};

/* ---- the thread --------------------------------------------------------------------------- */

/* The lock is held. NULL: nothing to do. */
static struct job *next_job(struct auditor *a)
{
	for (size_t i = 0; i < a->n_jobs; i++) {
		if (!a->jobs[i].done)
			return &a->jobs[i];
	}
	return NULL;
}

/* Of its trail: jobs before it may have been taken meanwhile. The lock is held. */
static void finish(struct auditor *a, const struct audited *result)
{
	static const uint64_t one = 1;
	struct job *job = next_job(a);

	assert(job->result.trail == result->trail);
	job->result = *result;
	job->done = true;
	if (write(a->fd, &one, sizeof one) < 0)
		assert(errno == EAGAIN); /* readable it is */
}

/* It holds numbers of somebody's prompt. */
static int write_evidence(int folder_fd, struct audited *a, struct error *err)
{
	struct recheck_finding *f = &a->finding;
	char hex[HEX32_CHARS], name[HEX32_CHARS + 16];
	int rc;

	hash_bytes(f->evidence, f->evidence_len, &a->evidence);
	hex32(a->evidence.bytes, hex);
	(void)snprintf(name, sizeof name, "%s.evidence", hex);
	rc = files_write(
	    folder_fd, name, (struct span){f->evidence, f->evidence_len}, FILES_NOW, err);
	if (rc == AYNI_OK && fchmodat(folder_fd, name, 0600, 0) != 0)
		rc = error_set(err, AYNI_ERR_IO, "evidence: %s", strerror(errno));
	return rc;
}

static void keep_evidence(const struct auditor *a, struct audited *result)
{
	struct recheck_finding *f = &result->finding;

	if (f->evidence != NULL && a->folder_fd >= 0)
		result->has_evidence =
		    write_evidence(a->folder_fd, result, &f->no_evidence) == AYNI_OK;
	if (f->evidence != NULL)
		explicit_bzero(f->evidence, f->evidence_len);
	free(f->evidence);
	f->evidence = NULL;
}

/* The lock is held, and given up meanwhile. */
static void do_job(struct auditor *a, struct recheck *recheck, const struct job *next)
{
	struct audited result = next->result;
	struct recheck_model model = next->model;

	(void)pthread_mutex_unlock(&a->lock);
	if (recheck != NULL)
		result.rc = recheck_run(
		    recheck, &model, result.trail, &a->stops, &result.finding, &result.err);
	else
		result.rc = error_set(&result.err, AYNI_ERR_MEMORY, "recheck: out of memory");
	keep_evidence(a, &result);
	(void)pthread_mutex_lock(&a->lock);
	finish(a, &result);
}

/* The team's threads are made here, so that they have this one's priority. */
static void *run(void *context)
{
	struct auditor *a = context;
	struct recheck *recheck = NULL;
	struct team *team = NULL;

	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), LOWEST_PRIORITY);
	if (team_new(a->threads, &team, NULL) == AYNI_OK)
		(void)recheck_new(kernels_best(), team, &recheck, NULL);
	(void)pthread_mutex_lock(&a->lock);
	while (!atomic_load(&a->stops)) {
		const struct job *next = next_job(a);

		if (next != NULL)
			do_job(a, recheck, next);
		else
			(void)pthread_cond_wait(&a->work, &a->lock);
	}
	(void)pthread_mutex_unlock(&a->lock);
	recheck_free(recheck);
	team_free(team);
	return NULL;
}

/* ---- the loop's thread -------------------------------------------------------------------- */

/* Signals are for the loop alone. */
static int start(struct auditor *a)
{
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = pthread_create(&a->thread, NULL, run, a);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

/* Only its owner reads what is there, from the moment that it is. */
static int open_folder(struct auditor *a, const char *path, struct error *err)
{
	int rc = files_open_folder(path, &a->folder_fd, err);

	if (rc == AYNI_OK && fchmod(a->folder_fd, 0700) != 0)
		rc = error_set(err, AYNI_ERR_IO, "%.180s: %s", path, strerror(errno));
	return rc;
}

int auditor_new(unsigned threads, const char *folder, struct auditor **out, struct error *err)
{
	struct auditor *a = calloc(1, sizeof *a);
	int rc;

	if (a == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "auditor: out of memory");
	a->threads = threads;
	a->folder_fd = -1;
	rc = folder != NULL ? open_folder(a, folder, err) : AYNI_OK;
	if (rc != AYNI_OK) {
		if (a->folder_fd >= 0)
			(void)close(a->folder_fd);
		free(a);
		return rc;
	}
	a->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->fd < 0)
		goto err0;
	if (pthread_mutex_init(&a->lock, NULL) != 0)
		goto err1;
	if (pthread_cond_init(&a->work, NULL) != 0)
		goto err2;
	if (start(a) != 0)
		goto err3;
	*out = a;
	return AYNI_OK;

err3:
	(void)pthread_cond_destroy(&a->work);
err2:
	(void)pthread_mutex_destroy(&a->lock);
err1:
	(void)close(a->fd);
err0:
	if (a->folder_fd >= 0)
		(void)close(a->folder_fd);
	free(a);
	return error_set(err, AYNI_ERR_MEMORY, "auditor: no thread to be had");
}

void auditor_free(struct auditor *a)
{
	if (a == NULL)
		return;
	(void)pthread_mutex_lock(&a->lock);
	atomic_store(&a->stops, true);
	(void)pthread_cond_signal(&a->work);
	(void)pthread_mutex_unlock(&a->lock);
	(void)pthread_join(a->thread, NULL);
	for (size_t i = 0; i < a->n_jobs; i++)
		trail_release(a->jobs[i].result.trail);
	(void)pthread_cond_destroy(&a->work);
	(void)pthread_mutex_destroy(&a->lock);
	(void)close(a->fd);
	if (a->folder_fd >= 0)
		(void)close(a->folder_fd);
	free(a);
}

int auditor_fd(const struct auditor *a)
{
	return a->fd;
}

bool auditor_ask(struct auditor *a, const struct recheck_model *m, struct trail *t)
{
	bool room;

	(void)pthread_mutex_lock(&a->lock);
	room = a->n_jobs < AUDITOR_JOBS;
	if (room) {
		a->jobs[a->n_jobs++] = (struct job){.model = *m, .result.trail = t};
		(void)pthread_cond_signal(&a->work);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return room;
}

bool auditor_take(struct auditor *a, struct audited *out)
{
	uint64_t count;
	bool any;

	(void)pthread_mutex_lock(&a->lock);
	any = a->n_jobs > 0 && a->jobs[0].done;
	if (any) {
		*out = a->jobs[0].result;
		memmove(&a->jobs[0], &a->jobs[1], --a->n_jobs * sizeof a->jobs[0]);
	} else if (read(a->fd, &count, sizeof count) < 0) {
		assert(errno == EAGAIN);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return any;
}

size_t auditor_open(const struct auditor *a, const struct trail *out[AUDITOR_JOBS])
{
	struct auditor *locked = (struct auditor *)a;
	size_t n;

	(void)pthread_mutex_lock(&locked->lock);
	n = a->n_jobs;
	for (size_t i = 0; i < n; i++)
		out[i] = a->jobs[i].result.trail;
	(void)pthread_mutex_unlock(&locked->lock);
	return n;
}
