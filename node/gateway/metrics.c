/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4. */
#include "node/gateway/http_internal.h"
#include "protocol/identity.h"

static void describe(struct text *out, const char *name, const char *type, const char *help)
{
	text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(
    struct text *out, const char *name, const char *type, const char *help, double value)
{
	describe(out, name, type, help);
	text_printf(out, "%s %.17g\n", name, value);
}

/* A label's value: names come from strangers. */
static void add_quoted(struct text *out, const char *value)
{
	text_add_string(out, "\"");
	for (const char *at = value; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\')
			text_add_string(out, "\\");
		text_add(out, at, 1);
	}
	text_add_string(out, "\"");
}

/* ---- of each model ------------------------------------------------------------------------ */

typedef double model_fn(const struct status_model *m);

static double model_layers(const struct status_model *m)
{
	return m->n_layers;
}

static double model_missing(const struct status_model *m)
{
	double n = 0;

	for (size_t i = 0; i < m->n_missing; i++)
		n += m->missing[i].last - m->missing[i].first;
	return n;
}

static double model_sessions(const struct status_model *m)
{
	return m->sessions;
}

static double model_waiting(const struct status_model *m)
{
	return m->waiting;
}

static double model_token_seconds(const struct status_model *m)
{
	double us = 0;

	for (size_t i = 0; i < m->n_stages; i++)
		us += (double)m->path[i].token_us;
	return us / 1e6;
}

static void models(struct text *out, const struct msg_status *s)
{
	static const struct {
		const char *name, *help;
		model_fn *value;
	} list[] = {
	    {"ayni_model_layers", "Layers of the model.", model_layers},
	    {"ayni_model_missing_layers", "Layers that no ready donor holds.", model_missing},
	    {"ayni_model_sessions", "Requests that are answered or wait.", model_sessions},
	    {"ayni_model_waiting", "Of these, those that wait for donors.", model_waiting},
	    {"ayni_model_token_seconds",
	        "Time of a token over the path of a new session; 0: there is none.",
	        model_token_seconds},
	};

	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		describe(out, list[i].name, "gauge", list[i].help);
		for (size_t k = 0; k < s->n_models; k++) {
			text_printf(out, "%s{model=", list[i].name);
			add_quoted(out, s->models[k].name);
			text_printf(out, "} %.17g\n", list[i].value(&s->models[k]));
		}
	}
}

/* ---- of each donor ------------------------------------------------------------------------ */

typedef double donor_fn(const struct status_donor *d);

static double donor_units(const struct status_donor *d)
{
	return (double)d->units;
}

static double donor_flop(const struct status_donor *d)
{
	return (double)flop_count(d->cost);
}

static double donor_round_trip(const struct status_donor *d)
{
	return (double)d->round_trip_us / 1e6;
}

static double donor_layers(const struct status_donor *d)
{
	return d->layer_last - d->layer_first;
}

static double donor_ready(const struct status_donor *d)
{
	return strcmp(d->state, "ready") == 0;
}

static void donors(struct text *out, const struct msg_status *s)
{
	static const struct {
		const char *name, *type, *help;
		donor_fn *value;
	} list[] = {
	    {"ayni_donor_ready", "gauge", "1: it has its layers and responds.", donor_ready},
	    {"ayni_donor_layers", "gauge", "Layers assigned to it.", donor_layers},
	    {"ayni_donor_units_total", "counter", "Right results since the pool started.",
	        donor_units},
	    {"ayni_donor_flop_total", "counter", "Their cost in floating point operations.",
	        donor_flop},
	    {"ayni_donor_round_trip_seconds", "gauge", "The way to it and back.", donor_round_trip},
	};

	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		describe(out, list[i].name, list[i].type, list[i].help);
		for (size_t k = 0; k < s->n_donors; k++) {
			char hex[HEX32_CHARS];

			hex32(s->donors[k].donor.bytes, hex);
			text_printf(out, "%s{donor=\"%.16s\",name=", list[i].name, hex);
			add_quoted(out, s->donors[k].name);
			text_printf(out, "} %.17g\n", list[i].value(&s->donors[k]));
		}
	}
}

/* ---- of the pool and the gateway ---------------------------------------------------------- */

static void pool(struct text *out, const struct msg_status *s)
{
	single(out, "ayni_pool_uptime_seconds", "gauge", "Since the pool was started.",
	    (double)s->uptime_ms / 1e3);
	single(out, "ayni_pool_requests_done_total", "counter",
	    "Requests that ended since then, of all members.", (double)s->requests_done);
	single(out, "ayni_pool_receipts_total", "counter", "Receipts in the ledger.",
	    (double)s->receipts);
	describe(out, "ayni_pool_refusals_total", "counter", "Messages that the pool refused.");
	for (int i = 1; i < REFUSAL_END; i++)
		text_printf(out, "ayni_pool_refusals_total{reason=\"%s\"} %llu\n",
		    refusal_name((enum refusal)i), (unsigned long long)s->refusals.by_reason[i]);
}

void metrics_write(const struct http *h, const struct msg_status *s, struct text *out)
{
	const union MHD_DaemonInfo *connections =
	    h->daemon != NULL ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
	                      : NULL;

	single(out, "ayni_pool_up", "gauge", "1: the pool answers.", s != NULL);
	single(out, "ayni_http_connections", "gauge", "Open connections.",
	    connections != NULL ? connections->num_connections : 0);
	single(out, "ayni_http_requests_running", "gauge", "Requests of the gateway at the pool.",
	    h->backend != NULL ? (double)backend_running(h->backend) : 0);
	describe(
	    out, "ayni_http_answers_total", "counter", "Answers by the class of their status.");
	for (int i = 2; i < 6; i++)
		text_printf(out, "ayni_http_answers_total{class=\"%dxx\"} %llu\n", i,
		    (unsigned long long)h->counts.by_class[i]);
	single(out, "ayni_http_hung_up_total", "counter", "Clients that left before the end.",
	    (double)h->counts.hung_up);
	single(out, "ayni_http_too_slow_total", "counter",
	    "Streams that ended since they were not read.", (double)h->counts.too_slow);
	if (s == NULL)
		return;
	pool(out, s);
	models(out, s);
	donors(out, s);
}
