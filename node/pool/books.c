/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/books.h"

#include <stdlib.h>

#include "node/pool/public_log.h"
#include "node/pool/roster.h"
#include "node/receipts.h"
#include "storage/windows.h"

enum { REMIND_MAX = 256 };

/* A window that waits for its verdict. */
struct aside {
	struct receipt window;
	struct aside *next;
};

struct books {
	const struct identity *pool;
	struct db *db;
	struct ledger *ledger;
	struct tree *tree;
	struct windows *saved;
	uint64_t window_units;
	books_issued_fn *issued;
	books_may_close_fn *may_close; /* NULL: all may */
	void *context;
	uint64_t last_number;
	uint64_t earlier_number; /* the last of an earlier run */
	uint64_t open_acks;
	struct receipt windows[ROSTER_MAX_DONORS]; /* being filled; units 0: empty */
	bool unsaved[ROSTER_MAX_DONORS];
	bool any_unsaved;
	struct aside *aside; /* owned */
};

static struct window window_of(const struct receipt *r)
{
	return (struct window){.donor = r->donor,
	    .model = r->model,
	    .layer_first = r->layer_first,
	    .layer_last = r->layer_last,
	    .units = r->units,
	    .tokens = r->tokens,
	    .cost = r->cost,
	    .units_hash = r->units_hash,
	    .first_ms = r->first_ms,
	    .last_ms = r->last_ms};
}

static struct receipt receipt_of(const struct window *w)
{
	return (struct receipt){.donor = w->donor,
	    .model = w->model,
	    .layer_first = w->layer_first,
	    .layer_last = w->layer_last,
	    .units = w->units,
	    .tokens = w->tokens,
	    .cost = w->cost,
	    .units_hash = w->units_hash,
	    .first_ms = w->first_ms,
	    .last_ms = w->last_ms};
}

/* As the receipt that follows the last one, into the ledger, and out of the windows. In a
 * transaction. */
static int write_receipt(
    struct books *b, struct receipt *r, struct signed_receipt *s, struct error *err)
{
	struct ledger_entry e;
	int rc;

	r->number = b->last_number + 1;
	r->pool = *identity_public(b->pool);
	r->merge_delay_s = PUBLIC_LOG_MERGE_DELAY_S;
	rc = receipt_issue(r, b->pool, s, err);
	if (rc != AYNI_OK)
		return rc;
	e = receipts_entry(r, s);
	rc = ledger_append(b->ledger, &e, err);
	if (rc == AYNI_OK)
		rc = tree_append(b->tree, r->number, e.receipt, err);
	if (rc == AYNI_OK)
		rc = windows_drop(b->saved, &r->donor, err);
	if (rc == AYNI_OK)
		b->last_number++;
	return rc;
}

/* What an earlier run left, as receipts that wait for their donors. */
static int recover(void *context, const struct window *w)
{
	struct receipt r = receipt_of(w);
	struct signed_receipt s;

	return write_receipt(context, &r, &s, NULL);
}

static int recover_all(struct books *b, struct error *err)
{
	int rc = db_begin(b->db, err);

	if (rc == AYNI_OK)
		rc = windows_each(b->saved, recover, b, err);
	if (rc == AYNI_OK)
		return db_commit(b->db, err);
	db_rollback(b->db);
	return error_set(err, (enum ayni_error)rc, "the books of an earlier run cannot be closed");
}

int books_new(const struct identity *pool, struct db *db, struct ledger *ledger, struct tree *tree,
    uint64_t window_units, books_issued_fn *issued, void *context, struct books **out,
    struct error *err)
{
	struct books *b = calloc(1, sizeof *b);
	int rc;

	if (b == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "books: out of memory");
	b->pool = pool;
	b->db = db;
	b->ledger = ledger;
	b->tree = tree;
	b->window_units = window_units;
	b->issued = issued;
	b->context = context;
	b->last_number = ledger_last_number(ledger);
	if ((rc = windows_new(db, &b->saved, err)) != AYNI_OK ||
	    (rc = recover_all(b, err)) != AYNI_OK) {
		books_free(b);
		return rc;
	}
	b->earlier_number = b->last_number;
	*out = b;
	return AYNI_OK;
}

void books_free(struct books *b)
{
	if (b == NULL)
		return;
	while (b->aside != NULL) {
		struct aside *a = b->aside;

		b->aside = a->next;
		free(a);
	}
	windows_free(b->saved);
	free(b);
}

void books_ask(struct books *b, books_may_close_fn *may_close)
{
	b->may_close = may_close;
}

static bool may_close(const struct books *b, int donor)
{
	return b->may_close == NULL || b->may_close(b->context, donor);
}

