/* SPDX-License-Identifier: Apache-2.0 */
/* New model files made of old ones: what is encoded, what is kept, what is refused. */
#include "compute/gguf_write.h"
#include "compute/model.h"
#include "compute/quantize.h"
#include "tests/support/gguf_build.h"
#include "tests/support/tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

struct outcome {
	struct gguf *g;
	char *bytes;
	size_t len;
	uint32_t n_replaced;
	int rc;
	struct error err;
};

static struct gguf *parse(const uint8_t *bytes, size_t len)
{
	struct gguf *g = NULL;
	struct error err = {0};

	if (gguf_parse(bytes, len, len, &g, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return g;
}

static struct outcome run(const struct gguf *in, const char *recipe, unsigned threads,
    quantize_progress_fn *progress, void *context, const volatile bool *stop)
{
	struct outcome o = {0};
	struct team *team = NULL;
	FILE *f = open_memstream(&o.bytes, &o.len);

	assert_non_null(f);
	assert_int_equal(team_new(threads, &team, NULL), AYNI_OK);

	struct quantize_job job = {.in = in,
	    .recipe = quantize_recipe_find(recipe),
	    .team = team,
	    .progress = progress,
	    .context = context,
	    .stop = stop,
	    .n_replaced = &o.n_replaced};

	assert_non_null(job.recipe);
	o.rc = quantize(&job, f, &o.err);
	assert_int_equal(fclose(f), 0);
	team_free(team);
	if (o.rc == AYNI_OK)
		o.g = parse((const uint8_t *)o.bytes, o.len);
	return o;
}

static void outcome_free(struct outcome *o)
{
	gguf_free(o->g);
	free(o->bytes);
}

static const struct tiny_model_options wide = {
    .d_model = 256, .d_ff = 256, .n_layers = 8, .n_heads = 4, .n_kv_heads = 1, .seed = 3};

static struct gguf *model(const struct tiny_model_options *options, uint8_t **bytes)
{
	size_t len;

	*bytes = tiny_model_bytes(options, &len);
	return parse(*bytes, len);
}

/* ---- tensors -------------------------------------------------------------------------------- */

static double distance(const struct gguf *a, const struct gguf_tensor *t, const struct gguf *b)
{
	const struct gguf_tensor *u = gguf_tensor_find(b, t->name);
	uint64_t t_bytes, u_bytes;
	size_t n = (size_t)t->dims[0];
	double error = 0.0, power = 0.0;
	float *x = malloc(2 * n * sizeof *x);

	assert_non_null(x);
	assert_non_null(u);
	assert_memory_equal(t->dims, u->dims, sizeof t->dims);
	assert_int_equal(tensor_row_bytes(t->type, n, &t_bytes), AYNI_OK);
	assert_int_equal(tensor_row_bytes(u->type, n, &u_bytes), AYNI_OK);
	for (uint64_t r = 0; r < t->size_bytes / t_bytes; r++) {
		tensor_decode_row(t->type, gguf_tensor_data(a, t) + r * t_bytes, n, x);
		tensor_decode_row(u->type, gguf_tensor_data(b, u) + r * u_bytes, n, x + n);
		for (size_t i = 0; i < n; i++) {
			error += pow((double)x[i] - (double)x[n + i], 2.0);
			power += pow((double)x[i], 2.0);
		}
	}
	free(x);
	return sqrt(error / power);
}

static void each_recipe_keeps_every_tensor_near(void **state)
{
	static const struct {
		const char *recipe;
		double loss;
	} cases[] = {{"F32", 0.0}, {"F16", 3e-4}, {"bf16", 3e-3}, {"Q8_0", 0.006}, {"Q6_K", 0.02},
	    {"Q5_K_M", 0.04}, {"Q5_K", 0.04}, {"q4_k_m", 0.08}, {"Q4_K", 0.08}, {"Q5_1", 0.04},
	    {"Q5_0", 0.04}, {"Q4_1", 0.08}, {"Q4_0", 0.085}};
	struct tiny_model_options one_layer = wide;
	uint8_t *bytes;

	(void)state;
	one_layer.n_layers = 1;

	struct gguf *g = model(&one_layer, &bytes);

	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct outcome o = run(g, cases[c].recipe, 1, NULL, NULL, NULL);

		assert_int_equal(o.rc, AYNI_OK);
		assert_int_equal(o.n_replaced, 0);
		assert_int_equal(gguf_n_tensors(o.g), gguf_n_tensors(g));
		for (size_t i = 0; i < gguf_n_tensors(g); i++) {
			const struct gguf_tensor *t = gguf_tensor_at(g, i);

			assert_string_equal(gguf_tensor_at(o.g, i)->name, t->name);
			if (!(distance(g, t, o.g) <= cases[c].loss))
				fail_msg("%s: %s is off by %g", cases[c].recipe, t->name,
				    distance(g, t, o.g));
		}
		outcome_free(&o);
	}
	gguf_free(g);
	free(bytes);
}

static enum tensor_type type_of(const struct gguf *g, const char *name)
{
	const struct gguf_tensor *t = gguf_tensor_find(g, name);

