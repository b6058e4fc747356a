/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP (RFC 9112) in front of a pool: libmicrohttpd without threads of its own, driven by the loop.
 * What it takes is bounded by struct http_limits; past them a client is refused or waits, and
 * others notice nothing. One thread, the loop's.
 */
#ifndef AYNI_NODE_GATEWAY_HTTP_H
#define AYNI_NODE_GATEWAY_HTTP_H

#include "node/gateway/backend.h"

struct http_limits {
	uint32_t connections; /* at once; more wait to be accepted */
	uint32_t idle_s;      /* a connection on which nothing moves so long is closed */
	size_t body_bytes;    /* of one request */
	size_t stream_bytes; /* of an answer that its reader has not taken: more ends the request */
};

struct http_options {
	const char *listen;     /* "127.0.0.1:11500", "[::1]:0" */
	const char *log_folder; /* served at /log/ as far as it is there; NULL: none */
	struct http_limits limits;
};

struct http;

/* Bound and listening when this returns; the options' strings are borrowed. */
int http_new(struct loop *l, const struct http_options *o, struct http **out, struct error *err);
void http_attach(struct http *h, struct backend *b); /* once, before the loop runs */
/* "127.0.0.1:43210": the port that it has now. */
const char *http_address(const struct http *h);
/* For struct backend_options. */
void http_status(void *http, const struct msg_status *s);
/* Open connections are closed; before the backend is freed. */
void http_free(struct http *h);

#endif
