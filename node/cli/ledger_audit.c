/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger audit` */
#include "node/cli/ledger.h"

#include <stdlib.h>

#include "node/cli/log_audit.h"

struct options {
	struct ledger_log log;
	bool json, csv;
	struct log_audit_options audit;
};

enum { KEY_SIGNATURES = 0x100, KEY_PRUNED, KEY_THREADS };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->log;
		return 0;
	case 's':
		o->audit.since_ms = ledger_parse_day(state, arg);
		return 0;
	case 'b':
		o->audit.by = ledger_parse_by(state, arg);
		if (o->audit.by == SUMS_BY_TEAM)
			argp_error(state, "--by team: a log knows keys, not teams");
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'c':
		o->csv = true;
		return 0;
	case KEY_SIGNATURES:
		o->audit.signatures = true;
		return 0;
	case KEY_PRUNED:
		o->audit.pruned = true;
		return 0;
	case KEY_THREADS:
		o->audit.threads = (unsigned)strtoul(arg, &end, 10);
		if (*arg == '\0' || *end != '\0' || o->audit.threads > LOG_AUDIT_THREADS_MAX)
			argp_error(state, "--threads %s: a number of up to %d is wanted", arg,
			    LOG_AUDIT_THREADS_MAX);
		return 0;
	case ARGP_KEY_END:
		if (o->json && o->csv)
			argp_error(state, "--json and --csv exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_findings(const struct log_audit *a, bool signatures)
{
	char hex[HEX32_CHARS];

	hex32(a->head.pool.bytes, hex);
	(void)fprintf(stderr, "log of pool %s: %llu receipts\n", hex,
	    (unsigned long long)a->head.checkpoint.size);
	if (a->unread > 0)
		(void)fprintf(stderr,
		    "the entries of receipts 1 to %llu are not there any more: their hashes are "
		    "part of the tree, what they say is in no total\n",
		    (unsigned long long)a->unread);
	if (signatures)
		(void)fprintf(stderr, "%llu are countersigned by their donors\n",
		    (unsigned long long)a->countersigned);
	for (uint64_t i = 0; i < a->n_faults && i < LOG_AUDIT_FAULTS_KEPT; i++)
		(void)fprintf(stderr, "WRONG: %s\n", a->faults[i]);
	if (a->n_faults > LOG_AUDIT_FAULTS_KEPT)
		(void)fprintf(stderr, "and %llu more\n",
		    (unsigned long long)(a->n_faults - LOG_AUDIT_FAULTS_KEPT));
}

int ledger_audit(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"signatures", KEY_SIGNATURES, NULL, 0,
	        "check donors' countersignatures too, and count only what has a right one", 0},
	    {"pruned", KEY_PRUNED, NULL, 0,
	        "the oldest entries may be gone (`ayni ledger prune`): go by their hashes, and say "
	        "which",
	        0},
	    {"since", 's', "DAY", 0, "totals of work that ended on this day or later (UTC)", 0},
	    {"by", 'b', "WHAT", 0, "totals by day, donor (as without it) or model", 0},
	    {"threads", KEY_THREADS, "N", 0, "(default: as many as processors)", 0},
	    {"json", 'j', NULL, 0, "totals for programs", 0},
	    {"csv", 'c', NULL, 0, "totals for spreadsheets", 0},
	    {0},
	};
	static const struct argp_child children[] = {{&ledger_log_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .children = children,
	    .doc = "Read a pool's whole log and recompute it: the tree over all receipts, whose "
	           "root the pool has signed, every tile, and all totals. Says what does not fit "
	           "and where. Exit status 1 if anything does not."};
	struct options o = {0};
	struct log_audit a;
	struct error err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	o.audit.pool = o.log.pool;
	rc = log_audit_run(o.log.where, &o.audit, &a, &err);
	if (rc == AYNI_OK) {
		print_findings(&a, o.audit.signatures);
		a.totals.last_number = a.head.checkpoint.size;
		a.totals.bad = a.n_faults;
		if (o.json)
			rc = ledger_print_json(&a.totals) == 0
			         ? AYNI_OK
			         : error_set(&err, AYNI_ERR_IO, "cannot write the answer");
		else
			ledger_print_rows(&a.totals, o.csv);
	}
	if (rc == AYNI_OK && a.n_faults > 0)
		rc = error_set(&err, AYNI_ERR_SIGNATURE, "%llu faults in this log",
		    (unsigned long long)a.n_faults);
	log_audit_free(&a);
	return rc == AYNI_OK ? CLI_OK : cli_fail("ledger audit", &err);
}
