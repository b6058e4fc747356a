/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/books.h"

#include <stdlib.h>

#include "node/pool/booked.h"
#include "node/pool/public_log.h"
#include "node/receipts.h"
#include "protocol/text.h"

enum {
	REMIND_MAX = 256,
	BATCH = 256,     /* receipts in a transaction: signing them takes some milliseconds */
	HELD_MAX = 4096, /* windows of donors that are not believed yet, which nobody looks at */
	LATE_MS = 500    /* so long after its last unit no other comes into a window */
};

/* Half of what receipts promise: the rest is for publishing them. */
#define HELD_MS (PUBLIC_LOG_MERGE_DELAY_S * UINT64_C(1000) / 2)

struct books {
	const struct identity *pool;
	struct db *db;
	struct ledger *ledger;
	struct tree *tree;
	struct windows *saved;
	struct booked *booked;
	uint8_t secret[DERIVED_KEY_BYTES]; /* of sessions' names */
	uint64_t window_units;
	books_issued_fn *issued;
	books_believes_fn *believes; /* NULL: everybody is believed */
	void *context;
	uint64_t last_number;
	uint64_t earlier_number; /* the last of an earlier run */
	uint64_t open_acks;
	bool running;
};

/* ---- opening ------------------------------------------------------------------------------ */

struct recalling {
	struct booked *booked;
	struct error *err;
};

static int recall(void *context, const struct window *w)
{
	struct recalling *r = context;

	return booked_recall(r->booked, w, r->err);
}

int books_new(const struct identity *pool, struct db *db, struct ledger *ledger, struct tree *tree,
    uint64_t window_units, books_issued_fn *issued, void *context, struct books **out,
    struct error *err)
{
	struct books *b = calloc(1, sizeof *b);
	struct recalling r = {.err = err};
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
	b->last_number = b->earlier_number = ledger_last_number(ledger);
	identity_derive(pool, "ayni session", b->secret);
	rc = windows_new(db, &b->saved, err);
	if (rc == AYNI_OK)
		rc = booked_new(&b->booked, err);
	r.booked = b->booked;
	if (rc == AYNI_OK)
		rc = windows_each(b->saved, recall, &r, err);
	if (rc != AYNI_OK) {
		books_free(b);
		return rc;
	}
	*out = b;
	return AYNI_OK;
}

void books_free(struct books *b)
{
	if (b == NULL)
		return;
	explicit_bzero(b->secret, sizeof b->secret);
	booked_free(b->booked);
	windows_free(b->saved);
	free(b);
}

void books_ask(struct books *b, books_believes_fn *believes)
{
	b->believes = believes;
}

/* ---- sessions ----------------------------------------------------------------------------- */

/*
 * Four bytes of how manieth it is, in steps of 256, and twelve that only this pool can make. So
 * names grow, nearly, and an index of them does at its end; whose the session was is in none.
 */
void books_name(const struct books *b, uint64_t session, struct pseudonym *out)
{
	uint8_t number[8];
	struct hash hash;

	for (unsigned i = 0; i < 8; i++)
		number[i] = (uint8_t)(session >> (8 * i));
	hash_keyed(b->secret, number, sizeof number, &hash);
	for (unsigned i = 0; i < 4; i++)
		out->bytes[i] = (uint8_t)(session >> (8 * (4 - i)));
	memcpy(out->bytes + 4, hash.bytes, PSEUDONYM_BYTES - 4);
}

static enum books_belief belief(const struct books *b, const struct public_key *donor)
{
	return b->believes != NULL ? b->believes(b->context, donor) : BOOKS_BELIEVED;
}

int books_add(struct books *b, const struct action_book *a, const struct public_key *donor,
    const struct hash *model, uint64_t now_ms, struct error *err)
{
	bool believed = belief(b, donor) == BOOKS_BELIEVED;
	int rc = AYNI_OK;

	for (size_t i = 0; i < a->n_spans && rc == AYNI_OK; i++) {
		struct pseudonym name;
		struct booked_work work = {.donor = donor,
		    .model = model,
		    .name = &name,
		    .layers = a->ran,
		    .unit = a->unit,
		    .result = a->result,
		    .now_ms = now_ms};
		struct booked_window *w;

		books_name(b, a->spans[i].session, &name);
		rc = booked_add(b->booked, &work, &a->spans[i], &w, err);
		if (rc == AYNI_OK && believed && w->w.units >= b->window_units &&
		    w->state == BOOKED_OPEN)
			booked_settle(b->booked, w);
	}
	return rc;
}

