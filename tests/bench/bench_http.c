/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway itself takes: in front of a pool that answers at once
 * (tests/support/still_pool.h), how long a client waits for the first byte, alone and beside 100
 * streams; and requests a second, by wrk (Debian's package of that name), if it is there.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/loop.h"
#include "tests/support/http_client.h"
#include "tests/support/pool_bench.h"
#include "tests/support/scratch.h"
#include "tests/support/still_pool.h"

#define ASK     "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":true"
#define SHORT   ASK ",\"max_tokens\":1}"
#define ENDLESS ASK "}"
#define CHAT    "/v1/chat/completions"
#define END     "\r\n0\r\n\r\n" /* of chunks */
#define WORD    "\"content\":\"word \""

enum { ROUNDS = 400, STREAMS = 100, IDLE = 1000 };

static struct scratch scratch;
static char at[64];
static pid_t pool, gateway;

static bool is_ready(void)
{
	struct http_answer a = http_ask(at, "/readyz", NULL);
	bool ready = a.status == 200;

	http_answer_free(&a);
	return ready;
}

static int start(void **state)
{
	struct network n = {0};
	char invite[INVITE_TEXT_BYTES], file[sizeof scratch.path];
	const char *args[] = {
	    "serve", "--pool", invite, "--listen", "127.0.0.1:0", "--address-file", file, NULL};

	(void)state;
	scratch_make(&scratch);
	(void)snprintf(n.folder, sizeof n.folder, "%s", scratch.folder);
	(void)snprintf(file, sizeof file, "%s", scratch_path(&scratch, "address"));
	pool = still_pool_start(invite);
	gateway = network_spawn(&n, "serve", args);
	http_find(&n, "address", at);
	while (!is_ready())
		;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	(void)kill(gateway, SIGTERM);
	assert_int_equal(network_wait_end(gateway), 0);
	(void)kill(pool, SIGKILL);
	(void)waitpid(pool, NULL, 0);
	scratch_remove(&scratch);
	return 0;
}

/* ---- the first byte ----------------------------------------------------------------------- */

/* Over a connection that is open, from the request to the first word; then the rest is read. */
static double first_byte_us(int fd)
{
	uint64_t began = loop_now_us();
	double us;
	char *answer;

	http_send(fd, CHAT, SHORT);
	answer = http_read_until(fd, WORD);
	us = (double)(loop_now_us() - began);
	if (strstr(answer, END) == NULL)
		free(http_read_until(fd, END));
	free(answer);
	return us;
}

static void measure(const char *what)
{
	double times[ROUNDS];
	int fd = http_socket(at, 0);

	for (int i = 0; i < ROUNDS; i++)
		times[i] = first_byte_us(fd);
	(void)close(fd);
	printf("first byte, %-34s median %4.0f us, of 100 the worst %5.0f us\n", what,
	    quantile(times, ROUNDS, 0.5), quantile(times, ROUNDS, 0.99));
}

static void many_descriptors(void)
{
	struct rlimit most;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &most), 0);
	most.rlim_cur = most.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &most), 0);
}

static void first_byte(void **state)
{
	static int streams[STREAMS], idle[IDLE];

	(void)state;
	many_descriptors();
	measure("alone:");
	for (int i = 0; i < IDLE; i++)
		idle[i] = http_socket(at, 0);
	measure("beside 1000 idle connections:");
	for (int i = 0; i < STREAMS; i++) {
		streams[i] = http_socket(at, 0);
		http_send(streams[i], CHAT, ENDLESS);
		free(http_read_until(streams[i], WORD));
	}
	measure("and 100 streams, 2000 words/s:");
	for (int i = 0; i < STREAMS; i++)
		(void)close(streams[i]);
	for (int i = 0; i < IDLE; i++)
		(void)close(idle[i]);
}

/* ---- requests a second -------------------------------------------------------------------- */

static void wrk(const char *what, const char *path, const char *script)
{
	char url[256];
	char *with[] = {"wrk", "-t1", "-c100", "-d3", "--latency", "-s", (char *)script, url, NULL};
	char *plain[] = {"wrk", "-t1", "-c100", "-d3", "--latency", url, NULL};
	pid_t pid;
	int status;

	(void)snprintf(url, sizeof url, "http://%s%s", at, path);
	printf("\n%s\n", what);
	(void)fflush(stdout);
	if (posix_spawnp(&pid, "wrk", NULL, NULL, script != NULL ? with : plain, environ) != 0) {
		printf("wrk is not there: apt-get install wrk\n");
		return;
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void requests_a_second(void **state)
{
	(void)state;
	wrk("GET /healthz, 100 connections", "/healthz", NULL);
	wrk("POST /v1/chat/completions, streams of a word, 100 connections", CHAT,
	    "tests/bench/chat.lua");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first_byte), cmocka_unit_test(requests_a_second)};

	return cmocka_run_group_tests(tests, start, stop);
}
