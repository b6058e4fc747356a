/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways to other donors, over which results go to the next stage without the pool in between. The
 * pool names the two ends; one dials and probes, the other listens. CURVE proves who is there, and
 * every message is signed as between donor and pool.
 */
#include "node/donor/donor_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/address.h"
#include "node/donor/early.h"
#include "node/report.h"

enum {
	LINKS_MAX = 16,
	DIAL_AGAIN_US = 5000000,  /* and no more than LINKS_MAX in this time */
	LINK_SILENT_US = 3000000, /* or so many heartbeats, each of which is a probe: */
	LINK_SILENT_HEARTBEATS = 3,
	MESSAGES_AT_ONCE = 32, /* of one socket, before the pool has its turn again */
	SPARE_DESCRIPTORS = 24 /* libzmq ends the program where one is missing */
};

struct link {
	struct public_key donor;
	uint8_t curve_key[CURVE_KEY_BYTES];
	char address[ADDRESS_BYTES]; /* "": the other one dials */
	struct transport *dialled;
	struct route route; /* of the one that dialled; length 0: not heard of it */
	struct envelope_channel channel;
	bool up, told_down;
	uint64_t dialled_us, heard_us, round_trip_us;
	struct early_box early;
	struct seed_source seeds;
};

/* The first is the way to oneself, for the token that a donor goes on from. */
struct direct {
	struct transport *listener; /* NULL: other donors cannot reach this one */
	size_t early_bytes;
	uint64_t dials_since_us; /* counted since then: */
	unsigned dials;
	size_t n;
	struct link list[1 + LINKS_MAX];
};

static struct link *find(const struct donor *d, const struct public_key *donor)
{
	for (size_t i = 0; i < d->direct->n; i++) {
		if (public_key_equal(&d->direct->list[i].donor, donor))
			return &d->direct->list[i];
	}
	return NULL;
}

static struct link *find_curve(const struct donor *d, const uint8_t key[CURVE_KEY_BYTES])
{
	for (size_t i = 1; i < d->direct->n; i++) {
		if (memcmp(d->direct->list[i].curve_key, key, CURVE_KEY_BYTES) == 0)
			return &d->direct->list[i];
	}
	return NULL;
}

/* ---- what comes before its unit ----------------------------------------------------------- */

void direct_recall(struct donor *d, const struct transfer *from)
{
	struct link *l = find(d, &from->donor);
	struct early *e = l != NULL ? early_find(&l->early, from->ticket) : NULL;

	if (e == NULL)
		return;
	(void)units_handover(d, &l->donor, e->ticket, (struct span){e->data, e->len}, &e->hash);
	early_drop(e, &d->direct->early_bytes);
}

static void take_handover(
    struct donor *d, struct link *l, uint64_t ticket, struct span payload, const struct hash *hash)
{
	if (!units_handover(d, &l->donor, ticket, payload, hash))
		early_keep(&l->early, &d->direct->early_bytes, ticket, payload, hash);
}

/* ---- sending ------------------------------------------------------------------------------ */

static int send_to(struct donor *d, struct link *l, struct message *m, struct span payload)
{
	struct transport *t = l->dialled != NULL ? l->dialled : d->direct->listener;
	int rc;

	if (t == NULL || (l->dialled == NULL && l->route.len == 0))
		return AYNI_ERR_NOT_FOUND;
	rc = post(&l->channel, t, l->dialled != NULL ? NULL : &l->route, m, payload, 0, NULL);
	if (rc == AYNI_ERR_NOT_FOUND) { /* the one that dialled is gone */
		l->up = false;
		l->route.len = 0;
	}
	return rc;
}

int direct_hand_over(struct donor *d, const struct transfer *to, struct span payload)
{
	struct link *l = find(d, &to->donor);
	struct message m = {.type = MSG_HANDOVER};
	struct hash hash;

	if (l == NULL)
		return AYNI_ERR_NOT_FOUND;
	if (l == &d->direct->list[0]) {
		hash_bytes(payload.data, payload.len, &hash);
		take_handover(d, l, to->ticket, payload, &hash);
		return AYNI_OK;
	}
	if (!l->up)
		return AYNI_ERR_NOT_FOUND;
	m.handover.ticket = to->ticket;
	return send_to(d, l, &m, payload);
}

int direct_send(
    struct donor *d, const struct public_key *to, struct message *m, struct span payload)
{
	struct link *l = find(d, to);

	return l != NULL && l->up ? send_to(d, l, m, payload) : AYNI_ERR_NOT_FOUND;
}

