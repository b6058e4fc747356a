/* SPDX-License-Identifier: Apache-2.0 */
/* An assignment: fetched, loaded, dropped in the middle, or refused, whatever the pool sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compute/kv.h"
#include "tests/support/donor_trial.h"

/* ---- fetching ------------------------------------------------------------------------------- */

static void an_assignment_is_fetched_loaded_and_serves_units(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	assert_true(donor_trial_take_unit(f, 1, 5, 0));
	donor_trial_hear_worker(f);
	assert_int_equal(f->d.units_done, 1);
	assert_int_equal(f->d.queue.n, 0);
}

static void what_is_in_the_cache_is_not_fetched_again(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_make_ready(f, 1);
	holding_drop(&f->d);
	donor_trial_assign(f, 2);
	for (unsigned i = 0; i < 4 && f->d.holding.state != HOLDING_LOADING; i++)
		holding_step(&f->d);
	assert_int_equal(f->d.holding.state, HOLDING_LOADING);
}

static void blobs_after_an_assignment_was_dropped_are_ignored(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_assign(f, 1);
	donor_trial_send_manifest(f);
	holding_step(&f->d);
	donor_trial_send_chunks(f, 0, 1);
	holding_drop(&f->d);
	donor_trial_send_chunks(f, 0, SIZE_MAX);
	donor_trial_send_manifest(f);
	holding_step(&f->d);
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void assign_one_layer(struct donor_trial *f, uint64_t number)
{
	struct msg_assignment a = donor_trial_assignment(f, number);

	a.layer_last = 1;
	holding_assign(&f->d, &a);
}

static void an_assignment_in_the_middle_of_another_takes_its_place(void **state)
{
	struct donor_trial *f = *state;

	donor_trial_assign(f, 1);
	donor_trial_fetch_until(f, HOLDING_LAYERS);
	assign_one_layer(f, 2);
	assert_int_equal(f->d.holding.a.assignment, 2);
	assert_int_equal(f->d.holding.a.layer_last, 1);
	donor_trial_fetch_until(f, HOLDING_LOADING);
	donor_trial_assign(f, 3); /* while the worker loads */
	assert_null(f->d.worker);
	donor_trial_make_ready(f, 4);
}

static void what_is_held_already_only_gets_another_number(void **state)
{
	struct donor_trial *f = *state;
	struct worker_link *worker;

	donor_trial_assign(f, 1);
	donor_trial_fetch_until(f, HOLDING_LAYERS);
	donor_trial_assign(f, 2);
	assert_int_equal(f->d.holding.state, HOLDING_LAYERS);
	donor_trial_fetch_until(f, HOLDING_LOADING);
	worker = f->d.worker;
	donor_trial_assign(f, 3); /* while the worker loads */
	while (f->d.holding.state == HOLDING_LOADING)
		donor_trial_hear_worker(f);
	donor_trial_assign(f, 4);
	assert_int_equal(f->d.holding.state, HOLDING_READY);
	assert_ptr_equal(f->d.worker, worker);
	assert_false(donor_trial_take_unit(f, 3, 5, 0));
	assert_true(donor_trial_take_unit(f, 4, 5, 0));
}

static void a_donor_that_lost_its_pool_offers_what_it_holds(void **state)
{
	struct donor_trial *f = *state;
	struct msg_offer offer = {0};

	holding_offer(&f->d, &offer);
	assert_false(offer.holds);
	donor_trial_make_ready(f, 1);
	holding_keep(&f->d);
	holding_offer(&f->d, &offer);
	assert_true(offer.holds);
	assert_int_equal(offer.held.layer_last, LAYERS);
	assert_false(donor_trial_take_unit(f, 1, 5, 0)); /* of nobody, until it is assigned again */
	donor_trial_assign(f, 2);
	assert_true(donor_trial_take_unit(f, 2, 5, 0));
}

static void blobs_that_nobody_asked_for_are_ignored(void **state)
{
	static const uint8_t noise[50] = {1, 2, 3};
	struct msg_blob b = {.found = true};
	struct donor_trial *f = *state;

	hash_bytes(noise, sizeof noise, &b.hash);
	holding_blob(&f->d, &b, (struct span){noise, sizeof noise});
	donor_trial_assign(f, 1);
	holding_blob(&f->d, &b, (struct span){noise, sizeof noise});
	assert_int_equal(f->d.holding.state, HOLDING_MANIFEST);
	donor_trial_fetch_until(f, HOLDING_LAYERS);
	holding_blob(&f->d, &b, (struct span){noise, sizeof noise});
	assert_int_equal(f->d.holding.state, HOLDING_LAYERS);
	donor_trial_make_ready(f, 2);
	holding_blob(&f->d, &b, (struct span){noise, sizeof noise});
	assert_int_equal(f->d.holding.state, HOLDING_READY);
}

static void a_blob_not_found_matters_only_where_it_is_needed(void **state)
{
	struct donor_trial *f = *state;
	struct msg_blob other = {.hash = {{9}}}, needed = {.hash = f->model};
	struct span content;

	donor_trial_assign(f, 1);
	holding_blob(&f->d, &other, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_MANIFEST);
	donor_trial_fetch_until(f, HOLDING_LAYERS);
	holding_blob(&f->d, &other, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_LAYERS);
	donor_trial_make_ready(f, 2);
	holding_blob(&f->d, &other, (struct span){0});
	holding_blob(&f->d, &needed, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_READY);
	donor_trial_publish(
	    f, &(struct tiny_model_options){.seed = 5}); /* a model that is not cached */
	donor_trial_assign(f, 3);
	needed.hash = f->model;
	holding_blob(&f->d, &needed, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
	donor_trial_assign(f, 4);
	donor_trial_send_manifest(f);
	needed = donor_trial_chunk(f, 0, &content);
	needed.found = false;
	holding_blob(&f->d, &needed, (struct span){0});
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void a_chunk_with_other_content_than_its_hash_ends_the_assignment(void **state)
{
	struct donor_trial *f = *state;
	struct span content;
	struct msg_blob b;

	donor_trial_assign(f, 1);
	donor_trial_send_manifest(f);
	b = donor_trial_chunk(f, 0, &content);
	content.data++;
	holding_blob(&f->d, &b, content);
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
	donor_trial_send_chunks(f, 0, SIZE_MAX);
}

/* ---- manifests and assignments that lie ----------------------------------------------------- */

static void a_manifest_with_another_hash_than_the_model_is_refused(void **state)
{
	struct donor_trial *f = *state;
	struct msg_assignment a = donor_trial_assignment(f, 1);
	struct msg_blob b;

	a.model.bytes[0] ^= 1;
	b = (struct msg_blob){a.model, true};
	holding_assign(&f->d, &a);
	holding_blob(&f->d, &b, (struct span){f->manifest, f->manifest_len});
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

/* The pool vouches for it by the assignment, which names it by its hash. */
static void a_manifest_of_another_publisher_than_the_pool_is_taken(void **state)
{
	struct donor_trial *f = *state;

	f->d.invite.pool.bytes[0] ^= 1;
	donor_trial_assign(f, 1);
	donor_trial_send_manifest(f);
	assert_int_equal(f->d.holding.state, HOLDING_HEAD);
}

static void a_manifest_that_nobody_signed_is_refused(void **state)
{
	struct donor_trial *f = *state;

	f->manifest[f->manifest_len - 1] ^= 1; /* of the signature, which stands last */
	hash_bytes(f->manifest, f->manifest_len, &f->model);
	donor_trial_assign(f, 1);
	donor_trial_send_manifest(f);
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void a_manifest_of_an_absurd_file_is_refused(void **state)
{
	static const uint64_t sizes[] = {INT64_MAX, UINT64_C(1) << 62};
	struct donor_trial *f = *state;

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
		donor_trial_assign(f, i + 1);
		donor_trial_send_manifest(f);
		assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
	}
}

static void assert_refused_by_its_head(struct donor_trial *f, struct msg_assignment a)
{
	holding_assign(&f->d, &a);
	if (f->d.holding.state == HOLDING_MANIFEST)
		donor_trial_send_manifest(f);
	holding_step(&f->d);
	donor_trial_send_chunks(f, 0, SIZE_MAX);
	holding_step(&f->d);
	assert_int_equal(f->d.holding.state, HOLDING_NOTHING);
}

static void layers_that_the_model_does_not_have_are_refused(void **state)
{
	static const struct layer_range wrong[] = {
	    {0, LAYERS + 1}, {LAYERS, LAYERS}, {2, 1}, {LAYERS, LAYERS + 1}, {0, UINT32_MAX}};
	struct donor_trial *f = *state;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct msg_assignment a = donor_trial_assignment(f, i + 1);

		a.layer_first = wrong[i].first;
		a.layer_last = wrong[i].last;
		assert_refused_by_its_head(f, a);
	}
}

static void more_memory_than_was_offered_is_refused(void **state)
{
	struct donor_trial *f = *state;
	struct msg_assignment a = donor_trial_assignment(f, 1);

	a.kv_tokens = MODEL_CONTEXT;
	a.max_sessions = 65536;
	assert_refused_by_its_head(f, a);
	a.max_sessions = SESSIONS;
	a.kv_tokens = MODEL_CONTEXT + 1;
	assert_refused_by_its_head(f, a);
}

static void keys_and_values_that_cannot_be_kept_so_are_refused(void **state)
{
	struct donor_trial *f = *state;
	struct msg_assignment a = donor_trial_assignment(f, 1);

	a.kv_type = KV_INT8; /* of heads of 16 */
	assert_refused_by_its_head(f, a);
	donor_trial_publish(f, &(struct tiny_model_options){.d_head = 32, .d_value = 32});
	a = donor_trial_assignment(f, 2);
	a.kv_type = KV_INT8;
	holding_assign(&f->d, &a);
	donor_trial_fetch_until(f, HOLDING_LOADING);
}

static void memory_that_is_past_counting_is_refused(void **state)
{
	struct donor_trial *f = *state;
	struct msg_assignment a;

	/* 3 x 2^32 bytes a session; so many sessions make 2^64 + 2^33 bytes of it */
	donor_trial_publish(
	    f, &(struct tiny_model_options){
	           .d_head = 256, .d_value = 256, .context_tokens = LIMIT_CONTEXT_TOKENS});
	f->d.offer.memory_bytes = UINT64_C(16) << 30;
	a = donor_trial_assignment(f, 1);
	a.kv_tokens = LIMIT_CONTEXT_TOKENS;
	a.max_sessions = 1431655766;
	assert_refused_by_its_head(f, a);
	a.max_sessions = 1;
	holding_assign(&f->d, &a);
	donor_trial_fetch_until(f, HOLDING_LOADING);
}

int main(int argc, char **argv)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, donor_trial_set_up, donor_trial_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(an_assignment_is_fetched_loaded_and_serves_units),
	    TEST(what_is_in_the_cache_is_not_fetched_again),
	    TEST(blobs_after_an_assignment_was_dropped_are_ignored),
	    TEST(an_assignment_in_the_middle_of_another_takes_its_place),
	    TEST(what_is_held_already_only_gets_another_number),
	    TEST(a_donor_that_lost_its_pool_offers_what_it_holds),
	    TEST(blobs_that_nobody_asked_for_are_ignored),
	    TEST(a_blob_not_found_matters_only_where_it_is_needed),
	    TEST(a_chunk_with_other_content_than_its_hash_ends_the_assignment),
	    TEST(a_manifest_with_another_hash_than_the_model_is_refused),
	    TEST(a_manifest_of_another_publisher_than_the_pool_is_taken),
	    TEST(a_manifest_that_nobody_signed_is_refused),
	    TEST(a_manifest_of_an_absurd_file_is_refused),
	    TEST(layers_that_the_model_does_not_have_are_refused),
	    TEST(more_memory_than_was_offered_is_refused),
	    TEST(keys_and_values_that_cannot_be_kept_so_are_refused),
	    TEST(memory_that_is_past_counting_is_refused),
	};

	if (argc > 1 && strcmp(argv[1], "worker") == 0)
		return trial_worker_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
