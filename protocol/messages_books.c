/* SPDX-License-Identifier: Apache-2.0 */
/* What the pool shows of itself: receipts, and its state for members. */
#include "protocol/messages_internal.h"

enum {
	STATUS_MODELS_MAX = 64,
	STATUS_STAGES_MAX = 256,
	STATUS_DONORS_MAX = 4096,
	RECEIPTS_MAX = 1024
};

/* ---- Receipt and ReceiptAck --------------------------------------------------------------- */

static void receipt_load(struct conversion *c, const void *wire, struct message *out)
{
	load_signed_receipt(c, wire, &out->receipt);
}

static void receipt_check_bounds(struct conversion *c, const struct message *m)
{
	check_signed_receipt(c, &m->receipt);
}

static void *receipt_store(struct conversion *c, const struct message *in)
{
	return store_signed_receipt(c, &in->receipt);
}

const struct codec codec_receipt = {.name = "receipt",
    .type = &ayni__signed_receipt__descriptor,
    .load = receipt_load,
    .check = receipt_check_bounds,
    .store = receipt_store};

static void receipt_ack_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__ReceiptAck *in = wire;

	out->receipt_ack.number = in->number;
	load_bytes(c, "donor_signature", in->donor_signature,
	    out->receipt_ack.donor_signature.bytes, SIGNATURE_BYTES);
}

static void receipt_ack_check(struct conversion *c, const struct message *m)
{
	check_range(c, "number", m->receipt_ack.number, 1, INT64_MAX);
}

static void *receipt_ack_store(struct conversion *c, const struct message *in)
{
	Ayni__ReceiptAck *out = wire_new(c, &ayni__receipt_ack__descriptor);

	if (out == NULL)
		return NULL;
	out->number = in->receipt_ack.number;
	out->donor_signature = store_bytes(in->receipt_ack.donor_signature.bytes, SIGNATURE_BYTES);
	return out;
}

const struct codec codec_receipt_ack = {.name = "receipt-ack",
    .type = &ayni__receipt_ack__descriptor,
    .load = receipt_ack_load,
    .check = receipt_ack_check,
    .store = receipt_ack_store};

/* ---- StatusQuery -------------------------------------------------------------------------- */

static void status_query_load(struct conversion *c, const void *wire, struct message *out)
{
	(void)c; /* it has no fields */
	(void)wire;
	(void)out;
}

static void status_query_check(struct conversion *c, const struct message *m)
{
	(void)c;
	(void)m;
}

static void *status_query_store(struct conversion *c, const struct message *in)
{
	(void)in;
	return wire_new(c, &ayni__status_query__descriptor);
}

const struct codec codec_status_query = {.name = "status-query",
    .type = &ayni__status_query__descriptor,
    .load = status_query_load,
    .check = status_query_check,
    .store = status_query_store};

/* ---- Status: models ----------------------------------------------------------------------- */

static void status_path_load(
    struct conversion *c, const Ayni__StatusModel *in, struct status_model *out)
{
	check_range(c, "models.path", in->n_path, 0, STATUS_STAGES_MAX);
	out->path = conversion_take(c, in->n_path, sizeof *out->path);
	if (out->path == NULL)
		return;
	out->n_stages = in->n_path;
	for (size_t i = 0; i < in->n_path; i++) {
		const Ayni__StatusStage *from = in->path[i];
		struct status_stage *to = &out->path[i];

		to->layers = (struct layer_range){from->layer_first, from->layer_last};
		load_bytes(c, "models.path.donor", from->donor, to->donor.bytes, PUBLIC_KEY_BYTES);
		load_line(c, "models.path.donor_name", from->donor_name, to->donor_name,
		    sizeof to->donor_name);
		to->token_us = from->token_us;
		to->round_trip_us = from->round_trip_us;
		to->replicas = from->replicas;
		to->direct = from->direct != 0;
	}
}

static void status_path_check(struct conversion *c, const struct status_model *m)
{
	check_range(c, "models.path", m->n_stages, 0, STATUS_STAGES_MAX);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_stages; i++) {
		check_layers(c, m->path[i].layers.first, m->path[i].layers.last, false);
		check_line(c, "models.path.donor_name", m->path[i].donor_name,
		    sizeof m->path[i].donor_name);
	}
}

