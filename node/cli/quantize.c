/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni model quantize`. */
#include "compute/quantize.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli/cli.h"
#include "node/cli/model.h"
#include "node/cli/progress.h"
#include "node/cli/sampling.h"
#include "node/models.h"

enum { KEY_FORCE = 0x400 };

struct options {
	const char *in, *out;
	const struct quantize_recipe *recipe;
	unsigned threads;
	bool force;
};

static volatile bool interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = true;
}

static void take_argument(struct options *o, char *arg, struct argp_state *state)
{
	switch (state->arg_num) {
	case 0:
		o->in = arg;
		return;
	case 1:
		o->out = arg;
		return;
	case 2:
		o->recipe = quantize_recipe_find(arg);
		if (o->recipe == NULL)
			argp_error(
			    state, "no type \"%.20s\": %s are known", arg, quantize_recipes());
		return;
	default:
		argp_error(state, "IN, OUT and TYPE are enough");
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 't':
		o->threads = (unsigned)option_u64(state, "--threads", arg, 1, TEAM_MAX_THREADS);
		return 0;
	case KEY_FORCE:
		o->force = true;
		return 0;
	case ARGP_KEY_ARG:
		take_argument(o, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num < 3)
			argp_error(state, "IN, OUT and TYPE are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- progress ------------------------------------------------------------------------------- */

static void show(void *context, const char *tensor, uint64_t done, uint64_t all)
{
	struct progress *p = context;
	double seconds = progress_seconds(p);
	double speed = seconds > 0.0 ? (double)done / seconds : 0.0;
	double left = speed > 0.0 ? (double)(all - done) / speed : 0.0;

	if (!progress_due(p, 5) && done < all)
		return;
	(void)fprintf(stderr, "%s%3.0f %%  %.1f of %.1f MiB, %.1f MiB/s, %.0f s left  %-32.32s%s",
	    p->terminal ? "\r" : "", all > 0 ? 100.0 * (double)done / (double)all : 100.0,
	    (double)done / (1 << 20), (double)all / (1 << 20), speed / (1 << 20), left, tensor,
	    p->terminal && done < all ? "" : "\n");
}

/* ---- files ---------------------------------------------------------------------------------- */

/* The input is mapped: writing over it would end it while it is read. */
static int check_out(const struct options *o, struct error *err)
{
	struct stat in, out;

	if (stat(o->out, &out) != 0)
		return AYNI_OK;
	if (stat(o->in, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "%s is the input: give another name", o->out);
	if (!o->force)
		return error_set(err, AYNI_ERR_EXISTS, "%s exists (--force replaces it)", o->out);
	return AYNI_OK;
}

static int run(const struct options *o, const struct gguf *g, FILE *f, struct team *team,
    uint32_t *n_replaced, struct error *err)
{
	struct progress p;
	struct quantize_job job = {.in = g,
	    .recipe = o->recipe,
	    .team = team,
	    .progress = show,
	    .context = &p,
	    .stop = &interrupted,
	    .n_replaced = n_replaced};
	int rc;

	progress_begin(&p);
	rc = quantize(&job, f, err);
	if (rc != AYNI_OK && p.terminal && p.shown_us > 0)
		(void)fprintf(stderr, "\n");
	if (rc == AYNI_OK && (fflush(f) != 0 || fsync(fileno(f)) != 0))
		rc = error_set(err, AYNI_ERR_IO, "cannot write %s: %s", o->out, strerror(errno));
	return rc;
}

/* The new file has its name only when it is whole. */
static int write_file(const struct options *o, const struct gguf *g, struct team *team,
    uint32_t *n_replaced, struct error *err)
{
	char part[PATH_MAX];
	FILE *f;
	int rc;

	if (snprintf(part, sizeof part, "%s.part", o->out) >= (int)sizeof part)
		return error_set(err, AYNI_ERR_ARGUMENT, "the name of the new file is too long");
	f = fopen(part, "we");
	if (f == NULL)
		return error_set(err, AYNI_ERR_IO, "cannot write %s: %s", part, strerror(errno));
	rc = run(o, g, f, team, n_replaced, err);
	if (fclose(f) != 0 && rc == AYNI_OK)
		rc = error_set(err, AYNI_ERR_IO, "cannot write %s: %s", part, strerror(errno));
	if (rc == AYNI_OK && rename(part, o->out) != 0)
		rc = error_set(err, AYNI_ERR_IO, "cannot name %s: %s", o->out, strerror(errno));
	if (rc != AYNI_OK)
		(void)unlink(part);
	return rc;
}

static int quantize_file(const struct options *o, struct error *err)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads = o->threads > 0 ? o->threads : processors > 0 ? (unsigned)processors : 1;
	struct gguf *g = NULL;
	struct team *team = NULL;
	uint32_t n_replaced = 0;
	struct stat written;
	int rc = check_out(o, err);

	if (rc == AYNI_OK)
		rc = models_open(o->in, &g, err);
	if (rc == AYNI_OK)
		rc = team_new(threads < TEAM_MAX_THREADS ? threads : TEAM_MAX_THREADS, &team, err);
	if (rc == AYNI_OK)
		rc = write_file(o, g, team, &n_replaced, err);
	if (rc == AYNI_OK && n_replaced > 0)
		(void)fprintf(stderr,
		    "%u tensors have rows that are not whole blocks of %s; they took a type "
		    "of smaller blocks\n",
		    n_replaced, o->recipe->name);
	if (rc == AYNI_OK && stat(o->out, &written) == 0)
		(void)printf("%s: %s, %.1f MiB of %.1f MiB\n", o->out, o->recipe->name,
		    (double)written.st_size / (1 << 20), (double)gguf_file_bytes(g) / (1 << 20));
	team_free(team);
	gguf_free(g);
	return rc;
}

int cli_model_quantize(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"threads", 't', "N", 0, "threads (default: one a processor)", 0},
	    {"force", KEY_FORCE, NULL, 0, "replace OUT if it exists", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "IN OUT TYPE",
	    .doc =
	        "Make a smaller model file: matrices are encoded as TYPE, the rest is taken over. "
	        "TYPE is F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K, Q4_K_M, Q4_K, Q5_1, Q5_0, "
	        "Q4_1 or Q4_0; those with _M keep what is hurt most in Q6_K."
	        "\vStart from the best file there is (F16, BF16): what is quantised twice loses "
	        "twice. `ayni model eval --text` tells what was lost."};
	struct options o = {0};
	struct sigaction action = {.sa_handler = on_interrupt};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	return quantize_file(&o, &err) == AYNI_OK ? CLI_OK : cli_fail("model quantize", &err);
}
