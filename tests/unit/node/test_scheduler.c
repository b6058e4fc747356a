/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler by itself; tests/sim/test_network.c plays everything at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/scheduler_internal.h"
#include "tests/support/fake_donor.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

enum { KV_TOKENS = 40, MAX_DONORS = 4, TIMEOUT_US = 1000, WAIT_US = 5000, PEER = 3 };

static struct scratch scratch;
static struct identity *publisher;
static struct catalog *catalog;
static const struct catalog_model *model;
static struct roster *roster;
static struct scheduler *scheduler;
static struct actions actions;
static struct error err;
static struct fake_donor fakes[MAX_DONORS];
static uint64_t n_sessions;

static int set_up_model(void **state)
{
	struct tiny_model_options o = {.n_layers = 4, .d_model = 16, .d_ff = 16, .n_heads = 2};
	const char *path;

	(void)state;
	scratch_make(&scratch);
	path = scratch_path(&scratch, "tiny.gguf");
	if (tiny_model_write(path, &o) != 0 || identity_generate(&publisher, NULL) != AYNI_OK ||
	    catalog_new(&catalog, NULL) != AYNI_OK ||
	    catalog_add(catalog, path, publisher, &(struct catalog_kv){KV_TOKENS, KV_F16}, NULL) !=
	        AYNI_OK)
		return -1;
	model = catalog_at(catalog, 0);
	return 0;
}

static int tear_down_model(void **state)
{
	(void)state;
	catalog_free(catalog);
	identity_free(publisher);
	scratch_remove(&scratch);
	return 0;
}

static int set_up(void **state)
{
	struct scheduler_limits limits = {.max_sessions = 4,
	    .max_waiting = 2,
	    .wait_us = WAIT_US,
	    .unit_timeout_us = TIMEOUT_US,
	    .first_unit = 100};

	(void)state;
	n_sessions = 0;
	if (roster_new(&roster, NULL) != AYNI_OK)
		return -1;
	return scheduler_new(catalog, roster, &limits, &scheduler, NULL);
}

static void clear(void)
{
	for (size_t i = 0; i < actions.n; i++) {
		if (actions.list[i].kind == ACTION_FINISH)
			session_free(actions.list[i].finish.session);
	}
	actions_clear(&actions);
}

static int tear_down(void **state)
{
	(void)state;
	clear();
	actions_free(&actions);
	for (size_t i = 0; i < MAX_DONORS; i++)
		fake_donor_forget(&fakes[i]);
	scheduler_free(scheduler);
	roster_free(roster);
	return 0;
}

/* ---- play -------------------------------------------------------------------------------------
 */

/* A donor that is ready; slots are given in order. */
static int ready(uint32_t first, uint32_t last, uint32_t max_sessions)
{
	int slot = roster_slots(roster);
	struct public_key key = {{(uint8_t)(slot + 1)}};
	struct msg_offer offer = {0};
	struct donor_assignment a = {(uint64_t)slot + 1, 0, {first, last}, max_sessions, 0, 0};

	assert_int_equal(roster_join(roster, &key, "d", 1, 1, &slot), AYNI_OK);
	assert_int_equal(roster_offer(roster, slot, &offer), AYNI_OK);
	assert_int_equal(roster_assign(roster, slot, &a), AYNI_OK);
	assert_int_equal(roster_progress(roster, slot, a.number, PROGRESS_READY), AYNI_OK);
	fakes[slot].layers = a.layers;
	fakes[slot].max_sessions = max_sessions;
	return slot;
}

static int submit(uint32_t n_prompt, uint32_t max_tokens)
{
	uint64_t number = ++n_sessions;
	struct session_request r = {.id = number,
	    .peer = PEER,
	    .request = number,
	    .n_tokens = n_prompt,
	    .kv_tokens = KV_TOKENS,
	    .n_vocabulary = model->sizes.n_vocabulary,
	    .max_tokens = max_tokens,
	    .ignore_end = true};

	sampler_defaults(&r.sampling);
	r.tokens = calloc(n_prompt > 0 ? n_prompt : 1, sizeof *r.tokens);
	assert_non_null(r.tokens);
	for (uint32_t i = 0; i < n_prompt; i++)
		r.tokens[i] = (uint32_t)(number * 16 + i) % 256;
	return scheduler_submit(scheduler, &r, 1, &err);
}

