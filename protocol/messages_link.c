/* SPDX-License-Identifier: Apache-2.0 */
/* Between donors: who may reach whom, and what is handed over. */
#include "protocol/messages_internal.h"

void load_transfer(struct conversion *c, const Ayni__Transfer *in, struct transfer *out)
{
	if (in == NULL)
		return;
	check_range(c, "ticket", in->ticket, 1, UINT64_MAX);
	out->ticket = in->ticket;
	load_bytes(c, "donor", in->donor, out->donor.bytes, PUBLIC_KEY_BYTES);
}

Ayni__Transfer *store_transfer(struct conversion *c, const struct transfer *in)
{
	Ayni__Transfer *out = in->ticket != 0 ? wire_new(c, &ayni__transfer__descriptor) : NULL;

	if (out == NULL)
		return NULL;
	out->ticket = in->ticket;
	out->donor = store_bytes(in->donor.bytes, PUBLIC_KEY_BYTES);
	return out;
}

/* ---- Handover ----------------------------------------------------------------------------- */

static void handover_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Handover *in = wire;

	out->handover.ticket = in->ticket;
	load_bytes(
	    c, "payload_hash", in->payload_hash, out->handover.payload_hash.bytes, HASH_BYTES);
}

static void handover_check(struct conversion *c, const struct message *m)
{
	check_range(c, "ticket", m->handover.ticket, 1, UINT64_MAX);
}

static void *handover_store(struct conversion *c, const struct message *in)
{
	Ayni__Handover *out = wire_new(c, &ayni__handover__descriptor);

	if (out == NULL)
		return NULL;
	out->ticket = in->handover.ticket;
	out->payload_hash = store_bytes(in->handover.payload_hash.bytes, HASH_BYTES);
	return out;
}

const struct codec codec_handover = {.name = "handover",
    .type = &ayni__handover__descriptor,
    .payload_limit = LIMIT_PAYLOAD_BYTES,
    .load = handover_load,
    .check = handover_check,
    .store = handover_store};

/* ---- Link --------------------------------------------------------------------------------- */

static void link_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Link *in = wire;

	load_bytes(c, "donor", in->donor, out->link.donor.bytes, PUBLIC_KEY_BYTES);
	load_line(c, "address", in->address, out->link.address, sizeof out->link.address);
}

static void link_check(struct conversion *c, const struct message *m)
{
	check_line(c, "address", m->link.address, sizeof m->link.address);
}

static void *link_store(struct conversion *c, const struct message *in)
{
	Ayni__Link *out = wire_new(c, &ayni__link__descriptor);

	if (out == NULL)
		return NULL;
	out->donor = store_bytes(in->link.donor.bytes, PUBLIC_KEY_BYTES);
	out->address = store_line(in->link.address);
	return out;
}

const struct codec codec_link = {.name = "link",
    .type = &ayni__link__descriptor,
    .load = link_load,
    .check = link_check,
    .store = link_store};

/* ---- LinkState ---------------------------------------------------------------------------- */

static void link_state_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__LinkState *in = wire;

	load_bytes(c, "donor", in->donor, out->link_state.donor.bytes, PUBLIC_KEY_BYTES);
	out->link_state.up = in->up != 0;
	out->link_state.round_trip_us = in->round_trip_us;
}

static void link_state_check(struct conversion *c, const struct message *m)
{
	check_range(c, "round_trip_us", m->link_state.round_trip_us, 0, LIMIT_ROUND_TRIP_US);
}

static void *link_state_store(struct conversion *c, const struct message *in)
{
	Ayni__LinkState *out = wire_new(c, &ayni__link_state__descriptor);

	if (out == NULL)
		return NULL;
	out->donor = store_bytes(in->link_state.donor.bytes, PUBLIC_KEY_BYTES);
	out->up = in->link_state.up;
	out->round_trip_us = in->link_state.round_trip_us;
	return out;
}

const struct codec codec_link_state = {.name = "link-state",
    .type = &ayni__link_state__descriptor,
    .load = link_state_load,
    .check = link_state_check,
    .store = link_state_store};

/* ---- Withdraw ----------------------------------------------------------------------------- */

static void withdraw_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Withdraw *in = wire;

	(void)c;
	out->withdraw.unit = in->unit;
}

static void withdraw_check(struct conversion *c, const struct message *m)
{
	(void)c; /* every value is one that can be */
	(void)m;
}

static void *withdraw_store(struct conversion *c, const struct message *in)
{
	Ayni__Withdraw *out = wire_new(c, &ayni__withdraw__descriptor);

	if (out != NULL)
		out->unit = in->withdraw.unit;
	return out;
}

const struct codec codec_withdraw = {.name = "withdraw",
    .type = &ayni__withdraw__descriptor,
    .load = withdraw_load,
    .check = withdraw_check,
    .store = withdraw_store};
