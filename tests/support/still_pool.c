/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/still_pool.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/loop.h"
#include "protocol/post.h"
#include "tests/support/network.h"

enum { MOST_STREAMS = 1024 };

struct still_pool {
	struct transport *transport;
	struct envelope_channel channel; /* of the one gateway */
	struct route route;
	uint64_t streams[MOST_STREAMS]; /* requests that go on */
	size_t n_streams;
};

static bool admit(void *context, const uint8_t key[CURVE_KEY_BYTES])
{
	(void)context;
	(void)key;
	return true;
}

static void say(struct still_pool *p, struct message *m)
{
	if (post(&p->channel, p->transport, &p->route, m, (struct span){0}, 0, NULL) != AYNI_OK)
		_exit(1);
}

static void say_word(struct still_pool *p, uint64_t request)
{
	struct message m = {.type = MSG_PIECE};
	uint32_t token = 1;

	m.piece.request = request;
	m.piece.text = (struct bytes){(uint8_t *)"word ", 5};
	m.piece.n_tokens = 1;
	m.piece.tokens = &token;
	say(p, &m);
}

static void say_end(struct still_pool *p, uint64_t request, enum finish_reason reason)
{
	struct message m = {.type = MSG_FINISHED};

	m.finished.request = request;
	m.finished.reason = reason;
	m.finished.prompt_tokens = m.finished.answer_tokens = 1;
	say(p, &m);
}

static void say_status(struct still_pool *p)
{
	struct status_model model = {.name = "still", .n_layers = 1};
	struct message m = {.type = MSG_STATUS};

	m.status.n_models = 1;
	m.status.models = &model;
	say(p, &m);
}

static void welcome(struct still_pool *p)
{
	struct message m = {.type = MSG_WELCOME};

	p->n_streams = 0;
	m.welcome.pool_time_ms = loop_wall_ms();
	m.welcome.heartbeat_ms = 60000;
	say(p, &m);
}

static void generate(struct still_pool *p, const struct msg_generate *g)
{
	say_word(p, g->request);
	if (g->max_tokens == 1)
		say_end(p, g->request, FINISH_LENGTH);
	else if (p->n_streams < MOST_STREAMS)
		p->streams[p->n_streams++] = g->request;
}

static void cancel(struct still_pool *p, uint64_t request)
{
	for (size_t i = 0; i < p->n_streams; i++) {
		if (p->streams[i] != request)
			continue;
		p->streams[i] = p->streams[--p->n_streams];
		say_end(p, request, FINISH_CANCELLED);
		return;
	}
}

static void answer(struct still_pool *p, const struct transport_parts *parts)
{
	struct message *m;
	enum refusal why;

	if (!route_equal(&p->route, &parts->route)) {
		p->route = parts->route;
		p->channel.peer_known = false;
		p->channel.last_received = 0;
	}
	if (envelope_open(&p->channel, parts->envelope, parts->header, parts->payload,
	        loop_wall_ms(), &m, &why, NULL) != AYNI_OK)
		_exit(1);
	if (m->type == MSG_HELLO)
		welcome(p);
	else if (m->type == MSG_GENERATE)
		generate(p, &m->generate);
	else if (m->type == MSG_CANCEL)
		cancel(p, m->cancel.request);
	else if (m->type == MSG_STATUS_QUERY)
		say_status(p);
	message_free(m);
}

static _Noreturn void serve(struct still_pool *p)
{
	struct pollfd fds[2] = {{.fd = transport_fd(p->transport), .events = POLLIN},
	    {.fd = transport_admission_fd(p->transport), .events = POLLIN}};
	uint64_t next_us = loop_now_us();

	for (;;) {
		struct transport_parts parts;
		uint64_t now_us = loop_now_us();

		while (transport_receive(p->transport, &parts, NULL) == AYNI_OK) {
			answer(p, &parts);
			transport_parts_free(&parts);
		}
		if (now_us >= next_us) {
			for (size_t i = 0; i < p->n_streams; i++)
				say_word(p, p->streams[i]);
			next_us = now_us + STILL_POOL_WORD_MS * 1000;
			continue; /* sending may have taken what came from the descriptor */
		}
		(void)poll(fds, 2, (int)((next_us - now_us) / 1000) + 1);
	}
}

pid_t still_pool_start(char invite[INVITE_TEXT_BYTES])
{
	struct still_pool *p = calloc(1, sizeof *p);
	struct invite ticket = {0};
	struct identity *self;
	pid_t child;

	assert_non_null(p);
	assert_int_equal(identity_generate(&self, NULL), AYNI_OK);
	ticket.port = (uint16_t)network_free_port();
	(void)snprintf(ticket.host, sizeof ticket.host, "127.0.0.1");
	ticket.pool = *identity_public(self);
	assert_int_equal(invite_format(&ticket, invite, INVITE_TEXT_BYTES, NULL), AYNI_OK);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char endpoint[INVITE_TEXT_BYTES];

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)invite_endpoint(&ticket, endpoint, sizeof endpoint);
		envelope_channel_init(&p->channel, self, NULL, 1);
		if (transport_listen(self, endpoint, admit, NULL, &p->transport, NULL) != AYNI_OK)
			_exit(1);
		serve(p);
	}
	identity_free(self);
	free(p);
	return child;
}
