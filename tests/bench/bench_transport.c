/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor under every unit of work on its way: messages there and back over loopback, between two
 * processes, as pool and donor are (CURVE, one thread of libzmq's each side), at once and after as
 * long a pause as a stage computes; and what signing, hashing and checking one message cost.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/loop.h"
#include "protocol/envelope.h"
#include "protocol/transport.h"
#include "tests/support/pool_bench.h"

enum {
	D_MODEL = 2048, /* Llama-3.2-1B's */
	ACTIVATION_BYTES = D_MODEL * 4,
	HEADER_BYTES = 120,
	ROUNDS = 200,
	PAUSE_US = 15000
};

static uint8_t payload[ACTIVATION_BYTES];

/* ---- there and back ------------------------------------------------------------------------- */

static bool admit(void *context, const uint8_t key[CURVE_KEY_BYTES])
{
	(void)context;
	(void)key;
	return true;
}

static void wait_for_message(struct transport *t, struct transport_parts *out)
{
	struct pollfd fds[2] = {{.fd = transport_fd(t), .events = POLLIN},
	    {.fd = transport_admission_fd(t), .events = POLLIN}};

	while (transport_receive(t, out, NULL) != AYNI_OK)
		(void)poll(fds, fds[1].fd >= 0 ? 2 : 1, -1);
}

/* Sends back what comes, until it is killed. */
static void echo(const struct identity *self, int port_fd)
{
	struct transport *t;

	assert_int_equal(
	    transport_listen(self, "tcp://127.0.0.1:0", admit, NULL, &t, NULL), AYNI_OK);
	assert_true(write(port_fd, transport_endpoint(t), strlen(transport_endpoint(t)) + 1) > 0);
	for (;;) {
		struct transport_parts parts;

		wait_for_message(t, &parts);
		(void)transport_send(
		    t, &parts.route, parts.envelope, parts.header, parts.payload, NULL);
		transport_parts_free(&parts);
	}
}

/* Computing, as far as the machine can tell. */
static void pass(uint64_t us)
{
	uint64_t until = loop_now_us() + us;

	while (loop_now_us() < until)
		;
}

static double round_trip_us(struct transport *t, size_t payload_bytes, uint64_t pause_us)
{
	static const uint8_t envelope[FRAME_BYTES], header[HEADER_BYTES];
	double times[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		struct transport_parts parts;
		uint64_t began;

		pass(pause_us);
		began = loop_now_us();
		assert_int_equal(transport_send(t, NULL, (struct span){envelope, sizeof envelope},
		                     (struct span){header, sizeof header},
		                     (struct span){payload, payload_bytes}, NULL),
		    AYNI_OK);
		wait_for_message(t, &parts);
		times[i] = (double)(loop_now_us() - began);
		transport_parts_free(&parts);
	}
	return median(times, ROUNDS);
}

static void messages_there_and_back(void **unused)
{
	struct identity *pool, *donor;
	struct transport *t;
	char endpoint[128];
	int ends[2];
	pid_t child;

	(void)unused;
	assert_int_equal(identity_generate(&pool, NULL), AYNI_OK);
	assert_int_equal(identity_generate(&donor, NULL), AYNI_OK);
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		echo(pool, ends[1]);
	}
	assert_true(read(ends[0], endpoint, sizeof endpoint) > 0);
	assert_int_equal(
	    transport_connect(donor, identity_public(pool), endpoint, &t, NULL), AYNI_OK);
	(void)round_trip_us(t, 0, 0);
	printf("there and back, at once:         empty %6.0f us, %d bytes %6.0f us\n",
	    round_trip_us(t, 0, 0), ACTIVATION_BYTES, round_trip_us(t, ACTIVATION_BYTES, 0));
	printf("there and back, after %d ms:     empty %6.0f us, %d bytes %6.0f us\n",
	    PAUSE_US / 1000, round_trip_us(t, 0, PAUSE_US), ACTIVATION_BYTES,
	    round_trip_us(t, ACTIVATION_BYTES, PAUSE_US));
	transport_free(t, 0);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	identity_free(pool);
	identity_free(donor);
}

/* ---- one message ---------------------------------------------------------------------------- */

static void signing_and_checking(void **unused)
{
	struct unit_span span = {.session = 1, .position = 100, .n_tokens = 1};
	struct message m = {.type = MSG_WORK_UNIT}, *opened;
	struct envelope_channel from, to;
	struct identity *pool, *donor;
	double seal_us[ROUNDS], open_us[ROUNDS], hash_us[ROUNDS];

	(void)unused;
	m.work_unit = (struct msg_work_unit){.unit = 1,
	    .assignment = 1,
	    .layer_first = 8,
	    .layer_last = 16,
	    .n_spans = 1,
	    .spans = &span,
	    .n_tokens = 1};
	assert_int_equal(identity_generate(&pool, NULL), AYNI_OK);
	assert_int_equal(identity_generate(&donor, NULL), AYNI_OK);
	envelope_channel_init(&from, pool, identity_public(donor), 1);
	envelope_channel_init(&to, donor, identity_public(pool), 1);
	for (int i = 0; i < ROUNDS; i++) {
		uint8_t envelope[FRAME_BYTES], *header;
		enum refusal why;
		struct hash h;
		uint64_t began = loop_now_us();
		size_t len;

		assert_int_equal(envelope_seal(&from, &m, 0, payload, sizeof payload, envelope,
		                     &header, &len, NULL),
		    AYNI_OK);
		seal_us[i] = (double)(loop_now_us() - began);
		began = loop_now_us();
		assert_int_equal(
		    envelope_open(&to, (struct span){envelope, sizeof envelope},
		        (struct span){header, len}, (struct span){payload, sizeof payload}, 1,
		        &opened, &why, NULL),
		    AYNI_OK);
		open_us[i] = (double)(loop_now_us() - began);
		began = loop_now_us();
		hash_bytes(payload, sizeof payload, &h);
		hash_us[i] = (double)(loop_now_us() - began);
		message_free(opened);
		free(header);
	}
	printf("a unit of %d bytes: sealed in %.0f us, opened in %.0f us; of each, its hash %.0f\n",
	    ACTIVATION_BYTES, median(seal_us, ROUNDS), median(open_us, ROUNDS),
	    median(hash_us, ROUNDS));
	identity_free(pool);
	identity_free(donor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages_there_and_back), cmocka_unit_test(signing_and_checking)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
