/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's connection to its pool, as a member, and the requests that run over it. It joins
 * by itself, again and again; while the pool is lost, running requests wait for it, up to
 * CLIENT_REJOIN_S, and then go on behind what was drawn (node/request.h). One thread, the loop's;
 * events come from within the loop, never from within a call here.
 */
#ifndef AYNI_NODE_GATEWAY_BACKEND_H
#define AYNI_NODE_GATEWAY_BACKEND_H

#include "node/loop.h"
#include "protocol/messages.h"

struct backend;
struct backend_request;

struct backend_events {
	void (*piece)(void *context, const struct msg_piece *p);
	/* The last event: the request is gone. */
	void (*end)(void *context, const struct msg_finished *f);
};

struct backend_options {
	const char *pool; /* invite */
	const char *key_path;
	uint32_t max_requests;
	/* An answer to backend_want_status; NULL: the pool is not there. */
	void (*status)(void *context, const struct msg_status *s);
	void *context;
};

int backend_new(
    struct loop *l, const struct backend_options *o, struct backend **out, struct error *err);
void backend_free(struct backend *b); /* requests are forgotten without an event */

bool backend_joined(const struct backend *b);
size_t backend_running(const struct backend *b);
/* Why the loop was stopped: the pool does not admit this member. AYNI_OK: it was not. */
int backend_verdict(const struct backend *b, struct error *err);

/*
 * What `g` points to must live until the end. AYNI_ERR_AGAIN: the pool is not there, or too many
 * requests run; any other error: it cannot be sent as it is.
 */
int backend_ask(struct backend *b, const struct msg_generate *g, const struct backend_events *e,
    void *context, struct backend_request **out, struct error *err);
/* Nothing more is wanted; its end will tell what it took. */
void backend_cancel(struct backend *b, struct backend_request *r);
/* The same, and no event comes any more. NULL is fine. */
void backend_drop(struct backend *b, struct backend_request *r);

/* Ask the pool how it stands; several wishes are one question. False: it is not there. */
bool backend_want_status(struct backend *b);

#endif
