/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/backend.h"

#include <stdlib.h>
#include <uthash.h>

#include "node/report.h"
#include "node/request.h"

struct backend_request {
	uint32_t number; /* the lower half of what the pool knows it by */
	struct request request;
	bool cancelled;
	uint32_t round; /* of its last walk */
	const struct backend_events *events;
	void *context;
	UT_hash_handle hh;
};

struct backend {
	struct loop *loop;
	struct backend_options options;
	struct client *client;
	struct backend_request *requests;
	uint32_t last_number;
	uint32_t round;
	bool status_asked;
	int verdict;
	struct error why;
};

/* ---- requests ----------------------------------------------------------------------------- */

static struct backend_request *find(struct backend *b, uint64_t request)
{
	uint32_t number = (uint32_t)request;
	struct backend_request *r = NULL;

	HASH_FIND(hh, b->requests, &number, sizeof number, r);
	return r;
}

static void forget(struct backend *b, struct backend_request *r)
{
	HASH_DEL(b->requests, r);
	request_free(&r->request);
	free(r);
}

static void end(struct backend *b, struct backend_request *r, const struct msg_finished *f)
{
	const struct backend_events *events = r->events;
	void *context = r->context;

	forget(b, r);
	events->end(context, f);
}

static void fail(
    struct backend *b, struct backend_request *r, enum finish_failure failure, const char *text)
{
	struct msg_finished f = {.reason = FINISH_FAILED, .failure = failure};

	(void)snprintf(f.text, sizeof f.text, "%s", text);
	end(b, r, &f);
}

/* The next that was not seen since the round was counted up: events may forget any of them. */
static struct backend_request *next_of_round(struct backend *b)
{
	for (struct backend_request *r = b->requests; r != NULL; r = r->hh.next) {
		if (r->round == b->round)
			continue;
		r->round = b->round;
		return r;
	}
	return NULL;
}

static void on_lost_for_long(void *context)
{
	struct backend *b = context;
	struct backend_request *r;

	b->round++;
	while ((r = next_of_round(b)) != NULL)
		fail(b, r, FAILURE_BUSY, "the pool is not there; try again later");
}

static void on_lost(struct backend *b, const char *why)
{
	struct backend_request *r;
	struct error err = {0};

	report(REPORT_WARNING, "%s", why);
	b->round++;
	while ((r = next_of_round(b)) != NULL) {
		struct msg_finished whole = {.reason = FINISH_LENGTH};

		if (r->cancelled || request_is_whole(&r->request))
			end(b, r, &whole);
		else if (request_lost(&r->request, &err) != AYNI_OK)
			fail(b, r, FAILURE_OTHER, err.text);
	}
	if (b->status_asked) {
		b->status_asked = false;
		b->options.status(b->options.context, NULL);
	}
	(void)loop_timer(b->loop, loop_now_us() + CLIENT_REJOIN_S * UINT64_C(1000000),
	    on_lost_for_long, b, NULL);
}

static void on_joined(struct backend *b)
{
	struct backend_request *r;
	struct error err = {0};

	report(REPORT_INFO, "joined \"%s\"", client_pool_name(b->client));
	(void)loop_timer(b->loop, 0, on_lost_for_long, b, NULL);
	b->round++;
	while ((r = next_of_round(b)) != NULL) {
		if (request_go_on(&r->request, b->client, &err) != AYNI_OK)
			fail(b, r, FAILURE_BUSY, err.text);
	}
}

/* ---- messages ----------------------------------------------------------------------------- */

static void take_answer(struct backend *b, const struct message *m)
{
	uint64_t number = m->type == MSG_PIECE ? m->piece.request : m->finished.request;
	struct backend_request *r = find(b, number);
	struct error err = {0};

	if (r == NULL || !request_is_of(&r->request, m))
		return; /* cancelled, or asked again since */
	if (m->type == MSG_FINISHED)
		end(b, r, &m->finished);
	else if (request_take(&r->request, &m->piece, &err) != AYNI_OK)
		fail(b, r, FAILURE_OTHER, err.text);
	else
		r->events->piece(r->context, &m->piece);
}

