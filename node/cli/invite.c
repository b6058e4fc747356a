/* SPDX-License-Identifier: Apache-2.0 */
#include <argp.h>
#include <stdlib.h>

#include "node/cli/cli.h"
#include "node/cli/sampling.h"
#include "node/config.h"
#include "node/loop.h"
#include "protocol/identity.h"
#include "protocol/invite.h"
#include "storage/registry.h"

struct options {
	struct pool_config config;
	const char *host, *note;
	uint32_t uses;
	uint64_t expires_s;
};

/* "90m", "12h", "7d", "0" for never */
static uint64_t parse_duration(struct argp_state *state, const char *text)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t len = strlen(text);
	char number[16];

	if (strcmp(text, "0") == 0)
		return 0;
	for (size_t i = 0; len > 1 && len < sizeof number && i < 4; i++) {
		if (text[len - 1] != units[i].unit)
			continue;
		memcpy(number, text, len - 1);
		number[len - 1] = '\0';
		return option_u64(state, "--expires", number, 1, 1000000) * units[i].seconds;
	}
	argp_error(
	    state, "--expires %s: a time such as 90m, 12h or 7d is wanted, or 0 for never", text);
	return 0;
}

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
	case 'h':
		o->host = arg;
		break;
	case 'u':
		o->uses = (uint32_t)option_u64(state, "--uses", arg, 1, 1000000);
		break;
	case 'e':
		o->expires_s = parse_duration(state, arg);
		break;
	case 'n':
		o->note = arg;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (rc != AYNI_OK)
		argp_error(state, "%s", err.text);
	return 0;
}

/* The running pool's own address, or the one in its settings. */
static int find_endpoint(
    const struct options *o, const char *folder, char *endpoint, size_t bytes, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 16];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/endpoint", folder);
	f = fopen(path, "re");
	if (f == NULL) {
		(void)snprintf(endpoint, bytes, "%s", o->config.listen);
		return AYNI_OK;
	}
	if (fgets(endpoint, (int)bytes, f) == NULL)
		endpoint[0] = '\0';
	(void)fclose(f);
	endpoint[strcspn(endpoint, "\n")] = '\0';
	return endpoint[0] != '\0'
	           ? AYNI_OK
	           : error_set(err, AYNI_ERR_FORMAT, "%.200s is empty: start the pool once", path);
}

/* "tcp://host:port" into the invite; --host wins over the host. */
static int fill_address(
    const struct options *o, const char *endpoint, struct invite *in, struct error *err)
{
	if (invite_set_endpoint(in, endpoint, NULL) != AYNI_OK)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "the pool's address %.100s has no port yet: start the pool first", endpoint);
	if (o->host != NULL && strlen(o->host) >= sizeof in->host)
		return error_set(err, AYNI_ERR_ARGUMENT, "the host's name is too long");
	if (o->host != NULL)
		(void)snprintf(in->host, sizeof in->host, "%s", o->host);
	if (strcmp(in->host, "*") == 0 || strcmp(in->host, "::") == 0 ||
	    strcmp(in->host, "0.0.0.0") == 0)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "the pool listens on all interfaces: say --host NAME, under which others reach "
		    "it");
	return AYNI_OK;
}

static int store_invite(
    const struct options *o, const char *folder, const struct invite *in, struct error *err)
{
	struct registry_invite row = {.uses_left = o->uses, .note = o->note};
	char path[CONFIG_PATH_BYTES + 16];
	struct db *db = NULL;
	struct registry *registry = NULL;
	uint64_t now = loop_wall_ms();
	int rc;

	hash_bytes(in->token, sizeof in->token, &row.token_hash);
	row.expires_ms = o->expires_s > 0 ? now + o->expires_s * 1000 : 0;
	(void)snprintf(path, sizeof path, "%s/pool.db", folder);
	rc = db_open(path, DB_READ_WRITE, &db, err);
	if (rc == AYNI_OK)
		rc = registry_new(db, &registry, err);
	if (rc == AYNI_OK)
		rc = registry_invite_add(registry, &row, now, err);
	registry_free(registry);
	db_free(db);
	return rc;
}

static int make_invite(const struct options *o, char text[INVITE_TEXT_BYTES], struct error *err)
{
	char folder[CONFIG_PATH_BYTES], key[CONFIG_PATH_BYTES + 16], endpoint[CONFIG_TEXT_BYTES];
	struct invite in = {.has_token = true};
	struct identity *id = NULL;
	int rc = AYNI_OK;

	if (o->config.folder[0] != '\0')
		memcpy(folder, o->config.folder, sizeof folder);
	else
		rc = config_folder("pool", folder, sizeof folder, err);
	if (rc != AYNI_OK)
		return rc;
	(void)snprintf(key, sizeof key, "%s/key", folder);
	rc = identity_open(key, &id, NULL, err);
	if (rc != AYNI_OK)
		return rc;
	in.pool = *identity_public(id);
	identity_free(id);
	random_bytes(in.token, sizeof in.token);
	if ((rc = find_endpoint(o, folder, endpoint, sizeof endpoint, err)) != AYNI_OK ||
	    (rc = fill_address(o, endpoint, &in, err)) != AYNI_OK ||
	    (rc = store_invite(o, folder, &in, err)) != AYNI_OK)
		return rc;
	return invite_format(&in, text, INVITE_TEXT_BYTES, err);
}

int cli_invite(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"config", 'c', "FILE", 0, "the pool's settings", 0},
	    {"folder", 'f', "DIR", 0, "the pool's folder", 0},
	    {"host", 'h', "NAME", 0, "name or address under which others reach the pool", 0},
	    {"uses", 'u', "N", 0, "how many keys may join with it (default 1)", 0},
	    {"expires", 'e', "TIME", 0, "such as 90m, 12h, 7d; 0: never (default 7d)", 0},
	    {"note", 'n', "TEXT", 0, "for whom it is; only the pool sees it", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .doc = "Make a ticket with which donors and members join a pool. Run it where the pool "
	           "runs. Who joined once needs no ticket again."};
	static struct options o;
	char text[INVITE_TEXT_BYTES];
	struct error err = {0};

	config_pool_defaults(&o.config);
	o.note = "";
	o.uses = 1;
	o.expires_s = 7 * 86400;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	if (make_invite(&o, text, &err) != AYNI_OK)
		return cli_fail("invite", &err);
	(void)printf("%s\n", text);
	return CLI_OK;
}
