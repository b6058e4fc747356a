/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/trust.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define DAY_MS     UINT64_C(86400000)

enum {
	FLOOR = 10,         /* permille */
	SESSION_UNITS = 32, /* of one donor in a session, where nothing else is said */
	SIMULATED = 1000000 /* units */
};

static const uint8_t secret[DERIVED_KEY_BYTES] = {7};
static const struct public_key ana = {{1}}, ben = {{2}};
static struct trust *trust;

static int set_up(void **state)
{
	(void)state;
	return trust_new(secret, FLOOR, &trust, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	trust_free(trust);
	return 0;
}

static struct trust_change step(
    const struct public_key *donor, enum trust_event event, uint64_t units)
{
	struct trust_change change;

	assert_int_equal(trust_step(trust, donor, event, units, 1, &change), AYNI_OK);
	return change;
}

static void meet(const struct public_key *donor, uint64_t now_ms)
{
	struct trust_change change;

	assert_non_null(trust_meet(trust, donor, now_ms, &change));
}

/* ---- states ------------------------------------------------------------------------------- */

static void put(enum trust_state state)
{
	struct trust_record r = {.donor = ana, .state = state};

	if (state == TRUST_TRUSTED)
		r.right = r.verified = TRUST_PROOF_UNITS;
	r.lies = state == TRUST_QUARANTINED || state == TRUST_BANNED;
	assert_int_equal(trust_put(trust, &r), AYNI_OK);
}

static void each_event_leads_where_it_may_and_nowhere_else(void **state)
{
	/* TRUST_STATE_END: refused */
	static const enum trust_state to[TRUST_STATE_END][TRUST_EVENT_END] = {
	    [TRUST_NEW] = {TRUST_TRUSTED, TRUST_NEW, TRUST_QUARANTINED, TRUST_STATE_END},
	    [TRUST_PROBATION] = {TRUST_TRUSTED, TRUST_PROBATION, TRUST_QUARANTINED,
	        TRUST_STATE_END},
	    [TRUST_TRUSTED] = {TRUST_TRUSTED, TRUST_PROBATION, TRUST_QUARANTINED, TRUST_STATE_END},
	    [TRUST_QUARANTINED] = {TRUST_STATE_END, TRUST_STATE_END, TRUST_STATE_END,
	        TRUST_PROBATION},
	    [TRUST_BANNED] = {TRUST_STATE_END, TRUST_STATE_END, TRUST_STATE_END, TRUST_STATE_END},
	};

	(void)state;
	for (int s = 0; s < TRUST_STATE_END; s++) {
		for (int e = 0; e < TRUST_EVENT_END; e++) {
			struct trust_change change;
			int rc;

			put((enum trust_state)s);
			rc = trust_step(
			    trust, &ana, (enum trust_event)e, TRUST_PROOF_UNITS, 1, &change);
			assert_int_equal(
			    rc, to[s][e] == TRUST_STATE_END ? AYNI_ERR_STATE : AYNI_OK);
			assert_int_equal(trust_find(trust, &ana)->state,
			    to[s][e] == TRUST_STATE_END ? (enum trust_state)s : to[s][e]);
		}
	}
}

static void a_second_lie_is_the_last(void **state)
{
	(void)state;
	meet(&ana, 1);
	assert_int_equal(step(&ana, TRUST_LIED, 0).to, TRUST_QUARANTINED);
	assert_false(trust_serves(trust, &ana));
	assert_int_equal(step(&ana, TRUST_PARDONED, 0).to, TRUST_PROBATION);
	assert_true(trust_serves(trust, &ana));
	assert_int_equal(step(&ana, TRUST_LIED, 0).to, TRUST_BANNED);
	assert_false(trust_serves(trust, &ana));
	assert_int_equal(trust_find(trust, &ana)->lies, 2);
}

static void long_silence_is_a_break(void **state)
{
	struct trust_change change;

	(void)state;
	meet(&ana, 5);
	(void)step(&ana, TRUST_WAS_RIGHT, TRUST_PROOF_UNITS);
	assert_true(trust_is_trusted(trust, &ana));
	assert_non_null(trust_meet(trust, &ana, 1 + TRUST_SILENT_DAYS * DAY_MS, &change));
	assert_int_equal(change.to, TRUST_TRUSTED);
	assert_non_null(trust_meet(trust, &ana, 2 + 2 * TRUST_SILENT_DAYS * DAY_MS, &change));
	assert_int_equal(change.from, TRUST_TRUSTED);
	assert_int_equal(change.to, TRUST_PROBATION);
	assert_int_equal(trust_find(trust, &ana)->verified, TRUST_PROOF_UNITS);
	assert_true(trust_rate(trust, &ana) == 1);
}

static void nobody_is_believed_whose_record_cannot_be(void **state)
{
	struct trust_record r = {.donor = ana, .state = TRUST_STATE_END};

	(void)state;
	assert_int_equal(trust_put(trust, &r), AYNI_ERR_FORMAT);
	r.state = TRUST_TRUSTED;
	r.right = 2;
	r.verified = 1;
	assert_int_equal(trust_put(trust, &r), AYNI_ERR_FORMAT);
	r = (struct trust_record){.donor = ana, .state = TRUST_TRUSTED}; /* right nowhere */
	assert_int_equal(trust_put(trust, &r), AYNI_ERR_FORMAT);
	assert_null(trust_find(trust, &ana));
}

static void what_changed_is_saved_once(void **state)
{
	(void)state;
	assert_null(trust_unsaved(trust));
	meet(&ana, 1);
	meet(&ben, 1);
	assert_non_null(trust_unsaved(trust));
	assert_non_null(trust_unsaved(trust));
	assert_null(trust_unsaved(trust));
	(void)step(&ben, TRUST_WAS_RIGHT, 1);
	assert_memory_equal(&trust_unsaved(trust)->donor, &ben, sizeof ben);
	assert_null(trust_unsaved(trust));
}

/* ---- what is drawn ------------------------------------------------------------------------ */

static void the_rate_falls_with_what_was_right_to_the_floor(void **state)
{
	(void)state;
	assert_true(trust_rate(trust, &ana) == 1); /* never met */
	meet(&ana, 1);
	(void)step(&ana, TRUST_WAS_RIGHT, TRUST_PROOF_UNITS - 1);
	assert_true(trust_rate(trust, &ana) == 1);
	(void)step(&ana, TRUST_WAS_RIGHT, TRUST_PROOF_UNITS + 1);
	assert_true(trust_rate(trust, &ana) == 0.5);
	(void)step(&ana, TRUST_WAS_RIGHT, 1000 * TRUST_PROOF_UNITS);
	assert_true(trust_rate(trust, &ana) == 0.01);
}

/* A session over these donors, with one span. */
static struct trail *session(uint64_t number, const struct public_key *donors, uint32_t n)
{
	static struct trail_budget budget = {.most_bytes = 1 << 20};
	static const struct hash hashes[1];
	struct unit_span span = {.n_tokens = 1};
	struct trail_stage stages[2] = {{0}};
	uint32_t token = 1;
	struct trail *t;

	for (uint32_t i = 0; i < n; i++)
		stages[i] = (struct trail_stage){.key = donors[i], .layers = {i, i + 1}};
	t = trail_new(number, 0, WIRE_F32, stages, n, &budget);
	assert_non_null(t);
	trail_add(t, &span, 0, &token, hashes);
	assert_int_equal(t->n_spans, 1);
	return t;
}

static uint32_t drawn(const struct public_key *donors, uint32_t n, uint32_t sessions)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sessions; i++) {
		struct trail *t = session(i, donors, n);
		bool is = trust_draws(trust, t);

		assert_int_equal(trust_draws(trust, t), is); /* the same at any time */
		count += is;
		trail_release(t);
	}
	return count;
}

