/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni bench`, as people run it: on a tiny model, and asked wrongly. */
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

#include "tests/support/network.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

static int run(struct scratch *s, const char *const *args)
{
	struct network n = {0};

	(void)snprintf(n.folder, sizeof n.folder, "%s", s->folder);
	return network_run(&n, args, NULL, out, err);
}

#define RUN(scratch, ...) run(scratch, (const char *const[]){"bench", __VA_ARGS__, NULL})

static int make_scratch(void **state)
{
	struct scratch *s = calloc(1, sizeof *s);

	assert_non_null(s);
	scratch_make(s);
	*state = s;
	return 0;
}

static int remove_scratch(void **state)
{
	scratch_remove(*state);
	free(*state);
	return 0;
}

static void a_model_is_measured_in_every_phase(void **state)
{
	char *model = tiny_model_temporary(
	    &(struct tiny_model_options){.type = TENSOR_Q8_0, .context_tokens = 600});
	char svg[512];
	json_t *root, *cases;

	(void)snprintf(svg, sizeof svg, "%s", scratch_path(*state, "roofline.svg"));
	assert_int_equal(
	    RUN(*state, model, "--quick", "--json", "--threads", "1", "--svg", svg), 0);
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	root = json_loads(out, 0, NULL);
	assert_true(json_number_value(json_object_get(root, "read_gbps")) > 0.0);
	assert_int_equal(json_integer_value(json_object_get(root, "threads")), 1);
	cases = json_object_get(root, "cases");
	assert_int_equal(json_array_size(cases), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *c = json_array_get(cases, i);

		assert_string_equal(json_string_value(json_object_get(c, "type")), "Q8_0");
		assert_string_equal(
		    json_string_value(json_object_get(c, "phase")), i == 0 ? "decode" : "prefill");
		assert_int_equal(json_integer_value(json_object_get(c, "batch")), 1);
		assert_true(json_number_value(json_object_get(c, "tokens_per_s")) > 0.0);
		assert_true(json_number_value(json_object_get(c, "percent_of_limit")) > 0.0);
	}
	assert_int_equal(json_array_size(json_object_get(root, "loads")), 1);
	assert_int_equal(json_array_size(json_object_get(root, "products")), 2);
	assert_int_equal(access(svg, R_OK), 0);
	json_decref(root);
	tiny_model_remove(model);
}

static void a_prompt_is_measured_in_both_classes(void **state)
{
	static const char *const classes[] = {"exact", "fast"};
	char *model = tiny_model_temporary(
	    &(struct tiny_model_options){.type = TENSOR_Q8_0, .context_tokens = 600});
	json_t *root, *cases;

	assert_int_equal(RUN(*state, model, "--phase", "prefill", "--json", "--threads", "1"), 0);
	root = json_loads(out, 0, NULL);
	cases = json_object_get(root, "cases");
	assert_int_equal(json_array_size(cases), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *c = json_array_get(cases, i);

		assert_string_equal(json_string_value(json_object_get(c, "class")), classes[i]);
		assert_string_equal(json_string_value(json_object_get(c, "phase")), "prefill");
		assert_true(json_number_value(json_object_get(c, "tokens_per_s")) > 0.0);
	}
	json_decref(root);
	assert_int_equal(
	    RUN(*state, model, "--quick", "--phase", "prefill", "--kernels", "fast"), 0);
	assert_non_null(strstr(out, "kernels fast, "));
	assert_non_null(strstr(out, "| fast    | prefill |"));
	tiny_model_remove(model);
}

static void tables_name_the_machine_and_its_limits(void **state)
{
	char *model = tiny_model_temporary(NULL);

	assert_int_equal(
	    RUN(*state, model, "--quick", "--phase", "decode", "--kernels", "scalar"), 0);
	assert_non_null(strstr(out, "kernels scalar, "));
	assert_non_null(strstr(out, " GB/s read from memory, "));
	assert_non_null(strstr(out, "| decode  |"));
	assert_null(strstr(out, "| prefill |"));
	assert_null(strstr(out, "| kernel |"));
	tiny_model_remove(model);
}

static void wrong_usage_says_what_is_known(void **state)
{
	assert_int_equal(RUN(*state, "--type", "Q9"), 2);
	assert_non_null(strstr(err, "--type Q9: F32, F16, "));
	assert_int_equal(RUN(*state, "--geometry", "x"), 2);
	assert_non_null(strstr(err, "--geometry x: llama-3.2-1b, "));
	assert_int_equal(RUN(*state, "--phase", "x"), 2);
	assert_non_null(strstr(err, "--phase x: prefill, decode, load, products are known"));
	assert_int_equal(RUN(*state, "--kernels", "x"), 2);
	assert_non_null(strstr(err, "no kernels \"x\" on this machine"));
	assert_int_equal(RUN(*state, "a.gguf", "--type", "Q8_0"), 2);
	assert_non_null(strstr(err, "go without FILE"));
	assert_int_equal(RUN(*state, "a.gguf", "b.gguf"), 2);
	assert_int_equal(RUN(*state, "--quick", "--type", "Q5_1", "--phase", "decode"), 2);
	assert_non_null(strstr(err, "there is no such case"));
}

static void files_that_cannot_be_read_or_written_are_named(void **state)
{
	assert_int_equal(RUN(*state, "nothing.gguf"), 1);
	assert_non_null(strstr(err, "nothing.gguf"));
	assert_int_equal(RUN(*state, "README.md"), 1);
	assert_non_null(strstr(err, "README.md: gguf: "));
	assert_int_equal(RUN(*state, "--svg", "/nowhere/roofline.svg"), 1);
	assert_non_null(strstr(err, "cannot write /nowhere/roofline.svg: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        a_model_is_measured_in_every_phase, make_scratch, remove_scratch),
	    cmocka_unit_test_setup_teardown(
	        a_prompt_is_measured_in_both_classes, make_scratch, remove_scratch),
	    cmocka_unit_test_setup_teardown(
	        tables_name_the_machine_and_its_limits, make_scratch, remove_scratch),
	    cmocka_unit_test_setup_teardown(
	        wrong_usage_says_what_is_known, make_scratch, remove_scratch),
	    cmocka_unit_test_setup_teardown(
	        files_that_cannot_be_read_or_written_are_named, make_scratch, remove_scratch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
