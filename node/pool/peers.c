/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/verify.h"

#include <stdlib.h>

#include "node/report.h"

static struct peer *find_by_route(struct pool *p, const struct route *route)
{
	struct route key = {.len = route->len}; /* no stray bytes behind the id */
	struct peer *peer = NULL;

	memcpy(key.bytes, route->bytes, route->len);
	HASH_FIND(by_route, p->peers_by_route, &key, sizeof key, peer);
	return peer;
}

struct peer *peer_by_number(struct pool *p, uint32_t number)
{
	struct peer *peer = NULL;

	HASH_FIND(by_number, p->peers_by_number, &number, sizeof number, peer);
	return peer;
}

static struct peer *add_peer(struct pool *p, const struct route *route)
{
	struct peer *peer;

	if (HASH_CNT(by_route, p->peers_by_route) >= MAX_PEERS)
		return NULL;
	peer = calloc(1, sizeof *peer);
	if (peer == NULL)
		return NULL;
	peer->number = p->next_peer++;
	peer->route.len = route->len;
	memcpy(peer->route.bytes, route->bytes, route->len);
	peer->donor = ROSTER_NONE;
	peer->heard_us = loop_now_us();
	/* the clock, so that numbers grow over restarts too */
	envelope_channel_init(&peer->channel, p->identity, NULL, loop_wall_ms() * 1000);
	HASH_ADD(by_route, p->peers_by_route, route, sizeof peer->route, peer);
	HASH_ADD(by_number, p->peers_by_number, number, sizeof peer->number, peer);
	return peer;
}

static void remove_peer(struct pool *p, struct peer *peer)
{
	HASH_DELETE(by_route, p->peers_by_route, peer);
	HASH_DELETE(by_number, p->peers_by_number, peer);
	free(peer);
}

void peers_free(struct pool *p)
{
	struct peer *peer, *next;

	HASH_ITER(by_route, p->peers_by_route, peer, next)
	remove_peer(p, peer);
}

void peer_drop(struct pool *p, struct peer *peer, const char *why)
{
	if (peer->admitted && peer->role == ROLE_DONOR) {
		report(REPORT_INFO, "donor connection closed: %s", why);
		donor_gone(p, peer);
	}
	scheduler_cancel(p->scheduler, peer->number, NULL, &p->actions);
	verify_forget_member(p, peer->number);
	remove_peer(p, peer);
}

int peer_send(
    struct pool *p, struct peer *peer, struct message *m, struct span payload, uint64_t expires_ms)
{
	struct error err = {0};
	int rc = post(&peer->channel, p->transport, &peer->route, m, payload, expires_ms, &err);

	if (rc == AYNI_OK)
		return AYNI_OK;
	report(REPORT_DEBUG, "%s could not be sent: %s", message_name(m->type), err.text);
	peer_drop(p, peer, rc == AYNI_ERR_AGAIN ? "it does not read what it is sent" : err.text);
	return AYNI_ERR_IO;
}

void peer_refuse(struct pool *p, struct peer *peer, enum refusal reason, const char *text)
{
	struct message m = {.type = MSG_REFUSAL};

	p->refused.by_reason[reason]++;
	peer->refused.by_reason[reason]++;
	report(REPORT_DEBUG, "refused a message: %s: %s", refusal_name(reason), text);
	m.refusal.reason = reason;
	(void)snprintf(m.refusal.text, sizeof m.refusal.text, "%s", text);
	(void)peer_send(p, peer, &m, (struct span){0}, 0);
}

static bool welcome(struct pool *p, struct peer *peer)
{
	struct message m = {.type = MSG_WELCOME};

	(void)snprintf(m.welcome.pool_name, sizeof m.welcome.pool_name, "%s", p->config->name);
	m.welcome.pool_time_ms = loop_wall_ms();
	m.welcome.heartbeat_ms = (uint32_t)p->config->heartbeat_ms;
	return peer_send(p, peer, &m, (struct span){0}, 0) == AYNI_OK;
}

