/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spine: what a network of donors computes equals what one machine computes, bit for bit, for
 * each tensor type, any split, thread count and instruction set.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/network.h"
#include "tests/support/tiny_model.h"

#define TOKENS "257,117,115,101,114,10,72,101,108,108,111,258,10,257"

static char reference[NETWORK_OUTPUT], other[NETWORK_OUTPUT], errors[NETWORK_OUTPUT];

struct setup {
	const char *kernels, *cores;
};

static const struct setup setups[] = {
    {"scalar", "1"}, {"scalar", "2"}, {"auto", "1"}, {"auto", "2"}};

enum { N_SETUPS = sizeof setups / sizeof *setups, N_GREEDY = 6 };

/* What a session declares; both change what a model says, but not from machine to machine. */
struct types {
	const char *kv, *wire;
};

static const struct types usual = {"f16", "f32"};

static void evaluate_here(
    const char *model, const struct setup *s, const struct types *t, char *out)
{
	const struct network nowhere = {.folder = "/tmp"};
	const char *args[] = {"model", "eval", model, "--tokens", TOKENS, "--greedy", "6", "--top",
	    "259", "--threads", s->cores, "--kernels", s->kernels, "--kv", t->kv, "--wire", t->wire,
	    NULL};

	if (network_run(&nowhere, args, NULL, out, errors) != 0)
		fail_msg("%s", errors);
}

static void evaluate_in_pool(const struct network *n, const char *wire, char *out)
{
	const char *args[] = {"model", "eval", "--pool", n->invite, "--tokens", TOKENS, "--greedy",
	    "6", "--top", "259", "--wire", wire, NULL};

	if (network_run(n, args, NULL, out, errors) != 0)
		fail_msg("%s", errors);
}

/* `stages` donors; the setups go round among them, beginning with number `first`. */
static void compare_split(const char *model, int stages, size_t first, const struct types *t)
{
	struct network n;
	char stages_text[32], kv_text[32];
	const char *pool_settings[] = {stages_text, kv_text, NULL};

	(void)snprintf(stages_text, sizeof stages_text, "stages=%d", stages);
	(void)snprintf(kv_text, sizeof kv_text, "kv=%s", t->kv);
	network_start(&n, model, pool_settings);
	for (int i = 0; i < stages; i++) {
		const struct setup *s = &setups[(first + (size_t)i) % N_SETUPS];
		char kernels[32], cores[32];
		const char *settings[] = {kernels, cores, NULL};

		(void)snprintf(kernels, sizeof kernels, "kernels=%s", s->kernels);
		(void)snprintf(cores, sizeof cores, "cores=%s", s->cores);
		network_donor(&n, i, NULL, settings);
	}
	network_wait_ready(&n);
	evaluate_in_pool(&n, t->wire, other);
	assert_string_equal(other, reference);
	network_stop(&n);
}

static void compare_type(enum tensor_type type)
{
	const struct tiny_model_options options = {.type = type, .n_layers = 4, .seed = 7};
	char *model = tiny_model_temporary(&options);

	evaluate_here(model, &setups[0], &usual, reference);
	assert_non_null(strstr(reference, "\"greedy\":["));
	for (size_t i = 1; i < N_SETUPS; i++) {
		evaluate_here(model, &setups[i], &usual, other);
		assert_string_equal(other, reference);
	}
	for (size_t i = network_is_brief() ? N_SETUPS - 1 : 0; i < N_SETUPS; i++)
		compare_split(model, 1, i, &usual);
	compare_split(model, 2, 0, &usual);
	compare_split(model, 2, 2, &usual);
	compare_split(model, 4, 0, &usual);
	tiny_model_remove(model);
}

static void f32_is_the_same_through_1_2_and_4_donors(void **state)
{
	(void)state;
	compare_type(TENSOR_F32);
}

static void f16_is_the_same_through_1_2_and_4_donors(void **state)
{
	(void)state;
	compare_type(TENSOR_F16);
}

static void bf16_is_the_same_through_1_2_and_4_donors(void **state)
{
	(void)state;
	compare_type(TENSOR_BF16);
}

static void q8_0_is_the_same_through_1_2_and_4_donors(void **state)
{
	(void)state;
	compare_type(TENSOR_Q8_0);
}

static void q4_0_is_the_same_through_1_2_and_4_donors(void **state)
{
	(void)state;
	compare_type(TENSOR_Q4_0);
}

