/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/doubts.h"

static const struct public_key ana = {{1}}, ben = {{2}}, cai = {{3}};
static struct doubts *doubts;

static int set_up(void **state)
{
	(void)state;
	return doubts_new(&doubts, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	doubts_free(doubts);
	return 0;
}

static void add(
    uint32_t peer, uint8_t session, const struct public_key *a, const struct public_key *b)
{
	struct share shares[] = {{.donor = *a}, {.donor = *b}};
	struct doubt answer = {peer, session, {{session}}};

	doubts_add(doubts, &answer, shares, 2);
}

static void who_has_an_answer_of_a_liar_is_told_of_each_once(void **state)
{
	bool seen[8] = {false};
	struct doubt d;

	(void)state;
	add(1, 1, &ana, &ben);
	add(2, 2, &ben, &cai);
	add(1, 3, &cai, &ben);
	while (doubts_take(doubts, &cai, &d)) {
		assert_false(seen[d.request]);
		assert_int_equal(d.session.bytes[0], d.request);
		seen[d.request] = true;
	}
	assert_true(!seen[1] && seen[2] && seen[3]);
	assert_true(doubts_take(doubts, &ben, &d)); /* the one that nobody was told of */
	assert_int_equal(d.request, 1);
	assert_false(doubts_take(doubts, &ana, &d));
}

static void an_answer_is_found_by_its_session(void **state)
{
	struct pseudonym two = {{2}}, nine = {{9}};
	struct doubt d;

	(void)state;
	add(1, 1, &ana, &ben);
	add(4, 2, &ana, &ben);
	assert_false(doubts_take_session(doubts, &nine, &d));
	assert_true(doubts_take_session(doubts, &two, &d));
	assert_int_equal(d.peer, 4);
	assert_false(doubts_take_session(doubts, &two, &d));
}

static void who_is_gone_is_not_told(void **state)
{
	struct doubt d;

	(void)state;
	add(1, 1, &ana, &ben);
	add(2, 2, &ana, &ben);
	doubts_forget(doubts, 1);
	assert_true(doubts_take(doubts, &ana, &d));
	assert_int_equal(d.peer, 2);
	assert_false(doubts_take(doubts, &ana, &d));
}

/* Nor does one who asks much push out what others have. */
static void the_last_answers_of_each_member_are_kept(void **state)
{
	size_t n[2] = {0};
	struct doubt d;

	(void)state;
	add(0, 200, &ana, &ben);
	for (unsigned i = 0; i < 3 * DOUBTS_MOST; i++)
		add(1, (uint8_t)(i % 100 + 1), &ana, &ben);
	while (doubts_take(doubts, &ana, &d))
		n[d.peer]++;
	assert_int_equal(n[0], 1);
	assert_int_equal(n[1], DOUBTS_A_MEMBER);
	for (uint32_t i = 0; i < DOUBTS_MOST + 10; i++)
		add(i, 1, &ana, &ben);
	assert_true(doubts_take(doubts, &ana, &d));
	doubts_forget(doubts, 9);
	for (n[0] = 1; doubts_take(doubts, &ana, &d); n[0]++)
		assert_true(d.peer >= 10);
	assert_int_equal(n[0], DOUBTS_MOST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(who_has_an_answer_of_a_liar_is_told_of_each_once),
	    TEST(an_answer_is_found_by_its_session),
	    TEST(who_is_gone_is_not_told),
	    TEST(the_last_answers_of_each_member_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