static void run(uint64_t now_us)
{
	scheduler_run(scheduler, now_us, &actions);
}

static const struct action *nth(enum action_kind kind, size_t n)
{
	for (size_t i = 0; i < actions.n; i++) {
		if (actions.list[i].kind == kind && n-- == 0)
			return &actions.list[i];
	}
	return NULL;
}

static size_t count(enum action_kind kind)
{
	size_t n = 0;

	while (nth(kind, n) != NULL)
		n++;
	return n;
}

/* A unit taken out of the queue, so that the next actions can be seen. */
struct taken {
	int donor;
	struct msg_work_unit unit;
	uint8_t *payload;
};

static struct taken take(size_t n)
{
	struct action *a = (struct action *)nth(ACTION_UNIT, n);
	struct taken t;

	assert_non_null(a);
	t = (struct taken){a->unit.donor, a->unit.unit, a->unit.payload};
	a->unit.unit.spans = NULL;
	a->unit.unit.closed = NULL;
	a->unit.payload = NULL;
	return t;
}

static void drop(struct taken *t)
{
	free(t->unit.spans);
	free(t->unit.closed);
	free(t->payload);
}

/* The donor computes it and the scheduler gets the result, its cost changed by `lie`. */
static enum refusal answer(struct taken *t, uint64_t lie)
{
	struct msg_result r;
	uint8_t *out;
	size_t len;
	enum refusal refused;

	assert_int_equal(fake_donor_compute(
	                     &fakes[t->donor], &model->sizes, &t->unit, t->payload, &r, &out, &len),
	    REFUSAL_NONE);
	assert_int_equal(flop_from(flop_count(r.cost) + lie, &r.cost), AYNI_OK);
	refused =
	    scheduler_result(scheduler, t->donor, &r, (struct span){out, len}, 2, &actions, &err);
	free(out);
	drop(t);
	return refused;
}

