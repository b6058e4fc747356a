/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/transport.h"

#include "protocol/zap.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <zmq.h>

enum {
	/* Messages. Memory a peer can make us hold is this many of theirs; TCP then holds them
	   back. */
	QUEUE_SEND_MESSAGES = 256,
	QUEUE_RECEIVE_MESSAGES = 32,
	/*
	 * The longest payload, and what CURVE adds to a frame (33 bytes). libzmq ends a connection
	 * on which more comes.
	 */
	FRAME_LIMIT_BYTES = LIMIT_PAYLOAD_BYTES + 64,
	/* Longer than any version's envelope is likely to be: envelope.c tells versions apart. */
	ENVELOPE_LIMIT_BYTES = 1024,
	HANDSHAKE_MS = 10000,
	RECONNECT_FIRST_MS = 100,
	RECONNECT_MAX_MS = 10000,
	/*
	 * A dead machine is noticed by TCP: probes when idle, a bound on unacknowledged bytes when
	 * not. ZMTP pings keep NAT mappings alive; their timeout is long, because an answer to a
	 * ping waits behind a payload of 64 MiB on its way over a slow line.
	 */
	TCP_IDLE_S = 15,
	TCP_PROBE_S = 5,
	TCP_PROBES = 3,
	TCP_UNACKED_MS = 60000,
	PING_MS = 30000,
	PING_TIMEOUT_MS = 300000,
	/* Routing ids that libzmq makes itself: a zero and four bytes. Ours never choose their own.
	 */
	ROUTE_BYTES = 5,
	ENDPOINT_BYTES = 512,
	HOST_BYTES = 256,
	MESSAGE_FRAMES_MAX = 3
};

struct transport {
	void *context;
	void *socket;
	void *zap; /* server only */
	bool is_server;
	int fd, zap_fd;
	transport_admit_fn *admit;
	void *admit_context;
	char endpoint[ENDPOINT_BYTES];
};

/* What span fields of struct transport_parts point into. */
struct received {
	zmq_msg_t frames[MESSAGE_FRAMES_MAX];
	int n_frames;
};

bool route_equal(const struct route *a, const struct route *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

int transport_fd(const struct transport *t)
{
	return t->fd;
}

int transport_admission_fd(const struct transport *t)
{
	return t->zap_fd;
}

const char *transport_endpoint(const struct transport *t)
{
	return t->endpoint;
}

/* ---- sockets ------------------------------------------------------------------------------ */

static int system_error(struct error *err, const char *endpoint, const char *what)
{
	return error_set(
	    err, AYNI_ERR_IO, "transport: %s: %s: %s", endpoint, what, zmq_strerror(errno));
}

/*
 * The host of "tcp://host:port", without brackets. *ipv6 says whether they were there.
 */
static int split_endpoint(const char *endpoint, char host[HOST_BYTES], bool *ipv6)
{
	const char *at = endpoint, *colon = strrchr(endpoint, ':');
	size_t len;

	if (strncmp(at, "tcp://", 6) != 0 || strlen(endpoint) >= ENDPOINT_BYTES || colon < at + 6)
		return AYNI_ERR_ARGUMENT;
	at += 6;
	*ipv6 = *at == '[';
	if (*ipv6 && (colon[-1] != ']' || colon - at < 3))
		return AYNI_ERR_ARGUMENT;
	if (*ipv6)
		at++;
	len = (size_t)(colon - at) - (*ipv6 ? 1 : 0);
	if (len == 0 || len >= HOST_BYTES)
		return AYNI_ERR_ARGUMENT;
	memcpy(host, at, len);
	host[len] = '\0';
	return AYNI_OK;
}

/*
 * libzmq takes the first address of a name and, told to use IPv6, prefers that: a name with both
 * kinds of address would be lost on a machine without IPv6 routes. So a name that has an IPv4
 * address here is dialled by it.
 */
static bool wants_ipv6(const char *host, bool bracketed)
{
	struct addrinfo hints = {
	    .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found = NULL;
	int rc;

	if (bracketed)
		return true;
	rc = getaddrinfo(host, NULL, &hints, &found);
	if (found != NULL)
		freeaddrinfo(found);
	return rc != 0;
}

struct option {
	int name;
	int value;
};

static int set_options(void *socket, const struct option *options, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (zmq_setsockopt(
		        socket, options[i].name, &options[i].value, sizeof options[i].value) != 0)
			return -1;
	return 0;
}

static int set_common_options(void *socket, bool ipv6)
{
	const struct option options[] = {
	    {ZMQ_IPV6, ipv6},
	    {ZMQ_SNDHWM, QUEUE_SEND_MESSAGES},
	    {ZMQ_RCVHWM, QUEUE_RECEIVE_MESSAGES},
	    {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
	    {ZMQ_RECONNECT_IVL, RECONNECT_FIRST_MS},
	    {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
	    {ZMQ_TCP_KEEPALIVE, 1},
	    {ZMQ_TCP_KEEPALIVE_IDLE, TCP_IDLE_S},
	    {ZMQ_TCP_KEEPALIVE_INTVL, TCP_PROBE_S},
	    {ZMQ_TCP_KEEPALIVE_CNT, TCP_PROBES},
	    {ZMQ_TCP_MAXRT, TCP_UNACKED_MS},
	    {ZMQ_HEARTBEAT_IVL, PING_MS},
	    {ZMQ_HEARTBEAT_TIMEOUT, PING_TIMEOUT_MS},
	    {ZMQ_HEARTBEAT_TTL, PING_TIMEOUT_MS},
	    {ZMQ_LINGER, 0},
	};
	const int64_t frame_limit = FRAME_LIMIT_BYTES;

	if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_limit, sizeof frame_limit) != 0)
		return -1;
	return set_options(socket, options, sizeof options / sizeof options[0]);
}

/* Our own CURVE key pair; libsodium's bytes wiped from this stack. */
static int set_own_keys(void *socket, const struct identity *self)
{
	uint8_t public_half[CURVE_KEY_BYTES], secret[CURVE_KEY_BYTES];
	int rc = identity_curve_secret(self, secret);

	if (rc == AYNI_OK)
		rc = identity_curve_public(identity_public(self), public_half);
	if (rc == AYNI_OK &&
	    (zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, sizeof secret) != 0 ||
	        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public_half, sizeof public_half) != 0))
		rc = AYNI_ERR_IO;
	explicit_bzero(secret, sizeof secret);
	return rc;
}

