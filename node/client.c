/* SPDX-License-Identifier: Apache-2.0 */
#include "node/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "node/config.h"
#include "node/loop.h"
#include "node/version.h"
#include "protocol/invite.h"
#include "protocol/post.h"

enum {
	ANSWER_MS = 30000,
	SILENT_HEARTBEATS = 10, /* after so many without a word the pool is lost, */
	SILENT_S = 10,          /* but not before: a busy machine may keep both from speaking */
	JOIN_FIRST_MS = 200,
	JOIN_MOST_MS = 5000
};

struct client {
	struct identity *identity;
	struct transport *transport;
	struct envelope_channel channel;
	struct invite invite;
	struct msg_welcome welcome; /* heartbeat_ms 0: not joined */
	uint64_t hello_at_us;       /* not joined: when Hello is said next, */
	uint32_t wait_ms;           /* and about how long after that again */
	uint64_t heartbeat_at_us, heard_us;
	uint64_t clock_offset_ms;     /* pool's clock minus ours, modulo 2^64 */
	enum refusal refusal;         /* of the last AYNI_ERR_STATE */
	struct transport_parts parts; /* of `current` */
	struct message *current;
};

static void release_current(struct client *c)
{
	message_free(c->current);
	c->current = NULL;
	transport_parts_free(&c->parts);
	memset(&c->parts, 0, sizeof c->parts);
}

void client_free(struct client *c)
{
	if (c == NULL)
		return;
	release_current(c);
	transport_free(c->transport, 200);
	identity_free(c->identity);
	free(c);
}

const char *client_pool_name(const struct client *c)
{
	return c->welcome.pool_name;
}

const struct public_key *client_pool_key(const struct client *c)
{
	return &c->invite.pool;
}

bool client_joined(const struct client *c)
{
	return c->welcome.heartbeat_ms > 0;
}

enum refusal client_refusal(const struct client *c)
{
	return c->refusal;
}

int client_fd(const struct client *c)
{
	return transport_fd(c->transport);
}

uint64_t client_wakes_us(const struct client *c)
{
	return client_joined(c) ? c->heartbeat_at_us : c->hello_at_us;
}

int client_send(struct client *c, struct message *m, struct error *err)
{
	return post(&c->channel, c->transport, NULL, m, (struct span){0}, 0, err);
}

/* ---- joining and staying ------------------------------------------------------------------ */

/* The first wait is short: most often only the connection was lost. */
static void join_anew(struct client *c)
{
	c->welcome.heartbeat_ms = 0;
	c->hello_at_us = loop_now_us();
	c->wait_ms = JOIN_FIRST_MS;
}

static int lose(struct client *c, struct error *err, const char *why)
{
	join_anew(c);
	return error_set(err, AYNI_ERR_IO, "%s", why);
}

static int say_hello(struct client *c, struct error *err)
{
	struct message hello = {.type = MSG_HELLO};
	uint32_t random;

	random_bytes(&random, sizeof random);
	c->hello_at_us = loop_now_us() + (uint64_t)(c->wait_ms + random % c->wait_ms) * 1000;
	c->wait_ms = 2 * c->wait_ms < JOIN_MOST_MS ? 2 * c->wait_ms : JOIN_MOST_MS;
	envelope_channel_init(&c->channel, c->identity, &c->invite.pool, loop_wall_ms() * 1000);
	hello.hello.role = ROLE_MEMBER;
	hello.hello.has_invite = c->invite.has_token;
	memcpy(hello.hello.invite, c->invite.token, sizeof c->invite.token);
	(void)snprintf(hello.hello.software, sizeof hello.hello.software, "ayni %s", AYNI_VERSION);
	return client_send(c, &hello, err);
}

static int send_heartbeat(struct client *c, struct error *err)
{
	struct message m = {.type = MSG_HEARTBEAT};

	c->heartbeat_at_us = loop_now_us() + (uint64_t)c->welcome.heartbeat_ms * 1000;
	return client_send(c, &m, err);
}

static bool is_silent(const struct client *c, uint64_t now_us)
{
	uint64_t patience = (uint64_t)SILENT_HEARTBEATS * c->welcome.heartbeat_ms * 1000;

	if (patience < SILENT_S * UINT64_C(1000000))
		patience = SILENT_S * UINT64_C(1000000);
	return c->heard_us + patience < now_us;
}

/* Say what is due: AYNI_OK, and the socket must be looked at again. AYNI_ERR_AGAIN: nothing is. */
static int tend(struct client *c, struct error *err)
{
	uint64_t now = loop_now_us();
	int rc;

	if (client_wakes_us(c) <= now) {
		rc = client_joined(c) ? send_heartbeat(c, err) : say_hello(c, err);
		if (rc != AYNI_ERR_AGAIN)
			return rc;
	}
	if (client_joined(c) && is_silent(c, now))
		return lose(c, err, "the pool has not been heard for a while: it may have stopped");
	return AYNI_ERR_AGAIN;
}

/* ---- receiving ---------------------------------------------------------------------------- */

/* Take one message off the socket. AYNI_ERR_AGAIN: none there. */
static int take(struct client *c, struct error *err)
{
	enum refusal why;
	int rc;

	release_current(c);
	rc = transport_receive(c->transport, &c->parts, err);
	if (rc != AYNI_OK)
		return rc;
	c->heard_us = loop_now_us();
	return envelope_open(&c->channel, c->parts.envelope, c->parts.header, c->parts.payload,
	    loop_wall_ms() + c->clock_offset_ms, &c->current, &why, err);
}

static int take_welcome(struct client *c, struct error *err)
{
	int rc;

	c->welcome = c->current->welcome;
	c->clock_offset_ms = c->welcome.pool_time_ms - loop_wall_ms();
	rc = send_heartbeat(c, err);
	return rc == AYNI_ERR_AGAIN ? AYNI_OK : rc;
}

