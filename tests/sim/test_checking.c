/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Donors of three invites check each other, and some of them lie: scheduler, checkers and trust as
 * the pool puts them together, with donors that compute a made-up model, and an auditor that does.
 * Liars know which session is a check, which real ones do not. Whoever is punished must have lied,
 * and whoever lies must be found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/checkers.h"
#include "protocol/messages.h"
#include "tests/support/scheduler_trial.h"

enum {
	DONORS = 6,      /* low and high halves of the model, two of each invite */
	SEEDS = 60,      /* of each scenario */
	SESSIONS = 100,  /* at most, until all liars are found */
	PAIRS = 1000,    /* of donors that agree, */
	PERMILLE = 200,  /* drawn of their sessions */
	CHECKS = 1 << 20 /* sessions from this on are checks */
};

/* What one does, of all that a donor gives. */
enum lie { HONEST, LIES_TO_CHECKS, LIES_TO_MEMBERS, LIES_ALWAYS };

static struct world {
	uint64_t random, now_us;
	struct trust *trust;
	struct checkers *checkers;
	enum lie lies[DONORS];
	uint32_t n_sessions, n_checks;
	uint32_t same, other, audited, punished;
} world;

static uint32_t below(uint32_t n)
{
	world.random ^= world.random << 13;
	world.random ^= world.random >> 7;
	world.random ^= world.random << 17;
	return (uint32_t)((world.random >> 20) % n);
}

/* ---- donors ------------------------------------------------------------------------------- */

static bool lies_now(int donor, const struct msg_work_unit *u)
{
	bool check = u->spans[0].session > CHECKS;

	switch (world.lies[donor]) {
	case LIES_TO_CHECKS:
		return check;
	case LIES_TO_MEMBERS:
		return !check;
	case LIES_ALWAYS:
		return true;
	case HONEST:
		break;
	}
	return false;
}

static void answer(struct taken *t)
{
	struct msg_result r;
	uint8_t *out;
	size_t len;

	play.fakes[t->donor].lies = lies_now(t->donor, &t->unit);
	assert_int_equal(fake_donor_compute(&play.fakes[t->donor], &play.model->sizes, &t->unit,
	                     t->payload, &r, &out, &len),
	    REFUSAL_NONE);
	assert_int_equal(scheduler_result(play.scheduler, t->donor, &r, (struct span){out, len},
	                     world.now_us, &play.actions, &play.err),
	    REFUSAL_NONE);
	free(out);
	play_drop(t);
}

/* ---- what the pool does ------------------------------------------------------------------- */

static void punish(const struct public_key *donor)
{
	int slot = donor->bytes[0] - 1;
	struct trust_change change;

	assert_true(world.lies[slot] != HONEST);
	if (trust_step(world.trust, donor, TRUST_LIED, 0, 1, &change) != AYNI_OK)
		return; /* that was known */
	world.punished++;
	roster_get(play.roster, slot)->failures = ROSTER_MAX_FAILURES;
}

static void reward(const struct trail *t)
{
	struct trust_change change;

	for (uint32_t k = 0; k < t->n_stages; k++)
		(void)trust_step(
		    world.trust, &t->stages[k].key, TRUST_WAS_RIGHT, t->n_spans, 1, &change);
}

/* The first stage of a span that is wrong, whatever came of it behind; -1: all are right. */
static int wrong_stage(const struct trail *t, struct fake_donor *fakes, uint32_t index)
{
	const struct trail_span *s = &t->spans[index];
	uint8_t *payload = calloc(s->n_tokens, 4);
	int wrong = -1;

	assert_non_null(payload);
	payload_put_u32(payload, t->tokens + s->first_token, s->n_tokens);
	for (uint32_t k = 0; k < t->n_stages && wrong < 0; k++) {
		bool last = k + 1 == t->n_stages;
		struct unit_span span = {.session = 1,
		    .position = s->position,
		    .n_tokens = s->n_tokens,
		    .n_logits = last ? s->n_logits : 0};
		struct msg_work_unit u = {.layer_first = t->stages[k].layers.first,
		    .layer_last = t->stages[k].layers.last,
		    .n_spans = 1,
		    .spans = &span,
		    .n_tokens = span.n_tokens,
		    .n_logits = span.n_logits,
		    .top = last ? s->top : 0};
		size_t n = trail_parts(t, s, u.layer_last - 1), len;
		struct msg_result r;
		uint8_t *out;

		assert_int_equal(
		    fake_donor_compute(&fakes[k], &play.model->sizes, &u, payload, &r, &out, &len),
		    REFUSAL_NONE);
		free(payload);
		payload = out;
		if (n > 0 && memcmp(trail_after(t, s, u.layer_last - 1),
		                 n > 1 ? r.parts : &r.handed_hash, n * sizeof(struct hash)) != 0)
			wrong = (int)k;
	}
	free(payload);
	return wrong;
}

