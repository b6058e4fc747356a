/* SPDX-License-Identifier: Apache-2.0 */
/* Joining and staying: Hello, Welcome, Refusal, Heartbeat, Offer, Leave. */
#include "protocol/messages_internal.h"

enum { HEARTBEAT_MS_MIN = 100, HEARTBEAT_MS_MAX = 60000, OFFER_CORES_MAX = 4096 };

/* So that the sum over LIMIT_STATUS_DONORS (4096) donors stays within 63 bits. */
#define OFFER_AMOUNT_MAX (UINT64_C(1) << 50)

/* ---- Hello -------------------------------------------------------------------------------- */

static void hello_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Hello *in = wire;
	struct msg_hello *m = &out->hello;

	check_range(c, "role", in->role, ROLE_DONOR, ROLE_MEMBER);
	m->role = (enum peer_role)in->role;
	m->has_invite = in->invite.len > 0;
	if (m->has_invite)
		load_bytes(c, "invite", in->invite, m->invite, sizeof m->invite);
	load_line(c, "name", in->name, m->name, sizeof m->name);
	load_line(c, "software", in->software, m->software, sizeof m->software);
	load_line(c, "team", in->team, m->team, sizeof m->team);
}

static void hello_check(struct conversion *c, const struct message *m)
{
	check_range(c, "role", m->hello.role, ROLE_DONOR, ROLE_MEMBER);
	check_line(c, "name", m->hello.name, sizeof m->hello.name);
	check_line(c, "software", m->hello.software, sizeof m->hello.software);
	check_line(c, "team", m->hello.team, sizeof m->hello.team);
}

static void *hello_store(struct conversion *c, const struct message *in)
{
	const struct msg_hello *m = &in->hello;
	Ayni__Hello *out = wire_new(c, &ayni__hello__descriptor);

	if (out == NULL)
		return NULL;
	out->role = m->role;
	if (m->has_invite)
		out->invite = store_bytes(m->invite, sizeof m->invite);
	out->name = store_line(m->name);
	out->software = store_line(m->software);
	out->team = store_line(m->team);
	return out;
}

const struct codec codec_hello = {.name = "hello",
    .type = &ayni__hello__descriptor,
    .load = hello_load,
    .check = hello_check,
    .store = hello_store};

/* ---- Welcome ------------------------------------------------------------------------------ */

static void welcome_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Welcome *in = wire;
	struct msg_welcome *m = &out->welcome;

	load_line(c, "pool_name", in->pool_name, m->pool_name, sizeof m->pool_name);
	m->pool_time_ms = in->pool_time_ms;
	m->heartbeat_ms = in->heartbeat_ms;
}

static void welcome_check(struct conversion *c, const struct message *m)
{
	check_line(c, "pool_name", m->welcome.pool_name, sizeof m->welcome.pool_name);
	check_range(c, "pool_time_ms", m->welcome.pool_time_ms, 0, INT64_MAX);
	check_range(c, "heartbeat_ms", m->welcome.heartbeat_ms, HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX);
}

static void *welcome_store(struct conversion *c, const struct message *in)
{
	const struct msg_welcome *m = &in->welcome;
	Ayni__Welcome *out = wire_new(c, &ayni__welcome__descriptor);

	if (out == NULL)
		return NULL;
	out->pool_name = store_line(m->pool_name);
	out->pool_time_ms = m->pool_time_ms;
	out->heartbeat_ms = m->heartbeat_ms;
	return out;
}

const struct codec codec_welcome = {.name = "welcome",
    .type = &ayni__welcome__descriptor,
    .load = welcome_load,
    .check = welcome_check,
    .store = welcome_store};

/* ---- Refusal ------------------------------------------------------------------------------ */

static void refusal_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Refusal *in = wire;
	struct msg_refusal *m = &out->refusal;

	check_refusal(c, in->reason);
	m->reason = (enum refusal)in->reason;
	load_line(c, "text", in->text, m->text, sizeof m->text);
	check_line(c, "text", m->text, sizeof m->text);
}

static void refusal_check(struct conversion *c, const struct message *m)
{
	check_refusal(c, m->refusal.reason);
}

static void *refusal_store(struct conversion *c, const struct message *in)
{
	const struct msg_refusal *m = &in->refusal;
	Ayni__Refusal *out = wire_new(c, &ayni__refusal__descriptor);

	if (out == NULL)
		return NULL;
	out->reason = m->reason;
	out->text = store_text(c, m->text, sizeof m->text);
	return out;
}

const struct codec codec_refusal = {.name = "refusal",
    .type = &ayni__refusal__descriptor,
    .load = refusal_load,
    .check = refusal_check,
    .store = refusal_store};

/* ---- Heartbeat ---------------------------------------------------------------------------- */

static void heartbeat_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Heartbeat *in = wire;
	struct msg_heartbeat *m = &out->heartbeat;

	m->echo_us = in->echo_us;
	m->units_done = in->units_done;
	load_refusals(c, "refusals", in->n_refusals, in->refusals, &m->refusals);
}

static void heartbeat_check(struct conversion *c, const struct message *m)
{
	(void)c; /* every value is one that can be */
	(void)m;
}

static void *heartbeat_store(struct conversion *c, const struct message *in)
{
	const struct msg_heartbeat *m = &in->heartbeat;
	Ayni__Heartbeat *out = wire_new(c, &ayni__heartbeat__descriptor);

	if (out == NULL)
		return NULL;
	out->echo_us = m->echo_us;
	out->units_done = m->units_done;
	out->n_refusals = store_refusals(c, &m->refusals, &out->refusals);
	return out;
}

