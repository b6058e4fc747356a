/* SPDX-License-Identifier: Apache-2.0 */
/* Real sockets on the loopback, at ports that the system chooses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <poll.h>
#include <time.h>
#include <zmq.h>

#include "protocol/transport.h"

enum { WAIT_MS = 20000 /* only a failure waits so long */ };

#define LOOPBACK "tcp://127.0.0.1:0"

struct net {
	struct identity *pool, *donor;
	struct transport *server;
	bool admits;
	int asked; /* how often a key was asked about */
	struct transport_parts got;
	struct error err;
};

static bool admit(void *context, const uint8_t curve_key[CURVE_KEY_BYTES])
{
	struct net *n = context;

	(void)curve_key;
	n->asked++;
	return n->admits;
}

static int setup(void **state)
{
	struct net *n = calloc(1, sizeof *n);

	if (n == NULL || identity_generate(&n->pool, NULL) != 0 ||
	    identity_generate(&n->donor, NULL) != 0)
		return -1;
	n->admits = true;
	*state = n;
	return transport_listen(n->pool, LOOPBACK, admit, n, &n->server, &n->err);
}

static int teardown(void **state)
{
	struct net *n = *state;

	transport_free(n->server, 0);
	identity_free(n->pool);
	identity_free(n->donor);
	free(n);
	return 0;
}

static struct transport *dial(struct net *n)
{
	struct transport *t;

	if (transport_connect(n->donor, identity_public(n->pool), transport_endpoint(n->server), &t,
	        &n->err) != AYNI_OK)
		fail_msg("%s", n->err.text);
	return t;
}

