/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger mine` */
#include "node/cli/ledger.h"

#include <jansson.h>
#include <stdlib.h>

#include "node/receipts.h"
#include "protocol/receipt.h"

struct options {
	const char *db;
	bool json, csv;
	uint64_t since_ms;
};

/* What this donor did for one model of one pool. */
struct total {
	struct public_key pool;
	struct hash model;
	uint64_t receipts, units, tokens, first_ms, last_ms;
	struct flop cost;
};

struct totals {
	struct total *list; /* owned */
	size_t n;
	struct ledger_owner owner;
	uint64_t since_ms, bad, of_others;
	struct error *err;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'd':
		o->db = arg;
		return 0;
	case 's':
		o->since_ms = ledger_parse_day(state, arg);
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'c':
		o->csv = true;
		return 0;
	case ARGP_KEY_END:
		if (o->json && o->csv)
			argp_error(state, "--json and --csv exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static struct total *total_of(struct totals *t, const struct receipt *r)
{
	struct total *list;

	for (size_t i = 0; i < t->n; i++) {
		if (public_key_equal(&t->list[i].pool, &r->pool) &&
		    hash_equal(&t->list[i].model, &r->model))
			return &t->list[i];
	}
	list = reallocarray(t->list, t->n + 1, sizeof *list);
	if (list == NULL)
		return NULL;
	t->list = list;
	list[t->n] = (struct total){.pool = r->pool, .model = r->model, .first_ms = r->first_ms};
	return &list[t->n++];
}

/* Both signatures are looked at: a pool that gave a wrong one must not count. */
static int add(void *context, const struct ledger_entry *e)
{
	struct totals *t = context;
	struct signed_receipt s;
	struct receipt r;
	struct total *sum;

	if (receipts_signed(e, &s) != AYNI_OK || receipt_check(&s, &r, NULL) != AYNI_OK) {
		t->bad++;
		return AYNI_OK;
	}
	if (!ledger_is_owners(&t->owner, &r)) {
		t->of_others++;
		return AYNI_OK;
	}
	if (r.last_ms < t->since_ms)
		return AYNI_OK;
	sum = total_of(t, &r);
	if (sum == NULL)
		return error_set(t->err, AYNI_ERR_MEMORY, "out of memory");
	sum->receipts++;
	sum->units += r.units;
	sum->tokens += r.tokens;
	sum->first_ms = r.first_ms < sum->first_ms ? r.first_ms : sum->first_ms;
	sum->last_ms = r.last_ms > sum->last_ms ? r.last_ms : sum->last_ms;
	return flop_add(sum->cost, r.cost, &sum->cost) == AYNI_OK
	           ? AYNI_OK
	           : error_set(t->err, AYNI_ERR_LIMIT, "a total does not fit 63 bits of FLOP");
}

static int print_json(const struct totals *t)
{
	json_t *list = json_array(), *root;
	int rc = -1;

	for (size_t i = 0; i < t->n; i++) {
		const struct total *s = &t->list[i];
		char pool[HEX32_CHARS], model[HEX32_CHARS], first[32], last[32];

		hex32(s->pool.bytes, pool);
		hex32(s->model.bytes, model);
		ledger_format_time(s->first_ms, first);
		ledger_format_time(s->last_ms, last);
		json_array_append_new(
		    list, json_pack("{ss ss sI sf sI sI sI ss ss}", "pool", pool, "model", model,
		              "flop", (json_int_t)flop_count(s->cost), "gflop", flop_giga(s->cost),
		              "receipts", (json_int_t)s->receipts, "units", (json_int_t)s->units,
		              "tokens", (json_int_t)s->tokens, "first", first, "last", last));
	}
	root = json_pack("{so sI sI}", "totals", list, "bad", (json_int_t)t->bad, "of_others",
	    (json_int_t)t->of_others);
	if (root != NULL) {
		rc = json_dumpf(root, stdout, JSON_COMPACT);
		(void)printf("\n");
	}
	json_decref(root);
	return rc;
}

static void print_rows(const struct totals *t, bool csv)
{
	(void)printf(csv ? "pool,model,gflop,receipts,units,tokens,first,last\n"
	                 : "pool      model     verified GFLOP receipts    units   tokens  "
	                   "first seen            last seen\n");
	for (size_t i = 0; i < t->n; i++) {
		const struct total *s = &t->list[i];
		char pool[HEX32_CHARS], model[HEX32_CHARS], first[32], last[32];

		hex32(s->pool.bytes, pool);
		hex32(s->model.bytes, model);
		ledger_format_time(s->first_ms, first);
		ledger_format_time(s->last_ms, last);
		(void)printf(csv ? "%s,%s,%.9f,%llu,%llu,%llu,%s,%s\n"
		                 : "%.8s  %.8s %15.3f %8llu %8llu %8llu  %-20s  %s\n",
		    pool, model, flop_giga(s->cost), (unsigned long long)s->receipts,
		    (unsigned long long)s->units, (unsigned long long)s->tokens, first, last);
	}
}

int ledger_mine(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"db", 'd', "FILE", 0, "a donor's donor.db (default: this machine's)", 0},
	    {"since", 's', "DAY", 0, "work that ended on this day or later (UTC)", 0},
	    {"json", 'j', NULL, 0, "for programs", 0},
	    {"csv", 'c', NULL, 0, "for spreadsheets", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .doc = "What this machine has given as a donor, by pool and model: the sum of the "
	           "receipts that it holds, each with the signature of its pool. `ayni ledger "
	           "reconcile` compares them with what a pool says in public."};
	struct options o = {0};
	struct error err = {0};
	struct totals t = {.err = &err};
	struct db *db;
	struct ledger *ledger;
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	t.since_ms = o.since_ms;
	rc = ledger_open_books(o.db, &db, &ledger, &err);
	if (rc == AYNI_OK)
		rc = ledger_owner(o.db, &t.owner, &err);
	if (rc == AYNI_OK)
		rc = ledger_each(ledger, 0, UINT32_MAX, add, &t, &err);
	if (rc == AYNI_OK && o.json && print_json(&t) != 0)
		rc = error_set(&err, AYNI_ERR_IO, "cannot write the answer");
	if (rc == AYNI_OK && !o.json)
		print_rows(&t, o.csv);
	if (rc == AYNI_OK && t.bad > 0)
		rc = error_set(&err, AYNI_ERR_SIGNATURE, "%llu receipts are not rightly signed",
		    (unsigned long long)t.bad);
	if (rc == AYNI_OK && t.of_others > 0)
		rc = error_set(&err, AYNI_ERR_SIGNATURE,
		    "%llu receipts are of other donors, and not counted",
		    (unsigned long long)t.of_others);
	free(t.list);
	ledger_free(ledger);
	db_free(db);
	return rc == AYNI_OK ? CLI_OK : cli_fail("ledger mine", &err);
}
