/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry.h"

#include <stdlib.h>

#include "storage/query.h"

enum { ROLE_DONOR = 1, ROLE_MEMBER = 2 };

enum statement {
	INVITE_ADD,
	INVITE_FIND,
	INVITE_USE,
	DONOR_FIND,
	MEMBER_FIND,
	DONOR_ADD,
	MEMBER_ADD,
	DONOR_SEEN,
	MEMBER_SEEN,
	NAME_SET,
	NAME_GET,
	TEAM_SET,
	TEAM_ERASE,
	TEAM_GET,
	NAME_FIND,
	NAME_ERASE,
	BAN_FIND,
	BAN_FIND_CURVE,
	BAN_ADD,
	MODEL_PUT,
	ASSIGNMENT_ADD,
	ASSIGNMENT_END,
	ASSIGNMENTS_END_ALL,
	SESSION_ADD,
	SESSION_END,
	HABIT_PUT,
	HABITS_EACH,
	N_STATEMENTS
};

#define HABIT "donor, stay_s, pace_permille, flop_per_s, read_bytes_per_s, down_us, up_us"

static const char *const texts[N_STATEMENTS] = {
    [INVITE_ADD] = "INSERT INTO invites (token_hash, created_ms, expires_ms, uses_left, note)"
                   " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    [INVITE_FIND] = "SELECT expires_ms, uses_left FROM invites WHERE token_hash = ?",
    [INVITE_USE] = "UPDATE invites SET uses_left = uses_left - 1"
                   " WHERE token_hash = ? AND uses_left > 0",
    [DONOR_FIND] = "SELECT 1 FROM donors WHERE key = ?",
    [MEMBER_FIND] = "SELECT 1 FROM members WHERE key = ?",
    [DONOR_ADD] = "INSERT INTO donors (key, admitted_ms, seen_ms, invite)"
                  " VALUES (?1, ?2, ?2, ?3)",
    [MEMBER_ADD] = "INSERT INTO members (key, admitted_ms, seen_ms, invite)"
                   " VALUES (?1, ?2, ?2, ?3)",
    [DONOR_SEEN] = "UPDATE donors SET seen_ms = max(seen_ms, ?) WHERE key = ?",
    [MEMBER_SEEN] = "UPDATE members SET seen_ms = max(seen_ms, ?) WHERE key = ?",
    [NAME_SET] = "INSERT INTO names (role, key, name) VALUES (?, ?, ?)"
                 " ON CONFLICT DO UPDATE SET name = excluded.name WHERE name <> excluded.name",
    [NAME_GET] = "SELECT name FROM names WHERE role = 1 AND key = ?",
    [TEAM_SET] = "INSERT INTO teams (donor, team) VALUES (?, ?)"
                 " ON CONFLICT DO UPDATE SET team = excluded.team WHERE team <> excluded.team",
    [TEAM_ERASE] = "DELETE FROM teams WHERE donor = ?",
    [TEAM_GET] = "SELECT team FROM teams WHERE donor = ?",
    [NAME_FIND] = "SELECT key FROM names WHERE role = ? AND name = ? LIMIT 2",
    [NAME_ERASE] = "DELETE FROM names WHERE role = ? AND key = ?",
    [BAN_FIND] = "SELECT 1 FROM bans WHERE key = ? LIMIT 1",
    [BAN_FIND_CURVE] = "SELECT 1 FROM bans WHERE curve_key = ? LIMIT 1",
    [BAN_ADD] = "INSERT INTO bans (key, curve_key, why, banned_ms) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET why = excluded.why",
    [MODEL_PUT] = "INSERT INTO models (model, name, file_bytes, n_layers, added_ms)"
                  " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name,"
                  " file_bytes = excluded.file_bytes, n_layers = excluded.n_layers",
    [ASSIGNMENT_ADD] = "INSERT INTO assignments (donor, model, layer_first, layer_last, begun_ms)"
                       " VALUES (?, ?, ?, ?, ?)",
    [ASSIGNMENT_END] = "UPDATE assignments SET ended_ms = ? WHERE number = ? AND ended_ms IS NULL",
    [ASSIGNMENTS_END_ALL] = "UPDATE assignments SET ended_ms = ? WHERE ended_ms IS NULL",
    [SESSION_ADD] = "INSERT INTO sessions (member, model, begun_ms) VALUES (?, ?, ?)",
    [SESSION_END] = "UPDATE sessions SET prompt_tokens = ?, answer_tokens = ?, finish_reason = ?,"
                    " ended_ms = ? WHERE number = ? AND ended_ms IS NULL",
    [HABIT_PUT] = "INSERT OR REPLACE INTO habits (" HABIT ", saved_ms)"
                  " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [HABITS_EACH] = "SELECT " HABIT " FROM habits ORDER BY saved_ms DESC, donor LIMIT ?",
};