static void status_path_store(
    struct conversion *c, const struct status_model *in, Ayni__StatusModel *out)
{
	out->path = conversion_take(c, in->n_stages, sizeof *out->path);
	for (size_t i = 0; out->path != NULL && i < in->n_stages; i++) {
		const struct status_stage *from = &in->path[i];
		Ayni__StatusStage *to = wire_new(c, &ayni__status_stage__descriptor);

		if (to == NULL)
			return;
		to->layer_first = from->layers.first;
		to->layer_last = from->layers.last;
		to->donor = store_bytes(from->donor.bytes, PUBLIC_KEY_BYTES);
		to->donor_name = store_line(from->donor_name);
		to->token_us = from->token_us;
		to->round_trip_us = from->round_trip_us;
		to->replicas = from->replicas;
		to->direct = from->direct;
		out->path[out->n_path++] = to;
	}
}

static void status_model_load(
    struct conversion *c, const Ayni__StatusModel *in, struct status_model *out)
{
	load_line(c, "models.name", in->name, out->name, sizeof out->name);
	load_bytes(c, "models.model", in->model, out->model.bytes, HASH_BYTES);
	out->n_layers = in->n_layers;
	out->sessions = in->sessions;
	out->waiting = in->waiting;
	out->tokens = in->tokens;
	load_line(c, "models.limit", in->limit, out->limit, sizeof out->limit);
	status_path_load(c, in, out);
	check_range(c, "models.missing", in->n_missing, 0, LIMIT_LAYERS);
	out->missing = conversion_take(c, in->n_missing, sizeof *out->missing);
	if (out->missing == NULL)
		return;
	out->n_missing = in->n_missing;
	for (size_t i = 0; i < in->n_missing; i++)
		out->missing[i] =
		    (struct layer_range){in->missing[i]->layer_first, in->missing[i]->layer_last};
}

static void status_model_check(struct conversion *c, const struct status_model *m)
{
	check_line(c, "models.name", m->name, sizeof m->name);
	check_range(c, "models.n_layers", m->n_layers, 0, LIMIT_LAYERS);
	check_line(c, "models.limit", m->limit, sizeof m->limit);
	status_path_check(c, m);
	check_range(c, "models.missing", m->n_missing, 0, LIMIT_LAYERS);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_missing; i++)
		check_layers(c, m->missing[i].first, m->missing[i].last, false);
}

static Ayni__StatusModel *status_model_store(struct conversion *c, const struct status_model *in)
{
	Ayni__StatusModel *out = wire_new(c, &ayni__status_model__descriptor);

	if (out == NULL)
		return NULL;
	out->name = store_line(in->name);
	out->model = store_bytes(in->model.bytes, HASH_BYTES);
	out->n_layers = in->n_layers;
	out->sessions = in->sessions;
	out->waiting = in->waiting;
	out->tokens = in->tokens;
	out->limit = store_line(in->limit);
	status_path_store(c, in, out);
	out->missing = conversion_take(c, in->n_missing, sizeof *out->missing);
	if (out->missing == NULL)
		return NULL;
	for (size_t i = 0; i < in->n_missing; i++) {
		Ayni__StatusRange *range = wire_new(c, &ayni__status_range__descriptor);

		if (range == NULL)
			return NULL;
		range->layer_first = in->missing[i].first;
		range->layer_last = in->missing[i].last;
		out->missing[out->n_missing++] = range;
	}
	return out;
}

/* ---- Status: donors ----------------------------------------------------------------------- */

static void status_donor_load(
    struct conversion *c, const Ayni__StatusDonor *in, struct status_donor *out)
{
	load_bytes(c, "donors.donor", in->donor, out->donor.bytes, PUBLIC_KEY_BYTES);
	load_line(c, "donors.name", in->name, out->name, sizeof out->name);
	load_line(c, "donors.state", in->state, out->state, sizeof out->state);
	out->layer_first = in->layer_first;
	out->layer_last = in->layer_last;
	out->units = in->units;
	load_flop(c, "donors.cost_flop", in->cost_flop, &out->cost);
	out->round_trip_us = in->round_trip_us;
	out->flop_per_s = in->flop_per_s;
	load_refusals(c, "donors.refused_by_donor", in->n_refused_by_donor, in->refused_by_donor,
	    &out->refused_by_donor);
	load_refusals(c, "donors.refused_by_pool", in->n_refused_by_pool, in->refused_by_pool,
	    &out->refused_by_pool);
	load_line(c, "donors.role", in->role, out->role, sizeof out->role);
	load_line(c, "donors.note", in->note, out->note, sizeof out->note);
	out->link_bytes_per_s = in->link_bytes_per_s;
	load_line(c, "donors.trust", in->trust, out->trust, sizeof out->trust);
	out->verified_units = in->verified_units;
	out->lies = in->lies;
	out->model = in->model;
}

