/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni pardon`: a donor that a pool has caught is believed again. */
#include <argp.h>
#include <stdlib.h>

#include "node/cli/accused.h"
#include "node/cli/cli.h"
#include "node/config.h"
#include "node/pardons.h"
#include "protocol/identity.h"
#include "storage/standing.h"

enum { QUARANTINED = 3, BANNED = 4 /* states of a standing */ };

struct options {
	struct pool_config config;
	struct public_key donor;
	bool has_donor;
	const char *evidence, *model, *anyway;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct error err = {0};
	int rc = AYNI_OK;

	switch (key) {
	case 'c':
		rc = config_pool_file(&o->config, arg, &err);
		break;
	case 'f':
		rc = config_pool_set(&o->config, "folder", arg, "--folder", &err);
		break;
	case 'e':
		o->evidence = arg;
		break;
	case 'm':
		o->model = arg;
		break;
	case 'a':
		o->anyway = arg;
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0 || unhex32(arg, o->donor.bytes) != AYNI_OK)
			argp_error(state, "%s: a donor's key of 64 digits is wanted", arg);
		o->has_donor = true;
		break;
	case ARGP_KEY_END:
		if (!o->has_donor || (o->evidence == NULL) != (o->model == NULL) ||
		    (o->evidence == NULL && o->anyway == NULL))
			argp_error(state, "a donor's key is wanted, and --evidence and --model, or "
			                  "--anyway");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (rc != AYNI_OK)
		argp_error(state, "%s", err.text);
	return 0;
}

/* ---- may it be pardoned? ------------------------------------------------------------------ */

/* What its evidence shows now. */
static int look_again(const struct options *o, struct pardon *p, struct error *err)
{
	struct evidence_finding f;
	enum accused_outcome outcome = accused_check(o->evidence, o->model, &f, &p->evidence, err);

	if (outcome == ACCUSED_BAD)
		return err->code;
	p->has_evidence = true;
	if (!public_key_equal(&f.donor, &o->donor))
		return error_set(err, AYNI_ERR_ARGUMENT, "the evidence is about another donor");
	if (outcome == ACCUSED_LIED && o->anyway == NULL)
		return error_set(err, AYNI_ERR_STATE,
		    "the evidence holds: layer %u gave at position %u what the model does not; "
		    "--anyway REASON pardons all the same",
		    f.layer, f.position);
	return AYNI_OK;
}

static int find_state(void *context, const struct standing *s)
{
	struct standing *wanted = context;

	if (public_key_equal(&s->donor, &wanted->donor))
		wanted->state = s->state;
	return 0;
}

static int check_state(const struct options *o, const char *folder, struct error *err)
{
	struct standing wanted = {.donor = o->donor};
	struct standing_store *store = NULL;
	char path[CONFIG_PATH_BYTES + 16];
	struct db *db = NULL;
	int rc;

	(void)snprintf(path, sizeof path, "%s/pool.db", folder);
	rc = db_open(path, DB_READ_ONLY, &db, err);
	if (rc == AYNI_OK)
		rc = standing_new(db, &store, err);
	if (rc == AYNI_OK)
		rc = standing_each(store, find_state, &wanted, err);
	standing_free(store);
	db_free(db);
	if (rc == AYNI_OK && wanted.state == BANNED)
		return error_set(err, AYNI_ERR_STATE, "it lied after a pardon: a ban stays");
	if (rc == AYNI_OK && wanted.state != QUARANTINED)
		return error_set(err, AYNI_ERR_STATE, "this donor is not quarantined here");
	return rc;
}

static int pardon(const struct options *o, struct error *err)
{
	struct pardon p = {.donor = o->donor};
	char folder[CONFIG_PATH_BYTES];
	int rc = AYNI_OK;

	if (o->config.folder[0] != '\0')
		memcpy(folder, o->config.folder, sizeof folder);
	else
		rc = config_folder("pool", folder, sizeof folder, err);
	if (rc == AYNI_OK)
		rc = check_state(o, folder, err);
	if (rc == AYNI_OK && o->evidence != NULL)
		rc = look_again(o, &p, err);
	if (rc != AYNI_OK)
		return rc;
	(void)snprintf(p.reason, sizeof p.reason, "pardoned: %s",
	    o->anyway != NULL ? o->anyway : "the evidence was looked at again, and shows no lie");
	return pardons_ask(folder, &p, err);
}

int cli_pardon(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"config", 'c', "FILE", 0, "the pool's settings", 0},
	    {"folder", 'f', "DIR", 0, "the pool's folder", 0},
	    {"evidence", 'e', "FILE", 0, "look at this again; it is pardoned if it shows no lie",
	        0},
	    {"model", 'm', "MODEL", 0, "the model that the evidence is about: a GGUF file", 0},
	    {"anyway", 'a', "REASON", 0, "pardon it whatever the evidence shows, and say why", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "DONOR",
	    .doc = "Let a pool believe a donor again that it has caught: from quarantine to "
	           "probation, once; another lie is a ban. DONOR is its key, as `ayni status` "
	           "shows it. Run it where the pool runs, which takes it up within a heartbeat, or "
	           "when it starts."};
	static struct options o;
	struct error err = {0};

	config_pool_defaults(&o.config);
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	if (pardon(&o, &err) != AYNI_OK)
		return cli_fail("pardon", &err);
	(void)printf("The pool takes the pardon up now, or when it starts.\n");
	return CLI_OK;
}