void books_end(struct books *b, uint64_t session, const struct public_key *donor,
    const void *recheck, bool gap)
{
	booked_end(b->booked, session, donor, recheck, gap);
}

void books_end_session(struct books *b, uint64_t session)
{
	booked_end_session(b->booked, session);
}

void books_judge(struct books *b, const void *recheck, enum verification v)
{
	booked_judge(b->booked, recheck, v);
}

/* ---- receipts ----------------------------------------------------------------------------- */

static int append(
    struct books *b, const struct receipt *r, const struct signed_receipt *s, struct error *err)
{
	struct ledger_entry e = receipts_entry(r, s);
	int rc = ledger_append(b->ledger, &e, err);

	if (rc == AYNI_OK)
		rc = tree_append(b->tree, r->number, e.receipt, err);
	if (rc == AYNI_OK)
		b->last_number++;
	return rc;
}

/* The next n of the log, signed together, into the ledger. In a transaction. */
static int write_receipts(
    struct books *b, struct receipt *r, size_t n, struct signed_receipt *out, struct error *err)
{
	int rc;

	for (size_t i = 0; i < n; i++) {
		r[i].number = b->last_number + 1 + i;
		r[i].pool = *identity_public(b->pool);
		r[i].merge_delay_s = PUBLIC_LOG_MERGE_DELAY_S;
	}
	rc = receipts_issue(r, n, b->pool, out, err);
	for (size_t i = 0; rc == AYNI_OK && i < n; i++)
		rc = append(b, &r[i], &out[i], err);
	return rc;
}

static struct receipt receipt_of(const struct booked_window *w)
{
	return (struct receipt){.donor = w->w.donor,
	    .model = w->w.model,
	    .layer_first = w->w.layer_first,
	    .layer_last = w->w.layer_last,
	    .units = w->w.units,
	    .tokens = w->w.tokens,
	    .cost = w->w.cost,
	    .units_hash = w->w.units_hash,
	    .first_ms = w->w.first_ms,
	    .last_ms = w->w.last_ms,
	    .session = w->w.session,
	    .verification = w->verification};
}

void books_reload(struct books *b)
{
	b->last_number = ledger_last_number(b->ledger);
	(void)tree_reload(b->tree, NULL); /* if this fails too, the next receipt is refused */
}

/* ---- what becomes of windows -------------------------------------------------------------- */

enum fate { KEPT, PAID, VOID };

struct turn_of {
	uint64_t now_ms;
	bool at_once;
	size_t n_held;
};

/* Nobody looked at it. */
static enum fate fate_unseen(
    const struct books *b, const struct booked_window *w, struct turn_of *t)
{
	bool too_old = t->now_ms > w->w.last_ms && t->now_ms - w->w.last_ms > HELD_MS;

	switch (belief(b, &w->w.donor)) {
	case BOOKS_BELIEVED:
		return PAID;
	case BOOKS_NOT_YET:
		if (w->gap || too_old || t->n_held == HELD_MAX)
			return VOID;
		t->n_held++;
		return KEPT;
	case BOOKS_LIES:
		break;
	}
	return VOID;
}

static enum fate fate_of(const struct books *b, const struct booked_window *w, struct turn_of *t)
{
	if (w->state != BOOKED_SETTLED ||
	    (!t->at_once && w->key.session != 0 && t->now_ms < w->w.last_ms + LATE_MS))
		return KEPT;
	return w->verification == VERIFICATION_RIGHT ? PAID : fate_unseen(b, w, t);
}

struct batch {
	size_t n, n_paid;
	struct booked_window *ended[BATCH]; /* paid or void, as soon as it is durable */
	struct receipt paid[BATCH];
	struct signed_receipt receipts[BATCH]; /* of these */
};

/* Its part of the transaction. */
static int carry_out(struct books *b, struct booked_window *w, enum fate fate, struct batch *batch,
    struct error *err)
{
	if (fate == KEPT)
		return w->unsaved ? windows_put(b->saved, &w->w, err) : AYNI_OK;
	if (fate == PAID)
		batch->paid[batch->n_paid++] = receipt_of(w);
	batch->ended[batch->n++] = w;
	return w->saved ? windows_drop(b->saved, w->w.number, err) : AYNI_OK;
}

