/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger show` */
#include "node/cli/ledger.h"

#include <jansson.h>
#include <stdlib.h>

#include "node/receipts.h"
#include "protocol/receipt.h"

enum { JOIN_MS = 15000, RECEIPTS_MOST = 1024 };

struct options {
	const char *pool, *db;
	struct pseudonym session;
	bool has_session, json;
};

struct item {
	struct receipt r;
	bool countersigned;
};

/* What the books say: of the session, and of its donors' standing. */
struct found {
	size_t n;
	struct item items[RECEIPTS_MOST];
	size_t n_names;
	struct donor_name names[RECEIPTS_MOST];
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		o->pool = arg;
		return 0;
	case 'd':
		o->db = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->has_session || pseudonym_from_text(arg, &o->session) != AYNI_OK)
			argp_error(state, "%s: one session is wanted, of 32 digits", arg);
		o->has_session = true;
		return 0;
	case ARGP_KEY_END:
		if (!o->has_session)
			argp_error(state, "a SESSION is needed");
		if (o->pool != NULL && o->db != NULL)
			argp_error(state, "--pool and --db exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- reading ------------------------------------------------------------------------------ */

/* `pool`: whose it must be, or NULL. */
static int take(struct found *f, const struct signed_receipt *s, const struct public_key *pool,
    struct error *err)
{
	struct item *item = &f->items[f->n];
	int rc;

	if (f->n == RECEIPTS_MOST)
		return AYNI_OK;
	rc = receipt_check(s, &item->r, err);
	if (rc == AYNI_OK && pool != NULL && !public_key_equal(&item->r.pool, pool))
		rc = error_set(err, AYNI_ERR_SIGNATURE, "a receipt of another pool");
	item->countersigned = s->countersigned;
	f->n += rc == AYNI_OK;
	return rc;
}

static int ask_pool(struct found *f, const struct options *o, struct error *err)
{
	struct message q = {.type = MSG_RECEIPTS_QUERY};
	const struct message *m;
	struct client *c = NULL;
	int rc = client_open(o->pool, JOIN_MS, &c, err);

	q.receipts_query =
	    (struct msg_receipts_query){.limit = RECEIPTS_MOST, .session = o->session};
	if (rc == AYNI_OK)
		rc = client_ask(c, &q, MSG_RECEIPTS, &m, err);
	for (size_t i = 0; rc == AYNI_OK && i < m->receipts.n_receipts; i++)
		rc = take(f, &m->receipts.receipts[i], client_pool_key(c), err);
	for (size_t i = 0; rc == AYNI_OK && i < m->receipts.n_names && i < RECEIPTS_MOST; i++)
		f->names[f->n_names++] = m->receipts.names[i];
	client_free(c);
	return rc;
}

struct walk {
	struct found *found;
	struct error *err;
};

static int on_entry(void *context, const struct ledger_entry *e)
{
	struct walk *w = context;
	struct signed_receipt s;

	if (receipts_signed(e, &s) != AYNI_OK)
		return error_set(w->err, AYNI_ERR_FORMAT, "what is stored is no receipt");
	return take(w->found, &s, NULL, w->err);
}

static int read_file(struct found *f, const struct options *o, struct error *err)
{
	struct walk w = {f, err};
	struct ledger *ledger;
	struct db *db;
	int rc = ledger_open_books(o->db, &db, &ledger, err);

	if (rc == AYNI_OK)
		rc = receipts_of_session(ledger, &o->session, 0, RECEIPTS_MOST, on_entry, &w, err);
	ledger_free(ledger);
	db_free(db);
	return rc;
}

/* ---- what it means ------------------------------------------------------------------------ */

/* The donor was found lying after it was paid for this, which nobody looked at. NULL: it was not.
 */
static const struct receipt *doubt_of(const struct found *f, const struct receipt *work)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct receipt *r = &f->items[i].r;

		if (r->is_standing && r->standing.to >= STANDING_QUARANTINED &&
		    r->number > work->number && public_key_equal(&r->donor, &work->donor) &&
		    work->verification != VERIFICATION_RIGHT)
			return r;
	}
	return NULL;
}

static const char *name_of(const struct found *f, const struct public_key *donor)
{
	for (size_t i = 0; i < f->n_names; i++) {
		if (public_key_equal(&f->names[i].donor, donor))
			return f->names[i].name;
	}
	return "";
}

static json_t *json_of_doubt(const struct receipt *r)
{
	char evidence[HEX32_CHARS] = "", when[32];

	if (r->standing.has_evidence)
		hex32(r->standing.evidence.bytes, evidence);
	ledger_format_time(r->last_ms, when);
	return json_pack("{sI ss ss ss}", "number", (json_int_t)r->number, "time", when, "reason",
	    r->standing.reason, "evidence", evidence);
}

static json_t *json_of_work(const struct found *f, const struct item *item)
{
	const struct receipt *r = &item->r, *doubt = doubt_of(f, r);
	char donor[HEX32_CHARS], model[HEX32_CHARS], first[32], last[32];

	hex32(r->donor.bytes, donor);
	hex32(r->model.bytes, model);
	ledger_format_time(r->first_ms, first);
	ledger_format_time(r->last_ms, last);
	return json_pack("{sI ss ss ss s[ii] sI sI sI ss sb ss ss so}", "number",
	    (json_int_t)r->number, "donor", donor, "name", name_of(f, &r->donor), "model", model,
	    "layers", (int)r->layer_first, (int)r->layer_last, "units", (json_int_t)r->units,
	    "tokens", (json_int_t)r->tokens, "flop", (json_int_t)flop_count(r->cost),
	    "verification", r->verification == VERIFICATION_RIGHT ? "right" : "none",
	    "countersigned", item->countersigned, "first", first, "last", last, "found_lying",
	    doubt != NULL ? json_of_doubt(doubt) : json_null());
}

static int print_json(const struct found *f, const char *session, bool doubtful)
{
	json_t *list = json_array(), *root;
	int rc = -1;

	for (size_t i = 0; i < f->n; i++) {
		if (!f->items[i].r.is_standing)
			json_array_append_new(list, json_of_work(f, &f->items[i]));
	}
	root = json_pack("{ss sb so}", "session", session, "doubtful", doubtful, "receipts", list);
	if (root != NULL) {
		rc = json_dumpf(root, stdout, JSON_COMPACT);
		(void)printf("\n");
	}
	json_decref(root);
	return rc;
}

static void print_work(const struct found *f, const struct item *item)
{
	const struct receipt *r = &item->r, *doubt = doubt_of(f, r);
	char donor[HEX32_CHARS], model[HEX32_CHARS], when[32];

	hex32(r->donor.bytes, donor);
	hex32(r->model.bytes, model);
	(void)printf("  layers %u to %u of %.8s: %s%s%.8s, %llu tokens, %.3f GFLOP, %s, receipt "
	             "%llu\n",
	    r->layer_first, r->layer_last - 1, model, name_of(f, &r->donor),
	    name_of(f, &r->donor)[0] != '\0' ? " " : "", donor, (unsigned long long)r->tokens,
	    flop_giga(r->cost),
	    r->verification == VERIFICATION_RIGHT ? "rechecked and right" : "not rechecked",
	    (unsigned long long)r->number);
	if (doubt == NULL)
		return;
	ledger_format_time(doubt->last_ms, when);
	(void)printf("    DOUBTFUL: found lying at %s (entry %llu): %s\n", when,
	    (unsigned long long)doubt->number, doubt->standing.reason);
}

static int print(const struct found *f, const struct options *o, struct error *err)
{
	char session[PSEUDONYM_CHARS];
	bool any = false, doubtful = false;

	pseudonym_to_text(&o->session, session);
	for (size_t i = 0; i < f->n; i++) {
		any = any || !f->items[i].r.is_standing;
		doubtful =
		    doubtful || (!f->items[i].r.is_standing && doubt_of(f, &f->items[i].r) != NULL);
	}
	if (!any)
		return error_set(err, AYNI_ERR_NOT_FOUND,
		    "there is no receipt of session %s: it is too early, or nobody was paid",
		    session);
	if (o->json)
		return print_json(f, session, doubtful) == 0
		           ? AYNI_OK
		           : error_set(err, AYNI_ERR_IO, "cannot write the answer");
	(void)printf("session %s%s\n", session, doubtful ? ": DOUBTFUL" : "");
	for (size_t i = 0; i < f->n; i++) {
		if (!f->items[i].r.is_standing)
			print_work(f, &f->items[i]);
	}
	return AYNI_OK;
}

int ledger_show(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"pool", 'p', "INVITE", 0, "a pool's books, over the network", 0},
	    {"db", 'd', "FILE", 0, "books in a file (default: this machine's as a donor)", 0},
	    {"json", 'j', NULL, 0, "for programs", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "SESSION",
	    .doc = "Who computed an answer: its donors, their layers, what they were paid, and "
	           "whether that was computed once more. What nobody looked at is DOUBTFUL if its "
	           "donor was found lying later. Layers without a receipt were not paid: nobody "
	           "looked at them yet, or their donor lied. `ayni chat --verbose` says what a "
	           "session is called, and the header Ayni-Session over HTTP."};
	struct options o = {0};
	struct error err = {0};
	struct found *f;
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	f = calloc(1, sizeof *f);
	if (f == NULL)
		rc = error_set(&err, AYNI_ERR_MEMORY, "out of memory");
	else
		rc = o.pool != NULL ? ask_pool(f, &o, &err) : read_file(f, &o, &err);
	if (rc == AYNI_OK)
		rc = print(f, &o, &err);
	free(f);
	return rc == AYNI_OK ? CLI_OK : cli_fail("ledger show", &err);
}
