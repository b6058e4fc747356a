/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h> /* cmocka.h wants it first */

#include <cmocka.h>

enum { MAX_ARGS = 64, PATIENCE_MS = 120000 };

bool network_is_brief(void)
{
	return getenv("AYNI_BRIEF") != NULL;
}

const char *network_program(void)
{
	static char path[NETWORK_PATH];
	const char *build = getenv("AYNI_BUILD");

	(void)snprintf(path, sizeof path, "%s/ayni", build != NULL ? build : "build");
	if (access(path, X_OK) != 0)
		fail_msg("%s is not there: run this test by `make test`", path);
	return path;
}

const char *network_self(void)
{
	static char path[NETWORK_PATH];
	ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);

	if (len < 0)
		fail_msg("/proc/self/exe: %s", strerror(errno));
	path[len] = '\0';
	return path;
}

/* ---- processes ---------------------------------------------------------------------------- */

static int open_output(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return fd;
}

static pid_t start(const struct network *n, const char *const *args, int in, int out, int err)
{
	bool donates = n->donor_program != NULL && strcmp(args[0], "donate") == 0;
	const char *program = donates ? n->donor_program : network_program();
	char *argv[MAX_ARGS] = {(char *)"ayni"};
	pid_t pid;

	for (size_t i = 0; args[i] != NULL; i++) {
		assert_true(i + 2 < MAX_ARGS);
		argv[i + 1] = (char *)args[i];
	}
	pid = fork();
	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setenv("AYNI_HOME", n->folder, 1);
	(void)dup2(in, STDIN_FILENO);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(err, STDERR_FILENO);
	(void)execv(program, argv);
	_exit(127);
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Readable once the process has ended. */
static int watch_process(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		fail_msg("pidfd_open: %s", strerror(errno));
	return fd;
}

int network_wait_end(pid_t pid)
{
	struct pollfd end = {.fd = watch_process(pid), .events = POLLIN};
	int status;

	if (poll(&end, 1, PATIENCE_MS) != 1)
		fail_msg("waited in vain for process %d to end", (int)pid);
	(void)close(end.fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status_of(status);
}

static int null_input(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

pid_t network_spawn(const struct network *n, const char *name, const char *const *args)
{
	char out[NETWORK_PATH * 2], err[NETWORK_PATH * 2];
	int out_fd, err_fd;
	pid_t pid;

	(void)snprintf(out, sizeof out, "%s/%s.out", n->folder, name);
	(void)snprintf(err, sizeof err, "%s/%s.err", n->folder, name);
	out_fd = open_output(out);
	err_fd = open_output(err);
	pid = start(n, args, null_input(), out_fd, err_fd);
	(void)close(out_fd);
	(void)close(err_fd);
	assert_true(pid > 0);
	return pid;
}

static void read_some(struct pollfd *end, char *text, size_t *len)
{
	char thrown_away[4096];
	char *to = text != NULL && *len < NETWORK_OUTPUT - 1 ? text + *len : thrown_away;
	size_t room = to == thrown_away ? sizeof thrown_away : NETWORK_OUTPUT - 1 - *len;
	ssize_t got = read(end->fd, to, room);

	if (got <= 0)
		end->fd = -1;
	else if (to != thrown_away)
		*len += (size_t)got;
}

/* Both ends are read at once, so that the process never waits for a full pipe. */
static void collect(int out_fd, int err_fd, char *out, char *err)
{
	struct pollfd ends[2] = {
	    {.fd = out_fd, .events = POLLIN}, {.fd = err_fd, .events = POLLIN}};
	char *texts[2] = {out, err};
	size_t lens[2] = {0, 0};

	while ((ends[0].fd >= 0 || ends[1].fd >= 0) && poll(ends, 2, PATIENCE_MS) > 0) {
		for (int i = 0; i < 2; i++) {
			if (ends[i].fd >= 0 && ends[i].revents != 0)
				read_some(&ends[i], texts[i], &lens[i]);
		}
	}
	for (int i = 0; i < 2; i++) {
		if (texts[i] != NULL)
			texts[i][lens[i]] = '\0';
	}
}

/* A temporary file that holds the input, at its beginning. */
static int input_file(const char *input)
{
	FILE *f = tmpfile();
	int fd;

	assert_non_null(f);
	assert_true(fputs(input, f) >= 0 && fflush(f) == 0);
	fd = fcntl(fileno(f), F_DUPFD_CLOEXEC, 0);
	(void)fclose(f);
	(void)lseek(fd, 0, SEEK_SET);
	return fd;
}

int network_run(
    const struct network *n, const char *const *args, const char *input, char *out, char *err)
{
	int in = input != NULL ? input_file(input) : null_input();
	int out_ends[2], err_ends[2];
	int status;
	pid_t pid;

	assert_true(pipe2(out_ends, O_CLOEXEC) == 0 && pipe2(err_ends, O_CLOEXEC) == 0);
	pid = start(n, args, in, out_ends[1], err_ends[1]);
	assert_true(pid > 0);
	(void)close(out_ends[1]);
	(void)close(err_ends[1]);
	if (input != NULL)
		(void)close(in);
	collect(out_ends[0], err_ends[0], out, err);
	(void)close(out_ends[0]);
	(void)close(err_ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status_of(status);
}

char *network_read(const struct network *n, const char *name)
{
	char path[NETWORK_PATH * 2];
	char *text = calloc(1, NETWORK_OUTPUT);
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", n->folder, name);
	f = fopen(path, "re");
	if (f == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	assert_non_null(text);
	(void)fread(text, 1, NETWORK_OUTPUT - 1, f);
	(void)fclose(f);
	return text;
}

static unsigned count(const char *text, const char *substring)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, substring)) != NULL; at++)
		n++;
	return n;
}

/* ---- networks ----------------------------------------------------------------------------- */

static size_t add_settings(const char **args, size_t n, const char *const *settings)
{
	for (size_t i = 0; settings != NULL && settings[i] != NULL; i++) {
		args[n++] = "--set";
		args[n++] = settings[i];
	}
	args[n] = NULL;
	return n;
}

static void print_log(const struct network *n, const char *name)
{
	char *text = network_read(n, name);

	(void)fprintf(stderr, "---- %s\n%s", name, text); /* print_message would cut it */
	free(text);
}

/* Wait until the pool has written where it listens, or has ended. */
static void wait_for_endpoint(const struct network *n, int inotify_fd, const char *endpoint)
{
	struct pollfd ends[2] = {
	    {.fd = inotify_fd, .events = POLLIN}, {.fd = watch_process(n->pool), .events = POLLIN}};
	char events[4096];

	while (access(endpoint, R_OK) != 0) {
		if (poll(ends, 2, PATIENCE_MS) <= 0 || ends[1].revents != 0) {
			print_log(n, "pool.err");
			fail_msg("the pool did not start");
		}
		(void)read(inotify_fd, events, sizeof events);
	}
	(void)close(ends[1].fd);
}

static void start_pool(
    struct network *n, const char *model, const char *listen, const char *const *settings)
{
	char folder[NETWORK_PATH * 2], endpoint[NETWORK_PATH * 3];
	const char *args[MAX_ARGS] = {"pool", "--folder", folder, "--model", model, "--listen",
	    listen, "--set", "heartbeat_ms=200"};
	int inotify_fd = inotify_init1(IN_CLOEXEC);

	(void)snprintf(folder, sizeof folder, "%s/pool", n->folder);
	(void)snprintf(endpoint, sizeof endpoint, "%s/endpoint", folder);
	assert_true(mkdir(folder, 0700) == 0 || errno == EEXIST);
	(void)unlink(endpoint);
	assert_true(inotify_fd >= 0);
	assert_true(inotify_add_watch(inotify_fd, folder, IN_CLOSE_WRITE | IN_MOVED_TO) >= 0);
	(void)add_settings(args, 9, settings);
	n->pool = network_spawn(n, "pool", args);
	wait_for_endpoint(n, inotify_fd, endpoint);
	(void)close(inotify_fd);
}

void network_start_pool(struct network *n, const char *model, const char *const *settings)
{
	start_pool(n, model, "127.0.0.1:0", settings);
}

void network_endpoint(const struct network *n, char out[NETWORK_PATH])
{
	const char *at = n->invite + strlen("ayni://");

	(void)snprintf(out, NETWORK_PATH, "tcp://%.*s", (int)strcspn(at, "?/"), at);
}

void network_restart_pool(struct network *n, const char *model, const char *const *settings)
{
	char endpoint[NETWORK_PATH];

	network_endpoint(n, endpoint);
	start_pool(n, model, endpoint + strlen("tcp://"), settings);
}

static int watch_file(const char *path)
{
	int fd = inotify_init1(IN_CLOEXEC);

	assert_true(inotify_add_watch(fd, path, IN_MODIFY) >= 0);
	return fd;
}

static void wait_for_change(int watch_fd, const char *path)
{
	struct pollfd change = {.fd = watch_fd, .events = POLLIN};
	char events[4096];

	if (poll(&change, 1, PATIENCE_MS) != 1)
		fail_msg("waited in vain for more of %s", path);
	(void)read(watch_fd, events, sizeof events);
}

void network_wait_output(const struct network *n, const char *name, size_t bytes)
{
	char path[NETWORK_PATH * 2];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s.out", n->folder, name);
	fd = watch_file(path);
	while (stat(path, &st) == 0 && (size_t)st.st_size < bytes)
		wait_for_change(fd, path);
	(void)close(fd);
}

unsigned network_count_log(const struct network *n, const char *name, const char *substring)
{
	char file[64], *text;
	unsigned found;

	(void)snprintf(file, sizeof file, "%s.err", name);
	text = network_read(n, file);
	found = count(text, substring);
	free(text);
	return found;
}

void network_wait_log(
    const struct network *n, const char *name, const char *substring, unsigned times)
{
	char path[NETWORK_PATH * 2];
	int fd;

	(void)snprintf(path, sizeof path, "%s/%s.err", n->folder, name);
	fd = watch_file(path);
	while (network_count_log(n, name, substring) < times)
		wait_for_change(fd, path);
	(void)close(fd);
}

void network_start(struct network *n, const char *model, const char *const *settings)
{
	static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
	char folder[NETWORK_PATH * 2];
	const char *args[] = {"invite", "--folder", folder, "--uses", "1000", NULL};

	memset(n, 0, sizeof *n);
	(void)snprintf(n->folder, sizeof n->folder, "%s/ayni-e2e-XXXXXX",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(n->folder));
	(void)snprintf(folder, sizeof folder, "%s/pool", n->folder);
	network_start_pool(n, model, settings);
	if (network_run(n, args, NULL, out, err) != 0)
		fail_msg("no invite: %s", err);
	out[strcspn(out, "\n")] = '\0';
	assert_true(strlen(out) < sizeof n->invite);
	memcpy(n->invite, out, strlen(out) + 1);
}

void network_invite_through(const struct network *n, const char *endpoint, char out[NETWORK_PATH])
{
	const char *rest = strchr(n->invite, '?');

	assert_non_null(rest);
	assert_in_range(
	    snprintf(out, NETWORK_PATH, "ayni://%s%s", endpoint + strlen("tcp://"), rest), 1,
	    NETWORK_PATH - 1);
}

pid_t network_child(pid_t pid)
{
	char path[64], text[32] = "";
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	if (f != NULL) {
		(void)fgets(text, sizeof text, f);
		(void)fclose(f);
	}
	return (pid_t)strtol(text, NULL, 10);
}

unsigned network_free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	(void)close(fd);
	return ntohs(at.sin_port);
}

