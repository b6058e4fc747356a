/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/donor_internal.h"

#include <signal.h>
#include <stdlib.h>

#include "node/donor/spare.h"
#include "node/report.h"

uint64_t donor_pool_ms(const struct donor *d)
{
	return loop_wall_ms() + d->clock_offset_ms;
}

void donor_fail(struct donor *d, const struct error *err)
{
	d->fatal = error_set(d->err, err->code, "%s", err->text);
	loop_stop(d->loop);
}

void donor_send(struct donor *d, struct message *m, struct span payload)
{
	struct error err = {0};

	if (!d->joined && m->type != MSG_HELLO)
		return; /* nobody would take it */
	if (post(&d->channel, d->transport, NULL, m, payload, 0, &err) != AYNI_OK)
		report(REPORT_WARNING, "%s could not be sent: %s", message_name((uint16_t)m->type),
		    err.text);
}

void donor_refuse(struct donor *d, enum refusal reason, const char *text, bool tell)
{
	struct message m = {.type = MSG_REFUSAL};

	d->refused.by_reason[reason]++;
	report(REPORT_DEBUG, "refused a message: %s: %s", refusal_name(reason), text);
	if (!tell)
		return;
	m.refusal.reason = reason;
	(void)snprintf(m.refusal.text, sizeof m.refusal.text, "%s", text);
	donor_send(d, &m, (struct span){0});
}

/* ---- connection --------------------------------------------------------------------------- */

/* And up to half as much, or a third of a second, by chance. */
static uint64_t wait_with_jitter(uint32_t ms)
{
	uint32_t random, most = ms > 0 ? ms / 2 : 333;

	random_bytes(&random, sizeof random);
	return ms + random % (most + 1);
}

/* Join, or join again: as if new, because the pool may be. */
static void say_hello(struct donor *d)
{
	struct message m = {.type = MSG_HELLO};

	d->hello_at_us = loop_now_us() + wait_with_jitter(d->hello_wait_ms) * 1000;
	d->hello_wait_ms =
	    2 * d->hello_wait_ms < HELLO_MOST_MS ? 2 * d->hello_wait_ms : HELLO_MOST_MS;
	envelope_channel_init(&d->channel, d->identity, &d->invite.pool, loop_wall_ms() * 1000);
	m.hello.role = ROLE_DONOR;
	m.hello.has_invite = d->invite.has_token;
	memcpy(m.hello.invite, d->invite.token, sizeof d->invite.token);
	(void)snprintf(m.hello.name, sizeof m.hello.name, "%s", d->config->name);
	(void)snprintf(m.hello.team, sizeof m.hello.team, "%s", d->config->team);
	(void)snprintf(m.hello.software, sizeof m.hello.software, "ayni");
	donor_send(d, &m, (struct span){0});
}

/* Many donors lose a pool at the same moment: they come back one after the other. */
static void lose_pool(struct donor *d, const char *why)
{
	report(REPORT_WARNING, "%s; joining again", why);
	holding_keep(d);
	direct_forget(d);
	d->joined = false;
	d->hello_wait_ms = HELLO_FIRST_MS;
	d->hello_at_us = loop_now_us() + wait_with_jitter(0) * 1000;
}

static void on_welcome(struct donor *d, const struct msg_welcome *w)
{
	struct message m = {.type = MSG_OFFER};

	if (d->joined)
		return;
	d->joined = true;
	d->heartbeat_ms = w->heartbeat_ms;
	d->clock_offset_ms = w->pool_time_ms - loop_wall_ms();
	d->began_ms = d->began_ms > 0 ? d->began_ms : w->pool_time_ms;
	report(REPORT_INFO, "joined %s", w->pool_name);
	m.offer = d->offer;
	holding_offer(d, &m.offer);
	donor_send(d, &m, (struct span){0});
}

static void on_refusal(struct donor *d, const struct msg_refusal *r)
{
	struct error err = {0};

	if (r->reason == REFUSAL_INVITE) {
		(void)error_set(
		    &err, AYNI_ERR_STATE, "the pool refuses the invite: %.180s", r->text);
		donor_fail(d, &err);
	} else if (r->reason == REFUSAL_TYPE && d->joined) {
		lose_pool(d, "the pool does not know this connection");
	} else {
		report(REPORT_WARNING, "the pool refused a message: %s: %s",
		    refusal_name(r->reason), r->text);
	}
}

