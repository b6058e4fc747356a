/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni bench`: how fast this machine computes, beside what it could do at best. */
#include "node/bench/bench.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "node/bench/geometry.h"
#include "node/bench/roofline.h"
#include "node/cli/cli.h"
#include "node/cli/progress.h"
#include "node/cli/sampling.h"

enum { KEY_QUICK = 0x400, KEY_JSON, KEY_SVG, KEY_TYPE, KEY_GEOMETRY, KEY_PHASE };

struct options {
	struct bench_options bench;
	const char *svg;
	bool json;
};

static volatile bool interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = true;
}

/* ---- options -------------------------------------------------------------------------------- */

static void take_type(struct bench_filter *f, const char *arg, struct argp_state *state)
{
	f->type = tensor_type_find(arg);
	if (f->type == TENSOR_TYPE_END)
		argp_error(state, "--type %.20s: %s are known", arg, tensor_types_supported());
}

static void take_geometry(struct bench_filter *f, const char *arg, struct argp_state *state)
{
	f->geometry = arg;
	if (geometry_find(arg) == NULL)
		argp_error(state, "--geometry %.40s: %s are known", arg, geometry_names());
}

static void take_phase(struct bench_filter *f, const char *arg, struct argp_state *state)
{
	unsigned phase = phase_find(arg);

	if (phase == 0)
		argp_error(state, "--phase %.20s: prefill, decode, load, products are known", arg);
	f->phases = f->phases == PHASE_ALL ? phase : f->phases | phase;
}

static void check(const struct bench_options *o, struct argp_state *state)
{
	if (o->file != NULL && (o->filter.type != TENSOR_TYPE_END || o->filter.geometry != NULL))
		argp_error(state, "--type and --geometry go without FILE");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct bench_options *b = &o->bench;

	switch (key) {
	case KEY_QUICK:
		b->filter.quick = true;
		return 0;
	case KEY_JSON:
		o->json = true;
		return 0;
	case KEY_SVG:
		o->svg = arg;
		return 0;
	case KEY_TYPE:
		take_type(&b->filter, arg, state);
		return 0;
	case KEY_GEOMETRY:
		take_geometry(&b->filter, arg, state);
		return 0;
	case KEY_PHASE:
		take_phase(&b->filter, arg, state);
		return 0;
	case 't':
		b->threads = (unsigned)option_u64(state, "--threads", arg, 1, TEAM_MAX_THREADS);
		return 0;
	case 'k':
		b->kernels = strcmp(arg, "auto") == 0 ? NULL : arg;
		return 0;
	case ARGP_KEY_ARG:
		if (b->file != NULL)
			argp_error(state, "one FILE is enough");
		b->file = arg;
		return 0;
	case ARGP_KEY_END:
		check(b, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- the command ---------------------------------------------------------------------------- */

static void show(void *context, const char *what)
{
	struct progress *p = context;

	if (progress_due(p, 10))
		(void)fprintf(stderr, "%s%4.0f s  %-70.70s%s", p->terminal ? "\r" : "",
		    progress_seconds(p), what, p->terminal ? "" : "\n");
}

static int print_json(const struct bench *b, struct error *err)
{
	json_t *root = bench_json(b);
	int rc =
	    root != NULL ? json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) : -1;

	(void)printf("\n");
	json_decref(root);
	return rc == 0 ? AYNI_OK : error_set(err, AYNI_ERR_IO, "cannot write the result");
}

static int print(const struct options *o, const struct bench *b, FILE *svg, struct error *err)
{
	if (svg != NULL) {
		roofline_write(b, svg);
		if (fflush(svg) != 0)
			return error_set(
			    err, AYNI_ERR_IO, "cannot write %s: %s", o->svg, strerror(errno));
	}
	if (o->json)
		return print_json(b, err);
	bench_tables(b, stdout);
	return AYNI_OK;
}

static int measure(struct options *o, struct bench *b, FILE *svg, struct error *err)
{
	struct progress shown;
	int rc;

	o->bench.progress = show;
	o->bench.context = &shown;
	o->bench.stop = &interrupted;
	progress_begin(&shown);
	rc = bench_run(&o->bench, b, err);
	progress_clear(&shown);
	return rc == AYNI_OK ? print(o, b, svg, err) : rc;
}

static int bench(struct options *o, struct error *err)
{
	struct bench *b = calloc(1, sizeof *b);
	FILE *svg = NULL;
	int rc;

	if (b == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (o->svg != NULL && (svg = fopen(o->svg, "we")) == NULL)
		rc = error_set(err, AYNI_ERR_IO, "cannot write %s: %s", o->svg, strerror(errno));
	else
		rc = measure(o, b, svg, err);
	if (svg != NULL)
		(void)fclose(svg);
	free(b);
	return rc;
}

int cli_bench(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"quick", KEY_QUICK, NULL, 0, "fewer cases, in 40 seconds at most", 0},
	    {"json", KEY_JSON, NULL, 0, "print the results as one line of JSON", 0},
	    {"svg", KEY_SVG, "FILE", 0, "draw a roofline picture too", 0},
	    {"phase", KEY_PHASE, "NAME", 0,
	        "only this: prefill, decode, load or products (again for more)", 0},
	    {"type", KEY_TYPE, "NAME", 0, "only weights of this type: Q8_0, Q4_K, ...", 0},
	    {"geometry", KEY_GEOMETRY, "NAME", 0, "only this model: llama-3.2-1b, deepseek-v2-lite",
	        0},
	    {"threads", 't', "N", 0, "threads (default: one a processor)", 0},
	    {"kernels", 'k', "NAME", 0, CLI_KERNELS_DOC, 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "[FILE]",
	    .doc = "Measure how fast this machine runs models, and how near that is to what it can "
	           "do at best: reading memory, and multiplying integers, both measured in the "
	           "same run. Without FILE, models with random weights are made in memory (3 GB "
	           "of it are needed)."
	           "\vEach figure is the best of several rounds. What they mean is in "
	           "tests/bench/README.md."};
	struct options o = {.bench = {.filter = {.type = TENSOR_TYPE_END, .phases = PHASE_ALL}}};
	struct sigaction action = {.sa_handler = on_interrupt};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	return bench(&o, &err) == AYNI_OK ? CLI_OK : cli_fail("bench", &err);
}
