/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/audit.h"

#include <stdlib.h>

#include "node/receipts.h"
#include "storage/sums.h"

enum { PAGE = 256 };

void audit_free(struct audit *a)
{
	free(a->totals);
	free(a->slots);
	*a = (struct audit){0};
}

/* ---- totals ------------------------------------------------------------------------------- */

static struct hash key_of(const struct audit *a, const struct receipt *r)
{
	uint64_t day = r->last_ms / SUMS_DAY_MS;
	struct hash key = {{0}};

	if (a->by == SUMS_BY_MODEL)
		return r->model;
	if (a->by == SUMS_BY_DAY)
		memcpy(key.bytes, &day, sizeof day);
	else
		memcpy(key.bytes, r->donor.bytes, PUBLIC_KEY_BYTES);
	return key;
}

enum { NO_TOTAL = UINT32_MAX };

static size_t slot_of(const struct audit *a, const struct hash *key)
{
	uint64_t hash;
	size_t slot;

	memcpy(&hash, key->bytes, sizeof hash); /* a key's bytes are as good as random */
	slot = (size_t)hash & (a->n_slots - 1);
	while (a->slots[slot] != NO_TOTAL && !hash_equal(&a->totals[a->slots[slot]].key, key))
		slot = (slot + 1) & (a->n_slots - 1);
	return slot;
}

/* An index with twice as many slots as there are totals, at least; a power of two. */
static int make_index(struct audit *a)
{
	size_t n = 64;
	uint32_t *slots;

	while (n < 4 * (a->n_totals + 1))
		n *= 2;
	slots = reallocarray(a->slots, n, sizeof *slots);
	if (slots == NULL)
		return AYNI_ERR_MEMORY;
	memset(slots, 0xff, n * sizeof *slots);
	a->slots = slots;
	a->n_slots = n;
	for (size_t i = 0; i < a->n_totals; i++)
		slots[slot_of(a, &a->totals[i].key)] = (uint32_t)i;
	return AYNI_OK;
}

/* The total of a key, a new one if there is none; NULL without memory. */
static struct audit_total *total_of(struct audit *a, const struct hash *key)
{
	struct audit_total *totals;
	size_t slot;

	if (a->n_slots < 2 * (a->n_totals + 1) && make_index(a) != AYNI_OK)
		return NULL;
	slot = slot_of(a, key);
	if (a->slots[slot] != NO_TOTAL)
		return &a->totals[a->slots[slot]];
	totals = reallocarray(a->totals, a->n_totals + 1, sizeof *totals);
	if (totals == NULL)
		return NULL;
	a->totals = totals;
	totals[a->n_totals] = (struct audit_total){.key = *key};
	a->slots[slot] = (uint32_t)a->n_totals;
	return &totals[a->n_totals++];
}

/* Below 10^9 each, so they fit; the sum of GFLOP has room for 2^31 receipts of the largest cost. */
static void add_cost(struct audit_total *t, uint64_t giga, uint64_t flop)
{
	t->giga += giga + (t->flop + flop) / 1000000000;
	t->flop = (t->flop + flop) % 1000000000;
}

static void add_times(struct audit_total *t, uint64_t first_ms, uint64_t last_ms)
{
	t->first_ms = t->receipts == 0 || first_ms < t->first_ms ? first_ms : t->first_ms;
	t->last_ms = last_ms > t->last_ms ? last_ms : t->last_ms;
}

/* Logs from before there were such entries begin anywhere. */
static void follow(
    struct audit *a, struct audit_total *t, enum standing_state from, enum standing_state to)
{
	a->bad_standing += t->has_standing && t->standing != from;
	if (!t->has_standing)
		t->standing_first = from;
	t->has_standing = true;
	t->standing = to;
}

