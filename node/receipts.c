/* SPDX-License-Identifier: Apache-2.0 */
#include "node/receipts.h"

#include <pthread.h>
#include <unistd.h>

enum {
	BATCH_MIN = 16, /* receipts that are worth a thread */
	THREADS_MAX = 16,
	DONORS_MOST = 256 /* of a session, of which the standing is told */
};

struct batch {
	const struct receipt *receipts;
	size_t n;
	const struct identity *pool;
	struct signed_receipt *out;
	struct error err;
	int rc;
};

static void *issue_batch(void *context)
{
	struct batch *s = context;

	for (size_t i = 0; s->rc == AYNI_OK && i < s->n; i++)
		s->rc = receipt_issue(&s->receipts[i], s->pool, &s->out[i], &s->err);
	return NULL;
}

static size_t n_batches(size_t n)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t most = n / BATCH_MIN < THREADS_MAX ? n / BATCH_MIN : THREADS_MAX;

	most = processors > 0 && (size_t)processors < most ? (size_t)processors : most;
	return most > 0 ? most : 1;
}

int receipts_issue(const struct receipt *receipts, size_t n, const struct identity *pool,
    struct signed_receipt *out, struct error *err)
{
	struct batch batches[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	bool started[THREADS_MAX] = {false};
	size_t n_threads = n_batches(n);
	int rc = AYNI_OK;

	for (size_t i = 0; i < n_threads; i++) {
		size_t first = n * i / n_threads;

		batches[i] = (struct batch){receipts + first, n * (i + 1) / n_threads - first, pool,
		    out + first, {0}, AYNI_OK};
		started[i] =
		    i > 0 && pthread_create(&threads[i], NULL, issue_batch, &batches[i]) == 0;
	}
	for (size_t i = 0; i < n_threads; i++) {
		if (!started[i]) /* the first is ours, and what could not be started */
			(void)issue_batch(&batches[i]);
		else
			(void)pthread_join(threads[i], NULL);
		if (rc == AYNI_OK && batches[i].rc != AYNI_OK)
			rc = error_set(
			    err, (enum ayni_error)batches[i].rc, "%s", batches[i].err.text);
	}
	return rc;
}

struct ledger_entry receipts_entry(const struct receipt *r, const struct signed_receipt *s)
{
	return (struct ledger_entry){.number = r->number,
	    .pool = r->pool,
	    .donor = r->donor,
	    .model = r->model,
	    .layer_first = r->layer_first,
	    .layer_last = r->layer_last,
	    .units = r->units,
	    .tokens = r->tokens,
	    .cost = r->cost,
	    .first_ms = r->first_ms,
	    .last_ms = r->last_ms,
	    .session = ledger_session(&r->session),
	    .receipt = {s->receipt, s->receipt_len},
	    .pool_signature = s->pool_signature,
	    .countersigned = s->countersigned,
	    .donor_signature = s->donor_signature};
}

int receipts_signed(const struct ledger_entry *e, struct signed_receipt *out)
{
	memset(out, 0, sizeof *out);
	if (e->receipt.len > sizeof out->receipt)
		return AYNI_ERR_FORMAT;
	memcpy(out->receipt, e->receipt.data, e->receipt.len);
	out->receipt_len = e->receipt.len;
	out->pool_signature = e->pool_signature;
	out->countersigned = e->countersigned;
	out->donor_signature = e->donor_signature;
	return AYNI_OK;
}

struct walk {
	const struct pseudonym *session;
	ledger_entry_fn *fn;
	void *context;
	size_t n_donors;
	struct public_key donors[DONORS_MOST];
};

static void add_donor(struct walk *w, const struct public_key *donor)
{
	for (size_t i = 0; i < w->n_donors; i++) {
		if (public_key_equal(&w->donors[i], donor))
			return;
	}
	if (w->n_donors < DONORS_MOST)
		w->donors[w->n_donors++] = *donor;
}

/* Others may be found by the same bits. */
static int on_entry(void *context, const struct ledger_entry *e)
{
	struct walk *w = context;
	struct receipt r;

	if (receipt_read(e->receipt, &r, NULL) != AYNI_OK ||
	    !pseudonym_equal(&r.session, w->session))
		return 0;
	add_donor(w, &e->donor);
	return w->fn(w->context, e);
}

int receipts_of_session(struct ledger *l, const struct pseudonym *session, uint64_t after,
    uint32_t limit, ledger_entry_fn *fn, void *context, struct error *err)
{
	struct walk w = {.session = session, .fn = fn, .context = context};
	int rc =
	    ledger_each_of_session(l, ledger_session(session), after, limit, on_entry, &w, err);

	for (size_t i = 0; rc == AYNI_OK && i < w.n_donors; i++)
		rc = ledger_each_standing(l, &w.donors[i], after, limit, fn, context, err);
	return rc;
}
