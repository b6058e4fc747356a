/* SPDX-License-Identifier: Apache-2.0 */
/* Units that donors hand on to each other, and tokens that they go on from; tests/sim plays more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/work.h"
#include "protocol/messages.h"
#include "tests/support/scheduler_trial.h"

/* Two donors with half of the layers each, that reach each other. */
static void two_donors(void)
{
	int low = play_ready(0, 2, 4), high = play_ready(2, 4, 4);
	struct pairs *pairs = scheduler_pairs(play.scheduler);

	pairs_want(pairs, low, true, high, true);
	assert_true(pairs_tell(pairs, &low, &high));
	pairs_heard(pairs, low, high, true, 1000);
}

/* What a donor gave: handed on if its unit says so, or else given to the pool. */
struct given {
	struct msg_result r;
	struct hash chains[8], layers[8]; /* the donor's own are of its last unit */
	uint8_t *payload;
	size_t len;
};

/* With this input, which the unit has or was handed. */
static struct given compute(struct taken *t, const uint8_t *input, size_t input_len)
{
	struct given g;

	assert_int_equal(fake_donor_compute(&play.fakes[t->donor], &play.model->sizes, &t->unit,
	                     input, &g.r, &g.payload, &g.len),
	    REFUSAL_NONE);
	assert_true(g.r.n_chains <= 8 && g.r.n_layer_hashes <= 8);
	memcpy(g.chains, g.r.chains, g.r.n_chains * sizeof *g.chains);
	memcpy(g.layers, g.r.layer_hashes, g.r.n_layer_hashes * sizeof *g.layers);
	g.r.has_input = t->unit.input.ticket != 0;
	if (g.r.has_input)
		hash_bytes(input, input_len, &g.r.input_hash);
	if (g.r.has_input)
		work_commit_input(play.model->sizes.d_model, &t->unit, input, &g.r.input_hash);
	g.r.handed = t->unit.next.ticket != 0 && !t->unit.draws;
	return g;
}

static enum refusal give(const struct taken *t, struct given *g, uint64_t now_us)
{
	g->r.chains = g->chains;
	g->r.layer_hashes = g->layers;
	return scheduler_result(play.scheduler, t->donor, &g->r,
	    (struct span){g->payload, g->r.handed ? 0 : g->len}, now_us, &play.actions, &play.err);
}

/* The best token of the last row, as a donor hands it on. */
static void token_of(const struct given *g, uint8_t out[4])
{
	memcpy(out, g->payload + g->len - 8, 4); /* of rows of one candidate */
}

/* A prompt's two units are out: both, and neither has been answered. */
static void begin(struct taken *first, struct taken *second, uint32_t max_tokens)
{
	two_donors();
	assert_int_equal(play_submit(3, max_tokens), AYNI_OK);
	play_run(1);
	assert_int_equal(play_count(ACTION_UNIT), 2);
	*first = play_take(0);
	*second = play_take(1);
	play_clear();
}

static void compute_both(
    struct taken *first, struct given *a, struct taken *second, struct given *b)
{
	*a = compute(first, first->payload, 12);
	*b = compute(second, a->payload, a->len);
}

static void drop_both(struct taken *first, struct given *a, struct taken *second, struct given *b)
{
	free(a->payload);
	free(b->payload);
	play_drop(first);
	play_drop(second);
}

static void both_stages_get_their_units_at_once(void **state)
{
	struct taken first, second;
	struct given a, b;

	(void)state;
	begin(&first, &second, 1);
	assert_int_equal(first.unit.next.ticket, second.unit.input.ticket);
	assert_true(public_key_equal(&first.unit.next.donor, &roster_get(play.roster, 1)->key));
	assert_true(public_key_equal(&second.unit.input.donor, &roster_get(play.roster, 0)->key));
	assert_null(second.payload);
	compute_both(&first, &a, &second, &b);
	assert_int_equal(give(&first, &a, 2), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_BOOK), 1);
	assert_int_equal(play_count(ACTION_PIECE), 0);
	assert_int_equal(give(&second, &b, 3), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_BOOK), 2);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.reason, FINISH_LENGTH);
	drop_both(&first, &a, &second, &b);
}

