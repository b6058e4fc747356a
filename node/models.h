/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder in which downloaded models are: $AYNI_MODELS, else $AYNI_HOME/models, else
 * $XDG_DATA_HOME/ayni/models, else ~/.local/share/ayni/models.
 */
#ifndef AYNI_NODE_MODELS_H
#define AYNI_NODE_MODELS_H

#include "compute/gguf.h"

enum { MODELS_PATH_BYTES = 4096 };

/* Made if `make` and it is missing. */
int models_folder(char out[MODELS_PATH_BYTES], bool make, struct error *err);

/*
 * What a person calls a model to the path of its file: a path as it is; a bare name that is no file
 * here, with or without .gguf, in the folder of models if it is there. What is found nowhere stays
 * as it is, so that opening it says so.
 */
void models_resolve(const char *name, char out[MODELS_PATH_BYTES]);

/* gguf_open of what a person calls a model. */
int models_open(const char *name, struct gguf **out, struct error *err);

/* Path of a model of the folder by its bare name. AYNI_ERR_ARGUMENT for a name that leads
 * elsewhere, AYNI_ERR_NOT_FOUND. */
int models_find(const char *name, char out[MODELS_PATH_BYTES], struct error *err);

#endif
