/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger prune` */
#include "node/cli/ledger.h"

#include "node/log_prune.h"

struct options {
	const char *folder;
	uint64_t before_ms;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'b':
		o->before_ms = ledger_parse_day(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (o->folder != NULL)
			argp_error(state, "one FOLDER is enough");
		o->folder = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->folder == NULL || o->before_ms == 0)
			argp_error(state, "--before DAY and FOLDER are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int ledger_prune(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"before", 'b', "DAY", 0, "entries of windows that ended before this day (UTC)", 0},
	    {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "FOLDER",
	    .doc = "Remove the oldest entries from a log's folder, a pool's or a mirror's, in "
	           "bundles of 256. The hashes of all entries stay: whoever holds an old receipt "
	           "can still prove that it is in the log (`ayni ledger prove`), and the log still "
	           "proves that it only grew. What an audit cannot read any more it says."};
	struct options o = {0};
	struct log_pruned p;
	struct error err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	rc = log_prune(o.folder, o.before_ms, &p, &err);
	if (rc == AYNI_OK || p.bundles > 0)
		(void)printf(
		    "%llu bundles removed; entries of receipts 1 to %llu are not here now\n",
		    (unsigned long long)p.bundles, (unsigned long long)p.receipts);
	return rc == AYNI_OK ? CLI_OK : cli_fail("ledger prune", &err);
}