static void give_up(struct taken *t, enum refusal reason)
{
	struct msg_unit_failed f = {.unit = t->unit.unit, .reason = reason};

	scheduler_unit_failed(scheduler, t->donor, &f, &actions);
	drop(t);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void prompts_that_cannot_be_answered_are_refused(void **state)
{
	(void)state;
	assert_int_equal(submit(0, 1), AYNI_ERR_ARGUMENT);
	assert_int_equal(submit(KV_TOKENS, 1), AYNI_ERR_ARGUMENT);
	assert_string_equal(
	    err.text, "the prompt has 40 tokens; at most 39 fit into the context here");
	assert_int_equal(submit(KV_TOKENS - 1, 1), AYNI_OK);
}

static void a_full_pool_refuses_the_next_request(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(submit(2, 1), AYNI_OK);
	assert_int_equal(submit(2, 1), AYNI_ERR_LIMIT);
	run(1);
	scheduler_cancel(scheduler, PEER, NULL, &actions);
	assert_int_equal(count(ACTION_FINISH), 6);
	assert_int_equal(submit(2, 1), AYNI_OK);
}

static void a_request_goes_through_all_stages_and_is_booked_before_it_goes_on(void **state)
{
	int low = ready(0, 2, 4), high = ready(2, 4, 4);
	struct taken t;

	(void)state;
	assert_int_equal(submit(3, 1), AYNI_OK);
	run(1);
	assert_int_equal(count(ACTION_UNIT), 1);
	t = take(0);
	clear();
	assert_int_equal(t.donor, low);
	assert_int_equal(t.unit.unit, 100);
	assert_int_equal(t.unit.n_logits, 0); /* wanted of the last stage alone */
	assert_int_equal(t.unit.top, 0);
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(actions.n, 2);
	assert_int_equal(actions.list[0].kind, ACTION_BOOK);
	assert_int_equal(actions.list[0].book.donor, low);
	assert_int_equal(actions.list[0].book.tokens, 3);
	t = take(0);
	clear();
	assert_int_equal(t.donor, high);
	assert_int_equal(t.unit.unit, 101);
	assert_int_equal(t.unit.spans[0].n_logits, 1);
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(actions.list[0].kind, ACTION_BOOK);
	assert_int_equal(actions.list[1].kind, ACTION_PIECE);
	assert_int_equal(actions.list[1].piece.n_drawn, 1);
	assert_int_equal(actions.list[actions.n - 1].kind, ACTION_FINISH);
	assert_int_equal(nth(ACTION_FINISH, 0)->finish.reason, FINISH_LENGTH);
	assert_int_equal(nth(ACTION_FINISH, 0)->finish.session->n_shares, 2);
	assert_int_equal(roster_get(roster, low)->sessions, 0);
}

static void the_next_unit_goes_out_before_what_was_drawn(void **state)
{
	struct taken t;

	(void)state;
	(void)ready(0, 4, 4);
	assert_int_equal(submit(3, 2), AYNI_OK);
	assert_int_equal(submit(3, 1), AYNI_OK);
	run(1);
	t = take(0);
	clear();
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	run(2);
	assert_int_equal(actions.n, 5);
	assert_int_equal(actions.list[0].kind, ACTION_BOOK);
	assert_int_equal(actions.list[1].kind, ACTION_UNIT);
	assert_int_equal(actions.list[2].kind, ACTION_PIECE);
	assert_int_equal(actions.list[3].kind, ACTION_PIECE);
	assert_int_equal(actions.list[4].kind, ACTION_FINISH);
}

static void sessions_share_a_unit(void **state)
{
	struct taken t;

	(void)state;
	(void)ready(0, 4, 4);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(submit(i, 1), AYNI_OK);
	run(1);
	t = take(0);
	assert_int_equal(t.unit.n_spans, 3);
	assert_int_equal(t.unit.n_tokens, 6);
	assert_int_equal(t.unit.n_logits, 3);
	clear();
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(count(ACTION_FINISH), 3);
}

static void who_writes_goes_first_and_prompts_are_read_in_parts_beside(void **state)
{
	struct taken t;

	(void)state;
	(void)ready(0, 4, 4);
	assert_int_equal(submit(KV_TOKENS - 1, 1), AYNI_OK);
	assert_int_equal(submit(1, 8), AYNI_OK);
	run(1);
	t = take(0);
	assert_int_equal(t.unit.n_spans, 2);
	assert_int_equal(t.unit.spans[0].session, 2);
	assert_int_equal(t.unit.spans[1].n_tokens, READ_BESIDE_TOKENS);
	drop(&t);
}

static void no_more_sessions_are_bound_than_a_donor_agreed_to(void **state)
{
	struct scheduler_counts n;
	struct taken t;

	(void)state;
	(void)ready(0, 4, 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(submit(2, 1), AYNI_OK);
	run(1);
	scheduler_count(scheduler, 0, &n);
	assert_int_equal(n.sessions, 3);
	assert_int_equal(n.waiting, 1);
	assert_int_equal(n.units_out, 1);
	assert_int_equal(
	    scheduler_next_us(scheduler), 1 + TIMEOUT_US); /* not for the one waiting */
	t = take(0);
	clear();
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	clear();
	run(3);
	t = take(0);
	assert_int_equal(t.unit.n_closed, 2); /* room for it */
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
}

/* ---- what goes wrong --------------------------------------------------------------------------
 */

static void a_wrong_result_is_not_booked_and_the_request_goes_elsewhere(void **state)
{
	int liar = ready(0, 4, 4), other;
	struct taken t;

	(void)state;
	assert_int_equal(submit(2, 1), AYNI_OK);
	run(1);
	t = take(0);
	clear();
	other = ready(0, 4, 4);
	assert_int_equal(answer(&t, 1), REFUSAL_BOUNDS);
	assert_int_equal(count(ACTION_BOOK), 0);
	assert_int_equal(roster_get(roster, liar)->failures, ROSTER_MAX_FAILURES);
	assert_int_equal(roster_unassign(roster, liar), AYNI_OK); /* as the pool then does */
	run(2);
	t = take(0);
	assert_int_equal(t.donor, other);
	assert_int_equal(t.unit.spans[0].position, 0);
	clear();
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(count(ACTION_FINISH), 1);
}

static void a_result_nobody_waits_for_is_refused(void **state)
{
	int donor = ready(0, 4, 4), other = ready(0, 4, 4);
	struct msg_result r = {.unit = 100};
	struct span none = {0};

	(void)state;
	assert_int_equal(submit(2, 1), AYNI_OK);
	run(1);
	assert_int_equal(
	    scheduler_result(scheduler, other, &r, none, 1, &actions, &err), REFUSAL_REPLAY);
	r.unit = 0;
	assert_int_equal(
	    scheduler_result(scheduler, donor, &r, none, 1, &actions, &err), REFUSAL_REPLAY);
	r.unit = 101;
	assert_int_equal(
	    scheduler_result(scheduler, donor, &r, none, 1, &actions, &err), REFUSAL_REPLAY);
	assert_int_equal(roster_get(roster, donor)->failures, 0);
	assert_int_equal(scheduler_units_at(scheduler, donor), 1);
}

static void a_unit_out_of_time_is_replayed_and_counts_against_the_donor(void **state)
{
	int donor = ready(0, 4, 4);
	struct taken t, late;

	(void)state;
	assert_int_equal(submit(2, 2), AYNI_OK);
	run(1);
	t = take(0);
	clear();
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	clear();
	run(2);
	late = take(0);
	clear();
	assert_int_equal(late.unit.spans[0].position, 2);
	run(2 + TIMEOUT_US - 1);
	assert_int_equal(count(ACTION_UNIT), 0);
	run(2 + TIMEOUT_US);
	t = take(0);
	clear();
	assert_int_equal(t.unit.spans[0].position, 0);
	assert_int_equal(t.unit.n_tokens, 3);
	assert_int_equal(roster_get(roster, donor)->failures, 1);
	assert_int_equal(answer(&late, 0), REFUSAL_REPLAY);
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(roster_get(roster, donor)->failures, 0);
	assert_int_equal(count(ACTION_FINISH), 1);
}

static void a_path_whose_donor_loads_again_gets_no_more(void **state)
{
	int low = ready(0, 2, 4), high = ready(2, 4, 4);
	struct taken t;

	(void)state;
	assert_int_equal(submit(2, 2), AYNI_OK);
	run(1);
	t = take(0);
	clear();
	assert_int_equal(roster_progress(roster, high, 2, PROGRESS_LOADING), AYNI_OK);
	run(1);
	assert_int_equal(roster_progress(roster, high, 2, PROGRESS_READY), AYNI_OK);
	run(1);
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	assert_int_equal(count(ACTION_BOOK), 1); /* the work was done */
	assert_int_equal(count(ACTION_UNIT), 0);
	clear();
	run(2);
	t = take(0);
	assert_int_equal(t.donor, low);
	assert_int_equal(t.unit.spans[0].position, 0);
	drop(&t);
}

static void numbers_that_overflow_end_the_request(void **state)
{
	int donor = ready(0, 4, 4);
	struct taken t;

	(void)state;
	assert_int_equal(submit(2, 1), AYNI_OK);
	run(1);
	t = take(0);
	clear();
	give_up(&t, REFUSAL_NUMERIC);
	assert_int_equal(count(ACTION_FINISH), 1);
	assert_int_equal(nth(ACTION_FINISH, 0)->finish.reason, FINISH_FAILED);
	assert_int_equal(roster_get(roster, donor)->failures, 0);
}

static void a_request_whose_donors_always_fail_ends(void **state)
{
	int rounds = 0;

	(void)state;
	(void)ready(0, 4, 4);
	assert_int_equal(submit(2, 1), AYNI_OK);
	for (run(1); count(ACTION_UNIT) == 1; run(1)) {
		struct taken t = take(0);

		clear();
		give_up(&t, REFUSAL_SESSION);
		assert_true(++rounds < 100);
	}
	assert_int_equal(count(ACTION_FINISH), 1);
	assert_string_equal(nth(ACTION_FINISH, 0)->finish.text, "its donors failed too often");
}

static void missing_layers_are_waited_for_and_named(void **state)
{
	(void)state;
	(void)ready(1, 2, 4);
	assert_int_equal(submit(2, 1), AYNI_OK);
	run(10);
	run(11);
	assert_int_equal(count(ACTION_PIECE), 1); /* told once */
	assert_string_equal(nth(ACTION_PIECE, 0)->piece.notice,
	    "no donor holds layers 0 to 0, 2 to 3 of tiny now; waiting up to 0 s");
	assert_int_equal(scheduler_next_us(scheduler), 10 + WAIT_US);
	clear();
	run(10 + WAIT_US);
	assert_int_equal(nth(ACTION_FINISH, 0)->finish.reason, FINISH_FAILED);
	assert_int_equal(scheduler_next_us(scheduler), 0);
}

/* ---- cancelling -------------------------------------------------------------------------------
 */

static void a_cancelled_session_leaves_its_flight_and_its_donors(void **state)
{
	uint64_t first = 1;
	struct taken t;

	(void)state;
	(void)ready(0, 2, 4);
	(void)ready(2, 4, 4);
	assert_int_equal(submit(2, 0), AYNI_OK);
	assert_int_equal(submit(3, 0), AYNI_OK);
	run(1); /* one flight each: two stages */
	t = take(0);
	scheduler_cancel(scheduler, PEER, &first, &actions);
	assert_int_equal(nth(ACTION_FINISH, 0)->finish.reason, FINISH_CANCELLED);
	assert_int_equal(t.unit.spans[0].session, 1);
	{
		struct taken second = take(1);

		clear();
		assert_int_equal(answer(&t, 0), REFUSAL_NONE);
		assert_int_equal(count(ACTION_BOOK), 1);
		assert_int_equal(count(ACTION_UNIT), 0); /* nobody is aboard any more */
		clear();
		assert_int_equal(answer(&second, 0), REFUSAL_NONE);
		t = take(0);
		clear();
	}
	assert_int_equal(t.unit.n_closed, 1); /* the second stage is told, though it never had it */
	assert_int_equal(t.unit.closed[0], 1);
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
	clear();
	run(3);
	t = take(0);
	assert_int_equal(t.unit.n_closed, 1); /* and the first, with the next unit there */
	give_up(&t, REFUSAL_BUSY);
	clear();
	run(4);
	t = take(0);
	assert_int_equal(t.unit.n_closed, 1); /* it was not heard: again */
	clear();
	assert_int_equal(answer(&t, 0), REFUSAL_NONE);
}

static void only_the_members_own_requests_are_cancelled(void **state)
{
	uint64_t first = 1;

	(void)state;
	assert_int_equal(submit(2, 1), AYNI_OK);
	scheduler_cancel(scheduler, PEER + 1, &first, &actions);
	scheduler_cancel(scheduler, PEER + 1, NULL, &actions);
	first = 9;
	scheduler_cancel(scheduler, PEER, &first, &actions);
	assert_int_equal(actions.n, 0);
}

static void a_stopping_pool_ends_all_requests_with_its_reason(void **state)
{
	(void)state;
	(void)ready(0, 4, 1);
	assert_int_equal(submit(2, 1), AYNI_OK);
	assert_int_equal(submit(2, 1), AYNI_OK);
	run(1);
	scheduler_fail_all(scheduler, "the pool is stopping", &actions);
	assert_int_equal(count(ACTION_FINISH), 2);
	assert_string_equal(nth(ACTION_FINISH, 1)->finish.text, "the pool is stopping");
	scheduler_check(scheduler);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(prompts_that_cannot_be_answered_are_refused),
	    TEST(a_full_pool_refuses_the_next_request),
	    TEST(a_request_goes_through_all_stages_and_is_booked_before_it_goes_on),
	    TEST(the_next_unit_goes_out_before_what_was_drawn),
	    TEST(sessions_share_a_unit),
	    TEST(who_writes_goes_first_and_prompts_are_read_in_parts_beside),
	    TEST(no_more_sessions_are_bound_than_a_donor_agreed_to),
	    TEST(a_wrong_result_is_not_booked_and_the_request_goes_elsewhere),
	    TEST(a_result_nobody_waits_for_is_refused),
	    TEST(a_unit_out_of_time_is_replayed_and_counts_against_the_donor),
	    TEST(a_path_whose_donor_loads_again_gets_no_more),
	    TEST(numbers_that_overflow_end_the_request),
	    TEST(a_request_whose_donors_always_fail_ends),
	    TEST(missing_layers_are_waited_for_and_named),
	    TEST(a_cancelled_session_leaves_its_flight_and_its_donors),
	    TEST(only_the_members_own_requests_are_cancelled),
	    TEST(a_stopping_pool_ends_all_requests_with_its_reason),
	};

	return cmocka_run_group_tests(tests, set_up_model, tear_down_model);
}
