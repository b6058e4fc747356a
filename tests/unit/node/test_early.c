/* SPDX-License-Identifier: Apache-2.0 */
/* Input that came before its unit: found once, bounded, the oldest given up first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/donor/early.h"

static struct early_box box, other;
static size_t all_bytes;
static const struct hash hash = {{7}};

static int tear_down(void **state)
{
	(void)state;
	early_empty(&box, &all_bytes);
	early_empty(&other, &all_bytes);
	assert_int_equal(all_bytes, 0);
	return 0;
}

static void keep(struct early_box *b, uint64_t ticket, size_t len)
{
	uint8_t *data = calloc(1, len + 1);

	assert_non_null(data);
	data[0] = (uint8_t)ticket;
	early_keep(b, &all_bytes, ticket, (struct span){data, len}, &hash);
	free(data);
}

static void what_was_kept_is_found_by_its_ticket_until_it_is_dropped(void **state)
{
	struct early *e;

	(void)state;
	assert_null(early_find(&box, 0));
	keep(&box, 3, 10);
	keep(&box, 4, 20);
	e = early_find(&box, 4);
	assert_non_null(e);
	assert_int_equal(e->len, 20);
	assert_int_equal(e->data[0], 4);
	assert_true(hash_equal(&e->hash, &hash));
	early_drop(e, &all_bytes);
	assert_null(early_find(&box, 4));
	assert_non_null(early_find(&box, 3));
	assert_int_equal(all_bytes, 10);
}

static void the_oldest_goes_where_there_are_too_many(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= EARLY_MAX + 1; i++)
		keep(&box, i, 1);
	assert_null(early_find(&box, 1));
	for (uint64_t i = 2; i <= EARLY_MAX + 1; i++)
		assert_non_null(early_find(&box, i));
}

static void the_oldest_go_where_there_is_too_much(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		keep(&box, i, EARLY_BYTES / 3);
	assert_null(early_find(&box, 1));
	assert_non_null(early_find(&box, 2));
	assert_non_null(early_find(&box, 4));
	keep(&box, 5, EARLY_BYTES);
	assert_null(early_find(&box, 4));
	assert_non_null(early_find(&box, 5));
	keep(&box, 6, EARLY_BYTES + 1); /* never */
	assert_null(early_find(&box, 6));
	assert_non_null(early_find(&box, 5));
}

static void one_donor_does_not_push_out_another(void **state)
{
	(void)state;
	keep(&other, 1, 1);
	for (uint64_t i = 1; i <= 2 * EARLY_MAX; i++)
		keep(&box, i, EARLY_BYTES);
	assert_non_null(early_find(&other, 1));
	assert_true(all_bytes <= EARLY_ALL_BYTES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, NULL, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(what_was_kept_is_found_by_its_ticket_until_it_is_dropped),
	    TEST(the_oldest_goes_where_there_are_too_many),
	    TEST(the_oldest_go_where_there_is_too_much),
	    TEST(one_donor_does_not_push_out_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