static void results_may_come_in_any_order(void **state)
{
	struct taken first, second;
	struct given a, b;

	(void)state;
	begin(&first, &second, 1);
	compute_both(&first, &a, &second, &b);
	assert_int_equal(give(&second, &b, 2), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_PIECE), 0); /* of what it was computed is not known */
	assert_int_equal(give(&second, &b, 2), REFUSAL_REPLAY);
	assert_int_equal(give(&first, &a, 3), REFUSAL_NONE);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.reason, FINISH_LENGTH);
	drop_both(&first, &a, &second, &b);
}

/* It would not be bound to what it gave: no more work, whether its result comes first or last. */
static void a_chain_that_does_not_fit_is_as_a_wrong_result(void **state)
{
	for (int order = 0; order < 2; order++) {
		struct taken first, second;
		struct given a, b;

		begin(&first, &second, 1);
		compute_both(&first, &a, &second, &b);
		b.chains[0].bytes[5] ^= 1;
		if (order == 0) {
			assert_int_equal(give(&first, &a, 2), REFUSAL_NONE);
			assert_int_equal(give(&second, &b, 3), REFUSAL_BOUNDS);
		} else {
			assert_int_equal(give(&second, &b, 2), REFUSAL_NONE);
			assert_int_equal(give(&first, &a, 3), REFUSAL_NONE);
		}
		assert_int_equal(
		    roster_get(play.roster, second.donor)->failures, ROSTER_MAX_FAILURES);
		assert_int_equal(roster_get(play.roster, first.donor)->failures, 0);
		assert_int_equal(play_count(ACTION_FINISH), 0);
		drop_both(&first, &a, &second, &b);
		assert_int_equal(scheduler_trial_tear_down(state), 0);
		assert_int_equal(scheduler_trial_set_up(state), 0);
	}
}

static void what_was_computed_of_something_else_is_not_used(void **state)
{
	struct taken first, second;
	struct given a, b;

	(void)state;
	begin(&first, &second, 1);
	compute_both(&first, &a, &second, &b);
	b.r.input_hash.bytes[0] ^= 1;
	assert_int_equal(give(&first, &a, 2), REFUSAL_NONE);
	assert_int_equal(give(&second, &b, 3), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_PIECE), 0);
	play_clear();
	play_run(4); /* again, through the pool */
	assert_int_equal(play_count(ACTION_UNIT), 1);
	assert_int_equal(play_nth(ACTION_UNIT, 0)->unit.unit.next.ticket, 0);
	assert_int_equal(roster_get(play.roster, 0)->failures, 0); /* nobody knows who was wrong */
	assert_int_equal(roster_get(play.roster, 1)->failures, 0);
	drop_both(&first, &a, &second, &b);
}

static void a_donor_that_cannot_hand_over_sends_it_to_the_pool_for_the_next(void **state)
{
	struct taken first, second;
	struct given a, b;

	(void)state;
	begin(&first, &second, 1);
	compute_both(&first, &a, &second, &b);
	a.r.handed = false;
	assert_int_equal(give(&first, &a, 2), REFUSAL_NONE);
	assert_int_equal(play_nth(ACTION_HANDOVER, 0)->handover.ticket, second.unit.input.ticket);
	assert_int_equal(play_nth(ACTION_HANDOVER, 0)->handover.donor, second.donor);
	assert_int_equal(play_nth(ACTION_HANDOVER, 0)->handover.payload_len, a.len);
	assert_int_equal(give(&second, &b, 3), REFUSAL_NONE);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.reason, FINISH_LENGTH);
	drop_both(&first, &a, &second, &b);
}

