/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "node/cli/cli.h"
#include "node/config.h"
#include "node/loop.h"
#include "protocol/invite.h"
#include "protocol/post.h"

enum {
	ANSWER_MS = 30000,
	SILENT_HEARTBEATS = 10, /* after so many without a word the pool is lost, */
	SILENT_S = 10,          /* but not before: a busy machine may keep both from speaking */
	REJOIN_S = 60,
	REJOIN_FIRST_MS = 200,
	REJOIN_MOST_MS = 5000
};

struct client {
	struct identity *identity;
	struct transport *transport;
	struct envelope_channel channel;
	struct invite invite;
	struct msg_welcome welcome;
	uint64_t heartbeat_at_us, heard_us;
	uint64_t clock_offset_ms;     /* pool's clock minus ours, modulo 2^64 */
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

int client_send(struct client *c, struct message *m, struct error *err)
{
	return post(&c->channel, c->transport, NULL, m, (struct span){0}, 0, err);
}

static int send_heartbeat(struct client *c, struct error *err)
{
	struct message m = {.type = MSG_HEARTBEAT};

	c->heartbeat_at_us = loop_now_us() + (uint64_t)c->welcome.heartbeat_ms * 1000;
	return client_send(c, &m, err);
}

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

static bool is_silent(const struct client *c, uint64_t now_us)
{
	uint64_t patience = (uint64_t)SILENT_HEARTBEATS * c->welcome.heartbeat_ms * 1000;

	if (patience < SILENT_S * UINT64_C(1000000))
		patience = SILENT_S * UINT64_C(1000000);
	return c->heard_us + patience < now_us;
}

/* Wait until the socket may have something, a heartbeat is due, or the time is over. */
static int wait(struct client *c, uint64_t until_us, struct error *err)
{
	struct pollfd fd = {.fd = transport_fd(c->transport), .events = POLLIN};
	uint64_t now = loop_now_us();
	uint64_t next = until_us;

	if (c->welcome.heartbeat_ms > 0) {
		if (c->heartbeat_at_us <= now) {
			int rc = send_heartbeat(c, err);

			return rc == AYNI_ERR_AGAIN ? AYNI_OK : rc;
		}
		next = c->heartbeat_at_us < next ? c->heartbeat_at_us : next;
		if (is_silent(c, now))
			return error_set(err, AYNI_ERR_IO,
			    "the pool has not been heard for a while: it may have stopped");
	}
	if (now >= until_us)
		return error_set(err, AYNI_ERR_TIMEOUT, "no answer in time");
	if (poll(&fd, 1, (int)((next - now) / 1000 + 1)) < 0)
		return errno == EINTR ? error_set(err, AYNI_ERR_TIMEOUT, "interrupted")
		                      : error_set(err, AYNI_ERR_IO, "poll: %s", strerror(errno));
	return AYNI_OK;
}

/* Of what was sent before the pool was joined again. */
static bool stale_refusal(const struct client *c)
{
	return c->welcome.heartbeat_ms == 0 && c->current->refusal.reason == REFUSAL_TYPE;
}

int client_receive(struct client *c, int timeout_ms, const struct message **out, struct error *err)
{
	uint64_t until = loop_now_us() + (uint64_t)timeout_ms * 1000;
	int rc;

	for (;;) {
		rc = take(c, err);
		if (rc == AYNI_ERR_AGAIN) {
			rc = wait(c, until, err);
			if (rc != AYNI_OK)
				return rc;
			continue;
		}
		if (rc != AYNI_OK)
			return rc;
		if (c->current->type == MSG_REFUSAL && c->current->refusal.reason == REFUSAL_TYPE &&
		    c->welcome.heartbeat_ms > 0)
			return error_set(
			    err, AYNI_ERR_IO, "the pool does not know this connection any more");
		if (c->current->type == MSG_REFUSAL && !stale_refusal(c))
			return error_set(err, AYNI_ERR_STATE, "the pool refused (%s): %.180s",
			    refusal_name(c->current->refusal.reason), c->current->refusal.text);
		if (c->current->type != MSG_HEARTBEAT && c->current->type != MSG_REFUSAL) {
			*out = c->current;
			return AYNI_OK;
		}
	}
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

static int join(struct client *c, int timeout_ms, struct error *err)
{
	struct message hello = {.type = MSG_HELLO};
	const struct message *m;
	int rc;

	hello.hello.role = ROLE_MEMBER;
	hello.hello.has_invite = c->invite.has_token;
	memcpy(hello.hello.invite, c->invite.token, sizeof c->invite.token);
	(void)snprintf(hello.hello.software, sizeof hello.hello.software, "ayni %s", AYNI_VERSION);
	rc = client_send(c, &hello, err);
	do {
		if (rc == AYNI_OK)
			rc = client_receive(c, timeout_ms, &m, err);
	} while (rc == AYNI_OK && m->type != MSG_WELCOME); /* it may still speak of before */
	if (rc == AYNI_ERR_TIMEOUT)
		return error_set(err, rc,
		    "no pool answers at %.100s:%u: is it running, and is the invite right?",
		    c->invite.host, c->invite.port);
	if (rc != AYNI_OK)
		return rc;
	c->welcome = m->welcome;
	c->clock_offset_ms = m->welcome.pool_time_ms - loop_wall_ms();
	return send_heartbeat(c, err);
}

/* The first wait is short: most often only this connection was lost. */
int client_rejoin(struct client *c, const volatile bool *stop, struct error *err)
{
	uint64_t until = loop_now_us() + REJOIN_S * UINT64_C(1000000);
	uint32_t wait_ms = REJOIN_FIRST_MS, random;
	int rc;

	do {
		random_bytes(&random, sizeof random);
		c->welcome.heartbeat_ms = 0; /* not joined */
		envelope_channel_init(
		    &c->channel, c->identity, &c->invite.pool, loop_wall_ms() * 1000);
		rc = join(c, (int)(wait_ms + random % wait_ms), err);
		wait_ms = 2 * wait_ms < REJOIN_MOST_MS ? 2 * wait_ms : REJOIN_MOST_MS;
	} while (rc == AYNI_ERR_TIMEOUT && loop_now_us() < until && (stop == NULL || !*stop));
	return rc;
}

int client_open(const char *invite, int timeout_ms, struct client **out, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 8], endpoint[INVITE_TEXT_BYTES];
	struct client *c = calloc(1, sizeof *c);
	struct error why = {0};
	int rc;

	if (c == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (invite_parse(invite, &c->invite, &why) != AYNI_OK) {
		rc = error_set(err, AYNI_ERR_ARGUMENT, "%.200s; ask for an invite again", why.text);
		goto out;
	}
	if ((rc = cli_key_path("member", path, sizeof path, err)) != AYNI_OK ||
	    (rc = identity_open(path, &c->identity, NULL, err)) != AYNI_OK ||
	    (rc = invite_endpoint(&c->invite, endpoint, sizeof endpoint)) != AYNI_OK ||
	    (rc = transport_connect(c->identity, &c->invite.pool, endpoint, &c->transport, err)) !=
	        AYNI_OK)
		goto out;
	envelope_channel_init(&c->channel, c->identity, &c->invite.pool, loop_wall_ms() * 1000);
	rc = join(c, timeout_ms, err);
out:
	if (rc == AYNI_OK)
		*out = c;
	else
		client_free(c);
	return rc;
}
