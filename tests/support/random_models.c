/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/random_models.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NO_NUMPY = 77 /* exit status of the tools */ };

FILE *tool_open(const char *command)
{
	FILE *pipe = popen(command, "r"); /* allowed: a test's own command, of its own words */

	assert_non_null(pipe);
	return pipe;
}

bool tool_close(FILE *pipe)
{
	int status = pclose(pipe);

	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NUMPY)
		return false;
	assert_int_equal(status, 0);
	return true;
}

char *random_models_path(
    const struct random_models *m, const char *name, char path[RANDOM_MODELS_PATH])
{
	(void)snprintf(path, RANDOM_MODELS_PATH, "%s/%s.gguf", m->folder, name);
	return path;
}

bool random_model_write(const char *variant, const char *type, const char *path)
{
	char command[512];

	(void)snprintf(command, sizeof command,
	    "/usr/bin/python3 tests/tools/random_model.py %s %s --type %s", variant, path, type);
	return tool_close(tool_open(command));
}

void random_models_write(struct random_models *m)
{
	char path[RANDOM_MODELS_PATH];
	FILE *pipe = tool_open("/usr/bin/python3 tests/tools/random_model.py --list");
	size_t n = 0;

	(void)snprintf(m->folder, sizeof m->folder, "/tmp/ayni-families-XXXXXX");
	assert_non_null(mkdtemp(m->folder));
	m->n = 0;
	while (n < RANDOM_MODELS_MAX && fscanf(pipe, "%63s", m->names[n]) == 1)
		n += strcmp(m->names[n], RANDOM_MODEL_LARGE) != 0;
	if (!tool_close(pipe))
		return;
	for (m->n = 0; m->n < n; m->n++)
		assert_true(random_model_write(
		    m->names[m->n], "F32", random_models_path(m, m->names[m->n], path)));
}

void random_models_remove(struct random_models *m)
{
	char path[RANDOM_MODELS_PATH];

	for (size_t i = 0; i < m->n; i++)
		(void)unlink(random_models_path(m, m->names[i], path));
	assert_int_equal(rmdir(m->folder), 0);
}
