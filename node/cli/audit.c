/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/audit.h"

#include <stdlib.h>

#include "node/receipts.h"

enum { PAGE = 256 };

void audit_free(struct audit *a)
{
	free(a->totals);
	free(a->slots);
	*a = (struct audit){0};
}

/* ---- totals by donor ---------------------------------------------------------------------- */

enum { NO_TOTAL = UINT32_MAX };

static size_t slot_of(const struct audit *a, const struct public_key *donor)
{
	uint64_t hash;
	size_t slot;

	memcpy(&hash, donor->bytes, sizeof hash); /* a key's bytes are as good as random */
	slot = (size_t)hash & (a->n_slots - 1);
	while (a->slots[slot] != NO_TOTAL &&
	       !public_key_equal(&a->totals[a->slots[slot]].donor, donor))
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
		slots[slot_of(a, &a->totals[i].donor)] = (uint32_t)i;
	return AYNI_OK;
}

/* The donor's total, a new one if there is none; NULL without memory. */
static struct audit_total *total_of(struct audit *a, const struct public_key *donor)
{
	struct audit_total *totals;
	size_t slot;

	if (a->n_slots < 2 * (a->n_totals + 1) && make_index(a) != AYNI_OK)
		return NULL;
	slot = slot_of(a, donor);
	if (a->slots[slot] != NO_TOTAL)
		return &a->totals[a->slots[slot]];
	totals = reallocarray(a->totals, a->n_totals + 1, sizeof *totals);
	if (totals == NULL)
		return NULL;
	a->totals = totals;
	totals[a->n_totals] = (struct audit_total){.donor = *donor};
	a->slots[slot] = (uint32_t)a->n_totals;
	return &totals[a->n_totals++];
}

static int add_cost(struct audit_total *t, struct flop cost, struct error *err)
{
	if (flop_add(t->cost, cost, &t->cost) != AYNI_OK)
		return error_set(
		    err, AYNI_ERR_LIMIT, "a donor's total does not fit 63 bits of FLOP");
	return AYNI_OK;
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
	struct audit_total *t;

	if (r->last_ms < a->since_ms && !r->is_standing)
		return AYNI_OK;
	t = total_of(a, &r->donor);
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
	return add_cost(t, r->cost, err);
}

int audit_merge(struct audit *a, const struct audit *from, struct error *err)
{
	int rc = AYNI_OK;

	a->bad_standing += from->bad_standing;
	for (size_t i = 0; rc == AYNI_OK && i < from->n_totals; i++) {
		const struct audit_total *f = &from->totals[i];
		struct audit_total *t = total_of(a, &f->donor);

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
		rc = add_cost(t, f->cost, err);
	}
	return rc;
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

void audit_name(struct audit *a, const struct public_key *donor, const char *name)
{
	for (size_t i = 0; i < a->n_totals; i++) {
		if (public_key_equal(&a->totals[i].donor, donor))
			(void)snprintf(a->totals[i].name, sizeof a->totals[i].name, "%s", name);
	}
}

static int by_cost(const void *a, const void *b)
{
	uint64_t x = flop_count(((const struct audit_total *)a)->cost);
	uint64_t y = flop_count(((const struct audit_total *)b)->cost);

	return x < y ? 1 : x > y ? -1 : 0;
}

void audit_sort(struct audit *a)
{
	if (a->n_totals > 0)
		qsort(a->totals, a->n_totals, sizeof *a->totals, by_cost);
	a->n_slots = 0;
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
			audit_name(a, &m->receipts.names[i].donor, m->receipts.names[i].name);
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

static int add_name(void *context, const struct ledger_total *t)
{
	audit_name(context, &t->donor, t->name);
	return 0;
}

int audit_file(struct audit *a, const char *path, struct error *err)
{
	struct walk w = {a, err};
	struct ledger_filter all = {0};
	struct db *db = NULL;
	struct ledger *ledger = NULL;
	int rc = db_open(path, DB_READ_ONLY, &db, err);

	if (rc == AYNI_OK)
		rc = ledger_new(db, &ledger, err);
	if (rc == AYNI_OK)
		rc = ledger_each(ledger, 0, UINT32_MAX, add_entry, &w, err);
	if (rc == AYNI_OK)
		rc = ledger_totals(ledger, &all, add_name, a, err);
	ledger_free(ledger);
	db_free(db);
	return rc;
}
