/* SPDX-License-Identifier: Apache-2.0 */
#include <argp.h>

#include "node/cli/cli.h"
#include "node/config.h"
#include "protocol/identity.h"

struct options {
	const char *role, *file;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'r':
		if (strcmp(arg, "member") != 0 && strcmp(arg, "donor") != 0 &&
		    strcmp(arg, "pool") != 0)
			argp_error(state, "--role %s: member, donor or pool are allowed", arg);
		o->role = arg;
		return 0;
	case 'f':
		o->file = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cli_key(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"role", 'r', "ROLE", 0, "whose key: member, donor or pool (default member)", 0},
	    {"file", 'f', "FILE", 0, "a key file elsewhere", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .doc = "Show the public half of an identity (Ed25519); create it if there is none."};
	struct options o = {.role = "member"};
	char path[CONFIG_PATH_BYTES + 8], hex[HEX32_CHARS];
	struct identity *id = NULL;
	struct error err = {0};
	bool created = false;
	int rc = AYNI_OK;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	if (o.file != NULL)
		(void)snprintf(path, sizeof path, "%s", o.file);
	else
		rc = config_key_path(o.role, path, sizeof path, &err);
	if (rc == AYNI_OK)
		rc = identity_open(path, &id, &created, &err);
	if (rc != AYNI_OK) {
		(void)cli_fail("key", &err);
		return CLI_FAILED;
	}
	hex32(identity_public(id)->bytes, hex);
	if (created)
		(void)fprintf(stderr, "created %s\n", path);
	(void)printf("%s\n", hex);
	identity_free(id);
	return CLI_OK;
}