static void carry_out(const struct checkers_orders *orders);

/* Taken over. */
static void audit(struct trail *t)
{
	static struct fake_donor fakes[4];
	struct checkers_orders orders;
	int wrong = -1;

	for (uint32_t k = 0; k < t->n_stages; k++)
		fakes[k] = (struct fake_donor){.layers = t->stages[k].layers, .pages = 100};
	for (uint32_t i = 0; i < t->n_spans && wrong < 0; i++)
		wrong = wrong_stage(t, fakes, i);
	for (uint32_t k = 0; k < t->n_stages; k++)
		fake_donor_forget(&fakes[k]);
	world.audited++;
	if (wrong >= 0)
		punish(&t->stages[wrong].key);
	else
		reward(t);
	checkers_audited(world.checkers, t, true, wrong >= 0, &orders);
	carry_out(&orders);
	trail_release(t);
}

static void carry_out(const struct checkers_orders *orders)
{
	if (orders->right != NULL)
		reward(orders->right);
	trail_release(orders->right);
	if (orders->audit != NULL)
		audit(orders->audit);
	if (orders->own != NULL && (orders->certainly || trust_draws(world.trust, orders->own)))
		audit(orders->own);
	else
		trail_release(orders->own);
}

static bool give(struct trail *t)
{
	struct checkers_search search = {world.checkers, world.trust, t, 1, true};
	uint64_t id = CHECKS + 1 + world.n_checks;
	struct path path;

	if (!checkers_takes(world.checkers, world.trust, t))
		return false;
	if (!scheduler_recheckers(
	        play.scheduler, t, checkers_avoid, &search, world.now_us, &path)) {
		search.half = false;
		if (!scheduler_recheckers(
		        play.scheduler, t, checkers_avoid, &search, world.now_us, &path))
			return false;
	}
	assert_int_equal(
	    scheduler_recheck(play.scheduler, id, t, &path, world.now_us, NULL), AYNI_OK);
	assert_int_equal(checkers_begin(world.checkers, id, t, NULL), AYNI_OK);
	world.n_checks++;
	trail_release(t);
	return true;
}

static void take_trails(void)
{
	struct trail *t;

	while ((t = scheduler_take_trail(play.scheduler)) != NULL) {
		if (checkers_keep(world.checkers, t))
			continue;
		if (!trust_draws(world.trust, t))
			trail_release(t);
		else if (!give(t))
			audit(t);
	}
}

static void finish(const struct action_finish *a)
{
	const struct check *c = a->session->check;
	enum check_result result = CHECK_FAILED;
	struct checkers_orders orders;

	take_trails();
	if (c == NULL)
		return;
	if (c->differs)
		result = CHECK_OTHER;
	else if (a->reason == FINISH_END && check_agrees(c))
		result = CHECK_SAME;
	world.same += result == CHECK_SAME;
	world.other += result == CHECK_OTHER;
	checkers_finished(world.checkers, a->session->r.id, result, &orders);
	carry_out(&orders);
}

/* Until nobody has anything to do. */
static void play_on(void)
{
	do {
		struct taken taken[64];
		size_t n;

		play_run(++world.now_us);
		n = play_count(ACTION_UNIT);
		assert_true(n <= sizeof taken / sizeof *taken);
		for (size_t i = 0; i < n; i++)
			taken[i] = play_take(i);
		for (size_t i = 0; i < play_count(ACTION_FINISH); i++)
			finish(&play_nth(ACTION_FINISH, i)->finish);
		play_clear();
		for (size_t i = 0; i < n; i++)
			answer(&taken[i]);
		take_trails();
	} while (scheduler_any_out(play.scheduler) || play.actions.n > 0 ||
	         binding_sessions(play.scheduler) > 0);
}

/* ---- scenarios ---------------------------------------------------------------------------- */

static void begin_without_donors(uint64_t seed, uint32_t floor_permille)
{
	uint8_t secret[DERIVED_KEY_BYTES] = {0};

	memset(&world, 0, sizeof world);
	world.random = seed * 0x9e3779b97f4a7c15ULL + 1;
	memcpy(secret, &seed, sizeof seed);
	assert_int_equal(scheduler_trial_set_up(NULL), 0);
	assert_int_equal(trust_new(secret, floor_permille, &world.trust, NULL), AYNI_OK);
	assert_int_equal(checkers_new(secret, &world.checkers, NULL), AYNI_OK);
}

