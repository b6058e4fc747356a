/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Models with their matrices in each of several types, in memory: Llamas of our own, the demo
 * model, and families that tests/tools/random_model.py makes if there is numpy. None has experts.
 */
#ifndef AYNI_TESTS_SUPPORT_TYPED_MODELS_H
#define AYNI_TESTS_SUPPORT_TYPED_MODELS_H

#include "compute/model.h"
#include "compute/team.h"
#include "tests/support/tiny_model.h"

enum { TYPED_MODELS_MAX = 16, TYPED_RECIPES = 7 };

extern const char *const typed_recipes[TYPED_RECIPES];
size_t typed_recipe(const char *name);

struct typed_model {
	const char *name;
	struct model_sizes sizes;
	struct gguf *in[TYPED_RECIPES];
	char *bytes[TYPED_RECIPES];
};

struct typed_models {
	size_t n;
	struct typed_model of[TYPED_MODELS_MAX];
};

/* The first is typed_models_llama's. */
void typed_models_open(struct typed_models *all);
void typed_models_add_families(struct typed_models *all, bool many);
void typed_models_add(
    struct typed_models *all, const char *name, const struct tiny_model_options *o);
void typed_models_close_last(struct typed_models *all);
void typed_models_close(struct typed_models *all);

extern const struct tiny_model_options typed_models_llama;

/* Fails the test with the error's words. */
void must(int rc, const struct error *err);

#endif
