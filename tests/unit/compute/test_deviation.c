/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bounds of the class `fast`, calibrated: real layers of models computed in many ways, of which
 * none may be called wrong, and lies, of which each must be.
 *
 * A comparison is one row after one layer. By default some ten thousand are made; AYNI_AGREE=N
 * makes N, over more families, and prints how much of the bounds they took. What OpenBLAS computes
 * with is chosen when it is loaded, so other instruction sets are tried in processes of their own,
 * which run this program with the word "calibrate".
 */
#include "compute/deviation.h"

#include <cblas.h>
#include <math.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "compute/kernels/fast.h"
#include "tests/support/kernel_trial.h"
#include "tests/support/typed_models.h"

enum {
	N = 128,      /* tokens of a sequence, and the most in a batch */
	WINDOW = 32,  /* of a sequence in which a lie must be found */
	N_LOGITS = 8, /* rows of logits of a sequence */
	MAX_THREADS = 4,
	DEFAULT_COMPARISONS = 12000,
	CHILD_COMPARISONS = 4000
};

static struct typed_models models;
static struct team *teams[MAX_THREADS]; /* of 1, 2, ... */

/* AYNI_AGREE, or 0. */
static uint64_t wanted_comparisons(void)
{
	const char *n = getenv("AYNI_AGREE");

	return n != NULL ? strtoull(n, NULL, 10) : 0;
}

static void open_own_models(void)
{
	struct error err = {0};

	for (unsigned i = 0; i < MAX_THREADS; i++)
		must(team_new(i + 1, &teams[i], &err), &err);
	typed_models_open(&models);
}

static int open_models(void **state)
{
	(void)state;
	open_own_models();
	typed_models_add_families(&models, wanted_comparisons() > 0);
	return 0;
}

static int close_models(void **state)
{
	(void)state;
	typed_models_close(&models);
	for (unsigned i = 0; i < MAX_THREADS; i++)
		team_free(teams[i]);
	return 0;
}

/* ---- sequences ------------------------------------------------------------------------------ */

static uint32_t draw(uint32_t below)
{
	return random_u32() % below;
}

struct memory {
	uint32_t tokens[N];
	struct deviation_sequence sequence;
};

static void memory_new(struct memory *m, const struct model_sizes *s, uint32_t n)
{
	m->sequence = (struct deviation_sequence){
	    .tokens = m->tokens, .n = n, .n_logits = n < N_LOGITS ? n : N_LOGITS};
	m->sequence.rows = calloc((size_t)n * s->d_model, sizeof(float));
	m->sequence.logits = calloc((size_t)N_LOGITS * s->n_vocabulary, sizeof(float));
	assert_non_null(m->sequence.rows);
	assert_non_null(m->sequence.logits);
	for (uint32_t i = 0; i < n; i++)
		m->tokens[i] = draw(s->n_vocabulary);
}

static void memory_free(struct memory *m)
{
	free(m->sequence.rows);
	free(m->sequence.logits);
}

/* ---- no false alarm ------------------------------------------------------------------------- */

/* The most that was seen, in parts of what is allowed. */
struct margin {
	uint64_t n;
	double mean, loss, error;
};

struct margins {
	struct margin floats, quants;
	uint64_t n; /* comparisons */
};

static void note(struct margins *all, const struct agreement *a, const struct agreement_bounds *b)
{
	struct margin *m = b == &agreement_of_floats ? &all->floats : &all->quants;
	double allowed = (double)a->n_rows * b->mean_loss + b->row_loss;

	m->n += a->n_rows;
	m->mean = fmax(m->mean, a->loss_sum / allowed);
	m->loss = fmax(m->loss, a->loss_max / b->row_loss);
	m->error = fmax(m->error, a->error_max / b->row_error);
	all->n += a->n_rows;
}

