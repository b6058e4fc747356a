/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni pool`, `ayni donate` and its `ayni worker`: settings from file and command line, then run.
 */
#include <argp.h>
#include <limits.h>

#include "compute/team.h"
#include "node/cli/cli.h"
#include "node/cli/sampling.h"
#include "node/config.h"
#include "node/donor/donor.h"
#include "node/donor/worker.h"
#include "node/pool/pool.h"
#include "node/report.h"

/* Settings given on the command line wait until the file was read: they win. */
enum { MAX_SETTINGS = 64 };

struct setting {
	const char *key, *value, *origin;
};

struct settings {
	const char *file;
	size_t n;
	struct setting list[MAX_SETTINGS];
};

static void add_setting(
    struct argp_state *state, const char *key, const char *value, const char *origin)
{
	struct settings *s = state->input;

	if (s->n == MAX_SETTINGS)
		argp_error(state, "more than %d settings", MAX_SETTINGS);
	else
		s->list[s->n++] = (struct setting){key, value, origin};
}

/* --set KEY=VALUE; the text is cut in two in place. */
static void add_pair(struct argp_state *state, char *pair)
{
	char *equals = strchr(pair, '=');

	if (equals == NULL) {
		argp_error(state, "--set %s: KEY=VALUE is wanted", pair);
		return;
	}
	*equals = '\0';
	add_setting(state, pair, equals + 1, "--set");
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 'c':
		s->file = arg;
		return 0;
	case 's':
		add_pair(state, arg);
		return 0;
	case 'f':
		add_setting(state, "folder", arg, "--folder");
		return 0;
	case 'n':
		add_setting(state, "name", arg, "--name");
		return 0;
	case 'v':
		add_setting(state, "log", "debug", "--verbose");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

#define COMMON_OPTIONS                                                                             \
	{"config", 'c', "FILE", 0, "read settings from an INI file", 1},                           \
	    {"set", 's', "KEY=VALUE", 0, "one setting, as it could stand in the file", 1},         \
	    {"folder", 'f', "DIR", 0, "where key and database are kept", 1},                       \
	    {"name", 'n', "NAME", 0, "display name", 1},                                           \
	{                                                                                          \
		"verbose", 'v', NULL, 0, "log everything", 1                                       \
	}

static void start_log(const char *role, const char *level_name)
{
	enum report_level level = REPORT_INFO;

	(void)report_level_parse(level_name, &level);
	report_setup(role, level);
}

/* ---- donate ------------------------------------------------------------------------------- */

static error_t parse_donate(int key, char *arg, struct argp_state *state)
{
	if (key == 'p')
		add_setting(state, "pool", arg, "--pool");
	else if (key == 'j')
		add_setting(state, "cores", arg, "--cores");
	else
		return parse_common(key, arg, state);
	return 0;
}

int cli_donate(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"pool", 'p', "INVITE", 0, "the pool to help: ayni://host:port?key=...&token=...", 0},
	    {"cores", 'j', "N", 0, "processor cores to lend (default: all but one)", 0},
	    COMMON_OPTIONS,
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse_donate,
	    .doc = "Lend spare CPU to a pool, until SIGTERM or Ctrl-C: then the units at hand are "
	           "finished first; a second Ctrl-C ends at once."};
	struct settings s = {0};
	struct donor_config config;
	struct error err = {0};
	int rc = AYNI_OK;

	if (argp_parse(&argp, argc, argv, 0, NULL, &s) != 0)
		return CLI_USAGE;
	config_donor_defaults(&config);
	if (s.file != NULL)
		rc = config_donor_file(&config, s.file, &err);
	for (size_t i = 0; i < s.n && rc == AYNI_OK; i++)
		rc = config_donor_set(
		    &config, s.list[i].key, s.list[i].value, s.list[i].origin, &err);
	if (rc == AYNI_OK && config.pool[0] == '\0')
		rc = error_set(&err, AYNI_ERR_ARGUMENT,
		    "--pool INVITE is needed (whoever runs the pool gives one out)");
	if (rc == AYNI_OK) {
		start_log("donor", config.log);
		rc = donor_run(&config, &err);
	}
	return rc == AYNI_OK ? CLI_OK : cli_fail("donate", &err);
}

struct worker_arguments {
	int fd;
	unsigned threads;
	const char *kernels;
};

/* Only our own donor calls this, with all three options. */
static error_t parse_worker(int key, char *arg, struct argp_state *state)
{
	struct worker_arguments *a = state->input;

	switch (key) {
	case 'f':
		a->fd = (int)option_u64(state, "--fd", arg, 0, INT_MAX);
		return 0;
	case 't':
		a->threads = (unsigned)option_u64(state, "--threads", arg, 1, TEAM_MAX_THREADS);
		return 0;
	case 'k':
		a->kernels = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->fd < 0)
			argp_error(state, "a donor starts this itself");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cli_worker(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"fd", 'f', "N", 0, "the socket to the donor", 0},
	    {"threads", 't', "N", 0, "threads to compute with", 0},
	    {"kernels", 'k', "NAME", 0, "auto, scalar, avx2", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse_worker,
	    .doc = "The computing process of a donor, which starts it."};
	struct worker_arguments a = {-1, 1, "auto"};

	if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0)
		return CLI_USAGE;
	return worker_main(a.fd, a.threads, a.kernels);
}

/* ---- pool --------------------------------------------------------------------------------- */

static error_t parse_pool(int key, char *arg, struct argp_state *state)
{
	if (key == 'l')
		add_setting(state, "listen", arg, "--listen");
	else if (key == 'm')
		add_setting(state, "model", arg, "--model");
	else
		return parse_common(key, arg, state);
	return 0;
}

static bool names_models(const struct settings *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->list[i].key, "model") == 0)
			return true;
	}
	return false;
}

int cli_pool(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"listen", 'l', "HOST:PORT", 0, "where peers connect (default 127.0.0.1:7411)", 0},
	    {"model", 'm', "FILE", 0, "a model to serve (GGUF); may be repeated", 0},
	    COMMON_OPTIONS,
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse_pool,
	    .doc =
	        "Run a pool: admit donors, place a model's layers on them, serve members, keep the "
	        "ledger. `ayni invite` makes tickets for donors and members."};
	struct settings s = {0};
	struct pool_config config;
	struct error err = {0};
	int rc = AYNI_OK;

	if (argp_parse(&argp, argc, argv, 0, NULL, &s) != 0)
		return CLI_USAGE;
	config_pool_defaults(&config);
	if (s.file != NULL)
		rc = config_pool_file(&config, s.file, &err);
	if (names_models(&s))
		config.n_models = 0; /* instead of the file's, like any other setting */
	for (size_t i = 0; i < s.n && rc == AYNI_OK; i++)
		rc = config_pool_set(
		    &config, s.list[i].key, s.list[i].value, s.list[i].origin, &err);
	if (rc == AYNI_OK) {
		start_log("pool", config.log);
		rc = pool_run(&config, &err);
	}
	return rc == AYNI_OK ? CLI_OK : cli_fail("pool", &err);
}