/* Each heartbeat of the pool is answered at once, so that it knows the way there and back. */
static void heartbeat(struct donor *d, uint64_t echo_us)
{
	struct message m = {.type = MSG_HEARTBEAT};

	m.heartbeat.echo_us = echo_us;
	m.heartbeat.refusals = d->refused;
	m.heartbeat.units_done = d->units_done;
	donor_send(d, &m, (struct span){0});
}

/* True if the message was taken over with its parts. */
static bool dispatch(struct donor *d, struct message *m, struct transport_parts *parts)
{
	switch (m->type) {
	case MSG_WELCOME:
		on_welcome(d, &m->welcome);
		break;
	case MSG_REFUSAL:
		on_refusal(d, &m->refusal);
		break;
	case MSG_HEARTBEAT:
		heartbeat(d, m->heartbeat.echo_us);
		break;
	case MSG_ASSIGNMENT:
		if (!d->stopping)
			holding_assign(d, &m->assignment);
		break;
	case MSG_UNASSIGN:
		if (d->holding.a.assignment == m->unassign.assignment)
			holding_drop(d);
		break;
	case MSG_BLOB:
		seeds_from_pool(d);
		holding_blob(d, &m->blob, m->payload);
		break;
	case MSG_WORK_UNIT:
		return units_take(d, m, parts);
	case MSG_WITHDRAW:
		units_withdraw(d, m->withdraw.unit);
		break;
	case MSG_LINK:
		direct_set(d, &m->link);
		break;
	case MSG_HANDOVER:
		(void)units_handover(
		    d, NULL, m->handover.ticket, m->payload, &m->handover.payload_hash);
		break;
	case MSG_RECEIPT:
		units_receipt(d, &m->receipt);
		break;
	default:
		donor_refuse(d, REFUSAL_TYPE, "not a message for a pool to send to a donor", true);
		break;
	}
	return false;
}

static void receive_one(struct donor *d, struct transport_parts *parts)
{
	struct message *m = NULL;
	struct error err = {0};
	enum refusal why;

	if (envelope_open(&d->channel, parts->envelope, parts->header, parts->payload,
	        donor_pool_ms(d), &m, &why, &err) != AYNI_OK) {
		donor_refuse(d, why, err.text, true);
		transport_parts_free(parts);
		return;
	}
	d->heard_us = loop_now_us();
	if (!d->joined && m->type != MSG_WELCOME && m->type != MSG_REFUSAL) {
		message_free(m); /* of an earlier connection */
		transport_parts_free(parts);
		return;
	}
	if (dispatch(d, m, parts))
		return;
	message_free(m);
	transport_parts_free(parts);
}

static bool receive(void *context)
{
	struct donor *d = context;

	while (d->fatal == AYNI_OK) {
		struct transport_parts parts = {0};
		struct error err = {0};
		int rc = transport_receive(d->transport, &parts, &err);

		if (rc == AYNI_ERR_AGAIN)
			break;
		if (rc == AYNI_OK)
			receive_one(d, &parts);
		else if (rc == AYNI_ERR_FORMAT || rc == AYNI_ERR_LIMIT)
			donor_refuse(
			    d, rc == AYNI_ERR_LIMIT ? REFUSAL_SIZE : REFUSAL_SHAPE, err.text, true);
		else
			donor_fail(d, &err);
	}
	return direct_receive(d);
}

void donor_readable(void *context)
{
	(void)context; /* receive runs before each wait and takes what there is */
}

/* ---- time and signals --------------------------------------------------------------------- */

static void on_tick(void *context)
{
	struct donor *d = context;
	uint64_t now = loop_now_us();
	uint64_t period_us = (uint64_t)d->heartbeat_ms * 1000;

	if (d->joined && d->heard_us + SILENT_HEARTBEATS * period_us < now) {
		lose_pool(d, "the pool is silent");
	} else if (!d->joined && d->hello_at_us <= now) {
		report(REPORT_INFO, "joining %s:%u", d->invite.host, d->invite.port);
		say_hello(d);
	}
	direct_tick(d);
	(void)loop_timer(d->loop, now + period_us, on_tick, d, NULL);
}