static void add_donor(uint32_t first, uint32_t last, uint32_t invite, uint64_t right)
{
	struct trust_record r = {.state = TRUST_TRUSTED, .right = right, .verified = right};
	struct checker_origin origin = {
	    .invite = {{(uint8_t)invite}}, .admitted_ms = (uint64_t)invite * CHECKERS_BIRTH_MS};

	int slot = play_ready(first, last, 100);

	r.donor = roster_get(play.roster, slot)->key;
	pairs_lost(
	    scheduler_pairs(play.scheduler), slot, slot, 1); /* each token comes to the pool */
	assert_int_equal(trust_put(world.trust, &r), AYNI_OK);
	checkers_meet(world.checkers, &r.donor, &origin);
}

static void begin(uint64_t seed)
{
	begin_without_donors(seed, 1000);
	for (uint32_t i = 0; i < DONORS; i++)
		add_donor(i % 2 * 2, i % 2 * 2 + 2, i / 2, TRUST_PROOF_UNITS);
}

static void end(void)
{
	play_clear();
	checkers_free(world.checkers);
	trust_free(world.trust);
	assert_int_equal(scheduler_trial_tear_down(NULL), 0);
}

static uint32_t liars(void)
{
	uint32_t n = 0;

	for (int i = 0; i < DONORS; i++)
		n += world.lies[i] != HONEST;
	return n;
}

/* One member's session, over donors that happen to be the fastest now. */
static void one_session(void)
{
	for (int i = 0; i < roster_slots(play.roster); i++)
		roster_get(play.roster, i)->assignment.token_us = 1 + below(1000);
	world.n_sessions++;
	assert_int_equal(play_submit(1 + below(20), 2 + below(10)), AYNI_OK);
	play_on();
}

static void until_all_are_found(void)
{
	while (world.punished < liars()) {
		assert_true(world.n_sessions < SESSIONS);
		one_session();
	}
}

static void the_honest_find_each_other_right(void **state)
{
	uint32_t same = 0, audited = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		while (world.n_sessions < 10)
			one_session();
		assert_int_equal(world.other, 0);
		same += world.same;
		audited += world.audited;
		end();
	}
	print_message("%u the same, %u computed by the pool\n", same, audited);
	assert_in_range(same, SEEDS * 10 * 70 / 100, SEEDS * 10 * 80 / 100);
	assert_true(audited >= SEEDS * 10); /* the rest, and what checkers gave: here all of it */
}

static void play_lies(const char *what, enum lie one, enum lie other)
{
	uint64_t sessions = 0, most = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		world.lies[below(2)] = one;
		world.lies[2 + below(2)] = other; /* of another invite */
		until_all_are_found();
		sessions += world.n_sessions;
		most = world.n_sessions > most ? world.n_sessions : most;
		end();
	}
	print_message("%s: found within %.1f sessions, at most %llu\n", what,
	    (double)sessions / SEEDS, (unsigned long long)most);
}

static void who_lies_is_found_and_nobody_else_is_punished(void **state)
{
	(void)state;
	play_lies("to members", LIES_TO_MEMBERS, HONEST);
	play_lies("to who checks", LIES_TO_CHECKS, HONEST);
	play_lies("one to members, one to who checks", LIES_TO_MEMBERS, LIES_TO_CHECKS);
}

static void who_agrees_on_a_lie_is_found_by_what_the_pool_computes(void **state)
{
	(void)state;
	play_lies("two that agree", LIES_ALWAYS, LIES_ALWAYS);
}

/*
 * The worst case: two donors that always give the same wrong numbers, and nobody else to check
 * them. A session is drawn with probability r; the pool computes it with s, and else what was given
 * by who checks it, if that is drawn.
 */
static void who_agrees_is_found_as_soon_as_the_formula_says(void **state)
{
	double r = PERMILLE / 1000.0, s = 1.0 / CHECKERS_POOL_SHARE;
	double expected = 1 / (r * (s + (1 - s) * r));
	uint64_t sessions = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= PAIRS; seed++) {
		begin_without_donors(seed, PERMILLE);
		add_donor(0, 4, 0, UINT64_C(1) << 40);
		add_donor(0, 4, 1, UINT64_C(1) << 40);
		world.lies[0] = world.lies[1] = LIES_ALWAYS;
		while (world.punished == 0)
			one_session();
		assert_int_equal(world.other, 0);
		sessions += world.n_sessions;
		end();
	}
	print_message("two alone that agree: found within %.1f sessions, %.1f by the formula\n",
	    (double)sessions / PAIRS, expected);
	assert_in_range(
	    sessions, (uint64_t)(0.9 * expected * PAIRS), (uint64_t)(1.1 * expected * PAIRS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_honest_find_each_other_right),
	    cmocka_unit_test(who_lies_is_found_and_nobody_else_is_punished),
	    cmocka_unit_test(who_agrees_on_a_lie_is_found_by_what_the_pool_computes),
	    cmocka_unit_test(who_agrees_is_found_as_soon_as_the_formula_says),
	};

	return cmocka_run_group_tests(
	    tests, scheduler_trial_set_up_model, scheduler_trial_tear_down_model);
}