static void sessions_are_drawn_at_the_highest_rate_of_their_donors(void **state)
{
	const struct public_key both[] = {ana, ben};
	uint32_t n;

	(void)state;
	meet(&ana, 1);
	meet(&ben, 1);
	(void)step(&ana, TRUST_WAS_RIGHT, 1000 * TRUST_PROOF_UNITS);
	(void)step(&ben, TRUST_WAS_RIGHT, 10 * TRUST_PROOF_UNITS);
	n = drawn(both, 1, 100000);
	assert_true(n > 900 && n < 1100);
	n = drawn(both, 2, 100000);
	assert_true(n > 9700 && n < 10300);
	(void)step(&ben, TRUST_LIED, 0);
	assert_int_equal(drawn(both, 2, 1000), 1000);
}

static void another_pool_draws_others(void **state)
{
	static const uint8_t other[DERIVED_KEY_BYTES] = {8};
	struct trust *mine = trust;
	uint32_t differ = 0;

	(void)state;
	meet(&ana, 1);
	(void)step(&ana, TRUST_WAS_RIGHT, 2 * TRUST_PROOF_UNITS);
	assert_int_equal(trust_new(other, FLOOR, &trust, NULL), AYNI_OK);
	meet(&ana, 1);
	(void)step(&ana, TRUST_WAS_RIGHT, 2 * TRUST_PROOF_UNITS);
	for (uint32_t i = 0; i < 1000; i++) {
		struct trail *t = session(i, &ana, 1);

		differ += trust_draws(mine, t) != trust_draws(trust, t);
		trail_release(t);
	}
	trust_free(trust);
	trust = mine;
	assert_true(differ > 400 && differ < 600);
}

