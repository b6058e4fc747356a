/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/http_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "protocol/identity.h"

#include "node/address.h"
#include "node/descriptors.h"
#include "node/report.h"

/* ---- clients that hang up ----------------------------------------------------------------- */

static void watch_socket(struct exchange *x)
{
	struct epoll_event e = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = x};

	if (epoll_ctl(x->http->hangups, EPOLL_CTL_ADD, x->socket, &e) != 0)
		report(REPORT_WARNING, "a client's socket cannot be watched: %s", strerror(errno));
}

static void on_hangup(void *context)
{
	struct http *h = context;
	struct epoll_event events[64];
	int n = epoll_wait(h->hangups, events, sizeof events / sizeof *events, 0);

	for (int i = 0; i < n; i++) {
		struct exchange *x = events[i].data.ptr; /* freed in MHD_run only, not here */

		if (x->gone)
			continue;
		x->gone = true;
		h->counts.hung_up += x->n_open > 0;
		exchange_drop(x);
		exchange_wake(x);
	}
}

void exchange_suspend(struct exchange *x)
{
	assert(!x->suspended);
	x->suspended = true;
	MHD_suspend_connection(x->connection);
}

void exchange_wake(struct exchange *x)
{
	if (!x->suspended)
		return;
	x->suspended = false;
	MHD_resume_connection(x->connection);
}

/* ---- answers ------------------------------------------------------------------------------ */

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
	(void)MHD_add_response_header(r, name, value);
}

static struct MHD_Response *make_response(struct exchange *x)
{
	struct MHD_Response *r = NULL;
	size_t len = x->out.len;

	if (x->state == EXCHANGE_STREAM)
		return MHD_create_response_from_callback(
		    MHD_SIZE_UNKNOWN, HEADER_BYTES / 2, exchange_read, x, NULL);
	if (x->file >= 0) {
		off_t size = lseek(x->file, 0, SEEK_END);

		if (size >= 0 && lseek(x->file, 0, SEEK_SET) == 0)
			r = MHD_create_response_from_fd64((uint64_t)size, x->file);
		if (r != NULL)
			x->file = -1; /* the response's now */
		return r;
	}
	r = MHD_create_response_from_buffer(len, x->out.data, MHD_RESPMEM_MUST_FREE);
	if (r != NULL)
		x->out = (struct text){0};
	return r;
}

static void write_fault(struct exchange *x)
{
	text_free(&x->out);
	x->content_type = NULL;
	x->cache_control = NULL;
	if (x->route != NULL && x->route->fault != NULL)
		x->route->fault(&x->fault, &x->out);
	else
		openai_fault(&x->fault, &x->out);
}

/* What the pool's log calls the answers, as far as that is known: all of them, mostly. */
static void name_sessions(const struct exchange *x, struct MHD_Response *r)
{
	char text[JOB_CHOICES_MAX * (PSEUDONYM_CHARS + 1)] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < x->job.n; i++) {
		char name[PSEUDONYM_CHARS];

		if (!pseudonym_is_set(&x->choices[i].session))
			continue;
		pseudonym_to_text(&x->choices[i].session, name);
		len += (size_t)snprintf(
		    text + len, sizeof text - len, "%s%s", len > 0 ? ", " : "", name);
	}
	if (len > 0)
		add_header(r, "Ayni-Session", text);
}

static enum MHD_Result respond(struct exchange *x)
{
	unsigned status = MHD_HTTP_OK;
	struct MHD_Response *r;
	enum MHD_Result sent;
	char seconds[16];

