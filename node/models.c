/* SPDX-License-Identifier: Apache-2.0 */
#include "node/models.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_set(const char *value)
{
	return value != NULL && value[0] != '\0';
}

static int make_folders(char *path, struct error *err)
{
	for (char *slash = path + 1; slash != NULL; slash++) {
		slash = strchr(slash, '/');
		if (slash != NULL)
			*slash = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return error_set(
			    err, AYNI_ERR_IO, "cannot make %.200s: %s", path, strerror(errno));
		if (slash == NULL)
			break;
		*slash = '/';
	}
	return AYNI_OK;
}

int models_folder(char out[MODELS_PATH_BYTES], bool make, struct error *err)
{
	const char *models = getenv("AYNI_MODELS"), *ayni = getenv("AYNI_HOME");
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int n;

	if (is_set(models))
		n = snprintf(out, MODELS_PATH_BYTES, "%s", models);
	else if (is_set(ayni))
		n = snprintf(out, MODELS_PATH_BYTES, "%s/models", ayni);
	else if (is_set(data))
		n = snprintf(out, MODELS_PATH_BYTES, "%s/ayni/models", data);
	else if (is_set(home))
		n = snprintf(out, MODELS_PATH_BYTES, "%s/.local/share/ayni/models", home);
	else
		return error_set(err, AYNI_ERR_ARGUMENT, "no home folder: set AYNI_MODELS");
	if (n >= MODELS_PATH_BYTES)
		return error_set(err, AYNI_ERR_ARGUMENT, "the folder's name is too long");
	return make ? make_folders(out, err) : AYNI_OK;
}

static bool is_bare(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

static bool is_file(const char *path)
{
	struct stat s;

	return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

int models_find(const char *name, char out[MODELS_PATH_BYTES], struct error *err)
{
	static const char *const endings[] = {"", ".gguf"};
	char folder[MODELS_PATH_BYTES];
	int rc = models_folder(folder, false, err);

	if (rc != AYNI_OK)
		return rc;
	if (!is_bare(name))
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "\"%.80s\" is not the bare name of a model", name);
	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
		if (snprintf(out, MODELS_PATH_BYTES, "%s/%s%s", folder, name, endings[i]) <
		        MODELS_PATH_BYTES &&
		    is_file(out))
			return AYNI_OK;
	return error_set(err, AYNI_ERR_NOT_FOUND, "no model \"%.80s\" in %.120s", name, folder);
}

void models_resolve(const char *name, char out[MODELS_PATH_BYTES])
{
	if (is_bare(name) && !is_file(name) && models_find(name, out, NULL) == AYNI_OK)
		return;
	(void)snprintf(out, MODELS_PATH_BYTES, "%s", name);
}

int models_open(const char *name, struct gguf **out, struct error *err)
{
	char path[MODELS_PATH_BYTES];

	models_resolve(name, path);
	return gguf_open(path, out, err);
}