struct registry {
	struct db *db;
	sqlite3_stmt *statements[N_STATEMENTS];
};

int registry_new(struct db *d, struct registry **out, struct error *err)
{
	struct registry *r = calloc(1, sizeof *r);
	int rc;

	*out = NULL;
	if (r == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "registry: out of memory");
	r->db = d;
	rc = statements_prepare(d, texts, N_STATEMENTS, r->statements, err);
	if (rc != AYNI_OK) {
		free(r);
		return rc;
	}
	*out = r;
	return AYNI_OK;
}

void registry_free(struct registry *r)
{
	if (r == NULL)
		return;
	statements_finalize(r->statements, N_STATEMENTS);
	free(r);
}

static struct query start(struct registry *r, enum statement s, const char *doing)
{
	return query_begin(r->db, r->statements[s], doing);
}

/* How many rows the last statement changed. */
static int n_changed(const struct registry *r)
{
	return sqlite3_changes(db_handle(r->db));
}

/* QUERY_ROW or QUERY_DONE: is there a row with these 32 bytes as its key? */
static int exists(struct registry *r, enum statement s, const uint8_t key[32], struct error *err)
{
	struct query q = start(r, s, "registry: looking up a key");
	int rc, end;

	query_blob(&q, key, 32);
	rc = query_step(&q, err);
	end = query_end(&q, NULL);
	return rc < 0 || end == AYNI_OK ? rc : end;
}

static int check_role(int role, struct error *err)
{
	if (role != ROLE_DONOR && role != ROLE_MEMBER)
		return error_set(err, AYNI_ERR_ARGUMENT, "registry: there is no role %d", role);
	return AYNI_OK;
}

/* Names come from strangers and end on pages and terminals. */
static int check_name(const char *name, struct error *err)
{
	size_t len = strnlen(name, LIMIT_NAME_BYTES);

	if (len == LIMIT_NAME_BYTES)
		return error_set(err, AYNI_ERR_LIMIT, "registry: a name has at most %d bytes",
		    LIMIT_NAME_BYTES - 1);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			return error_set(
			    err, AYNI_ERR_FORMAT, "registry: a name has no control characters");
	return AYNI_OK;
}

int registry_invite_add(
    struct registry *r, const struct registry_invite *in, uint64_t now_ms, struct error *err)
{
	struct query q = start(r, INVITE_ADD, "registry: adding an invite");
	int rc;

	if (in->uses_left == 0)
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "registry: an invite needs at least one use");
	query_blob(&q, in->token_hash.bytes, HASH_BYTES);
	query_u64(&q, now_ms);
	query_u64(&q, in->expires_ms);
	query_u64(&q, in->uses_left);
	query_text(&q, in->note == NULL ? "" : in->note);
	rc = query_run(&q, err);
	if (rc == AYNI_OK && n_changed(r) == 0)
		return error_set(err, AYNI_ERR_EXISTS, "registry: that invite is there already");
	return rc;
}

static int invite_use(
    struct registry *r, const struct hash *token_hash, uint64_t now_ms, struct error *err)
{
	struct query q = start(r, INVITE_FIND, "registry: looking up an invite");
	uint64_t expires_ms = 0, uses_left = 0;
	int rc, end;

	query_blob(&q, token_hash->bytes, HASH_BYTES);
	rc = query_step(&q, err);
	if (rc == QUERY_ROW) {
		expires_ms = query_get_u64(&q, 0);
		uses_left = query_get_u64(&q, 1);
	}
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc < 0 || end != AYNI_OK)
		return rc < 0 ? rc : end;
	if (rc == QUERY_DONE)
		return error_set(err, AYNI_ERR_NOT_FOUND, "registry: no such invite");
	if (expires_ms != 0 && now_ms >= expires_ms)
		return error_set(err, AYNI_ERR_TIMEOUT, "registry: the invite has expired");
	if (uses_left == 0)
		return error_set(err, AYNI_ERR_LIMIT, "registry: the invite is used up");
	q = start(r, INVITE_USE, "registry: using an invite");
	query_blob(&q, token_hash->bytes, HASH_BYTES);
	return query_run(&q, err);
}

