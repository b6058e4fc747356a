/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member's connection to a pool: joins by an invite, then sends and receives signed messages.
 * Keeps the connection's heartbeat, and joins again when the pool was lost, each time after a
 * longer and partly random wait, so that many members do not come at once. One thread.
 *
 * Used in one of two ways: with client_next, which never waits, in a loop with other descriptors;
 * or with the calls below it, which wait.
 */
#ifndef AYNI_NODE_CLIENT_H
#define AYNI_NODE_CLIENT_H

#include "protocol/messages.h"

struct client;

/*
 * Not joined yet: client_next does that. The key in the file `key_path` is created if there is
 * none. AYNI_ERR_ARGUMENT: the invite is not one.
 */
int client_new(const char *invite, const char *key_path, struct client **out, struct error *err);
void client_free(struct client *c);

const char *client_pool_name(const struct client *c); /* "" before it was joined */
const struct public_key *client_pool_key(const struct client *c);
bool client_joined(const struct client *c);

int client_send(struct client *c, struct message *m, struct error *err);

/* ---- without waiting ---- */
/* Edge-triggered (protocol/transport.h): call client_next until it says AYNI_ERR_AGAIN, after
 * sending too. */
int client_fd(const struct client *c);
/* Call client_next then at the latest: a heartbeat is due, or the next try to join. */
uint64_t client_wakes_us(const struct client *c);
/*
 * The next message that is not a heartbeat; *out is valid until the next call. A Welcome: the pool
 * has been joined, for the first time or again, and knows nothing of earlier requests.
 * AYNI_ERR_AGAIN: none there. AYNI_ERR_IO: the pool is lost, not heard for a while, or it does not
 * know this connection, because it was started anew perhaps; it is being joined again.
 * AYNI_ERR_STATE with the pool's words: it refused something (client_refusal says for what reason).
 */
int client_next(struct client *c, const struct message **out, struct error *err);
enum refusal client_refusal(const struct client *c);

/* ---- waiting ---- */
/*
 * Connect and be admitted, within timeout_ms, with the member's own key.
 * AYNI_ERR_TIMEOUT: nobody answers; AYNI_ERR_STATE with the pool's words: it refuses.
 */
int client_open(const char *invite, int timeout_ms, struct client **out, struct error *err);
/* As client_next. AYNI_ERR_TIMEOUT when nothing came in timeout_ms, or a signal came. After
 * AYNI_ERR_IO, client_rejoin may help. */
int client_receive(struct client *c, int timeout_ms, const struct message **out, struct error *err);
/* Wait up to CLIENT_REJOIN_S seconds until the pool is joined again. *stop (or NULL) ends it. */
int client_rejoin(struct client *c, const volatile bool *stop, struct error *err);
/* Send, and wait for the first answer of a type. */
int client_ask(struct client *c, struct message *question, enum message_type answer,
    const struct message **out, struct error *err);

enum { CLIENT_REJOIN_S = 60 };

#endif
