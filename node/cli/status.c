/* SPDX-License-Identifier: Apache-2.0 */
#include <argp.h>
#include <stdlib.h>

#include "node/cli/cli.h"
#include "node/client.h"
#include "node/status_json.h"
#include "protocol/identity.h"

enum { JOIN_MS = 15000 };

struct options {
	const char *pool;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		o->pool = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_END:
		if (o->pool == NULL)
			argp_error(state, "--pool INVITE is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int print_json(const struct msg_status *s)
{
	json_t *object = status_json(s);
	int rc = object != NULL ? json_dumpf(object, stdout, JSON_COMPACT) : -1;

	(void)printf("\n");
	json_decref(object);
	return rc;
}

/* ---- for people --------------------------------------------------------------------------- */

static void print_refusals(const char *who, const struct refusal_counts *r)
{
	bool any = false;

	for (int i = 1; i < REFUSAL_END; i++) {
		if (r->by_reason[i] == 0)
			continue;
		(void)printf("%s %s %llu", any ? "," : who, refusal_name((enum refusal)i),
		    (unsigned long long)r->by_reason[i]);
		any = true;
	}
	if (any)
		(void)printf("\n");
}

static void print_path(const struct status_model *m)
{
	if (m->n_stages > 0)
		(void)printf(
		    "  a new session would write %.3g tokens/s:\n", status_tokens_per_s(m));
	for (size_t i = 0; i < m->n_stages; i++) {
		const struct status_stage *s = &m->path[i];

		(void)printf("    layers %u-%u at %s: %.1f ms a token, %.1f of them on the way, %u "
		             "%s%s\n",
		    s->layers.first, s->layers.last - 1,
		    s->donor_name[0] != '\0' ? s->donor_name : "(no name)",
		    (double)s->token_us / 1000, (double)s->round_trip_us / 1000, s->replicas,
		    s->replicas == 1 ? "replica" : "replicas",
		    s->direct ? ", hands over directly" : "");
	}
	if (m->limit[0] != '\0')
		(void)printf("  what limits it: %s\n", m->limit);
}

static void print_model(const struct status_model *m)
{
	(void)printf("model %s: %u layers, %u sessions, %u waiting\n", m->name, m->n_layers,
	    m->sessions, m->waiting);
	for (size_t i = 0; i < m->n_missing; i++)
		(void)printf("  nobody holds layers %u to %u\n", m->missing[i].first,
		    m->missing[i].last - 1);
	print_path(m);
}

static void print_donor(const struct status_donor *d)
{
	char hex[HEX32_CHARS], layers[32] = "-", link[32] = "-";

	hex32(d->donor.bytes, hex);
	if (d->link_bytes_per_s > 0)
		(void)snprintf(link, sizeof link, "%.3g", (double)d->link_bytes_per_s / 1e6);
	if (d->layer_last > 0)
		(void)snprintf(layers, sizeof layers, "%u-%u", d->layer_first, d->layer_last - 1);
	(void)printf("%.8s  %-16.16s %-9s %-8s %9s %9llu %10.3f %9.1f %9.1f %10s\n", hex, d->name,
	    d->state, d->role, layers, (unsigned long long)d->units, flop_giga(d->cost),
	    (double)d->round_trip_us / 1000, (double)d->flop_per_s / 1e9, link);
	if (d->trust[0] != '\0')
		(void)printf("          %s: %llu units rechecked and right, %llu lies\n", d->trust,
		    (unsigned long long)d->verified_units, (unsigned long long)d->lies);
	if (d->note[0] != '\0')
		(void)printf("          %s: %s\n", d->role, d->note);
	print_refusals("          it refused:", &d->refused_by_donor);
	print_refusals("          the pool refused of it:", &d->refused_by_pool);
}

static void print_text(const struct msg_status *s)
{
	(void)printf("%s: up %.0f s, %llu requests done, %llu receipts\n", s->pool_name,
	    (double)s->uptime_ms / 1000, (unsigned long long)s->requests_done,
	    (unsigned long long)s->receipts);
	if (s->checks_right + s->checks_wrong + s->checks_missed > 0)
		(void)printf("rechecked: %llu right, %llu wrong, %llu drawn and not done; %llu "
		             "looked at by donors\n",
		    (unsigned long long)s->checks_right, (unsigned long long)s->checks_wrong,
		    (unsigned long long)s->checks_missed, (unsigned long long)s->checks_by_donors);
	for (size_t i = 0; i < s->n_models; i++)
		print_model(&s->models[i]);
	if (s->n_donors > 0)
		(void)printf(
		    "donor     name             state     role        layers     units      GFLOP "
		    "   rtt ms   GFLOP/s  link MB/s\n");
	for (size_t i = 0; i < s->n_donors; i++)
		print_donor(&s->donors[i]);
	print_refusals("the pool refused:", &s->refusals);
}

int cli_status(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"pool", 'p', "INVITE", 0, "the pool to ask", 0},
	    {"json", 'j', NULL, 0, "for programs", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .doc =
	        "Show a pool's models, its donors and the layers they hold, and what was refused."};
	struct message question = {.type = MSG_STATUS_QUERY};
	const struct message *m = NULL;
	struct options o = {0};
	struct client *c = NULL;
	struct error err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	rc = client_open(o.pool, JOIN_MS, &c, &err);
	if (rc == AYNI_OK)
		rc = client_ask(c, &question, MSG_STATUS, &m, &err);
	if (rc == AYNI_OK && o.json && print_json(&m->status) != 0)
		rc = error_set(&err, AYNI_ERR_IO, "cannot write the answer");
	if (rc == AYNI_OK && !o.json)
		print_text(&m->status);
	client_free(c);
	return rc == AYNI_OK ? CLI_OK : cli_fail("status", &err);
}
