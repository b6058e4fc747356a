/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of an assignment: fetched, loaded, dropped in the middle, or refused, whatever the
 * pool sends; and what becomes of the units when the worker dies. The donor here is not joined, so
 * that what it would send goes nowhere.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/donor/donor_internal.h"
#include "protocol/messages.h"
#include "tests/support/scratch.h"
#include "tests/support/worker_trial.h"

enum { CHUNK = 1000, MODEL_CONTEXT = 512 };

/* ---- a donor, and a model of its pool ------------------------------------------------------- */

struct fixture {
	struct donor d;
	struct donor_config config;
	struct scratch scratch;
	struct identity *pool;
	uint8_t *file, *manifest;
	size_t file_len, manifest_len;
	struct hash model;
	uint64_t units; /* made so far */
};

/* The model in chunks, signed by the pool, under the name of its hash. */
static void publish(struct fixture *f, const struct tiny_model_options *options)
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

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
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
	publish(f, &(struct tiny_model_options){.type = TENSOR_Q8_0});
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct donor *d = &f->d;

	holding_drop(d);
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

static struct msg_assignment assignment_of(const struct fixture *f, uint64_t number)
{
	return (struct msg_assignment){.assignment = number,
	    .model = f->model,
	    .layer_first = 0,
	    .layer_last = LAYERS,
	    .kv_tokens = KV_TOKENS,
	    .max_sessions = SESSIONS};
}

static void assign(struct fixture *f, uint64_t number)
{
	struct msg_assignment a = assignment_of(f, number);

	holding_assign(&f->d, &a);
}

static void send_manifest(struct fixture *f)
{
	struct msg_blob b = {f->model, true};

	holding_blob(&f->d, &b, (struct span){f->manifest, f->manifest_len});
}

static struct msg_blob chunk_named(const struct fixture *f, size_t i, struct span *content)
{
	struct msg_blob b = {.found = true};
	size_t left = f->file_len - i * CHUNK;

	*content = (struct span){f->file + i * CHUNK, left < CHUNK ? left : CHUNK};
	hash_bytes(content->data, content->len, &b.hash);
	return b;
}

/* All chunks in [first, last), asked for or not. */
static void send_chunks(struct fixture *f, size_t first, size_t last)
{
	for (size_t i = first; i < last && i * CHUNK < f->file_len; i++) {
		struct span content;
		struct msg_blob b = chunk_named(f, i, &content);

		holding_blob(&f->d, &b, content);
	}
}

/* The worker's next word reaches the donor. */
static void hear_worker(struct fixture *f)
{
	struct pollfd p = {.events = POLLIN};

	assert_non_null(f->d.worker);
	p.fd = worker_link_fd(f->d.worker);
	assert_int_equal(poll(&p, 1, 120000), 1);
	units_on_worker(&f->d);
}

static void fetch_until(struct fixture *f, enum holding_state wanted)
{
	for (unsigned round = 0; f->d.holding.state != wanted; round++) {
		assert_true(round < 10);
		assert_int_not_equal(f->d.holding.state, HOLDING_NOTHING);
		if (f->d.holding.state == HOLDING_MANIFEST)
			send_manifest(f);
		holding_step(&f->d); /* looks into the cache */
		if (f->d.holding.state == HOLDING_HEAD || f->d.holding.state == HOLDING_LAYERS)
			send_chunks(f, 0, SIZE_MAX);
		holding_step(&f->d);
	}
}

static void make_ready(struct fixture *f, uint64_t number)
{
	assign(f, number);
	fetch_until(f, HOLDING_LOADING);
	while (f->d.holding.state == HOLDING_LOADING)
		hear_worker(f);
	assert_int_equal(f->d.holding.state, HOLDING_READY);
}

