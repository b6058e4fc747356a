/* SPDX-License-Identifier: Apache-2.0 */
/* A model goes into a pool's folder with its publisher's signature, and from there to donors. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/network.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

#define RUN(network, ...)                                                                          \
	network_run(network, (const char *const[]){__VA_ARGS__, NULL}, NULL, out, err)

static void publish(const struct network *n, const char *model)
{
	char pool[NETWORK_PATH + 8], key[80];

	(void)snprintf(pool, sizeof pool, "%s/pool", n->folder);
	if (RUN(n, "model", "publish", model, "--pool", pool) != 0)
		fail_msg("%s", err);
	assert_non_null(strstr(out, "signed by "));
	(void)snprintf(key, sizeof key, "%.64s", strstr(out, "signed by ") + strlen("signed by "));
	assert_int_equal(RUN(n, "key"), 0);
	assert_non_null(strstr(out, key));
	assert_int_equal(RUN(n, "model", "publish", model, "--pool", pool), 1);
	assert_non_null(strstr(err, "there already"));
}

static void a_published_model_is_served_and_donors_take_it(void **state)
{
	struct tiny_model_options second = {.seed = 7};
	struct scratch s;
	struct network n;
	char first_path[600], second_path[600], folder[NETWORK_PATH + 8];
	static char local[NETWORK_OUTPUT];

	(void)state;
	scratch_make(&s);
	(void)snprintf(first_path, sizeof first_path, "%s", scratch_path(&s, "first.gguf"));
	(void)snprintf(second_path, sizeof second_path, "%s", scratch_path(&s, "second.gguf"));
	assert_int_equal(tiny_model_write(first_path, NULL), 0);
	assert_int_equal(tiny_model_write(second_path, &second), 0);
	network_start(&n, first_path, NULL);
	publish(&n, second_path);
	assert_int_equal(kill(n.pool, SIGTERM), 0);
	assert_int_equal(network_wait_end(n.pool), 0);
	network_start_pool(&n, first_path, NULL);
	(void)snprintf(folder, sizeof folder, "%s/pool", n.folder);
	assert_int_equal(RUN(&n, "invite", "--folder", folder, "--uses", "100"), 0);
	out[strcspn(out, "\n")] = '\0';
	(void)snprintf(n.invite, sizeof n.invite, "%.500s", out);
	network_donor(&n, 0, NULL, NULL);
	network_donor(&n, 1, NULL, NULL);
	network_wait_ready(&n);
	assert_int_equal(
	    RUN(&n, "model", "eval", second_path, "--tokens", "1,2,3", "--greedy", "6"), 0);
	(void)snprintf(local, sizeof local, "%s", out);
	if (RUN(&n, "model", "eval", "--pool", n.invite, "--model", "second", "--tokens", "1,2,3",
	        "--greedy", "6") != 0)
		fail_msg("%s", err);
	assert_string_equal(out, local);
	network_stop(&n);
	scratch_remove(&s);
}

static void a_pool_does_not_start_with_a_model_that_was_changed(void **state)
{
	struct scratch s;
	struct network n = {0};
	char folder[700], model[600];
	FILE *f;

	(void)state;
	scratch_make(&s);
	(void)snprintf(n.folder, sizeof n.folder, "%s", s.folder);
	(void)snprintf(model, sizeof model, "%s", scratch_path(&s, "a.gguf"));
	(void)snprintf(folder, sizeof folder, "%s", scratch_path(&s, "pool"));
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(tiny_model_write(model, NULL), 0);
	assert_int_equal(RUN(&n, "model", "publish", model, "--pool", folder), 0);
	f = fopen(model, "r+e"); /* the same file, by a link */
	assert_non_null(f);
	assert_int_equal(fseek(f, -64, SEEK_END), 0);
	assert_true(fputs("changed", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(RUN(&n, "pool", "--folder", folder, "--listen", "127.0.0.1:0"), 1);
	assert_non_null(strstr(err, "a.gguf.manifest is of another file"));
	scratch_remove(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_published_model_is_served_and_donors_take_it),
	    cmocka_unit_test(a_pool_does_not_start_with_a_model_that_was_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
