/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every family of models through a real network: what three donors compute together equals what one
 * machine computes, bit for bit; and a model of DeepSeek-V3's shape runs over eight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/network.h"
#include "tests/support/random_models.h"

/* A turn of chat in bytes and control tokens, longer than the windows of these models. */
#define TOKENS "257,117,115,101,114,10,72,101,108,108,111,258,10,257,97,98,99,100,101,102,103,104"

static char reference[NETWORK_OUTPUT], answer[NETWORK_OUTPUT], errors[NETWORK_OUTPUT];

/* By the pool of `n`, or on this machine where that is NULL. */
static void evaluate(const struct network *n, const char *model, char *out)
{
	const struct network nowhere = {.folder = "/tmp"};
	const char *here[] = {
	    "model", "eval", model, "--top", "259", "--tokens", TOKENS, "--greedy", "8", NULL};
	const char *there[] = {"model", "eval", "--pool", n != NULL ? n->invite : "", "--top",
	    "259", "--tokens", TOKENS, "--greedy", "8", NULL};
	int status = n != NULL ? network_run(n, there, NULL, out, errors)
	                       : network_run(&nowhere, here, NULL, out, errors);

	if (status != 0)
		fail_msg("%s: %s", model, errors);
}

static void compare(const char *name, const char *model, int n_donors)
{
	struct network n;
	char stages[32];
	const char *pool_settings[] = {stages, NULL};

	evaluate(NULL, model, reference);
	assert_non_null(strstr(reference, "\"greedy\":["));
	(void)snprintf(stages, sizeof stages, "stages=%d", n_donors);
	network_start(&n, model, pool_settings);
	for (int i = 0; i < n_donors; i++)
		network_donor(&n, i, NULL, NULL);
	network_wait_ready(&n);
	evaluate(&n, model, answer);
	network_stop(&n);
	if (strcmp(answer, reference) != 0)
		fail_msg("%s: %d donors give\n%s\nnot\n%s", name, n_donors, answer, reference);
}

static void every_family_is_the_same_through_three_donors(void **state)
{
	struct random_models models;
	char path[RANDOM_MODELS_PATH];

	(void)state;
	random_models_write(&models);
	for (size_t i = 0; i < models.n; i += network_is_brief() ? 3 : 1)
		compare(models.names[i], random_models_path(&models, models.names[i], path), 3);
	random_models_remove(&models);
	if (models.n == 0)
		skip();
}

static void a_model_of_the_shape_of_deepseek_v3_runs_over_eight_donors(void **state)
{
	char path[] = "/tmp/ayni-v3-XXXXXX";
	int fd = mkstemp(path);
	bool written;

	(void)state;
	assert_true(fd >= 0 && close(fd) == 0);
	written = random_model_write(RANDOM_MODEL_LARGE, "Q4_0", path);
	if (written)
		compare(RANDOM_MODEL_LARGE, path, 8);
	(void)unlink(path);
	if (!written)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_family_is_the_same_through_three_donors),
	    cmocka_unit_test(a_model_of_the_shape_of_deepseek_v3_runs_over_eight_donors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