static void what_is_lost_on_the_way_is_withdrawn_and_goes_through_the_pool(void **state)
{
	struct taken first, second;
	struct given a;

	(void)state;
	begin(&first, &second, 1);
	a = compute(&first, first.payload, 12);
	assert_int_equal(give(&first, &a, 2), REFUSAL_NONE);
	play_clear();
	roster_get(play.roster, 1)->us_per_layer = 1;
	play.scheduler->limits.unit_timeout_us = 10 * STALL_LEAST_US;
	play_run(2 + STALL_HANDED_US);
	assert_int_equal(play_count(ACTION_WITHDRAW), 1);
	assert_int_equal(play_nth(ACTION_WITHDRAW, 0)->withdraw.unit, second.unit.unit);
	assert_int_equal(play_nth(ACTION_WITHDRAW, 0)->withdraw.donor, second.donor);
	assert_int_equal(roster_get(play.roster, 1)->stalled_us, 0); /* there is nobody else */
	assert_int_equal(play_count(ACTION_UNIT), 1);
	assert_int_equal(play_nth(ACTION_UNIT, 0)->unit.unit.next.ticket, 0);
	free(a.payload);
	play_drop(&first);
	play_drop(&second);
}

static void who_waits_in_vain_is_not_blamed(void **state)
{
	struct taken first, second;
	struct given a;

	(void)state;
	begin(&first, &second, 1);
	(void)play_ready(2, 4, 4); /* another could do it */
	a = compute(&first, first.payload, 12);
	assert_int_equal(give(&first, &a, 2), REFUSAL_NONE);
	play_clear();
	play_run(2 + TIMEOUT_US); /* no pace is known: its time is over */
	assert_int_equal(roster_get(play.roster, 1)->stalled_us, 0);
	assert_int_equal(roster_get(play.roster, 1)->failures, 0);
	assert_int_equal(play_count(ACTION_WITHDRAW), 1);
	free(a.payload);
	play_drop(&first);
	play_drop(&second);
}

/* What it gives itself is its own doing. */
static void a_donor_that_spoils_its_own_tokens_is_blamed(void **state)
{
	struct taken t, next;
	struct given g;

	(void)state;
	(void)play_ready(0, 4, 4);
	assert_int_equal(play_submit(3, 4), AYNI_OK);
	play_run(1);
	t = play_take(0);
	play_clear();
	g = compute(&t, t.payload, 12);
	assert_int_equal(give(&t, &g, 2), REFUSAL_NONE);
	free(g.payload);
	play_drop(&t);
	play_clear();
	play_run(3);
	t = play_take(0);
	next = play_take(1);
	assert_int_equal(next.unit.input.ticket, t.unit.next.ticket);
	play_give_up(&next, REFUSAL_BOUNDS);
	assert_int_equal(roster_get(play.roster, 0)->failures, 1);
	play_drop(&t);
}

static void input_that_cannot_be_computed_ends_no_request(void **state)
{
	struct taken first, second;

	(void)state;
	begin(&first, &second, 1);
	play_drop(&first);
	play_give_up(&second, REFUSAL_NUMERIC); /* the first one's doing, perhaps */
	assert_int_equal(play_count(ACTION_FINISH), 0);
	assert_int_equal(roster_get(play.roster, 1)->failures, 0);
	play_clear();
	play_run(4);
	assert_int_equal(play_nth(ACTION_UNIT, 0)->unit.unit.next.ticket, 0);
}

static void nothing_is_handed_on_to_nobody(void **state)
{
	struct taken t;
	struct given g;

	(void)state;
	(void)play_ready(0, 2, 4);
	(void)play_ready(2, 4, 4);
	assert_int_equal(play_submit(3, 1), AYNI_OK);
	play_run(1);
	t = play_take(0);
	g = compute(&t, t.payload, 12);
	g.r.handed = true;
	assert_int_equal(give(&t, &g, 2), REFUSAL_BOUNDS);
	free(g.payload);
	play_drop(&t);
}

