/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni chat` at a terminal: a pseudo-terminal on which a person types. */
#include <errno.h>
#include <poll.h>
#include <pty.h>
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
#include <jansson.h>

#include "tests/support/network.h"
#include "tests/support/tiny_model.h"

#define DEMO_MODEL "configs/models/ayni-demo.gguf"
#define CTRL_C     "\003"
#define CTRL_D     "\004"
#define UP         "\033[A"
#define PROMPT     ">"
#define MORE       ". "

enum { PATIENCE_MS = 60000, MAX_ARGS = 16 };

static struct network net;
static const char *pool_settings[] = {NULL, NULL};
static char *endless; /* a model whose answers go on and on */

static struct terminal {
	pid_t pid;
	int fd;
	char screen[NETWORK_OUTPUT]; /* all that came */
	size_t len, seen;            /* what was waited for lies before `seen` */
} t;

static int set_up(void **state)
{
	const struct tiny_model_options options = {.context_tokens = 65536, .seed = 7};
	static const char *const donor[] = {"cores=1", NULL};
	static char setting[NETWORK_PATH];

	(void)state;
	endless = tiny_model_temporary(&options);
	(void)snprintf(setting, sizeof setting, "model=%s", endless);
	pool_settings[0] = setting;
	network_start(&net, DEMO_MODEL, pool_settings);
	network_donor(&net, 0, NULL, donor);
	network_donor(&net, 1, NULL, donor); /* a model each */
	network_wait_ready(&net);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	network_stop(&net);
	tiny_model_remove(endless);
	return 0;
}

static void start_chat(const char *const *options, bool no_color)
{
	char *argv[MAX_ARGS] = {(char *)"ayni", (char *)"chat", (char *)"--pool", net.invite,
	    (char *)"--temperature", (char *)"0"};
	const struct winsize size = {.ws_row = 24, .ws_col = 132};

	for (size_t i = 0; options != NULL && options[i] != NULL; i++)
		argv[6 + i] = (char *)options[i];
	t = (struct terminal){0};
	t.pid = forkpty(&t.fd, NULL, NULL, &size);
	assert_true(t.pid >= 0);
	if (t.pid > 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setenv("AYNI_HOME", net.folder, 1);
	(void)setenv("HOME", net.folder, 1);
	(void)setenv("TERM", "xterm", 1);
	(void)unsetenv("LANG");
	(void)unsetenv("LC_ALL");
	if (no_color)
		(void)setenv("NO_COLOR", "1", 1);
	else
		(void)unsetenv("NO_COLOR");
	(void)execv(network_program(), argv);
	_exit(127);
}

/* More of the screen; false at its end. */
static bool look(void)
{
	struct pollfd fd = {.fd = t.fd, .events = POLLIN};
	ssize_t n;

	if (poll(&fd, 1, PATIENCE_MS) != 1)
		fail_msg("waited in vain; on the screen: %s", t.screen + t.seen);
	assert_true(t.len < sizeof t.screen - 1);
	n = read(t.fd, t.screen + t.len, sizeof t.screen - 1 - t.len);
	if (n <= 0) /* EIO: the other side was closed */
		return false;
	for (ssize_t i = 0; i < n; i++) { /* noise of a model: keep it a string */
		if (t.screen[t.len + (size_t)i] == '\0')
			t.screen[t.len + (size_t)i] = '?';
	}
	t.len += (size_t)n;
	return true;
}

static void expect(const char *text)
{
	const char *at;

	while ((at = strstr(t.screen + t.seen, text)) == NULL) {
		if (!look())
			fail_msg("\"%s\" never came; on the screen: %s", text, t.screen + t.seen);
	}
	t.seen = (size_t)(at - t.screen) + strlen(text);
}

static void expect_more(size_t bytes)
{
	for (size_t until = t.len + bytes; t.len < until;)
		assert_true(look());
}

static void type(const char *keys)
{
	assert_int_equal(write(t.fd, keys, strlen(keys)), strlen(keys));
}

/* Type, and wait until it is read: the next prompt. */
static void say(const char *line, const char *answer)
{
	type(line);
	type("\r");
	if (answer != NULL)
		expect(answer);
	expect(PROMPT);
}

static int end_chat(const char *keys)
{
	type(keys);
	while (look())
		;
	(void)close(t.fd);
	return network_wait_end(t.pid);
}

static const char *at(const char *name)
{
	static char path[NETWORK_PATH * 2];

	(void)snprintf(path, sizeof path, "%s/%s", net.folder, name);
	return path;
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	if (stat(at(name), &st) != 0)
		fail_msg("%s: %s", at(name), strerror(errno));
	return st.st_mode & 0777;
}

static const char *name_of_endless(void)
{
	static char name[NETWORK_PATH];
	const char *file = strrchr(endless, '/') + 1;

	(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(file, "."), file);
	return name;
}

static const char *content(const json_t *messages, size_t i, const char *role)
{
	const json_t *message = json_array_get(messages, i);

	assert_string_equal(json_string_value(json_object_get(message, "role")), role);
	return json_string_value(json_object_get(message, "content"));
}

static void a_conversation_with_commands_and_an_interrupt_is_saved(void **state)
{
	char command[NETWORK_PATH * 3];
	json_t *root, *messages;

	(void)state;
	start_chat(NULL, false);
	expect(PROMPT);
	say("/system Answer sums.", NULL);
	say("/system", "Answer sums.");
	say("27 + 48", "27 + 48 = 75\r\n");
	say("/model", "* ayni-demo");
	say("/danse", "there is no command /danse");
	(void)snprintf(command, sizeof command, "/model %s", name_of_endless());
	say(command, NULL);
	type("\"\"\"first\r");
	expect(MORE);
	type("/second\r");
	expect(MORE);
	type("\"\"\"\r");
	expect("\n");
	expect_more(64); /* of the answer */
	type(CTRL_C);
	expect("tokens/s");
	expect(PROMPT);
	type("never sent");
	expect("never sent");
	type(CTRL_C);
	expect(PROMPT);
	say("/model none", "the pool has no model \"none\"");
	(void)snprintf(command, sizeof command, "/save %s", at("talk.json"));
	say(command, "5 messages are in");
	say(command, "5 messages are in"); /* its own: replaced */
	assert_int_equal(end_chat(CTRL_D), 0);

	assert_int_equal(mode_of("talk.json"), 0600);
	root = json_load_file(at("talk.json"), 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "model")), name_of_endless());
	messages = json_object_get(root, "messages");
	assert_int_equal(json_array_size(messages), 5);
	assert_string_equal(content(messages, 0, "system"), "Answer sums.");
	assert_string_equal(content(messages, 1, "user"), "27 + 48");
	assert_string_equal(content(messages, 2, "assistant"), "27 + 48 = 75");
	assert_string_equal(content(messages, 3, "user"), "first\n/second");
	assert_true(strlen(content(messages, 4, "assistant")) > 0);
	assert_null(json_object_get(json_array_get(messages, 2), "interrupted"));
	assert_true(json_is_true(json_object_get(json_array_get(messages, 4), "interrupted")));
	json_decref(root);
}

static void what_was_typed_is_there_again_and_can_be_forgotten(void **state)
{
	static const char *const none[] = {"--no-history", NULL};
	char *history;

	(void)state;
	start_chat(NULL, false);
	expect(PROMPT);
	say("12 + 7", "= 19\r\n");
	say("\xe4\xbd\xa0\xe5\xa5\xbd", NULL);
	assert_int_equal(end_chat("/quit\r"), 0);
	assert_int_equal(mode_of("member/history"), 0600);

	start_chat(NULL, false);
	expect(PROMPT);
	say(UP UP UP, "= 19\r\n");
	say("/forget", NULL);
	assert_int_equal(access(at("member/history"), F_OK), -1);
	say("40 - 13", "= 27\r\n");
	assert_int_equal(end_chat(CTRL_D), 0);
	history = network_read(&net, "member/history");
	assert_null(strstr(history, "12"));
	assert_non_null(strstr(history, "13"));
	free(history);

	start_chat(none, false);
	expect(PROMPT);
	say("50 + 1", "= 51\r\n");
	assert_int_equal(end_chat(CTRL_D), 0);
	history = network_read(&net, "member/history");
	assert_null(strstr(history, "50"));
	free(history);
}

static void nothing_is_bold_or_dim_where_no_colour_is_wanted(void **state)
{
	(void)state;
	start_chat(NULL, true);
	expect(PROMPT);
	say("12 + 7", "= 19\r\n");
	assert_int_equal(end_chat(CTRL_D), 0);
	assert_null(strstr(t.screen, "\033[1m"));
	assert_null(strstr(t.screen, "\033[2m"));

	start_chat(NULL, false);
	expect(PROMPT);
	say("12 + 7", "= 19\r\n");
	assert_int_equal(end_chat(CTRL_D), 0);
	assert_non_null(strstr(t.screen, "\033[1m"));
	assert_non_null(strstr(t.screen, "\033[2m"));
}

/* The last test: the donors need not come again. */
static void a_pool_that_was_started_again_is_joined_again(void **state)
{
	(void)state;
	start_chat(NULL, false);
	expect(PROMPT);
	say("12 + 7", "= 19\r\n");
	assert_int_equal(kill(net.pool, SIGKILL), 0);
	(void)network_wait_end(net.pool);
	network_restart_pool(&net, DEMO_MODEL, pool_settings);
	say("/model", "* ayni-demo");
	assert_int_equal(end_chat(CTRL_D), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_conversation_with_commands_and_an_interrupt_is_saved),
	    cmocka_unit_test(what_was_typed_is_there_again_and_can_be_forgotten),
	    cmocka_unit_test(nothing_is_bold_or_dim_where_no_colour_is_wanted),
	    cmocka_unit_test(a_pool_that_was_started_again_is_joined_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