int books_save(struct books *b, struct error *err)
{
	int rc = AYNI_OK;

	if (!b->any_unsaved || (rc = db_begin(b->db, err)) != AYNI_OK)
		return rc;
	for (int i = 0; i < ROSTER_MAX_DONORS && rc == AYNI_OK; i++) {
		struct window w = window_of(&b->windows[i]);

		if (b->unsaved[i] && w.units > 0)
			rc = windows_put(b->saved, &w, err);
	}
	if (rc == AYNI_OK)
		rc = db_commit(b->db, err);
	if (rc != AYNI_OK) {
		db_rollback(b->db);
		return rc;
	}
	memset(b->unsaved, 0, sizeof b->unsaved);
	b->any_unsaved = false;
	return AYNI_OK;
}

/* Receipts of the windows of these n donors, all or none. */
static int write_all(struct books *b, const int *donors, size_t n, struct signed_receipt *receipts,
    struct error *err)
{
	uint64_t last_number = b->last_number;
	int rc = db_begin(b->db, err);

	if (rc != AYNI_OK)
		return rc;
	for (size_t i = 0; i < n && rc == AYNI_OK; i++)
		rc = write_receipt(b, &b->windows[donors[i]], &receipts[i], err);
	if (rc == AYNI_OK)
		rc = db_commit(b->db, err);
	if (rc != AYNI_OK) {
		db_rollback(b->db);
		b->last_number = last_number;
		(void)tree_reload(
		    b->tree, NULL); /* if this fails too, the next receipt is refused */
	}
	return rc;
}

static void empty_window(struct books *b, int donor)
{
	memset(&b->windows[donor], 0, sizeof b->windows[donor]);
	b->unsaved[donor] = false;
}

/* It is durable: out of our hands. What `issued` does may come back here. */
static void hand_out(struct books *b, int donor, const struct signed_receipt *s)
{
	b->open_acks++;
	b->issued(b->context, donor, s);
}

int books_close(struct books *b, int donor, struct error *err)
{
	struct signed_receipt s;
	int rc;

	if (b->windows[donor].units == 0)
		return AYNI_OK;
	rc = write_all(b, &donor, 1, &s, err);
	if (rc != AYNI_OK)
		return rc;
	empty_window(b, donor);
	hand_out(b, donor, &s);
	return AYNI_OK;
}

int books_add(struct books *b, const struct action_book *a, const struct public_key *donor,
    const struct hash *model, uint64_t now_ms, struct error *err)
{
	struct receipt *r = &b->windows[a->donor];
	int rc = AYNI_OK;

	if (r->units > 0 &&
	    (r->layer_first != a->layers.first || r->layer_last != a->layers.last ||
	        !hash_equal(&r->model, model) || !public_key_equal(&r->donor, donor)))
		rc = books_close(b, a->donor, err);
	if (rc != AYNI_OK)
		return rc;
	if (r->units == 0) {
		r->donor = *donor;
		r->model = *model;
		r->layer_first = a->layers.first;
		r->layer_last = a->layers.last;
		r->first_ms = now_ms;
	}
	b->unsaved[a->donor] = b->any_unsaved = true;
	r->units++;
	r->tokens += a->tokens;
	r->last_ms = now_ms;
	receipt_chain(&r->units_hash, a->unit, &a->result);
	rc = flop_add(r->cost, a->cost, &r->cost);
	if (rc == AYNI_OK && r->units >= b->window_units && may_close(b, a->donor))
		rc = books_close(b, a->donor, err);
	return rc;
}

static bool is_idle(const struct books *b, int donor, uint64_t before_ms)
{
	return b->windows[donor].units > 0 && b->windows[donor].last_ms < before_ms &&
	       may_close(b, donor);
}

int books_close_idle(struct books *b, uint64_t before_ms, struct error *err)
{
	int donors[ROSTER_MAX_DONORS];
	struct signed_receipt *receipts;
	size_t n = 0;
	int rc;

	for (int i = 0; i < ROSTER_MAX_DONORS; i++) {
		if (is_idle(b, i, before_ms))
			donors[n++] = i;
	}
	if (n == 0)
		return AYNI_OK;
	receipts = calloc(n, sizeof *receipts);
	if (receipts == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "books: out of memory");
	rc = write_all(b, donors, n, receipts, err);
	for (size_t i = 0; i < n && rc == AYNI_OK; i++)
		empty_window(b, donors[i]);
	for (size_t i = 0; i < n && rc == AYNI_OK; i++)
		hand_out(b, donors[i], &receipts[i]);
	free(receipts);
	return rc;
}

/* ---- windows that wait ------------------------------------------------------------------- */

