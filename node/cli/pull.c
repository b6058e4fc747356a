/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni model pull`. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "compute/gguf_join.h"
#include "compute/model.h"
#include "node/cli/cli.h"
#include "node/cli/model.h"
#include "node/cli/progress.h"
#include "node/download.h"
#include "node/hub.h"
#include "node/models.h"

enum { MAX_PARTS = 1000, KEY_HUB = 0x400, PART_PATH_BYTES = MODELS_PATH_BYTES + 64 };

static const char default_hub[] = "https://huggingface.co";

struct options {
	const char *what, *hub;
};

static volatile bool interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_HUB:
		o->hub = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->what != NULL)
			argp_error(state, "one MODEL is enough");
		o->what = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->what == NULL)
			argp_error(state, "MODEL is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- progress ------------------------------------------------------------------------------- */

struct transfer {
	const char *name;
	struct progress progress; /* begins with the first byte */
	uint64_t began_at;        /* bytes that were here before */
};

static void bar(double part, char out[31])
{
	int full = (int)(part * 30.0);

	for (int i = 0; i < 30; i++)
		out[i] = i < full ? '#' : '.';
	out[30] = '\0';
}

static void show(void *context, uint64_t done, uint64_t all)
{
	struct transfer *t = context;
	double seconds, speed;
	char drawn[31];

	if (t->progress.began_us == 0) {
		progress_begin(&t->progress);
		t->began_at = done;
	}
	if (!progress_due(&t->progress, 10))
		return;
	seconds = progress_seconds(&t->progress);
	speed = seconds > 0.0 && done > t->began_at ? (double)(done - t->began_at) / seconds : 0.0;
	bar(all > 0 ? (double)done / (double)all : 0.0, drawn);
	(void)fprintf(stderr, "%s%-28.28s %s %.1f of %.1f MiB, %.1f MiB/s",
	    t->progress.terminal ? "\r" : "", t->name, drawn, (double)done / (1 << 20),
	    (double)all / (1 << 20), speed / (1 << 20));
	if (speed > 0.0 && all > done)
		(void)fprintf(stderr, ", %.0f s left   ", (double)(all - done) / speed);
	(void)fputs(t->progress.terminal ? "" : "\n", stderr);
}

/* ---- fetching -------------------------------------------------------------------------------- */

/* One model file, whole or in parts, on its way. */
struct pulling {
	const char *hub, *repository; /* repository NULL: urls are given */
	const char *url;
	const struct hub_file *files; /* n parts */
	size_t n;
	char path[MODELS_PATH_BYTES]; /* where it shall be */
};

static void part_path(const struct pulling *p, size_t i, char out[PART_PATH_BYTES])
{
	if (p->n == 1)
		(void)snprintf(out, PART_PATH_BYTES, "%s", p->path);
	else
		(void)snprintf(out, PART_PATH_BYTES, "%s.%zu-of-%zu", p->path, i + 1, p->n);
}

static int fetch_part(const struct pulling *p, size_t i, struct error *err)
{
	char url[HUB_URL_BYTES], path[PART_PATH_BYTES];
	struct transfer shown = {0};
	struct download d = {.url = p->url,
	    .token = getenv("HF_TOKEN"),
	    .stop = &interrupted,
	    .progress = show,
	    .context = &shown,
	    .path = path};
	int rc = AYNI_OK;

	part_path(p, i, path);
	if (access(path, F_OK) == 0)
		return AYNI_OK; /* from the last time */
	if (p->repository != NULL) {
		rc = hub_file_url(p->hub, p->repository, p->files[i].name, url, err);
		d.url = url;
		d.bytes = p->files[i].bytes;
		d.sha256 = p->files[i].sha256;
	}
	shown.name = strrchr(path, '/') + 1; /* it lies in the folder of models */
	if (rc == AYNI_OK)
		rc = download_file(&d, err);
	progress_clear(&shown.progress);
	return rc;
}

static int open_parts(const struct pulling *p, struct gguf **parts, struct error *err)
{
	int rc = AYNI_OK;

	for (size_t i = 0; rc == AYNI_OK && i < p->n; i++) {
		char path[PART_PATH_BYTES];

		part_path(p, i, path);
		rc = gguf_open(path, &parts[i], err);
	}
	return rc;
}

/* Write the whole beside its parts, then name it and delete them. */
static int write_joined(const struct pulling *p, struct gguf *const *parts, struct error *err)
{
	char joined[PART_PATH_BYTES];
	struct transfer shown = {.name = "joining"};
	FILE *f;
	int rc;

	(void)snprintf(joined, sizeof joined, "%s.joined", p->path);
	f = fopen(joined, "we");
	if (f == NULL)
		return error_set(
		    err, AYNI_ERR_IO, "cannot write %.180s: %s", joined, strerror(errno));
	rc = gguf_join((const struct gguf *const *)parts, p->n, f, show, &shown, err);
	progress_clear(&shown.progress);
	if (rc == AYNI_OK && (fflush(f) != 0 || fsync(fileno(f)) != 0))
		rc =
		    error_set(err, AYNI_ERR_IO, "cannot write %.180s: %s", joined, strerror(errno));
	if (fclose(f) != 0 && rc == AYNI_OK)
		rc =
		    error_set(err, AYNI_ERR_IO, "cannot write %.180s: %s", joined, strerror(errno));
	if (rc == AYNI_OK && rename(joined, p->path) != 0)
		rc =
		    error_set(err, AYNI_ERR_IO, "cannot name %.180s: %s", p->path, strerror(errno));
	if (rc != AYNI_OK)
		(void)unlink(joined);
	for (size_t i = 0; rc == AYNI_OK && i < p->n; i++) {
		char path[PART_PATH_BYTES];

		part_path(p, i, path);
		(void)unlink(path);
	}
	return rc;
}

static int join(const struct pulling *p, struct error *err)
{
	struct gguf **parts = calloc(p->n, sizeof(struct gguf *));
	int rc;

	if (parts == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	rc = open_parts(p, parts, err);
	if (rc == AYNI_OK)
		rc = write_joined(p, parts, err);
	for (size_t i = 0; i < p->n; i++)
		gguf_free(parts[i]);
	free(parts);
	return rc;
}

/* A file that is no model is found out now, not when it is asked something. */
static int check_model(const struct pulling *p, struct error *err)
{
	struct model_sizes sizes;
	struct gguf *g = NULL;
	struct error why = {0};
	int rc = gguf_open(p->path, &g, err);

	if (rc == AYNI_OK && model_sizes_read(g, &sizes, &why) != AYNI_OK)
		(void)fprintf(stderr, "note: this version of ayni cannot run it: %s\n", why.text);
	if (rc == AYNI_OK)
		(void)printf("%s: %.1f MiB\n", p->path, (double)gguf_file_bytes(g) / (1 << 20));
	gguf_free(g);
	return rc;
}

static int fetch(const struct pulling *p, struct error *err)
{
	int rc = AYNI_OK;

	if (access(p->path, F_OK) == 0) {
		(void)fprintf(stderr, "it is here already (`ayni model rm` deletes it)\n");
		return check_model(p, err);
	}
	if (p->n > MAX_PARTS)
		return error_set(err, AYNI_ERR_LIMIT, "%zu parts; at most %d", p->n, MAX_PARTS);
	for (size_t i = 0; rc == AYNI_OK && i < p->n; i++)
		rc = fetch_part(p, i, err);
	if (rc == AYNI_OK && p->n > 1)
		rc = join(p, err);
	if (rc == AYNI_ERR_STATE)
		(void)error_set(err, AYNI_ERR_STATE, "stopped; the same command goes on from here");
	return rc == AYNI_OK ? check_model(p, err) : rc;
}

/* ---- where from ------------------------------------------------------------------------------ */

static int place(struct pulling *p, const char *name, struct error *err)
{
	char folder[MODELS_PATH_BYTES], local[HUB_NAME_BYTES];
	int rc = models_folder(folder, true, err);

	if (rc == AYNI_OK)
		rc = hub_local_name(name, local, err);
	if (rc == AYNI_OK &&
	    snprintf(p->path, sizeof p->path, "%s/%s", folder, local) >= (int)sizeof p->path)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "the folder's name is too long");
	return rc;
}

static int pull_url(const struct options *o, struct error *err)
{
	struct pulling p = {.url = o->what, .n = 1};
	char name[HUB_NAME_BYTES];
	unsigned part, of;
	int rc;

	(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(o->what, "?#"), o->what);
	if (hub_is_part(name, &part, &of) && of > 1)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "this is one of %u parts: name the repository, then all are fetched", of);
	rc = place(&p, name, err);
	return rc == AYNI_OK ? fetch(&p, err) : rc;
}

static int pull_repository(const struct options *o, struct error *err)
{
	struct pulling p = {.hub = o->hub};
	struct download d = {.token = getenv("HF_TOKEN"), .stop = &interrupted};
	struct hub_reference reference;
	struct hub_files files = {0};
	char url[HUB_URL_BYTES];
	char *listing = NULL;
	size_t len = 0, first;
	int rc;

	d.url = url;
	if ((rc = hub_reference_parse(o->what, &reference, err)) == AYNI_OK &&
	    (rc = hub_listing_url(o->hub, reference.repository, url, err)) == AYNI_OK &&
	    (rc = download_text(&d, &listing, &len, err)) == AYNI_OK &&
	    (rc = hub_listing_parse(listing, len, &files, err)) == AYNI_OK &&
	    (rc = hub_choose(&files, reference.wanted, &first, &p.n, err)) == AYNI_OK &&
	    (rc = place(&p, files.list[first].name, err)) == AYNI_OK) {
		p.repository = reference.repository;
		p.files = files.list + first;
		rc = fetch(&p, err);
	}
	free(listing);
	hub_files_free(&files);
	return rc;
}

int cli_model_pull(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"hub", KEY_HUB, "URL", 0,
	        "another hub (default: $AYNI_HUB, or https://huggingface.co)", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "OWNER/NAME[:FILE] | URL",
	    .doc =
	        "Fetch a model file (GGUF) into the folder of models. FILE may be a part of a "
	        "name, as Q4_K_M; without it the repository must have one file only. A split file "
	        "is fetched whole and joined."
	        "\vWhat breaks off is taken up where it was, also by the same command later. The "
	        "hub's SHA-256 is checked. HF_TOKEN is sent to the hub if it is set. The folder is "
	        "$AYNI_MODELS, else ~/.local/share/ayni/models; models in it can be called by "
	        "their bare names."};
	const char *hub = getenv("AYNI_HUB");
	struct options o = {.hub = hub != NULL && hub[0] != '\0' ? hub : default_hub};
	struct sigaction action = {.sa_handler = on_interrupt};
	struct error err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	rc = strstr(o.what, "://") != NULL ? pull_url(&o, &err) : pull_repository(&o, &err);
	return rc == AYNI_OK ? CLI_OK : cli_fail("model pull", &err);
}
