/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/front.h"

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
#include "protocol/invite.h"
#include "protocol/message_types.h"

enum {
	PATH_BYTES = CONFIG_PATH_BYTES + 32,
	AGAIN_FIRST_US = 200000,
	AGAIN_MOST_US = 30000000,
	LIVED_US = 60000000, /* one that ran so long may be started again at once */
	INVITE_MS = 60000,   /* for which an unused invite is good */
	END_MS = 3000        /* to end by itself */
};

struct front {
	struct loop *loop;
	char listen[CONFIG_TEXT_BYTES];
	char invite[INVITE_TEXT_BYTES]; /* without a token: the key is known */
	char key[PATH_BYTES], address[PATH_BYTES], log[PATH_BYTES];
	bool verbose;
	pid_t pid; /* 0: not running */
	int pid_fd;
	uint64_t started_us, again_us;
};

static void on_again(void *context);

/* It ended, or did not start: after a while again. */
static void start_later(struct front *f)
{
	uint64_t now = loop_now_us();

	if (f->again_us == 0 || now > f->started_us + LIVED_US)
		f->again_us = AGAIN_FIRST_US;
	(void)loop_timer(f->loop, now + f->again_us, on_again, f, NULL);
	f->again_us = 2 * f->again_us < AGAIN_MOST_US ? 2 * f->again_us : AGAIN_MOST_US;
}

static void on_end(void *context)
{
	struct front *f = context;
	int status = 0;

	if (waitpid(f->pid, &status, WNOHANG) != f->pid)
		return;
	loop_unwatch(f->loop, f->pid_fd);
	(void)close(f->pid_fd);
	f->pid = 0;
	report(REPORT_WARNING, "the HTTP server ended (%s %d)",
	    WIFEXITED(status) ? "status" : "signal",
	    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	start_later(f);
}

static int start(struct front *f, struct error *err)
{
	char *argv[] = {"ayni", "serve", "--pool", f->invite, "--listen", f->listen, "--key",
	    f->key, "--address-file", f->address, "--log-folder", f->log,
	    f->verbose ? "--verbose" : NULL, NULL};
	const struct child_options child = {.argv = argv, .keep_fd = -1, .death_signal = SIGTERM};
	int rc = child_start(&child, &f->pid, err);

	if (rc != AYNI_OK)
		return rc;
	f->started_us = loop_now_us();
	f->pid_fd = (int)syscall(SYS_pidfd_open, f->pid, 0);
	if (f->pid_fd < 0)
		return error_set(err, AYNI_ERR_IO, "pidfd_open: %s", strerror(errno));
	return loop_watch(f->loop, f->pid_fd, on_end, f, err);
}

static void on_again(void *context)
{
	struct front *f = context;
	struct error err = {0};

	if (start(f, &err) == AYNI_OK)
		return;
	report(REPORT_ERROR, "the HTTP server does not start: %s", err.text);
	if (f->pid == 0)
		start_later(f);
}

/* Its key becomes a member's, by an invite that is used up at once. */
static int admit(struct registry *r, const char *key_path, struct error *err)
{
	struct registry_invite invite = {.uses_left = 1, .note = "HTTP"};
	struct identity *id = NULL;
	uint64_t now = loop_wall_ms();
	int rc = identity_open(key_path, &id, NULL, err);

	if (rc != AYNI_OK)
		return rc;
	rc = registry_admit(r, identity_public(id), ROLE_MEMBER, "http", NULL, now, NULL);
	if (rc == AYNI_ERR_NOT_FOUND) {
		random_bytes(invite.token_hash.bytes, sizeof invite.token_hash.bytes);
		invite.expires_ms = now + INVITE_MS;
		rc = registry_invite_add(r, &invite, now, err);
		if (rc == AYNI_OK)
			rc = registry_admit(r, identity_public(id), ROLE_MEMBER, "http",
			    &invite.token_hash, now, err);
	} else if (rc != AYNI_OK) {
		rc = error_set(err, rc, "the HTTP server's key is not admitted");
	}
	identity_free(id);
	return rc;
}

/* From this machine, a pool on all interfaces is at the loopback one. */
static int write_invite(struct front *f, const struct front_options *o, struct error *err)
{
	struct invite in = {.pool = *o->pool};
	int rc = invite_set_endpoint(&in, o->endpoint, err);

	if (rc != AYNI_OK)
		return rc;
	if (strcmp(in.host, "0.0.0.0") == 0 || strcmp(in.host, "*") == 0)
		(void)snprintf(in.host, sizeof in.host, "127.0.0.1");
	else if (strcmp(in.host, "::") == 0)
		(void)snprintf(in.host, sizeof in.host, "::1");
	return invite_format(&in, f->invite, sizeof f->invite, err);
}

int front_start(struct loop *l, struct registry *r, const struct front_options *o,
    struct front **out, struct error *err)
{
	struct front *f = calloc(1, sizeof *f);
	int rc;

	if (f == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	f->loop = l;
	f->verbose = o->verbose;
	(void)snprintf(f->listen, sizeof f->listen, "%s", o->listen);
	(void)snprintf(f->key, sizeof f->key, "%s/gateway/key", o->folder);
	(void)snprintf(f->address, sizeof f->address, "%s/http", o->folder);
	(void)snprintf(f->log, sizeof f->log, "%s/log", o->folder);
	(void)unlink(f->address); /* of an earlier pool */
	if ((rc = write_invite(f, o, err)) == AYNI_OK && (rc = admit(r, f->key, err)) == AYNI_OK)
		rc = start(f, err);
	if (rc == AYNI_OK)
		*out = f;
	else
		front_free(f);
	return rc;
}

void front_free(struct front *f)
{
	struct pollfd end = {.events = POLLIN};

	if (f == NULL)
		return;
	(void)loop_timer(f->loop, 0, on_again, f, NULL);
	if (f->pid > 0) {
		end.fd = f->pid_fd;
		(void)kill(f->pid, SIGTERM);
		if (f->pid_fd < 0 || poll(&end, 1, END_MS) != 1)
			(void)kill(f->pid, SIGKILL);
		(void)waitpid(f->pid, NULL, 0);
		if (f->pid_fd >= 0) {
			loop_unwatch(f->loop, f->pid_fd);
			(void)close(f->pid_fd);
		}
	}
	free(f);
}
