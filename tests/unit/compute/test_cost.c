/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/cost.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/random_models.h"

enum { MAX_SIZES = 16, MAX_VECTORS = 64, MAX_NAME = 32 };

/* ---- the tables of compute/README.md -------------------------------------------------------- */

struct named_sizes {
	char name[MAX_NAME];
	struct model_sizes sizes;
};

struct vector {
	const struct model_sizes *sizes;
	uint32_t first, last, position, n_tokens, n_logits;
	uint64_t flop;
};

static struct named_sizes models[MAX_SIZES];
static struct vector vectors[MAX_VECTORS];
static size_t n_models, n_vectors;

static const struct model_sizes *sizes_of(const char *name)
{
	for (size_t i = 0; i < n_models; i++)
		if (strcmp(models[i].name, name) == 0)
			return &models[i].sizes;
	fail_msg("no sizes of %s", name);
	return NULL;
}

static uint32_t *size_named(struct model_sizes *s, const char *name)
{
	const struct {
		const char *name;
		uint32_t *size;
	} known[] = {{"n_layers", &s->n_layers}, {"n_vocabulary", &s->n_vocabulary},
	    {"d_model", &s->d_model}, {"d_ff", &s->d_ff}, {"n_heads", &s->n_heads},
	    {"n_kv_heads", &s->n_kv_heads}, {"d_head", &s->d_head}, {"d_value", &s->d_value},
	    {"d_rope", &s->d_rope}, {"d_latent", &s->d_latent},
	    {"d_query_latent", &s->d_query_latent}, {"window", &s->window},
	    {"window_period", &s->window_period}, {"experts.n", &s->experts.n},
	    {"experts.n_used", &s->experts.n_used}, {"experts.d_ff", &s->experts.d_ff},
	    {"experts.d_ff_shared", &s->experts.d_ff_shared},
	    {"experts.n_dense_layers", &s->experts.n_dense_layers}};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].size;
	fail_msg("no size is called %s", name);
	return NULL;
}

/* "| small | n_layers 4, d_model 64 |" */
static void read_sizes(const char *line)
{
	struct named_sizes *m = &models[n_models++];
	int at = 0, len;
	char name[MAX_NAME];
	uint32_t size;

	assert_true(n_models <= MAX_SIZES);
	assert_int_equal(sscanf(line, "| %31s |%n", m->name, &at), 1);
	while (sscanf(line + at, " %31s %u%n", name, &size, &len) == 2) {
		*size_named(&m->sizes, name) = size;
		at += len;
		at += line[at] == ',';
	}
	assert_string_equal(line + at, " |\n");
}

/* "| small | [0, 4) | 100 | 1 | 1 | 559104 |" */
static void read_vector(const char *line)
{
	struct vector *v = &vectors[n_vectors++];
	char name[MAX_NAME];

	assert_true(n_vectors <= MAX_VECTORS);
	assert_int_equal(
	    sscanf(line, "| %31s | [%u, %u) | %u | %u | %u | %" SCNu64 " |", name, &v->first,
	        &v->last, &v->position, &v->n_tokens, &v->n_logits, &v->flop),
	    7);
	v->sizes = sizes_of(name);
}

/* The rows of the table whose first row begins so. */
static void read_table(const char *heading, void (*read_row)(const char *line))
{
	FILE *f = fopen("compute/README.md", "re");
	char line[1024];
	bool inside = false;

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		if (inside && line[0] != '|')
			break;
		if (inside && strncmp(line, "| ---", 5) != 0)
			read_row(line);
		inside |= strncmp(line, heading, strlen(heading)) == 0;
	}
	assert_true(inside);
	assert_int_equal(fclose(f), 0);
}

static int read_readme(void **state)
{
	(void)state;
	read_table("| model | sizes |", read_sizes);
	read_table("| model | layers |", read_vector);
	return 0;
}

static uint64_t cost(const struct vector *v)
{
	struct flop out;

	assert_int_equal(
	    cost_span(v->sizes, v->first, v->last, v->position, v->n_tokens, v->n_logits, &out),
	    AYNI_OK);
	return flop_count(out);
}

static void equals_the_published_test_vectors(void **state)
{
	(void)state;
	assert_true(n_vectors >= 16);
	for (size_t i = 0; i < n_vectors; i++)
		assert_int_equal(cost(&vectors[i]), vectors[i].flop);
}

