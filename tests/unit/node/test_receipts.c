/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/receipts.h"

enum { MANY = 500 };

static struct identity *pool;
static struct error err;

static int set_up(void **state)
{
	(void)state;
	return identity_generate(&pool, &err);
}

static int tear_down(void **state)
{
	(void)state;
	identity_free(pool);
	return 0;
}

static struct receipt receipt(uint64_t number)
{
	return (struct receipt){.number = number,
	    .pool = *identity_public(pool),
	    .donor = {{3}},
	    .layer_last = 4,
	    .units = number,
	    .first_ms = 5,
	    .last_ms = 6};
}

static void receipts_signed_together_are_those_signed_one_by_one(void **state)
{
	static const size_t sizes[] = {0, 1, 31, 33, MANY};
	static struct receipt receipts[MANY];
	static struct signed_receipt out[MANY];

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		receipts[i] = receipt(i + 1);
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		memset(out, 0, sizeof out);
		assert_int_equal(receipts_issue(receipts, sizes[k], pool, out, &err), AYNI_OK);
		for (size_t i = 0; i < sizes[k]; i++) {
			struct signed_receipt one;

			assert_int_equal(receipt_issue(&receipts[i], pool, &one, &err), AYNI_OK);
			assert_memory_equal(&one, &out[i], sizeof one);
		}
	}
}

static void one_that_cannot_be_signed_is_said_wherever_it_is(void **state)
{
	static struct receipt receipts[MANY];
	static struct signed_receipt out[MANY];

	(void)state;
	for (size_t wrong = 0; wrong < MANY; wrong += MANY - 1) {
		for (size_t i = 0; i < MANY; i++)
			receipts[i] = receipt(i + 1);
		receipts[wrong].layer_last = 0;
		err.text[0] = '\0';
		assert_int_not_equal(receipts_issue(receipts, MANY, pool, out, &err), AYNI_OK);
		assert_true(err.text[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(receipts_signed_together_are_those_signed_one_by_one),
	    cmocka_unit_test(one_that_cannot_be_signed_is_said_wherever_it_is),
	};

	return cmocka_run_group_tests_name("receipts", tests, set_up, tear_down);
}