/* Units at hand first, then their receipts. */
static void on_stop_time(void *context)
{
	struct donor *d = context;
	uint64_t now = loop_now_us(), open = open_work_units(&d->open);

	if (d->stopping_us + STOP_INPUT_US < now)
		units_fail_waiting(d, REFUSAL_LEAVING, "the donor is leaving");
	if (d->queue.n == 0 && d->stop_at_us == 0)
		d->stop_at_us = now + STOP_WAIT_US;
	if (d->queue.n > 0 || (open > 0 && d->joined && now < d->stop_at_us)) {
		(void)loop_timer(d->loop, now + 10000, on_stop_time, d, NULL);
		return;
	}
	if (open > 0)
		report(REPORT_INFO, "%llu units that were returned are in no receipt yet",
		    (unsigned long long)open);
	loop_stop(d->loop);
}

static void on_signal(void *context, int signal_number)
{
	struct donor *d = context;
	struct message m = {.type = MSG_LEAVE};

	if (d->stopping) {
		loop_stop(d->loop);
		return;
	}
	report(
	    REPORT_INFO, "leaving (%s): %zu units to finish", strsignal(signal_number), d->queue.n);
	d->stopping = true;
	d->stopping_us = loop_now_us();
	intake_leave(d->intake);
	m.leave.units_left = (uint32_t)d->queue.n;
	donor_send(d, &m, (struct span){0});
	on_stop_time(d);
}

/* ---- life --------------------------------------------------------------------------------- */

static int open_state(struct donor *d, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 16];
	int rc = AYNI_OK;

	if (d->config->folder[0] != '\0')
		memcpy(d->folder, d->config->folder, sizeof d->folder);
	else
		rc = config_folder("donor", d->folder, sizeof d->folder, err);
	if (rc != AYNI_OK)
		return rc;
	(void)snprintf(path, sizeof path, "%s/key", d->folder);
	if ((rc = identity_open(path, &d->identity, NULL, err)) != AYNI_OK)
		return rc;
	(void)snprintf(path, sizeof path, "%s/donor.db", d->folder);
	if ((rc = db_open(path, DB_READ_WRITE, &d->db, err)) != AYNI_OK ||
	    (rc = ledger_new(d->db, &d->ledger, err)) != AYNI_OK)
		return rc;
	(void)snprintf(path, sizeof path, "%s/cache", d->folder);
	if ((rc = cache_open(path, d->config->disk_mib << 20, &d->cache, err)) != AYNI_OK)
		return rc;
	return intake_new(&d->intake, err);
}

static int open_loop(struct donor *d, struct error *err)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};
	char endpoint[INVITE_TEXT_BYTES];
	int rc;

	if ((rc = loop_new(&d->loop, err)) != AYNI_OK ||
	    (rc = loop_signals(d->loop, signals, on_signal, d, err)) != AYNI_OK ||
	    (rc = invite_endpoint(&d->invite, endpoint, sizeof endpoint)) != AYNI_OK ||
	    (rc = transport_connect(d->identity, &d->invite.pool, endpoint, &d->transport, err)) !=
	        AYNI_OK ||
	    (rc = loop_prepare(d->loop, receive, d, err)) != AYNI_OK)
		return rc;
	if ((rc = loop_watch(d->loop, transport_fd(d->transport), donor_readable, d, err)) !=
	    AYNI_OK)
		return rc;
	return direct_open(d, err);
}

static void close_all(struct donor *d)
{
	if (d->loop != NULL && d->intake != NULL)
		holding_drop(d);
	if (d->loop != NULL)
		seeds_close(d);
	direct_close(d);
	transport_free(d->transport, 500);
	intake_free(d->intake);
	cache_free(d->cache);
	ledger_free(d->ledger);
	db_free(d->db);
	identity_free(d->identity);
	loop_free(d->loop);
}

int donor_run(const struct donor_config *config, struct error *err)
{
	struct donor *d = calloc(1, sizeof *d);
	int rc;

	if (d == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	d->config = config;
	d->err = err;
	d->heartbeat_ms = 1000; /* until the pool says */
	d->hello_wait_ms = HELLO_FIRST_MS;
	if ((rc = invite_parse(config->pool, &d->invite, err)) == AYNI_OK &&
	    (rc = open_state(d, err)) == AYNI_OK &&
	    (rc = spare_measure(config, &d->offer, err)) == AYNI_OK &&
	    (rc = open_loop(d, err)) == AYNI_OK) {
		on_tick(d);
		rc = loop_run(d->loop, err);
		rc = d->fatal != AYNI_OK ? d->fatal : rc;
	}
	close_all(d);
	free(d);
	return rc;
}