/* The same vectors counted by a program that shares nothing with ours. */
static void another_program_counts_the_same(void **state)
{
	FILE *pipe = tool_open("/usr/bin/python3 tests/tools/cost.py");
	size_t n = 0;
	char line[256];

	(void)state;
	while (fgets(line, sizeof line, pipe) != NULL) {
		assert_null(strstr(line, ", not "));
		n++;
	}
	assert_true(tool_close(pipe));
	assert_int_equal(n, n_vectors);
}

/* ---- what the formula says ------------------------------------------------------------------ */

static void is_the_sum_of_its_layers_and_of_its_tokens(void **state)
{
	struct vector whole = {sizes_of("uneven"), 0, 3, 20, 9, 3, 0};
	uint64_t by_layers = 0, by_tokens = 0;

	(void)state;
	for (uint32_t l = 0; l < 3; l++)
		by_layers +=
		    cost(&(struct vector){sizes_of("uneven"), l, l + 1, 20, 9, l == 2 ? 3 : 0, 0});
	for (uint32_t t = 0; t < 9; t++)
		by_tokens += cost(&(struct vector){sizes_of("uneven"), 0, 3, 20 + t, 1, t >= 6, 0});
	assert_int_equal(by_layers, cost(&whole));
	assert_int_equal(by_tokens, cost(&whole));
}

static void a_window_costs_token_by_token_what_it_costs_in_one(void **state)
{
	(void)state;
	for (uint32_t position = 0; position < 20; position++)
		for (uint32_t n = 1; n < 20; n++) {
			uint64_t by_tokens = 0;

			for (uint32_t t = 0; t < n; t++)
				by_tokens += cost(&(struct vector){
				    sizes_of("windowed"), 0, 4, position + t, 1, 0, 0});
			assert_int_equal(by_tokens,
			    cost(&(struct vector){sizes_of("windowed"), 0, 4, position, n, 0, 0}));
		}
}

static void costs_nothing_for_no_tokens(void **state)
{
	(void)state;
	assert_int_equal(cost(&(struct vector){sizes_of("small"), 0, 4, 9, 0, 0, 0}), 0);
}

static void refuses_a_range_that_the_model_does_not_have(void **state)
{
	struct flop out;

	(void)state;
	assert_int_equal(cost_span(sizes_of("small"), 2, 2, 0, 1, 0, &out), AYNI_ERR_ARGUMENT);
	assert_int_equal(cost_span(sizes_of("small"), 3, 2, 0, 1, 0, &out), AYNI_ERR_ARGUMENT);
	assert_int_equal(cost_span(sizes_of("small"), 0, 5, 0, 1, 0, &out), AYNI_ERR_ARGUMENT);
}

static void refuses_logits_that_the_range_does_not_make(void **state)
{
	struct flop out;

	(void)state;
	assert_int_equal(cost_span(sizes_of("small"), 0, 3, 0, 1, 1, &out), AYNI_ERR_ARGUMENT);
	assert_int_equal(cost_span(sizes_of("small"), 0, 4, 0, 1, 2, &out), AYNI_ERR_ARGUMENT);
}

static void refuses_what_does_not_fit(void **state)
{
	struct model_sizes huge = *sizes_of("small");
	struct flop out;

	(void)state;
	huge.n_layers = UINT32_MAX;
	huge.d_model = huge.d_ff = huge.n_heads = UINT32_MAX;
	assert_int_equal(cost_span(&huge, 0, 1, 0, 1, 0, &out), AYNI_ERR_LIMIT);
	assert_int_equal(
	    cost_span(sizes_of("small"), 0, 4, UINT32_MAX, UINT32_MAX, 0, &out), AYNI_ERR_LIMIT);
	/* Past INT64_MAX, though it fits 64 bits without sign. */
	huge = *sizes_of("small");
	huge.n_vocabulary = 1U << 31;
	huge.d_model = 1U << 31;
	assert_int_equal(cost_span(&huge, 3, 4, 0, 1, 1, &out), AYNI_ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equals_the_published_test_vectors),
	    cmocka_unit_test(another_program_counts_the_same),
	    cmocka_unit_test(is_the_sum_of_its_layers_and_of_its_tokens),
	    cmocka_unit_test(a_window_costs_token_by_token_what_it_costs_in_one),
	    cmocka_unit_test(costs_nothing_for_no_tokens),
	    cmocka_unit_test(refuses_a_range_that_the_model_does_not_have),
	    cmocka_unit_test(refuses_logits_that_the_range_does_not_make),
	    cmocka_unit_test(refuses_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, read_readme, NULL);
}
