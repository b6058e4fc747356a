/* SPDX-License-Identifier: Apache-2.0 */
/* The relay between two transports: what it lets pass is right, and each damage is what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <poll.h>

#include "protocol/envelope.h"
#include "protocol/transport.h"
#include "tests/support/relay.h"
#include "tests/support/sample_messages.h"
#include "tests/support/scratch.h"

enum { WAIT_MS = 20000 /* only a failure waits so long */ };

struct net {
	struct scratch scratch;
	struct identity *pool, *donor;
	struct transport *server, *client;
	struct relay *relay;
	struct route route;
	struct envelope_channel at_pool, at_donor;
	struct transport_parts parts;
	struct message *got;
};

static bool admit(void *context, const uint8_t curve_key[CURVE_KEY_BYTES])
{
	(void)context;
	(void)curve_key;
	return true;
}

static int setup(void **state)
{
	struct net *n = calloc(1, sizeof *n);
	char pool_key[1024], donor_key[1024];
	struct relay_options o = {.pool_key = pool_key, .donor_key = donor_key};

	assert_non_null(n);
	*state = n;
	scratch_make(&n->scratch);
	(void)snprintf(pool_key, sizeof pool_key, "%s", scratch_path(&n->scratch, "pool.key"));
	(void)snprintf(donor_key, sizeof donor_key, "%s", scratch_path(&n->scratch, "donor.key"));
	assert_int_equal(identity_open(pool_key, &n->pool, NULL, NULL), AYNI_OK);
	assert_int_equal(identity_open(donor_key, &n->donor, NULL, NULL), AYNI_OK);
	assert_int_equal(
	    transport_listen(n->pool, "tcp://127.0.0.1:0", admit, NULL, &n->server, NULL), AYNI_OK);
	o.pool_endpoint = transport_endpoint(n->server);
	n->relay = relay_start(&o);
	assert_int_equal(transport_connect(n->donor, identity_public(n->pool),
	                     relay_endpoint(n->relay), &n->client, NULL),
	    AYNI_OK);
	envelope_channel_init(&n->at_pool, n->pool, identity_public(n->donor), 1);
	envelope_channel_init(&n->at_donor, n->donor, identity_public(n->pool), 1);
	return 0;
}

static void forget(struct net *n)
{
	message_free(n->got);
	n->got = NULL;
	transport_parts_free(&n->parts);
}

static int teardown(void **state)
{
	struct net *n = *state;

	forget(n);
	relay_stop(n->relay);
	transport_free(n->client, 0);
	transport_free(n->server, 0);
	identity_free(n->pool);
	identity_free(n->donor);
	scratch_remove(&n->scratch);
	free(n);
	return 0;
}

