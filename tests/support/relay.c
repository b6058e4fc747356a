/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h> /* cmocka.h wants it first */

#include <cmocka.h>

#include "protocol/transport.h"
#include "tests/support/relay_damage.h"

enum { PATIENCE_MS = 120000, ENDPOINT_BYTES = 256 };

/* Parent to child: an order. Child to parent: its endpoint; then for each order an ORDER_TAKEN and
 * an ORDER_DONE. */
struct order {
	enum message_type type;
	uint32_t skip;
	enum relay_damage damage;
};
enum { ORDER_TAKEN = 't', ORDER_DONE = 'd' };

struct relay {
	pid_t pid;
	int link; /* SOCK_SEQPACKET */
	char endpoint[ENDPOINT_BYTES];
};

/* ---- the relay's own process -------------------------------------------------------------- */

struct child {
	int link;
	struct relay_keys keys;
	struct transport *donor_side, *pool_side;
	bool has_donor;
	struct route donor; /* where it was heard last */
	bool has_order;
	struct order order;
};

static _Noreturn void die(const char *what, const struct error *err)
{
	(void)fprintf(stderr, "relay: %s: %s\n", what, err->text);
	_exit(1);
}

static void tell(const struct child *c, const void *data, size_t len)
{
	if (send(c->link, data, len, MSG_NOSIGNAL) < 0)
		_exit(0); /* the test is gone */
}

static void take_order(struct child *c)
{
	const char taken = ORDER_TAKEN;
	ssize_t n = recv(c->link, &c->order, sizeof c->order, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof c->order) {
		transport_free(c->donor_side, 0);
		transport_free(c->pool_side, 0);
		_exit(0);
	}
	c->has_order = true;
	tell(c, &taken, 1);
}

static void damage(struct child *c, struct relayed *m)
{
	const char done = ORDER_DONE;
	struct error err = {0};
	struct frame f;

	if (!c->has_order || frame_parse(m->envelope, m->envelope_len, &f, NULL) != AYNI_OK ||
	    f.type != c->order.type || (c->order.skip > 0 && c->order.skip-- > 0))
		return;
	if (relayed_damage(m, c->order.damage, &c->keys, &err) != AYNI_OK)
		die("cannot damage a message", &err);
	c->has_order = false;
	tell(c, &done, 1);
}

static void pass_on(struct child *c, struct transport *to, const struct relayed *m)
{
	bool to_donor = to == c->donor_side;
	struct error err = {0};
	int rc;

	if (to_donor && !c->has_donor)
		return;
	rc = transport_send(to, to_donor ? &c->donor : NULL,
	    (struct span){m->envelope, m->envelope_len}, (struct span){m->header, m->header_len},
	    (struct span){m->payload, m->payload_len}, &err);
	if (rc != AYNI_OK && rc != AYNI_ERR_NOT_FOUND) /* a donor that is gone hears nothing */
		die("cannot pass a message on", &err);
}

/* One message from here to there. False: there is none. */
static bool relay_one(struct child *c, struct transport *from, struct transport *to)
{
	struct transport_parts parts;
	struct error err = {0};
	struct relayed m;
	int rc = transport_receive(from, &parts, &err);

	if (rc == AYNI_ERR_AGAIN)
		return false;
	if (rc != AYNI_OK)
		die("cannot receive", &err);
	if (from == c->donor_side) {
		c->donor = parts.route;
		c->has_donor = true;
	}
	relayed_copy(parts.envelope, parts.header, parts.payload, &m);
	transport_parts_free(&parts);
	damage(c, &m);
	pass_on(c, to, &m);
	if (m.twice)
		pass_on(c, to, &m);
	relayed_free(&m);
	return true;
}

static bool admit(void *context, const uint8_t curve_key[CURVE_KEY_BYTES])
{
	(void)context;
	(void)curve_key;
	return true;
}

static void open_sides(struct child *c, const struct relay_options *o)
{
	struct error err = {0};

	if (identity_read(o->pool_key, &c->keys.pool, &err) != AYNI_OK ||
	    identity_read(o->donor_key, &c->keys.donor, &err) != AYNI_OK ||
	    identity_generate(&c->keys.stranger, &err) != AYNI_OK ||
	    transport_listen(
	        c->keys.pool, "tcp://127.0.0.1:0", admit, NULL, &c->donor_side, &err) != AYNI_OK ||
	    transport_connect(c->keys.donor, identity_public(c->keys.pool), o->pool_endpoint,
	        &c->pool_side, &err) != AYNI_OK)
		die("cannot start", &err);
	tell(c, transport_endpoint(c->donor_side), strlen(transport_endpoint(c->donor_side)));
}

static _Noreturn void run(int link, const struct relay_options *o)
{
	struct child c = {.link = link};
	struct pollfd fds[4];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	open_sides(&c, o);
	fds[0] = (struct pollfd){.fd = link, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = transport_fd(c.donor_side), .events = POLLIN};
	fds[2] = (struct pollfd){.fd = transport_admission_fd(c.donor_side), .events = POLLIN};
	fds[3] = (struct pollfd){.fd = transport_fd(c.pool_side), .events = POLLIN};
	for (;;) {
		bool moved = true;

		while (moved) { /* the descriptors are edge-triggered: until both have nothing */
			take_order(&c);
			moved = relay_one(&c, c.donor_side, c.pool_side);
			moved = relay_one(&c, c.pool_side, c.donor_side) || moved;
		}
		(void)poll(fds, 4, -1);
	}
}

/* ---- the test's side ---------------------------------------------------------------------- */

static size_t hear(struct relay *r, void *data, size_t len)
{
	struct pollfd fd = {.fd = r->link, .events = POLLIN};
	ssize_t n;

	if (poll(&fd, 1, PATIENCE_MS) != 1)
		fail_msg("the relay waited in vain for a message to damage");
	n = recv(r->link, data, len, 0);
	if (n <= 0)
		fail_msg("the relay ended");
	return (size_t)n;
}

struct relay *relay_start(const struct relay_options *options)
{
	struct relay *r = calloc(1, sizeof *r);
	int ends[2];

	assert_non_null(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	r->pid = fork();
	if (r->pid == 0) {
		(void)close(ends[0]);
		run(ends[1], options);
	}
	(void)close(ends[1]);
	r->link = ends[0];
	assert_true(r->pid > 0);
	(void)hear(r, r->endpoint, sizeof r->endpoint - 1);
	return r;
}

const char *relay_endpoint(const struct relay *r)
{
	return r->endpoint;
}

void relay_order(struct relay *r, enum message_type type, uint32_t skip, enum relay_damage damage)
{
	const struct order o = {type, skip, damage};
	char answer;

	assert_int_equal(send(r->link, &o, sizeof o, MSG_NOSIGNAL), sizeof o);
	assert_int_equal(hear(r, &answer, 1), 1);
	assert_int_equal(answer, ORDER_TAKEN);
}

void relay_wait(struct relay *r)
{
	char answer;

	assert_int_equal(hear(r, &answer, 1), 1);
	assert_int_equal(answer, ORDER_DONE);
}

bool relay_done(struct relay *r)
{
	struct pollfd fd = {.fd = r->link, .events = POLLIN};

	if (poll(&fd, 1, 0) != 1)
		return false;
	relay_wait(r);
	return true;
}

void relay_stop(struct relay *r)
{
	int status = 0;

	if (r == NULL)
		return;
	(void)close(r->link);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	free(r);
}
