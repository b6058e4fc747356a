/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/typed_models.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/quantize.h"
#include "tests/support/random_models.h"
#include "tests/support/scratch.h"

const char *const typed_recipes[TYPED_RECIPES] = {
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q4_K", "Q4_0"};

const struct tiny_model_options typed_models_llama = {.n_layers = 6, .seed = 5};

size_t typed_recipe(const char *name)
{
	size_t i = 0;

	while (strcmp(typed_recipes[i], name) != 0)
		i++;
	return i;
}

void must(int rc, const struct error *err)
{
	if (rc != AYNI_OK)
		fail_msg("%s", err->text);
}

static struct gguf *requantise(
    const struct gguf *g, const char *recipe, struct team *team, char **bytes)
{
	struct quantize_job job = {.in = g, .recipe = quantize_recipe_find(recipe), .team = team};
	struct error err = {0};
	struct gguf *out = NULL;
	size_t len;
	FILE *f = open_memstream(bytes, &len);

	assert_non_null(f);
	must(quantize(&job, f, &err), &err);
	assert_int_equal(fclose(f), 0);
	must(gguf_parse((const uint8_t *)*bytes, len, len, &out, &err), &err);
	return out;
}

static void add_file(struct typed_models *all, const char *name, const char *path)
{
	struct typed_model *m = &all->of[all->n++];
	struct gguf *g = NULL;
	struct team *team;
	struct error err = {0};

	assert_true(all->n <= TYPED_MODELS_MAX);
	m->name = name;
	must(team_new(1, &team, &err), &err);
	must(gguf_open(path, &g, &err), &err);
	must(model_sizes_read(g, &m->sizes, &err), &err);
	for (size_t i = 0; i < TYPED_RECIPES; i++)
		m->in[i] = requantise(g, typed_recipes[i], team, &m->bytes[i]);
	gguf_free(g);
	team_free(team);
}

void typed_models_add(
    struct typed_models *all, const char *name, const struct tiny_model_options *o)
{
	char *path = tiny_model_temporary(o);

	add_file(all, name, path);
	tiny_model_remove(path);
}

/* False without numpy. */
static bool add_family(struct typed_models *all, const char *name, struct scratch *s)
{
	const char *path = scratch_path(s, "family.gguf");
	bool made = random_model_write(name, "F32", path);

	if (made)
		add_file(all, name, path);
	return made;
}

void typed_models_add_families(struct typed_models *all, bool many)
{
	static const char *const names[] = {"gemma2", "deepseek2-dense", "llama-bias",
	    "llama-window", "llama-yarn", "mistral3", "qwen2", "qwen3", "gemma3", "phi3",
	    "phi3-long"};
	size_t n = many ? sizeof names / sizeof names[0] : 2;
	struct scratch s;
	bool numpy = true;

	scratch_make(&s);
	for (size_t i = 0; numpy && i < n; i++)
		numpy = add_family(all, names[i], &s);
	scratch_remove(&s);
	if (!numpy)
		print_message("without numpy: Llama alone\n");
}

void typed_models_open(struct typed_models *all)
{
	static const struct tiny_model_options wide = {
	    .d_model = 256, .d_ff = 256, .n_heads = 8, .n_kv_heads = 2, .n_layers = 2, .seed = 6};

	typed_models_add(all, "deep", &typed_models_llama);
	typed_models_add(all, "wide", &wide);
	add_file(all, "demo", "configs/models/ayni-demo.gguf");
}

void typed_models_close_last(struct typed_models *all)
{
	struct typed_model *m = &all->of[--all->n];

	for (size_t i = 0; i < TYPED_RECIPES; i++) {
		gguf_free(m->in[i]);
		free(m->bytes[i]);
	}
}

void typed_models_close(struct typed_models *all)
{
	while (all->n > 0)
		typed_models_close_last(all);
}