/* Not what the usual types give, but the same everywhere. */
static void compare_types(const struct tiny_model_options *options, const struct types *t)
{
	char *model = tiny_model_temporary(options);

	evaluate_here(model, &setups[0], t, reference);
	evaluate_here(model, &setups[3], t, other);
	assert_string_equal(other, reference);
	evaluate_here(model, &setups[0], &usual, other);
	assert_string_not_equal(other, reference);
	compare_split(model, 2, 1, t);
	compare_split(model, 4, 0, t);
	tiny_model_remove(model);
}

static void int8_keys_and_values_are_the_same_through_2_donors(void **state)
{
	const struct tiny_model_options options = {
	    .n_layers = 4, .d_head = 32, .d_value = 32, .seed = 7};

	(void)state;
	compare_types(&options, &(struct types){"int8", "f32"});
}

static void a_narrower_wire_is_the_same_through_any_split(void **state)
{
	const struct tiny_model_options options = {.n_layers = 4, .seed = 7};

	(void)state;
	compare_types(&options, &(struct types){"f16", "f16"});
	compare_types(&options, &(struct types){"f16", "q8"});
}

static void start_two_stages(struct network *n, const char *model, const char *setting)
{
	static const char *const donor[] = {"cores=1", NULL};
	const char *settings[] = {"stages=2", setting, NULL};

	network_start(n, model, settings);
	network_donor(n, 0, NULL, donor);
	network_donor(n, 1, NULL, donor);
	network_wait_ready(n);
}

static void say(const struct network *n, const char *message, char *out)
{
	const char *args[] = {"chat", "--raw", "--pool", n->invite, "--max-tokens", "200",
	    "--temperature", "0.05", "--seed", "3", message, NULL};

	if (network_run(n, args, NULL, out, errors) != 0)
		fail_msg("%s", errors);
}

/* What a pool says, with or without guesses; a model of random weights soon repeats itself. */
static void chat_in_pool(const char *model, const char *draft, char *out)
{
	struct network n;

	start_two_stages(&n, model, draft);
	say(&n, "hello", out);
	network_stop(&n);
}

/* Two long messages with the same beginning, and the first again. */
static void what_is_known_already_changes_nothing(void **state)
{
	static const char start[] =
	    "Each by ability, to each by need: a long text that two of them begin with, which is "
	    "more than a page of tokens, and which is to be known when it comes again. ";
	const struct tiny_model_options options = {.n_layers = 4, .seed = 7};
	static char second[NETWORK_OUTPUT];
	char *model = tiny_model_temporary(&options);
	char messages[2][300];
	struct network n;

	(void)state;
	(void)snprintf(messages[0], sizeof messages[0], "%sOne of them.", start);
	(void)snprintf(messages[1], sizeof messages[1], "%sAnother one.", start);
	start_two_stages(&n, model, "keep_s=0");
	say(&n, messages[0], reference);
	say(&n, messages[1], second);
	assert_null(strstr(errors, "known"));
	network_stop(&n);
	start_two_stages(&n, model, "keep_s=300");
	say(&n, messages[0], other);
	assert_string_equal(other, reference);
	assert_null(strstr(errors, "known"));
	say(&n, messages[1], other);
	assert_string_equal(other, second);
	assert_non_null(strstr(errors, ", 128 of them known,"));
	say(&n, messages[0], other);
	assert_string_equal(other, reference);
	assert_non_null(strstr(errors, " of them known,"));
	network_stop(&n);
	tiny_model_remove(model);
}

static void guessed_tokens_change_nothing(void **state)
{
	const struct tiny_model_options options = {.n_layers = 4, .seed = 7};
	char *model = tiny_model_temporary(&options);

	(void)state;
	chat_in_pool(model, "draft_tokens=0", reference);
	assert_null(strstr(errors, "guessed"));
	chat_in_pool(model, "draft_tokens=16", other);
	assert_non_null(strstr(errors, "guessed tokens right"));
	assert_string_equal(other, reference);
	tiny_model_remove(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(f32_is_the_same_through_1_2_and_4_donors),
	    cmocka_unit_test(f16_is_the_same_through_1_2_and_4_donors),
	    cmocka_unit_test(bf16_is_the_same_through_1_2_and_4_donors),
	    cmocka_unit_test(q8_0_is_the_same_through_1_2_and_4_donors),
	    cmocka_unit_test(q4_0_is_the_same_through_1_2_and_4_donors),
	    cmocka_unit_test(guessed_tokens_change_nothing),
	    cmocka_unit_test(what_is_known_already_changes_nothing),
	    cmocka_unit_test(a_narrower_wire_is_the_same_through_any_split),
	    cmocka_unit_test(int8_keys_and_values_are_the_same_through_2_donors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