struct seed_source *direct_source(struct donor *d, size_t *i, struct public_key *donor)
{
	while (++*i < d->direct->n) {
		struct link *l = &d->direct->list[*i];

		if (!l->up)
			continue;
		*donor = l->donor;
		return &l->seeds;
	}
	return NULL;
}

static void probe(struct donor *d, struct link *l)
{
	struct message m = {.type = MSG_HEARTBEAT};

	m.heartbeat.echo_us = loop_now_us();
	(void)send_to(d, l, &m, (struct span){0});
}

/* ---- dialling ----------------------------------------------------------------------------- */

static void hang_up(struct donor *d, struct link *l)
{
	if (l->dialled != NULL) {
		loop_unwatch(d->loop, transport_fd(l->dialled));
		transport_free(l->dialled, 0);
	}
	l->dialled = NULL;
	l->up = false;
}

static bool has_descriptors(void)
{
	int fds[SPARE_DESCRIPTORS], n = 0;
	bool all;

	while (n < SPARE_DESCRIPTORS && (fds[n] = dup(STDERR_FILENO)) >= 0)
		n++;
	all = n == SPARE_DESCRIPTORS;
	while (n > 0)
		(void)close(fds[--n]);
	return all;
}

/* Whatever the pool says: the addresses are its own choice. */
static bool may_dial(struct direct *s, uint64_t now_us)
{
	if (s->dials_since_us + DIAL_AGAIN_US < now_us) {
		s->dials_since_us = now_us;
		s->dials = 0;
	}
	return s->dials++ < LINKS_MAX && has_descriptors();
}

static void dial(struct donor *d, struct link *l)
{
	char endpoint[ADDRESS_BYTES + 8];
	struct error err = {0};

	hang_up(d, l);
	l->dialled_us = loop_now_us();
	if (!may_dial(d->direct, l->dialled_us))
		return;
	(void)snprintf(endpoint, sizeof endpoint, "tcp://%s", l->address);
	envelope_channel_init(&l->channel, d->identity, &l->donor, loop_wall_ms() * 1000);
	if (transport_connect(d->identity, &l->donor, endpoint, &l->dialled, &err) != AYNI_OK ||
	    loop_watch(d->loop, transport_fd(l->dialled), donor_readable, d, &err) != AYNI_OK) {
		report(REPORT_DEBUG, "%s", err.text);
		transport_free(l->dialled, 0);
		l->dialled = NULL;
		return;
	}
	probe(d, l);
}

static void tell_pool(struct donor *d, const struct link *l)
{
	struct message m = {.type = MSG_LINK_STATE};

	m.link_state.donor = l->donor;
	m.link_state.up = l->up;
	m.link_state.round_trip_us = l->round_trip_us;
	donor_send(d, &m, (struct span){0});
}

static bool is_silent(const struct donor *d, const struct link *l, uint64_t now_us)
{
	uint64_t us = LINK_SILENT_HEARTBEATS * (uint64_t)d->heartbeat_ms * 1000;

	return l->heard_us + (us > LINK_SILENT_US ? us : LINK_SILENT_US) < now_us;
}

/* The other end dials; it will again, if it still can. */
static void wait_for(const struct donor *d, struct link *l, uint64_t now_us)
{
	if (l->up && is_silent(d, l, now_us)) {
		l->up = false;
		l->route.len = 0;
	}
}

static void look_after(struct donor *d, struct link *l, uint64_t now_us)
{
	if (l->up && is_silent(d, l, now_us)) {
		report(REPORT_DEBUG, "the way to another donor is lost");
		l->up = false;
		tell_pool(d, l);
		dial(d, l);
	} else if (!l->up && l->dialled_us + DIAL_AGAIN_US < now_us) {
		if (!l->told_down)
			tell_pool(d, l);
		l->told_down = true;
		dial(d, l);
	} else {
		probe(d, l);
	}
}

void direct_tick(struct donor *d)
{
	uint64_t now = loop_now_us();

	for (size_t i = 1; i < d->direct->n; i++) {
		struct link *l = &d->direct->list[i];

		if (l->address[0] != '\0')
			look_after(d, l, now);
		else
			wait_for(d, l, now);
	}
}

/* ---- receiving ---------------------------------------------------------------------------- */

