/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/pool/prefix.h"

enum { PAGES = 9, N = PAGES * PREFIX_PAGE_TOKENS + 5 };

static void count_up(uint32_t *tokens)
{
	for (uint32_t i = 0; i < N; i++)
		tokens[i] = i;
}

static void only_full_pages_count(void **state)
{
	struct prefix p = {0};
	uint32_t tokens[N];

	(void)state;
	count_up(tokens);
	prefix_extend(&p, tokens, 0);
	assert_int_equal(p.n, 0);
	prefix_extend(&p, tokens, PREFIX_PAGE_TOKENS - 1);
	assert_int_equal(p.n, 0);
	prefix_extend(&p, tokens, PREFIX_PAGE_TOKENS);
	assert_int_equal(p.n, 1);
	prefix_extend(&p, tokens, N);
	assert_int_equal(p.n, PAGES);
	prefix_free(&p);
	assert_int_equal(p.n, 0);
}

static void growing_gives_the_same_as_all_at_once(void **state)
{
	struct prefix whole = {0}, grown = {0};
	uint32_t tokens[N];

	(void)state;
	count_up(tokens);
	prefix_extend(&whole, tokens, N);
	for (uint32_t n = 1; n <= N; n++)
		prefix_extend(&grown, tokens, n);
	assert_int_equal(prefix_common(&whole, &grown), PAGES);
	prefix_extend(&grown, tokens, 10); /* it does not shrink */
	assert_int_equal(grown.n, PAGES);
	prefix_free(&whole);
	prefix_free(&grown);
}

static void texts_are_alike_up_to_the_page_of_the_first_difference(void **state)
{
	struct prefix a = {0}, none = {0};
	uint32_t tokens[N];

	(void)state;
	count_up(tokens);
	prefix_extend(&a, tokens, N);
	for (uint32_t at = 0; at < PAGES * PREFIX_PAGE_TOKENS; at += 7) {
		struct prefix b = {0};

		tokens[at] ^= 1;
		prefix_extend(&b, tokens, N);
		assert_int_equal(prefix_common(&a, &b), at / PREFIX_PAGE_TOKENS);
		assert_int_equal(prefix_common(&b, &a), at / PREFIX_PAGE_TOKENS);
		tokens[at] ^= 1;
		prefix_free(&b);
	}
	assert_int_equal(prefix_common(&a, &none), 0);
	prefix_free(&a);
}

static void texts_of_different_kinds_have_nothing_in_common(void **state)
{
	struct prefix a = {0}, b = {.kind = 1};
	uint32_t tokens[N];

	(void)state;
	count_up(tokens);
	prefix_extend(&a, tokens, N);
	prefix_extend(&b, tokens, N);
	assert_int_equal(prefix_common(&a, &b), 0);
	prefix_free(&a);
	prefix_free(&b);
}

/* The second page of one text is the first of another: no part of it is a beginning. */
static void a_page_counts_only_at_its_place(void **state)
{
	struct prefix a = {0}, b = {0};
	uint32_t tokens[N];

	(void)state;
	count_up(tokens);
	prefix_extend(&a, tokens, N);
	prefix_extend(&b, tokens + PREFIX_PAGE_TOKENS, N - PREFIX_PAGE_TOKENS);
	assert_int_equal(prefix_common(&a, &b), 0);
	prefix_free(&a);
	prefix_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_full_pages_count),
	    cmocka_unit_test(growing_gives_the_same_as_all_at_once),
	    cmocka_unit_test(texts_are_alike_up_to_the_page_of_the_first_difference),
	    cmocka_unit_test(texts_of_different_kinds_have_nothing_in_common),
	    cmocka_unit_test(a_page_counts_only_at_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
