/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The models of tests/tools/random_model.py, one of each family and form, as files in a temporary
 * folder. The tool needs numpy; where that is missing there are no models, and tests skip.
 */
#ifndef AYNI_TESTS_SUPPORT_RANDOM_MODELS_H
#define AYNI_TESTS_SUPPORT_RANDOM_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { RANDOM_MODELS_MAX = 64, RANDOM_MODELS_NAME = 64, RANDOM_MODELS_PATH = 256 };

/* The one that is too large for most tests. */
#define RANDOM_MODEL_LARGE "deepseek-v3-shape"

struct random_models {
	size_t n; /* 0: no numpy */
	char names[RANDOM_MODELS_MAX][RANDOM_MODELS_NAME];
	char folder[RANDOM_MODELS_NAME];
};

/* All variants but the large one, matrices of binary32. */
void random_models_write(struct random_models *m);
void random_models_remove(struct random_models *m);
char *random_models_path(
    const struct random_models *m, const char *name, char path[RANDOM_MODELS_PATH]);

/* Write one variant with matrices of `type`; false without numpy. */
bool random_model_write(const char *variant, const char *type, const char *path);

/* A tool of tests/tools, with its words; its output to read. */
FILE *tool_open(const char *command);
/* False if it says that numpy is missing; any other failure fails the test. */
bool tool_close(FILE *pipe);

#endif