static void hello(struct pool *p, struct peer *peer, const struct msg_hello *h)
{
	struct hash token;
	struct error err = {0};
	int rc;

	if (p->stop_at_us != 0) {
		peer_refuse(p, peer, REFUSAL_LEAVING, "the pool is stopping");
		return;
	}
	if (peer->admitted && peer->role == ROLE_DONOR)
		donor_gone(p, peer); /* it starts anew */
	if (h->has_invite)
		hash_bytes(h->invite, sizeof h->invite, &token);
	rc = registry_admit(p->registry, &peer->channel.peer, (int)h->role, h->name,
	    h->has_invite ? &token : NULL, loop_wall_ms(), &err);
	if (rc == AYNI_OK && h->role == ROLE_DONOR)
		rc = registry_donor_team_set(p->registry, &peer->channel.peer, h->team, &err);
	if (rc != AYNI_OK) {
		peer->admitted = false;
		peer_refuse(p, peer, REFUSAL_INVITE, err.text);
		return;
	}
	peer->admitted = true;
	peer->role = h->role;
	if (!welcome(p, peer))
		return;
	if (h->role == ROLE_DONOR)
		(void)donor_join(p, peer, h->name);
}

static void dispatch(struct pool *p, struct peer *peer, const struct message *m)
{
	if (m->type == MSG_HELLO)
		hello(p, peer, &m->hello);
	else if (!peer->admitted)
		peer_refuse(p, peer, REFUSAL_TYPE, "say Hello first");
	else if (m->type == MSG_REFUSAL)
		report(REPORT_WARNING, "a peer refused a message: %s: %s",
		    refusal_name(m->refusal.reason), m->refusal.text);
	else if (peer->role == ROLE_DONOR)
		donor_message(p, peer, m);
	else
		member_message(p, peer, m);
}

/* The key that signs must be the one that the connection was made with. */
static bool signer_is_connection(struct peer *peer, const struct transport_parts *parts)
{
	const struct public_key *signer = &peer->channel.peer;

	if (!peer->has_signer || !public_key_equal(&peer->signer, signer)) {
		peer->has_signer = identity_curve_public(signer, peer->signer_curve) == AYNI_OK;
		peer->signer = *signer;
	}
	return peer->has_signer &&
	       memcmp(peer->signer_curve, parts->curve_key, sizeof peer->signer_curve) == 0;
}

static void receive_one(struct pool *p, const struct transport_parts *parts)
{
	struct peer *peer = find_by_route(p, &parts->route);
	struct message *m = NULL;
	struct error err = {0};
	enum refusal why;

	if (peer == NULL)
		peer = add_peer(p, &parts->route);
	if (peer == NULL) {
		p->refused.by_reason[REFUSAL_BUSY]++;
		return;
	}
	if (envelope_open(&peer->channel, parts->envelope, parts->header, parts->payload,
	        loop_wall_ms(), &m, &why, &err) != AYNI_OK) {
		peer_refuse(p, peer, why, err.text);
		return;
	}
	if (!signer_is_connection(peer, parts)) {
		peer->channel.peer_known = false;
		peer_refuse(p, peer, REFUSAL_SIGNER, "the connection was made with another key");
	} else {
		peer->heard_us = loop_now_us();
		dispatch(p, peer, m);
	}
	message_free(m);
}

void peers_receive(struct pool *p)
{
	for (;;) {
		struct transport_parts parts = {0};
		struct error err = {0};
		int rc = transport_receive(p->transport, &parts, &err);
		struct peer *peer;

		if (rc == AYNI_ERR_AGAIN)
			break;
		if (rc == AYNI_OK) {
			receive_one(p, &parts);
			transport_parts_free(&parts);
			continue;
		}
		peer = find_by_route(p, &parts.route);
		if (peer != NULL)
			peer_refuse(
			    p, peer, rc == AYNI_ERR_LIMIT ? REFUSAL_SIZE : REFUSAL_SHAPE, err.text);
		else
			p->refused.by_reason[rc == AYNI_ERR_LIMIT ? REFUSAL_SIZE : REFUSAL_SHAPE]++;
		if (rc == AYNI_ERR_IO)
			break;
	}
}
