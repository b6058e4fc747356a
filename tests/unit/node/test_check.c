/* SPDX-License-Identifier: Apache-2.0 */
/* Trails that other donors compute once more, through the scheduler; tests/sim plays more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "protocol/messages.h"
#include "tests/support/scheduler_trial.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, scheduler_trial_set_up, tear_down)

enum { CHECK = 50, PROMPT = 5, ANSWER = 6 };

static struct trail *trail; /* of a session over donor 0 */
static uint32_t units;      /* that it took */

static int tear_down(void **state)
{
	trail_release(trail);
	trail = NULL;
	return scheduler_trial_tear_down(state);
}

/* Take all units that are out. */
static size_t take_all(struct taken *out)
{
	size_t n = play_count(ACTION_UNIT);

	assert_true(n <= 16);
	for (size_t i = 0; i < n; i++)
		out[i] = play_take(i);
	return n;
}

/* Whatever is sent is computed, by `liar` wrongly; until nothing is sent, or a session is over. */
static void play_on(int liar)
{
	while (play_count(ACTION_UNIT) > 0 && play_count(ACTION_FINISH) == 0) {
		struct taken taken[16];
		size_t n = take_all(taken);

		play_clear();
		for (size_t i = 0; i < n; i++) {
			units++;
			play.fakes[taken[i].donor].lies = taken[i].donor == liar;
			assert_int_equal(play_answer(&taken[i], 0), REFUSAL_NONE);
		}
		play_run(2);
	}
}

static bool avoids_first(const void *context, const struct roster_donor *d)
{
	(void)context;
	return d->key.bytes[0] == 1;
}

/* Donor 0 answers a member; donors 1 and 2 are ready behind it. */
static void begin(void)
{
	(void)play_ready(0, 4, 4);
	pairs_lost(scheduler_pairs(play.scheduler), 0, 0, 1); /* each token comes to the pool */
	assert_int_equal(play_submit(PROMPT, ANSWER), AYNI_OK);
	play_run(1);
	units = 0;
	play_on(ROSTER_NONE);
	assert_int_equal(play_count(ACTION_FINISH), 1);
	play_clear();
	trail = scheduler_take_trail(play.scheduler);
	assert_non_null(trail);
	assert_true(trail->n_spans > 2);
	(void)play_ready(0, 2, 1);
	(void)play_ready(2, 4, 1);
}

static bool give_check(void)
{
	struct path path;

	if (!scheduler_recheckers(play.scheduler, trail, avoids_first, NULL, 2, &path))
		return false;
	assert_int_equal(scheduler_recheck(play.scheduler, CHECK, trail, &path, 2, NULL), AYNI_OK);
	play_run(2);
	return true;
}

/* The check that is over. */
static const struct action_finish *the_end(void)
{
	assert_int_equal(play_count(ACTION_FINISH), 1);
	assert_int_equal(play_nth(ACTION_FINISH, 0)->finish.session->r.id, CHECK);
	assert_non_null(play_nth(ACTION_FINISH, 0)->finish.session->check);
	return &play_nth(ACTION_FINISH, 0)->finish;
}

static void what_others_compute_in_fewer_units_is_the_same(void **state)
{
	uint32_t took;
	const struct action_finish *end;
	struct trail *own;

	(void)state;
	begin();
	took = units;
	units = 0;
	assert_true(give_check());
	play_on(ROSTER_NONE);
	end = the_end();
	assert_int_equal(end->reason, FINISH_END);
	assert_true(check_agrees(end->session->check));
	assert_in_range(end->session->check->n_compared, ANSWER, 1000);
	assert_true(units < took);
	own = scheduler_take_trail(play.scheduler);
	assert_non_null(own);
	assert_int_equal(own->session, CHECK);
	assert_int_equal(own->n_stages, 2);
	trail_release(own);
	assert_int_equal(roster_get(play.roster, 1)->sessions, 0);
}

static void what_is_not_the_same_is_a_difference(void **state)
{
	const struct action_finish *end;

	(void)state;
	begin();
	assert_true(give_check());
	play_on(1);
	end = the_end();
	assert_true(end->session->check->differs);
	assert_false(check_agrees(end->session->check));
	assert_int_equal(end->session->check->layer, 2); /* where its layers end */
}

static void results_of_a_check_all_come_to_the_pool(void **state)
{
	struct pairs *pairs = scheduler_pairs(play.scheduler);
	int dials, listens;

	(void)state;
	begin();
	pairs_want(pairs, 1, true, 2, true);
	assert_true(pairs_tell(pairs, &dials, &listens));
	pairs_heard(pairs, dials, listens, true, 1000);
	assert_true(give_check());
	assert_int_equal(play_count(ACTION_UNIT), 1);
	assert_int_equal(play_nth(ACTION_UNIT, 0)->unit.unit.next.ticket, 0);
	play_on(ROSTER_NONE);
	assert_true(check_agrees(the_end()->session->check));
}