/* ---- tokens that are not drawn yet ------------------------------------------------------------
 */

/* The prompt is read, and the first token of three or more drawn: its units are out, and those of
 * the next. */
static void begin_ring(struct taken t[4], uint32_t max_tokens)
{
	struct given a, b;

	begin(&t[0], &t[1], max_tokens);
	compute_both(&t[0], &a, &t[1], &b);
	assert_int_equal(give(&t[0], &a, 2), REFUSAL_NONE);
	assert_int_equal(give(&t[1], &b, 2), REFUSAL_NONE);
	drop_both(&t[0], &a, &t[1], &b);
	play_clear();
	play_run(3);
	assert_int_equal(play_count(ACTION_UNIT), 4);
	for (size_t i = 0; i < 4; i++)
		t[i] = play_take(i);
	play_clear();
}

static void the_next_token_follows_before_this_one_is_drawn(void **state)
{
	struct taken t[4];
	struct given a, b, c;
	uint8_t token[4];

	(void)state;
	begin_ring(t, 4);
	assert_true(t[1].unit.draws);
	assert_int_equal(t[1].unit.next.ticket, t[2].unit.input.ticket);
	assert_null(t[2].payload);
	assert_int_equal(t[2].unit.spans[0].position, t[0].unit.spans[0].position + 1);
	a = compute(&t[0], t[0].payload, 4);
	b = compute(&t[1], a.payload, a.len);
	token_of(&b, token);
	c = compute(&t[2], token, 4);
	assert_int_equal(give(&t[0], &a, 4), REFUSAL_NONE);
	assert_int_equal(give(&t[2], &c, 4), REFUSAL_NONE); /* before the token is drawn here */
	assert_int_equal(give(&t[1], &b, 5), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_PIECE), 1);
	assert_memory_equal(&play_nth(ACTION_PIECE, 0)->piece.drawn[0], token, 4);
	assert_int_equal(play_count(ACTION_UNIT), 2); /* of the fourth token */
	assert_int_equal(play_nth(ACTION_UNIT, 0)->unit.unit.input.ticket, t[3].unit.next.ticket);
	free(a.payload);
	free(b.payload);
	free(c.payload);
	for (size_t i = 0; i < 4; i++)
		play_drop(&t[i]);
}

static void a_token_that_the_pool_does_not_draw_is_not_used(void **state)
{
	struct taken t[4];
	struct given a, b, c;
	uint8_t token[4];

	(void)state;
	begin_ring(t, 4);
	a = compute(&t[0], t[0].payload, 4);
	b = compute(&t[1], a.payload, a.len);
	token_of(&b, token);
	token[0] ^= 1;
	c = compute(&t[2], token, 4);
	assert_int_equal(give(&t[0], &a, 4), REFUSAL_NONE);
	assert_int_equal(give(&t[1], &b, 5), REFUSAL_NONE);
	play_clear();
	assert_int_equal(give(&t[2], &c, 6), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_PIECE), 0);
	assert_true(play_count(ACTION_WITHDRAW) > 0);
	play_clear();
	play_run(7);
	assert_int_equal(play_nth(ACTION_UNIT, 0)->unit.unit.spans[0].position, 0); /* replayed */
	free(a.payload);
	free(b.payload);
	free(c.payload);
	for (size_t i = 0; i < 4; i++)
		play_drop(&t[i]);
}

static void no_token_follows_the_last_that_is_wanted(void **state)
{
	struct taken first, second;
	struct given a, b;

	(void)state;
	begin(&first, &second, 2);
	compute_both(&first, &a, &second, &b);
	assert_int_equal(give(&first, &a, 2), REFUSAL_NONE);
	assert_int_equal(give(&second, &b, 2), REFUSAL_NONE);
	play_clear();
	play_run(3);
	assert_int_equal(play_count(ACTION_UNIT), 2);
	assert_false(play_nth(ACTION_UNIT, 1)->unit.unit.draws);
	drop_both(&first, &a, &second, &b);
}

