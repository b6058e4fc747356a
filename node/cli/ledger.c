/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/ledger.h"

#include <stdlib.h>
#include <time.h>

#include "node/config.h"
#include "protocol/invite.h"

enum { JOIN_MS = 15000 };

struct options {
	const char *pool, *db;
	bool json, csv, unchecked;
	enum sums_by by;
	uint64_t since_ms;
};

enum { KEY_UNCHECKED = 0x100 };

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
    {"audit", ledger_audit},
    {"check", ledger_check},
    {"export", ledger_export},
    {"forget", ledger_forget},
    {"mine", ledger_mine},
    {"prove", ledger_prove},
    {"prune", ledger_prune},
    {"reconcile", ledger_reconcile},
    {"show", ledger_show},
    {"verify-evidence", ledger_verify_evidence},
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
		argp_error(state, "%s: a day such as 2026-01-31 is wanted (UTC)", text);
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
	case 'b':
		o->by = ledger_parse_by(state, arg);
		return 0;
	case KEY_UNCHECKED:
		o->unchecked = true;
		return 0;
	case ARGP_KEY_END:
		if (o->pool != NULL && (o->db != NULL || o->unchecked))
			argp_error(state, "--pool excludes --db and --unchecked");
		if (o->json && o->csv)
			argp_error(state, "--json and --csv exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
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
	(void)snprintf(path, sizeof path, "%s", o->db != NULL ? o->db : "");
	if (o->db == NULL) {
		rc = config_folder("donor", folder, sizeof folder, err);
		if (rc != AYNI_OK)
			return rc;
		(void)snprintf(path, sizeof path, "%s/donor.db", folder);
	}
	return o->unchecked ? audit_sums(a, path, err) : audit_file(a, path, err);
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
	    {"by", 'b', "WHAT", 0, "add up by day, donor (as without it), model or team", 0},
	    {"since", 's', "DAY", 0, "work that ended on this day or later (2026-01-31, UTC)", 0},
	    {"unchecked", KEY_UNCHECKED, NULL, 0,
	        "take a file's own sums: at once, and checks nothing", 0},
	    {"json", 'j', NULL, 0, "for programs", 0},
	    {"csv", 'c', NULL, 0, "for spreadsheets", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "\naudit | watch | witness | reconcile URL|FOLDER\n"
	                "prove NUMBER URL|FOLDER\ncheck FILE\n"
	                "verify-evidence FILE --model MODEL\nmine\nprune FOLDER\nexport FOLDER\n"
	                "show SESSION\nforget DONOR",
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
	        "  prune      its oldest entries away, but no hash\n"
	        "  verify-evidence  did a donor sign what the model does not give?\n"
	        "  mine       totals of this machine's receipts as a donor\n"
	        "  export     statistics files of a pool's books, as aggregator sites read them\n"
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
	a.by = o.by;
	rc = read_books(&a, &o, &err);
	if (rc == AYNI_OK && !o.unchecked)
		rc = audit_finish(&a, &err);
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
