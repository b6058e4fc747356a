/* SPDX-License-Identifier: Apache-2.0 */
/* What people meet at the command line: exit statuses, errors that say what to do, formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/network.h"
#include "tests/support/random_models.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

/* Run without a pool, in a home folder of the test's own. */
static int run(struct scratch *s, const char *input, const char *const *args)
{
	struct network n = {0};

	(void)snprintf(n.folder, sizeof n.folder, "%s", s->folder);
	return network_run(&n, args, input, out, err);
}

#define RUN(scratch, input, ...) run(scratch, input, (const char *const[]){__VA_ARGS__, NULL})

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

static void every_command_has_help(void **state)
{
	static const char *const commands[] = {"demo", "chat", "serve", "donate", "pool", "invite",
	    "status", "ledger", "run", "model", "key", "bench"};

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		assert_int_equal(RUN(*state, NULL, commands[i], "--help"), 0);
		assert_non_null(strstr(out, "Usage: ayni"));
		assert_string_equal(err, "");
	}
	assert_int_equal(RUN(*state, NULL, "--help"), 0);
	assert_int_equal(RUN(*state, NULL, "--version"), 0);
}

/* What bash offers for the last of these words, through its real completion. */
static void complete(const char *words, char *to, size_t size)
{
	const char *program = network_program();
	char script[1024];
	FILE *f;
	size_t n;

	(void)snprintf(script, sizeof script,
	    "bash -c 'PATH=%.*s:$PATH; source configs/completions/ayni.bash; "
	    "COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ayni; "
	    "echo ${COMPREPLY[@]}'",
	    (int)(strrchr(program, '/') - program), program, words);
	f = tool_open(script);
	n = fread(to, 1, size - 1, f);
	to[n] = '\0';
	assert_true(tool_close(f));
}

static void the_shell_completes_commands_and_their_options(void **state)
{
	char offered[4096];

	(void)state;
	complete("ayni \"\"", offered, sizeof offered);
	assert_non_null(strstr(offered, "chat donate pool"));
	complete("ayni ledger rec", offered, sizeof offered);
	assert_string_equal(offered, "reconcile\n");
	complete("ayni chat --temp", offered, sizeof offered);
	assert_string_equal(offered, "--temperature=\n");
	complete("ayni nothing --", offered, sizeof offered);
	assert_null(strstr(offered, "--temperature"));
}

static void wrong_usage_ends_with_2_and_says_what_is_known(void **state)
{
	assert_int_equal(RUN(*state, NULL, "danse"), 2);
	assert_non_null(strstr(err, "there is no command \"danse\""));
	assert_int_equal(RUN(*state, NULL, "chat"), 2);
	assert_non_null(strstr(err, "--pool INVITE is needed"));
	assert_int_equal(RUN(*state, NULL, "run", "x.gguf", "-p", "a", "--top-k", "many"), 2);
	assert_non_null(strstr(err, "--top-k many: a whole number from 0"));
	assert_int_equal(RUN(*state, NULL, "chat", "--pool", "http://example.org"), 2);
	assert_non_null(strstr(err, "ayni://"));
}

