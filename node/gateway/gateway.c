/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/gateway.h"

#include <errno.h>
#include <signal.h>

#include "node/report.h"

void gateway_defaults(struct gateway_options *o)
{
	*o = (struct gateway_options){
	    .max_requests = 512,
	    .http = {.listen = "127.0.0.1:11500",
	        .limits = {.connections = 2048,
	            .idle_s = 120,
	            .body_bytes = 4 << 20,
	            .stream_bytes = 256 << 10}},
	};
}

/* Whoever waits for the file shall not see half of it. */
static int write_address(const char *path, const char *address, struct error *err)
{
	char unfinished[4096];
	FILE *f;

	if ((size_t)snprintf(unfinished, sizeof unfinished, "%s.new", path) >= sizeof unfinished)
		return error_set(err, AYNI_ERR_ARGUMENT, "the address file's name is too long");
	f = fopen(unfinished, "we");
	if (f == NULL || fprintf(f, "%s\n", address) < 0 || fclose(f) != 0 ||
	    rename(unfinished, path) != 0)
		return error_set(err, AYNI_ERR_IO, "%.150s: %s", path, strerror(errno));
	return AYNI_OK;
}

static void on_signal(void *context, int signal_number)
{
	report(REPORT_INFO, "stopping (%s)", strsignal(signal_number));
	loop_stop(context);
}

/* http before backend: what it sends is followed by a look at what came (client.h). */
static int serve(struct loop *l, const struct gateway_options *o, struct http *h, struct error *err)
{
	struct backend_options member = {.pool = o->pool,
	    .key_path = o->key_path,
	    .max_requests = o->max_requests,
	    .status = http_status,
	    .context = h};
	struct backend *b = NULL;
	int rc = backend_new(l, &member, &b, err);

	http_attach(h, b);
	if (rc == AYNI_OK && o->address_file != NULL)
		rc = write_address(o->address_file, http_address(h), err);
	if (rc == AYNI_OK) {
		report(REPORT_INFO, "listening on http://%s", http_address(h));
		rc = loop_run(l, err);
	}
	if (rc == AYNI_OK)
		rc = backend_verdict(b, err);
	http_free(h);
	backend_free(b);
	return rc;
}

int gateway_run(const struct gateway_options *o, struct error *err)
{
	static const int signals[] = {SIGTERM, SIGINT, 0};
	struct loop *l = NULL;
	struct http *h = NULL;
	int rc;

	if ((rc = loop_new(&l, err)) == AYNI_OK &&
	    (rc = loop_signals(l, signals, on_signal, l, err)) == AYNI_OK &&
	    (rc = http_new(l, &o->http, &h, err)) == AYNI_OK)
		rc = serve(l, o, h, err);
	loop_free(l);
	return rc;
}
