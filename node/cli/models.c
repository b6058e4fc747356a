/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni model list | rm`: the folder of models. */
#include "node/models.h"

#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compute/gguf.h"
#include "node/cli/cli.h"
#include "node/cli/model.h"

enum { KEY_FORCE = 0x400 };

/* ---- list ----------------------------------------------------------------------------------- */

static int is_model(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return entry->d_name[0] != '.' &&
	       ((n > 5 && strcmp(entry->d_name + n - 5, ".gguf") == 0) ||
	           (n > 5 && strcmp(entry->d_name + n - 5, ".part") == 0));
}

/* The type that most of the file's bytes have. */
static const char *main_type(const struct gguf *g)
{
	uint64_t bytes[TENSOR_TYPE_END] = {0};
	uint32_t most = 0;

	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		if (t->type != TENSOR_TYPE_END)
			bytes[t->type] += t->size_bytes;
	}
	for (uint32_t i = 1; i < TENSOR_TYPE_END; i++)
		most = bytes[i] > bytes[most] ? i : most;
	return bytes[most] > 0 ? tensor_type_info(most)->name : "?";
}

static void describe(const char *path, char *out, size_t out_bytes)
{
	struct span family = {(const uint8_t *)"?", 1};
	struct error err = {0};
	struct gguf *g = NULL;

	if (gguf_open(path, &g, &err) != AYNI_OK) {
		(void)snprintf(out, out_bytes, "%s", err.text);
		return;
	}
	(void)gguf_get_string(g, "general.architecture", &family);
	(void)snprintf(out, out_bytes, "%.*s, mostly %s", (int)(family.len < 32 ? family.len : 32),
	    (const char *)family.data, main_type(g));
	gguf_free(g);
}

static void print_model(const char *folder, const char *name)
{
	bool part = strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".part") == 0;
	char path[MODELS_PATH_BYTES + 260], what[ERROR_TEXT_BYTES] = "not whole yet: pull it again",
	                                    date[20] = "";
	struct stat s;
	struct tm when;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	if (stat(path, &s) != 0)
		return;
	if (!part)
		describe(path, what, sizeof what);
	if (localtime_r(&s.st_mtime, &when) != NULL)
		(void)strftime(date, sizeof date, "%Y-%m-%d %H:%M", &when);
	(void)printf("%-48s %10.1f MiB  %s  %s\n", name, (double)s.st_size / (1 << 20), date, what);
}

static int list(struct error *err)
{
	char folder[MODELS_PATH_BYTES];
	struct dirent **entries = NULL;
	int rc = models_folder(folder, false, err), n;

	if (rc != AYNI_OK)
		return rc;
	n = scandir(folder, &entries, is_model, alphasort);
	if (n < 0 && errno != ENOENT)
		return error_set(
		    err, AYNI_ERR_IO, "cannot read %.180s: %s", folder, strerror(errno));
	if (n <= 0)
		(void)fprintf(stderr, "no models in %s (`ayni model pull` fetches one)\n", folder);
	for (int i = 0; i < n; i++) {
		print_model(folder, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return AYNI_OK;
}

static error_t parse_nothing(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	if (key == ARGP_KEY_ARG)
		argp_error(state, "no arguments are needed");
	return ARGP_ERR_UNKNOWN;
}

int cli_model_list(int argc, char **argv)
{
	static const struct argp argp = {.parser = parse_nothing,
	    .doc =
	        "Print the models of the folder: $AYNI_MODELS, else ~/.local/share/ayni/models."};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, NULL) != 0)
		return CLI_USAGE;
	return list(&err) == AYNI_OK ? CLI_OK : cli_fail("model list", &err);
}

/* ---- rm ------------------------------------------------------------------------------------- */

struct removal {
	const char *name;
	bool force;
};

static error_t parse_removal(int key, char *arg, struct argp_state *state)
{
	struct removal *r = state->input;

	switch (key) {
	case KEY_FORCE:
		r->force = true;
		return 0;
	case ARGP_KEY_ARG:
		if (r->name != NULL)
			argp_error(state, "one NAME is enough");
		r->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (r->name == NULL)
			argp_error(state, "NAME is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool agreed(const char *path)
{
	char answer[8] = "";

	(void)fprintf(stderr, "delete %s? [y/N] ", path);
	return fgets(answer, sizeof answer, stdin) != NULL &&
	       (answer[0] == 'y' || answer[0] == 'Y');
}

static int remove_model(const struct removal *r, struct error *err)
{
	char path[MODELS_PATH_BYTES], tag[MODELS_PATH_BYTES + 8];
	int rc = models_find(r->name, path, err);

	if (rc != AYNI_OK)
		return rc;
	if (!r->force && !agreed(path))
		return error_set(err, AYNI_ERR_STATE, "nothing is deleted");
	if (unlink(path) != 0)
		return error_set(
		    err, AYNI_ERR_IO, "cannot delete %.180s: %s", path, strerror(errno));
	(void)snprintf(tag, sizeof tag, "%s.tag", path); /* of a part */
	(void)unlink(tag);
	return AYNI_OK;
}

int cli_model_rm(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"force", KEY_FORCE, NULL, 0, "do not ask", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse_removal,
	    .args_doc = "NAME",
	    .doc = "Delete a model from the folder of models."};
	struct removal r = {0};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &r) != 0)
		return CLI_USAGE;
	return remove_model(&r, &err) == AYNI_OK ? CLI_OK : cli_fail("model rm", &err);
}
