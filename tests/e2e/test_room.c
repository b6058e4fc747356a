/* SPDX-License-Identifier: Apache-2.0 */
/* The page that a pool's HTTP serves, and what it is told each second; `make test-web` looks at it.
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
#include <jansson.h>

#include "tests/support/http_client.h"
#include "tests/support/network.h"

#define CHAT     "/v1/chat/completions"
#define QUESTION "{\"messages\":[{\"role\":\"user\",\"content\":\"What is 27 + 48?\"}]}"

enum { WATCHERS = 64 };

static struct network net;
static char at[64]; /* the pool's HTTP */

static int start(void **state)
{
	static const char *const settings[] = {"http=127.0.0.1:0", NULL};
	static const char *const donor[] = {"cores=1", NULL};

	(void)state;
	network_start(&net, "configs/models/ayni-demo.gguf", settings);
	network_donor(&net, 0, NULL, donor);
	network_wait_ready(&net);
	http_find(&net, "pool/http", at);
	http_wait_metric(at, "ayni_pool_up 1\n");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	network_stop(&net);
	return 0;
}

static void the_page_is_served_and_may_load_nothing_from_elsewhere(void **state)
{
	struct http_answer a = http_ask(at, "/", NULL);

	(void)state;
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body, "<html lang=\"en\">"));
	assert_non_null(strstr(a.headers, "Content-Type: text/html; charset=utf-8\r\n"));
	assert_non_null(strstr(a.headers, "Content-Security-Policy: default-src 'self';"));
	assert_non_null(strstr(a.headers, "X-Content-Type-Options: nosniff\r\n"));
	assert_non_null(strstr(a.headers, "Referrer-Policy: no-referrer\r\n"));
	http_answer_free(&a);
	a = http_ask(at, "/room/main.mjs", NULL);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.headers, "Content-Type: text/javascript; charset=utf-8\r\n"));
	http_answer_free(&a);
	json_decref(http_json(at, "/room/key", NULL, 404));
	json_decref(http_json(at, "/room/", NULL, 404));
}

/* As a browser asks once more for what it has kept. */
static char *ask_with_tag(const char *tag)
{
	int fd = http_socket(at, 0);
	char path[160];
	char *answer;

	(void)snprintf(
	    path, sizeof path, "/room/style.css HTTP/1.1\r\nIf-None-Match: %s\r\nX: ", tag);
	http_send(fd, path, NULL);
	answer = http_read_until(fd, "\r\n\r\n");
	(void)close(fd);
	return answer;
}

static void a_file_of_the_page_is_sent_only_to_who_has_it_not(void **state)
{
	char *first = ask_with_tag("\"another\""), *again, tag[64] = "";

	(void)state;
	assert_non_null(strstr(first, "200 OK"));
	assert_int_equal(sscanf(strstr(first, "ETag: "), "ETag: %63s", tag), 1);
	again = ask_with_tag(tag);
	assert_non_null(strstr(again, "304 Not Modified"));
	free(again);
	free(first);
}

static json_int_t requests_done(void)
{
	json_t *o = http_json(at, "/room/status", NULL, 200);
	json_int_t n = json_integer_value(json_object_get(o, "requests_done"));

	json_decref(o);
	return n;
}

static void who_watches_sees_what_others_ask(void **state)
{
	json_int_t before = requests_done();
	int fds[2] = {http_socket(at, 0), http_socket(at, 0)};
	char expected[64];

	(void)state;
	(void)snprintf(expected, sizeof expected, "\"requests_done\":%lld,", (long long)before + 1);
	for (int i = 0; i < 2; i++) {
		char *text;

		http_send(fds[i], "/room/events", NULL);
		text = http_read_until(fds[i], "data: {\"pool\":");
		assert_non_null(strstr(text, "Content-Type: text/event-stream\r\n"));
		assert_null(strstr(text, expected));
		free(text);
	}
	json_decref(http_json(at, CHAT, QUESTION, 200));
	for (int i = 0; i < 2; i++) {
		char *text = http_read_until(fds[i], expected);

		assert_non_null(strstr(text, expected));
		free(text);
		(void)close(fds[i]);
	}
}

/* A socket that watches; -1: too many do. */
static int watch(void)
{
	int fd = http_socket(at, 0);
	char *head;
	bool served;

	http_send(fd, "/room/events", NULL);
	head = http_read_until(fd, "\r\n\r\n");
	served = strstr(head, "200 OK") != NULL;
	assert_true(served || strstr(head, "503 Service Unavailable") != NULL);
	free(head);
	if (!served)
		(void)close(fd);
	return served ? fd : -1;
}

/* Those that have gone may not be missed yet. */
static int watch_when_there_is_room(void)
{
	int fd;

	do
		fd = watch();
	while (fd < 0);
	return fd;
}

static void only_so_many_may_watch_until_one_goes(void **state)
{
	int fds[WATCHERS];

	(void)state;
	for (int i = 0; i < WATCHERS; i++)
		fds[i] = watch_when_there_is_room();
	assert_int_equal(watch(), -1);
	(void)close(fds[0]);
	fds[0] = watch_when_there_is_room();
	for (int i = 0; i < WATCHERS; i++)
		(void)close(fds[i]);
}

/* Each series that an expression names is one that is served. */
static unsigned check_expression(const char *expression, const char *metrics)
{
	unsigned n = 0;
	char name[128];

	for (const char *s = strstr(expression, "ayni_"); s != NULL; s = strstr(s + 1, "ayni_")) {
		(void)snprintf(name, sizeof name, "\n# TYPE %.*s ",
		    (int)strspn(s, "abcdefghijklmnopqrstuvwxyz_"), s);
		if (strstr(metrics, name) == NULL)
			fail_msg("%s: not among the metrics", expression);
		n++;
	}
	return n;
}

static void the_dashboard_asks_for_metrics_that_are_there(void **state)
{
	json_t *dashboard = json_load_file("configs/grafana-dashboard.json", 0, NULL);
	struct http_answer a = http_ask(at, "/metrics", NULL);
	const json_t *panel, *target;
	unsigned n = 0;
	size_t i, k;

	(void)state;
	json_array_foreach(json_object_get(dashboard, "panels"), i, panel)
	{
		json_array_foreach(json_object_get(panel, "targets"), k, target)
		{
			n += check_expression(
			    json_string_value(json_object_get(target, "expr")), a.body);
		}
	}
	assert_true(n > 10);
	http_answer_free(&a);
	json_decref(dashboard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_page_is_served_and_may_load_nothing_from_elsewhere),
	    cmocka_unit_test(a_file_of_the_page_is_sent_only_to_who_has_it_not),
	    cmocka_unit_test(who_watches_sees_what_others_ask),
	    cmocka_unit_test(only_so_many_may_watch_until_one_goes),
	    cmocka_unit_test(the_dashboard_asks_for_metrics_that_are_there),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