/* The one that dialled gets its own clock back, as the pool does from a donor. */
static void on_probe(struct donor *d, struct link *l, uint64_t echo_us, const struct route *route)
{
	struct message m = {.type = MSG_HEARTBEAT};
	uint64_t now = loop_now_us();

	l->heard_us = now;
	if (l->dialled == NULL) {
		l->route = *route;
		l->up = true;
		m.heartbeat.echo_us = echo_us;
		(void)send_to(d, l, &m, (struct span){0});
	} else if (!l->up && echo_us <= now) {
		report(REPORT_DEBUG, "another donor is reached directly");
		l->up = true;
		l->told_down = false;
		l->round_trip_us =
		    now - echo_us < LIMIT_ROUND_TRIP_US ? now - echo_us : LIMIT_ROUND_TRIP_US;
		tell_pool(d, l);
	}
}

static void receive_one(struct donor *d, struct link *l, struct transport_parts *parts)
{
	struct message *m = NULL;
	struct error err = {0};
	enum refusal why;

	if (l == NULL || envelope_open(&l->channel, parts->envelope, parts->header, parts->payload,
	                     donor_pool_ms(d), &m, &why, &err) != AYNI_OK) {
		donor_refuse(d, l == NULL ? REFUSAL_SIGNER : why, "from another donor", false);
		return;
	}
	switch (m->type) {
	case MSG_HEARTBEAT:
		on_probe(d, l, m->heartbeat.echo_us, &parts->route);
		break;
	case MSG_HANDOVER:
		take_handover(d, l, m->handover.ticket, m->payload, &m->handover.payload_hash);
		break;
	case MSG_BLOB_REQUEST:
		seeds_request(d, &l->donor, &m->blob_request);
		break;
	case MSG_BLOB:
		seeds_blob(d, &l->seeds, &m->blob, m->payload);
		break;
	default:
		donor_refuse(
		    d, REFUSAL_TYPE, "not a message for a donor to send to a donor", false);
		break;
	}
	message_free(m);
}

/* `l` NULL: the listener, where each message tells whose it is. True: there may be more. */
static bool drain(struct donor *d, struct transport *t, struct link *l)
{
	struct transport_parts parts;

	for (unsigned n = 0; n < MESSAGES_AT_ONCE; n++) {
		int rc = transport_receive(t, &parts, NULL);

		if (rc == AYNI_OK)
			receive_one(d, l != NULL ? l : find_curve(d, parts.curve_key), &parts);
		else if (rc == AYNI_ERR_FORMAT || rc == AYNI_ERR_LIMIT)
			donor_refuse(d, REFUSAL_SHAPE, "from another donor", false);
		else
			return n > 0; /* what was sent meanwhile may have hidden more */
		transport_parts_free(&parts);
	}
	return true;
}

bool direct_receive(struct donor *d)
{
	bool more = d->direct->listener != NULL && drain(d, d->direct->listener, NULL);

	for (size_t i = 1; i < d->direct->n; i++) {
		struct link *l = &d->direct->list[i];

		if (l->dialled != NULL && drain(d, l->dialled, l))
			more = true;
	}
	return more;
}

/* ---- what the pool wants ------------------------------------------------------------------ */

static void empty(struct donor *d, struct link *l)
{
	hang_up(d, l);
	early_empty(&l->early, &d->direct->early_bytes);
}

/* A new one; where there are too many, in place of the one that was heard of longest ago. */
static struct link *add(struct donor *d)
{
	struct direct *s = d->direct;
	struct link *l = &s->list[1];

	if (s->n <= LINKS_MAX)
		return &s->list[s->n++];
	for (size_t i = 2; i < s->n; i++)
		l = s->list[i].heard_us < l->heard_us ? &s->list[i] : l;
	l->up = false;
	if (l->address[0] != '\0')
		tell_pool(d, l); /* it is known here no more */
	empty(d, l);
	return l;
}

void direct_set(struct donor *d, const struct msg_link *m)
{
	struct link *l = find(d, &m->donor);

	if (strcmp(d->config->listen, "none") == 0 ||
	    (m->address[0] != '\0' && !address_is_numeric(m->address))) {
		tell_pool(d, &(struct link){.donor = m->donor}); /* not from here */
		return;
	}
	if (l == &d->direct->list[0]) {
		donor_refuse(d, REFUSAL_BOUNDS, "no way to another donor", true);
		return;
	}
	if (l != NULL && strcmp(l->address, m->address) == 0) { /* the pool knows it no more */
		l->told_down = false;
		if (l->up && l->address[0] != '\0')
			tell_pool(d, l);
		return;
	}
	l = l != NULL ? l : add(d);
	empty(d, l);
	memset(l, 0, sizeof *l);
	l->donor = m->donor;
	(void)identity_curve_public(&m->donor, l->curve_key);
	memcpy(l->address, m->address, sizeof l->address);
	if (l->address[0] != '\0')
		dial(d, l);
	else
		envelope_channel_init(&l->channel, d->identity, &l->donor, loop_wall_ms() * 1000);
}

