/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool with a small model that guesses says what one without it says, however right the guesses
 * are. The donors are at some distance, so that guesses are waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/network.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/wan.h"

static char reference[NETWORK_OUTPUT], other[NETWORK_OUTPUT], errors[NETWORK_OUTPUT];
static char *model;

struct guesses {
	unsigned right, all;
};

/* From "..., 80 of 96 guessed tokens right" on standard error. */
static struct guesses guesses_of(const char *said)
{
	const char *at = strstr(said, " guessed tokens right");
	struct guesses g = {0, 0};

	while (at != NULL && at > said && at[-1] != ',')
		at--;
	if (at != NULL)
		assert_int_equal(sscanf(at, " %u of %u", &g.right, &g.all), 2);
	return g;
}

/* What is said this hot does not repeat itself: no guesses but the small model's. */
static void chat(const struct network *n, char *out)
{
	const char *args[] = {"chat", "--raw", "--pool", n->invite, "--max-tokens", "64",
	    "--temperature", "1", "--seed", "3", "hello", NULL};

	if (network_run(n, args, NULL, out, errors) != 0)
		fail_msg("%s", errors);
}

static struct guesses chat_in_pool(const char *draft_model, char *out)
{
	static const char *const donor[] = {"cores=1", NULL};
	char setting[NETWORK_PATH], pool[NETWORK_PATH], invite[NETWORK_PATH];
	const char *settings[] = {"stages=2", setting, NULL};
	struct wan *line;
	struct network n;

	(void)snprintf(setting, sizeof setting, "draft_model=%s", draft_model);
	network_start(&n, model, settings);
	network_endpoint(&n, pool);
	line = wan_start(&(struct wan_options){.to = pool, .delay_us = 5000});
	network_invite_through(&n, wan_endpoint(line), invite);
	network_donor(&n, 0, invite, donor);
	network_donor(&n, 1, invite, donor);
	network_wait_ready(&n);
	chat(&n, out);
	network_stop(&n);
	wan_stop(line);
	return guesses_of(errors);
}

static void a_model_that_guesses_rightly_changes_nothing(void **state)
{
	struct guesses g;

	(void)state;
	g = chat_in_pool(model, other);
	assert_string_equal(other, reference);
	assert_true(g.all > 0);
	assert_true(g.right * 10 >= g.all * 9);
}

static void a_model_that_guesses_wrongly_changes_nothing(void **state)
{
	const struct tiny_model_options options = {.n_layers = 2, .seed = 8};
	char *small = tiny_model_temporary(&options);
	struct guesses g;

	(void)state;
	g = chat_in_pool(small, other);
	assert_string_equal(other, reference);
	assert_true(g.all > 0);
	assert_true(g.right * 2 < g.all);
	tiny_model_remove(small);
}

static void a_model_with_another_vocabulary_is_refused(void **state)
{
	const struct network nowhere = {.folder = "/tmp"};
	const char *args[] = {"pool", "--model", model, "--set", "listen=127.0.0.1:0", "--set",
	    "draft_model=configs/models/ayni-demo.gguf", "--set", "folder=", NULL};
	char setting[1100];
	struct scratch scratch;

	(void)state;
	scratch_make(&scratch);
	(void)snprintf(setting, sizeof setting, "folder=%s", scratch.folder);
	args[8] = setting;
	assert_int_not_equal(network_run(&nowhere, args, NULL, other, errors), 0);
	assert_non_null(strstr(errors, "draft_model = configs/models/ayni-demo.gguf has not the "
	                               "vocabulary of "));
	assert_non_null(strstr(errors, strrchr(model, '/') + 1));
	scratch_remove(&scratch);
}

static int set_up(void **state)
{
	const struct tiny_model_options options = {.n_layers = 4, .seed = 7};

	(void)state;
	model = tiny_model_temporary(&options);
	(void)chat_in_pool("", reference);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tiny_model_remove(model);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_model_that_guesses_rightly_changes_nothing),
	    cmocka_unit_test(a_model_that_guesses_wrongly_changes_nothing),
	    cmocka_unit_test(a_model_with_another_vocabulary_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
