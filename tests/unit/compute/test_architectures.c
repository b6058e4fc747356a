/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every family and form of model that tests/tools/random_model.py can write: its logits are those
 * of tests/tools/reference.py, the model from its definition; and they are the same bits however a
 * prompt is cut, whatever the threads and the instruction set, and whole or split over three
 * ranges.
 *
 * The tools need numpy; without it these tests are skipped.
 */
#include "compute/layers.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/emulated/tables.h"
#include "tests/support/random_models.h"

enum { N = 48 /* positions, past every window and original context of these models */ };

static struct random_models variants;

static int write_models(void **state)
{
	(void)state;
	random_models_write(&variants);
	return 0;
}

static int remove_models(void **state)
{
	(void)state;
	random_models_remove(&variants);
	return 0;
}

/* ---- running -------------------------------------------------------------------------------- */

/* How a prompt of N tokens goes through a model. */
struct manner {
	const char *what;
	uint32_t chunk; /* tokens at once */
	uint32_t n_stages;
	unsigned n_threads;
	const struct kernels *kernels; /* NULL: the best */
	enum kv_type kv;
};

struct stage {
	struct model *model;
	struct layers *layers;
	struct kv *kv;
};

static uint32_t token_at(uint32_t position, uint32_t n_vocabulary)
{
	return (position * 37 + 11) % n_vocabulary;
}