/* One token of a session, as the loop would hand it over. */
static bool take_unit(struct fixture *f, uint64_t assignment, uint64_t session, uint32_t position)
{
	static uint8_t token[4] = {7, 0, 0, 0};
	struct unit_span span = {session, position, 1, 1};
	struct message plain = {.type = MSG_WORK_UNIT}, *m = NULL;
	struct transport_parts parts = {0};
	uint8_t *header = NULL;
	size_t len = 0;

	plain.work_unit = (struct msg_work_unit){.unit = ++f->units,
	    .assignment = assignment,
	    .model = f->model,
	    .layer_last = LAYERS,
	    .n_spans = 1,
	    .spans = &span,
	    .n_tokens = 1,
	    .n_logits = 1,
	    .top = 1};
	assert_int_equal(message_encode(&plain, &header, &len, NULL), AYNI_OK);
	assert_int_equal(message_decode(MSG_WORK_UNIT, header, len, &m, NULL), AYNI_OK);
	free(header);
	m->payload = (struct span){token, sizeof token};
	if (units_take(&f->d, m, &parts))
		return true;
	message_free(m);
	return false;
}

/* ---- fetching ------------------------------------------------------------------------------- */

static void an_assignment_is_fetched_loaded_and_serves_units(void **state)
{
	struct fixture *f = *state;

	make_ready(f, 1);
	assert_true(take_unit(f, 1, 5, 0));
	hear_worker(f);
	assert_int_equal(f->d.units_done, 1);
	assert_int_equal(f->d.queue_n, 0);
}

static void what_is_in_the_cache_is_not_fetched_again(void **state)
{
	struct fixture *f = *state;

	make_ready(f, 1);
	holding_drop(&f->d);
	assign(f, 2);
	for (unsigned i = 0; i < 4 && f->d.holding.state != HOLDING_LOADING; i++)
		holding_step(&f->d);
	assert_int_equal(f->d.holding.state, HOLDING_LOADING);
}

