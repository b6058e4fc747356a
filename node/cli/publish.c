/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni model publish`. */
#include "node/publish.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli/cli.h"
#include "node/cli/model.h"
#include "node/config.h"
#include "node/models.h"

enum { KEY_KEY = 0x400 };

struct options {
	const char *file, *pool, *key;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		o->pool = arg;
		return 0;
	case KEY_KEY:
		o->key = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->file != NULL)
			argp_error(state, "one FILE is enough");
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->file == NULL)
			argp_error(state, "FILE is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- into a pool's folder ---------------------------------------------------------------------
 */

static int copy(const char *from, const char *to, struct error *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct stat s = {0};
	ssize_t n = 0;
	bool good = in >= 0 && out >= 0 && fstat(in, &s) == 0;

	for (off_t left = s.st_size; good && left > 0; left -= n) {
		n = copy_file_range(in, NULL, out, NULL, (size_t)left, 0);
		good = n > 0;
	}
	good = good && fsync(out) == 0;
	if (!good)
		(void)error_set(err, AYNI_ERR_IO, "cannot copy to %.180s: %s", to, strerror(errno));
	if (in >= 0)
		(void)close(in);
	if (out >= 0)
		(void)close(out);
	return good ? AYNI_OK : AYNI_ERR_IO;
}

/* A link where that can be, as models are large; else a copy under another name until it is whole.
 */
static int place(const char *file, const char *pool, char out[MODELS_PATH_BYTES], struct error *err)
{
	char folder[MODELS_PATH_BYTES], part[MODELS_PATH_BYTES + 8];
	const char *slash = strrchr(file, '/');
	struct stat s;
	int rc;

	if (stat(pool, &s) != 0 || !S_ISDIR(s.st_mode))
		return error_set(err, AYNI_ERR_ARGUMENT, "%.180s is not a pool's folder", pool);
	if (snprintf(folder, sizeof folder, "%s/models", pool) >= (int)sizeof folder ||
	    snprintf(out, MODELS_PATH_BYTES, "%s/%s", folder, slash != NULL ? slash + 1 : file) >=
	        MODELS_PATH_BYTES)
		return error_set(err, AYNI_ERR_ARGUMENT, "the pool's path is too long");
	if (mkdir(folder, 0755) != 0 && errno != EEXIST)
		return error_set(
		    err, AYNI_ERR_IO, "cannot make %.180s: %s", folder, strerror(errno));
	if (link(file, out) == 0)
		return AYNI_OK;
	if (errno == EEXIST)
		return error_set(err, AYNI_ERR_EXISTS, "%.180s is there already", out);
	(void)snprintf(part, sizeof part, "%s.part", out);
	rc = copy(file, part, err);
	if (rc == AYNI_OK && rename(part, out) != 0)
		rc = error_set(err, AYNI_ERR_IO, "cannot name %.180s: %s", out, strerror(errno));
	if (rc != AYNI_OK)
		(void)unlink(part);
	return rc;
}

/* ---- the command ------------------------------------------------------------------------------
 */

static int open_key(const struct options *o, struct identity **out, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 8];
	int rc = AYNI_OK;

	if (o->key != NULL)
		(void)snprintf(path, sizeof path, "%s", o->key);
	else
		rc = config_key_path("member", path, sizeof path, err);
	return rc == AYNI_OK ? identity_open(path, out, NULL, err) : rc;
}

static int publish(const struct options *o, struct error *err)
{
	char path[MODELS_PATH_BYTES], placed[MODELS_PATH_BYTES];
	char name[LIMIT_NAME_BYTES], key[HEX32_CHARS];
	struct manifest m = {0};
	struct identity *id = NULL;
	struct gguf *g = NULL;
	int rc;

	models_resolve(o->file, path);
	publish_name(path, name);
	if ((rc = gguf_open(path, &g, err)) == AYNI_OK && (rc = open_key(o, &id, err)) == AYNI_OK)
		rc = publish_cut(g, name, &m, err);
	(void)snprintf(placed, sizeof placed, "%s", path);
	if (rc == AYNI_OK && o->pool != NULL)
		rc = place(path, o->pool, placed, err);
	if (rc == AYNI_OK)
		rc = publish_write(&m, placed, id, err);
	if (rc == AYNI_OK) {
		hex32(identity_public(id)->bytes, key);
		(void)printf(
		    "%s.manifest: %zu chunks of %s, signed by %s\n", placed, m.n_chunks, name, key);
		if (o->pool != NULL)
			(void)fprintf(stderr, "the pool serves it from its next start on\n");
	}
	manifest_free(&m);
	identity_free(id);
	gguf_free(g);
	return rc;
}

int cli_model_publish(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"pool", 'p', "FOLDER", 0, "put the model into this pool's folder, too", 0},
	    {"key", KEY_KEY, "FILE", 0, "sign with this key (default: the member's)", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "FILE",
	    .doc =
	        "Sign a model: its chunks and their hashes are written to FILE.manifest with your "
	        "key. A pool that serves FILE serves it as published by you, and donors check each "
	        "chunk against it."};
	struct options o = {0};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	return publish(&o, &err) == AYNI_OK ? CLI_OK : cli_fail("model publish", &err);
}
