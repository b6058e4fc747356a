/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger.h"

#include <stdlib.h>

#include "storage/query.h"

enum statement {
	LAST_NUMBER,
	KEY_ID,
	KEY_ADD,
	FIND,
	APPEND,
	WAITING_OF,
	COUNTERSIGN,
	EACH,
	EACH_UNCOUNTERSIGNED,
	EACH_OF_SESSION,
	EACH_STANDING,
	N_STATEMENTS
};

#define ID  "(SELECT id FROM keys WHERE key = ?)"
#define KEY "(SELECT key FROM keys WHERE id = "

#define COLUMNS                                                                                    \
	"SELECT number, " KEY "pool), " KEY "donor), " KEY "model), layer_first, layer_last,"      \
	" units, tokens, cost, first_ms, last_ms, receipt, keys_at, pool_signature,"               \
	" donor_signature, session FROM receipts"

static const char *const texts[N_STATEMENTS] = {
    [LAST_NUMBER] = "SELECT max(number) FROM receipts",
    [KEY_ID] = "SELECT id FROM keys WHERE key = ?",
    [KEY_ADD] = "INSERT INTO keys (key) VALUES (?)",
    [FIND] = COLUMNS " WHERE number = ? AND pool = " ID,
    [APPEND] = "INSERT INTO receipts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [WAITING_OF] = "SELECT " KEY "pool), donor_signature FROM receipts"
                   " WHERE number = ? AND donor = " ID,
    [COUNTERSIGN] = "UPDATE receipts SET donor_signature = ? WHERE number = ? AND pool = " ID,
    [EACH] = COLUMNS " WHERE number > ? ORDER BY number, pool",
    [EACH_UNCOUNTERSIGNED] = COLUMNS " WHERE donor = " ID " AND donor_signature = zeroblob(64)"
                                     " AND units > 0 ORDER BY number, pool LIMIT ?",
    [EACH_OF_SESSION] = COLUMNS " WHERE session = ? AND session > 0 AND number > ?"
                                " ORDER BY number, pool",
    [EACH_STANDING] = COLUMNS " WHERE donor = " ID " AND units = 0 AND number > ?"
                              " ORDER BY number, pool",
};

static const struct signature not_signed;

struct ledger {
	struct db *db;
	sqlite3_stmt *statements[N_STATEMENTS];
};

int ledger_new(struct db *d, struct ledger **out, struct error *err)
{
	struct ledger *l = calloc(1, sizeof *l);
	int rc;

	*out = NULL;
	if (l == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "ledger: out of memory");
	l->db = d;
	rc = statements_prepare(d, texts, N_STATEMENTS, l->statements, err);
	if (rc != AYNI_OK) {
		free(l);
		return rc;
	}
	*out = l;
	return AYNI_OK;
}

void ledger_free(struct ledger *l)
{
	if (l == NULL)
		return;
	statements_finalize(l->statements, N_STATEMENTS);
	free(l);
}

uint64_t ledger_last_number(struct ledger *l)
{
	struct query q = query_begin(l->db, l->statements[LAST_NUMBER], "ledger: last number");
	uint64_t number = 0;

	if (query_step(&q, NULL) == QUERY_ROW)
		number = query_get_u64(&q, 0);
	(void)query_end(&q, NULL);
	return number;
}

static int set_donor_signature(struct ledger *l, uint64_t number, const struct public_key *pool,
    const struct signature *sig, struct error *err)
{
	struct query q = query_begin(l->db, l->statements[COUNTERSIGN], "ledger: countersigning");

	query_blob(&q, sig->bytes, SIGNATURE_BYTES);
	query_u64(&q, number);
	query_blob(&q, pool->bytes, PUBLIC_KEY_BYTES);
	return query_run(&q, err);
}

/* ---- receipts without their keys ---------------------------------------------------------- */

/*
 * A receipt is a protobuf message whose fields 2, 3 and 4 are the keys of pool and donor and the
 * hash of the model: 102 bytes that `keys` has already. They are cut out where they stand and put
 * back when it is read, so that nothing is ever encoded anew. Other bytes are kept as they are.
 */
enum { KEYS_BYTES = 3 * (2 + HASH_BYTES) };