void books_set_aside(struct books *b, int donor, struct error *err)
{
	struct aside *a;

	if (b->windows[donor].units == 0)
		return;
	a = calloc(1, sizeof *a);
	if (a == NULL) { /* nobody shall lose his work by that */
		(void)books_close(b, donor, err);
		return;
	}
	a->window = b->windows[donor];
	a->next = b->aside;
	b->aside = a;
	empty_window(b, donor);
}

bool books_aside(const struct books *b, size_t i, struct public_key *key)
{
	const struct aside *a = b->aside;

	while (a != NULL && i-- > 0)
		a = a->next;
	if (a != NULL)
		*key = a->window.donor;
	return a != NULL;
}

/* What is on the disk of a donor's open window may go with what was settled: write it again. */
static void save_again(struct books *b, int donor)
{
	if (donor != ROSTER_NONE && b->windows[donor].units > 0)
		b->unsaved[donor] = b->any_unsaved = true;
}

static int settle(struct books *b, struct receipt *window, bool right, struct signed_receipt *s,
    struct error *err)
{
	uint64_t last_number = b->last_number;
	int rc = db_begin(b->db, err);

	if (rc != AYNI_OK)
		return rc;
	if (right)
		rc = write_receipt(b, window, s, err);
	else
		rc = windows_drop(b->saved, &window->donor, err);
	if (rc == AYNI_OK)
		rc = db_commit(b->db, err);
	if (rc != AYNI_OK) {
		db_rollback(b->db);
		b->last_number = last_number;
	}
	return rc;
}

int books_settle(
    struct books *b, const struct public_key *key, int donor, bool right, struct error *err)
{
	struct aside **at = &b->aside;
	int rc = AYNI_OK;

	while (*at != NULL && rc == AYNI_OK) {
		struct aside *a = *at;
		struct signed_receipt s;

		if (!public_key_equal(&a->window.donor, key)) {
			at = &a->next;
			continue;
		}
		rc = settle(b, &a->window, right, &s, err);
		if (rc != AYNI_OK)
			break;
		*at = a->next;
		free(a);
		if (right)
			hand_out(b, donor, &s);
	}
	save_again(b, donor);
	return rc;
}

int books_void(struct books *b, int donor, struct error *err)
{
	struct receipt *r = &b->windows[donor];
	int rc = r->units > 0 ? windows_drop(b->saved, &r->donor, err) : AYNI_OK;

	empty_window(b, donor);
	return rc;
}

struct search {
	const struct public_key *donor;
	struct signed_receipt found;
	bool is_found;
};

static int on_entry(void *context, const struct ledger_entry *e)
{
	struct search *f = context;

	(void)receipts_signed(e, &f->found);
	f->is_found = public_key_equal(&e->donor, f->donor);
	return 0;
}

int books_countersign(struct books *b, const struct public_key *donor,
    const struct msg_receipt_ack *ack, struct error *err)
{
	struct search f = {.donor = donor};
	struct receipt r;
	int rc = AYNI_OK;

	if (ack->number == 0)
		return error_set(err, AYNI_ERR_NOT_FOUND, "there is no receipt 0");
	rc = ledger_each(b->ledger, ack->number - 1, 1, on_entry, &f, err);
	if (rc != AYNI_OK)
		return rc;
	if (!f.is_found)
		return error_set(err, AYNI_ERR_NOT_FOUND, "no such receipt of this donor");
	if (f.found.countersigned)
		return AYNI_OK;
	f.found.countersigned = true;
	f.found.donor_signature = ack->donor_signature;
	rc = receipt_check(&f.found, &r, err);
	if (rc == AYNI_OK && r.number != ack->number)
		rc = error_set(err, AYNI_ERR_NOT_FOUND, "no such receipt of this donor");
	if (rc == AYNI_OK)
		rc = ledger_countersign(b->ledger, ack->number, donor, &ack->donor_signature, err);
	if (rc == AYNI_OK && ack->number > b->earlier_number && b->open_acks > 0)
		b->open_acks--;
	return rc;
}

struct reminder {
	struct books *books;
	int donor;
};

static int remind(void *context, const struct ledger_entry *e)
{
	const struct reminder *m = context;
	struct signed_receipt s;

	(void)receipts_signed(e, &s);
	m->books->issued(m->books->context, m->donor, &s);
	return 0;
}

int books_remind(struct books *b, int donor, const struct public_key *key, struct error *err)
{
	struct reminder m = {b, donor};

	return ledger_each_uncountersigned(b->ledger, key, REMIND_MAX, remind, &m, err);
}

uint64_t books_last_number(const struct books *b)
{
	return b->last_number;
}

uint64_t books_open_acks(const struct books *b)
{
	return b->open_acks;
}