static void take(struct backend *b, const struct message *m)
{
	switch (m->type) {
	case MSG_WELCOME:
		on_joined(b);
		break;
	case MSG_PIECE:
	case MSG_FINISHED:
		take_answer(b, m);
		break;
	case MSG_DOUBT:
		report(REPORT_WARNING, "a donor of an earlier answer was found lying since: %s",
		    m->doubt.reason);
		break;
	case MSG_STATUS:
		b->status_asked = false;
		b->options.status(b->options.context, &m->status);
		break;
	default:
		report(REPORT_DEBUG, "the pool sent %s, which was not asked for",
		    message_name((uint16_t)m->type));
		break;
	}
}

static void on_error(struct backend *b, int rc, const struct error *err)
{
	if (rc == AYNI_ERR_IO) {
		on_lost(b, err->text);
	} else if (rc == AYNI_ERR_STATE && client_refusal(b->client) == REFUSAL_INVITE) {
		b->verdict = rc;
		b->why = *err;
		loop_stop(b->loop);
	} else {
		report(REPORT_WARNING, "%s", err->text);
	}
}

static void on_wake(void *context)
{
	(void)context; /* on_prepare does what is due */
}

/* What events made others want to do, they do in their own hooks: the loop must not wait then. */
static bool on_prepare(void *context)
{
	struct backend *b = context;
	const struct message *m;
	struct error err = {0};
	bool any = false;
	int rc;

	while ((rc = client_next(b->client, &m, &err)) != AYNI_ERR_AGAIN) {
		any = true;
		if (rc == AYNI_OK)
			take(b, m);
		else
			on_error(b, rc, &err);
		if (rc == AYNI_ERR_IO || b->verdict != AYNI_OK)
			break; /* a socket that only fails must not keep the loop from all else */
	}
	(void)loop_timer(b->loop, client_wakes_us(b->client), on_wake, b, NULL);
	return any;
}

/* ---- outside ------------------------------------------------------------------------------ */

int backend_new(
    struct loop *l, const struct backend_options *o, struct backend **out, struct error *err)
{
	struct backend *b = calloc(1, sizeof *b);
	int rc;

	if (b == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	b->loop = l;
	b->options = *o;
	if ((rc = client_new(o->pool, o->key_path, &b->client, err)) != AYNI_OK ||
	    (rc = loop_watch(l, client_fd(b->client), on_wake, b, err)) != AYNI_OK ||
	    (rc = loop_prepare(l, on_prepare, b, err)) != AYNI_OK) {
		backend_free(b);
		return rc;
	}
	*out = b;
	return AYNI_OK;
}

void backend_free(struct backend *b)
{
	struct backend_request *r, *next;

	if (b == NULL)
		return;
	HASH_ITER(hh, b->requests, r, next)
	forget(b, r);
	client_free(b->client);
	free(b);
}

bool backend_joined(const struct backend *b)
{
	return client_joined(b->client);
}

size_t backend_running(const struct backend *b)
{
	return HASH_COUNT(b->requests);
}

int backend_verdict(const struct backend *b, struct error *err)
{
	*err = b->why;
	return b->verdict;
}

int backend_ask(struct backend *b, const struct msg_generate *g, const struct backend_events *e,
    void *context, struct backend_request **out, struct error *err)
{
	struct msg_generate numbered = *g;
	struct backend_request *r;
	int rc;

	if (!client_joined(b->client))
		return error_set(err, AYNI_ERR_AGAIN, "the pool is not there; try again later");
	if (HASH_COUNT(b->requests) >= b->options.max_requests)
		return error_set(
		    err, AYNI_ERR_AGAIN, "too many requests run here; try again later");
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	do
		r->number = ++b->last_number;
	while (find(b, r->number) != NULL);
	r->round = b->round;
	r->events = e;
	r->context = context;
	numbered.request = r->number;
	rc = request_start(&r->request, &numbered, b->client, err);
	if (rc != AYNI_OK) {
		free(r);
		return rc;
	}
	HASH_ADD(hh, b->requests, number, sizeof r->number, r);
	*out = r;
	return AYNI_OK;
}

void backend_cancel(struct backend *b, struct backend_request *r)
{
	r->cancelled = true;
	(void)request_cancel(&r->request, b->client, NULL);
}

void backend_drop(struct backend *b, struct backend_request *r)
{
	if (r == NULL)
		return;
	backend_cancel(b, r);
	forget(b, r);
}

bool backend_want_status(struct backend *b)
{
	struct message m = {.type = MSG_STATUS_QUERY};

	if (!client_joined(b->client))
		return false;
	if (!b->status_asked)
		b->status_asked = client_send(b->client, &m, NULL) == AYNI_OK;
	return b->status_asked;
}
