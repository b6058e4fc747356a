/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the HTTP server share: http.c (daemon, connections), routes.c (which path is
 * what), exchange.c (a request to the pool and its answer), watch.c, page.c, files.c,
 * metrics.c.
 *
 * An exchange is one request of a connection:
 *
 *   BODY --read--> WAITING --the pool has said enough--> ANSWER or STREAM --> freed
 *
 * While nothing is to be done its connection is suspended: MHD does not look at it, so its socket
 * is watched here for the client to hang up.
 */
#ifndef AYNI_NODE_GATEWAY_HTTP_INTERNAL_H
#define AYNI_NODE_GATEWAY_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "node/gateway/api.h"
#include "node/gateway/http.h"

enum {
	RETRY_AFTER_S = 2,
	HEADER_BYTES = 16 << 10,       /* of a request, and its part of an answer under way */
	ALL_BODIES_BYTES = 256 << 20,  /* of all requests together */
	ANSWER_BYTES_MAX = 8 << 20,    /* of one that is not streamed */
	SOCKET_SEND_BYTES = 128 << 10, /* what the kernel keeps of a stream for a slow reader */
	WATCHERS_MAX = 64
};

enum exchange_state { EXCHANGE_BODY, EXCHANGE_WAITING, EXCHANGE_ANSWER, EXCHANGE_STREAM };

struct exchange;
struct page_file;

/* What a path is for. One of the functions is there. */
struct route {
	const char *path;
	bool is_prefix;
	const struct api *api;           /* POST: a question to the pool */
	void (*get)(struct exchange *x); /* GET: answers at once */
	/* GET: what the pool says of itself; NULL: it is not there. */
	void (*status)(struct exchange *x, const struct msg_status *s);
	void (*fault)(const struct fault *f, struct text *out);
};

struct slot {
	struct exchange *exchange;
	struct backend_request *request; /* NULL: it ended */
};

struct exchange {
	struct http *http;
	struct MHD_Connection *connection;
	int socket;
	const struct route *route; /* NULL: there is none */
	char *rest;                /* of the path, behind a prefix; owned */
	enum exchange_state state;
	bool suspended;
	bool gone; /* the client hung up */
	struct text body;
	size_t body_counted; /* of ALL_BODIES_BYTES */

	/* a question to the pool */
	struct job job;
	struct choice choices[JOB_CHOICES_MAX];
	struct slot slots[JOB_CHOICES_MAX];
	uint32_t n_open; /* slots */

	/* the answer */
	struct fault fault;           /* status not 0: instead of it */
	const char *content_type;     /* NULL: JSON */
	int file;                     /* instead of `out`; -1: none */
	const struct page_file *page; /* likewise; NULL: none */
	const char *cache_control;
	struct text out;
	size_t sent;                            /* of a stream's, by MHD */
	bool over;                              /* a stream's */
	struct exchange *prev, *next;           /* of all */
	struct exchange *wait_prev, *wait_next; /* of those that wait for the status, or watch it */
	bool waits_for_status, watches;
};

struct http_counts {
	uint64_t by_class[6]; /* answers with a status of 100 * i and above */
	uint64_t hung_up;     /* clients that did not wait for the end */
	uint64_t too_slow;
};

struct http {
	struct loop *loop;
	struct http_options options;
	struct backend *backend;
	struct MHD_Daemon *daemon;
	int listen_fd;
	int hangups; /* epoll: sockets of exchanges that wait */
	char address[80];
	struct exchange *exchanges, *waiters, *watchers;
	uint32_t n_watchers;
	bool watch_due; /* the next status is for those who watch, too */
	size_t bodies_bytes;
	struct http_counts counts;
};

/* ---- http.c ---- */
/* There is more to do for it: let MHD look at it again. */
void exchange_wake(struct exchange *x);
void exchange_suspend(struct exchange *x);
/* Of the request; NULL: it has none. */
const char *exchange_header(const struct exchange *x, const char *name);

/* ---- exchange.c ---- */
/* The body is there: ask the pool. Leaves a fault, or waits. */
void exchange_ask(struct exchange *x);
/* No more is wanted of the pool. */
void exchange_drop(struct exchange *x);
/* A reader of MHD_create_response_from_callback. */
ssize_t exchange_read(void *exchange, uint64_t position, char *to, size_t max);

/* ---- routes.c ---- */
/* Which route, or a fault. */
void route_find(struct exchange *x, const char *method, const char *path);

/* ---- watch.c ---- */
/* Begins a stream of events, or a fault. */
void watch_get(struct exchange *x);
void watch_end(struct exchange *x);
/* The pool has said how it stands; NULL: it is not there. */
void watch_status(struct http *h, const struct msg_status *s);

/* ---- page.c ---- */
/* A file of the page, or a fault. */
void page_get(struct exchange *x, const char *name);
/* Of a file of the page; `status` changes if its reader has it already. NULL: out of memory. */
struct MHD_Response *page_response(const struct exchange *x, unsigned *status);

/* ---- files.c ---- */
/* A file of a folder of immutable names into x->file, or a fault. */
void files_get(struct exchange *x, const char *folder, const char *name);

/* ---- metrics.c: Prometheus' text format, 0.0.4 ---- */
void metrics_write(const struct http *h, const struct msg_status *s, struct text *out);

#endif