	assert_non_null(t);
	return t->type;
}

static void a_mix_keeps_what_is_hurt_most_in_the_richer_type(void **state)
{
	uint8_t *bytes;
	struct gguf *g = model(&wide, &bytes);
	struct outcome o = run(g, "Q4_K_M", 1, NULL, NULL, NULL);

	(void)state;
	assert_int_equal(o.rc, AYNI_OK);
	assert_int_equal(type_of(o.g, "output.weight"), TENSOR_Q6_K);
	assert_int_equal(type_of(o.g, "token_embd.weight"), TENSOR_Q4_K);
	assert_int_equal(type_of(o.g, "blk.0.ffn_down.weight"), TENSOR_Q6_K);
	assert_int_equal(type_of(o.g, "blk.1.ffn_down.weight"), TENSOR_Q4_K);
	assert_int_equal(type_of(o.g, "blk.3.attn_v.weight"), TENSOR_Q6_K);
	assert_int_equal(type_of(o.g, "blk.3.attn_q.weight"), TENSOR_Q4_K);
	assert_int_equal(type_of(o.g, "blk.7.attn_v.weight"), TENSOR_Q6_K);
	assert_int_equal(type_of(o.g, "blk.3.attn_norm.weight"), TENSOR_F32);
	outcome_free(&o);
	gguf_free(g);
	free(bytes);
}

static void a_tied_embedding_counts_as_the_output(void **state)
{
	struct tiny_model_options tied = wide;
	uint8_t *bytes;

	(void)state;
	tied.tied = true;

	struct gguf *g = model(&tied, &bytes);
	struct outcome o = run(g, "Q4_K_M", 1, NULL, NULL, NULL);

	assert_int_equal(o.rc, AYNI_OK);
	assert_int_equal(type_of(o.g, "token_embd.weight"), TENSOR_Q6_K);
	outcome_free(&o);
	gguf_free(g);
	free(bytes);
}

static void rows_that_do_not_fit_take_smaller_blocks(void **state)
{
	uint8_t *bytes;
	struct gguf *g = model(&(struct tiny_model_options){.d_model = 64, .d_ff = 72}, &bytes);
	struct outcome o = run(g, "Q4_K", 1, NULL, NULL, NULL);

	(void)state;
	assert_int_equal(o.rc, AYNI_OK);
	assert_int_equal(type_of(o.g, "blk.0.attn_q.weight"), TENSOR_Q5_0);
	assert_int_equal(type_of(o.g, "blk.0.ffn_down.weight"), TENSOR_F16);
	assert_int_equal(o.n_replaced, 2 + 3 * 7);
	outcome_free(&o);
	gguf_free(g);
	free(bytes);
}

static void any_number_of_threads_writes_the_same_bytes(void **state)
{
	uint8_t *bytes;
	struct gguf *g = model(&wide, &bytes);
	struct outcome one = run(g, "Q4_K_M", 1, NULL, NULL, NULL);
	struct outcome three = run(g, "Q4_K_M", 3, NULL, NULL, NULL);

	(void)state;
	assert_int_equal(one.len, three.len);
	assert_memory_equal(one.bytes, three.bytes, one.len);
	outcome_free(&one);
	outcome_free(&three);
	gguf_free(g);
	free(bytes);
}

static void a_made_file_still_is_a_model(void **state)
{
	uint8_t *bytes;
	struct gguf *g = model(&wide, &bytes);
	struct outcome o = run(g, "Q4_K_M", 1, NULL, NULL, NULL);
	struct model *m = NULL;
	struct error err = {0};
	struct model_sizes s;

	(void)state;
	assert_int_equal(model_sizes_read(o.g, &s, &err), AYNI_OK);
	assert_int_equal(model_load(o.g, 0, s.n_layers, &m, &err), AYNI_OK);
	model_free(m);
	outcome_free(&o);
	gguf_free(g);
	free(bytes);
}

/* ---- metadata ------------------------------------------------------------------------------- */

static void metadata_of_every_type_is_taken_over(void **state)
{
	const char *const words[] = {"a", "", "longer than the others"};
	struct gguf_build *b = gguf_build_new(2);

	(void)state;
	gguf_build_string(b, "general.architecture", "llama");
	gguf_build_u32(b, "general.alignment", 32);
	gguf_build_u32(b, "general.file_type", 1);
	gguf_build_u64(b, "large", UINT64_MAX);
	gguf_build_f32(b, "third", 1.0f / 3.0f);
	gguf_build_bool(b, "yes", true);
	gguf_build_string_array(b, "words", words, 3);
	gguf_build_string_array(b, "no words", NULL, 0);
	gguf_build_f32_array(b, "numbers", (float[]){1.5f, -2.5f}, 2);
	gguf_build_i32_array(b, "integers", (int32_t[]){-1, 7, 9}, 3);

	struct gguf_bytes file = gguf_build_finish(b);
	struct gguf *g = parse(file.data, file.len);
	struct outcome o = run(g, "Q8_0", 1, NULL, NULL, NULL);
	uint64_t u;
	double f;
	bool yes;
	enum gguf_type type;
	size_t len;
	struct span text;

	assert_int_equal(o.rc, AYNI_OK);
	assert_int_equal(gguf_version(o.g), 3);
	assert_int_equal(gguf_get_u64(o.g, "general.alignment", &u), AYNI_ERR_NOT_FOUND);
	assert_int_equal(gguf_get_u64(o.g, "general.file_type", &u), AYNI_OK);
	assert_int_equal(u, 7);
	assert_int_equal(gguf_get_u64(o.g, "large", &u), AYNI_OK);
	assert_true(u == UINT64_MAX);
	assert_int_equal(gguf_get_f64(o.g, "third", &f), AYNI_OK);
	assert_true((float)f == 1.0f / 3.0f);
	assert_int_equal(gguf_get_bool(o.g, "yes", &yes), AYNI_OK);
	assert_true(yes);
	assert_int_equal(gguf_get_array(o.g, "no words", &type, &len), AYNI_OK);
	assert_int_equal(len, 0);
	assert_int_equal(gguf_array_string(o.g, "words", 2, &text), AYNI_OK);
	assert_int_equal(text.len, strlen(words[2]));
	assert_memory_equal(text.data, words[2], text.len);
	assert_int_equal(gguf_array_f64(o.g, "numbers", 1, &f), AYNI_OK);
	assert_true(f == -2.5);
	assert_int_equal(gguf_array_u64(o.g, "integers", 2, &u), AYNI_OK);
	assert_int_equal(u, 9);
	outcome_free(&o);
	gguf_free(g);
	free(file.data);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void refuses_weights_that_are_no_numbers(void **state)
{
	const float bad[] = {NAN, INFINITY, -70000.0f};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct gguf_build *b = gguf_build_new(3);
		float values[64] = {0};

		values[50] = bad[i];
		gguf_build_tensor_f32(b, "bad.weight", TENSOR_F32, 2, (uint64_t[]){32, 2}, values);

		struct gguf_bytes file = gguf_build_finish(b);
		struct gguf *g = parse(file.data, file.len);
		struct outcome o = run(g, "Q8_0", 1, NULL, NULL, NULL);

		assert_int_equal(o.rc, AYNI_ERR_FORMAT);
		assert_non_null(strstr(o.err.text, "bad.weight"));
		outcome_free(&o);
		gguf_free(g);
		free(file.data);
	}
}

static void refuses_a_tensor_of_a_type_it_cannot_read(void **state)
{
	uint8_t *bytes;
	struct gguf *g = model(
	    &(struct tiny_model_options){
	        .d_model = 256, .mistyped = "blk.1.attn_k.weight", .raw_type = 16},
	    &bytes);
	struct outcome o = run(g, "Q8_0", 1, NULL, NULL, NULL);

	(void)state;
	assert_int_equal(o.rc, AYNI_ERR_UNSUPPORTED);
	assert_non_null(strstr(o.err.text, "blk.1.attn_k.weight"));
	outcome_free(&o);
	gguf_free(g);
	free(bytes);
}

struct watch {
	uint64_t last, all;
	unsigned calls;
	bool stop;
};

static void watch(void *context, const char *tensor, uint64_t done, uint64_t all)
{
	struct watch *w = context;

	assert_non_null(tensor);
	assert_true(done > w->last && done <= all);
	w->last = done;
	w->all = all;
	w->stop = ++w->calls == 3;
}

static void progress_ends_at_the_whole_and_a_stop_ends_early(void **state)
{
	uint8_t *bytes;
	struct gguf *g = model(&wide, &bytes);
	struct watch w = {0};
	struct outcome o = run(g, "Q4_0", 2, watch, &w, NULL);

	(void)state;
	assert_int_equal(o.rc, AYNI_OK);
	assert_true(w.all > 0 && w.last == w.all);
	outcome_free(&o);
	w = (struct watch){0};
	o = run(g, "Q4_0", 2, watch, &w, &w.stop);
	assert_int_equal(o.rc, AYNI_ERR_STATE);
	assert_int_equal(w.calls, 3);
	outcome_free(&o);
	gguf_free(g);
	free(bytes);
}

static void names_of_recipes_are_found_in_any_case(void **state)
{
	(void)state;
	assert_null(quantize_recipe_find("Q9_0"));
	assert_null(quantize_recipe_find(""));
	assert_ptr_equal(quantize_recipe_find("q4_k"), quantize_recipe_find("Q4_K"));
	assert_non_null(strstr(quantize_recipes(), "Q4_K_M"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_recipe_keeps_every_tensor_near),
	    cmocka_unit_test(a_mix_keeps_what_is_hurt_most_in_the_richer_type),
	    cmocka_unit_test(a_tied_embedding_counts_as_the_output),
	    cmocka_unit_test(rows_that_do_not_fit_take_smaller_blocks),
	    cmocka_unit_test(any_number_of_threads_writes_the_same_bytes),
	    cmocka_unit_test(a_made_file_still_is_a_model),
	    cmocka_unit_test(metadata_of_every_type_is_taken_over),
	    cmocka_unit_test(refuses_weights_that_are_no_numbers),
	    cmocka_unit_test(refuses_a_tensor_of_a_type_it_cannot_read),
	    cmocka_unit_test(progress_ends_at_the_whole_and_a_stop_ends_early),
	    cmocka_unit_test(names_of_recipes_are_found_in_any_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
