/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a model's layers, and layers that become ready one after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/layers.h"
#include "tests/support/tiny_model.h"

enum { N = 42, AT_ONCE = 14, D = 64, V = TINY_MODEL_VOCABULARY, N_LAYERS = 3, CAPACITY = 64 };

struct stage {
	struct gguf *gguf;
	struct team *team;
	struct model *model;
	struct layers *layers;
};

struct output {
	float residual[N][D];
	float logits[N][V];
};

static struct output whole, parts;

/* No layer is ready. */
static struct stage stage_new(enum tensor_type type, uint32_t first)
{
	const struct tiny_model_options o = {
	    .type = type, .n_layers = N_LAYERS, .d_model = D, .rope_factors = true, .seed = 5};
	char *path = tiny_model_temporary(&o);
	struct stage s = {0};

	assert_int_equal(gguf_open(path, &s.gguf, NULL), AYNI_OK);
	tiny_model_remove(path); /* the mapping stays */
	assert_int_equal(team_new(2, &s.team, NULL), AYNI_OK);
	assert_int_equal(
	    model_open(s.gguf, first, N_LAYERS, kernels_best(), &s.model, NULL), AYNI_OK);
	assert_int_equal(
	    layers_new(s.model, kernels_best(), s.team, AT_ONCE, &s.layers, NULL), AYNI_OK);
	return s;
}

static void stage_free(struct stage *s)
{
	layers_free(s->layers);
	model_free(s->model);
	team_free(s->team);
	gguf_free(s->gguf);
}

static struct kv *new_kv(const struct stage *s)
{
	struct kv *kv;

	assert_int_equal(kv_new(s->model, CAPACITY, KV_F16, &kv, NULL), AYNI_OK);
	return kv;
}

static void make_ready(struct stage *s, uint32_t last)
{
	while (s->model->layer_ready < last)
		assert_int_equal(model_ready_next(s->model, s->gguf, s->team, NULL), AYNI_OK);
}

/* All positions, in a cache of their own. */
static void run(struct stage *s, uint32_t first, uint32_t last, struct output *out)
{
	struct kv *kv = new_kv(s);

	for (uint32_t p = 0; p < N; p += AT_ONCE) {
		struct layers_span span = {kv, p, AT_ONCE, last == N_LAYERS ? AT_ONCE : 0};
		struct error err = {0};
		uint32_t tokens[AT_ONCE];

		for (uint32_t i = 0; i < AT_ONCE; i++)
			tokens[i] = (p + i) * 37 % V;
		if (layers_run_part(s->layers, first, last, &span, 1, first == 0 ? tokens : NULL,
		        out->residual[p], last == N_LAYERS ? out->logits[p] : NULL,
		        &err) != AYNI_OK)
			fail_msg("%s", err.text);
	}
	kv_free(kv);
}

static void parts_give_the_same_bits_as_soon_as_they_are_ready(void **state)
{
	static const enum tensor_type types[] = {TENSOR_F32, TENSOR_Q8_0, TENSOR_Q4_0};

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct stage s = stage_new(types[i], 0);

		make_ready(&s, N_LAYERS);
		run(&s, 0, N_LAYERS, &whole);
		stage_free(&s);
		for (uint32_t cut = 1; cut < N_LAYERS; cut++) {
			s = stage_new(types[i], 0);
			make_ready(&s, cut);
			run(&s, 0, cut, &parts);
			make_ready(&s, N_LAYERS);
			run(&s, cut, N_LAYERS, &parts);
			assert_memory_equal(&whole, &parts, sizeof whole);
			stage_free(&s);
		}
	}
}

static void layers_that_are_not_ready_or_not_there_do_not_run(void **state)
{
	static const struct {
		uint32_t first, last;
		int code;
	} cases[] = {{1, 2, AYNI_OK}, {1, 3, AYNI_ERR_STATE}, {2, 3, AYNI_ERR_STATE},
	    {0, 2, AYNI_ERR_ARGUMENT}, {2, 2, AYNI_ERR_ARGUMENT}, {1, 4, AYNI_ERR_ARGUMENT}};
	struct stage s = stage_new(TENSOR_Q4_0, 1);
	struct layers_span span = {NULL, 0, 1, 0};
	struct kv *kv = span.kv = new_kv(&s);
	static float residual[D];

	(void)state;
	assert_int_equal(
	    layers_run_part(s.layers, 1, 2, &span, 1, NULL, residual, NULL, NULL), AYNI_ERR_STATE);
	make_ready(&s, 2);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(layers_run_part(s.layers, cases[i].first, cases[i].last, &span, 1,
		                     NULL, residual, NULL, NULL),
		    cases[i].code);
	make_ready(&s, N_LAYERS);
	assert_int_equal(model_ready_next(s.model, s.gguf, s.team, NULL), AYNI_ERR_STATE);
	kv_free(kv);
	stage_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parts_give_the_same_bits_as_soon_as_they_are_ready),
	    cmocka_unit_test(layers_that_are_not_ready_or_not_there_do_not_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