static int add_party(struct registry *r, const struct public_key *key, int role,
    const struct hash *token_hash, uint64_t now_ms, struct error *err)
{
	struct query q;
	int rc;

	if (token_hash == NULL)
		return error_set(
		    err, AYNI_ERR_NOT_FOUND, "registry: an unknown key needs an invite");
	rc = invite_use(r, token_hash, now_ms, err);
	if (rc != AYNI_OK)
		return rc;
	q = start(r, role == ROLE_DONOR ? DONOR_ADD : MEMBER_ADD, "registry: admitting");
	query_blob(&q, key->bytes, PUBLIC_KEY_BYTES);
	query_u64(&q, now_ms);
	query_blob(&q, token_hash->bytes, HASH_BYTES);
	return query_run(&q, err);
}

static int set_name(
    struct registry *r, const struct public_key *key, int role, const char *name, struct error *err)
{
	struct query q = start(r, NAME_SET, "registry: naming");

	query_int(&q, role);
	query_blob(&q, key->bytes, PUBLIC_KEY_BYTES);
	query_text(&q, name);
	return query_run(&q, err);
}

static int admit(struct registry *r, const struct public_key *key, int role, const char *name,
    const struct hash *token_hash, uint64_t now_ms, struct error *err)
{
	int rc = exists(r, BAN_FIND, key->bytes, err);

	if (rc == QUERY_ROW)
		return error_set(err, AYNI_ERR_STATE, "registry: that key is banned");
	if (rc == QUERY_DONE)
		rc = exists(r, role == ROLE_DONOR ? DONOR_FIND : MEMBER_FIND, key->bytes, err);
	if (rc < 0)
		return rc;
	if (rc == QUERY_ROW)
		rc = registry_seen(r, key, role, now_ms, err);
	else
		rc = add_party(r, key, role, token_hash, now_ms, err);
	if (rc == AYNI_OK && name[0] != '\0')
		rc = set_name(r, key, role, name, err);
	return rc;
}

int registry_admit(struct registry *r, const struct public_key *key, int role, const char *name,
    const struct hash *token_hash, uint64_t now_ms, struct error *err)
{
	bool own = sqlite3_get_autocommit(db_handle(r->db)) != 0;
	int rc;

	if (name == NULL)
		name = "";
	if ((rc = check_role(role, err)) != AYNI_OK || (rc = check_name(name, err)) != AYNI_OK)
		return rc;
	/* IMMEDIATE, so that no other process takes the invite's last use in between. */
	if (own && (rc = db_begin(r->db, err)) != AYNI_OK)
		return rc;
	rc = admit(r, key, role, name, token_hash, now_ms, err);
	if (own && rc == AYNI_OK)
		rc = db_commit(r->db, err);
	if (own && rc != AYNI_OK)
		db_rollback(r->db);
	return rc;
}

bool registry_curve_banned(struct registry *r, const uint8_t curve_key[32])
{
	/* When in doubt, out: an unreadable list of bans admits nobody. */
	return exists(r, BAN_FIND_CURVE, curve_key, NULL) != QUERY_DONE;
}

int registry_ban(struct registry *r, const struct public_key *key, const uint8_t curve_key[32],
    const char *why, uint64_t now_ms, struct error *err)
{
	struct query q = start(r, BAN_ADD, "registry: banning");

	query_blob(&q, key->bytes, PUBLIC_KEY_BYTES);
	query_blob(&q, curve_key, curve_key == NULL ? 0 : 32);
	query_text(&q, why == NULL ? "" : why);
	query_u64(&q, now_ms);
	return query_run(&q, err);
}

int registry_seen(
    struct registry *r, const struct public_key *key, int role, uint64_t now_ms, struct error *err)
{
	struct query q;
	int rc = check_role(role, err);

	if (rc != AYNI_OK)
		return rc;
	q = start(r, role == ROLE_DONOR ? DONOR_SEEN : MEMBER_SEEN, "registry: noting");
	query_u64(&q, now_ms);
	query_blob(&q, key->bytes, PUBLIC_KEY_BYTES);
	rc = query_run(&q, err);
	if (rc == AYNI_OK && n_changed(r) == 0)
		return error_set(err, AYNI_ERR_NOT_FOUND, "registry: that key was never admitted");
	return rc;
}