static void a_cancelled_answer_lets_its_units_end_for_nobody(void **state)
{
	struct taken t[4];
	struct given a, b, c, d;
	uint8_t token[4];

	(void)state;
	begin_ring(t, 4);
	scheduler_cancel(play.scheduler, PEER, NULL, &play.actions);
	play_clear();
	a = compute(&t[0], t[0].payload, 4);
	b = compute(&t[1], a.payload, a.len);
	token_of(&b, token);
	c = compute(&t[2], token, 4);
	d = compute(&t[3], c.payload, c.len);
	assert_int_equal(give(&t[0], &a, 4), REFUSAL_NONE);
	assert_int_equal(give(&t[1], &b, 4), REFUSAL_NONE);
	assert_int_equal(give(&t[2], &c, 4), REFUSAL_NONE);
	assert_int_equal(give(&t[3], &d, 4), REFUSAL_NONE);
	assert_int_equal(play_count(ACTION_BOOK), 4);
	assert_int_equal(play_count(ACTION_PIECE), 0);
	assert_false(scheduler_any_out(play.scheduler));
	free(a.payload);
	free(b.payload);
	free(c.payload);
	free(d.payload);
	for (size_t i = 0; i < 4; i++)
		play_drop(&t[i]);
}

static void more_sessions_than_stages_share_units_instead(void **state)
{
	struct taken t[8];
	size_t n;

	(void)state;
	two_donors();
	for (int i = 0; i < 3; i++)
		assert_int_equal(play_submit(3, 4), AYNI_OK);
	for (uint64_t now = 1; now < 4; now++) {
		play_run(now);
		n = play_count(ACTION_UNIT);
		for (size_t i = 0; i < n; i++)
			t[i] = play_take(i);
		play_clear();
		for (size_t i = 0; i + 1 < n; i += 2) {
			struct given a = compute(&t[i], t[i].payload, 4 * t[i].unit.n_tokens);
			struct given b = compute(&t[i + 1], a.payload, a.len);

			assert_false(t[i + 1].unit.draws);
			assert_int_equal(give(&t[i], &a, now), REFUSAL_NONE);
			assert_int_equal(give(&t[i + 1], &b, now), REFUSAL_NONE);
			free(a.payload);
			free(b.payload);
			play_drop(&t[i]);
			play_drop(&t[i + 1]);
		}
	}
}

int main(void)
{
#define TEST(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, scheduler_trial_set_up, scheduler_trial_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(both_stages_get_their_units_at_once),
	    TEST(results_may_come_in_any_order),
	    TEST(a_chain_that_does_not_fit_is_as_a_wrong_result),
	    TEST(what_was_computed_of_something_else_is_not_used),
	    TEST(a_donor_that_cannot_hand_over_sends_it_to_the_pool_for_the_next),
	    TEST(what_is_lost_on_the_way_is_withdrawn_and_goes_through_the_pool),
	    TEST(who_waits_in_vain_is_not_blamed),
	    TEST(a_donor_that_spoils_its_own_tokens_is_blamed),
	    TEST(input_that_cannot_be_computed_ends_no_request),
	    TEST(nothing_is_handed_on_to_nobody),
	    TEST(the_next_token_follows_before_this_one_is_drawn),
	    TEST(a_token_that_the_pool_does_not_draw_is_not_used),
	    TEST(no_token_follows_the_last_that_is_wanted),
	    TEST(a_cancelled_answer_lets_its_units_end_for_nobody),
	    TEST(more_sessions_than_stages_share_units_instead),
	};

	return cmocka_run_group_tests(
	    tests, scheduler_trial_set_up_model, scheduler_trial_tear_down_model);
}
