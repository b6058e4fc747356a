/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger reconcile`: a donor's own receipts beside a pool's log. */
#include "node/cli/ledger.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "node/receipts.h"
#include "protocol/receipt.h"
#include "storage/files.h"

struct options {
	struct ledger_log log;
	const char *db, *evidence;
};

struct reconciliation {
	const struct options *options;
	struct log_reader *reader;
	struct log_head head;
	uint64_t now_ms;
	struct ledger_owner owner;
	uint64_t right, not_yet, missing, changed, bad, of_others, not_mine;
	uint64_t bundle; /* what is in `entries` */
	bool has_bundle;
	struct bundle entries;
	uint8_t *bytes; /* owned: of these entries */
	struct error *err;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->log;
		return 0;
	case 'd':
		o->db = arg;
		return 0;
	case 'e':
		o->evidence = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- what the log has --------------------------------------------------------------------- */

/* The reader keeps a file only until the next, and proofs need others: so a copy. */
static int copy_bundle(struct reconciliation *c)
{
	size_t len = 0, at = 0;

	for (unsigned i = 0; i < c->entries.n; i++)
		len += c->entries.entries[i].len;
	free(c->bytes);
	c->bytes = malloc(len + 1);
	if (c->bytes == NULL)
		return error_set(c->err, AYNI_ERR_MEMORY, "out of memory");
	for (unsigned i = 0; i < c->entries.n; i++) {
		struct span *e = &c->entries.entries[i];

		if (e->len > 0)
			memcpy(c->bytes + at, e->data, e->len);
		e->data = c->bytes + at;
		at += e->len;
	}
	return AYNI_OK;
}

static int find_entry(struct reconciliation *c, uint64_t index, struct span *out)
{
	uint64_t bundle = index / TILE_WIDTH;
	int rc = AYNI_OK;

	if (!c->has_bundle || c->bundle != bundle) {
		c->has_bundle = false;
		rc = log_reader_bundle(c->reader, bundle,
		    tile_width(0, bundle, c->head.checkpoint.size), &c->entries, c->err);
		if (rc == AYNI_OK)
			rc = copy_bundle(c);
		c->has_bundle = rc == AYNI_OK;
		c->bundle = bundle;
	}
	if (rc == AYNI_OK)
		*out = c->entries.entries[index % TILE_WIDTH];
	return rc;
}

/* ---- one receipt -------------------------------------------------------------------------- */

static int write_evidence(struct reconciliation *c, const struct receipt *r,
    const struct signed_receipt *s, struct span found)
{
	char name[64], *text;
	int fd, rc = ledger_evidence(s, c->reader, &c->head, found, &text, c->err);

	if (rc != AYNI_OK)
		return rc;
	(void)snprintf(name, sizeof name, "receipt-%llu.evidence", (unsigned long long)r->number);
	rc = files_open_folder(
	    c->options->evidence != NULL ? c->options->evidence : ".", &fd, c->err);
	if (rc == AYNI_OK) {
		rc = files_write(fd, name, (struct span){(const uint8_t *)text, strlen(text)},
		    FILES_NOW, c->err);
		(void)close(fd);
		if (rc == AYNI_OK)
			(void)printf("         the proof is in %s\n", name);
	}
	free(text);
	return rc;
}

static int not_there(
    struct reconciliation *c, const struct receipt *r, const struct signed_receipt *s)
{
	uint64_t until_ms = r->last_ms + (uint64_t)r->merge_delay_s * 1000;
	char until[32];

	ledger_format_time(until_ms, until);
	if (r->merge_delay_s > 0 && c->now_ms < until_ms) {
		c->not_yet++;
		(void)printf("NOT YET  receipt %llu: promised for %s\n",
		    (unsigned long long)r->number, until);
		return AYNI_OK;
	}
	c->missing++;
	(void)printf("MISSING  receipt %llu: %s%s\n", (unsigned long long)r->number,
	    r->merge_delay_s > 0 ? "was promised for " : "no time was promised",
	    r->merge_delay_s > 0 ? until : "");
	return write_evidence(c, r, s, (struct span){0});
}

static int compare(
    struct reconciliation *c, const struct receipt *r, const struct signed_receipt *s)
{
	struct proof proof = {.receipt = *s, .index = r->number - 1};
	struct span found;
	int rc;

	if (r->number > c->head.checkpoint.size)
		return not_there(c, r, s);
	rc = find_entry(c, r->number - 1, &found);
	if (rc != AYNI_OK && rc != AYNI_ERR_NOT_FOUND)
		return rc;
	/* An entry that was pruned (log_prune.h) is still known by its hash. */
	if (rc == AYNI_OK &&
	    (found.len != s->receipt_len || memcmp(found.data, s->receipt, found.len) != 0)) {
		c->changed++;
		(void)printf("CHANGED  receipt %llu: the log has another in its place\n",
		    (unsigned long long)r->number);
		return write_evidence(c, r, s, found);
	}
	rc = log_reader_prove(c->reader, &c->head, &proof, c->err);
	if (rc == AYNI_ERR_SIGNATURE) {
		c->changed++;
		(void)printf("CHANGED  receipt %llu: it is not in the tree that the pool signed\n",
		    (unsigned long long)r->number);
		return AYNI_OK;
	}
	c->right += rc == AYNI_OK ? 1 : 0;
	return rc;
}

static int on_receipt(void *context, const struct ledger_entry *e)
{
	struct reconciliation *c = context;
	struct signed_receipt s;
	struct receipt r;

	if (!public_key_equal(&e->pool, &c->head.pool)) {
		c->of_others++;
		return AYNI_OK;
	}
	if (receipts_signed(e, &s) != AYNI_OK || receipt_check(&s, &r, NULL) != AYNI_OK) {
		c->bad++;
		(void)printf("BAD      receipt %llu: its signatures are not right\n",
		    (unsigned long long)e->number);
		return AYNI_OK;
	}
	if (!ledger_is_owners(&c->owner, &r)) {
		char hex[HEX32_CHARS];

		hex32(r.donor.bytes, hex);
		c->not_mine++;
		(void)printf("NOT YOURS receipt %llu: it is of donor %s\n",
		    (unsigned long long)r.number, hex);
		return AYNI_OK;
	}
	return compare(c, &r, &s);
}

/* ---- all ---------------------------------------------------------------------------------- */

static int reconcile(struct reconciliation *c, struct ledger *ledger, struct error *err)
{
	const struct options *o = c->options;
	char hex[HEX32_CHARS];
	int rc = log_reader_head(c->reader, o->log.pool, &c->head, err);

	if (rc != AYNI_OK)
		return rc;
	hex32(c->head.pool.bytes, hex);
	(void)printf(
	    "log of pool %s: %llu receipts\n", hex, (unsigned long long)c->head.checkpoint.size);
	rc = ledger_each(ledger, 0, UINT32_MAX, on_receipt, c, err);
	if (rc == AYNI_OK)
		(void)printf("%llu of your receipts are in it, %llu not yet, %llu missing, %llu "
		             "changed, %llu not rightly signed, %llu not yours; %llu are of "
		             "other pools\n",
		    (unsigned long long)c->right, (unsigned long long)c->not_yet,
		    (unsigned long long)c->missing, (unsigned long long)c->changed,
		    (unsigned long long)c->bad, (unsigned long long)c->not_mine,
		    (unsigned long long)c->of_others);
	return rc;
}

int ledger_reconcile(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"db", 'd', "FILE", 0, "a donor's donor.db (default: this machine's)", 0},
	    {"evidence", 'e', "FOLDER", 0, "where proofs are put (default: here)", 0},
	    {0},
	};
	static const struct argp_child children[] = {{&ledger_log_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .children = children,
	    .doc = "Compare the receipts that this machine holds as a donor with a pool's log: "
	           "each must be there, under its number, as it was signed, at the latest when "
	           "the receipt promises it. For one that is missing or changed there is a file "
	           "receipt-NUMBER.evidence, with which `ayni ledger check` shows anybody, by the "
	           "pool's own signatures, what the pool did. Exit status 3 then."};
	struct options o = {0};
	struct error err = {0};
	struct reconciliation c = {.options = &o, .err = &err};
	struct db *db = NULL;
	struct ledger *ledger = NULL;
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	c.now_ms = (uint64_t)time(NULL) * 1000;
	rc = ledger_open_books(o.db, &db, &ledger, &err);
	if (rc == AYNI_OK)
		rc = ledger_owner(o.db, &c.owner, &err);
	if (rc == AYNI_OK)
		rc = log_reader_open(o.log.where, &c.reader, &err);
	if (rc == AYNI_OK)
		rc = reconcile(&c, ledger, &err);
	free(c.bytes);
	log_head_free(&c.head);
	log_reader_free(c.reader);
	ledger_free(ledger);
	db_free(db);
	if (rc != AYNI_OK)
		return cli_fail("ledger reconcile", &err);
	return c.missing + c.changed + c.bad + c.not_mine > 0 ? CLI_ALARM : CLI_OK;
}
