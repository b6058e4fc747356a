/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/donor_trial.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/messages.h"

void donor_trial_publish(struct donor_trial *f, const struct tiny_model_options *options)
{
	struct manifest m = {.name = "tiny"};
	struct gguf *g = NULL;

	free(f->file);
	free(f->manifest);
	f->file = tiny_model_bytes(options, &f->file_len);
	assert_int_equal(gguf_parse(f->file, f->file_len, f->file_len, &g, NULL), AYNI_OK);
	m.file_bytes = f->file_len;
	m.head_bytes = gguf_head_bytes(g);
	gguf_free(g);
	m.n_chunks = (f->file_len + CHUNK - 1) / CHUNK;
	m.chunks = calloc(m.n_chunks, sizeof *m.chunks);
	assert_non_null(m.chunks);
	for (size_t i = 0; i < m.n_chunks; i++) {
		size_t left = f->file_len - i * CHUNK;

		m.chunks[i].offset = i * CHUNK;
		m.chunks[i].length = left < CHUNK ? (uint32_t)left : CHUNK;
		hash_bytes(f->file + i * CHUNK, m.chunks[i].length, &m.chunks[i].hash);
	}
	assert_int_equal(manifest_sign(&m, f->pool, &f->manifest, &f->manifest_len, NULL), AYNI_OK);
	hash_bytes(f->manifest, f->manifest_len, &f->model);
	manifest_free(&m);
}

int donor_trial_set_up(void **state)
{
	struct donor_trial *f = calloc(1, sizeof *f);
	struct donor *d = &f->d;

	assert_non_null(f);
	scratch_make(&f->scratch);
	config_donor_defaults(&f->config);
	d->config = &f->config;
	d->offer = (struct msg_offer){.cores = 1, .memory_bytes = 64 << 20};
	assert_int_equal(identity_generate(&f->pool, NULL), AYNI_OK);
	assert_int_equal(identity_generate(&d->identity, NULL), AYNI_OK);
	d->invite.pool = *identity_public(f->pool);
	assert_int_equal(
	    cache_open(scratch_path(&f->scratch, "cache"), 64 << 20, &d->cache, NULL), AYNI_OK);
	assert_int_equal(
	    db_open(scratch_path(&f->scratch, "db"), DB_READ_WRITE, &d->db, NULL), AYNI_OK);
	assert_int_equal(ledger_new(d->db, &d->ledger, NULL), AYNI_OK);
	assert_int_equal(loop_new(&d->loop, NULL), AYNI_OK);
	assert_int_equal(intake_new(&d->intake, NULL), AYNI_OK);
	(void)snprintf(f->config.listen, sizeof f->config.listen, "none");
	assert_int_equal(direct_open(d, NULL), AYNI_OK);
	donor_trial_publish(f, &(struct tiny_model_options){.type = TENSOR_Q8_0});
	*state = f;
	return 0;
}

int donor_trial_tear_down(void **state)
{
	struct donor_trial *f = *state;
	struct donor *d = &f->d;

	holding_drop(d);
	direct_close(d);
	intake_free(d->intake);
	loop_free(d->loop);
	ledger_free(d->ledger);
	db_free(d->db);
	cache_free(d->cache);
	identity_free(d->identity);
	identity_free(f->pool);
	scratch_remove(&f->scratch);
	free(f->file);
	free(f->manifest);
	free(f);
	return 0;
}

struct msg_assignment donor_trial_assignment(const struct donor_trial *f, uint64_t number)
{
	return (struct msg_assignment){.assignment = number,
	    .model = f->model,
	    .layer_first = 0,
	    .layer_last = LAYERS,
	    .kv_tokens = KV_TOKENS,
	    .max_sessions = SESSIONS};
}

void donor_trial_assign(struct donor_trial *f, uint64_t number)
{
	struct msg_assignment a = donor_trial_assignment(f, number);

	holding_assign(&f->d, &a);
}

void donor_trial_send_manifest(struct donor_trial *f)
{
	struct msg_blob b = {f->model, true};

	holding_blob(&f->d, &b, (struct span){f->manifest, f->manifest_len});
}

struct msg_blob donor_trial_chunk(const struct donor_trial *f, size_t i, struct span *content)
{
	struct msg_blob b = {.found = true};
	size_t left = f->file_len - i * CHUNK;

	*content = (struct span){f->file + i * CHUNK, left < CHUNK ? left : CHUNK};
	hash_bytes(content->data, content->len, &b.hash);
	return b;
}