static void blobs_after_an_assignment_was_dropped_are_ignored(void **state)
{
	struct fixture *f = *state;

	assign(f, 1);
	send_manifest(f);
	holding_step(&f->d);
	send_chunks(f, 0, 1);
	holding_drop(&f->d);
	send_chunks(f, 0, SIZE_MAX);
	send_manifest(f);
	holding_step(&f->d);
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void an_assignment_in_the_middle_of_another_takes_its_place(void **state)
{
	struct fixture *f = *state;

	assign(f, 1);
	fetch_until(f, HOLDING_LAYERS);
	assign(f, 2);
	assert_int_equal(f->d.holding.a.assignment, 2);
	fetch_until(f, HOLDING_LOADING);
	assign(f, 3); /* while the worker loads */
	assert_null(f->d.worker);
	make_ready(f, 4);
}

static void blobs_that_nobody_asked_for_are_ignored(void **state)
{
	static const uint8_t noise[50] = {1, 2, 3};
	struct msg_blob b = {.found = true};
	struct fixture *f = *state;

	hash_bytes(noise, sizeof noise, &b.hash);
	holding_blob(&f->d, &b, (struct span){noise, sizeof noise});
	assign(f, 1);
	holding_blob(&f->d, &b, (struct span){noise, sizeof noise});
	assert_int_equal(f->d.holding.state, HOLDING_MANIFEST);
	fetch_until(f, HOLDING_LAYERS);
	holding_blob(&f->d, &b, (struct span){noise, sizeof noise});
	assert_int_equal(f->d.holding.state, HOLDING_LAYERS);
	make_ready(f, 2);
	holding_blob(&f->d, &b, (struct span){noise, sizeof noise});
	assert_int_equal(f->d.holding.state, HOLDING_READY);
}

static void a_blob_not_found_matters_only_where_it_is_needed(void **state)
{
	struct fixture *f = *state;
	struct msg_blob other = {.hash = {{9}}}, needed = {.hash = f->model};
	struct span content;

	assign(f, 1);
	holding_blob(&f->d, &other, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_MANIFEST);
	fetch_until(f, HOLDING_LAYERS);
	holding_blob(&f->d, &other, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_LAYERS);
	make_ready(f, 2);
	holding_blob(&f->d, &other, (struct span){0});
	holding_blob(&f->d, &needed, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_READY);
	publish(f, &(struct tiny_model_options){.seed = 5}); /* a model that is not cached */
	assign(f, 3);
	needed.hash = f->model;
	holding_blob(&f->d, &needed, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
	assign(f, 4);
	send_manifest(f);
	needed = chunk_named(f, 0, &content);
	needed.found = false;
	holding_blob(&f->d, &needed, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void a_chunk_with_other_content_than_its_hash_ends_the_assignment(void **state)
{
	struct fixture *f = *state;
	struct span content;
	struct msg_blob b;

	assign(f, 1);
	send_manifest(f);
	b = chunk_named(f, 0, &content);
	content.data++;
	holding_blob(&f->d, &b, content);
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
	send_chunks(f, 0, SIZE_MAX);
}

/* ---- manifests and assignments that lie ----------------------------------------------------- */

static void a_manifest_with_another_hash_than_the_model_is_refused(void **state)
{
	struct fixture *f = *state;
	struct msg_assignment a = assignment_of(f, 1);
	struct msg_blob b;

	a.model.bytes[0] ^= 1;
	b = (struct msg_blob){a.model, true};
	holding_assign(&f->d, &a);
	holding_blob(&f->d, &b, (struct span){f->manifest, f->manifest_len});
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void a_manifest_of_another_publisher_is_refused(void **state)
{
	struct fixture *f = *state;

	f->d.invite.pool.bytes[0] ^= 1;
	assign(f, 1);
	send_manifest(f);
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void a_manifest_of_an_absurd_file_is_refused(void **state)
{
	static const uint64_t sizes[] = {INT64_MAX, UINT64_C(1) << 62};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct manifest_chunk chunk = {0, 1, {{1}}};
		struct manifest m = {.name = "absurd",
		    .file_bytes = sizes[i],
		    .head_bytes = 1,
		    .n_chunks = 1,
		    .chunks = &chunk};

		free(f->manifest);
		f->manifest = NULL;
		if (manifest_sign(&m, f->pool, &f->manifest, &f->manifest_len, NULL) != AYNI_OK)
			continue;
		hash_bytes(f->manifest, f->manifest_len, &f->model);
		assign(f, i + 1);
		send_manifest(f);
		assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
	}
}

static void assert_refused_by_its_head(struct fixture *f, struct msg_assignment a)
{
	holding_assign(&f->d, &a);
	if (f->d.holding.state == HOLDING_MANIFEST)
		send_manifest(f);
	holding_step(&f->d);
	send_chunks(f, 0, SIZE_MAX);
	holding_step(&f->d);
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void layers_that_the_model_does_not_have_are_refused(void **state)
{
	static const struct layer_range wrong[] = {
	    {0, LAYERS + 1}, {LAYERS, LAYERS}, {2, 1}, {LAYERS, LAYERS + 1}, {0, UINT32_MAX}};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct msg_assignment a = assignment_of(f, i + 1);

		a.layer_first = wrong[i].first;
		a.layer_last = wrong[i].last;
		assert_refused_by_its_head(f, a);
	}
}

static void more_memory_than_was_offered_is_refused(void **state)
{
	struct fixture *f = *state;
	struct msg_assignment a = assignment_of(f, 1);

	a.kv_tokens = MODEL_CONTEXT;
	a.max_sessions = 65536;
	assert_refused_by_its_head(f, a);
	a.max_sessions = SESSIONS;
	a.kv_tokens = MODEL_CONTEXT + 1;
	assert_refused_by_its_head(f, a);
}

static void memory_that_is_past_counting_is_refused(void **state)
{
	struct fixture *f = *state;
	struct msg_assignment a;

	/* 3 x 2^32 bytes a session; so many sessions make 2^64 + 2^33 bytes of it */
	publish(f, &(struct tiny_model_options){
	               .d_head = 256, .d_value = 256, .context_tokens = LIMIT_CONTEXT_TOKENS});
	f->d.offer.memory_bytes = UINT64_C(16) << 30;
	a = assignment_of(f, 1);
	a.kv_tokens = LIMIT_CONTEXT_TOKENS;
	a.max_sessions = 1431655766;
	assert_refused_by_its_head(f, a);
	a.max_sessions = 1;
	holding_assign(&f->d, &a);
	fetch_until(f, HOLDING_LOADING);
}

/* ---- deaths --------------------------------------------------------------------------------- */

static void units_at_hand_fail_when_the_worker_dies_and_another_takes_its_place(void **state)
{
	struct fixture *f = *state;

	make_ready(f, 1);
	assert_int_equal(kill(trial_pid(), SIGSTOP), 0);
	assert_true(take_unit(f, 1, 5, 0));
	assert_true(take_unit(f, 1, 5, 1));
	assert_true(take_unit(f, 1, 6, 0));
	assert_int_equal(f->d.queue_n, 3);
	assert_int_equal(kill(trial_pid(), SIGKILL), 0);
	while (f->d.queue_n > 0)
		hear_worker(f);
	assert_int_equal(intake_queued(f->d.intake), 0);
	assert_int_equal(f->d.holding.state, HOLDING_LOADING);
	assert_false(take_unit(f, 1, 5, 0)); /* not ready yet */
	while (f->d.holding.state == HOLDING_LOADING)
		hear_worker(f);
	assert_false(take_unit(f, 1, 5, 1)); /* its sessions are gone */
	assert_true(take_unit(f, 1, 5, 0));
	hear_worker(f);
	assert_int_equal(f->d.queue_n, 0);
}

static void a_worker_that_dies_again_and_again_ends_the_assignment(void **state)
{
	struct fixture *f = *state;
	unsigned deaths = 0;

	make_ready(f, 1);
	for (; f->d.holding.state != HOLDING_NOTHING; deaths++) {
		unsigned before = f->d.holding.worker_deaths;

		assert_int_equal(kill(trial_pid(), SIGKILL), 0);
		while (
		    f->d.holding.state != HOLDING_NOTHING && f->d.holding.worker_deaths == before)
			hear_worker(f);
	}
	assert_int_equal(deaths, MAX_WORKER_DEATHS + 1);
	assert_null(f->d.worker);
	make_ready(f, 2);
}

static void dropping_an_assignment_with_units_at_hand_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	make_ready(f, 1);
	assert_true(take_unit(f, 1, 5, 0));
	assert_true(take_unit(f, 1, 5, 1));
	holding_drop(&f->d);
	assert_int_equal(f->d.queue_n, 0);
	assert_int_equal(intake_queued(f->d.intake), 0);
	assert_null(f->d.worker);
	make_ready(f, 2);
	assert_true(take_unit(f, 2, 5, 0));
	hear_worker(f);
	assert_int_equal(f->d.units_done, 1);
}

/* ---- receipts ------------------------------------------------------------------------------- */

static int count(void *n, const struct ledger_entry *e)
{
	assert_true(e->countersigned);
	++*(unsigned *)n;
	return 0;
}

/* How many receipts did the donor keep? */
static unsigned kept(struct fixture *f)
{
	unsigned n = 0;

	assert_int_equal(ledger_each(f->d.ledger, 0, 100, count, &n, NULL), AYNI_OK);
	return n;
}

static void send_receipt(struct fixture *f, const struct receipt *r)
{
	struct signed_receipt s = {0};

	assert_int_equal(receipt_issue(r, f->pool, &s, NULL), AYNI_OK);
	units_receipt(&f->d, &s);
}

/* A receipt for n units of one token, as an honest pool writes it for what is open. */
static struct receipt receipt_for(const struct fixture *f, uint64_t number, uint64_t n)
{
	struct receipt r = {.number = number,
	    .pool = *identity_public(f->pool),
	    .donor = *identity_public(f->d.identity),
	    .model = f->model,
	    .layer_last = LAYERS,
	    .units = n,
	    .tokens = n,
	    .first_ms = 1000,
	    .last_ms = 2000};

	assert_int_equal(flop_from(flop_count(f->d.open.cost), &r.cost), AYNI_OK);
	return r;
}

static void do_two_units(struct fixture *f)
{
	f->d.began_ms = 500;
	make_ready(f, 1);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(take_unit(f, 1, 5, i));
		hear_worker(f);
	}
	assert_int_equal(f->d.open.units, 2);
	assert_int_equal(f->d.open.tokens, 2);
}

static void receipts_for_work_that_was_done_are_kept_and_settle_it(void **state)
{
	struct fixture *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 2);
	send_receipt(f, &r);
	assert_int_equal(kept(f), 1);
	assert_int_equal(f->d.open.units, 0);
	assert_int_equal(f->d.open.tokens, 0);
	assert_int_equal(flop_count(f->d.open.cost), 0);
}

static void receipts_for_work_that_was_never_done_are_refused(void **state)
{
	struct fixture *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 3);
	r.tokens = 2;
	send_receipt(f, &r);
	r = receipt_for(f, 1, 2);
	r.tokens = 3;
	send_receipt(f, &r);
	r = receipt_for(f, 1, 2);
	assert_int_equal(flop_add(r.cost, (struct flop){1}, &r.cost), AYNI_OK);
	send_receipt(f, &r);
	assert_int_equal(kept(f), 0);
	assert_int_equal(f->d.open.units, 2);
	assert_int_equal(f->d.refused.by_reason[REFUSAL_BOUNDS], 3);
}

static void receipts_between_others_are_refused(void **state)
{
	struct fixture *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 2);
	r.donor = r.pool;
	send_receipt(f, &r);
	assert_int_equal(kept(f), 0);
	assert_int_equal(f->d.refused.by_reason[REFUSAL_SIGNATURE], 1);
}

