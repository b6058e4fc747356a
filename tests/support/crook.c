/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/crook.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "compute/gguf.h"
#include "node/donor/chains.h"
#include "node/loop.h"
#include "node/work.h"
#include "protocol/invite.h"
#include "protocol/post.h"
#include "protocol/receipt.h"

enum {
	STOLEN = 4,         /* units before and after one's own, receipts */
	MUCH = 50,          /* as a power of two, the most that an offer may say */
	NEAR_MOST_US = 640, /* round trips that it feigns */
	NEAR_STEP_US = 20
};

struct crook {
	const char *kind, *name;
	struct invite invite;
	struct identity *identity, *friend;
	struct transport *transport;
	struct envelope_channel channel;
	struct loop *loop;
	struct model_sizes sizes;
	struct public_key victim;
	bool has_victim, joined;
	uint64_t clock_offset_ms;
	struct msg_assignment a; /* number 0: none */
	struct chains chains;    /* of what it gave: it stands for its lies */
	struct hash asked;       /* content, last */
};

static bool is(const struct crook *c, const char *kind)
{
	return strcmp(c->kind, kind) == 0;
}

static void must(bool ok, const char *what, const struct error *err)
{
	if (ok)
		return;
	(void)fprintf(stderr, "crook: %s: %s\n", what, err != NULL ? err->text : "");
	exit(1);
}

static void say(struct crook *c, struct message *m, struct span payload)
{
	struct error err = {0};

	if (post(&c->channel, c->transport, NULL, m, payload, 0, &err) != AYNI_OK)
		(void)fprintf(stderr, "not sent: %s\n", err.text);
}

/* ---- results that are made up ------------------------------------------------------------- */

/* Numbers of no meaning in a result's shape; freed by the caller. */
static uint8_t *made_up(const struct crook *c, const struct msg_work_unit *u, size_t *len)
{
	uint8_t *out;

	*len = work_result_bytes(c->sizes.n_layers, c->sizes.d_model, u);
	out = calloc(*len + 1, 1);
	must(out != NULL, "out of memory", NULL);
	for (uint32_t i = 0; u->layer_last == c->sizes.n_layers && i < u->n_logits; i++) {
		struct logit row[SAMPLER_CANDIDATES];

		must(u->top <= SAMPLER_CANDIDATES, "too many logits are asked for", NULL);
		for (uint32_t k = 0; k < u->top; k++)
			row[k] = (struct logit){.id = k, .value = -(float)k};
		logit_row_write(out + i * logit_row_bytes(u->top), row, u->top, 1);
	}
	return out;
}

/* What it stands for, as the pool will see it. */
static void stand_for(
    struct crook *c, const struct msg_work_unit *u, struct span payload, struct msg_result *r)
{
	struct hash inputs[WORK_PARTS_MAX], chains[LIMIT_UNIT_SPANS];
	struct chain_unit unit = {.work = u,
	    .layers = {u->layer_first, u->layer_last},
	    .logits = u->layer_last == c->sizes.n_layers,
	    .inputs = inputs,
	    .after = r->layer_hashes,
	    .outputs = r->parts};

	chain_inputs(c->sizes.d_model, u->layer_first, u, payload.data, inputs);
	must(chains_ran(&c->chains, &unit, c->a.kv_type, chains) == AYNI_OK, "no chain", NULL);
	memcpy(r->chains, chains, u->n_spans * sizeof *chains);
}

/* To another unit's number, its word is that of none. */
static void answer(
    struct crook *c, const struct msg_work_unit *u, struct span payload, uint64_t unit)
{
	bool logits = u->layer_last == c->sizes.n_layers;
	struct message m = {.type = MSG_RESULT};
	struct hash parts[WORK_PARTS_MAX];
	size_t len, n_layers = work_layer_hashes(u);
	struct hash *hashes = calloc(n_layers + u->n_spans, sizeof *hashes);
	uint8_t *out = made_up(c, u, &len);

