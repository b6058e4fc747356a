/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h> /* cmocka.h wants it first */

#include <cmocka.h>

enum { PATIENCE_MS = 120000 };

void http_find(const struct network *n, const char *file, char address[64])
{
	char path[NETWORK_PATH * 2], folder[NETWORK_PATH * 2], events[4096];
	struct pollfd change = {.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN};
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", n->folder, file);
	(void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
	assert_true(inotify_add_watch(change.fd, folder, IN_MOVED_TO) >= 0);
	while (access(path, R_OK) != 0) {
		if (poll(&change, 1, PATIENCE_MS) != 1)
			fail_msg("waited in vain for %s", path);
		(void)read(change.fd, events, sizeof events);
	}
	(void)close(change.fd);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(address, 64, f));
	(void)fclose(f);
	address[strcspn(address, "\n")] = '\0';
}

/* ---- libcurl ------------------------------------------------------------------------------ */

static void grow(char **to, size_t *len, const char *data, size_t n)
{
	*to = realloc(*to, *len + n + 1);
	assert_non_null(*to);
	memcpy(*to + *len, data, n);
	*len += n;
	(*to)[*len] = '\0';
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
	struct http_answer *a = context;

	grow(&a->body, &a->body_len, data, size * n);
	return size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *context)
{
	struct http_answer *a = context;

	grow(&a->headers, &a->headers_len, data, size * n);
	return size * n;
}

static CURL *prepare(const char *address, const char *path, const char *body, struct http_answer *a)
{
	CURL *c = curl_easy_init();
	char url[512];

	assert_non_null(c);
	*a = (struct http_answer){0};
	grow(&a->body, &a->body_len, "", 0);
	grow(&a->headers, &a->headers_len, "", 0);
	(void)snprintf(url, sizeof url, "http://%s%s", address, path);
	(void)curl_easy_setopt(c, CURLOPT_URL, url);
	(void)curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	(void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
	if (body != NULL)
		(void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	return c;
}

struct http_answer http_ask(const char *address, const char *path, const char *body)
{
	struct http_answer a;
	CURL *c = prepare(address, path, body, &a);
	CURLcode code = curl_easy_perform(c);

	if (code != CURLE_OK)
		fail_msg("%s: %s", path, curl_easy_strerror(code));
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a.status);
	curl_easy_cleanup(c);
	return a;
}

void http_answer_free(struct http_answer *a)
{
	free(a->headers);
	free(a->body);
	*a = (struct http_answer){0};
}

json_t *http_json(const char *address, const char *path, const char *body, long status)
{
	struct http_answer a = http_ask(address, path, body);
	json_t *o = json_loadb(a.body, a.body_len, 0, NULL);

	if (a.status != status || o == NULL)
		fail_msg("%s: status %ld, not %ld, and %s", path, a.status, status, a.body);
	http_answer_free(&a);
	return o;
}

char *http_stream_text(const char *body)
{
	char *text = NULL;
	size_t len = 0;

	grow(&text, &len, "", 0);
	for (const char *at = body; (at = strstr(at, "data: {")) != NULL; at++) {
		json_t *o = json_loadb(at + 6, strcspn(at + 6, "\n"), 0, NULL);
		const char *content = NULL;

		assert_non_null(o);
		(void)json_unpack(o, "{s:[{s:{s:s}}]}", "choices", "delta", "content", &content);
		if (content != NULL)
			grow(&text, &len, content, strlen(content));
		json_decref(o);
	}
	return text;
}

unsigned http_ask_many(
    const char *address, const char *path, const char *body, unsigned n, const char *expected)
{
	struct http_answer *answers = calloc(n, sizeof *answers);
	CURL **clients = calloc(n, sizeof *clients);
	CURLM *all = curl_multi_init();
	unsigned right = 0;
	int running = 1;

	assert_true(answers != NULL && clients != NULL && all != NULL);
	for (unsigned i = 0; i < n; i++) {
		clients[i] = prepare(address, path, body, &answers[i]);
		assert_int_equal(curl_multi_add_handle(all, clients[i]), CURLM_OK);
	}
	while (running > 0) {
		assert_int_equal(curl_multi_perform(all, &running), CURLM_OK);
		assert_int_equal(curl_multi_poll(all, NULL, 0, 1000, NULL), CURLM_OK);
	}
	for (unsigned i = 0; i < n; i++) {
		(void)curl_easy_getinfo(clients[i], CURLINFO_RESPONSE_CODE, &answers[i].status);
		right += answers[i].status == 200 && strstr(answers[i].body, expected) != NULL;
		(void)curl_multi_remove_handle(all, clients[i]);
		curl_easy_cleanup(clients[i]);
		http_answer_free(&answers[i]);
	}
	(void)curl_multi_cleanup(all);
	free(clients);
	free(answers);
	return right;
}

void http_wait_metric(const char *address, const char *line)
{
	time_t began = time(NULL);
	bool there;

	do {
		struct http_answer a = http_ask(address, "/metrics", NULL);

		there = strstr(a.body, line) != NULL;
		if (!there && time(NULL) - began > PATIENCE_MS / 1000)
			fail_msg("waited in vain for \"%s\" in %s", line, a.body);
		http_answer_free(&a);
	} while (!there);
}

/* ---- bare sockets ------------------------------------------------------------------------- */

int http_socket(const char *address, int receive_bytes)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	const char *colon = strrchr(address, ':');
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && colon != NULL);
	at.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (receive_bytes > 0)
		assert_int_equal(
		    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes), 0);
	if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
		fail_msg("connect to %s: %s", address, strerror(errno));
	return fd;
}

void http_send(int fd, const char *path, const char *body)
{
	size_t len = body != NULL ? strlen(body) : 0;
	char head[512];
	int n = snprintf(head, sizeof head,
	    "%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    body != NULL ? "POST" : "GET", path, len);

	assert_int_equal(send(fd, head, (size_t)n, MSG_NOSIGNAL), n);
	assert_int_equal(send(fd, body, len, MSG_NOSIGNAL), len);
}

char *http_read_until(int fd, const char *text)
{
	struct pollfd more = {.fd = fd, .events = POLLIN};
	char *all = NULL, data[4096];
	size_t len = 0;
	ssize_t n;

	grow(&all, &len, "", 0);
	while (strstr(all, text) == NULL) {
		if (poll(&more, 1, PATIENCE_MS) != 1)
			fail_msg("waited in vain for \"%s\" in \"%s\"", text, all);
		n = recv(fd, data, sizeof data, 0);
		if (n <= 0)
			break;
		grow(&all, &len, data, (size_t)n);
	}
	return all;
}
