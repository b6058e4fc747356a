/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member's connection to a pool: joins by an invite, then sends and receives signed messages one
 * after the other. Keeps the connection's heartbeat while it waits. One thread.
 */
#ifndef AYNI_NODE_CLI_CLIENT_H
#define AYNI_NODE_CLI_CLIENT_H

#include "protocol/messages.h"

struct client;

/*
 * Connect and be admitted, within timeout_ms. The member's key is created if there is none.
 * AYNI_ERR_TIMEOUT: nobody answers; AYNI_ERR_STATE with the pool's words: it refuses.
 */
int client_open(const char *invite, int timeout_ms, struct client **out, struct error *err);
void client_free(struct client *c);

const char *client_pool_name(const struct client *c);
const struct public_key *client_pool_key(const struct client *c);

int client_send(struct client *c, struct message *m, struct error *err);
/*
 * The next message that is not a heartbeat; *out is valid until the next call. AYNI_ERR_TIMEOUT
 * when none came in timeout_ms, or a signal came; AYNI_ERR_STATE when the pool refused something;
 * AYNI_ERR_IO when it is lost: not heard for a while, or it does not know this connection, because
 * it was started anew perhaps. Then client_rejoin may help.
 */
int client_receive(struct client *c, int timeout_ms, const struct message **out, struct error *err);
/*
 * Join the pool again, as often as it takes for REJOIN_S seconds, each time after a longer and
 * partly random wait, so that many members do not come at once. *stop (or NULL) ends the waiting.
 */
int client_rejoin(struct client *c, const volatile bool *stop, struct error *err);
/* Send, and wait for the first answer of a type. */
int client_ask(struct client *c, struct message *question, enum message_type answer,
    const struct message **out, struct error *err);

#endif