static int write_all(struct books *b, struct turn_of *t, struct batch *batch, struct error *err)
{
	int rc = db_begin(b->db, err);

	if (rc != AYNI_OK)
		return rc;
	for (struct booked_window *w = booked_first(b->booked); w != NULL && rc == AYNI_OK;
	     w = w->next) {
		enum fate fate = batch->n < BATCH ? fate_of(b, w, t) : KEPT;

		rc = carry_out(b, w, fate, batch, err);
	}
	if (rc == AYNI_OK)
		rc = write_receipts(b, batch->paid, batch->n_paid, batch->receipts, err);
	if (rc == AYNI_OK)
		return db_commit(b->db, err);
	db_rollback(b->db);
	return rc;
}

/* It is durable: out of our hands. What `issued` does may come back here. */
static void hand_out(struct books *b, struct batch *batch)
{
	for (struct booked_window *w = booked_first(b->booked); w != NULL; w = w->next) {
		w->saved = w->saved || w->unsaved;
		w->unsaved = false;
	}
	for (size_t i = 0; i < batch->n; i++)
		booked_drop(b->booked, batch->ended[i]);
	b->open_acks += batch->n_paid;
	for (size_t i = 0; i < batch->n_paid; i++)
		b->issued(b->context, &batch->paid[i].donor, &batch->receipts[i]);
}

static bool is_there_work(const struct books *b, const struct turn_of *t)
{
	struct turn_of look = *t;

	for (struct booked_window *w = booked_first(b->booked); w != NULL; w = w->next) {
		if (w->unsaved || fate_of(b, w, &look) != KEPT)
			return true;
	}
	return false;
}

static int run(struct books *b, uint64_t now_ms, bool at_once, struct error *err)
{
	struct turn_of t = {.now_ms = now_ms, .at_once = at_once};
	struct batch *batch;
	bool more;
	int rc;

	if (!is_there_work(b, &t))
		return AYNI_OK;
	batch = malloc(sizeof *batch);
	if (batch == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "books: out of memory");
	do {
		batch->n = batch->n_paid = 0;
		t.n_held = 0;
		rc = write_all(b, &t, batch, err);
		more = rc == AYNI_OK && at_once && batch->n == BATCH;
		if (rc == AYNI_OK)
			hand_out(b, batch);
		else
			books_reload(b);
	} while (more);
	free(batch);
	return rc;
}

int books_run(struct books *b, uint64_t now_ms, bool at_once, struct error *err)
{
	int rc;

	if (b->running)
		return AYNI_OK; /* a receipt that could not be sent ended a connection */
	b->running = true;
	rc = run(b, now_ms, at_once, err);
	b->running = false;
	return rc;
}

/* ---- standing ----------------------------------------------------------------------------- */

int books_standing(struct books *b, const struct public_key *donor, enum standing_state from,
    enum standing_state to, const char *reason, const struct hash *evidence, uint64_t now_ms,
    struct error *err)
{
	struct receipt r = {.donor = *donor,
	    .first_ms = now_ms,
	    .last_ms = now_ms,
	    .is_standing = true,
	    .standing = {.from = from, .to = to, .has_evidence = evidence != NULL}};
	struct signed_receipt s;

	text_fit(r.standing.reason, sizeof r.standing.reason, reason);
	if (evidence != NULL)
		r.standing.evidence = *evidence;
	return write_receipts(b, &r, 1, &s, err);
}

/* ---- countersignatures -------------------------------------------------------------------- */

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
	if (rc == AYNI_OK && (r.number != ack->number || r.is_standing))
		rc = error_set(err, AYNI_ERR_NOT_FOUND, "no such receipt of this donor");
	if (rc == AYNI_OK)
		rc = ledger_countersign(b->ledger, ack->number, donor, &ack->donor_signature, err);
	if (rc == AYNI_OK && ack->number > b->earlier_number && b->open_acks > 0)
		b->open_acks--;
	return rc;
}

struct reminder {
	struct books *books;
	const struct public_key *donor;
};

static int remind(void *context, const struct ledger_entry *e)
{
	const struct reminder *m = context;
	struct signed_receipt s;

	(void)receipts_signed(e, &s);
	m->books->issued(m->books->context, m->donor, &s);
	return 0;
}

int books_remind(struct books *b, const struct public_key *donor, struct error *err)
{
	struct reminder m = {b, donor};

	return ledger_each_uncountersigned(b->ledger, donor, REMIND_MAX, remind, &m, err);
}

uint64_t books_last_number(const struct books *b)
{
	return b->last_number;
}

uint64_t books_open_acks(const struct books *b)
{
	return b->open_acks;
}
