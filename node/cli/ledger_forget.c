/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger forget` */
#include "node/cli/ledger.h"

#include "node/config.h"
#include "storage/registry.h"

struct options {
	const char *db, *who;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'd':
		o->db = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->who != NULL)
			argp_error(state, "one donor is enough");
		o->who = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->who == NULL)
			argp_error(state, "a DONOR is needed: its key, or its name");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int find(struct registry *r, const char *who, struct public_key *donor, struct error *err)
{
	if (unhex32(who, donor->bytes) == AYNI_OK)
		return AYNI_OK;
	return registry_donor_named(r, who, donor, err);
}

static int forget(const struct options *o, struct error *err)
{
	char folder[CONFIG_PATH_BYTES], path[CONFIG_PATH_BYTES + 16], hex[HEX32_CHARS];
	const char *file = o->db;
	struct registry *registry = NULL;
	struct public_key donor;
	struct db *db = NULL;
	int rc = AYNI_OK;

	if (file == NULL) {
		rc = config_folder("pool", folder, sizeof folder, err);
		(void)snprintf(path, sizeof path, "%s/pool.db", folder);
		file = path;
	}
	if (rc == AYNI_OK)
		rc = db_open(file, DB_READ_WRITE, &db, err);
	if (rc == AYNI_OK)
		rc = registry_new(db, &registry, err);
	if (rc == AYNI_OK)
		rc = find(registry, o->who, &donor, err);
	if (rc == AYNI_OK)
		rc = registry_donor_forget(registry, &donor, err);
	registry_free(registry);
	db_free(db);
	if (rc != AYNI_OK)
		return rc;
	hex32(donor.bytes, hex);
	(void)printf("the name of donor %s is erased; its receipts stay, under its key\n", hex);
	return AYNI_OK;
}

int ledger_forget(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"db", 'd', "FILE", 0, "a pool's pool.db (default: this machine's)", 0}, {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "DONOR",
	    .doc = "Erase the display name of a donor, given by its key of 64 digits or by that "
	           "name, from a pool's database, beside the running pool too. The log never had "
	           "it: not a byte of that changes. A donor that joins again under a name has it "
	           "again: it is the donor who gives it."};
	struct options o = {0};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	return forget(&o, &err) == AYNI_OK ? CLI_OK : cli_fail("ledger forget", &err);
}