/* Send a sample of the type from the side that sends such. */
static void send_sample(struct net *n, enum message_type type)
{
	static const uint8_t payload[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	bool down = type == MSG_WORK_UNIT;
	size_t payload_len = message_payload_limit((uint16_t)type) > 0 ? sizeof payload : 0;
	uint8_t envelope[FRAME_BYTES], *header = NULL;
	size_t header_len;
	struct sample s;

	sample_make(&s, type, SAMPLE_SMALL);
	assert_int_equal(envelope_seal(down ? &n->at_pool : &n->at_donor, &s.message, 0, payload,
	                     payload_len, envelope, &header, &header_len, NULL),
	    AYNI_OK);
	assert_int_equal(
	    transport_send(down ? n->server : n->client, down ? &n->route : NULL,
	        (struct span){envelope, sizeof envelope}, (struct span){header, header_len},
	        (struct span){payload, payload_len}, NULL),
	    AYNI_OK);
	free(header);
	sample_free(&s);
}

/* The next message at this side; the other side's own business goes on meanwhile. */
static int receive(struct net *n, struct transport *at, struct error *err)
{
	struct transport *other = at == n->server ? n->client : n->server;
	struct pollfd fds[3] = {{.fd = transport_fd(at), .events = POLLIN},
	    {.fd = transport_fd(other), .events = POLLIN},
	    {.fd = transport_admission_fd(n->server), .events = POLLIN}};

	forget(n);
	for (;;) {
		struct transport_parts unexpected;
		int rc = transport_receive(at, &n->parts, err);

		if (rc != AYNI_ERR_AGAIN)
			return rc;
		assert_int_equal(transport_receive(other, &unexpected, NULL), AYNI_ERR_AGAIN);
		assert_true(poll(fds, 3, WAIT_MS) > 0);
	}
}

/* REFUSAL_NONE: it was right. */
static enum refusal open_next(struct net *n, struct transport *at)
{
	struct envelope_channel *c = at == n->server ? &n->at_pool : &n->at_donor;
	struct error err = {0};
	enum refusal why;
	int rc = receive(n, at, &err);

	if (rc == AYNI_ERR_LIMIT)
		return REFUSAL_SIZE;
	assert_int_equal(rc, AYNI_OK);
	if (at == n->server)
		n->route = n->parts.route;
	(void)envelope_open(
	    c, n->parts.envelope, n->parts.header, n->parts.payload, 1000, &n->got, &why, &err);
	return why;
}

/* The pool knows the way to the donor only after it heard from it. */
static void say_hello(struct net *n)
{
	send_sample(n, MSG_HELLO);
	assert_int_equal(open_next(n, n->server), REFUSAL_NONE);
	assert_int_equal(n->got->type, MSG_HELLO);
}

static void passes_messages_on_as_they_came(void **state)
{
	struct net *n = *state;

	say_hello(n);
	for (int i = 0; i < 3; i++) {
		send_sample(n, MSG_WORK_UNIT);
		assert_int_equal(open_next(n, n->client), REFUSAL_NONE);
		assert_int_equal(n->got->type, MSG_WORK_UNIT);
		assert_int_equal(n->got->payload.len, 8);
		send_sample(n, MSG_RESULT);
		assert_int_equal(open_next(n, n->server), REFUSAL_NONE);
		assert_int_equal(n->got->type, MSG_RESULT);
	}
}

static const struct {
	enum relay_damage damage;
	enum refusal reason;
} on_the_way[] = {
    {RELAY_PAYLOAD_BIT, REFUSAL_PAYLOAD},
    {RELAY_HEADER_BIT, REFUSAL_SIGNATURE},
    {RELAY_HEADER_CUT, REFUSAL_SIGNATURE},
    {RELAY_UNSIGNED, REFUSAL_SIGNATURE},
    {RELAY_VERSION, REFUSAL_VERSION},
    {RELAY_TYPE, REFUSAL_TYPE},
    {RELAY_DISGUISED, REFUSAL_SIZE},
    {RELAY_ENVELOPE_CUT, REFUSAL_SHAPE},
    {RELAY_ENVELOPE_LONG, REFUSAL_SIZE},
    {RELAY_STRANGER, REFUSAL_SIGNER},
    {RELAY_FORGED, REFUSAL_SIGNATURE},
    {RELAY_RECIPIENT, REFUSAL_RECIPIENT},
    {RELAY_EXPIRED, REFUSAL_EXPIRED},
    {RELAY_HEADER_NOISE, REFUSAL_SHAPE},
};

/* And the message after it is right again: nothing of the channel was used up by a forger. */
static void damages_one_message_as_ordered(void **state)
{
	struct net *n = *state;

	say_hello(n);
	for (size_t i = 0; i < sizeof on_the_way / sizeof *on_the_way; i++) {
		for (int way = 0; way < 2; way++) {
			enum message_type type = way == 0 ? MSG_WORK_UNIT : MSG_RESULT;
			struct transport *at = way == 0 ? n->client : n->server;

			relay_order(n->relay, type, 1, on_the_way[i].damage);
			send_sample(n, type);
			assert_int_equal(open_next(n, at), REFUSAL_NONE);
			send_sample(n, type);
			assert_int_equal(open_next(n, at), on_the_way[i].reason);
			relay_wait(n->relay);
			send_sample(n, type);
			assert_int_equal(open_next(n, at), REFUSAL_NONE);
		}
	}
}

static void sends_a_message_twice(void **state)
{
	struct net *n = *state;

	say_hello(n);
	relay_order(n->relay, MSG_WORK_UNIT, 0, RELAY_TWICE);
	send_sample(n, MSG_WORK_UNIT);
	assert_int_equal(open_next(n, n->client), REFUSAL_NONE);
	assert_int_equal(open_next(n, n->client), REFUSAL_REPLAY);
	relay_wait(n->relay);
}

/* The sender's own lies: well signed, so only who knows what was agreed can tell. */
static void signs_changed_content_for_the_sender(void **state)
{
	struct net *n = *state;
	uint64_t unit, number;

	say_hello(n);
	send_sample(n, MSG_WORK_UNIT);
	assert_int_equal(open_next(n, n->client), REFUSAL_NONE);
	unit = n->got->work_unit.unit;
	number = n->got->work_unit.assignment;
	relay_order(n->relay, MSG_WORK_UNIT, 0, RELAY_UNIT_NUMBER);
	send_sample(n, MSG_WORK_UNIT);
	assert_int_equal(open_next(n, n->client), REFUSAL_NONE);
	assert_int_equal(n->got->work_unit.unit, unit - 1);
	relay_wait(n->relay);
	relay_order(n->relay, MSG_WORK_UNIT, 0, RELAY_UNIT_ASSIGNMENT);
	send_sample(n, MSG_WORK_UNIT);
	assert_int_equal(open_next(n, n->client), REFUSAL_NONE);
	assert_int_equal(n->got->work_unit.assignment, number + 1);
	relay_wait(n->relay);
	relay_order(n->relay, MSG_RESULT, 0, RELAY_RESULT_SHORT);
	send_sample(n, MSG_RESULT);
	assert_int_equal(open_next(n, n->server), REFUSAL_NONE);
	assert_int_equal(n->got->payload.len, 4);
	relay_wait(n->relay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(passes_messages_on_as_they_came, setup, teardown),
	    cmocka_unit_test_setup_teardown(damages_one_message_as_ordered, setup, teardown),
	    cmocka_unit_test_setup_teardown(sends_a_message_twice, setup, teardown),
	    cmocka_unit_test_setup_teardown(signs_changed_content_for_the_sender, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