static void put_keys(const struct ledger_entry *e, uint8_t out[KEYS_BYTES])
{
	static const uint8_t tags[3] = {0x12, 0x1a, 0x22};
	const uint8_t *const keys[3] = {e->pool.bytes, e->donor.bytes, e->model.bytes};

	for (size_t i = 0; i < 3; i++) {
		uint8_t *at = out + i * (2 + HASH_BYTES);

		at[0] = tags[i];
		at[1] = HASH_BYTES;
		memcpy(at + 2, keys[i], HASH_BYTES);
	}
}

/* What is stored, in out; where the keys stood, or 0. */
static size_t cut_keys(const struct ledger_entry *e, uint8_t out[LEDGER_RECEIPT_MAX], size_t *len)
{
	uint8_t keys[KEYS_BYTES];
	const uint8_t *found;
	size_t at;

	put_keys(e, keys);
	found = memmem(e->receipt.data, e->receipt.len, keys, KEYS_BYTES);
	at = found != NULL ? (size_t)(found - e->receipt.data) : 0;
	*len = e->receipt.len - (at > 0 ? KEYS_BYTES : 0);
	memcpy(out, e->receipt.data, at > 0 ? at : *len);
	if (at > 0)
		memcpy(out + at, found + KEYS_BYTES, *len - at);
	return at;
}

/* And back. False if what is stored cannot be so. */
static bool paste_keys(
    struct ledger_entry *e, struct span stored, uint64_t at, uint8_t out[LEDGER_RECEIPT_MAX])
{
	size_t len = stored.len + (at > 0 ? KEYS_BYTES : 0);

	if (stored.len == 0 || len > LEDGER_RECEIPT_MAX || at > stored.len ||
	    at > LEDGER_RECEIPT_MAX - KEYS_BYTES)
		return false;
	memcpy(out, stored.data, at > 0 ? at : len);
	if (at > 0) {
		put_keys(e, out + at);
		memcpy(out + at + KEYS_BYTES, stored.data + at, stored.len - at);
	}
	e->receipt = (struct span){out, len};
	return true;
}

/* A row of COLUMNS; e->receipt is in `bytes`. */
static void read_entry(struct query *q, struct ledger_entry *e, uint8_t bytes[LEDGER_RECEIPT_MAX])
{
	memset(e, 0, sizeof *e);
	e->number = query_get_u64(q, 0);
	query_get_bytes(q, 1, e->pool.bytes, PUBLIC_KEY_BYTES);
	query_get_bytes(q, 2, e->donor.bytes, PUBLIC_KEY_BYTES);
	query_get_bytes(q, 3, e->model.bytes, HASH_BYTES);
	e->layer_first = query_get_u32(q, 4);
	e->layer_last = query_get_u32(q, 5);
	e->units = query_get_u64(q, 6);
	e->tokens = query_get_u64(q, 7);
	(void)flop_from(query_get_u64(q, 8), &e->cost); /* SQLite's integers all fit */
	e->first_ms = query_get_u64(q, 9);
	e->last_ms = query_get_u64(q, 10);
	if (!paste_keys(e, query_get_span(q, 11), query_get_u64(q, 12), bytes))
		q->failed = q->failed == AYNI_OK ? AYNI_ERR_FORMAT : q->failed;
	query_get_bytes(q, 13, e->pool_signature.bytes, SIGNATURE_BYTES);
	query_get_bytes(q, 14, e->donor_signature.bytes, SIGNATURE_BYTES);
	e->session = query_get_u64(q, 15);
	e->countersigned = memcmp(&e->donor_signature, &not_signed, sizeof not_signed) != 0;
}

/* ---- appending ---------------------------------------------------------------------------- */

/* QUERY_ROW if the same receipt is there already, QUERY_DONE if its number is free. */
static int find_same(
    struct ledger *l, const struct ledger_entry *e, bool *countersigned, struct error *err)
{
	struct query q = query_begin(l->db, l->statements[FIND], "ledger: looking up a receipt");
	uint8_t bytes[LEDGER_RECEIPT_MAX];
	struct ledger_entry there;
	bool same = true;
	int rc, end;