static struct span text(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static bool span_is(struct span s, const char *expected)
{
	return s.len == strlen(expected) && (s.len == 0 || memcmp(s.data, expected, s.len) == 0);
}

static int64_t clock_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Wait for an event at either side, at most until `end_ms`; false after it. */
static bool wait_event(const struct transport *a, const struct transport *b, int64_t end_ms)
{
	struct pollfd fds[4];
	nfds_t n = 0;
	int64_t left_ms = end_ms - clock_ms();

	if (left_ms <= 0)
		return false;
	if (a != NULL) {
		fds[n++] = (struct pollfd){.fd = transport_fd(a), .events = POLLIN};
		if (transport_admission_fd(a) >= 0)
			fds[n++] =
			    (struct pollfd){.fd = transport_admission_fd(a), .events = POLLIN};
	}
	if (b != NULL)
		fds[n++] = (struct pollfd){.fd = transport_fd(b), .events = POLLIN};
	return poll(fds, n, (int)left_ms) >= 0;
}

/* Receive at `at` while `other` goes on as well, whose messages this test does not expect. */
static int receive(struct net *n, struct transport *at, struct transport *other)
{
	int64_t end_ms = clock_ms() + WAIT_MS;

	do {
		struct transport_parts unexpected;
		int rc = transport_receive(at, &n->got, &n->err);

		if (rc != AYNI_ERR_AGAIN)
			return rc;
		if (other != NULL)
			assert_int_equal(
			    transport_receive(other, &unexpected, NULL), AYNI_ERR_AGAIN);
	} while (wait_event(at, other, end_ms));
	return AYNI_ERR_TIMEOUT;
}

static void carries_messages_both_ways(void **state)
{
	struct net *n = *state;
	struct transport *client = dial(n);
	struct route route;
	uint8_t key[CURVE_KEY_BYTES];

	assert_int_equal(
	    transport_send(client, NULL, text("env"), text("head"), text("load"), &n->err),
	    AYNI_OK);
	assert_int_equal(receive(n, n->server, client), AYNI_OK);
	assert_true(span_is(n->got.envelope, "env"));
	assert_true(span_is(n->got.header, "head"));
	assert_true(span_is(n->got.payload, "load"));
	assert_int_equal(identity_curve_public(identity_public(n->donor), key), AYNI_OK);
	assert_memory_equal(n->got.curve_key, key, CURVE_KEY_BYTES);
	assert_string_equal(n->got.address, "127.0.0.1");
	route = n->got.route;
	transport_parts_free(&n->got);

	assert_int_equal(
	    transport_send(n->server, &route, text("e"), text(""), text(""), &n->err), AYNI_OK);
	assert_int_equal(receive(n, client, n->server), AYNI_OK);
	assert_true(span_is(n->got.envelope, "e"));
	assert_true(span_is(n->got.header, ""));
	assert_true(span_is(n->got.payload, ""));
	assert_int_equal(n->got.route.len, 0);
	transport_parts_free(&n->got);
	transport_free(client, 0);
}

static void carries_the_largest_payload(void **state)
{
	struct net *n = *state;
	struct transport *client = dial(n);
	uint8_t *big = malloc(LIMIT_PAYLOAD_BYTES + 1);

	memset(big, 0x5a, LIMIT_PAYLOAD_BYTES);
	big[LIMIT_PAYLOAD_BYTES - 1] = 1;
	assert_int_equal(transport_send(client, NULL, text("e"), text("h"),
	                     (struct span){big, LIMIT_PAYLOAD_BYTES}, &n->err),
	    AYNI_OK);
	assert_int_equal(receive(n, n->server, client), AYNI_OK);
	assert_int_equal(n->got.payload.len, LIMIT_PAYLOAD_BYTES);
	assert_memory_equal(n->got.payload.data, big, LIMIT_PAYLOAD_BYTES);
	transport_parts_free(&n->got);
	assert_int_equal(transport_send(client, NULL, text("e"), text("h"),
	                     (struct span){big, LIMIT_PAYLOAD_BYTES + 1}, &n->err),
	    AYNI_ERR_LIMIT);
	free(big);
	transport_free(client, 0);
}

static void says_that_a_route_is_gone(void **state)
{
	struct net *n = *state;
	const struct route nobody = {.len = 5, .bytes = {0, 1, 2, 3, 4}};
	struct transport *client = dial(n);

	assert_int_equal(
	    transport_send(n->server, &nobody, text("e"), text("h"), text(""), &n->err),
	    AYNI_ERR_NOT_FOUND);
	assert_int_equal(transport_send(n->server, NULL, text("e"), text("h"), text(""), &n->err),
	    AYNI_ERR_ARGUMENT);
	/* No half message was left behind: the next one is whole. */
	assert_int_equal(
	    transport_send(client, NULL, text("e"), text("h"), text("p"), &n->err), AYNI_OK);
	assert_int_equal(receive(n, n->server, client), AYNI_OK);
	assert_true(span_is(n->got.payload, "p"));
	transport_parts_free(&n->got);
	transport_free(client, 0);
}

static void says_that_a_queue_is_full(void **state)
{
	struct net *n = *state;
	struct transport *client = dial(n);
	int sent = 0, rc = AYNI_OK, got = 0;

	/* The server does not receive, so nothing is admitted and all waits here. */
	while (rc == AYNI_OK && sent < 100000) {
		rc = transport_send(client, NULL, text("e"), text("h"), text("p"), &n->err);
		sent += rc == AYNI_OK;
	}
	assert_int_equal(rc, AYNI_ERR_AGAIN);
	while (got < sent) {
		assert_int_equal(receive(n, n->server, client), AYNI_OK);
		assert_true(span_is(n->got.payload, "p"));
		transport_parts_free(&n->got);
		got++;
	}
	transport_free(client, 0);
}

static void refuses_a_key_that_is_not_admitted(void **state)
{
	struct net *n = *state;
	struct transport *refused, *admitted;

	n->admits = false;
	refused = dial(n);
	assert_int_equal(
	    transport_send(refused, NULL, text("no"), text("h"), text(""), &n->err), AYNI_OK);
	{
		int64_t end_ms = clock_ms() + WAIT_MS;

		do
			assert_int_equal(
			    transport_receive(n->server, &n->got, &n->err), AYNI_ERR_AGAIN);
		while (n->asked == 0 && wait_event(n->server, NULL, end_ms));
	}
	assert_true(n->asked > 0);
	n->admits = true;
	admitted = dial(n);
	assert_int_equal(
	    transport_send(admitted, NULL, text("yes"), text("h"), text(""), &n->err), AYNI_OK);
	assert_int_equal(receive(n, n->server, admitted), AYNI_OK);
	assert_true(span_is(n->got.envelope, "yes"));
	transport_parts_free(&n->got);
	transport_free(refused, 0);
	transport_free(admitted, 0);
}

/* A client that expects another server key cannot even shake hands. */
static void a_wrong_server_key_never_connects(void **state)
{
	struct net *n = *state;
	struct transport *misled, *right;

	assert_int_equal(transport_connect(n->donor, identity_public(n->donor),
	                     transport_endpoint(n->server), &misled, &n->err),
	    AYNI_OK);
	assert_int_equal(
	    transport_send(misled, NULL, text("no"), text("h"), text(""), &n->err), AYNI_OK);
	right = dial(n);
	assert_int_equal(
	    transport_send(right, NULL, text("yes"), text("h"), text(""), &n->err), AYNI_OK);
	/* The later one passes; the earlier one is not even asked about. */
	assert_int_equal(receive(n, n->server, right), AYNI_OK);
	assert_true(span_is(n->got.envelope, "yes"));
	assert_int_equal(n->asked, 1);
	transport_parts_free(&n->got);
	transport_free(right, 0);
	transport_free(misled, 0);
}

/* ---- peers that do not keep to the protocol ------------------------------------------------ */

struct raw {
	void *context, *socket;
};

static void raw_open(struct net *n, struct raw *r, const char *routing_id)
{
	uint8_t secret[CURVE_KEY_BYTES], own[CURVE_KEY_BYTES], server[CURVE_KEY_BYTES];
	int no_linger = 0;

	assert_int_equal(identity_curve_secret(n->donor, secret), AYNI_OK);
	assert_int_equal(identity_curve_public(identity_public(n->donor), own), AYNI_OK);
	assert_int_equal(identity_curve_public(identity_public(n->pool), server), AYNI_OK);
	r->context = zmq_ctx_new();
	r->socket = zmq_socket(r->context, ZMQ_DEALER);
	assert_int_equal(zmq_setsockopt(r->socket, ZMQ_CURVE_SECRETKEY, secret, 32), 0);
	assert_int_equal(zmq_setsockopt(r->socket, ZMQ_CURVE_PUBLICKEY, own, 32), 0);
	assert_int_equal(zmq_setsockopt(r->socket, ZMQ_CURVE_SERVERKEY, server, 32), 0);
	assert_int_equal(zmq_setsockopt(r->socket, ZMQ_LINGER, &no_linger, sizeof no_linger), 0);
	if (routing_id != NULL)
		assert_int_equal(
		    zmq_setsockopt(r->socket, ZMQ_ROUTING_ID, routing_id, strlen(routing_id)), 0);
	assert_int_equal(zmq_connect(r->socket, transport_endpoint(n->server)), 0);
}

static void raw_close(struct raw *r)
{
	assert_int_equal(zmq_close(r->socket), 0);
	assert_int_equal(zmq_ctx_term(r->context), 0);
}

static void raw_send(struct raw *r, int n_frames)
{
	for (int i = 0; i < n_frames; i++)
		assert_int_equal(
		    zmq_send(r->socket, "frame", 5, i + 1 < n_frames ? ZMQ_SNDMORE : 0), 5);
}

static void drops_messages_of_a_wrong_number_of_frames(void **state)
{
	static const int numbers[] = {1, 4, 5, 1000};
	struct net *n = *state;
	struct raw r;

	raw_open(n, &r, NULL);
	for (int i = 0; i < 4; i++) {
		raw_send(&r, numbers[i]);
		raw_send(&r, 2 + i % 2);
		assert_int_equal(receive(n, n->server, NULL), AYNI_ERR_FORMAT);
		assert_int_equal(n->got.route.len, 5); /* tells from whom */
		assert_null(n->got.owner);
		assert_int_equal(receive(n, n->server, NULL), AYNI_OK);
		assert_true(span_is(n->got.payload, i % 2 == 0 ? "" : "frame"));
		transport_parts_free(&n->got);
	}
	raw_close(&r);
}

static void drops_frames_past_their_limits(void **state)
{
	struct net *n = *state;
	struct raw r;
	uint8_t *big = calloc(1, LIMIT_HEADER_BYTES + 1);

	raw_open(n, &r, NULL);
	assert_true(zmq_send(r.socket, "e", 1, ZMQ_SNDMORE) == 1);
	assert_true(zmq_send(r.socket, big, LIMIT_HEADER_BYTES + 1, 0) > 0);
	assert_int_equal(receive(n, n->server, NULL), AYNI_ERR_LIMIT);
	assert_true(zmq_send(r.socket, big, 2000, ZMQ_SNDMORE) > 0);
	assert_true(zmq_send(r.socket, "h", 1, 0) == 1);
	assert_int_equal(receive(n, n->server, NULL), AYNI_ERR_LIMIT);
	free(big);
	raw_close(&r);
}

static void drops_messages_of_a_peer_that_chose_its_route(void **state)
{
	struct net *n = *state;
	struct raw r;

	raw_open(n, &r, "a routing id that is much longer than sixteen bytes");
	raw_send(&r, 3);
	assert_int_equal(receive(n, n->server, NULL), AYNI_ERR_FORMAT);
	assert_int_equal(n->got.route.len, 0);
	raw_close(&r);
}

/* ---- life of a connection ------------------------------------------------------------------ */

static void a_peer_reconnects_to_a_server_that_came_back(void **state)
{
	struct net *n = *state;
	struct transport *client = dial(n);
	char endpoint[128];
	int64_t end_ms;
	int rc;

	assert_int_equal(
	    transport_send(client, NULL, text("1"), text("h"), text(""), &n->err), AYNI_OK);
	assert_int_equal(receive(n, n->server, client), AYNI_OK);
	transport_parts_free(&n->got);
	(void)snprintf(endpoint, sizeof endpoint, "%s", transport_endpoint(n->server));
	transport_free(n->server, 0);
	n->server = NULL;
	assert_int_equal(
	    transport_listen(n->pool, endpoint, admit, n, &n->server, &n->err), AYNI_OK);
	/* What was on its way when the server went may be lost, so it is sent until one comes. */
	end_ms = clock_ms() + WAIT_MS;
	do {
		int64_t soon_ms = clock_ms() + 200;

		(void)transport_send(client, NULL, text("2"), text("h"), text(""), &n->err);
		do
			rc = transport_receive(n->server, &n->got, &n->err);
		while (rc == AYNI_ERR_AGAIN && wait_event(n->server, client, soon_ms));
	} while (rc == AYNI_ERR_AGAIN && clock_ms() < end_ms);
	assert_int_equal(rc, AYNI_OK);
	assert_true(span_is(n->got.envelope, "2"));
	transport_parts_free(&n->got);
	transport_free(client, 0);
}

static void says_clearly_what_is_wrong_with_an_address(void **state)
{
	static const char *const bad[] = {"", "tcp://", "tcp://host", "tcp://:1", "ipc:///tmp/x:1",
	    "inproc://zeromq.zap.01", "tcp://[::1:7", "tcp://[]:7", "127.0.0.1:0"};
	struct net *n = *state;
	struct transport *t;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(
		    transport_listen(n->pool, bad[i], NULL, NULL, &t, &n->err), AYNI_ERR_ARGUMENT);
		assert_int_equal(
		    transport_connect(n->donor, identity_public(n->pool), bad[i], &t, &n->err),
		    AYNI_ERR_ARGUMENT);
	}
	assert_int_equal(
	    transport_listen(n->pool, transport_endpoint(n->server), NULL, NULL, &t, &n->err),
	    AYNI_ERR_IO);
	assert_non_null(strstr(n->err.text, "in use"));
}

static void closes_with_messages_that_nobody_takes(void **state)
{
	struct net *n = *state;
	struct transport *client = dial(n);

	for (int i = 0; i < 100; i++)
		(void)transport_send(client, NULL, text("e"), text("h"), text("p"), &n->err);
	transport_free(client, 50);
	transport_free(NULL, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(carries_messages_both_ways),
	    TEST(carries_the_largest_payload),
	    TEST(says_that_a_route_is_gone),
	    TEST(says_that_a_queue_is_full),
	    TEST(refuses_a_key_that_is_not_admitted),
	    TEST(a_wrong_server_key_never_connects),
	    TEST(drops_messages_of_a_wrong_number_of_frames),
	    TEST(drops_frames_past_their_limits),
	    TEST(drops_messages_of_a_peer_that_chose_its_route),
	    TEST(a_peer_reconnects_to_a_server_that_came_back),
	    TEST(says_clearly_what_is_wrong_with_an_address),
	    TEST(closes_with_messages_that_nobody_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