void direct_forget(struct donor *d)
{
	for (size_t i = 0; i < d->direct->n; i++)
		empty(d, &d->direct->list[i]);
	d->direct->n = 1;
}

/* ---- life --------------------------------------------------------------------------------- */

static bool admit(void *context, const uint8_t curve_key[CURVE_KEY_BYTES])
{
	return find_curve(context, curve_key) != NULL;
}

/* The address of this machine that leads to the pool, with brackets if it needs them. */
static int own_address(const struct invite *pool, char out[INET6_ADDRSTRLEN + 2])
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	struct addrinfo *found = NULL;
	struct sockaddr_storage self = {0};
	socklen_t len = sizeof self;
	char port[8], host[INET6_ADDRSTRLEN] = "";
	int fd = -1, rc = AYNI_ERR_IO;

	(void)snprintf(port, sizeof port, "%u", pool->port);
	if (getaddrinfo(pool->host, port, &hints, &found) == 0)
		fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
	    getsockname(fd, (struct sockaddr *)&self, &len) == 0 &&
	    getnameinfo(
	        (struct sockaddr *)&self, len, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0)
		rc = AYNI_OK;
	if (rc == AYNI_OK)
		(void)snprintf(
		    out, INET6_ADDRSTRLEN + 2, self.ss_family == AF_INET6 ? "[%s]" : "%s", host);
	if (fd >= 0)
		(void)close(fd);
	if (found != NULL)
		freeaddrinfo(found);
	return rc;
}

static int listen_at(struct donor *d, const char *address, struct error *err)
{
	char endpoint[CONFIG_TEXT_BYTES];
	int rc;

	(void)snprintf(endpoint, sizeof endpoint, "tcp://%s", address);
	rc = transport_listen(d->identity, endpoint, admit, d, &d->direct->listener, err);
	if (rc == AYNI_OK)
		rc = loop_watch(d->loop, transport_fd(d->direct->listener), donor_readable, d, err);
	if (rc == AYNI_OK)
		rc = loop_watch(
		    d->loop, transport_admission_fd(d->direct->listener), donor_readable, d, err);
	return rc;
}

/* Where to listen by itself; nothing is lost where that cannot be. */
static int listen_auto(struct donor *d)
{
	char host[INET6_ADDRSTRLEN + 2], address[INET6_ADDRSTRLEN + 8];
	struct error err = {0};

	if (own_address(&d->invite, host) != AYNI_OK)
		return AYNI_OK;
	(void)snprintf(address, sizeof address, "%s:0", host);
	if (listen_at(d, address, &err) != AYNI_OK)
		report(REPORT_WARNING, "other donors cannot reach this one: %s", err.text);
	return AYNI_OK;
}

static int check_announced(const struct donor_config *c, struct error *err)
{
	bool all = strncmp(c->listen, "0.0.0.0:", 8) == 0 || strncmp(c->listen, "[::]:", 5) == 0 ||
	           c->listen[0] == '*';

	if (c->announce[0] != '\0' && !address_is_numeric(c->announce))
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "announce = %s: ADDRESS:PORT is wanted, with a numeric address", c->announce);
	if (all && c->announce[0] == '\0')
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "listen = %s: all addresses; say with announce = ADDRESS:PORT which of them "
		    "other donors are to use",
		    c->listen);
	return AYNI_OK;
}

int direct_open(struct donor *d, struct error *err)
{
	const struct donor_config *c = d->config;
	const char *bound;
	int rc;

	d->direct = calloc(1, sizeof *d->direct);
	if (d->direct == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	d->direct->n = 1;
	d->direct->list[0].donor = *identity_public(d->identity);
	if ((rc = check_announced(c, err)) != AYNI_OK || strcmp(c->listen, "none") == 0)
		return rc;
	if (strcmp(c->listen, "auto") == 0)
		rc = listen_auto(d);
	else
		rc = listen_at(d, c->listen, err);
	if (rc != AYNI_OK || d->direct->listener == NULL)
		return rc;
	bound = transport_endpoint(d->direct->listener) + strlen("tcp://");
	(void)snprintf(d->offer.address, sizeof d->offer.address, "%s",
	    c->announce[0] != '\0' ? c->announce : bound);
	report(REPORT_INFO, "other donors may reach this one at %s", d->offer.address);
	return AYNI_OK;
}

void direct_close(struct donor *d)
{
	if (d->direct == NULL)
		return;
	direct_forget(d);
	if (d->direct->listener != NULL)
		transport_free(d->direct->listener, 0);
	free(d->direct);
	d->direct = NULL;
}
