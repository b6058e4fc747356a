/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* Probabilities 0.4, 0.3, 0.2, 0.1 of the ids 10, 11, 12, 13; their lse is 0. */
static const struct logit four[4] = {
    {10, -0.91629073f}, {11, -1.2039728f}, {12, -1.6094379f}, {13, -2.3025851f}};

static struct sampler_settings settings(void)
{
	struct sampler_settings s;

	sampler_defaults(&s);
	s.temperature = 1.0f;
	return s;
}

/* How often each of four[] is drawn at positions 0 to n-1. */
static void count(const struct sampler_settings *s, float lse, uint32_t n, uint32_t counts[4])
{
	uint32_t *history = calloc(n, sizeof *history);

	assert_non_null(history);
	memset(counts, 0, 4 * sizeof *counts);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t id = sampler_draw(s, four, 4, lse, history, i);

		assert_in_range(id, 10, 13);
		counts[id - 10]++;
	}
	free(history);
}

static void philox_gives_the_published_vectors(void **state)
{
	/* Random123, tests/kat_vectors: philox4x32, 10 rounds. */
	static const struct {
		uint32_t counter[4], key[2], want[4];
	} known[] = {{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
	    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
	        {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
	    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
	        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		uint32_t out[4];

		philox4x32_10(known[i].counter, known[i].key, out);
		assert_memory_equal(out, known[i].want, sizeof out);
	}
}

static void greedy_takes_the_best_and_the_smaller_id_of_equals(void **state)
{
	static const struct logit equal[3] = {{9, 1.0f}, {4, 1.0f}, {7, 1.0f}};
	struct sampler_settings s;

	(void)state;
	sampler_defaults(&s);
	assert_int_equal(sampler_draw(&s, four, 4, 0.0f, NULL, 0), 10);
	assert_int_equal(sampler_draw(&s, equal, 3, 0.0f, NULL, 0), 4);
}

static void draws_follow_the_probabilities(void **state)
{
	static const double p[4] = {0.4, 0.3, 0.2, 0.1};
	enum { DRAWS = 10000 };

	(void)state;
	for (uint64_t seed = 0; seed < 5; seed++) {
		struct sampler_settings s = settings();
		uint32_t counts[4];
		double chi2 = 0.0;

		s.seed = seed * 0x123456789abcdefULL;
		count(&s, 0.0f, DRAWS, counts);
		for (int i = 0; i < 4; i++)
			chi2 += (counts[i] - p[i] * DRAWS) * (counts[i] - p[i] * DRAWS) /
			        (p[i] * DRAWS);
		assert_true(chi2 < 16.27); /* 3 degrees of freedom, one in a thousand */
	}
}

static void neighbouring_positions_are_independent(void **state)
{
	static const struct logit coin[2] = {{0, 0.0f}, {1, 0.0f}};
	struct sampler_settings s = settings();
	uint32_t history[8001] = {0}, pairs[4] = {0}, last;
	double chi2 = 0.0;

	(void)state;
	last = sampler_draw(&s, coin, 2, 0.0f, history, 0);
	for (uint32_t i = 1; i <= 8000; i++) {
		uint32_t id = sampler_draw(&s, coin, 2, 0.0f, history, i);

		pairs[last * 2 + id]++;
		last = id;
	}
	for (int i = 0; i < 4; i++)
		chi2 += (pairs[i] - 2000.0) * (pairs[i] - 2000.0) / 2000.0;
	assert_true(chi2 < 16.27);
}

static void same_seed_and_position_give_the_same_token(void **state)
{
	struct sampler_settings a = settings(), b = settings();
	uint32_t history[200] = {0}, differ = 0;

	(void)state;
	b.seed = 1;
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t id = sampler_draw(&a, four, 4, 0.0f, history, i);

		assert_int_equal(sampler_draw(&a, four, 4, 0.0f, history, i), id);
		differ += sampler_draw(&b, four, 4, 0.0f, history, i) != id;
	}
	assert_in_range(differ, 100, 180); /* 0.7 are expected to */
	b.seed = 1ULL << 32;               /* the upper half of the seed counts too */
	differ = 0;
	for (uint32_t i = 0; i < 200; i++)
		differ += sampler_draw(&a, four, 4, 0.0f, history, i) !=
		          sampler_draw(&b, four, 4, 0.0f, history, i);
	assert_in_range(differ, 100, 180);
}

/* The ids that occur in 1000 draws, as a mask. */
static unsigned drawn(const struct sampler_settings *s, float lse)
{
	uint32_t counts[4];
	unsigned mask = 0;

	count(s, lse, 1000, counts);
	for (unsigned i = 0; i < 4; i++)
		mask |= (unsigned)(counts[i] > 0) << i;
	return mask;
}

static void each_cut_leaves_the_candidates_it_should(void **state)
{
	struct sampler_settings s = settings();

	(void)state;
	assert_int_equal(drawn(&s, 0.0f), 0xf);
	s.top_k = 2;
	assert_int_equal(drawn(&s, 0.0f), 0x3);
	s.top_k = 5;
	assert_int_equal(drawn(&s, 0.0f), 0xf);
	s = settings();
	s.min_p = 0.4f; /* 0.2 / 0.4 stays, 0.1 / 0.4 goes */
	assert_int_equal(drawn(&s, 0.0f), 0x7);
	s.min_p = 1.0f;
	assert_int_equal(drawn(&s, 0.0f), 0x1);
	s = settings();
	s.top_p = 0.6f;
	assert_int_equal(drawn(&s, 0.0f), 0x3);
	s.top_p = 0.01f;
	assert_int_equal(drawn(&s, 0.0f), 0x1);
}

static void top_p_is_a_share_of_the_whole_row(void **state)
{
	struct sampler_settings s = settings();

	(void)state;
	s.top_p = 0.6f;
	/* As much mass again lies outside: 0.6 of it all takes every candidate. */
	assert_int_equal(drawn(&s, 0.6931472f), 0xf);
	assert_int_equal(drawn(&s, -5.0f), 0x3); /* an lse under the candidates' own is wrong */
	assert_int_equal(drawn(&s, NAN), 0x3);
	assert_int_equal(drawn(&s, INFINITY), 0xf);
}

static void temperature_sharpens_and_flattens(void **state)
{
	struct sampler_settings s = settings();
	uint32_t cold[4], warm[4], hot[4];

	(void)state;
	s.temperature = 0.25f;
	count(&s, 0.0f, 2000, cold);
	s.temperature = 1.0f;
	count(&s, 0.0f, 2000, warm);
	s.temperature = 50.0f;
	count(&s, 0.0f, 2000, hot);
	assert_true(cold[0] > warm[0] && warm[0] > hot[0]);
	assert_in_range(hot[3], 400, 600);
	s.temperature = 1e-40f;
	count(&s, 0.0f, 100, cold);
	assert_int_equal(cold[0], 100);
}

static void repeat_penalty_counts_each_token_once_and_looks_back_so_far(void **state)
{
	static const struct logit c[3] = {{1, 4.0f}, {2, 3.0f}, {3, -1.0f}};
	static const struct logit negative[2] = {{1, -1.0f}, {2, -1.5f}};
	static const uint32_t history[4] = {1, 1, 1, 9};
	struct sampler_settings s;

	(void)state;
	sampler_defaults(&s);
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 4), 1);
	s.repeat_penalty = 1.3f; /* 4 / 1.3 = 3.08 still wins; divided thrice it would not */
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 4), 1);
	s.repeat_penalty = 2.0f;
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 4), 2);
	assert_int_equal(sampler_draw(&s, negative, 2, 0.0f, history, 4), 2);
	s.repeat_last_n = 1;
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 4), 1);
	s.repeat_last_n = 0;
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 3), 1);
}