static void status_donor_check(struct conversion *c, const struct status_donor *d)
{
	check_line(c, "donors.name", d->name, sizeof d->name);
	check_line(c, "donors.state", d->state, sizeof d->state);
	check_line(c, "donors.role", d->role, sizeof d->role);
	check_line(c, "donors.note", d->note, sizeof d->note);
	check_line(c, "donors.trust", d->trust, sizeof d->trust);
	check_range(c, "donors.verified_units", d->verified_units, 0, INT64_MAX);
	check_range(c, "donors.lies", d->lies, 0, INT64_MAX);
	check_layers(c, d->layer_first, d->layer_last, true);
	check_range(c, "donors.cost_flop", flop_count(d->cost), 0, FLOP_MAX);
}

static Ayni__StatusDonor *status_donor_store(struct conversion *c, const struct status_donor *in)
{
	Ayni__StatusDonor *out = wire_new(c, &ayni__status_donor__descriptor);

	if (out == NULL)
		return NULL;
	out->donor = store_bytes(in->donor.bytes, PUBLIC_KEY_BYTES);
	out->name = store_line(in->name);
	out->state = store_line(in->state);
	out->layer_first = in->layer_first;
	out->layer_last = in->layer_last;
	out->units = in->units;
	out->cost_flop = flop_count(in->cost);
	out->round_trip_us = in->round_trip_us;
	out->flop_per_s = in->flop_per_s;
	out->n_refused_by_donor = store_refusals(c, &in->refused_by_donor, &out->refused_by_donor);
	out->n_refused_by_pool = store_refusals(c, &in->refused_by_pool, &out->refused_by_pool);
	out->role = store_line(in->role);
	out->note = store_line(in->note);
	out->link_bytes_per_s = in->link_bytes_per_s;
	out->trust = store_line(in->trust);
	out->verified_units = in->verified_units;
	out->lies = in->lies;
	out->model = in->model;
	return out;
}

/* ---- Status ------------------------------------------------------------------------------- */

static void status_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Status *in = wire;
	struct msg_status *m = &out->status;

	load_line(c, "pool_name", in->pool_name, m->pool_name, sizeof m->pool_name);
	m->uptime_ms = in->uptime_ms;
	load_refusals(c, "refusals", in->n_refusals, in->refusals, &m->refusals);
	m->receipts = in->receipts;
	m->requests_done = in->requests_done;
	m->checks_right = in->checks_right;
	m->checks_wrong = in->checks_wrong;
	m->checks_missed = in->checks_missed;
	m->checks_by_donors = in->checks_by_donors;

	check_range(c, "models", in->n_models, 0, STATUS_MODELS_MAX);
	check_range(c, "donors", in->n_donors, 0, STATUS_DONORS_MAX);
	m->models = conversion_take(c, in->n_models, sizeof *m->models);
	m->donors = conversion_take(c, in->n_donors, sizeof *m->donors);
	if (m->models == NULL || m->donors == NULL)
		return;
	m->n_models = in->n_models;
	m->n_donors = in->n_donors;
	for (size_t i = 0; i < in->n_models; i++)
		status_model_load(c, in->models[i], &m->models[i]);
	for (size_t i = 0; i < in->n_donors; i++)
		status_donor_load(c, in->donors[i], &m->donors[i]);
}

static void status_check(struct conversion *c, const struct message *in)
{
	const struct msg_status *m = &in->status;

	check_line(c, "pool_name", m->pool_name, sizeof m->pool_name);
	check_range(c, "models", m->n_models, 0, STATUS_MODELS_MAX);
	check_range(c, "donors", m->n_donors, 0, STATUS_DONORS_MAX);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_models; i++)
		status_model_check(c, &m->models[i]);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_donors; i++) {
		status_donor_check(c, &m->donors[i]);
		check_range(c, "donors.model", m->donors[i].model, 0, m->n_models);
	}
}

static void *status_store(struct conversion *c, const struct message *in)
{
	const struct msg_status *m = &in->status;
	Ayni__Status *out = wire_new(c, &ayni__status__descriptor);

	if (out == NULL)
		return NULL;
	out->pool_name = store_line(m->pool_name);
	out->uptime_ms = m->uptime_ms;
	out->n_refusals = store_refusals(c, &m->refusals, &out->refusals);
	out->receipts = m->receipts;
	out->requests_done = m->requests_done;
	out->checks_right = m->checks_right;
	out->checks_wrong = m->checks_wrong;
	out->checks_missed = m->checks_missed;
	out->checks_by_donors = m->checks_by_donors;
	out->models = conversion_take(c, m->n_models, sizeof *out->models);
	out->donors = conversion_take(c, m->n_donors, sizeof *out->donors);
	if (out->models == NULL || out->donors == NULL)
		return NULL;
	for (size_t i = 0; i < m->n_models; i++)
		out->models[i] = status_model_store(c, &m->models[i]);
	for (size_t i = 0; i < m->n_donors; i++)
		out->donors[i] = status_donor_store(c, &m->donors[i]);
	/* A list with a NULL in it is never packed: the fault is noted. */
	out->n_models = m->n_models;
	out->n_donors = m->n_donors;
	return out;
}