	m.result.unit = unit;
	m.result.compute_us = is(c, CROOK_BOAST) ? 0 : INT64_MAX;
	must(work_cost(&c->sizes, u, &m.result.cost) == AYNI_OK, "no cost", NULL);
	if (is(c, CROOK_COST))
		(void)flop_add(m.result.cost, m.result.cost, &m.result.cost);
	must(hashes != NULL, "out of memory", NULL);
	m.result.layer_hashes = hashes;
	m.result.n_layer_hashes = n_layers;
	m.result.chains = hashes + n_layers;
	m.result.n_chains = u->n_spans;
	m.result.parts = parts;
	m.result.n_parts =
	    work_commit(c->sizes.d_model, u, logits, out, parts, &m.result.handed_hash);
	if (unit == u->unit)
		stand_for(c, u, payload, &m.result);
	say(c, &m, (struct span){out, is(c, CROOK_HALF) ? len / 2 : len});
	free(hashes);
	free(out);
}

static void give_back(struct crook *c, uint64_t unit, enum refusal reason)
{
	struct message m = {.type = MSG_UNIT_FAILED};

	m.unit_failed.unit = unit;
	m.unit_failed.reason = reason;
	say(c, &m, (struct span){0});
}

/* ---- layers that are not there ------------------------------------------------------------ */

static void say_state(struct crook *c, enum assignment_progress state, uint32_t ready)
{
	struct message m = {.type = MSG_ASSIGNMENT_STATE};

	m.assignment_state.assignment = c->a.assignment;
	m.assignment_state.state = state;
	m.assignment_state.layers_ready = ready;
	say(c, &m, (struct span){0});
}

static void be_ready(struct crook *c)
{
	say_state(c, PROGRESS_READY, c->a.layer_last - c->a.layer_first);
}

static void ask_for(struct crook *c, const struct hash *content)
{
	struct message m = {.type = MSG_BLOB_REQUEST};

	m.blob_request.n_hashes = 1;
	m.blob_request.hashes[0] = c->asked = *content;
	say(c, &m, (struct span){0});
}

/* The manifest, then a chunk, so that its line is known to be fast; then it says to have all. */
static void on_blob(struct crook *c, const struct msg_blob *b, struct span content)
{
	struct manifest m = {0};

	if (c->a.assignment == 0 || !hash_equal(&b->hash, &c->asked))
		return;
	if (hash_equal(&b->hash, &c->a.model)) {
		must(manifest_open(content.data, content.len, &m, NULL) == AYNI_OK, "manifest",
		    NULL);
		ask_for(c, &m.chunks[0].hash);
		manifest_free(&m);
	} else if (is(c, CROOK_CHUNKS)) {
		ask_for(c, &b->hash);
	} else {
		be_ready(c);
	}
}

static void on_assignment(struct crook *c, const struct msg_assignment *a)
{
	c->a = *a;
	chains_forget(&c->chains);
	(void)fprintf(stderr, "took layers %u to %u\n", a->layer_first, a->layer_last - 1);
	ask_for(c, &a->model);
}

/* ---- in the name of others ---------------------------------------------------------------- */

/* A result for the unit over this connection, by whom it does not belong to. The victim's key is
 * not here: the signature is another's. */
static void forge(struct crook *c, uint64_t unit, const struct public_key *as)
{
	struct envelope_channel channel = c->channel;
	struct message m = {.type = MSG_RESULT};
	uint8_t envelope[FRAME_BYTES], *header = NULL;
	struct error err = {0};
	struct frame f;
	size_t len;
	int rc;

	channel.self = as == NULL ? c->friend : c->identity;
	m.result.unit = unit;
	rc = envelope_seal(&channel, &m, 0, NULL, 0, envelope, &header, &len, &err);
	must(rc == AYNI_OK, "cannot seal", &err);
	if (as != NULL && frame_parse(envelope, sizeof envelope, &f, &err) == AYNI_OK) {
		f.signer = *as;
		frame_write(&f, envelope);
	}
	(void)transport_send(c->transport, NULL, (struct span){envelope, sizeof envelope},
	    (struct span){header, len}, (struct span){0}, &err);
	free(header);
}