/* ---- the formulas of node/pool/README.md -------------------------------------------------- */

/* Units recomputed of n, of an honest donor that was new. */
static double verified_after(double n, double floor)
{
	double v0 = TRUST_PROOF_UNITS, n_floor = v0 + v0 * (1 / (floor * floor) - 1) / 2;

	if (n <= v0)
		return n;
	if (n <= n_floor)
		return sqrt(v0 * v0 + 2 * v0 * (n - v0));
	return v0 / floor + (n - n_floor) * floor;
}

/* The chance that one is caught within n units that lies in a fraction f of its sessions. */
static double caught_after(double n, double f, double session_units, double floor)
{
	return 1 - pow(1 - f, verified_after(n, floor) / session_units);
}

/* Plays sessions of one donor until it is caught or did n units; a fraction f of them has a lie.
 * *verified: what was recomputed of it. Returns whether it was caught. */
static bool play(uint64_t first_session, double f, uint64_t n, uint64_t *verified)
{
	uint64_t random = first_session * 0x9e3779b97f4a7c15ULL + 1;

	meet(&ana, 1);
	*verified = 0;
	for (uint64_t i = 0; i < n / SESSION_UNITS; i++) {
		struct trail *t = session(first_session + i, &ana, 1);
		bool is_drawn = trust_draws(trust, t), lies;

		trail_release(t);
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		lies = (double)(random >> 11) * 0x1p-53 < f;
		if (is_drawn && lies)
			return true;
		if (is_drawn) {
			*verified += SESSION_UNITS;
			(void)step(&ana, TRUST_WAS_RIGHT, SESSION_UNITS);
		}
	}
	return false;
}

static void an_honest_donor_costs_what_the_formula_says_and_is_never_punished(void **state)
{
	double expected = verified_after(SIMULATED, 0.01), share;
	uint64_t sum = 0, punished = 0, verified;
	enum { TIMES = 8 };

	(void)state;
	for (uint64_t i = 0; i < TIMES; i++) {
		assert_false(play(i << 32, 0, SIMULATED, &verified));
		sum += verified;
		punished += trust_find(trust, &ana)->lies > 0 || !trust_serves(trust, &ana);
		tear_down(NULL);
		set_up(NULL);
	}
	share = (double)sum / TIMES / SIMULATED;
	print_message("honest donors punished: %llu of %d, in %.0f units each\n",
	    (unsigned long long)punished, TIMES, (double)SIMULATED);
	assert_int_equal(punished, 0);
	print_message("of 10^6 units of an honest donor %.2f %% are computed once more, %.2f %% by "
	              "the formula\n",
	    100 * share, expected / SIMULATED * 100);
	assert_true(fabs(share * SIMULATED / expected - 1) < 0.02);
	assert_true(share < 0.04);
}

static void the_chance_to_be_caught_is_what_the_formula_says(void **state)
{
	static const struct {
		double f;
		uint64_t n;
	} cases[] = {{1, 32}, {0.05, 640}, {0.02, 2560}, {0.01, 5120}};
	enum { TIMES = 4000 };

	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		double expected = caught_after((double)cases[c].n, cases[c].f, SESSION_UNITS, 0.01);
		uint32_t caught = 0;
		uint64_t verified;

		for (uint64_t i = 0; i < TIMES; i++) {
			caught +=
			    play((c * TIMES + i + 1) << 24, cases[c].f, cases[c].n, &verified);
			tear_down(NULL);
			set_up(NULL);
		}
		print_message("lies in %.3f of its sessions, %llu units: caught %.3f, by the "
		              "formula %.3f\n",
		    cases[c].f, (unsigned long long)cases[c].n, (double)caught / TIMES, expected);
		assert_true(fabs((double)caught / TIMES - expected) < 0.02);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_event_leads_where_it_may_and_nowhere_else),
	    TEST(a_second_lie_is_the_last),
	    TEST(long_silence_is_a_break),
	    TEST(nobody_is_believed_whose_record_cannot_be),
	    TEST(what_changed_is_saved_once),
	    TEST(the_rate_falls_with_what_was_right_to_the_floor),
	    TEST(sessions_are_drawn_at_the_highest_rate_of_their_donors),
	    TEST(another_pool_draws_others),
	    TEST(an_honest_donor_costs_what_the_formula_says_and_is_never_punished),
	    TEST(the_chance_to_be_caught_is_what_the_formula_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