static void a_key_is_made_once_and_is_its_owners_alone(void **state)
{
	struct scratch *s = *state;
	char first[128];
	struct stat st;

	assert_int_equal(RUN(s, NULL, "key"), 0);
	assert_int_equal(strlen(out), 65);
	(void)snprintf(first, sizeof first, "%s", out);
	assert_int_equal(stat(scratch_path(s, "member/key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(RUN(s, NULL, "key"), 0);
	assert_string_equal(out, first);
	assert_int_equal(chmod(scratch_path(s, "member/key"), 0644), 0);
	assert_int_equal(RUN(s, NULL, "key"), 1);
	assert_non_null(strstr(err, "chmod"));
}

static void a_wrong_setting_is_named_with_its_line(void **state)
{
	struct scratch *s = *state;
	const char *path = scratch_path(s, "pool.conf");
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs("[pool]\nname = x\nstages = lots\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(RUN(s, NULL, "pool", "--config", path), 2);
	assert_non_null(strstr(err, "pool.conf:3: stages = lots: a whole number from 0 to 1024"));
}

static void the_example_configurations_are_valid(void **state)
{
	assert_int_equal(
	    RUN(*state, NULL, "pool", "--config", "configs/pool.conf", "--set", "x=1"), 2);
	assert_non_null(strstr(err, "--set: unknown key \"x\""));
	assert_int_equal(RUN(*state, NULL, "donate", "--config", "configs/donor.conf"), 2);
	assert_non_null(strstr(err, "--pool INVITE is needed"));
}

static void inspect_names_layers_types_and_sizes(void **state)
{
	char *model = tiny_model_temporary(&(struct tiny_model_options){.type = TENSOR_Q8_0});

	assert_int_equal(RUN(*state, NULL, "model", "inspect", model), 0);
	assert_non_null(strstr(out, "general.architecture"));
	assert_non_null(strstr(out, "Q8_0 x "));
	assert_non_null(strstr(out, "layer 2"));
	assert_int_equal(RUN(*state, NULL, "model", "inspect", "README.md"), 1);
	assert_non_null(strstr(err, "README.md"));
	tiny_model_remove(model);
}

static void tokenize_prints_ids_with_commas(void **state)
{
	char *model = tiny_model_temporary(NULL);

	assert_int_equal(RUN(*state, "Hi<|im_end|>", "model", "tokenize", "--special", model), 0);
	assert_non_null(strstr(out, ",258\n"));
	assert_int_equal(RUN(*state, "", "model", "tokenize", model), 0);
	assert_string_equal(out, "\n");
	tiny_model_remove(model);
}

static void eval_prints_one_line_of_json(void **state)
{
	char *model = tiny_model_temporary(NULL);
	json_t *root, *top;

	assert_int_equal(RUN(*state, NULL, "model", "eval", model, "--tokens", "1,2,3", "--greedy",
	                     "2", "--top", "4"),
	    0);
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	root = json_loads(out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(root, "prompt")), 3);
	top = json_object_get(root, "top");
	assert_int_equal(json_array_size(top), 3);
	assert_int_equal(json_array_size(json_array_get(top, 2)), 4);
	assert_int_equal(json_array_size(json_object_get(root, "greedy")), 2);
	/* the first greedy token is the best of the last position */
	assert_int_equal(json_integer_value(json_array_get(json_object_get(root, "greedy"), 0)),
	    json_integer_value(json_array_get(json_array_get(json_array_get(top, 2), 0), 0)));
	json_decref(root);
	assert_int_equal(RUN(*state, NULL, "model", "eval", model, "--tokens", "1,259"), 2);
	assert_non_null(strstr(err, "259"));
	tiny_model_remove(model);
}

static void run_is_reproducible_from_its_seed(void **state)
{
	char *model = tiny_model_temporary(NULL);
	static char first[NETWORK_OUTPUT];

	assert_int_equal(RUN(*state, NULL, "run", model, "-p", "Hello", "-n", "20", "--temperature",
	                     "1", "--top-k", "50", "--top-p", "0.9", "--seed", "5"),
	    0);
	assert_non_null(strstr(err, "tokens/s"));
	(void)snprintf(first, sizeof first, "%s", out);
	assert_int_equal(RUN(*state, NULL, "run", model, "-p", "Hello", "-n", "20", "--temperature",
	                     "1", "--top-k", "50", "--top-p", "0.9", "--seed", "5", "--kernels",
	                     "scalar", "--threads", "1"),
	    0);
	assert_string_equal(out, first);
	assert_int_equal(RUN(*state, NULL, "run", model, "-p", "Hello", "-n", "20", "--temperature",
	                     "1", "--top-k", "50", "--top-p", "0.9", "--seed", "6"),
	    0);
	assert_string_not_equal(out, first);
	tiny_model_remove(model);
}

/* 40 tokens: more than a product needs to be made by OpenBLAS. */
#define LONG_PROMPT                                                                                \
	"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"           \
	"30,31,32,33,34,35,36,37,38,39,40"

/* The largest logit of the long prompt's first token, as these kernels compute it. */
static double best_logit(struct scratch *s, const char *model, const char *kernels)
{
	const json_t *row;
	json_t *root;
	double logit;

	assert_int_equal(RUN(s, NULL, "model", "eval", model, "--tokens", LONG_PROMPT, "--top", "1",
	                     "--kernels", kernels),
	    0);
	root = json_loads(out, 0, NULL);
	row = json_array_get(json_object_get(root, "top"), 0);
	logit = json_number_value(json_array_get(json_array_get(row, 0), 1));
	json_decref(root);
	return logit;
}

static void the_class_fast_gives_nearly_the_same_where_it_is_asked_for(void **state)
{
	char *model = tiny_model_temporary(&(struct tiny_model_options){.type = TENSOR_Q8_0});
	double exact = best_logit(*state, model, "auto"), fast = best_logit(*state, model, "fast");

	assert_true(exact > 0.0);
	assert_true(fast != exact);
	assert_true(fast > exact * 0.9 && fast < exact * 1.1);
	assert_int_equal(RUN(*state, NULL, "run", model, "--raw", "-n", "3", "--kernels", "fast",
	                     "-p", "a prompt of more than thirty-two bytes, each of them a token"),
	    0);
	assert_non_null(strstr(err, "[fast, "));
	assert_int_equal(
	    RUN(*state, NULL, "run", model, "-n", "1", "--kernels", "x", "-p", "a"), 2);
	assert_non_null(strstr(err, "no kernels \"x\" on this machine: auto, scalar, "));
	tiny_model_remove(model);
}

/* Before it says a word to the pool, so that none is needed. */
static void a_donor_refuses_kernels_that_are_not_exact(void **state)
{
	const char *invite =
	    "ayni://127.0.0.1:1?key="
	    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff&token="
	    "0123456789abcdef0123456789abcdef";

	assert_int_equal(RUN(*state, NULL, "donate", "--pool", invite, "--set", "kernels=fast"), 2);
	assert_non_null(strstr(err, "kernels = fast: a donor's results are compared to the bit"));
}

static void an_invite_counts_its_uses(void **state)
{
	static const char *const donor[] = {"cores=1", NULL};
	char *model = tiny_model_temporary(NULL);
	struct network n;
	char folder[NETWORK_PATH * 2];
	const char *invite[] = {"invite", "--folder", folder, "--uses", "1", NULL};
	char one[NETWORK_PATH];
	char *text;

	(void)state;
	network_start(&n, model, NULL);
	(void)snprintf(folder, sizeof folder, "%s/pool", n.folder);
	assert_int_equal(network_run(&n, invite, NULL, out, err), 0);
	out[strcspn(out, "\n")] = '\0';
	assert_true(strlen(out) < sizeof one);
	memcpy(one, out, strlen(out) + 1);
	network_donor(&n, 0, one, donor);
	network_wait_ready(&n);
	network_donor(&n, 1, one, donor);
	assert_int_equal(network_wait_end(n.donors[1]), 1);
	n.donors[1] = 0;
	text = network_read(&n, "donor1.err");
	assert_non_null(strstr(text, "the pool refuses the invite"));
	free(text);
	network_stop(&n);
	tiny_model_remove(model);
}

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, make_scratch, remove_scratch)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_SCRATCH(every_command_has_help),
	    cmocka_unit_test(the_shell_completes_commands_and_their_options),
	    WITH_SCRATCH(wrong_usage_ends_with_2_and_says_what_is_known),
	    WITH_SCRATCH(a_key_is_made_once_and_is_its_owners_alone),
	    WITH_SCRATCH(a_wrong_setting_is_named_with_its_line),
	    WITH_SCRATCH(the_example_configurations_are_valid),
	    WITH_SCRATCH(inspect_names_layers_types_and_sizes),
	    WITH_SCRATCH(tokenize_prints_ids_with_commas),
	    WITH_SCRATCH(eval_prints_one_line_of_json),
	    WITH_SCRATCH(run_is_reproducible_from_its_seed),
	    WITH_SCRATCH(the_class_fast_gives_nearly_the_same_where_it_is_asked_for),
	    WITH_SCRATCH(a_donor_refuses_kernels_that_are_not_exact),
	    cmocka_unit_test(an_invite_counts_its_uses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
