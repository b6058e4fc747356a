/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of the two daemons: one table gives each its name, type, range, default and meaning.
 * Defaults, then the INI file (libinih), then the command line; a later one wins. An unknown key or
 * a bad value is an error that names file, line and what is allowed.
 */
#ifndef AYNI_NODE_CONFIG_H
#define AYNI_NODE_CONFIG_H

#include "protocol/base.h"

enum {
	CONFIG_PATH_BYTES = 1024,
	CONFIG_MAX_MODELS = 8,
	CONFIG_TEXT_BYTES = 512,
	CONFIG_MAX_DRAFT = 16
};

struct donor_config {
	char pool[CONFIG_TEXT_BYTES];   /* invite */
	char name[65];                  /* shown in the ledger; "" is fine */
	char team[65];                  /* likewise */
	char folder[CONFIG_PATH_BYTES]; /* key, receipts, layer cache */
	uint64_t cores;                 /* 0: all but one, at least one */
	uint64_t memory_mib;            /* for layers and KV cache; 0: half of what is available */
	uint64_t disk_mib;              /* layer cache */
	uint64_t max_layers;            /* 0: as many as memory allows */
	char kernels[32];               /* "auto", "scalar", "avx2" */
	char listen[64];     /* for other donors: "auto", "none", or "192.168.1.7:7412" */
	char announce[64];   /* where they reach it, if not there: "203.0.113.5:7412" */
	uint64_t seed_kib_s; /* of model chunks to other donors; 0: none */
	char log[16];
};

struct pool_config {
	char name[65];
	char listen[CONFIG_TEXT_BYTES]; /* "127.0.0.1:7411", "[::]:7411", port 0 takes a free one */
	char http[64];                  /* where HTTP is served: "127.0.0.1:7480", or "none" */
	char folder[CONFIG_PATH_BYTES]; /* key, database */
	char models[CONFIG_MAX_MODELS][CONFIG_PATH_BYTES];
	uint64_t n_models;
	uint64_t stages;       /* donors that a model is split over; 0: as many as are fastest */
	uint64_t kv_tokens;    /* positions of a session; at most the model's context */
	char kv[8];            /* how a session's keys and values are kept: "f16", "int8" */
	uint64_t max_sessions; /* at once, all models */
	uint64_t max_waiting;  /* requests beyond that; more are refused */
	uint64_t wait_s;       /* how long a request waits for donors to cover its model */
	uint64_t fetch_s;      /* and the pool for a layer that a donor fetches, beside its bytes */
	uint64_t out_s;        /* a donor that failed too often is out, and twice as long again */
	uint64_t heartbeat_ms;
	uint64_t unit_timeout_ms; /* a unit not answered by then is given to another donor */
	uint64_t draft_tokens;    /* guessed and confirmed in one trip; 0: none */
	char draft_model[CONFIG_PATH_BYTES]; /* a small model that guesses too; "": none */
	uint64_t keep_s; /* donors hold an ended session for who goes on from it; 0: not */
	char recheck[8]; /* who computes results once more: "pool", "donors", "none" */
	uint64_t recheck_permille; /* of the sessions over donors that were right for long */
	uint64_t receipt_units;    /* of a session in a receipt, of who is trusted */
	uint64_t statistics_h;     /* how often statistics files are written; 0: never */
	char log[16];
};

void config_donor_defaults(struct donor_config *c);
void config_pool_defaults(struct pool_config *c);
int config_donor_file(struct donor_config *c, const char *path, struct error *err);
int config_pool_file(struct pool_config *c, const char *path, struct error *err);
/* One setting from the command line: "memory_mib", "512". `origin` is for messages ("--set"). */
int config_donor_set(struct donor_config *c, const char *key, const char *value, const char *origin,
    struct error *err);
int config_pool_set(struct pool_config *c, const char *key, const char *value, const char *origin,
    struct error *err);
/* What is left empty gets its default place: $AYNI_HOME, else $XDG_STATE_HOME/ayni, else
 * ~/.local/state/ayni, each with /donor, /pool or /member behind. */
int config_folder(const char *role, char *out, size_t out_bytes, struct error *err);
/* A role's key there: <folder of the role>/key. */
int config_key_path(const char *role, char *out, size_t out_bytes, struct error *err);

#endif