static void print_margin(const char *what, const struct margin *m)
{
	print_message(
	    "%s: %llu comparisons; of what is allowed: mean %.1f %%, row %.1f %%, element "
	    "%.1f %%\n",
	    what, (unsigned long long)m->n, 100.0 * m->mean, 100.0 * m->loss, 100.0 * m->error);
}

static void print_margins(const struct margins *m)
{
	print_message("OpenBLAS as %s\n", openblas_get_corename());
	print_margin("float weights", &m->floats);
	print_margin("quantised weights", &m->quants);
}

/* The definition is the last, gives the same bits and is slow. */
static const struct kernels *some_exact(void)
{
	size_t n = 0;

	while (kernels_at(n) != NULL)
		n++;
	return kernels_at(draw((uint32_t)(n > 1 && wanted_comparisons() == 0 ? n - 1 : n)));
}

static struct deviation_side some_side(const struct gguf *g, const struct kernels *k)
{
	static const uint32_t batches[] = {1, 7, 31, 32, 33, 48, 64, 100, 128};

	return (struct deviation_side){.gguf = g,
	    .kernels = k,
	    .team = teams[draw(MAX_THREADS)],
	    .batch = batches[draw(sizeof batches / sizeof batches[0])]};
}

/* What a model's sessions may keep keys and values as. */
static enum kv_type some_kv(const struct model_sizes *s)
{
	struct attention_shape a = model_attention_shape(s);
	bool whole_parts = a.d_key % KV_PART == 0 && a.d_value % KV_PART == 0;

	return whole_parts && draw(3) == 0 ? KV_INT8 : KV_F16;
}

/* One sequence through all layers of a model, by two who compute it honestly. */
static void check_honest(const struct typed_model *v, size_t recipe, struct margins *all)
{
	struct deviation_side claimed = some_side(v->in[recipe], kernels_fast());
	struct deviation_side own =
	    some_side(v->in[recipe], draw(2) == 0 ? kernels_fast() : some_exact());
	struct memory m;

	if (draw(2) == 0) /* as who checks takes whole windows */
		own.batch = N;
	claimed.kv = own.kv = some_kv(&v->sizes);
	memory_new(&m, &v->sizes, N);
	for (uint32_t layer = 0; layer < v->sizes.n_layers; layer++) {
		struct deviation_bounds bounds = {0};
		struct error err = {0};
		struct deviation d;

		must(
		    deviation_measure(&claimed, &own, layer, &m.sequence, &d, &bounds, &err), &err);
		assert_non_null(bounds.rows);
		note(all, &d.rows, bounds.rows);
		if (d.logits.n_rows > 0)
			note(all, &d.logits, bounds.logits);
		if (!agreement_holds(&d.rows, bounds.rows) ||
		    (d.logits.n_rows > 0 && !agreement_holds(&d.logits, bounds.logits)))
			fail_msg("%s %s, layer %u, batches of %u by %u threads (%s) and of %u: "
			         "losses of %g in all, %g in a row, error %g; logits %g, %g, %g",
			    v->name, typed_recipes[recipe], layer, claimed.batch,
			    team_size(claimed.team), own.kernels->name, own.batch, d.rows.loss_sum,
			    d.rows.loss_max, d.rows.error_max, d.logits.loss_sum, d.logits.loss_max,
			    d.logits.error_max);
	}
	memory_free(&m);
}

static struct margins calibrate(uint64_t comparisons)
{
	struct margins all = {0};

	/* Each model in each type; by this step few of them are unlike each other. */
	for (size_t i = 0; all.n < comparisons; i += 11)
		check_honest(&models.of[i % models.n], i / models.n % TYPED_RECIPES, &all);
	return all;
}

static void who_computes_in_another_way_is_never_called_wrong(void **state)
{
	uint64_t wanted = wanted_comparisons();
	struct margins all;

	(void)state;
	all = calibrate(wanted > 0 ? wanted : DEFAULT_COMPARISONS);
	print_margins(&all);
	/* The class differs from the definition, or nothing was tested. */
	assert_true(all.quants.loss > 0.01 && all.floats.error > 1e-4);
}