static void stages_new(
    const struct gguf *g, const struct manner *how, struct team *team, struct stage *stages)
{
	struct error err = {0};
	struct model_sizes s;

	if (model_sizes_read(g, &s, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	for (uint32_t i = 0; i < how->n_stages; i++) {
		uint32_t first = s.n_layers * i / how->n_stages;
		uint32_t last = s.n_layers * (i + 1) / how->n_stages;
		const struct kernels *k = how->kernels != NULL ? how->kernels : kernels_best();

		if (model_load_for(g, first, last, k, team, &stages[i].model, &err) != AYNI_OK ||
		    kv_new(stages[i].model, N, how->kv, &stages[i].kv, &err) != AYNI_OK ||
		    layers_new(stages[i].model, k, team, how->chunk, &stages[i].layers, &err) !=
		        AYNI_OK)
			fail_msg("%s", err.text);
	}
}

static void stages_free(const struct manner *how, struct stage *stages)
{
	for (uint32_t i = 0; i < how->n_stages; i++) {
		layers_free(stages[i].layers);
		kv_free(stages[i].kv);
		model_free(stages[i].model);
	}
}

static void run_chunk(
    const struct manner *how, struct stage *stages, uint32_t position, uint32_t n, float *logits)
{
	const struct model_sizes *s = &stages[0].model->sizes;
	float *residual = calloc((size_t)n * s->d_model, sizeof *residual);
	struct error err = {0};
	uint32_t tokens[N];

	assert_non_null(residual);
	for (uint32_t i = 0; i < n; i++)
		tokens[i] = token_at(position + i, s->n_vocabulary);
	for (uint32_t i = 0; i < how->n_stages; i++) {
		bool last = i + 1 == how->n_stages;
		struct layers_span span = {stages[i].kv, position, n, last ? n : 0};

		if (layers_run(stages[i].layers, &span, 1, i == 0 ? tokens : NULL, residual,
		        last ? logits + (size_t)position * s->n_vocabulary : NULL, &err) != AYNI_OK)
			fail_msg("%s: %s", how->what, err.text);
	}
	free(residual);
}

/* All logits of N positions, to be freed. */
static float *run(const struct gguf *g, const struct manner *how)
{
	struct stage stages[3] = {0};
	struct team *team;
	uint32_t n_vocabulary;
	float *logits;

	assert_int_equal(team_new(how->n_threads, &team, NULL), AYNI_OK);
	stages_new(g, how, team, stages);
	n_vocabulary = stages[0].model->sizes.n_vocabulary;
	logits = calloc((size_t)N * n_vocabulary, sizeof *logits);
	assert_non_null(logits);
	for (uint32_t p = 0; p < N; p += how->chunk)
		run_chunk(how, stages, p, N - p < how->chunk ? N - p : how->chunk, logits);
	stages_free(how, stages);
	team_free(team);
	return logits;
}

static const struct manner whole = {"in one piece", N, 1, 1, NULL, KV_F16};
static const struct manner whole_int8 = {"in one piece, int8", N, 1, 1, NULL, KV_INT8};

struct variant {
	const char *name;
	struct gguf *g;
	struct model_sizes sizes;
	size_t n_logits; /* of N positions */
};

/* The test is skipped where there are none. */
static void for_each_variant(void (*body)(void *context, const struct variant *v), void *context)
{
	if (variants.n == 0)
		skip();
	for (size_t i = 0; i < variants.n; i++) {
		struct variant v = {.name = variants.names[i]};
		struct error err = {0};
		char path[RANDOM_MODELS_PATH];

		if (gguf_open(random_models_path(&variants, v.name, path), &v.g, &err) != AYNI_OK ||
		    model_sizes_read(v.g, &v.sizes, &err) != AYNI_OK)
			fail_msg("%s: %s", v.name, err.text);
		v.n_logits = (size_t)N * v.sizes.n_vocabulary;
		body(context, &v);
		gguf_free(v.g);
	}
}

/* ---- the same bits -------------------------------------------------------------------------- */

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static void assert_same_bits(const char *name, const struct manner *how, const struct gguf *g,
    const float *expected, size_t n)
{
	float *logits = run(g, how);

	for (size_t i = 0; i < n; i++)
		if (bits_of(logits[i]) != bits_of(expected[i]))
			fail_msg("%s %s: logit %zu is %a, not %a", name, how->what, i,
			    (double)logits[i], (double)expected[i]);
	free(logits);
}

static void assert_same_bits_in_every_table(
    const char *name, const struct gguf *g, enum kv_type kv, const float *expected, size_t n)
{
	struct manner how = {"by the definition", N, 1, 1, &kernels_scalar, kv};

	for (size_t i = 0; how.kernels != NULL; i++) {
		assert_same_bits(name, &how, g, expected, n);
		how.kernels = table_at(i);
		how.what = how.kernels != NULL ? how.kernels->name : NULL;
	}
}

static void assert_same_bits_in_any_manner(
    const char *name, const struct gguf *g, enum kv_type kv, const float *expected, size_t n)
{
	struct manner manners[] = {
	    {"token by token", 1, 1, 1, NULL, kv},
	    {"token by token, three threads", 1, 1, 3, NULL, kv},
	    {"in chunks of 7", 7, 1, 1, NULL, kv},
	    {"in chunks of 32, two threads", 32, 1, 2, NULL, kv},
	    {"in one piece, three threads", N, 1, 3, NULL, kv},
	    {"in three ranges", N, 3, 1, NULL, kv},
	    {"in three ranges, chunks of 5, two threads", 5, 3, 2, NULL, kv},
	};

	for (size_t i = 0; i < sizeof manners / sizeof manners[0]; i++)
		assert_same_bits(name, &manners[i], g, expected, n);
	assert_same_bits_in_every_table(name, g, kv, expected, n);
}

static void check_manners(void *context, const struct variant *v)
{
	float *expected = run(v->g, &whole);

	(void)context;
	assert_same_bits_in_any_manner(v->name, v->g, KV_F16, expected, v->n_logits);
	free(expected);
}

static void every_family_gives_the_same_bits_however_it_is_run(void **state)
{
	(void)state;
	for_each_variant(check_manners, NULL);
}

/* ---- the reference -------------------------------------------------------------------------- */

static void read_reference(const char *name, uint32_t n_vocabulary, double *out)
{
	char command[4096], path[RANDOM_MODELS_PATH];
	size_t n = (size_t)N * n_vocabulary;
	FILE *pipe;
	int at = snprintf(command, sizeof command, "/usr/bin/python3 tests/tools/reference.py %s",
	    random_models_path(&variants, name, path));

	for (uint32_t p = 0; p < N; p++)
		at += snprintf(
		    command + at, sizeof command - (size_t)at, " %u", token_at(p, n_vocabulary));
	pipe = tool_open(command);
	for (size_t i = 0; i < n; i++)
		if (fscanf(pipe, "%lf", &out[i]) != 1)
			fail_msg("%s: the reference ends after %zu of %zu numbers", name, i, n);
	assert_true(tool_close(pipe));
}

/*
 * Relative to the largest logit of a position. A key or value may lie on the edge of two binary16
 * numbers and fall to the other side, which every later token of the session feels: without that it
 * is 4e-6. Where weights are quantised an activation may fall between two 8-bit values likewise,
 * and weighs more: the first positions show that the arithmetic is right, the others that nothing
 * else is wrong.
 */
static const double tolerance = 5e-4;
static const double edge_tolerance = 5e-2;

enum { BEFORE_AN_EDGE = 4 };

static bool is_quantised(const struct gguf *g)
{
	for (size_t i = 0; i < gguf_n_tensors(g); i++)
		if (tensor_type_info(gguf_tensor_at(g, i)->type)->quantised)
			return true;
	return false;
}

static double distance(const float *logits, const double *expected, size_t n)
{
	double difference = 0.0, size = 0.0;

	for (size_t i = 0; i < n; i++) {
		difference = fmax(difference, fabs((double)logits[i] - expected[i]));
		size = fmax(size, fabs(expected[i]));
	}
	return difference / size;
}

static void check_reference(void *context, const struct variant *v)
{
	const uint32_t n_vocabulary = v->sizes.n_vocabulary;
	float *logits = run(v->g, &whole);
	double *expected = calloc(v->n_logits, sizeof *expected);
	size_t strict = is_quantised(v->g) ? BEFORE_AN_EDGE : N;
	double worst = 0.0, worst_edge = 0.0;

	(void)context;
	assert_non_null(expected);
	read_reference(v->name, n_vocabulary, expected);
	for (size_t p = 0; p < N; p++) {
		double d =
		    distance(logits + p * n_vocabulary, expected + p * n_vocabulary, n_vocabulary);

		worst = p < strict ? fmax(worst, d) : worst;
		worst_edge = fmax(worst_edge, d);
	}
	print_message("%-28s %.1e %.1e\n", v->name, worst, worst_edge);
	if (!(worst <= tolerance && worst_edge <= edge_tolerance))
		fail_msg("%s differs from the reference by %g, and %g where edges count", v->name,
		    worst, worst_edge);
	free(expected);
	free(logits);
}

static void every_family_agrees_with_the_reference(void **state)
{
	(void)state;
	for_each_variant(check_reference, NULL);
}

/* ---- int8 keys and values ------------------------------------------------------------------- */

/* Root mean squares: 8 bits for numbers that have 11 in binary16. A token that goes to another
 * expert for a hair's breadth is far off. */
static const double int8_tolerance = 3e-2;
static const double int8_experts_tolerance = 2e-1;

static double apart(const float *a, const float *b, size_t n)
{
	double difference = 0.0, size = 0.0;

	for (size_t i = 0; i < n; i++) {
		double d = (double)a[i] - (double)b[i];

		difference += d * d;
		size += (double)b[i] * (double)b[i];
	}
	return sqrt(difference / size);
}

/* What kinds of attention were met. */
struct met {
	bool latent, windowed;
};

static void check_int8(void *context, const struct variant *v)
{
	const double tolerated = v->sizes.experts.n > 0 ? int8_experts_tolerance : int8_tolerance;
	struct met *met = context;
	float *halves, *quants;
	double d;

	if (!kv_type_suits(KV_INT8, &v->sizes))
		return;
	met->latent |= v->sizes.d_latent > 0;
	met->windowed |= v->sizes.window > 0;
	halves = run(v->g, &whole);
	quants = run(v->g, &whole_int8);
	d = apart(quants, halves, v->n_logits);
	print_message("%-28s %.1e from f16\n", v->name, d);
	assert_true(d > 0.0 && d <= tolerated);
	assert_same_bits_in_any_manner(v->name, v->g, KV_INT8, quants, v->n_logits);
	free(halves);
	free(quants);
}

static void int8_caches_give_the_same_bits_however_they_are_used_and_nearly_those_of_f16(
    void **state)
{
	struct met met = {false, false};

	(void)state;
	for_each_variant(check_int8, &met);
	assert_true(met.latent && met.windowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_family_gives_the_same_bits_however_it_is_run),
	    cmocka_unit_test(every_family_agrees_with_the_reference),
	    cmocka_unit_test(
	        int8_caches_give_the_same_bits_however_they_are_used_and_nearly_those_of_f16),
	};

	return cmocka_run_group_tests(tests, write_models, remove_models);
}
