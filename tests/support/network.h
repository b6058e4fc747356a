/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real networks for end-to-end tests: a pool, donors and members as processes of the program under
 * test, on loopback, with free ports, in a temporary folder that is removed at the end.
 * Every failure of the set-up itself fails the test that asked for it (cmocka).
 */
#ifndef AYNI_TESTS_SUPPORT_NETWORK_H
#define AYNI_TESTS_SUPPORT_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { NETWORK_MAX_DONORS = 8, NETWORK_PATH = 512, NETWORK_OUTPUT = 1 << 20 };

struct network {
	char folder[NETWORK_PATH]; /* temporary; AYNI_HOME of every process */
	char invite[NETWORK_PATH];
	pid_t pool;
	pid_t donors[NETWORK_MAX_DONORS];
	const char *donor_program; /* of donors from now on; NULL: the program under test */
};

/* Is AYNI_BRIEF set: does a sample of many alike suffice, since each takes long (sanitizers)? */
bool network_is_brief(void);

/* The program under test: $AYNI_BUILD/ayni, or build/ayni. */
const char *network_program(void);

/* This test program, for one that can be started as a donor; ends it if it cannot be told. */
const char *network_self(void);

/*
 * Start a pool that serves `model`. `settings`: "key=value" strings, NULL-terminated, or NULL.
 * Makes an invite with many uses. network_stop undoes all.
 */
void network_start(struct network *n, const char *model, const char *const *settings);
void network_start_pool(
    struct network *n, const char *model, const char *const *settings); /* again */
/* Start it again where it was, after it ended or was killed: members and donors find it there. */
void network_restart_pool(struct network *n, const char *model, const char *const *settings);
/* Donor number i, folder <folder>/donor<i>; invite NULL: the network's own. */
void network_donor(struct network *n, int i, const char *invite, const char *const *settings);
/* The first child of a process, a donor's worker say; 0 if it has none yet. */
pid_t network_child(pid_t pid);
/* A port that nobody listens at now, for one that must be known before its process starts. */
unsigned network_free_port(void);
/* Where the pool is, as its invite says: "tcp://host:port". */
void network_endpoint(const struct network *n, char out[NETWORK_PATH]);
/* The network's invite by another way to its pool: "tcp://host:port" of a relay, say. */
void network_invite_through(const struct network *n, const char *endpoint, char out[NETWORK_PATH]);
/* Wait until `ayni status` of the pool says that no layer is missing. */
void network_wait_ready(struct network *n);
/* Wait until a jq-like plain substring is in `ayni status --json`. */
void network_wait_status(struct network *n, const char *substring);
/* Wait until so many donors are ready. */
void network_wait_donors(struct network *n, unsigned ready);
/* Wait until a process has ended by itself; its exit status, or 128 + signal. */
int network_wait_end(pid_t pid);
/* SIGTERM all, wait for them, remove the folder. Fails the test if one did not end with status 0.
 */
void network_stop(struct network *n);

/*
 * Run `ayni ARGS...` (NULL-terminated, without the program's name) to its end. stdout and stderr
 * are put into out and err (NETWORK_OUTPUT bytes each, NUL-terminated; NULL: not wanted); `input`
 * is its standard input or NULL. The exit status, or 128 + signal.
 */
int network_run(
    const struct network *n, const char *const *args, const char *input, char *out, char *err);
/* Start it in the background, output to files <folder>/<name>.out and .err. */
pid_t network_spawn(const struct network *n, const char *name, const char *const *args);
/* Wait until what a spawned process wrote to its standard output is so long. */
void network_wait_output(const struct network *n, const char *name, size_t bytes);
/* How often a spawned process, a donor say, has written this to its standard error. */
unsigned network_count_log(const struct network *n, const char *name, const char *substring);
void network_wait_log(
    const struct network *n, const char *name, const char *substring, unsigned times);
/* A file of the folder as text (malloc'd). */
char *network_read(const struct network *n, const char *name);

#endif