/* The whole environment, with one variable set. */
static char **environment_with(const char *assignment, size_t name_len)
{
	size_t n = 0, kept = 0;
	char **out;

	while (environ[n] != NULL)
		n++;
	out = calloc(n + 2, sizeof *out);
	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], assignment, name_len) != 0)
			out[kept++] = environ[i];
	out[kept] = (char *)(uintptr_t)assignment;
	return out;
}

static void calibrate_as(const char *core)
{
	static const char variable[] = "OPENBLAS_CORETYPE=";
	char assignment[64], program[] = "/proc/self/exe", word[] = "calibrate";
	char *arguments[] = {program, word, NULL}, **variables;
	pid_t child;
	int status;

	(void)snprintf(assignment, sizeof assignment, "%s%s", variable, core);
	variables = environment_with(assignment, strlen(variable));
	assert_int_equal(posix_spawn(&child, program, NULL, NULL, arguments, variables), 0);
	free(variables);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("with OpenBLAS as %s", core);
}

static void so_it_is_on_processors_with_other_instructions(void **state)
{
#if defined(__x86_64__)
	static const char *const cores[] = {
	    "Prescott", "Haswell", "Sandybridge", "Zen", "SkylakeX"};
	bool wide = kernels_by_name("avx512") != NULL, avx2 = kernels_by_name("avx2") != NULL;
	size_t n = !avx2 ? 1 : wanted_comparisons() == 0 ? 2 : wide ? 5 : 4;

	(void)state;
	for (size_t i = 0; i < n; i++)
		if (strcmp(cores[i], openblas_get_corename()) != 0)
			calibrate_as(cores[i]);
#else
	(void)state;
	skip();
#endif
}

/* What such a process does. */
static int calibrate_here(void)
{
	struct margins m;

	open_own_models();
	m = calibrate(wanted_comparisons() > 0 ? wanted_comparisons() / 10 : CHILD_COMPARISONS);
	print_margins(&m);
	return close_models(NULL);
}

/* ---- lies ----------------------------------------------------------------------------------- */

/* What stands before a layer, what really comes out, and what a liar says came out. */
struct scene {
	const struct typed_model *v;
	size_t recipe;
	uint32_t layer;
	struct deviation_side side;
	struct deviation_bounds bounds;
	struct memory in, own, claimed;
};

static void copy(const struct scene *s, struct memory *to, const struct memory *from)
{
	memcpy(to->tokens, from->tokens, sizeof to->tokens);
	memcpy(to->sequence.rows, from->sequence.rows,
	    (size_t)WINDOW * s->v->sizes.d_model * sizeof(float));
	memcpy(to->sequence.logits, from->sequence.logits,
	    (size_t)N_LOGITS * s->v->sizes.n_vocabulary * sizeof(float));
}

static void scene_open(struct scene *s, const struct typed_model *v, size_t recipe, uint32_t layer)
{
	struct error err = {0};

	*s = (struct scene){.v = v, .recipe = recipe, .layer = layer};
	s->side = (struct deviation_side){
	    .gguf = v->in[recipe], .kernels = kernels_fast(), .team = teams[0], .batch = N};
	memory_new(&s->in, &v->sizes, WINDOW);
	memory_new(&s->own, &v->sizes, WINDOW);
	memory_new(&s->claimed, &v->sizes, WINDOW);
	for (uint32_t i = 0; i < layer; i++)
		must(deviation_layer(&s->side, i, &s->in.sequence, NULL, &err), &err);
	s->side.kernels = kernels_best();
	copy(s, &s->own, &s->in);
	must(deviation_layer(&s->side, layer, &s->own.sequence, &s->bounds, &err), &err);
	s->side.kernels = kernels_fast();
	copy(s, &s->claimed, &s->in);
}