void donor_trial_send_chunks(struct donor_trial *f, size_t first, size_t last)
{
	for (size_t i = first; i < last && i * CHUNK < f->file_len; i++) {
		struct span content;
		struct msg_blob b = donor_trial_chunk(f, i, &content);

		holding_blob(&f->d, &b, content);
	}
}

void donor_trial_hear_worker(struct donor_trial *f)
{
	struct pollfd p = {.events = POLLIN};

	assert_non_null(f->d.worker);
	p.fd = worker_link_fd(f->d.worker);
	assert_int_equal(poll(&p, 1, 120000), 1);
	units_on_worker(&f->d);
}

void donor_trial_fetch_until(struct donor_trial *f, enum holding_state wanted)
{
	for (unsigned round = 0; f->d.holding.state != wanted; round++) {
		assert_true(round < 10);
		assert_int_not_equal(f->d.holding.state, HOLDING_NOTHING);
		if (f->d.holding.state == HOLDING_MANIFEST)
			donor_trial_send_manifest(f);
		holding_step(&f->d); /* looks into the cache */
		if (f->d.holding.state == HOLDING_HEAD || f->d.holding.state == HOLDING_LAYERS)
			donor_trial_send_chunks(f, 0, SIZE_MAX);
		holding_step(&f->d);
	}
}

void donor_trial_make_ready(struct donor_trial *f, uint64_t number)
{
	donor_trial_assign(f, number);
	donor_trial_fetch_until(f, HOLDING_LOADING);
	while (f->d.holding.state == HOLDING_LOADING)
		donor_trial_hear_worker(f);
	assert_int_equal(f->d.holding.state, HOLDING_READY);
}

static bool take_unit(struct donor_trial *f, const struct msg_work_unit *u, struct span payload)
{
	struct message plain = {.type = MSG_WORK_UNIT}, *m = NULL;
	struct transport_parts parts = {0};
	uint8_t *header = NULL;
	size_t len = 0;

	plain.work_unit = *u;
	assert_int_equal(message_encode(&plain, &header, &len, NULL), AYNI_OK);
	assert_int_equal(message_decode(MSG_WORK_UNIT, header, len, &m, NULL), AYNI_OK);
	free(header);
	m->payload = payload;
	if (units_take(&f->d, m, &parts))
		return true;
	message_free(m);
	return false;
}

static struct msg_work_unit one_token(
    struct donor_trial *f, uint64_t assignment, struct unit_span *span)
{
	return (struct msg_work_unit){.unit = ++f->units,
	    .assignment = assignment,
	    .model = f->model,
	    .layer_last = LAYERS,
	    .n_spans = 1,
	    .spans = span,
	    .n_tokens = 1,
	    .n_logits = 1,
	    .top = 1};
}

bool donor_trial_take_unit(
    struct donor_trial *f, uint64_t assignment, uint64_t session, uint32_t position)
{
	static const uint8_t token[4] = {7, 0, 0, 0};
	struct unit_span span = {session, position, 1, 1, 0, 0};
	struct msg_work_unit u = one_token(f, assignment, &span);

	return take_unit(f, &u, (struct span){token, sizeof token});
}

bool donor_trial_take_part(
    struct donor_trial *f, uint64_t assignment, uint64_t session, uint32_t position, uint32_t last)
{
	static const uint8_t token[4] = {7, 0, 0, 0};
	struct unit_span span = {session, position, 1, 0, 0, 0};
	struct msg_work_unit u = one_token(f, assignment, &span);

	u.layer_last = last;
	u.n_logits = u.top = 0;
	return take_unit(f, &u, (struct span){token, sizeof token});
}

bool donor_trial_take_unit_without_input(struct donor_trial *f, uint64_t session, uint32_t position,
    const struct public_key *from, uint64_t ticket)
{
	struct unit_span span = {session, position, 1, 1, 0, 0};
	struct msg_work_unit u = one_token(f, f->d.holding.a.assignment, &span);

	u.input = (struct transfer){ticket, *from};
	return take_unit(f, &u, (struct span){0});
}

bool donor_trial_take_unit_for_itself(
    struct donor_trial *f, uint64_t session, uint32_t position, uint64_t ticket)
{
	static const uint8_t token[4] = {7, 0, 0, 0};
	struct unit_span span = {session, position, 1, 1, 0, 0};
	struct msg_work_unit u = one_token(f, f->d.holding.a.assignment, &span);

	u.next = (struct transfer){ticket, *identity_public(f->d.identity)};
	u.draws = true;
	u.draw = (struct sampling){.top_p = 1, .repeat_penalty = 1};
	return take_unit(f, &u, (struct span){token, sizeof token});
}
