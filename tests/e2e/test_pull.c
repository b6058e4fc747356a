/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ayni model pull`, `list` and `rm` against a real HTTP server on loopback
 * (tests/tools/hub_server.py) that breaks connections, changes files and redirects.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/network.h"
#include "tests/support/scratch.h"
#include "tests/support/split_model.h"
#include "tests/support/tiny_model.h"

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
static struct scratch scratch;
static pid_t server;
static unsigned port;
static uint8_t *model; /* what every repository has */
static size_t model_len;

/* ---- the hub --------------------------------------------------------------------------------- */

static void start_server(void)
{
	int ends[2];
	char text[16] = "";
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	server = fork();
	assert_true(server >= 0);
	if (server == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execl("/usr/bin/python3", "python3", "tests/tools/hub_server.py",
		    scratch.folder, (char *)NULL);
		_exit(127);
	}
	(void)close(ends[1]);
	n = read(ends[0], text, sizeof text - 1);
	(void)close(ends[0]);
	assert_true(n > 0);
	port = (unsigned)strtoul(text, NULL, 10);
	assert_in_range(port, 1, 65535);
}

static void write_file(const char *folder, const char *name, const uint8_t *bytes, size_t len)
{
	char path[1024];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/acme", scratch.folder);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof path, "%s/acme/%s", scratch.folder, folder);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof path, "%s/acme/%s/%s", scratch.folder, folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void write_parts(const char *repository)
{
	struct gguf *g;

	assert_int_equal(gguf_parse(model, model_len, model_len, &g, NULL), AYNI_OK);
	for (uint32_t i = 0; i < 3; i++) {
		char name[64];
		size_t len;
		uint8_t *part = split_model_part(g, i, 3, &len);

		(void)snprintf(name, sizeof name, "joined-F32-0000%u-of-00003.gguf", i + 1);
		write_file(repository, name, part, len);
		free(part);
	}
	gguf_free(g);
}

static int set_up(void **state)
{
	static const char *const repositories[] = {
	    "good", "broken", "norange", "changed", "wrong", "private", "moved-private", "plain"};

	(void)state;
	(void)unsetenv("HF_TOKEN");
	(void)unsetenv("AYNI_HUB");
	(void)unsetenv("AYNI_MODELS");
	scratch_make(&scratch);
	model = tiny_model_bytes(NULL, &model_len);
	assert_true(model_len > 100000); /* several of the server's pieces */
	for (size_t i = 0; i < sizeof repositories / sizeof *repositories; i++) {
		char name[64];

		(void)snprintf(name, sizeof name, "%s-F32.gguf", repositories[i]);
		write_file(repositories[i], name, model, model_len);
	}
	write_file("several", "several-Q8_0.gguf", model, model_len);
	write_file("several", "several-Q4_K_M.gguf", model, model_len);
	write_file("several", "README.md", (const uint8_t *)"x", 1);
	write_file("none", "README.md", (const uint8_t *)"x", 1);
	write_file("damaged", "damaged.gguf", (const uint8_t *)"no model at all", 15);
	write_parts("split-broken");
	start_server();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(kill(server, SIGTERM), 0);
	assert_int_equal(waitpid(server, NULL, 0), server);
	scratch_remove(&scratch);
	free(model);
	return 0;
}

/* ---- running ----------------------------------------------------------------------------------
 */

static int run(const char *input, const char *const *args)
{
	struct network n = {0};

	(void)snprintf(n.folder, sizeof n.folder, "%s", scratch.folder);
	return network_run(&n, args, input, out, err);
}

#define RUN(input, ...) run(input, (const char *const[]){__VA_ARGS__, NULL})

static int pull(const char *what)
{
	char hub[64];

	(void)snprintf(hub, sizeof hub, "http://127.0.0.1:%u", port);
	return RUN(NULL, "model", "pull", "--hub", hub, what);
}

static char *read_all(const char *name, size_t *len)
{
	char path[1024];
	char *bytes = calloc(1, model_len * 2);
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", scratch.folder, name);
	f = fopen(path, "re");
	assert_non_null(bytes);
	*len = 0;
	if (f != NULL) {
		*len = fread(bytes, 1, model_len * 2, f);
		(void)fclose(f);
	}
	return bytes;
}

static bool is_there(const char *name)
{
	char path[1024];

	(void)snprintf(path, sizeof path, "%s/models/%s", scratch.folder, name);
	return access(path, F_OK) == 0;
}

/* The file is there to the last byte, and nothing half beside it. */
static void assert_pulled(const char *name)
{
	char path[256];
	size_t len;
	char *bytes;

	(void)snprintf(path, sizeof path, "models/%s", name);
	bytes = read_all(path, &len);
	assert_int_equal(len, model_len);
	assert_memory_equal(bytes, model, len);
	free(bytes);
	(void)snprintf(path, sizeof path, "%s.part", name);
	assert_false(is_there(path));
	(void)snprintf(path, sizeof path, "%s.part.tag", name);
	assert_false(is_there(path));
}

/* How often the server's log has this text. */
static unsigned logged(const char *text)
{
	size_t len;
	char *log = read_all("log", &len);
	unsigned n = 0;

	for (const char *at = log; (at = strstr(at, text)) != NULL; at++)
		n++;
	free(log);
	return n;
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void pulls_the_only_model_of_a_repository(void **state)
{
	(void)state;
	if (pull("acme/good") != 0)
		fail_msg("%s", err);
	assert_pulled("good-F32.gguf");
	assert_non_null(strstr(out, "good-F32.gguf"));
	assert_int_equal(pull("acme/good"), 0); /* nothing is fetched again */
	assert_non_null(strstr(err, "here already"));
	assert_int_equal(logged("/acme/good/resolve"), 1);
}

static void goes_on_where_a_connection_broke(void **state)
{
	(void)state;
	if (pull("acme/broken:F32") != 0)
		fail_msg("%s", err);
	assert_pulled("broken-F32.gguf");
	assert_int_equal(logged("/acme/broken/resolve/main/broken-F32.gguf -"), 1);
	assert_int_equal(logged("/acme/broken/resolve/main/broken-F32.gguf bytes=20000-"), 1);
	assert_int_equal(logged("/acme/broken/resolve/main/broken-F32.gguf bytes=40000-"), 1);
}

static void begins_again_where_the_server_takes_no_ranges(void **state)
{
	(void)state;
	if (pull("acme/norange") != 0)
		fail_msg("%s", err);
	assert_pulled("norange-F32.gguf");
}

static void begins_again_where_the_file_has_changed(void **state)
{
	(void)state;
	if (pull("acme/changed") != 0)
		fail_msg("%s", err);
	assert_pulled("changed-F32.gguf");
}

static void goes_on_from_what_an_earlier_call_left(void **state)
{
	char path[1024], hub[64];

	(void)state;
	write_file("later", "later-F32.gguf", model, model_len);
	(void)snprintf(path, sizeof path, "%s/models", scratch.folder);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof path, "%s/models/later-F32.gguf.part", scratch.folder);

	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(model, 1, 50000, f), 50000);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(path, sizeof path, "%s/models/later-F32.gguf.part.tag", scratch.folder);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs("\"second\"", f) >= 0);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(hub, sizeof hub, "http://127.0.0.1:%u", port);
	assert_int_equal(RUN(NULL, "model", "pull", "--hub", hub, "acme/later"), 0);
	assert_pulled("later-F32.gguf");
	assert_int_equal(logged("/acme/later/resolve/main/later-F32.gguf bytes=50000-"), 1);
	assert_int_equal(logged("/acme/later/resolve"), 1);
}

static void keeps_nothing_whose_hash_is_wrong(void **state)
{
	(void)state;
	assert_int_equal(pull("acme/wrong"), 1);
	assert_non_null(strstr(err, "SHA-256"));
	assert_false(is_there("wrong-F32.gguf"));
	assert_false(is_there("wrong-F32.gguf.part"));
}

static void a_hub_that_names_no_hash_is_believed(void **state)
{
	(void)state;
	assert_int_equal(pull("acme/plain"), 0);
	assert_pulled("plain-F32.gguf");
}

static void the_token_goes_to_the_hub_and_to_nobody_else(void **state)
{
	char line[128];

	(void)state;
	assert_int_equal(pull("acme/private"), 1);
	assert_non_null(strstr(err, "HF_TOKEN"));
	assert_int_equal(setenv("HF_TOKEN", "secret", 1), 0);
	assert_int_equal(pull("acme/private"), 0);
	assert_pulled("private-F32.gguf");
	(void)pull("acme/moved-private"); /* which the other host refuses for want of a token */
	assert_int_equal(unsetenv("HF_TOKEN"), 0);
	(void)snprintf(line, sizeof line,
	    "%u /acme/moved-private/resolve/main/moved-private-F32.gguf - token", port);
	assert_int_equal(logged(line), 1);
	assert_int_equal(logged("/acme/moved-private/resolve/main/moved-private-F32.gguf - -"), 1);
	assert_int_equal(
	    logged("/acme/moved-private/resolve/main/moved-private-F32.gguf - token"), 1);
	assert_non_null(strstr(err, "no access"));
}

static void asks_which_of_several(void **state)
{
	(void)state;
	assert_int_equal(pull("acme/several"), 2);
	assert_non_null(strstr(err, "several-Q4_K_M.gguf, several-Q8_0.gguf"));
	assert_int_equal(pull("acme/several:q4_k_m"), 0);
	assert_pulled("several-Q4_K_M.gguf");
	assert_int_equal(pull("acme/several:Q5"), 1);
	assert_int_equal(pull("acme/none"), 1);
	assert_non_null(strstr(err, "no .gguf files"));
	assert_int_equal(pull("nonsense"), 2);
	assert_int_equal(pull("acme/../x"), 2);
}

static void joins_the_parts_of_a_split_model(void **state)
{
	(void)state;
	if (pull("acme/split-broken") != 0)
		fail_msg("%s", err);
	assert_true(is_there("joined-F32.gguf"));
	assert_false(is_there("joined-F32.gguf.1-of-3"));
	assert_false(is_there("joined-F32.gguf.joined"));
	assert_int_equal(
	    RUN(NULL, "run", "joined-F32", "-p", "x", "-n", "4", "--temperature", "0"), 0);

	char *joined = strdup(out);

	assert_non_null(joined);
	assert_int_equal(pull("acme/good"), 0);
	assert_int_equal(
	    RUN(NULL, "run", "good-F32", "-p", "x", "-n", "4", "--temperature", "0"), 0);
	assert_string_equal(out, joined);
	free(joined);
}

static void says_at_once_that_a_file_is_no_model(void **state)
{
	(void)state;
	assert_int_equal(pull("acme/damaged"), 1);
	assert_non_null(strstr(err, "GGUF"));
}

static void pulls_an_address(void **state)
{
	char url[128];

	(void)state;
	(void)snprintf(url, sizeof url,
	    "http://127.0.0.1:%u/acme/several/resolve/main/several-Q8_0.gguf?download=true", port);
	if (RUN(NULL, "model", "pull", url) != 0)
		fail_msg("%s", err);
	assert_pulled("several-Q8_0.gguf");
	assert_int_equal(RUN(NULL, "model", "pull", "ftp://127.0.0.1/x.gguf"), 2);
}

static void lists_and_deletes_what_is_there(void **state)
{
	(void)state;
	assert_int_equal(pull("acme/good"), 0);
	assert_int_equal(RUN(NULL, "model", "list"), 0);
	assert_non_null(strstr(out, "good-F32.gguf"));
	assert_non_null(strstr(out, "llama, mostly F32"));
	assert_int_equal(RUN("n\n", "model", "rm", "good-F32"), 1);
	assert_true(is_there("good-F32.gguf"));
	assert_int_equal(RUN(NULL, "model", "rm", "../acme/good/good-F32.gguf", "--force"), 2);
	assert_int_equal(RUN("y\n", "model", "rm", "good-F32"), 0);
	assert_false(is_there("good-F32.gguf"));
	assert_int_equal(RUN(NULL, "model", "rm", "good-F32", "--force"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pulls_the_only_model_of_a_repository),
	    cmocka_unit_test(goes_on_where_a_connection_broke),
	    cmocka_unit_test(begins_again_where_the_server_takes_no_ranges),
	    cmocka_unit_test(begins_again_where_the_file_has_changed),
	    cmocka_unit_test(goes_on_from_what_an_earlier_call_left),
	    cmocka_unit_test(keeps_nothing_whose_hash_is_wrong),
	    cmocka_unit_test(a_hub_that_names_no_hash_is_believed),
	    cmocka_unit_test(the_token_goes_to_the_hub_and_to_nobody_else),
	    cmocka_unit_test(asks_which_of_several),
	    cmocka_unit_test(joins_the_parts_of_a_split_model),
	    cmocka_unit_test(says_at_once_that_a_file_is_no_model),
	    cmocka_unit_test(pulls_an_address),
	    cmocka_unit_test(lists_and_deletes_what_is_there),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