void network_donor(struct network *n, int i, const char *invite, const char *const *settings)
{
	char folder[NETWORK_PATH * 2], name[32];
	const char *args[MAX_ARGS] = {"donate", "--folder", folder, "--name", name, "--pool",
	    invite != NULL ? invite : n->invite};

	assert_true(i >= 0 && i < NETWORK_MAX_DONORS && n->donors[i] == 0);
	(void)snprintf(name, sizeof name, "donor%d", i);
	(void)snprintf(folder, sizeof folder, "%s/%s", n->folder, name);
	(void)add_settings(args, 7, settings);
	n->donors[i] = network_spawn(n, name, args);
}

/* At least, or at most, so many times. Asking takes a while itself: it is done again and again, as
 * often as a hung test may. */
static void wait_status(struct network *n, const char *substring, unsigned times, bool at_least)
{
	static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
	unsigned found;
	const char *args[] = {"status", "--pool", n->invite, "--json", NULL};
	time_t began = time(NULL);

	do {
		if (network_run(n, args, NULL, out, err) != 0)
			fail_msg("status: %s", err);
		found = count(out, substring);
		if (at_least ? found >= times : found <= times)
			return;
	} while (time(NULL) - began < PATIENCE_MS / 1000);
	fail_msg("waited in vain for %s %u times %s in %s", at_least ? "at least" : "at most",
	    times, substring, out);
}

void network_wait_status(struct network *n, const char *substring)
{
	wait_status(n, substring, 1, true);
}

void network_wait_ready(struct network *n)
{
	wait_status(n, "\"missing\":[[", 0, false);
}

void network_wait_donors(struct network *n, unsigned ready)
{
	wait_status(n, "\"state\":\"ready\"", ready, true);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	(void)remove(path);
	return 0;
}

static int stop(pid_t *pid)
{
	int status = 0;

	if (*pid > 0 && kill(*pid, SIGTERM) == 0)
		status = network_wait_end(*pid);
	*pid = 0;
	return status;
}

void network_stop(struct network *n)
{
	int wrong = 0;
	char name[32];

	for (int i = 0; i < NETWORK_MAX_DONORS; i++) {
		bool was_there = n->donors[i] > 0;

		(void)snprintf(name, sizeof name, "donor%d.err", i);
		if (stop(&n->donors[i]) != 0 && was_there) {
			print_log(n, name);
			wrong++;
		}
	}
	if (stop(&n->pool) != 0) {
		print_log(n, "pool.err");
		wrong++;
	}
	(void)nftw(n->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(wrong, 0);
}