	x->http->bodies_bytes -= x->body_counted;
	x->body_counted = 0;
	text_free(&x->body);
	if (x->fault.status == 0 && x->out.failed)
		fault_set(&x->fault, 500, "out of memory");
	if (x->fault.status != 0 && x->state != EXCHANGE_STREAM) {
		status = (unsigned)x->fault.status;
		write_fault(x);
	}
	r = x->out.failed ? NULL : make_response(x);
	if (r == NULL)
		return MHD_NO;
	if (x->state == EXCHANGE_STREAM) {
		x->content_type = x->route->api->stream_type;
		add_header(r, "X-Accel-Buffering", "no"); /* nginx would hold it back */
	}
	add_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
	    x->content_type != NULL ? x->content_type : "application/json");
	add_header(r, MHD_HTTP_HEADER_CACHE_CONTROL,
	    x->cache_control != NULL ? x->cache_control : "no-store");
	name_sessions(x, r);
	add_header(r, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		add_header(r, MHD_HTTP_HEADER_ALLOW, x->route->api != NULL ? "POST" : "GET, HEAD");
	if (x->fault.retry && status != MHD_HTTP_OK) {
		(void)snprintf(seconds, sizeof seconds, "%d", RETRY_AFTER_S);
		add_header(r, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
	}
	x->http->counts.by_class[status / 100]++;
	sent = MHD_queue_response(x->connection, status, r);
	MHD_destroy_response(r);
	return sent;
}

/* ---- requests ----------------------------------------------------------------------------- */

static const char *header_of(const struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

/* A web page of another site may send, though not read, requests from its reader's browser. */
static bool is_of_other_site(const struct exchange *x)
{
	const char *origin = header_of(x, "Origin"), *host = header_of(x, "Host");
	const char *at = origin != NULL ? strstr(origin, "://") : NULL;

	return origin != NULL && (at == NULL || host == NULL || strcmp(at + 3, host) != 0);
}

static void refuse_large(struct exchange *x)
{
	fault_set(&x->fault, 413, "the body is longer than %zu bytes",
	    x->http->options.limits.body_bytes);
}

/* One that says how long it will be is refused before it comes. */
static bool is_announced_large(const struct exchange *x)
{
	const char *length = header_of(x, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return length != NULL && strtoull(length, NULL, 10) > x->http->options.limits.body_bytes;
}

static enum MHD_Result begin(struct http *h, struct MHD_Connection *connection, const char *method,
    const char *path, void **context)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct exchange *x = calloc(1, sizeof *x);

	if (x == NULL || info == NULL) {
		free(x);
		return MHD_NO;
	}
	x->http = h;
	x->connection = connection;
	x->socket = info->connect_fd;
	x->file = -1;
	*context = x;
	DL_APPEND(h->exchanges, x);
	watch_socket(x);
	route_find(x, method, path);
	if (x->fault.status == 0 && is_of_other_site(x))
		fault_set(&x->fault, 403, "requests of other sites' pages are not served");
	if (!is_announced_large(x))
		return MHD_YES;
	refuse_large(x);
	return respond(x);
}

static enum MHD_Result take_body(struct exchange *x, const char *data, size_t len)
{
	const struct http_limits *limits = &x->http->options.limits;
	bool wanted = x->fault.status == 0;

	x->body_counted += len;
	x->http->bodies_bytes += len;
	if (x->body_counted > 2 * limits->body_bytes)
		return MHD_NO; /* it would not end */
	if (wanted && x->body_counted > limits->body_bytes)
		refuse_large(x);
	else if (wanted && x->http->bodies_bytes > ALL_BODIES_BYTES)
		fault_set(&x->fault, 503, "too much is being sent here; try again later");
	else if (wanted)
		text_add(&x->body, data, len);
	if (x->body.failed)
		fault_set(&x->fault, 500, "out of memory");
	return MHD_YES;
}

static void wait_for_status(struct exchange *x)
{
	if (!backend_want_status(x->http->backend)) {
		x->route->status(x, NULL);
		return;
	}
	x->state = EXCHANGE_WAITING;
	x->waits_for_status = true;
	DL_APPEND2(x->http->waiters, x, wait_prev, wait_next);
}

void http_status(void *http, const struct msg_status *s)
{
	struct http *h = http;
	struct exchange *x, *next;

	DL_FOREACH_SAFE2(h->waiters, x, next, wait_next)
	{
		DL_DELETE2(h->waiters, x, wait_prev, wait_next);
		x->waits_for_status = false;
		x->state = EXCHANGE_ANSWER;
		x->route->status(x, s);
		exchange_wake(x);
	}
}

static enum MHD_Result go_on(struct exchange *x)
{
	if (x->gone)
		return MHD_NO;
	if (x->state == EXCHANGE_BODY && x->fault.status == 0) {
		if (x->route->api != NULL)
			exchange_ask(x);
		else if (x->route->status != NULL)
			wait_for_status(x);
		else
			x->route->get(x);
	}
	if (x->state != EXCHANGE_WAITING)
		return respond(x);
	exchange_suspend(x);
	return MHD_YES;
}

static enum MHD_Result on_request(void *http, struct MHD_Connection *connection, const char *path,
    const char *method, const char *version, const char *data, size_t *len, void **context)
{
	struct exchange *x = *context;
	size_t n = *len;

	(void)version;
	if (x == NULL)
		return begin(http, connection, method, path, context);
	*len = 0;
	return n > 0 ? take_body(x, data, n) : go_on(x);
}

static void on_completed(void *http, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode code)
{
	struct http *h = http;
	struct exchange *x = *context;

	(void)connection;
	(void)code;
	if (x == NULL)
		return;
	*context = NULL;
	exchange_drop(x);
	(void)epoll_ctl(h->hangups, EPOLL_CTL_DEL, x->socket, NULL);
	if (x->waits_for_status)
		DL_DELETE2(h->waiters, x, wait_prev, wait_next);
	DL_DELETE(h->exchanges, x);
	h->bodies_bytes -= x->body_counted;
	for (uint32_t i = 0; i < JOB_CHOICES_MAX; i++) {
		text_free(&x->choices[i].answer);
		text_free(&x->choices[i].reasoning);
		text_free(&x->choices[i].held);
		for (int k = 0; k < TOKEN_TEXTS; k++)
			text_free(&x->choices[i].tokens[k]);
		token_list_free(&x->choices[i].waiting);
		tool_calls_free(&x->choices[i].calls);
	}
	if (x->file >= 0)
		(void)close(x->file);
	job_free(&x->job);
	text_free(&x->body);
	text_free(&x->out);
	free(x->rest);
	free(x);
}

/* ---- the daemon --------------------------------------------------------------------------- */

static void on_wake(void *context)
{
	(void)context; /* on_prepare runs it */
}

static bool on_prepare(void *context)
{
	struct http *h = context;
	MHD_UNSIGNED_LONG_LONG wait_ms = 0;
	bool waits;

	(void)MHD_run(h->daemon);
	waits = MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES;
	if (waits && wait_ms == 0)
		return true;
	(void)loop_timer(h->loop, waits ? loop_now_us() + wait_ms * 1000 : 0, on_wake, h, NULL);
	return false;
}

static void name_address(struct http *h)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	char host[64] = "", port[8] = "";

	if (getsockname(h->listen_fd, (struct sockaddr *)&at, &len) == 0)
		(void)getnameinfo((struct sockaddr *)&at, len, host, sizeof host, port, sizeof port,
		    NI_NUMERICHOST | NI_NUMERICSERV);
	(void)snprintf(h->address, sizeof h->address,
	    strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

static int open_socket(struct http *h, struct error *err)
{
	static const int yes = 1, bytes = SOCKET_SEND_BYTES;
	struct addrinfo *at = NULL;
	int rc = address_resolve(h->options.listen, &at, err);

	if (rc != AYNI_OK)
		return rc;
	h->listen_fd =
	    socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
	/* accepted sockets inherit these */
	if (h->listen_fd < 0 ||
	    setsockopt(h->listen_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
	    setsockopt(h->listen_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) != 0 ||
	    bind(h->listen_fd, at->ai_addr, at->ai_addrlen) != 0 ||
	    listen(h->listen_fd, SOMAXCONN) != 0)
		rc = error_set(err, AYNI_ERR_IO, "cannot listen at %.80s: %s", h->options.listen,
		    strerror(errno));
	freeaddrinfo(at);
	if (rc == AYNI_OK)
		name_address(h);
	return rc;
}

__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *fmt, va_list ap)
{
	char line[256];

	(void)context;
	(void)vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	report(REPORT_DEBUG, "%s", line);
}

static int start_daemon(struct http *h, struct error *err)
{
	const union MHD_DaemonInfo *epoll;

	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
	    0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, h->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)h->options.limits.connections,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)h->options.limits.idle_s,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES, MHD_OPTION_END);
	if (h->daemon == NULL)
		return error_set(err, AYNI_ERR_IO, "the HTTP server does not start");
	h->listen_fd = -1; /* the daemon's now */
	epoll = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (epoll == NULL)
		return error_set(err, AYNI_ERR_UNSUPPORTED, "the HTTP server has no epoll");
	return loop_watch(h->loop, epoll->epoll_fd, on_wake, h, err);
}

