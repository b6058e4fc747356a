/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/pool/checkers.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define DAY_MS     UINT64_C(86400000)
#define NOW_MS     (1000 * DAY_MS)

enum { DRAWN = 1000 };

static const uint8_t secret[DERIVED_KEY_BYTES] = {3};
static const struct public_key ana = {{1}}, ben = {{2}}, cem = {{3}};
static struct checkers *checkers;
static struct trust *trust;
static struct trail_budget budget;

static int set_up(void **state)
{
	(void)state;
	budget = (struct trail_budget){.most_bytes = 1 << 20};
	if (trust_new(secret, 10, &trust, NULL) != AYNI_OK)
		return -1;
	return checkers_new(secret, &checkers, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	checkers_free(checkers);
	trust_free(trust);
	assert_int_equal(budget.used_bytes, 0);
	return 0;
}

/* ---- relations ---------------------------------------------------------------------------- */

static void networks_are_told_by_the_first_bits_of_an_address(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
	    {"203.0.113.5", "203.0.113.250", true}, {"203.0.113.5", "203.0.114.5", false},
	    {"2001:db8:1:2::3", "2001:db8:1:ffff::", true},
	    {"2001:db8:1:2::3", "2001:db8:2:2::3", false},
	    {"::ffff:203.0.113.5", "203.0.113.9", true},
	    {"::ffff:203.0.113.5", "::ffff:203.0.112.5", false},
	    {"10.1.2.3", "10.1.2.4", true}, /* a house */
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct checker_origin a = {.invite = {{1}}, .network = network_of(pairs[i].a)};
		struct checker_origin b = {.invite = {{2}},
		    .network = network_of(pairs[i].b),
		    .admitted_ms = CHECKERS_BIRTH_MS};

		assert_true(a.network.kind != NETWORK_UNKNOWN);
		assert_true(b.network.kind != NETWORK_UNKNOWN);
		assert_true(checkers_related(&a, &b, NOW_MS) == pairs[i].same);
		assert_true(checkers_related(&b, &a, NOW_MS) == pairs[i].same);
	}
}

static void an_address_that_says_nothing_relates_nobody(void **state)
{
	static const char *const addresses[] = {
	    "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "", "pool.example", NULL};
	struct checker_origin a = {.invite = {{1}}};
	struct checker_origin b = {.invite = {{2}}, .admitted_ms = CHECKERS_BIRTH_MS};

	(void)state;
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		a.network = b.network = network_of(addresses[i]);
		assert_int_equal(a.network.kind, NETWORK_UNKNOWN);
		assert_false(checkers_related(&a, &b, NOW_MS));
	}
}

static void one_invite_relates_its_donors_for_ever(void **state)
{
	struct checker_origin a = {.invite = {{1}}};
	struct checker_origin b = {.invite = {{1}}, .admitted_ms = 500 * DAY_MS};

	(void)state;
	assert_true(checkers_related(&a, &b, NOW_MS));
	b.invite.bytes[31] = 1;
	assert_false(checkers_related(&a, &b, NOW_MS));
}

static void keys_of_one_hour_are_related_while_they_are_young(void **state)
{
	struct checker_origin a = {.invite = {{1}}, .admitted_ms = NOW_MS};
	struct checker_origin b = {.invite = {{2}}, .admitted_ms = NOW_MS + CHECKERS_BIRTH_MS - 1};

	(void)state;
	assert_true(checkers_related(&a, &b, b.admitted_ms));
	assert_true(checkers_related(&b, &a, b.admitted_ms + CHECKERS_YOUNG_MS - 1));
	assert_false(checkers_related(&a, &b, b.admitted_ms + CHECKERS_YOUNG_MS));
	b.admitted_ms++;
	assert_false(checkers_related(&a, &b, b.admitted_ms));
	assert_false(checkers_related(&b, &a, b.admitted_ms));
}

/* ---- choice ------------------------------------------------------------------------------- */

static void meet(const struct public_key *donor, uint8_t invite)
{
	struct checker_origin o = {.invite = {{invite}}, .admitted_ms = invite * DAY_MS};

	checkers_meet(checkers, donor, &o);
}

static void make_trusted(const struct public_key *donor)
{
	struct trust_record r = {.donor = *donor,
	    .state = TRUST_TRUSTED,
	    .right = TRUST_PROOF_UNITS,
	    .verified = TRUST_PROOF_UNITS};

	assert_int_equal(trust_put(trust, &r), AYNI_OK);
}

static struct trail *trail_over(const struct public_key *donor, uint64_t session)
{
	struct trail_stage stage = {.key = *donor, .layers = {0, 4}};
	struct trail *t = trail_new(session, 0, WIRE_F32, &stage, 1, &budget);

	assert_non_null(t);
	return t;
}

static bool avoids(const struct trail *t, const struct public_key *donor, bool half)
{
	const struct checkers_search search = {checkers, trust, t, NOW_MS, half};
	const struct roster_donor d = {.key = *donor};

	return checkers_avoid(&search, &d);
}

static uint32_t taken_of(const struct public_key *donor)
{
	uint32_t n = 0;

	for (uint64_t i = 0; i < DRAWN; i++) {
		struct trail *t = trail_over(donor, i);

		n += checkers_takes(checkers, trust, t);
		trail_release(t);
	}
	return n;
}

