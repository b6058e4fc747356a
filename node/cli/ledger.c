/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/ledger.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "node/config.h"
#include "protocol/invite.h"

enum { JOIN_MS = 15000 };

struct options {
	const char *pool, *db;
	bool json, csv;
	uint64_t since_ms;
};

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
    {"audit", ledger_audit},
    {"check", ledger_check},
    {"forget", ledger_forget},
    {"mine", ledger_mine},
    {"prove", ledger_prove},
    {"reconcile", ledger_reconcile},
    {"show", ledger_show},
    {"watch", ledger_watch},
    {"witness", ledger_witness},
};

/* ---- shared ------------------------------------------------------------------------------- */

struct public_key ledger_parse_key(struct argp_state *state, const char *text)
{
	struct public_key key = {{0}};
	struct invite invite;

	if (unhex32(text, key.bytes) == AYNI_OK)
		return key;
	if (invite_parse(text, &invite, NULL) != AYNI_OK)
		argp_error(state, "--key %s: is neither a key of 64 digits nor an invite", text);
	return invite.pool;
}

static error_t parse_log(int key, char *arg, struct argp_state *state)
{
	struct ledger_log *log = state->input;

	switch (key) {
	case 'k':
		log->key = ledger_parse_key(state, arg);
		log->pool = &log->key;
		return 0;
	case ARGP_KEY_ARG:
		if (log->where != NULL)
			argp_error(state, "one URL or FOLDER is enough");
		log->where = arg;
		return 0;
	case ARGP_KEY_END:
		if (log->where == NULL)
			argp_error(state, "URL or FOLDER is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option log_options[] = {{"key", 'k', "KEY", 0, LEDGER_KEY_DOC, 0}, {0}};
const struct argp ledger_log_argp = {
    .options = log_options, .parser = parse_log, .args_doc = "URL|FOLDER"};

uint64_t ledger_parse_day(struct argp_state *state, const char *text)
{
	struct tm day = {0};
	const char *end = strptime(text, "%Y-%m-%d", &day);

	if (end == NULL || *end != '\0')
		argp_error(state, "--since %s: a day such as 2026-01-31 is wanted (UTC)", text);
	return (uint64_t)timegm(&day) * 1000;
}

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
	case 'c':
		o->csv = true;
		return 0;
	case 's':
		o->since_ms = ledger_parse_day(state, arg);
		return 0;
	case ARGP_KEY_END:
		if (o->pool != NULL && o->db != NULL)
			argp_error(state, "--pool and --db exclude each other");
		if (o->json && o->csv)
			argp_error(state, "--json and --csv exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void ledger_format_time(uint64_t ms, char text[32])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (ms == 0 || gmtime_r(&seconds, &tm) == NULL || strftime(text, 32, "%FT%TZ", &tm) == 0)
		(void)snprintf(text, 32, "-");
}

int ledger_print_json(const struct audit *a)
{
	json_t *donors = json_array();
	json_t *root;
	int rc = -1;

	for (size_t i = 0; i < a->n_totals; i++) {
		const struct audit_total *t = &a->totals[i];
		char hex[HEX32_CHARS], first[32], last[32];

		hex32(t->donor.bytes, hex);
		ledger_format_time(t->first_ms, first);
		ledger_format_time(t->last_ms, last);
		json_array_append_new(donors,
		    json_pack("{ss ss sI sf sI sI sI ss ss sI ss}", "donor", hex, "name", t->name,
		        "flop", (json_int_t)flop_count(t->cost), "gflop", flop_giga(t->cost),
		        "receipts", (json_int_t)t->receipts, "units", (json_int_t)t->units,
		        "tokens", (json_int_t)t->tokens, "first", first, "last", last,
		        "not_countersigned", (json_int_t)t->unsigned_receipts, "standing",
		        t->has_standing ? standing_state_name(t->standing) : ""));
	}
	root =
	    json_pack("{so sI sI sI}", "donors", donors, "last_receipt", (json_int_t)a->last_number,
	        "bad", (json_int_t)a->bad, "missing", (json_int_t)a->missing);
	if (root != NULL) {
		rc = json_dumpf(root, stdout, JSON_COMPACT);
		(void)printf("\n");
	}
	json_decref(root);
	return rc;
}

/* RFC 4180: quotes doubled; a name that a spreadsheet could take for a formula gets a quote mark.
 */
static void print_csv_name(const char *name)
{
	(void)printf("\"%s", name[0] != '\0' && strchr("=+-@", name[0]) != NULL ? "'" : "");
	for (; *name != '\0'; name++)
		(void)printf(*name == '"' ? "\"\"" : "%c", *name);
	(void)printf("\"");
}

void ledger_print_rows(const struct audit *a, bool csv)
{
	if (csv)
		(void)printf(
		    "donor,name,gflop,receipts,units,tokens,first,last,not_countersigned\n");
	else
		(void)printf(
		    "donor     name             verified GFLOP receipts    units   tokens  "
		    "first seen            last seen\n");
	for (size_t i = 0; i < a->n_totals; i++) {
		const struct audit_total *t = &a->totals[i];
		char hex[HEX32_CHARS], first[32], last[32];

		hex32(t->donor.bytes, hex);
		ledger_format_time(t->first_ms, first);
		ledger_format_time(t->last_ms, last);
		if (csv) {
			(void)printf("%s,", hex);
			print_csv_name(t->name);
			(void)printf(",%.9f,%llu,%llu,%llu,%s,%s,%llu\n", flop_giga(t->cost),
			    (unsigned long long)t->receipts, (unsigned long long)t->units,
			    (unsigned long long)t->tokens, first, last,
			    (unsigned long long)t->unsigned_receipts);
			continue;
		}
		(void)printf("%.8s  %-16.16s %14.3f %8llu %8llu %8llu  %-20s  %s\n", hex, t->name,
		    flop_giga(t->cost), (unsigned long long)t->receipts,
		    (unsigned long long)t->units, (unsigned long long)t->tokens, first, last);
		if (t->unsigned_receipts > 0)
			(void)printf("          and %llu receipts that it has not countersigned\n",
			    (unsigned long long)t->unsigned_receipts);
	}
}

int ledger_open_books(const char *file, struct db **db, struct ledger **ledger, struct error *err)
{
	char folder[CONFIG_PATH_BYTES], path[CONFIG_PATH_BYTES + 16];
	int rc = AYNI_OK;

	*db = NULL;
	*ledger = NULL;
	if (file == NULL) {
		rc = config_folder("donor", folder, sizeof folder, err);
		(void)snprintf(path, sizeof path, "%s/donor.db", folder);
		file = path;
	}
	if (rc == AYNI_OK)
		rc = db_open(file, DB_READ_ONLY, db, err);
	return rc == AYNI_OK ? ledger_new(*db, ledger, err) : rc;
}

/* ---- the books themselves ----------------------------------------------------------------- */

static int read_books(struct audit *a, const struct options *o, struct error *err)
{
	char folder[CONFIG_PATH_BYTES], path[CONFIG_PATH_BYTES + 16];
	struct client *c = NULL;
	int rc;

	if (o->pool != NULL) {
		rc = client_open(o->pool, JOIN_MS, &c, err);
		if (rc == AYNI_OK)
			rc = audit_pool(a, c, err);
		client_free(c);
		return rc;
	}
	if (o->db != NULL)
		return audit_file(a, o->db, err);
	rc = config_folder("donor", folder, sizeof folder, err);
	if (rc != AYNI_OK)
		return rc;
	(void)snprintf(path, sizeof path, "%s/donor.db", folder);
	return audit_file(a, path, err);
}

static int run_command(const struct command *c, int argc, char **argv)
{
	static char name[64];

	(void)snprintf(name, sizeof name, "ayni ledger %s", c->name);
	argv[0] = name;
	return c->run(argc, argv);
}

int cli_ledger(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"pool", 'p', "INVITE", 0, "a pool's books, over the network", 0},
	    {"db", 'd', "FILE", 0, "books in a file: a pool's pool.db or a donor's donor.db", 0},
	    {"since", 's', "DAY", 0, "work that ended on this day or later (2026-01-31, UTC)", 0},
	    {"json", 'j', NULL, 0, "for programs", 0},
	    {"csv", 'c', NULL, 0, "for spreadsheets", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "\naudit | watch | witness | reconcile URL|FOLDER\n"
	                "prove NUMBER URL|FOLDER\ncheck FILE\nmine\nshow SESSION\nforget DONOR",
	    .doc =
	        "Read the contribution ledger. Every receipt's signatures, the pool's and the "
	        "donor's, are checked here, and totals are made from the receipts alone. Without "
	        "--pool and --db: this machine's own receipts as a donor. Exit status 1 if "
	        "anything is wrong with the books."
	        "\vSubcommands, on a pool's public log (a URL, or a copy of the folder):\n\n"
	        "  audit      recompute all of it, trusting nothing\n"
	        "  watch      follow it; alarm if it contradicts itself\n"
	        "  witness    check that it only grew, and sign that\n"
	        "  prove      that a receipt is in it, in a file that proves it by itself\n"
	        "  check      such a file, offline\n"
	        "  mine       totals of this machine's receipts as a donor\n"
	        "  reconcile  these receipts with the log: is each of them there?\n\n"
	        "And:\n\n"
	        "  show       who computed an answer, and was it looked at?\n"
	        "  forget     erase a donor's name from a pool's database\n\n"
	        "`ayni ledger audit --help` and so on tell more."};
	struct audit a = {0};
	struct options o = {0};
	struct error err = {0};
	bool wrong;
	int rc;

	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return run_command(&commands[i], argc - 1, argv + 1);
	}
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	a.since_ms = o.since_ms;
	rc = read_books(&a, &o, &err);
	audit_sort(&a);
	if (rc == AYNI_OK && o.json && ledger_print_json(&a) != 0)
		rc = error_set(&err, AYNI_ERR_IO, "cannot write the answer");
	if (rc == AYNI_OK && !o.json)
		ledger_print_rows(&a, o.csv);
	a.bad += a.bad_standing;
	wrong = a.bad > 0 || (a.missing > 0 && o.pool != NULL);
	if (rc == AYNI_OK && wrong)
		rc = error_set(&err, AYNI_ERR_SIGNATURE,
		    "%llu entries are wrong, %llu are missing from the books",
		    (unsigned long long)a.bad, (unsigned long long)a.missing);
	audit_free(&a);
	return rc == AYNI_OK ? CLI_OK : cli_fail("ledger", &err);
}
