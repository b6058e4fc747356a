/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/statistics.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/child.h"
#include "node/config.h"
#include "node/report.h"

enum { PATH_BYTES = CONFIG_PATH_BYTES + 32, END_MS = 3000 };

struct statistics {
	struct loop *loop;
	char db[PATH_BYTES], out[PATH_BYTES];
	uint64_t every_us;
	pid_t pid; /* 0: not running */
	int pid_fd;
};

static void forget_child(struct statistics *s)
{
	loop_unwatch(s->loop, s->pid_fd);
	(void)close(s->pid_fd);
	s->pid = 0;
}

static void on_end(void *context)
{
	struct statistics *s = context;
	int status = 0;

	if (waitpid(s->pid, &status, WNOHANG) != s->pid)
		return;
	forget_child(s);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		report(REPORT_WARNING, "the statistics could not be written (%s %d)",
		    WIFEXITED(status) ? "status" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int start(struct statistics *s, struct error *err)
{
	char *argv[] = {"ayni", "ledger", "export", "--db", s->db, s->out, NULL};
	const struct child_options child = {.argv = argv, .keep_fd = -1, .death_signal = SIGTERM};
	int rc = child_start(&child, &s->pid, err);

	if (rc != AYNI_OK)
		return rc;
	s->pid_fd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	if (s->pid_fd < 0)
		rc = error_set(err, AYNI_ERR_IO, "pidfd_open: %s", strerror(errno));
	else
		rc = loop_watch(s->loop, s->pid_fd, on_end, s, err);
	return rc;
}

static void on_time(void *context)
{
	struct statistics *s = context;
	struct error err = {0};

	if (s->pid == 0 && start(s, &err) != AYNI_OK)
		report(REPORT_WARNING, "the statistics are not written: %s", err.text);
	(void)loop_timer(s->loop, loop_now_us() + s->every_us, on_time, s, NULL);
}

int statistics_start(
    struct loop *l, const char *folder, uint64_t hours, struct statistics **out, struct error *err)
{
	struct statistics *s = calloc(1, sizeof *s);
	int rc;

	if (s == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	s->loop = l;
	s->every_us = hours * UINT64_C(3600000000);
	s->pid_fd = -1;
	(void)snprintf(s->db, sizeof s->db, "%s/pool.db", folder);
	(void)snprintf(s->out, sizeof s->out, "%s/log/stats", folder);
	rc = loop_timer(l, loop_now_us(), on_time, s, err);
	if (rc != AYNI_OK) {
		free(s);
		return rc;
	}
	*out = s;
	return AYNI_OK;
}

/* A child that is killed leaves each file as it was before. */
void statistics_free(struct statistics *s)
{
	struct pollfd end = {.events = POLLIN};

	if (s == NULL)
		return;
	(void)loop_timer(s->loop, 0, on_time, s, NULL);
	if (s->pid > 0) {
		end.fd = s->pid_fd;
		if (s->pid_fd < 0 || poll(&end, 1, END_MS) != 1)
			(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, NULL, 0);
		if (s->pid_fd >= 0)
			forget_child(s);
	}
	free(s);
}