	query_u64(&q, e->number);
	query_blob(&q, e->pool.bytes, PUBLIC_KEY_BYTES);
	rc = query_step(&q, err);
	if (rc == QUERY_ROW) {
		read_entry(&q, &there, bytes);
		same = there.receipt.len == e->receipt.len &&
		       memcmp(there.receipt.data, e->receipt.data, e->receipt.len) == 0;
		*countersigned = there.countersigned;
	}
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc >= 0 && end != AYNI_OK)
		return end;
	if (!same)
		return error_set(err, AYNI_ERR_EXISTS,
		    "ledger: this pool has another receipt of number %llu",
		    (unsigned long long)e->number);
	return rc;
}

/* What stands for a key; a new one if it has none. */
static int key_id(struct ledger *l, const uint8_t key[HASH_BYTES], uint64_t *id, struct error *err)
{
	struct query q = query_begin(l->db, l->statements[KEY_ID], "ledger: looking up a key");
	int rc, end;

	query_blob(&q, key, HASH_BYTES);
	rc = query_step(&q, err);
	if (rc == QUERY_ROW)
		*id = query_get_u64(&q, 0);
	end = query_end(&q, rc < 0 ? NULL : err);
	if (rc != QUERY_DONE)
		return rc < 0 ? rc : end;
	q = query_begin(l->db, l->statements[KEY_ADD], "ledger: adding a key");
	query_blob(&q, key, HASH_BYTES);
	rc = query_run(&q, err);
	*id = (uint64_t)sqlite3_last_insert_rowid(db_handle(l->db));
	return rc;
}

static int insert(struct ledger *l, const struct ledger_entry *e, struct error *err)
{
	uint8_t bytes[LEDGER_RECEIPT_MAX];
	uint64_t pool = 0, donor = 0, model = 0;
	struct query q;
	size_t len, at;
	int rc;

	if ((rc = key_id(l, e->pool.bytes, &pool, err)) != AYNI_OK ||
	    (rc = key_id(l, e->donor.bytes, &donor, err)) != AYNI_OK ||
	    (rc = key_id(l, e->model.bytes, &model, err)) != AYNI_OK)
		return rc;
	at = cut_keys(e, bytes, &len);
	q = query_begin(l->db, l->statements[APPEND], "ledger: appending");
	query_u64(&q, e->number);
	query_u64(&q, pool);
	query_u64(&q, donor);
	query_u64(&q, model);
	query_u64(&q, e->layer_first);
	query_u64(&q, e->layer_last);
	query_u64(&q, e->units);
	query_u64(&q, e->tokens);
	query_u64(&q, flop_count(e->cost));
	query_u64(&q, e->first_ms);
	query_u64(&q, e->last_ms);
	query_blob(&q, bytes, len);
	query_u64(&q, at);
	query_blob(&q, e->pool_signature.bytes, SIGNATURE_BYTES);
	query_blob(
	    &q, e->countersigned ? e->donor_signature.bytes : not_signed.bytes, SIGNATURE_BYTES);
	query_u64(&q, e->session);
	return query_run(&q, err);
}

/* At most one statement changes a receipt, so this is whole with or without a transaction; a key
 * that is left over does no harm. */
int ledger_append(struct ledger *l, const struct ledger_entry *e, struct error *err)
{
	bool countersigned = false;
	int rc;

	if (e->number == 0 || e->receipt.len == 0 || e->receipt.len > LEDGER_RECEIPT_MAX ||
	    e->layer_last < e->layer_first)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "ledger: receipt %llu has no number, no layers, or no bytes or too many",
		    (unsigned long long)e->number);
	rc = find_same(l, e, &countersigned, err);
	if (rc == QUERY_DONE)
		return insert(l, e, err);
	if (rc == QUERY_ROW && e->countersigned && !countersigned)
		return set_donor_signature(l, e->number, &e->pool, &e->donor_signature, err);
	return rc == QUERY_ROW ? AYNI_OK : rc;
}

/* ---- countersigning ----------------------------------------------------------------------- */

struct waiting {
	struct public_key pool;
	struct signature signature;
	bool countersigned;
	int n_pools;
};

static int find_waiting(struct ledger *l, uint64_t number, const struct public_key *donor,
    struct waiting *w, struct error *err)
{
	struct query q = query_begin(l->db, l->statements[WAITING_OF], "ledger: countersigning");
	int rc, end;