const struct codec codec_status = {.name = "status",
    .type = &ayni__status__descriptor,
    .load = status_load,
    .check = status_check,
    .store = status_store};

/* ---- ReceiptsQuery and Receipts ----------------------------------------------------------- */

static void receipts_query_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__ReceiptsQuery *in = wire;

	out->receipts_query.after = in->after;
	out->receipts_query.limit = in->limit;
	load_pseudonym(c, in->session, &out->receipts_query.session);
}

static void receipts_query_check(struct conversion *c, const struct message *m)
{
	check_range(c, "after", m->receipts_query.after, 0, INT64_MAX);
	check_range(c, "limit", m->receipts_query.limit, 1, RECEIPTS_MAX);
}

static void *receipts_query_store(struct conversion *c, const struct message *in)
{
	Ayni__ReceiptsQuery *out = wire_new(c, &ayni__receipts_query__descriptor);

	if (out == NULL)
		return NULL;
	out->after = in->receipts_query.after;
	out->limit = in->receipts_query.limit;
	out->session = store_pseudonym(&in->receipts_query.session);
	return out;
}

const struct codec codec_receipts_query = {.name = "receipts-query",
    .type = &ayni__receipts_query__descriptor,
    .load = receipts_query_load,
    .check = receipts_query_check,
    .store = receipts_query_store};

static void receipts_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Receipts *in = wire;
	struct msg_receipts *m = &out->receipts;

	check_range(c, "receipts", in->n_receipts, 0, RECEIPTS_MAX);
	check_range(c, "names", in->n_names, 0, RECEIPTS_MAX);
	m->receipts = conversion_take(c, in->n_receipts, sizeof *m->receipts);
	m->names = conversion_take(c, in->n_names, sizeof *m->names);
	if (m->receipts == NULL || m->names == NULL)
		return;
	m->n_receipts = in->n_receipts;
	m->n_names = in->n_names;
	for (size_t i = 0; i < in->n_receipts; i++)
		load_signed_receipt(c, in->receipts[i], &m->receipts[i]);
	for (size_t i = 0; i < in->n_names; i++) {
		load_bytes(c, "names.donor", in->names[i]->donor, m->names[i].donor.bytes,
		    PUBLIC_KEY_BYTES);
		load_line(
		    c, "names.name", in->names[i]->name, m->names[i].name, sizeof m->names[i].name);
		load_line(
		    c, "names.team", in->names[i]->team, m->names[i].team, sizeof m->names[i].team);
	}
}

static void receipts_check(struct conversion *c, const struct message *in)
{
	const struct msg_receipts *m = &in->receipts;

	check_range(c, "receipts", m->n_receipts, 0, RECEIPTS_MAX);
	check_range(c, "names", m->n_names, 0, RECEIPTS_MAX);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_receipts; i++)
		check_signed_receipt(c, &m->receipts[i]);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_names; i++) {
		check_line(c, "names.name", m->names[i].name, sizeof m->names[i].name);
		check_line(c, "names.team", m->names[i].team, sizeof m->names[i].team);
	}
}

static Ayni__DonorName *donor_name_store(struct conversion *c, const struct donor_name *in)
{
	Ayni__DonorName *out = wire_new(c, &ayni__donor_name__descriptor);

	if (out == NULL)
		return NULL;
	out->donor = store_bytes(in->donor.bytes, PUBLIC_KEY_BYTES);
	out->name = store_line(in->name);
	out->team = store_line(in->team);
	return out;
}

static void *receipts_store(struct conversion *c, const struct message *in)
{
	const struct msg_receipts *m = &in->receipts;
	Ayni__Receipts *out = wire_new(c, &ayni__receipts__descriptor);

	if (out == NULL)
		return NULL;
	out->receipts = conversion_take(c, m->n_receipts, sizeof *out->receipts);
	out->names = conversion_take(c, m->n_names, sizeof *out->names);
	if (out->receipts == NULL || out->names == NULL)
		return NULL;
	for (size_t i = 0; i < m->n_receipts; i++)
		out->receipts[i] = store_signed_receipt(c, &m->receipts[i]);
	for (size_t i = 0; i < m->n_names; i++)
		out->names[i] = donor_name_store(c, &m->names[i]);
	out->n_receipts = m->n_receipts;
	out->n_names = m->n_names;
	return out;
}

const struct codec codec_receipts = {.name = "receipts",
    .type = &ayni__receipts__descriptor,
    .load = receipts_load,
    .check = receipts_check,
    .store = receipts_store};