const struct codec codec_heartbeat = {.name = "heartbeat",
    .type = &ayni__heartbeat__descriptor,
    .load = heartbeat_load,
    .check = heartbeat_check,
    .store = heartbeat_store};

/* ---- Offer -------------------------------------------------------------------------------- */

static void load_speeds(struct conversion *c, const Ayni__Offer *in, struct msg_offer *m)
{
	if (in->n_speeds > LIMIT_SPEEDS) {
		conversion_fail(c, AYNI_ERR_LIMIT, "speeds", "are too many");
		return;
	}
	m->n_speeds = in->n_speeds;
	for (size_t i = 0; i < in->n_speeds; i++)
		m->speeds[i] = (struct offer_speed){in->speeds[i]->type,
		    in->speeds[i]->read_bytes_per_s, in->speeds[i]->flop_per_s};
}

static void check_speeds(struct conversion *c, const struct msg_offer *m)
{
	check_range(c, "speeds", m->n_speeds, 0, LIMIT_SPEEDS);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_speeds; i++) {
		const struct offer_speed *s = &m->speeds[i];

		/* Ascending, so that each type comes once. */
		check_range(c, "type", s->type, i > 0 ? m->speeds[i - 1].type + 1 : 0,
		    LIMIT_TENSOR_TYPES - 1);
		check_range(c, "read_bytes_per_s", s->read_bytes_per_s, 1, OFFER_AMOUNT_MAX);
		check_range(c, "flop_per_s", s->flop_per_s, 1, OFFER_AMOUNT_MAX);
	}
}

static void store_speeds(struct conversion *c, const struct msg_offer *m, Ayni__Offer *out)
{
	out->speeds = conversion_take(c, m->n_speeds, sizeof *out->speeds);
	for (size_t i = 0; out->speeds != NULL && i < m->n_speeds; i++) {
		Ayni__Speed *s = wire_new(c, &ayni__speed__descriptor);

		if (s == NULL)
			return;
		s->type = m->speeds[i].type;
		s->read_bytes_per_s = m->speeds[i].read_bytes_per_s;
		s->flop_per_s = m->speeds[i].flop_per_s;
		out->speeds[out->n_speeds++] = s;
	}
}

static void offer_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Offer *in = wire;
	struct msg_offer *m = &out->offer;

	m->cores = in->cores;
	m->memory_bytes = in->memory_bytes;
	m->disk_bytes = in->disk_bytes;
	m->flop_per_s = in->flop_per_s;
	m->read_bytes_per_s = in->read_bytes_per_s;
	load_line(c, "kernels", in->kernels, m->kernels, sizeof m->kernels);
	m->max_layers = in->max_layers;
	m->holds = in->held != NULL;
	if (m->holds)
		load_assignment(c, in->held, &m->held);
	load_line(c, "address", in->address, m->address, sizeof m->address);
	load_speeds(c, in, m);
}

static void offer_check(struct conversion *c, const struct message *in)
{
	const struct msg_offer *m = &in->offer;

	check_range(c, "cores", m->cores, 1, OFFER_CORES_MAX);
	check_range(c, "memory_bytes", m->memory_bytes, 0, OFFER_AMOUNT_MAX);
	check_range(c, "disk_bytes", m->disk_bytes, 0, OFFER_AMOUNT_MAX);
	check_range(c, "flop_per_s", m->flop_per_s, 0, OFFER_AMOUNT_MAX);
	check_range(c, "read_bytes_per_s", m->read_bytes_per_s, 0, OFFER_AMOUNT_MAX);
	check_line(c, "kernels", m->kernels, sizeof m->kernels);
	check_range(c, "max_layers", m->max_layers, 0, LIMIT_LAYERS);
	if (m->holds)
		check_assignment(c, &m->held);
	check_line(c, "address", m->address, sizeof m->address);
	check_speeds(c, m);
}

static void *offer_store(struct conversion *c, const struct message *in)
{
	const struct msg_offer *m = &in->offer;
	Ayni__Offer *out = wire_new(c, &ayni__offer__descriptor);

	if (out == NULL)
		return NULL;
	out->cores = m->cores;
	out->memory_bytes = m->memory_bytes;
	out->disk_bytes = m->disk_bytes;
	out->flop_per_s = m->flop_per_s;
	out->read_bytes_per_s = m->read_bytes_per_s;
	out->kernels = store_line(m->kernels);
	out->max_layers = m->max_layers;
	out->held = m->holds ? store_assignment(c, &m->held) : NULL;
	out->address = store_line(m->address);
	store_speeds(c, m, out);
	return out;
}

const struct codec codec_offer = {.name = "offer",
    .type = &ayni__offer__descriptor,
    .load = offer_load,
    .check = offer_check,
    .store = offer_store};

/* ---- Leave -------------------------------------------------------------------------------- */

static void leave_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Leave *in = wire;

	(void)c;
	out->leave.units_left = in->units_left;
}

static void leave_check(struct conversion *c, const struct message *m)
{
	(void)c; /* every value is one that can be */
	(void)m;
}

static void *leave_store(struct conversion *c, const struct message *in)
{
	Ayni__Leave *out = wire_new(c, &ayni__leave__descriptor);

	if (out != NULL)
		out->units_left = in->leave.units_left;
	return out;
}

const struct codec codec_leave = {.name = "leave",
    .type = &ayni__leave__descriptor,
    .load = leave_load,
    .check = leave_check,
    .store = leave_store};