int http_new(struct loop *l, const struct http_options *o, struct http **out, struct error *err)
{
	struct http *h = calloc(1, sizeof *h);
	int rc;

	if (h == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	h->loop = l;
	h->options = *o;
	h->listen_fd = -1;
	h->hangups = epoll_create1(EPOLL_CLOEXEC);
	descriptors_raise(o->limits.connections);
	if (h->hangups < 0)
		rc = error_set(err, AYNI_ERR_IO, "epoll_create1: %s", strerror(errno));
	else if ((rc = open_socket(h, err)) == AYNI_OK && (rc = start_daemon(h, err)) == AYNI_OK &&
	         (rc = loop_watch(l, h->hangups, on_hangup, h, err)) == AYNI_OK)
		rc = loop_prepare(l, on_prepare, h, err);
	if (rc == AYNI_OK)
		*out = h;
	else
		http_free(h);
	return rc;
}

void http_attach(struct http *h, struct backend *b)
{
	h->backend = b;
}

const char *http_address(const struct http *h)
{
	return h->address;
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	for (struct exchange *x = h->exchanges; x != NULL; x = x->next) {
		x->gone = true;
		exchange_wake(x); /* MHD does not stop while one is suspended */
	}
	if (h->daemon != NULL)
		MHD_stop_daemon(h->daemon);
	if (h->listen_fd >= 0)
		(void)close(h->listen_fd);
	if (h->hangups >= 0)
		(void)close(h->hangups);
	free(h);
}
