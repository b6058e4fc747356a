/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger prove` and `ayni ledger check` */
#include "node/cli/ledger.h"

#include <fcntl.h>
#include <stdlib.h>

#include "node/receipts.h"
#include "protocol/receipt.h"
#include "storage/files.h"

struct options {
	const char *where, *db;
	uint64_t number;
	struct public_key pool;
	bool has_pool;
};

/* ---- prove -------------------------------------------------------------------------------- */

static error_t parse_prove(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;

	switch (key) {
	case 'k':
		o->pool = ledger_parse_key(state, arg);
		o->has_pool = true;
		return 0;
	case 'd':
		o->db = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_error(state, "NUMBER and URL or FOLDER are enough");
		if (state->arg_num == 1) {
			o->where = arg;
			return 0;
		}
		o->number = strtoull(arg, &end, 10);
		if (*arg < '0' || *arg > '9' || *end != '\0' || o->number == 0)
			argp_error(state, "%s: is not the number of a receipt", arg);
		return 0;
	case ARGP_KEY_END:
		if (o->where == NULL)
			argp_error(state, "NUMBER and URL or FOLDER are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct search {
	const struct proof *proof; /* NULL: whatever the receipt says */
	const struct public_key *pool;
	uint64_t number;
	struct signed_receipt found;
	bool is_found;
};

static int on_entry(void *context, const struct ledger_entry *e)
{
	struct search *s = context;
	const struct signed_receipt *r = s->proof != NULL ? &s->proof->receipt : NULL;

	if (!public_key_equal(&e->pool, s->pool) || e->number != s->number ||
	    (r != NULL && (e->receipt.len != r->receipt_len ||
	                      memcmp(e->receipt.data, r->receipt, r->receipt_len) != 0)))
		return 0;
	s->is_found = receipts_signed(e, &s->found) == AYNI_OK;
	return 0;
}

/* From one's own books; what a receipt must be otherwise is said by the search. */
static bool take_own(const struct options *o, struct search *s, struct signed_receipt *out)
{
	struct ledger *ledger;
	struct db *db;

	if (ledger_open_books(o->db, &db, &ledger, NULL) == AYNI_OK)
		(void)ledger_each(ledger, o->number - 1, 1, on_entry, s, NULL);
	if (s->is_found)
		*out = s->found;
	ledger_free(ledger);
	db_free(db);
	return s->is_found;
}

/* The log has no pool's signature of a single receipt; who has the receipt itself adds it. */
static void add_pool_signature(
    const struct options *o, struct proof *p, const struct public_key *pool)
{
	struct search s = {.proof = p, .pool = pool, .number = o->number};

	(void)take_own(o, &s, &p->receipt);
}

/* Its entry is gone (log_prune.h): who holds the receipt can still prove it. */
static int take_pruned(
    const struct options *o, struct proof *p, const struct public_key *pool, struct error *err)
{
	struct search s = {.pool = pool, .number = o->number};

	if (take_own(o, &s, &p->receipt))
		return AYNI_OK;
	return error_set(err, AYNI_ERR_NOT_FOUND,
	    "the log has not kept the entry of receipt %llu, and the books here (--db) do not have "
	    "it",
	    (unsigned long long)o->number);
}

static int take_receipt(struct log_reader *r, const struct log_head *h, uint64_t index,
    struct proof *p, struct error *err)
{
	struct signature countersignatures[TILE_WIDTH];
	static const struct signature none;
	struct bundle b;
	struct span entry;
	int rc = log_reader_bundle(
	    r, index / TILE_WIDTH, tile_width(0, index / TILE_WIDTH, h->checkpoint.size), &b, err);

	if (rc != AYNI_OK)
		return rc;
	entry = b.entries[index % TILE_WIDTH];
	if (entry.len == 0 || entry.len > RECEIPT_BYTES_MAX)
		return error_set(err, AYNI_ERR_FORMAT, "the log's entry is not a receipt");
	memcpy(p->receipt.receipt, entry.data, entry.len);
	p->receipt.receipt_len = entry.len;
	rc = log_reader_signatures(r, index / TILE_WIDTH, countersignatures, err);
	p->receipt.donor_signature = countersignatures[index % TILE_WIDTH];
	p->receipt.countersigned = memcmp(&p->receipt.donor_signature, &none, sizeof none) != 0;
	return rc;
}

static int prove(const struct options *o, struct log_reader *r, struct error *err)
{
	struct log_head h = {0};
	struct proof p = {.index = o->number - 1};
	char *text = NULL;
	int rc = log_reader_head(r, o->has_pool ? &o->pool : NULL, &h, err);

	if (rc == AYNI_OK && p.index >= h.checkpoint.size)
		rc = error_set(err, AYNI_ERR_NOT_FOUND, "the log has %llu receipts",
		    (unsigned long long)h.checkpoint.size);
	if (rc == AYNI_OK)
		rc = take_receipt(r, &h, p.index, &p, err);
	if (rc == AYNI_ERR_NOT_FOUND && p.index < h.checkpoint.size)
		rc = take_pruned(o, &p, &h.pool, err);
	if (rc == AYNI_OK)
		rc = log_reader_prove(r, &h, &p, err);
	if (rc == AYNI_OK) {
		add_pool_signature(o, &p, &h.pool);
		rc = proof_format(&p, &text, err);
	}
	if (rc == AYNI_OK)
		(void)printf("%s", text);
	free(text);
	log_head_free(&h);
	return rc;
}

int ledger_prove(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"key", 'k', "KEY", 0, LEDGER_KEY_DOC, 0},
	    {"db", 'd', "FILE", 0,
	        "books with the receipt itself, for the pool's signature on it (default: this "
	        "machine's as a donor)",
	        0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse_prove,
	    .args_doc = "NUMBER URL|FOLDER",
	    .doc = "Print a proof that receipt NUMBER is in a pool's log (C2SP tlog-proof): the "
	           "receipt, the hashes that lead from it to the root, and the checkpoint with "
	           "which the pool has signed that root. `ayni ledger check` needs nothing else."};
	struct options o = {0};
	struct log_reader *r = NULL;
	struct error err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	rc = log_reader_open(o.where, &r, &err);
	if (rc == AYNI_OK)
		rc = prove(&o, r, &err);
	log_reader_free(r);
	return rc == AYNI_OK ? CLI_OK : cli_fail("ledger prove", &err);
}

/* ---- check -------------------------------------------------------------------------------- */

static error_t parse_check(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'k':
		o->pool = ledger_parse_key(state, arg);
		o->has_pool = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->where != NULL)
			argp_error(state, "one FILE is enough");
		o->where = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->where == NULL)
			argp_error(state, "FILE is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Everything that a proof says, by what it holds alone. */
static int check_proof(const struct proof *p, struct receipt *r, struct checkpoint *c,
    size_t *n_signatures, struct error *err)
{
	static const struct signature none;
	struct span entry = {p->receipt.receipt, p->receipt.receipt_len};
	struct note note;
	int rc = receipt_read(entry, r, err);

	if (rc == AYNI_OK)
		rc = checkpoint_open(
		    (const char *)p->checkpoint.data, p->checkpoint.len, &r->pool, c, err);
	if (rc == AYNI_OK)
		rc = note_parse((const char *)p->checkpoint.data, p->checkpoint.len, &note, err);
	if (rc != AYNI_OK)
		return rc;
	*n_signatures = note.n;
	if (r->number != p->index + 1 || !log_proof_holds(p, c))
		return error_set(err, AYNI_ERR_SIGNATURE,
		    "the receipt is not in the log that the checkpoint speaks of");
	if (memcmp(&p->receipt.pool_signature, &none, sizeof none) != 0)
		return receipt_check(&p->receipt, r, err);
	if (p->receipt.countersigned &&
	    !receipt_countersigned(entry, &r->donor, &p->receipt.donor_signature))
		return error_set(
		    err, AYNI_ERR_SIGNATURE, "the countersignature is not the donor's");
	return AYNI_OK;
}

static void print_proof(
    const struct proof *p, const struct receipt *r, const struct checkpoint *c, size_t n_signatures)
{
	static const struct signature none;
	char pool[HEX32_CHARS], donor[HEX32_CHARS], model[HEX32_CHARS], from[32], to[32];

	hex32(r->pool.bytes, pool);
	hex32(r->donor.bytes, donor);
	hex32(r->model.bytes, model);
	ledger_format_time(r->first_ms, from);
	ledger_format_time(r->last_ms, to);
	(void)printf("receipt %llu of pool %s is in its log of %llu receipts\ndonor    %s\n",
	    (unsigned long long)r->number, pool, (unsigned long long)c->size, donor);
	if (r->is_standing)
		(void)printf("standing %s, was %s, since %s: %s\n",
		    standing_state_name(r->standing.to), standing_state_name(r->standing.from),
		    from, r->standing.reason);
	else
		(void)printf("model    %s, layers %u to %u\n"
		             "work     %llu units, %llu tokens, %.9f GFLOP, %s to %s\n",
		    model, r->layer_first, r->layer_last - 1, (unsigned long long)r->units,
		    (unsigned long long)r->tokens, flop_giga(r->cost), from, to);
	(void)printf("signed   by the pool (%s), %s\n",
	    memcmp(&p->receipt.pool_signature, &none, sizeof none) != 0 ? "the receipt and the log"
	                                                                : "the log",
	    p->receipt.countersigned ? "and by the donor" : "not by the donor");
	if (n_signatures > 1)
		(void)printf("         with %zu more signatures on the checkpoint, whose keys are "
		             "not known here\n",
		    n_signatures - 1);
}

static int check_file(const struct options *o, struct error *err)
{
	struct checkpoint c;
	struct receipt r;
	struct proof p;
	uint8_t *data;
	size_t len, n_signatures;
	int rc = files_read(AT_FDCWD, o->where, PROOF_BYTES_MAX, &data, &len, err);

	if (rc != AYNI_OK)
		return rc;
	if (len > 0 && data[0] == '{') {
		rc = ledger_check_evidence((const char *)data, len, err);
		free(data);
		return rc;
	}
	rc = proof_parse((const char *)data, len, &p, err);
	if (rc == AYNI_OK)
		rc = check_proof(&p, &r, &c, &n_signatures, err);
	if (rc == AYNI_OK && o->has_pool && !public_key_equal(&r.pool, &o->pool))
		rc = error_set(err, AYNI_ERR_SIGNATURE, "it is right, but of another pool");
	if (rc == AYNI_OK)
		print_proof(&p, &r, &c, n_signatures);
	free(data);
	return rc;
}

int ledger_check(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"key", 'k', "KEY", 0, "of which pool it must be: a key of 64 digits, or an invite", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse_check,
	    .args_doc = "FILE",
	    .doc = "Check a proof of `ayni ledger prove`, or what `ayni ledger reconcile` found, "
	           "without a network: all signatures and hashes, and what they say. Exit status "
	           "1 if it proves nothing."};
	struct options o = {0};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	return check_file(&o, &err) == AYNI_OK ? CLI_OK : cli_fail("ledger check", &err);
}