static void a_receipt_that_comes_again_is_answered_and_settles_nothing_more(void **state)
{
	struct fixture *f = *state;
	struct receipt r;

	do_two_units(f);
	r = receipt_for(f, 1, 2);
	send_receipt(f, &r);
	send_receipt(f, &r); /* our answer was lost */
	assert_int_equal(f->d.refused.by_reason[REFUSAL_BOUNDS], 0);
	assert_true(take_unit(f, 1, 5, 2));
	hear_worker(f);
	send_receipt(f, &r);
	assert_int_equal(f->d.open.units, 1);
	r.units = 1; /* the same number for other work */
	r.tokens = 1;
	r.cost = (struct flop){1};
	send_receipt(f, &r);
	assert_int_equal(f->d.open.units, 1);
	assert_int_equal(kept(f), 1);
}

int main(int argc, char **argv)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(an_assignment_is_fetched_loaded_and_serves_units),
	    TEST(what_is_in_the_cache_is_not_fetched_again),
	    TEST(blobs_after_an_assignment_was_dropped_are_ignored),
	    TEST(an_assignment_in_the_middle_of_another_takes_its_place),
	    TEST(blobs_that_nobody_asked_for_are_ignored),
	    TEST(a_blob_not_found_matters_only_where_it_is_needed),
	    TEST(a_chunk_with_other_content_than_its_hash_ends_the_assignment),
	    TEST(a_manifest_with_another_hash_than_the_model_is_refused),
	    TEST(a_manifest_of_another_publisher_is_refused),
	    TEST(a_manifest_of_an_absurd_file_is_refused),
	    TEST(layers_that_the_model_does_not_have_are_refused),
	    TEST(more_memory_than_was_offered_is_refused),
	    TEST(memory_that_is_past_counting_is_refused),
	    TEST(units_at_hand_fail_when_the_worker_dies_and_another_takes_its_place),
	    TEST(a_worker_that_dies_again_and_again_ends_the_assignment),
	    TEST(dropping_an_assignment_with_units_at_hand_leaves_nothing),
	    TEST(receipts_for_work_that_was_done_are_kept_and_settle_it),
	    TEST(receipts_for_work_that_was_never_done_are_refused),
	    TEST(receipts_between_others_are_refused),
	    TEST(a_receipt_that_comes_again_is_answered_and_settles_nothing_more),
	};

	if (argc > 1 && strcmp(argv[1], "worker") == 0)
		return trial_worker_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
