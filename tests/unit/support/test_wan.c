/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/wan.h"

enum { PATIENCE_MS = 60000, BYTES = 300000 };

static int listener = -1, near = -1, far = -1;
static struct wan *wan;

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int dial(const char *endpoint)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

/* A connection through the relay, with both its ends here. */
static void begin(struct wan_options o)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	char to[64];

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	(void)snprintf(to, sizeof to, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
	o.to = to;
	wan = wan_start(&o);
	near = dial(wan_endpoint(wan));
	far = accept(listener, NULL, NULL);
	assert_true(far >= 0);
}

static int end(void **state)
{
	(void)state;
	wan_stop(wan);
	wan = NULL;
	(void)close(near);
	(void)close(far);
	(void)close(listener);
	return 0;
}

static bool comes(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void read_all(int fd, uint8_t *data, size_t len)
{
	for (size_t have = 0; have < len;) {
		ssize_t n;

		assert_true(comes(fd, PATIENCE_MS));
		n = recv(fd, data + have, len - have, 0);
		assert_true(n > 0);
		have += (size_t)n;
	}
}

static void bytes_arrive_as_they_were_sent_after_the_delay(void **state)
{
	static uint8_t sent[BYTES], came[BYTES];
	double began;

	(void)state;
	begin((struct wan_options){.delay_us = 30000, .jitter_us = 20000, .seed = 1});
	for (size_t i = 0; i < BYTES; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	began = now_ms();
	for (size_t at = 0; at < BYTES; at += BYTES / 10)
		assert_int_equal(send(near, sent + at, BYTES / 10, 0), BYTES / 10);
	read_all(far, came, 1);
	assert_true(now_ms() - began >= 30);
	read_all(far, came + 1, BYTES - 1);
	assert_memory_equal(came, sent, BYTES);
	began = now_ms();
	assert_int_equal(send(far, "back", 4, 0), 4);
	read_all(near, came, 4);
	assert_true(now_ms() - began >= 30);
	assert_memory_equal(came, "back", 4);
}

static void no_more_passes_than_the_line_carries(void **state)
{
	static uint8_t data[BYTES];
	double began = now_ms();

	(void)state;
	begin((struct wan_options){.bytes_per_s = 3000000});
	for (size_t at = 0; at < BYTES; at += BYTES / 10)
		assert_int_equal(send(near, data + at, BYTES / 10, 0), BYTES / 10);
	read_all(far, data, BYTES);
	assert_true(now_ms() - began >= 100);
}

static void a_cut_ends_connections_and_takes_new_ones(void **state)
{
	uint8_t byte;

	(void)state;
	begin((struct wan_options){0});
	wan_cut(wan);
	assert_true(comes(near, PATIENCE_MS) && recv(near, &byte, 1, 0) <= 0);
	assert_true(comes(far, PATIENCE_MS) && recv(far, &byte, 1, 0) <= 0);
	(void)close(near);
	(void)close(far);
	near = dial(wan_endpoint(wan));
	far = accept(listener, NULL, NULL);
	assert_int_equal(send(near, "x", 1, 0), 1);
	read_all(far, &byte, 1);
	assert_int_equal(byte, 'x');
}

static void a_frozen_line_passes_nothing_and_goes_on_when_it_thaws(void **state)
{
	uint8_t data[6];

	(void)state;
	begin((struct wan_options){0});
	wan_freeze(wan);
	assert_int_equal(send(near, "frozen", 6, 0), 6);
	assert_false(comes(far, 50));
	wan_thaw(wan);
	read_all(far, data, 6);
	assert_memory_equal(data, "frozen", 6);
}

static void the_end_of_a_stream_passes_behind_its_bytes(void **state)
{
	uint8_t data[5];

	(void)state;
	begin((struct wan_options){.delay_us = 10000});
	assert_int_equal(send(near, "last", 4, 0), 4);
	assert_int_equal(shutdown(near, SHUT_WR), 0);
	read_all(far, data, 4);
	assert_true(comes(far, PATIENCE_MS) && recv(far, data, 1, 0) <= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(bytes_arrive_as_they_were_sent_after_the_delay, end),
	    cmocka_unit_test_teardown(no_more_passes_than_the_line_carries, end),
	    cmocka_unit_test_teardown(a_cut_ends_connections_and_takes_new_ones, end),
	    cmocka_unit_test_teardown(a_frozen_line_passes_nothing_and_goes_on_when_it_thaws, end),
	    cmocka_unit_test_teardown(the_end_of_a_stream_passes_behind_its_bytes, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