static int get_text(
    struct registry *r, enum statement which, const struct public_key *key, char *text, size_t len)
{
	struct query q = start(r, which, "registry: looking up a name");
	int rc;

	if (len == 0)
		return AYNI_ERR_ARGUMENT;
	text[0] = '\0';
	query_blob(&q, key->bytes, PUBLIC_KEY_BYTES);
	rc = query_step(&q, NULL);
	if (rc == QUERY_ROW) {
		const char *name = (const char *)sqlite3_column_text(q.statement, 0);
		size_t n = name == NULL ? 0 : strlen(name);

		rc = n < len ? AYNI_OK : AYNI_ERR_LIMIT;
		if (rc == AYNI_OK && n > 0)
			memcpy(text, name, n + 1);
	}
	(void)query_end(&q, NULL);
	return rc;
}

int registry_donor_name(struct registry *r, const struct public_key *key, char *text, size_t len)
{
	return get_text(r, NAME_GET, key, text, len);
}

int registry_donor_team(struct registry *r, const struct public_key *key, char *text, size_t len)
{
	return get_text(r, TEAM_GET, key, text, len);
}

int registry_donor_team_set(
    struct registry *r, const struct public_key *key, const char *team, struct error *err)
{
	struct query q;
	int rc = check_name(team, err);

	if (rc != AYNI_OK)
		return rc;
	q = start(r, team[0] != '\0' ? TEAM_SET : TEAM_ERASE, "registry: naming a team");
	query_blob(&q, key->bytes, PUBLIC_KEY_BYTES);
	if (team[0] != '\0')
		query_text(&q, team);
	return query_run(&q, err);
}

int registry_donor_named(
    struct registry *r, const char *name, struct public_key *out, struct error *err)
{
	struct query q = start(r, NAME_FIND, "registry: looking up a name");
	int rc, end, n = 0;

	query_int(&q, ROLE_DONOR);
	query_text(&q, name);
	while ((rc = query_step(&q, err)) == QUERY_ROW && n++ < 2)
		query_get_bytes(&q, 0, out->bytes, PUBLIC_KEY_BYTES);
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc < 0 || end != AYNI_OK)
		return rc < 0 ? rc : end;
	if (n == 0)
		return error_set(
		    err, AYNI_ERR_NOT_FOUND, "registry: no donor is called %.64s", name);
	return n == 1 ? AYNI_OK
	              : error_set(err, AYNI_ERR_STATE,
	                    "registry: several donors are called %.64s; say which by key", name);
}

static int erase_names(struct registry *r, const struct public_key *donor, struct error *err)
{
	struct query q = start(r, NAME_ERASE, "registry: erasing a name");
	int n, rc;

	query_int(&q, ROLE_DONOR);
	query_blob(&q, donor->bytes, PUBLIC_KEY_BYTES);
	rc = query_run(&q, err);
	n = n_changed(r);
	if (rc == AYNI_OK)
		rc = registry_donor_team_set(r, donor, "", err);
	if (rc == AYNI_OK && n + n_changed(r) == 0)
		rc = error_set(err, AYNI_ERR_NOT_FOUND, "registry: that donor has no name here");
	return rc;
}

int registry_donor_forget(struct registry *r, const struct public_key *donor, struct error *err)
{
	int rc = db_erasing(r->db, true, err);

	if (rc != AYNI_OK)
		return rc;
	rc = erase_names(r, donor, err);
	return db_erasing(r->db, false, rc == AYNI_OK ? err : NULL) == AYNI_OK || rc != AYNI_OK
	           ? rc
	           : AYNI_ERR_IO;
}

int registry_model_put(struct registry *r, const struct hash *model, const char *name,
    uint64_t file_bytes, uint32_t n_layers, uint64_t now_ms, struct error *err)
{
	struct query q = start(r, MODEL_PUT, "registry: adding a model");
	int rc = check_name(name, err);

	if (rc != AYNI_OK)
		return rc;
	query_blob(&q, model->bytes, HASH_BYTES);
	query_text(&q, name);
	query_u64(&q, file_bytes);
	query_u64(&q, n_layers);
	query_u64(&q, now_ms);
	return query_run(&q, err);
}

/* Runs an INSERT; *number is its new row's. */
static int run_insert(struct registry *r, struct query *q, uint64_t *number, struct error *err)
{
	int rc = query_run(q, err);

	*number = rc == AYNI_OK ? (uint64_t)sqlite3_last_insert_rowid(db_handle(r->db)) : 0;
	return rc;
}