static void a_part_stays_with_the_pool_and_all_of_donors_not_trusted(void **state)
{
	(void)state;
	meet(&ana, 1);
	assert_int_equal(taken_of(&ana), 0);
	make_trusted(&ana);
	assert_in_range(taken_of(&ana), DRAWN * 70 / 100, DRAWN * 80 / 100);
	make_trusted(&ben);
	assert_int_equal(taken_of(&ben), 0); /* nothing is known of it */
}

static void only_who_is_trusted_and_not_related_checks(void **state)
{
	struct trail *t = trail_over(&ana, 1);

	(void)state;
	meet(&ana, 1);
	meet(&ben, 2);
	make_trusted(&ana);
	assert_true(avoids(t, &ben, false)); /* not trusted */
	make_trusted(&ben);
	assert_false(avoids(t, &ben, false));
	assert_true(avoids(t, &ana, false)); /* itself */
	make_trusted(&cem);
	assert_true(avoids(t, &cem, false)); /* not known */
	meet(&cem, 1);
	assert_true(avoids(t, &cem, false)); /* the same invite */
	meet(&cem, 3);
	assert_false(avoids(t, &cem, false));
	trail_release(t);
	t = trail_over(&(const struct public_key){{9}}, 1);
	assert_true(avoids(t, &ben, false)); /* of a donor that is not known */
	trail_release(t);
}

static void another_half_is_passed_over_for_each_trail(void **state)
{
	uint32_t passed = 0, both = 0;

	(void)state;
	meet(&ana, 1);
	meet(&ben, 2);
	meet(&cem, 3);
	make_trusted(&ana);
	make_trusted(&ben);
	make_trusted(&cem);
	for (uint64_t i = 0; i < DRAWN; i++) {
		struct trail *t = trail_over(&ana, i);
		bool ben_is = avoids(t, &ben, true);

		passed += ben_is;
		both += ben_is && avoids(t, &cem, true);
		trail_release(t);
	}
	assert_in_range(passed, DRAWN * 44 / 100, DRAWN * 56 / 100);
	assert_in_range(both, DRAWN * 20 / 100, DRAWN * 30 / 100);
}

/* ---- cases -------------------------------------------------------------------------------- */

enum { CHECK = 77 };

/* Ana's trail, which ben checks. */
static void begin(struct trail **about, struct trail **own)
{
	*about = trail_over(&ana, 5);
	*own = trail_over(&ben, CHECK);
	assert_int_equal(checkers_begin(checkers, CHECK, *about, NULL), AYNI_OK);
	assert_true(checkers_keep(checkers, *own));
}

static void finished(enum check_result result, struct checkers_orders *o)
{
	checkers_finished(checkers, CHECK, result, o);
}

static void trails_of_others_are_not_kept(void **state)
{
	struct trail *about, *own, *other = trail_over(&cem, 6);

	(void)state;
	begin(&about, &own);
	assert_false(checkers_keep(checkers, other));
	trail_release(other);
	trail_release(about); /* the case, with both of its trails, ends with the checkers */
}

static void the_same_is_right_and_the_own_trail_is_drawn(void **state)
{
	struct trail *about, *own;
	struct checkers_orders o;

	(void)state;
	begin(&about, &own);
	finished(CHECK_SAME, &o);
	assert_ptr_equal(o.right, about);
	assert_null(o.audit);
	assert_ptr_equal(o.own, own);
	assert_false(o.certainly);
	trail_release(o.right);
	trail_release(o.own);
	trail_release(about);
}

static void what_failed_is_for_the_pool(void **state)
{
	struct trail *about, *own;
	struct checkers_orders o;

	(void)state;
	begin(&about, &own);
	finished(CHECK_FAILED, &o);
	assert_null(o.right);
	assert_ptr_equal(o.audit, about);
	assert_ptr_equal(o.own, own);
	assert_false(o.certainly);
	trail_release(o.audit);
	trail_release(o.own);
	checkers_audited(checkers, about, true, false, &o); /* it is no case any more */
	assert_null(o.own);
	trail_release(about);
}

/* What the pool finds of ana's trail after ben gave something else. */
static void other_then(bool known, bool wrong, bool certainly)
{
	struct trail *about, *own;
	struct checkers_orders o;

	begin(&about, &own);
	finished(CHECK_OTHER, &o);
	assert_null(o.right);
	assert_ptr_equal(o.audit, about);
	assert_null(o.own);
	trail_release(o.audit);
	checkers_audited(checkers, about, known, wrong, &o);
	assert_null(o.audit);
	assert_ptr_equal(o.own, own);
	assert_true(o.certainly == certainly);
	trail_release(o.own);
	trail_release(about);
}

static void after_a_difference_the_pool_says_who_was_wrong(void **state)
{
	(void)state;
	other_then(true, false, true); /* the trail was right: so the checkers were not */
	other_then(true, true, false);
	other_then(false, false, false); /* nobody is to blame */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(networks_are_told_by_the_first_bits_of_an_address),
	    TEST(an_address_that_says_nothing_relates_nobody),
	    TEST(one_invite_relates_its_donors_for_ever),
	    TEST(keys_of_one_hour_are_related_while_they_are_young),
	    TEST(a_part_stays_with_the_pool_and_all_of_donors_not_trusted),
	    TEST(only_who_is_trusted_and_not_related_checks),
	    TEST(another_half_is_passed_over_for_each_trail),
	    TEST(trails_of_others_are_not_kept),
	    TEST(the_same_is_right_and_the_own_trail_is_drawn),
	    TEST(what_failed_is_for_the_pool),
	    TEST(after_a_difference_the_pool_says_who_was_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