/* A transport with a configured socket that neither listens nor connects yet. */
static int transport_new(const struct identity *self, const char *endpoint, int socket_type,
    bool ipv6, struct transport **out, struct error *err)
{
	struct transport *t = calloc(1, sizeof *t);

	if (t == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "transport: no memory");
	t->fd = -1;
	t->zap_fd = -1;
	t->is_server = socket_type == ZMQ_ROUTER;
	(void)snprintf(t->endpoint, sizeof t->endpoint, "%s", endpoint);
	t->context = zmq_ctx_new();
	if (t->context != NULL)
		t->socket = zmq_socket(t->context, socket_type);
	if (t->socket == NULL || set_common_options(t->socket, ipv6) != 0 ||
	    set_own_keys(t->socket, self) != AYNI_OK) {
		(void)system_error(err, endpoint, "cannot make a socket");
		transport_free(t, 0);
		return AYNI_ERR_IO;
	}
	*out = t;
	return AYNI_OK;
}

static int get_fd(void *socket)
{
	int fd = -1;
	size_t size = sizeof fd;

	return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0 ? fd : -1;
}

int transport_listen(const struct identity *self, const char *endpoint, transport_admit_fn *admit,
    void *context, struct transport **out, struct error *err)
{
	const struct option options[] = {
	    {ZMQ_ROUTER_MANDATORY, 1}, {ZMQ_ROUTER_HANDOVER, 0}, {ZMQ_CURVE_SERVER, 1}};
	char host[HOST_BYTES];
	struct transport *t;
	bool bracketed;
	size_t size;
	int rc;

	if (split_endpoint(endpoint, host, &bracketed) != AYNI_OK)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "transport: \"%.100s\" is not of the form tcp://host:port", endpoint);
	rc =
	    transport_new(self, endpoint, ZMQ_ROUTER, bracketed || strcmp(host, "*") == 0, &t, err);
	if (rc != AYNI_OK)
		return rc;
	t->admit = admit;
	t->admit_context = context;
	size = sizeof t->endpoint;
	if ((t->zap = zap_open(t->context)) == NULL ||
	    zmq_setsockopt(t->socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) != 0 ||
	    set_options(t->socket, options, sizeof options / sizeof options[0]) != 0)
		rc = system_error(err, endpoint, "cannot make a socket");
	else if (zmq_bind(t->socket, endpoint) != 0)
		rc = system_error(err, endpoint, "cannot listen");
	else if (zmq_getsockopt(t->socket, ZMQ_LAST_ENDPOINT, t->endpoint, &size) != 0)
		rc = system_error(err, endpoint, "cannot tell its port");
	t->fd = get_fd(t->socket);
	t->zap_fd = t->zap == NULL ? -1 : get_fd(t->zap);
	if (rc != AYNI_OK) {
		transport_free(t, 0);
		return rc;
	}
	*out = t;
	return AYNI_OK;
}