static void countersign(struct crook *c)
{
	for (uint64_t i = 1; i <= STOLEN; i++) {
		struct message m = {.type = MSG_RECEIPT_ACK};

		m.receipt_ack.number = i;
		say(c, &m, (struct span){0});
	}
}

static void steal(struct crook *c, const struct msg_work_unit *u, struct span payload)
{
	for (uint64_t i = 1; i <= STOLEN; i++) {
		answer(c, u, payload, u->unit - i);
		answer(c, u, payload, u->unit + i);
	}
	if (c->friend != NULL)
		forge(c, u->unit, NULL);
	if (c->has_victim)
		forge(c, u->unit, &c->victim);
}

/* ---- messages ----------------------------------------------------------------------------- */

static void on_unit(struct crook *c, const struct msg_work_unit *u, struct span payload)
{
	(void)fprintf(stderr, "a unit\n");
	if (is(c, CROOK_MUTE))
		return;
	if (is(c, CROOK_FLIP)) {
		say_state(c, PROGRESS_LOADING, 0);
		be_ready(c);
	} else if (is(c, CROOK_BUSY)) {
		give_back(c, u->unit, REFUSAL_BUSY);
	} else if (is(c, CROOK_NAN)) {
		give_back(c, u->unit, REFUSAL_NUMERIC);
	} else if (is(c, CROOK_THIEF)) {
		steal(c, u, payload);
		give_back(c, u->unit, REFUSAL_LEAVING);
	} else {
		answer(c, u, payload, u->unit);
	}
}

static void on_welcome(struct crook *c, const struct msg_welcome *w)
{
	struct message m = {.type = MSG_OFFER};
	uint64_t much = UINT64_C(1) << MUCH;

	c->clock_offset_ms = w->pool_time_ms - loop_wall_ms();
	c->joined = true;
	m.offer = (struct msg_offer){.cores = 4096,
	    .memory_bytes = much,
	    .disk_bytes = much,
	    .flop_per_s = much,
	    .read_bytes_per_s = much,
	    .kernels = "crook"};
	say(c, &m, (struct span){0});
}

/* As if the pool's heartbeat had come later: those that would be of its future it passes over, and
 * the last of the others says that the way is hardly anything. */
static void heartbeat(struct crook *c, uint64_t echo_us)
{
	for (uint64_t later = 0; later <= NEAR_MOST_US; later += NEAR_STEP_US) {
		struct message m = {.type = MSG_HEARTBEAT};

		m.heartbeat.echo_us = echo_us + later;
		say(c, &m, (struct span){0});
	}
}

static void dispatch(struct crook *c, const struct message *m)
{
	switch ((int)m->type) {
	case MSG_WELCOME:
		on_welcome(c, &m->welcome);
		break;
	case MSG_REFUSAL:
		(void)fprintf(
		    stderr, "refused: %s: %s\n", refusal_name(m->refusal.reason), m->refusal.text);
		break;
	case MSG_HEARTBEAT:
		heartbeat(c, m->heartbeat.echo_us);
		if (is(c, CROOK_THIEF))
			countersign(c);
		break;
	case MSG_ASSIGNMENT:
		on_assignment(c, &m->assignment);
		break;
	case MSG_UNASSIGN:
		c->a.assignment = 0;
		(void)fprintf(stderr, "its layers were taken back\n");
		break;
	case MSG_BLOB:
		on_blob(c, &m->blob, m->payload);
		break;
	case MSG_WORK_UNIT:
		on_unit(c, &m->work_unit, m->payload);
		break;
	default:
		break;
	}
}