/* AYNI_OK: it speaks of what was sent before the pool was joined again. */
static int take_refusal(struct client *c, struct error *err)
{
	const struct msg_refusal *r = &c->current->refusal;

	if (r->reason == REFUSAL_TYPE && client_joined(c))
		return lose(c, err, "the pool does not know this connection any more");
	if (r->reason == REFUSAL_TYPE)
		return AYNI_OK;
	c->refusal = r->reason;
	return error_set(
	    err, AYNI_ERR_STATE, "the pool refused (%s): %.180s", refusal_name(r->reason), r->text);
}

int client_next(struct client *c, const struct message **out, struct error *err)
{
	int rc;

	for (;;) {
		rc = take(c, err);
		if (rc == AYNI_ERR_AGAIN) {
			rc = tend(c, err);
			if (rc != AYNI_OK)
				return rc;
			continue;
		}
		if (rc == AYNI_OK && c->current->type == MSG_REFUSAL)
			rc = take_refusal(c, err);
		if (rc != AYNI_OK)
			return rc;
		switch (c->current->type) {
		case MSG_REFUSAL:
		case MSG_HEARTBEAT:
			break;
		case MSG_WELCOME:
			if (client_joined(c))
				break; /* to a Hello that was said twice */
			*out = c->current;
			return take_welcome(c, err);
		default:
			*out = c->current;
			return AYNI_OK;
		}
	}
}

int client_new(const char *invite, const char *key_path, struct client **out, struct error *err)
{
	char endpoint[INVITE_TEXT_BYTES];
	struct client *c = calloc(1, sizeof *c);
	struct error why = {0};
	int rc;

	if (c == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (invite_parse(invite, &c->invite, &why) != AYNI_OK) {
		rc = error_set(err, AYNI_ERR_ARGUMENT, "%.200s; ask for an invite again", why.text);
		goto out;
	}
	if ((rc = identity_open(key_path, &c->identity, NULL, err)) != AYNI_OK ||
	    (rc = invite_endpoint(&c->invite, endpoint, sizeof endpoint)) != AYNI_OK)
		goto out;
	rc = transport_connect(c->identity, &c->invite.pool, endpoint, &c->transport, err);
	join_anew(c);
out:
	if (rc == AYNI_OK)
		*out = c;
	else
		client_free(c);
	return rc;
}

/* ---- waiting ------------------------------------------------------------------------------ */

/* Until the socket may have something, or something is to be said, or the time is over. */
static int wait(struct client *c, uint64_t until_us, struct error *err)
{
	struct pollfd fd = {.fd = client_fd(c), .events = POLLIN};
	uint64_t now = loop_now_us();
	uint64_t next = client_wakes_us(c) < until_us ? client_wakes_us(c) : until_us;

	if (now >= until_us)
		return error_set(err, AYNI_ERR_TIMEOUT, "no answer in time");
	if (poll(&fd, 1, next > now ? (int)((next - now) / 1000 + 1) : 0) < 0)
		return errno == EINTR ? error_set(err, AYNI_ERR_TIMEOUT, "interrupted")
		                      : error_set(err, AYNI_ERR_IO, "poll: %s", strerror(errno));
	return AYNI_OK;
}

int client_receive(struct client *c, int timeout_ms, const struct message **out, struct error *err)
{
	uint64_t until = loop_now_us() + (uint64_t)timeout_ms * 1000;
	int rc;

	while ((rc = client_next(c, out, err)) == AYNI_ERR_AGAIN) {
		rc = wait(c, until, err);
		if (rc != AYNI_OK)
			break;
	}
	return rc;
}

int client_ask(struct client *c, struct message *question, enum message_type answer,
    const struct message **out, struct error *err)
{
	int rc = client_send(c, question, err);

	while (rc == AYNI_OK) {
		rc = client_receive(c, ANSWER_MS, out, err);
		if (rc == AYNI_OK && (*out)->type == answer)
			break;
	}
	return rc;
}

/* Until the pool says Welcome; it may still speak of before. */
static int wait_welcome(struct client *c, int timeout_ms, struct error *err)
{
	uint64_t until = loop_now_us() + (uint64_t)timeout_ms * 1000;
	const struct message *m;
	int rc = AYNI_OK;

	while (rc == AYNI_OK && !client_joined(c)) {
		uint64_t now = loop_now_us();

		rc = client_receive(c, until > now ? (int)((until - now) / 1000) : 0, &m, err);
	}
	if (rc == AYNI_ERR_TIMEOUT)
		return error_set(err, rc,
		    "no pool answers at %.100s:%u: is it running, and is the invite right?",
		    c->invite.host, c->invite.port);
	return rc;
}

int client_rejoin(struct client *c, const volatile bool *stop, struct error *err)
{
	enum { LOOK_MS = 500 };
	uint64_t until = loop_now_us() + CLIENT_REJOIN_S * UINT64_C(1000000);
	int rc;

	do {
		rc = wait_welcome(c, LOOK_MS, err);
	} while (rc == AYNI_ERR_TIMEOUT && loop_now_us() < until && (stop == NULL || !*stop));
	return rc;
}

int client_open(const char *invite, int timeout_ms, struct client **out, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 8];
	int rc = config_key_path("member", path, sizeof path, err);

	if (rc != AYNI_OK || (rc = client_new(invite, path, out, err)) != AYNI_OK)
		return rc;
	rc = wait_welcome(*out, timeout_ms, err);
	if (rc != AYNI_OK) {
		client_free(*out);
		*out = NULL;
	}
	return rc;
}
