/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages over ZeroMQ: ROUTER at the pool, DEALER at peers, CURVE on every connection (RFC 7748
 * keys derived from the identities), ZAP (ZeroMQ RFC 27) to admit or refuse a key before any
 * message. Knows frames and connections, not what they mean; checks the number and size of frames.
 *
 * One loop thread. A transport gives a descriptor to poll for reading; it is edge-triggered, so
 * before waiting the loop calls transport_receive until it says AYNI_ERR_AGAIN, and does so again
 * after it has sent. Queues are bounded: sending to a peer that does not read gives AYNI_ERR_AGAIN.
 */
#ifndef AYNI_PROTOCOL_TRANSPORT_H
#define AYNI_PROTOCOL_TRANSPORT_H

#include "protocol/frame.h"
#include "protocol/identity.h"

enum { ROUTE_BYTES_MAX = 16 };

/* A connection at the server: ZeroMQ's routing id. Zero length at a client. */
struct route {
	uint8_t len;
	uint8_t bytes[ROUTE_BYTES_MAX];
};

/* One received message. transport_parts_free releases it. */
struct transport_parts {
	struct route route;
	uint8_t curve_key[CURVE_KEY_BYTES]; /* server: proven by the connection */
	const char *address;                /* server: the peer's, as numbers; NULL: not known */
	struct span envelope, header, payload;
	void *owner;
};

struct transport;

/* May a peer with this Curve25519 key connect at all? Called in the loop's thread. */
typedef bool transport_admit_fn(void *context, const uint8_t curve_key[CURVE_KEY_BYTES]);

/* `endpoint` "tcp://host:port"; port 0 or * takes a free one, transport_endpoint tells which. */
int transport_listen(const struct identity *self, const char *endpoint, transport_admit_fn *admit,
    void *context, struct transport **out, struct error *err);
/*
 * Connects in the background and again after failures, with backoff; what was not sent when a
 * connection broke goes out over the next, which the server sees as another route. Once the server
 * refuses this key (admit), libzmq does not try again: free this transport and make another.
 * A name is looked up here, which may take the resolver's time.
 */
int transport_connect(const struct identity *self, const struct public_key *server,
    const char *endpoint, struct transport **out, struct error *err);
/* Sends what is queued for at most linger_ms. */
void transport_free(struct transport *t, int linger_ms);

int transport_fd(const struct transport *t);
/* A second descriptor to poll (the server's ZAP socket), or -1; any event: call transport_receive.
 */
int transport_admission_fd(const struct transport *t);
const char *transport_endpoint(const struct transport *t);

/*
 * Copies the frames; all of them are sent, or none. `to` is NULL at a client. AYNI_ERR_NOT_FOUND if
 * the peer is gone.
 */
int transport_send(struct transport *t, const struct route *to, struct span envelope,
    struct span header, struct span payload, struct error *err);
/*
 * AYNI_ERR_AGAIN: nothing there. AYNI_ERR_FORMAT or AYNI_ERR_LIMIT: a message of wrong shape was
 * dropped (out->route and curve_key tell from whom); go on receiving.
 */
int transport_receive(struct transport *t, struct transport_parts *out, struct error *err);
void transport_parts_free(struct transport_parts *p);

bool route_equal(const struct route *a, const struct route *b);

#endif
