/* SPDX-License-Identifier: Apache-2.0 */
/* One message on its way: sealed (envelope.h) and sent (transport.h). The transport's thread. */
#ifndef AYNI_PROTOCOL_POST_H
#define AYNI_PROTOCOL_POST_H

#include "protocol/envelope.h"
#include "protocol/transport.h"

/* `to` is NULL at a client. The errors of envelope_seal and transport_send; nothing was sent then.
 */
int post(struct envelope_channel *c, struct transport *t, const struct route *to, struct message *m,
    struct span payload, uint64_t expires_ms, struct error *err);

#endif
