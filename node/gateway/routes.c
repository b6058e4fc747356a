/* SPDX-License-Identifier: Apache-2.0 */
/* Which path is what. */
#include "node/gateway/http_internal.h"

#include <stdlib.h>

#include "node/loop.h"
#include "node/status_json.h"

static void no_pool(struct exchange *x)
{
	fault_set(&x->fault, 503, "the pool is not there; try again later");
}

static void models_get(struct exchange *x, const struct msg_status *s)
{
	if (s == NULL)
		no_pool(x);
	else
		openai_models(s, loop_wall_ms(), &x->out);
}

static void model_get(struct exchange *x, const struct msg_status *s)
{
	if (s == NULL) {
		no_pool(x);
	} else if (!openai_model(s, loop_wall_ms(), x->rest, &x->out)) {
		fault_set(&x->fault, 404, "no model \"%.100s\" here", x->rest);
		x->fault.code = "model_not_found";
	}
}

static void tags_get(struct exchange *x, const struct msg_status *s)
{
	if (s == NULL)
		no_pool(x);
	else
		ollama_tags(s, loop_wall_ms(), &x->out);
}

static void version_get(struct exchange *x)
{
	ollama_version(&x->out);
}

static void plain(struct exchange *x, const char *text)
{
	x->content_type = "text/plain; charset=utf-8";
	text_add_string(&x->out, text);
}

/* This process runs. */
static void health_get(struct exchange *x)
{
	plain(x, "ok\n");
}

/* A question would be answered: a model has all its layers at donors. */
static void ready_get(struct exchange *x, const struct msg_status *s)
{
	for (size_t i = 0; s != NULL && i < s->n_models; i++) {
		if (s->models[i].n_missing == 0) {
			plain(x, "ready\n");
			return;
		}
	}
	if (s == NULL)
		no_pool(x);
	else
		fault_set(&x->fault, 503, "donors hold no model of this pool as a whole");
}

static void metrics_get(struct exchange *x, const struct msg_status *s)
{
	x->content_type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_write(x->http, s, &x->out);
}

static void log_get(struct exchange *x)
{
	files_get(x, x->http->options.log_folder, x->rest);
}

static void room_status_get(struct exchange *x, const struct msg_status *s)
{
	if (s == NULL)
		no_pool(x);
	else
		text_add_json(&x->out, status_json(s));
}

static void index_get(struct exchange *x)
{
	page_get(x, "index.html");
}

static void room_get(struct exchange *x)
{
	page_get(x, x->rest);
}

static const struct route routes[] = {
    {.path = "/v1/chat/completions", .api = &openai_chat, .fault = openai_fault},
    {.path = "/v1/completions", .api = &openai_completions, .fault = openai_fault},
    {.path = "/v1/responses", .api = &openai_responses, .fault = openai_fault},
    {.path = "/v1/models", .status = models_get, .fault = openai_fault},
    {.path = "/v1/models/", .is_prefix = true, .status = model_get, .fault = openai_fault},
    {.path = "/api/chat", .api = &ollama_chat, .fault = ollama_fault},
    {.path = "/api/generate", .api = &ollama_generate, .fault = ollama_fault},
    {.path = "/api/tags", .status = tags_get, .fault = ollama_fault},
    {.path = "/api/version", .get = version_get, .fault = ollama_fault},
    {.path = "/healthz", .get = health_get},
    {.path = "/readyz", .status = ready_get},
    {.path = "/metrics", .status = metrics_get},
    {.path = "/log/", .is_prefix = true, .get = log_get},
    {.path = "/", .get = index_get},
    {.path = "/room/status", .status = room_status_get},
    {.path = "/room/events", .get = watch_get},
    {.path = "/room/", .is_prefix = true, .get = room_get},
};

static bool matches(const struct route *r, const char *path)
{
	return r->is_prefix ? strncmp(path, r->path, strlen(r->path)) == 0
	                    : strcmp(path, r->path) == 0;
}

void route_find(struct exchange *x, const char *method, const char *path)
{
	bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

	for (size_t i = 0; i < sizeof routes / sizeof *routes && x->route == NULL; i++) {
		if (matches(&routes[i], path))
			x->route = &routes[i];
	}
	if (x->route == NULL) {
		fault_set(&x->fault, 404, "there is nothing at this path");
		return;
	}
	if (x->route->api != NULL ? strcmp(method, "POST") != 0 : !reads) {
		fault_set(&x->fault, 405, "%s is answered here",
		    x->route->api != NULL ? "only POST" : "only GET");
		return;
	}
	if (!x->route->is_prefix)
		return;
	x->rest = strdup(path + strlen(x->route->path));
	if (x->rest == NULL)
		fault_set(&x->fault, 500, "out of memory");
}
