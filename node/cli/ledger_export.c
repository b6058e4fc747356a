/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger export` */
#include "node/cli/ledger.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/export.h"
#include "node/config.h"
#include "storage/files.h"

struct options {
	const char *folder, *db;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'd':
		o->db = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->folder != NULL)
			argp_error(state, "one FOLDER is enough");
		o->folder = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->folder == NULL)
			argp_error(state, "FOLDER is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- JSON lines --------------------------------------------------------------------------- */

struct lines {
	char *text; /* owned */
	size_t len, room;
};

static int add_text(const char *text, size_t len, void *context)
{
	struct lines *l = context;

	if (len > l->room - l->len) {
		size_t room = 2 * (l->room + len);
		char *more = realloc(l->text, room);

		if (more == NULL)
			return -1;
		l->text = more;
		l->room = room;
	}
	memcpy(l->text + l->len, text, len);
	l->len += len;
	return 0;
}

static int add_view(struct lines *l, const char *db, enum sums_by by, struct error *err)
{
	struct audit a = {.by = by};
	int rc = audit_sums(&a, db, err);

	for (size_t i = 0; rc == AYNI_OK && i < a.n_totals; i++) {
		json_t *row = ledger_row_json(by, &a.totals[i]);

		if (row == NULL ||
		    json_dump_callback(row, add_text, l, JSON_COMPACT | JSON_SORT_KEYS) != 0 ||
		    add_text("\n", 1, l) != 0)
			rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
		json_decref(row);
	}
	audit_free(&a);
	return rc;
}

static int write_lines(const char *db, int folder_fd, struct error *err)
{
	struct lines l = {0};
	int rc = AYNI_OK;

	for (int by = SUMS_BY_DONOR; rc == AYNI_OK && by <= SUMS_BY_TEAM; by++)
		rc = add_view(&l, db, (enum sums_by)by, err);
	if (rc == AYNI_OK)
		rc = export_gzip(folder_fd, "ledger.jsonl.gz",
		    (struct span){(const uint8_t *)l.text, l.len}, err);
	free(l.text);
	return rc;
}

/* ---- all ---------------------------------------------------------------------------------- */

static int write_all(const struct options *o, struct error *err)
{
	char folder[CONFIG_PATH_BYTES], db[CONFIG_PATH_BYTES + 16];
	struct export e = {0};
	int fd = -1, rc = AYNI_OK;

	(void)snprintf(db, sizeof db, "%s", o->db != NULL ? o->db : "");
	if (o->db == NULL) {
		rc = config_folder("pool", folder, sizeof folder, err);
		(void)snprintf(db, sizeof db, "%s/pool.db", rc == AYNI_OK ? folder : "");
	}
	if (rc == AYNI_OK)
		rc = export_read(db, (uint64_t)time(NULL) * 1000, &e, err);
	if (rc == AYNI_OK)
		rc = files_open_folder(o->folder, &fd, err);
	if (rc == AYNI_OK)
		rc = write_lines(db, fd, err);
	if (rc == AYNI_OK)
		rc = export_boinc(&e, fd, err);
	if (fd >= 0)
		(void)close(fd);
	export_free(&e);
	return rc;
}

int ledger_export(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"db", 'd', "FILE", 0, "a pool's pool.db (default: this machine's)", 0}, {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "FOLDER",
	    .doc =
	        "Write a pool's statistics into FOLDER: tables.xml, user.gz, team.gz and host.gz "
	        "as BOINC's db_dump does, for sites that add up volunteer projects, and "
	        "ledger.jsonl.gz with all views of the ledger. One unit of credit there is 432 "
	        "verified GFLOP. What is there is replaced, each file as a whole."};
	struct options o = {0};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	return write_all(&o, &err) == AYNI_OK ? CLI_OK : cli_fail("ledger export", &err);
}
