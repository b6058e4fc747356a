/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the pool's loop share: those that do I/O in README.md's table.
 */
#ifndef AYNI_NODE_POOL_POOL_INTERNAL_H
#define AYNI_NODE_POOL_POOL_INTERNAL_H

#include <uthash.h>

#include "node/config.h"
#include "node/loop.h"
#include "node/pool/books.h"
#include "node/pool/catalog.h"
#include "node/pool/checkers.h"
#include "node/pool/doubts.h"
#include "node/pool/drafter.h"
#include "node/pool/front.h"
#include "node/pool/habits.h"
#include "node/pool/plan.h"
#include "node/pool/pool.h"
#include "node/pool/public_log.h"
#include "node/pool/roster.h"
#include "node/pool/scheduler.h"
#include "node/pool/statistics.h"
#include "protocol/post.h"
#include "storage/registry.h"

enum {
	MAX_PEERS = 16384,
	SILENT_HEARTBEATS = 5,  /* a peer not heard for so many is gone, */
	SILENT_MEMBER_S = 10,   /* but a member at the earliest after this: only it waits for us */
	BOOKS_SAVE_US = 100000, /* open windows are written down as often, while units are out */
	STOP_WAIT_US = 2000000  /* for countersignatures at the end */
};

/* A connection. */
struct peer {
	uint32_t number; /* never reused while the pool runs */
	struct route route;
	struct envelope_channel channel;
	bool has_signer;
	struct public_key signer; /* of the last message, and its Curve25519 key: slow to derive */
	uint8_t signer_curve[CURVE_KEY_BYTES];
	bool admitted;
	enum peer_role role; /* once admitted */
	int donor;           /* slot in the roster, or ROSTER_NONE */
	struct network_prefix network;
	uint64_t heard_us;
	struct refusal_counts refused; /* messages of this peer */
	UT_hash_handle by_route, by_number;
};

struct pool {
	const struct pool_config *config;
	char folder[CONFIG_PATH_BYTES];
	struct identity *identity;
	struct catalog *catalog;
	struct db *db;
	struct registry *registry;
	struct ledger *ledger;
	struct tree *tree;
	struct public_log *log;
	struct books *books;
	struct roster *roster;
	struct scheduler *scheduler;
	struct drafter *drafter; /* NULL: the pool has no draft model */
	uint64_t drafted_models; /* of the catalog, by bits: those that have its vocabulary */
	bool draft_refused;      /* it has too much to do */
	struct verify *verify;
	struct checking *checking; /* NULL: no donors check others */
	struct transport *transport;
	struct front *front;           /* NULL: no HTTP */
	struct statistics *statistics; /* NULL: none are written */
	struct loop *loop;
	struct actions actions;
	struct peer *peers_by_route, *peers_by_number;
	uint32_t next_peer;
	uint64_t started_us, requests_done;
	uint64_t tokens_drawn[CONFIG_MAX_MODELS]; /* since then, by model of the catalog */
	uint64_t stop_at_us;                      /* 0: running */
	uint64_t saved_us;                        /* when the books were written down last */
	struct habits *habits;
	uint64_t remember_at_us;              /* when they are written down next */
	struct plan *plan;                    /* the last; its donors are slots. NULL: none yet */
	double usual_pace[CONFIG_MAX_MODELS]; /* pace.h; 0: not known */
	uint64_t place_again_us;
	struct plan_wishes wishes;
	bool place_waits;     /* for that time */
	bool watching;        /* donors that have work, whether they are still there */
	uint64_t watch_at_us; /* when that is due */
	uint64_t awake_us;    /* since when this process was not kept from running */
	struct refusal_counts refused;
};

/* ---- peers.c ---- */
/* Take what came in over the transport, until there is nothing more. */
void peers_receive(struct pool *p);
struct peer *peer_by_number(struct pool *p, uint32_t number);
/* Sign and send; a peer that does not take it is dropped (then AYNI_ERR_IO). */
int peer_send(
    struct pool *p, struct peer *peer, struct message *m, struct span payload, uint64_t expires_ms);
/* Count a refusal, and tell the peer. */
void peer_refuse(struct pool *p, struct peer *peer, enum refusal reason, const char *text);
/* The connection is of no more use; its donor or requests go with it. */
void peer_drop(struct pool *p, struct peer *peer, const char *why);
void peers_free(struct pool *p);