static void nobody_checks_while_a_member_waits(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < 5; i++)
		(void)play_submit(PROMPT, ANSWER);
	assert_false(give_check());
}

static void a_check_gives_way_to_a_member_without_room(void **state)
{
	const struct action_finish *end;

	(void)state;
	begin();
	assert_true(give_check());
	roster_get(play.roster, 0)->failures = ROSTER_MAX_FAILURES; /* the others must serve */
	assert_int_equal(play_submit(PROMPT, ANSWER), AYNI_OK);
	play_run(3);
	end = the_end();
	assert_int_equal(end->reason, FINISH_FAILED);
	assert_false(check_agrees(end->session->check));
	assert_int_equal(roster_get(play.roster, 1)->sessions, 1);
	assert_int_equal(roster_get(play.roster, 1)->checks, 0);
}

static void a_check_whose_donor_is_gone_is_over(void **state)
{
	(void)state;
	begin();
	assert_true(give_check());
	roster_remove(play.roster, 2);
	play_run(3);
	play_on(ROSTER_NONE);
	assert_int_equal(the_end()->reason, FINISH_FAILED);
}

static void a_check_that_takes_too_long_is_over(void **state)
{
	struct taken taken[16];

	(void)state;
	begin();
	assert_true(give_check());
	assert_int_equal(take_all(taken), 1);
	assert_true(scheduler_next_us(play.scheduler) > 0);
	play_run(2 + CHECK_MOST_US);
	assert_int_equal(the_end()->reason, FINISH_FAILED);
	play_drop(&taken[0]);
}

/* ---- what is fed -------------------------------------------------------------------------- */

static const struct trail_stage stages[] = {{.layers = {0, 2}}, {.layers = {2, 4}}};
static struct trail_budget budget = {.most_bytes = 1 << 20};

static void add(struct trail *t, uint32_t position, uint32_t n, uint32_t rows)
{
	static const uint32_t tokens[WORK_RUN_TOKENS * 2];
	static const struct hash hashes[16];
	struct unit_span span = {.position = position, .n_tokens = n, .n_logits = rows};

	trail_add(t, &span, 1, tokens, hashes);
}

static void is_fed(struct check *c, uint32_t position, uint32_t n, uint32_t rows)
{
	struct unit_span span;
	uint32_t at;

	assert_true(check_next(c, &at));
	assert_int_equal(at, position);
	(void)check_take(c, WORK_RUN_TOKENS, &span);
	assert_int_equal(span.position, position);
	assert_int_equal(span.n_tokens, n);
	assert_int_equal(span.n_logits, rows);
}

static void spans_go_together_as_far_as_they_continue_each_other(void **state)
{
	struct check *c;
	uint32_t at;

	(void)state;
	trail = trail_new(1, 0, WIRE_F32, stages, 2, &budget);
	add(trail, 0, WORK_RUN_TOKENS, 0);
	add(trail, WORK_RUN_TOKENS, 3, 1);
	add(trail, WORK_RUN_TOKENS + 3, 4, 4); /* three of them wrong guesses */
	add(trail, WORK_RUN_TOKENS + 4, 1, 1);
	assert_int_equal(check_new(trail, &play.model->sizes, &c, NULL), AYNI_OK);
	assert_int_equal(c->n_positions, WORK_RUN_TOKENS + 7);
	is_fed(c, 0, WORK_RUN_TOKENS, 0);
	is_fed(c, WORK_RUN_TOKENS, 7, 5);
	is_fed(c, WORK_RUN_TOKENS + 4, 1, 1);
	assert_false(check_next(c, &at));
	assert_false(check_agrees(c)); /* nothing was compared */
	check_free(c);
}

static void a_trail_without_spans_is_not_checked(void **state)
{
	struct check *c;

	(void)state;
	trail = trail_new(1, 0, WIRE_F32, stages, 2, &budget);
	assert_int_equal(check_new(trail, &play.model->sizes, &c, &play.err), AYNI_ERR_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_others_compute_in_fewer_units_is_the_same),
	    TEST(what_is_not_the_same_is_a_difference),
	    TEST(results_of_a_check_all_come_to_the_pool),
	    TEST(nobody_checks_while_a_member_waits),
	    TEST(a_check_gives_way_to_a_member_without_room),
	    TEST(a_check_whose_donor_is_gone_is_over),
	    TEST(a_check_that_takes_too_long_is_over),
	    TEST(spans_go_together_as_far_as_they_continue_each_other),
	    TEST(a_trail_without_spans_is_not_checked),
	};

	return cmocka_run_group_tests(
	    tests, scheduler_trial_set_up_model, scheduler_trial_tear_down_model);
}
