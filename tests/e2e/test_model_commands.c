/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni model quantize` and `ayni model eval` with --text and --compare, as people run them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/gguf_build.h"
#include "tests/support/network.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

static const char text[] = "Ayni is today for you, tomorrow for me: the work comes back.";

enum { N = sizeof text - 1 }; /* the tiny model's tokens are bytes */

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
static char model_path[512], text_path[512];

static int run(struct scratch *s, const char *const *args)
{
	struct network n = {0};

	(void)snprintf(n.folder, sizeof n.folder, "%s", s->folder);
	return network_run(&n, args, NULL, out, err);
}

#define RUN(scratch, ...) run(scratch, (const char *const[]){__VA_ARGS__, NULL})

static int set_up(void **state)
{
	struct scratch *s = calloc(1, sizeof *s);
	FILE *f;

	assert_non_null(s);
	scratch_make(s);
	(void)snprintf(model_path, sizeof model_path, "%s", scratch_path(s, "model.gguf"));
	(void)snprintf(text_path, sizeof text_path, "%s", scratch_path(s, "text"));
	assert_int_equal(
	    tiny_model_write(model_path, &(struct tiny_model_options){.d_model = 256, .d_ff = 256}),
	    0);
	f = fopen(text_path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, N, f), N);
	assert_int_equal(fclose(f), 0);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	scratch_remove(*state);
	free(*state);
	return 0;
}

/* ---- perplexity ----------------------------------------------------------------------------- */

static json_t *result(void)
{
	json_t *root = json_loads(out, 0, NULL);

	assert_non_null(root);
	return root;
}

static double number(const json_t *root, const char *key)
{
	const json_t *value = json_object_get(root, key);

	assert_true(json_is_number(value));
	return json_number_value(value);
}

/* -log p of text[first .. end) after text[begin ..], from all logits of the other form of eval. */
static double likelihood(struct scratch *s, int begin, int first, int end)
{
	char tokens[4 * N + 1] = "", top[8];
	double nll = 0.0;

	for (int i = begin; i < end; i++)
		(void)snprintf(tokens + strlen(tokens), sizeof tokens - strlen(tokens), "%s%d",
		    i > begin ? "," : "", text[i]);
	(void)snprintf(top, sizeof top, "%d", TINY_MODEL_VOCABULARY);
	assert_int_equal(RUN(s, "model", "eval", model_path, "--tokens", tokens, "--top", top), 0);

	json_t *root = result();

	for (int i = first; i < end; i++) {
		const json_t *row =
		    json_array_get(json_object_get(root, "top"), (size_t)(i - 1 - begin));
		double sum = 0.0, logit = NAN;

		for (size_t k = 0; k < json_array_size(row); k++) {
			const json_t *pair = json_array_get(row, k);
			double value = json_number_value(json_array_get(pair, 1));

			sum += exp(value);
			if (json_integer_value(json_array_get(pair, 0)) == text[i])
				logit = value;
		}
		nll += log(fmax(sum, 1e-300)) - logit;
	}
	json_decref(root);
	return nll;
}

static void perplexity_is_the_likelihood_of_all_tokens_but_the_first(void **state)
{
	assert_int_equal(
	    RUN(*state, "model", "eval", model_path, "--text", text_path, "--json"), 0);

	json_t *root = result();
	double nll = likelihood(*state, 0, 1, N);

	assert_true(fabs(number(root, "nll") - nll) < 1e-4);
	assert_true(
	    fabs(number(root, "perplexity") - exp(nll / (N - 1))) < 1e-4 * exp(nll / (N - 1)));
	assert_true(fabs(number(root, "bits_per_byte") - nll / log(2.0) / N) < 1e-5);
	assert_true(number(root, "tokens") == N - 1);
	json_decref(root);
}

static void a_sliding_window_counts_each_token_once(void **state)
{
	double nll = likelihood(*state, 0, 1, 20);

	for (int begin = 15; begin + 5 < N; begin += 15) /* 20 at once, 15 further each time */
		nll += likelihood(*state, begin, begin + 5, begin + 20 < N ? begin + 20 : N);
	assert_int_equal(RUN(*state, "model", "eval", model_path, "--text", text_path, "--window",
	                     "20", "--stride", "15", "--json"),
	    0);

	json_t *root = result();

	assert_true(number(root, "tokens") == N - 1);
	assert_true(fabs(number(root, "nll") - nll) < 1e-4);
	json_decref(root);
	assert_int_equal(RUN(*state, "model", "eval", model_path, "--text", text_path, "--window",
	                     "20", "--stride", "15"),
	    0);
	assert_non_null(strstr(out, "sliding window of 20 tokens, stride 15"));
}

static void perplexity_refuses_what_cannot_be(void **state)
{
	assert_int_equal(RUN(*state, "model", "eval", model_path, "--text", text_path, "--window",
	                     "20", "--stride", "20"),
	    2);
	assert_non_null(strstr(err, "from 1 to 19"));
	assert_int_equal(
	    RUN(*state, "model", "eval", model_path, "--text", text_path, "--window", "100000"), 2);
	assert_int_equal(RUN(*state, "model", "eval", model_path, "--text", "/nowhere"), 1);
	assert_non_null(strstr(err, "/nowhere"));
	assert_int_equal(
	    RUN(*state, "model", "eval", model_path, "--text", text_path, "--tokens", "1"), 2);
	assert_int_equal(RUN(*state, "model", "eval", model_path), 2);
}

/* ---- agreement ------------------------------------------------------------------------------ */

/* More tokens than the class fast leaves to the exact kernels. */
static const char *tokens_of_text(void)
{
	static char list[N * 4 + 1];
	size_t len = 0;

	for (size_t i = 0; i < N; i++)
		len += (size_t)snprintf(list + len, sizeof list - len, "%s%u", i > 0 ? "," : "",
		    (unsigned char)text[i]);
	return list;
}

static void fast_kernels_agree_with_exact_ones_in_each_layer(void **state)
{
	json_t *lines, *line;
	size_t i;

	assert_int_equal(RUN(*state, "model", "eval", model_path, "--tokens", tokens_of_text(),
	                     "--kernels", "fast", "--compare", "auto", "--json"),
	    0);
	lines = result();
	assert_int_equal(json_array_size(lines), 4); /* three layers, and logits */
	json_array_foreach(lines, i, line)
	{
		assert_true(json_is_true(json_object_get(line, "agrees")));
		assert_true(number(line, "row_error") > 0.0);
		assert_true(number(line, "row_error") < 5e-3);
	}
	json_decref(lines);
	assert_int_equal(RUN(*state, "model", "eval", model_path, "--tokens", tokens_of_text(),
	                     "--compare", "scalar"),
	    0);
	assert_non_null(strstr(out, "0.0e+00   0.0e+00    0.0000   agrees"));
}

static void comparing_refuses_what_cannot_be(void **state)
{
	assert_int_equal(RUN(*state, "model", "eval", model_path, "--compare", "auto"), 2);
	assert_int_equal(RUN(*state, "model", "eval", model_path, "--tokens", "1", "--greedy", "2",
	                     "--compare", "auto"),
	    2);
	assert_int_equal(
	    RUN(*state, "model", "eval", model_path, "--tokens", "1", "--compare", "x"), 2);
	assert_non_null(strstr(err, "no kernels \"x\" on this machine"));
}

/* ---- quantise ------------------------------------------------------------------------------- */

static void a_quantised_model_runs_and_loses_little(void **state)
{
	char made[512];

	(void)snprintf(made, sizeof made, "%s", scratch_path(*state, "made.gguf"));
	assert_int_equal(RUN(*state, "model", "quantize", model_path, made, "Q6_K"), 0);
	assert_non_null(strstr(out, "Q6_K"));
	assert_int_equal(RUN(*state, "model", "inspect", made), 0);
	assert_non_null(strstr(out, "Q6_K x "));
	assert_int_equal(RUN(*state, "model", "eval", made, "--text", text_path, "--json"), 0);

	json_t *root = result();
	double nll = likelihood(*state, 0, 1, N);

	assert_true(fabs(number(root, "nll") - nll) < 0.05 * nll);
	json_decref(root);
}

static void a_file_that_is_there_is_not_replaced_unasked(void **state)
{
	char made[512];

	(void)snprintf(made, sizeof made, "%s", scratch_path(*state, "there.gguf"));
	assert_int_equal(RUN(*state, "model", "quantize", model_path, made, "Q8_0"), 0);
	assert_int_equal(RUN(*state, "model", "quantize", model_path, made, "Q4_0"), 1);
	assert_non_null(strstr(err, "--force"));
	assert_int_equal(RUN(*state, "model", "quantize", model_path, made, "Q4_0", "--force"), 0);
	assert_int_equal(
	    RUN(*state, "model", "quantize", model_path, model_path, "Q4_0", "--force"), 2);
	assert_non_null(strstr(err, "is the input"));
}

static void a_failure_leaves_no_file_behind(void **state)
{
	struct gguf_build *b = gguf_build_new(3);
	float values[64] = {NAN};
	char bad[512], made[512], part[520];

	gguf_build_string(b, "general.architecture", "llama");
	gguf_build_tensor_f32(b, "bad.weight", TENSOR_F32, 2, (uint64_t[]){32, 2}, values);
	(void)snprintf(bad, sizeof bad, "%s", scratch_path(*state, "bad.gguf"));
	(void)snprintf(made, sizeof made, "%s", scratch_path(*state, "never.gguf"));
	(void)snprintf(part, sizeof part, "%s.part", made);
	gguf_build_write(b, bad);
	assert_int_equal(RUN(*state, "model", "quantize", bad, made, "Q8_0"), 1);
	assert_non_null(strstr(err, "bad.weight"));
	assert_int_not_equal(access(made, F_OK), 0);
	assert_int_not_equal(access(part, F_OK), 0);
	assert_int_equal(RUN(*state, "model", "quantize", model_path, made, "Q9"), 2);
	assert_non_null(strstr(err, "Q4_K_M"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(perplexity_is_the_likelihood_of_all_tokens_but_the_first),
	    cmocka_unit_test(a_sliding_window_counts_each_token_once),
	    cmocka_unit_test(perplexity_refuses_what_cannot_be),
	    cmocka_unit_test(fast_kernels_agree_with_exact_ones_in_each_layer),
	    cmocka_unit_test(comparing_refuses_what_cannot_be),
	    cmocka_unit_test(a_quantised_model_runs_and_loses_little),
	    cmocka_unit_test(a_file_that_is_there_is_not_replaced_unasked),
	    cmocka_unit_test(a_failure_leaves_no_file_behind),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
