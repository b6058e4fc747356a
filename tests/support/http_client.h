/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of the gateway for tests: whole requests by libcurl, and bare sockets for what no good
 * client does. Failures of the client itself fail the test (cmocka).
 */
#ifndef AYNI_TESTS_SUPPORT_HTTP_CLIENT_H
#define AYNI_TESTS_SUPPORT_HTTP_CLIENT_H

#include <jansson.h>

#include "tests/support/network.h"

struct http_answer {
	long status;
	char *headers, *body; /* NUL-terminated */
	size_t headers_len, body_len;
};

/* Wait until the file of the network's folder is there, and read the address in it. */
void http_find(const struct network *n, const char *file, char address[64]);

/* GET if body is NULL, else POST of JSON. */
struct http_answer http_ask(const char *address, const char *path, const char *body);
void http_answer_free(struct http_answer *a);
/* The body of an answer that must have this status, as JSON. */
json_t *http_json(const char *address, const char *path, const char *body, long status);
/* All of the answer's text in the body of a stream of chat chunks: what `content` says. */
char *http_stream_text(const char *body);
/* As many POSTs at once; how many had the status and contain `expected` in their body. */
unsigned http_ask_many(
    const char *address, const char *path, const char *body, unsigned n, const char *expected);
/* Ask again and again until /metrics says this. */
void http_wait_metric(const char *address, const char *line);

/* A socket to it; receive_bytes: the kernel's room for what is not read, 0: the usual. */
int http_socket(const char *address, int receive_bytes);
/* GET if body is NULL. */
void http_send(int fd, const char *path, const char *body);
/* Read until `text` has come, or the end; what came, NUL-terminated, to be freed. */
char *http_read_until(int fd, const char *text);

#endif