static void scene_close(struct scene *s)
{
	memory_free(&s->in);
	memory_free(&s->own);
	memory_free(&s->claimed);
}

/* What is claimed, from this file's layer. */
static void claim(struct scene *s, const struct gguf *g, uint32_t layer)
{
	struct error err = {0};

	s->side.gguf = g;
	must(deviation_layer(&s->side, layer, &s->claimed.sequence, NULL, &err), &err);
	s->side.gguf = s->v->in[s->recipe];
}

static bool agrees(struct scene *s)
{
	struct deviation d;
	struct error err = {0};

	must(deviation_compare(&s->v->sizes, s->layer, s->layer > 0 ? s->in.sequence.rows : NULL,
	         &s->claimed.sequence, &s->own.sequence, &d, &err),
	    &err);
	return agreement_holds(&d.rows, s->bounds.rows) &&
	       (d.logits.n_rows == 0 || agreement_holds(&d.logits, s->bounds.logits));
}

/* Make a lie of each layer of each model in each type; it must be found, the truth must not. */
typedef bool lie_fn(struct scene *s); /* false: there is no such lie here */

static void find_each(lie_fn *lie)
{
	uint32_t n = 0;

	for (size_t m = 0; m < models.n; m++)
		for (size_t recipe = 0; recipe < TYPED_RECIPES; recipe++) {
			struct scene s;

			scene_open(&s, &models.of[m], recipe,
			    (uint32_t)(m + recipe) % models.of[m].sizes.n_layers);
			if (lie(&s)) {
				n++;
				if (agrees(&s))
					fail_msg("not found in layer %u of %s %s", s.layer,
					    s.v->name, typed_recipes[recipe]);
				copy(&s, &s.claimed, &s.in);
				claim(&s, s.v->in[recipe], s.layer);
				assert_true(agrees(&s));
			}
			scene_close(&s);
		}
	assert_true(n >= models.n);
}

static bool another_layer(struct scene *s)
{
	uint32_t other = s->layer + 1 < s->v->sizes.n_layers ? s->layer + 1 : s->layer - 1;

	if (s->layer == 0 || other == 0) /* the first one reads tokens */
		return false;
	claim(s, s->v->in[s->recipe], other);
	return true;
}

static void finds_another_layer_of_the_model(void **state)
{
	(void)state;
	find_each(another_layer);
}

static bool fewer_bits(struct scene *s)
{
	if (s->recipe != typed_recipe("Q8_0") && s->recipe != typed_recipe("F16"))
		return false;
	claim(s, s->v->in[typed_recipe("Q4_0")], s->layer);
	return true;
}

static void finds_q4_0_in_place_of_q8_0_and_of_f16(void **state)
{
	(void)state;
	find_each(fewer_bits);
}

/* What went in is claimed to have come out. */
static bool skip_layer(struct scene *s)
{
	return s->layer > 0;
}

static void finds_a_layer_that_was_skipped(void **state)
{
	(void)state;
	find_each(skip_layer);
}

static bool another_prompt(struct scene *s)
{
	uint32_t *token = &s->claimed.tokens[draw(WINDOW)];

	if (s->layer != 0)
		return false;
	*token = (*token + 1 + draw(s->v->sizes.n_vocabulary - 1)) % s->v->sizes.n_vocabulary;
	claim(s, s->v->in[s->recipe], 0);
	return true;
}

static void finds_a_changed_token_of_the_prompt(void **state)
{
	(void)state;
	find_each(another_prompt);
}

/* The change of an element, and the root mean square of its row's. */
static float change(const struct scene *s, size_t row, size_t i)
{
	size_t at = row * s->v->sizes.d_model + i;

	return s->own.sequence.rows[at] - (s->layer > 0 ? s->in.sequence.rows[at] : 0.0f);
}

