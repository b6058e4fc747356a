/* SPDX-License-Identifier: Apache-2.0 */
#include "node/status_json.h"

#include "protocol/identity.h"

static json_t *json_refusals(const struct refusal_counts *r)
{
	json_t *object = json_object();

	for (int i = 1; i < REFUSAL_END; i++) {
		if (r->by_reason[i] > 0)
			json_object_set_new(object, refusal_name((enum refusal)i),
			    json_integer((json_int_t)r->by_reason[i]));
	}
	return object;
}

double status_tokens_per_s(const struct status_model *m)
{
	double us = 0;

	for (size_t i = 0; i < m->n_stages; i++)
		us += (double)m->path[i].token_us;
	return us > 0 ? 1e6 / us : 0;
}

static json_t *json_path(const struct status_model *m)
{
	json_t *path = json_array();
	char hex[HEX32_CHARS];

	for (size_t i = 0; i < m->n_stages; i++) {
		const struct status_stage *s = &m->path[i];

		hex32(s->donor.bytes, hex);
		json_array_append_new(path,
		    json_pack("{s[ii] ss ss sI sI si sb}", "layers", (int)s->layers.first,
		        (int)s->layers.last, "donor", hex, "name", s->donor_name, "token_us",
		        (json_int_t)s->token_us, "round_trip_us", (json_int_t)s->round_trip_us,
		        "replicas", (int)s->replicas, "direct", (int)s->direct));
	}
	return path;
}

static json_t *json_model(const struct status_model *m)
{
	json_t *missing = json_array();
	char hex[HEX32_CHARS];

	hex32(m->model.bytes, hex);
	for (size_t i = 0; i < m->n_missing; i++)
		json_array_append_new(
		    missing, json_pack("[ii]", (int)m->missing[i].first, (int)m->missing[i].last));
	return json_pack("{ss ss si so si si so sf ss sI}", "name", m->name, "id", hex, "layers",
	    (int)m->n_layers, "missing", missing, "sessions", (int)m->sessions, "waiting",
	    (int)m->waiting, "path", json_path(m), "tokens_per_s", status_tokens_per_s(m), "limit",
	    m->limit, "tokens", (json_int_t)m->tokens);
}

static json_t *json_donor(const struct status_donor *d)
{
	char hex[HEX32_CHARS];

	hex32(d->donor.bytes, hex);
	return json_pack("{ss ss ss ss ss s[ii] sI sI sI sI sI ss sI sI so so si}", "key", hex,
	    "name", d->name, "state", d->state, "role", d->role, "note", d->note, "layers",
	    (int)d->layer_first, (int)d->layer_last, "units", (json_int_t)d->units, "cost_flop",
	    (json_int_t)flop_count(d->cost), "round_trip_us", (json_int_t)d->round_trip_us,
	    "flop_per_s", (json_int_t)d->flop_per_s, "link_bytes_per_s",
	    (json_int_t)d->link_bytes_per_s, "trust", d->trust, "verified_units",
	    (json_int_t)d->verified_units, "lies", (json_int_t)d->lies, "refused_by_donor",
	    json_refusals(&d->refused_by_donor), "refused_by_pool",
	    json_refusals(&d->refused_by_pool), "model", (int)d->model);
}

json_t *status_json(const struct msg_status *s)
{
	json_t *models = json_array(), *donors = json_array();

	for (size_t i = 0; i < s->n_models; i++)
		json_array_append_new(models, json_model(&s->models[i]));
	for (size_t i = 0; i < s->n_donors; i++)
		json_array_append_new(donors, json_donor(&s->donors[i]));
	return json_pack("{ss sI so so so sI sI s{sI sI sI sI}}", "pool", s->pool_name, "uptime_ms",
	    (json_int_t)s->uptime_ms, "models", models, "donors", donors, "refusals",
	    json_refusals(&s->refusals), "receipts", (json_int_t)s->receipts, "requests_done",
	    (json_int_t)s->requests_done, "rechecks", "right", (json_int_t)s->checks_right, "wrong",
	    (json_int_t)s->checks_wrong, "missed", (json_int_t)s->checks_missed, "by_donors",
	    (json_int_t)s->checks_by_donors);
}