int transport_connect(const struct identity *self, const struct public_key *server,
    const char *endpoint, struct transport **out, struct error *err)
{
	uint8_t server_key[CURVE_KEY_BYTES];
	char host[HOST_BYTES];
	struct transport *t;
	bool bracketed;
	int rc;

	if (split_endpoint(endpoint, host, &bracketed) != AYNI_OK)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "transport: \"%.100s\" is not of the form tcp://host:port", endpoint);
	if (identity_curve_public(server, server_key) != AYNI_OK)
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "transport: %s: the server's key is none", endpoint);
	rc = transport_new(self, endpoint, ZMQ_DEALER, wants_ipv6(host, bracketed), &t, err);
	if (rc != AYNI_OK)
		return rc;
	if (zmq_setsockopt(t->socket, ZMQ_CURVE_SERVERKEY, server_key, sizeof server_key) != 0)
		rc = system_error(err, endpoint, "cannot make a socket");
	else if (zmq_connect(t->socket, endpoint) != 0)
		rc = system_error(err, endpoint, "cannot connect");
	t->fd = get_fd(t->socket);
	if (rc != AYNI_OK) {
		transport_free(t, 0);
		return rc;
	}
	*out = t;
	return AYNI_OK;
}

void transport_free(struct transport *t, int linger_ms)
{
	if (t == NULL)
		return;
	if (t->socket != NULL) {
		(void)zmq_setsockopt(t->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
		(void)zmq_close(t->socket);
	}
	if (t->zap != NULL)
		(void)zmq_close(t->zap);
	if (t->context != NULL)
		while (zmq_ctx_term(t->context) != 0 && errno == EINTR)
			;
	free(t);
}

/* ---- sending ------------------------------------------------------------------------------ */

enum { SEND_FRAMES_MAX = 1 + MESSAGE_FRAMES_MAX };

static int send_error(int code, struct error *err)
{
	if (code == EAGAIN)
		return error_set(err, AYNI_ERR_AGAIN, "transport: the peer's queue is full");
	if (code == EHOSTUNREACH)
		return error_set(err, AYNI_ERR_NOT_FOUND, "transport: the peer is gone");
	return error_set(err, AYNI_ERR_IO, "transport: cannot send: %s", zmq_strerror(code));
}

static int make_frame(zmq_msg_t *frame, const void *data, size_t len)
{
	if (zmq_msg_init_size(frame, len) != 0)
		return AYNI_ERR_MEMORY;
	if (len > 0)
		memcpy(zmq_msg_data(frame), data, len);
	return AYNI_OK;
}

/*
 * All frames exist before the first is sent, so that memory cannot run out in the middle. Where a
 * connection ends in the middle, libzmq forgets what it had of the message and swallows the rest of
 * it, which must still be given to it. Returns 0 or an errno; frames are closed either way.
 */
static int send_frames(void *socket, zmq_msg_t *frames, int n)
{
	int failure = 0;

	for (int i = 0; i < n; i++) {
		int flags = ZMQ_DONTWAIT | (i + 1 < n ? ZMQ_SNDMORE : 0), rc = -1;

		/* The first frame decides: after its failure nothing was begun. */
		while (failure == 0 || i > 0) {
			rc = zmq_msg_send(&frames[i], socket, flags);
			if (rc >= 0 || errno != EINTR)
				break;
		}
		if (rc >= 0)
			continue;
		if (failure == 0)
			failure = errno;
		if (i > 0)
			continue;
		break;
	}
	for (int i = 0; i < n; i++)
		(void)zmq_msg_close(&frames[i]);
	return failure;
}

int transport_send(struct transport *t, const struct route *to, struct span envelope,
    struct span header, struct span payload, struct error *err)
{
	const struct span parts[MESSAGE_FRAMES_MAX] = {envelope, header, payload};
	zmq_msg_t frames[SEND_FRAMES_MAX];
	int n = 0, rc = AYNI_OK;

	if ((to != NULL) != t->is_server)
		return error_set(err, AYNI_ERR_ARGUMENT, "transport: only a server sends by route");
	if (header.len > LIMIT_HEADER_BYTES || payload.len > LIMIT_PAYLOAD_BYTES)
		return error_set(err, AYNI_ERR_LIMIT, "transport: a frame is too long to send");
	if (to != NULL)
		rc = make_frame(&frames[n++], to->bytes, to->len);
	for (int i = 0; rc == AYNI_OK && i < MESSAGE_FRAMES_MAX; i++)
		rc = make_frame(&frames[n++], parts[i].data, parts[i].len);
	if (rc != AYNI_OK) {
		while (--n > 0)
			(void)zmq_msg_close(&frames[n - 1]);
		return error_set(err, rc, "transport: no memory to send");
	}
	rc = send_frames(t->socket, frames, n);
	return rc == 0 ? AYNI_OK : send_error(rc, err);
}

/* ---- receiving ---------------------------------------------------------------------------- */

static void received_free(struct received *r)
{
	if (r == NULL)
		return;
	for (int i = 0; i < r->n_frames; i++)
		(void)zmq_msg_close(&r->frames[i]);
	free(r);
}

void transport_parts_free(struct transport_parts *p)
{
	received_free(p->owner);
	memset(p, 0, sizeof *p);
}

/* Take the frame that begins a message at a server: whose it is. */
static void take_route(const zmq_msg_t *frame, struct route *route)
{
	size_t len = zmq_msg_size(frame);

	if (len != ROUTE_BYTES)
		return; /* a peer that chose its own: left at length 0, and refused */
	route->len = (uint8_t)len;
	memcpy(route->bytes, zmq_msg_data((zmq_msg_t *)(uintptr_t)frame), len);
}

/*
 * Take all frames of one message off the socket, keep the first three, and count them. *n_frames
 * counts without the route. Returns 0 or an errno.
 */
static int receive_frames(
    struct transport *t, struct received *r, struct route *route, size_t *n_frames)
{
	bool want_route = t->is_server;
	int more = 1;

	*n_frames = 0;
	while (more) {
		zmq_msg_t frame;

		(void)zmq_msg_init(&frame);
		while (zmq_msg_recv(&frame, t->socket, ZMQ_DONTWAIT) < 0) {
			if (errno == EINTR)
				continue;
			more = errno;
			(void)zmq_msg_close(&frame);
			return more;
		}
		more = zmq_msg_more(&frame);
		if (want_route) {
			take_route(&frame, route);
			want_route = false;
		} else if ((*n_frames)++ < MESSAGE_FRAMES_MAX) {
			(void)zmq_msg_init(&r->frames[r->n_frames]);
			(void)zmq_msg_move(&r->frames[r->n_frames++], &frame);
		}
		(void)zmq_msg_close(&frame);
	}
	return 0;
}

static struct span frame_span(struct received *r, int at)
{
	if (at >= r->n_frames)
		return (struct span){NULL, 0};
	return (struct span){zmq_msg_data(&r->frames[at]), zmq_msg_size(&r->frames[at])};
}

/* The key that the connection proved: the User-Id of our own answer to ZAP. */
static bool take_curve_key(struct received *r, uint8_t key[CURVE_KEY_BYTES])
{
	const char *user = r->n_frames == 0 ? NULL : zmq_msg_gets(&r->frames[0], "User-Id");

	return user != NULL && unhex32(user, key) == AYNI_OK;
}

static int check_shape(const struct transport *t, const struct transport_parts *p, bool has_key,
    size_t n_frames, struct error *err)
{
	if (n_frames < 2 || n_frames > MESSAGE_FRAMES_MAX)
		return error_set(
		    err, AYNI_ERR_FORMAT, "transport: a message of %zu frames", n_frames);
	if (t->is_server && (!has_key || p->route.len == 0))
		return error_set(
		    err, AYNI_ERR_FORMAT, "transport: a connection that chose its routing id");
	if (p->envelope.len > ENVELOPE_LIMIT_BYTES || p->header.len > LIMIT_HEADER_BYTES ||
	    p->payload.len > LIMIT_PAYLOAD_BYTES)
		return error_set(err, AYNI_ERR_LIMIT, "transport: a frame is past its limit");
	return AYNI_OK;
}

int transport_receive(struct transport *t, struct transport_parts *out, struct error *err)
{
	struct received *r;
	size_t n_frames;
	bool has_key;
	int rc;

	memset(out, 0, sizeof *out);
	if (t->is_server)
		zap_serve(t->zap, t->admit, t->admit_context);
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "transport: no memory to receive");
	rc = receive_frames(t, r, &out->route, &n_frames);
	if (rc != 0) {
		received_free(r);
		if (rc == EAGAIN)
			return AYNI_ERR_AGAIN;
		return error_set(
		    err, AYNI_ERR_IO, "transport: cannot receive: %s", zmq_strerror(rc));
	}
	has_key = take_curve_key(r, out->curve_key);
	if (r->n_frames > 0)
		out->address = zmq_msg_gets(&r->frames[0], "Peer-Address");
	out->envelope = frame_span(r, 0);
	out->header = frame_span(r, 1);
	out->payload = frame_span(r, 2);
	rc = check_shape(t, out, has_key, n_frames, err);
	if (rc != AYNI_OK) {
		received_free(r);
		out->envelope = out->header = out->payload = (struct span){NULL, 0};
		out->address = NULL;
		return rc;
	}
	out->owner = r;
	return AYNI_OK;
}
