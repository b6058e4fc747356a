/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway: HTTP on one side, the member protocol of a pool on the other. The same on a member's
 * own machine and beside a pool, of which it holds no key. One process, one thread, one loop.
 */
#ifndef AYNI_NODE_GATEWAY_GATEWAY_H
#define AYNI_NODE_GATEWAY_GATEWAY_H

#include "node/gateway/http.h"

struct gateway_options {
	const char *pool;         /* invite */
	const char *key_path;     /* the member's key; created if there is none */
	const char *address_file; /* the address that it has goes there; NULL: nowhere */
	uint32_t max_requests;    /* at the pool at once */
	struct http_options http;
};

void gateway_defaults(struct gateway_options *o);
/* Serve until SIGTERM or SIGINT, or until the pool says that this member is not admitted. */
int gateway_run(const struct gateway_options *o, struct error *err);

#endif
