/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/config.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static struct donor_config donor;
static struct pool_config pool;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	config_donor_defaults(&donor);
	config_pool_defaults(&pool);
	memset(&err, 0, sizeof err);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

static const char *written(const char *name, const char *text)
{
	FILE *f = fopen(scratch_path(&scratch, name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	return scratch.path;
}

static int pool_file(const char *text)
{
	return config_pool_file(&pool, written("pool.conf", text), &err);
}

static int donor_file(const char *text)
{
	return config_donor_file(&donor, written("donor.conf", text), &err);
}

static void assert_says(const char *text)
{
	if (strstr(err.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

/* ---- defaults ---------------------------------------------------------------------------------
 */

static void defaults_are_those_of_the_table(void **state)
{
	(void)state;
	assert_string_equal(pool.name, "ayni pool");
	assert_string_equal(pool.listen, "127.0.0.1:7411");
	assert_string_equal(pool.folder, "");
	assert_int_equal(pool.n_models, 0);
	assert_int_equal(pool.stages, 0);
	assert_int_equal(pool.kv_tokens, 4096);
	assert_string_equal(pool.kv, "f16");
	assert_int_equal(pool.max_sessions, 64);
	assert_int_equal(pool.max_waiting, 1024);
	assert_int_equal(pool.wait_s, 60);
	assert_int_equal(pool.heartbeat_ms, 1000);
	assert_int_equal(pool.unit_timeout_ms, 60000);
	assert_int_equal(pool.draft_tokens, 16);
	assert_string_equal(pool.draft_model, "");
	assert_int_equal(pool.keep_s, 300);
	assert_string_equal(pool.recheck, "pool");
	assert_int_equal(pool.recheck_permille, 10);
	assert_int_equal(pool.receipt_units, 256);
	assert_string_equal(pool.log, "info");
	assert_string_equal(donor.pool, "");
	assert_string_equal(donor.name, "");
	assert_string_equal(donor.folder, "");
	assert_int_equal(donor.cores, 0);
	assert_int_equal(donor.memory_mib, 0);
	assert_int_equal(donor.disk_mib, 20480);
	assert_int_equal(donor.max_layers, 0);
	assert_string_equal(donor.kernels, "auto");
	assert_string_equal(donor.log, "info");
}

/* ---- files ------------------------------------------------------------------------------------
 */

static void each_option_of_a_pool_is_read(void **state)
{
	(void)state;
	assert_int_equal(
	    pool_file("; a comment\n[pool]\nname = Ana's pool\nlisten = [::]:0\nfolder = /tmp/p\n"
	              "model = a.gguf\nmodel = b.gguf\nstages = 2\nkv_tokens = 128\nkv = int8\n"
	              "max_sessions = 3\nmax_waiting = 0\nwait_s = 5\nheartbeat_ms = 100\n"
	              "unit_timeout_ms = 250\nreceipt_units = 1\ndraft_model = c.gguf\n"
	              "recheck = none\nrecheck_permille = 20\nlog = debug\n"),
	    AYNI_OK);
	assert_string_equal(pool.name, "Ana's pool");
	assert_string_equal(pool.listen, "[::]:0");
	assert_string_equal(pool.folder, "/tmp/p");
	assert_int_equal(pool.n_models, 2);
	assert_string_equal(pool.models[0], "a.gguf");
	assert_string_equal(pool.models[1], "b.gguf");
	assert_int_equal(pool.stages, 2);
	assert_int_equal(pool.kv_tokens, 128);
	assert_string_equal(pool.kv, "int8");
	assert_int_equal(pool.max_sessions, 3);
	assert_int_equal(pool.max_waiting, 0);
	assert_int_equal(pool.wait_s, 5);
	assert_int_equal(pool.heartbeat_ms, 100);
	assert_int_equal(pool.unit_timeout_ms, 250);
	assert_int_equal(pool.receipt_units, 1);
	assert_string_equal(pool.draft_model, "c.gguf");
	assert_string_equal(pool.recheck, "none");
	assert_int_equal(pool.recheck_permille, 20);
	assert_string_equal(pool.log, "debug");
}

static void each_option_of_a_donor_is_read(void **state)
{
	(void)state;
	assert_int_equal(donor_file("[donor]\npool = ayni://h:1?key=00&token=11\nname = Ben\n"
	                            "folder = /tmp/d\ncores = 2\nmemory_mib = 512\ndisk_mib = 1\n"
	                            "max_layers = 4\nkernels = scalar\nlog = error\n"),
	    AYNI_OK);
	assert_string_equal(donor.pool, "ayni://h:1?key=00&token=11");
	assert_string_equal(donor.name, "Ben");
	assert_string_equal(donor.folder, "/tmp/d");
	assert_int_equal(donor.cores, 2);
	assert_int_equal(donor.memory_mib, 512);
	assert_int_equal(donor.disk_mib, 1);
	assert_int_equal(donor.max_layers, 4);
	assert_string_equal(donor.kernels, "scalar");
	assert_string_equal(donor.log, "error");
}

static void http_is_an_address_or_none(void **state)
{
	static const char *const right[] = {"none", "127.0.0.1:0", "0.0.0.0:7480", "[::1]:80"},
	                         *const wrong[] = {"nonsense", "127.0.0.1", ":80", "[::1]",
	                             "localhost:80", "1.2.3.4:x", "1.2.3.4:70000"};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
		(void)snprintf(text, sizeof text, "[pool]\nhttp = %s\n", right[i]);
		assert_int_equal(pool_file(text), AYNI_OK);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		(void)snprintf(text, sizeof text, "[pool]\nhttp = %s\n", wrong[i]);
		assert_int_equal(pool_file(text), AYNI_ERR_ARGUMENT);
		assert_says("none, or an address with a port");
	}
}

struct number {
	const char *key;
	uint64_t min, max;
};

static const struct number pool_numbers[] = {
    {"stages", 0, LIMIT_LAYERS},
    {"kv_tokens", 16, LIMIT_CONTEXT_TOKENS},
    {"max_sessions", 1, 4096},
    {"max_waiting", 0, 65536},
    {"wait_s", 0, 86400},
    {"heartbeat_ms", 100, 60000},
    {"unit_timeout_ms", 100, 3600000},
    {"draft_tokens", 0, 16},
    {"keep_s", 0, 86400},
    {"recheck_permille", 1, 1000},
    {"receipt_units", 1, 1 << 20},
    {"statistics_h", 0, 8760},
};
static const struct number donor_numbers[] = {
    {"cores", 0, 256},
    {"memory_mib", 0, 1 << 24},
    {"disk_mib", 1, 1 << 26},
    {"max_layers", 0, LIMIT_LAYERS},
};

typedef int file_fn(const char *text);

/* In a file, where the message must name place and range; the value itself must be named too. */
static void refuses(file_fn *file, const char *section, const struct number *n, const char *value)
{
	char text[256], range[128];

	(void)snprintf(text, sizeof text, "[%s]\n\n%s = %s\n", section, n->key, value);
	assert_int_equal(file(text), AYNI_ERR_ARGUMENT);
	(void)snprintf(range, sizeof range, ":3: %s = %s: a whole number from %llu to %llu", n->key,
	    value, (unsigned long long)n->min, (unsigned long long)n->max);
	assert_says(range);
	assert_says(scratch.path);
}

static void accepts(file_fn *file, const char *section, const struct number *n, uint64_t value)
{
	char text[256];

	(void)snprintf(
	    text, sizeof text, "[%s]\n%s = %llu\n", section, n->key, (unsigned long long)value);
	assert_int_equal(file(text), AYNI_OK);
}

static void try_number(file_fn *file, const char *section, const struct number *n)
{
	static const char *const wrong[] = {"x", "-1", "+1", "1.5", "1 2", "0x10", "12k",
	    "99999999999999999999999", "18446744073709551616"};
	char past[32];

	accepts(file, section, n, n->min);
	accepts(file, section, n, n->max);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		refuses(file, section, n, wrong[i]);
	refuses(file, section, n, "");
	(void)snprintf(past, sizeof past, "%llu", (unsigned long long)n->max + 1);
	refuses(file, section, n, past);
	if (n->min > 0) {
		(void)snprintf(past, sizeof past, "%llu", (unsigned long long)n->min - 1);
		refuses(file, section, n, past);
	}
}

static void every_number_has_a_range_and_says_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof pool_numbers / sizeof *pool_numbers; i++)
		try_number(pool_file, "pool", &pool_numbers[i]);
	for (size_t i = 0; i < sizeof donor_numbers / sizeof *donor_numbers; i++)
		try_number(donor_file, "donor", &donor_numbers[i]);
}

static void an_unknown_key_is_refused_with_the_one_that_is_most_like_it(void **state)
{
	(void)state;
	assert_int_equal(pool_file("[pool]\nmodels = a.gguf\n"), AYNI_ERR_ARGUMENT);
	assert_says(":2: unknown key \"models\": perhaps model; pool.conf explains all");
	assert_int_equal(pool_file("[pool]\nmax_wait = 1\n"), AYNI_ERR_ARGUMENT);
	assert_says("unknown key \"max_wait\": perhaps max_waiting;");
	assert_int_equal(donor_file("[donor]\nzzz = 1\n"), AYNI_ERR_ARGUMENT);
	assert_says("unknown key \"zzz\"; donor.conf explains all");
}

static void another_section_is_refused(void **state)
{
	(void)state;
	assert_int_equal(pool_file("[pool]\nstages = 1\n[donor]\ncores = 1\n"), AYNI_ERR_ARGUMENT);
	assert_says(":4: section [donor]: only [pool] is allowed here");
	assert_int_equal(donor_file("cores = 1\n"), AYNI_ERR_ARGUMENT);
	assert_says(":1: ");
}

static void a_line_that_says_nothing_is_refused(void **state)
{
	(void)state;
	assert_int_equal(pool_file("[pool]\nstages = 1\nwhat is this\n"), AYNI_ERR_FORMAT);
	assert_says(":3: neither [section], key = value nor ; comment");
}

static void the_first_wrong_line_is_the_one_that_is_named(void **state)
{
	(void)state;
	assert_int_equal(pool_file("[pool]\nwhat is this\nstages = x\n"), AYNI_ERR_FORMAT);
	assert_says(":2: neither");
	assert_int_equal(pool_file("[pool]\nstages = x\nwhat is this\n"), AYNI_ERR_ARGUMENT);
	assert_says(":2: stages = x");
}

static void a_long_line_is_read_whole(void **state)
{
	char text[CONFIG_PATH_BYTES + 64], path[CONFIG_PATH_BYTES];

	(void)state;
	memset(path, 'p', sizeof path);
	path[sizeof path - 1] = '\0';
	(void)snprintf(text, sizeof text, "[pool]\nmodel = %s\nstages = 2\n", path);
	assert_int_equal(pool_file(text), AYNI_OK);
	assert_string_equal(pool.models[0], path);
	assert_int_equal(pool.stages, 2);
}

static void a_line_beyond_all_bounds_is_refused(void **state)
{
	char *text = malloc(10000);

	(void)state;
	assert_non_null(text);
	memset(text, '=', 9999);
	memcpy(text, "[pool]\nname = ", 14);
	text[9999] = '\0';
	assert_int_equal(pool_file(text), AYNI_ERR_FORMAT);
	assert_says(":2: ");
	free(text);
}

static void an_indented_line_is_a_line_of_its_own(void **state)
{
	(void)state;
	assert_int_equal(pool_file("[pool]\nname = a\n  stages = 3\n\tlog = error\n"), AYNI_OK);
	assert_string_equal(pool.name, "a");
	assert_int_equal(pool.stages, 3);
	assert_string_equal(pool.log, "error");
}

static void a_text_that_does_not_fit_is_refused(void **state)
{
	char text[256] = "[pool]\nname = ";

	(void)state;
	memset(text + strlen(text), 'n', 65);
	assert_int_equal(pool_file(text), AYNI_ERR_ARGUMENT);
	assert_says(":2: name: at most 64 bytes are allowed");
}

static void a_level_of_the_log_is_one_of_four(void **state)
{
	(void)state;
	assert_int_equal(pool_file("[pool]\nlog = loud\n"), AYNI_ERR_ARGUMENT);
	assert_says(":2: log = loud: error, warning, info, debug are allowed");
	assert_string_equal(pool.log, "info");
}

static void models_are_limited_in_number(void **state)
{
	(void)state;
	for (int i = 0; i < CONFIG_MAX_MODELS; i++)
		assert_int_equal(
		    config_pool_set(&pool, "model", "m.gguf", "--model", &err), AYNI_OK);
	assert_int_equal(
	    config_pool_set(&pool, "model", "m.gguf", "--model", &err), AYNI_ERR_ARGUMENT);
	assert_says("--model: model: at most 8 are allowed");
}

static void a_model_that_is_refused_is_not_counted(void **state)
{
	char path[CONFIG_PATH_BYTES + 1];

	(void)state;
	memset(path, 'p', sizeof path);
	path[sizeof path - 1] = '\0';
	assert_int_equal(config_pool_set(&pool, "model", path, "--model", &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(pool.n_models, 0);
}

static void a_file_that_is_not_there_is_named(void **state)
{
	(void)state;
	assert_int_equal(
	    config_pool_file(&pool, scratch_path(&scratch, "none.conf"), &err), AYNI_ERR_IO);
	assert_says("none.conf: No such file or directory");
}

static void a_path_longer_than_a_message_keeps_its_end(void **state)
{
	char path[600] = "";

	(void)state;
	while (strlen(path) < 500)
		memcpy(path + strlen(path), "/.", 3);
	(void)written("end.conf", "[pool]\nstages = x\n");
	memmove(path + strlen(scratch.folder), path, 400);
	memcpy(path, scratch.folder, strlen(scratch.folder));
	memcpy(path + strlen(scratch.folder) + 400, "/end.conf", 10);
	assert_int_equal(config_pool_file(&pool, path, &err), AYNI_ERR_ARGUMENT);
	assert_says("/end.conf:2: stages = x: a whole number from 0 to 1024 is allowed");
}

/* ---- command line -----------------------------------------------------------------------------
 */

static void the_command_line_beats_the_file(void **state)
{
	(void)state;
	assert_int_equal(pool_file("[pool]\nstages = 2\nname = of the file\n"), AYNI_OK);
	assert_int_equal(config_pool_set(&pool, "stages", "3", "--set", &err), AYNI_OK);
	assert_int_equal(config_pool_set(&pool, "name", "mine", "--name", &err), AYNI_OK);
	assert_int_equal(pool.stages, 3);
	assert_string_equal(pool.name, "mine");
	assert_int_equal(donor_file("[donor]\ncores = 2\n"), AYNI_OK);
	assert_int_equal(config_donor_set(&donor, "cores", "1", "--cores", &err), AYNI_OK);
	assert_int_equal(donor.cores, 1);
}

static void an_error_on_the_command_line_names_the_option(void **state)
{
	(void)state;
	assert_int_equal(
	    config_donor_set(&donor, "cores", "many", "--cores", &err), AYNI_ERR_ARGUMENT);
	assert_says("--cores: cores = many: a whole number from 0 to 256 is allowed");
	assert_int_equal(config_donor_set(&donor, "core", "1", "--set", &err), AYNI_ERR_ARGUMENT);
	assert_says("--set: unknown key \"core\": perhaps cores; donor.conf explains all");
}

/* ---- folders ----------------------------------------------------------------------------------
 */

static void the_folder_follows_the_environment(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(setenv("AYNI_HOME", "/a", 1), 0);
	assert_int_equal(setenv("XDG_STATE_HOME", "/x", 1), 0);
	assert_int_equal(setenv("HOME", "/h", 1), 0);
	assert_int_equal(config_folder("pool", out, sizeof out, &err), AYNI_OK);
	assert_string_equal(out, "/a/pool");
	assert_int_equal(setenv("AYNI_HOME", "", 1), 0);
	assert_int_equal(config_folder("pool", out, sizeof out, &err), AYNI_OK);
	assert_string_equal(out, "/x/ayni/pool");
	assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
	assert_int_equal(config_folder("donor", out, sizeof out, &err), AYNI_OK);
	assert_string_equal(out, "/h/.local/state/ayni/donor");
	assert_int_equal(config_folder("donor", out, 5, &err), AYNI_ERR_ARGUMENT);
	assert_int_equal(unsetenv("HOME"), 0);
	assert_int_equal(config_folder("donor", out, sizeof out, &err), AYNI_ERR_ARGUMENT);
	assert_says("AYNI_HOME");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(defaults_are_those_of_the_table),
	    TEST(each_option_of_a_pool_is_read),
	    TEST(each_option_of_a_donor_is_read),
	    TEST(http_is_an_address_or_none),
	    TEST(every_number_has_a_range_and_says_it),
	    TEST(an_unknown_key_is_refused_with_the_one_that_is_most_like_it),
	    TEST(another_section_is_refused),
	    TEST(a_line_that_says_nothing_is_refused),
	    TEST(the_first_wrong_line_is_the_one_that_is_named),
	    TEST(a_long_line_is_read_whole),
	    TEST(a_line_beyond_all_bounds_is_refused),
	    TEST(an_indented_line_is_a_line_of_its_own),
	    TEST(a_text_that_does_not_fit_is_refused),
	    TEST(a_level_of_the_log_is_one_of_four),
	    TEST(models_are_limited_in_number),
	    TEST(a_model_that_is_refused_is_not_counted),
	    TEST(a_file_that_is_not_there_is_named),
	    TEST(a_path_longer_than_a_message_keeps_its_end),
	    TEST(the_command_line_beats_the_file),
	    TEST(an_error_on_the_command_line_names_the_option),
	    TEST(the_folder_follows_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