	memset(w, 0, sizeof *w);
	query_u64(&q, number);
	query_blob(&q, donor->bytes, PUBLIC_KEY_BYTES);
	while ((rc = query_step(&q, err)) == QUERY_ROW && w->n_pools < 2) {
		w->n_pools++;
		query_get_bytes(&q, 0, w->pool.bytes, PUBLIC_KEY_BYTES);
		query_get_bytes(&q, 1, w->signature.bytes, SIGNATURE_BYTES);
		w->countersigned = memcmp(&w->signature, &not_signed, sizeof not_signed) != 0;
	}
	end = query_end(&q, rc < 0 ? NULL : err);
	return rc < 0 ? rc : end;
}

int ledger_countersign(struct ledger *l, uint64_t number, const struct public_key *donor,
    const struct signature *sig, struct error *err)
{
	struct waiting w;
	int rc = find_waiting(l, number, donor, &w, err);

	if (rc != AYNI_OK)
		return rc;
	if (w.n_pools == 0)
		return error_set(err, AYNI_ERR_NOT_FOUND, "ledger: that donor has no receipt %llu",
		    (unsigned long long)number);
	if (w.n_pools > 1)
		return error_set(err, AYNI_ERR_STATE, "ledger: several pools have a receipt %llu",
		    (unsigned long long)number);
	if (!w.countersigned)
		return set_donor_signature(l, number, &w.pool, sig, err);
	if (memcmp(w.signature.bytes, sig->bytes, SIGNATURE_BYTES) != 0)
		return error_set(err, AYNI_ERR_EXISTS,
		    "ledger: receipt %llu is countersigned already", (unsigned long long)number);
	return AYNI_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Past the limit, on to the end of a number: the next page begins after a whole one. */
static int walk(
    struct query *q, uint32_t limit, ledger_entry_fn *fn, void *context, struct error *err)
{
	uint8_t bytes[LEDGER_RECEIPT_MAX];
	uint64_t number = 0;
	uint32_t n = 0;
	int rc = QUERY_DONE, end, stop = 0;

	while (stop == 0 && limit > 0 && (rc = query_step(q, err)) == QUERY_ROW) {
		struct ledger_entry e;

		read_entry(q, &e, bytes);
		if (q->failed != AYNI_OK || (n == limit && e.number != number))
			break;
		number = e.number;
		n += n < limit ? 1 : 0;
		stop = fn(context, &e);
	}
	end = query_end(q, rc < 0 ? NULL : err);
	if (rc < 0)
		return rc;
	return stop != 0 ? stop : end;
}

int ledger_each(struct ledger *l, uint64_t after, uint32_t limit, ledger_entry_fn *fn,
    void *context, struct error *err)
{
	struct query q = query_begin(l->db, l->statements[EACH], "ledger: reading");

	if (after > INT64_MAX)
		return AYNI_OK; /* no number is that high */
	query_u64(&q, after);
	return walk(&q, limit, fn, context, err);
}

int ledger_each_uncountersigned(struct ledger *l, const struct public_key *donor, uint32_t limit,
    ledger_entry_fn *fn, void *context, struct error *err)
{
	struct query q = query_begin(
	    l->db, l->statements[EACH_UNCOUNTERSIGNED], "ledger: reading uncountersigned receipts");

	query_blob(&q, donor->bytes, PUBLIC_KEY_BYTES);
	query_u64(&q, limit);
	return walk(&q, limit, fn, context, err);
}

uint64_t ledger_session(const struct pseudonym *session)
{
	uint64_t first = 0;

	for (unsigned i = 0; i < sizeof first; i++)
		first = first << 8 | session->bytes[i];
	return first >> 1;
}

int ledger_each_of_session(struct ledger *l, uint64_t session, uint64_t after, uint32_t limit,
    ledger_entry_fn *fn, void *context, struct error *err)
{
	struct query q = query_begin(
	    l->db, l->statements[EACH_OF_SESSION], "ledger: reading receipts of a session");

	query_u64(&q, session);
	query_u64(&q, after);
	return walk(&q, limit, fn, context, err);
}

int ledger_each_standing(struct ledger *l, const struct public_key *donor, uint64_t after,
    uint32_t limit, ledger_entry_fn *fn, void *context, struct error *err)
{
	struct query q =
	    query_begin(l->db, l->statements[EACH_STANDING], "ledger: reading a donor's standing");

	query_blob(&q, donor->bytes, PUBLIC_KEY_BYTES);
	query_u64(&q, after);
	return walk(&q, limit, fn, context, err);
}
