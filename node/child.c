/* SPDX-License-Identifier: Apache-2.0 */
#include "node/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void close_all_but(int fd)
{
	if (fd < 3) {
		(void)close_range(3, UINT_MAX, 0);
		return;
	}
	if (fd > 3)
		(void)close_range(3, (unsigned)fd - 1, 0);
	(void)close_range((unsigned)fd + 1, UINT_MAX, 0);
}

/* In the child of fork: only what may be called there. */
static void become(const struct child_options *o, pid_t parent)
{
	sigset_t none;

	if (o->death_signal != 0 &&
	    (prctl(PR_SET_PDEATHSIG, o->death_signal) != 0 || getppid() != parent))
		_exit(127); /* allowed: in the child, where there is nobody to return to */
	close_all_but(o->keep_fd);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (o->keep_fd < 3 || fcntl(o->keep_fd, F_SETFD, 0) == 0)
		(void)execv(o->program != NULL ? o->program : "/proc/self/exe", o->argv);
	_exit(127); /* allowed: likewise */
}

int child_start(const struct child_options *o, pid_t *out, struct error *err)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		become(o, parent);
	if (pid < 0)
		return error_set(err, AYNI_ERR_IO, "fork: %s", strerror(errno));
	*out = pid;
	return AYNI_OK;
}
