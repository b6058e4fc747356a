/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the donor's loop share: donor.c (life, connection), holding.c (layers),
 * units.c (work and receipts), direct.c (other donors), seeds.c (chunks from and for them). Only
 * these do I/O.
 */
#ifndef AYNI_NODE_DONOR_DONOR_INTERNAL_H
#define AYNI_NODE_DONOR_DONOR_INTERNAL_H

#include "node/config.h"
#include "node/donor/chains.h"
#include "node/donor/donor.h"
#include "node/donor/intake.h"
#include "node/donor/open_work.h"
#include "node/donor/queue.h"
#include "node/donor/shards.h"
#include "node/donor/worker_link.h"
#include "node/loop.h"
#include "protocol/invite.h"
#include "protocol/post.h"
#include "storage/cache.h"
#include "storage/ledger.h"

enum {
	SILENT_HEARTBEATS = 5,   /* after so many without a word the pool is given up */
	HELLO_FIRST_MS = 1000,   /* no Welcome by then: another Hello, */
	HELLO_MOST_MS = 16000,   /* after waits that grow up to this, and half as much by chance */
	STOP_WAIT_US = 2000000,  /* for receipts at the end */
	STOP_INPUT_US = 1000000, /* before that, for what others are to hand over */
	MAX_WORKER_DEATHS = 5,   /* within WORKER_DEATHS_US, or while layers are loaded */
	WORKER_DEATHS_US = 60000000
};

enum holding_state {
	HOLDING_NOTHING,
	HOLDING_MANIFEST, /* asked for */
	HOLDING_HEAD,     /* metadata and tensor table are being fetched */
	HOLDING_LAYERS,   /* tensors are being fetched, and layers that are complete loaded */
	HOLDING_LOADING,  /* the worker reads the last ones */
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
	uint32_t fetched, loaded;  /* layers from a.layer_first to these: here; at the worker */
	bool loading;              /* the worker is at the next */
	unsigned worker_deaths;    /* since deaths_since_us */
	uint64_t deaths_since_us;
	uint64_t reported_us;
};

struct direct;

enum { SEEDS_WISHES = 64, SEEDS_ASK_AGAIN_US = 30000000 };

/* Whom chunks are asked of: the pool, or another donor. */
struct seed_source {
	uint32_t asked;          /* of these, not here yet */
	uint64_t last_us;        /* when it gave something, or was asked with nothing open */
	uint64_t chunk_us;       /* from one chunk to the next, smoothed; 0: not known */
	uint64_t lacks_until_us; /* it did not give what it was asked for: not asked again before */
	uint32_t times;          /* one after the other that it did not */
};

/* A chunk that another donor wants. */
struct seed_wish {
	struct public_key donor;
	struct hash hash;
};

struct seeds {
	struct seed_source pool;
	uint64_t chunks; /* that came of other donors */
	size_t first_wish, n_wishes;
	struct seed_wish wishes[SEEDS_WISHES];
	int64_t left_bytes; /* that may be given now */
	uint64_t filled_us;
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
	struct direct *direct;      /* other donors */
	struct seeds seeds;
	struct msg_offer offer;

	bool joined;
	uint32_t heartbeat_ms;
	uint64_t clock_offset_ms;       /* pool's clock minus ours, modulo 2^64 */
	uint64_t heard_us, hello_at_us; /* when the next Hello is due, unless joined */
	uint32_t hello_wait_ms;
	struct refusal_counts refused;

	struct holding holding;
	struct chains chains;    /* of the sessions that the worker holds */
	struct unit_queue queue; /* the first is at the worker, if `running` */
	bool running, orphaned;  /* orphaned: of a connection that was lost, nobody waits for it */
	bool ran_last;           /* the worker's last command was a unit */
	uint64_t units_done;
	struct open_work open;
	uint64_t began_ms; /* pool's clock at the first Welcome */

	bool stopping;
	uint64_t stopping_us; /* since then */
	uint64_t stop_at_us;  /* receipts are waited for until then; 0: units are still at hand */
	int fatal;            /* an error that ends the loop */
	struct error *err;
};

/* ---- donor.c ---- */
uint64_t donor_pool_ms(const struct donor *d); /* the pool's clock */
/* Sign and send. What cannot be sent is dropped: the pool asks or times out. */
void donor_send(struct donor *d, struct message *m, struct span payload);
void donor_refuse(struct donor *d, enum refusal reason, const char *text, bool tell);
void donor_fail(struct donor *d, const struct error *err); /* end the loop with this error */

void donor_readable(
    void *context); /* a socket has something, which is taken before the next wait */

/* ---- holding.c ---- */
void holding_assign(struct donor *d, const struct msg_assignment *a);
void holding_drop(struct donor *d); /* forget it all; the worker ends */
void holding_keep(struct donor *d); /* the pool is lost: keep the layers, forget the sessions */
/* In an offer, what was kept. */
void holding_offer(const struct donor *d, struct msg_offer *offer);
void holding_blob(struct donor *d, const struct msg_blob *b, struct span content);
void holding_step(void *donor); /* go on fetching */
bool holding_wants(const struct donor *d, const struct hash *content);
bool holding_load_next(struct donor *d); /* give the worker its next layer; false: none now */
void holding_loaded(struct donor *d);    /* it has it */
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
/* What a unit with this ticket waits for, from this donor; NULL: from the pool, for any. False:
 * nobody waits for it, or it does not fit. */
bool units_handover(struct donor *d, const struct public_key *from, uint64_t ticket,
    struct span payload, const struct hash *hash);
void units_withdraw(struct donor *d, uint64_t unit);
void units_fail_waiting(struct donor *d, enum refusal reason, const char *why);
void units_receipt(struct donor *d, const struct signed_receipt *receipt);

/* ---- direct.c ---- */
int direct_open(struct donor *d, struct error *err); /* listens, if it may; into the offer */
void direct_close(struct donor *d);
void direct_set(struct donor *d, const struct msg_link *m); /* the pool names a donor to know */
void direct_forget(struct donor *d);                        /* the pool is lost */
bool direct_receive(struct donor *d);                       /* true: there may be more */
void direct_tick(struct donor *d);
/* AYNI_ERR_NOT_FOUND: no way to it now. */
int direct_hand_over(struct donor *d, const struct transfer *to, struct span payload);
/* What came before its unit did. */
void direct_recall(struct donor *d, const struct transfer *from);
int direct_send(
    struct donor *d, const struct public_key *to, struct message *m, struct span payload);
/* One after the other from *i = 0 on, the donors that can be asked for chunks; NULL: no more. */
struct seed_source *direct_source(struct donor *d, size_t *i, struct public_key *donor);

/* ---- seeds.c ---- */
void seeds_ask(struct donor *d); /* for chunks that are wanted, as many as there are takers */
void seeds_from_pool(struct donor *d);
void seeds_blob(
    struct donor *d, struct seed_source *s, const struct msg_blob *b, struct span content);
void seeds_request(
    struct donor *d, const struct public_key *other, const struct msg_blob_request *q);
void seeds_close(struct donor *d);

#endif