/* Runs an UPDATE of one open row. */
static int run_end(struct registry *r, struct query *q, const char *what, struct error *err)
{
	int rc = query_run(q, err);

	if (rc == AYNI_OK && n_changed(r) == 0)
		return error_set(err, AYNI_ERR_NOT_FOUND, "registry: no such open %s", what);
	return rc;
}

int registry_assignment_add(struct registry *r, const struct public_key *donor,
    const struct hash *model, uint32_t layer_first, uint32_t layer_last, uint64_t now_ms,
    uint64_t *number, struct error *err)
{
	struct query q = start(r, ASSIGNMENT_ADD, "registry: assigning");

	query_blob(&q, donor->bytes, PUBLIC_KEY_BYTES);
	query_blob(&q, model->bytes, HASH_BYTES);
	query_u64(&q, layer_first);
	query_u64(&q, layer_last);
	query_u64(&q, now_ms);
	return run_insert(r, &q, number, err);
}

int registry_assignment_end(struct registry *r, uint64_t number, uint64_t now_ms, struct error *err)
{
	struct query q = start(r, ASSIGNMENT_END, "registry: ending an assignment");

	query_u64(&q, now_ms);
	query_u64(&q, number);
	return run_end(r, &q, "assignment", err);
}

int registry_assignments_end_all(struct registry *r, uint64_t now_ms, struct error *err)
{
	struct query q = start(r, ASSIGNMENTS_END_ALL, "registry: ending assignments");

	query_u64(&q, now_ms);
	return query_run(&q, err);
}

int registry_session_add(struct registry *r, const struct public_key *member,
    const struct hash *model, uint64_t now_ms, uint64_t *number, struct error *err)
{
	struct query q = start(r, SESSION_ADD, "registry: adding a session");

	query_blob(&q, member->bytes, PUBLIC_KEY_BYTES);
	query_blob(&q, model->bytes, HASH_BYTES);
	query_u64(&q, now_ms);
	return run_insert(r, &q, number, err);
}

int registry_session_end(struct registry *r, uint64_t number, uint32_t prompt_tokens,
    uint32_t answer_tokens, int finish_reason, uint64_t now_ms, struct error *err)
{
	struct query q = start(r, SESSION_END, "registry: ending a session");

	query_u64(&q, prompt_tokens);
	query_u64(&q, answer_tokens);
	query_int(&q, finish_reason);
	query_u64(&q, now_ms);
	query_u64(&q, number);
	return run_end(r, &q, "session", err);
}

int registry_habit_put(
    struct registry *r, const struct registry_habit *h, uint64_t now_ms, struct error *err)
{
	struct query q = start(r, HABIT_PUT, "registry: noting a donor's habits");

	query_blob(&q, h->donor.bytes, PUBLIC_KEY_BYTES);
	query_u64(&q, h->stay_s);
	query_u64(&q, h->pace_permille);
	query_u64(&q, h->flop_per_s);
	query_u64(&q, h->read_bytes_per_s);
	query_u64(&q, h->down_us);
	query_u64(&q, h->up_us);
	query_u64(&q, now_ms);
	return query_run(&q, err);
}

static void read_habit(struct query *q, struct registry_habit *h)
{
	memset(h, 0, sizeof *h);
	query_get_bytes(q, 0, h->donor.bytes, PUBLIC_KEY_BYTES);
	h->stay_s = query_get_u64(q, 1);
	h->pace_permille = query_get_u64(q, 2);
	h->flop_per_s = query_get_u64(q, 3);
	h->read_bytes_per_s = query_get_u64(q, 4);
	h->down_us = query_get_u64(q, 5);
	h->up_us = query_get_u64(q, 6);
}

int registry_habits_each(
    struct registry *r, uint32_t max, registry_habit_fn *fn, void *context, struct error *err)
{
	struct query q = start(r, HABITS_EACH, "registry: reading donors' habits");
	int rc = QUERY_DONE, end, stop = 0;

	query_u64(&q, max);
	while (stop == 0 && (rc = query_step(&q, err)) == QUERY_ROW) {
		struct registry_habit h;

		read_habit(&q, &h);
		if (q.failed != AYNI_OK)
			break;
		stop = fn(context, &h);
	}
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc < 0)
		return rc;
	return stop != 0 ? stop : end;
}