int audit_count(struct audit *a, const struct receipt *r, bool countersigned, struct error *err)
{
	struct hash key = key_of(a, r);
	struct audit_total *t;

	if (r->is_standing ? a->by == SUMS_BY_MODEL || a->by == SUMS_BY_DAY
	                   : r->last_ms < a->since_ms)
		return AYNI_OK;
	t = total_of(a, &key);
	if (t == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (r->is_standing) {
		follow(a, t, r->standing.from, r->standing.to);
		return AYNI_OK;
	}
	if (!countersigned) {
		t->unsigned_receipts++;
		return AYNI_OK;
	}
	add_times(t, r->first_ms, r->last_ms);
	t->receipts++;
	t->units += r->units;
	t->tokens += r->tokens;
	add_cost(t, flop_count(r->cost) / 1000000000, flop_count(r->cost) % 1000000000);
	return AYNI_OK;
}

int audit_merge(struct audit *a, const struct audit *from, struct error *err)
{
	a->bad_standing += from->bad_standing;
	for (size_t i = 0; i < from->n_totals; i++) {
		const struct audit_total *f = &from->totals[i];
		struct audit_total *t = total_of(a, &f->key);

		if (t == NULL)
			return error_set(err, AYNI_ERR_MEMORY, "out of memory");
		t->unsigned_receipts += f->unsigned_receipts;
		if (f->has_standing)
			follow(a, t, f->standing_first, f->standing);
		if (f->receipts == 0)
			continue;
		add_times(t, f->first_ms, f->last_ms);
		t->receipts += f->receipts;
		t->units += f->units;
		t->tokens += f->tokens;
		add_cost(t, f->giga, f->flop);
	}
	return AYNI_OK;
}

/* ---- receipts ----------------------------------------------------------------------------- */

int audit_add(struct audit *a, const struct signed_receipt *s, struct error *err)
{
	struct receipt r;

	if (receipt_check(s, &r, NULL) != AYNI_OK) {
		a->bad++;
		return AYNI_OK;
	}
	if (!a->pool_known) {
		a->pool = r.pool;
		a->pool_known = true;
	}
	if (!public_key_equal(&r.pool, &a->pool)) {
		a->bad++;
		return AYNI_OK;
	}
	if (r.number > a->last_number + 1)
		a->missing += r.number - a->last_number - 1;
	a->last_number = r.number;
	return audit_count(a, &r, s->countersigned, err);
}

void audit_name(struct audit *a, const struct hash *key, const char *name, const char *team)
{
	struct audit_total *t;

	if (a->n_slots == 0 || a->slots[slot_of(a, key)] == NO_TOTAL)
		return;
	t = &a->totals[a->slots[slot_of(a, key)]];
	(void)snprintf(t->name, sizeof t->name, "%s", name);
	(void)snprintf(t->team, sizeof t->team, "%s", team);
}

/* ---- finishing ---------------------------------------------------------------------------- */

double audit_gflop(const struct audit_total *t)
{
	return (double)t->giga + (double)t->flop / 1e9;
}

uint64_t audit_day_ms(const struct audit_total *t)
{
	uint64_t day;

	memcpy(&day, t->key.bytes, sizeof day);
	return day * SUMS_DAY_MS;
}

static int by_cost(const void *a, const void *b)
{
	const struct audit_total *x = a, *y = b;

	if (x->giga != y->giga)
		return x->giga < y->giga ? 1 : -1;
	if (x->flop != y->flop)
		return x->flop < y->flop ? 1 : -1;
	return memcmp(x->key.bytes, y->key.bytes, HASH_BYTES);
}

static int by_day(const void *a, const void *b)
{
	uint64_t x = audit_day_ms(a), y = audit_day_ms(b);

	return x < y ? -1 : x > y ? 1 : 0;
}

/* The totals of donors into those of their teams, whose key is the hash of the name. */
static int join_teams(struct audit *a, struct error *err)
{
	struct audit teams = {.by = SUMS_BY_TEAM};
	int rc;

	for (size_t i = 0; i < a->n_totals; i++) {
		struct audit_total *t = &a->totals[i];

		hash_bytes((const uint8_t *)t->team, strlen(t->team), &t->key);
		t->has_standing = false; /* a team has none */
	}
	rc = audit_merge(&teams, a, err);
	for (size_t i = 0; rc == AYNI_OK && i < a->n_totals; i++)
		audit_name(&teams, &a->totals[i].key, "", a->totals[i].team);
	free(a->totals);
	free(a->slots);
	a->totals = teams.totals;
	a->n_totals = teams.n_totals;
	a->slots = teams.slots;
	return rc;
}

int audit_finish(struct audit *a, struct error *err)
{
	int rc = a->by == SUMS_BY_TEAM ? join_teams(a, err) : AYNI_OK;

	if (a->n_totals > 0)
		qsort(a->totals, a->n_totals, sizeof *a->totals,
		    a->by == SUMS_BY_DAY ? by_day : by_cost);
	a->n_slots = 0;
	return rc;
}

/* ---- where receipts come from ------------------------------------------------------------- */

static void name_donor(struct audit *a, const struct donor_name *n)
{
	struct hash key;

	if (a->by == SUMS_BY_MODEL || a->by == SUMS_BY_DAY)
		return;
	memcpy(key.bytes, n->donor.bytes, PUBLIC_KEY_BYTES);
	audit_name(a, &key, n->name, n->team);
}

int audit_pool(struct audit *a, struct client *c, struct error *err)
{
	struct message q = {.type = MSG_RECEIPTS_QUERY};
	const struct message *m;
	uint64_t after = 0;
	int rc;

	a->pool = *client_pool_key(c);
	a->pool_known = true;
	do {
		q.receipts_query = (struct msg_receipts_query){.after = after, .limit = PAGE};
		rc = client_ask(c, &q, MSG_RECEIPTS, &m, err);
		for (size_t i = 0; rc == AYNI_OK && i < m->receipts.n_receipts; i++)
			rc = audit_add(a, &m->receipts.receipts[i], err);
		for (size_t i = 0; rc == AYNI_OK && i < m->receipts.n_names; i++)
			name_donor(a, &m->receipts.names[i]);
		after += PAGE;
		if (a->last_number > after)
			after = a->last_number;
	} while (rc == AYNI_OK && m->receipts.n_receipts == PAGE);
	return rc;
}

struct walk {
	struct audit *audit;
	struct error *err;
};

static int add_entry(void *context, const struct ledger_entry *e)
{
	struct walk *w = context;
	struct signed_receipt s;

	if (receipts_signed(e, &s) != AYNI_OK) {
		w->audit->bad++;
		return AYNI_OK;
	}
	return audit_add(w->audit, &s, w->err);
}

static int add_name(void *context, const struct sums_row *r)
{
	audit_name(context, &r->key, r->name, r->team);
	return 0;
}

/* Names and teams; days have none. */
static int add_names(struct audit *a, struct sums *sums, struct error *err)
{
	struct sums_filter f = {.by = a->by == SUMS_BY_MODEL ? SUMS_BY_MODEL : SUMS_BY_DONOR};

	return a->by == SUMS_BY_DAY ? AYNI_OK : sums_each(sums, &f, add_name, a, err);
}

int audit_file(struct audit *a, const char *path, struct error *err)
{
	struct walk w = {a, err};
	struct sums *sums = NULL;
	struct db *db = NULL;
	struct ledger *ledger = NULL;
	int rc = db_open(path, DB_READ_ONLY, &db, err);

	if (rc == AYNI_OK)
		rc = ledger_new(db, &ledger, err);
	if (rc == AYNI_OK)
		rc = sums_new(db, &sums, err);
	if (rc == AYNI_OK)
		rc = ledger_each(ledger, 0, UINT32_MAX, add_entry, &w, err);
	if (rc == AYNI_OK)
		rc = add_names(a, sums, err);
	sums_free(sums);
	ledger_free(ledger);
	db_free(db);
	return rc;
}

static int add_row(void *context, const struct sums_row *r)
{
	struct audit *a = context;
	struct audit_total *totals = reallocarray(a->totals, a->n_totals + 1, sizeof *totals);
	uint64_t day = r->day_ms / SUMS_DAY_MS;
	struct audit_total *t;

	if (totals == NULL)
		return AYNI_ERR_MEMORY;
	a->totals = totals;
	t = &totals[a->n_totals++];
	*t = (struct audit_total){.key = r->key,
	    .giga = r->giga,
	    .flop = r->flop,
	    .receipts = r->receipts,
	    .units = r->units,
	    .tokens = r->tokens,
	    .first_ms = r->first_ms,
	    .last_ms = r->last_ms,
	    .unsigned_receipts = r->waiting};
	if (a->by == SUMS_BY_DAY)
		memcpy(t->key.bytes, &day, sizeof day);
	(void)snprintf(t->name, sizeof t->name, "%s", r->name);
	(void)snprintf(t->team, sizeof t->team, "%s", r->team);
	return 0;
}

int audit_sums(struct audit *a, const char *path, struct error *err)
{
	struct sums_filter f = {.by = a->by != 0 ? a->by : SUMS_BY_DONOR, .since_ms = a->since_ms};
	struct sums *sums = NULL;
	struct ledger *ledger = NULL;
	struct db *db = NULL;
	int rc = db_open(path, DB_READ_ONLY, &db, err);

	if (rc == AYNI_OK)
		rc = ledger_new(db, &ledger, err);
	if (rc == AYNI_OK)
		rc = sums_new(db, &sums, err);
	if (rc == AYNI_OK)
		rc = sums_each(sums, &f, add_row, a, err);
	if (rc == AYNI_OK)
		a->last_number = ledger_last_number(ledger);
	sums_free(sums);
	ledger_free(ledger);
	db_free(db);
	return rc;
}