/* ---- serve_donors.c ---- */
int donor_join(struct pool *p, struct peer *peer, const char *name);
void donor_gone(struct pool *p, struct peer *peer);
void donor_message(struct pool *p, struct peer *peer, const struct message *m);
void donor_send_unit(struct pool *p, const struct action_unit *a);
void donor_send_handover(struct pool *p, const struct action_handover *a);
void donor_send_withdraw(struct pool *p, const struct action_withdraw *a);
/* Name donors to each other that are to hand over directly. */
void donors_introduce(struct pool *p);
void donor_send_receipt(
    void *pool, const struct public_key *donor, const struct signed_receipt *receipt);
/* Ask donors that have work and say nothing. False: none has any. */
bool donors_watch(struct pool *p);
void donor_assign(struct pool *p, const struct placement_change *change);
void donor_unassign(struct pool *p, int donor);

/* ---- place.c ---- */
/* Plan, and bring what donors hold closer to what they should; soon, if it was done just now. */
void donors_place(struct pool *p);
/* The models of the catalog as placement sees them, borrowed from it; their number. */
size_t place_models(const struct pool *p, struct placement_model *models);
/* How long a token takes over the layers of an assignment at the donor, into it. */
void place_estimate(const struct pool *p, const struct roster_donor *d, struct donor_assignment *a);

/* The slot is another donor's from now on. */
void place_forget(struct pool *p, int slot);

/* ---- observe.c: what work tells of donors, for the placement ---- */
/* Times as long as by the first offer, by the second: what the donor holds, or the first model. */
double observe_offers(const struct pool *p, const struct donor_assignment *held,
    const struct msg_offer *before, const struct msg_offer *now);
/* The one rate of reading, whatever the type, with which the first model would take as long. */
uint64_t observe_one_rate(const struct pool *p, const struct msg_offer *offer);
/* A blob of so many bytes is sent to the donor; it tells how far it is with its layers. */
void observe_asked(struct pool *p, int slot, uint64_t bytes);
void observe_fetched(struct pool *p, struct roster_donor *d, enum assignment_progress progress);
/* A unit is sent now. */
void observe_sent(struct pool *p, const struct action_unit *a);
/* A result was right, and came now. */
void observe_booked(struct pool *p, const struct action_book *a);
/* From all donors, before a plan: what is usual of a model. */
void observe_usual(struct pool *p);

/* ---- remember.c: what donors are like, from one connection to the next ---- */
int remember_load(struct pool *p, struct error *err);
/* How long it usually stays. */
uint64_t remember_stay_s(const struct pool *p, const struct roster_donor *d, uint64_t now_us);
/* It offers this now; call it before the roster knows. What it says makes it no faster than it was
 * seen to be. */
void remember_offer(struct pool *p, int slot, const struct msg_offer *offer);
/* Its connection ended. */
void remember_gone(struct pool *p, const struct roster_donor *d);
/* It failed too often: for how long it is out. */
void remember_out(struct pool *p, struct roster_donor *d);
/* It joins: it may be out from before. */
void remember_joined(struct pool *p, struct roster_donor *d);
/* Write down what all are like: now, or if it is time. */
void remember_all(struct pool *p);
void remember_sometimes(struct pool *p);

/* ---- drafting.c: the small model that guesses ---- */
int drafting_open(struct pool *p, struct error *err); /* after the models */
int drafting_watch(struct pool *p, struct error *err);
void drafting_ask(struct pool *p, const struct action_draft *a);
void drafting_forget(struct pool *p, const struct session *s);

/* Threads for what computes beside the loop. */
unsigned pool_spare_threads(void);

/* ---- serve_members.c ---- */
void member_message(struct pool *p, struct peer *peer, const struct message *m);
void member_send_piece(struct pool *p, const struct action_piece *a);
void member_send_finish(struct pool *p, const struct action_finish *a, enum verification v);
/* An answer that it has rests on a donor that lies. */
void member_send_doubt(
    struct pool *p, const struct doubt *d, const struct public_key *donor, const char *reason);

/* ---- outlook.c ---- */
/* The path that a new session would take now, into out->path (owned by the caller; may stay NULL),
 * and what limits it. */
void outlook_model(struct pool *p, uint32_t index, struct status_model *out);
/* What the donor is for. */
void outlook_donor(const struct pool *p, int slot, struct status_donor *out);

/* ---- status.c ---- */
void status_send(struct pool *p, struct peer *peer);
void receipts_send(struct pool *p, struct peer *peer, const struct msg_receipts_query *q);

/* ---- pool.c ---- */
/* After anything happened: let the scheduler run and carry out its actions. */
void pool_advance(struct pool *p);

#endif