static float rms(const struct scene *s, size_t row)
{
	float sum = 0.0f;

	for (size_t i = 0; i < s->v->sizes.d_model; i++)
		sum += change(s, row, i) * change(s, row, i);
	return sqrtf(sum / (float)s->v->sizes.d_model);
}

/* One element of one row, that is no less than the row's root mean square. */
static bool flipped_sign(struct scene *s)
{
	size_t row = draw(WINDOW), i = draw(s->v->sizes.d_model);

	claim(s, s->v->in[s->recipe], s->layer);
	while (fabsf(change(s, row, i)) < rms(s, row))
		i = (i + 1) % s->v->sizes.d_model;
	s->claimed.sequence.rows[row * s->v->sizes.d_model + i] -= 2.0f * change(s, row, i);
	return true;
}

static void finds_one_sign_flipped_in_one_row(void **state)
{
	(void)state;
	find_each(flipped_sign);
}

/* Near enough to normal: the sum of twelve uniform numbers. */
static float normal(void)
{
	float sum = -6.0f;

	for (int i = 0; i < 12; i++)
		sum += (float)draw(1U << 24) * 0x1p-24f;
	return sum;
}

static void add_noise(struct scene *s, float size)
{
	size_t d = s->v->sizes.d_model;

	claim(s, s->v->in[s->recipe], s->layer);
	for (size_t row = 0; row < WINDOW; row++)
		for (size_t i = 0; i < d; i++)
			s->claimed.sequence.rows[row * d + i] += size * rms(s, row) * normal();
}

static bool noise(struct scene *s)
{
	add_noise(s, s->bounds.rows == &agreement_of_floats ? 0.002f : 0.05f);
	return true;
}

static void finds_noise_of_5_percent_and_with_float_weights_of_2_per_mille(void **state)
{
	(void)state;
	find_each(noise);
}

/* A window that a layer has not, or has: the same weights. */
static void finds_a_layer_of_another_type(void **state)
{
	static const struct tiny_model_key window = {
	    .name = "llama.attention.sliding_window", .type = 4, .number = 12};
	struct tiny_model_options windowed = typed_models_llama;
	struct typed_model *v = &models.of[0];
	size_t first = models.n;

	(void)state;
	windowed.key = &window;
	typed_models_add(&models, "windowed", &windowed);
	assert_int_equal(models.of[first].sizes.window, 12);
	for (size_t recipe = 0; recipe < TYPED_RECIPES; recipe++)
		for (uint32_t layer = 0; layer < 6; layer++) {
			struct scene s;

			scene_open(&s, v, recipe, layer);
			claim(&s, models.of[first].in[recipe], layer);
			assert_false(agrees(&s));
			scene_close(&s);
		}
	typed_models_close_last(&models);
}

/* What the bounds cannot tell from rounding, so that nobody believes they can. */
static void does_not_find_less_noise_than_quantised_activations_make(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s, &models.of[0], typed_recipe("Q8_0"), 1);
	add_noise(&s, 0.01f);
	assert_true(agrees(&s));
	scene_close(&s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_computes_in_another_way_is_never_called_wrong),
	    cmocka_unit_test(so_it_is_on_processors_with_other_instructions),
	    cmocka_unit_test(finds_another_layer_of_the_model),
	    cmocka_unit_test(finds_a_layer_of_another_type),
	    cmocka_unit_test(finds_q4_0_in_place_of_q8_0_and_of_f16),
	    cmocka_unit_test(finds_a_layer_that_was_skipped),
	    cmocka_unit_test(finds_a_changed_token_of_the_prompt),
	    cmocka_unit_test(finds_one_sign_flipped_in_one_row),
	    cmocka_unit_test(finds_noise_of_5_percent_and_with_float_weights_of_2_per_mille),
	    cmocka_unit_test(does_not_find_less_noise_than_quantised_activations_make),
	};

	if (argc > 1 && strcmp(argv[1], "calibrate") == 0)
		return calibrate_here();
	return cmocka_run_group_tests(tests, open_models, close_models);
}