static bool receive(void *context)
{
	struct crook *c = context;
	struct transport_parts parts = {0};
	struct error err = {0};

	while (transport_receive(c->transport, &parts, &err) == AYNI_OK) {
		struct message *m = NULL;
		enum refusal why;

		if (envelope_open(&c->channel, parts.envelope, parts.header, parts.payload,
		        loop_wall_ms() + c->clock_offset_ms, &m, &why, &err) == AYNI_OK)
			dispatch(c, m);
		message_free(m);
		transport_parts_free(&parts);
	}
	return false;
}

static void on_readable(void *context)
{
	(void)context; /* receive takes what there is */
}

static void on_signal(void *context, int number)
{
	(void)number;
	loop_stop(((struct crook *)context)->loop);
}

/* ---- life --------------------------------------------------------------------------------- */

static const char *option(int argc, char **argv, const char *name)
{
	for (int i = 2; i + 1 < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	}
	must(false, name, NULL);
	return NULL;
}

static void read_model(struct crook *c, struct error *err)
{
	struct gguf *g = NULL;
	const char *file = getenv("AYNI_CROOK_MODEL");

	must(file != NULL && gguf_open(file, &g, err) == AYNI_OK &&
	         model_sizes_read(g, &c->sizes, err) == AYNI_OK,
	    "no model", err);
	gguf_free(g);
}

static void open_keys(struct crook *c, int argc, char **argv, struct error *err)
{
	const char *friend = getenv("AYNI_CROOK_FRIEND"), *victim = getenv("AYNI_CROOK_VICTIM");
	char path[512];

	(void)snprintf(path, sizeof path, "%s/key", option(argc, argv, "--folder"));
	must(identity_open(path, &c->identity, NULL, err) == AYNI_OK, "no key", err);
	if (friend != NULL)
		must(identity_read(friend, &c->friend, err) == AYNI_OK, "no friend", err);
	c->has_victim = victim != NULL && unhex32(victim, c->victim.bytes) == AYNI_OK;
}

static void open_all(struct crook *c, int argc, char **argv)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};
	char endpoint[INVITE_TEXT_BYTES];
	struct error err = {0};

	read_model(c, &err);
	open_keys(c, argc, argv, &err);
	c->name = option(argc, argv, "--name");
	must(invite_parse(option(argc, argv, "--pool"), &c->invite, &err) == AYNI_OK &&
	         invite_endpoint(&c->invite, endpoint, sizeof endpoint) == AYNI_OK &&
	         transport_connect(c->identity, &c->invite.pool, endpoint, &c->transport, &err) ==
	             AYNI_OK &&
	         loop_new(&c->loop, &err) == AYNI_OK &&
	         loop_signals(c->loop, signals, on_signal, c, &err) == AYNI_OK &&
	         loop_prepare(c->loop, receive, c, &err) == AYNI_OK &&
	         loop_watch(c->loop, transport_fd(c->transport), on_readable, c, &err) == AYNI_OK,
	    "cannot begin", &err);
}

static void say_hello(struct crook *c)
{
	struct message m = {.type = MSG_HELLO};

	envelope_channel_init(&c->channel, c->identity, &c->invite.pool, loop_wall_ms() * 1000);
	m.hello.role = ROLE_DONOR;
	m.hello.has_invite = c->invite.has_token;
	memcpy(m.hello.invite, c->invite.token, sizeof c->invite.token);
	(void)snprintf(m.hello.name, sizeof m.hello.name, "%s", c->name);
	say(c, &m, (struct span){0});
}

int crook_main(int argc, char **argv)
{
	struct crook c = {.kind = getenv("AYNI_CROOK")};
	struct error err = {0};
	int rc;

	if (argc < 2 || c.kind == NULL || strcmp(argv[1], "donate") != 0)
		return -1;
	open_all(&c, argc, argv);
	say_hello(&c);
	rc = loop_run(c.loop, &err);
	transport_free(c.transport, 0);
	loop_free(c.loop);
	identity_free(c.identity);
	identity_free(c.friend);
	chains_forget(&c.chains);
	return rc == AYNI_OK ? 0 : 1;
}
