/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's HTTP server: `ayni serve` as a child process, which joins as a member with a key of
 * its own. So what reads strangers' HTTP has no key and no database of the pool. It is started
 * again if it dies, each time after a longer wait, and ends with the pool. The loop's thread.
 */
#ifndef AYNI_NODE_POOL_FRONT_H
#define AYNI_NODE_POOL_FRONT_H

#include "node/loop.h"
#include "protocol/identity.h"
#include "storage/registry.h"

struct front;

struct front_options {
	const char *listen;   /* HOST:PORT for HTTP */
	const char *folder;   /* of the pool; its key is put into gateway/, its address into http */
	const char *endpoint; /* of the pool: "tcp://host:port" */
	const struct public_key *pool;
	bool verbose;
};

/* The registry admits the server's key. */
int front_start(struct loop *l, struct registry *r, const struct front_options *o,
    struct front **out, struct error *err);
void front_free(struct front *f); /* ends it, and waits for that */

#endif
