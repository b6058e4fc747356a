/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom and what a pool knows: invites, members, donors, models, assignments, sessions, and
 * what donors are like. Current truth only; contributions are in ledger.h. One thread, like struct
 * db.
 */
#ifndef AYNI_STORAGE_REGISTRY_H
#define AYNI_STORAGE_REGISTRY_H

#include "storage/db.h"

struct registry;

int registry_new(struct db *d, struct registry **out, struct error *err); /* borrows d */
void registry_free(struct registry *r);

/* ---- invites: only the token's hash is stored ---- */
struct registry_invite {
	struct hash token_hash;
	uint64_t expires_ms; /* 0: never */
	uint32_t uses_left;
	const char *note; /* for people; may be "" */
};
int registry_invite_add(
    struct registry *r, const struct registry_invite *in, uint64_t now_ms, struct error *err);
/*
 * Admit `key` in a role (1 donor, 2 member): known keys always (name updated if not empty), others
 * by using up one use of an invite, in one transaction. token_hash NULL: no invite shown.
 * AYNI_ERR_NOT_FOUND: no such invite; AYNI_ERR_TIMEOUT: expired; AYNI_ERR_LIMIT: used up;
 * AYNI_ERR_STATE: the key is banned.
 */
int registry_admit(struct registry *r, const struct public_key *key, int role, const char *name,
    const struct hash *token_hash, uint64_t now_ms, struct error *err);
/* For ZAP: is this Curve25519 key one of a banned party? */
bool registry_curve_banned(struct registry *r, const uint8_t curve_key[32]);
int registry_ban(struct registry *r, const struct public_key *key, const uint8_t curve_key[32],
    const char *why, uint64_t now_ms, struct error *err);
int registry_seen(
    struct registry *r, const struct public_key *key, int role, uint64_t now_ms, struct error *err);
/* Display name of a donor into text ("" if none), and the name of its team. */
int registry_donor_name(struct registry *r, const struct public_key *key, char *text, size_t len);
int registry_donor_team(struct registry *r, const struct public_key *key, char *text, size_t len);
/* "": it is of none any more. */
int registry_donor_team_set(
    struct registry *r, const struct public_key *key, const char *team, struct error *err);

/* Whose display name is this? AYNI_ERR_NOT_FOUND: nobody's; AYNI_ERR_STATE: several donors'. */
int registry_donor_named(
    struct registry *r, const char *name, struct public_key *out, struct error *err);
/* Erase a donor's display name, its bytes in the file too. AYNI_ERR_NOT_FOUND: it has none. */
int registry_donor_forget(struct registry *r, const struct public_key *donor, struct error *err);

/* ---- models, assignments, sessions ---- */
int registry_model_put(struct registry *r, const struct hash *model, const char *name,
    uint64_t file_bytes, uint32_t n_layers, uint64_t now_ms, struct error *err);
/* A new number, never reused even after a restart. */
int registry_assignment_add(struct registry *r, const struct public_key *donor,
    const struct hash *model, uint32_t layer_first, uint32_t layer_last, uint64_t now_ms,
    uint64_t *number, struct error *err);
int registry_assignment_end(
    struct registry *r, uint64_t number, uint64_t now_ms, struct error *err);
/* All that are open, for instance after a crash, end now. */
int registry_assignments_end_all(struct registry *r, uint64_t now_ms, struct error *err);
/* A session's account, no text: a new number, then what became of it. */
int registry_session_add(struct registry *r, const struct public_key *member,
    const struct hash *model, uint64_t now_ms, uint64_t *number, struct error *err);
int registry_session_end(struct registry *r, uint64_t number, uint32_t prompt_tokens,
    uint32_t answer_tokens, int finish_reason, uint64_t now_ms, struct error *err);

/* ---- what was learnt of donors ---- */
struct registry_habit {
	struct public_key donor;
	uint64_t stay_s;                       /* usual; this and the others 0: not known */
	uint64_t pace_permille;                /* 1000: as slow as others of such an offer */
	uint64_t flop_per_s, read_bytes_per_s; /* that offer */
	uint64_t down_us, up_us;               /* a MiB to it, and from it */
};
/* A callback's non-zero return ends the walk and is returned. */
typedef int registry_habit_fn(void *context, const struct registry_habit *h);

/* In place of what was there. */
int registry_habit_put(
    struct registry *r, const struct registry_habit *h, uint64_t now_ms, struct error *err);
/* The last written first, at most so many. */
int registry_habits_each(
    struct registry *r, uint32_t max, registry_habit_fn *fn, void *context, struct error *err);

#endif