static void frequency_and_presence_penalties_look_only_at_the_answer(void **state)
{
	static const struct logit c[3] = {{1, 4.0f}, {2, 3.0f}, {3, 2.5f}};
	static const uint32_t history[6] = {3, 3, 2, 1, 1, 9};
	struct sampler_settings s;

	(void)state;
	sampler_defaults(&s);
	s.answer_from = 3;
	s.frequency_penalty = 0.4f; /* 4 - 0.8 */
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 6), 1);
	s.frequency_penalty = 0.75f; /* 4 - 1.5 */
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 6), 2);
	s.frequency_penalty = 0.0f;
	s.presence_penalty = 0.75f; /* once */
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 6), 1);
	s.answer_from = 0; /* 3.25, 2.25, 1.75 */
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 6), 1);
	s.frequency_penalty = 0.75f; /* 1.75, 1.5, 0.25 */
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 6), 1);
	s.answer_from = 6; /* nothing drawn yet */
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 6), 1);
	s.answer_from = 3;
	s.presence_penalty = -2.0f; /* wants it again */
	assert_int_equal(sampler_draw(&s, c, 3, 0.0f, history, 6), 1);
}

static void penalised_candidates_tie_by_id(void **state)
{
	static const struct logit c[2] = {{8, 4.0f}, {5, 2.0f}};
	static const uint32_t history[1] = {8};
	struct sampler_settings s;

	(void)state;
	sampler_defaults(&s);
	s.repeat_penalty = 2.0f;
	assert_int_equal(sampler_draw(&s, c, 2, 0.0f, history, 1), 5);
}

