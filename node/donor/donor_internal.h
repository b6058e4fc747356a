/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the donor's loop share: donor.c (life, connection), holding.c (layers),
 * units.c (work and receipts). Only these do I/O.
 */
#ifndef AYNI_NODE_DONOR_DONOR_INTERNAL_H
#define AYNI_NODE_DONOR_DONOR_INTERNAL_H

#include "node/config.h"
#include "node/donor/donor.h"
#include "node/donor/intake.h"
#include "node/donor/open_work.h"
#include "node/donor/shards.h"
#include "node/donor/worker_link.h"
#include "node/loop.h"
#include "protocol/envelope.h"
#include "protocol/invite.h"
#include "protocol/transport.h"
#include "storage/cache.h"
#include "storage/ledger.h"

enum {
	SILENT_HEARTBEATS = 5,  /* after so many without a word the pool is given up */
	HELLO_FIRST_MS = 1000,  /* no Welcome by then: another Hello, */
	HELLO_MOST_MS = 16000,  /* after waits that grow up to this, and half as much by chance */
	STOP_WAIT_US = 2000000, /* for receipts at the end */
	MAX_WORKER_DEATHS = 5,  /* within WORKER_DEATHS_US */
	WORKER_DEATHS_US = 60000000,
	QUEUE_MAX = INTAKE_MAX_QUEUE + 1 /* with an orphaned one */
};

enum holding_state {
	HOLDING_NOTHING,
	HOLDING_MANIFEST, /* asked for */
	HOLDING_HEAD,     /* metadata and tensor table are being fetched */
	HOLDING_LAYERS,   /* tensors are being fetched */
	HOLDING_LOADING,  /* the worker reads them */
	HOLDING_READY
};

/* The layers that the pool assigned, and how far they are. */
struct holding {
	enum holding_state state;
	struct msg_assignment a;
	struct cache_image *image;
	uint64_t head_bytes;
	struct shards *shards;
	struct model_sizes *sizes; /* owned; from LAYERS on */
	unsigned worker_deaths;    /* since deaths_since_us */
	uint64_t deaths_since_us;
	uint64_t reported_us;
};

/* A unit that was admitted and waits for the worker; owns its message. */
struct queued_unit {
	struct message *message;
	struct transport_parts parts;
};

struct donor {
	const struct donor_config *config;
	char folder[CONFIG_PATH_BYTES];
	struct identity *identity;
	struct invite invite;
	struct transport *transport;
	struct envelope_channel channel;
	struct loop *loop;
	struct db *db;
	struct ledger *ledger;
	struct cache *cache;
	struct intake *intake;
	struct worker_link *worker; /* NULL: none runs */
	struct msg_offer offer;

	bool joined;
	uint32_t heartbeat_ms;
	uint64_t clock_offset_ms;       /* pool's clock minus ours, modulo 2^64 */
	uint64_t heard_us, hello_at_us; /* when the next Hello is due, unless joined */
	uint32_t hello_wait_ms;
	struct refusal_counts refused;

	struct holding holding;
	struct queued_unit queue[QUEUE_MAX];
	size_t queue_first, queue_n; /* the first is at the worker, if `running` */
	bool running, orphaned; /* orphaned: of a connection that was lost, nobody waits for it */
	uint64_t units_done;
	struct open_work open;
	uint64_t began_ms; /* pool's clock at the first Welcome */

	bool stopping;
	uint64_t stop_at_us; /* receipts are waited for until then; 0: units are still at hand */
	int fatal;           /* an error that ends the loop */
	struct error *err;
};

/* ---- donor.c ---- */
uint64_t donor_pool_ms(const struct donor *d); /* the pool's clock */
/* Sign and send. What cannot be sent is dropped: the pool asks or times out. */
void donor_send(struct donor *d, struct message *m, struct span payload);
void donor_refuse(struct donor *d, enum refusal reason, const char *text, bool tell);
void donor_fail(struct donor *d, const struct error *err); /* end the loop with this error */

/* ---- holding.c ---- */
void holding_assign(struct donor *d, const struct msg_assignment *a);
void holding_drop(struct donor *d); /* forget it all; the worker ends */
void holding_keep(struct donor *d); /* the pool is lost: keep the layers, forget the sessions */
/* In an offer, what was kept. */
void holding_offer(const struct donor *d, struct msg_offer *offer);
void holding_blob(struct donor *d, const struct msg_blob *b, struct span content);
void holding_step(void *donor); /* go on fetching */
void holding_loaded(struct donor *d);
void holding_failed(struct donor *d, const char *why);
void holding_worker_died(struct donor *d);

/* ---- units.c ---- */
/* Takes message and parts over if it returns true. */
bool units_take(struct donor *d, struct message *m, struct transport_parts *parts);
void units_pump(struct donor *d); /* give the worker its next unit */
void units_fail_all(struct donor *d, enum refusal reason, const char *why);
void units_drop_all(struct donor *d); /* silently: the worker ends, too */
void units_orphan(struct donor *d);   /* silently: the worker finishes what it is at for nobody */
void units_on_worker(void *donor);    /* the worker has something to say */
void units_receipt(struct donor *d, const struct signed_receipt *receipt);

#endif