static void no_logit_breaks_it(void **state)
{
	static const struct logit odd[4] = {{1, NAN}, {2, -INFINITY}, {3, 0.0f}, {3, 0.0f}};
	static const struct logit infinite[2] = {{5, 1.0f}, {6, INFINITY}};
	static const struct logit nothing[2] = {{5, NAN}, {6, NAN}};
	static struct logit many[SAMPLER_CANDIDATES + 1];
	struct sampler_settings s = settings();
	static const uint32_t history[2] = {3, 1};

	(void)state;
	s.repeat_penalty = 1.5f;
	assert_int_equal(sampler_draw(&s, odd, 4, 0.0f, history, 2), 3);
	assert_int_equal(sampler_draw(&s, infinite, 2, 0.0f, history, 2), 6);
	assert_int_equal(sampler_draw(&s, nothing, 2, 0.0f, history, 2), 5);
	for (uint32_t i = 0; i <= SAMPLER_CANDIDATES; i++)
		many[i] = (struct logit){i << 22, 0.0f}; /* all in few slots of the table */
	many[SAMPLER_CANDIDATES].value = 9.0f;           /* beyond what is looked at */
	s.temperature = 0.0f;
	assert_int_equal(sampler_draw(&s, many, SAMPLER_CANDIDATES + 1, 0.0f, history, 2), 0);
}

static void names_the_setting_that_is_out_of_range(void **state)
{
	struct sampler_settings s;
	struct error err;

	(void)state;
	sampler_defaults(&s);
	assert_int_equal(sampler_check(&s, &err), AYNI_OK);
#define REFUSES(field, value)                                                                      \
	do {                                                                                       \
		sampler_defaults(&s);                                                              \
		s.field = value;                                                                   \
		assert_int_equal(sampler_check(&s, &err), AYNI_ERR_ARGUMENT);                      \
		assert_non_null(strstr(err.text, #field));                                         \
	} while (0)
	REFUSES(temperature, -0.1f);
	REFUSES(temperature, NAN);
	REFUSES(temperature, INFINITY);
	REFUSES(top_p, 0.0f);
	REFUSES(top_p, 1.01f);
	REFUSES(min_p, -0.1f);
	REFUSES(min_p, 1.1f);
	REFUSES(repeat_penalty, 0.0f);
	REFUSES(repeat_penalty, NAN);
	REFUSES(presence_penalty, -101.0f);
	REFUSES(frequency_penalty, NAN);
	REFUSES(repeat_last_n, LIMIT_CONTEXT_TOKENS + 1);
	REFUSES(top_k, LIMIT_VOCABULARY + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(philox_gives_the_published_vectors),
	    cmocka_unit_test(greedy_takes_the_best_and_the_smaller_id_of_equals),
	    cmocka_unit_test(draws_follow_the_probabilities),
	    cmocka_unit_test(neighbouring_positions_are_independent),
	    cmocka_unit_test(same_seed_and_position_give_the_same_token),
	    cmocka_unit_test(each_cut_leaves_the_candidates_it_should),
	    cmocka_unit_test(top_p_is_a_share_of_the_whole_row),
	    cmocka_unit_test(temperature_sharpens_and_flattens),
	    cmocka_unit_test(repeat_penalty_counts_each_token_once_and_looks_back_so_far),
	    cmocka_unit_test(frequency_and_presence_penalties_look_only_at_the_answer),
	    cmocka_unit_test(penalised_candidates_tie_by_id),
	    cmocka_unit_test(no_logit_breaks_it),
	    cmocka_unit_test(names_the_setting_that_is_out_of_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
